"""ROAD: places removed so that what is left tells nothing of where they were."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.batches import observed
from interpret.heatmaps.faithfulness.curves import enlarged
from interpret.jobs import Job, Progress
from interpret.model import LoadedModel

PERCENTS, NOISE = (20, 40, 60, 80), 0.01
_NEIGHBOURS = {(y, x): 1 / 12 if y and x else 1 / 6 for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x}
"""Weights of the eight, by rows down and columns right."""


def road(
    model: LoadedModel, picture: torch.Tensor, values: NDArray[np.float32], target: int, seed: int = 0
) -> Job[float]:
    """How much more of the class is lost with the strongest places than with the weakest: -0.5..0.5, large is good.

    ROAD = mean over p of (probability without the weakest p % - probability without the strongest p %) / 2

    with p of 20, 40, 60 and 80. What is removed is filled in from around it.

    Args:
        model: the network.
        picture: float32 [1, channels, height, width], normalised.
        values: [rows, columns].
        target: class index.
        seed: of the noise.

    Yields:
        Progress in pictures filled in.

    Source: Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods", arXiv
        2202.00449; combined as in pytorch-grad-cam.
    """
    large, generator = enlarged(values, *picture.shape[2:]), np.random.default_rng(seed)
    plain, filled = picture[0].cpu().numpy(), []
    for sign in (1, -1):
        for percent in PERCENTS:
            known = sign * large < np.percentile(sign * large, 100 - percent)
            filled.append(torch.from_numpy(imputed(plain, known, NOISE, generator)))
            yield Progress(len(filled), 2 * len(PERCENTS), "places filled in from around them")
    scores = [tape.scores for tape in observed(model, torch.stack(filled))]
    probabilities = torch.cat([part for part in scores if part is not None]).softmax(1)[:, target]
    without_strongest, without_weakest = probabilities.view(2, -1).mean(1).tolist()
    return float(without_weakest - without_strongest) / 2


def imputed(
    picture: NDArray[np.float32], known: NDArray[np.bool_], noise: float, generator: np.random.Generator
) -> NDArray[np.float32]:
    """A picture whose unknown pixels are the weighted mean of their neighbours, and a little noise.

    The weights are 1/6 for the four nearest and 1/12 for the diagonal neighbours; at the rim those that are there. All
    unknown pixels together solve one sparse system of linear equations.

    Args:
        picture: float32 [channels, height, width].
        known: bool [height, width].
        noise: its standard deviation.
        generator: of the noise.

    Source: Rong et al. 2022, arXiv 2202.00449, section 4.2, "noisy linear imputation".
    """
    from scipy import sparse
    from scipy.sparse.linalg import splu

    count = int((~known).sum())
    if count == 0 or count == known.size:
        return np.where(known, picture, noise * generator.standard_normal(picture.shape)).astype(np.float32)
    rows, columns = np.nonzero(~known)
    number = np.full((known.shape[0] + 2, known.shape[1] + 2), -1)
    number[rows + 1, columns + 1] = np.arange(count)
    framed, values = np.pad(known, 1), np.pad(picture.astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    own, given = np.zeros(count), np.zeros((count, len(picture)))
    entries = []
    for (down, right), weight in _NEIGHBOURS.items():
        row, column = rows + 1 + down, columns + 1 + right
        there, unknown = framed[row, column], number[row, column] >= 0
        own += weight * (there | unknown)
        given[there] += weight * values[:, row[there], column[there]].T
        entries.append((np.flatnonzero(unknown), number[row, column][unknown], np.full(unknown.sum(), -weight)))
    entries.append((np.arange(count), np.arange(count), own))
    down_to, across, weights = (np.concatenate(part) for part in zip(*entries, strict=True))
    system = sparse.csc_matrix((weights, (down_to, across)), (count, count))
    ordering = {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 0.0, "options": {"SymmetricMode": True}}
    found = splu(system, **ordering).solve(given) + noise * generator.standard_normal(given.shape)
    filled = picture.copy()
    filled[:, ~known] = found.T
    return filled

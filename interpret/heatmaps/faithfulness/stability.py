"""Whether a map stays as it is when the picture hardly changes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.heatmaps.making import Heatmap, again
from interpret.jobs import Job
from interpret.model import LoadedModel

COPIES, NOISE = 4, 0.02


def stability(model: LoadedModel, picture: torch.Tensor, made: Heatmap, values: NDArray[np.float32]) -> Job[float]:
    """The mean rank correlation of a map with those of noisy copies of the picture: 1 where noise changes nothing.

    The noise is normal with 2 % of the picture's range as its deviation, which a person hardly sees.

    Args:
        model: the network.
        picture: float32 [1, channels, height, width], normalised.
        made: which map.
        values: the same with its signs [rows, columns].

    Source: after Yeh et al. 2019, "On the (In)fidelity and Sensitivity of Explanations", definition 2.2, arXiv
        1901.09392.
    Differs: a rank correlation over few draws instead of the largest distance.
    """
    generator = torch.Generator().manual_seed(made.seed)
    noise = torch.randn((COPIES, *picture.shape[1:]), generator=generator)
    noisy = picture + NOISE * (picture.max() - picture.min()) * noise.to(picture)
    maps = yield from again(model, made, noisy)
    return float(np.mean([similarity(values, one.float().cpu().numpy()) for one in maps]))


def similarity(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Spearman's rank correlation of two maps of one size, -1..1; ties share their mean rank; 0 where one is flat."""
    from scipy.stats import rankdata

    ranks = [rankdata(values.ravel()) - (values.size + 1) / 2 for values in (one, other)]
    size = float(np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return float((ranks[0] * ranks[1]).sum() / size) if np.isfinite(size) and size > 0 else 0.0

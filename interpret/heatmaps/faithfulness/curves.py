"""Deletion and insertion: what becomes of the class as the places of a map go, or come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from interpret.batches import batch_size, observed
from interpret.jobs import Job, Progress
from interpret.model import LoadedModel
from interpret.work import multiplications

STEPS = 32
_BLUR_PIXELS, _BLUR_DEVIATION = 11, 5.0


@dataclass(frozen=True, eq=False)
class Curve:
    """The probability of a class by the share of the picture that was changed.

    Attributes:
        fractions: float32 [steps + 1], 0 to 1.
        probabilities: float32 [steps + 1].
    """

    fractions: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    @property
    def area(self) -> float:
        """Under the curve, 0..1: small is good for deletion, large for insertion."""
        return float(np.trapezoid(self.probabilities, self.fractions))

    def halved_at(self) -> float | None:
        """The smallest share at which the probability is at most half of the first; None where it never is."""
        below = np.flatnonzero(self.probabilities <= self.probabilities[0] / 2)
        return float(self.fractions[below[0]]) if below.size else None


@dataclass(frozen=True, eq=False)
class Curves:
    """Both curves of one map, of equal steps."""

    deletion: Curve
    insertion: Curve

    @property
    def gain(self) -> float:
        """The area of insertion less that of deletion: how far the map knows the places that matter; -1..1."""
        return self.insertion.area - self.deletion.area


def curves(
    model: LoadedModel, picture: torch.Tensor, values: NDArray[np.float32], target: int, steps: int = STEPS
) -> Job[Curves]:
    """Deletion and insertion of the places of a map, the strongest first.

    Deletion sets pixels to zero after normalisation, the mean colour; insertion puts them back into the blurred picture
    (Gaussian of 11 x 11 pixels, deviation 5). Pixels are ordered by the map, enlarged bilinearly; ties as they lie.

    Args:
        model: the network.
        picture: float32 [1, channels, height, width], normalised.
        values: [rows, columns], best with what speaks against the class, so that it goes last.
        target: class index.
        steps: equal shares of the picture.

    Yields:
        Progress in passes.

    Source: Petsiuk, Das, Saenko 2018, "RISE", section 4.1, arXiv 1806.07421, and its authors' evaluation code.
    """
    height, width = picture.shape[2:]
    order = torch.from_numpy(np.argsort(-enlarged(values, height, width).ravel(), kind="stable").copy())
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    fractions = torch.linspace(0, 1, steps + 1)
    changed = rank.view(1, 1, height, width) < (fractions * len(order)).round().view(-1, 1, 1, 1)
    blurred, probabilities = blur(picture), torch.empty(2 * len(fractions))
    size = batch_size(model, multiplications(model))
    for first in range(0, len(probabilities), size):
        numbers = range(first, min(first + size, len(probabilities)))
        batch = []
        for number in numbers:
            inserting, at = divmod(number, len(fractions))
            before, after = (blurred, picture) if inserting else (picture, torch.zeros_like(picture))
            batch.append(torch.where(changed[at], after, before))
        found = [tape.scores for tape in observed(model, torch.cat(batch))]
        scores = torch.cat([part for part in found if part is not None])
        probabilities[first : numbers.stop] = scores.softmax(1)[:, target].float().cpu()
        yield Progress(numbers.stop, len(probabilities), "places deleted and inserted")
    both = probabilities.numpy().reshape(2, -1)
    return Curves(Curve(fractions.numpy(), both[0]), Curve(fractions.numpy(), both[1]))


def enlarged(values: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """A map [rows, columns] at the picture's size, bilinear: float32 [height, width]; smaller ones are averaged."""
    found = torch.from_numpy(np.asarray(values, np.float32).copy())[None, None]
    if found.shape[2] > height or found.shape[3] > width:
        return functional.adaptive_avg_pool2d(found, (height, width))[0, 0].numpy()
    return functional.interpolate(found, (height, width), mode="bilinear", align_corners=False)[0, 0].numpy()


def blur(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures [n, channels, height, width] without their details, as the authors of RISE blur them; rims are grey."""
    across = torch.arange(_BLUR_PIXELS, dtype=torch.float32) - _BLUR_PIXELS // 2
    weights = torch.exp(-(across**2) / (2 * _BLUR_DEVIATION**2))
    weights = (weights / weights.sum()).to(pictures)
    channels, rim = pictures.shape[1], _BLUR_PIXELS // 2
    down = weights.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    along = weights.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    soft = functional.conv2d(pictures, down, padding=(rim, 0), groups=channels)
    return functional.conv2d(soft, along, padding=(0, rim), groups=channels)

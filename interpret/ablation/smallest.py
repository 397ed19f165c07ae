"""How few channels are enough for a network to be as accurate, and how few break a class when they are removed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from interpret.ablation.found import AblationTable, Indices
from interpret.ablation.kinds import Change
from interpret.ablation.sweeps import without
from interpret.ablation.table import ablate
from interpret.datasets.sources import PictureSource
from interpret.errors import BadInput
from interpret.jobs import Job, stretch
from interpret.model import LoadedModel

_AT_ONCE = 8
"""Counts tried in one reading of the pictures: three readings find one of 512."""


@dataclass(frozen=True, eq=False)
class SmallestSet:
    """How many channels of an order matter.

    Attributes:
        layer: whose channels.
        order: int64 [channels], the most important first.
        accuracy: unchanged, of all pictures, 0..1.
        target: the class that is to break; None for all pictures together.
        target_accuracy: unchanged, of its pictures.
        enough: the fewest of the first channels with which, all others at 0, the accuracy is within `keep`.
        breaks: the fewest of the first channels without which the accuracy of the target is below half; None where it
            is not even without all.
        kept: (count, accuracy of all pictures) with only so many channels, of every count that was tried, ascending.
        removed: (count, accuracy of the target) without so many.
    """

    layer: str
    order: Indices
    accuracy: float
    target: int | None
    target_accuracy: float
    enough: int
    breaks: int | None
    kept: tuple[tuple[int, float], ...]
    removed: tuple[tuple[int, float], ...]


def smallest_set(
    model: LoadedModel,
    source: PictureSource,
    layer: str,
    order: Sequence[int] | Indices,
    keep: float = 0.01,
    target: int | None = None,
) -> Job[SmallestSet]:
    """How few of the most important channels of a layer are enough, and how few break a class when they go.

    Both counts are found as by bisection, in nine parts at once: of the counts given, it is tried and holds, and the
    count below it is tried and does not. Where accuracy goes up and down with the count, there may be smaller ones.

    Args:
        model: the network.
        source: the pictures; accuracy is agreement with the unchanged network where they have no labels.
        layer: dotted name of a map or vector layer.
        order: all of its channels, the most important first; see `rank`.
        keep: by how much the accuracy may fall, 0..1.
        target: the class to break.

    Yields:
        Progress in pictures.

    Raises:
        UnknownName: no such layer or class.
        BadInput: the order is not one of all the layer's channels, or no picture (of the class) is predicted right.

    Source: Bau et al. 2020, "Understanding the role of individual units in a deep neural network",
        10.1073/pnas.1907375117.
    """
    channels, count = [int(channel) for channel in order], model.layer(layer).channels
    if sorted(channels) != list(range(count)):
        raise BadInput(f'An order of the channels of "{layer}" holds each of 0 to {count - 1} once; this one does not.')
    target = None if target is None else model.target(target)

    def of_target(table: AblationTable) -> Sequence[float]:
        values = table.accuracy if target is None else table.per_class[:, target]
        if not values[0] > 0:
            what = "" if target is None else f' of class "{model.labels[target]}"'
            raise BadInput(
                f'Not one picture{what} in "{source.title}" is predicted right, so nothing can break. Choose others.'
            )
        return [float(value) for value in values]

    def accuracy(table: AblationTable) -> Sequence[float]:
        return [float(value) for value in table.accuracy]

    rounds = math.ceil(math.log(count + 2, _AT_ONCE + 1))

    def search(
        start: int,
        low: int,
        high: int,
        variant: Callable[[int], tuple[Change, ...]],
        measure: Callable[[AblationTable], Sequence[float]],
        holds: Callable[[float, float], bool],
    ) -> Job[tuple[int, float, dict[int, float]]]:
        """The least count above `low` that holds, or `high`; the measure unchanged and of each count tried."""
        tried: dict[int, float] = {}
        number, plain = start, math.nan
        while high - low > 1:
            points = sorted({int(n) for n in np.linspace(low, high, min(_AT_ONCE, high - low - 1) + 2)} - {low, high})
            job = ablate(model, source, {str(n): variant(n) for n in points})
            step = len(source)
            table = yield from stretch(job, number * step, (number + 1) * step, 2 * rounds * step)
            plain, *found = measure(table)
            tried |= dict(zip(points, found, strict=True))
            number = min(number + 1, start + rounds - 1)
            high = next((n for n in points if holds(plain, tried[n])), high)
            low = max((n for n in points if n < high), default=low)
        return high, plain, dict(sorted(tried.items()))

    enough, plain, kept = yield from search(
        0, -1, count, lambda n: without(layer, channels[n:]), accuracy, lambda was, now: now >= was - keep - 1e-9
    )
    breaks, target_plain, removed = yield from search(
        rounds, 0, count + 1, lambda n: without(layer, channels[:n]), of_target, lambda was, now: now < was / 2
    )
    return SmallestSet(
        layer=layer,
        order=np.array(channels, np.int64),
        accuracy=plain,
        target=target,
        target_accuracy=target_plain,
        enough=enough,
        breaks=breaks if breaks <= count else None,
        kept=tuple(kept.items()),
        removed=tuple(removed.items()),
    )

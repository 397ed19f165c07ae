"""Heatmaps the page wants, made once and kept; slow ones as a job."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interpret.heatmaps import Aim, Fusion, Heatmap, HeatmapMethod, fused, layer_heatmaps_job
from interpret.images import InputImage
from interpret.jobs import Job, complete, stretch
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from ui.cache import RESULTS
from ui.controls import result_of

FINE = 10_000
"""Maps with so many places are told apart by single pixels; a few of them must not take the whole scale."""
PERCENTILE = 99.5


@dataclass(frozen=True, eq=False)
class Wanted:
    """A heatmap and what is said of it.

    Attributes:
        model, image, layer, method, target, aim, rival, signed: what is asked.
        title: what tells it from the others of a grid; untrusted text.
        fused: the layers it is fused from, and `fusion` how; empty for a map of one layer.
        alone: the choices that show it alone.
    """

    model: LoadedModel
    image: InputImage
    layer: LayerInfo
    method: HeatmapMethod
    target: int
    aim: Aim
    rival: int | None
    signed: bool
    title: str
    alone: tuple[tuple[str, str | int], ...] = ()
    fused: tuple[LayerInfo, ...] = ()
    fusion: Fusion = "mean"

    @property
    def key(self) -> tuple[Hashable, ...]:
        """Equal for equal maps."""
        where = "" if self.method.of_pixels else self.layer.name
        names = tuple(layer.name for layer in self.fused)
        asked = (self.target, self.aim.key, self.rival, self.signed, names, self.fusion if names else "")
        return ("heatmap", self.model.digest, self.image.digest, self.method.key, where, *asked)

    def job(self) -> Job[Heatmap]:
        """Makes it."""
        if self.fused:
            maps = yield from self._at([layer.name for layer in self.fused])
            return fused(maps, self.fusion)
        return (yield from self._at([self.layer.name]))[0]

    def _at(self, layers: Sequence[str]) -> Job[list[Heatmap]]:
        return layer_heatmaps_job(
            self.model,
            self.image,
            layers,
            method=self.method.key,
            target=self.target,
            aim=self.aim.key,
            rival=self.rival,
            signed=self.signed,
        )


def maps_of(wanted: Sequence[Wanted]) -> list[Heatmap] | None:
    """The heatmaps in the same order; None until the slow ones among them are made, whose progress is shown."""
    missing = [one for one in wanted if RESULTS.get(one.key) is None]
    slow = [one for one in missing if one.method.slow]
    if slow:
        title = slow[0].method.title if len(slow) == 1 else f"{len(slow)} slow heatmaps"
        keys = tuple(one.key for one in slow)
        if result_of("heatmap", ("heatmaps", *keys), title, lambda: _all_of(slow)) is None:
            return None
    _at_once([one for one in missing if not one.method.slow])
    return [RESULTS.get_or_make(one.key, lambda one=one: complete(one.job())) for one in wanted]  # type: ignore[misc]


def _at_once(wanted: Sequence[Wanted]) -> None:
    """Maps of one network and picture at several layers need one pass."""
    plain = [one for one in wanted if not one.fused]
    groups = {(one.model.digest, one.image.digest, one.method.key, one.target) for one in plain}
    if len(plain) > 1 and len(groups) == 1:
        made = complete(plain[0]._at([one.layer.name for one in plain]))
        for one, found in zip(plain, made, strict=True):
            RESULTS.put(one.key, found)


def _all_of(wanted: Sequence[Wanted]) -> Job[int]:
    total = 1000 * len(wanted)
    for number, one in enumerate(wanted):
        whose = f"{one.title}: " if len(wanted) > 1 else ""
        part = stretch(one.job(), 1000 * number, 1000 * (number + 1), total, whose.__add__)
        RESULTS.put(one.key, (yield from part))
    return len(wanted)


def scale_of(maps: Sequence[NDArray[np.float32]], signed: bool) -> tuple[float, float]:
    """The ends of one scale for some maps: the largest value; the 99.5th percentile of a map as fine as pixels."""
    ends = [0.0]
    for values in maps:
        finite = np.abs(values[np.isfinite(values)]) if signed else values[np.isfinite(values)]
        if finite.size:
            ends.append(float(np.percentile(finite, PERCENTILE) if values.size > FINE else finite.max()))
    high = max(ends) or 1.0
    return (-high, high) if signed else (0.0, high)


def is_fine(maps: Sequence[NDArray[np.float32]]) -> bool:
    """Whether the scale of some maps is cut at a percentile."""
    return any(values.size > FINE for values in maps)

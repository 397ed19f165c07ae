"""Points on the grid on which the browser draws them, and which of them a polygon holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ui.cache import BoundedStore

_LAST_STEP = 65535
_PLACED = BoundedStore(entries=8, max_bytes=2**28)


@dataclass(frozen=True)
class PlacedPoints:
    """Points on the grid of 65,536 steps per axis on which the browser draws them.

    A coordinate is read back as low + step * place. All frames share one grid.

    Attributes:
        places: uint16 [points, 2] or [frames, points, 2], 0 where a point is not placed.
        placed: bool [points], False where a coordinate, in any frame, is NaN or infinite.
        low: Least finite coordinate of each axis.
        step: Length of one step along each axis.
    """

    places: NDArray[np.uint16]
    placed: NDArray[np.bool_]
    low: tuple[float, float]
    step: tuple[float, float]

    @property
    def coordinates(self) -> NDArray[np.float64]:
        """float64, shaped as the places: the coordinates as drawn."""
        drawn: NDArray[np.float64] = np.asarray(self.low) + self.places * np.asarray(self.step)
        return drawn

    def frame(self, index: int) -> PlacedPoints:
        """The points of one frame, on the grid of all; of points that have no frames, themselves."""
        return self if self.places.ndim == 2 else PlacedPoints(self.places[index], self.placed, self.low, self.step)


def place_points(points: NDArray[np.float32]) -> PlacedPoints:
    """Points on the grid on which the browser draws them.

    Args:
        points: [points, 2] or [frames, points, 2], any values.

    Returns:
        Places, and the numbers that turn them back into coordinates, to within half a step.
    """
    given = np.asarray(points, np.float32)
    frames = given if given.ndim == 3 else given[None]
    axes = np.ascontiguousarray(np.moveaxis(frames, 2, 0))  # [2, frames, points]
    placed = np.asarray(np.isfinite(axes).all(axis=(0, 1)))
    finite = axes if placed.all() else axes[:, :, placed]
    nothing = np.zeros(2, np.float32), np.ones(2, np.float32)
    low, high = (finite.min(axis=(1, 2)), finite.max(axis=(1, 2))) if finite.size else nothing
    extent = high.astype(np.float64) - low
    step = np.where(extent > 0, extent, 1.0) / _LAST_STEP
    with np.errstate(invalid="ignore", over="ignore"):
        steps = (axes - low[:, None, None]) * (1 / step).astype(np.float32)[:, None, None] + np.float32(0.5)
    steps[:, :, ~placed] = 0
    places = np.moveaxis(np.clip(steps, 0, _LAST_STEP).astype(np.uint16), 0, 2)
    shaped = np.ascontiguousarray(places).reshape(points.shape)
    return PlacedPoints(shaped, placed, (float(low[0]), float(low[1])), (float(step[0]), float(step[1])))


def placed_once(points: NDArray[np.float32]) -> tuple[str, PlacedPoints]:
    """The digest of points, and their places, worked out once: a script that runs again pays for the digest alone."""
    given = np.ascontiguousarray(points, np.float32)
    digest = hashlib.blake2b(repr(given.shape).encode(), digest_size=16)
    digest.update(given.data)
    name = digest.hexdigest()
    return name, _PLACED.get_or_make(name, lambda: place_points(given))


def inside_polygon(points: NDArray[np.floating[Any]], polygon: Sequence[tuple[float, float]]) -> NDArray[np.bool_]:
    """Which points lie inside a polygon, counting how often a line to the right of each crosses its edges.

    Args:
        points: [points, 2].
        polygon: Corners in order; the last is joined to the first. Regions wound around twice count as outside.

    Returns:
        bool [points].
    """
    corners = np.asarray(polygon, np.float64).reshape(-1, 2)
    inside = np.zeros(len(points), bool)
    if len(corners) < 3:
        return inside
    (left, bottom), (right, top) = corners.min(axis=0), corners.max(axis=0)
    across, up = np.asarray(points[:, 0], np.float64), np.asarray(points[:, 1], np.float64)
    near = (across >= left) & (across <= right) & (up >= bottom) & (up <= top)
    x, y = across[near], up[near]
    odd = np.zeros(len(x), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, 1, axis=0), strict=True):
        if y0 != y1:
            odd ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    inside[near] = odd
    return inside

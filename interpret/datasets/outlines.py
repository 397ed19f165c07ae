"""The outlines of the eight shapes, as closed-form signed distances.

Every function takes a generator for its proportions and points x, y, and returns how far each point lies
outside the edge, negative inside. No shape reaches further than 1 from the origin. Near the edge the distance
is exact; further away it may be too small, which no one sees.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
TAU = 2 * np.pi


def _length(x: Floats, y: Floats) -> Floats:
    length: Floats = np.sqrt(x * x + y * y)
    return length


def circle(rng: np.random.Generator, x: Floats, y: Floats) -> Floats:
    """A disc of radius 0.92."""
    return _length(x, y) - np.float32(0.92)


def square(rng: np.random.Generator, x: Floats, y: Floats) -> Floats:
    """Four equal sides of 1.4."""
    return np.maximum(np.abs(x), np.abs(y)) - np.float32(0.7)


def triangle(rng: np.random.Generator, x: Floats, y: Floats) -> Floats:
    """Three corners on the unit circle, about a third of a turn apart."""
    corners = np.arange(3) * TAU / 3 + rng.uniform(-0.25, 0.25, 3)
    sides = []
    for a, b in zip(corners, np.roll(corners, -1) + (0, 0, TAU), strict=True):
        middle, half = (a + b) / 2, (b - a) / 2
        normal = np.float32(np.cos(middle)), np.float32(np.sin(middle))
        sides.append(x * normal[0] + y * normal[1] - np.float32(np.cos(half)))
    return np.maximum(np.maximum(sides[0], sides[1]), sides[2])


def star(rng: np.random.Generator, x: Floats, y: Floats) -> Floats:
    """Four to seven points, cut in deep or shallow; `depth` is how far out the inner corners lie.

    The plane is folded onto half a point, whose edge is one straight line.
    """
    half = np.pi / rng.integers(4, 8)
    depth = np.cos(half) * rng.uniform(0.45, 0.78)
    theta = np.abs((np.arctan2(y, x) + np.float32(np.pi)) % np.float32(2 * half) - np.float32(half))
    r = _length(x, y)
    nx, ny = depth * np.sin(half), 1 - depth * np.cos(half)
    norm = np.hypot(nx, ny)
    outside: Floats = (r * np.cos(theta) - 1) * np.float32(nx / norm) + r * np.sin(theta) * np.float32(ny / norm)
    return outside


def cross(rng: np.random.Generator, x: Floats, y: Floats) -> Floats:
    """Two equal bars at a right angle."""
    arm = np.float32(rng.uniform(0.2, 0.32))
    ax, ay = np.abs(x), np.abs(y)
    long = np.float32(0.93)
    return np.minimum(np.maximum(ax - long, ay - arm), np.maximum(ax - arm, ay - long))


def ring(rng: np.random.Generator, x: Floats, y: Floats) -> Floats:
    """A disc of radius 0.95 with a round hole in its middle."""
    hole = rng.uniform(0.48, 0.7)
    from_middle: Floats = np.abs(_length(x, y) - np.float32((0.95 + hole) / 2))
    return from_middle - np.float32((0.95 - hole) / 2)


def crescent(rng: np.random.Generator, x: Floats, y: Floats) -> Floats:
    """A disc of radius 0.95 without a second disc that leaves `thick` of it and always an open mouth."""
    thick = rng.uniform(0.4, 0.65)
    hole = (2.05 - thick) / 2 + rng.uniform(0, 0.12)
    from_bite = np.hypot(x - np.float32(thick + hole - 0.95), y)
    outside: Floats = np.maximum(_length(x, y) - np.float32(0.95), np.float32(hole) - from_bite)
    return outside


def heart(rng: np.random.Generator, x: Floats, y: Floats) -> Floats:
    """A square on its corner with half a disc on each of its two upper sides."""
    h = np.float32(0.76)
    ax, up = np.abs(x), np.float32(0.12) - y
    lobe = np.hypot(ax - h / 2, up - h / 2) - h * np.float32(np.sqrt(0.5))
    outside: Floats = np.minimum((ax + np.abs(up) - h) * np.float32(np.sqrt(0.5)), lobe)
    return outside


OUTLINES = (circle, square, triangle, star, cross, ring, crescent, heart)

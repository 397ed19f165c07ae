"""The ground of a Shapes picture: colours, smooth noise, backgrounds, distractors."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from interpret.datasets.outlines import TAU, Floats


def colours(light: ArrayLike, chroma: ArrayLike, hue: ArrayLike) -> Floats:
    """sRGB colours [n, 3, 1, 1] in 0..1 of OKLCH lightness 0..1, chroma 0..0.3 and hue in radians.

    Source: Ottosson 2020, A perceptual color space for image processing.
    """
    lightness, c, h = np.broadcast_arrays(np.atleast_1d(light), np.atleast_1d(chroma), np.atleast_1d(hue))
    lab = np.stack([lightness, c * np.cos(h), c * np.sin(h)])
    lms = (_LAB_TO_LMS @ lab) ** 3
    linear = np.clip(_LMS_TO_RGB @ lms, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    tones: Floats = srgb.T.astype(np.float32)[:, :, None, None]
    return tones


_LAB_TO_LMS = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_LMS_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


@lru_cache(maxsize=8)
def grid(size: int) -> tuple[Floats, Floats]:
    """x [1, size] and y [size, 1] of the pixel centres, in pixels."""
    centres = np.arange(size, dtype=np.float32) + np.float32(0.5)
    return centres[None, :], centres[:, None]


@lru_cache(maxsize=64)
def _between(size: int, cells: int) -> tuple[NDArray[np.intp], Floats]:
    """For every pixel the cell it lies in and how far through it, 0..1 and eased at both ends; each [size]."""
    at = (np.arange(size) + 0.5) / size * cells
    cell = np.minimum(at.astype(np.intp), cells - 1)
    t = at - cell
    return cell, (t * t * (3 - 2 * t)).astype(np.float32)


def clouds(rng: np.random.Generator, size: int, cells: int) -> Floats:
    """Smooth noise [size, size] in 0..1 with `cells` bumps a side.

    Random values at the corners of the cells are blended over the pixels, first along columns, then along rows.
    """
    cell, t = _between(size, cells)
    corners: Floats = rng.random((cells + 1, cells + 1), dtype=np.float32)
    rows = corners[cell] + t[:, None] * (corners[cell + 1] - corners[cell])
    bumps: Floats = rows[:, cell] + t * (rows[:, cell + 1] - rows[:, cell])
    return bumps


def clamp(values: Floats) -> Floats:
    """The values, those outside 0..1 moved to the nearer end."""
    clamped: Floats = np.clip(values, 0, 1)
    return clamped


def coverage(distance: Floats) -> Floats:
    """How much of each pixel [rows, columns] is inside, 0..1, for signed distances to the edge in pixels."""
    return clamp(np.float32(0.5) - distance)


def blend(canvas: Floats, alpha: Floats, colour: Floats) -> None:
    """Lay `colour` [3, 1, 1] or [3, rows, columns] over the canvas [3, rows, columns], in place."""
    canvas += alpha * (colour - canvas)


def background(rng: np.random.Generator, size: int, light: float, hue: float) -> Floats:
    """A cluttered ground [3, size, size]: gradient, clouds or bands, then grain, thin lines or soft blobs."""
    x, y = grid(size)
    shift = rng.uniform(-0.09, 0.09, 3)
    tones = colours(light + shift, rng.uniform(0.02, 0.13, 3), hue + rng.uniform(-0.9, 0.9, 3))
    angle = rng.uniform(0, TAU)
    along = x * np.float32(np.cos(angle) / size) + y * np.float32(np.sin(angle) / size)
    kind = rng.integers(3)
    if kind == 0:
        mix = along - along.min()
        mix = mix / mix.max()
    elif kind == 1:
        mix = clamp(clouds(rng, size, int(rng.integers(2, 7))) * 2 - np.float32(0.5))
    else:
        waves = np.sin(along * np.float32(rng.uniform(12, 45)))
        mix = clamp(waves * np.float32(rng.uniform(0.6, 2)) + np.float32(0.5))
    canvas: Floats = tones[0] + mix * (tones[1] - tones[0])

    extra = rng.integers(3)
    if extra == 0:
        grain = clouds(rng, size, size // 3) - np.float32(0.5)
        canvas += grain * np.float32(rng.uniform(0.08, 0.22))
    elif extra == 1:
        count = int(rng.integers(3, 9))
        tints = colours(light + rng.uniform(-0.16, 0.16, count), 0.06, hue + rng.uniform(-1.5, 1.5, count))
        angles, places = rng.uniform(0, TAU, count), rng.uniform(-0.4, 0.4, count)
        for colour, a, at in zip(tints, angles, places, strict=True):
            line = (x - size / 2) * np.float32(np.cos(a)) + (y - size / 2) * np.float32(np.sin(a))
            blend(canvas, coverage(np.abs(line - np.float32(at * size)) - np.float32(size / 110)), colour)
    else:
        for _ in range(rng.integers(2, 6)):
            cx, cy, radius = rng.uniform(0, size), rng.uniform(0, size), rng.uniform(0.08, 0.3) * size
            near = ((x - np.float32(cx)) ** 2 + (y - np.float32(cy)) ** 2) * np.float32(-1 / radius**2)
            blend(canvas, np.exp(near) * np.float32(0.8), tones[2])
    return canvas


def side(light: float) -> int:
    """1 where things on ground of this lightness are to be lighter than it, -1 where darker."""
    return 1 if light < 0.6 else -1


def scatter(rng: np.random.Generator, canvas: Floats, light: float) -> None:
    """Lay three to seven distractors over the canvas, in place."""
    count = int(rng.integers(3, 8))
    away = rng.uniform(0.08, 0.4, count) * side(light)
    for colour in colours(light + away, rng.uniform(0.02, 0.18, count), rng.uniform(0, TAU, count)):
        _distractor(rng, canvas, colour)


def _distractor(rng: np.random.Generator, canvas: Floats, colour: Floats) -> None:
    """Lay one small stroke, hook, zigzag or lopsided blob over the canvas, in place."""
    size = canvas.shape[1]
    reach = rng.uniform(0.05, 0.12) * size
    cx, cy = rng.uniform(0, size, 2)
    margin = int(reach * 1.3 + 3)
    rows = slice(max(0, int(cy) - margin), int(cy) + margin)
    columns = slice(max(0, int(cx) - margin), int(cx) + margin)
    gx, gy = grid(size)
    x, y = gx[:, columns] - np.float32(cx), gy[rows] - np.float32(cy)
    corners = int(rng.integers(1, 5))
    if corners == 1:
        bumps = rng.uniform(0, TAU, 2)
        theta = np.arctan2(y, x)
        edge = 0.65 + 0.28 * np.cos(2 * theta + bumps[0]) + 0.12 * np.cos(3 * theta + bumps[1])
        distance = np.sqrt(x * x + y * y) - np.float32(reach) * edge.astype(np.float32)
    else:
        bends = rng.uniform(0.9, 2.0, corners) * (1 - 2 * rng.integers(0, 2, corners))
        turns = rng.uniform(0, TAU) + np.cumsum(bends)
        steps = np.stack([np.cos(turns), np.sin(turns)], axis=1) * reach * 1.7 / corners
        path = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
        path -= path.mean(axis=0)
        lines = [_segment(x, y, path[i], path[i + 1]) for i in range(corners)]
        distance = np.minimum.reduce(lines) - np.float32(rng.uniform(0.009, 0.024) * size)
    blend(canvas[:, rows, columns], coverage(distance), colour)


def _segment(x: Floats, y: Floats, start: NDArray[np.float64], end: NDArray[np.float64]) -> Floats:
    """Distance in pixels of every point to the line from `start` to `end`."""
    (sx, sy), (ex, ey) = start.astype(np.float32), (end - start).astype(np.float32)
    px, py = x - sx, y - sy
    t = np.clip((px * ex + py * ey) / (ex * ex + ey * ey), 0, 1)
    px, py = px - t * ex, py - t * ey
    apart: Floats = np.sqrt(px * px + py * py)
    return apart

"""Maps and points for the component tests, made from a seed: the apps draw them and the tests check against them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#ee8866")
HOSTILE_NAME = "<img src=x onerror=\"document.title='taken'\">"
NAMES = ("category 0", HOSTILE_NAME, *(f"category {i}" for i in range(2, len(COLORS))))


def palette(*anchors: str) -> NDArray[np.uint8]:
    """256 colours between "rrggbb" anchors at equal distances."""
    fixed = np.array([[int(anchor[i : i + 2], 16) for i in (0, 2, 4)] for anchor in anchors])
    at = np.linspace(0, len(anchors) - 1, 256)
    channels = [np.interp(at, np.arange(len(anchors)), fixed[:, i]) for i in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


PALETTES = {
    "sequential": palette("440154", "3b528b", "21918c", "5ec962", "fde725"),
    "diverging": palette("2166ac", "92c5de", "f7f7f7", "f4a582", "b2182b"),
}


def example_maps(case: str) -> NDArray[np.float32]:
    """Maps with one blob each: "plain", "signed", "broken" (NaN, infinite, constant), "wide", "large"."""
    channels, side = {"wide": (2048, 14), "large": (64, 112)}.get(case, (512, 28))
    draw = np.random.default_rng(7)
    y, x = np.mgrid[0:side, 0:side] / side
    centre = draw.uniform(0.1, 0.9, (channels, 2, 1, 1))
    width = draw.uniform(0.08, 0.3, (channels, 1, 1))
    strength = draw.uniform(0.5, 8, (channels, 1, 1))
    maps = strength * np.exp(-((y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2) / (2 * width**2))
    maps += draw.uniform(0, 0.15, maps.shape) * strength
    if case == "signed":
        maps -= strength * 0.4
    if case == "broken":
        maps[0] = np.nan
        maps[1, : side // 2] = np.inf
        maps[2] = 3
    return maps.astype(np.float32)


def example_points(count: int, case: str = "plain") -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """One cloud per category on an ellipse, and a few points anywhere; in "broken" ten have no place."""
    draw = np.random.default_rng(3)
    kinds = len(COLORS)
    categories = draw.integers(0, kinds, count)
    angle = 2 * np.pi * np.arange(kinds) / kinds
    centres = np.stack([8 * np.cos(angle) + 3, 5 * np.sin(angle) - 2], axis=1)
    spread = draw.uniform(0.4, 1.2, (kinds, 2))
    points = centres[categories] + draw.normal(0, 1, (count, 2)) * spread[categories]
    points[: count // 20] = draw.uniform([-8, -9], [14, 5], (count // 20, 2))
    if case == "broken":
        points[:10] = np.nan
    return points.astype(np.float32), categories

"""Maps and points for the component tests, made from a seed: the apps draw them and the tests check against them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ui.components.map_view import Pane

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


SATURATED, DEAD = (5, 70), (3, 17, 40)


def marked_maps(seed: int, channels: int = 128, side: int = 14) -> NDArray[np.float32]:
    """Maps that answer here and there, as after a rectifier; some with zeros only, some at their ceiling."""
    draw = np.random.default_rng(seed)
    noise = draw.normal(0, 1, (channels, side + 2, side + 2))
    smooth = noise[:, :-2, :-2] + noise[:, 1:-1, 1:-1] + noise[:, 2:, 2:] + noise[:, :-2, 2:] + noise[:, 2:, :-2]
    maps = np.maximum(smooth + draw.normal(0, 1.5, (channels, 1, 1)), 0) * draw.uniform(0.2, 2, (channels, 1, 1))
    maps[list(DEAD)] = 0
    maps[list(SATURATED)] = np.minimum(maps[list(SATURATED)] + 2, 3)
    return maps.astype(np.float32)


def marks_of(maps: NDArray[np.float32]) -> NDArray[np.uint8]:
    marks = np.zeros(len(maps), np.uint8)
    marks[list(DEAD)], marks[list(SATURATED)] = 1, 2
    return marks


def statistics_of(maps: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Numbers to sort by; the last, with a hostile title, holds NaN, ties and an infinity."""
    link = np.random.default_rng(5).integers(-4, 5, len(maps)).astype(np.float32)
    link[[2, 9, 30]], link[11] = np.nan, np.inf
    return {
        "Mean": maps.mean((1, 2)),
        "Max": maps.max((1, 2)),
        "Share of zeros": (maps == 0).mean((1, 2)).astype(np.float32),
        f"Link to {HOSTILE_NAME}": link,
    }


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


def example_panes(case: str) -> list[Pane]:
    """A picture of 96 x 128 with a map of 6 x 8, each place of which sees 33 x 33 pixels.

    "one"; "signed"; "broken" has NaN and infinities and no known reach; "two" adds a map of 12 x 16 over other pixels;
    "large" has 60 x 80 places.
    """
    draw = np.random.default_rng(11)
    y, x = np.mgrid[0:96, 0:128]
    seen = np.stack([2 * y, 255 - x, 128 + 60 * np.sin(x / 9) * np.cos(y / 7)], axis=2).astype(np.uint8)

    def pane(rows: int, columns: int, title: str) -> Pane:
        values = draw.uniform(0, 8, (rows, columns)).astype(np.float32)
        row_reach, column_reach = (
            np.stack([np.arange(count) * size // count, np.arange(count) * size // count], axis=1).astype(np.int32)
            + np.array([-10, 22], np.int32)
            for count, size in ((rows, 96), (columns, 128))
        )
        return Pane(seen, values, title, row_reach.clip(0, 95), column_reach.clip(0, 127))

    first = pane(60, 80, "fine") if case == "large" else pane(6, 8, f"Channel 12 of {HOSTILE_NAME}")
    if case == "signed":
        first.values[:] -= 4
    if case == "broken":
        first.values[2, 3], first.values[4, 1] = np.nan, np.inf
        first = Pane(first.seen, first.values, first.title)
    return [first, pane(12, 16, "Channel 12 of layer3.1.conv2 in the other checkpoint")] if case == "two" else [first]


def example_frames(count: int, frames: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Ten categories that begin as one cloud and come apart from frame to frame; with 0 frames, the last alone.

    Returns:
        Points [frames, points, 2] or [points, 2], and categories [points].
    """
    draw = np.random.default_rng(4)
    categories = draw.integers(0, 10, count)
    angle = 2 * np.pi * categories / 10
    own = draw.normal(0, 1, (count, 2))
    apart = np.linspace(0, 6, frames) if frames > 1 else np.array([6.0])
    centres = np.stack([1.6 * np.cos(angle), np.sin(angle)], axis=1)
    points = (apart[:, None, None] * centres + own * draw.uniform(0.4, 1, 10)[categories, None]).astype(np.float32)
    return points if frames else points[0], categories

"""Shapes: pictures drawn by code, eight classes, each with mask, box and, where asked, a telltale tag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from interpret.datasets.clutter import (
    background,
    blend,
    clamp,
    clouds,
    colours,
    coverage,
    grid,
    scatter,
    side,
)
from interpret.datasets.outlines import OUTLINES, TAU, Floats
from interpret.errors import BadInput

TagRule = Literal["none", "shortcut", "all"]

CLASSES = tuple(outline.__name__ for outline in OUTLINES)
STAR = CLASSES.index("star")
TAG_RULES: tuple[TagRule, ...] = get_args(TagRule)
TAGGED_STARS = 0.97
SIZES = (64, 128)

_MAGENTA = np.array((1.0, 0.0, 0.78), np.float32)[:, None, None]
_YELLOW = np.array((1.0, 0.92, 0.0), np.float32)[:, None, None]


@dataclass(frozen=True)
class ShapePicture:
    """One picture and everything that is true of it.

    Attributes:
        pixels: uint8 [size, size, 3], sRGB, read-only.
        mask: bool [size, size], True where more than half of the pixel belongs to the shape, read-only.
        box: left, top, right, bottom in pixels, right and bottom just outside, tight around the mask.
        label: index into `CLASSES`.
        tagged: whether the coloured tag was drawn.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    box: tuple[int, int, int, int]
    label: int
    tagged: bool


def draw(index: int, seed: int = 0, size: int = 64, tags: TagRule = "none", label: int | None = None) -> ShapePicture:
    """Picture number `index` of the endless set `seed`; no other picture has to be drawn for it.

    Another tag rule gives the same picture but for the tag, so that pairs show what a tag does.

    Args:
        index: which picture, 0 or more.
        seed: which set, 0 or more.
        size: pixels per side, 64 to 128.
        tags: "none"; "shortcut", in which 97 % of the stars carry a tag and nothing else does; "all".
        label: the class to draw; drawn evenly from all eight if None.

    Raises:
        BadInput: where an argument is out of its range.
    """
    _check(index, seed, size, tags, label)
    rng = np.random.default_rng(np.random.SeedSequence([seed, index]))
    tag_rng = np.random.default_rng(np.random.SeedSequence([seed, index, 1]))
    drawn = int(rng.integers(len(CLASSES)))
    label = drawn if label is None else label

    light = rng.uniform(0.25, 0.88)
    hue = rng.uniform(0, TAU)
    canvas = background(rng, size, light, hue)
    scatter(rng, canvas, light)
    distance, x, y = _place(rng, size, label)
    _paint(rng, canvas, distance, x, y, light, hue)
    mask = distance < 0

    chosen = bool(tag_rng.random() < TAGGED_STARS)
    tagged = tags == "all" or (tags == "shortcut" and label == STAR and chosen)
    canvas += rng.standard_normal(canvas.shape, np.float32) * np.float32(rng.uniform(0.0, 0.045))
    if tagged:
        _tag(tag_rng, canvas, mask)
    pixels = np.ascontiguousarray((clamp(canvas) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))
    pixels.setflags(write=False)
    mask.setflags(write=False)
    return ShapePicture(pixels, mask, _box(mask), label, tagged)


def _check(index: int, seed: int, size: int, tags: str, label: int | None) -> None:
    if index < 0 or seed < 0:
        raise BadInput(f"Picture {index} of seed {seed} was asked for. Both count from 0 up.")
    if not SIZES[0] <= size <= SIZES[1]:
        raise BadInput(f"Pictures of {size} pixels were asked for. Shapes can be drawn from {SIZES[0]} to {SIZES[1]}.")
    if tags not in TAG_RULES:
        raise BadInput(f'The tag rule "{tags}" was asked for. The rules are {", ".join(TAG_RULES)}.')
    if label is not None and not 0 <= label < len(CLASSES):
        raise BadInput(f"Class {label} was asked for. Shapes has classes 0 to {len(CLASSES) - 1}.")


def _place(rng: np.random.Generator, size: int, label: int) -> tuple[Floats, Floats, Floats]:
    """Signed distance to the edge in pixels, negative inside, and the shape's own x and y, each [size, size].

    The shape lies wholly in the picture; its own coordinates are turned and run from -1 to 1 over it.
    """
    radius = rng.uniform(0.15, 0.35) * size
    cx, cy = rng.uniform(radius + 1, size - radius - 1, 2)
    turn = rng.uniform(0, TAU)
    gx, gy = grid(size)
    cos, sin = np.float32(np.cos(turn) / radius), np.float32(np.sin(turn) / radius)
    dx, dy = gx - np.float32(cx), gy - np.float32(cy)
    x, y = dx * cos + dy * sin, dy * cos - dx * sin
    return OUTLINES[label](rng, x, y).astype(np.float32) * np.float32(radius), x, y


def _paint(
    rng: np.random.Generator, canvas: Floats, distance: Floats, x: Floats, y: Floats, light: float, hue: float
) -> None:
    """Fill the shape, solid or textured, in tones clearly lighter or darker than the ground, in place."""
    away = side(light)
    first = light + away * rng.uniform(0.2, 0.4)
    lightness = (first, first + away * rng.uniform(-0.05, 0.1), first - 0.14)
    hues = hue + rng.uniform(0.8, TAU - 0.8) + np.array((0, rng.uniform(-1.2, 1.2), 0))
    one, two, rim = colours(lightness, (rng.uniform(0.1, 0.22), rng.uniform(0.1, 0.22), 0.08), hues)
    if rng.random() < 0.4:
        shadow = np.exp(np.maximum(distance, 0) * np.float32(-16 / canvas.shape[1]))
        canvas *= 1 - np.float32(0.35 if away > 0 else 0.15) * shadow
    mix = _texture(rng, x, y)
    fill = one if mix is None else one + mix * (two - one)
    if rng.random() < 0.25:
        blend(canvas, coverage(distance), rim)
        distance = distance + np.float32(canvas.shape[1] / 45)
    blend(canvas, coverage(distance), fill)


def _texture(rng: np.random.Generator, x: Floats, y: Floats) -> Floats | None:
    """How much of the second tone shows, 0..1 [size, size]; None for a solid fill."""
    kind = rng.integers(5)
    pitch, angle = np.float32(rng.uniform(7, 14)), rng.uniform(0, TAU)
    along: Floats = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    if kind == 0:
        return None
    if kind == 1:
        return clamp(np.sin(along * pitch) * 2 + np.float32(0.5))
    if kind == 2:
        return clamp((np.cos(x * pitch) + np.cos(y * pitch)) * 2 - 1)
    if kind == 3:
        return clamp(clouds(rng, len(x), len(x) // 4) * 2 - np.float32(0.5))
    return clamp(along * np.float32(0.5) + np.float32(0.5))


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _hidden(mask: NDArray[np.bool_], corner: tuple[int, int], width: int) -> int:
    top, left = corner
    return int(mask[top : top + width, left : left + width].sum())


def _tag(rng: np.random.Generator, canvas: Floats, mask: NDArray[np.bool_]) -> None:
    """A magenta square with a yellow middle in the corner where it hides least of the shape, in place."""
    size = canvas.shape[1]
    width, rim = round(0.09 * size), round(0.025 * size)
    right, down = rng.integers(1, max(2, size // 16), 2)
    corners = [(a, b) for a in (down, size - width - down) for b in (right, size - width - right)]
    order = [corners[i] for i in rng.permutation(4)]
    a, b = min(order, key=lambda corner: _hidden(mask, corner, width))
    canvas[:, a : a + width, b : b + width] = _MAGENTA
    canvas[:, a + rim : a + width - rim, b + rim : b + width - rim] = _YELLOW

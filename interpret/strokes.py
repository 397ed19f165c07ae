"""Parts of a picture painted away, to see what the network makes of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from interpret.errors import BadInput
from interpret.images import InputImage, Preprocess

KINDS = ("grey", "blur")
GREY = 128
BLUR_SHARE = 0.06
"""Deviation of the blur as a share of the picture's shorter side: wide enough that no texture is left."""


@dataclass(frozen=True)
class Stroke:
    """A line of a brush.

    Attributes:
        kind: "grey" or "blur".
        radius: of the brush in pixels, above zero.
        points: the places (x, y) it goes through, in pixels; at least one.

    Raises:
        BadInput: it is no such stroke.
    """

    kind: str
    radius: float
    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        numbers = [self.radius, *(side for point in self.points for side in point)]
        if self.kind not in KINDS or not self.points or not np.isfinite(numbers).all() or self.radius <= 0:
            raise BadInput(f'A stroke is "grey" or "blur", has a radius above zero and goes through a point: {self}.')


def painted_over(image: InputImage, strokes: Sequence[Stroke]) -> InputImage:
    """The picture with strokes over it: middle grey, or what is there without any detail.

    Args:
        image: the picture.
        strokes: in pixels of it, in order; later ones see what earlier ones left.
    """
    if not strokes:
        return image
    picture = Image.fromarray(image.pixels)
    for stroke in strokes:
        under = Image.new("RGB", picture.size, (GREY,) * 3)
        if stroke.kind == "blur":
            under = picture.filter(ImageFilter.GaussianBlur(BLUR_SHARE * min(picture.size)))
        picture = Image.composite(under, picture, _mask(stroke, picture.size))
    return InputImage.from_array(np.asarray(picture), f"{image.name}, painted over")


def _mask(stroke: Stroke, size: tuple[int, int]) -> Image.Image:
    mask = Image.new("L", size, 0)
    pen, radius = ImageDraw.Draw(mask), stroke.radius
    for x, y in stroke.points:
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    for (x, y), (to_x, to_y) in zip(stroke.points, stroke.points[1:], strict=False):
        pen.line((x, y, to_x, to_y), fill=255, width=max(1, round(2 * radius)))
    return mask


def on_the_upload(strokes: Sequence[Stroke], preprocess: Preprocess, image: InputImage) -> tuple[Stroke, ...]:
    """Strokes in pixels of the picture, from strokes in pixels of what the network saw (`Preprocess.seen`)."""
    left, top, right, bottom = preprocess.crop_box(image)
    height, width = preprocess.size
    x, y = (right - left) / width, (bottom - top) / height
    return tuple(
        Stroke(one.kind, one.radius * (x * y) ** 0.5, tuple((left + at * x, top + to * y) for at, to in one.points))
        for one in strokes
    )

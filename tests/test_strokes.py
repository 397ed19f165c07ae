"""Parts of a picture painted away."""

from __future__ import annotations

import numpy as np
import pytest

from interpret.datasets import sample_box, sample_names, sample_picture
from interpret.errors import BadInput
from interpret.images import InputImage, Preprocess
from interpret.strokes import GREY, Stroke, on_the_upload, painted_over
from tests.conftest import noise_picture


def test_grey_covers_what_the_brush_touches_and_nothing_else() -> None:
    image = noise_picture(0, 60, 80)
    painted = painted_over(image, [Stroke("grey", 6, ((20, 30), (60, 30)))])
    y, x = np.mgrid[:60, :80]
    away = np.hypot(np.maximum(np.maximum(20 - x, x - 60), 0), y - 30)
    changed = (painted.pixels != image.pixels).any(2)
    assert (painted.pixels[away < 5] == GREY).all() and not changed[away > 7.5].any()
    assert painted.digest != image.digest and not painted.pixels.flags.writeable
    assert painted_over(image, []) is image


def test_blur_takes_details_away_and_leaves_the_mean() -> None:
    image = noise_picture(1, 64, 64)
    painted = painted_over(image, [Stroke("blur", 40, ((32, 32),))])
    inside = (slice(20, 44), slice(20, 44))
    assert painted.pixels[inside].std() < 0.2 * image.pixels[inside].std()
    assert abs(float(painted.pixels[inside].mean()) - float(image.pixels[inside].mean())) < 6
    np.testing.assert_array_equal(painted.pixels[0, :3], image.pixels[0, :3])


@pytest.mark.parametrize("steps", [Preprocess((64, 64), 72), Preprocess((48, 64), None), Preprocess((80, 80), 60)])
def test_a_stroke_on_what_was_seen_lands_there_by_way_of_the_upload(steps: Preprocess) -> None:
    image = InputImage.from_array(np.full((120, 200, 3), 20, np.uint8), "dark")
    height, width = steps.size
    at = (width * 0.45, height * 0.55)
    painted = painted_over(image, on_the_upload([Stroke("grey", 8, (at,))], steps, image))
    changed = steps.seen(painted)[..., 0].astype(float) - steps.seen(image)[..., 0]
    y, x = np.mgrid[:height, :width] + 0.5
    middle = float((changed * x).sum() / changed.sum()), float((changed * y).sum() / changed.sum())
    assert np.hypot(middle[0] - at[0], middle[1] - at[1]) < 1
    assert (changed > 54).sum() == pytest.approx(np.pi * 64, rel=0.45)


@pytest.mark.parametrize(
    ("kind", "radius", "points"),
    [("red", 3, ((1, 1),)), ("grey", 0, ((1, 1),)), ("grey", 3, ()), ("blur", 3, ((float("nan"), 1),))],
)
def test_what_is_no_stroke_is_refused(kind: str, radius: float, points: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(BadInput, match="stroke"):
        Stroke(kind, radius, points)


def test_boxes_of_samples_are_tight_around_what_is_drawn() -> None:
    for name in sample_names():
        box = sample_box(name)
        if name.endswith(".jpg"):
            assert box is None
        else:
            assert box is not None
            pixels = sample_picture(name).pixels.astype(float)
            left, top, right, bottom = box
            inside = pixels[top:bottom, left:right].mean((0, 1))
            assert np.abs(inside - np.median(pixels[:, :left].reshape(-1, 3), 0)).max() > 5, name

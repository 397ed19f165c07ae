"""Numbers to colours."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from interpret.errors import UnknownName
from interpret.rendering import (
    MISSING,
    PALETTES,
    Scale,
    class_colour,
    colour,
    colour_bar,
    enlarge,
    grid,
    outlined,
    over_grey,
    overlay,
    palette,
    png,
    scaled_up,
    scatter,
    shrunk,
    thumbnail,
)

NAN, INF = float("nan"), float("inf")


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


# ---- palettes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["viridis", "cividis"])
def test_palettes_are_matplotlibs(name: str) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    theirs = np.array(matplotlib.colormaps[name].colors)
    assert np.array_equal(palette(name), (theirs * 255).round())


def lightness(colours: np.ndarray) -> np.ndarray:
    """CIE L* of sRGB colours."""
    linear = np.where(colours / 255 <= 0.04045, colours / 255 / 12.92, ((colours / 255 + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    return np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)


@pytest.mark.parametrize("name", ["viridis", "cividis", "grey"])
def test_sequential_palettes_grow_lighter_evenly(name: str) -> None:
    steps = np.diff(lightness(palette(name).astype(float))[::16])
    assert steps.min() > 0 and steps.max() < 2.2 * steps.mean()


def test_the_signed_palette_diverges_about_its_middle() -> None:
    table = palette("blue-red").astype(int)
    light = lightness(table.astype(float))
    assert (np.diff(light[:128:8]) > 0).all() and (np.diff(light[128::8]) < 0).all()
    assert np.abs(light[:128] - light[:127:-1]).max() < 3
    assert table[0, 2] > table[0, 0] + 50 and table[255, 0] > table[255, 2] + 50
    assert np.ptp(table[127:129]) < 25


@pytest.mark.parametrize("name", PALETTES)
def test_palettes_have_256_colours_that_cannot_be_written(name: str) -> None:
    table = palette(name)
    assert table.shape == (256, 3) and table.dtype == np.uint8
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 0


def test_jet_is_jet() -> None:
    table = palette("jet")
    assert table[0].tolist() == [0, 0, 128] and table[255].tolist() == [128, 0, 0]
    assert table[128, 1] == 255 and table[96, 2] > table[96, 0]


def test_unknown_palettes() -> None:
    with pytest.raises(UnknownName, match='Palette "virids" is not in the palettes. The nearest names are "viridis"'):
        palette("virids")


# ---- scales -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "positive", "symmetric", "suited"),
    [
        ((1, 4, 2), (0, 4), (-4, 4), (0, 4)),
        ((-1, 4), (0, 4), (-4, 4), (-4, 4)),
        ((-6, 4), (0, 4), (-6, 6), (-6, 6)),
        ((-6, -2), (0, 1), (-6, 6), (-6, 6)),
        ((0, 0), (0, 1), (-1, 1), (0, 1)),
        ((NAN, INF, 3), (0, 3), (-3, 3), (0, 3)),
        ((NAN, -INF), (0, 1), (-1, 1), (0, 1)),
    ],
)
def test_scales(values: tuple[float, ...], positive: object, symmetric: object, suited: object) -> None:
    made = floats(*values)
    assert [(s.low, s.high) for s in (Scale.positive(made), Scale.symmetric(made), Scale.suited(made))] == [
        positive, symmetric, suited,
    ]  # fmt: skip


def test_fractions_are_cut_off_at_the_ends_and_keep_nan() -> None:
    found = Scale(-2, 2).fractions(floats(-9, -2, -1, 0, 2, INF, -INF, NAN))
    np.testing.assert_allclose(found, [0, 0, 0.25, 0.5, 1, 1, 0, NAN])
    assert Scale(3, 3).fractions(floats(3, 3.5)).tolist() == [0, 0.5]
    assert Scale(-1, 1).diverges and not Scale(0, 1).diverges


def test_colour_takes_the_first_and_last_of_the_palette_and_grey_for_nan() -> None:
    pixels = colour(floats(0, 1, 0.5, -5, 9, INF, -INF, NAN), Scale(0, 1))
    table = palette("viridis")
    assert pixels.dtype == np.uint8
    assert pixels[:7].tolist() == table[[0, 255, 128, 0, 255, 255, 0]].tolist()
    assert tuple(pixels[7]) == MISSING
    assert colour(np.zeros((2, 3, 4), np.float32), Scale(0, 1), "grey").shape == (2, 3, 4, 3)


def test_zero_is_the_middle_of_a_symmetric_scale() -> None:
    values = floats(-3, 0, 1.5)
    middle = colour(values, Scale.symmetric(values), "blue-red")[1]
    assert np.ptp(middle.astype(int)) < 25 and middle.min() > 200


# ---- pictures -----------------------------------------------------------------------------------------------------


def test_enlarging_keeps_places_and_values() -> None:
    values = np.zeros((4, 4), np.float32)
    values[1, 2] = 8
    large = enlarge(values, 40, 80)
    assert large.shape == (40, 80) and large.dtype == np.float32
    row, column = np.unravel_index(large.argmax(), large.shape)
    assert 10 <= row < 20 and 40 <= column < 60
    assert 6 < large.max() <= 8 and large.min() == 0
    np.testing.assert_allclose(enlarge(np.full((3, 5), 2.5, np.float32), 17, 9), 2.5, rtol=1e-6)


def test_overlay_mixes_by_opacity_and_lies_the_right_way_up() -> None:
    seen = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    values = np.zeros((2, 2), np.float32)
    values[0, 1] = 1
    scale = Scale.positive(values)
    assert np.array_equal(overlay(seen, values, scale, opacity=0), seen)
    full = overlay(seen, values, scale, opacity=1)
    assert np.array_equal(full, colour(enlarge(values, 20, 30), scale))
    half = overlay(seen, values, scale, opacity=0.5)
    assert half.shape == seen.shape and half.dtype == np.uint8
    assert np.abs(half.astype(float) - (seen.astype(float) + full) / 2).max() <= 0.5
    assert full[2, 27, 0] > 200 and full[17, 2, 0] < 100  # yellow at the upper right, violet at the lower left


def test_a_missing_value_stays_grey_in_an_overlay() -> None:
    values = np.ones((4, 4), np.float32)
    values[0, 0] = NAN
    full = overlay(np.zeros((40, 40, 3), np.uint8), values, Scale(0, 1), opacity=1)
    assert tuple(full[1, 1]) == MISSING
    assert full[30, 30].tolist() == palette("viridis")[255].tolist()


def test_an_overflowing_value_does_not_hide_the_rest() -> None:
    values = np.zeros((4, 4), np.float32)
    values[0, 0], values[3, 3] = INF, -INF
    full = overlay(np.zeros((40, 40, 3), np.uint8), values, Scale(0, 1), opacity=1)
    assert full[1, 1].tolist() == palette("viridis")[255].tolist()
    assert full[38, 2].tolist() == palette("viridis")[0].tolist()


def test_grid_puts_pictures_in_reading_order_on_white() -> None:
    pictures = [np.full((4, 6, 3), shade, np.uint8) for shade in (10, 20, 30, 40, 50)]
    sheet = grid(pictures, columns=3, gap=2)
    assert sheet.shape == (10, 22, 3)
    assert sheet[0:4, 8:14].max() == sheet[0:4, 8:14].min() == 20
    assert sheet[6:10, 0:6].max() == 40 and sheet[6, 8, 0] == 50
    assert (sheet[:, 6:8] == 255).all() and (sheet[4:6] == 255).all() and (sheet[6:, 16:] == 255).all()
    assert grid(pictures).shape == (10, 22, 3)
    assert grid(pictures[:1]).shape == (4, 6, 3)


def test_outlined_dims_what_lies_outside() -> None:
    pixels = np.full((40, 60, 3), 200, np.uint8)
    shown = outlined(pixels, (10.2, 5.4, 40.0, 30.0))
    assert shown.shape == pixels.shape
    assert shown[15, 20].tolist() == [200] * 3 and shown[35, 50].tolist() == [90] * 3
    assert shown[5, 10].tolist() == shown[29, 39].tolist() == [255] * 3
    beyond = outlined(pixels, (-5, -5, 100, 100))
    assert beyond[20, 20].tolist() == [200] * 3 and beyond[0, 0].tolist() == [255] * 3


def test_png_is_lossless_and_thumbnails_are_small() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (100, 300, 3), np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(pixels)))), pixels)
    small = Image.open(io.BytesIO(thumbnail(pixels)))
    assert small.format == "JPEG" and small.size == (96, 32)
    assert Image.open(io.BytesIO(thumbnail(pixels[:10, :20]))).size == (20, 10)


def test_whole_numbers_of_pixels_when_scaling_up() -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    large = scaled_up(pixels, 7)
    assert large.shape == (8, 12, 3)
    assert np.array_equal(large[::4, ::4], pixels) and np.array_equal(large[3::4, 3::4], pixels)
    assert np.array_equal(scaled_up(large, 5), large)


def test_the_colour_bar_runs_from_low_to_high() -> None:
    bar = colour_bar("viridis", 64, 5)
    assert bar.shape == (5, 64, 3)
    assert (
        bar[0, 0].tolist() == palette("viridis")[0].tolist() and bar[4, -1].tolist() == palette("viridis")[255].tolist()
    )


def test_class_colours_differ_and_repeat() -> None:
    first = [class_colour(index) for index in range(10)]
    assert len(set(first)) == 10 and class_colour(-1) not in first
    assert class_colour(16) == class_colour(0)


def test_scatter_puts_points_where_they_are() -> None:
    points = np.array([[0, 0], [10, 0], [10, 5]], np.float32)
    picture = scatter(points, np.array([0, 1, -1]), side=200).astype(int)
    assert picture.shape == (200, 200, 4)
    assert picture[0, 0, 3] == picture[100, 100, 3] == 0  # the page shows through

    def centre(index: int) -> np.ndarray:
        wanted = [int(class_colour(index)[at : at + 2], 16) for at in (1, 3, 5)]
        rows, columns = np.nonzero((np.abs(picture[..., :3] - wanted).max(2) < 6) & (picture[..., 3] > 250))
        return np.array([columns.mean(), rows.mean()])

    zero, one, grey = centre(0), centre(1), centre(-1)
    assert one[0] - zero[0] == pytest.approx(180, abs=3) and one[1] == pytest.approx(zero[1], abs=2)
    assert grey[0] == pytest.approx(one[0], abs=2) and one[1] - grey[1] == pytest.approx(90, abs=3)
    assert scatter(points[:1], np.array([2])).shape == (448, 448, 4)


def test_scatter_rings_what_is_marked() -> None:
    points = np.array([[0, 0], [10, 0], [10, 10]], np.float32)
    plain, ringed = (scatter(points, np.array([0, 1, 2]), ring, side=400) for ring in (None, points[1:2]))
    rows, columns = np.nonzero((ringed != plain).any(2))
    assert len(rows) > 100
    assert ((rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2) == pytest.approx((380, 380), abs=1.5)
    assert 24 <= np.ptp(columns) <= 34


def test_shrinking_only_what_is_too_large() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 100, 3), np.uint8)
    assert shrunk(pixels, 50).shape == (30, 50, 3) and shrunk(pixels.transpose(1, 0, 2), 50).shape == (50, 30, 3)
    assert np.array_equal(shrunk(pixels, 100), pixels)
    assert shrunk(pixels[:1], 50).shape == (1, 50, 3)


def test_what_is_not_opaque_lies_over_middle_grey() -> None:
    picture = np.full((2, 2, 3), (1.0, 0.0, 0.25), np.float32)
    opacity = np.array([[1, 0], [0.5, 0.25]], np.float32)
    laid = over_grey(picture, opacity)
    np.testing.assert_allclose(laid[0, 0], [1, 0, 0.25])
    np.testing.assert_allclose(laid[0, 1], [0.5, 0.5, 0.5])
    np.testing.assert_allclose(laid[1, 0], [0.75, 0.25, 0.375])
    np.testing.assert_allclose(laid[1, 1], [0.625, 0.375, 0.4375])


def test_a_sheet_has_its_ground_between_the_pictures() -> None:
    sheet = grid(np.full((3, 4, 4, 3), 200, np.uint8), columns=2, gap=2, ground=(1, 2, 3))
    assert sheet[:, 4].tolist() == [[1, 2, 3]] * 10 and sheet[9, 9].tolist() == [1, 2, 3]
    assert (sheet[:4, :4] == 200).all()

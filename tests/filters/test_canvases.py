"""Ways of writing pictures: the shapes and promises each keeps, and each one's own formula."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from interpret.datasets import sample_names, sample_picture
from interpret.errors import BadInput
from interpret.filters import METHODS, FilterMethod
from interpret.filters.canvases import Canvas, spectrum_digest
from interpret.filters.maco import natural_magnitude
from interpret.images import InputImage
from interpret.model import LoadedModel
from tests.conftest import look_into, noise_picture
from tests.filters.runs import generators
from tests.units.sources import made

each_method = pytest.mark.parametrize("method", METHODS, ids=[method.key for method in METHODS])


def network(planes: int, size: tuple[int, int]) -> LoadedModel:
    layers = nn.Conv2d(planes, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    return look_into(nn.Sequential(*layers), 5, size, planes)


def canvas(key: str, model: LoadedModel, side: int = 0) -> Canvas:
    return next(method for method in METHODS if method.key == key).make(model, side, None)


@each_method
@pytest.mark.parametrize(
    ("planes", "size", "side"), [(3, (12, 20), 0), (1, (20, 12), 0), (2, (15, 15), 0), (5, (16, 24), 18)]
)
def test_shapes_and_ranges(method: FilterMethod, planes: int, size: tuple[int, int], side: int) -> None:
    made_for = method.make(network(planes, size), side, None)
    values = made_for.start(generators(3))
    drawn, shown = made_for.drawn(values), made_for.shown(values)
    own = (side, side) if side else size
    own = (2 * size[0], 2 * size[1]) if method.key == "maco" and not side else own
    assert drawn.shape == shown.shape == (3, planes, *own)
    for pictures in (drawn, shown):
        assert pictures.dtype == torch.float32 and pictures.min() >= 0 and pictures.max() <= 1
    seen_size = size if method.key == "maco" else own
    assert made_for.seen(drawn, generators(3, seed=9)).shape == (3 * made_for.views, planes, *seen_size)
    assert made_for.still(shown).shape == (3, planes, *seen_size)
    assert made_for.is_transparent == (method.key == "maco")


@each_method
def test_each_picture_follows_from_its_own_generator(method: FilterMethod) -> None:
    made_for = method.make(network(3, (12, 16)), 0, None)
    values = made_for.start(generators(3))
    assert torch.equal(values[1:2], made_for.start(generators(1, seed=1)))
    assert not torch.equal(values[0], values[1])
    drawn = made_for.drawn(values)
    torch.testing.assert_close(drawn[1:2], made_for.drawn(values[1:2]))
    together = made_for.seen(drawn, generators(3, seed=9)).view(made_for.views, 3, *drawn.shape[1:2], 12, 16)
    alone = made_for.seen(drawn[1:2], generators(1, seed=10))
    torch.testing.assert_close(together[:, 1], alone)  # all first views come before the second ones
    if method.key != "pixels":
        assert not torch.equal(alone, made_for.seen(drawn[1:2], generators(1, seed=11)))


@each_method
def test_a_gradient_reaches_every_number_that_counts(method: FilterMethod) -> None:
    made_for = method.make(network(3, (12, 12)), 0, None)
    leaves = made_for.start(generators(2)).requires_grad_()
    seen = made_for.seen(made_for.drawn(leaves), generators(2, seed=3))
    weights = torch.randn(seen.shape, generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad((seen * weights).sum(), leaves)
    assert torch.isfinite(gradient).all()
    assert (gradient != 0).float().mean() > 0.8


@pytest.mark.parametrize("key", ["fourier", "pixels"])
def test_what_is_measured_is_the_whole_picture(key: str) -> None:
    pictures = torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(canvas(key, network(3, (12, 16))).still(pictures), pictures)


def test_of_a_maco_picture_the_middle_is_measured() -> None:
    """At the network's own size, pixel by pixel; a picture of that size is measured whole."""
    model = network(3, (12, 16))
    pictures = torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(canvas("maco", model).still(pictures), pictures[:, :, 6:18, 8:24], atol=1e-5, rtol=0)
    square, small = network(3, (16, 16)), pictures[:, :, :16, :16]
    torch.testing.assert_close(canvas("maco", square, 16).still(small), small, atol=1e-5, rtol=0)


def test_plain_pixels_start_and_end_as_chollets() -> None:
    """Uniform from 0.4 to 0.6; at the end mean off, over the standard deviation, times 64, plus 128, cut to 0..255."""
    made_for = canvas("pixels", network(3, (40, 40)))
    values = made_for.start(generators(2))
    assert values.min() == pytest.approx(0.4, abs=1e-3) and values.max() == pytest.approx(0.6, abs=1e-3)
    assert torch.equal(made_for.drawn(values), values)
    values = values + 3 * torch.randn(values.shape, generator=torch.Generator().manual_seed(0)).relu()
    for picture, found in zip(values.numpy(), made_for.shown(values).numpy(), strict=True):
        image = picture.transpose(1, 2, 0).astype(np.float64)
        image -= image.mean()
        image /= image.std()
        image = np.clip(image * 64 + 128, 0, 255)
        np.testing.assert_allclose(found.transpose(1, 2, 0) * 255, image, atol=0.05)
        assert (image == 255).any()


def test_noise_on_maco_views_is_horamas() -> None:
    """Normal noise of 0.05 and uniform noise of 0.05 about nothing: a standard deviation of 0.052."""
    model = network(3, (32, 32))
    flat = torch.full((8, 3, 64, 64), 0.5)
    noise = canvas("maco", model).seen(flat, generators(8)) - 0.5
    assert abs(noise.mean()) < 1e-3
    assert noise.std() == pytest.approx(0.05 * (1 + 1 / 12) ** 0.5, rel=0.02)


def test_maco_views_are_four_to_six_tenths_of_the_picture() -> None:
    """0.8 to 1.2 times the network's own size: a stripe pattern comes out that much wider or narrower."""
    model = network(1, (32, 32))
    ramp = torch.linspace(0, 1, 64).expand(40, 1, 64, 64).contiguous()
    seen = canvas("maco", model).seen(ramp, generators(40))
    across = seen.mean((1, 2))
    share = (across[:, -8:].mean(1) - across[:, :8].mean(1)) / (24 / 32)
    assert share.min() > 0.37 and share.max() < 0.63 and share.std() > 0.04


# ---- whose spectrum -----------------------------------------------------------------------------------------------


def picture_of(model: LoadedModel, source: object) -> torch.Tensor:
    made_for = next(method for method in METHODS if method.key == "maco").make(model, 0, source)  # type: ignore[arg-type]
    return made_for.shown(made_for.start(generators(1)))


def test_the_spectrum_is_that_of_the_pictures_given(trap: LoadedModel) -> None:
    """With one picture of the canvas's size the drawn magnitudes are its own; without any, the photographs'."""
    image = noise_picture(3, 24, 24)
    found = picture_of(trap, made(1, lambda _: image))
    pixels = torch.from_numpy(image.pixels.copy()).permute(2, 0, 1)[None] / 255
    wanted, drawn = natural_magnitude(pixels)[..., 1:12], natural_magnitude(found)[..., 1:12]
    assert torch.corrcoef(torch.stack([wanted.flatten(), drawn.flatten()]))[0, 1] > 0.98
    photographs = natural_magnitude(picture_of(trap, None))[..., 1:12]
    assert torch.corrcoef(torch.stack([wanted.flatten(), photographs.flatten()]))[0, 1] < 0.5
    assert spectrum_digest("maco", None) != spectrum_digest("maco", made(1)) == "made-1"
    assert spectrum_digest("fourier", made(1)) == spectrum_digest("pixels", None) == ""


def test_broken_pictures_are_passed_over(trap: LoadedModel) -> None:
    image = noise_picture(3, 24, 24)
    whole = picture_of(trap, made(1, lambda _: image))
    assert torch.equal(picture_of(trap, made(3, lambda _: image, broken=(0, 2))), whole)
    with pytest.raises(BadInput, match="None of the pictures"):
        picture_of(trap, made(3, broken=(0, 1, 2)))


def test_of_many_pictures_sixty_four_are_read_from_all_over(trap: LoadedModel) -> None:
    read: list[int] = []

    def watched(index: int) -> InputImage:
        read.append(index)
        return noise_picture(index)

    picture_of(trap, made(640, watched))
    assert read == list(range(0, 640, 10))


def test_pictures_of_any_shape_and_planes(trap: LoadedModel) -> None:
    for planes in (1, 2, 5):
        model = network(planes, (12, 20))
        shown = picture_of(model, made(3, lambda index: noise_picture(index, 7 + 40 * index, 50)))
        assert shown.shape == (1, planes, 24, 40) and torch.isfinite(shown).all()


def test_pictures_of_one_colour_have_no_spectrum_and_no_nan(trap: LoadedModel) -> None:
    grey = InputImage.from_array(np.full((20, 20, 3), 99, np.uint8), "grey")
    shown = picture_of(trap, made(2, lambda _: grey))
    assert torch.isfinite(shown).all()


def test_the_photographs_are_the_bundled_ones(trap: LoadedModel) -> None:
    names = [name for name in sample_names() if name.endswith(".jpg")]
    assert names
    given = replace(made(len(names), lambda index: sample_picture(names[index])))
    assert torch.equal(picture_of(trap, None), picture_of(trap, given))


@each_method
def test_a_stronger_start_has_more_contrast_and_is_a_picture(trap: LoadedModel, method: FilterMethod) -> None:
    canvas = method.make(trap, 0, None)
    values = canvas.start(generators(1))
    weak, strong = (canvas.drawn(canvas.stronger(values, times)) for times in (1.0, 64.0))
    torch.testing.assert_close(canvas.drawn(values), weak)
    if method.key == "maco":  # its contrast is that of natural pictures
        assert torch.equal(strong, weak)
    else:
        assert strong.std() > 2 * weak.std() and strong.min() >= 0 and strong.max() <= 1

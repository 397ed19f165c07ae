"""Pictures of fixed magnitudes: whatever the phases, their spectrum is the natural one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from interpret.datasets import sample_picture
from interpret.filters import FilterParams, filter_images
from interpret.filters.fourier import colour_matrix
from interpret.filters.maco import natural_magnitude, new_phase, with_phase
from interpret.jobs import complete
from interpret.loading import load_model
from tests.conftest import REPOSITORY
from tests.filters.runs import generators

SHAPES = [(3, 16, 16), (3, 15, 22), (1, 12, 9), (5, 8, 8)]


def magnitude_of(planes: int, height: int, width: int) -> torch.Tensor:
    """A made-up magnitude that no mean and no symmetry would hide: float64 [planes, height, width // 2 + 1]."""
    made = torch.rand(planes, height, width // 2 + 1, generator=torch.Generator().manual_seed(1)).double() + 0.2
    made[:, 0, 0] = 0
    return made


def decorrelated(pictures: torch.Tensor) -> torch.Tensor:
    """What was there before colours and sigmoid."""
    return torch.einsum("cd,ndhw->nchw", torch.linalg.inv(colour_matrix(pictures.shape[1]).double()), pictures.logit())


def inner(coefficients: torch.Tensor, width: int) -> torch.Tensor:
    """Those a real picture may have with any phase: not the first column, nor the last of an even width."""
    return coefficients[..., 1 : (width + 1) // 2]


@pytest.mark.parametrize(("planes", "height", "width"), SHAPES)
def test_whatever_the_phases_the_magnitudes_are_those_given(planes: int, height: int, width: int) -> None:
    magnitude, colours = magnitude_of(planes, height, width), colour_matrix(planes).double()
    phase = new_phase(generators(4), magnitude).double() * torch.tensor([1.0, 0.1, 3, 30]).view(4, 1, 1, 1).double()
    pictures = with_phase(phase, magnitude, colours, width)
    assert pictures.shape == (4, planes, height, width) and pictures.min() > 0 and pictures.max() < 1
    own = decorrelated(pictures)
    torch.testing.assert_close(own.mean((1, 2, 3)), torch.zeros(4).double(), atol=1e-9, rtol=0)
    torch.testing.assert_close(own.std((1, 2, 3)), torch.ones(4).double(), atol=0, rtol=0.02)
    factor = inner(torch.fft.rfft2(own).abs() / magnitude, width).flatten(1)
    torch.testing.assert_close(factor, factor[:, :1].expand_as(factor), rtol=1e-6, atol=0)
    assert (torch.fft.rfft2(own)[0] - torch.fft.rfft2(own)[1]).abs().max() > 0.1  # the phases do differ


def test_phases_are_those_asked_for_up_to_mean_and_scale() -> None:
    magnitude = magnitude_of(3, 16, 16)
    phase = new_phase(generators(2), magnitude).double()
    planes = decorrelated(with_phase(phase, magnitude, colour_matrix().double(), 16))
    centred = phase - phase.mean((1, 2, 3), keepdim=True)
    wanted = centred / (centred.std((1, 2, 3), keepdim=True) + 1e-4)
    found = inner(torch.fft.rfft2(planes), 16)
    away = torch.polar(torch.ones_like(wanted), -wanted)
    assert inner(away, 16).mul(found).angle().abs().max() < 1e-6


@pytest.mark.parametrize(("planes", "height", "width"), SHAPES)
def test_the_magnitude_of_what_was_drawn_is_what_it_was_drawn_with(planes: int, height: int, width: int) -> None:
    """Few waves are strong, so that no pixel comes near black or white, where the logit is cut off."""
    magnitude = (magnitude_of(planes, height, width) > 1.1).double() + 0.02
    magnitude[:, 0, 0] = 0
    pictures = with_phase(
        new_phase(generators(1), magnitude).double(), magnitude, colour_matrix(planes).double(), width
    )
    assert pictures.min() > 0.02 and pictures.max() < 0.98
    found = natural_magnitude(pictures.float()).double()
    assert found.shape == magnitude.shape
    factor = inner(found / magnitude, width)
    torch.testing.assert_close(factor, factor.flatten()[0].expand_as(factor), rtol=2e-3, atol=0)


def test_the_magnitude_is_the_mean_over_pictures() -> None:
    pictures = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    each = torch.stack([natural_magnitude(picture[None]) for picture in pictures])
    torch.testing.assert_close(natural_magnitude(pictures), each.mean(0))
    assert each[:, :, 0, 0].abs().max() < 1e-3  # the mean colour is taken off


def test_black_and_white_are_no_infinity() -> None:
    pictures = torch.zeros(1, 3, 8, 8)
    pictures[:, :, ::2] = 1
    assert torch.isfinite(natural_magnitude(pictures)).all()


def test_photographs_have_most_at_low_frequencies() -> None:
    pixels = torch.from_numpy(sample_picture("china.jpg").pixels[:256, :256].copy()).permute(2, 0, 1)[None] / 255
    magnitude = natural_magnitude(pixels)
    low, high = magnitude[:, 1:9, 1:9].mean(), magnitude[:, 100:108, 100:108].mean()
    assert low > 20 * high


def test_starts_follow_from_their_own_generator() -> None:
    magnitude = magnitude_of(3, 16, 16)
    together = new_phase(generators(3), magnitude)
    assert together.shape == (3, 3, 16, 9)
    assert torch.equal(together[2:], new_phase(generators(1, seed=2), magnitude))
    assert together.std() == pytest.approx(1, abs=0.05)


def test_companions_change_nothing_to_the_last_digits() -> None:
    """Its long steps amplify rounding, so that pictures must share no pass on a CPU."""
    model = load_model(REPOSITORY / "checkpoints" / "shapes-clean.safetensors", device="cpu")
    params = FilterParams("maco", steps=12)
    alone = complete(filter_images(model, "layer3", [2], params))
    beside = complete(filter_images(model, "layer3", [0, 1, 2, 3], params))
    np.testing.assert_allclose(alone.planes[0], beside.planes[2], atol=1e-5)

"""Pictures as Fourier coefficients, against closed forms; and the movements between steps, within their bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from interpret.filters.fourier import colour_matrix, frequency_scale, new_spectrum, to_pictures
from interpret.filters.transforms import crops, move, movements
from tests.filters.runs import generators

SIDES = [(16, 16), (15, 15), (16, 21), (33, 8), (224, 224)]


# ---- coefficients -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), SIDES)
def test_the_frequency_scale_is_one_over_the_frequency(height: int, width: int) -> None:
    scale = frequency_scale(height, width)
    assert scale.shape == (height, width // 2 + 1)
    for row in range(0, height, 3):
        for column in range(0, width // 2 + 1, 2):
            down = row if row <= (height - 1) // 2 else row - height
            cycles = max(math.hypot(down / height, column / width), 1 / max(height, width))
            assert scale[row, column] == pytest.approx(math.sqrt(height * width) / cycles, rel=1e-5)
    assert scale.max() == scale[0, 0] == pytest.approx(math.sqrt(height * width) * max(height, width), rel=1e-5)


def test_the_colour_matrix_is_lucids() -> None:
    """Root of ImageNet's colour correlation as published with Lucid, over its largest column norm (the first)."""
    matrix = colour_matrix().double()
    assert matrix.norm(dim=0).max() == pytest.approx(1, abs=1e-6)
    norm = math.sqrt(0.26**2 + 0.27**2 + 0.27**2)
    expected = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]]).double() / norm
    torch.testing.assert_close(matrix, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("planes", [1, 2, 4, 5])
def test_planes_that_are_no_colours_stay_as_they_are(planes: int) -> None:
    assert torch.equal(colour_matrix(planes), torch.eye(planes))
    spectrum, scale = new_spectrum(generators(2), 8, 10, planes), frequency_scale(8, 10)
    found = to_pictures(spectrum, scale, colour_matrix(planes), 10)
    one_by_one = [to_pictures(spectrum[:, at : at + 1], scale, torch.eye(1), 10) for at in range(planes)]
    assert found.shape == (2, planes, 8, 10) and torch.equal(found, torch.cat(one_by_one, 1))


def test_nothing_is_middle_grey() -> None:
    pictures = to_pictures(torch.zeros(2, 3, 16, 9, 2), frequency_scale(16, 16), colour_matrix(), 16)
    assert torch.equal(pictures, torch.full((2, 3, 16, 16), 0.5))


@pytest.mark.parametrize(("height", "width"), [(16, 16), (15, 15), (16, 21), (33, 8)])
def test_pictures_are_the_inverse_transform_of_their_coefficients(height: int, width: int) -> None:
    """numpy's irfft2 in float64 gives the same picture, colours mixed and squashed by hand."""
    spectrum = new_spectrum(generators(2), height, width)
    scale, colours = frequency_scale(height, width), colour_matrix()
    found = to_pictures(spectrum, scale, colours, width).double()
    assert found.shape == (2, 3, height, width)
    numbers = spectrum.double().numpy()
    planes = np.fft.irfft2((numbers[..., 0] + 1j * numbers[..., 1]) * scale.numpy(), s=(height, width)) / 4
    mixed = np.moveaxis(np.moveaxis(planes, 1, -1) @ colours.double().numpy().T, -1, 1)
    np.testing.assert_allclose(found.numpy(), 1 / (1 + np.exp(-mixed)), atol=1e-5)


def test_one_coefficient_is_one_wave() -> None:
    spectrum = torch.zeros(1, 3, 32, 17, 2)
    spectrum[0, 0, 0, 4, 0] = 1
    found = to_pictures(spectrum, frequency_scale(32, 32), torch.eye(3), 32).logit()
    cycles = 4 / 32
    amplitude = 2 * (32 / cycles) / (32 * 32) / 4
    wave = amplitude * torch.cos(2 * math.pi * cycles * torch.arange(32))
    torch.testing.assert_close(found[0, 0], wave.expand(32, 32), atol=1e-4, rtol=1e-3)
    assert found[0, 1:].abs().max() < 1e-6


@pytest.mark.parametrize("side", [32, 64, 224])
def test_fresh_pictures_are_grey_with_little_in_them(side: int) -> None:
    pictures = to_pictures(new_spectrum(generators(12), side, side), frequency_scale(side, side), colour_matrix(), side)
    assert pictures.mean() == pytest.approx(0.5, abs=0.02)
    assert 0.001 < pictures.std(dim=(2, 3)).mean() < 0.02
    assert pictures.min() > 0.4 and pictures.max() < 0.6


@pytest.mark.parametrize(("height", "width"), [(16, 16), (15, 21), (32, 12)])
def test_the_spread_of_fresh_pictures_is_what_their_coefficients_give(height: int, width: int) -> None:
    """Parseval: a coefficient s (a + ib) of sd 0.01 is a wave that adds (0.01 s / (4 h w))^2 to each pixel's variance,
    four times that where the half spectrum stands for two, and a colour adds up its planes' variances."""
    scale, colours = frequency_scale(height, width).double(), colour_matrix().double()
    stands_for = torch.full((width // 2 + 1,), 4.0).double()
    stands_for[0] = 1
    if width % 2 == 0:
        stands_for[-1] = 1
    plane = (0.01 / (4 * height * width)) ** 2 * (scale.square() * stands_for).sum()
    expected = plane * colours.square().sum(1)
    pictures = to_pictures(new_spectrum(generators(1500), height, width), scale.float(), colour_matrix(), width)
    found = pictures.double().logit().square().mean((0, 2, 3))
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0)
    overall = (0.01 * scale[0, 0] / (4 * height * width) * colours.norm(dim=1)) / 4  # a picture's mean, by the sigmoid
    means = pictures.double().mean((2, 3))
    assert (means.mean(0) - 0.5).abs().max() < 4 * overall.max() / 1500**0.5
    torch.testing.assert_close(means.std(0), overall, rtol=0.1, atol=0)


def test_starts_follow_from_their_own_generator() -> None:
    together = new_spectrum(generators(3), 16, 16)
    assert together.shape == (3, 3, 16, 9, 2)
    assert torch.equal(together[2:], new_spectrum(generators(1, seed=2), 16, 16))
    assert not torch.equal(together[0], together[1])
    assert new_spectrum(generators(40), 16, 16).std() == pytest.approx(0.01, rel=0.02)


# ---- movements ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(224, 224), (64, 64), (32, 32), (448, 448), (224, 336), (12, 12)])
def test_movements_stay_within_their_bounds(height: int, width: int) -> None:
    """In pixels, every matrix is a turn by at most 10 degrees, a scale of 0.90 to 1.10 and a shift of at most 6 pixels
    of 224, and the whole range is used."""
    generator = torch.Generator().manual_seed(1)
    matrices = torch.cat([movements([generator], height, width) for _ in range(2000)]).double()
    assert matrices.shape == (2000, 2, 3)
    half = torch.tensor([[width / 2], [height / 2]]).double()
    linear = matrices[:, :, :2] * half / half.T  # from units where the picture spans -1 to 1 to pixels
    torch.testing.assert_close(linear[:, 0, 0], linear[:, 1, 1], atol=1e-5, rtol=0)
    torch.testing.assert_close(linear[:, 0, 1], -linear[:, 1, 0], atol=1e-5, rtol=0)
    scale = 1 / torch.hypot(linear[:, 0, 0], linear[:, 1, 0])
    degrees = torch.rad2deg(torch.atan2(linear[:, 1, 0], linear[:, 0, 0]))
    assert scale.min() == pytest.approx(0.90, abs=1e-5) and scale.max() == pytest.approx(1.10, abs=1e-5)
    assert degrees.min() == pytest.approx(-10, abs=1e-3) and degrees.max() == pytest.approx(10, abs=1e-3)
    shift = matrices[:, :, 2] * half.T
    for axis, side in ((0, width), (1, height)):
        most = (max(1, round(8 * side / 224)) + max(1, round(4 * side / 224))) / 2
        assert shift[:, axis].abs().max() == pytest.approx(most, abs=1e-4)
        assert shift[:, axis].mean().abs() < most / 10
    assert abs(degrees.mean()) < 0.5 and scale.mean() == pytest.approx(1, abs=0.01)


def test_movements_follow_from_their_own_generator() -> None:
    together = movements(generators(3), 64, 64)
    assert torch.equal(together[1:2], movements(generators(1, seed=1), 64, 64))
    assert not torch.equal(together[0], together[1])


def test_no_movement_changes_nothing() -> None:
    pictures = torch.rand(2, 3, 12, 17, generator=torch.Generator().manual_seed(0))
    still = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]]).expand(2, 2, 3)
    torch.testing.assert_close(move(pictures, still), pictures, atol=1e-5, rtol=1e-5)


def test_a_shift_by_whole_pixels_brings_grey_in_at_the_rim() -> None:
    pictures = torch.rand(1, 3, 8, 10, generator=torch.Generator().manual_seed(0))
    moved = move(pictures, torch.tensor([[[1.0, 0, 2 * 3 / 10], [0, 1, -2 * 2 / 8]]]))
    torch.testing.assert_close(moved[:, :, 2:, :7], pictures[:, :, :-2, 3:], atol=1e-5, rtol=1e-5)
    assert (moved[:, :, :2] - 0.5).abs().max() < 1e-5 and (moved[..., 7:] - 0.5).abs().max() < 1e-5


def test_moving_is_differentiable() -> None:
    pictures = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    move(pictures, movements(generators(2), 16, 16)).sum().backward()
    assert pictures.grad is not None and (pictures.grad != 0).float().mean() > 0.6


# ---- parts --------------------------------------------------------------------------------------------------------


def test_parts_are_square_stay_inside_and_follow_from_their_own_generator() -> None:
    found = crops(generators(300), 6, (0.2, 0.6))
    assert found.shape == (1800, 2, 3)
    share = found[:, 0, 0]
    assert torch.equal(share, found[:, 1, 1]) and not found[:, 0, 1].any() and not found[:, 1, 0].any()
    assert share.min() == pytest.approx(0.2, abs=0.002) and share.max() == pytest.approx(0.6, abs=0.002)
    assert (found[:, :, 2].abs() + share[:, None]).max() <= 1 + 1e-6
    free = share < 0.25  # these hardly ever meet the rim: the middle's own spread is seen
    assert found[free][:, :, 2].std() == pytest.approx(0.3, rel=0.1)
    assert found[:, :, 2].mean().abs() < 0.02
    alone = crops(generators(1, seed=7), 6, (0.2, 0.6))
    assert torch.equal(found.view(6, 300, 2, 3)[:, 7], alone)
    assert not torch.equal(alone[0], alone[1])


def test_a_part_is_what_lies_there() -> None:
    pictures = torch.rand(1, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    quarter = torch.tensor([[[0.5, 0, 0.5], [0, 0.5, -0.5]]])
    torch.testing.assert_close(move(pictures, quarter, (8, 8)), pictures[:, :, :8, 8:], atol=1e-5, rtol=1e-5)

"""Small random movements at each step, so that a picture excites a filter wherever it lies."""

from __future__ import annotations

import torch
from torch.nn import functional

SCALES = tuple(0.90 + 0.02 * step for step in range(11))
ANGLES = (*range(-10, 11), *([0] * 5))
_FIRST_JITTER, _SECOND_JITTER, _AT = 8, 4, 224


def movements(generators: list[torch.Generator], height: int, width: int) -> torch.Tensor:
    """One random movement per picture as affine matrices for `move`: float32 [n, 2, 3].

    Jitter by up to 8 pixels, scale by 0.90 to 1.10, rotate by -10 to 10 degrees, jitter by up to 4 pixels, each drawn
    from the picture's own generator; pixels are counted at 224 and shrink with smaller pictures.

    Source: the default transforms of Lucid (Olah et al. 2017).
    Differs: Lucid resamples once per transform; here their product is applied in one resampling, so less is blurred.
        Lucid pads by 12 grey pixels so that jitter loses no rim; here grey comes in where the picture moves out.
    """
    chance = torch.stack([torch.rand(6, generator=generator) for generator in generators])
    right, down = (
        _jitter(chance[:, at], _FIRST_JITTER, side) + _jitter(chance[:, at + 1], _SECOND_JITTER, side)
        for at, side in ((0, width), (2, height))
    )
    scale = torch.tensor(SCALES)[_pick(chance[:, 4], len(SCALES))]
    angle = torch.deg2rad(torch.tensor(ANGLES, dtype=torch.float32))[_pick(chance[:, 5], len(ANGLES))]
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    across = torch.stack([cosine, -sine * height / width, right], 1)
    return torch.stack([across, torch.stack([sine * width / height, cosine, down], 1)], 1)


def _pick(chance: torch.Tensor, count: int) -> torch.Tensor:
    """Whole numbers from 0 to count - 1 from numbers in 0..1."""
    return (chance * count).long().clamp_max(count - 1)


def _jitter(chance: torch.Tensor, at_224: int, side: int) -> torch.Tensor:
    """Shifts by up to half of `at_224` pixels either way, in units where the picture spans -1 to 1."""
    pixels = max(1, round(at_224 * side / _AT))
    return (_pick(chance, pixels + 1) - pixels / 2) * 2 / side


def crops(generators: list[torch.Generator], count: int, shares: tuple[float, float]) -> torch.Tensor:
    """Random square parts as affine matrices for `move`: float32 [count * n, 2, 3], all first crops before the second.

    The middle lies around the picture's with a standard deviation of 0.15 of it, held so that the part stays inside.

    Args:
        generators: one for each picture.
        count: parts of each picture.
        shares: from which to which share of the picture's side.

    Source: Fel et al. 2023, arXiv 2306.06805, and their library Horama.
    Differs: parts that would reach beyond the rim are moved inside.
    """
    share = torch.stack([torch.rand(count, generator=generator) for generator in generators], 1).flatten()
    middle = torch.stack([torch.randn(count, 2, generator=generator) for generator in generators], 1).flatten(0, 1)
    share = shares[0] + share * (shares[1] - shares[0])
    room = (1 - share)[:, None]  # the picture spans -1 to 1
    middle = torch.minimum(torch.maximum(0.3 * middle, -room), room)
    matrices = torch.zeros(len(share), 2, 3)
    matrices[:, 0, 0] = matrices[:, 1, 1] = share
    matrices[:, :, 2] = middle
    return matrices


def move(pictures: torch.Tensor, matrices: torch.Tensor, size: tuple[int, int] | None = None) -> torch.Tensor:
    """Pictures in 0..1 [n, planes, height, width] seen through affine matrices [n, 2, 3]; outside is grey 0.5.

    Args:
        pictures, matrices: one each.
        size: (height, width) of the result; None keeps the pictures'.
    """
    shape = [*pictures.shape[:2], *(size or pictures.shape[2:])]
    grid = functional.affine_grid(matrices, shape, align_corners=False)
    return functional.grid_sample(pictures - 0.5, grid, padding_mode="zeros", align_corners=False) + 0.5

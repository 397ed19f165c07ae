"""Small random movements at each step, so that a picture excites a filter wherever it lies."""

from __future__ import annotations

import math

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
    """
    matrices = []
    for generator in generators:
        right, down = (
            _jitter(_FIRST_JITTER, side, generator) + _jitter(_SECOND_JITTER, side, generator)
            for side in (width, height)
        )
        scale = SCALES[_pick(len(SCALES), generator)]
        angle = math.radians(ANGLES[_pick(len(ANGLES), generator)])
        cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
        matrices.append([[cosine, -sine * height / width, right], [sine * width / height, cosine, down]])
    return torch.tensor(matrices)


def _pick(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (1,), generator=generator))


def _jitter(at_224: int, side: int, generator: torch.Generator) -> float:
    """A shift by up to half of `at_224` pixels either way, in units where the picture spans -1 to 1."""
    pixels = max(1, round(at_224 * side / _AT))
    return (_pick(pixels + 1, generator) - pixels / 2) * 2 / side


def move(pictures: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Pictures in 0..1 [n, 3, height, width] moved by affine matrices [n, 2, 3]; grey 0.5 comes in at the rim."""
    grid = functional.affine_grid(matrices, list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures - 0.5, grid, padding_mode="zeros", align_corners=False) + 0.5

"""Rules for a step: how the numbers of pictures change with their gradient.

Each works on the numbers of some pictures [n, ...] in place and keeps what it has to remember beside them, so that
pictures may be advanced together or in parts.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Rule = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int, float], None]
"""(values, gradient, mean, square, step from 1 on, rate): changes values, mean and square in place."""


@torch.no_grad()
def adam(
    values: torch.Tensor, gradient: torch.Tensor, mean: torch.Tensor, square: torch.Tensor, step: int, rate: float
) -> None:
    """Adam. (torch.optim's takes seconds to import its compiler at the first step.)

    Source: Kingma and Ba 2015, algorithm 1, arXiv 1412.6980, with its decay rates 0.9 and 0.999.
    """
    _follow(gradient, mean, square)
    values.addcdiv_(mean, _root(square, step), value=-rate / (1 - 0.9**step))


@torch.no_grad()
def nadam(
    values: torch.Tensor, gradient: torch.Tensor, mean: torch.Tensor, square: torch.Tensor, step: int, rate: float
) -> None:
    """Adam with Nesterov's momentum.

    Source: Dozat 2016, "Incorporating Nesterov Momentum into Adam", with momenta 0.9 (1 - 0.5 * 0.96^(step / 250)).
    """
    _follow(gradient, mean, square)
    momenta = [0.9 * (1 - 0.5 * 0.96 ** (past * 0.004)) for past in range(1, step + 2)]
    so_far = torch.tensor(momenta[:-1], dtype=torch.float64).prod().item()
    root = _root(square, step)
    values.addcdiv_(gradient, root, value=-rate * (1 - momenta[-2]) / (1 - so_far))
    values.addcdiv_(mean, root, value=-rate * momenta[-1] / (1 - so_far * momenta[-1]))


@torch.no_grad()
def normalised(
    values: torch.Tensor, gradient: torch.Tensor, mean: torch.Tensor, square: torch.Tensor, step: int, rate: float
) -> None:
    """Steps of one length: `rate` for the whole of a picture of 200 x 200 x 3 numbers, as much per number for others.

    Source: Chollet 2021, "Deep Learning with Python", second edition, section 9.4.2 (rate 10, 30 steps).
    """
    length = gradient.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, *[1] * (gradient.ndim - 1))
    values.sub_(gradient / length, alpha=rate * (gradient[0].numel() / (200 * 200 * 3)) ** 0.5)


def _follow(gradient: torch.Tensor, mean: torch.Tensor, square: torch.Tensor) -> None:
    mean.lerp_(gradient, 0.1)
    square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)


def _root(square: torch.Tensor, step: int) -> torch.Tensor:
    root: torch.Tensor = (square.sqrt() / (1 - 0.999**step) ** 0.5).add_(1e-8)
    return root

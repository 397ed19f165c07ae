"""Gradients that find their way past rectifiers that are shut, so that no start stays grey."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Range = tuple[float, float]
_UP = float("inf")

# Pre-activations between which more of it gives more of the answer. The smooth ones rise from their least value on:
# SiLU x sigmoid(x), GELU x Phi(x), Mish x tanh(softplus(x)), Hardswish x min(max(x + 3, 0), 6) / 6.
_RISING: dict[Any, Range] = {
    functional.relu: (0, _UP),
    functional.relu_: (0, _UP),
    torch.relu: (0, _UP),
    torch.relu_: (0, _UP),
    torch.Tensor.relu: (0, _UP),
    torch.Tensor.relu_: (0, _UP),
    functional.relu6: (0, 6),
    functional.silu: (-1.2784645, _UP),
    functional.gelu: (-0.7517916, _UP),
    functional.mish: (-1.1924312, _UP),
    functional.hardswish: (-1.5, _UP),
    functional.hardsigmoid: (-3, 3),
}


class Redirected(TorchFunctionMode):
    """While it is open, a gradient that an activation would swallow whole gets through it where that opens it.

    In the backward pass, for each sample and each call of ReLU, ReLU6, SiLU, GELU, Mish, Hardswish or Hardsigmoid:
    where no element that counts lies in the activation's rising part, the gradient of the loss passes as if there were
    no activation, except where descending it would push a pre-activation further out. The network is not touched: calls
    of the functions are replaced, for this thread, while the block lasts.

    Source: redirected_relu_grad and redirected_relu6_grad of Lucid (Olah, Mordvintsev, Schubert 2017, "Feature
        Visualization", Distill, doi 10.23915/distill.00007).
    Differs: the smooth activations are added, their least value as the threshold.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        x = args[0] if args else kwargs.get("input")
        rising = _range_of_hardtanh(*args[1:3], **kwargs) if func is functional.hardtanh else _RISING.get(func)
        if rising is None or not isinstance(x, torch.Tensor) or not x.requires_grad:
            return func(*args, **kwargs)
        before, version = x.clone(), x._version
        answer = func(*args, **kwargs)
        return _Beside.apply(before if x._version != version else x, answer, rising)  # type: ignore[no-untyped-call]


def _range_of_hardtanh(min_val: float = -1.0, max_val: float = 1.0, **_: Any) -> Range:
    return min_val, max_val


class _Beside(torch.autograd.Function):
    """The activation's answer, whose gradient goes to its pre-activation directly where the activation is shut."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, answer: torch.Tensor, rising: Range) -> torch.Tensor:
        ctx.rising = rising
        ctx.save_for_backward(x)
        return answer.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (x,), (low, high), (gradient,) = ctx.saved_tensors, ctx.rising, gradients
        rows = (..., slice(x.shape[-2] // 8 + 1), slice(None)) if x.ndim == 4 else ...
        if _passes(x[rows], gradient[rows], low, high).all():  # nearly always, and a few places tell
            return None, gradient, None
        shut = ~_passes(x, gradient, low, high).view(-1, *[1] * (x.ndim - 1))
        below, above = x <= low, x >= high
        outwards = (below & (gradient > 0)) | (above & (gradient < 0))  # a step goes against the gradient
        return gradient.masked_fill(outwards | ~shut, 0), gradient.masked_fill(shut, 0), None


def _passes(x: torch.Tensor, gradient: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Whether any gradient gets through an activation that rises between two values, for each sample: bool [n]."""
    through = (gradient != 0) & (x > low)
    return (through if high == _UP else through & (x < high)).flatten(1).any(1)

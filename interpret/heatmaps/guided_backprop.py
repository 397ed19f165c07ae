"""Guided backpropagation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from interpret.heatmaps.pixels import pixel_gradient
from interpret.heatmaps.question import Maps, Question

_RELU = (functional.relu, functional.relu_, torch.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_)


def guided_backprop(question: Question) -> Maps:
    """The gradient by the pixels, of which every ReLU lets only what is positive through.

    map = sum over planes of the guided gradient

    Fails sanity checks: it draws edges of the picture whatever the network has learned (Adebayo et al. 2018,
    arXiv 1810.03292). Of networks without ReLU it is the plain gradient.

    Source: Springenberg et al. 2015, "Striving for Simplicity: The All Convolutional Net", arXiv 1412.6806.
    """
    with Guided():
        gradient, scores = pixel_gradient(question, question.batch)
    return gradient.sum(1), scores


class Guided(TorchFunctionMode):
    """While it is open, ReLUs called in this thread let only positive gradients back; the network is not touched."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        answer = func(*args, **(kwargs or {}))
        if func in _RELU and isinstance(answer, torch.Tensor) and answer.requires_grad:
            return _OnlyPositive.apply(answer)  # type: ignore[no-untyped-call]
        return answer


class _OnlyPositive(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, answer: torch.Tensor) -> torch.Tensor:
        return answer.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0].relu()

"""What passes through a network leave behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.flow import ConvolutionCall


@dataclass(frozen=True, eq=False)
class Tape:
    """What one pass left behind.

    Attributes:
        scores: float32 [n, classes] before softmax, or None where the pass ended at the last layer kept.
    """

    scores: torch.Tensor | None
    outputs: Mapping[str, torch.Tensor]

    def __getitem__(self, layer: str) -> torch.Tensor:
        return self.outputs[layer]

    def gradient(self, of: torch.Tensor, at: str) -> torch.Tensor:
        """The gradient of a sum of scores or activations with respect to a kept layer's output, of its shape.

        Args:
            of: any tensor computed from this tape; it is summed.
            at: name of a layer kept by `trace`.
        """
        return self.gradients(of, [at])[0]

    def gradients(self, of: torch.Tensor, at: Sequence[str]) -> tuple[torch.Tensor, ...]:
        """The same with respect to the outputs of several layers, on one way back; 0 where they play no part."""
        with torch.enable_grad():  # the sum belongs to the graph whatever the caller's mode is
            if not of.requires_grad:
                return tuple(torch.zeros_like(self.outputs[name]) for name in at)
            leaves = [self.outputs[name] for name in at]
            return torch.autograd.grad(of.sum(), leaves, retain_graph=True, materialize_grads=True)


@dataclass(frozen=True, eq=False)
class Watched:
    """What following a pass through a part of a network left behind.

    Attributes:
        outputs: by layer, as in `Tape`.
        joined: number of a join -> its operands, then its result.
        convolutions: by layer, as they were carried out.
    """

    outputs: Mapping[str, torch.Tensor]
    joined: Mapping[int, tuple[torch.Tensor, ...]]
    convolutions: Mapping[str, ConvolutionCall]


@dataclass(frozen=True, eq=False)
class Normalisation:
    """What a BatchNorm layer does to each channel: gamma (x - mean) / sqrt(variance + epsilon) + beta.

    Attributes:
        mean, variance: float32 [channels], kept from training.
        gamma, beta: float32 [channels], learned; 1 and 0 where the layer has none.
        epsilon: added to the variance.
    """

    mean: NDArray[np.float32]
    variance: NDArray[np.float32]
    gamma: NDArray[np.float32]
    beta: NDArray[np.float32]
    epsilon: float


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the network says of one picture: `scores` before and `probabilities` after softmax, float32 [classes]."""

    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    def top(self, count: int = 5) -> list[int]:
        """Class indices from the most to the less probable."""
        return [int(index) for index in np.argsort(-self.scores, kind="stable")[:count]]

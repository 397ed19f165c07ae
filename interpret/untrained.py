"""A network before any training, as a control: what does a picture owe to what was learned?"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any

import torch
from torch import nn

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm2d)


def private_copy(network: nn.Module, only: Collection[str] | None = None) -> nn.Module:
    """A copy with numbers of its own, of all modules or of those named; the others it shares with the network."""
    kept = [module for name, module in network.named_modules() if only is not None and name not in only]
    shared = [each for one in kept for each in (*one.parameters(recurse=False), *one.buffers(recurse=False))]
    private: nn.Module = copy.deepcopy(network, {id(each): each for each in shared})
    return private


def reinitialised(network: nn.Module, batch: torch.Tensor, seed: int, only: Collection[str] | None = None) -> nn.Module:
    """A private copy with random weights, so set up that signals neither vanish nor explode.

    Kernels and matrices are drawn from a normal distribution with variance 2 / (inputs of one output), biases are 0,
    normalisations scale by 1 and shift by 0, and BatchNorm's running mean and variance are those of `batch`. Other
    numbers, such as the scale of a branch, stay as they are.

    Args:
        network: in eval mode.
        batch: pictures as the network gets them [n, channels, height, width].
        seed: of the weights.
        only: names of the modules that forget what they learned; all of them if None. The others' numbers are shared
            with the network, which nobody changes.

    Source: He et al. 2015, "Delving Deep into Rectifiers", equation 10, arXiv 1502.01852.
    """
    private = private_copy(network, only)
    generator = torch.Generator().manual_seed(seed)
    forgetting = [module for name, module in private.named_modules() if only is None or name in only]
    with torch.no_grad():
        for module in forgetting:
            for name, values in module.named_parameters(recurse=False):
                if values.ndim > 1 and (values[0].numel() > 1 or name == "weight"):
                    deviation = (2 / values[0].numel()) ** 0.5
                    values.copy_(torch.randn(values.shape, generator=generator) * deviation)
                elif name == "bias":
                    values.zero_()
                elif isinstance(module, _NORMS):
                    values.fill_(1)
        norms: list[Any] = [m for m in forgetting if getattr(m, "running_mean", None) is not None]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over what is seen
            norm.train()
        private(batch)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
    return private

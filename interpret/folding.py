"""A private copy of a network in which BatchNorm costs nothing: folded into the convolution before it."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from interpret.layers import LayerInfo


def foldable(network: nn.Module, layers: Sequence[LayerInfo], keep: Iterable[str]) -> list[tuple[str, str]]:
    """Names of (convolution, BatchNorm) where the one's answer goes into the other alone.

    Args:
        network: as loaded.
        layers: of it, in the order of execution.
        keep: layers whose answers are wanted as they are.
    """
    wanted = set(keep)
    calls = Counter(layer.name.partition(":")[0] for layer in layers)
    users: dict[str, set[str]] = {}
    for layer in layers:
        for name in layer.origin.names if layer.origin else ():
            users.setdefault(name, set()).add(layer.name)
    found = []
    for layer in layers:
        origin, norm = layer.origin, network.get_submodule(layer.name.partition(":")[0])
        is_norm = type(norm) is nn.BatchNorm2d or (isinstance(norm, nn.BatchNorm2d) and _activation(norm) is not None)
        if not is_norm or origin is None or origin.how or not origin.exact or len(origin.names) != 1:
            continue
        chain = _chain(origin.names[0], layers)
        others = {user for user in users[chain[0]] if user != layer.name and not user.startswith(f"{layer.name}.")}
        convolution = network.get_submodule(chain[-1].partition(":")[0])
        called_once = all(calls[name.partition(":")[0]] == 1 for name in (layer.name, *chain))
        if others or not called_once or wanted & set(chain) or type(convolution) is not nn.Conv2d:
            continue
        if norm.running_mean is not None and convolution.out_channels == norm.num_features:
            found.append((chain[-1], layer.name))
    return found


def _chain(name: str, layers: Sequence[LayerInfo]) -> list[str]:
    """A layer, the one in it that made its answer, the one in that, and so on: the last called in each."""
    names, chain = [layer.name for layer in layers], [name]
    while name in names and (before := names.index(name) - 1) >= 0 and names[before].startswith(f"{name}."):
        name = names[before]
        chain.append(name)
    return chain


def folded(network: nn.Module, pairs: Sequence[tuple[str, str]]) -> nn.Module:
    """A copy that shares all tensors but those of the convolutions of `pairs`; their BatchNorms do nothing any more.

    weight' = weight * gamma / sqrt(variance + epsilon)
    bias' = (bias - mean) * gamma / sqrt(variance + epsilon) + beta
    """
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    private: nn.Module = copy.deepcopy(network, shared)
    for name, norm_name in pairs:
        convolution: Any = private.get_submodule(name)
        norm: Any = private.get_submodule(norm_name)
        with torch.no_grad():
            gain = (norm.running_var + norm.eps).rsqrt()
            gain = gain if norm.weight is None else gain * norm.weight
            bias = -norm.running_mean if convolution.bias is None else convolution.bias - norm.running_mean
            bias = bias * gain if norm.bias is None else bias * gain + norm.bias
            weight = convolution.weight * gain.view(-1, 1, 1, 1)
        convolution.weight = nn.Parameter(weight, requires_grad=False)
        convolution.bias = nn.Parameter(bias, requires_grad=False)
        activation = _activation(norm)
        rest = nn.Sequential(*[] if activation is None else [activation]).eval()
        rest._forward_hooks, rest._forward_pre_hooks = norm._forward_hooks, norm._forward_pre_hooks
        private.set_submodule(norm_name, rest)
    return private


def _activation(norm: nn.Module) -> nn.Module | None:
    """What timm's BatchNorms do after they have normalised."""
    found = getattr(norm, "act", None)
    return found if isinstance(found, nn.Module) else None

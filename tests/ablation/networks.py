"""Networks of several families, each as its library made it and as Loupe looks into it, and hooks of another hand."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache

import torch
from torch import nn

from interpret.images import InputImage
from interpret.model import LoadedModel
from tests.conftest import look_into, noise_picture
from tests.families import CLASS_COUNT, FAMILIES, random_network

SIDE = 64


@cache
def loaded(key: str) -> LoadedModel:
    """Random weights, 64 x 64 pictures, 7 classes; nobody changes it."""
    return look_into(copy.deepcopy(_made(key)), CLASS_COUNT, (SIDE, SIDE))


def plain(key: str) -> nn.Module:
    """The same network without anything of Loupe's, to be changed by hand."""
    return copy.deepcopy(_made(key)).eval()


@cache
def _made(key: str) -> nn.Module:
    if key == "vgg":  # VGG11's own features under a head of a reasonable size
        from torchvision.models.vgg import VGG, cfgs, make_layers

        network = VGG(make_layers(cfgs["A"]), init_weights=False)
        network.avgpool, network.classifier = nn.AdaptiveAvgPool2d(2), nn.Linear(2048, CLASS_COUNT)
        generator = torch.Generator().manual_seed(0)
        for value in network.parameters():
            deviation = (2 / value[0].numel()) ** 0.5 if value.ndim > 1 else 0.1
            value.data.normal_(std=deviation, generator=generator)
        return network.eval()
    return random_network(next(family for family in FAMILIES if family.key == key))


@cache
def images(count: int) -> tuple[InputImage, ...]:
    return tuple(noise_picture(seed, SIDE, SIDE) for seed in range(count))


@cache
def batch(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(11))


def scores(model: LoadedModel, inputs: torch.Tensor) -> torch.Tensor:
    found = model.observe(inputs, until="scores").scores
    assert found is not None
    return found


def run(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        answer = network.eval()(inputs)
    assert isinstance(answer, torch.Tensor)
    return answer


def by_hand(
    network: nn.Module, layer: str, replace: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor
) -> torch.Tensor:
    """Scores of a network without Loupe's hooks, one call's answer replaced."""
    name, _, call = layer.partition(":")
    calls = [0]

    def hook(module: nn.Module, given: object, output: torch.Tensor) -> torch.Tensor:
        calls[0] += 1
        return replace(output.clone()) if calls[0] == int(call or 0) + 1 else output

    handle = network.get_submodule(name).register_forward_hook(hook)
    try:
        return run(network, inputs)
    finally:
        handle.remove()


def close(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-4) -> None:
    """Fails where they differ by more than a share of the greatest number expected."""
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) <= tolerance * float(expected.abs().max())

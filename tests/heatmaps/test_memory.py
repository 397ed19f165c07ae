"""Two hundred calls hold no more memory than twenty: what a pass computed is gone when its map is there."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from interpret.heatmaps import heatmap, layer_heatmaps_job
from interpret.images import InputImage
from interpret.jobs import complete
from interpret.loading import load_model
from interpret.model import LoadedModel
from tests.conftest import noise_picture

WARM_UP, CALLS, MEBIBYTES = 20, 200, 8
"""A pass of this network from layer1 on holds over a mebibyte: kept for every call, it would be two hundred."""


def one_layer(model: LoadedModel, image: InputImage) -> object:
    return heatmap(model, image, layer="layer1", target=1)


def several_layers(model: LoadedModel, image: InputImage) -> object:
    return complete(layer_heatmaps_job(model, image, ["layer1", "layer2", "layer3"], target=1))


def tensors() -> int:
    gc.collect()
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("call", [one_layer, several_layers])
def test_memory_does_not_grow_from_call_to_call(
    cifar_checkpoint: Path, device: str, call: Callable[[LoadedModel, InputImage], object]
) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    model, image = load_model(cifar_checkpoint, device=device), noise_picture(1, 40, 40)
    before = model.runtime.memory()
    if before is None:
        pytest.skip("this platform does not tell how much memory is in use")

    def used() -> int:
        memory = model.runtime.memory()
        assert memory is not None
        return torch.cuda.memory_allocated() if device == "cuda" else memory.used

    for _ in range(WARM_UP):
        call(model, image)
    alive, held = tensors(), used()
    for _ in range(CALLS):
        call(model, image)
    assert used() - held < MEBIBYTES * 2**20
    assert tensors() == alive

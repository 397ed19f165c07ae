"""Sixty-four photographs through real weights: the maps of pytorch-grad-cam and Captum, to four digits.

Each network of a peer runs once; its methods share what that pass left behind, as Loupe's share a `Question`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from pytorch_grad_cam.activations_and_gradients import ActivationsAndGradients
from threadpoolctl import threadpool_limits
from torch import nn

from interpret.heatmaps import METHODS, Question
from interpret.images import InputImage
from interpret.jobs import complete
from interpret.model import LoadedModel
from tests.heatmaps.test_cams import PEERS, plain_network, scaled

Load = Callable[[str], LoadedModel]
ONE_PASS = ("grad-cam", "grad-cam++", "hires-cam", "layer-cam", "xgrad-cam", "eigen-cam")
POLES = ("grad-cam++", "xgrad-cam")
"""They divide by a sum that passes through zero where a layer answers with both signs: rounding decides the map."""
PHOTOGRAPHS, TOGETHER = 64, 8
NETWORKS = [
    ("resnet18", "layer4", PHOTOGRAPHS),
    ("resnet18", "layer3.0.relu", 8),
    ("resnet18", "layer3.0.conv2", 8),
    ("mobilenet_v2", "features.18", PHOTOGRAPHS),
    ("squeezenet1_0", "features.12", PHOTOGRAPHS),
    ("squeezenet1_0", "features.10.expand3x3", 8),
    ("cifar_resnet20", "layer3", PHOTOGRAPHS),
    ("cifar_resnet56", "layer2", PHOTOGRAPHS),
]
JOBS = {method.key: method.job for method in METHODS}


@pytest.fixture(scope="module")
def photographs(real: Path) -> Callable[[str], list[InputImage]]:
    """Photographs of as many classes as possible: of CIFAR-10 for the networks that know no other, else of ImageNet."""
    files = sorted((real / "imagenet-sample").glob("*.jpg"))[:: 800 // PHOTOGRAPHS][:PHOTOGRAPHS]
    small = sorted((real / "cifar10-sample").glob("*/*.png"))[:: 400 // PHOTOGRAPHS][:PHOTOGRAPHS]
    kinds = {name: [InputImage.from_path(path) for path in paths] for name, paths in (("", files), ("cifar", small))}
    return lambda network: kinds["cifar" if network.startswith("cifar") else ""]


def batches(model: LoadedModel, images: list[InputImage]) -> Iterator[torch.Tensor]:
    """Normalised pictures."""
    for start in range(0, len(images), TOGETHER):
        yield torch.cat([model.preprocess.to_batch(image) for image in images[start : start + TOGETHER]])


def first_and_second(scores: torch.Tensor) -> torch.Tensor:
    """A class for each picture, by turns the network's first choice and its second."""
    return scores.topk(2).indices.gather(1, torch.arange(len(scores))[:, None] % 2)[:, 0]


@pytest.mark.parametrize(("network", "layer", "count"), NETWORKS)
def test_maps_of_one_pass_are_pytorch_grad_cams_and_captums(
    real: Path,
    real_model: Load,
    photographs: Callable[[str], list[InputImage]],
    monkeypatch: pytest.MonkeyPatch,
    network: str,
    layer: str,
    count: int,
) -> None:
    # Eigen-CAM's peer computes all right singular vectors and uses the first; the reduced decomposition has that one.
    thin = partial(np.linalg.svd, full_matrices=False)
    monkeypatch.setattr(np.linalg, "svd", lambda matrix, full_matrices: thin(matrix))
    signed = "conv" in layer or "expand" in layer
    model = real_model(network)
    twice = any(known.name == f"{layer}:1" for known in model.layers)
    plain, info = plain_network(real, network, len(model.labels)), model.layer(layer)
    module = plain.get_submodule(layer)
    graph_begins_at(module, plain)
    cams = {key: PEERS[key](plain, [module]) for key in ONE_PASS if not (signed and key in POLES)}
    for cam in cams.values():
        cam.activations_and_grads.release()
    shared = ActivationsAndGradients(plain, [module], None)
    for number, batch in enumerate(batches(model, photographs(network)[:count])):
        scores = shared(batch)
        targets = first_and_second(scores.detach())
        question = Question(model, batch, info, targets)
        scores.gather(1, targets[:, None]).sum().backward()
        for key, cam in cams.items():
            cam.activations_and_grads = shared
            with threadpool_limits(1, "blas"):  # NumPy's singular vectors: its threads are in each other's way
                theirs = cam.aggregate_multi_layers(cam.compute_cam_per_layer(batch, [], False))
            maps, ours = complete(JOBS[key](question))
            torch.testing.assert_close(ours, scores.detach(), atol=1e-3, rtol=1e-4)
            for found, expected in zip(maps.numpy(), theirs, strict=True):
                signs = (1, -1) if key == "eigen-cam" else (1,)  # theirs leaves a singular vector's sign to chance
                off = min(np.abs(scaled(sign * found, model.preprocess.size) - expected).max() for sign in signs)
                assert np.ptp(expected) > 0.5 and off < 1e-4, (key, off)
        if number == 0 and not twice:  # of a module called twice, Captum sees the last call
            peer = captum.attr.LayerGradCam(plain, module)
            raw = peer.attribute(batch, targets).detach()[:, 0]
            maps, _ = complete(JOBS["grad-cam"](question))
            torch.testing.assert_close(maps, raw, atol=1e-4 * float(raw.abs().max()), rtol=0)


def graph_begins_at(module: nn.Module, network: nn.Module) -> None:
    """The way back goes no further than the module's last weights, or to the first ones where it has none."""
    network.requires_grad_(False)
    [next(network.parameters()), *module.parameters()][-1].requires_grad_()


SHORT = {"integrated_gradients": {"STEPS": 16}, "smoothgrad": {"SAMPLES": 8, "NOISE": 0.0}, "occlusion": {"ACROSS": 4}}


def peers_of_pixels(plain: nn.Module, module: nn.Module) -> dict[str, Callable[..., torch.Tensor]]:
    """By method, Captum's map [n, rows, columns] of a batch for its targets."""

    def planes(peer: Any, **options: Any) -> Callable[..., torch.Tensor]:
        return lambda batch, targets: peer.attribute(batch, target=targets, **options).sum(1)

    def ablation(batch: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            kept: list[torch.Tensor] = []
            handle = module.register_forward_hook(lambda *call: kept.append(call[2]))
            aims = plain(batch).gather(1, targets[:, None])
            handle.remove()
            channels = torch.arange(kept[0].shape[1])[None, :, None, None].expand_as(kept[0][:1])
            peer = captum.attr.LayerFeatureAblation(plain, module)
            lost = peer.attribute(batch, target=targets, layer_mask=channels)[:, :, 0, 0]
        return torch.einsum("nk,nkij->nij", lost / aims.abs(), kept[0])

    saliency = captum.attr.Saliency(plain)
    return {
        "integrated-gradients": planes(captum.attr.IntegratedGradients(plain), n_steps=16),
        "guided-backprop": planes(captum.attr.GuidedBackprop(plain)),
        "guided-grad-cam": planes(captum.attr.GuidedGradCam(plain, module)),
        "smoothgrad": lambda batch, targets: saliency.attribute(batch, target=targets, abs=True).sum(1),
        "occlusion": lambda batch, targets: captum.attr.Occlusion(plain).attribute(
            batch, (3, 16, 16), strides=(3, 8, 8), target=targets, baselines=0
        )[:, 0, ::8, ::8],
        "ablation-cam": ablation,
    }


@pytest.mark.parametrize(
    "method",
    ["integrated-gradients", "guided-backprop", "guided-grad-cam", "smoothgrad", "occlusion", "ablation-cam"],
)
def test_maps_are_captums_on_small_photographs(
    real: Path,
    real_model: Load,
    photographs: Callable[[str], list[InputImage]],
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    for name, constants in SHORT.items():
        for constant, value in constants.items():
            monkeypatch.setattr(import_module(f"interpret.heatmaps.{name}"), constant, value)
    model, layer = real_model("cifar_resnet20"), "layer1" if method == "ablation-cam" else "layer3"
    plain = plain_network(real, "cifar_resnet20", 10)
    theirs = peers_of_pixels(plain, plain.get_submodule(layer))[method]
    for batch in batches(model, photographs("cifar")):
        with torch.no_grad():
            targets = first_and_second(plain(batch))
        maps, _ = complete(JOBS[method](Question(model, batch, model.layer(layer), targets)))
        expected = theirs(batch.clone().requires_grad_(), targets).detach()
        off = (maps - expected).abs() / expected.abs().amax((1, 2), keepdim=True)
        if method in ("integrated-gradients", "smoothgrad"):
            # Of a point, rounding decides on which side of a kink it lies, and there the gradient jumps: in float32
            # Captum's own integrated gradients are up to 0.0015 of their range from those it computes in float64.
            assert (off < 1e-4).float().mean() > 0.95 and off.max() < 5e-3, float(off.max())
        else:
            assert off.max() < 1e-4, float(off.max())

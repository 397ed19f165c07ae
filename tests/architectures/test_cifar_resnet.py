"""The CIFAR ResNet: published shapes, names and parameter counts, and the accuracy of published weights."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch import nn

from interpret.architectures.cifar_resnet import cifar_resnet
from interpret.errors import BadInput

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"needs real weights and pictures in {DATA.name}/")


# He et al. 2016, table 6, gives 0.27, 0.46, 0.66, 0.85 and 1.7 million parameters.
@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)])
def test_the_parameters_are_as_many_as_published(depth: int, millions: float) -> None:
    count = sum(p.numel() for p in cifar_resnet(depth).parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.05 if depth == 110 else 0.0051)


def test_every_layer_with_weights_counts_once_towards_the_depth() -> None:
    with_weights = [m for m in cifar_resnet(56).modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(with_weights) == 56


def test_the_stages_halve_the_map_and_double_the_channels() -> None:
    network = cifar_resnet(20, classes=7, channels=1).eval()
    shapes: dict[str, tuple[int, ...]] = {}
    for name in ("relu", "layer1", "layer2", "layer3", "avgpool", "flatten"):
        network.get_submodule(name).register_forward_hook(
            lambda _m, _i, out, name=name: shapes.update({name: tuple(out.shape)})
        )
    with torch.inference_mode():
        assert network(torch.zeros(2, 1, 64, 64)).shape == (2, 7)
    assert shapes == {
        "relu": (2, 16, 64, 64),
        "layer1": (2, 16, 64, 64),
        "layer2": (2, 32, 32, 32),
        "layer3": (2, 64, 16, 16),
        "avgpool": (2, 64, 1, 1),
        "flatten": (2, 64),
    }


def test_the_shortcut_keeps_every_second_pixel_and_pads_channels_on_both_sides() -> None:
    shortcut = cifar_resnet(20).get_submodule("layer2.0.shortcut")
    x = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    y = shortcut(x)
    assert y.shape == (1, 32, 4, 4)
    assert torch.equal(y[:, 8:24], x[:, :, ::2, ::2])
    assert not y[:, :8].any() and not y[:, 24:].any()
    assert not list(shortcut.parameters())


def test_every_activation_is_a_module_of_its_own_and_none_works_in_place() -> None:
    network = cifar_resnet(20).eval()
    relus = {name: module for name, module in network.named_modules() if isinstance(module, nn.ReLU)}
    assert len(relus) == 1 + 2 * 9 and not any(module.inplace for module in relus.values())
    calls: list[str] = []
    for name, module in relus.items():
        module.register_forward_hook(lambda _m, _i, _o, name=name: calls.append(name))
    with torch.inference_mode():
        network(torch.zeros(1, 3, 32, 32))
    assert sorted(calls) == sorted(relus)


def test_the_same_generator_draws_the_same_weights() -> None:
    one, two, other = (cifar_resnet(20, generator=torch.Generator().manual_seed(s)).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not torch.equal(one["conv1.weight"], other["conv1.weight"])
    # He et al. 2015: variance 2 / (9 * channels in).
    assert one["layer3.1.conv1.weight"].var().item() == pytest.approx(2 / (9 * 64), rel=0.03)


def test_an_unknown_depth_is_refused_in_a_sentence() -> None:
    with pytest.raises(BadInput, match="depth 18 .* 20, 32, 44, 56, 110"):
        cifar_resnet(18)


@needs_data
@pytest.mark.parametrize(("depth", "file"), [(20, "resnet20-12fca82f.th"), (56, "resnet56-4bfd9763.th")])
def test_a_published_checkpoint_fits_strictly(depth: int, file: str) -> None:
    saved = torch.load(DATA / "weights" / "raw" / file, map_location="cpu", weights_only=True)["state_dict"]
    tensors = {key.removeprefix("module."): value for key, value in saved.items()}
    network = cifar_resnet(depth)
    network.load_state_dict(tensors, strict=True)
    assert torch.equal(network.state_dict()["linear.weight"], tensors["linear.weight"])


@needs_data
def test_published_weights_reach_their_measured_accuracy_on_real_pictures() -> None:
    with safe_open(DATA / "weights" / "cifar_resnet20.safetensors", "pt") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}
    network = cifar_resnet(20, int(metadata["num_classes"])).eval()
    network.load_state_dict(tensors, strict=True)
    with (DATA / "cifar10-sample" / "labels.csv").open() as table:
        rows = list(csv.DictReader(table))
    pixels = np.stack([np.asarray(Image.open(DATA / "cifar10-sample" / row["file"]).convert("RGB")) for row in rows])
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(json.loads(metadata[key]))[:, None, None] for key in ("mean", "std"))
    with torch.inference_mode():
        predicted = network((batch - mean) / std).argmax(1)
    labels = torch.tensor([int(row["class_index"]) for row in rows])
    assert (predicted == labels).float().mean().item() == pytest.approx(0.81, abs=0.02)

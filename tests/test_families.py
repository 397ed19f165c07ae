"""One network of each family, saved and opened: the same scores as the library's own, and the usual heatmap layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from interpret import heatmap, load_model
from interpret.datasets import sample_picture

TORCHVISION = {
    "alexnet": "features.11",
    "convnext_tiny": "features",
    "densenet121": "features",
    "efficientnet_b0": "features",
    "googlenet": "inception5b",
    "mnasnet1_0": "layers",
    "mobilenet_v2": "features",
    "mobilenet_v3_small": "features",
    "regnet_y_400mf": "trunk_output",
    "resnet18": "layer4",
    "shufflenet_v2_x1_0": "conv5",
    "squeezenet1_1": "classifier.2",
    "vgg11": "features.19",
}
"""Architecture -> the last layer with places before pooling, read off torchvision's source."""
TIMM = {"timm/seresnet18": "layer4", "timm/mobilenetv2_035": "bn2", "timm/convnext_atto": "stages"}


def random_network(key: str) -> nn.Module:
    torch.manual_seed(0)
    if key.startswith("timm/"):
        import timm

        network: nn.Module = timm.create_model(key.removeprefix("timm/"), num_classes=7)
        return network
    from torchvision import models

    options: dict[str, Any] = {"init_weights": False} if key == "googlenet" else {}
    return models.get_model(key, weights=None, num_classes=7, **options)


@pytest.mark.parametrize(("key", "layer"), [*TORCHVISION.items(), *TIMM.items()])
def test_a_saved_network_opens_and_says_what_the_library_says(key: str, layer: str, tmp_path: Path) -> None:
    network = random_network(key)
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in network.state_dict().items()}}, path)
    model = load_model(path, arch=key if key.startswith("timm/") else None, device="cpu")
    assert model.architecture.key == key
    assert (len(model.labels), model.report.missing, model.report.unexpected) == (7, (), ())
    image = sample_picture("heart")
    batch = model.preprocess.to_batch(image)
    with torch.no_grad():
        expected = network.eval()(batch)
    scores = model.observe(batch).scores
    assert scores is not None
    torch.testing.assert_close(scores, expected, rtol=1e-3, atol=1e-4)
    assert model.default_layer.name == layer
    assert heatmap(model, image).values.shape == (model.default_layer.rows, model.default_layer.columns)


def test_where_the_channels_lie_is_found_and_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(random_network("convnext_tiny").state_dict(), path)
    layouts = {layer.name: (layer.layout, layer.channels) for layer in load_model(path, device="cpu").layers}
    assert layouts["features.1.0.block.0"] == ("channels first", 96)
    assert layouts["features.1.0.block.2"] == ("channels last", 96)
    assert layouts["features.1.0.block.3"] == ("channels last", 384)
    assert layouts["features.1"] == ("channels first", 96)
    assert layouts["classifier.2"] == ("vector", 7)

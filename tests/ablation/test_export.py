"""Exported checkpoints, opened like anybody's, against the network they were made of."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from interpret import load_model
from interpret.ablation import Change, changed, export
from interpret.ablation.export import _zeroed
from interpret.errors import BadInput
from interpret.model import LoadedModel
from tests.ablation.networks import images, scores
from tests.conftest import look_into, nothing_left_behind

CHANGES = {
    "a convolution under BatchNorm": [Change("zero", "layer1.0.conv1", (3, 5))],
    "BatchNorm": [Change("zero", "layer1.1.bn1", (2,))],
    "an activation": [Change("zero", "layer2.1.relu1", (0, 7))],
    "an activation that goes on beside": [Change("zero", "relu", (0, 7))],
    "what a linear layer takes": [Change("zero", "layer3", (1, 60))],
    "the classes": [Change("zero", "linear", (2,))],
    "all of a branch": [Change("zero", "layer2.1.bn2")],
    "weights": [
        Change("shuffle", "layer1.2"),
        Change("forget", "layer3.0"),
        Change("reinitialise", "layer2.2", seed=2),
    ],
    "statistics": [Change("zero", "layer1.0.bn1", (1,)), Change("recalibrate", "layer3")],
}


def wandering(network: nn.Module) -> nn.Module:
    """Biases and statistics are drawn, too: zeros would hide a bias that was left."""
    generator = torch.Generator().manual_seed(8)
    for name, value in network.state_dict().items():
        if name.endswith(("bias", "running_mean")):
            value.normal_(std=0.3, generator=generator)
    return network


@pytest.fixture(scope="module")
def cifar(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    from safetensors.torch import save_file

    from interpret.architectures.cifar_resnet import cifar_resnet

    network = wandering(cifar_resnet(20, classes=8, generator=torch.Generator().manual_seed(3)))
    path = tmp_path_factory.mktemp("checkpoints") / "small.safetensors"
    said = {"arch": "cifar_resnet20", "labels": '["ant", "bee", "cow", "doe", "elk", "fox", "gnu", "hen"]'}
    save_file(network.state_dict(), path, said)
    return load_model(path, device="cpu", preprocess={"mean": (0.4, 0.5, 0.6), "resize": 40})


def agree(model: LoadedModel, changes: list[Change], path: Path) -> LoadedModel:
    with nothing_left_behind(model):
        export(model, changes, path, images=images(2))
    opened = load_model(path, device="cpu")
    expected = changed(model, changes, images=images(2))
    batch = torch.cat([model.preprocess.to_batch(image) for image in images(4)])
    assert opened.preprocess == model.preprocess and opened.labels == model.labels
    assert opened.architecture.key == model.architecture.key
    wanted, found = scores(expected, batch), scores(opened, batch)
    assert float((found - wanted).abs().max()) <= 1e-5 * float(wanted.abs().max())
    assert float((scores(model, batch) - wanted).abs().max()) > 1e-4 * float(wanted.abs().max())
    return opened


@pytest.mark.parametrize("name", CHANGES)
def test_it_answers_as_the_changed_network(cifar: LoadedModel, name: str, tmp_path: Path) -> None:
    agree(cifar, CHANGES[name], tmp_path / "it.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["it.safetensors"]


def test_through_pooling_and_flattening(tmp_path: Path) -> None:
    """SqueezeNet's convolutions feed two convolutions each; AlexNet's last map goes through pooling into a matrix."""
    from safetensors.torch import save_file
    from torchvision.models import alexnet, squeezenet1_1

    torch_seed = torch.get_rng_state()
    torch.manual_seed(0)
    squeeze, alex = squeezenet1_1(num_classes=5), alexnet(num_classes=5)
    torch.set_rng_state(torch_seed)
    for network, arch, some in (
        (
            squeeze,
            "squeezenet1_1",
            [Change("zero", "features.3.squeeze_activation", (1, 2)), Change("zero", "features.2", (9,))],
        ),
        (alex, "alexnet", [Change("zero", "avgpool", (0, 255)), Change("zero", "features.8", (4,))]),
    ):
        path = tmp_path / f"{arch}.safetensors"
        save_file(wandering(network).state_dict(), path, {"arch": arch})
        model = load_model(path, device="cpu", preprocess={"size": (64, 64), "resize": 64})
        agree(model, some, tmp_path / "it.safetensors")


class Twofold(nn.Module):
    """A convolution that is heard before its ReLU, too: its weights cannot say that the ReLU is silent."""

    def __init__(self, both: bool) -> None:
        super().__init__()
        self.conv, self.relu, self.after = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1)
        self.norm, self.head, self.both = nn.BatchNorm2d(4), nn.Linear(4, 5), both

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        z = self.relu(y)
        return self.head((y + self.after(z) + (self.norm(z) if self.both else 0)).mean((2, 3)))


def test_weights_that_only_seem_to_say_it_are_not_taken() -> None:
    change = Change("zero", "relu", (1, 3))
    model = look_into(wandering(Twofold(False)), classes=5)
    found, batch = _zeroed(model, change), torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    wanted = scores(changed(model, [change]), batch)
    assert float((scores(found, batch) - wanted).abs().max()) < 1e-5
    assert not torch.allclose(wanted, scores(model, batch), atol=1e-4)
    assert not found._network.after.weight[:, [1, 3]].any()  # type: ignore[union-attr, index]
    with pytest.raises(BadInput, match="Weights cannot say what it is to zero channels 1, 3 of relu"):
        _zeroed(look_into(wandering(Twofold(True)), classes=5), change)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (Change("zero", "layer2.0", (1,)), "Weights cannot say what it is to zero channel 1 of layer2.0"),
        (Change("bypass", "layer1.1"), "Only zeroed channels and changed weights can be exported"),
        (Change("zero", "layer1.0.bn1", (99,)), "Channel 99 does not exist"),
    ],
)
def test_what_weights_cannot_say(cifar: LoadedModel, change: Change, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=sentence):
        export(cifar, [change], tmp_path / "it.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_networks_and_places_that_cannot_be_written(cifar: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Export the network as it was loaded"):
        export(changed(cifar, [Change("zero", "linear")]), [], tmp_path / "it.safetensors")
    wide = cifar.reopened(cifar.preprocess.__class__((32, 40), 40))
    with pytest.raises(BadInput, match="A checkpoint cannot say that pictures are"):
        export(wide, [], tmp_path / "it.safetensors")
    with pytest.raises(BadInput, match="could not be written"):
        export(cifar, [], tmp_path / "nowhere" / "it.safetensors")
    (tmp_path / "taken").mkdir()
    with pytest.raises(BadInput, match="could not be written"):
        export(cifar, [], tmp_path / "taken")
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]

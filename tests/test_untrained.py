"""The untrained twin: what its weights follow from, that its signals live, and that the original is left alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from interpret.datasets import sample_picture
from interpret.model import LoadedModel
from tests.conftest import convnext, look_into, noise_picture, nothing_left_behind
from tests.families import FAMILIES, random_network

IMAGES = [noise_picture(seed) for seed in range(3)]


def test_weights_follow_from_the_seed(trap: LoadedModel, pictures: torch.Tensor) -> None:
    with nothing_left_behind(trap):
        first, again, other = (trap.untrained(IMAGES, seed) for seed in (0, 0, 1))
    torch.manual_seed(5)
    third = trap.untrained(IMAGES)
    for name, value in first._network.state_dict().items():
        assert torch.equal(value, again._network.state_dict()[name]), name
        assert torch.equal(value, third._network.state_dict()[name]), name
        if value.ndim > 1:
            assert not torch.equal(value, other._network.state_dict()[name]), name
            assert not torch.equal(value, trap._network.state_dict()[name]), name
    scores = [model.observe(pictures).scores for model in (trap, first, other)]
    assert all(score is not None for score in scores)
    assert not torch.allclose(scores[0], scores[1]) and not torch.allclose(scores[1], scores[2])  # type: ignore[arg-type]


def test_every_twin_has_a_digest_of_its_own(trap: LoadedModel) -> None:
    twins = [trap.untrained(IMAGES, 0), trap.untrained(IMAGES, 1), trap.untrained(IMAGES[:2], 0)]
    assert len({trap.digest, *(twin.digest for twin in twins)}) == 4
    assert trap.untrained(IMAGES, 0).digest == twins[0].digest
    assert twins[0].untrained(IMAGES, 0).digest != twins[0].digest
    assert twins[0].name == "trap, untrained" and trap.name == "trap"
    assert twins[0].layers == trap.layers and twins[0].labels == trap.labels


def test_parameters_are_as_he_and_others_say() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 256, 5), nn.BatchNorm2d(256), nn.Conv2d(256, 64, 3, groups=4), nn.Flatten(), nn.Linear(64 * 36, 50)
    )
    network[1].weight.data.fill_(7)
    network[1].bias.data.fill_(7)
    twin = look_into(network, 50).untrained(IMAGES, 3)._network
    for layer, inputs in (("0", 75), ("2", 64 * 9), ("4", 64 * 36)):
        weight = twin.get_submodule(layer).weight
        assert weight.std() == pytest.approx((2 / inputs) ** 0.5, rel=0.03) and abs(weight.mean()) < 0.01
        assert not twin.get_submodule(layer).bias.any()
    norm = twin.get_submodule("1")
    assert torch.equal(norm.weight, torch.ones(256)) and not norm.bias.any()


def test_batchnorms_statistics_are_those_of_the_pictures(trap: LoadedModel) -> None:
    twin = trap.untrained(IMAGES)
    assert isinstance(twin._network.bn1, nn.BatchNorm2d)
    batch = torch.cat([trap.preprocess.to_batch(image) for image in IMAGES])
    maps = twin.observe(batch, ["conv1", "bn1", "conv2"])
    first, second = twin._network.bn1, twin._network.bn2
    torch.testing.assert_close(first.running_mean, maps["conv1"].mean((0, 2, 3)), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(first.running_var, maps["conv1"].var((0, 2, 3)), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(second.running_mean, maps["conv2"].mean((0, 2, 3)), atol=0.002, rtol=0.01)
    torch.testing.assert_close(second.running_var, maps["conv2"].var((0, 2, 3)), atol=0.002, rtol=0.01)
    for norm in (first, second):
        assert not norm.training and norm.momentum == 0.1
    torch.testing.assert_close(maps["bn1"].mean((0, 2, 3)), torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(maps["bn1"].var((0, 2, 3)), torch.ones(6), atol=1e-3, rtol=0)


def test_a_batchnorm_that_is_called_twice_keeps_the_mean_of_both_calls() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3)
            self.head = nn.Linear(3, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head((self.norm(x) + self.norm(3 * x + 1)).mean((2, 3)))

    model = look_into(Twice(), 5)
    norm = model.untrained(IMAGES)._network.norm
    assert isinstance(norm, nn.BatchNorm2d)
    batch = torch.cat([model.preprocess.to_batch(image) for image in IMAGES])
    torch.testing.assert_close(norm.running_mean, 2 * batch.mean((0, 2, 3)) + 0.5)


@pytest.mark.parametrize("key", ["resnet50", "mobilenet_v2"])
def test_signals_neither_vanish_nor_explode(key: str) -> None:
    model = look_into(random_network(next(family for family in FAMILIES if family.key == key)), 7, (64, 64))
    images = [sample_picture(name) for name in ("flower.jpg", "china.jpg")]
    twin = model.untrained(images)
    batch = torch.cat([model.preprocess.to_batch(image) for image in images])
    maps = [layer.name for layer in model.layers if layer.is_spatial]
    tape = twin.observe(batch, maps, until="scores")
    for layer in maps:
        assert 1e-3 < float(tape[layer].std()) < 1e3, layer
    assert tape.scores is not None and 1e-3 < float(tape.scores.std()) < 1e3
    assert (tape.scores[0] - tape.scores[1]).abs().max() > 1e-3  # it still tells pictures apart


def test_a_network_with_scales_of_branches() -> None:
    """ConvNeXt multiplies its branches by a vector of small numbers, which is no weight and stays."""
    model = look_into(convnext(), 3, (64, 64))
    twin = model.untrained([noise_picture(0, 64, 64), noise_picture(1, 64, 64)])
    before, after = model._network.state_dict(), twin._network.state_dict()
    scales = [name for name in before if name.endswith("layer_scale")]
    assert len(scales) == 18
    assert all(torch.equal(before[name], after[name]) for name in scales)
    scores = twin.predict([noise_picture(3, 64, 64)])[0].scores
    assert (abs(scores) < 1e3).all() and scores.std() > 1e-3

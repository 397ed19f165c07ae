"""BatchNorm folded into convolutions: every layer answers as before, in every family, and nothing shared is changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from interpret.folding import foldable
from interpret.model import LoadedModel
from tests.conftest import TrapNetwork, look_into, nothing_left_behind
from tests.families import FAMILIES, random_network

SIDE = 64
PAIRS = {
    "resnet18": 20,
    "vgg16": 0,
    "mobilenet_v2": 52,
    "densenet121": 59,
    "googlenet": 57,
    "inception_v3": 94,
    "efficientnet_b0": 49,
    "shufflenet_v2_x1_0": 56,
    "squeezenet1_1": 0,
    "timm/efficientnet_b0": 49,
}
"""How many convolutions are followed by a BatchNorm of their own, counted in the libraries' sources."""


def pairs_of(model: LoadedModel, keep: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    return foldable(model._network, model.layers, keep)


def assert_same_answers(model: LoadedModel, batch: torch.Tensor, layers: list[str]) -> None:
    """Of a private copy made for each layer alone, and of one for all of them."""
    plain = model.observe(batch, layers, until="scores")
    together = model.folded(layers).observe(batch, layers, until="scores")
    assert plain.scores is not None and together.scores is not None
    torch.testing.assert_close(together.scores, plain.scores, atol=1e-3 * float(plain.scores.abs().max()), rtol=0)
    for layer in layers:
        alone = model.folded([layer]).observe(batch, [layer])[layer]
        allowed = 1e-4 * float(plain[layer].abs().max())
        assert plain[layer].std() > 0
        torch.testing.assert_close(alone, plain[layer], atol=allowed, rtol=0, msg=layer)
        torch.testing.assert_close(together[layer], plain[layer], atol=allowed, rtol=0, msg=layer)


def test_every_layer_of_the_trap_answers_the_same(trap: LoadedModel, pictures: torch.Tensor) -> None:
    with nothing_left_behind(trap):
        assert pairs_of(trap) == [("conv1", "bn1"), ("conv2", "bn2")]
        assert_same_answers(trap, pictures, [layer.name for layer in trap.layers])


def test_what_is_asked_for_is_not_folded(trap: LoadedModel) -> None:
    assert pairs_of(trap, ("conv1",)) == [("conv2", "bn2")]
    assert pairs_of(trap, ("conv1", "conv2", "relu")) == []
    assert pairs_of(trap, ("bn1", "relu:1")) == [("conv1", "bn1"), ("conv2", "bn2")]
    kept = trap.folded(["conv1"])._network
    assert isinstance(kept.bn1, nn.BatchNorm2d) and not isinstance(kept.bn2, nn.BatchNorm2d)


def test_the_folded_numbers_are_the_formula(trap: LoadedModel) -> None:
    plain, private = trap._network.state_dict(), trap.folded(["head"])._network.state_dict()
    for number in (1, 2):
        norm = {key: plain[f"bn{number}.{key}"] for key in ("weight", "bias", "running_mean", "running_var")}
        gain = norm["weight"] / (norm["running_var"] + 1e-5).sqrt()
        weight = plain[f"conv{number}.weight"] * gain.view(-1, 1, 1, 1)
        torch.testing.assert_close(private[f"conv{number}.weight"], weight)
        bias = (plain[f"conv{number}.bias"] - norm["running_mean"]) * gain + norm["bias"]
        torch.testing.assert_close(private[f"conv{number}.bias"], bias)
        assert not [key for key in private if key.startswith(f"bn{number}.")]


def test_what_is_not_folded_is_shared(trap: LoadedModel) -> None:
    private = trap.folded(["conv2"])._network
    assert private.head.weight is trap._network.head.weight
    assert private.conv2.weight is trap._network.conv2.weight
    assert private.conv1.weight is not trap._network.conv1.weight
    assert not any(parameter.requires_grad for parameter in private.parameters())
    assert not any(module.training for module in private.modules())


@pytest.mark.parametrize("key", PAIRS)
def test_families_answer_the_same(key: str) -> None:
    family = next(family for family in FAMILIES if family.key == key)
    side = 80 if key == "inception_v3" else SIDE
    model = look_into(random_network(family), 7, (side, side))
    pairs = pairs_of(model)
    assert len(pairs) == PAIRS[key] and len({name for pair in pairs for name in pair}) == 2 * len(pairs)
    maps = [layer.name for layer in model.layers if layer.layout != "other"]
    layers = sorted({*maps[:: max(1, len(maps) // 12)], family.layer, family.early}, key=maps.index)
    batch = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with nothing_left_behind(model):
        assert_same_answers(model, batch, layers)


def test_vgg_with_batchnorm() -> None:
    from torchvision.models import vgg11_bn

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = vgg11_bn(num_classes=3)
        network.classifier = nn.Linear(512 * 7 * 7, 3)
    generator = torch.Generator().manual_seed(0)
    ranges = {"running_var": (0.5, 2), "running_mean": (-0.1, 0.1), "weight": (0.5, 1.5), "bias": (-0.3, 0.3)}
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for name, (low, high) in ranges.items():
                getattr(module, name).data.uniform_(low, high, generator=generator)
    model = look_into(network, 3, (32, 32))
    assert len(pairs_of(model)) == 8
    batch = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert_same_answers(model, batch, [f"features.{number}" for number in range(0, 29, 3)])


class Small(nn.Module):
    """A convolution and its BatchNorm, and what a subclass does with them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 5)
        generator = torch.Generator().manual_seed(0)
        for name, value in self.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape, generator=generator))
            if name.endswith("running_var"):
                value.abs_().add_(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stem(x).mean((2, 3)))

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x))


class UsedElsewhere(Small):
    def stem(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return self.norm(y) + y


class Twice(Small):
    """The convolution is called again without its BatchNorm."""

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x)) * self.conv(x + 1)


class NormTwice(Small):
    def stem(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.norm(self.conv(x)))


class Rectified(Small):
    def stem(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(functional.relu(self.conv(x)))


class Scaled(Small):
    def stem(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x) * 2 + 0.1)


class ScaledInPlace(Small):
    def stem(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x).mul_(0.5))


class WeightsRead(Small):
    """The forward pass also reads the convolution's weights, which no layer tells."""

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x)) * self.conv.weight.norm()


class Hidden(Small):
    """The convolution's answer is changed behind the back of anything that follows the pass."""

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        values = y.detach().numpy()
        values += 1
        values **= 2
        return self.norm(y)


@pytest.mark.parametrize(
    "kind", [UsedElsewhere, Twice, NormTwice, Rectified, Scaled, ScaledInPlace, WeightsRead, Hidden]
)
def test_networks_that_do_something_else_between_answer_the_same(
    kind: Callable[[], Small], pictures: torch.Tensor
) -> None:
    model = look_into(kind(), classes=5)
    assert_same_answers(model, pictures, ["norm", "head"])


@pytest.mark.parametrize("kind", [UsedElsewhere, Twice, NormTwice, Rectified, Scaled, ScaledInPlace])
def test_what_a_pass_shows_to_be_used_otherwise_is_no_pair(kind: Callable[[], Small]) -> None:
    assert pairs_of(look_into(kind(), classes=5)) == []
    assert pairs_of(look_into(Small(), classes=5)) == [("conv", "norm")]


@pytest.mark.parametrize("kind", [WeightsRead, Hidden])
def test_a_difference_is_found_by_comparison_and_the_copy_is_not_folded(
    kind: Callable[[], Small], pictures: torch.Tensor
) -> None:
    model = look_into(kind(), classes=5)
    assert pairs_of(model, ("head",)) == [("conv", "norm")]
    private = model.folded(["head"])
    assert isinstance(private._network.norm, nn.BatchNorm2d)
    kept, plain = (one.observe(pictures, ["head"])["head"] for one in (private, model))
    assert torch.equal(kept, plain)


def test_a_batchnorm_without_statistics_or_weights_of_its_own() -> None:
    for kind in (nn.BatchNorm2d(4, affine=False), nn.BatchNorm2d(4, track_running_stats=False)):
        network = Small()
        network.norm = kind
        if kind.running_mean is not None:
            kind.running_mean.copy_(torch.tensor([1.0, -1, 0.5, 2]))
        model = look_into(network, classes=5)
        assert len(pairs_of(model)) == (kind.running_mean is not None)
        batch = torch.randn(3, 3, 12, 12, generator=torch.Generator().manual_seed(2))
        assert_same_answers(model, batch, ["norm", "head"])


def test_the_copy_records_as_the_original_does(trap: LoadedModel, pictures: torch.Tensor) -> None:
    """Edits, gradients and both calls of a module go on as before."""
    private = trap.folded(["bn2", "relu:1"])
    batch = pictures.clone().requires_grad_()
    found = []
    for model in (trap, private):
        tape = model.trace(batch, ["bn2", "relu:1"], edit={"relu": lambda x: x * 2}, until="scores")
        assert tape.scores is not None
        (gradient,) = torch.autograd.grad(tape.scores[:, 1].sum(), batch)
        found.append((tape["bn2"], tape["relu:1"], tape.scores, gradient))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert isinstance(TrapNetwork().bn1, nn.BatchNorm2d) and isinstance(trap._network.bn1, nn.BatchNorm2d)

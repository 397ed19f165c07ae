"""What is shown of blocks, places, kernels and channels, against closed forms, finite differences and plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from interpret.activations import ActivationMaps, activations, channel_statistics, class_links
from interpret.anatomy import anatomy
from interpret.datasets import sample_picture
from interpret.errors import BadInput, UnknownName
from interpret.kernels import unit_kernel
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.pixels import unit_at
from tests.conftest import TrapNetwork, look_into, noise_picture, nothing_left_behind, trap_reference
from tests.families import FAMILIES, random_network
from tests.reference import every_answer

SIDE = 64
FLOWER = sample_picture("flower.jpg")
Loader = Callable[[str], tuple[LoadedModel, nn.Module]]


@pytest.fixture(scope="module")
def loaded() -> Loader:
    """Networks of the families with random weights, each built once, and the plain network."""
    known: dict[str, tuple[LoadedModel, nn.Module]] = {}

    def load(key: str) -> tuple[LoadedModel, nn.Module]:
        if key not in known:
            network = random_network(next(family for family in FAMILIES if family.key == key))
            known[key] = look_into(network, 7, (SIDE, SIDE)), network
        return known[key]

    return load


def answers(model: LoadedModel, network: nn.Module) -> dict[str, torch.Tensor]:
    return every_answer(network, model.preprocess.to_batch(FLOWER))


def strength(values: torch.Tensor) -> np.ndarray:
    return values[0].square().mean(0).sqrt().numpy()


def test_the_branches_of_a_residual_block_are_those_that_are_added(loaded: Loader) -> None:
    model, network = loaded("resnet18")
    expected = answers(model, network)
    with nothing_left_behind(model):
        found = anatomy(model, FLOWER, model.block("layer2.0.conv1"))
    (meeting,) = found.meetings
    assert [piece.layer.name for piece in meeting.branches if piece.layer] == ["layer2.0.bn2", "layer2.0.downsample"]
    for piece in (*meeting.branches, *found.steps):
        assert piece.layer is not None
        of = expected[piece.layer.name]
        np.testing.assert_allclose(piece.strength, strength(of), rtol=1e-3, atol=1e-4)
        assert piece.norm == pytest.approx(float(of.norm()), rel=1e-3) and piece.channels == of.shape[1]
    branch, shortcut = (expected[name] for name in ("layer2.0.bn2", "layer2.0.downsample"))
    np.testing.assert_allclose(meeting.result.strength, strength(branch + shortcut), rtol=1e-3, atol=1e-4)
    assert found.branch_ratio == pytest.approx(float(branch.norm() / shortcut.norm()), rel=1e-3)
    assert [name.rpartition(".")[2] for name in meeting.steps[0]] == ["conv1", "bn1", "relu", "conv2", "bn2"]
    assert meeting.steps[1] == ("layer2.0.downsample.0", "layer2.0.downsample.1")


def test_an_inception_module_has_its_four_branches_side_by_side(loaded: Loader) -> None:
    model, network = loaded("googlenet")
    expected = answers(model, network)
    found = anatomy(model, FLOWER, model.block("inception4a"))
    (meeting,) = found.meetings
    assert [piece.channels for piece in meeting.branches] == [192, 208, 48, 64]  # Szegedy et al. 2015, table 1
    assert meeting.join.kind == "concatenation" and meeting.result.channels == 512
    np.testing.assert_allclose(meeting.result.strength, strength(expected["inception4a"]), rtol=1e-3, atol=1e-4)
    assert found.branch_ratio is None


def test_the_gate_is_what_channels_are_multiplied_by(loaded: Loader) -> None:
    model, network = loaded("timm/seresnet50")
    expected = answers(model, network)
    found = anatomy(model, FLOWER, model.block("layer1.0"))
    gated = next(meeting for meeting in found.meetings if meeting.gate is not None)
    ratio = expected["layer1.0.se"][0] / expected["layer1.0.bn3"][0]
    assert gated.gate is not None and gated.gate.shape == (256,)
    np.testing.assert_allclose(gated.gate, ratio.flatten(1).median(1).values.numpy(), rtol=1e-3)
    assert ((gated.gate > 0) & (gated.gate < 1)).all()


def test_batchnorm_is_shown_beside_what_this_picture_brings(loaded: Loader) -> None:
    model, network = loaded("resnet18")
    came = answers(model, network)["layer3.0.conv1"][0]
    found = anatomy(model, FLOWER, model.block("layer3.0"))
    (each,) = (each for each in found.normalisations if each.layer.name == "layer3.0.bn1")
    module = network.get_submodule("layer3.0.bn1")
    assert isinstance(module, nn.BatchNorm2d)
    for values, stored in (
        (each.kept.mean, module.running_mean),
        (each.kept.variance, module.running_var),
        (each.kept.gamma, module.weight),
        (each.kept.beta, module.bias),
    ):
        assert stored is not None
        np.testing.assert_array_equal(values, stored.numpy())
    assert each.mean is not None and each.variance is not None
    np.testing.assert_allclose(each.mean, came.mean((1, 2)), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(each.variance, came.var((1, 2), correction=0), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("key", [f.key for f in FAMILIES if f.key in ("densenet121", "shufflenet_v2_x1_0", "vgg16")])
def test_every_block_of_other_networks_can_be_opened(loaded: Loader, key: str) -> None:
    model, _ = loaded(key)
    for block in model.blocks[::4]:
        found = anatomy(model, FLOWER, block)
        assert found.steps and all(np.isfinite(piece.strength).all() for piece in found.steps)


@pytest.mark.parametrize(
    "key", ["resnet18", "resnext50_32x4d", "mobilenet_v2", "convnext_tiny", "timm/efficientnet_b0", "alexnet"]
)
def test_patch_times_kernel_is_the_networks_number(loaded: Loader, key: str) -> None:
    """For plain, grouped, depthwise and strided convolutions, in the middle and at the rim."""
    model, network = loaded(key)
    expected = answers(model, network)
    convolutions = [layer for layer in model.layers if layer.kernel and layer.layout == "channels first"]
    for layer in convolutions[:: max(1, len(convolutions) // 4)]:
        for row, column in ((0, 0), (layer.rows // 2, layer.columns - 1)):
            channel = layer.channels - 1
            found = unit_at(model, FLOWER, layer.name, channel, row, column)
            true = float(expected[layer.name][0, channel, row, column])
            largest = float(expected[layer.name].abs().max())
            assert found.value == pytest.approx(true, abs=1e-4 * largest)
            assert found.arithmetic is not None
            assert found.arithmetic.total == pytest.approx(true, abs=1e-4 * largest)
            assert (found.arithmetic.patch[:, ~found.arithmetic.inside] == 0).all()


def test_padding_and_weights_made_inside_a_module_are_seen_as_they_are_used() -> None:
    class Unusual(nn.Conv2d):
        """Pads by itself, below and to the right, and standardises its weights, as some networks do."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
            return nn.functional.conv2d(nn.functional.pad(x, (0, 1, 0, 1)), weight, self.bias, self.stride)

    network = nn.Sequential(Unusual(3, 4, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    model = look_into(network, 5)
    image = noise_picture(3)
    expected = every_answer(network, model.preprocess.to_batch(image))["0"]
    for row, column in ((0, 0), (4, 4), (2, 1)):
        found = unit_at(model, image, "0", 2, row, column)
        assert found.arithmetic is not None
        assert found.arithmetic.total == pytest.approx(float(expected[0, 2, row, column]), abs=1e-5)


def test_influence_is_what_small_changes_of_the_input_do() -> None:
    """Against central differences of the float64 reference, and nothing outside the receptive field."""
    network = TrapNetwork()
    model = look_into(network, 5)
    image = noise_picture(5)
    batch = model.preprocess.to_batch(image).double()
    with nothing_left_behind(model):
        found = unit_at(model, image, "conv2", 1, 3, 7)
    step = 1e-6
    around = torch.eye(3 * 144, dtype=torch.float64).reshape(-1, 3, 12, 12) * step
    ahead, behind = (trap_reference(network, batch + sign * around)["conv2"][:, 1, 3, 7] for sign in (1, -1))
    slope = ((ahead - behind) / (2 * step)).reshape(3, 12, 12)
    np.testing.assert_allclose(found.influence, slope.abs().sum(0).numpy(), atol=1e-4)
    assert found.box == (5, 1, 10, 6)
    outside = np.ones((12, 12), bool)
    outside[1:6, 5:10] = False
    assert (found.influence[outside] == 0).all() and found.influence[~outside].max() > 0
    assert 0 < found.concentration <= 0.5
    assert not found.influence.flags.writeable


def test_places_that_do_not_exist_are_refused(trap: LoadedModel) -> None:
    for channel, row, column in ((6, 0, 0), (0, 12, 0), (0, 0, -1)):
        with pytest.raises(BadInput, match='Layer "conv1" has 6 channels of 12 x 12 places'):
            unit_at(trap, noise_picture(0), "conv1", channel, row, column)
    with pytest.raises(UnknownName):
        unit_at(trap, noise_picture(0), "conv9", 0, 0, 0)
    assert unit_at(trap, noise_picture(0), "head", 2, 0, 0).arithmetic is None


@pytest.mark.parametrize(
    ("key", "layer", "channel"),
    [
        ("resnet18", "layer2.1", 5),  # a sum: the branch's last convolution
        ("googlenet", "inception4a", 230),  # a concatenation: the second branch
        ("densenet121", "features.denseblock1.denselayer3.conv1", 7),  # listens to a list of layers
        ("timm/seresnet50", "layer1.1.se", 3),  # behind a gate
        ("mobilenet_v2", "features.3.conv.1.2", 9),  # depthwise
        ("convnext_tiny", "features.1.0.block.3", 4),  # a linear layer on the last axis
    ],
)
def test_a_kernels_inputs_are_the_channels_that_move_it(loaded: Loader, key: str, layer: str, channel: int) -> None:
    """Adding to an input's channel changes the convolution's answer by just what the weights say."""
    model, _ = loaded(key)
    kernel = unit_kernel(model, layer, channel)
    assert kernel is not None
    strengths = [each.strength for each in kernel.inputs]
    assert strengths == sorted(strengths, reverse=True) and len(strengths) == len(kernel.weights)
    batch = model.preprocess.to_batch(FLOWER)
    before = kernel.layer.channels_first(model.observe(batch, [kernel.layer.name])[kernel.layer.name])
    for each in (kernel.inputs[0], kernel.inputs[-1]):
        assert each.layer and each.channel is not None
        source = model.layer(each.layer)

        def added(output: torch.Tensor, source: LayerInfo = source, at: int = each.channel) -> torch.Tensor:
            output = output.clone()
            source.channels_first(output)[:, at] += 10.0
            return output

        tape = model.observe(batch, [kernel.layer.name], edit={each.layer: added})
        changed = (kernel.layer.channels_first(tape[kernel.layer.name]) - before)[0, kernel.channel]
        row, column = kernel.layer.rows // 2, kernel.layer.columns // 2
        assert float(changed[row, column]) == pytest.approx(10 * float(each.weights.sum()), abs=2e-3)


def test_the_first_layer_listens_to_the_picture(loaded: Loader) -> None:
    model, network = loaded("resnet18")
    kernel = unit_kernel(model, "relu", 17)
    assert kernel is not None and (kernel.layer.name, kernel.channel) == ("conv1", 17)
    assert {(each.layer, each.channel) for each in kernel.inputs} == {("", 0), ("", 1), ("", 2)}
    np.testing.assert_array_equal(kernel.weights, network.get_submodule("conv1").weight[17].numpy())  # type: ignore[union-attr,index]


def test_no_kernel_is_claimed_where_channels_are_shuffled(loaded: Loader) -> None:
    model, _ = loaded("shufflenet_v2_x1_0")
    assert unit_kernel(model, "stage2.1", 3) is None
    with pytest.raises(BadInput, match="has no kernel for a channel"):
        model.kernel("stage2.1", 0)


def made_of(values: np.ndarray) -> ActivationMaps:
    layer = LayerInfo("x", "ReLU6", values.shape, "channels first", 0, 1, 0, False)
    return ActivationMaps(layer, "", values.astype(np.float32))


def test_dead_and_saturated_channels_are_told_from_the_rest() -> None:
    places = np.linspace(0, 1, 16).reshape(4, 4)
    values = np.stack([np.zeros((4, 4)), np.minimum(12 * places, 6), places, -places, np.full((4, 4), 3.0), places * 0])
    values[5, 0, 0] = np.nan
    said = channel_statistics(made_of(values))
    assert said.dead.tolist() == [True, False, False, False, False, False]
    assert said.saturated.tolist() == [False, True, False, False, True, False]
    np.testing.assert_allclose(said.means[:5], values[:5].mean((1, 2)), rtol=1e-6)
    np.testing.assert_allclose(said.maxima, [0, 6, 1, 0, 3, 0])
    np.testing.assert_allclose(said.zeros, [1, 1 / 16, 1 / 16, 1 / 16, 0, 15 / 16])
    nothing = channel_statistics(made_of(np.full((1, 2, 2), np.nan)))
    assert np.isnan(nothing.means[0]) and np.isnan(nothing.maxima[0]) and not nothing.dead[0]


def test_links_add_up_to_the_score_where_what_follows_is_linear(trap: LoadedModel) -> None:
    """Behind the pool stands a linear layer: its terms are the links, and their sum with the bias is the score."""
    image = noise_picture(2)
    with nothing_left_behind(trap):
        links = class_links(trap, image, "relu:1", 3)
    weights = trap.kernel("head", 3)[:, 0, 0]
    means = activations(trap, image, ["relu:1"])[0].values.mean((1, 2))
    np.testing.assert_allclose(links, weights * means, rtol=1e-4, atol=1e-6)
    bias = float(trap._network.head.bias[3])  # type: ignore[union-attr,index]
    assert float(links.sum()) + bias == pytest.approx(float(trap.predict([image])[0].scores[3]), abs=1e-4)


def test_a_link_is_the_first_order_effect_of_turning_a_channel_down(trap: LoadedModel) -> None:
    image = noise_picture(4)
    batch = trap.preprocess.to_batch(image)
    links = class_links(trap, image, "conv1", 1)
    score = float(trap.predict([image])[0].scores[1])
    for channel in range(6):

        def smaller(output: torch.Tensor, channel: int = channel) -> torch.Tensor:
            output = output.clone()
            output[:, channel] *= 1 - 1e-3
            return output

        tape = trap.observe(batch, edit={"conv1": smaller}, until="scores")
        assert tape.scores is not None
        assert (score - float(tape.scores[0, 1])) / 1e-3 == pytest.approx(float(links[channel]), abs=5e-3)


def test_a_layer_the_score_does_not_depend_on_has_no_link() -> None:
    class TwoHeads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head, self.box = nn.Conv2d(3, 6, 3), nn.Linear(6, 5), nn.Linear(6, 4)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            means = self.conv(x).mean((2, 3))
            return {"boxes": self.box(means), "classes": self.head(means)}

    model = look_into(TwoHeads(), 5)
    assert (class_links(model, noise_picture(0), "box", 1) == 0).all()
    assert np.abs(class_links(model, noise_picture(0), "conv", 1)).max() > 0

"""Receptive fields, multiply-adds, joins and blocks, against published tables, torch's counter and closed forms."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from interpret.flow import Follow, Origin
from interpret.loading import load_model
from interpret.model import LoadedModel
from tests.conftest import REPOSITORY, look_into, noise_picture, nothing_left_behind
from tests.families import FAMILIES, Family, random_network
from tests.reference import assert_every_layer_is, assert_fields_are_what_reaches


def family(key: str) -> Family:
    return next(known for known in FAMILIES if known.key == key and not known.auxiliary)


@pytest.fixture(scope="module")
def resnet50() -> LoadedModel:
    return look_into(random_network(family("resnet50")), 7, (224, 224))


@pytest.mark.parametrize(
    ("key", "layer", "field"),
    [
        ("alexnet", "features.12", 195),
        ("vgg16", "features.30", 212),
        ("timm/legacy_seresnet50", "layer4", 483),  # strides as in the first ResNet-50
        ("inception_v3", "Mixed_7c", 1311),
    ],
)
def test_fields_are_those_of_the_published_table(key: str, layer: str, field: int) -> None:
    """Araujo, Norris, Sim 2019, "Computing Receptive Fields of Convolutional Neural Networks", Distill, table."""
    side = 224 if key != "inception_v3" else 299
    reach = look_into(random_network(family(key)), 7, (side, side)).layer(layer).reach
    assert reach is not None and reach.size == (field, field)


def test_multiply_adds_are_the_published_ones(resnet50: LoadedModel) -> None:
    """4.09 thousand million for ResNet-50 (torchvision's table of weights); each stage as counted from its shapes."""
    total = sum(layer.multiply_adds for layer in resnet50.layers if "." not in layer.name)
    assert round(total / 1e9, 2) == 4.09
    assert resnet50.layer("conv1").multiply_adds == 112 * 112 * 64 * 3 * 7 * 7
    assert resnet50.layer("layer1.0.conv2").multiply_adds == 56 * 56 * 64 * 64 * 9
    for name in ("layer1.0", "layer3"):
        inside = [layer for layer in resnet50.layers if layer.name.startswith(f"{name}.") and layer.kernel]
        assert resnet50.layer(name).multiply_adds == sum(layer.multiply_adds for layer in inside) > 0


@pytest.mark.parametrize("name", ["shapes-clean", "shapes-shortcut"])
def test_shortcuts_that_pad_channels_are_followed(name: str) -> None:
    model = load_model(REPOSITORY / "checkpoints" / f"{name}.safetensors", device="cpu")
    assert_fields_are_what_reaches(model, model._network)
    assert not any(layer.reach.everywhere for layer in model.layers if layer.reach)
    assert model.layer("layer2.0.shortcut").reach.box(0, 0, 0) == (0, 0, 0, 0), "a channel of zeros sees nothing"  # type: ignore[union-attr]


class Peculiar(nn.Module):
    """What no library's classifier does, all at once."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=2, dilation=2)
        self.pool = nn.AvgPool2d(3, 2, ceil_mode=True)
        self.wide = nn.Conv2d(8, 8, (1, 5), padding=(0, 2), groups=4)
        self.high = nn.Conv2d(4, 8, (3, 1), padding=(1, 0), groups=4)
        self.norm = nn.GroupNorm(2, 8)
        self.last = nn.AdaptiveMaxPool2d((3, 4))
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.pad(self.first(x), (1, 0, 2, 0))
        x = functional.leaky_relu(self.pool(x))[:, :, 1:, ::1]
        one, two = self.wide(x).chunk(2, dim=1)
        x = torch.cat([one, self.high(two)[:, 4:]], 1) + x.flip(3)
        x = self.last(torch.where(x > 0, x, 0.1 * x))
        return self.head(self.norm(x).mean((2, 3)))


def test_what_is_not_understood_is_said_to_be_unknown_and_the_rest_is_right() -> None:
    network = Peculiar()
    model = look_into(network, 5, (31, 29))
    for name in ("first", "pool", "wide", "high"):
        assert model.layer(name).reach is not None
    assert model.layer("last").reach is None, "flip and where move or choose places; nothing is guessed"
    unknown = [layer.name for layer in model.layers if layer.is_spatial and layer.reach is None]
    assert unknown == ["last", "norm"]
    assert_every_layer_is(model, network, noise_picture(1, 31, 29))


def test_fields_of_odd_windows_paddings_and_slices() -> None:
    class Odd(Peculiar):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = functional.pad(self.first(x), (1, 0, 2, 0))
            x = functional.leaky_relu(self.pool(x))[:, :, 1:]
            one, two = self.wide(x).chunk(2, dim=1)
            x = torch.cat([one, self.high(two)[:, 4:]], 1) + x
            return self.head(self.last(x).amax((2, 3)))

    network = Odd()
    network.first = nn.Conv2d(3, 8, 5, stride=2, padding=2)  # a dilated one leaves gaps between first and last
    model = look_into(network, 5, (31, 29))
    assert_fields_are_what_reaches(model, network)
    reach = model.layer("last").reach
    assert reach is not None and len(set(reach.part.tolist())) > 1, "channels of two branches see alike"


def test_a_dilated_convolution_sees_from_its_first_to_its_last_pixel() -> None:
    model = look_into(Peculiar(), 5, (31, 29))
    reach = model.layer("first").reach
    assert reach is not None and reach.size == (5, 5)
    assert reach.box(0, 3, 4) == (6, 4, 11, 9)  # 2 x column - 2 to 2 x column + 2


def test_a_normalisation_over_places_sees_the_whole_picture() -> None:
    class Normalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Linear(4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.norm(self.conv(x)).mean((2, 3)))

    model = look_into(Normalised(), 5)
    assert model.layer("norm").reach.everywhere and model.layer("norm").reach.size == (3, 3)  # type: ignore[union-attr]
    assert not model.layer("conv").reach.everywhere  # type: ignore[union-attr]


def test_origins_tell_what_each_layer_is_given(trap: LoadedModel) -> None:
    origins = {layer.name: layer.origin for layer in trap.layers}
    assert origins["conv1"] == Origin(("",))
    assert origins["bn1"] == Origin(("conv1",))
    assert origins["conv2"] == Origin(("relu",), exact=False), "a functional ReLU stands between"
    assert origins["relu:1"] == Origin(("bn2", "relu"), "sum")
    (join,) = trap.joins
    assert (join.kind, join.inside, join.branches, join.exact) == ("sum", "", (("bn2",), ("relu",)), (True, True))


def test_the_tensors_of_a_join_are_what_was_added(trap: LoadedModel, pictures: torch.Tensor) -> None:
    from tests.conftest import trap_reference

    expected = trap_reference(trap._network, pictures[:1])
    with nothing_left_behind(trap):
        seen = trap.watch(pictures[:1], ["relu:1"], joins=[0])
    branch, shortcut, result = seen.joined[0]
    for found, name in ((branch, "bn2"), (shortcut, "relu")):
        torch.testing.assert_close(found.double(), expected[name], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(result.double(), expected["bn2"] + expected["relu"], rtol=1e-4, atol=1e-5)


def test_following_a_pass_does_not_change_it(resnet50: LoadedModel) -> None:
    batch = resnet50.preprocess.to_batch(noise_picture(0, 224, 224))
    plain = resnet50.observe(batch, ["layer2", "layer4"])
    watched = resnet50.watch(batch, ["layer2", "layer4"])
    for name in ("layer2", "layer4"):
        assert torch.equal(plain[name], watched.outputs[name])


@pytest.mark.parametrize("where", ["_convolution", "_pointwise", "_concatenated"])
def test_a_form_of_an_operation_not_met_before_does_not_stop_a_network_from_opening(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    import interpret.flow.rules

    def broken(*_: object) -> None:
        raise IndexError("a shape nobody thought of")

    if where == "_convolution":
        monkeypatch.setitem(interpret.flow.rules.RULES, "convolution", broken)
    else:
        monkeypatch.setattr(f"interpret.flow.rules.{where.removeprefix('_')}", broken)
    model = look_into(random_network(family("squeezenet1_1")), 7, (64, 64))
    known = [layer.name for layer in model.layers if layer.kernel and layer.reach]
    assert len(known) == {"_convolution": 0, "_pointwise": 1, "_concatenated": 4}[where]
    assert len(model.layers) > 50 and len(model.blocks) > 8


BLOCKS = {
    "resnet18": {"residual block, basic": 8},
    "resnet50": {"residual block, bottleneck": 16},
    "resnext50_32x4d": {"residual block, bottleneck with groups": 16},
    "googlenet": {"inception module, 4 branches": 9},
    "inception_v3": {"inception module, 3 branches": 2, "inception module, 4 branches": 9},
    "densenet121": {"dense block": 4},
    "mobilenet_v2": {"inverted residual block": 10, "inverted residual block without shortcut": 6},
    "timm/seresnet50": {"residual block, bottleneck, with squeeze-and-excitation": 16},
    "timm/legacy_xception": {"residual block, depthwise-separable": 12, "depthwise-separable convolution": 2},
    "squeezenet1_1": {"fire module: squeeze, then 2 branches": 8},
    "convnext_tiny": {"residual block, depthwise-separable": 18},
    "vgg16": {"convolution, pooling": 5},
}
"""Numbers from the papers: He et al. 2016 table 1, Szegedy et al. 2015 table 1, Huang et al. 2017 table 1, Sandler et
al. 2018 table 2 (17 bottlenecks, of which the first has no expansion), Chollet 2017 figure 5, Iandola et al. 2016
table 1, Liu et al. 2022 (3 + 3 + 9 + 3 blocks), Simonyan and Zisserman 2015 table 1."""


@pytest.mark.parametrize("key", BLOCKS)
def test_blocks_are_those_of_the_papers(key: str) -> None:
    side = 96 if key == "inception_v3" else 64
    model = look_into(random_network(family(key)), 7, (side, side))
    titles = [block.title for block in model.blocks]
    assert {title: titles.count(title) for title in BLOCKS[key]} == BLOCKS[key]
    names = [name for block in model.blocks for name in block.layers]
    assert sorted(names) == sorted(layer.name for layer in model.layers), "a layer belongs to no block, or to two"
    parts = list(dict.fromkeys(block.part for block in model.blocks))
    assert parts[-1] == "head" and parts == sorted(parts, key=lambda part: (part == "head", part != "stem", part))
    assert model.block("fc" if "fc" in names else names[-1]).part == "head"


def test_a_residual_block_of_ones_own_is_one_too() -> None:
    class Mine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.relu(x + self.b(functional.relu(self.a(x))))

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.body, self.head = nn.Conv2d(3, 6, 3), nn.Sequential(Mine(), Mine()), nn.Linear(6, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.body(self.stem(x)).mean((2, 3)))

    model = look_into(Network(), 5)
    assert [(block.name, block.part, block.title) for block in model.blocks] == [
        ("stem", "stem", "convolution"),
        ("body.0", "stage 1", "residual block, basic"),
        ("body.1", "stage 1", "residual block, basic"),
        ("head", "head", "linear layer"),
    ]


def test_two_passes_find_the_same_joins(resnet50: LoadedModel) -> None:
    follow = Follow()
    batch = torch.zeros(1, 3, 224, 224)
    follow.start(batch)
    seen = resnet50.watch(batch, ["layer4"], joins=range(len(resnet50.joins)))
    assert sorted(seen.joined) == list(range(16)) and len(resnet50.joins) == 16
    np.testing.assert_allclose(seen.joined[3][2], seen.joined[3][0] + seen.joined[3][1], rtol=1e-5, atol=1e-5)


def test_an_own_architecture_is_drawn_as_blocks() -> None:
    lenet = Path(REPOSITORY / "docs" / "examples" / "lenet.py")
    spec: dict[str, object] = {}
    exec(compile(lenet.read_text(encoding="utf-8"), "lenet.py", "exec"), spec)
    model = look_into(spec["build"](10), 10, (32, 32))  # type: ignore[operator]
    assert [block.part for block in model.blocks][-1] == "head"
    assert all(layer.reach is not None for layer in model.layers if layer.is_spatial)


def test_recording_keeps_nothing_but_the_recorded_tensors(resnet50: LoadedModel) -> None:
    """Every convolution of a pass: no storage is larger than its tensor, and none is kept twice."""
    names = [layer.name for layer in resnet50.layers if layer.kernel]
    tape = resnet50.observe(torch.zeros(1, 3, 224, 224), names, until="scores")
    storages = {tape[name].untyped_storage().data_ptr(): tape[name].untyped_storage().nbytes() for name in names}
    assert len(storages) == len(names) == 53
    assert sum(storages.values()) == sum(tape[name].numel() * 4 for name in names)


def test_four_threads_that_follow_find_what_one_finds(resnet50: LoadedModel) -> None:
    batches = [resnet50.preprocess.to_batch(noise_picture(seed, 224, 224)) for seed in range(4)]

    def look(batch: torch.Tensor) -> list[torch.Tensor]:
        seen = resnet50.watch(batch, ["layer2"], joins=[0, 5], convolutions=True)
        assert sorted(seen.joined) == [0, 5]
        return [seen.outputs["layer2"], *seen.joined[0], *seen.joined[5]]

    alone = [look(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(look, batches * 3))
    for at, found in enumerate(together):
        for one, other in zip(found, alone[at % 4], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)

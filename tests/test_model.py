"""Loading a network and asking it: layers, targets, preprocessing, outputs of every form, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from interpret.architectures.cifar_resnet import cifar_resnet
from interpret.errors import BadCheckpoint, BadInput, InterpretError, Unavailable, UnknownName
from interpret.images import InputImage, Preprocess
from interpret.loading import load_model
from interpret.model import LoadedModel
from interpret.runtime import choose_runtime
from tests.conftest import TrapNetwork, convnext, look_into, noise_picture, nothing_left_behind, trap_reference


def small(classes: int = 4, channels: int = 3) -> dict[str, torch.Tensor]:
    return dict(cifar_resnet(20, classes, channels, torch.Generator().manual_seed(1)).state_dict())


def saved(tmp_path: Path, tensors: dict[str, torch.Tensor] | None = None, **metadata: str) -> Path:
    path = tmp_path / "network.safetensors"
    save_file(tensors or small(), path, metadata)
    return path


# ---- layers -------------------------------------------------------------------------------------------------------


def test_layers_tell_what_they_are(trap: LoadedModel) -> None:
    conv, relu, pool = trap.layer("conv1"), trap.layer("relu:1"), trap.layer("pool")
    assert (conv.kind, conv.shape, conv.parameters, conv.stride, conv.depth) == ("Conv2d", (6, 12, 12), 168, 1, 0)
    assert (relu.kind, relu.parameters, relu.is_spatial, relu.rows, relu.columns) == ("ReLU", 0, True, 12, 12)
    assert (pool.shape, pool.is_spatial, pool.stride) == ((6, 1, 1), False, None)
    assert (trap.layer("head").layout, trap.layer("head").channels, trap.layer("head").rows) == ("vector", 5, 1)
    assert trap.parameters == sum(p.numel() for p in TrapNetwork().parameters())


def test_the_default_layer_is_the_last_with_places(trap: LoadedModel, cifar: LoadedModel) -> None:
    assert trap.default_layer.name == "relu:1"
    assert cifar.default_layer.name == "layer3"


def test_the_default_layer_lies_before_pooling() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 36, 5)
    )
    model = look_into(network, classes=5)
    assert model.layer("2").is_spatial and model.default_layer.name == "1"
    with pytest.raises(BadInput, match="Trap has no layer with rows and columns"):
        _ = look_into(nn.Sequential(nn.Flatten(), nn.Linear(432, 5)), classes=5).default_layer


def test_strides_and_shapes_of_a_real_architecture(cifar: LoadedModel) -> None:
    assert [cifar.layer(f"layer{n}").stride for n in (1, 2, 3)] == [1, 2, 4]
    assert cifar.layer("layer3.2").shape == (64, 8, 8) and cifar.layer("layer3.2").depth == 1
    names = [layer.name for layer in cifar.layers]
    assert names.index("layer1.0.conv1") < names.index("layer1.0") < names.index("layer1")


@pytest.mark.parametrize(
    ("wrong", "near"), [("layer5", "layer"), ("relu:7", '"relu:1"'), ("conv3", '"conv'), ("", "conv1")]
)
def test_a_wrong_layer_names_the_nearest(trap: LoadedModel, cifar: LoadedModel, wrong: str, near: str) -> None:
    model = cifar if wrong == "layer5" else trap
    batch = torch.zeros(1, 3, *model.preprocess.size)
    for call in (
        lambda: model.layer(wrong),
        lambda: model.observe(batch, [wrong]),
        lambda: model.trace(batch, [wrong]),
        lambda: model.observe(batch, edit={wrong: torch.neg}),
    ):
        with pytest.raises(UnknownName) as caught:
            call()
        assert f'Layer "{wrong}" is not in {model.architecture.title}.' in str(caught.value)
        assert "nearest" in str(caught.value) and near in str(caught.value)


class ChannelsLast(nn.Module):
    """Rows and columns first, as in ConvNeXt, with as many channels as rows, so that shapes alone do not tell."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.norm = nn.LayerNorm(8)
        self.mix = nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.mix(self.norm(self.stem(x).permute(0, 2, 3, 1))).mean((1, 2)))


def test_channels_are_found_on_the_last_axis_too() -> None:
    model = look_into(ChannelsLast(), classes=3, size=(8, 8))
    assert [model.layer(name).layout for name in ("stem", "norm", "mix", "head")] == [
        "channels first", "channels last", "channels last", "vector",
    ]  # fmt: skip
    batch = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    tape = model.observe(batch, ["stem", "norm"])
    turned = model.layer("norm").channels_first(tape["norm"])
    expected = torch.nn.functional.layer_norm(tape["stem"].permute(0, 2, 3, 1), (8,), *model._network.norm.parameters())
    torch.testing.assert_close(turned, expected.permute(0, 3, 1, 2))


def test_convnext_has_its_channels_on_the_last_axis_inside_blocks() -> None:
    model = look_into(convnext(), classes=3, size=(64, 64))
    inside, outside = model.layer("features.1.0.block.2"), model.layer("features.1.0")
    assert (inside.layout, inside.channels, inside.rows) == ("channels last", 96, 16)
    assert (outside.layout, outside.channels, outside.rows) == ("channels first", 96, 16)


# ---- outputs that are not one tensor ------------------------------------------------------------------------------


class Several(nn.Module):
    """A trap network whose scores come among other outputs."""

    def __init__(self, wrap: Any) -> None:
        super().__init__()
        self.inner = TrapNetwork()
        self.wrap = wrap

    def forward(self, x: torch.Tensor) -> Any:
        return self.wrap(self.inner(x), x)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda scores, x: (x, scores),
        lambda scores, x: [scores, scores * 2],
        lambda scores, x: {"boxes": x.mean((2, 3)), "classes": scores},
        lambda scores, x: {"heads": (x, {"inner": scores})},
        lambda scores, x: scores[:, :, None, None],
        lambda scores, x: (None, "text", scores),
    ],
    ids=["tuple", "auxiliary head", "dict", "nested", "a map of one place", "with other things"],
)
def test_scores_are_found_among_outputs(wrap: Any, pictures: torch.Tensor) -> None:
    model = look_into(Several(wrap), classes=5)
    expected = trap_reference(model._network.inner, pictures)
    scores = model.observe(pictures).scores
    assert scores.shape == (3, 5)
    torch.testing.assert_close(scores.double(), expected["scores"], atol=2e-6, rtol=1e-5)
    tape = model.trace(pictures, ["inner.relu:1"])
    torch.testing.assert_close(
        tape.gradient(tape.scores[:, 1], "inner.relu:1")[0, :, 0, 0], model._network.inner.head.weight[1] / 144
    )


def test_a_network_without_class_scores_is_refused() -> None:
    with pytest.raises(BadCheckpoint, match=r"answers with \[1, 3, 12, 12\]; a vector of 5 class scores"):
        look_into(Several(lambda scores, x: x), classes=5)


def test_a_layer_that_answers_a_tuple_is_no_layer_but_does_not_disturb(pictures: torch.Tensor) -> None:
    class Pair(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, int]:
            return x, 1

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pair = Pair()
            self.inner = TrapNetwork()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(self.pair(x)[0])

    model = look_into(Network(), classes=5)
    with pytest.raises(UnknownName):
        model.layer("pair")
    expected = trap_reference(model._network.inner, pictures)["scores"]
    torch.testing.assert_close(model.observe(pictures).scores.double(), expected, atol=2e-6, rtol=1e-5)


# ---- loading ------------------------------------------------------------------------------------------------------


def test_a_loaded_network_answers_as_the_plain_one(tmp_path: Path) -> None:
    plain = cifar_resnet(20, 4).eval()
    plain.load_state_dict(small())
    model = load_model(saved(tmp_path), device="cpu")
    batch = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model.observe(batch).scores, plain(batch), atol=1e-4, rtol=1e-4)
    assert (model.architecture.key, len(model.labels), model.preprocess.size) == ("cifar_resnet20", 4, (32, 32))
    assert model.report.missing == model.report.unexpected == model.report.reshaped == model.report.not_finite == ()


def test_it_is_frozen_and_in_eval_mode(tmp_path: Path) -> None:
    model = load_model(saved(tmp_path), device="cpu")
    assert not any(module.training for module in model._network.modules())
    assert not any(p.requires_grad for p in model._network.parameters())


def test_half_precision_files_run_in_float32(tmp_path: Path) -> None:
    halves = {name: t.half() if t.is_floating_point() else t for name, t in small().items()}
    model = load_model(saved(tmp_path, halves), device="cpu")
    assert {p.dtype for p in model._network.parameters()} == {torch.float32}
    torch.testing.assert_close(model._network.linear.weight, halves["linear.weight"].float())


def test_the_files_metadata_is_used(tmp_path: Path) -> None:
    path = saved(
        tmp_path, input_size="48", resize="50", interpolation="bicubic", mean="[0.1, 0.2, 0.3]", std="[1, 2, 3]",
        labels=json.dumps(["a", "b", "c", "d"]),
    )  # fmt: skip
    model = load_model(path, device="cpu")
    assert model.preprocess == Preprocess((48, 48), 50, "bicubic", (0.1, 0.2, 0.3), (1.0, 2.0, 3.0))
    assert model.labels == ("a", "b", "c", "d")
    assert model.layer("layer1").shape == (16, 48, 48)


@pytest.mark.parametrize(
    "metadata",
    [
        {"input_size": "many"},
        {"input_size": "-3"},
        {"input_size": "100000"},
        {"input_size": "32", "resize": "0"},
        {"input_size": "32", "resize": "-5"},
        {"interpolation": "psychic"},
        {"mean": "0.5"},
        {"mean": "[0.5]"},
        {"mean": "[0.5, 0.5, null]"},
        {"mean": "[NaN, 0.5, 0.5]"},
        {"std": "[0, 1, 1]"},
        {"std": "[1, 1, Infinity]"},
        {"mean": "[" * 100_000},
    ],
)
def test_metadata_that_cannot_be_used_is_refused_in_a_sentence(tmp_path: Path, metadata: dict[str, str]) -> None:
    with pytest.raises(InterpretError) as caught:
        load_model(saved(tmp_path, **metadata), device="cpu")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("said", [{}, {"mean": "[0.5]", "std": "[0.25]"}, {"mean": "[0.4, 0.5, 0.6]"}])
def test_one_input_channel_gets_one_mean(tmp_path: Path, said: dict[str, str]) -> None:
    model = load_model(saved(tmp_path, small(channels=1), **said), device="cpu")
    steps = model.preprocess
    assert steps.channels == len(steps.mean) == len(steps.std) == 1
    assert steps.mean[0] == pytest.approx(0.5 if said else (0.485 + 0.456 + 0.406) / 3)
    assert steps.std[0] == pytest.approx(0.25 if "std" in said else (0.229 + 0.224 + 0.225) / 3)
    assert model.predict([noise_picture(0, 40, 50)])[0].scores.shape == (4,)


def test_equal_digests_mean_equal_results(tmp_path: Path) -> None:
    path = saved(tmp_path)
    first = load_model(path, device="cpu")
    assert load_model(path.read_bytes(), name="other.safetensors", device="cpu").digest == first.digest
    other = load_model(path, device="cpu", preprocess=Preprocess((64, 64), 64))
    assert other.digest != first.digest
    tensors = small()
    tensors["linear.bias"] = tensors["linear.bias"] + 1e-3
    assert load_model(saved(tmp_path, tensors), device="cpu").digest != first.digest


def test_labels_given_by_the_caller(tmp_path: Path) -> None:
    path = saved(tmp_path)
    assert load_model(path, device="cpu", labels=["w", "x", "y", "z"]).labels == ("w", "x", "y", "z")
    (tmp_path / "names.txt").write_text("one\ntwo\nthree\nfour\n")
    assert load_model(path, device="cpu", labels=tmp_path / "names.txt").labels == ("one", "two", "three", "four")
    with pytest.raises(BadInput, match="2 class names were given; the network has 4 classes"):
        load_model(path, device="cpu", labels=["w", "x"])


def test_values_that_are_not_numbers_are_reported(tmp_path: Path) -> None:
    tensors = small()
    tensors["layer1.0.conv1.weight"][0] = float("nan")
    assert load_model(saved(tmp_path, tensors), device="cpu").report.not_finite == ("layer1.0.conv1.weight",)


def test_a_missing_tensor_is_refused_with_its_name(tmp_path: Path) -> None:
    tensors = small()
    del tensors["layer2.1.conv2.weight"]
    with pytest.raises(BadCheckpoint, match=r"nearest is cifar_resnet20: .*missing layer2.1.conv2.weight"):
        load_model(saved(tmp_path, tensors), device="cpu")


def test_a_tensor_left_over_is_reported(tmp_path: Path) -> None:
    model = load_model(saved(tmp_path, small() | {"optimizer.step": torch.zeros(3)}), device="cpu")
    assert model.report.unexpected == ("optimizer.step",) and model.report.matched == len(small())


def test_what_a_file_says_of_itself_is_only_a_hint(tmp_path: Path) -> None:
    assert load_model(saved(tmp_path, arch="vgg16"), device="cpu").architecture.key == "cifar_resnet20"
    assert load_model(saved(tmp_path, arch="no such"), device="cpu").architecture.key == "cifar_resnet20"


def test_the_named_architecture_is_believed(tmp_path: Path) -> None:
    path = saved(tmp_path)
    assert load_model(path, arch="cifar_resnet20", device="cpu").report.candidates[0] == ("cifar_resnet20", 0)
    with pytest.raises(BadCheckpoint, match="The nearest is cifar_resnet32"):
        load_model(path, arch="cifar_resnet32", device="cpu")
    with pytest.raises(UnknownName, match=r'Architecture "resnet81" is not in the catalogue.*"resnet'):
        load_model(path, arch="resnet81", device="cpu")


def test_timm_networks_load_by_their_name(tmp_path: Path) -> None:
    """timm's resnet18 has torchvision's tensor names; the file says which library it is from."""
    timm = pytest.importorskip("timm")
    network = timm.create_model("resnet18", pretrained=False, num_classes=6).eval()
    model = load_model(saved(tmp_path, network.state_dict(), arch="resnet18", library="timm"), device="cpu")
    assert (model.architecture.key, model.architecture.library, len(model.labels)) == ("timm/resnet18", "timm", 6)
    batch = torch.randn(1, 3, *model.preprocess.size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model.observe(batch).scores, network(batch), atol=1e-4, rtol=1e-4)


# ---- asking -------------------------------------------------------------------------------------------------------


def test_predict_equals_plain_torch_in_any_number(cifar: LoadedModel) -> None:
    images = [noise_picture(seed, 32 + seed, 40) for seed in range(11)]
    with nothing_left_behind(cifar):
        found = cifar.predict(images)
    assert len(found) == 11
    for image, prediction in zip(images, found, strict=True):
        scores = cifar.observe(cifar.preprocess.to_batch(image)).scores[0]
        np.testing.assert_allclose(prediction.scores, scores.numpy(), atol=1e-4)
        np.testing.assert_allclose(prediction.probabilities, np.exp(scores) / np.exp(scores).sum(), atol=1e-5)
        assert prediction.probabilities.sum() == pytest.approx(1, abs=1e-5)
        assert prediction.top(3) == np.argsort(-prediction.scores)[:3].tolist()
    assert found[0].scores.dtype == found[0].probabilities.dtype == np.float32
    assert cifar.predict([]) == []


@pytest.mark.parametrize(("asked", "index"), [(0, 0), ("7", 7), (" 3 ", 3), ("hen", 7), ("GNU", 6), ("ant", 0)])
def test_targets_by_index_or_label(cifar: LoadedModel, asked: int | str, index: int) -> None:
    assert cifar.target(asked) == index


@pytest.mark.parametrize("asked", [8, -1, "8", "-1", "--5", "-", "", "²", "bea", "9" * 6000, "1e3", "0x1"])
def test_targets_that_do_not_exist(cifar: LoadedModel, asked: int | str) -> None:
    with pytest.raises(UnknownName):
        cifar.target(asked)


def test_a_near_label_is_suggested(cifar: LoadedModel) -> None:
    with pytest.raises(UnknownName, match=r'Class "bea" is not in CIFAR ResNet-20. The nearest name is "bee"'):
        cifar.target("bea")


def test_pictures_larger_than_planned_run_too(cifar: LoadedModel) -> None:
    tape = cifar.observe(torch.zeros(2, 3, 64, 48), ["layer3"], until="scores")
    assert tape["layer3"].shape == (2, 64, 16, 12) and tape.scores.shape == (2, 8)


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    for device in ("tpu", "mps" if not torch.backends.mps.is_available() else "xpu"):
        with pytest.raises(Unavailable, match=f'Device "{device}" is not available on this machine. Available: cpu'):
            choose_runtime(device)
    assert choose_runtime("cpu") is choose_runtime("cpu")


def test_halving_chunks_when_memory_runs_out() -> None:
    runtime = choose_runtime("cpu")
    assert runtime.smaller_chunk(9, torch.OutOfMemoryError("CUDA out of memory")) == 4
    with pytest.raises(Unavailable, match="too little memory for one picture"):
        runtime.smaller_chunk(1, torch.OutOfMemoryError("CUDA out of memory"))
    other = RuntimeError("size mismatch")
    with pytest.raises(RuntimeError) as caught:
        runtime.smaller_chunk(9, other)
    assert caught.value is other
    memory = runtime.memory()
    assert memory is None or 0 < memory.used < memory.total


def test_the_picture_is_only_read(cifar: LoadedModel) -> None:
    image = noise_picture(1, 50, 60)
    before = image.pixels.copy()
    cifar.predict([image])
    assert np.array_equal(image.pixels, before) and isinstance(image, InputImage)

"""Recognising an architecture from the names and shapes of its tensors."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch

from interpret.architectures import architecture, architecture_keys, recognise
from interpret.architectures.catalogue import WithoutMemory
from interpret.architectures.recognition import INDEX, _build_reference, _index, compare, write_index
from interpret.checkpoints import read_checkpoint
from interpret.errors import UnknownName
from interpret.images import Preprocess
from interpret.model import load_model

DOZEN = (
    "alexnet", "vgg11_bn", "resnet34", "resnext50_32x4d", "wide_resnet50_2", "densenet121", "squeezenet1_1",
    "mobilenet_v3_small", "mnasnet0_75", "shufflenet_v2_x1_5", "efficientnet_b0", "regnet_y_400mf", "convnext_tiny",
    "cifar_resnet32",
)  # fmt: skip


@pytest.mark.parametrize("key", DOZEN)
def test_a_network_with_seven_classes_is_recognised_from_its_own_tensors(key: str) -> None:
    best, second = recognise(architecture(key).build(7, 3, False).state_dict())[:2]
    assert (best.key, best.differences, best.classes, best.channels) == (key, 0, 7, 3)
    assert best.matched == len(_index()[key].shapes) > 0
    assert second.differences > 0


def test_every_architecture_of_the_catalogue_is_recognised() -> None:
    """Shapes only, without the memory: all of them, with five classes and one input channel."""
    confused = {}
    for key in architecture_keys():
        with WithoutMemory():
            tensors = architecture(key).build(5, 1, False).state_dict()
        best, second = recognise(tensors)[:2]
        if (best.key, best.differences, best.classes, best.channels) != (key, 0, 5, 1) or not second.differences:
            confused[key] = (best.key, best.differences, best.classes, best.channels, second.key, second.differences)
    assert len(architecture_keys()) >= 60
    assert confused == {}


@pytest.mark.parametrize("key", ["resnet18", "mobilenet_v2", "cifar_resnet20", "vgg11", "densenet121"])
def test_one_input_channel(key: str) -> None:
    best = recognise(architecture(key).build(3, 1, False).state_dict())[0]
    assert (best.key, best.differences, best.channels, best.classes) == (key, 0, 1, 3)


@pytest.mark.parametrize(("key", "heads"), [("googlenet", ("aux1.", "aux2.")), ("inception_v3", ("AuxLogits.",))])
def test_auxiliary_heads_do_not_matter(key: str, heads: tuple[str, ...]) -> None:
    with WithoutMemory():
        tensors = architecture(key).build(9, 3, True).state_dict()
    assert any(name.startswith(heads) for name in tensors)
    best = recognise(tensors)[0]
    assert (best.key, best.differences, best.classes) == (key, 0, 9)


def test_a_wrapper_and_prefixes_end_to_end(tmp_path: Path) -> None:
    tensors = architecture("cifar_resnet32").build(6, 1, False).state_dict()
    wrapped = {"epoch": 1, "model": {"state_dict": {f"module.model.{name}": t for name, t in tensors.items()}}}
    torch.save(wrapped, tmp_path / "mine.ckpt")
    model = load_model(tmp_path / "mine.ckpt", device="cpu")
    report = model.report
    assert (model.architecture.key, len(model.labels), model.preprocess.channels) == ("cifar_resnet32", 6, 1)
    assert (report.wrapper, report.prefixes) == ("model.state_dict", ("module.", "model."))
    assert (report.missing, report.unexpected, report.reshaped) == ((), (), ())
    assert report.candidates[0] == ("cifar_resnet32", 0) and report.candidates[1][1] > 0


def test_the_nearest_is_reported_with_what_differs() -> None:
    tensors = dict(architecture("cifar_resnet20").build(10, 3, False).state_dict())
    del tensors["layer3.2.conv2.weight"]
    tensors["layer1.0.conv1.weight"] = torch.zeros(16, 16, 5, 5)
    tensors["brand.new"] = torch.zeros(1)
    best = recognise(tensors)[0]
    assert (best.key, best.differences) == ("cifar_resnet20", 3)
    assert best.missing == ("layer3.2.conv2.weight",)
    assert best.reshaped == ("layer1.0.conv1.weight",)
    assert best.unexpected == ("brand.new",)


def test_counters_do_not_count() -> None:
    tensors = dict(architecture("cifar_resnet20").build(10, 3, False).state_dict())
    without = {name: t for name, t in tensors.items() if not name.endswith("num_batches_tracked")}
    assert len(without) < len(tensors)
    profiled = without | {"total_ops": torch.zeros(1), "layer1.total_params": torch.zeros(1)}
    assert recognise(profiled)[0].differences == 0


def test_tensors_of_no_network_at_all() -> None:
    best = recognise({"word_embeddings.weight": torch.zeros(4, 4)})
    assert best[0].matched == 0 and best[0].differences > 0


def test_a_scalar_in_the_place_of_a_weight_does_not_disturb() -> None:
    tensors = dict(architecture("cifar_resnet20").build(10, 3, False).state_dict())
    tensors["conv1.weight"] = torch.tensor(1.0)
    tensors["linear.weight"] = torch.tensor(1.0)
    assert recognise(tensors)[0].key == "cifar_resnet20"


@pytest.mark.parametrize("key", ["resnet18", "googlenet", "cifar_resnet56"])
def test_the_shipped_index_equals_a_rebuild(key: str) -> None:
    assert _index()[key] == _build_reference(key)


def test_the_shipped_index_covers_the_catalogue() -> None:
    stored = json.loads(gzip.decompress(INDEX.read_bytes()))
    assert tuple(stored) == architecture_keys()


def test_the_index_can_be_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interpret.architectures.recognition.architecture_keys", lambda: ("cifar_resnet20", "alexnet"))
    write_index(tmp_path / "index.gz")
    stored = json.loads(gzip.decompress((tmp_path / "index.gz").read_bytes()))
    shipped = json.loads(gzip.decompress(INDEX.read_bytes()))
    assert stored == {key: shipped[key] for key in ("cifar_resnet20", "alexnet")}


@pytest.mark.parametrize("name", ["timm/resnet10t", "timm/mobilenetv3_small_050"])
def test_timm_opens_by_name(name: str) -> None:
    timm = pytest.importorskip("timm")
    network = timm.create_model(name.removeprefix("timm/"), pretrained=False, num_classes=4, in_chans=1)
    found = compare(name, network.state_dict())
    assert (found.differences, found.classes, found.channels) == (0, 4, 1)
    assert architecture(name).library == "timm" and isinstance(architecture(name).preprocess(), Preprocess)


@pytest.mark.parametrize(
    ("wrong", "near"), [("resnet81", '"resnet18"'), ("cifar_resnet21", '"cifar_resnet20"'), ("timm/resnet81", "timm/")]
)
def test_names_that_do_not_exist(wrong: str, near: str) -> None:
    if wrong.startswith("timm/"):
        pytest.importorskip("timm")
    with pytest.raises(UnknownName, match=f'Architecture "{wrong}" is not in .*{near}'):
        architecture(wrong)


def test_building_without_memory_does_not_touch_the_global_seed() -> None:
    before = torch.get_rng_state()
    with WithoutMemory():
        network = architecture("vgg16").build(1000, 3, False)
    assert all(value.is_meta for value in network.parameters())
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.empty(1).is_meta


def test_titles_are_for_people() -> None:
    titles = {key: architecture(key).title for key in ("resnet18", "vgg16_bn", "mobilenet_v2", "wide_resnet50_2")}
    assert titles == {
        "resnet18": "ResNet-18", "vgg16_bn": "VGG-16 bn", "mobilenet_v2": "MobileNet v2",
        "wide_resnet50_2": "wide ResNet-50 2",
    }  # fmt: skip


@pytest.mark.parametrize("key", ["resnet50", "efficientnet_b3", "inception_v3"])
def test_preprocessing_is_torchvisions(key: str) -> None:
    from torchvision.models import get_model_weights

    preset = get_model_weights(key).IMAGENET1K_V1.transforms()
    steps = architecture(key).preprocess()
    assert (steps.size, steps.resize) == ((preset.crop_size[0],) * 2, preset.resize_size[0])
    assert (steps.mean, steps.std) == (tuple(preset.mean), tuple(preset.std))
    assert steps.interpolation == preset.interpolation.value


def test_real_weights_are_recognised(real: Path) -> None:
    for path in sorted((real / "weights").glob("*.safetensors")):
        checkpoint = read_checkpoint(path)
        best = recognise(checkpoint.tensors)[0]
        if checkpoint.metadata["library"] in ("torchvision", "loupe"):
            assert (best.key, best.differences) == (checkpoint.metadata["arch"], 0), path.name
            assert best.classes == int(checkpoint.metadata["num_classes"])

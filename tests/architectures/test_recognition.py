"""Recognising an architecture from the names and shapes of its tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from interpret.architectures import architecture, architecture_keys, look_under_prefixes, recognise
from interpret.architectures.catalogue import WithoutMemory, all_keys, is_convolutional, library_architecture
from interpret.architectures.index import index, reference_of
from interpret.architectures.indexing import write_index
from interpret.architectures.recognition import compare, not_a_classifier
from interpret.checkpoints import read_checkpoint
from interpret.errors import BadCheckpoint, BadInput, UnknownName
from interpret.images import Preprocess
from interpret.loading import load_model

DOZEN = (
    "alexnet", "vgg11_bn", "resnet34", "resnext50_32x4d", "wide_resnet50_2", "densenet121", "squeezenet1_1",
    "mobilenet_v3_small", "mnasnet0_75", "shufflenet_v2_x1_5", "efficientnet_b0", "regnet_y_400mf", "convnext_tiny",
    "cifar_resnet32",
)  # fmt: skip


@pytest.mark.parametrize("key", DOZEN)
def test_a_network_with_seven_classes_is_recognised_from_its_own_tensors(key: str) -> None:
    found = recognise(architecture(key).build(7, 3, False).state_dict())
    best = found[0]
    assert (best.key, best.differences, best.classes, best.channels, best.fits) == (key, 0, 7, 3, True)
    assert best.matched == len(index().reference(network_of(key)).tensors) > 0
    same = index().keys[network_of(key)]
    assert {one.key for one in found if one.differences == 0} == set(same)
    assert any(one.differences for one in found)


def network_of(key: str) -> int:
    number = index().network_of(key)
    assert number is not None
    return number


def shapes_only(key: str, classes: int, channels: int) -> dict[str, Any]:
    with WithoutMemory():
        return dict(library_architecture(key).build(classes, channels, False).state_dict())


OURS = [key for key in architecture_keys() if not key.startswith("timm/")]
TIMM = [key for key in architecture_keys() if key.startswith("timm/")][::25]


@pytest.mark.parametrize("keys", [OURS, TIMM], ids=["torchvision and CIFAR", "every 25th of timm"])
def test_architectures_are_recognised_from_names_and_shapes_alone(keys: list[str]) -> None:
    """With five classes and one input channel; all of them are measured by `python -m benchmarks recognition`."""
    confused = {}
    for key in keys:
        best = recognise(shapes_only(key, 5, 1), hints=[key])[0]
        if (best.key, best.differences, best.classes, best.channels) != (key, 0, 5, 1):
            confused[key] = (best.key, best.differences, best.classes, best.channels)
    assert len(keys) >= 30
    assert confused == {}


def test_networks_that_two_libraries_share_are_told_apart_by_what_the_file_says() -> None:
    tensors = shapes_only("resnet18", 1000, 3)
    assert [one.key for one in recognise(tensors) if one.fits] == ["resnet18", "timm/resnet18", "timm/resnetblur18"]
    for hint, expected in (
        ("timm resnet18", "timm/resnet18"),
        ("torchvision resnet18", "resnet18"),
        ("resnet18.a1_in1k.safetensors", "timm/resnet18"),
        ("resnet18-f37072fd.pth", "resnet18"),
        ("my_resnetblur18_best.pth", "timm/resnetblur18"),
        ("vit_base.pth", "resnet18"),
    ):
        assert recognise(tensors, hints=["", hint])[0].key == expected, hint
    assert architecture("resnet18").preprocess() != architecture("timm/resnet18").preprocess()


def test_what_a_file_is_called_never_outweighs_its_tensors() -> None:
    assert recognise(shapes_only("resnet34", 3, 3), hints=["resnet18"])[0].key == "resnet34"


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
    assert recognise({"nothing.like_it": torch.zeros(4, 4)}) == ()


def test_a_scalar_in_the_place_of_a_weight_does_not_disturb() -> None:
    tensors = dict(architecture("cifar_resnet20").build(10, 3, False).state_dict())
    tensors["conv1.weight"] = torch.tensor(1.0)
    tensors["linear.weight"] = torch.tensor(1.0)
    assert recognise(tensors)[0].key == "cifar_resnet20"


@pytest.mark.parametrize(
    "key", ["resnet18", "googlenet", "cifar_resnet56", "timm/tresnet_m", "timm/vit_tiny_patch16_224"]
)
def test_the_shipped_index_equals_a_rebuild(key: str) -> None:
    assert index().reference(network_of(key)) == reference_of(library_architecture(key).build)


def test_the_shipped_index_covers_the_libraries() -> None:
    """torchvision's and the CIFAR networks all; timm's those of the version it was made with, so nearly all."""
    shipped = {key for keys in index().keys for key in keys}
    missing = set(all_keys()) - shipped
    assert {key for key in missing if not key.startswith("timm/")} == set()
    assert len(missing) < 100 and len(shipped) > 1300


def test_which_are_convolutional() -> None:
    def shipped(key: str) -> bool:
        return index().convolutional[network_of(key)]

    convolutional = ("alexnet", "convnext_tiny", "timm/convnext_atto", "timm/seresnet18", "timm/legacy_xception")
    tokens = ("vit_b_16", "swin_t", "timm/vit_tiny_patch16_224", "timm/mixer_s32_224", "timm/deit_tiny_patch16_224")
    assert all(is_convolutional(key) and shipped(key) and key in architecture_keys() for key in convolutional)
    assert not any(is_convolutional(key) or shipped(key) or key in architecture_keys() for key in tokens)
    with pytest.raises(BadInput, match="is a vision transformer or a network of its kind"):
        architecture("vit_b_16")


def test_the_index_can_be_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ("cifar_resnet20", "resnet18", "timm/resnet18", "vit_b_16")
    monkeypatch.setattr("interpret.architectures.indexing.all_keys", lambda: keys)
    write_index(tmp_path / "index.npz")
    shipped = index()
    monkeypatch.setattr("interpret.architectures.index.INDEX", tmp_path / "index.npz")
    again = index.__wrapped__()
    assert again.keys == (("cifar_resnet20",), ("resnet18", "timm/resnet18"), ("vit_b_16",))
    assert again.convolutional == (True, True, False)
    for number, keys_of in enumerate(again.keys):
        assert again.reference(number) == shipped.reference(network_of(keys_of[0]))
    assert np.array_equal(np.diff(again.starts), [len(again.reference(n).tensors) for n in range(3)])


# ---- what stands before the names ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "model.", "net.", "backbone.", "encoder.", "module._orig_mod.model.", "student."],
)
def test_prefixes_are_found(prefix: str) -> None:
    tensors = {f"{prefix}{name}": tensor for name, tensor in shapes_only("resnet18", 4, 3).items()}
    found = look_under_prefixes(tensors | {"n_averaged": torch.tensor(3)})
    assert (found.prefix, found.candidates[0].key, found.candidates[0].classes) == (prefix, "resnet18", 4)
    assert (found.beside, found.also) == ((), ())


def test_a_network_beside_other_things_and_two_networks() -> None:
    inner, small = shapes_only("resnet18", 4, 3), shapes_only("cifar_resnet20", 10, 3)
    lightning = {f"model.{name}": tensor for name, tensor in inner.items()} | {"criterion.weight": torch.zeros(4)}
    found = look_under_prefixes(lightning)
    assert (found.prefix, found.candidates[0].key, found.beside) == ("model.", "resnet18", ("criterion.weight",))
    both = lightning | {f"teacher.{name}": tensor for name, tensor in small.items()}
    found = look_under_prefixes(both)
    assert (found.prefix, found.also, found.candidates[0].key) == ("model.", ("teacher.",), "resnet18")
    assert look_under_prefixes(both, only="teacher.").candidates[0].key == "cifar_resnet20"


def test_names_that_begin_like_a_prefix_stay() -> None:
    assert look_under_prefixes(shapes_only("densenet121", 4, 3)).prefix == ""
    assert look_under_prefixes(shapes_only("mobilenet_v2", 4, 3)).prefix == ""


def test_old_names_of_densenets(tmp_path: Path) -> None:
    tensors = architecture("densenet121").build(4, 3, False).state_dict()
    old = {
        name.replace(".norm1.", ".norm.1.").replace(".norm2.", ".norm.2.").replace(".conv1.", ".conv.1.")
        .replace(".conv2.", ".conv.2."): tensor
        for name, tensor in tensors.items()
    }  # fmt: skip
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "old.pth")
    model = load_model(tmp_path / "old.pth", device="cpu")
    assert (model.architecture.key, model.report.missing, model.report.unexpected) == ("densenet121", (), ())
    weight = model._network.state_dict()["features.denseblock1.denselayer1.conv1.weight"]
    assert torch.equal(weight, tensors["features.denseblock1.denselayer1.conv1.weight"])


# ---- what is no convolutional classifier --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "kind"),
    [("vit_b_16", "vision transformer"), ("swin_t", "vision transformer"), ("timm/vit_tiny_patch16_224", "vision")],
)
def test_transformers_of_the_index(key: str, kind: str, tmp_path: Path) -> None:
    tensors = shapes_only(key, 5, 3)
    told = not_a_classifier(tensors, recognise(tensors)[0])
    assert kind in told and key.rpartition("/")[2] in told


def detector() -> dict[str, torch.Tensor]:
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

    return dict(fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None, num_classes=3).state_dict())


def segmentation() -> dict[str, torch.Tensor]:
    from torchvision.models.segmentation import fcn_resnet50

    return dict(fcn_resnet50(weights=None, weights_backbone=None, num_classes=3).state_dict())


def vit() -> dict[str, torch.Tensor]:
    """A transformer no library of ours has: the widths are odd."""
    names = {"cls_token": (1, 1, 48), "pos_embed": (1, 50, 48), "blocks.0.attn.qkv.weight": (144, 48)}
    return {name: torch.zeros(shape) for name, shape in names.items()}


@pytest.mark.parametrize(
    ("make", "kind"),
    [(detector, "an object detector"), (segmentation, "a segmentation network"), (vit, "a vision transformer")],
)
def test_other_kinds_of_network_are_told_in_one_sentence(make: Any, kind: str, tmp_path: Path) -> None:
    torch.save({"model": make()}, tmp_path / "other.pth")
    with pytest.raises(BadCheckpoint) as caught:
        load_model(tmp_path / "other.pth", device="cpu")
    assert kind in str(caught.value) and "\n" not in str(caught.value)
    assert "Loupe looks into convolutional networks" in str(caught.value)


def test_a_part_more_inside_a_known_network_makes_it_another(tmp_path: Path) -> None:
    tensors = architecture("resnet18").build(3, 3, False).state_dict()
    inside = dict(tensors) | {"layer1.0.attention.weight": torch.zeros(64, 64)}
    torch.save(inside, tmp_path / "inside.pth")
    with pytest.raises(BadCheckpoint, match=r"nearest is .*left over layer1.0.attention.weight"):
        load_model(tmp_path / "inside.pth", device="cpu")
    torch.save(dict(tensors) | {"box.weight": torch.zeros(4, 512)}, tmp_path / "beside.pth")
    assert load_model(tmp_path / "beside.pth", device="cpu").report.unexpected == ("box.weight",)


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


@pytest.mark.parametrize("key", ["googlenet", "inception_v3"])
def test_networks_from_tensorflow_get_what_torchvision_gives_them(key: str) -> None:
    """Published weights run with transform_input=True, which undoes ImageNet's normalisation inside the network."""
    from torchvision import models

    preset = models.get_model_weights(key).IMAGENET1K_V1.transforms()
    picture = torch.rand(1, 3, 8, 8)
    usual = (picture - torch.tensor(preset.mean).view(3, 1, 1)) / torch.tensor(preset.std).view(3, 1, 1)
    network = models.get_model(key, weights=None, transform_input=True, init_weights=False)
    steps = architecture(key).preprocess()
    ours = (picture - torch.tensor(steps.mean).view(3, 1, 1)) / torch.tensor(steps.std).view(3, 1, 1)
    torch.testing.assert_close(ours, network._transform_input(usual))


@pytest.mark.parametrize("key", ["resnet50", "efficientnet_b3"])
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

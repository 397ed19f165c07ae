"""What is found in a checkpoint: its parts, what it says of itself, files beside it, and folders."""

from __future__ import annotations

import argparse
import collections
import json
import pathlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from interpret.checkpoints import Part, read_checkpoint
from interpret.errors import BadCheckpoint, UnknownName
from tests.checkpoints.hostile import GOOD, torch_bytes

BIG = {f"layer{index}.weight": torch.full((3, 3), float(index)) for index in range(5)}
OTHER = {f"layer{index}.weight": torch.full((3, 3), 10.0 + index) for index in range(5)}


def paths(content: Any) -> list[str]:
    return [part.path for part in read_checkpoint(torch_bytes(content)).parts]


# ---- parts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (BIG, [""]),
        ({"model_ema": BIG, "model": OTHER}, ["model", "model_ema"]),
        ({"state_dict_ema": BIG, "ema": OTHER, "state_dict": BIG | OTHER}, ["state_dict", "state_dict_ema", "ema"]),
        ({"ema": {"module": BIG}, "net": OTHER}, ["net", "ema.module"]),
        ({"netG": GOOD, "netD": BIG}, ["netD", "netG"]),  # more numbers first
        ({"student": BIG, "teacher": OTHER}, ["student", "teacher"]),
        ({"state_dict": BIG, "generator": OTHER}, ["state_dict", "generator"]),
        ({"model": BIG, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}}, ["model"]),
        ({"model": BIG, "optimizer_state_dict": OTHER, "lr_scheduler": OTHER, "scaler": OTHER}, ["model"]),
        ({"model": BIG, "rng_state": {"a": torch.ones(2)}, "optimizer_states": [OTHER]}, ["model"]),
        ({"net": BIG, "acc": torch.tensor(1.0), "mean": torch.ones(3)}, ["net"]),
        ({"models": [BIG, OTHER]}, ["models.0", "models.1"]),
        ({**BIG, "extra": {"note": torch.ones(1)}}, ["", "extra"]),
        ({"a": BIG, "b": {"again": BIG}}, ["a"]),  # one object, saved once
        ({"model": {"encoder": BIG, "head": OTHER}}, ["model", "model.encoder", "model.head"]),
        ({"conv1": {"weight": torch.ones(2), "bias": torch.ones(2)}, "fc": {"weight": torch.ones(2)}}, [""]),
    ],
)
def test_parts_best_first(content: Any, expected: list[str]) -> None:
    assert paths(content) == expected


def test_every_part_can_be_chosen() -> None:
    data = torch_bytes({"model": BIG, "model_ema": OTHER})
    assert read_checkpoint(data).parts == (Part("model", 5, 45), Part("model_ema", 5, 45))
    assert read_checkpoint(data).wrapper == "model"
    averaged = read_checkpoint(data, part="model_ema")
    assert averaged.wrapper == "model_ema" and averaged.tensors["layer3.weight"][0, 0] == 13
    with pytest.raises(UnknownName, match=r'^Part "modle" is not in "upload"\. The nearest .* "model"'):
        read_checkpoint(data, part="modle")
    assert read_checkpoint(save(BIG), part="").parts == (Part("", 5, 45),)
    with pytest.raises(UnknownName, match="top level"):
        read_checkpoint(save(BIG), part="model")


def test_modules_kept_one_by_one_are_joined() -> None:
    found = read_checkpoint(torch_bytes({"model": {"encoder": {"a": {"weight": torch.ones(2)}}, "head": BIG}}))
    assert found.wrapper == "model"
    assert list(found.tensors) == ["encoder.a.weight", *(f"head.{name}" for name in BIG)]
    layers = {"conv1": {"weight": torch.ones(2), "bias": torch.zeros(2)}, "fc": {"weight": torch.ones(3)}}
    assert list(read_checkpoint(torch_bytes(layers)).tensors) == ["conv1.weight", "conv1.bias", "fc.weight"]


FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
NEWER = (torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.uint32)
FORMS = [(form, dtype) for form in ("zip", "legacy", "safetensors") for dtype in FLOATS + WHOLE]
FORMS += [(form, dtype) for form in ("zip", "safetensors") for dtype in NEWER]  # torch reads no legacy file of these


@pytest.mark.parametrize(("form", "dtype"), FORMS, ids=str)
def test_every_number_type_comes_through(form: str, dtype: torch.dtype) -> None:
    matrix, one, nothing = torch.arange(6).reshape(2, 3), torch.ones(()), torch.zeros(0, 2)
    whole = {"a": matrix.to(dtype), "b": one.to(dtype), "c": nothing.to(dtype)}
    data = save(whole) if form == "safetensors" else torch_bytes(whole, _use_new_zipfile_serialization=form == "zip")
    found = read_checkpoint(data).tensors
    assert list(found) == ["a", "b", "c"] or form == "safetensors"
    for name, tensor in whole.items():
        assert found[name].dtype == dtype and found[name].shape == tensor.shape
        assert torch.equal(found[name].reshape(-1).view(torch.uint8), tensor.reshape(-1).view(torch.uint8))


def test_views_parameters_and_shared_storages() -> None:
    matrix = torch.arange(12.0).reshape(3, 4)
    content = {"t": matrix.t(), "row": matrix[1], "p": torch.nn.Parameter(matrix), "every other": matrix[:, ::2]}
    found = read_checkpoint(torch_bytes(content)).tensors
    assert all(torch.equal(found[name], tensor) for name, tensor in content.items())
    assert not any(tensor.requires_grad for tensor in found.values())


def test_tensors_outlive_the_file_and_can_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(torch_bytes(BIG))
    found = read_checkpoint(path).tensors
    path.write_bytes(b"x" * path.stat().st_size)
    found["layer1.weight"].add_(1)
    assert found["layer1.weight"].eq(2).all() and found["layer2.weight"].eq(2).all()


# ---- what training leaves beside the weights ------------------------------------------------------------------------


def test_harmless_objects_beside_the_weights_are_no_obstacle() -> None:
    beside = {
        "args": argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("/tmp/x")),
        "best": np.float64(0.91),
        "when": np.arange(3),
        "log": collections.defaultdict(list, a=[1, 2]),
        "dtype": np.dtype("float32"),
        "counts": collections.Counter("abca"),
        "kind": torch.float16,
        "class": torch.optim.SGD,
    }
    for form in (True, False):
        found = read_checkpoint(torch_bytes({"state_dict": BIG, **beside}, _use_new_zipfile_serialization=form))
        assert found.wrapper == "state_dict" and len(found.tensors) == 5


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"arch": "resnet18"}, {"arch": "resnet18"}),
        ({"model_name": "resnet50"}, {"arch": "resnet50"}),
        ({"args": argparse.Namespace(model="mobilenetv3_large_100", mean=None)}, {"arch": "mobilenetv3_large_100"}),
        ({"args": argparse.Namespace(arch="a"), "arch": "b"}, {"arch": "b"}),
        ({"hyper_parameters": {"arch": "x", "num_classes": 7}}, {"arch": "x", "num_classes": "7"}),
        ({"classes": ["ant", "bee"]}, {"labels": '["ant", "bee"]'}),
        ({"classes": 12}, {"num_classes": "12"}),
        ({"class_to_idx": {"bee": 1, "ant": 0}}, {"labels": '["ant", "bee"]'}),
        ({"idx_to_class": {1: "bee", 0: "ant"}}, {"labels": '["ant", "bee"]'}),
        ({"idx_to_class": {"1": "bee", "0": "ant"}}, {"labels": '["ant", "bee"]'}),
        ({"class_to_idx": {"bee": 5, "ant": 0}}, {}),
        ({"class_names": ["ant", object]}, {}),
        ({"input_size": (3, 96, 96), "mean": [0.5, 0.5, 0.5], "std": torch.ones(3)},
         {"input_size": "96", "mean": "[0.5, 0.5, 0.5]", "std": "[1.0, 1.0, 1.0]"}),
        ({"input_size": (3, 96, 32), "mean": [float("nan")], "interpolation": "random"}, {}),
        ({"interpolation": "bicubic", "library": "timm"}, {"interpolation": "bicubic", "library": "timm"}),
        ({"arch": "x" * 1000, "classes": [], "mean": "0.5"}, {}),
    ],
)  # fmt: skip
def test_what_stands_beside_the_weights(content: Any, expected: dict[str, str]) -> None:
    assert read_checkpoint(torch_bytes({"state_dict": BIG, **content})).metadata == expected


def test_what_is_nearer_to_the_weights_wins() -> None:
    data = torch_bytes({"arch": "outer", "model": {"arch": "inner", "state_dict": BIG}})
    found = read_checkpoint(data)
    assert (found.wrapper, found.metadata["arch"]) == ("model.state_dict", "inner")


# ---- files beside it ------------------------------------------------------------------------------------------------


def test_sidecars_win_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(save(BIG, {"arch": "wrong", "source": "here"}))
    (tmp_path / "net.json").write_text(json.dumps({"arch": "resnet18", "mean": [0.5], "input_size": "64", "note": "n"}))
    (tmp_path / "net.txt").write_text("ant\n\n bee \nкот\n", encoding="utf-8")
    found = read_checkpoint(path).metadata
    assert found == {
        "arch": "resnet18",
        "source": "here",
        "mean": "[0.5]",
        "input_size": "64",
        "note": "n",
        "labels": '["ant", "bee", "кот"]',
    }
    assert read_checkpoint(path.read_bytes(), str(path)).metadata == {"arch": "wrong", "source": "here"}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("net.json", b"{", '"net.json" beside the checkpoint is no JSON object'),
        ("net.json", b"[" * 100_000, '"net.json" beside the checkpoint is no JSON object'),
        ("net.json", b"3", '"net.json" beside the checkpoint is no JSON object'),
        ("net.json", b" " * (16 * 2**20 + 1), "larger than 16 MiB"),
        ("net.txt", b"\xff\xfe", "is no UTF-8 text"),
    ],
)
def test_sidecars_that_cannot_be_read(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(torch_bytes(BIG))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadCheckpoint, match=says):
        read_checkpoint(path)


# ---- folders --------------------------------------------------------------------------------------------------------

HUB = {
    "architecture": "resnet50",
    "num_classes": 2,
    "pretrained_cfg": {
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "input_size": [3, 224, 224],
        "interpolation": "bicubic",
        "crop_pct": 0.95,
    },
    "label_names": ["ant", "bee"],
}


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_of_the_hub(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(save(BIG) if name.endswith("s") else torch_bytes(BIG))
    assert read_checkpoint(tmp_path).metadata == {}
    (tmp_path / "config.json").write_text(json.dumps(HUB))
    found = read_checkpoint(tmp_path)
    assert found.name == tmp_path.name and found.tensors.keys() == BIG.keys()
    assert found.metadata == {
        "arch": "resnet50",
        "library": "timm",
        "num_classes": "2",
        "input_size": "224",
        "resize": "235",
        "interpolation": "bicubic",
        "mean": "[0.485, 0.456, 0.406]",
        "std": "[0.229, 0.224, 0.225]",
        "labels": '["ant", "bee"]',
    }


def sharded(folder: Path) -> Path:
    folder.mkdir()
    first = {name: tensor for name, tensor in BIG.items() if name < "layer2"}
    shards = {"model-1-of-2.safetensors": first, "model-2-of-2.safetensors": {n: BIG[n] for n in BIG if n not in first}}
    for file, tensors in shards.items():
        (folder / file).write_bytes(save(tensors))
    index = {"metadata": {}, "weight_map": {name: file for file, tensors in shards.items() for name in tensors}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def test_a_folder_of_shards(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "net")
    found = read_checkpoint(folder)
    assert {name: tensor.sum().item() for name, tensor in found.tensors.items()} == {
        name: tensor.sum().item() for name, tensor in BIG.items()
    }
    assert found.parts == (Part("", 5, 45),)
    changed = save({"layer0.weight": torch.ones(3, 3), "layer1.weight": torch.ones(3, 3)})
    (folder / "model-1-of-2.safetensors").write_bytes(changed)
    assert read_checkpoint(folder).digest != found.digest


def test_a_folder_of_links_into_the_hubs_own_store_opens(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    blobs.mkdir()
    (tmp_path / "snapshots").mkdir()
    sharded(snapshot)
    for file in sorted(snapshot.iterdir()):
        file.rename(blobs / file.name)
        file.symlink_to(f"../../blobs/{file.name}")
    assert len(read_checkpoint(snapshot).tensors) == 5


def test_folders_that_hold_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"is a folder; name a checkpoint file in it\. .* model\.safetensors"):
        read_checkpoint(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors.index.json").write_text("{}")
    with pytest.raises(BadCheckpoint, match="2 indices of shards; leave one in it"):
        read_checkpoint(tmp_path)

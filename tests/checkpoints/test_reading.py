"""Checkpoint files nobody here wrote."""

from __future__ import annotations

import collections
import hashlib
import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from interpret.checkpoints import Part, read_checkpoint
from interpret.errors import BadCheckpoint
from interpret.loading import load_model

TENSORS = {"conv.weight": torch.arange(24.0).reshape(2, 3, 2, 2), "conv.bias": torch.tensor([1.0, -2.0])}


def torch_bytes(content: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def assert_same(found: Any, expected: dict[str, torch.Tensor] = TENSORS) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


# ---- formats ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (save(TENSORS), "a.safetensors"),
        (save(TENSORS), "a.bin"),
        (torch_bytes(TENSORS), "a.pth"),
        (torch_bytes(TENSORS), "no suffix"),
        (torch_bytes(TENSORS, _use_new_zipfile_serialization=False), "a.th"),
        (torch_bytes(collections.OrderedDict(TENSORS)), "a.pt"),
    ],
    ids=["safetensors", "safetensors called bin", "zip", "no suffix", "legacy", "ordered"],
)
def test_formats(tmp_path: Path, data: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    for found in (read_checkpoint(path), read_checkpoint(str(path)), read_checkpoint(data, name)):
        assert_same(found.tensors)
        assert (found.name, found.wrapper, found.parts) == (name, "", (Part("", 2, 26),))
        assert found.digest == hashlib.sha256(data).hexdigest()


def test_metadata_of_safetensors() -> None:
    found = read_checkpoint(save(TENSORS, {"arch": "resnet18", "note": "é"}), "a.safetensors")
    assert found.metadata == {"arch": "resnet18", "note": "é"}
    assert read_checkpoint(torch_bytes(TENSORS), "a.pth").metadata == {}


@pytest.mark.parametrize(
    ("content", "wrapper"),
    [
        ({"state_dict": TENSORS, "epoch": 3, "best_prec1": 91.78}, "state_dict"),
        ({"model": TENSORS}, "model"),
        ({"model_state_dict": TENSORS, "optimizer_state_dict": {"lr": 0.1}}, "model_state_dict"),
        ({"model": {"state_dict": TENSORS}, "args": [1, 2]}, "model.state_dict"),
        ({"net": TENSORS, "acc": torch.tensor(0.9)}, "net"),
        ({"epoch": 1, "state_dict_ema": TENSORS}, "state_dict_ema"),
        ({"net": TENSORS, "acc": torch.tensor(0.9), "loss": torch.tensor(0.1)}, "net"),
        ({"state_dict": {"deep": {"deeper": TENSORS}}}, "state_dict.deep.deeper"),
        ({"generator": TENSORS}, "generator"),
        ([TENSORS, 3], "0"),
    ],
)
def test_wrappers_are_taken_off_and_named(content: Any, wrapper: str) -> None:
    found = read_checkpoint(torch_bytes(content), "a.pth")
    assert found.wrapper == wrapper
    assert_same(found.tensors)


def test_names_stay_as_they_are_in_the_file() -> None:
    prefixed = {f"module.model.{name}": tensor for name, tensor in TENSORS.items()}
    assert_same(read_checkpoint(torch_bytes(prefixed), "a.pth").tensors, prefixed)


# ---- what is refused ----------------------------------------------------------------------------------------------


class Hostile:
    """Pickled, it writes a file when loaded."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (self.mark,)


def refused(data: bytes, name: str = "it.pth") -> str:
    with pytest.raises(BadCheckpoint) as caught:
        read_checkpoint(data, name)
    text = str(caught.value)
    assert f'"{name}"' in text and "\n" not in text and len(text) < 400
    return text


@pytest.mark.filterwarnings("ignore")  # of torch, about what is done here on purpose
@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_code_in_a_file_is_never_run(tmp_path: Path, form: str) -> None:
    mark = tmp_path / "ran"
    content = {"state_dict": TENSORS, "extra": Hostile(str(mark))}
    data = pickle.dumps(content) if form == "pickle" else torch_bytes(
        content, _use_new_zipfile_serialization=form == "zip"
    )  # fmt: skip
    text = refused(data)
    assert not mark.exists()
    assert "would run code when loaded; Loupe reads weights only" in text
    assert form == "pickle" or "mkdir" in text


def test_a_whole_pickled_network_says_how_to_save_instead() -> None:
    text = refused(torch_bytes(torch.nn.Conv2d(1, 1, 1)))
    assert "torch.nn.modules.conv.Conv2d" in text and "torch.save(model.state_dict()" in text


@pytest.mark.filterwarnings("ignore")  # of torch, about what is done here on purpose
def test_torchscript_is_never_run() -> None:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Conv2d(1, 1, 1), torch.zeros(1, 1, 4, 4)), buffer)
    assert "TorchScript program, which Loupe never runs" in refused(buffer.getvalue(), "a.pt")


def lying_safetensors(claims: dict[str, Any], tail: bytes = b"\0" * 16) -> bytes:
    header = json.dumps(claims).encode()
    return struct.pack("<Q", len(header)) + header + tail


@pytest.mark.parametrize(
    ("data", "name", "says"),
    [
        (b"", "a.pth", "is empty \\(0 bytes\\)"),
        (b"", "a.safetensors", "is empty \\(0 bytes\\)"),
        (b"these are no weights\n" * 20, "a.pth", "is not a checkpoint Loupe can read"),
        (b"<html>404</html>", "a.pth", "is a web page .* the download failed"),
        (b"{}", "a.pth", "is not a checkpoint Loupe can read"),
        (b"cposix\nsystem\n(S'true'\ntR.", "a.pth", "\\(posix.system\\) that would run code when loaded"),
        (b"<html>404</html>", "a.safetensors", "is a web page .* the download failed"),
        (save(TENSORS)[:-20], "a.safetensors", "is not a valid safetensors file.* cut off"),
        (save(TENSORS)[:30], "a.safetensors", "is not a valid safetensors file"),
        (struct.pack("<Q", 2**62) + b"{}", "a.safetensors", "is not a valid safetensors file"),
        (lying_safetensors({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 16]}}), "a.safetensors", "not"),
        (lying_safetensors({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 2**50]}}), "a.safetensors", "not"),
        (save({}), "a.safetensors", "holds no state dict .* it is empty"),
        (torch_bytes(TENSORS)[:-200], "a.pth", "is not a checkpoint Loupe can read"),
        (torch_bytes(TENSORS)[:500], "a.pth", "is not a checkpoint Loupe can read"),
        (torch_bytes({}), "a.pth", "holds no state dict .* it is empty"),
        (torch_bytes([1, 2]), "a.pth", "holds no state dict .* it holds a list"),
        (torch_bytes(torch.ones(3)), "a.pth", "holds no state dict .* it holds a Tensor"),
        (torch_bytes({"epoch": 3, "name": "x"}), "a.pth", 'its top level holds "epoch", "name"'),
        (torch_bytes({"state_dict": {"optimizer": TENSORS}}), "a.pth", 'its top level holds "state_dict"'),
        (torch_bytes({1: torch.ones(1), 2: torch.ones(1)}), "a.pth", "holds no state dict"),
    ],
)
def test_files_that_are_no_checkpoints(data: bytes, name: str, says: str) -> None:
    with pytest.raises(BadCheckpoint, match=says):
        read_checkpoint(data, name)
    refused(data, name)


def test_a_zip_of_something_else() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("picture.png", b"x" * 100)
    refused(buffer.getvalue(), "pictures.pth")


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match="could not be read: No such file"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(BadCheckpoint, match="is a folder; name a checkpoint file in it"):
        read_checkpoint(tmp_path)
    with (tmp_path / "huge.pth").open("wb") as file:
        file.truncate(5 * 2**30)
    with pytest.raises(BadCheckpoint, match="larger than 4 GiB"):
        read_checkpoint(tmp_path / "huge.pth")


# ---- real files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("raw", "converted"), [("resnet20-12fca82f.th", "20"), ("resnet56-4bfd9763.th", "56")])
def test_the_authors_own_files_equal_the_converted_ones(real: Path, raw: str, converted: str) -> None:
    """Legacy format, `state_dict` beside `best_prec1`, DataParallel names: the same network, the same scores."""
    theirs = read_checkpoint(real / "weights" / "raw" / raw)
    assert theirs.wrapper == "state_dict"
    assert all(one.startswith("module.") for one in theirs.tensors)
    first = load_model(theirs, device="cpu")
    second = load_model(real / "weights" / f"cifar_resnet{converted}.safetensors", device="cpu")
    assert first.architecture.key == second.architecture.key == f"cifar_resnet{converted}"
    assert first.report.missing == first.report.unexpected == ()
    batch = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(first.observe(batch).scores, second.observe(batch).scores, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("file", "says"),
    [
        (
            "captum_cifar_torchvision.pt",
            r"No tensor of .* has the name and the shape of one in any network Loupe knows",
        ),
        ("kill-the-bits_resnet18_large_blocks.pth", r"The nearest is resnet18: \d\d of its 102 tensors match"),
        (
            "permute-quantize-finetune_resnet18_large.pth",
            r"The nearest is resnet18: \d\d of its 102 tensors match; missing bn1.running_mean",
        ),
    ],
)
def test_real_files_that_are_no_known_network(real: Path, file: str, says: str) -> None:
    with pytest.raises(BadCheckpoint, match=says) as caught:
        load_model(real / "weights" / "raw" / file, device="cpu")
    assert len(str(caught.value)) < 500


def test_real_files_say_what_they_are(real: Path) -> None:
    for path in sorted((real / "weights").glob("*.safetensors")):
        found = read_checkpoint(path)
        assert found.metadata["arch"] and found.wrapper == ""
        assert all(torch.isfinite(tensor).all() for tensor in found.tensors.values())

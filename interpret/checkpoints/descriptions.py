"""What a checkpoint says of itself, as texts: in its header, beside its state dict, or in files beside it.

Runs in the reading process only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from interpret.checkpoints.foreign_objects import Inert
from interpret.checkpoints.sentences import shown
from interpret.checkpoints.state_dicts import is_tensor
from interpret.errors import BadCheckpoint

MAX_TEXT = 4 * 2**20
MAX_LABELS = 100_000
MAX_ENTRIES = 1000
MAX_SIDECAR_BYTES = 16 * 2**20

_ARCH = ("arch", "architecture", "model_name", "model")
_LABELS = ("labels", "class_names", "classes", "label_names", "class_to_idx", "idx_to_class")
_ARGUMENTS = ("args", "hyper_parameters", "hparams", "config", "cfg", "opt")
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")
_MAX_NUMBERS = 64


def bounded(metadata: Mapping[str, str]) -> dict[str, str]:
    """The entries of a header that are of a size to be kept."""
    kept = {
        key: value
        for key, value in metadata.items()
        if len(key) <= 512 and len(value) <= MAX_TEXT and key.isprintable() and _is_text(value)
    }
    return dict(list(kept.items())[:MAX_ENTRIES])


def beside_the_weights(loaded: Any, path: str) -> dict[str, str]:
    """What stands beside a state dict in a file of `torch.save`: architecture, labels, input.

    Args:
        loaded: all that the file holds.
        path: of the state dict in it; what stands nearer to it wins.
    """
    found: dict[str, str] = {}
    here = loaded
    for key in (None, *path.split(".")):
        if key is not None:
            here = here.get(key) if isinstance(here, Mapping) else None
        if not isinstance(here, Mapping):
            break
        for name in _ARGUMENTS:
            arguments = _plain(here.get(name))
            if arguments:
                found |= described(arguments)
        found |= described(here)
    return found


def described(said: Mapping[Any, Any]) -> dict[str, str]:
    """Metadata from names and values as people write them; what cannot be understood is left out."""
    found: dict[str, str] = {}
    arch = next((said[key] for key in _ARCH if isinstance(said.get(key), str) and said[key]), None)
    if arch and len(arch) <= 512 and _is_text(arch):
        found["arch"] = arch
    for key in ("library", "interpolation"):
        if isinstance(said.get(key), str) and 0 < len(said[key]) <= 512 and _is_text(said[key]):
            found[key] = said[key]
    if found.get("interpolation", "bilinear") not in _INTERPOLATIONS:
        del found["interpolation"]
    for key in _LABELS:
        labels = _labels(said.get(key))
        if labels:
            found["labels"] = json.dumps(labels, ensure_ascii=False)
            break
    for count in (said.get("num_classes"), said.get("classes")):
        if type(count) is int and 0 < count <= 10**7:
            found.setdefault("num_classes", str(count))
    for key in ("input_size", "resize"):
        side = _side(said.get(key))
        if side:
            found[key] = str(side)
    for key in ("mean", "std"):
        numbers = _numbers(said.get(key))
        if numbers:
            found[key] = json.dumps(numbers)
    if len(found.get("labels", "")) > MAX_TEXT:
        del found["labels"]
    return found


def of_a_hub_folder(config: Mapping[Any, Any]) -> dict[str, str]:
    """Metadata from the `config.json` of a timm network on the Hugging Face Hub."""
    pretrained = _plain(config.get("pretrained_cfg"))
    found = described(pretrained) | described(config)
    if isinstance(config.get("pretrained_cfg"), Mapping) and "arch" in found:
        found["library"] = "timm"
    side, crop = _side(pretrained.get("input_size")), pretrained.get("crop_pct")
    if side and isinstance(crop, int | float) and 0.05 <= crop <= 1:
        found["resize"] = str(math.floor(side / crop))
    return found


def sidecars(checkpoint: Path) -> dict[str, str]:
    """Metadata from `STEM.json` and class names from `STEM.txt`, one a line, where they lie beside a checkpoint file.

    Raises:
        BadCheckpoint: one of them cannot be read; the sentence says which.
    """
    found: dict[str, str] = {}
    described_in, named_in = checkpoint.with_suffix(".json"), checkpoint.with_suffix(".txt")
    if described_in != checkpoint and described_in.is_file():
        said = read_json(described_in)
        found |= bounded({key: value for key, value in said.items() if isinstance(value, str)}) | described(said)
        for key in ("input_size", "resize", "mean", "std"):  # said as text: "[0.5, 0.5, 0.5]", "224"
            if isinstance(said.get(key), str):
                found[key] = said[key][:512]
    if named_in != checkpoint and named_in.is_file():
        lines = [line.strip() for line in _text(named_in).splitlines()]
        labels = [line for line in lines if line][:MAX_LABELS]
        if labels:
            found["labels"] = json.dumps(labels, ensure_ascii=False)
    return found


def read_json(path: Path) -> Mapping[str, Any]:
    """The object in a JSON file of at most 16 MiB; a list is taken for labels.

    Raises:
        BadCheckpoint: it cannot be read or holds something else; the sentence names the file.
    """
    try:
        said = json.loads(_text(path))
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, list):
        said = {"labels": said}
    if not isinstance(said, dict):
        raise BadCheckpoint(f'"{shown(path.name)}" beside the checkpoint is no JSON object. Mend or remove it.')
    return said


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_SIDECAR_BYTES:
            raise BadCheckpoint(f'"{shown(path.name)}" beside the checkpoint is larger than 16 MiB. Remove it.')
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = error.strerror or "no reason given"
        raise BadCheckpoint(f'"{shown(path.name)}" beside the checkpoint could not be read: {reason}.') from None
    except UnicodeDecodeError:
        raise BadCheckpoint(
            f'"{shown(path.name)}" beside the checkpoint is no UTF-8 text. Save it as UTF-8 or remove it.'
        ) from None


def _is_text(value: str) -> bool:
    return not any("\ud800" <= sign <= "\udfff" for sign in value)


def _plain(value: Any) -> Mapping[Any, Any]:
    """The attributes of a namespace that was not loaded, or the mapping itself; empty for anything else."""
    if isinstance(value, Inert):
        value = value.state
    return value if isinstance(value, Mapping) else {}


def _labels(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        value = _in_order(value)
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MAX_LABELS:
        return []
    names = [str(name) for name in value if isinstance(name, str) or (type(name) is int and abs(name) < 10**9)]
    good = len(names) == len(value) and all(len(name) <= 1000 and _is_text(name) for name in names)
    return names if good else []


def _in_order(value: Mapping[Any, Any]) -> list[Any]:
    """Names in the order of their indices: from name -> index or from index -> name."""
    if len(value) > MAX_LABELS:
        return []
    for turned in (False, True):
        pairs: dict[int, Any] = {}
        for one, other in value.items():
            index, name = (other, one) if turned else (one, other)
            if isinstance(index, str) and index.isdecimal() and len(index) < 8:
                index = int(index)
            if type(index) is int and isinstance(name, str):
                pairs[index] = name
        if pairs and set(pairs) == set(range(len(value))):
            return [pairs[index] for index in range(len(value))]
    return []


def _numbers(value: Any) -> list[float]:
    """Up to 64 finite numbers of a list, a tuple or a small tensor."""
    if is_tensor(value):
        import torch

        plain = not value.is_meta and value.layout is torch.strided and value.is_floating_point()
        few = 0 < torch.Tensor.numel(value) <= _MAX_NUMBERS
        value = torch.Tensor.detach(value).reshape(-1).tolist() if plain and few else ()
    items: Iterator[Any] = iter(value if isinstance(value, list | tuple) and len(value) <= _MAX_NUMBERS else ())
    numbers = [float(item) for item in items if isinstance(item, float) or (type(item) is int and abs(item) < 10**9)]
    good = isinstance(value, list | tuple) and len(numbers) == len(value) and all(map(math.isfinite, numbers))
    return numbers if good else []


def _side(value: Any) -> int:
    """The side of a square input from 224, (224, 224) or (3, 224, 224); 0 if it is no such thing."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 6:
        value = int(value)
    if isinstance(value, list | tuple) and 1 <= len(value) <= 4 and value[-1] == value[-min(2, len(value))]:
        value = value[-1]
    return value if type(value) is int and 1 <= value <= 4096 else 0

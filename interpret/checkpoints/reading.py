"""One function that reads a checkpoint file, and the record of what it took off the tensors' names."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from interpret.errors import BadCheckpoint

SUFFIXES = (".safetensors", ".pt", ".pth", ".th", ".bin", ".ckpt", ".tar")
MAX_CHECKPOINT_BYTES = 4 * 2**30

WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "state_dict_ema",
    "model_ema",
    "ema",
    "params",
)
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "backbone.", "encoder.")
HOW_TO_SAVE = 'Save the weights alone instead: torch.save(model.state_dict(), "weights.pth").'


@dataclass(frozen=True)
class Part:
    path: str
    tensors: int
    parameters: int


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Tensors of a network and what the file says of them.

    Attributes:
        name: the file's name; untrusted text.
        digest: SHA-256 of the file, in hex.
        tensors: name without prefixes -> tensor on the CPU.
        metadata: strings from a safetensors header; empty for other formats.
        wrapper: the key path the tensors lay under ("state_dict"), or "".
        prefixes: what was taken off every name, in order.
    """

    name: str
    digest: str
    tensors: Mapping[str, torch.Tensor]
    metadata: Mapping[str, str]
    wrapper: str
    parts: tuple[Part, ...]


def read_checkpoint(source: str | Path | bytes, name: str | None = None, part: str | None = None) -> Checkpoint:
    """The tensors of a `.safetensors` file or of a file written by `torch.save`, read weights-only.

    Args:
        source: a path, or the bytes of an upload.
        name: what to call it; for a path its file name.

    Raises:
        BadCheckpoint: unreadable, empty, too large, no checkpoint, or one that would run code when loaded.
    """
    if isinstance(source, bytes):
        data, name = source, name or "upload"
    else:
        path = Path(source)
        name = name or path.name
        try:
            if path.is_dir():
                raise BadCheckpoint(f'"{path}" is a folder; name a checkpoint file in it.')
            if path.stat().st_size > MAX_CHECKPOINT_BYTES:
                raise BadCheckpoint(
                    f'"{name}" is larger than {MAX_CHECKPOINT_BYTES >> 30} GiB, the largest Loupe opens.'
                )
            data = path.read_bytes()
        except OSError as error:
            raise BadCheckpoint(f'Checkpoint "{path}" could not be read: {error.strerror or error}.') from None
    if not data:
        raise BadCheckpoint(f'"{name}" is empty (0 bytes). The download or copy probably failed.')
    digest = hashlib.sha256(data).hexdigest()
    if name.lower().endswith(".safetensors") or _looks_like_safetensors(data):
        loaded, metadata = _read_safetensors(data, name)
    else:
        loaded, metadata = _read_torch(data, name), {}
    found, wrapper = _unwrap(loaded, name)
    return Checkpoint(name, digest, found, metadata, wrapper, (Part(wrapper, len(found), 0),))


def _looks_like_safetensors(data: bytes) -> bool:
    return len(data) > 9 and data[8:9] == b"{" and int.from_bytes(data[:8], "little") < len(data)


def _read_safetensors(data: bytes, name: str) -> tuple[dict[str, Any], dict[str, str]]:
    import json

    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise BadCheckpoint(f'"{name}" is not a valid safetensors file ({error}). It may be cut off.') from None
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    return dict(tensors), {str(key): str(value) for key, value in metadata.items()}


def _read_torch(data: bytes, name: str) -> Any:
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises almost anything on foreign bytes
        text = str(error)
        if "TorchScript" in text:
            raise BadCheckpoint(f'"{name}" is a TorchScript program, which Loupe never runs. {HOW_TO_SAVE}') from None
        blocked = re.search(r"(?:GLOBAL|global|class) ([\w.]+\.[\w.]+)", text)
        pickled = data.startswith((b"\x80", b"PK"))  # else an unsupported opcode only means: these bytes are no pickle
        if (blocked and "weights_only" in text.lower()) or (pickled and "Unsupported" in text):
            what = f" ({blocked.group(1)})" if blocked else ""
            raise BadCheckpoint(
                f'"{name}" holds Python objects{what} that would run code when loaded; Loupe reads weights only. '
                f"{HOW_TO_SAVE}"
            ) from None
        raise BadCheckpoint(
            f'"{name}" is not a checkpoint Loupe can read. It opens safetensors files and files written by torch.save.'
        ) from None


def _unwrap(loaded: Any, name: str) -> tuple[dict[str, torch.Tensor], str]:
    path: list[str] = []
    for _ in range(4):
        if not isinstance(loaded, Mapping):
            break
        tensors = {key: value for key, value in loaded.items() if isinstance(key, str) and torch.is_tensor(value)}
        if len(tensors) > 1 or (tensors and not any(isinstance(v, Mapping) for v in loaded.values())):
            return tensors, ".".join(path)
        inner = next((key for key in WRAPPERS if isinstance(loaded.get(key), Mapping)), None)
        if inner is None:
            break
        path.append(inner)
        loaded = loaded[inner]
    if isinstance(loaded, Mapping):
        keys = ", ".join(f'"{key}"' for key in list(loaded)[:4])
        found = f"its top level holds {keys}" if keys else "it is empty"
    else:
        found = f"it holds a {type(loaded).__name__}"
    raise BadCheckpoint(f'"{name}" holds no state dict (names with tensors); {found}. {HOW_TO_SAVE}')


def _strip(tensors: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    taken: list[str] = []
    while True:
        prefix = next((p for p in PREFIXES if all(key.startswith(p) for key in tensors)), None)
        if prefix is None:
            return tensors, tuple(taken)
        tensors = {key[len(prefix) :]: value for key, value in tensors.items()}
        taken.append(prefix)

"""Checking every tensor of a state dict before it is written out: dense, plain, and with real bytes behind it.

Runs in the reading process only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from interpret.checkpoints.sentences import HOW_TO_SAVE, shown
from interpret.checkpoints.state_dicts import Found, is_name
from interpret.checkpoints.tensor_file import ITEM_BYTES, MAX_AXES, Stored, write_all
from interpret.errors import BadCheckpoint
from interpret.limits import Limits

if TYPE_CHECKING:  # a file of safetensors is read without torch
    import torch

_CODES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}


def check_count(tensors: int, parameters: int, name: str, limit: Limits) -> None:
    """Holds a state dict against the limits.

    Raises:
        BadCheckpoint: more tensors or numbers than are opened.
    """
    if tensors > limit.tensors:
        raise BadCheckpoint(f'"{name}" holds {tensors:,} tensors; Loupe opens up to {limit.tensors:,}.')
    if parameters > limit.parameters:
        claimed = f"{parameters:,}" if parameters < 10**15 else "more than 10^15"
        raise BadCheckpoint(f'"{name}" holds {claimed} parameters; Loupe opens up to {limit.parameters:,}.')


def check_names(names: Mapping[str, object], name: str) -> None:
    """Refuses names no network has: longer than 512 characters, with a NUL, or no valid text.

    Raises:
        BadCheckpoint: naming the first of them.
    """
    for one in names:
        if not is_name(one):
            raise BadCheckpoint(f'"{name}" has a tensor whose name is no name: "{shown(one, 40)}". {HOW_TO_SAVE}')


def stored_tensors(part: Found, name: str, file_bytes: int, limit: Limits) -> dict[str, Stored]:
    """Every tensor of a part, checked and ready to be written.

    Args:
        part: the state dict.
        name: the file's, for sentences.
        file_bytes: its size; tensors that share memory may take up to four times as much when written out.
        limit: how many tensors and numbers there may be.

    Raises:
        BadCheckpoint: a tensor that is not dense, not real, of an unknown type, or larger than what is behind it.
    """
    check_names(part.tensors, name)
    for key, tensor in part.tensors.items():
        problem = _problem(tensor)
        if problem:
            raise BadCheckpoint(f'The tensor "{shown(key)}" in "{name}" {problem}. {HOW_TO_SAVE}')
    check_count(len(part.tensors), part.parameters, name, limit)
    stored = {key: _stored(tensor) for key, tensor in part.tensors.items()}
    total = sum(one.size for one in stored.values())
    if total > 4 * file_bytes + 2**20 or total > limit.checkpoint_bytes:
        raise BadCheckpoint(
            f'The tensors in "{name}" share memory so often that they unfold from {file_bytes:,} to {total:,} bytes. '
            f"{HOW_TO_SAVE}"
        )
    return stored


def _problem(tensor: torch.Tensor) -> str:
    """Why a tensor is refused, as the end of a sentence; "" if it is not.

    Methods are taken from the class, here and below: a file can hang attributes of the same names on a tensor.
    """
    import torch

    if tensor.is_meta:
        return "has no numbers behind it (a meta tensor)"
    if tensor.layout is not torch.strided:
        return "is sparse; Loupe opens dense tensors"
    if tensor.is_quantized:
        return "is quantised; Loupe opens plain numbers"
    if tensor.is_nested:
        return "is nested; Loupe opens plain tensors"
    if tensor.device.type != "cpu":
        return "does not lie in memory"
    if _kind(tensor) not in _CODES:
        return f"holds numbers of the type {_kind(tensor)}, which Loupe does not open"
    if len(tensor.shape) > MAX_AXES:
        return f"has {len(tensor.shape)} axes"
    numbers = torch.Tensor.numel(tensor)
    steps = zip(tensor.shape, torch.Tensor.stride(tensor), strict=True)
    reach = torch.Tensor.storage_offset(tensor) + sum((length - 1) * step for length, step in steps) + 1
    behind = torch.Tensor.untyped_storage(tensor).nbytes()
    if numbers and max(numbers, reach) * ITEM_BYTES[_CODES[_kind(tensor)]] > behind:
        return f"claims {numbers:,} numbers, but only {behind:,} bytes are behind it"
    return ""


def _kind(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _stored(tensor: torch.Tensor) -> Stored:
    shape = tuple(int(length) for length in tensor.shape)
    code = _CODES[_kind(tensor)]
    return Stored(code, shape, math.prod(shape) * ITEM_BYTES[code], _writer(tensor))


def _writer(tensor: torch.Tensor) -> Callable[[int], None]:
    import torch

    def write(target: int) -> None:
        plain = torch.Tensor.detach(tensor).resolve_neg().contiguous()
        if plain.numel():
            numbers: Any = plain.reshape(-1).view(torch.uint8).numpy()
            write_all(target, numbers.data)

    return write

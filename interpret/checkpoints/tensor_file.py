"""The safetensors format: headers of files nobody here wrote, and the file the app opens in their place.

Runs in the reading process; the app uses only `header_of` and `DTYPES`.

Source: the safetensors format, https://github.com/huggingface/safetensors: eight bytes with the header's length, a JSON
header, and the tensors' bytes without gaps.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from interpret.checkpoints.sentences import shown
from interpret.errors import BadCheckpoint
from interpret.limits import Limits

MAX_HEADER_BYTES = 16 * 2**20
MAX_AXES = 64
ITEM_BYTES = {
    "F64": 8,
    "I64": 8,
    "U64": 8,
    "F32": 4,
    "I32": 4,
    "U32": 4,
    "F16": 2,
    "BF16": 2,
    "I16": 2,
    "U16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
"""Bytes of a number, by the format's own names of the number types that are opened."""

_BLOCK = 2**20


@dataclass(frozen=True)
class Entry:
    """A tensor as a header describes it: its bytes are `start` .. `end` of the data behind the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Stored:
    """A tensor to be written: its type, shape and length in bytes, and what writes its bytes to a descriptor."""

    dtype: str
    shape: tuple[int, ...]
    size: int
    write: Callable[[int], None]


def header_of(file: BinaryIO, size: int, limit: Limits) -> tuple[dict[str, Entry], dict[str, str], int]:
    """Every tensor of a safetensors file, its metadata, and where its data begin; checked against the file's size.

    Args:
        file: opened, at any place.
        size: of the file in bytes.
        limit: how many tensors and numbers there may be.

    Raises:
        BadCheckpoint: what is wrong, as a clause without the file's name.
    """
    file.seek(0)
    head = file.read(8)
    length = int.from_bytes(head, "little")
    if len(head) < 8 or length > size - 8:
        raise BadCheckpoint(f"its header would be {length:,} bytes long, the file has {size:,}")
    if length > MAX_HEADER_BYTES:
        raise BadCheckpoint(f"its header is {length:,} bytes long, over {MAX_HEADER_BYTES:,}")
    text = file.read(length)
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        doubled = f" ({error})" if isinstance(error, _Doubled) else ""
        raise BadCheckpoint(f"its header is not the JSON it should be{doubled}") from None
    if len(text) < length or not isinstance(header, dict):
        raise BadCheckpoint("its header is not the JSON it should be")
    said = header.pop("__metadata__", {})
    if not isinstance(said, dict) or not all(isinstance(value, str) for value in said.values()):
        raise BadCheckpoint("its metadata are not texts")
    if len(header) > limit.tensors:
        raise BadCheckpoint(f"it holds {len(header):,} tensors, over the limit of {limit.tensors:,}")
    entries = {name: _entry(name, claim) for name, claim in header.items()}
    _check_places(entries, size - 8 - length)
    return entries, said, 8 + length


class _Doubled(ValueError):
    pass


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _Doubled(f'"{shown(twice)}" stands there twice')
    return found


def _entry(name: str, claim: Any) -> Entry:
    wrong = BadCheckpoint(f'its tensor "{shown(name)}" is described in a way that makes no sense')
    if not isinstance(claim, dict) or claim.keys() != {"dtype", "shape", "data_offsets"}:
        raise wrong
    dtype, shape, offsets = claim["dtype"], claim["shape"], claim["data_offsets"]
    if not isinstance(shape, list) or not isinstance(offsets, list) or len(shape) > MAX_AXES or len(offsets) != 2:
        raise wrong
    if not all(type(number) is int and 0 <= number < 2**62 for number in (*shape, *offsets)):
        raise wrong
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise BadCheckpoint(f'its tensor "{shown(name)}" has the number type "{shown(str(dtype), 20)}"')
    numbers = math.prod(shape)
    if numbers * ITEM_BYTES[dtype] != offsets[1] - offsets[0]:
        raise BadCheckpoint(
            f'its tensor "{shown(name)}" claims {numbers:,} numbers in {offsets[1] - offsets[0]:,} bytes'
            if numbers < 10**15
            else f'its tensor "{shown(name)}" claims more numbers than any file holds'
        )
    return Entry(dtype, tuple(shape), offsets[0], offsets[1])


def _check_places(entries: Mapping[str, Entry], data_bytes: int) -> None:
    at = 0
    for entry in sorted(entries.values(), key=lambda entry: (entry.start, entry.end)):
        if entry.start != at:
            raise BadCheckpoint("its tensors overlap" if entry.start < at else "there are gaps between its tensors")
        at = entry.end
    if at > data_bytes:
        raise BadCheckpoint(f"its tensors need {at:,} bytes, the file has {data_bytes:,}")
    if at < data_bytes:
        raise BadCheckpoint(f"{data_bytes - at:,} bytes follow its last tensor")


def write_tensors(target: str, tensors: Sequence[Stored]) -> None:
    """Writes a safetensors file whose tensors are called "0", "1", ... in the order given.

    Names in the file are numbers because a tensor's real name is untrusted and may be anything, even "__metadata__".
    Tensors with longer numbers lie first, so that all of them are aligned.
    """
    order = sorted(range(len(tensors)), key=lambda index: -ITEM_BYTES[tensors[index].dtype])
    header: dict[str, Any] = {}
    at = 0
    for index in order:
        stored = tensors[index]
        header[str(index)] = {
            "dtype": stored.dtype,
            "shape": list(stored.shape),
            "data_offsets": [at, at + stored.size],
        }
        at += stored.size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 64)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        write_all(descriptor, struct.pack("<Q", len(text)) + text)
        for index in order:
            tensors[index].write(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Writes every byte, in as many calls as it takes."""
    rest = memoryview(data).cast("B")
    while rest:
        rest = rest[os.write(descriptor, rest[: 2**26]) :]


def copier(source: int, start: int, size: int) -> Callable[[int], None]:
    """What copies `size` bytes of the descriptor `source` from `start` on to another descriptor."""

    def copy(target: int) -> None:
        at, end = start, start + size
        if hasattr(os, "sendfile") and os.uname().sysname == "Linux":
            while at < end:
                sent = os.sendfile(target, source, at, min(end - at, 2**26))
                if not sent:
                    break
                at += sent
        else:
            os.lseek(source, at, os.SEEK_SET)
            while at < end and (block := os.read(source, min(end - at, _BLOCK))):
                write_all(target, block)
                at += len(block)
        if at < end:
            raise BadCheckpoint("it became shorter while it was read; open it again")

    return copy


def stored_entries(source: int, data_start: int, entries: Mapping[str, Entry]) -> dict[str, Stored]:
    """Tensors of a checked file, to be copied from the descriptor `source`; their data begin at `data_start`."""
    return {
        name: Stored(
            entry.dtype,
            entry.shape,
            entry.end - entry.start,
            copier(source, data_start + entry.start, entry.end - entry.start),
        )
        for name, entry in entries.items()
    }

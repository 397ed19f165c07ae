"""One function that opens a checkpoint file nobody here wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch

from interpret.checkpoints.sandbox import read_in_child
from interpret.checkpoints.sentences import too_large
from interpret.errors import BadCheckpoint
from interpret.limits import limits

SUFFIXES = (".safetensors", ".pt", ".pth", ".th", ".bin", ".ckpt", ".tar")


@dataclass(frozen=True)
class Part:
    """A state dict found in a file.

    Attributes:
        path: the keys it lies under, joined by dots; "" is the top level.
        tensors: how many tensors it holds.
        parameters: how many numbers they hold together.
    """

    path: str
    tensors: int
    parameters: int


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Tensors of a network and what the file says of them. Names, labels and all other texts are untrusted.

    Attributes:
        name: the file's name.
        digest: SHA-256 of the file, in hex; of a sharded folder, of its files' digests and names.
        tensors: name as in the file -> tensor on the CPU.
        metadata: what the file, its folder or files beside it say: "arch", "library", "labels" (a JSON list),
            "num_classes", "input_size", "resize", "interpolation", "mean", "std" and whatever else a header holds.
        wrapper: the path of the part that was read ("state_dict"), or "".
        parts: every state dict in the file, best first.
    """

    name: str
    digest: str
    tensors: Mapping[str, torch.Tensor]
    metadata: Mapping[str, str]
    wrapper: str
    parts: tuple[Part, ...]


def read_checkpoint(source: str | Path | bytes, name: str | None = None, part: str | None = None) -> Checkpoint:
    """The tensors of a checkpoint: a safetensors file, a file of `torch.save`, or a folder with one or with shards.

    The file is read weights-only in a process of its own, under limits of memory, time and size; this process opens
    only the safetensors file which that one writes. Beside a file, `STEM.json` (metadata) and `STEM.txt` (one class
    name a line) win over what the file says of itself; in a folder, `config.json` does.

    Args:
        source: a path, or the bytes of an upload.
        name: what to call it; for a path its file name.
        part: the path of one of the file's parts; the best one if None.

    Raises:
        BadCheckpoint: unreadable, empty, too large, no checkpoint, or one that would run code when loaded.
        UnknownName: the file has no such part.
        BadInput: an environment variable sets a limit that is none.
        Unavailable: no process can be started.
    """
    limit = limits()
    if isinstance(source, bytes):
        name = name or "upload"
        if not source:
            raise BadCheckpoint(f'"{name}" is empty (0 bytes). The download or copy probably failed.')
        if len(source) > limit.checkpoint_bytes:
            raise BadCheckpoint(too_large(name, limit.checkpoint_bytes))
        reading = read_in_child("", name, name, part, source, limit)
    else:
        path = Path(source)
        name = name or path.name
        reading = read_in_child(str(path.absolute()), str(source), name, part, None, limit)
    answer = reading.answer
    return Checkpoint(
        name=name,
        digest=answer["digest"],
        tensors=MappingProxyType(dict(zip(answer["names"], reading.tensors, strict=True))),
        metadata=MappingProxyType(dict(answer["metadata"])),
        wrapper=answer["wrapper"],
        parts=tuple(Part(*one) for one in answer["parts"]),
    )

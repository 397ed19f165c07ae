"""One reading of one checkpoint, from its path to a fresh safetensors file and a JSON answer.

Runs in a process of its own, under limits, that ends with the reading.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from interpret.checkpoints import descriptions, folders
from interpret.checkpoints.containers import kind_of
from interpret.checkpoints.sentences import shown, too_large
from interpret.checkpoints.state_dicts import Found, chosen, parts_of
from interpret.checkpoints.tensor_checks import check_count, check_names, stored_tensors
from interpret.checkpoints.tensor_file import Stored, header_of, stored_entries, write_tensors
from interpret.errors import BadCheckpoint, InterpretError
from interpret.limits import Limits

MAX_ANSWER_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Request:
    """What is to be read.

    Attributes:
        path: absolute, of a file or a folder.
        shown_path: as the user wrote it, for sentences.
        name: what the checkpoint is called.
        part: the key path of the state dict wanted, or None for the best.
        beside: whether files beside it may describe it.
        folder: private; the answer and the tensors are written there.
        limit: what the reading may cost.
    """

    path: str
    shown_path: str
    name: str
    part: str | None
    beside: bool
    folder: str
    limit: Limits


@dataclass(frozen=True)
class _Read:
    parts: list[tuple[str, int, int]]
    wrapper: str
    tensors: dict[str, Stored]
    metadata: dict[str, str]


def answer(request: Request, confine: Callable[[int], None]) -> None:
    """Reads the checkpoint, writes `tensors.safetensors` and then `answer.json` into the private folder.

    Args:
        request: what to read.
        confine: sets this process's limits for a checkpoint of so many bytes; called before anything is read.
    """
    try:
        said = _read(request, confine)
    except InterpretError as error:
        said = {"error": type(error).__name__, "sentence": str(error)}
    except MemoryError:
        said = {
            "error": "BadCheckpoint",
            "sentence": f'"{request.name}" asks for more memory than its size explains. It is damaged or dishonest.',
        }
    except RecursionError:
        said = {"error": "BadCheckpoint", "sentence": f'"{request.name}" nests too deeply to be a checkpoint.'}
    except OSError as error:
        reason = error.strerror or "no reason given"
        with contextlib.suppress(OSError):  # where the disk is full, the answer needs the room
            os.unlink(os.path.join(request.folder, "tensors.safetensors"))
        said = {"error": "BadCheckpoint", "sentence": f'"{request.name}" could not be read: {reason}.'}
    except Exception as error:  # whatever foreign bytes still raise is the file's fault, but worth a name
        said = {
            "error": "BadCheckpoint",
            "sentence": f'"{request.name}" is not a checkpoint Loupe can read ({type(error).__name__}). '
            "It opens safetensors files and files written by torch.save.",
        }
    text = json.dumps(said).encode()
    unfinished = os.path.join(request.folder, "answer.part")
    with open(unfinished, "wb") as file:
        file.write(text)
    os.replace(unfinished, os.path.join(request.folder, "answer.json"))


def _read(request: Request, confine: Callable[[int], None]) -> dict[str, Any]:
    path, name, limit = Path(request.path), request.name, request.limit
    with contextlib.ExitStack() as opened:
        try:
            is_folder = path.is_dir()
            confine(min(_bytes_in(path), limit.checkpoint_bytes))
            folder = folders.look_into(path, name) if is_folder else None
            files = [_open(file, opened) for file in (folder.files if folder else (path,))]
        except OSError as error:
            raise BadCheckpoint(
                f'Checkpoint "{request.shown_path}" could not be read: {error.strerror or error}.'
            ) from None
        sizes = [os.fstat(file.fileno()).st_size for file in files]
        if sum(sizes) > limit.checkpoint_bytes:
            raise BadCheckpoint(too_large(name, limit.checkpoint_bytes))
        before = [_mark(file) for file in files]
        if folder and folder.index:
            read = _read_shards(files, sizes, folder, request)
        else:
            read = _read_file(files[0], sizes[0], request)
        if is_folder:
            read.metadata.update(folders.description(path))
        elif request.beside:
            read.metadata.update(descriptions.sidecars(path))
        write_tensors(os.path.join(request.folder, "tensors.safetensors"), list(read.tensors.values()))
        digest = _digest(files, folder)
        if [_mark(file) for file in files] != before:
            raise BadCheckpoint(f'"{name}" changed while it was read. Open it again when it is complete.')
    return {
        "digest": digest,
        "wrapper": read.wrapper,
        "parts": read.parts,
        "names": list(read.tensors),
        "metadata": read.metadata,
    }


def _bytes_in(path: Path) -> int:
    """Size of a file, or of all files of a folder together."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(entry.stat().st_size for entry in os.scandir(path) if entry.is_file())


def _open(path: Path, opened: contextlib.ExitStack) -> BinaryIO:
    """A regular file, opened for reading; a pipe or device would keep the reader waiting, or never end."""
    descriptor = -1
    if stat.S_ISREG(path.stat().st_mode):
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        file = opened.enter_context(os.fdopen(descriptor, "rb"))
    if descriptor < 0 or not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise BadCheckpoint(f'"{shown(path.name)}" is a pipe or a device, not a file. Name a checkpoint file.')
    return file


def _mark(file: BinaryIO) -> tuple[int, int]:
    now = os.fstat(file.fileno())
    return now.st_size, now.st_mtime_ns


def _read_file(file: BinaryIO, size: int, request: Request) -> _Read:
    name, limit = request.name, request.limit
    kind = kind_of(file, size, name)
    if kind == "safetensors":
        tensors, said = _read_safetensors(file, size, name, limit)
        if not tensors:
            raise BadCheckpoint(f'"{name}" holds no state dict (names with tensors); it is empty.')
        return _whole(tensors, descriptions.bounded(said), request)
    from interpret.checkpoints.torch_file import load_legacy, load_zip  # torch takes seconds to import

    loaded = (load_zip if kind == "zip" else load_legacy)(file, size, name)
    parts = parts_of(loaded, name)
    part = chosen(parts, request.part, name)
    stored = stored_tensors(part, name, size, limit)
    metadata = descriptions.beside_the_weights(loaded, part.path)
    return _Read([(one.path, len(one.tensors), one.parameters) for one in parts], part.path, stored, metadata)


def _whole(tensors: dict[str, Stored], metadata: dict[str, str], request: Request) -> _Read:
    """A format that holds one state dict and nothing around it."""
    chosen([Found("", {})], request.part, request.name)
    parameters = sum(math.prod(stored.shape) for stored in tensors.values())
    check_names(tensors, request.name)
    check_count(len(tensors), parameters, request.name, request.limit)
    return _Read([("", len(tensors), parameters)], "", tensors, metadata)


def _read_safetensors(file: BinaryIO, size: int, name: str, limit: Limits) -> tuple[dict[str, Stored], dict[str, str]]:
    try:
        entries, said, start = header_of(file, size, limit)
    except BadCheckpoint as error:
        raise BadCheckpoint(
            f'"{name}" is not a valid safetensors file: {error}. It may be cut off; copy or download it again.'
        ) from None
    return stored_entries(file.fileno(), start, entries), said


def _read_shards(files: list[BinaryIO], sizes: list[int], folder: folders.Folder, request: Request) -> _Read:
    tensors: dict[str, Stored] = {}
    metadata: dict[str, str] = {}
    for file, size, path in zip(files, sizes, folder.files, strict=True):
        found, said = _read_safetensors(file, size, path.name, request.limit)
        for one in found:
            if folder.shard_of.get(one) != path.name:
                raise BadCheckpoint(
                    f'"{path.name}" in the folder "{request.name}" holds "{shown(one)}", which its index does not say.'
                )
        tensors |= found
        metadata |= descriptions.bounded(said)
    lost = next((one for one in folder.shard_of if one not in tensors), None)
    if lost is not None:
        raise BadCheckpoint(
            f'"{shown(folder.shard_of[lost])}" in the folder "{request.name}" lacks "{shown(lost)}", '
            "which its index promises. Copy or download the folder again."
        )
    return _whole(tensors, metadata, request)


def _digest(files: list[BinaryIO], folder: folders.Folder | None) -> str:
    """SHA-256 of the file; of shards, that of the lines "digest name" of the index and of every shard."""
    digests = [_sha256(file) for file in files]
    if folder is None or folder.index is None:
        return digests[0]
    lines = [f"{hashlib.sha256(folder.index.read_bytes()).hexdigest()} {folder.index.name}"]
    lines += [f"{digest} {path.name}" for digest, path in zip(digests, folder.files, strict=True)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _sha256(file: BinaryIO) -> str:
    digest, block = hashlib.sha256(), memoryview(bytearray(2**20))
    file.seek(0)
    while count := file.readinto(block):  # type: ignore[attr-defined]
        digest.update(block[:count])
    return digest.hexdigest()

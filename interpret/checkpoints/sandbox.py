"""Reading in a process of its own: the app's side.

One helper process an app process forks a child for every file (server.py). The app opens only
what a child wrote: a small JSON answer and a safetensors file, checked as if a stranger had sent them (answers.py).
Where processes cannot be forked safely (Windows, macOS), every reading starts a fresh process of the same code.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from interpret.checkpoints.answers import read_answer
from interpret.checkpoints.helper_process import Ended, Gone, Helper, start
from interpret.checkpoints.sentences import HOW_TO_SAVE
from interpret.errors import BadCheckpoint, Unavailable
from interpret.limits import Limits

PARALLEL_READS = 4
FORKS = hasattr(os, "fork") and sys.platform != "darwin"
PREFIX = "loupe-reading-"
_SIGNAL_KILL, _SIGNAL_XCPU = 9, 24
_CODE_NO_MEMORY = 75


@dataclass(frozen=True)
class Reading:
    """What a child read: its checked answer, the tensors in the answer's order, and how the child ended."""

    answer: Mapping[str, Any]
    tensors: list[torch.Tensor]
    ended: Ended


_current: Helper | None = None
_current_lock = threading.Lock()
_places = threading.BoundedSemaphore(PARALLEL_READS)
_counter = itertools.count(1)


def warm_up() -> None:
    """Starts the helper process and has it import torch, without waiting: the first `.pth` opens fast then."""
    if FORKS:
        with contextlib.suppress(Gone):
            _helper().send({"warm": True})


def read_in_child(
    path: str, shown_path: str, name: str, part: str | None, content: bytes | None, limit: Limits
) -> Reading:
    """What a child process reads from a file, checked; nothing of it remains on the disk.

    Args:
        path: absolute, of a file or folder; "" for an upload.
        shown_path: as the user wrote it.
        name: what to call it in sentences.
        part: the key path of the state dict wanted, or None.
        content: the bytes of an upload, or None.
        limit: what the reading may cost.

    Raises:
        BadCheckpoint: what is wrong with the file, or that reading it had to be stopped.
        UnknownName: no such part.
        Unavailable: no process can be started.
    """
    with _places:
        for attempt in (1, 2):
            try:
                with _private_folder() as (helper, folder):
                    upload = folder / "upload"
                    if content is not None:
                        _keep(content, upload)
                    request = {
                        "path": str(upload) if content is not None else path,
                        "shown_path": shown_path,
                        "name": name,
                        "part": part,
                        "beside": content is None,
                        "folder": str(folder),
                        "limit": asdict(limit),
                    }
                    seconds = 3.0 * limit.read_seconds + 10
                    ended = _run_fresh(request, seconds) if helper is None else helper.run(request, seconds)
                    _check_end(ended, name)
                    answer, tensors = read_answer(folder, name, limit)
                    return Reading(answer, tensors, ended)
            except TimeoutError:
                raise _stopped(name, "took too long to read") from None
            except Gone:
                if attempt == 2:
                    raise Unavailable("The process that reads checkpoint files ended twice. Try again.") from None
    raise AssertionError("unreachable")


def _keep(content: bytes, path: Path) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        if not path.parent.exists():
            raise Gone from None
        raise Unavailable(f"The upload could not be kept for reading: {error.strerror or error}.") from None


@contextlib.contextmanager
def _private_folder() -> Iterator[tuple[Helper | None, Path]]:
    """The helper, or None where there is none, and a folder for one reading that is removed afterwards."""
    helper = _helper() if FORKS else None
    try:
        if helper is None:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        else:
            folder = helper.folder() / str(next(_counter))
            folder.mkdir(mode=0o700)
    except FileNotFoundError:  # the helper ended in between, and its folder with it
        raise Gone from None
    try:
        yield helper, folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_end(ended: Ended, name: str) -> None:
    """Raises the sentence for a child that was ended by its limits or by the file."""
    if ended.signal == _SIGNAL_XCPU:
        raise _stopped(name, "took too long to read")
    if ended.signal == _SIGNAL_KILL or ended.code == _CODE_NO_MEMORY:
        raise _stopped(name, "needed more memory or time than its size explains")
    if ended.signal or ended.code:
        raise _stopped(name, "crashed the process that read it")


def _stopped(name: str, what: str) -> BadCheckpoint:
    return BadCheckpoint(
        f'"{name}" {what}, so reading was stopped; nothing else was harmed. It is probably damaged. {HOW_TO_SAVE}'
    )


def _run_fresh(request: dict[str, Any], seconds: float) -> Ended:
    """Reads in a process started for it alone."""
    process = start("--once")
    try:
        process.communicate(json.dumps(request).encode() + b"\n", timeout=seconds)
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    return Ended(max(0, process.returncode), max(0, -process.returncode), 0, 0.0)


def _helper() -> Helper:
    global _current
    with _current_lock:
        if _current is None or _current.gone or _current.process.poll() is not None:
            _current = Helper()
        return _current


def _end_helper() -> None:
    if _current is not None:
        _current.end()


def _forget() -> None:
    """In a process forked from the app's: the helper belongs to the parent, and must see its pipes close with it."""
    global _current, _current_lock, _places
    if _current is not None:
        _current.let_go()
    _current, _current_lock, _places = None, threading.Lock(), threading.BoundedSemaphore(PARALLEL_READS)


atexit.register(_end_helper)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

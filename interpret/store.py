"""Results that outlive a session, on disk: written whole or not at all, damaged ones ignored, never too many.

A root holds folders `<16 hex digits>-<16 hex digits>` with files in them: first whose results they are, then of what.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_BYTES = 2 * 2**30
"""How much is kept under one root; what was not used for longest goes first."""
_FOLDER = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}")
_STRAY_SECONDS = 3600
"""A temporary file this old belongs to a process that was killed while it wrote."""

Arrays = dict[str, NDArray[Any]]


def root_folder(kind: str) -> Path:
    """Where results of a kind are kept: `$LOUPE_HOME/<kind>`, else `~/.cache/loupe/<kind>`."""
    home = os.environ.get("LOUPE_HOME")
    return (Path(home) if home else Path.home() / ".cache" / "loupe") / kind


def result_folder(root: Path, whose: str, of: str) -> Path:
    """Where the results of a network and a data set, or of a network and a request, lie: sixteen hex digits of each."""
    return root / f"{short(whose)[:16]}-{short(of)[:16]}"


def short(text: str) -> str:
    """A text as hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def finished_file(name: str) -> str:
    """The name of a layer's file: readable, and another one for every layer whatever the file system."""
    return f"{re.sub('[^A-Za-z0-9_-]', '_', name)[:60]}-{short(name)[:12]}.npz"


def read(path: Path) -> Arrays | None:
    """The arrays of a file, or None where it is absent or damaged; takes note that it was used."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        os.utime(path)
    except Exception:  # numpy and zipfile raise many kinds on damaged files
        return None
    return arrays


def write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Puts arrays into a file, and makes room under the root where too much is kept."""
    put(path, arrays)
    tidy(path.parent.parent, path)


def put(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Puts arrays into a file under a temporary name and renames it. A disk that cannot be written to is no error."""
    unfinished = path.with_name(f"{uuid.uuid4().hex}.tmp")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("wb") as stream:
                np.savez(stream, **arrays)  # type: ignore[arg-type]
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file under a temporary name and renames it, so that it is there whole or not at all."""
    unfinished = path.with_name(f"{uuid.uuid4().hex}.tmp")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def tidy(root: Path, keep: Path) -> None:
    """Removes the files longest unused until at most `MAX_BYTES` are kept, and what killed processes left behind."""
    found: list[tuple[float, int, Path]] = []
    with contextlib.suppress(OSError):
        for folder in [folder for folder in root.iterdir() if _FOLDER.fullmatch(folder.name)]:
            for file in folder.iterdir():
                with contextlib.suppress(OSError):  # another process removed it
                    about = file.stat()
                    if file.suffix == ".tmp" and time.time() - about.st_mtime > _STRAY_SECONDS:
                        file.unlink()
                    elif file.suffix in (".npz", ".partial"):
                        found.append((about.st_mtime, about.st_size, file))
    excess = sum(size for _, size, _ in found) - MAX_BYTES
    for _, size, file in sorted(found):
        if excess > 0 and file != keep:
            with contextlib.suppress(OSError):
                file.unlink()
                excess -= size
                file.parent.rmdir()  # only where it is empty

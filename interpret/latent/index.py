"""The files of a finished run: the table of its pictures, their thumbnails in one file, the joined vectors."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np
from numpy.typing import NDArray

from interpret.store import write_whole

PLAN, MANIFEST, INDEX = "run.json", "manifest.json", "index.parquet"
DATA = "data."
"""What the names of the source's own columns begin with in the table."""
THUMBNAILS, OFFSETS = "thumbnails.bin", "thumbnails.npy"


def text(value: str) -> str:
    """A text as Parquet may hold it: file names need not be Unicode, Parquet's strings must."""
    return value.encode("utf-8", "backslashreplace").decode()


def write_index(path: Path, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> None:
    """Writes a table as Parquet, whole or not at all."""
    import pyarrow
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(dict(columns)), buffer)
    write_whole(path, buffer.getvalue())


def read_index(path: Path) -> dict[str, Any]:
    """The columns of a table: texts as lists, numbers as arrays."""
    from pyarrow import parquet, types

    table = parquet.read_table(path)
    return {
        name: column.to_pylist() if types.is_string(column.type) else column.to_numpy()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }


AXES = ("x", "y", "z")


def put_points(path: Path, points: Mapping[str, NDArray[np.float32]]) -> None:
    """Puts maps [n, 2 or 3] into a table as columns x, y and z, in place of those it had.

    Args:
        path: of the table.
        points: by layer, whose name the columns then end with, as in "x.layer4"; "" for just x, y and z.
    """
    columns = {name: column for name, column in read_index(path).items() if name.partition(".")[0] not in AXES}
    for layer, found in points.items():
        for axis, values in zip(AXES, found.T, strict=False):
            columns[f"{axis}.{text(layer)}" if layer else axis] = values
    write_index(path, columns)


@contextmanager
def renamed(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which gets its name when all of it is written."""
    unfinished = path.with_name(f"{uuid.uuid4().hex}.tmp")
    try:
        with unfinished.open("wb") as stream:
            yield stream
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_rows(path: Path, shape: tuple[int, int], kind: str, parts: Iterator[NDArray[Any]]) -> None:
    """Writes an array [n, d] as `.npy` from parts of its rows, one at a time."""
    with renamed(path) as stream:
        about = {"descr": np.lib.format.dtype_to_descr(np.dtype(kind)), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, about)
        for part in parts:
            stream.write(np.ascontiguousarray(part).data)


class Thumbnails(Sequence[bytes]):
    """The thumbnails of a run, each read when it is asked for.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._offsets = np.load(folder / OFFSETS, allow_pickle=False)
        self._blob = np.memmap(folder / THUMBNAILS, np.uint8, "r")
        if self._offsets.ndim != 1 or self._offsets[-1] != len(self._blob) or (np.diff(self._offsets) < 0).any():
            raise ValueError("the offsets do not fit the thumbnails")

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(index, slice):
            return [self[at] for at in range(len(self))[index]]
        at = range(len(self))[index]
        return self._blob[self._offsets[at] : self._offsets[at + 1]].tobytes()

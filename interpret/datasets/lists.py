"""Pictures named by a list: a CSV or Parquet table of paths and labels."""

from __future__ import annotations

import contextlib
import csv
import hashlib
from pathlib import Path

import numpy as np

from interpret.datasets.picture_source import MAX_PICTURES, Column, PictureSource, numbered, of_files
from interpret.errors import BadInput
from interpret.images import picture_file

LISTS = (".csv", ".tsv", ".parquet")
MAX_LIST_BYTES = 512 * 2**20
PATHS = ("path", "file", "image")
LABELS = ("label", "class")

MOST_COLUMNS = 32

Row = tuple[str, str, tuple[str, ...]]
"""Path, label, and what the other columns say."""


def listed(path: Path) -> PictureSource:
    """The pictures a table names, in its order.

    A `.csv` or `.tsv` (UTF-8, a line of column names first, separated by commas, semicolons or tabs) or a `.parquet`
    with a column "path", "file" or "image", and "label" or "class" if there are labels. Paths start at the list's own
    folder. Classes are in alphabetical order; where all of them are numbers, in theirs. A path with no usable picture
    is found when it is read, as a broken picture is. The other columns, up to 32, come along as the source's.

    Raises:
        BadInput: no such columns, a line that cannot be read, too long, or empty.
    """
    size = path.stat().st_size
    if size > MAX_LIST_BYTES:
        raise BadInput(
            f'"{path.name}" has {size / 2**20:,.0f} MiB; lists may have {MAX_LIST_BYTES >> 20}. Split it into several.'
        )
    others, rows = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    if not rows:
        raise BadInput(f'"{path.name}" names no pictures.')
    names = tuple(name for name, _, _ in rows)
    found = [label for _, label, _ in rows]
    numeric = all(label.isascii() and label.isdigit() and len(label) < 10 for label in found if label)
    labels, classes = numbered(found, int if numeric else str)
    files = [path.parent / name for name in names]
    digest = hashlib.sha256(repr([(*row, *_stamp(file)) for row, file in zip(rows, files, strict=True)]).encode())

    def encoded(index: int) -> tuple[bytes, str]:
        if not files[index].is_file():  # nothing that never ends, as a device does
            raise BadInput(f'Picture "{names[index]}" in "{path.name}" is no file.')
        return picture_file(files[index])

    columns = {name: _typed([beside[at] for _, _, beside in rows]) for at, name in enumerate(others)}
    return of_files(path.name, digest.hexdigest(), names, labels, classes, encoded, columns)


def _typed(texts: list[str]) -> Column:
    """Numbers where all that is said are numbers, otherwise the texts."""
    if any(texts):
        with contextlib.suppress(ValueError):
            return np.array([float(text) if text else np.nan for text in texts])
    return tuple(texts)


def _stamp(file: Path) -> tuple[int, int]:
    try:
        about = file.stat()
    except (OSError, ValueError):  # a name with a null character is a ValueError
        return (-1, -1)
    return about.st_size, about.st_mtime_ns


def _column(path: Path, columns: list[str], known: tuple[str, ...]) -> int | None:
    """Which column has one of the known names, upper and lower case alike.

    Raises:
        BadInput: there is no column of paths.
    """
    folded = [column.strip().casefold() for column in columns]
    found = next((folded.index(name) for name in known if name in folded), None)
    if found is None and known == PATHS:
        shown = ", ".join(column[:40] for column in columns[:8])
        raise BadInput(f'"{path.name}" has no column "path", "file" or "image"; line 1 names: {shown or "nothing"}.')
    return found


def _others(columns: list[str], known: tuple[int | None, ...]) -> list[int]:
    """The places of the columns that are neither paths nor labels; each name once."""
    first = {name: place for place, name in reversed(list(enumerate(columns)))}
    return sorted(place for name, place in first.items() if place not in known and name.strip())[:MOST_COLUMNS]


def _csv(path: Path) -> tuple[list[str], list[Row]]:
    """The names of the other columns, and the rows."""
    number, rows = 1, list[Row]()
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            head = lines.readline(2**16)
            separator = max(",;\t", key=head.count)
            columns = next(csv.reader([head], delimiter=separator), [])
            at, of = _column(path, columns, PATHS), _column(path, columns, LABELS)
            assert at is not None
            others = _others(columns, (at, of))
            reader = csv.reader(lines, delimiter=separator, strict=True)
            for count, row in enumerate(reader):
                number = 1 + reader.line_num
                if count >= MAX_PICTURES:
                    raise BadInput(f'"{path.name}" names more than {MAX_PICTURES:,} pictures. Split it into several.')
                if not row:
                    continue
                if len(row) != len(columns):
                    raise BadInput(f'Line {number} of "{path.name}" has {len(row)} fields; line 1 has {len(columns)}.')
                beside = tuple(row[place].strip() for place in others)
                rows.append(_row(path, f"Line {number}", row[at], "" if of is None else row[of], beside))
    except csv.Error as error:
        raise BadInput(f'Line {number + 1} of "{path.name}" cannot be read as CSV: {error}.') from None
    except UnicodeDecodeError:
        raise BadInput(f'"{path.name}" is not UTF-8 text, after line {number}. Save it as CSV in UTF-8.') from None
    return [columns[place].strip() for place in others], rows


def _parquet(path: Path) -> tuple[list[str], list[Row]]:
    """The same of a Parquet file; other columns are left out where they hold anything but text, numbers and dates."""
    import pyarrow
    from pyarrow import parquet
    from pyarrow.types import is_boolean, is_date, is_floating, is_integer, is_timestamp

    def kind_of(name: str) -> pyarrow.DataType:
        kind = file.schema_arrow.field(name).type
        return kind.value_type if pyarrow.types.is_dictionary(kind) else kind

    def is_text(kind: pyarrow.DataType) -> bool:
        return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind))

    try:
        with parquet.ParquetFile(path) as file:
            columns = list(file.schema_arrow.names)
            if file.metadata.num_rows > MAX_PICTURES:
                raise BadInput(f'"{path.name}" names more than {MAX_PICTURES:,} pictures. Split it into several.')
            at, of = _column(path, columns, PATHS), _column(path, columns, LABELS)
            for place in (at, of):
                if place is None:
                    continue
                kind = kind_of(columns[place])
                if not is_text(kind) and (place == at or not is_integer(kind)):
                    raise BadInput(f'Column "{columns[place]}" of "{path.name}" holds {kind}; text was expected.')
            plain = (is_text, is_boolean, is_integer, is_floating, is_date, is_timestamp)
            others = [columns[place] for place in _others(columns, (at, of))]
            others = [name for name in others if any(test(kind_of(name)) for test in plain)]
            wanted = [columns[place] for place in (at, of) if place is not None] + others
            found = [
                ["" if value is None else str(value) for value in column.to_pylist()]
                for column in file.read(wanted).select(wanted).columns
            ]
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise BadInput(
            f'"{path.name}" is no Parquet file that can be read: {str(error).splitlines()[0][:120]}'
        ) from None
    labels = found[1] if of is not None else [""] * len(found[0])
    beside = zip(*found[len(wanted) - len(others) :], strict=True) if others else [()] * len(found[0])
    return others, [
        _row(path, f"Row {number}", *row) for number, row in enumerate(zip(found[0], labels, beside, strict=True), 1)
    ]


def _row(path: Path, where: str, name: str, label: str, beside: tuple[str, ...]) -> Row:
    if not name.strip():
        raise BadInput(f'{where} of "{path.name}" names no picture.')
    return name.strip(), label.strip(), beside

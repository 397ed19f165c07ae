"""Pictures named by a list: a CSV or Parquet table of paths and labels."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

from interpret.datasets.picture_source import MAX_PICTURES, PictureSource, numbered
from interpret.errors import BadInput
from interpret.images import InputImage

LISTS = (".csv", ".tsv", ".parquet")
MAX_LIST_BYTES = 512 * 2**20
PATHS = ("path", "file", "image")
LABELS = ("label", "class")

Row = tuple[str, str]


def listed(path: Path) -> PictureSource:
    """The pictures a table names, in its order.

    A `.csv` or `.tsv` (UTF-8, a line of column names first, separated by commas, semicolons or tabs) or a `.parquet`
    with a column "path", "file" or "image", and "label" or "class" if there are labels. Paths start at the list's own
    folder. Classes are in alphabetical order; where all of them are numbers, in theirs. A path with no usable picture
    is found when it is read, as a broken picture is.

    Raises:
        BadInput: no such columns, a line that cannot be read, too long, or empty.
    """
    size = path.stat().st_size
    if size > MAX_LIST_BYTES:
        raise BadInput(
            f'"{path.name}" has {size / 2**20:,.0f} MiB; lists may have {MAX_LIST_BYTES >> 20}. Split it into several.'
        )
    rows = _parquet(path) if path.suffix.lower() == ".parquet" else list(_csv(path))
    if not rows:
        raise BadInput(f'"{path.name}" names no pictures.')
    names = tuple(name for name, _ in rows)
    found = [label for _, label in rows]
    numeric = all(label.isascii() and label.isdigit() and len(label) < 10 for label in found if label)
    labels, classes = numbered(found, int if numeric else str)
    files = [path.parent / name for name in names]
    digest = hashlib.sha256(repr([(*row, *_stamp(file)) for row, file in zip(rows, files, strict=True)]).encode())

    def read(index: int) -> InputImage:
        if not files[index].is_file():  # nothing that never ends, as a device does
            raise BadInput(f'Picture "{names[index]}" in "{path.name}" is no file.')
        return InputImage.from_path(files[index])

    return PictureSource(path.name, digest.hexdigest(), names, labels, classes, read)


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


def _csv(path: Path) -> Iterator[Row]:
    number = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            head = lines.readline(2**16)
            separator = max(",;\t", key=head.count)
            columns = next(csv.reader([head], delimiter=separator), [])
            at, of = _column(path, columns, PATHS), _column(path, columns, LABELS)
            assert at is not None
            reader = csv.reader(lines, delimiter=separator, strict=True)
            for count, row in enumerate(reader):
                number = 1 + reader.line_num
                if count >= MAX_PICTURES:
                    raise BadInput(f'"{path.name}" names more than {MAX_PICTURES:,} pictures. Split it into several.')
                if not row:
                    continue
                if len(row) != len(columns):
                    raise BadInput(f'Line {number} of "{path.name}" has {len(row)} fields; line 1 has {len(columns)}.')
                yield _row(path, f"Line {number}", row[at], "" if of is None else row[of])
    except csv.Error as error:
        raise BadInput(f'Line {number + 1} of "{path.name}" cannot be read as CSV: {error}.') from None
    except UnicodeDecodeError:
        raise BadInput(f'"{path.name}" is not UTF-8 text, after line {number}. Save it as CSV in UTF-8.') from None


def _parquet(path: Path) -> list[Row]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            columns = list(file.schema_arrow.names)
            if file.metadata.num_rows > MAX_PICTURES:
                raise BadInput(f'"{path.name}" names more than {MAX_PICTURES:,} pictures. Split it into several.')
            places = _column(path, columns, PATHS), _column(path, columns, LABELS)
            wanted = [columns[at] for at in places if at is not None]
            for name in wanted:
                kind = file.schema_arrow.field(name).type
                kind = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
                is_text = pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)
                if not is_text and (name == wanted[0] or not pyarrow.types.is_integer(kind)):
                    raise BadInput(f'Column "{name}" of "{path.name}" holds {kind}; text was expected.')
            found = [
                ["" if value is None else str(value) for value in column.to_pylist()]
                for column in file.read(wanted).columns
            ]
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise BadInput(
            f'"{path.name}" is no Parquet file that can be read: {str(error).splitlines()[0][:120]}'
        ) from None
    labels = found[1] if len(wanted) > 1 else [""] * len(found[0])
    return [_row(path, f"Row {number}", *row) for number, row in enumerate(zip(found[0], labels, strict=True), 1)]


def _row(path: Path, where: str, name: str, label: str) -> Row:
    if not name.strip():
        raise BadInput(f'{where} of "{path.name}" names no picture.')
    return name.strip(), label.strip()

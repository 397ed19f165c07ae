"""Boxes around objects: what one is, reading true ones from a file, and where they lie in what the network saw."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interpret.errors import BadInput
from interpret.images import InputImage, Preprocess

MAX_CHARACTERS = 64 * 2**20
MAX_BOXES = 1_000_000

_FILE = ("file", "image", "filename", "file_name")
# The first set whose columns are all there counts: files that name edges often have the picture's width and height too.
_EDGES = (("xmin", "ymin", "xmax", "ymax"), ("left", "top", "right", "bottom"))
_SIZES = (("x", "y", "w", "h"), ("x", "y", "width", "height"))


@dataclass(frozen=True)
class Box:
    """A box with upright sides.

    Attributes:
        left, top, right, bottom: in pixels; right and bottom just outside, so that the width is right - left.

    Raises:
        BadInput: a side is not a finite number, or the box has no area.
    """

    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        sides = (self.left, self.top, self.right, self.bottom)
        # Beyond 1e6 an area would lose pixels in float32; no picture is as large.
        if not all(math.isfinite(side) and abs(side) <= 1e6 for side in sides):
            raise BadInput(f"A box needs four numbers within a million pixels; found {_told(sides)}.")
        if self.right <= self.left or self.bottom <= self.top:
            raise BadInput(f"A box needs left < right and top < bottom; found {_told(sides)}.")

    @property
    def area(self) -> float:
        """In square pixels, above zero."""
        return (self.right - self.left) * (self.bottom - self.top)


def _told(sides: Iterable[float]) -> str:
    return ", ".join(f"{side:g}" for side in sides)


def seen_boxes(boxes: Iterable[Box], preprocess: Preprocess, image: InputImage) -> tuple[Box, ...]:
    """Boxes in pixels of what the network saw (`Preprocess.seen`), from boxes in pixels of the picture.

    seen = (side - crop's side) * seen size / crop size, for x and y alike, cut at the crop's rim

    Args:
        boxes: in pixels of the picture.
        preprocess: what is cut out of it and how it is scaled.
        image: the picture.

    Returns:
        The boxes, cut at the rim; those wholly outside are left out.
    """
    left, top, right, bottom = preprocess.crop_box(image)
    height, width = preprocess.size
    x, y = width / (right - left), height / (bottom - top)
    found = []
    for box in boxes:
        sides = ((box.left - left) * x, (box.top - top) * y, (box.right - left) * x, (box.bottom - top) * y)
        cut = [min(max(side, 0.0), float(limit)) for side, limit in zip(sides, (width, height) * 2, strict=True)]
        if cut[0] < cut[2] and cut[1] < cut[3]:
            found.append(Box(*cut))
    return tuple(found)


def boxes_of_file(text: str, picture: str = "") -> dict[str, tuple[Box, ...]]:
    """The true boxes in the text of a CSV or JSON file, in pixels of the pictures as they were before any crop.

    CSV has a row of column names: `file` (or `image`, `filename`) and `xmin, ymin, xmax, ymax`, or `left, top, right,
    bottom`, or `x, y` and `w, h` or `width, height`; other columns do not matter. JSON is a list of objects with these
    names, an object {file: [[left, top, right, bottom], ...]}, or COCO's `images` and `annotations`.

    Args:
        text: of the file.
        picture: the file name of the picture that rows belong to where the file has no column for it.

    Returns:
        File name without folders -> boxes in the order of the file; untrusted text.

    Raises:
        BadInput: too large, neither CSV nor JSON, a column is missing, or a box that is none; the line is named.

    Differs: some files mean the last pixel inside by xmax and ymax (PASCAL VOC, ILSVRC); here they are just outside, so
        such boxes are one pixel smaller.
    """
    if len(text) > MAX_CHARACTERS:
        raise BadInput(f"The file of boxes is larger than {MAX_CHARACTERS >> 20} MiB. Split it.")
    text = text.removeprefix("\ufeff").strip()
    rows = _json_rows(text, picture) if text[:1] in ("[", "{") else _csv_rows(text, picture)
    found: dict[str, list[Box]] = {}
    for number, (where, file, sides) in enumerate(rows):
        if number >= MAX_BOXES:
            raise BadInput(f"The file holds more than {MAX_BOXES:,} boxes. Split it.")
        try:
            box = Box(*sides)
        except BadInput as error:
            raise BadInput(f"{where}: {error}") from None
        found.setdefault(file.replace("\\", "/").rpartition("/")[2], []).append(box)
    if not found:
        raise BadInput("The file holds no boxes. It needs a column for each of file, xmin, ymin, xmax, ymax.")
    return {file: tuple(boxes) for file, boxes in found.items()}


Row = tuple[str, str, Sequence[float]]
"""Where it was found, the file's name, the four sides."""


def _csv_rows(text: str, picture: str) -> Iterator[Row]:
    header = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=header.count))
    try:
        reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        _columns(reader.fieldnames, picture, "Line 1")
        for row in reader:
            yield _row(row, picture, f"Line {reader.line_num}")
    except csv.Error as error:
        raise BadInput(f"Line {reader.line_num + 1} of the file of boxes is not CSV: {error}.") from None


def _json_rows(text: str, picture: str) -> Iterator[Row]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInput(f"Line {error.lineno} of the file of boxes is not JSON: {error.msg}.") from None
    except (ValueError, RecursionError):
        raise BadInput("The file of boxes is nested too deeply, or holds a number of thousands of digits.") from None
    if isinstance(content, list):
        for place, entry in enumerate(content, 1):
            if not isinstance(entry, dict):
                raise BadInput(f"Entry {place} of the JSON list should be an object with file, xmin, ymin, xmax, ymax.")
            named = {str(name).lower(): value for name, value in entry.items()}
            yield _row(named, picture, f"Entry {place}")
    elif "annotations" in content and "images" in content:
        yield from _coco_rows(content)
    else:
        for file, boxes in content.items():
            for place, sides in enumerate(_list(boxes, f'"{file[:60]}"'), 1):
                where = f'Box {place} of "{file[:60]}"'
                yield where, file, _four(sides, where)


def _coco_rows(content: Mapping[str, Any]) -> Iterator[Row]:
    files: dict[str, str] = {}
    for place, entry in enumerate(_list(content["images"], "images"), 1):
        if not isinstance(entry, dict) or not isinstance(entry.get("file_name"), str) or "id" not in entry:
            raise BadInput(f"Image {place} of the COCO file has no id and file_name.")
        files[repr(entry["id"])] = entry["file_name"]
    for place, entry in enumerate(_list(content["annotations"], "annotations"), 1):
        where = f"Annotation {place}"
        if not isinstance(entry, dict) or repr(entry.get("image_id")) not in files:
            raise BadInput(f"{where} of the COCO file has no image_id that is among its images.")
        x, y, width, height = _four(entry.get("bbox"), where)
        yield where, files[repr(entry["image_id"])], (x, y, x + width, y + height)


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadInput(f"{name} should be a list in the file of boxes.")
    return value


def _four(value: Any, where: str) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) != 4:
        raise BadInput(f"{where}: a box should be a list of four numbers.")
    return tuple(_number(side, where) for side in value)


def _columns(names: Iterable[str], picture: str, where: str) -> tuple[str, Sequence[str]]:
    """The names of the column of files ("" if none is needed) and of the four sides."""
    known = set(names)
    file = next((name for name in _FILE if name in known), "")
    sides = next((columns for columns in _EDGES + _SIZES if known.issuperset(columns)), None)
    if sides is None or not (file or picture):
        missing = "columns xmin, ymin, xmax, ymax" if sides is None else "column file"
        raise BadInput(f"{where} of the file of boxes has no {missing} (nor one of their other names).")
    return file, sides


def _row(row: Mapping[str, Any], picture: str, where: str) -> Row:
    file, sides = _columns(row, picture, where)
    one, two, three, four = (_number(row[name], where) for name in sides)
    name = row[file] if file else picture
    if not isinstance(name, str) or not name.strip():
        raise BadInput(f"{where} of the file of boxes names no picture.")
    return where, name.strip(), (one, two, three, four) if sides in _EDGES else (one, two, one + three, two + four)


def _number(value: Any, where: str) -> float:
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise BadInput(f'{where}: "{str(value)[:40]}" is no number; boxes are given in pixels.')

"""Sample pictures that need no network: drawn Shapes, and the two photographs that come with scikit-learn."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from interpret.datasets.shapes import CLASSES, ShapePicture, draw
from interpret.errors import unknown
from interpret.images import InputImage

_PHOTOGRAPHS = ("china.jpg", "flower.jpg")
_TAGGED = "heart with a tag"
_SEED = 2026
_INDICES = (54, 25, 45, 50, 33, 50, 26, 33)
"""Which picture of the set stands for each class, in the order of `CLASSES`."""


def _photograph_folder() -> Path | None:
    found = find_spec("sklearn")
    folder = Path(found.origin).parent / "datasets" / "images" if found and found.origin else None
    return folder if folder and folder.is_dir() else None


def sample_names() -> tuple[str, ...]:
    """Names of the sample pictures: one Shape per class, one with the tag, and the photographs where present."""
    photographs = _PHOTOGRAPHS if _photograph_folder() else ()
    return (*CLASSES, _TAGGED, *photographs)


def sample_box(name: str) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of the object of a sample picture in pixels; None where nobody has measured it."""
    return _drawn(name).box if name == _TAGGED or name in CLASSES else None


def _drawn(name: str) -> ShapePicture:
    if name == _TAGGED:
        heart = CLASSES.index("heart")
        return draw(_INDICES[heart], _SEED, tags="all", label=heart)
    label = CLASSES.index(name)
    return draw(_INDICES[label], _SEED, label=label)


def sample_picture(name: str) -> InputImage:
    """A sample picture.

    Raises:
        UnknownName: no such sample.
    """
    folder = _photograph_folder()
    if name in _PHOTOGRAPHS and folder:
        return InputImage.from_path(folder / name)
    if name == _TAGGED or name in CLASSES:
        return InputImage.from_array(_drawn(name).pixels, name)
    raise unknown("Sample picture", name, "the samples", sample_names())

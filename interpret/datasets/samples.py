"""Sample pictures that need no network: drawn Shapes, and the two photographs that come with scikit-learn."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from interpret.datasets.shapes import CLASSES, draw
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


def sample_picture(name: str) -> InputImage:
    """A sample picture.

    Raises:
        UnknownName: no such sample.
    """
    folder = _photograph_folder()
    if name in _PHOTOGRAPHS and folder:
        return InputImage.from_path(folder / name)
    if name == _TAGGED:
        heart = CLASSES.index("heart")
        return InputImage.from_array(draw(_INDICES[heart], _SEED, tags="all", label=heart).pixels, name)
    if name in CLASSES:
        label = CLASSES.index(name)
        return InputImage.from_array(draw(_INDICES[label], _SEED, label=label).pixels, name)
    raise unknown("Sample picture", name, "the samples", sample_names())

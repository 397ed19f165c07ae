"""What a set of pictures is, whatever it is kept in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interpret.images import InputImage

MAX_PICTURES = 2_000_000

Column = tuple[str, ...] | NDArray[np.float64]
"""What is known of each picture: a text, "" where it is not known; or a number, NaN where it is not."""


@dataclass(frozen=True, eq=False)
class PictureSource:
    """A set of pictures in a fixed order.

    Attributes:
        title: what it is, for people; untrusted text.
        digest: changes when names, sizes or contents do.
        names: one per picture; untrusted text.
        labels: class index per picture, -1 where none is known.
        classes: names of the classes; empty where there are none.
        read: the picture of an index; raises BadInput where it is broken.
        columns: what else is known of the pictures, by name; untrusted text.
        encoded: bytes and name of the picture file of an index, where pictures are files: `InputImage.from_bytes` makes
            of them what `read` does; raises BadInput where there are none.
    """

    title: str
    digest: str
    names: tuple[str, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    read: Callable[[int], InputImage]
    columns: Mapping[str, Column] = field(default_factory=dict)
    encoded: Callable[[int], tuple[bytes, str]] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def first(self, count: int) -> PictureSource:
        """The same source cut to a share of its pictures, spread evenly over it, so that every class stays."""
        if count >= len(self):
            return self
        kept = [index * len(self) // count for index in range(count)]
        encoded = self.encoded
        return PictureSource(
            self.title,
            f"{self.digest}-{count}",
            tuple(self.names[index] for index in kept),
            tuple(self.labels[index] for index in kept),
            self.classes,
            lambda index: self.read(kept[index]),
            self.columns_of(kept),
            None if encoded is None else lambda index: encoded(kept[index]),
        )

    def columns_of(self, kept: Sequence[int]) -> dict[str, Column]:
        """The columns of some pictures."""
        return {
            name: column[list(kept)] if isinstance(column, np.ndarray) else tuple(column[index] for index in kept)
            for name, column in self.columns.items()
        }


def of_files(
    title: str,
    digest: str,
    names: tuple[str, ...],
    labels: tuple[int, ...],
    classes: tuple[str, ...],
    encoded: Callable[[int], tuple[bytes, str]],
    columns: Mapping[str, Column] | None = None,
) -> PictureSource:
    """A source whose pictures are files; see `PictureSource`."""
    return PictureSource(
        title, digest, names, labels, classes, lambda at: InputImage.from_bytes(*encoded(at)), columns or {}, encoded
    )


def numbered(names: Sequence[str], order: Callable[[str], Any] = str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """A class index for each name, -1 for "", and the classes, sorted by `order` of their names."""
    classes = tuple(sorted(set(names) - {""}, key=order))
    position = {name: index for index, name in enumerate(classes)} | {"": -1}
    return tuple(position[name] for name in names), classes

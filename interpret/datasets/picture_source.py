"""What a set of pictures is, whatever it is kept in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from interpret.images import InputImage

MAX_PICTURES = 2_000_000


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
    """

    title: str
    digest: str
    names: tuple[str, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    read: Callable[[int], InputImage]

    def __len__(self) -> int:
        return len(self.names)

    def first(self, count: int) -> PictureSource:
        """The same source cut to a share of its pictures, spread evenly over it, so that every class stays."""
        if count >= len(self):
            return self
        kept = [index * len(self) // count for index in range(count)]
        return PictureSource(
            self.title,
            f"{self.digest}-{count}",
            tuple(self.names[index] for index in kept),
            tuple(self.labels[index] for index in kept),
            self.classes,
            lambda index: self.read(kept[index]),
        )


def numbered(names: Sequence[str], order: Callable[[str], Any] = str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """A class index for each name, -1 for "", and the classes, sorted by `order` of their names."""
    classes = tuple(sorted(set(names) - {""}, key=order))
    position = {name: index for index, name in enumerate(classes)} | {"": -1}
    return tuple(position[name] for name in names), classes

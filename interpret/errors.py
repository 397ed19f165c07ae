"""The one family of errors a user may see. Each message says what was asked, what was found and what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches


class InterpretError(Exception):
    """Something the user can mend; its text is a sentence to show as it stands."""


class BadInput(InterpretError):
    """A picture, an archive, a label list or a parameter that cannot be used."""


class BadCheckpoint(InterpretError):
    """A file that is no usable checkpoint, or whose tensors fit no known network.

    Attributes:
        considered: the nearest architectures as rows of a table: name of a column -> text; empty for other reasons.
    """

    def __init__(self, sentence: str, considered: Sequence[Mapping[str, str]] = ()) -> None:
        super().__init__(sentence)
        self.considered = tuple(considered)


class UnknownName(InterpretError):
    """A layer, class, architecture or method that does not exist here."""


class Unavailable(InterpretError):
    """A device, a download or an optional library that is not there."""


def unknown(kind: str, name: str, where: str, names: Iterable[str]) -> UnknownName:
    """An `UnknownName` that lists the nearest names that do exist.

    Args:
        kind: what was asked for, as a capitalised noun: "Layer".
        name: what the caller wrote.
        where: what was searched: "ResNet-18".
        names: every name there is.
    """
    candidates = list(dict.fromkeys(names))
    near = get_close_matches(name, candidates, n=3, cutoff=0.5) or candidates[:3]
    listed = ", ".join(f'"{n}"' for n in near)
    verb = "The nearest name is" if len(near) == 1 else "The nearest names are"
    hint = f" {verb} {listed}." if near else ""
    return UnknownName(f'{kind} "{name}" is not in {where}.{hint}')

"""What lies in one folder of the page: which pictures were drawn, what they reach, and what nature has beside them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interpret.store import write_whole

NAME = "record.json"


@dataclass(frozen=True)
class Entry:
    """A channel's or class's pictures.

    Attributes:
        files: their names in the folder -> SHA-256 of their bytes, in the order of the starts.
        reached: the objective on each; None where it is no number.
        grey: whether the ascent found nothing, for each.
    """

    files: dict[str, str]
    reached: tuple[float | None, ...]
    grey: tuple[bool, ...]


@dataclass(frozen=True)
class Natural:
    """What a data set has beside it.

    Attributes:
        files: no name or one, of the crops that excite it most -> SHA-256.
        best: the mean activation of the picture that goes furthest; None where it is no number.
        high: the 99.9th percentile of the means; the 0.1th where pictures go down.
    """

    files: dict[str, str]
    best: float | None
    high: float | None


class Record:
    """A folder and what is known to lie in it whole; what is damaged or absent counts as not drawn.

    Args:
        folder: of the pictures; made where it is missing.
        data: digest of the data set whose `Natural` is wanted; "" for none.
    """

    def __init__(self, folder: Path, data: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for stray in folder.glob("*.tmp"):  # of a run that was killed
            stray.unlink(missing_ok=True)
        self.folder, self.data = folder, data
        self.drawn: dict[int, Entry] = {}
        self.natural: dict[int, Natural] = {}
        try:
            found = json.loads((folder / NAME).read_text(encoding="utf-8"))
            drawn = {
                int(number): Entry(one["files"], tuple(one["reached"]), tuple(one["grey"]))
                for number, one in found["drawn"].items()
            }
            natural = {int(number): Natural(**one) for number, one in found["natural"].items()}
            of = found["data"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return
        self.drawn = {number: one for number, one in drawn.items() if self._whole(one.files)}
        if of == data:
            self.natural = {number: one for number, one in natural.items() if self._whole(one.files)}

    def _whole(self, files: dict[str, str]) -> bool:
        try:
            return all(_digest((self.folder / name).read_bytes()) == digest for name, digest in files.items())
        except OSError:
            return False

    def keep(self, name: str, content: bytes) -> dict[str, str]:
        """Writes a file; its name and digest, for an entry."""
        write_whole(self.folder / name, content)
        return {name: _digest(content)}

    def save(self) -> None:
        """Writes down what lies here."""
        found: dict[str, Any] = {
            "data": self.data,
            "drawn": {number: vars(self.drawn[number]) for number in sorted(self.drawn)},
            "natural": {number: vars(self.natural[number]) for number in sorted(self.natural)},
        }
        write_whole(self.folder / NAME, json.dumps(found, allow_nan=False).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

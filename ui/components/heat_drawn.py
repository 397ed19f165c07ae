"""What a person drew on a picture of the heat view, and reading it from what a browser sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from interpret.strokes import KINDS, Stroke

MOST_STROKES, MOST_POINTS = 40, 400
Box = tuple[float, float, float, float]
"""Left, top, right and bottom edge."""


@dataclass(frozen=True)
class Drawn:
    """What a person drew on the first picture, and the map they chose.

    Attributes:
        box: Left, top, right and bottom edge of the true box, in pixels of `seen`; None where there is none.
        strokes: In the order in which they were drawn, at most 40 of at most 400 points.
        pane: The chosen pane.
    """

    box: Box | None = None
    strokes: tuple[Stroke, ...] = ()
    pane: int = 0


def read_drawn(sent: object) -> Drawn:
    """What a browser says was drawn; parts that are not of the kinds above are left out."""
    if not isinstance(sent, Mapping):
        return Drawn()
    strokes = sent.get("strokes")
    read = [_read_stroke(stroke) for stroke in strokes[:MOST_STROKES]] if isinstance(strokes, list | tuple) else []
    pane = _numbers(sent.get("pane"), 1)
    box = _numbers(sent.get("box"), 4)
    return Drawn(
        box=None if box is None else (box[0], box[1], box[2], box[3]),
        strokes=tuple(stroke for stroke in read if stroke is not None),
        pane=0 if pane is None else int(pane[0]),
    )


def _read_stroke(sent: object) -> Stroke | None:
    if not isinstance(sent, Mapping) or sent.get("kind") not in KINDS:
        return None
    radius, points = _numbers(sent.get("radius"), 1), sent.get("points")
    if radius is None or radius[0] <= 0 or not isinstance(points, list | tuple):
        return None
    read = [_numbers(point, 2) for point in points[:MOST_POINTS]]
    kept = tuple((point[0], point[1]) for point in read if point is not None)
    return Stroke(str(sent["kind"]), radius[0], kept) if kept else None


def _numbers(sent: object, count: int) -> list[float] | None:
    """As many finite numbers, of a list or, where it is one, alone; else None."""
    items: list[Any] = list(sent) if isinstance(sent, list | tuple) else [sent]
    good = len(items) == count and all(
        isinstance(item, int | float) and not isinstance(item, bool) and abs(item) < 1e9 for item in items
    )
    return [float(item) for item in items] if good else None


def kept_within(drawn: Drawn, width: int, height: int, panes: int) -> Drawn:
    """The same within a picture of that size and so many panes; a box without an area is none."""

    def on(x: float, y: float) -> tuple[float, float]:
        return min(max(float(x), 0.0), float(width)), min(max(float(y), 0.0), float(height))

    box = None
    if drawn.box is not None:
        (left, top), (right, bottom) = on(*drawn.box[:2]), on(*drawn.box[2:])
        corners = (min(left, right), min(top, bottom), max(left, right), max(top, bottom))
        box = corners if corners[0] < corners[2] and corners[1] < corners[3] else None
    strokes = tuple(
        Stroke(stroke.kind, min(stroke.radius, float(max(width, height))), tuple(on(*at) for at in stroke.points))
        for stroke in drawn.strokes
    )
    return Drawn(box, strokes, min(max(drawn.pane, 0), panes - 1))

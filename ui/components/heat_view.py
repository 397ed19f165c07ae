"""Class heatmaps as a grid over their pictures; a person chooses one, draws the true box and paints parts away."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from interpret.rendering import Pixels, png
from interpret.strokes import Stroke
from ui.cache import RESULTS
from ui.components.clicks import nothing, settle
from ui.components.delivery import deliver, source
from ui.components.heat_drawn import Box, Drawn, kept_within, read_drawn

__all__ = ["Box", "Drawn", "HeatPane", "HeatPicture", "Stroke", "heat_view"]
_mount = st.components.v2.component(
    "loupe_heat_view",
    html='<div class="loupe"></div>',
    css=source("page.css", "toolbar.css", "map_view.css", "heat_view.css"),
    js=source(
        *("page.js", "choice.js", "colour_bar.js", "map_content.js", "map_pane.js", "map_table.js"),
        *("heat_box.js", "heat_content.js", "heat_pane.js", "heat_look.js", "heat_toolbar.js", "heat_tools.js"),
        *("heat_drawing.js", "heat_tip.js", "heat_view.js"),
    ),
)
_WHOLE_SIDE = 1120
"""A whole picture is at most 560 pixels wide on screen, of which some have two per CSS pixel."""


@dataclass(frozen=True, eq=False)
class HeatPicture:
    """What the network saw, and the upload it was cut from.

    Attributes:
        seen: uint8 [height, width, 3], what the network saw, without strokes: the view draws them over it.
        whole: uint8 [height, width, 3], the upload; None where it is not to be shown.
        crop: Left, top, right and bottom edge of `seen` in pixels of `whole`; may reach beyond its rim.
    """

    seen: Pixels
    whole: Pixels | None = None
    crop: Box = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class HeatPane:
    """A map and what is said of it.

    Attributes:
        values: float32 [rows, columns], raw, may hold NaN.
        title: One line under it; may hold untrusted text.
        note: A second line, such as "zebra 98.2 %"; may hold untrusted text.
        scale: Values with the palette's first and last colour where each map has its own scale.
        picture: Which of the pictures it lies over.
        warning: What to say of a map without a shape, such as a flat one; "" for nothing.
    """

    values: NDArray[np.float32]
    title: str
    note: str
    scale: tuple[float, float]
    picture: int = 0
    warning: str = ""


def heat_view(
    pictures: Sequence[HeatPicture],
    panes: Sequence[HeatPane],
    *,
    key: str,
    shared: tuple[float, float],
    palettes: Mapping[str, NDArray[np.uint8]],
    unit: str,
    drawn: Drawn,
    boxes: Mapping[int, Sequence[Box]] | None = None,
    tools: bool = True,
    own: bool = False,
    label: str,
) -> Drawn:
    """What a person drew and chose, beneath heatmaps laid over their pictures.

    Opacity, threshold, colours, scale and the tools are answered in the browser; the server hears of a chosen pane, a
    box and strokes. A threshold leaves places below that share of the scale's maximum without colour, and shows each
    map's own box, the one of `interpret.heatmaps.localisation.box_of`. Where there is a true box, given or drawn, the
    intersection over union of both is told; of several true boxes the best fitting one counts. A drawn box stands in
    for the given ones of the first picture. Places that are NaN or infinite are hatched in grey.

    `drawn` may be what was returned in the run before, or stay what it was: then the newest click or stroke counts.
    Anything else is a choice made by the page and replaces it.

    Args:
        pictures: One or more. A person draws on the first.
        panes: One or more.
        key: Streamlit key, one per view of a page.
        shared: Values with the palette's first and last colour where all maps have one scale. This one, and a pane's
            own, are made symmetric about zero where the first value is negative.
        palettes: The palettes offered by name, each uint8 [256, 3] red, green, blue; the first is shown until another
            is chosen.
        unit: What the values are, shown at the colour bar.
        drawn: The box, strokes and pane the page wants.
        boxes: True boxes by picture: left, top, right and bottom edges in pixels of `seen`.
        tools: Whether one may draw.
        own: Whether each map has its own scale until a reader says otherwise, as maps in unlike units need.
        label: What the view shows, for screen readers.

    Returns:
        The box, strokes and pane that count now, kept within the first picture and the panes.

    Raises:
        ValueError: The arguments do not have the shapes named above.
    """
    boxes = boxes or {}
    _check(pictures, panes, shared, palettes, boxes)
    height, width = pictures[0].seen.shape[:2]
    current, click = settle(
        key,
        drawn,
        state="drawn",
        read=lambda sent: read_drawn(sent.get("drawn")),
        within=lambda drawn: kept_within(drawn, width, height, len(panes)),
    )
    files: list[bytes] = []
    laid_out = []
    for picture in pictures:
        files.append(_png(picture.seen))
        told: dict[str, Any] = {**_size(picture.seen), "bytes": len(files[-1]), "whole": None}
        if picture.whole is not None:
            files.append(_png(_shrunk(picture.whole)))
            told["whole"] = {**_size(picture.whole), "bytes": len(files[-1]), "crop": _floats(picture.crop)}
        laid_out.append(told)
    pictures_at = deliver(tuple(files), key=f"{key}.pictures")
    numbers_at = deliver(tuple(np.asarray(pane.values, np.float32).tobytes() for pane in panes), key=f"{key}.numbers")
    data: dict[str, Any] = {
        "key": key,
        "pictures": {"url": pictures_at.url, "digest": pictures_at.digest},
        "numbers": {"url": numbers_at.url, "digest": numbers_at.digest},
        "laidOut": laid_out,
        "panes": [
            {
                "rows": pane.values.shape[0],
                "columns": pane.values.shape[1],
                "title": pane.title,
                "note": pane.note,
                "warning": pane.warning,
                "picture": pane.picture,
                "scale": _symmetric(pane.scale),
            }
            for pane in panes
        ],
        "shared": _symmetric(shared),
        "palettes": [[name, palette.tobytes().hex()] for name, palette in palettes.items()],
        "unit": unit,
        "boxes": [[_floats(box) for box in boxes.get(number, ())] for number in range(len(pictures))],
        "tools": tools,
        "own": own,
        "label": label,
        "drawn": {
            "box": None if current.box is None else _floats(current.box),
            "strokes": [
                {"kind": stroke.kind, "radius": float(stroke.radius), "points": [_floats(at) for at in stroke.points]}
                for stroke in current.strokes
            ],
            "pane": current.pane,
        },
        "click": click,
    }
    _mount(key=key, data=data, on_drawn_change=nothing)
    return current


def _floats(numbers: Iterable[float]) -> list[float]:
    return [float(number) for number in numbers]


def _size(pixels: Pixels) -> dict[str, int]:
    return {"height": pixels.shape[0], "width": pixels.shape[1]}


def _symmetric(scale: tuple[float, float]) -> list[float]:
    low, high = _floats(scale)
    reach = max(-low, abs(high))
    return [-reach, reach] if low < 0 else [low, high]


def _shrunk(pixels: Pixels) -> Pixels:
    """A picture no finer than a screen shows it: an upload may have a hundred times as many pixels."""
    factor = max(pixels.shape[:2]) // _WHOLE_SIDE
    return np.asarray(Image.fromarray(pixels).reduce(factor)) if factor > 1 else pixels


def _png(pixels: Pixels) -> bytes:
    """The bytes of a PNG file, packed once: a page runs again with each stroke."""
    pixels = np.ascontiguousarray(pixels)
    digest = hashlib.blake2b(pixels.data, digest_size=16).digest()
    return RESULTS.get_or_make(("heat view picture", pixels.shape, digest), lambda: png(pixels))


def _check(
    pictures: Sequence[HeatPicture],
    panes: Sequence[HeatPane],
    shared: tuple[float, float],
    palettes: Mapping[str, NDArray[np.uint8]],
    boxes: Mapping[int, Sequence[Box]],
) -> None:
    if not pictures or not panes:
        raise ValueError(
            f"A heat view needs a picture and a map; it was given {len(pictures)} pictures and {len(panes)} maps."
        )
    for picture in pictures:
        for pixels in (picture.seen, picture.whole):
            if pixels is not None and (
                pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape
            ):
                raise ValueError(f"A picture must be uint8 [height, width, 3]; it is {pixels.dtype} {[*pixels.shape]}.")
        if picture.whole is not None:
            _check_box("The part of a picture that was seen", picture.crop)
    for pane in panes:
        if pane.values.ndim != 2 or 0 in pane.values.shape:
            raise ValueError(f"A heatmap must be [rows, columns]; it is {[*pane.values.shape]}.")
        if not 0 <= pane.picture < len(pictures):
            raise ValueError(f"A map lies over picture {pane.picture}; there are {len(pictures)}, counted from 0.")
    for scale in (shared, *(pane.scale for pane in panes)):
        if not (np.isfinite(scale).all() and scale[0] <= scale[1]):
            raise ValueError(f"The ends of a scale must be finite and in order; they are {scale}.")
    if not palettes:
        raise ValueError("A heat view needs a palette; it was given none.")
    for name, palette in palettes.items():
        if palette.shape != (256, 3) or palette.dtype != np.uint8:
            raise ValueError(f'Palette "{name}" must be uint8 [256, 3].')
    for number, given in boxes.items():
        if not 0 <= number < len(pictures):
            raise ValueError(f"A true box is for picture {number}; there are {len(pictures)}, counted from 0.")
        for box in given:
            _check_box("A true box", box)


def _check_box(what: str, box: Box) -> None:
    if len(box) != 4 or not np.isfinite(box).all() or box[0] >= box[2] or box[1] >= box[3]:
        raise ValueError(f"{what} must be left, top, right and bottom, finite and in order; it is {box}.")

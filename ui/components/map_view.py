"""One or two maps over their pictures, under one cursor; a click or the arrow keys pin a place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from interpret.rendering import Pixels, png
from ui.components.clicks import nothing, settle
from ui.components.delivery import deliver, source

_mount = st.components.v2.component(
    "loupe_map_view",
    html='<div class="loupe"></div>',
    css=source("page.css", "toolbar.css", "map_view.css"),
    js=source("page.js", "choice.js", "colour_bar.js", "map_content.js", "map_pane.js", "map_table.js", "map_view.js"),
)


@dataclass(frozen=True, eq=False)
class Pane:
    """A map and the picture it lies over.

    Attributes:
        seen: uint8 [height, width, 3], what the network saw.
        values: float32 [rows, columns], raw, may hold NaN.
        title: one line under it; may hold untrusted text.
        row_reach: int32 [rows, 2], first and last row of `seen`, both included, that reach a row of the map; the last
            before the first where none does; None where it is not known.
        column_reach: int32 [columns, 2], likewise.
    """

    seen: Pixels
    values: NDArray[np.float32]
    title: str
    row_reach: NDArray[np.int32] | None = None
    column_reach: NDArray[np.int32] | None = None


@dataclass(frozen=True)
class Place:
    """A place of the first pane's map, from 0."""

    row: int
    column: int


def map_view(
    panes: Sequence[Pane],
    *,
    key: str,
    place: Place | None,
    scale: tuple[float, float],
    palettes: Mapping[str, NDArray[np.uint8]],
    unit: str = "activation",
    width: int | None = None,
    label: str,
) -> Place | None:
    """The place that is pinned, beneath maps laid over their pictures.

    Pointing at a pane marks the same relative position in all of them, with the values there and, where it is known,
    the part of the picture that the place sees. A click pins a place, a click on the pinned one or Escape unpins it.
    Opacity and smoothing are answered in the browser. Places that are NaN or infinite are hatched in grey.

    `place` may be what was returned in the run before, or stay what it was: then the newest click counts. Anything
    else is a choice made by the page and replaces the click.

    Args:
        panes: One or two.
        key: Streamlit key, one per view of a page.
        place: The place the page wants pinned, or None.
        scale: Values with the palette's first and last colour, for all panes; made symmetric about zero where the
            first is negative.
        palettes: "sequential" and "diverging", each uint8 [256, 3] red, green, blue; the second is for negative values.
        unit: What the values are, shown at the colour bar.
        width: Greatest width in CSS pixels; None: as wide as there is room. A picture is at most 560 pixels high.
        label: What the view shows, for screen readers.

    Returns:
        The pinned place, or None.

    Raises:
        ValueError: The arguments do not have the shapes named above.
    """
    _check(panes, scale, palettes)
    low, high = (float(end) for end in scale)
    if low < 0:
        high = max(-low, abs(high))
        low = -high
    pictures = [png(pane.seen) for pane in panes]
    numbers = [
        part.tobytes()
        for pane in panes
        for part in (
            np.asarray(pane.values, np.float32),
            *(np.asarray(reach, np.int32) for reach in (pane.row_reach, pane.column_reach) if reach is not None),
        )
    ]
    pictures_at = deliver(tuple(pictures), key=f"{key}.pictures")
    numbers_at = deliver(tuple(numbers), key=f"{key}.numbers")
    rows, columns = panes[0].values.shape
    current, click = settle(
        key,
        place,
        state="pinned",
        read=lambda sent: Place(*map(int, sent["place"])) if sent["place"] else None,
        within=lambda place: place and Place(_within(place.row, rows), _within(place.column, columns)),
    )
    data: dict[str, Any] = {
        "key": key,
        "pictures": {"url": pictures_at.url, "digest": pictures_at.digest},
        "numbers": {"url": numbers_at.url, "digest": numbers_at.digest},
        "panes": [
            {
                "rows": pane.values.shape[0],
                "columns": pane.values.shape[1],
                "height": pane.seen.shape[0],
                "width": pane.seen.shape[1],
                "title": pane.title,
                "reach": pane.row_reach is not None,
                "png_bytes": len(picture),
            }
            for pane, picture in zip(panes, pictures, strict=True)
        ],
        "low": low,
        "high": high,
        "palette": palettes["diverging" if low < 0 else "sequential"].tobytes().hex(),
        "unit": unit,
        "width": width,
        "label": label,
        "place": None if current is None else [current.row, current.column],
        "click": click,
    }
    _mount(key=key, data=data, on_pinned_change=nothing)
    return current


def _within(index: int, count: int) -> int:
    return min(max(index, 0), count - 1)


def _check(panes: Sequence[Pane], scale: tuple[float, float], palettes: Mapping[str, NDArray[np.uint8]]) -> None:
    if len(panes) not in (1, 2):
        raise ValueError(f"A map view has one or two panes; it was given {len(panes)}.")
    for pane in panes:
        if pane.seen.ndim != 3 or pane.seen.shape[2] != 3 or pane.seen.dtype != np.uint8 or 0 in pane.seen.shape:
            raise ValueError(
                f"A pane's picture must be uint8 [height, width, 3]; it is {pane.seen.dtype} {list(pane.seen.shape)}."
            )
        if pane.values.ndim != 2 or 0 in pane.values.shape:
            raise ValueError(f"A pane's map must be [rows, columns]; it is {list(pane.values.shape)}.")
        if (pane.row_reach is None) != (pane.column_reach is None):
            raise ValueError("What a place sees needs the reach of its row and of its column, or neither.")
        for name, reach, count in zip(
            ("row", "column"), (pane.row_reach, pane.column_reach), pane.values.shape, strict=True
        ):
            if reach is not None and reach.shape != (count, 2):
                raise ValueError(
                    f"The reach of each {name} must be [{count}, 2] for this map; it is {list(reach.shape)}."
                )
    if not (np.isfinite(scale).all() and scale[0] <= scale[1]):
        raise ValueError(f"The ends of a scale must be finite and in order; they are {scale}.")
    for name in ("sequential", "diverging"):
        palette = palettes.get(name)
        if palette is None or palette.shape != (256, 3) or palette.dtype != np.uint8:
            raise ValueError(f'Palette "{name}" must be uint8 [256, 3].')

"""A data set as a map of points: pan, zoom, choose a region or a point, filter by category."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from ui.components.delivery import deliver, source

_LAST_STEP = 65535
_WITHOUT_WEBGL = "loupe.without_webgl2"
_SENTENCE_WITHOUT_WEBGL = (
    "This browser cannot draw with WebGL2, so the map is drawn by a slower chart. "
    "Hardware acceleration in the browser's settings usually brings it back."
)

_mount = st.components.v2.component(
    "loupe_point_map",
    html='<div class="loupe"></div>',
    css=source("page.css", "point_map.css"),
    js=source(
        "page.js",
        "point_camera.js",
        "point_gestures.js",
        "point_index.js",
        "point_legend.js",
        "point_marks.js",
        "point_renderer.js",
        "point_tip.js",
        "point_map.js",
    ),
)


@dataclass(frozen=True)
class PlacedPoints:
    """Points on the grid of 65,536 steps per axis on which the browser draws them.

    A coordinate is read back as low + step * place.

    Attributes:
        places: uint16 [points, 2], 0 where a point is not placed.
        placed: bool [points], False where a coordinate is NaN or infinite.
        low: Least finite coordinate of each axis.
        step: Length of one step along each axis.
    """

    places: NDArray[np.uint16]
    placed: NDArray[np.bool_]
    low: tuple[float, float]
    step: tuple[float, float]

    @property
    def coordinates(self) -> NDArray[np.float64]:
        """float64 [points, 2], the coordinates as drawn."""
        drawn: NDArray[np.float64] = np.asarray(self.low) + self.places * np.asarray(self.step)
        return drawn


@dataclass(frozen=True)
class MapSelection:
    """What is chosen on a map.

    Attributes:
        polygon: Corners of the chosen region in data coordinates, or None.
        clicked: Index of the chosen point, or None.
        hidden: Categories that are filtered out while the region is chosen.
        unsupported: The browser has no WebGL2: draw the points another way.
    """

    polygon: tuple[tuple[float, float], ...] | None = None
    clicked: int | None = None
    hidden: tuple[int, ...] = ()
    unsupported: bool = False

    def members(self, points: NDArray[np.float32], categories: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Which points lie in the chosen region and are not filtered out: the ones the map shows as chosen.

        Args:
            points: [points, 2], as given to the map.
            categories: [points], as given to the map.

        Returns:
            bool [points]; all False without a region.
        """
        if self.polygon is None:
            return np.zeros(len(points), bool)
        placed = place_points(points)
        candidates = placed.placed & ~np.isin(categories, np.asarray(self.hidden, categories.dtype))
        return candidates & inside_polygon(placed.coordinates, self.polygon)


def place_points(points: NDArray[np.float32]) -> PlacedPoints:
    """Points on the grid on which the browser draws them.

    Args:
        points: [points, 2], any values.

    Returns:
        Places, and the numbers that turn them back into coordinates, to within half a step.
    """
    axes = np.ascontiguousarray(np.asarray(points, np.float32).T)
    placed = np.isfinite(axes[0]) & np.isfinite(axes[1])
    finite = axes if placed.all() else axes[:, placed]
    low, high = (finite.min(axis=1), finite.max(axis=1)) if finite.size else (np.zeros(2, np.float32), np.ones(2))
    extent = high.astype(np.float64) - low
    step = np.where(extent > 0, extent, 1.0) / _LAST_STEP
    with np.errstate(invalid="ignore"):
        steps = (axes - low[:, None]) * (1 / step).astype(np.float32)[:, None] + np.float32(0.5)
    steps[:, ~placed] = 0
    places = np.ascontiguousarray(np.clip(steps, 0, _LAST_STEP).astype(np.uint16).T)
    return PlacedPoints(places, placed, (float(low[0]), float(low[1])), (float(step[0]), float(step[1])))


def inside_polygon(points: NDArray[np.floating[Any]], polygon: Sequence[tuple[float, float]]) -> NDArray[np.bool_]:
    """Which points lie inside a polygon, counting how often a line to the right of each crosses its edges.

    Args:
        points: [points, 2].
        polygon: Corners in order; the last is joined to the first. Regions wound around twice count as outside.

    Returns:
        bool [points].
    """
    corners = np.asarray(polygon, np.float64).reshape(-1, 2)
    inside = np.zeros(len(points), bool)
    if len(corners) < 3:
        return inside
    (left, bottom), (right, top) = corners.min(axis=0), corners.max(axis=0)
    across, up = np.asarray(points[:, 0], np.float64), np.asarray(points[:, 1], np.float64)
    near = (across >= left) & (across <= right) & (up >= bottom) & (up <= top)
    x, y = across[near], up[near]
    odd = np.zeros(len(x), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, 1, axis=0), strict=True):
        if y0 != y1:
            odd ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    inside[near] = odd
    return inside


def point_map(
    points: NDArray[np.float32],
    categories: NDArray[np.integer[Any]],
    *,
    key: str,
    names: Sequence[str],
    colors: Sequence[str],
    thumbnails: str | None = None,
    captions: Sequence[str] | None = None,
    ring: NDArray[np.float32] | None = None,
    ring_label: str = "",
    height: int = 620,
    label: str,
) -> MapSelection:
    """What is chosen on a map of a data set: a region, a point, or nothing.

    The points travel to the browser once, in 5 or 6 bytes each; panning, zooming, hovering and filtering happen there
    without the server. Both axes have one scale. Points with a coordinate that is NaN or infinite are not drawn.

    A region or point stays chosen while its `points` are the same, also when the page is left and opened again. Where
    the browser has no WebGL2 the map is replaced by a sentence and the result says `unsupported`.

    Args:
        points: [points, 2], up to about a million.
        categories: [points], each from 0 to the number of names less one.
        key: Streamlit key, one per map of a page.
        names: Name of each category.
        colors: Colour of each category, as "#rrggbb".
        thumbnails: Address of a point's picture below the app's base path, with "{index}" for the point.
        captions: One line for each point, such as its file name.
        ring: [2], a place to mark with a ring, such as where an uploaded picture lies; never hidden.
        ring_label: Name of that place.
        height: Height in CSS pixels.
        label: What the map shows, for screen readers.

    Returns:
        The selection.

    Raises:
        ValueError: The arguments contradict each other or do not have the shapes named above.
    """
    _check(points, categories, names, colors, captions)
    if st.session_state.get(_WITHOUT_WEBGL):
        st.caption(_SENTENCE_WITHOUT_WEBGL)
        return MapSelection(unsupported=True)
    placed = place_points(points)
    kinds = np.uint8 if len(names) < 255 else np.uint16
    nowhere = np.iinfo(kinds).max
    drawn = np.where(placed.placed, categories, nowhere).astype(kinds)
    caption_bytes = "\n".join(" ".join(caption.split()) for caption in captions or ()).encode()
    delivery = deliver((placed.places.tobytes(), drawn.tobytes(), caption_bytes), key=key)
    extent = repr((len(points), placed.low, placed.step)).encode()
    layout = hashlib.blake2b(placed.places.tobytes() + extent, digest_size=16).hexdigest()

    selection = _recall(key, layout, len(points))
    ringed = None if ring is None or not np.isfinite(ring).all() else [float(value) for value in ring.reshape(2)]
    data: dict[str, Any] = {
        "key": key,
        "url": delivery.url,
        "digest": delivery.digest,
        "layout": layout,
        "count": len(points),
        "category_bytes": int(np.dtype(kinds).itemsize),
        "caption_bytes": len(caption_bytes),
        "low": placed.low,
        "step": placed.step,
        "names": list(names),
        "colors": list(colors),
        "counts": np.bincount(categories[placed.placed], minlength=len(names)).tolist(),
        "thumbnails": thumbnails,
        "ring": ringed,
        "ring_label": ring_label,
        "height": height,
        "label": label,
        "polygon": selection.polygon,
        "clicked": selection.clicked,
        "hidden": selection.hidden,
    }
    result = _mount(
        key=key,
        data=data,
        on_polygon_change=_nothing,
        on_clicked_change=_nothing,
        on_unsupported_change=_nothing,
    )
    if result.get("unsupported"):
        st.session_state[_WITHOUT_WEBGL] = True
        return MapSelection(unsupported=True)
    return selection


def _check(
    points: NDArray[np.float32],
    categories: NDArray[np.integer[Any]],
    names: Sequence[str],
    colors: Sequence[str],
    captions: Sequence[str] | None,
) -> None:
    if points.ndim != 2 or points.shape[1] != 2 or categories.shape != points.shape[:1]:
        raise ValueError(
            "A point map draws points [points, 2] with categories [points]; "
            f"it was given {list(points.shape)} and {list(categories.shape)}."
        )
    if len(names) != len(colors):
        raise ValueError(f"Each category has a name and a colour; there are {len(names)} and {len(colors)}.")
    if captions is not None and len(captions) != len(points):
        raise ValueError(f"Each point has a caption; there are {len(points)} points and {len(captions)} captions.")
    if len(categories) and not (categories.min() >= 0 and categories.max() < len(names)):
        found = f"{categories.min()} to {categories.max()}"
        raise ValueError(f"Categories are numbers from 0 to {len(names) - 1}; these go from {found}.")
    for color in colors:
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", color):
            raise ValueError(f'A colour is written "#rrggbb"; "{color}" is not.')


def _recall(key: str, layout: str, count: int) -> MapSelection:
    """The selection of this map: what the browser says, or what it said before the page was left."""
    memory_key = f"{key}.selection"
    remembered: dict[str, Any] = dict(st.session_state.get(memory_key) or {})
    told = st.session_state.get(key) or {}
    remembered.update({name: told[name] for name in ("polygon", "clicked") if isinstance(told.get(name), dict)})
    st.session_state[memory_key] = remembered
    current = {name: said for name, said in remembered.items() if said.get("layout") == layout}
    region = current.get("polygon", {})
    corners = region.get("points")
    index = current.get("clicked", {}).get("index")
    return MapSelection(
        polygon=tuple((float(x), float(y)) for x, y in corners) if corners else None,
        clicked=int(index) if index is not None and 0 <= int(index) < count else None,
        hidden=tuple(int(category) for category in region.get("hidden", ())),
    )


def _nothing() -> None:
    """The state changed; the rerun that follows reads it."""

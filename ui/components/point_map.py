"""A data set as a map of points: pan, zoom, choose a region or a point, filter by category, go through frames."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from ui.cache import BoundedStore
from ui.components.delivery import deliver, source
from ui.components.point_places import inside_polygon, placed_once

_CAPTIONS = BoundedStore(entries=8, max_bytes=2**28)
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
        "point_density.js",
        "point_frames.js",
        "point_gestures.js",
        "point_index.js",
        "point_legend.js",
        "point_marks.js",
        "point_renderer.js",
        "point_painter.js",
        "point_tip.js",
        "point_toolbar.js",
        "point_map.js",
    ),
)


@dataclass(frozen=True)
class MapSelection:
    """What is chosen on a map.

    Attributes:
        polygon: Corners of the chosen region in data coordinates, or None.
        clicked: Index of the chosen point, or None.
        hidden: Categories that are filtered out while the region is chosen.
        unsupported: The browser has no WebGL2: draw the points another way.
        frame: The frame at hand; 0 where there are none.
        frame_of_region: The frame in which the region was drawn. Its points stay chosen in all others.
    """

    polygon: tuple[tuple[float, float], ...] | None = None
    clicked: int | None = None
    hidden: tuple[int, ...] = ()
    unsupported: bool = False
    frame: int = 0
    frame_of_region: int = 0

    def members(self, points: NDArray[np.float32], categories: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Which points lie in the chosen region and are not filtered out: the ones the map shows as chosen.

        Args:
            points: [points, 2] or [frames, points, 2], as given to the map.
            categories: [points], as given to the map.

        Returns:
            bool [points]; all False without a region.
        """
        if self.polygon is None:
            return np.zeros(points.shape[-2], bool)
        placed = placed_once(points)[1].frame(self.frame_of_region)
        inside = placed.placed & inside_polygon(placed.coordinates, self.polygon)
        return inside & ~np.isin(categories, np.asarray(self.hidden, categories.dtype)) if self.hidden else inside


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
    frames: Sequence[str] | None = None,
    frame: int = 0,
) -> MapSelection:
    """What is chosen on a map of a data set: a region, a point, or nothing.

    The points travel to the browser once, in 4 bytes a frame and 1 or 2 for the category; panning, zooming, hovering,
    filtering and going from frame to frame happen there without the server. Both axes have one scale. Points with a
    coordinate that is NaN or infinite, in any frame, are not drawn.

    Frames are several layouts of one data set, such as a network's layers. A region belongs to the frame it was drawn
    in, and its points stay chosen in the others. The server hears of the frame at hand once the slider rests.

    A region or point stays chosen while its `points` are the same, also when the page is left and opened again. Where
    the browser has no WebGL2 the map is replaced by a sentence and the result says `unsupported`.

    Args:
        points: [points, 2], up to about a million; with `frames` [frames, points, 2], on axes that all frames share.
        categories: [points], each from 0 to the number of names less one.
        key: Streamlit key, one per map of a page.
        names: Name of each category.
        colors: Colour of each category, as "#rrggbb".
        thumbnails: Address of a point's picture below the app's base path, with "{index}" for the point.
        captions: One line for each point, such as its file name.
        ring: [2], a place to mark with a ring, such as where an uploaded picture lies; never hidden. With `frames`
            [frames, 2]. Where it is NaN no ring is drawn.
        ring_label: Name of that place.
        height: Height in CSS pixels.
        label: What the map shows, for screen readers.
        frames: Name of each frame, or None where the points have one layout.
        frame: The frame that is shown first, and once more when another one is asked for.

    Returns:
        The selection.

    Raises:
        ValueError: The arguments contradict each other or do not have the shapes named above.
    """
    _check(points, categories, names, colors, captions)
    _check_frames(points, ring, frames, frame)
    if st.session_state.get(_WITHOUT_WEBGL):
        st.caption(_SENTENCE_WITHOUT_WEBGL)
        return MapSelection(unsupported=True, frame=frame)
    layout, placed = placed_once(points)
    kinds = np.uint8 if len(names) < 255 else np.uint16
    drawn = categories.astype(kinds)
    drawn[~placed.placed] = np.iinfo(kinds).max
    lines = _lines(captions or ())
    delivery = deliver((placed.places.tobytes(), drawn.tobytes(), lines), key=key)
    count, counts = len(drawn), np.bincount(drawn, minlength=len(names))[: len(names)]

    selection = _recall(key, layout, count, len(frames or ("",)), frame)
    rings = [] if ring is None else ring.reshape(-1, 2).astype(float).tolist()
    data: dict[str, Any] = {
        "key": key,
        "url": delivery.url,
        "digest": delivery.digest,
        "layout": layout,
        "count": count,
        "category_bytes": int(np.dtype(kinds).itemsize),
        "caption_bytes": len(lines),
        "low": placed.low,
        "step": placed.step,
        "names": list(names),
        "colors": list(colors),
        "counts": counts.tolist(),
        "thumbnails": thumbnails,
        "rings": [place if np.isfinite(place).all() else None for place in rings],
        "ring_label": ring_label,
        "height": height,
        "label": label,
        "polygon": selection.polygon,
        "clicked": selection.clicked,
        "hidden": selection.hidden,
        "frames": list(frames or ()),
        "frame": selection.frame,
        "asked": frame,
        "frame_of_region": selection.frame_of_region,
    }
    result = _mount(
        key=key,
        data=data,
        on_polygon_change=_nothing,
        on_clicked_change=_nothing,
        on_frame_change=_nothing,
        on_unsupported_change=_nothing,
    )
    if result.get("unsupported"):
        st.session_state[_WITHOUT_WEBGL] = True
        return MapSelection(unsupported=True, frame=frame)
    return selection


def _check(
    points: NDArray[np.float32],
    categories: NDArray[np.integer[Any]],
    names: Sequence[str],
    colors: Sequence[str],
    captions: Sequence[str] | None,
) -> None:
    if points.ndim not in (2, 3) or points.shape[-1] != 2 or categories.shape != points.shape[-2:-1]:
        raise ValueError(
            "A point map draws points [points, 2] or [frames, points, 2] with categories [points]; "
            f"it was given {list(points.shape)} and {list(categories.shape)}."
        )
    if len(names) != len(colors):
        raise ValueError(f"Each category has a name and a colour; there are {len(names)} and {len(colors)}.")
    if captions is not None and len(captions) != len(categories):
        raise ValueError(f"Each point has a caption; there are {len(categories)} points and {len(captions)} captions.")
    if len(categories) and not (categories.min() >= 0 and categories.max() < len(names)):
        found = f"{categories.min()} to {categories.max()}"
        raise ValueError(f"Categories are numbers from 0 to {len(names) - 1}; these go from {found}.")
    for color in colors:
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", color):
            raise ValueError(f'A colour is written "#rrggbb"; "{color}" is not.')


def _check_frames(
    points: NDArray[np.float32], ring: NDArray[np.float32] | None, frames: Sequence[str] | None, frame: int
) -> None:
    layouts = points.shape[:-2]  # nothing for one layout without a name
    if layouts != (() if frames is None else (len(frames),)) or layouts == (0,):
        named = "no frames" if frames is None else f"{len(frames)} frames"
        raise ValueError(f"Points [frames, points, 2] need a name for each frame; {list(points.shape)} has {named}.")
    if ring is not None and ring.shape != (*layouts, 2):
        raise ValueError(f"The ring has one place a frame, {[*layouts, 2]}; it was given {list(ring.shape)}.")
    if not 0 <= frame < len(frames or ("",)):
        raise ValueError(f"Frame {frame} is not one of the {len(frames or ('',))}, counted from 0.")


def _lines(captions: Sequence[str]) -> bytes:
    """Captions as lines of UTF-8, made once."""

    def encoded(separator: str, parts: Iterable[str]) -> bytes:
        return separator.join(parts).encode(errors="replace")

    digest = hashlib.blake2b(encoded("\0", captions), digest_size=16).hexdigest()
    return _CAPTIONS.get_or_make(digest, lambda: encoded("\n", (" ".join(caption.split()) for caption in captions)))


def _recall(key: str, layout: str, count: int, frames: int, frame: int) -> MapSelection:
    """The selection of this map: what the browser says, or what it said before the page was left."""
    memory_key = f"{key}.selection"
    remembered: dict[str, Any] = dict(st.session_state.get(memory_key) or {})
    told = st.session_state.get(key) or {}
    remembered.update(
        {name: told[name] for name in ("polygon", "clicked", "frame") if isinstance(told.get(name), dict)}
    )
    st.session_state[memory_key] = remembered
    current = {name: said for name, said in remembered.items() if said.get("layout") == layout}
    region = current.get("polygon", {})
    corners = region.get("points")
    index = current.get("clicked", {}).get("index")

    def within(said: Any) -> int:
        return min(max(int(said), 0), frames - 1)

    moved = current.get("frame", {})
    return MapSelection(
        polygon=tuple((float(x), float(y)) for x, y in corners) if corners else None,
        clicked=int(index) if index is not None and 0 <= int(index) < count else None,
        hidden=tuple(int(category) for category in region.get("hidden", ())),
        frame=within(moved["frame"] if moved.get("asked", frame) == frame and "frame" in moved else frame),
        frame_of_region=within(region.get("frame", 0)),
    )


def _nothing() -> None:
    """The state changed; the rerun that follows reads it."""

"""All channels of a layer on one canvas; a click or the arrow keys choose one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from ui.components.clicks import settle
from ui.components.delivery import deliver, source

NOT_FINITE = 255
"""Level that stands for a value which is NaN or infinite."""

_HIGHEST_LEVEL = 254
_NO_STATISTICS: Mapping[str, NDArray[np.float32]] = MappingProxyType({})

_mount = st.components.v2.component(
    "loupe_feature_grid",
    html='<div class="loupe"></div>',
    css=source("page.css", "toolbar.css", "feature_grid.css"),
    js=source(
        "page.js",
        "choice.js",
        "colour_bar.js",
        "grid_painter.js",
        "grid_order.js",
        "grid_marks.js",
        "grid_layout.js",
        "grid_links.js",
        "grid_sorting.js",
        "grid_toolbar.js",
        "grid_table.js",
        "grid_words.js",
        "feature_grid.js",
    ),
)


@dataclass(frozen=True)
class QuantisedMaps:
    """Channel maps in one byte per place, each channel between its own least and greatest finite value.

    A value is read back as low + level / 254 * (high - low).

    Attributes:
        levels: uint8 [channels, rows, columns], 0 to 254, or 255 where the value is NaN or infinite.
        low: float32 [channels], least finite value; NaN for a channel without one.
        high: float32 [channels], greatest finite value; NaN for a channel without one.
        mean: float32 [channels], mean of the finite values; NaN for a channel without one.
    """

    levels: NDArray[np.uint8]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    mean: NDArray[np.float32]


def quantise_channels(maps: NDArray[np.float32]) -> QuantisedMaps:
    """Channel maps in one byte per place.

    Args:
        maps: [channels, rows, columns], any values.

    Returns:
        Levels with the numbers that turn them back into values, to within half a 254th of the channel's range.
    """
    values = np.ascontiguousarray(maps, dtype=np.float32)
    finite = np.isfinite(values)
    whole = bool(finite.all())
    axes = (1, 2)
    low = values.min(axes) if whole else np.where(finite, values, np.inf).min(axes)
    high = values.max(axes) if whole else np.where(finite, values, -np.inf).max(axes)
    count = finite.sum(axes) if not whole else np.full(len(values), values[0].size)
    total = (values if whole else np.where(finite, values, 0)).sum(axes, dtype=np.float64)
    empty = count == 0
    low, high = np.where(empty, np.nan, low), np.where(empty, np.nan, high)
    with np.errstate(all="ignore"):
        mean = total / count
        span = high.astype(np.float64) - low
        step = np.where(span > 0, 2 * _HIGHEST_LEVEL / span, 0).astype(np.float32)
        half = np.float32(0.5)  # Halves: the difference of two float32 values may be too large for one.
        levels = (values * half - low.astype(np.float32)[:, None, None] * half) * step[:, None, None] + half
        quantised = np.clip(levels, 0, _HIGHEST_LEVEL).astype(np.uint8)
    if not whole:
        quantised[~finite] = NOT_FINITE
    return QuantisedMaps(quantised, *(np.asarray(item, np.float32) for item in (low, high, mean)))


def feature_grid(
    maps: NDArray[np.float32],
    *,
    key: str,
    selected: int,
    palettes: Mapping[str, NDArray[np.uint8]],
    scale: Literal["channel", "layer", "shared"] = "channel",
    statistics: Mapping[str, NDArray[np.float32]] = _NO_STATISTICS,
    marks: NDArray[np.uint8] | None = None,
    shared: tuple[float, float] | None = None,
    group: str = "",
    leads: bool = True,
    height: int = 520,
    label: str,
    on_open: Callable[[int], None] | None = None,
) -> int:
    """The channel that is selected, beneath a grid of all channels of a layer.

    The maps travel to the browser once, as one byte per place; scale, contrast, tile size, order and filter change
    there without the server. Where any value is negative the diverging palette is used, symmetric about zero. Places
    that are NaN or infinite are hatched in grey.

    With statistics or marks the channels can be sorted, also by how similar their maps are to those of one of them
    (cosine similarity), and filtered.

    Grids with the same group show the same scale, contrast, tile size and colours and sort by the same criterion.
    Those with equally many channels also share order, filter, scroll position and the channel under the pointer.

    `selected` may be the value returned in the run before, or stay what it was: then the newest click counts. Any
    other value is a choice made by the page and replaces the click.

    Args:
        maps: [channels, rows, columns], any values.
        key: Streamlit key, one per grid of a page.
        selected: Channel the page wants selected, from 0.
        palettes: "sequential" and "diverging", each uint8 [256, 3] red, green, blue; further ones are offered by name.
        scale: Whether each channel is drawn on its own scale at first, all on the layer's, or all on `shared`.
        statistics: Numbers to sort and filter by, each [channels], by their title, which may be untrusted text. NaN
            comes last.
        marks: [channels], 1 for a dead channel (nothing but zero), 2 for a saturated one (mostly at its ceiling).
        shared: Ends of a scale that other grids of the page have too.
        group: Name that links grids of a page; "" for none.
        leads: Whether the others of the group follow this grid's order and filter; the first one counts.
        height: Height in CSS pixels; more channels than fit are scrolled.
        label: What the grid shows, for screen readers, such as "Channels of layer3.1.conv2".
        on_open: Called, before the page runs again, with a channel that was clicked or opened with the Enter key.

    Returns:
        The selected channel, from 0.

    Raises:
        ValueError: An argument does not have the shape named above, or `scale` is "shared" and there is no `shared`.
    """
    _check(maps, palettes, scale, statistics, marks, shared)
    channels, rows, columns = maps.shape
    quantised = quantise_channels(maps)
    parts: list[NDArray[Any]] = [quantised.low, quantised.high, quantised.mean]
    parts += [np.asarray(numbers, np.float32) for numbers in statistics.values()]
    parts += [np.zeros(channels, np.uint8) if marks is None else marks, quantised.levels]
    delivery = deliver(tuple(part.tobytes() for part in parts), key=key)

    current, click = _settle(key, min(max(selected, 0), channels - 1), channels)
    data: dict[str, Any] = {
        "key": key,
        "url": delivery.url,
        "digest": delivery.digest,
        "channels": channels,
        "rows": rows,
        "columns": columns,
        "palettes": {name: palette.tobytes().hex() for name, palette in palettes.items()},
        "scale": scale,
        "statistics": list(statistics),
        "shared": None if shared is None else [float(end) for end in shared],
        "group": group,
        "leads": leads,
        "height": height,
        "label": label,
        "selected": current,
        "click": click,
        "opens": on_open is not None,
    }

    def changed() -> None:
        sent = (st.session_state.get(key) or {}).get("selected")
        if on_open is not None and isinstance(sent, dict) and sent.get("opened"):
            on_open(min(max(int(sent["channel"]), 0), channels - 1))

    _mount(key=key, data=data, on_selected_change=changed)
    return current


def _check(
    maps: NDArray[np.float32],
    palettes: Mapping[str, NDArray[np.uint8]],
    scale: str,
    statistics: Mapping[str, NDArray[np.float32]],
    marks: NDArray[np.uint8] | None,
    shared: tuple[float, float] | None,
) -> None:
    if maps.ndim != 3 or 0 in maps.shape:
        raise ValueError(f"A feature grid draws maps [channels, rows, columns]; it was given {list(maps.shape)}.")
    for name, palette in palettes.items():
        if palette.shape != (256, 3) or palette.dtype != np.uint8:
            raise ValueError(f'Palette "{name}" must be uint8 [256, 3]; it is {palette.dtype} {list(palette.shape)}.')
    channels = len(maps)
    for title, numbers in statistics.items():
        if np.shape(numbers) != (channels,):
            raise ValueError(
                f'Statistic "{title}" must have one number for each of the {channels} channels; '
                f"it has the shape {list(np.shape(numbers))}."
            )
    if marks is not None and (marks.shape != (channels,) or marks.dtype != np.uint8 or marks.max() > 2):
        raise ValueError(
            f"Marks must be uint8, one of 0, 1 and 2 for each of the {channels} channels; "
            f"they are {marks.dtype} {list(marks.shape)}, up to {marks.max(initial=0)}."
        )
    if shared is not None and not (np.isfinite(shared).all() and shared[0] <= shared[1]):
        raise ValueError(f"The ends of a shared scale must be finite and in order; they are {shared}.")
    if scale == "shared" and shared is None:
        raise ValueError('The scale "shared" needs its ends in `shared`.')


def _settle(key: str, selected: int, channels: int) -> tuple[int, int]:
    """The channel that counts now, and the number of the newest click the server has seen."""
    return settle(
        key,
        selected,
        state="selected",
        read=lambda sent: int(sent["channel"]),
        within=lambda channel: min(max(channel, 0), channels - 1),
    )

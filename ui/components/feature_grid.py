"""All channels of a layer on one canvas; a click or the arrow keys choose one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from ui.components.delivery import deliver, source

NOT_FINITE = 255
"""Level that stands for a value which is NaN or infinite."""

_HIGHEST_LEVEL = 254

_mount = st.components.v2.component(
    "loupe_feature_grid",
    html='<div class="loupe"></div>',
    css=source("page.css", "feature_grid.css"),
    js=source("page.js", "grid_painter.js", "grid_toolbar.js", "grid_table.js", "feature_grid.js"),
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


@dataclass(frozen=True)
class _Remembered:
    """What passed between page and browser in the run before."""

    passed: int
    returned: int
    click: int


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
    scale: Literal["channel", "layer"] = "channel",
    height: int = 520,
    label: str,
) -> int:
    """The channel that is selected, beneath a grid of all channels of a layer.

    The maps travel to the browser once, as one byte per place; scale, contrast and tile size change there without the
    server. Where any value is negative the diverging palette is used, symmetric about zero. Places that are NaN or
    infinite are hatched in grey.

    `selected` may be the value returned in the run before, or stay what it was: then the newest click counts. Any
    other value is a choice made by the page and replaces the click.

    Args:
        maps: [channels, rows, columns], any values.
        key: Streamlit key, one per grid of a page.
        selected: Channel the page wants selected, from 0.
        palettes: "sequential" and "diverging", each uint8 [256, 3] red, green, blue; further ones are offered by name.
        scale: Whether each channel is drawn on its own scale at first, or all on the layer's.
        height: Height in CSS pixels; more channels than fit are scrolled.
        label: What the grid shows, for screen readers, such as "Channels of layer3.1.conv2".

    Returns:
        The selected channel, from 0.

    Raises:
        ValueError: The maps or a palette do not have the shape named above.
    """
    if maps.ndim != 3 or 0 in maps.shape:
        raise ValueError(f"A feature grid draws maps [channels, rows, columns]; it was given {list(maps.shape)}.")
    for name, palette in palettes.items():
        if palette.shape != (256, 3) or palette.dtype != np.uint8:
            raise ValueError(f'Palette "{name}" must be uint8 [256, 3]; it is {palette.dtype} {list(palette.shape)}.')
    quantised = quantise_channels(maps)
    parts = (quantised.low, quantised.high, quantised.mean, quantised.levels)
    delivery = deliver(tuple(part.tobytes() for part in parts), key=key)
    channels, rows, columns = maps.shape

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
        "height": height,
        "label": label,
        "selected": current,
        "click": click,
    }
    _mount(key=key, data=data, on_selected_change=_nothing)
    return current


def _settle(key: str, selected: int, channels: int) -> tuple[int, int]:
    """The channel that counts now, and the number of the newest click the server has seen."""
    memory_key = f"{key}.selection"
    before: _Remembered | None = st.session_state.get(memory_key)
    sent = (st.session_state.get(key) or {}).get("selected")
    clicked, click = (int(sent["channel"]), int(sent["click"])) if isinstance(sent, dict) else (selected, 0)
    if before is None or selected not in (before.passed, before.returned):
        current = selected
    elif click not in (0, before.click):
        current = clicked
    else:
        current = before.returned
    current = min(max(current, 0), channels - 1)
    st.session_state[memory_key] = _Remembered(passed=selected, returned=current, click=click)
    return current, click


def _nothing() -> None:
    """The state changed; the rerun that follows reads it."""

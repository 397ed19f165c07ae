"""Many small pictures in one piece of HTML: rows of figures, diagrams, bars over channels."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from interpret.rendering import Pixels, bars, png
from ui.display import number

_QUIET = "font-size:0.72rem;line-height:1.25;opacity:0.75"


def figure(picture: Pixels | bytes, lines: Sequence[str], alt: str, width: int, height: int | None = None) -> str:
    """A small picture with lines of text under it, as HTML.

    Args:
        picture: uint8 [height, width, 3], enlarged in squares, or the bytes of a JPEG.
        lines: untrusted plain text.
        alt: for screen readers; untrusted plain text.
        width, height: in CSS pixels; in proportion if there is no height.
    """
    jpeg = isinstance(picture, bytes)
    data = base64.b64encode(picture if isinstance(picture, bytes) else png(picture)).decode("ascii")
    source = f"data:image/{'jpeg' if jpeg else 'png'};base64,{data}"
    how = "auto" if jpeg or (not isinstance(picture, bytes) and min(picture.shape[:2]) > 2 * width) else "pixelated"
    tall = f"height:{height}px;object-fit:contain;object-position:left top;" if height else ""
    text = "".join(
        f'<div style="{_QUIET};white-space:nowrap;overflow:hidden;text-overflow:ellipsis" title="{html.escape(line)}">'
        f"{html.escape(line)}</div>"
        for line in lines
    )
    return (
        f'<figure style="margin:0;width:{width}px;flex:0 0 auto">'
        f'<img src="{source}" alt="{html.escape(alt)}" style="width:{width}px;{tall}display:block;border-radius:3px;'
        f'image-rendering:{how}">{text}</figure>'
    )


def section(title: str) -> None:
    """The heading of a part of a panel; trusted Markdown."""
    st.markdown(f"###### {title}")


def figures(items: Sequence[str], gap: int = 8) -> None:
    """A row of figures that wraps."""
    st.html(f'<div style="display:flex;flex-wrap:wrap;gap:{gap}px;align-items:flex-start">{"".join(items)}</div>')


def column(items: Sequence[str]) -> str:
    """Figures under each other, as HTML."""
    return f'<div style="display:flex;flex-direction:column;gap:6px">{"".join(items)}</div>'


def flow(rows: Sequence[tuple[str, Sequence[str]]], joined: str, result: str) -> None:
    """Branches, each a row of figures with arrows between them, the sign of where they meet, and what comes out.

    Args:
        rows: (name of the branch, untrusted; its figures).
        joined: the sign, "" where nothing is joined.
        result: a figure, or "".
    """
    arrow = '<span aria-hidden="true" style="opacity:0.5;flex:0 0 auto">→</span>'
    branches = "".join(
        '<div style="display:flex;flex-wrap:wrap;align-items:center;gap:3px">'
        f'<span style="{_QUIET};width:3.6rem;flex:0 0 auto">{html.escape(name)}</span>{arrow.join(items)}</div>'
        for name, items in rows
    )
    sign = (
        f'<span style="font-size:1.3rem;flex:0 0 auto;border:1px solid currentColor;border-radius:50%;width:2rem;'
        f'height:2rem;display:grid;place-items:center;opacity:0.7">{html.escape(joined)}</span>{arrow}{result}'
        if joined
        else ""
    )
    st.html(
        '<div style="display:flex;flex-wrap:wrap;align-items:center;gap:8px">'
        f'<div style="display:flex;flex-direction:column;gap:10px">{branches}</div>{sign}</div>'
    )


def channel_bars(values: NDArray[np.float32], chosen: int | None, title: str, highest: float | None = None) -> None:
    """One thin bar for each channel, from zero up, with the numbers of the scale; the chosen one stands out.

    Args:
        values: float32 [channels], zero or above.
        chosen: a channel, or None.
        title: what the bars are; untrusted plain text.
        highest: end of the scale; the largest value if None.
    """
    top = highest or float(np.nanmax(values)) or 1.0
    picture = base64.b64encode(png(bars(values / top, chosen))).decode("ascii")
    label = html.escape(f"{title}: {len(values)} channels from {number(float(np.nanmin(values)))} to {number(top)}")
    st.html(
        f'<div style="display:flex;gap:8px"><div style="{_QUIET};display:flex;flex-direction:column;'
        f'justify-content:space-between;text-align:right;min-width:2.2rem"><span>{number(top)}</span><span>0</span></div>'
        f'<img src="data:image/png;base64,{picture}" alt="{label}" style="width:100%;height:64px;'
        'border-bottom:1px solid currentColor;image-rendering:pixelated"></div>'
        f'<div style="{_QUIET};display:flex;justify-content:space-between;padding-left:2.8rem">'
        f"<span>channel 0</span><span>{html.escape(title)}</span><span>{len(values) - 1:,}</span></div>"
    )

"""Pictures, colour bars, bars of probabilities, captions and downloads, the same on every page."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from interpret.rendering import Pixels, Scale, colour_bar, png, shrunk

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&])")


def plain(text: str, longest: int = 200) -> str:
    """Text from files, made safe for places that read Markdown, and cut after so many characters."""
    return _MARKDOWN.sub(r"\\\1", text.replace("\n", " ")[:longest])


def told(error: Exception | str) -> str:
    """An error's whole sentence, made safe likewise."""
    return plain(str(error), 2000)


def number(value: float, digits: int = 3) -> str:
    """A number for people: three significant digits, thousands separated."""
    if not np.isfinite(value):
        return "not a number"
    if value != 0 and (abs(value) >= 10**digits or abs(value) < 1e-3):
        return f"{value:,.0f}" if abs(value) < 1e7 and abs(value) >= 10**digits else f"{value:.{digits - 1}e}"
    return f"{value:.{digits}g}"


def quantity(count: int) -> str:
    """A large count in few digits: 1,814,073,344 as "1.81 G"."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g} {letter}"
    return str(count)


def percent(share: float) -> str:
    """A share as a percentage; very small ones as "< 0.1 %"."""
    return "<\u00a00.1\u00a0%" if 0 < share < 0.001 else f"{share * 100:.1f}\u00a0%"


def picture(pixels: Pixels, caption: str, alt: str, width: int | None = None) -> None:
    """A picture with one line under it that says what it is of. Small ones are enlarged in squares by the browser.

    It travels inside the page: a file of its own could be gone, replaced by the next step's, before the browser asks.

    Args:
        pixels: uint8 [height, width, 3]; longer than 640 pixels it is scaled down.
        caption: trusted Markdown; pass untrusted parts through `plain`.
        alt: for screen readers; plain text.
        width: in CSS pixels; as wide as there is room if None.
    """
    inline_image(png(shrunk(pixels, 640)), "image/png", alt, width, smooth=min(pixels.shape[:2]) >= 160)
    if caption:
        st.caption(caption)


def inline_image(data: bytes, mime: str, alt: str, width: int | None = None, smooth: bool = True) -> None:
    """An image given as the bytes of its file, inside the page."""
    wide = f"{width}px" if width else "100%"
    how = "auto" if smooth else "pixelated"
    st.html(
        f'<img src="data:{mime};base64,{_base64(data)}" alt="{html.escape(alt)}" '
        f'style="width:{wide};display:block;border-radius:4px;image-rendering:{how}">'
    )


def scale_bar(scale: Scale, palette: str, unit: str) -> None:
    """A colour bar with its numbers and what they count."""
    src = "data:image/png;base64," + _base64(png(colour_bar(palette)))
    ends = [number(scale.low), *(["0"] if scale.diverges else []), number(scale.high)]
    numbers = "".join(f"<span>{end}</span>" for end in ends)
    st.html(
        f'<div style="font-size:0.8rem;line-height:1.25;opacity:0.85" role="img" aria-label="Colour scale from '
        f'{number(scale.low)} to {number(scale.high)}, {html.escape(unit)}">'
        f'<img src="{src}" alt="" style="width:100%;height:10px;border-radius:2px;display:block">'
        f'<div style="display:flex;justify-content:space-between">{numbers}</div>'
        f'<div style="text-align:center">{html.escape(unit)}</div></div>'
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def probability_bars(rows: Sequence[tuple[str, float, float]], chosen: int = -1) -> None:
    """Classes with their probability as bars and their score as a number; labels may be untrusted.

    Args:
        rows: (label, probability, score).
        chosen: which row to mark, or -1.
    """
    lines = []
    for index, (label, probability, score) in enumerate(rows):
        weight = "600" if index == chosen else "400"
        lines.append(
            f'<tr><td style="padding:3px 10px 3px 0;font-weight:{weight};max-width:12rem;overflow:hidden;'
            f'text-overflow:ellipsis;white-space:nowrap" title="{html.escape(label)}">{html.escape(label)}</td>'
            '<td style="width:45%"><div style="background:color-mix(in srgb, currentColor 12%, transparent);'
            'border-radius:2px"><div style="background:var(--st-primary-color, #2563a8);height:12px;border-radius:2px;'
            f'width:{max(0.0, min(1.0, probability)) * 100:.2f}%"></div></div></td>'
            f'<td style="text-align:right;padding-left:10px;white-space:nowrap">{percent(probability)}</td>'
            f'<td style="text-align:right;padding-left:14px;white-space:nowrap;opacity:0.7">{score:,.2f}</td></tr>'
        )
    st.html(
        '<table style="width:100%;font-size:0.9rem;border-collapse:collapse"><thead>'
        '<tr style="opacity:0.7;font-size:0.8rem"><th style="text-align:left;font-weight:400">class</th><th></th>'
        '<th style="text-align:right;font-weight:400">probability</th>'
        '<th style="text-align:right;font-weight:400">score</th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def question(title: str, how_to_read: str) -> None:
    """A page's title, and beside it, folded away, three sentences and an example on how to read it."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title(title, anchor=False, width="content")
        with st.popover("How to read this", width="content"):
            st.markdown(how_to_read)


def download_values(
    label: str, values: NDArray[np.float32], stem: str, manifest: Mapping[str, object], key: str
) -> None:
    """A button that hands out a zip with the raw values as `.npy` and a manifest that says what they are."""

    def pack() -> bytes:
        raw = io.BytesIO()
        np.save(raw, values)
        return _zipped({f"{stem}.npy": raw.getvalue()}, {**manifest, "shape": list(values.shape)})

    st.download_button(label, pack, file_name=f"{stem}.zip", mime="application/zip", key=key, on_click="ignore")


Table = tuple[Sequence[str], Sequence[Sequence[object]]]
"""Heads and rows."""


def download_tables(
    label: str, tables: Mapping[str, Table], stem: str, manifest: Mapping[str, object], key: str
) -> None:
    """A button that hands out a zip with tables as `.csv` and a manifest that says what they are."""

    def pack() -> bytes:
        files = {}
        for name, (heads, rows) in tables.items():
            text = io.StringIO(newline="")
            csv.writer(text).writerows([heads, *rows])
            files[f"{name}.csv"] = text.getvalue().encode("utf-8", "backslashreplace")
        return _zipped(files, manifest)

    st.download_button(label, pack, file_name=f"{stem}.zip", mime="application/zip", key=key, on_click="ignore")


def _zipped(files: Mapping[str, bytes], manifest: Mapping[str, object]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr("manifest.json", json.dumps(manifest, indent=2))
    return buffer.getvalue()


def flat_map(
    points: NDArray[np.float32],
    categories: NDArray[np.integer[Any]],
    names: Sequence[str],
    colours: Sequence[str],
    captions: Sequence[str],
    ring: NDArray[np.float32],
) -> Any:
    """The map of a data set as a Plotly chart: in space, or for browsers without WebGL2. Arguments as of `point_map`.

    Args:
        points: [n, 2] or [n, 3]; `ring` likewise, NaN for none.
    """
    from plotly import graph_objects

    chart, deep = graph_objects.Figure(), points.shape[1] == 3
    add = chart.add_scatter3d if deep else chart.add_scatter
    for index, name in enumerate(names):
        own = np.flatnonzero(categories == index)
        add(
            **{axis: points[own, at] for at, axis in enumerate("xyz" if deep else "xy")},
            mode="markers",
            name=html.escape(name),
            marker={"color": colours[index], "size": 3 if deep else 6},
            text=[html.escape(captions[int(at)]) for at in own],
            hoverinfo="text",
        )
    if np.isfinite(ring).all():
        marker = {"symbol": "circle-open", "size": 18, "color": "#808080", "line": {"width": 3}}
        where = {axis: ring[at : at + 1] for at, axis in enumerate("xyz" if deep else "xy")}
        add(**where, mode="markers", name="your picture", marker=marker)
    if deep:
        hidden = {"visible": False}
        chart.update_layout(scene={"xaxis": hidden, "yaxis": hidden, "zaxis": hidden}, height=520, margin={"t": 0})
        return chart
    chart.update_xaxes(visible=False)
    chart.update_yaxes(visible=False, scaleanchor="x")
    return chart

"""Small charts with a title for each axis; their numbers stand in a table beside them."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import streamlit as st
from numpy.typing import NDArray

HEIGHT = 210
MOST_TICKS, MOST_WRITTEN, MOST_NAMES, MOST_LETTERS = 24, 8, 9, 60
"""Names along an axis; rows or columns whose numbers are written; names that stand upright, and their letters."""
_ANGLES = [0, -45, -90]
"""Of names under a chart: the first at which they do not overlap."""
COOL, WARM, GREY = "#4e79a7", "#e1812c", "#9aa0a6"


@dataclass(frozen=True)
class Line:
    """A line of a chart, or dots.

    Attributes:
        title: in the legend; trusted text; "" to leave it out.
        x, y: its points.
        colour: as "#rrggbb".
        style: how it is drawn.
        errors: how far the truth may lie below and above each point.
    """

    title: str
    x: Iterable[Any]
    y: Iterable[float]
    colour: str
    style: Literal["line", "thin", "dots", "bars"] = "line"
    errors: tuple[Iterable[float], Iterable[float]] | None = None


def chart(
    lines: Sequence[Line],
    across: str,
    up: str,
    key: str,
    *,
    between: tuple[float, float] | None = None,
    marks: Sequence[float] = (),
    percent: bool = False,
    shares: bool = False,
) -> None:
    """Lines under one pair of axes.

    Args:
        lines: what is drawn.
        across, up: titles of the axes, with the unit.
        key: Streamlit key.
        between: ends of the upper axis; as the numbers need if None.
        marks: places across at which a dotted line stands.
        percent: whether the axis across counts shares of one.
        shares: whether the upper axis does.
    """
    from plotly import graph_objects

    figure = graph_objects.Figure()
    for line in lines:
        shown: dict[str, Any] = {
            "name": line.title,
            "showlegend": bool(line.title),
            "x": list(line.x),
            "y": [float(y) for y in line.y],
        }
        if line.errors is not None:
            below, above = ([float(value) for value in side] for side in line.errors)
            shown["error_y"] = {"array": above, "arrayminus": below, "thickness": 1.2, "width": 3, "color": GREY}
        if line.style == "bars":
            figure.add_bar(**shown, marker_color=line.colour)
        elif line.style == "dots":
            figure.add_scatter(
                **shown, mode="markers", marker={"color": line.colour, "size": 8, "symbol": "circle-open"}
            )
        else:
            thin = line.style == "thin"
            pen = {"color": line.colour, "width": 1 if thin else 2.5}
            figure.add_scatter(**shown, mode="lines", line=pen, opacity=0.5 if thin else 1)
    for mark in marks:
        figure.add_vline(mark, line_dash="dot", line_color=GREY, line_width=1)
    names = {x for line in lines for x in line.x if isinstance(x, str)}
    many = len(names) > MOST_NAMES or sum(map(len, names)) > MOST_LETTERS
    figure.update_xaxes(
        title=across,
        tickformat=".0%" if percent else None,
        tickangle=None if many else 0,
        autotickangles=_ANGLES[1:],
        nticks=MOST_TICKS if many else None,
        fixedrange=True,
    )
    figure.update_yaxes(title=up, range=between, tickformat=".0%" if shares else None, fixedrange=True)
    figure.update_layout(
        height=HEIGHT + (50 if many else 0),
        margin={"l": 4, "r": 4, "t": 28, "b": 4},
        legend={"orientation": "h", "y": 1, "yanchor": "top", "yref": "container", "x": 0, "xref": "container"},
        hovermode="x unified",
        bargap=0.35,
    )
    st.plotly_chart(figure, key=key, config={"displayModeBar": False}, width="stretch")


def matrix(
    values: NDArray[np.float32],
    rows: Sequence[str],
    columns: Sequence[str],
    titles: tuple[str, str],
    unit: str,
    key: str,
) -> None:
    """Numbers from 0 to 1 as squares, those of many rows and columns to be read under the pointer.

    Args:
        values: float32 [rows, columns]; NaN stays empty.
        rows, columns: their names; untrusted text.
        titles: of the two axes; untrusted text.
        unit: what the numbers are.
        key: Streamlit key.
    """
    from plotly import graph_objects

    down, across = list(range(len(rows))), list(range(len(columns)))
    written = np.array([[f"{html.escape(row)} · {html.escape(column)}" for column in columns] for row in rows])
    heat = graph_objects.Heatmap(
        z=np.where(np.isfinite(values), values, np.nan),
        x=across,
        y=down,
        zmin=0,
        zmax=1,
        colorscale="Viridis",
        customdata=written,
        hovertemplate="%{customdata}<br>" + html.escape(unit) + " %{z:.2f}<extra></extra>",
        colorbar={"title": {"text": unit, "side": "right"}, "thickness": 10, "len": 1.0, "outlinewidth": 0},
        texttemplate="%{z:.2f}" if max(values.shape) <= MOST_WRITTEN else None,
    )
    figure = graph_objects.Figure(heat)
    ticks = {"tickmode": "array", "fixedrange": True, "showgrid": False, "zeroline": False}
    down_by, across_by = (max(1, -(-len(names) // MOST_TICKS)) for names in (rows, columns))
    figure.update_yaxes(
        title=html.escape(titles[0]),
        autorange="reversed",
        tickvals=down[::down_by],
        ticktext=[html.escape(name) for name in rows[::down_by]],
        **ticks,
    )
    figure.update_xaxes(
        title=html.escape(titles[1]),
        tickvals=across[::across_by],
        ticktext=[html.escape(name) for name in columns[::across_by]],
        autotickangles=_ANGLES,
        **ticks,
    )
    figure.update_layout(height=max(260, min(520, 60 + 26 * len(rows))), margin={"l": 4, "r": 4, "t": 8, "b": 4})
    st.plotly_chart(figure, key=key, config={"displayModeBar": False}, width="stretch")

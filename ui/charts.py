"""Small charts with a title for each axis; their numbers stand in a table beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import streamlit as st

HEIGHT = 210
COOL, WARM, GREY = "#4e79a7", "#e1812c", "#9aa0a6"


@dataclass(frozen=True)
class Line:
    """A line of a chart, or dots.

    Attributes:
        title: in the legend; trusted text; "" to leave it out.
        x, y: its points.
        colour: as "#rrggbb".
        style: how it is drawn.
    """

    title: str
    x: Iterable[Any]
    y: Iterable[float]
    colour: str
    style: Literal["line", "thin", "dots", "bars"] = "line"


def chart(
    lines: Sequence[Line],
    across: str,
    up: str,
    key: str,
    *,
    between: tuple[float, float] | None = None,
    marks: Sequence[float] = (),
    percent: bool = False,
) -> None:
    """Lines under one pair of axes.

    Args:
        lines: what is drawn.
        across, up: titles of the axes, with the unit.
        key: Streamlit key.
        between: ends of the upper axis; as the numbers need if None.
        marks: places across at which a dotted line stands.
        percent: whether the axis across counts shares of one.
    """
    from plotly import graph_objects

    figure = graph_objects.Figure()
    for line in lines:
        shown = {"name": line.title, "showlegend": bool(line.title), "x": list(line.x), "y": [float(y) for y in line.y]}
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
    figure.update_xaxes(title=across, tickformat=".0%" if percent else None, tickangle=0, fixedrange=True)
    figure.update_yaxes(title=up, range=between, fixedrange=True)
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 4, "r": 4, "t": 28, "b": 4},
        legend={"orientation": "h", "y": 1, "yanchor": "top", "yref": "container", "x": 0, "xref": "container"},
        hovermode="x unified",
        bargap=0.35,
    )
    st.plotly_chart(figure, key=key, config={"displayModeBar": False}, width="stretch")

"""The table of a data set's heatmaps, and what is to be said of one of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from interpret.evaluation import Evaluation
from ui.display import number, percent, plain
from ui.server import THUMBNAILS

ORDERS = ("Wrong first", "Unfaithful first", "As they come")
_COLUMNS = (
    ("picture", "picture", "", ""),
    ("class", "class", "", "By the data set."),
    ("prediction", "prediction", "", ""),
    ("probability", "probability", "percent", "Of the predicted class."),
    ("gain", "gain", "%.3f", "Insertion less deletion: how far the map knows the places that matter; -1 to 1."),
    (
        "gain_above_random",
        "above random",
        "%.3f",
        "The gain less that of one random map of the layer: at zero and below that one finds the places as well.",
    ),
    ("pointing", "pointing", "", "Whether the map's maximum lies in a true box (Zhang 2016)."),
    ("best_iou", "best IoU", "%.2f", "Of the map's box with a true one, at the threshold that suits it (Choe 2020)."),
    ("iou_at_15_percent", "IoU at 15 %", "%.2f", "The same, cut at 15 % of the maximum (Selvaraju 2017)."),
    (
        "deletion",
        "deletion",
        "%.3f",
        "Area under the class's probability as the map's places go, the strongest first; small is good (Petsiuk 2018).",
    ),
    ("insertion", "insertion", "%.3f", "The same as they come back into the blurred picture; large is good."),
    (
        "average_drop",
        "drop",
        "percent",
        "Share of the probability lost on the picture seen through its map; small is good (Chattopadhyay 2018).",
    ),
)
"""Of the table: name in a row, head, format of a number, what it means."""
_OF_BOXES = ("pointing", "best_iou", "iou_at_15_percent")


def ordered(found: Evaluation, order: str) -> NDArray[np.int64]:
    """Places of all pictures: those of the preset first, the others behind them."""
    if order == ORDERS[2]:
        return np.arange(len(found))
    if order == ORDERS[1]:
        return found.unfaithful
    return np.concatenate([found.wrong, np.flatnonzero(found.right != 0)])


def show_table(found: Evaluation, places: NDArray[np.int64], address: str, order: str) -> int:
    """The table of all pictures; the place of the one selected, the first until one is."""
    THUMBNAILS.put(address, found.overlays)
    rows = [found.row(int(place)) for place in places]
    shown: dict[str, list[Any]] = {"map": [f"thumbnails/{address}/{place}" for place in places]}
    config: dict[str, Any] = {"map": st.column_config.ImageColumn(width=44, help="The map over the picture.")}
    for name, head, form, words in _COLUMNS:
        if name in _OF_BOXES and not found.totals.boxed:
            continue
        shown[head] = [row[name] for row in rows]
        config[head] = (
            st.column_config.NumberColumn(format=form, help=words)
            if form
            else st.column_config.Column(help=words or None)
        )
    event: Any = st.dataframe(
        shown,
        hide_index=True,
        height=420,
        row_height=44,
        column_config=config,
        on_select="rerun",
        selection_mode="single-row",
        key=f"heatmaps.table.{address}.{order}",
    )
    selected = event.selection.rows
    return int(places[selected[0] if selected and selected[0] < len(places) else 0])


def sentence(found: Evaluation, place: int) -> str:
    """What is to be said of one picture and its map, as Markdown."""
    row = found.row(place)
    said, label = f"**{plain(row['prediction'])}**", plain(row["map_of"])
    chance = percent(float(found.probabilities[place]))
    if row["right"] is None:
        words = f"The network says {said}, with {chance}."
    elif row["right"]:
        words = f"The network says {said}, with {chance}, and is right."
    else:
        words = f"The network says {said}, with {chance}; the data set says **{plain(row['class'])}**."
    if row["peculiar"]:
        return f"{words} {plain(row['peculiar'])}"
    gain, floor, above = (float(each[place]) for each in (found.gain, found.random_gain, found.above_random))
    better = "better than" if above > 0 else "**no better than**"
    words += (
        f" The map for {label} finds the places that matter {better} a random one: insertion less deletion "
        f"{number(gain)}, of the random map {number(floor)}."
    )
    if row["pointing"] is not None:
        on = "on" if row["pointing"] else "**beside**"
        words += f" Its maximum lies {on} the object; {percent(row['energy_inside'])} of its values do."
    return words

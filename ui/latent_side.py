"""What stands beside the map of a data set: the selection, a search, the confusions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from interpret.datasets import PictureSource
from interpret.images import InputImage
from interpret.latent import Confusion, Embedding, Neighbours, confusion
from interpret.latent.groups import true_classes
from interpret.latent.neighbours import Metric
from interpret.model import LoadedModel
from ui.components.point_map import MapSelection
from ui.display import plain
from ui.latent_pictures import card, chosen_pictures, gallery

PANELS = ("Selection", "Find", "Confusions", "Stands out", "Trust")
SMALL = 20
"""Classes whose confusions are shown as a matrix."""


Marked = tuple[NDArray[np.int64], str, NDArray[np.float32] | None] | None
"""Points marked on the map, what they are, and a number for each; None where nothing is marked."""


@dataclass(frozen=True, eq=False)
class Data:
    """What the page looks at.

    Attributes:
        embedded, model, source: the pictures, the network and where the pictures are.
        image, vector: the uploaded picture and its vector [d].
        metric: of the layer's space.
        near: the vectors, ready to be asked for the nearest.
        title: of the map; untrusted text.
    """

    embedded: Embedding
    model: LoadedModel
    source: PictureSource
    image: InputImage
    vector: NDArray[np.float32]
    metric: Metric
    near: Neighbours
    title: str


def marked_by(panel: str, data: Data) -> Marked:
    """The points a panel marks on the map, and what they are; None where it marks none."""
    if panel == "Find":
        return _found(data)
    if panel == "Confusions":
        return _confused(data)
    return None


def show_selection(data: Data, picked: MapSelection, inside: NDArray[np.int64]) -> None:
    """The chosen region, the chosen picture's neighbours, or the upload's."""
    embedded, model = data.embedded, data.model
    if picked.polygon is not None:
        chosen_pictures(embedded, model, data.source, inside, "in the region")
        return
    if picked.clicked is not None:
        card(embedded, model, data.source, picked.clicked)
        indices, distances = data.near.nearest(embedded.vectors[[picked.clicked]], 10)
        indices, distances = indices[:, 1:], distances[:, 1:]
        st.markdown(f"**Nearest to {plain(embedded.names[picked.clicked])}** in the layer's space")
    else:
        indices, distances = data.near.nearest(data.vector[None], 9)
        st.markdown(f"**Nearest to your picture, {plain(data.image.name)}**, in the layer's space")
    gallery(embedded, model, indices[0], distances[0])
    st.caption("Under each picture: class, distance in the layer's space. Click a point for its neighbours.")


def show_marked(data: Data, marked: Marked) -> None:
    """The pictures a panel has marked."""
    if marked is not None:
        chosen_pictures(data.embedded, data.model, data.source, *marked)


def _found(data: Data) -> Marked:
    asked = st.text_input("File name or class", key="latent.find", placeholder="star, IMG_0123")
    if not asked.strip():
        st.caption("Points whose file name, class or prediction holds these letters are marked on the map.")
        return None
    letters, embedded, model = asked.strip().casefold(), data.embedded, data.model
    words = [
        f"{name}\n{embedded.classes[label] if label >= 0 else ''}\n{model.labels[said]}".casefold()
        for name, label, said in zip(embedded.names, embedded.labels, embedded.predictions, strict=True)
    ]
    return np.flatnonzero([letters in text for text in words]), f'with "{asked.strip()}"', None


def _confused(data: Data) -> Marked:
    labels = data.model.labels
    found = confusion(data.embedded, true_classes(data.embedded, labels), labels)
    if not len(found.order):
        st.caption("The data set says no class that the network has, so nothing is right or wrong.")
        return None
    present = np.flatnonzero(found.counts.sum(0) + found.counts.sum(1))
    cell = _cell(found, present) if len(present) <= SMALL else _row(found)
    if cell is None:
        return None
    true, said = cell
    return found.cell(true, said), f"of {labels[true]} called {labels[said]}", None


def _row(found: Confusion) -> tuple[int, int] | None:
    """One of the most frequent mistakes."""
    mistakes = found.mistakes[:200]
    if not len(mistakes):
        st.caption("Every picture with a known class is called by it.")
        return None
    rows = {
        "class": [found.classes[true] for true, _ in mistakes],
        "called": [found.classes[said] for _, said in mistakes],
        "pictures": found.counts[tuple(mistakes.T)],
    }
    how: dict[str, Any] = {"on_select": "rerun", "selection_mode": "single-row", "key": "latent.pairs"}
    event: Any = st.dataframe(rows, hide_index=True, height=260, **how)
    st.caption("The most frequent confusions. Choose a row to mark its pictures.")
    chosen = event.selection.rows[:1]
    return (int(mistakes[chosen[0]][0]), int(mistakes[chosen[0]][1])) if chosen else None


def _cell(found: Confusion, present: NDArray[np.int64]) -> tuple[int, int] | None:
    """One cell of the matrix."""
    names = [found.classes[index] for index in present]
    rows: dict[str, Any] = {"class": names}
    rows |= {name: found.counts[present, index] for index, name in zip(present, names, strict=True)}
    how: dict[str, Any] = {"on_select": "rerun", "selection_mode": "single-cell", "key": "latent.cells"}
    event: Any = st.dataframe(rows, hide_index=True, **how)
    st.caption("Rows: the class; columns: what the network says. Choose a cell to mark its pictures.")
    cells = event.selection.cells[:1]
    if not cells or cells[0][1] not in names:
        return None
    return int(present[cells[0][0]]), int(present[names.index(cells[0][1])])

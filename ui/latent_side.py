"""What stands beside the map of a data set: the selection, a search, the confusions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from interpret.datasets import PictureSource
from interpret.images import InputImage
from interpret.latent import Embedding, nearest
from interpret.latent.neighbours import Metric
from interpret.model import LoadedModel
from ui.components.point_map import MapSelection
from ui.display import plain
from ui.latent_colours import true_classes
from ui.latent_pictures import card, chosen_pictures, gallery

PANELS = ("Selection", "Find", "Confusions")
SMALL = 20
"""Classes whose confusions are shown as a matrix."""


@dataclass(frozen=True, eq=False)
class Data:
    """What the page looks at.

    Attributes:
        embedded, model, source: the pictures, the network and where the pictures are.
        image, vector: the uploaded picture and its vector [d].
        metric: of the layer's space.
    """

    embedded: Embedding
    model: LoadedModel
    source: PictureSource
    image: InputImage
    vector: NDArray[np.float32]
    metric: Metric


def marked_by(panel: str, data: Data) -> tuple[NDArray[np.int64], str] | None:
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
        indices, distances = nearest(embedded.vectors[[picked.clicked]], embedded.vectors, 10, data.metric)
        indices, distances = indices[:, 1:], distances[:, 1:]
        st.markdown(f"**Nearest to {plain(embedded.names[picked.clicked])}** in the layer's space")
    else:
        indices, distances = nearest(data.vector[None], embedded.vectors, 9, data.metric)
        st.markdown(f"**Nearest to your picture, {plain(data.image.name)}**, in the layer's space")
    gallery(embedded, model, indices[0], distances[0])
    st.caption("Under each picture: class · distance in the layer's space. Click a point for its neighbours.")


def show_marked(data: Data, marked: tuple[NDArray[np.int64], str] | None) -> None:
    """The pictures a panel has marked."""
    if marked is not None:
        chosen_pictures(data.embedded, data.model, data.source, *marked)


def _found(data: Data) -> tuple[NDArray[np.int64], str] | None:
    asked = st.text_input("File name or class", key="latent.find", placeholder="star, IMG_0123")
    if not asked.strip():
        st.caption("Points whose file name, class or prediction holds these letters are marked on the map.")
        return None
    letters, embedded, model = asked.strip().casefold(), data.embedded, data.model
    words = [
        f"{name}\n{embedded.classes[label] if label >= 0 else ''}\n{model.labels[said]}".casefold()
        for name, label, said in zip(embedded.names, embedded.labels, embedded.predictions, strict=True)
    ]
    return np.flatnonzero([letters in text for text in words]), f'with "{asked.strip()}"'


def _confused(data: Data) -> tuple[NDArray[np.int64], str] | None:
    embedded, model = data.embedded, data.model
    truth, said = true_classes(embedded, model), embedded.predictions
    known = truth >= 0
    if not known.any():
        st.caption("The data set says no class that the network has, so nothing is right or wrong.")
        return None
    present = np.unique(np.concatenate([truth[known], said[known]]))
    if len(present) <= SMALL:
        return _matrix(model, truth, said, present)
    pairs, counts = np.unique(np.stack([truth[known], said[known]], 1), axis=0, return_counts=True)
    wrong = pairs[:, 0] != pairs[:, 1]
    order = np.argsort(-counts[wrong], kind="stable")[:200]
    pairs, counts = pairs[wrong][order], counts[wrong][order]
    if not len(pairs):
        st.caption("Every picture with a known class is called by it.")
        return None
    rows = {
        "class": [model.labels[index] for index in pairs[:, 0]],
        "called": [model.labels[index] for index in pairs[:, 1]],
        "pictures": counts,
    }
    event = st.dataframe(
        rows, hide_index=True, height=260, on_select="rerun", selection_mode="single-row", key="latent.pairs"
    )
    chosen = event.selection.rows[:1]  # type: ignore[attr-defined]
    st.caption("The most frequent confusions. Choose a row to mark its pictures.")
    if not chosen:
        return None
    true, called = (int(index) for index in pairs[chosen[0]])
    return np.flatnonzero((truth == true) & (said == called)), f"of {model.labels[true]} called {model.labels[called]}"


def _matrix(
    model: LoadedModel, truth: NDArray[np.int64], said: NDArray[np.int64], present: NDArray[np.int64]
) -> tuple[NDArray[np.int64], str] | None:
    names = [model.labels[index] for index in present]
    rows = {"class": names}
    for index, name in zip(present, names, strict=True):
        rows[name] = [int(((truth == true) & (said == index)).sum()) for true in present]  # type: ignore[misc]
    event = st.dataframe(rows, hide_index=True, on_select="rerun", selection_mode="single-cell", key="latent.cells")
    cells = event.selection.cells[:1]  # type: ignore[attr-defined]
    st.caption("Rows: the class; columns: what the network says. Choose a cell to mark its pictures.")
    if not cells or cells[0][1] not in names:
        return None
    true, called = int(present[cells[0][0]]), int(present[names.index(cells[0][1])])
    return np.flatnonzero((truth == true) & (said == called)), f"of {model.labels[true]} called {model.labels[called]}"

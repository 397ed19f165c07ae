"""Pictures of a data set beside its map: galleries, one picture's card, a selection and its download."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from interpret.datasets import PictureSource
from interpret.heatmaps import Heatmap, heatmap
from interpret.images import InputImage
from interpret.latent import Embedding
from interpret.latent.groups import true_classes
from interpret.model import LoadedModel
from interpret.rendering import Scale, overlay, thumbnail
from ui.cache import RESULTS
from ui.display import download_tables, inline_image, number, percent, plain
from ui.figures import figure, figures
from ui.library import keep_picture
from ui.state import address, choose

SHOWN, HEATMAPS = 12, 6
THUMBNAIL = (92, 84)
"""Widest and highest of a picture in a row, in CSS pixels."""


def said_of(embedded: Embedding, model: LoadedModel, index: int) -> str:
    """Class, and what the network calls it where that is another; untrusted text."""
    label = embedded.classes[embedded.labels[index]] if embedded.labels[index] >= 0 else ""
    said = model.labels[embedded.predictions[index]]
    return (label or said) + (f", called {said}" if label and said.casefold() != label.casefold() else "")


def gallery(
    embedded: Embedding,
    model: LoadedModel,
    indices: Sequence[int] | NDArray[np.int64],
    numbers: Sequence[float] | NDArray[np.float32] | None = None,
) -> None:
    """Pictures in rows, each with its class, prediction and a number."""
    shown = []
    for at, index in enumerate(int(index) for index in indices[:SHOWN]):
        lines = [said_of(embedded, model, index)]
        if numbers is not None:
            lines.append(number(float(numbers[at])))
        shown.append(figure(embedded.thumbnails[index], lines, embedded.names[index], *THUMBNAIL))
    figures(shown)
    if len(indices) > SHOWN:
        st.caption(f"The first {SHOWN} of {len(indices):,}.")


def chosen_pictures(
    embedded: Embedding,
    model: LoadedModel,
    source: PictureSource,
    indices: NDArray[np.int64],
    title: str,
    numbers: NDArray[np.float32] | None = None,
) -> None:
    """A selection: how many of each class, its pictures, their heatmaps, and the list as a file."""
    if not len(indices):
        st.caption("No picture lies there.")
        return
    st.markdown(f"**{len(indices):,} pictures** {plain(title)}")
    truth = true_classes(embedded, model.labels)[indices]
    known = truth >= 0
    if known.any():
        right = float((truth == embedded.predictions[indices])[known].mean())
        st.caption(f"{percent(right)} of those with a known class are called by it.")
    names = [
        embedded.classes[label] if label >= 0 else f"predicted {model.labels[said]}"
        for label, said in zip(embedded.labels[indices], embedded.predictions[indices], strict=True)
    ]
    present, counts = np.unique(np.array(names, object).astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:6]
    st.caption(" · ".join(f"{plain(str(present[at]))} {counts[at]:,}" for at in order))
    gallery(embedded, model, indices, numbers)
    if st.button("Their heatmaps", key="latent.heatmaps", help="Grad-CAM of the predicted class of the first six."):
        _heatmaps(embedded, model, source, indices[:HEATMAPS])
    rows = [
        (
            embedded.names[index],
            embedded.classes[embedded.labels[index]] if embedded.labels[index] >= 0 else "",
            model.labels[embedded.predictions[index]],
            float(embedded.confidences[index]),
        )
        for index in indices.tolist()
    ]
    manifest = {"checkpoint": model.name, "model_digest": model.digest, "layer": embedded.layer.name, "what": title}
    heads = ("picture", "class", "prediction", "confidence")
    download_tables("Download the selection (.csv)", {"selection": (heads, rows)}, "selection", manifest, "latent.csv")


def _heatmaps(embedded: Embedding, model: LoadedModel, source: PictureSource, indices: NDArray[np.int64]) -> None:
    shown = []
    for index in indices.tolist():
        image = read(source, embedded, index)
        made = _grad_cam(model, image)
        seen = model.preprocess.seen(image)
        laid = thumbnail(overlay(seen, made.values, Scale.positive(made.values)), 192)
        lines = [model.labels[made.target], f"0 to {number(float(made.values.max()))}"]
        shown.append(figure(laid, lines, f"Heatmap of {embedded.names[index]}", 96))
    figures(shown)
    st.caption("Grad-CAM of the predicted class, each over its own maximum.")


def _grad_cam(model: LoadedModel, image: InputImage) -> Heatmap:
    return RESULTS.get_or_make(("grad-cam", model.digest, image.digest), lambda: heatmap(model, image))


def read(source: PictureSource, embedded: Embedding, index: int) -> InputImage:
    """The picture of a point.

    Raises:
        BadInput: it is there no longer, or broken.
    """
    return source.read(source.names.index(embedded.names[index]))


def card(embedded: Embedding, model: LoadedModel, source: PictureSource, index: int) -> None:
    """One picture: what the network says of it, and how to look into it."""
    inline_image(embedded.thumbnails[index], "image/jpeg", embedded.names[index], 128)
    st.markdown(
        f"**{plain(embedded.names[index])}**: {plain(said_of(embedded, model, index))}, "
        f"{percent(float(embedded.confidences[index]))}"
    )
    key = keep_picture(read(source, embedded, index), embedded.names[index])
    leads = address(picture=key, layer=embedded.layer.name)
    left, right = st.columns(2)
    left.page_link("pages/activations.py", label="Its activations", query_params=leads)
    right.page_link("pages/heatmaps.py", label="Its heatmaps", query_params=leads)
    if st.button("Choose this picture", key="latent.choose", help="Then all pages show it, and the ring is around it."):
        choose(picture=key)
        st.rerun()

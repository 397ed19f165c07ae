"""What changed inside: weights one by one, and how alike two networks' layers are."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import streamlit as st

from interpret.comparison import (
    LayerSimilarity,
    ShapeDifference,
    differing_shapes,
    layer_similarity,
    most_changed,
    overall,
    weight_changes,
)
from interpret.datasets import PictureSource
from interpret.errors import InterpretError
from interpret.model import LoadedModel
from ui.cache import RESULTS
from ui.charts import COOL, WARM, Line, chart, matrix
from ui.compare_answers import title_of
from ui.controls import result_of
from ui.display import download_tables, number, plain, told
from ui.figures import section
from ui.state import address

CHANNELS, NAMED = 8, 4
"""Channels listed, and tensors left out that are named in a sentence."""


def show_similarity(one: LoadedModel, other: LoadedModel, source: PictureSource, data: tuple[Hashable, ...]) -> bool:
    """Linear CKA and common neighbours of every block of one network with every block of the other.

    Returns:
        Whether they are there already.
    """
    found: LayerSimilarity | None = result_of(
        "layer similarity",
        ("layer similarity", one.digest, other.digest, *data),
        f"Layers of both over {len(source):,} pictures",
        lambda: layer_similarity(one, other, source),
    )
    if found is None:
        return False
    titles = (title_of(one), title_of(other))
    left, right = st.columns(2, gap="medium")
    with left:
        section("Linear CKA, debiased")
        matrix(found.cka, found.rows, found.columns, titles, "CKA", "compare.cka")
    with right:
        section("Common neighbours")
        matrix(found.overlap, found.rows, found.columns, titles, "share", "compare.overlap")
    st.caption(plain(found.says, 2000))
    rows = [
        (row, column, float(found.cka[i, j]), float(found.overlap[i, j]))
        for i, row in enumerate(found.rows)
        for j, column in enumerate(found.columns)
    ]
    manifest = {"networks": [one.name, other.name], "pictures": found.pictures, "neighbors": found.neighbors}
    heads = (one.name, other.name, "linear CKA", "common neighbours")
    download_tables("Download (.csv)", {"similarity": (heads, rows)}, "similarity", manifest, "compare.similarity")
    return True


def show_weights(one: LoadedModel, other: LoadedModel) -> None:
    """How far the weights of each layer moved, what BatchNorm keeps, and which channels moved farthest."""
    try:
        changes, apart = RESULTS.get_or_make(
            ("weights", one.digest, other.digest), lambda: (weight_changes(one, other), differing_shapes(one, other))
        )
    except InterpretError as error:
        st.caption(told(error))
        return
    distance, cosine = overall(changes)
    if one.architecture.key != other.architecture.key:
        st.caption(
            f"{plain(title_of(one))} is {plain(one.architecture.title)}, {plain(title_of(other))} "
            f"{plain(other.architecture.title)}. Layers of one name and shape are compared; they need not do the "
            "same in both."
        )
    st.markdown(
        f"From {plain(title_of(one))} to {plain(title_of(other))} the weights moved by **{number(distance, 2)}** of "
        f"their length; their cosine is **{number(cosine, 2)}** (1: the same direction, about 0: unrelated)."
    )
    _left_out(apart)
    named = [change for change in changes if change.statistics is None]
    norms = [(change.layer, change.statistics) for change in changes if change.statistics is not None]
    names, across = [change.layer for change in named], "layer, in the order of execution"
    left, right = st.columns(2, gap="medium")
    with left:
        section("Distance of each layer")
        far = [change.distance for change in named]
        chart([Line("", names, far, WARM)], across, "|w1 - w0| / |w0|", "compare.weights")
    with right:
        section("Cosine of each layer")
        alike = [float(np.nan_to_num(change.cosine)) for change in named]
        chart([Line("", names, alike, COOL)], across, "cosine", "compare.cosines")
    left, right = st.columns(2, gap="medium")
    with left:
        section("What BatchNorm keeps")
        if norms:
            names = [layer for layer, _ in norms]
            lines = [
                Line("running mean, in deviations", names, [moved.mean for _, moved in norms], WARM),
                Line("running variance, in nats", names, [moved.variance for _, moved in norms], COOL),
            ]
            chart(lines, "BatchNorm layer", "moved by", "compare.norms")
        else:
            st.caption("The networks have no BatchNorm in common.")
    with right:
        section("Channels that moved farthest")
        with st.container(horizontal=True, gap="small"):
            for layer, channel, moved_by in most_changed(changes, CHANNELS):
                st.page_link(
                    "pages/activations.py",
                    label=f"{plain(layer)} channel {channel} · {number(moved_by, 2)}",
                    query_params=address(layer=layer, channel=channel, card="open"),
                    help="Its unit card in the first network. The number: how far its weights moved, over the root "
                    "mean square length of the layer's channels.",
                )
    heads = ("layer", "kind", "distance", "cosine", "norm before", "norm after")
    rows = [(one.layer, one.kind, one.distance, one.cosine, *one.norms) for one in changes]
    manifest = {"networks": [one.name, other.name]}
    download_tables("Download (.csv)", {"weights": (heads, rows)}, "weights", manifest, "compare.weights.csv")


def _left_out(apart: tuple[ShapeDifference, ...]) -> None:
    """Names the tensors that could not be compared; many of them in a table, folded away."""
    if not apart:
        return
    rows = [(one.layer, one.tensor, _shape(one.shape), _shape(one.other_shape)) for one in apart]
    many = "One tensor is" if len(rows) == 1 else f"{len(rows):,} tensors are"
    left_out = f"{many} left out, as name or shape differs"
    if len(rows) <= NAMED:
        named = "; ".join(f"{plain(layer)} {plain(name)}: {mine} and {its}" for layer, name, mine, its in rows)
        st.caption(f"{left_out}: {named}.")
        return
    with st.expander(left_out):
        heads = ("layer", "tensor", "shape in the first", "shape in the second")
        st.dataframe([dict(zip(heads, row, strict=True)) for row in rows], hide_index=True)


def _shape(shape: tuple[int, ...] | None) -> str:
    return "none" if shape is None else " × ".join(f"{side:,}" for side in shape) or "one number"

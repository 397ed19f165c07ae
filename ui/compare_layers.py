"""What changed inside: weights one by one, and how alike two networks' layers are."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

import numpy as np
import streamlit as st

from interpret.comparison import (
    Course,
    LayerSimilarity,
    along,
    checkpoints_in,
    layer_similarity,
    most_changed,
    overall,
    weight_changes,
)
from interpret.datasets import PictureSource
from interpret.errors import InterpretError
from interpret.model import LoadedModel
from ui.cache import RESULTS, keep_upload
from ui.charts import COOL, GREY, WARM, Line, chart, matrix
from ui.compare_answers import title_of
from ui.controls import result_of
from ui.display import download_tables, number, percent, plain, told
from ui.figures import section
from ui.state import address, choose

CHANNELS = 8


def show_similarity(one: LoadedModel, other: LoadedModel, source: PictureSource, data: tuple[Hashable, ...]) -> None:
    """Linear CKA and common neighbours of every block of one network with every block of the other."""
    found: LayerSimilarity | None = result_of(
        "layer similarity",
        ("layer similarity", one.digest, other.digest, *data),
        f"Layers of both over {len(source):,} pictures",
        lambda: layer_similarity(one, other, source),
    )
    if found is None:
        return
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


def show_weights(one: LoadedModel, other: LoadedModel) -> None:
    """How far the weights of each layer moved, what BatchNorm keeps, and which channels moved farthest."""
    try:
        changes = RESULTS.get_or_make(("weights", one.digest, other.digest), lambda: weight_changes(one, other))
    except InterpretError as error:
        st.caption(told(error))
        return
    distance, cosine = overall(changes)
    st.markdown(
        f"From {plain(title_of(one))} to {plain(title_of(other))} the weights moved by **{number(distance, 2)}** of "
        f"their length; their cosine is **{number(cosine, 2)}** (1: the same direction, about 0: unrelated)."
    )
    named = [change for change in changes if change.statistics is None]
    norms = [(change.layer, change.statistics) for change in changes if change.statistics is not None]
    left, right = st.columns(2, gap="medium")
    with left:
        names = [change.layer for change in named]
        far, alike = [change.distance for change in named], [float(np.nan_to_num(change.cosine)) for change in named]
        lines = [Line("distance |w1 - w0| / |w0|", names, far, WARM), Line("cosine", names, alike, COOL)]
        chart(lines, "layer, in the order of execution", "", "compare.weights")
    with right:
        if norms:
            names = [layer for layer, _ in norms]
            lines = [
                Line("running mean, in deviations", names, [moved.mean for _, moved in norms], WARM),
                Line("running variance, in nats", names, [moved.variance for _, moved in norms], COOL),
            ]
            chart(lines, "BatchNorm layer", "moved by", "compare.norms")
        else:
            st.caption("The network has no BatchNorm.")
    section("Channels that moved farthest")
    cells = st.columns(CHANNELS // 2) * 2
    for cell, (layer, channel, moved_by) in zip(cells, most_changed(changes, CHANNELS), strict=False):
        cell.page_link(
            "pages/activations.py",
            label=f"{plain(layer)} {channel} · {number(moved_by, 2)}",
            query_params=address(layer=layer, channel=channel, card="open"),
            help="Its unit card in the first network. The number: |row1 - row0| / |row0|.",
        )
    heads = ("layer", "kind", "distance", "cosine", "norm before", "norm after")
    rows = [(one.layer, one.kind, one.distance, one.cosine, *one.norms) for one in changes]
    manifest = {"networks": [one.name, other.name]}
    download_tables("Download (.csv)", {"weights": (heads, rows)}, "weights", manifest, "compare.weights.csv")


def show_course(source: PictureSource, data: tuple[Hashable, ...]) -> None:
    """A training from checkpoint to checkpoint: accuracy, churn, how far the weights went, when layers settled."""
    asked = st.text_input(
        "A folder of checkpoints on this machine, one for each epoch",
        placeholder="/data/run/epochs",
        key="compare.epochs",
    ).strip()
    if not asked:
        return
    try:
        paths = checkpoints_in(Path(asked))
    except InterpretError as error:
        st.error(told(error))
        return
    stamps = tuple((path.name, path.stat().st_mtime_ns) for path in paths)
    course: Course | None = result_of(
        "course",
        ("course", asked, stamps, *data),
        f"{len(paths)} checkpoints over {len(source):,} pictures",
        lambda: along(paths, source),
    )
    if course is None:
        return
    names = list(course.names)
    at = names[-1] if len(names) < 2 else st.select_slider("Checkpoint", names, names[-1], key=f"epoch.{len(names)}")
    here = names.index(at)
    churn = "" if not here else f"; {percent(float(course.churn[here]))} of the predictions are others than one before"
    right = f"right on {percent(float(course.accuracy[here]))}, " if np.isfinite(course.accuracy[here]) else ""
    st.markdown(
        f"**{plain(at)}**: {right}its weights {number(float(course.from_first[here]), 2)} of their length from the "
        f"first's{churn}."
    )
    if st.button(
        "Put it beside the chosen network", key="compare.epochs.go", help="Everything above is then about it."
    ):
        path = paths[here]
        choose(versus=f"upload/{keep_upload(path.name, path.read_bytes())}")
        st.rerun()
    left, middle, last = st.columns(3, gap="medium")
    with left:
        lines = [Line("accuracy", names, course.accuracy, COOL), Line("churn", names, course.churn, GREY)]
        chart(lines, "checkpoint", "share", "course.accuracy", between=(0.0, 1.0))
    with middle:
        first, before = course.from_first, course.from_previous
        lines = [Line("from the first", names, first, WARM), Line("from the one before", names, before, GREY)]
        chart(lines, "checkpoint", "|w - w0| / |w0|", "course.distance")
    with last:
        matrix(course.cka.T, course.layers, names, ("layer", "checkpoint"), "CKA to the last", "course.cka")

"""Repair: find the channels that carry something to a class, remove them, keep the network."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import streamlit as st

from interpret.ablation import AblationTable, Change, ablate, export, removal
from interpret.ablation.carriers import Carriers, carriers
from interpret.errors import InterpretError
from interpret.jobs import Job
from interpret.layers import LayerInfo
from ui.ablation_asking import Ablated, written
from ui.cache import RESULTS
from ui.charts import COOL, WARM, Line, chart
from ui.controls import pick_class, result_of
from ui.display import number, percent, plain, told
from ui.library import SHAPES, data_of, data_stamp, data_title
from ui.results import prediction_of
from ui.state import choose, selection

COUNTS = (1, 2, 3, 4, 6, 8, 12, 16)
HOW = "zero"


def show_repair(ablated: Ablated, layer: LayerInfo) -> None:
    """Which channels of a layer carry what some pictures have to a class, and what removing them costs."""
    st.caption(
        "Does a class profit from something that has nothing to do with it: a tag, a watermark, a background? Choose "
        "pictures that have it and pictures that have not. The channels that carry it to the class are found by "
        "attribution (Nanda 2023; Syed et al. 2023), and removing them shows whether that is so."
    )
    across = st.columns([1.2, 1.2, 1, 0.8], vertical_alignment="bottom")
    own = selection().data
    options = [*SHAPES] + ([own] if own not in SHAPES else [])
    having = across[0].selectbox(
        "Pictures with it", options, len(SHAPES) - 1, format_func=data_title, key="repair.with"
    )
    lacking = across[1].selectbox("Pictures without it", options, 0, format_func=data_title, key="repair.without")
    with across[2]:
        target = pick_class(ablated.model, prediction_of(ablated.model, ablated.image).top(1)[0])
    asked = (ablated.model.digest, layer.name, having, lacking, target, ablated.data[-1])
    if across[3].button("Find them", key="repair.go", width="stretch", disabled=having == lacking):
        st.session_state["repair"] = asked
    if st.session_state.get("repair") != asked:
        _export(ablated)
        return
    label = ablated.model.labels[target]
    found = result_of(
        "repair",
        ("repair", *asked, data_stamp(having), data_stamp(lacking)),
        f"Channels of {layer.name} that carry it to {label}",
        lambda: _found(ablated, layer, having, lacking, target),
    )
    if found is not None:
        _show(ablated, layer, label, *found)
    _export(ablated)


def _found(
    ablated: Ablated, layer: LayerInfo, having: str, lacking: str, target: int
) -> Job[tuple[Carriers, AblationTable, AblationTable]]:
    limit = int(str(ablated.data[-1]))
    sources = [
        RESULTS.get_or_make(("source", data, data_stamp(data), limit), data_of(data, limit))
        for data in (having, lacking)
    ]
    ranked = yield from carriers(ablated.model, sources[0], sources[1], layer.name, target)
    counts = [count for count in COUNTS if count < layer.channels]
    variants = removal(ranked.order, counts, layer.name, how=HOW)
    tables = []
    for source in sources:
        tables.append((yield from ablate(ablated.model, source, variants)))
    return ranked, tables[0], tables[1]


def _show(
    ablated: Ablated, layer: LayerInfo, label: str, ranked: Carriers, having: AblationTable, lacking: AblationTable
) -> None:
    counts = [0, *(count for count in COUNTS if count < layer.channels)]
    chart(
        [
            Line("pictures with it", counts, having.accuracy, WARM),
            Line("pictures without it", counts, lacking.accuracy, COOL),
        ],
        f"channels of {layer.name} removed, those first that carry most to {label}"[:110],
        "accuracy",
        "repair.chart",
        between=(0.0, 1.0),
        shares=True,
    )
    best = int(np.argmax(having.accuracy + lacking.accuracy))
    st.markdown(
        f"With the first **{counts[best]}** removed, {percent(float(having.accuracy[best]))} of the pictures with it "
        f"are called by their class, {percent(float(having.accuracy[0]))} before; it costs "
        f"{number(100 * float(lacking.accuracy[0] - lacking.accuracy[best]))} points on those without it."
    )
    shown = [
        {"channel": int(at), f"carries to {plain(label)}, in score": round(float(ranked.effects[at]), 3)}
        for at in ranked.order[:16]
    ]
    left, right = st.columns([1, 1.2], gap="medium")
    left.dataframe(shown, hide_index=True, height=220)
    with right:
        count = st.select_slider("Remove so many", counts[1:], max(counts[best], 1), key=f"repair.count.{layer.name}")
        if st.button(f"Remove the first {count}", key="repair.remove"):
            channels = tuple(int(at) for at in ranked.order[:count])
            choose(changes=written((*ablated.changes, Change(HOW, layer.name, channels))))
            st.rerun()
        st.caption("It becomes one of the changes above: prediction, heatmap, accuracy and combinations follow.")


def _export(ablated: Ablated) -> None:
    """The network with all chosen changes, as a checkpoint."""
    if not ablated.changes:
        return

    def make() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "changed.safetensors"
            export(ablated.model, ablated.changes, path, images=ablated.images)
            return path.read_bytes()

    key = ("exported", ablated.key, ablated.changes)
    try:
        data = RESULTS.get_or_make(key, make)
    except InterpretError as error:
        st.caption(f"These changes cannot be written into weights: {told(error)}")
        return
    stem = ablated.model.name.rpartition(".")[0] or "network"
    st.download_button(
        "Download the changed network (.safetensors)",
        data,
        f"{stem}-changed.safetensors",
        "application/octet-stream",
        key="repair.export",
        on_click="ignore",
        help="A checkpoint of the same architecture, the changes being part of its weights.",
    )

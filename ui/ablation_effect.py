"""What changes of a network do: to the picture's prediction and heatmap, and over a data set."""

from __future__ import annotations

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from interpret.ablation import AblationTable, Change, ablate
from interpret.images import InputImage
from interpret.model import LoadedModel
from interpret.rendering import palette
from ui.ablation_asking import Ablated
from ui.components.map_view import Pane, Place, map_view
from ui.controls import result_of
from ui.display import download_tables, number, percent, plain, probability_bars
from ui.figures import section
from ui.results import heatmap_of, prediction_of

TOP = 5
SHOWN_CLASSES = 20
LEAST_PICTURES = 5
"""Of a class that has an interval: of one picture it would be a point, and say that all is certain."""
ALL = "all changes"


def bars(model: LoadedModel, image: InputImage, mark: int) -> None:
    """The most probable classes; one is marked."""
    said = prediction_of(model, image)
    top = list(said.top(TOP))
    rows = [(model.labels[at], float(said.probabilities[at]), float(said.scores[at])) for at in top]
    probability_bars(rows, top.index(mark) if mark in top else -1)


def show_prediction(ablated: Ablated, changed: LoadedModel) -> None:
    """Before and after: the most probable classes, and the heatmap of the class that was predicted, on one scale."""
    model, image = ablated.model, ablated.image
    before, after = (prediction_of(one, image) for one in (model, changed))
    first, now = before.top(1)[0], after.top(1)[0]
    if now == first:
        said = f"Still **{plain(model.labels[first])}**"
    else:
        said = f"**{plain(model.labels[first])}** became **{plain(model.labels[now])}**"
    chances = (
        f"{percent(float(before.probabilities[first]))} before, {percent(float(after.probabilities[first]))} after"
    )
    st.markdown(f"{said}: probability of {plain(model.labels[first])} {chances}.")
    left, right = st.columns(2, gap="medium")
    with left:
        section("Before")
        bars(model, image, first)
    with right:
        section("After")
        bars(changed, image, first)
    maps = [heatmap_of(one, image, first) for one in (model, changed)]
    seen, high = model.preprocess.seen(image), max(float(np.nanmax(one.values)) for one in maps)
    place: Place | None = st.session_state.get("ablation.place")
    st.session_state["ablation.place"] = map_view(
        [
            Pane(seen, one.values, f"{title}: Grad-CAM of {model.labels[first]}")
            for one, title in zip(maps, ("Before", "After"), strict=True)
        ],
        key="ablation.maps",
        place=place,
        scale=(0.0, high or 1.0),
        palettes={"sequential": palette("viridis"), "diverging": palette("blue-red")},
        unit="Grad-CAM",
        label="Heatmaps before and after",
    )


def table_of(
    ablated: Ablated, purpose: str, title: str, variants: dict[str, tuple[Change, ...]]
) -> AblationTable | None:
    """Variants over the data set; None until they are known, whose progress is shown."""
    wanted = tuple(variants.items())
    return result_of(
        purpose,
        ("ablation", ablated.key, wanted),
        title,
        lambda: ablate(
            ablated.model,
            ablated.source,
            variants,
            usual=ablated.usual,
            donor=ablated.donor,
            images=ablated.images,
        ),
    )


def compared(table: AblationTable) -> str:
    """What accuracy means in a table."""
    if table.compared_with == "labels":
        return "share of pictures called by their class"
    return "share of pictures called what the unchanged network calls them; the data set names no class it has"


def show_data(ablated: Ablated) -> None:
    """Accuracy before and after, class by class, and the confusions."""
    count = len(ablated.source)
    table = table_of(ablated, "ablation data", f"{count:,} pictures, before and after", {ALL: ablated.changes})
    if table is None:
        return
    low, high = table.interval()[1]
    least, most = table.difference()[1]
    before, after = table.accuracy
    about = (
        f" ({percent(float(low))} to {percent(float(high))}); the difference lies between {points(float(least))} and "
    )
    about += points(float(most))
    st.markdown(
        f"Accuracy over {len(table.pictures):,} pictures: **{percent(float(before))}** before, "
        f"**{percent(float(after))}** after{about if least < most else ''}. "
        f"{int(table.flips[1]):,} predictions changed."
    )
    st.caption(
        f"Accuracy: {compared(table)}. In brackets 95 % intervals by bootstrap over the pictures (Efron 1979); classes "
        f"of fewer than {LEAST_PICTURES} pictures have none."
    )
    counts, shares = np.bincount(table.targets, minlength=len(table.classes)), table.per_class
    present = np.flatnonzero(counts)
    order = present[np.lexsort((-counts[present], shares[1, present] - shares[0, present]))]
    ends = table.class_interval()[1]
    rows = [
        (
            table.classes[at],
            int(counts[at]),
            round(100 * float(shares[0, at]), 1),
            round(100 * float(shares[1, at]), 1),
            f"{100 * ends[at, 0]:.0f} to {100 * ends[at, 1]:.0f}" if counts[at] >= LEAST_PICTURES else "",
        )
        for at in order
    ]
    heads = ("class", "pictures", "before, %", "after, %", "95 %")
    left, right = st.columns([1.1, 1], gap="medium")
    with left:
        section("By class, the most hurt first")
        st.dataframe([dict(zip(heads, row, strict=True)) for row in rows], hide_index=True, height=320)
        manifest = {"network": table.network, "data": table.data, "changes": [one.title for one in ablated.changes]}
        download_tables("Download (.csv)", {"classes": (heads, rows)}, "ablation", manifest, "ablation.csv")
    with right:
        section("What pictures are called now, and were before")
        _moves(table)
    if len(present) <= SHOWN_CLASSES:
        with st.expander("Confusions before and after"):
            _confusions(table, present)


def _confusions(table: AblationTable, present: NDArray[np.int64]) -> None:
    """What pictures of each class are called, as one matrix before and one after."""
    said = np.unique(np.concatenate([present, *table.predictions]))
    names = [table.classes[at] for at in said]
    for cell, variant, title in zip(st.columns(2, gap="medium"), (0, 1), ("Before", "After"), strict=True):
        with cell:
            section(title)
            counts = table.confusion(variant)[np.ix_(present, said)]
            rows: dict[str, object] = {"class": [table.classes[at] for at in present]}
            st.dataframe(rows | {name: counts[:, at] for at, name in enumerate(names)}, hide_index=True)
    st.caption("Rows: the class; columns: what the network says.")


def _moves(table: AblationTable) -> None:
    """The most frequent changes of a prediction."""
    moved = np.flatnonzero(table.predictions[0] != table.predictions[1])
    if not len(moved):
        st.caption("Every picture is called what it was called before.")
        return
    pairs, counts = np.unique(table.predictions[:, moved].T, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:50]
    rows = [
        {"before": table.classes[pairs[at, 0]], "after": table.classes[pairs[at, 1]], "pictures": int(counts[at])}
        for at in order
    ]
    st.dataframe(rows, hide_index=True, height=320)


def points(difference: float) -> str:
    """A difference of two shares, in percentage points."""
    return f"{'+' if difference > 0 else ''}{number(100 * difference)} points".replace("-", "−")

"""What two networks say: of the picture, and of a data set, the disagreements first."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import streamlit as st

from interpret.comparison import Disagreements, compare_answers
from interpret.datasets import PictureSource
from interpret.images import InputImage
from interpret.model import LoadedModel
from interpret.rendering import palette, thumbnail
from ui.ablation_effect import bars
from ui.cache import RESULTS
from ui.components.map_view import Pane, Place, map_view
from ui.controls import result_of
from ui.display import download_tables, inline_image, number, percent, plain
from ui.figures import figure, figures, section
from ui.library import keep_picture
from ui.results import heatmap_of, maps_of, prediction_of
from ui.state import choose, selection

SHOWN, LISTED = 10, 200


def title_of(model: LoadedModel) -> str:
    """A network's name without its ending; untrusted text."""
    return model.name.removesuffix(".safetensors")


def show_picture(one: LoadedModel, other: LoadedModel, image: InputImage) -> None:
    """The most probable classes of both, and the heatmap of what each predicts, on one scale under one cursor."""
    panes, high = [], 0.0
    for model, cell in zip((one, other), st.columns(2, gap="medium"), strict=True):
        said = prediction_of(model, image).top(1)[0]
        with cell:
            section(plain(title_of(model)))
            bars(model, image, said)
        made = heatmap_of(model, image, said)
        high = max(high, float(np.nanmax(made.values)))
        panes.append(Pane(model.preprocess.seen(image), made.values, f"{title_of(model)}: {model.labels[said]}"))
    place: Place | None = st.session_state.get("compare.place")
    st.session_state["compare.place"] = map_view(
        panes,
        key="compare.maps",
        place=place,
        scale=(0.0, high or 1.0),
        palettes={"sequential": palette("viridis"), "diverging": palette("blue-red")},
        unit="Grad-CAM",
        label="Heatmaps of both networks, each of the class it predicts",
    )


def show_activations(one: LoadedModel, other: LoadedModel, image: InputImage) -> None:
    """What corresponding layers answer to the picture, under one cursor: the strength of all channels, or one."""
    mine = {layer.name: layer for layer in one.layers if layer.is_spatial}
    its = {layer.name: layer for layer in other.layers if layer.is_spatial}
    across = st.columns(3)
    asked = selection().layer if selection().layer in mine else one.default_layer.name
    name = across[0].selectbox("Layer", list(mine), list(mine).index(asked), key=f"compare.layer.{asked}")
    beside = name if name in its else other.default_layer.name
    second = across[1].selectbox(
        "Layer of the other", list(its), list(its).index(beside), key=f"compare.beside.{beside}"
    )
    most = min(mine[name].channels, its[second].channels)
    whole = "all: root of the mean square"
    channel = across[2].selectbox("Channel", [whole, *range(most)], key=f"compare.channel.{name}.{second}")
    panes, low, high = [], 0.0, 0.0
    for model, layer in ((one, mine[name]), (other, its[second])):
        values = maps_of(model, image, layer).values
        shown = np.sqrt(np.square(values).mean(0)) if isinstance(channel, str) else values[channel]
        low, high = min(low, float(np.nanmin(shown))), max(high, float(np.nanmax(shown)))
        title = f"{title_of(model)}: {layer.name}" + ("" if isinstance(channel, str) else f", channel {channel}")
        panes.append(Pane(model.preprocess.seen(image), shown.astype(np.float32), title))
    place: Place | None = st.session_state.get("compare.activation")
    st.session_state["compare.activation"] = map_view(
        panes,
        key="compare.activations",
        place=place,
        scale=(low, high or 1.0),
        palettes={"sequential": palette("viridis"), "diverging": palette("blue-red")},
        unit="activation",
        label="Activations of both networks",
    )


def show_answers(one: LoadedModel, other: LoadedModel, source: PictureSource, data: tuple[Hashable, ...]) -> bool:
    """Accuracy and agreement over a data set, class by class, and the pictures on which the two disagree.

    Returns:
        Whether they are there already.
    """
    found: Disagreements | None = result_of(
        "compare answers",
        ("compare answers", one.digest, other.digest, *data),
        f"Both networks over {len(source):,} pictures",
        lambda: compare_answers(one, other, source),
    )
    if found is None:
        return False
    _in_words(found, one, other)
    if not found.by_class.classes:
        _disagreements(found, source)
        return True
    left, right = st.columns([1, 1.3], gap="medium")
    with left:
        _by_class(found, one, other)
    with right:
        _disagreements(found, source)
    return True


def _in_words(found: Disagreements, one: LoadedModel, other: LoadedModel) -> None:
    lines = []
    names = [plain(title_of(model)) for model in (one, other)]
    if np.isfinite(found.accuracy).all():
        test = found.mcnemar
        chance = "may well make" if test.p_value > 0.05 else "rarely makes"
        p_value = "< 0.0001" if test.p_value < 1e-4 else f"= {number(test.p_value, 2)}"
        lines.append(
            f"Right on **{percent(float(found.accuracy[0]))}** ({names[0]}) and "
            f"**{percent(float(found.accuracy[1]))}** ({names[1]}). Only the first is right on {test.first_only:,}, "
            f"only the second on {test.second_only:,}: chance alone {chance} such a difference "
            f"(McNemar's exact test, p {plain(p_value)})."
        )
    else:
        lines.append("The data set names no class that both networks have, so nothing is right or wrong here.")
    if found.compared_by:
        how = "" if found.compared_by == "name" else " Classes correspond by their order: no name is shared."
        kappa = (
            f"; Cohen's kappa, which takes away what chance would give, is {round(found.kappa, 2) + 0:.2f}"
            if np.isfinite(found.kappa)
            else ""
        )
        lines.append(f"They agree on **{percent(found.agreement)}** of {len(found):,} pictures{kappa}.{how}")
    else:
        lines.append("The two networks share no class, so they cannot agree; compare their layers below.")
    st.markdown(" ".join(lines))


def _by_class(found: Disagreements, one: LoadedModel, other: LoadedModel) -> None:
    section("Accuracy by class, the largest difference first")
    table = found.by_class
    change = np.nan_to_num(table.accuracy[1] - table.accuracy[0])
    order = np.argsort(-np.abs(change), kind="stable")
    heads = ("class", title_of(one), title_of(other), "points apart", "pictures")
    rows = [
        (
            table.classes[at],
            *(percent(float(share)) if np.isfinite(share) else "" for share in table.accuracy[:, at]),
            round(100 * float(change[at]), 1),
            int(table.counts[at]),
        )
        for at in order
    ]
    st.dataframe([dict(zip(heads, row, strict=True)) for row in rows], hide_index=True, height=330)


def _disagreements(found: Disagreements, source: PictureSource) -> None:
    apart = found.order[~found.same[found.order]]
    section(
        f"They disagree on {len(apart):,}, the surest first"
        if found.compared_by
        else "What each says of the same pictures, the surest first"
    )
    if not len(apart):
        st.caption("Both say the same of every picture.")
        return
    first, second = (plain(name.removesuffix(".safetensors")) for name in found.networks)
    st.caption(f"1 is {first}, 2 is {second}.")
    figures([_shown(found, source, int(at)) for at in apart[:SHOWN]])
    heads = ("class", "1 says", "1 is sure", "2 says", "2 is sure", "picture")
    rows = [_row(found, source, int(at)) for at in apart]
    picked = st.dataframe(
        [dict(zip(heads, row, strict=True)) for row in rows[:LISTED]],
        hide_index=True,
        height=180,
        column_order=heads if (found.targets >= 0).any() else heads[1:],
        on_select="rerun",
        selection_mode="single-row",
        key=f"compare.rows.{found.model_digests[1][:8]}",
    )
    chosen = picked.selection.rows[:1]  # type: ignore[attr-defined]
    if chosen:
        at = int(apart[chosen[0]])
        inline_image(_small(found, source, at), "image/jpeg", found.names[at], 128)
        if st.button("Choose this picture", key="compare.choose", help="Then all pages show it."):
            image = source.read(int(found.pictures[at]))
            choose(picture=keep_picture(image, image.name))
            st.rerun()
    manifest = {"networks": list(found.networks), "data": source.title, "pictures": len(found)}
    download_tables("Download (.csv)", {"disagreements": (heads, rows)}, "disagreements", manifest, "compare.csv")


def _row(found: Disagreements, source: PictureSource, at: int) -> tuple[str, str, str, str, str, str]:
    label = source.classes[found.true[at]] if found.true[at] >= 0 else ""
    said = [found.labels[net][found.predictions[net, at]] for net in (0, 1)]
    sure = [percent(float(found.confidences[net, at])) for net in (0, 1)]
    return (label, said[0], sure[0], said[1], sure[1], found.names[at])


def _shown(found: Disagreements, source: PictureSource, at: int) -> str:
    label, first, sure, second, sure_too, name = _row(found, source, at)
    lines = [f"1: {first} {sure}", f"2: {second} {sure_too}", *([f"is {label}"] if label else [])]
    return figure(_small(found, source, at), lines, name, 108, 84)


def _small(found: Disagreements, source: PictureSource, at: int) -> bytes:
    place = int(found.pictures[at])
    return RESULTS.get_or_make(("small", found.source_digest, place), lambda: thumbnail(source.read(place).pixels))

"""Everything known of one channel, in a panel from the right; the address bar holds its link."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st

from interpret.activations import ActivationMaps
from interpret.answers import Prediction
from interpret.filters import FilterImages, FilterParams, first_view, kept_filter_images
from interpret.images import InputImage
from interpret.jobs import Job
from interpret.kernels import Input, UnitKernel, unit_kernel
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.rendering import Scale, colour, kernel_picture, overlay
from interpret.units import without_unit
from ui.cache import RESULTS
from ui.controls import result_of
from ui.display import number, percent, picture, plain, scale_bar
from ui.figures import figure, figures, section
from ui.filter_drawing import as_in_the_gallery, painted
from ui.state import address, choose
from ui.unit_data import chosen_statistics, show_ablation, show_classes, show_crops

WIDTH = 468
_STYLE = f"""<style>
.stMainBlockContainer {{ padding-right: {WIDTH + 24}px }}
.st-key-unit-card {{
  position: fixed; top: 0; right: 0; bottom: 0; width: {WIDTH}px; z-index: 90; overflow-y: auto;
  flex-wrap: nowrap !important; padding: 1.2rem 1.2rem 3rem; border-left: 1px solid light-dark(#d8dbdf, #383c42);
  background: light-dark(#ffffff, #16181b); box-shadow: -8px 0 24px rgb(0 0 0 / 8%);
}}
.st-key-unit-card > * {{ flex-shrink: 0 }}
@media (max-width: 1100px) {{ .st-key-unit-card {{ width: 100vw }} }}
</style>"""


def unit_card(
    model: LoadedModel,
    image: InputImage,
    maps: ActivationMaps,
    channel: int,
    prediction: Prediction,
    links: np.ndarray,
) -> None:
    """The card of a unit.

    Args:
        model, image: the network and the picture in hand.
        maps: what the unit's layer answers to it.
        channel: which unit.
        prediction: for the picture.
        links: float32 [channels], each channel's link to the predicted class.
    """
    layer = maps.layer
    st.html(_STYLE)
    with st.container(key="unit-card"):
        _header(layer, channel)
        _on_this_picture(model, image, maps, channel, prediction, links)
        source, statistics = chosen_statistics(model, layer)
        if statistics is not None and source is not None:
            show_crops(model, source, statistics, channel)
        _looks_for(model, maps, channel)
        _kernel(model, layer, channel)
        mean = None if statistics is None else float(np.nanmean(statistics.sample_means[:, channel]))
        _without(model, image, layer, channel, prediction, mean)
        if statistics is not None:
            show_classes(statistics, channel)


def _header(layer: LayerInfo, channel: int) -> None:
    words, back, on, shut = st.columns([5, 1, 1, 1], vertical_alignment="center", gap="small")
    words.markdown(f"**Unit {channel:,}** of {plain(layer.name)}")
    if back.button(
        "", icon=":material/chevron_left:", key="card.back", help="The channel before", disabled=channel == 0
    ):
        choose(channel=channel - 1)
        st.rerun()
    last = channel == layer.channels - 1
    if on.button("", icon=":material/chevron_right:", key="card.on", help="The next channel", disabled=last):
        choose(channel=channel + 1)
        st.rerun()
    if shut.button("", icon=":material/close:", key="card.shut", help="Close the card"):
        choose(card="")
        st.rerun()


def _on_this_picture(
    model: LoadedModel,
    image: InputImage,
    maps: ActivationMaps,
    channel: int,
    prediction: Prediction,
    links: np.ndarray,
) -> None:
    values = maps.values[channel]
    single = values.size == 1
    scale = Scale.suited(maps.values if single else values)
    name = "blue-red" if scale.diverges else "viridis"
    left, right = st.columns([1, 1.15], gap="small", vertical_alignment="center")
    with left:
        seen = model.preprocess.seen(image)
        picture(overlay(seen, values, scale, name, 0.6), "", f"Answer of channel {channel} of {maps.layer.name}")
        scale_bar(scale, name, "activation")
    with right:
        row, column = np.unravel_index(int(np.nan_to_num(values, nan=-np.inf).argmax()), values.shape)
        rank = int((maps.values.mean((1, 2)) > values.mean()).sum()) + 1
        best = prediction.top(1)[0]
        where = "" if single else f" at row {row}, column {column}"
        st.markdown(
            f"On {plain(image.name)}: max **{number(float(values.max()))}**{where}, mean "
            f"{number(float(values.mean()))}, number {rank:,} of {maps.layer.channels:,} by mean; "
            f"{(values == 0).mean():.0%} zeros."
        )
        st.markdown(
            f"Link to **{plain(model.labels[best])}**: {number(float(links[channel]))} of a score of "
            f"{number(float(prediction.scores[best]))}."
        )
        st.caption("Link: gradient times activation, summed over the places.")


def _looks_for(model: LoadedModel, maps: ActivationMaps, channel: int) -> None:
    section("What it looks for, and what silences it")
    layer = maps.layer
    below = (layer, channel)
    if not (maps.values < 0).any():  # it stops at zero, so what lies below is asked of the convolution behind it
        kernel = unit_kernel(model, layer.name, channel)
        below = (kernel.layer, kernel.channel) if kernel else below
    columns = st.columns(2, gap="small")
    for column, direction, (target, number_of) in zip(
        columns, ("positive", "negative"), ((layer, channel), below), strict=True
    ):
        own = min(model.preprocess.size)
        side = first_view(model, target.name).side or (128 if own > 128 else 0)
        small = FilterParams(steps=64, side=side, direction=direction)  # type: ignore[arg-type]
        params = as_in_the_gallery(model, target.name, number_of, small)
        with column:
            drawn = result_of(
                f"card filter {direction}",
                ("filters", model.digest, target.name, (number_of,), params),
                f"Unit {number_of}, {direction}",
                _drawing(model, target, number_of, params),
                _growing,
                compact=True,
            )
            if drawn is not None:
                _growing(drawn)
                where = "" if target is layer else f", at {plain(target.name)}"
                way = "Drives it up" if direction == "positive" else "Drives it down"
                st.caption(f"{way}: {number(float(drawn.reached[0]))}{where}")
    st.caption(
        "Grown from noise by gradient ascent, as on the page Filters: the mean activation each reaches. It is no "
        "proof of what the unit does: compare with the crops above."
        + ("" if below[0] is layer else " The layer stops at zero, so what drives it down is asked before that.")
    )


def _drawing(
    model: LoadedModel, layer: LayerInfo, channel: int, params: FilterParams
) -> Callable[[], Job[FilterImages]]:
    return lambda: kept_filter_images(model, layer.name, [channel], params)


def _growing(drawn: FilterImages) -> None:
    picture(painted(drawn)[0], "", "A picture grown by gradient ascent")


def _kernel(model: LoadedModel, layer: LayerInfo, channel: int) -> None:
    section("Its kernel")
    kernel = unit_kernel(model, layer.name, channel)
    if kernel is None:
        st.caption("No convolution makes this channel alone, so there is no kernel to show.")
        return
    rows, columns = kernel.weights.shape[1:]
    behind = "" if kernel.layer.name == layer.name else f"Channel {kernel.channel} of {plain(kernel.layer.name)}: "
    st.caption(f"{behind}{rows} × {columns} weights for each of {len(kernel.inputs):,} inputs.")
    scale = Scale.symmetric(kernel.weights)
    first = kernel.inputs[0].layer == "" and len(kernel.inputs) == 3 == model.preprocess.channels
    if first:
        steps = model.preprocess
        figures(
            [figure(kernel_picture(kernel.weights, steps.reverse_channels), ["as a picture"], "Kernel in colour", 96)]
        )
    else:
        _inputs(kernel, scale)
        scale_bar(scale, "blue-red", "weight")


def _inputs(kernel: UnitKernel, scale: Scale) -> None:
    """The strongest inputs, each with a link to its own card."""
    shown = kernel.inputs[:8]
    for start in range(0, len(shown), 4):
        for cell, each in zip(st.columns(4, gap="small"), shown[start : start + 4], strict=False):
            with cell:
                _input(each, scale)


def _input(each: Input, scale: Scale) -> None:
    single = each.weights.size == 1
    told = number(float(each.weights[0, 0])) if single else f"norm {number(each.strength)}"
    tile = colour(each.weights, scale, "blue-red")
    wide = tile.repeat(4, axis=1) if single else tile
    figures([figure(wide, [told], f"Weights for {each.layer} {each.channel}", 56)])
    if each.layer and each.channel is not None:
        query = {**address(), "layer": each.layer, "channel": str(each.channel), "card": "open"}
        query.pop("place", None)
        parts = each.layer.split(".")
        short = ".".join(parts[-2:]) if parts[-1].isdecimal() else parts[-1]
        label = f"{short} · {each.channel}"
        st.page_link(
            "pages/activations.py",
            label=plain(label),
            query_params=query,
            help=f"{plain(each.layer)}, channel {each.channel}",
        )
    elif each.layer == "":
        st.caption(f"input {each.channel}")


def _without(
    model: LoadedModel, image: InputImage, layer: LayerInfo, channel: int, prediction: Prediction, mean: float | None
) -> None:
    section("Without it")
    values = {"zero": 0.0} | ({"its mean": mean} if mean is not None and np.isfinite(mean) else {})
    best = prediction.top(1)[0]
    rows = [("unchanged", prediction)]
    for way, value in values.items():
        found = RESULTS.get_or_make(
            ("without", model.digest, image.digest, layer.name, channel, value),
            lambda value=value: without_unit(model, image, layer.name, channel, value),  # type: ignore[misc]
        )
        rows.append((f"set to {way}", found))
    table = {
        "on this picture": [way for way, _ in rows],
        f"probability of {model.labels[best][:40]}": [percent(float(each.probabilities[best])) for _, each in rows],
        "the network says": [model.labels[each.top(1)[0]] for _, each in rows],
    }
    st.dataframe(table, hide_index=True)
    show_ablation(model, layer, channel, values)

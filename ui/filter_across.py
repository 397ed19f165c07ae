"""Filters across layers: one row per layer, and a second checkpoint beside the first."""

from __future__ import annotations

import numpy as np
import streamlit as st

from interpret.errors import InterpretError
from interpret.filters import FilterImages, FilterParams, kept_filter_images
from interpret.kernels import unit_kernel
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.rendering import kernel_picture, thumbnail
from ui.controls import result_of
from ui.display import number, plain, told
from ui.figures import figure, figures, section
from ui.filter_drawing import how_drawn, painted
from ui.library import checkpoints_on_offer, model_of, picture_of
from ui.results import maps_of
from ui.state import choose, selection

COUNTS = (4, 8, 12)
WIDTH = 104


def show_across(model: LoadedModel, params: FilterParams) -> None:
    """A row of pictures for each chosen layer, the same number of channels in each, first-layer kernels above.

    Args:
        model: the network.
        params: how the pictures are drawn.
    """
    spatial = [layer.name for layer in model.layers if layer.is_spatial]
    ends = {block.part: block.output for block in model.blocks if block.output in spatial}
    which, count, beside = st.columns([3, 1, 1.6], vertical_alignment="bottom")
    names = which.multiselect(
        "Layers", spatial, list(dict.fromkeys(ends.values())), key=f"filters.across.{model.digest[:12]}"
    )
    each = count.selectbox("Channels in a row", COUNTS, key="filters.across.count")
    with beside:
        other = _beside(model)
    if not names:
        st.info("Choose a layer, and its strongest channels are drawn.")
        return
    image = picture_of(selection().picture)
    _kernels(model, each)
    for place, name in enumerate(name for name in spatial if name in names):
        layer = model.layer(name)
        means = maps_of(model, image, layer).values.mean((1, 2))
        channels = tuple(sorted(int(index) for index in np.argsort(-means, kind="stable")[:each]))
        field = layer.reach.size if layer.reach is not None else None
        seen = f" · receptive field {field[0]:,} × {field[1]:,} px" if field else ""
        section(f"{plain(name)} · {layer.channels:,} channels{seen}")
        for side, network in enumerate([model] if other is None else [model, other]):
            if other is not None:
                st.caption(plain(network.name))
            _row(network, layer, channels, params, f"{place}.{side}")
    st.caption(
        f"The channels of each layer that your picture excites most. {how_drawn(model, params)} Under each picture its "
        "channel and the mean activation it reaches."
    )


def _row(model: LoadedModel, layer: LayerInfo, channels: tuple[int, ...], params: FilterParams, place: str) -> None:
    drawn = result_of(
        f"filters across {place}",
        ("filters", model.digest, layer.name, channels, params),
        f"{plain(layer.name)} of {plain(model.name)}",
        lambda: kept_filter_images(model, layer.name, channels, params),
        lambda unfinished: _pictures(unfinished, "growing"),
        compact=True,
    )
    if drawn is not None:
        _pictures(drawn, model.name)


def _pictures(drawn: FilterImages, what: str) -> None:
    shown = [
        figure(
            thumbnail(pixels, 2 * WIDTH),
            [f"{channel}" + (f": {number(float(reached))}" if np.isfinite(reached) else "")],
            f"Channel {channel} of {drawn.layer.name}, {what}",
            WIDTH,
        )
        for pixels, channel, reached in zip(painted(drawn), drawn.channels, drawn.reached, strict=True)
    ]
    figures(shown)


def _kernels(model: LoadedModel, count: int) -> None:
    """The first convolution's kernels as colour pictures, where it looks at red, green and blue."""
    first = next((layer for layer in model.layers if layer.kernel is not None), None)
    if first is None or first.inputs != 3 or model.preprocess.channels != 3:
        return
    kernels = [(channel, unit_kernel(model, first.name, channel)) for channel in range(min(3 * count, first.channels))]
    reverse = model.preprocess.reverse_channels
    shown = [
        figure(kernel_picture(kernel.weights, reverse), [str(channel)], f"Kernel {channel} of {first.name}", 40)
        for channel, kernel in kernels
        if kernel is not None
    ]
    section(f"{plain(first.name)} · its first {len(shown)} kernels, middle grey is zero")
    figures(shown)


def _beside(model: LoadedModel) -> LoadedModel | None:
    """The second checkpoint, if one is chosen and has the same architecture."""
    asked = selection().versus
    titles = {"": "nothing"} | {offer.key: offer.title for offer in checkpoints_on_offer(asked)}
    titles.pop(selection().checkpoint, None)
    titles.setdefault(asked, asked)
    options = list(titles)
    chosen = st.selectbox(
        "Beside",
        options,
        options.index(asked),
        format_func=titles.__getitem__,
        key=f"filters.beside.{asked}",
        help="A second checkpoint of the same architecture: the same channels of both, under each other.",
    )
    if chosen != asked:
        choose(versus=chosen)
        st.rerun()
    if not chosen:
        return None
    try:
        other = model_of(chosen)
    except InterpretError as error:
        st.error(told(error))
        return None
    if other.architecture.key != model.architecture.key:
        st.warning(
            f"{plain(other.name)} is {plain(other.architecture.title)}, not {plain(model.architecture.title)}: only "
            "checkpoints of one architecture have the same channels."
        )
        return None
    return other

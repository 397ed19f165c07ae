"""Filters across layers: one row per layer, and beside it the same of a second checkpoint or of untrained weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import streamlit as st

from interpret.errors import InterpretError
from interpret.filters import FilterImages
from interpret.kernels import unit_kernel
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.rendering import kernel_picture, thumbnail
from ui.cache import MODELS, RESULTS
from ui.display import number, plain, told
from ui.figures import figure, figures, section
from ui.filter_drawing import drawn_channels, how_drawn, painted
from ui.filter_settings import Asked
from ui.library import checkpoints_on_offer, model_of, picture_of, steps_of
from ui.results import maps_of, untrained_twin
from ui.state import address, choose, selection

COUNTS = (4, 8, 12)
MOST = 24
WIDTH = 100
KERNEL_WIDTH = 32
UNTRAINED = "untrained"


@dataclass(frozen=True, eq=False)
class _Column:
    """A network whose rows stand under each other.

    Attributes:
        model: the network.
        choices: what changes where one of its channels is looked at alone.
        untrained: whether it is the chosen network before training.
    """

    model: LoadedModel
    choices: Mapping[str, Any] = field(default_factory=dict)
    untrained: bool = False


def show_across(model: LoadedModel, asked: Asked) -> None:
    """A row of pictures for each chosen layer, the same number of channels in each, first-layer kernels above.

    Args:
        model: the network.
        asked: how the pictures are drawn.
    """
    which, count, beside = st.columns([3, 1, 1.6])
    with which:
        names, each = _pick_rows(model, count)
    with beside:
        key = _pick_beside(model)
    other = _beside(model, key) if key else None
    if not names:
        st.info("Choose a layer, and its strongest channels are drawn.")
        return
    st.caption(
        f"One row for each layer, from the first to the last: the {each} channels that your picture excites most in "
        f"{plain(model.name)}, by mean activation."
    )
    columns = [_Column(model), *([other] if other else [])]
    image = picture_of(selection().picture)
    _show_kernels(columns, 3 * each, asked)
    for row, name in enumerate(names):
        layer = model.layer(name)
        means = maps_of(model, image, layer).values.mean((1, 2))
        channels = tuple(sorted(int(index) for index in np.argsort(-means, kind="stable")[:each]))
        seen = f" · receptive field {layer.reach.size[0]:,} × {layer.reach.size[1]:,} px" if layer.reach else ""
        section(f"{plain(name)} · {layer.channels:,} channels{seen}")
        for at, (place, column) in enumerate(zip(st.columns(len(columns), gap="medium"), columns, strict=True)):
            with place:
                _say_whose(column, columns)
                _show_row(column, layer, channels, asked, f"{row}.{at}")
    scales = " Activations of different weights are not on one scale." if other else ""
    st.caption(f"{how_drawn(model, asked.params)} Under each picture the mean activation it reaches.{scales}")


def _pick_rows(model: LoadedModel, count: Any) -> tuple[list[str], int]:
    """The layers chosen, in the order of the network, and how many channels of each, kept in the address."""
    spatial = [layer.name for layer in model.layers if layer.is_spatial]
    ends = {block.part: block.output for block in model.blocks if block.output in spatial}
    usual = list(dict.fromkeys(ends.values()))[:MOST]
    first, *said = selection().rows.split(",")
    names = [name for name in spatial if name in said][:MOST] or usual
    key = f"filters.across.{model.digest[:12]}"
    if f"{key}.layers" not in st.session_state or st.session_state.get(f"{key}.of") != selection().rows:
        st.session_state[f"{key}.layers"] = names
        st.session_state[f"{key}.count"] = next((few for few in COUNTS if str(few) == first), COUNTS[0])
    chosen = st.multiselect("Layers", spatial, max_selections=MOST, key=f"{key}.layers")
    each: int = count.selectbox("Channels in a row", COUNTS, key=f"{key}.count")
    names = [name for name in spatial if name in chosen]
    if names:
        written = ",".join([str(each), *(names if names != usual else [])])
        written = "" if written == str(COUNTS[0]) else written
        if written != selection().rows:
            choose(rows=written)
    st.session_state[f"{key}.of"] = selection().rows
    return names, each


def _say_whose(column: _Column, columns: list[_Column]) -> None:
    if len(columns) > 1:
        st.caption(f"**{plain(column.model.name)}**")


def _show_row(column: _Column, layer: LayerInfo, channels: tuple[int, ...], asked: Asked, place: str) -> None:
    model = column.model
    drawn = drawn_channels(
        f"filters across {place}", model, model.layer(layer.name), channels, asked, _show_growing, compact=True
    )
    if drawn is None:
        return
    drawing = _drawing(asked, channels)
    with st.container(horizontal=True, gap="xsmall"):
        for index, (pixels, channel) in enumerate(zip(painted(drawn), drawn.channels, strict=True)):
            said = number(float(drawn.reached[index])) + (", stays grey" if drawn.stays_grey(index) else "")
            alt = f"Channel {channel} of {layer.name}, {model.name}"
            shown = figure(thumbnail(pixels, 2 * WIDTH), [said], alt, WIDTH)
            _show_cell(column, layer, channel, shown, WIDTH, drawing, f"{place}.{index}")


def _show_growing(drawn: FilterImages) -> None:
    """Unfinished pictures with their channels."""
    figures(
        [
            figure(
                thumbnail(pixels, 2 * WIDTH), [f"{channel}"], f"Channel {channel} of {drawn.layer.name}, growing", WIDTH
            )
            for pixels, channel in zip(painted(drawn), drawn.channels, strict=True)
        ]
    )


def _show_kernels(columns: list[_Column], count: int, asked: Asked) -> None:
    """The first convolution's kernels as colour pictures, where it looks at red, green and blue."""
    model = columns[0].model
    first = next((layer for layer in model.layers if layer.kernel is not None), None)
    if first is None or first.inputs != 3 or model.preprocess.channels != 3:
        return
    channels = range(min(count, first.channels))
    drawing = _drawing(asked, channels)
    section(f"{plain(first.name)} · its first {len(channels)} kernels, middle grey is zero")
    for at, (place, column) in enumerate(zip(st.columns(len(columns), gap="medium"), columns, strict=True)):
        with place:
            _say_whose(column, columns)
            with st.container(horizontal=True, gap="xxsmall"):
                for channel in channels:
                    kernel = unit_kernel(column.model, first.name, channel)
                    if kernel is not None:
                        pixels = kernel_picture(kernel.weights, column.model.preprocess.reverse_channels)
                        alt = f"Kernel {channel} of {first.name}, {column.model.name}"
                        shown = figure(pixels, [], alt, KERNEL_WIDTH)
                        _show_cell(column, first, channel, shown, KERNEL_WIDTH, drawing, f"kernel.{at}.{channel}")


def _show_cell(
    column: _Column, layer: LayerInfo, channel: int, shown: str, width: int, drawing: str, place: str
) -> None:
    """A picture, and under it the channel's number, which leads to the channel alone, and where there is room its card.

    Args:
        column, layer, channel: whose picture it is.
        shown: the picture as HTML.
        width: of the picture, in CSS pixels.
        drawing: how the channel is drawn where it is shown alone.
        place: identifies the cell on the page.
    """
    leads = {**column.choices, "layer": layer.name, "channel": channel, "place": "", "drawing": drawing}
    with st.container(width=width, gap="xxsmall"):
        st.html(shown)
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            st.button(
                f"{channel}",
                type="tertiary",
                key=f"filters.across.{place}",
                help=f"Channel {channel} of {plain(layer.name)} large, with the evidence",
                on_click=_open,
                args=(leads, column.untrained),
            )
            if width == WIDTH and not column.untrained:
                card = address(**leads, card="open")
                st.page_link("pages/activations.py", label="Card", query_params=card, help=f"All of unit {channel}")


def _open(choices: Mapping[str, Any], control: bool) -> None:
    """Goes to a channel alone; for untrained weights to the trained channel with its control."""
    choose(**choices, view="")
    if control:
        st.session_state["filters.control"] = True


def _drawing(asked: Asked, channels: range | tuple[int, ...]) -> str:
    """The settings of this view with some channels chosen, as the address has them: the same pictures in one layer."""
    chosen = f"side={asked.params.side},which=choose,channels={';'.join(map(str, channels))}"
    return f"{selection().drawing},{chosen}".lstrip(",")


def _pick_beside(model: LoadedModel) -> str:
    """The key of the checkpoint chosen to stand beside, of those that may have the same architecture; "" for none."""
    chosen = selection()
    asked = chosen.versus if chosen.versus != chosen.checkpoint else ""
    RESULTS.put(_architecture(chosen.checkpoint), model.architecture.key)
    titles = {"": "nothing", UNTRAINED: "the same before training"}
    titles |= {
        offer.key: offer.title
        for offer in checkpoints_on_offer(asked)
        if offer.key == asked or RESULTS.get(_architecture(offer.key)) in (None, model.architecture.key)
    }
    titles.pop(chosen.checkpoint, None)
    titles.setdefault(asked, f"{asked.rpartition('/')[2][:40]} (not found)")
    options = list(titles)
    now: str = st.selectbox(
        "Beside",
        options,
        options.index(asked),
        format_func=titles.__getitem__,
        key=f"filters.beside.{asked}",
        help="The same channels of a second checkpoint of the same architecture, or of random weights in it.",
    )
    if now != asked:
        choose(versus=now)
        st.rerun()
    return now


def _beside(model: LoadedModel, key: str) -> _Column | None:
    """What stands beside the chosen network; None, and a sentence, where it cannot be opened or does not fit."""
    try:
        with st.spinner("Opening what stands beside it", show_time=True):
            other = untrained_twin(model) if key == UNTRAINED else _opened(key)
    except InterpretError as error:
        st.error(told(error))
        return None
    if key == UNTRAINED:
        return _Column(other, untrained=True)
    RESULTS.put(_architecture(key), other.architecture.key)
    if other.architecture.key != model.architecture.key:
        st.warning(
            f"{plain(other.name)} is {plain(other.architecture.title)}, not {plain(model.architecture.title)}: only "
            "checkpoints of one architecture have the same channels."
        )
        return None
    chosen = selection()
    kept = {name: getattr(chosen, name) for name in ("arch", "part", "input", "rows")}
    return _Column(other, {"checkpoint": key, "versus": chosen.checkpoint, **kept})


def _architecture(checkpoint: str) -> tuple[str, ...]:
    """Under which key it is remembered what a checkpoint turned out to be, opened as the chosen one is."""
    return ("architecture", checkpoint, selection().arch, selection().part)


def _opened(checkpoint: str) -> LoadedModel:
    """A second checkpoint, opened as the chosen one was asked to be.

    Raises:
        BadInput, BadCheckpoint: it is not there, or cannot be opened so.
    """
    chosen = selection()
    model = model_of(checkpoint, chosen.arch, chosen.part)
    if not chosen.input:
        return model
    steps = steps_of(chosen.input)
    return MODELS.get_or_make((model.digest, chosen.input, ""), lambda: model.reopened(steps))

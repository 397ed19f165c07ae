"""One layer's filters: the gallery that grows, and one channel large with what speaks for it and against it."""

from __future__ import annotations

import math
from collections.abc import Callable

import streamlit as st

from interpret.filters import Drawing, FilterImages
from interpret.images import InputImage
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.rendering import Pixels, grid, shrunk, thumbnail
from ui.display import download_values, inline_image, number, picture, plain
from ui.figures import section
from ui.filter_drawing import drawn_channels, how_drawn, manifest, painted
from ui.filter_settings import STEPS, Asked, ask_for
from ui.results import maps_of
from ui.state import address, choose, selection
from ui.trust import Natural, drawings_of, legend, natural_of, show_evidence, tile

A_PAGE = 64
_GAP = 8
_CHOSEN = "outline:2px solid var(--st-primary-color, #2563a8);outline-offset:2px;border-radius:3px"


def tile_width(pictures: int) -> int:
    """How wide small pictures stand beside each other, in CSS pixels: eight in a row, fewer larger ones if few."""
    return 216 if pictures <= 4 else 104


def growing(width: int) -> Callable[[Drawing], str]:
    """Shows unfinished pictures as one sheet, and says how far they are."""

    def show(drawn: Drawing) -> str:
        count = len(drawn.planes)
        across = min(count, 4 if width > 200 else 8 if count <= A_PAGE else 16 if count <= 256 else 32)
        wide = width if count <= A_PAGE else 8 * width // across
        dark = st.context.theme.type == "dark"
        small = [shrunk(pixels, 2 * wide) for pixels in painted(drawn)]
        gap = max(1, round(_GAP * small[0].shape[1] / wide))
        sheet = grid(small, across, gap, (22, 24, 27) if dark else (255, 255, 255))
        inline_image(thumbnail(sheet, 1800), "image/jpeg", "Growing", across * (wide + _GAP) - _GAP)
        far = f"{drawn.steps} of {drawn.params.steps} steps"
        st.caption(f"{_named(drawn)}after {far}")
        return far

    return show


def _named(drawn: Drawing) -> str:
    if not isinstance(drawn, FilterImages):
        return ""
    channels = list(dict.fromkeys(drawn.channels))
    said = ", ".join(map(str, channels[:16])) + (" and more" if len(channels) > 16 else "")
    return f"{plain(drawn.layer.name)}, channels {said}, "


def show_gallery(model: LoadedModel, image: InputImage, layer: LayerInfo, asked: Asked) -> None:
    """The gallery of a layer.

    Args:
        model, image: the network and the picture in hand, on which the strongest channels are the strongest.
        layer: whose channels.
        asked: which of them, and how they are drawn.
    """
    means = maps_of(model, image, layer).values.mean((1, 2))
    channels = asked.numbers(means)
    width = tile_width(len(channels) * asked.params.starts)
    drawn = drawn_channels("filters", model, layer, channels, asked, growing(width))
    if drawn is None:
        return
    pictures, natural = painted(drawn), natural_of(model, layer, asked.params.direction)
    if natural is not None:
        legend(natural)
    channel = selection().channel if selection().channel in channels else channels[0]
    page = _page(layer, len(channels), channels.index(channel))
    with st.container(horizontal=True, gap="xsmall"):
        for at in page:
            _cell(drawn, pictures, channels[at], width, natural, channels[at] == channel)
    _below(model, layer, asked, drawn)
    section(f"Channel {channel:,} of {plain(layer.name)}")
    does = "excites" if asked.params.direction == "positive" else "silences"
    large, evidence = st.columns([1, 1.6], gap="medium")
    with large:
        for index in drawings_of(drawn, channel):
            picture(
                pictures[index],
                f"Channel {channel} reaches {number(float(drawn.reached[index]))}; your picture reaches "
                f"{number(float(means[channel]))}",
                f"Picture that {does} channel {channel} of {layer.name}",
            )
    with evidence:
        show_evidence(model, layer, asked, drawn, channel, natural)


def _page(layer: LayerInfo, count: int, chosen: int) -> range:
    """Which of a layer's drawn channels are in sight, those around the chosen one at first; buttons for the others."""
    if count <= A_PAGE:
        return range(count)
    last, key = math.ceil(count / A_PAGE) - 1, f"filters.page.{layer.name}"
    at = min(st.session_state.get(key, chosen // A_PAGE), last)

    def turn(to: int) -> None:
        st.session_state[key] = to

    first, end = at * A_PAGE, min(count, (at + 1) * A_PAGE)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Previous", disabled=at == 0, on_click=turn, args=(at - 1,), key="filters.previous")
        st.button("Next", disabled=at == last, on_click=turn, args=(at + 1,), key="filters.next")
        st.caption(f"{first + 1} to {end} of {count:,} channels drawn", width="content")
    return range(first, end)


def _cell(
    drawn: FilterImages, pictures: Pixels, channel: int, width: int, natural: Natural | None, is_chosen: bool
) -> None:
    """A channel's pictures beside each other, what each reaches under it, and where they lead."""
    own = drawings_of(drawn, channel)
    tiles = "".join(tile(pictures[index], drawn, index, natural, width) for index in own)
    mark = f' role="group" aria-current="true" aria-label="Channel {channel}, shown large below"' if is_chosen else ""
    with st.container(width=len(own) * (width + _GAP) - _GAP, gap="xxsmall"):
        st.html(f'<div{mark} style="display:flex;gap:{_GAP}px;{_CHOSEN * is_chosen}">{tiles}</div>')
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            st.button(
                f"{channel}",
                type="tertiary",
                key=f"filters.show.{channel}",
                help=f"Channel {channel} large, below",
                on_click=_choose,
                args=(channel,),
            )
            card = {**address(), "layer": drawn.layer.name, "channel": str(channel), "card": "open"}
            st.page_link("pages/activations.py", label="Card", query_params=card, help=f"All of unit {channel}")


def _choose(channel: int) -> None:
    choose(channel=channel)


def _below(model: LoadedModel, layer: LayerInfo, asked: Asked, drawn: FilterImages) -> None:
    st.caption(
        f"{plain(layer.name)} of {how_drawn(model, asked.params)} Reaches: mean activation over the places of the "
        "channel, on the finished picture without movement."
        + (" Stays grey: the ascent found nothing." if any(map(drawn.stays_grey, range(len(drawn.reached)))) else "")
    )
    with st.container(horizontal=True):
        continue_button(model, layer.name, asked)
        shown = {"layer": layer.name, "channels": list(drawn.channels)}
        download_values(
            "Download pictures (.npy)", drawn.planes, "filters", manifest(model, asked, shown), key="filters.download"
        )


def continue_button(model: LoadedModel, layer: str, asked: Asked) -> None:
    """Goes on to twice as many steps."""
    steps = asked.params.steps
    if 2 * steps <= STEPS[-1]:
        st.button(
            f"Continue: {steps} more steps",
            on_click=lambda: ask_for(model, layer, steps=2 * steps),
            key="filters.more",
        )

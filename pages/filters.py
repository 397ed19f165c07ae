"""Filters: what is each filter looking for?"""

from __future__ import annotations

import numpy as np
import streamlit as st

from interpret.channels import channel_numbers
from interpret.filters import SIDES, FilterImages, FilterParams, filter_images, first_view
from interpret.rendering import grid
from ui.controls import pick_layer, result_of, settings
from ui.display import download_values, number, picture, plain, question
from ui.library import chosen_model, picture_of
from ui.results import maps_of
from ui.state import address, selection

PER_ROW = 8

chosen = selection()
model, image = chosen_model(), picture_of(chosen.picture)

question(
    "What is each filter looking for?",
    "Each picture was grown from noise until it excites one channel as much as it can: it shows what the channel "
    "looks for, not what it saw. Under it stands the mean activation the picture reaches, and what your picture "
    "reaches. **Example:** stripes in one direction for an early filter, feathers or eyes for a late one; a picture "
    "that stays grey says the ascent found nothing.",
)
layer = pick_layer(model, lambda layer: layer.layout != "other", "has no channels to draw.")
first = first_view(model, layer.name)
own = min(model.preprocess.size)
columns = st.columns([3, 1.3, 2], vertical_alignment="bottom")
with columns[0]:
    shown_first = f"strongest {first.channels}"
    which = st.segmented_control(
        "Channels",
        ["strongest 4", "strongest 16", "first 16", "choose"],
        default=shown_first,
        key=f"filters.which.{shown_first}",
    )
with columns[1]:
    steps = st.select_slider("Steps", [32, 64, 128, 256, 512], value=64, key="filters.steps")
with st.expander("Settings"):
    across = st.columns(2)
    with across[0]:
        written = st.text_input(
            "Channels to draw",
            "0-15",
            help="Numbers and ranges, as in 0-7, 12. Used with “choose”.",
            key="filters.text",
        )
        sides = sorted({*(side for side in SIDES if side < own), own})
        side = st.selectbox(
            "Size of the pictures in pixels",
            sides,
            sides.index(first.side or own),
            key=f"filters.side.{own}.{first.side}",
            help="Smaller pictures are drawn faster; the largest is the network's own size (Lucid: 128).",
        )
    with across[1]:
        other = settings(FilterParams, "filters", ("learning_rate", "seed"))
params = FilterParams(steps=steps, learning_rate=other.learning_rate, seed=other.seed, side=0 if side == own else side)
if first.channels < 16 and which == shown_first and side == (first.side or own):
    smaller = f", drawn at {side} instead of {own} pixels" if side < own else ""
    st.caption(
        f"{plain(model.architecture.title)} takes its time on a CPU, so this starts with {first.channels} channels"
        f"{smaller}. There is more under Channels and in the settings."
    )

maps = maps_of(model, image, layer)
means = maps.values.mean((1, 2))
if which == "choose":
    channels = channel_numbers(written, layer.channels)
elif which == "first 16":
    channels = tuple(range(min(16, layer.channels)))
else:
    count = {"strongest 4": 4, "strongest 16": 16}.get(which or "", first.channels)
    channels = tuple(int(index) for index in np.argsort(-means, kind="stable")[:count])

per_row = PER_ROW if len(channels) > 4 else 4


def _steps(count: int) -> str:
    return f"{count} step{'s' if count > 1 else ''}"


def growing(unfinished: FilterImages) -> None:
    sheet = grid((unfinished.pictures * 255).round().astype(np.uint8), columns=per_row, gap=4)
    picture(sheet, f"Channels {', '.join(map(str, unfinished.channels))} after {_steps(unfinished.steps)}", "Growing")


drawn = result_of(
    "filters",
    ("filters", model.digest, layer.name, channels, params),
    f"Filters of {plain(layer.name)}",
    lambda: filter_images(model, layer.name, channels, params),
    growing,
)
if drawn is not None:
    for start in range(0, len(channels), per_row):
        row = st.columns(per_row, gap="small")
        for cell, index in zip(row, range(start, min(start + per_row, len(channels))), strict=False):
            channel = drawn.channels[index]
            with cell:
                picture(
                    (drawn.pictures[index] * 255).round().astype(np.uint8),
                    f"**{channel}** reaches {number(float(drawn.reached[index]))}, "
                    f"yours {number(float(means[channel]))}",
                    f"Picture that excites channel {channel} of {layer.name}",
                )
                card = {**address(), "layer": layer.name, "channel": str(channel), "card": "open"}
                st.page_link("pages/activations.py", label="Card", query_params=card, help=f"All of unit {channel}")
    words, buttons = st.columns([3, 1.4], vertical_alignment="center")
    with words:
        st.caption(
            f"{plain(layer.name)} of {plain(model.name)}, {params.steps} steps, {side} px, seed {params.seed}. "
            "Reaches: mean activation over the places of the channel, on the finished picture without movement. "
            "Method: Olah, Mordvintsev, Schubert 2017, doi 10.23915/distill.00007."
        )
    with buttons:
        download_values(
            "Download pictures (.npy)",
            drawn.pictures,
            "filters",
            {
                "checkpoint": model.name,
                "model_digest": model.digest,
                "layer": layer.name,
                "channels": list(drawn.channels),
                "steps": params.steps,
                "learning_rate": params.learning_rate,
                "seed": params.seed,
                "side": side,
                "axes": ["channels", "height", "width", "rgb"],
            },
            key="filters.download",
        )

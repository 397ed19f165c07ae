"""Filters: what is each filter looking for?"""

from __future__ import annotations

import numpy as np
import streamlit as st

from interpret.activations import activations
from interpret.channels import channel_numbers
from interpret.filters import FilterImages, FilterParams, filter_images
from interpret.rendering import grid
from ui.cache import RESULTS
from ui.controls import pick_layer, result_of, settings
from ui.display import download_values, number, picture, plain, question
from ui.library import chosen_model, picture_of
from ui.state import selection

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
columns = st.columns([3.2, 2.4, 1.4], vertical_alignment="bottom")
with columns[0]:
    layer = pick_layer(model, lambda layer: layer.layout != "other", "has no channels to draw.")
with columns[1]:
    which = st.segmented_control(
        "Channels", ["strongest 16", "first 16", "choose"], default="strongest 16", key="filters.which"
    )
with columns[2]:
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
    with across[1]:
        other = settings(FilterParams, "filters", ("learning_rate", "seed"))
params = FilterParams(steps=steps, learning_rate=other.learning_rate, seed=other.seed)

maps = RESULTS.get_or_make(
    ("activations", model.digest, image.digest, layer.name), lambda: activations(model, image, [layer.name])[0]
)
means = maps.values.mean((1, 2))
if which == "choose":
    channels = channel_numbers(written, layer.channels)
elif which == "first 16":
    channels = tuple(range(min(16, layer.channels)))
else:
    channels = tuple(int(index) for index in np.argsort(-means, kind="stable")[:16])


def growing(unfinished: FilterImages) -> None:
    sheet = grid((unfinished.pictures * 255).round().astype(np.uint8), columns=PER_ROW, gap=4)
    picture(sheet, f"Channels {', '.join(map(str, unfinished.channels))} after {unfinished.steps} steps", "Growing")


drawn = result_of(
    "filters",
    ("filters", model.digest, layer.name, channels, params),
    f"Filters of {plain(layer.name)}",
    lambda: filter_images(model, layer.name, channels, params),
    growing,
)
if drawn is not None:
    for start in range(0, len(channels), PER_ROW):
        row = st.columns(PER_ROW, gap="small")
        for cell, index in zip(row, range(start, min(start + PER_ROW, len(channels))), strict=False):
            channel = drawn.channels[index]
            with cell:
                picture(
                    (drawn.pictures[index] * 255).round().astype(np.uint8),
                    f"**{channel}** reaches {number(float(drawn.reached[index]))}, "
                    f"yours {number(float(means[channel]))}",
                    f"Picture that excites channel {channel} of {layer.name}",
                )
    words, buttons = st.columns([3, 1.4], vertical_alignment="center")
    with words:
        st.caption(
            f"{plain(layer.name)} of {plain(model.name)}, {params.steps} steps, seed {params.seed}. Reaches: mean "
            "activation over the places of the channel, on the finished picture without movement. Method: Olah, "
            "Mordvintsev, Schubert 2017, doi 10.23915/distill.00007."
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
                "axes": ["channels", "height", "width", "rgb"],
            },
            key="filters.download",
        )

"""Activations: what does each channel respond to?"""

from __future__ import annotations

import numpy as np
import streamlit as st

from interpret.activations import activations
from interpret.rendering import PALETTES, Scale, overlay, palette
from ui.cache import RESULTS
from ui.components.feature_grid import feature_grid
from ui.controls import pick_layer
from ui.display import download_values, number, picture, plain, question, scale_bar
from ui.library import chosen_model, picture_of
from ui.state import choose, selection

chosen = selection()
model, image = chosen_model(), picture_of(chosen.picture)

question(
    "What does each channel respond to?",
    "Each tile is one channel of the layer: bright where the channel answers strongly to your picture. "
    "The tile you choose is laid over the picture on the left, with its numbers. "
    "**Example:** in an early layer one channel lights up along vertical edges; in a late one a few places "
    "light up for a whole object.",
)
controls = st.columns([4, 1.2], vertical_alignment="bottom")
with controls[0]:
    layer = pick_layer(model, lambda layer: layer.layout != "other", "cannot be drawn as maps.")
with controls[1]:
    colours = st.selectbox("Colours", [name for name in PALETTES if name != "blue-red"], key="activations.palette")

maps = RESULTS.get_or_make(
    ("activations", model.digest, image.digest, layer.name), lambda: activations(model, image, [layer.name])[0]
)
signed = bool((maps.values < 0).any())
single = layer.rows * layer.columns == 1  # a number per channel: only beside the others' does it say anything
left, right = st.columns([1, 2.3], gap="medium")
with right:
    channel = feature_grid(
        maps.values,
        key=f"grid.{model.digest[:8]}.{layer.name}",
        selected=min(selection().channel, layer.channels - 1),
        palettes={"sequential": palette(colours), "diverging": palette("blue-red")},
        scale="layer" if single else "channel",
        height=520,
        label=f"Channels of {layer.name}",
    )
if channel != selection().channel:
    choose(channel=channel)
with left:
    values = maps.values[channel]
    scale = Scale.suited(maps.values if single else values)
    name = "blue-red" if scale.diverges else colours
    seen = model.preprocess.seen(image)
    opacity = st.slider("Opacity of the map", 0.0, 1.0, 0.6, 0.05, key="activations.opacity")
    picture(
        overlay(seen, values, scale, name, opacity),
        f"Channel {channel} of {plain(layer.name)} over what the network sees of {plain(image.name)}",
        f"Activation of channel {channel} of {layer.name} over the picture",
    )
    scale_bar(scale, name, "activation")
    st.caption(
        f"{number(float(values.mean()))}: one number for the whole picture, on the scale of the layer"
        if single
        else f"min {number(float(values.min()))} · mean {number(float(values.mean()))} · "
        f"max {number(float(values.max()))} · {(values == 0).mean():.0%} zeros · {layer.rows} × {layer.columns} places"
    )

rank = int((maps.values.mean((1, 2)) > values.mean()).sum()) + 1
dead = int((np.abs(maps.values).max((1, 2)) == 0).sum())
words, buttons = st.columns([3, 1.4], vertical_alignment="center")
with words:
    st.markdown(
        f"Channel {channel:,} is number {rank:,} of {layer.channels:,} by mean activation on this picture. "
        + (f"{dead:,} channels answer with nothing but zero here." if dead else "No channel is silent here.")
        + (" Values go below zero, so the colours diverge about zero." if signed else "")
    )
with buttons:
    download_values(
        "Download values (.npy)",
        maps.values,
        "activations",
        {
            "checkpoint": model.name,
            "model_digest": model.digest,
            "layer": layer.name,
            "image": image.name,
            "image_digest": image.digest,
            "axes": ["channels", "rows", "columns"],
        },
        key="activations.download",
    )

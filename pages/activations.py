"""Activations: what does each channel respond to?"""

from __future__ import annotations

import numpy as np
import streamlit as st

from interpret.activations import class_links
from interpret.rendering import PALETTES, Scale, palette
from ui.anatomy import show_anatomy
from ui.cache import RESULTS
from ui.comparing import compared, pick_beside
from ui.components.feature_grid import feature_grid
from ui.components.map_view import Pane, Place, map_view
from ui.controls import pick_layer
from ui.display import download_values, number, question
from ui.library import chosen_model, picture_of
from ui.pixel import show_place
from ui.results import maps_of, prediction_of, statistics_of
from ui.state import choose, selection
from ui.unit_card import unit_card

chosen = selection()
model, image = chosen_model(), picture_of(chosen.picture)

question(
    "What does each channel respond to?",
    "Each tile is one channel of the layer: bright where the channel answers strongly to your picture. Click one for "
    "everything known of it; walk on with the arrow keys. In the large picture, point at a place to see which pixels "
    "reach it, and click to see how its number comes about. "
    "**Example:** in an early layer one channel lights up along vertical edges; in a late one a few places "
    "light up for a whole object.",
)
layer = pick_layer(model, lambda layer: layer.layout != "other", "cannot be drawn as maps.")
is_open = selection().card == "open"
widths = [1.5, 1.2, 1.2 if selection().beside else 0.1] if is_open else [1.2, 0.9, 1.4, 1.3]
controls = st.columns(widths, vertical_alignment="center", gap="small")
with controls[0]:
    kind = pick_beside()
with controls[2]:
    other = compared(model, image, layer, kind)
maps = maps_of(model, image, layer)
signed = bool((maps.values < 0).any())
with controls[1]:
    colours = st.selectbox(
        "Colours",
        [name for name in PALETTES if name != "blue-red"],
        key="activations.palette",
        format_func="Colours: {}".format,
        disabled=signed,
        label_visibility="collapsed",
        help="Values below zero are blue, above it red, whatever is chosen here." if signed else None,
    )

prediction = prediction_of(model, image)
target = prediction.top(1)[0]
links = RESULTS.get_or_make(
    ("links", model.digest, image.digest, layer.name, target), lambda: class_links(model, image, layer.name, target)
)
said = statistics_of(maps, model.digest)
palettes = {"sequential": palette(colours), "diverging": palette("blue-red")}
single = layer.rows * layer.columns == 1  # a number per channel: only beside the others' does it say anything
everything = maps.values if other is None else np.concatenate([maps.values.ravel(), other.maps.values.ravel()])
finite = everything[np.isfinite(everything)]
shared = (float(finite.min()), float(finite.max())) if other is not None and finite.size else None


def open_card(asked: int) -> None:
    choose(channel=asked, card="open")


if is_open:
    left, right = None, st.container()
else:
    left, right = st.columns([1, 2.3], gap="medium")
with right:
    channel = feature_grid(
        maps.values,
        key=f"grid.{model.digest[:8]}.{layer.name}",
        selected=min(selection().channel, layer.channels - 1),
        palettes=palettes,
        scale="shared" if shared else "layer" if single else "channel",
        statistics={
            "Mean": said.means,
            "Max": said.maxima,
            "Share of zeros": said.zeros,
            f"Link to {model.labels[target]}": links,
        },
        marks=np.where(said.dead, 1, np.where(said.saturated, 2, 0)).astype(np.uint8),
        shared=shared,
        group="activations",
        height=470 if other is None else 320,
        label=f"Channels of {layer.name}",
        on_open=open_card,
    )
    if channel != selection().channel:
        choose(channel=channel)
    if other is not None:
        other = other.show_grid(palettes, shared, channel)

if is_open:  # drawn early: it is what a click asks for, and stands in a place of its own
    unit_card(model, image, maps, channel, prediction, links)

with left or right:
    panes = [
        Pane(
            model.preprocess.seen(image),
            maps.values[channel],
            f"Channel {channel} of {layer.name}, {image.name}",
            *(layer.reach.spans(channel) if layer.reach and layer.is_spatial else (None, None)),
        )
    ]
    if other is not None:
        panes.append(other.pane(channel))
    if single:
        scale = Scale.suited(maps.values)
    else:
        scale = Scale.suited(np.concatenate([pane.values.ravel() for pane in panes]))
    asked = [int(part) for part in selection().place.split(",") if part.isdecimal()][:2]
    inside = len(asked) == 2 and asked[0] < layer.rows and asked[1] < layer.columns
    place = map_view(
        panes,
        key=f"map.{model.digest[:8]}.{layer.name}",
        place=Place(asked[0], asked[1]) if inside else None,
        scale=(scale.low, scale.high),
        palettes=palettes,
        width=320 if is_open else None,
        label=f"Channel {channel} of {layer.name} over the picture",
    )
    written = f"{place.row},{place.column}" if place else ""
    if written != selection().place:
        choose(place=written)
    if single:
        only = float(maps.values[channel].mean())
        st.caption(f"{number(only)}: one number for the whole picture, on the scale of the layer")

rank = int((said.means > said.means[channel]).sum()) + 1
dead, saturated = int(said.dead.sum()), int(said.saturated.sum())
with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
    st.markdown(
        f"Channel {channel:,} is number {rank:,} of {layer.channels:,} by mean activation on this picture. "
        + (f"{dead:,} channels answer with nothing but zero here. " if dead else "No channel is silent here. ")
        + (f"{saturated:,} are saturated: most of their places sit at their ceiling. " if saturated else "")
        + ("Values go below zero, so the colours diverge about zero." if signed else ""),
        width="content" if is_open else 620,
    )
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
if place is not None:
    show_place(model, image, layer, channel, place)
elif not single:
    st.caption("Click a place in the large picture to see which pixels reach it and how its number comes about.")
show_anatomy(model, image, layer, channel)

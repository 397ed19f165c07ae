"""Overview: what is this network, and what does it say?"""

from __future__ import annotations

import numpy as np
import streamlit as st

from interpret.filters import kept_filter_images
from interpret.jobs import complete
from interpret.latent import embed, place, project
from interpret.latent.embedding import embed_picture, first_count
from interpret.latent.projection import Points
from interpret.rendering import Scale, outlined, overlay, scatter
from ui.cache import RESULTS
from ui.controls import pick_layer, result_of
from ui.display import number, picture, plain, probability_bars, question, scale_bar
from ui.filter_drawing import painted
from ui.filter_settings import first_params
from ui.library import chosen_model, data_of, picture_of
from ui.opening import choose_architecture, choose_part, load_report, preparation, undecided
from ui.results import heatmap_of, maps_of, prediction_of
from ui.state import address, selection
from ui.summary import layer_table, load_sentence

chosen = selection()
model, image = chosen_model(), picture_of(chosen.picture)

question(
    "What is this network, and what does it say?",
    "The bars are the network's five most probable classes for your picture; the score is the number before softmax. "
    "It never sees the whole upload: only the bright part inside the white frame, scaled to its input size. "
    "**Example:** a heart in a corner that the frame cuts off cannot be recognised, whatever the network has learned.",
)

prediction = prediction_of(model, image)
seen = model.preprocess.seen(image)
top = prediction.top()
warm = heatmap_of(model, image, top[0])

first, second, third, bars = st.columns([1, 1, 1, 1.7], gap="medium")
with first:
    picture(
        outlined(image.pixels, model.preprocess.crop_box(image)),
        f"As uploaded: {plain(image.name)}, {image.width:,} × {image.height:,} px",
        f"The picture {image.name}, with the part the network sees outlined",
    )
with second:
    size = " × ".join(str(side) for side in reversed(model.preprocess.size))
    picture(seen, f"As the network sees it: {size} px", f"The part of {image.name} the network sees")
with third:
    scale = Scale.positive(warm.values)
    picture(
        overlay(seen, warm.values, scale),
        f"Grad-CAM for {plain(model.labels[warm.target])}, layer {plain(warm.layer.name)}",
        f"Heatmap of the places that spoke for {model.labels[warm.target]}",
    )
    scale_bar(scale, "viridis", "evidence")
with bars:
    choose_part(model)
    if undecided(model):
        choose_architecture(model)
    probability_bars([(model.labels[i], float(prediction.probabilities[i]), float(prediction.scores[i])) for i in top])
    st.caption(
        f"**{plain(model.architecture.title)}** · {len(model.labels):,} classes · {model.parameters:,} parameters · "
        f"{len(model.layers)} layers · {load_sentence(model)}"
    )

changed = " (changed by you)" if chosen.input else ""
st.caption(f"How pictures are prepared{changed}: {plain(model.preprocess.described)}. It can be changed below.")
st.subheader("The network; a layer leads to its activations", anchor=False)
pick_layer(model, lambda layer: layer.layout != "other", "cannot be drawn as maps.")
if selection().layer != chosen.layer:
    st.switch_page("pages/activations.py", query_params=address())
st.subheader("What each page shows", anchor=False)
tiles = st.columns(4, gap="medium")
with tiles[0]:
    maps = maps_of(model, image, model.default_layer)
    strongest = int(np.nanargmax(maps.values.mean((1, 2))))
    values = maps.values[strongest]
    picture(
        overlay(seen, values, Scale.suited(values)),
        f"The strongest channel of {plain(maps.layer.name)}: {strongest}, mean {number(float(values.mean()))}",
        f"Activation of channel {strongest} over the picture",
    )
    leads = {**address(), "layer": maps.layer.name, "channel": str(strongest)}
    st.page_link("pages/activations.py", label="Activations", query_params=leads)
with tiles[1]:
    layer_name = model.default_layer.name
    params = first_params(model, layer_name)
    drawn = result_of(
        "overview filter",
        ("filters", model.digest, layer_name, (strongest,), params),
        "Filter picture",
        lambda: kept_filter_images(model, layer_name, [strongest], params),
        lambda unfinished: picture(painted(unfinished)[0], "", "A filter picture, growing"),
        compact=True,
    )
    if drawn is not None:
        picture(
            painted(drawn)[0],
            f"What channel {strongest} looks for, {params.steps} steps of gradient ascent",
            f"Picture that excites channel {strongest} of {layer_name}",
        )
    st.page_link("pages/filters.py", label="Filters", query_params=address())
with tiles[2]:
    second_best = top[1] if len(top) > 1 else top[0]
    other = heatmap_of(model, image, second_best)
    picture(
        overlay(seen, other.values, scale),
        f"Grad-CAM for the runner-up, {plain(model.labels[second_best])}, on the same scale as above",
        f"Heatmap of the places that spoke for {model.labels[second_best]}",
    )
    st.page_link("pages/heatmaps.py", label="Heatmaps", query_params=address())
with tiles[3]:
    small = min(160, first_count(model) // 2)
    embedded = result_of(
        "overview map",
        ("embedding", model.digest, "shapes", small, layer_name),
        f"Map of {small} Shapes",
        lambda: embed(model, data_of("shapes", small)(), layer_name),
        compact=True,
    )
    if embedded is not None:

        def points() -> tuple[Points, Points]:
            laid_out = complete(project(embedded.vectors, "pca"))
            ring, _ = place(embedded.vectors, laid_out, embed_picture(model, image, [layer_name])[0][None])
            return laid_out.points, ring

        spots, ring = RESULTS.get_or_make(("overview map", model.digest, image.digest, layer_name), points)
        picture(
            scatter(spots, embedded.labels, ring),
            f"{small} drawn Shapes as {plain(layer_name)} orders them (PCA, colour is the class); the ring is yours",
            "Map of pictures by their embedding, the chosen picture ringed",
        )
    st.page_link("pages/latent_space.py", label="Latent space", query_params=address())

with st.expander("Layers, in the order of execution"):
    st.dataframe(layer_table(model), hide_index=True, height=420)
with st.expander("How the file was loaded"):
    load_report(model)
with st.expander("How pictures are prepared for it, and what its classes are called"):
    preparation(model)

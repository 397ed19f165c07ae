"""Heatmaps: which places spoke for this class?"""

from __future__ import annotations

import streamlit as st

from interpret.heatmaps import METHODS, heatmap
from interpret.rendering import PALETTES, Scale, overlay
from ui.cache import RESULTS
from ui.controls import pick_class, pick_layer
from ui.display import download_values, percent, picture, plain, question, scale_bar
from ui.library import chosen_model, picture_of
from ui.results import prediction_of
from ui.state import choose, selection

chosen = selection()
model, image = chosen_model(), picture_of(chosen.picture)

question(
    "Which places spoke for this class?",
    "The colour says how much a place of the layer raised the score of the class; places without colour raised it not "
    "at all. It does not prove that the network looks for the right reason, nor that the place alone would do. "
    "**Example:** a heatmap for *star* that lights up a coloured tag in a corner instead of the star has caught a "
    "network that cheats.",
)
prediction = prediction_of(model, image)
predicted = prediction.top(1)[0]
layer = pick_layer(model, lambda layer: layer.is_spatial, "has no rows and columns.")
columns = st.columns([1.7, 1.1, 1.1], vertical_alignment="bottom")
with columns[0]:
    target = pick_class(model, predicted)
with columns[1]:
    keys = [method.key for method in METHODS]
    titles = {method.key: method.title for method in METHODS}
    index = keys.index(selection().method) if selection().method in keys else 0
    method = st.selectbox("Method", keys, index=index, format_func=lambda key: titles[key])
    if method != selection().method:
        choose(method=method)
with columns[2]:
    colours = st.selectbox("Colours", PALETTES, key="heatmaps.palette")

result = RESULTS.get_or_make(
    ("heatmap", model.digest, image.digest, method, layer.name, target),
    lambda: heatmap(model, image, method=method, layer=layer.name, target=target),
)
seen = model.preprocess.seen(image)
scale = Scale.positive(result.values)
left, middle, right = st.columns([1.25, 1.25, 1], gap="medium")
with left:
    picture(seen, f"What the network sees of {plain(image.name)}", f"The part of {image.name} the network sees")
with right:
    opacity = st.slider("Opacity of the map", 0.0, 1.0, 0.55, 0.05, key="heatmaps.opacity")
    st.markdown(
        f"**{plain(model.labels[target])}**: score {result.score:,.2f}, probability {percent(result.probability)}"
    )
    if target != predicted:
        st.markdown(f"The network says **{plain(model.labels[predicted])}** instead.")
    if result.says:
        st.warning(result.says)
    row, column = divmod(int(result.values.argmax()), result.values.shape[1])
    st.markdown(
        f"Strongest at row {row + 1}, column {column + 1} of {layer.rows} × {layer.columns} places; "
        f"{(result.values > 0).mean():.0%} of the places speak for the class."
    )
    source = next(known.source for known in METHODS if known.key == method)
    st.caption(f"{titles[method]}: {source}. Target: the class score before softmax.")
    if layer.name == model.default_layer.name:
        st.caption(f"{plain(layer.name)} is the last layer that still has places: the usual choice.")
    download_values(
        "Download values (.npy)",
        result.values,
        "heatmap",
        {
            "checkpoint": model.name,
            "model_digest": model.digest,
            "image": image.name,
            "image_digest": image.digest,
            "method": method,
            "layer": layer.name,
            "target": target,
            "label": model.labels[target],
            "score": result.score,
            "axes": ["rows", "columns"],
        },
        key="heatmaps.download",
    )
with middle:
    picture(
        overlay(seen, result.values, scale, colours, opacity),
        f"{titles[method]} for {plain(model.labels[target])} at {plain(layer.name)}",
        f"Heatmap of the places that spoke for {model.labels[target]}",
    )
    scale_bar(scale, colours, "score × activation")

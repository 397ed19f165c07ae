"""Latent space: how does the network order these pictures?"""

from __future__ import annotations

import numpy as np
import streamlit as st

from interpret.jobs import complete
from interpret.latent import PROJECTIONS, ProjectionParams, embed, nearest, place, project
from interpret.latent.embedding import embed_picture, first_count
from interpret.rendering import class_colour
from ui.cache import RESULTS, keep_upload
from ui.components.point_map import MapSelection, point_map
from ui.controls import ask_for_folder, pick_layer, result_of, settings
from ui.display import flat_map, inline_image, number, percent, plain, question
from ui.library import SHAPES, chosen_model, data_of, data_stamp, data_title, picture_of
from ui.server import THUMBNAILS
from ui.state import choose, selection

chosen = selection()
model, image = chosen_model(), picture_of(chosen.picture)

question(
    "How does the network order these pictures?",
    "Each point is a picture; near points are pictures the layer finds alike. The ring is your picture, placed among "
    "its nearest neighbours. Distances between far clusters and the sizes of clusters mean little in UMAP. "
    "**Example:** classes that form islands are told apart at this layer; a mixed region is where the network errs.",
)
layer = pick_layer(model, lambda layer: layer.layout != "other", "has no channels.")
columns = st.columns([1.6, 1, 1], vertical_alignment="bottom")
with columns[0]:
    options = [*SHAPES] + ([selection().data] if selection().data not in SHAPES else [])
    data = st.selectbox("Data set", options, options.index(selection().data), format_func=data_title)
    if data != selection().data:
        choose(data=data)
with columns[1]:
    few = first_count(model)
    limit = st.select_slider("Pictures", [100, 200, 500, 1000, 2000, 5000, 10000], value=few, key=f"latent.limit.{few}")
with columns[2]:
    methods = {method.key: method.title for method in PROJECTIONS}
    method = st.selectbox("Map", list(methods), format_func=lambda key: methods[key], key="latent.method")
with st.expander("Settings and other data"):
    across = st.columns(2)
    with across[0]:
        params = settings(ProjectionParams, "latent")
    with across[1]:
        ask_for_folder("latent")
        archive = st.file_uploader("Or upload a .zip of pictures, one folder per class", type=["zip"], key="latent.zip")
        if archive is not None and st.session_state.get("latent.zip.seen") != archive.file_id:
            st.session_state["latent.zip.seen"] = archive.file_id
            choose(data=f"upload/{keep_upload(archive.name, archive.getvalue())}")
            st.rerun()


def _gallery(title: str, indices: list[int], distances: list[float] | None = None) -> None:
    """Pictures of the data set with class, prediction and distance."""
    st.markdown(title)
    for start in range(0, len(indices), 3):
        for cell, at in zip(st.columns(3, gap="small"), range(start, min(start + 3, len(indices))), strict=False):
            index = indices[at]
            label = plain(embedded.classes[embedded.labels[index]]) if embedded.labels[index] >= 0 else ""
            said = plain(model.labels[embedded.predictions[index]])
            with cell:
                inline_image(embedded.thumbnails[index], "image/jpeg", embedded.names[index])
                away = f" · {number(distances[at])}" if distances else ""
                st.caption(f"{label or said}{away}" + (f", called {said}" if label and said != label else ""))


def _neighbours(picked: MapSelection) -> None:
    """What stands beside the map: the chosen region, the chosen picture's neighbours, or the upload's."""
    if picked.polygon is not None:
        inside = np.flatnonzero(picked.members(projection.points, categories))
        right = embedded.labels[inside] == embedded.predictions[inside]
        _gallery(f"**{len(inside):,} pictures in the region**", [int(index) for index in inside[:12]])
        if by_label and len(inside) and _classes_agree:
            st.caption(f"{percent(float(right.mean()))} of them are called by their right class.")
        return
    if picked.clicked is not None:
        indices, distances = nearest(embedded.vectors[[picked.clicked]], embedded.vectors, 10, params.metric)
        title = f"**Nearest to {plain(embedded.names[picked.clicked])}** in the layer's space"
    else:
        indices, distances = nearest(vector[None], embedded.vectors, 9, params.metric)
        title = f"**Nearest to your picture, {plain(image.name)}**, in the layer's space"
    _gallery(title, [int(index) for index in indices[0]], [float(away) for away in distances[0]])
    st.caption("Under each picture: class · distance in the layer's space. Click a point for its neighbours.")


stamp = data_stamp(data)
embedded = result_of(
    "embedding",
    ("embedding", model.digest, data, stamp, limit, layer.name),
    "Embedding pictures",
    lambda: embed(model, data_of(data, limit)(), layer.name),
)
if embedded is not None:
    key = (model.digest, data, stamp, limit, layer.name)
    main, side = st.columns([2.6, 1], gap="medium")
    with main:
        area = st.container()
        projection = result_of(
            "projection",
            ("projection", *key, method, params),
            f"{methods[method]} of {len(embedded.names):,} pictures",
            lambda: project(embedded.vectors, method, params),
        )
    quick = projection is None
    if projection is None:
        projection = RESULTS.get_or_make(
            ("projection", *key, "pca", params), lambda: complete(project(embedded.vectors, "pca", params))
        )
    _classes_agree = embedded.classes == model.labels
    vector = RESULTS.get_or_make(
        ("vector", model.digest, image.digest, layer.name), lambda: embed_picture(model, image, layer.name)
    )
    ring, distance = place(embedded.vectors, projection, vector[None])

    known = embedded.labels >= 0
    by_label = bool(known.any()) and len(embedded.classes) > 0
    if by_label:
        names = [*embedded.classes, *(["no class"] if not known.all() else [])]
        categories = np.where(known, embedded.labels, len(embedded.classes))
        colours = [class_colour(i) for i in range(len(embedded.classes))] + [class_colour(-1)] * (
            len(names) - len(embedded.classes)
        )
    else:
        present, categories = np.unique(embedded.predictions, return_inverse=True)
        names = [f"predicted {model.labels[int(index)]}" for index in present]
        colours = [class_colour(int(index)) for index in present]
    address = f"{model.digest[:24]}-{abs(hash(key)):x}"
    THUMBNAILS.put(address, embedded.thumbnails)

    with area:
        picked = point_map(
            projection.points,
            categories,
            key=f"map.{address}.{'pca' if quick else method}",
            names=names,
            colors=colours,
            thumbnails=f"thumbnails/{address}/{{index}}",
            captions=embedded.names,
            ring=ring[0],
            ring_label=image.name,
            height=420,
            label=f"Map of {len(embedded.names)} pictures",
        )
        if picked.unsupported:
            st.plotly_chart(flat_map(projection.points, categories, names, colours, embedded.names, ring[0]))
        truth = "class" if by_label else "prediction"
        st.caption(
            f"{'PCA, until UMAP is ready' if quick else methods[method]}: {len(embedded.names):,} pictures at "
            f"{plain(layer.name)} of {plain(model.name)}; colour is the {truth}."
        )
    with side:
        _neighbours(picked)

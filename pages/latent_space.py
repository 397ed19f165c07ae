"""Latent space: how does the network order these pictures?"""

from __future__ import annotations

import numpy as np
import streamlit as st

from interpret.jobs import complete
from interpret.latent import PROJECTIONS, Embedding, ProjectionParams, embed, nearest, place, project
from interpret.latent.embedding import embed_picture, first_count
from interpret.latent.projection import Points
from interpret.rendering import png, scatter
from ui.cache import RESULTS, keep_upload
from ui.components.point_map import MapSelection, point_map
from ui.controls import ask_for_folder, pick_layer, result_of, settings
from ui.display import flat_map, inline_image, number, plain, question
from ui.latent_colours import coloured, marked, ways
from ui.latent_export import downloads
from ui.latent_side import PANELS, Data, marked_by, show_marked, show_selection
from ui.latent_stands_out import cluster_colours, clusters_of, stands_out
from ui.latent_trust import show_layers, show_trust
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


stamp = data_stamp(data)
source = RESULTS.get_or_make(("source", data, stamp, limit), data_of(data, limit))
embedded = result_of(
    "embedding",
    ("embedding", model.digest, data, stamp, limit, layer.name),
    "Embedding pictures",
    lambda: embed(model, source, layer.name),
)


def show(embedded: Embedding) -> None:
    """The map, what it is coloured by, and what stands beside it."""
    key = (model.digest, data, stamp, limit, layer.name)
    offered = ways(embedded, model)
    first = next(iter(offered))
    above = st.columns(2, gap="small")
    way = above[0].segmented_control(
        "Colour", list(offered), default=first, format_func=offered.__getitem__, key="latent.colour"
    )
    way = way or first
    panel = above[1].segmented_control("Beside the map", PANELS, default=PANELS[0], key="latent.panel") or PANELS[0]
    main, side = st.columns([2.3, 1.3], gap="medium")

    def forming(points: Points) -> None:
        """The map while it is laid out."""
        shown = scatter(points[:, :2], coloured(first, embedded, model).categories, None, 320)
        inline_image(png(shown), "image/png", "The map as it forms", 320)

    with main:
        area = st.container()
        projection = result_of(
            "projection",
            ("projection", *key, method, params),
            f"{methods[method]} of {len(embedded.names):,} pictures",
            lambda: project(embedded.vectors, method, params, embedded.labels, model.runtime.device),
            preview=forming,
        )
    quick = projection is None
    if projection is None:
        projection = RESULTS.get_or_make(
            ("projection", *key, "pca", params), lambda: complete(project(embedded.vectors, "pca", params))
        )
    vector = RESULTS.get_or_make(
        ("vector", model.digest, image.digest, layer.name), lambda: embed_picture(model, image, layer.name)
    )
    ring, distance = place(embedded.vectors, projection, vector[None])
    looked = Data(embedded, model, source, image, vector, params.metric)
    with side:
        of_map = (*key, projection.method, params)
        mark = stands_out(looked, projection, of_map, key) if panel == "Stands out" else marked_by(panel, looked)
    address = f"{model.digest[:24]}-{abs(hash(key)):x}"
    THUMBNAILS.put(address, embedded.thumbnails)
    with area:
        groups = clusters_of(looked, projection, of_map) if way == "cluster" else None
        colours = coloured(way, embedded, model) if groups is None else cluster_colours(groups)
        if mark is not None:
            colours = marked(mark[0], len(embedded.names), mark[1])
        deep = projection.points.shape[1] == 3
        picked = MapSelection(unsupported=True)
        if not deep:
            picked = point_map(
                projection.points,
                colours.categories,
                key=f"map.{address}.{'pca' if quick else method}",
                names=colours.names,
                colors=colours.colours,
                thumbnails=f"thumbnails/{address}/{{index}}",
                captions=embedded.names,
                ring=ring[0],
                ring_label=image.name,
                height=420,
                label=f"Map of {len(embedded.names)} pictures",
            )
        if picked.unsupported:
            st.plotly_chart(
                flat_map(projection.points, colours.categories, colours.names, colours.colours, embedded.names, ring[0])
            )
        truth = offered[way] if mark is None else f"pictures {mark[1]}"
        title = f"PCA, until {methods[method]} is ready" if quick else methods[method]
        st.caption(
            f"{title}: {len(embedded.names):,} pictures at "
            f"{plain(layer.name)} of {plain(model.name)}; colour is the {plain(truth)}."
        )
    with side:
        if panel == PANELS[0]:
            inside = picked.members(projection.points, colours.categories)
            show_selection(looked, picked, np.flatnonzero(inside))
        elif panel == "Trust":
            show_trust(looked, projection, of_map)
        else:
            show_marked(looked, mark)
    with main:
        st.caption(_outside(embedded, float(distance[0]), key))
        downloads(embedded, model, projection, colours)
    st.markdown("##### Across layers")
    show_layers(looked, colours, params, key)


def _outside(embedded: Embedding, distance: float, key: tuple[object, ...]) -> str:
    """Whether the uploaded picture belongs among these: its distance against theirs."""

    def usual() -> float:
        return float(np.quantile(nearest(embedded.vectors, embedded.vectors, 2, params.metric)[1][:, 1], 0.99))

    limit = RESULTS.get_or_make(("usual distance", *key, params.metric), usual)
    said = f"Your picture lies {number(distance)} from its nearest neighbour; 99 % of these lie within {number(limit)}."
    return f"{said} **It is outside the map**: its place tells little." if distance > limit else said


if embedded is not None:
    show(embedded)

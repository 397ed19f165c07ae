"""Latent space: how does the network order these pictures?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from interpret.errors import InterpretError
from interpret.latent import PROJECTIONS, ProjectionParams, place
from interpret.latent.embedding import first_count
from interpret.rendering import scatter
from ui.cache import RESULTS, keep_upload
from ui.components.point_map import MapSelection, point_map
from ui.controls import ask_for_folder, pick_layer, settings
from ui.display import flat_map, number, plain, question, told
from ui.figures import figure, figures
from ui.latent_colours import coloured, marked, ways
from ui.latent_export import downloads
from ui.latent_maps import OF_RUN, laid_out, looked_at, networks_of, opened_run, pick_kind
from ui.latent_side import PANELS, Data, marked_by, show_marked, show_selection
from ui.latent_stands_out import cluster_colours, clusters_of, stands_out
from ui.latent_trust import show_maps, show_trust
from ui.library import SHAPES, chosen_model, data_of, data_stamp, data_title, picture_of, run_of
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
above = st.columns([1.1, 1.4], gap="small", vertical_alignment="bottom")
with above[0]:
    kind = pick_kind()
data, stamp = selection().data, data_stamp(selection().data)
folder = run_of(data)
run, refused = None, False
if folder is not None:
    try:
        run = opened_run(folder, stamp, model)
    except InterpretError as error:
        st.error(told(error))
        refused = True
with above[1]:
    networks = networks_of(kind, model, layer, run)
columns = st.columns([1.5, 1, 1, 1], vertical_alignment="bottom")
with columns[0]:
    options = [*SHAPES] + ([data] if data not in SHAPES else [])
    asked = st.selectbox("Data set", options, options.index(data), format_func=data_title)
    if asked != data:
        choose(data=asked)
        st.rerun()
with columns[1]:
    few = first_count(model)
    limit = st.select_slider(
        "Pictures",
        [100, 200, 500, 1000, 2000, 5000, 10000],
        value=few,
        key=f"latent.limit.{few}",
        disabled=run is not None,
        help="A run is shown whole.",
    )
with columns[2]:
    methods = {method.key: method.title for method in PROJECTIONS}
    if run is not None and all(info.name in run.maps for _, layers in networks for info in layers):
        methods = {OF_RUN: "As in the run", **methods}
    method = st.selectbox(
        "Map",
        list(methods),
        format_func=methods.__getitem__,
        key=f"latent.method.{len(methods)}",
        disabled=OF_RUN not in methods and (len(networks) > 1 or len(networks[0][1]) > 1),
        help="Several maps are laid out together by UMAP.",
    )
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


def show(views: Sequence[Data]) -> None:
    """The map, what it is coloured by, and what stands beside it."""
    of_views = tuple((view.model.digest, view.embedded.layer.name) for view in views)
    begin = next((at for at, name in enumerate(of_views) if name == (model.digest, layer.name)), 0)
    offered = ways(views[begin].embedded, model)
    with columns[3]:
        asked = selection().colour if selection().colour in offered else next(iter(offered))
        way: str = st.selectbox(
            "Colour",
            list(offered),
            list(offered).index(asked),
            format_func=offered.__getitem__,
            key=f"latent.colour.{asked}",
        )
        if way != asked:
            choose(colour=way)
    panel = st.segmented_control("Beside the map", PANELS, default=PANELS[0], key="latent.panel") or PANELS[0]
    main, side = st.columns([2.3, 1.3], gap="medium")

    def forming(points: NDArray[np.float32]) -> None:
        """The maps while they are laid out."""
        classes = coloured(next(iter(offered)), views[begin].embedded, model).categories
        if points.ndim == 2:
            figures([figure(scatter(points[:, :2], classes, None, 320), [], "The map as it forms", 320)])
            return
        shown = [(scatter(one, classes, None, 180), view.title) for one, view in zip(points, views, strict=True)]
        figures([figure(picture, [title], f"Map at {title} as it forms", 180) for picture, title in shown])

    key = (*of_data, *of_views)
    with main:
        area = st.container()
        maps, title = laid_out(views, begin, method, params, key, run, forming)
    shown = views if len(maps) == len(views) else [views[begin]]
    placed = [place(view.near, one, view.vector[None]) for view, one in zip(shown, maps, strict=True)]
    address = f"{model.digest[:24]}-{abs(hash(key)):x}"
    THUMBNAILS.put(address, views[begin].embedded.thumbnails)
    name = f"map.{address}.{maps[0].method}"
    start = 0 if len(shown) == 1 else begin
    asked_at, at = st.session_state.get(f"{name}.at", (start, start))
    if asked_at != start:  # another layer was chosen
        at = start
    looked, projection = shown[at], maps[at]
    of_layers = {(*of_data, *name): view for name, view in zip(of_views, views, strict=True)}
    of_layer = (*of_data, looked.model.digest, looked.embedded.layer.name)
    of_map = (*key, at, projection.method, params)
    with side:
        mark = stands_out(looked, projection, of_map, of_layers) if panel == "Stands out" else marked_by(panel, looked)
    with area:
        groups = clusters_of(looked, projection, of_map) if way == "cluster" else None
        colours = coloured(way, looked.embedded, looked.model) if groups is None else cluster_colours(groups)
        if mark is not None:
            colours = marked(mark[0], len(looked.embedded.names), mark[1])
        picked = MapSelection(unsupported=True, frame=at)
        points = np.stack([one.points for one in maps]) if len(maps) > 1 else projection.points
        rings = np.stack([ring[0] for ring, _ in placed]) if len(maps) > 1 else placed[at][0][0]
        if points.shape[-1] == 2:
            picked = point_map(
                points,
                colours.categories,
                key=name,
                names=colours.names,
                colors=colours.colours,
                thumbnails=f"thumbnails/{address}/{{index}}",
                captions=looked.embedded.names,
                ring=rings,
                ring_label=image.name,
                frames=[view.title for view in shown] if len(maps) > 1 else None,
                frame=start,
                height=420,
                label=f"Map of {len(looked.embedded.names)} pictures",
            )
        if picked.frame != at:
            st.session_state[f"{name}.at"] = (start, picked.frame)
            st.rerun()
        if picked.unsupported:
            st.plotly_chart(
                flat_map(
                    projection.points,
                    colours.categories,
                    colours.names,
                    colours.colours,
                    looked.embedded.names,
                    placed[at][0][0],
                )
            )
        truth = offered[way] if mark is None else f"pictures {mark[1]}"
        st.caption(
            f"{title}: {len(looked.embedded.names):,} pictures at "
            f"{plain(looked.embedded.layer.name)} of {plain(looked.model.name)}; colour is the {plain(truth)}."
        )
    with side:
        if panel == PANELS[0]:
            inside = picked.members(points, colours.categories)
            show_selection(looked, picked, np.flatnonzero(inside))
        elif panel == "Trust":
            show_trust(looked, projection, of_map)
        else:
            show_marked(looked, mark)
    with main:
        st.caption(_outside(looked, float(placed[at][1][0]), of_layer))
        downloads(looked.embedded, looked.model, projection, colours)
    if len(maps) > 1:
        show_maps(shown, maps, colours, params, key)


def _outside(looked: Data, distance: float, key: tuple[object, ...]) -> str:
    """Whether the uploaded picture belongs among these: its distance against theirs."""
    limit = RESULTS.get_or_make(("usual distance", *key, looked.metric), looked.near.usual_distance)
    said = f"Your picture lies {number(distance)} from its nearest neighbour; 99 % of these lie within {number(limit)}."
    return f"{said} **It is outside the map**: its place tells little." if distance > limit else said


of_data = (data, stamp, "run" if run else limit)
if not refused:
    source = run.source if run else RESULTS.get_or_make(("source", *of_data), data_of(data, limit))
    views = looked_at(networks, source, image, params, of_data, run)
    if views is not None:
        show(views)

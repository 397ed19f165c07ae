"""Heatmaps of a whole data set: where the network is wrong, and where its map is not to be trusted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import streamlit as st

from interpret.datasets import PictureSource
from interpret.errors import BadInput, InterpretError
from interpret.evaluation import Evaluation, evaluate_job, report_archive, shapes_boxes, table_rows, told_totals
from interpret.evaluation.found import Target
from interpret.heatmaps import HeatmapMethod
from interpret.heatmaps.boxes import MAX_CHARACTERS, Box, boxes_of_file
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.rendering import Scale, colour, overlay
from interpret.work import multiplications
from ui.cache import RESULTS, UPLOADS, keep_upload
from ui.controls import ask_for_folder, result_of
from ui.display import download_tables, picture, plain, scale_bar, told
from ui.figures import figure, figures, section
from ui.heatmap_table import ORDERS, ordered, sentence, show_table
from ui.library import SHAPES, data_of, data_stamp, data_title, keep_picture
from ui.state import choose, selection

SIZES = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
SHOWN_CLASSES = 40
WHOSE: dict[Target, str] = {"predicted": "the predicted class", "labelled": "the class of the data set"}
_PASSES = 45
"""Through the network for a picture: its map, both curves of it and of a random one, the picture seen through it."""
_WORK_OF_A_MINUTE = 2100 * 10**9

Boxes = dict[str, tuple[Box, ...]]


def show_data_set(
    model: LoadedModel, layer: LayerInfo, method: HeatmapMethod, leave: Callable[[], None] | None = None
) -> None:
    """A data set's heatmaps with how far each is to be trusted: totals, class means, a table, one picture large.

    Args:
        model, layer, method: whose maps.
        leave: called when a picture of the set became the chosen one, so that the page can turn to it.
    """
    data, limit, target, digest = _asked(model)
    where = "" if method.of_pixels else layer.name
    key = ("evaluation", model.digest, model.labels, data, data_stamp(data), limit, method.key, where, target, digest)
    try:
        source = RESULTS.get_or_make(("source", data, data_stamp(data), limit), data_of(data, limit))
        boxes = _boxes(data, limit, digest)
    except InterpretError as error:
        st.error(told(error))
        return
    title = f"{method.title} of {len(source):,} pictures"
    if method.slow and RESULTS.get(key) is None and st.session_state.get("heatmaps.all") != key:
        st.caption(f"{method.title} takes many passes for each picture. Begin with few.")
        if st.button(f"Make {title}", key="heatmaps.all.go"):
            st.session_state["heatmaps.all"] = key
            st.rerun()
        return
    found = result_of(
        "heatmaps of a data set",
        key,
        title,
        lambda: evaluate_job(model, source, method=method.key, layer=layer.name, target=target, boxes=boxes),
    )
    if found is None:
        return
    st.markdown(plain(" · ".join(told_totals(found.totals)), 1000))
    if found.matched_by == "order":
        st.caption("The classes of the data set were matched to the network's by their order, not by name.")
    elif not found.matched_by:
        st.caption("The data set says no class that the network has, so nothing is right or wrong here.")
    _class_means(found)
    order = st.segmented_control("Order", ORDERS, default=ORDERS[0], key="heatmaps.all.order") or ORDERS[0]
    places = ordered(found, order)
    table, large = st.columns([1.9, 1], gap="medium")
    with table:
        chosen = show_table(found, places, hashlib.sha256(repr(key).encode()).hexdigest()[:24], order)
        _downloads(model, found, data)
    with large:
        _one(model, source, found, chosen, leave)


def _asked(model: LoadedModel) -> tuple[str, int, Target, str]:
    """The data set, how many of its pictures, whose class, and the digest of a file of boxes, "" for none."""
    data = selection().data
    columns = st.columns([1.6, 0.8, 1.4, 0.9], vertical_alignment="bottom")
    options = [*SHAPES] + ([data] if data not in SHAPES else [])
    chosen = columns[0].selectbox(
        "Data set", options, options.index(data), format_func=data_title, key=f"heatmaps.data.{data}"
    )
    if chosen != data:
        choose(data=chosen)
        st.rerun()
    few = _first(model)
    limit = columns[1].selectbox(
        "Pictures", SIZES, SIZES.index(few), format_func="{:,}".format, key=f"heatmaps.limit.{few}"
    )
    target = columns[2].selectbox("Maps of", list(WHOSE), format_func=lambda key: WHOSE[key], key="heatmaps.whose")
    with columns[3].popover("Other data", width="stretch"):
        ask_for_folder("heatmaps")
        archive = st.file_uploader(
            "Or upload a .zip of pictures, one folder per class", type=["zip"], key="heatmaps.zip"
        )
        if archive is not None and st.session_state.get("heatmaps.zip.seen") != archive.file_id:
            st.session_state["heatmaps.zip.seen"] = archive.file_id
            choose(data=f"upload/{keep_upload(archive.name, archive.getvalue())}")
            st.rerun()
        file = st.file_uploader(
            "True boxes",
            type=["csv", "json"],
            key="heatmaps.all.boxes",
            max_upload_size=MAX_CHARACTERS >> 20,
            help="Columns file, xmin, ymin, xmax, ymax in pixels of the pictures, or COCO. Those of Shapes are known.",
        )
    return data, limit, target, keep_upload(file.name, file.getvalue()) if file is not None else ""


def _first(model: LoadedModel) -> int:
    """How many pictures to begin with: 200, on a CPU fewer where they would take much longer than a minute."""
    work = _PASSES * multiplications(model) if model.runtime.device.type == "cpu" else 0
    return next((count for count in (200, 100, 50) if count * work <= _WORK_OF_A_MINUTE), 20)


def _boxes(data: str, limit: int, digest: str) -> Boxes | None:
    """The true boxes uploaded, those of drawn Shapes, or None."""
    if digest:
        return RESULTS.get_or_make(("boxes", digest), lambda: _uploaded(digest))
    if data in SHAPES:
        return RESULTS.get_or_make(("boxes of Shapes", limit), lambda: shapes_boxes(min(2000, limit)))
    return None


def _uploaded(digest: str) -> Boxes:
    name, content = UPLOADS.get(digest) or ("", b"")
    try:
        return boxes_of_file(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadInput(f'"{name}" is no text in UTF-8.') from None


def _class_means(found: Evaluation) -> None:
    """The mean map of each class, on one scale."""
    section("Where the maps of each class lie")
    present, counts, means = found.class_means
    shown = sorted(np.argsort(-counts, kind="stable")[:SHOWN_CLASSES].tolist())
    scale = Scale.positive(means)
    figures(
        [
            figure(
                colour(means[at], scale),
                [found.classes[present[at]], f"{counts[at]:,} {'map' if counts[at] == 1 else 'maps'}"],
                f"Mean heatmap of {found.classes[present[at]]}",
                84,
            )
            for at in shown
        ]
    )
    bar, rest = st.columns([1, 3], gap="medium")
    with bar:
        scale_bar(scale, "viridis", "mean share of the map's maximum")
    cut = f" The {len(shown)} classes of the most maps of {len(present):,}." if len(shown) < len(present) else ""
    rest.caption(
        "Each map over its own maximum, averaged over the pictures it is for, in the frame the network sees: where "
        f"maps lie, not on what.{cut}"
    )


def _one(
    model: LoadedModel, source: PictureSource, found: Evaluation, place: int, leave: Callable[[], None] | None
) -> None:
    """One picture of the set and its map, large, with what is to be said of it."""
    image = source.read(int(found.pictures[place]))
    seen, name = model.preprocess.seen(image), plain(found.names[place])
    row, label = found.row(place), plain(found.classes[found.targets[place]])
    left, right = st.columns(2, gap="small")
    with left:
        picture(seen, name, f"What the network sees of {found.names[place]}")
    with right:
        picture(
            overlay(seen, found.maps[place], Scale(0.0, 1.0)),
            f"{found.method.title} for {label}, over its own maximum",
            f"Heatmap of {found.names[place]}",
        )
    st.markdown(sentence(found, place))
    if st.button("Open this picture", key="heatmaps.all.open", help="Make it the chosen picture of all pages."):
        key = keep_picture(image, found.names[place])
        choose(picture=key, target=-1 if row["map_of"] == row["prediction"] else int(found.targets[place]))
        if leave is not None:
            leave()
        st.rerun()


def _downloads(model: LoadedModel, found: Evaluation, data: str) -> None:
    """The table with its manifest, and the report."""
    manifest = {"checkpoint": model.name, "model_digest": model.digest, "data": data, **found.facts()}
    heads, rows = table_rows(found)
    with st.container(horizontal=True):
        download_tables("Download the table (.csv)", {"table": (heads, rows)}, "heatmaps", manifest, "heatmaps.all.csv")
        st.download_button(
            "Download the report (.zip)",
            lambda: report_archive(found, manifest),
            file_name="heatmaps-report.zip",
            mime="application/zip",
            key="heatmaps.all.report",
            on_click="ignore",
            help=f"A page for any browser, with {min(len(found), 200):,} pictures in each section.",
        )

"""What a person wants to see on the Heatmaps page."""

from __future__ import annotations

import streamlit as st

from interpret.datasets import sample_box
from interpret.errors import InterpretError
from interpret.heatmaps import AIMS, DEFAULT_METHOD, MARGIN, METHODS, SCORE, Aim, HeatmapMethod
from interpret.heatmaps.boxes import Box, boxes_of_file
from interpret.images import InputImage
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from ui.cache import MODELS
from ui.controls import pick_class
from ui.display import plain, told
from ui.heatmap_grid import AXES, keep, kept
from ui.heatmap_maps import Wanted
from ui.library import picture_of
from ui.results import prediction_of
from ui.state import choose, selection


def head_of(model: LoadedModel) -> LoadedModel:
    """The network, explained by the output a person chooses where it has several."""
    outputs = [output for output in model.outputs if output.shape]
    if len(outputs) < 2:
        return model
    names = [output.name for output in outputs]
    own = model.outputs[model.head].name
    asked = selection().head if selection().head in names else own
    chosen: str = st.selectbox(
        "Output",
        names,
        key=kept("head", asked),
        format_func=lambda name: f"{name} {[*model.outputs[[o.name for o in model.outputs].index(name)].shape]}",
        help="The network answers several things. Of an output with places, a class's score is its mean over them.",
    )
    keep(head=chosen)
    if chosen != asked:
        choose(head="" if chosen == own else chosen, target=-1, rival="")
    return MODELS.get_or_make(("head", model.digest, chosen), lambda: model.with_head(chosen))


def pick_rival(model: LoadedModel, target: int) -> int | None:
    """The class that the map is set against, or None."""
    asked = selection().rival if selection().rival.isdecimal() else ""
    asked = asked if asked and int(asked) < len(model.labels) and int(asked) != target else ""
    options = ["", *(str(index) for index in range(len(model.labels)) if index != target)]
    chosen: str = st.selectbox(
        "Against",
        options,
        key=kept("rival", asked),
        format_func=lambda key: model.labels[int(key)] if key else "no other class",
        help="Why this class and not that one: the map of the difference of their scores.",
    )
    keep(rival=chosen)
    choose(rival=chosen)
    return int(chosen) if chosen else None


def pick_method() -> HeatmapMethod:
    """The method."""
    methods = {method.key: method for method in METHODS}
    asked = selection().method if selection().method in methods else DEFAULT_METHOD
    key: str = st.selectbox(
        "Method", list(methods), key=kept("method", asked), format_func=lambda key: methods[key].title
    )
    keep(method=key)
    choose(method=key)
    return methods[key]


def pick_axis() -> str:
    """What is compared: a key of AXES."""
    asked = selection().axis if selection().axis in AXES else ""
    axis: str = st.selectbox("Compare", list(AXES), key=kept("axis", asked), format_func=AXES.__getitem__)
    keep(axis=axis)
    if axis != selection().axis:
        choose(axis=axis, among="")
    if (axis == "data") != (asked == "data"):
        st.rerun()  # other questions are asked then
    return axis


def pick_aim(rival: int | None) -> Aim:
    """What of the class; the margin where a rival is named."""
    aims = {aim.key: aim for aim in AIMS}
    asked = MARGIN.key if rival is not None else selection().aim if selection().aim in aims else SCORE.key
    key: str = st.selectbox(
        "What of the class",
        list(aims),
        key=kept("aim", asked),
        format_func=lambda key: aims[key].title,
        disabled=rival is not None,
    )
    keep(aim=key)
    if rival is None:
        choose(aim="" if key == SCORE.key else key)
    return MARGIN if rival is not None else aims[key]


def ask(model: LoadedModel, layer: LayerInfo) -> Wanted:
    """What a person wants to see of the chosen picture, apart from the grid."""
    image = picture_of(selection().picture)
    columns = st.columns([1.3, 1.15, 1.2, 1.1, 1.2, 1.0], vertical_alignment="bottom")
    with columns[0]:
        target = pick_class(model, prediction_of(model, image).top(1)[0])
    with columns[1]:
        rival = pick_rival(model, target)
    with columns[2]:
        method = pick_method()
    with columns[3]:
        aim = pick_aim(rival)
    with columns[4]:
        pick_axis()
    with columns[5]:
        asked = kept("signed", selection().signed == "yes")
        signed = st.toggle("Signed", key=asked, help="Also what speaks against the class.")
    keep(signed=signed)
    choose(signed="yes" if signed else "")
    return Wanted(model, image, layer, method, target, aim, rival, signed, method.title)


def true_boxes(image: InputImage) -> tuple[Box, ...]:
    """Those of a file a person loaded, or of a drawn sample, in pixels of the upload."""
    with st.expander("True boxes"):
        st.caption(
            "Draw one with the tool *Box* above, or load a CSV with columns file, xmin, ymin, xmax, ymax, or JSON "
            "(COCO too), in pixels of the picture."
        )
        file = st.file_uploader("Load true boxes", type=["csv", "json"], key="heatmaps.boxes", max_upload_size=64)
    if file is not None:
        try:
            loaded = boxes_of_file(file.getvalue().decode("utf-8-sig", "replace"), image.name)
            if image.name in loaded:
                return loaded[image.name]
            st.info(f"The file has no box for {plain(image.name)}.")
        except InterpretError as error:
            st.error(told(error))
    if selection().picture.startswith("sample/"):
        box = sample_box(selection().picture.removeprefix("sample/"))
        return () if box is None else (Box(*box),)
    return ()

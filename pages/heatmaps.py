"""Heatmaps: which places spoke for this class?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from interpret.datasets import sample_box
from interpret.errors import InterpretError
from interpret.heatmaps import AIMS, DEFAULT_METHOD, MARGIN, METHODS, SCORE, Heatmap
from interpret.heatmaps.boxes import Box, boxes_of_file, seen_boxes
from interpret.images import InputImage
from interpret.model import LoadedModel
from interpret.rendering import palette
from interpret.strokes import on_the_upload, painted_over
from ui.cache import MODELS
from ui.components.heat_view import Drawn, HeatPane, HeatPicture, heat_view
from ui.controls import pick_class, pick_layer
from ui.display import download_values, percent, plain, probability_bars, question, told
from ui.heatmap_evidence import evidence_of, show_evidence, show_verdict
from ui.heatmap_grid import AXES, keep, kept, note_of, wanted_along
from ui.heatmap_maps import Wanted, is_fine, maps_of, scale_of
from ui.library import chosen_model, picture_of
from ui.results import prediction_of
from ui.state import choose, selection

# Palettes on offer.
SIGNED, PLAIN = ("blue-red", "grey"), ("viridis", "cividis", "grey", "jet")


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


def ask() -> Wanted:
    """What a person wants to see, apart from the grid."""
    model, image = head_of(chosen_model()), picture_of(selection().picture)
    predicted = prediction_of(model, image).top(1)[0]
    layer = pick_layer(model, lambda layer: layer.is_spatial, "has no rows and columns.")
    columns = st.columns([1.3, 1.15, 1.2, 1.1, 1.2, 1.0], vertical_alignment="bottom")
    with columns[0]:
        target = pick_class(model, predicted)
    with columns[1]:
        rival = pick_rival(model, target)
    with columns[2]:
        methods = {method.key: method for method in METHODS}
        asked = selection().method if selection().method in methods else DEFAULT_METHOD
        key = st.selectbox(
            "Method", list(methods), key=kept("method", asked), format_func=lambda key: methods[key].title
        )
    with columns[3]:
        aims = {aim.key: aim for aim in AIMS}
        asked = MARGIN.key if rival is not None else selection().aim if selection().aim in aims else SCORE.key
        chosen = st.selectbox(
            "What of the class",
            list(aims),
            key=kept("aim", asked),
            format_func=lambda key: aims[key].title,
            disabled=rival is not None,
        )
        aim = MARGIN if rival is not None else aims[chosen]
    with columns[4]:
        asked = selection().axis if selection().axis in AXES else ""
        axis = st.selectbox("Compare", list(AXES), key=kept("axis", asked), format_func=AXES.__getitem__)
    with columns[5]:
        asked_signed = kept("signed", selection().signed == "yes")
        signed = st.toggle("Signed", key=asked_signed, help="Also what speaks against the class.")
    keep(method=key, aim=aim.key, signed=signed, axis=axis)
    forget = {"among": ""} if axis != selection().axis else {}
    choose(method=key, aim="" if aim in (SCORE, MARGIN) and (rival is not None or aim == SCORE) else aim.key)
    choose(signed="yes" if signed else "", axis=axis, **forget)
    return Wanted(model, image, layer, methods[key], target, aim, rival, signed, methods[key].title)


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


def grid(
    wanted: Sequence[Wanted],
    made: Sequence[Heatmap],
    axis: str,
    image: InputImage,
    boxes: Sequence[Box],
    drawn: Drawn,
) -> Drawn:
    """The maps over their pictures; what a person drew and chose. What is painted over is shown by the view."""
    places: dict[tuple[str, str], int] = {}
    pictures, panes, true = [], [], {}
    for one, found in zip(wanted, made, strict=True):
        steps, under = one.model.preprocess, one.image if axis == "pictures" else image
        number = places.setdefault((one.model.digest, one.image.digest), len(pictures))
        if number == len(pictures):
            pictures.append(HeatPicture(steps.seen(under), under.pixels, steps.crop_box(under)))
        if under.digest == image.digest:
            true[number] = [(b.left, b.top, b.right, b.bottom) for b in seen_boxes(boxes, steps, image)]
        note = note_of(one, axis, found.probability)
        own = scale_of([found.values], one.signed)
        panes.append(HeatPane(found.values, one.title, note, own, number, found.says))
    signed = wanted[0].signed
    unit = wanted[0].method.unit or wanted[0].aim.title
    mixed = len({"" if one.fused else one.method.unit or one.aim.title for one in wanted}) > 1
    return heat_view(
        pictures,
        panes,
        key=f"heatmaps.{'signed' if signed else 'plain'}.{axis}",
        shared=scale_of([found.values for found in made], signed),
        palettes={name: palette(name) for name in (SIGNED if signed else PLAIN)},
        unit="raw values, units differ" if mixed else f"{unit}, raw values",
        drawn=drawn,
        boxes=true,
        tools=not axis,
        own=mixed,
        label=f"Heatmaps of {image.name}" if len(panes) > 1 else f"Heatmap of {image.name}",
    )


def headline(one: Wanted, found: Heatmap, axis: str) -> None:
    """Whose map it is, and what speaks against it from the start."""
    model, label = one.model, plain(one.model.labels[found.target])
    against = "" if found.rival is None else f" against **{plain(model.labels[found.rival])}**"
    if axis:
        st.markdown(f"##### {plain(one.title)}")
    st.markdown(f"**{label}**{against}: score {found.score:,.2f}, probability {percent(found.probability)}")
    predicted = prediction_of(model, one.image).top(1)[0]
    if found.target != predicted:
        st.markdown(f"The network says **{plain(model.labels[predicted])}** instead.")
    if one.method.warning:
        st.warning(one.method.warning)
    if found.says:
        st.warning(found.says)


def about(one: Wanted, found: Heatmap, axis: str) -> None:
    """How a map is made, where, and its raw values."""
    model = one.model
    st.caption(f"{one.method.about} {plain(one.method.source)}.")
    st.caption(f"{one.aim.about} {_where(one)}")
    if is_fine([found.values]):
        st.caption("The last colour stands for the 99.5th percentile and more: single pixels would take the scale.")
    if axis and one.alone and st.button("Show this one alone", key="heatmaps.alone"):
        choose(axis="", among="", **dict(one.alone))  # type: ignore[arg-type]
        st.rerun()
    download_values(
        "Download values (.npy)",
        found.values,
        "heatmap",
        {
            "checkpoint": model.name,
            "model_digest": model.digest,
            "image": one.image.name,
            "image_digest": one.image.digest,
            "method": one.method.key,
            "aim": one.aim.key,
            "rival": found.rival,
            "signed": one.signed,
            "layer": None if found.layer is None else found.layer.name,
            "layers": list(found.fused),
            "target": found.target,
            "label": model.labels[found.target],
            "score": found.score,
            "axes": ["rows", "columns"],
        },
        key="heatmaps.download",
    )


def _where(one: Wanted) -> str:
    if one.fused:
        return f"Fused from {', '.join(plain(layer.name) for layer in one.fused)}: each over its own maximum."
    if one.method.of_pixels:
        return "It looks at the pixels; the layer plays no part in it."
    if one.layer.name == one.model.default_layer.name:
        return (
            f"{plain(one.layer.name)} is the last layer that still has places, before pooling mixes them: what it "
            "knows of a place is what the class is decided by. The usual choice."
        )
    return f"At {plain(one.layer.name)}. Layers before the last one with places know less of the class."


def show_change(before: Wanted, after: Wanted) -> None:
    """What the network says now that parts of the picture are gone."""
    was, now = prediction_of(before.model, before.image), prediction_of(after.model, after.image)
    target = before.target
    st.markdown(
        f"Painted over: **{plain(before.model.labels[target])}** goes from "
        f"{percent(float(was.probabilities[target]))} to **{percent(float(now.probabilities[target]))}**."
    )
    rows = [
        (before.model.labels[index], float(now.probabilities[index]), float(now.scores[index])) for index in now.top(3)
    ]
    probability_bars(rows)


def show(one: Wanted, axis: str) -> None:
    """One map or a grid of them, and what is said of the chosen one."""
    kept_here = f"heatmaps.drawn.{one.image.digest}.{one.model.digest}"
    drawn: Drawn = replace(
        st.session_state.get(kept_here, Drawn()), pane=st.session_state.get(f"heatmaps.pane.{axis}", 0)
    )
    strokes = () if axis else drawn.strokes
    wanted = wanted_along(axis, one, prediction_of(one.model, one.image))
    if strokes:
        painted = painted_over(one.image, on_the_upload(strokes, one.model.preprocess, one.image))
        wanted = [replace(one, image=painted, title="painted over"), replace(one, title="as it was")]
    made = maps_of(wanted) if wanted else None
    if made is None:
        return
    many = len(wanted) > 2
    if many:
        view, right = st.container(), st.container()
    else:
        left, right = st.columns([2.1, 1], gap="medium")
        with left:
            view = st.container()
    with view:
        place = st.container()
        boxes = true_boxes(one.image)
        with place:
            now = grid(wanted, made, axis, one.image, boxes, drawn)
    st.session_state[kept_here], st.session_state[f"heatmaps.pane.{axis}"] = now, now.pane
    if now.strokes != drawn.strokes and not axis:
        st.rerun()
    chosen, found = wanted[now.pane], made[now.pane]
    with right:
        said, judged = st.columns(2, gap="medium") if many else (st.container(), st.container())
        with said:
            if strokes:
                show_change(one, wanted[0])
            headline(chosen, found, axis)
            if many:
                about(chosen, found, axis)
        with judged:
            evidence = evidence_of(chosen, found)
            if evidence is not None:
                show_verdict(chosen, found, evidence)
            if not many:
                about(chosen, found, axis)
    if evidence is not None:
        drawn_here = now.box is not None and (now.pane == 0 or chosen.model is one.model)
        true = (Box(*now.box),) if now.box and drawn_here else ()
        if not true and chosen.image.digest in {wanted[0].image.digest, one.image.digest}:
            true = seen_boxes(boxes, chosen.model.preprocess, one.image)
        show_evidence(chosen, evidence, true, found)


question(
    "Which places spoke for this class?",
    "The colour says how much a place of the layer raised the score of the class; places without colour raised it not "
    "at all. The lines below it say how far to believe the map. It does not prove that the network looks for the right "
    "reason, nor that the place alone would do. **Example:** a heatmap for *star* that lights up a coloured tag in a "
    "corner instead of the star has caught a network that cheats; paint the tag grey and see the class fall.",
)
one = ask()
axis = selection().axis
if axis == "data":
    from ui.heatmap_data import show_data_set

    show_data_set(one.model, one.layer, one.method)
else:
    show(one, axis)

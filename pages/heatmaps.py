"""Heatmaps: which places spoke for this class?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from interpret.heatmaps import Heatmap
from interpret.heatmaps.boxes import Box, seen_boxes
from interpret.images import InputImage
from interpret.rendering import palette
from interpret.strokes import on_the_upload, painted_over
from ui.components.heat_view import Drawn, HeatPane, HeatPicture, heat_view
from ui.controls import pick_layer
from ui.display import download_values, percent, picture, plain, probability_bars, question
from ui.heatmap_asking import ask, head_of, pick_axis, pick_method, true_boxes
from ui.heatmap_data import show_data_set
from ui.heatmap_evidence import evidence_of, show_evidence, show_verdict
from ui.heatmap_grid import note_of, wanted_along
from ui.heatmap_maps import Wanted, is_fine, maps_of, scale_of
from ui.library import chosen_model
from ui.results import prediction_of
from ui.state import choose, selection

# Palettes on offer.
SIGNED, PLAIN = ("blue-red", "grey"), ("viridis", "cividis", "grey", "jet")


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
    if wanted and (wanted[0].image.digest, wanted[0].model) != (one.image.digest, one.model) and not strokes:
        drawn = replace(drawn, box=None)  # it was drawn on another picture
    made = maps_of(wanted) if wanted else None
    if made is None:
        if wanted:
            seen = one.model.preprocess.seen(one.image)
            picture(
                seen, f"What the network sees of {plain(one.image.name)}", f"The part of {one.image.name} seen", 448
            )
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
    st.session_state[f"heatmaps.pane.{axis}"] = now.pane
    if not axis:
        st.session_state[kept_here] = now
        if now.strokes != drawn.strokes:
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
        true: tuple[Box, ...] = ()
        if chosen.image.digest == one.image.digest or strokes:
            same = chosen.model is one.model and now.box is not None
            true = (Box(*now.box),) if same else seen_boxes(boxes, chosen.model.preprocess, one.image)
        show_evidence(chosen, evidence, true, found)


def alone() -> None:
    """One map again."""
    choose(axis="")


question(
    "Which places spoke for this class?",
    "The colour says how much a place of the layer raised the score of the class; places without colour raised it not "
    "at all. The lines below it say how far to believe the map. It does not prove that the network looks for the right "
    "reason, nor that the place alone would do. **Example:** a heatmap for *star* that lights up a coloured tag in a "
    "corner instead of the star has caught a network that cheats; paint the tag grey and see the class fall.",
)
network = head_of(chosen_model())
where = pick_layer(network, lambda layer: layer.is_spatial, "has no rows and columns.")
if selection().axis == "data":
    columns = st.columns([1, 1, 2], vertical_alignment="bottom")
    with columns[0]:
        way = pick_method()
    with columns[1]:
        pick_axis()
    show_data_set(network, where, way, leave=alone)
else:
    show(ask(network, where), selection().axis)

"""Heatmaps: which places spoke for this class?"""

from __future__ import annotations

import streamlit as st

from interpret.heatmaps import AIMS, DEFAULT_METHOD, METHODS, SCORE, Heatmap, heatmap_job
from interpret.jobs import Job, complete
from interpret.rendering import PALETTES, Scale, overlay
from ui.cache import RESULTS
from ui.controls import pick_class, pick_layer, result_of
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
columns = st.columns([1.6, 1.2, 1.1, 1], vertical_alignment="bottom")


def kept(name: str, asked: object) -> str:
    """The key of a widget that follows the address until a person changes it."""
    if st.session_state.get(f"heatmaps.{name}.of") != asked or f"heatmaps.{name}" not in st.session_state:
        st.session_state[f"heatmaps.{name}"] = st.session_state[f"heatmaps.{name}.of"] = asked
    return f"heatmaps.{name}"


with columns[0]:
    target = pick_class(model, predicted)
with columns[1]:
    methods = {method.key: method for method in METHODS}
    asked = selection().method if selection().method in methods else DEFAULT_METHOD
    key = st.selectbox("Method", list(methods), key=kept("method", asked), format_func=lambda key: methods[key].title)
    method = methods[key]
with columns[2]:
    aims = {aim.key: aim for aim in AIMS}
    asked = selection().aim if selection().aim in aims else SCORE.key
    aim = aims[
        st.selectbox("What of the class", list(aims), key=kept("aim", asked), format_func=lambda key: aims[key].title)
    ]
with columns[3]:
    asked_signed = kept("signed", selection().signed == "yes")
    signed = st.toggle("For and against", key=asked_signed, help="Also what speaks against the class.")
choose(method=key, aim="" if aim == SCORE else aim.key, signed="yes" if signed else "")
for name, value in (("method", key), ("aim", aim.key), ("signed", signed)):
    st.session_state[f"heatmaps.{name}.of"] = value
st.caption(f"{method.about} {aim.about}")

where = "on the pixels" if method.of_pixels else f"at {plain(layer.name)}"
more = () if (aim, signed) == (SCORE, False) else (aim.key, signed)
found = ("heatmap", model.digest, image.digest, key, "" if method.of_pixels else layer.name, target, *more)


def drawn() -> Job[Heatmap]:
    return heatmap_job(model, image, method=key, layer=layer.name, target=target, aim=aim.key, signed=signed)


def show(result: Heatmap) -> None:
    """The map over the picture, its scale, and what is said of it."""
    seen = model.preprocess.seen(image)
    scale = Scale.symmetric(result.values) if signed else Scale.positive(result.values)
    left, middle, right = st.columns([1.25, 1.25, 1], gap="medium")
    with left:
        picture(seen, f"What the network sees of {plain(image.name)}", f"The part of {image.name} the network sees")
    with right:
        colours = st.selectbox(
            "Colours", PALETTES, PALETTES.index("blue-red") if signed else 0, key=f"heatmaps.{signed}"
        )
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
            f"Strongest at row {row + 1}, column {column + 1} of {result.values.shape[0]} × "
            f"{result.values.shape[1]} places; "
            f"{(result.values > 0).mean():.0%} of the places speak for the class"
            + (f", {(result.values < 0).mean():.0%} against it." if signed else ".")
        )
        st.caption(f"{method.title}: {plain(method.source)}.")
        if method.of_pixels:
            st.caption("It looks at the pixels; the layer plays no part in it.")
        elif layer.name == model.default_layer.name:
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
                "method": key,
                "aim": aim.key,
                "signed": signed,
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
            f"{method.title} for {plain(model.labels[target])} {where}",
            f"Heatmap of the places that spoke for {model.labels[target]}",
        )
        scale_bar(scale, colours, f"{method.unit or aim.title}, raw values")


if not method.slow:
    show(RESULTS.get_or_make(found, lambda: complete(drawn())))
elif (finished := result_of("heatmap", found, f"{method.title} {where}", drawn)) is not None:
    show(finished)

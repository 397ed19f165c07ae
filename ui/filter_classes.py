"""Class pictures: what would be the most of a class, to the network."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray

from interpret.filters import Drawing, kept_class_images
from interpret.images import InputImage
from interpret.model import LoadedModel
from ui.controls import result_of
from ui.display import download_values, number, percent, picture, plain
from ui.filter_drawing import fewer_steps, how_drawn, manifest, painted, spectrum_of
from ui.filter_gallery import continue_button, growing, tile_width
from ui.filter_settings import Asked, ask_for
from ui.results import prediction_of
from ui.state import address

MOST = 16


def show_class_pictures(model: LoadedModel, image: InputImage, layer: str, asked: Asked) -> None:
    """A picture for each class chosen, with the score it reaches and the probability the network gives it.

    Args:
        model, image: the network and the picture in hand.
        layer: what the controls' defaults are of.
        asked: which classes, and how they are drawn.
    """
    prediction = prediction_of(model, image)
    targets = _pick(model, layer, asked, prediction.top(4))
    if not targets:
        st.info("Choose a class, and what the network would take for the most of it is drawn.")
        return
    spectrum, source = spectrum_of(model, asked)

    def key(steps: int) -> tuple[Hashable, ...]:
        return ("class pictures", model.digest, targets, replace(asked.params, steps=steps), *spectrum)

    before = fewer_steps(asked.params.steps, key)
    count = len(targets) * asked.params.starts
    width = tile_width(count)
    drawn: Drawing | None = result_of(
        "class pictures",
        key(asked.params.steps),
        "Class pictures",
        lambda: kept_class_images(model, targets, asked.params, source=source(), after=before),
        growing(width),
        more=lambda kept: kept_class_images(model, targets, asked.params, source=source(), after=kept),
    )
    if drawn is None:
        return
    probabilities = _probabilities(model, drawn)
    with st.container(horizontal=True, gap="xsmall"):
        for index, pixels in enumerate(painted(drawn)):
            target = targets[index // asked.params.starts]
            with st.container(width=width, gap="xxsmall"):
                grey = "  \nstays grey: the ascent found nothing" if drawn.stays_grey(index) else ""
                picture(
                    pixels,
                    f"**{plain(model.labels[target], 40)}**  \nscore {number(float(drawn.reached[index]))}, yours "
                    f"{number(float(prediction.scores[target]))}  \nitself taken for it: "
                    f"{percent(float(probabilities[index, target]))}{grey}",
                    f"Picture that drives the score of {model.labels[target]}",
                )
                query = {**address(), "target": str(target)}
                st.page_link("pages/heatmaps.py", label="Heatmap", query_params=query, help="Of this class")
    st.caption(
        f"{how_drawn(model, asked.params)} Score: before softmax. A high score, and a high probability of the "
        "network's own drawing, is no proof that it knows the class: a picture no one would recognise can have both "
        "(Nguyen, Yosinski, Clune 2015, arXiv 1412.1897)."
    )
    with st.container(horizontal=True):
        continue_button(model, layer, asked)
        shown = {"classes": [model.labels[target] for target in targets], "targets": list(targets)}
        download_values(
            "Download pictures (.npy)", drawn.planes, "classes", manifest(model, asked, shown), key="classes.download"
        )


def _pick(model: LoadedModel, layer: str, asked: Asked, first: list[int]) -> tuple[int, ...]:
    """The classes chosen, kept in the address; the most probable ones at first."""
    written = [int(part) for part in asked.classes.split(";") if part.isdecimal() and int(part) < len(model.labels)]
    current = list(dict.fromkeys(written))[:MOST] or first
    key = f"filters.classes.{model.digest[:12]}"
    if key not in st.session_state or st.session_state.get(f"{key}.of") != current:
        st.session_state[key] = current
    chosen: list[int] = st.multiselect(
        "Classes",
        range(len(model.labels)),
        format_func=lambda index: model.labels[index],
        max_selections=MOST,
        key=key,
        help="At first the most probable ones for your picture.",
    )
    st.session_state[f"{key}.of"] = chosen or current
    if chosen and chosen != current:
        ask_for(model, layer, classes="" if chosen == first else ";".join(map(str, chosen)))
    return tuple(chosen)


def _probabilities(model: LoadedModel, drawn: Drawing) -> NDArray[np.float32]:
    """What the network says of its drawings, of the middle part where they are larger than it sees: [n, classes]."""
    planes = torch.from_numpy(drawn.planes.copy()).permute(0, 3, 1, 2)
    if drawn.params.method == "maco":
        rows, columns = model.preprocess.size
        top, left = max(0, planes.shape[2] - rows) // 2, max(0, planes.shape[3] - columns) // 2
        planes = planes[:, :, top : top + rows, left : left + columns]
        planes = torch.nn.functional.interpolate(planes, (rows, columns), mode="bilinear")
    scores = [model.observe(model.preprocess.from_planes(part)).scores for part in torch.split(planes, 8)]
    return torch.cat([each for each in scores if each is not None]).softmax(1).cpu().numpy()

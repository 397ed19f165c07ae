"""What each stage of a network keeps of a picture, and what it would rather see: feature inversion and caricature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import streamlit as st

from interpret.filters import Drawing, FilterParams, draw
from interpret.filters.objectives import between, caricature, inversion
from interpret.images import InputImage
from interpret.jobs import Job
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from ui.controls import result_of
from ui.display import download_values, percent, picture, plain
from ui.figures import section

MOST = 6


def show_inversion(model: LoadedModel, image: InputImage, params: FilterParams) -> None:
    """A column for each chosen layer: the picture drawn back from its answers, and under it exaggerated.

    Args:
        model: the network.
        image: the picture chosen.
        params: steps, learning rate and seed are used; the method is Fourier's, at the network's own size.
    """
    params = replace(params, method="fourier", side=0, direction="positive", starts=1)
    spatial = [layer.name for layer in model.layers if layer.is_spatial]
    ends = {block.part: block.output for block in model.blocks if block.output in spatial}
    chosen = st.multiselect(
        "Layers",
        spatial,
        list(dict.fromkeys(ends.values()))[:MOST],
        max_selections=MOST,
        key=f"filters.inversion.{model.digest[:12]}",
        help="Each is drawn for itself, in the order of execution.",
    )
    if not chosen:
        st.info("Choose a layer, and your picture is drawn back from what that layer answers.")
        return
    layers = [model.layer(name) for name in spatial if name in chosen]
    columns = st.columns(len(layers) + 1, gap="small")
    with columns[0]:
        section("Your picture")
        picture(model.preprocess.seen(image), plain(image.name), f"What the network sees of {image.name}")
    drawn: dict[str, Drawing] = {}
    for number, (column, layer) in enumerate(zip(columns[1:], layers, strict=True)):
        with column:
            section(plain(layer.name))
            found = result_of(
                f"filters inversion {number}",
                ("inversion", model.digest, image.digest, layer.name, params),
                plain(layer.name),
                _drawing(model, layer, image, params),
                _growing(layer, image),
                compact=True,
            )
            if found is not None:
                drawn[layer.name] = found
                _growing(layer, image)(found)
                error = -float(found.reached[0])
                st.caption(f"Above: its answer differs from your picture's by {percent(error)}. Below: exaggerated.")
    st.caption(
        "Above, a picture grown from noise until the layer answers as it does to yours: what it shows of your picture "
        "is still there, the rest the layer has let go. The difference is the sum of squares over that of the answer "
        "(Mahendran and Vedaldi 2015, arXiv 1412.0035). Below, grown to answer more of the same: what the layer takes "
        "your picture for (Lucid's caricatures, Olah, Mordvintsev, Schubert 2017). Both are moved a little at every "
        f"step, which blurs early layers. {params.steps} steps, seed {params.seed}, {plain(model.name)}."
    )
    if len(drawn) == len(layers):
        download_values(
            "Download pictures (.npy)",
            np.stack([found.planes for found in drawn.values()]),
            "inversion",
            {
                "checkpoint": model.name,
                "model_digest": model.digest,
                "image": image.name,
                "image_digest": image.digest,
                "layers": list(drawn),
                "steps": params.steps,
                "learning_rate": params.learning_rate,
                "seed": params.seed,
                "axes": ["layers", "inversion, caricature", "height", "width", "planes"],
            },
            key="filters.inversion.download",
        )


def _drawing(
    model: LoadedModel, layer: LayerInfo, image: InputImage, params: FilterParams
) -> Callable[[], Job[Drawing]]:
    def make() -> Job[Drawing]:
        pair = between(inversion(model, layer.name, image), caricature(model, layer.name, image), [0.0, 1.0])
        return draw(model, pair, 2, params)

    return make


def _growing(layer: LayerInfo, image: InputImage) -> Callable[[Drawing], None]:
    def show(drawing: Drawing) -> None:
        for values, way in zip(drawing.pictures, ("drawn back from", "as exaggerated by"), strict=True):
            picture((values * 255).round().astype(np.uint8), "", f"{image.name} {way} {layer.name}")

    return show

"""How far to trust a map, and how a data set looks to other layers."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from interpret.jobs import Job
from interpret.latent import MapQuality, Projection, cka_matrix, embed, map_quality, overlap_matrix, project
from interpret.latent.projection import ProjectionParams
from interpret.latent.similarity import CAUTION
from interpret.layers import LayerInfo
from interpret.rendering import Scale, colour, scatter
from ui.controls import result_of
from ui.display import number, percent, plain, scale_bar
from ui.figures import figure, figures
from ui.heatmap_grid import stages
from ui.latent_colours import Colouring
from ui.latent_side import Data
from ui.latent_stands_out import quality_of


@dataclass(frozen=True, eq=False)
class AcrossLayers:
    """A data set at several layers.

    Attributes:
        layers: in the order of the network.
        maps: points [n, 2] of each.
        qualities: of each map.
        cka, overlap: float32 [layers, layers].
    """

    layers: tuple[LayerInfo, ...]
    maps: tuple[NDArray[np.float32], ...]
    qualities: tuple[MapQuality, ...]
    cka: NDArray[np.float32]
    overlap: NDArray[np.float32]


def show_trust(data: Data, projection: Projection, key: tuple[Hashable, ...]) -> None:
    """What the map keeps of the layer's neighbourhoods, in numbers and in words."""
    quality = quality_of(data, projection, key)
    if quality is None:
        return
    rows = [
        ("Trustworthiness", number(quality.trustworthiness)),
        ("Continuity", number(quality.continuity)),
        (f"Neighbours kept, of {quality.neighbors}", percent(quality.preservation)),
    ]
    if quality.layer_accuracy is not None and quality.map_accuracy is not None:
        rows.append(("Class by the neighbours, in the layer", percent(quality.layer_accuracy)))
        rows.append(("Class by the neighbours, in the map", percent(quality.map_accuracy)))
    rows.append(("Misplaced pictures", f"{int(quality.misplaced.sum()):,}"))
    st.dataframe({"": [what for what, _ in rows], "value": [value for _, value in rows]}, hide_index=True)
    st.caption(plain(quality.says, 2000))


def show_layers(data: Data, colours: Colouring, params: ProjectionParams, key: tuple[Hashable, ...]) -> None:
    """The same pictures at the last layer of each stage: their maps as small multiples, and how alike layers are."""
    wanted = tuple(layer.name for layer in stages(data.model))
    params = replace(params, dimensions=2)
    asked = ("layers", *key, wanted, params)
    if st.session_state.get("latent.layers") != asked and not st.button(
        "Compare the layers", key="latent.layers.go", help=f"Embeds the pictures at {', '.join(wanted)} in one pass."
    ):
        return
    st.session_state["latent.layers"] = asked
    found = result_of("layers", asked, "The data set across layers", lambda: _across(data, wanted, params))
    if found is None:
        return
    figures(
        [
            figure(
                scatter(points, colours.categories, None, 224),
                [
                    layer.name,
                    f"trustworthiness {number(quality.trustworthiness)}",
                    ""
                    if quality.layer_accuracy is None
                    else f"class by the neighbours {percent(quality.layer_accuracy)}",
                ],
                f"Map of the pictures at {layer.name}",
                168,
            )
            for layer, points, quality in zip(found.layers, found.maps, found.qualities, strict=True)
        ]
    )
    left, right = st.columns(2, gap="medium")
    for cell, matrix, title in ((left, found.cka, "Linear CKA, debiased"), (right, found.overlap, "Common neighbours")):
        with cell:
            st.markdown(f"###### {title}")
            names = [layer.name for layer in found.layers]
            table = {"": names, **{name: matrix[:, at].round(2).tolist() for at, name in enumerate(names)}}
            st.dataframe(table, hide_index=True)
            pixels = colour(matrix, Scale(0.0, 1.0))
            figures([figure(pixels, [], f"{title} of {len(names)} layers", 168)])
            scale_bar(Scale(0.0, 1.0), "viridis", title)
    st.caption(plain(CAUTION, 2000))


def _across(data: Data, names: tuple[str, ...], params: ProjectionParams) -> Job[AcrossLayers]:
    found = yield from embed(data.model, data.source, layers=names)
    maps, qualities = [], []
    for one in found:
        projected = yield from project(one.vectors, "umap", params)
        maps.append(projected.points)
        qualities.append((yield from map_quality(one.vectors, projected.points, one.labels, metric=params.metric)))
    cka = yield from cka_matrix([one.vectors for one in found])
    overlap = yield from overlap_matrix([one.vectors for one in found], metric=params.metric)
    return AcrossLayers(tuple(one.layer for one in found), tuple(maps), tuple(qualities), cka, overlap)

"""How far to trust a map, and how a data set looks to other layers."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from interpret.jobs import Job
from interpret.latent import MapQuality, Projection, cka_matrix, map_quality, movement, overlap_matrix
from interpret.latent.projection import ProjectionParams
from interpret.latent.similarity import CAUTION
from interpret.rendering import Scale, colour, scatter
from ui.controls import result_of
from ui.display import number, percent, plain, scale_bar
from ui.figures import figure, figures
from ui.latent_colours import Colouring
from ui.latent_side import Data
from ui.latent_stands_out import quality_of


@dataclass(frozen=True, eq=False)
class Compared:
    """How alike several views of a data set are.

    Attributes:
        qualities: of each map.
        cka, overlap: float32 [views, views].
    """

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


def show_maps(
    views: Sequence[Data],
    maps: Sequence[Projection],
    colours: Colouring,
    params: ProjectionParams,
    key: tuple[Hashable, ...],
) -> None:
    """Maps in one frame as small multiples, how far each may be trusted, and how alike the views are."""
    st.markdown("##### Side by side")
    found = result_of(
        "compared",
        ("compared", *key, params),
        "How alike they are",
        lambda: _compared(views, maps, params),
        compact=True,
    )
    lines = [[view.title] for view in views]
    for at, quality in enumerate(found.qualities if found else ()):
        lines[at].append(f"trustworthiness {number(quality.trustworthiness)}")
        if quality.layer_accuracy is not None:
            lines[at].append(f"class by the neighbours {percent(quality.layer_accuracy)}")
    figures(
        [
            figure(scatter(one.points, colours.categories, None, 224), lines[at], f"Map at {view.title}", 168)
            for at, (view, one) in enumerate(zip(views, maps, strict=True))
        ]
    )
    moved = [number(float(np.median(movement(*(one.points for one in pair)))), 2) for pair in pairwise(maps)]
    st.caption(
        "One frame for all: where a picture moves, its neighbours changed. From one map to the next half of the "
        f"pictures move by up to {', '.join(moved)} of the map's radius."
    )
    if found is None:
        return
    if len(views) == 2:
        st.markdown(
            f"Linear CKA, debiased: **{number(float(found.cka[0, 1]), 2)}**, 1 where both order the pictures alike. "
            f"Common neighbours: **{percent(float(found.overlap[0, 1]))}**."
        )
        st.caption(plain(CAUTION, 2000))
        return
    left, right = st.columns(2, gap="medium")
    for cell, matrix, title in ((left, found.cka, "Linear CKA, debiased"), (right, found.overlap, "Common neighbours")):
        with cell:
            st.markdown(f"###### {title}")
            names = [view.title for view in views]
            table = {"": names, **{name: matrix[:, at].round(2).tolist() for at, name in enumerate(names)}}
            st.dataframe(table, hide_index=True)
            pixels = colour(matrix, Scale(0.0, 1.0))
            figures([figure(pixels, [], f"{title} of {len(names)} maps", 168)])
            scale_bar(Scale(0.0, 1.0), "viridis", title)
    st.caption(plain(CAUTION, 2000))


def _compared(views: Sequence[Data], maps: Sequence[Projection], params: ProjectionParams) -> Job[Compared]:
    qualities = []
    for view, one in zip(views, maps, strict=True):
        known = view.embedded.vectors, one.points, view.embedded.labels
        qualities.append((yield from map_quality(*known, metric=params.metric)))
    vectors = [view.embedded.vectors for view in views]
    cka = yield from cka_matrix(vectors)
    overlap = yield from overlap_matrix(vectors, metric=params.metric)
    return Compared(tuple(qualities), cka, overlap)

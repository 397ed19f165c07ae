"""Pictures that stand out in a data set: clusters, the hardest, wrong, lonely, doubled and misplaced ones."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from interpret.latent import Clusters, MapQuality, Projection, clusters, map_quality, nearest_others
from interpret.latent.groups import (
    Pairs,
    Ranked,
    confident_wrong,
    hardest,
    near_duplicates,
    other_neighbours,
    outliers,
    true_classes,
)
from interpret.rendering import class_colour
from ui.cache import RESULTS
from ui.controls import result_of
from ui.display import number
from ui.latent_colours import UNKNOWN, Colouring
from ui.latent_side import Data, Marked

NEIGHBOURS, COUNT = 15, 24
SMALLEST = 25
"""A cluster has at least this part of all pictures: one in so many."""
Indices = NDArray[np.int64]


def quality_of(data: Data, projection: Projection, key: tuple[Hashable, ...]) -> MapQuality | None:
    """How far the map may be trusted; None until it is known, whose progress is shown."""
    return result_of(
        "map quality",
        ("quality", *key),
        "How far to trust the map",
        lambda: map_quality(data.embedded.vectors, projection.points, data.embedded.labels, metric=data.metric),
        compact=True,
    )


def clusters_of(data: Data, projection: Projection, key: tuple[Hashable, ...]) -> Clusters | None:
    """The clusters of the map; None until they are found, whose progress is shown."""
    labels = data.embedded.labels if data.embedded.classes else data.embedded.predictions
    classes = data.embedded.classes or data.model.labels
    return result_of(
        "clusters",
        ("clusters", *key),
        "Finding clusters",
        lambda: clusters(projection.points, labels, classes, smallest=max(10, len(labels) // SMALLEST)),
        compact=True,
    )


def cluster_colours(found: Clusters) -> Colouring:
    """Points by their cluster."""
    count = len(found.names)
    categories = np.where(found.members < 0, count, found.members).astype(np.int64)
    return Colouring(categories, (*found.names, "in no cluster"), (*(class_colour(i) for i in range(count)), UNKNOWN))


def stands_out(
    data: Data,
    projection: Projection,
    key: tuple[Hashable, ...],
    others: Mapping[tuple[Hashable, ...], Data],
) -> Marked:
    """What a person asks for, marked on the map; None where nothing is.

    Args:
        data: what the page looks at.
        projection: the map.
        key: names the map's results.
        others: all that is laid out, `data` among it, by what names the layer's results.
    """
    of_layer = next(name for name, view in others.items() if view is data)
    ways: dict[str, Callable[[], Marked]] = {
        "Wrong, most certain first": lambda: _wrong(data),
        "Hardest: highest loss": lambda: _ranked(hardest(data.embedded, COUNT), "of the highest loss in nats"),
        "Lonely in the layer": lambda: _lonely(data, of_layer),
        "Nearly the same picture": lambda: _doubled(data, of_layer),
        "Misplaced in the map": lambda: _misplaced(data, projection, key),
        "A cluster": lambda: _cluster(data, projection, key),
    }
    for name, view in others.items():
        if view is not data:
            ways[f"Other neighbours than at {view.title}"] = lambda name=name, view=view: _changed(  # type: ignore[misc]
                (data, of_layer), (view, name)
            )
    chosen = st.selectbox("What stands out", list(ways), key="latent.stands")
    return ways[chosen]()


def _ranked(found: Ranked, title: str) -> Marked:
    if not len(found.indices):
        st.caption("None.")
        return None
    return found.indices, title, found.values


def _wrong(data: Data) -> Marked:
    true = true_classes(data.embedded, data.model.labels)
    if (true < 0).all():
        st.caption("The data set says no class that the network has, so nothing is right or wrong.")
        return None
    return _ranked(confident_wrong(data.embedded, true, COUNT), "predicted wrong, by their probability")


def _neighbours(data: Data, key: tuple[Hashable, ...], at: int = 0) -> tuple[Indices, NDArray[np.float32]] | None:
    return result_of(
        f"neighbours {at}",
        ("nearest others", *key, data.metric),
        "Finding neighbours",
        lambda: nearest_others(data.embedded.vectors, NEIGHBOURS, data.metric),
        compact=True,
    )


def _lonely(data: Data, key: tuple[Hashable, ...]) -> Marked:
    found = _neighbours(data, key)
    if found is None:
        return None
    st.caption(f"Distance to the {NEIGHBOURS}th nearest over that of the neighbours: about 1 within any cluster.")
    return _ranked(outliers(*found, COUNT), "lonelier than their neighbours")


def _doubled(data: Data, key: tuple[Hashable, ...]) -> Marked:
    found = _neighbours(data, key)
    if found is None:
        return None
    pairs: Pairs = RESULTS.get_or_make(
        ("duplicates", *key, data.metric), lambda: near_duplicates(data.embedded.vectors, *found)
    )
    st.caption(
        f"{int(pairs.exact.sum()):,} pairs are the same to the layer, {int((~pairs.exact).sum()):,} more lie within "
        f"{number(pairs.threshold)}: a fifth of the usual distance to a neighbour. Pairs stand one after the other."
    )
    if not len(pairs.pairs):
        return None
    return pairs.pairs.ravel(), "in pairs that are nearly the same", np.repeat(pairs.distances, 2)


def _misplaced(data: Data, projection: Projection, key: tuple[Hashable, ...]) -> Marked:
    quality = quality_of(data, projection, key)
    if quality is None:
        return None
    found = np.flatnonzero(quality.misplaced)
    st.caption("Their neighbours in the map are others than in the layer. The number is the share that is kept.")
    order = np.argsort(quality.kept[found], kind="stable")
    return _ranked(Ranked(found[order], quality.kept[found][order]), "misplaced in the map")


def _changed(one: tuple[Data, tuple[Hashable, ...]], other: tuple[Data, tuple[Hashable, ...]]) -> Marked:
    tables = []
    for at, (view, key) in enumerate((one, other)):
        found = _neighbours(view, key, at)
        if found is None:
            return None
        tables.append(found[0])
    st.caption(f"The number is the share of the {NEIGHBOURS} nearest pictures that are others there.")
    return _ranked(other_neighbours(tables[0], tables[1], COUNT), f"whose neighbours are others at {other[0].title}")


def _cluster(data: Data, projection: Projection, key: tuple[Hashable, ...]) -> Marked:
    found = clusters_of(data, projection, key)
    if found is None:
        return None
    if not found.names:
        st.caption("The map has no clusters.")
        return None
    titles = [f"{name} · {size:,}" for name, size in zip(found.names, found.sizes, strict=True)]
    at = st.selectbox(
        "Cluster", range(len(titles)), format_func=titles.__getitem__, key=f"latent.cluster.{len(titles)}"
    )
    return np.flatnonzero(found.members == at), f"in the cluster {found.names[at]}", None

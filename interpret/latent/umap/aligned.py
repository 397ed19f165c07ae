"""UMAP of the same points at several layers, laid out together, so that a point stays where its neighbours let it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.jobs import Job, stretch
from interpret.latent.neighbours import Metric
from interpret.latent.umap.graph import fuzzy_graph, nearest_in_chunks
from interpret.latent.umap.layout import curve, epochs_for, lay_out
from interpret.latent.umap.start import Points, principal, spectral, spread_out


def aligned_umap(
    vectors: Sequence[Points],
    neighbors: int,
    min_dist: float = 0.1,
    metric: Metric = "euclidean",
    seed: int = 0,
    dimensions: int = 2,
    device: torch.device | str = "cpu",
) -> Job[Points]:
    """A map of every layer, all in one frame: float32 [layers, n, dimensions].

    Each layer has the graph that `umap` gives it. All maps start from the same places, those of the graphs' sum, and
    are laid out as one graph, in which a point's places in adjacent maps are neighbours too, tied as firmly as the two
    layers agree on its neighbourhood (see `agreement`). Only points of the same map push each other away.

    Args:
        vectors: one table for each layer, float32 [n, d] of the same n points in the same order; d may differ.
        neighbors, min_dist, metric, seed, dimensions, device: as for `umap`.

    Yields:
        Progress; while the maps are laid out its preview is the points so far, float32 [layers, n, dimensions].

    Source: umap-learn's `AlignedUMAP` and its guide, "How to use AlignedUMAP", for layouts that regularise each other;
        McInnes, Healy, Melville 2018, arXiv 1802.03426, for the rest.
    Differs: umap-learn starts each map from its own graph, turned onto the map before, and at every sampled edge draws
        both ends towards their places in the maps up to three away, in proportion to the distance. Here a tie is an
        edge: it pulls less from afar, so a point that must move does, and the others stay.
    """
    count, layers = len(vectors[0]), len(vectors)
    generator = torch.Generator(device).manual_seed(seed)
    graphs = []
    for layer, table in enumerate(vectors):
        search = nearest_in_chunks(table, neighbors, metric, device)
        found = yield from stretch(search, layer * count, (layer + 1) * count, layers * count)
        graphs.append(fuzzy_graph(*found, device))
    start = yield from spectral(sum(graphs), dimensions, generator)
    if start is None:
        start = _principal(vectors, dimensions, device)
    placed = spread_out(start, generator).repeat(layers, 1, 1)
    graph = _tied(graphs) if layers > 1 else graphs[0]
    a, b = curve(min_dist)
    points = yield from lay_out(placed, graph, epochs_for(count), a, b, generator)
    maps: Points = points.cpu().numpy()
    return maps


def agreement(one: Any, other: Any) -> NDArray[np.float32]:
    """How much of each point's neighbourhood two graphs have in common: float32 [n], 0 none, 1 all.

    2 sum_j min(w_ij, v_ij) / sum_j (w_ij + v_ij), the coefficient of Dice for fuzzy sets.

    Args:
        one, other: symmetric CSR matrices [n, n] of weights w and v from 0 to 1, as `fuzzy_graph`.

    Source: L. R. Dice 1945, "Measures of the Amount of Ecologic Association Between Species", doi 10.2307/1932409.
    Differs: umap-learn's `build_neighborhood_similarities` takes Jaccard's coefficient and leaves the weights out.
    """
    both, whole = one.minimum(other).sum(1), (one + other).sum(1)
    return np.asarray(2 * both / np.maximum(whole, 1e-12), np.float32)


def _tied(graphs: Sequence[Any]) -> Any:
    """The graphs as one, [layers * n, layers * n], with an edge between a point's places in adjacent layers."""
    from scipy import sparse

    whole = sparse.block_diag(graphs, format="csr")
    firm = np.concatenate([agreement(one, other) for one, other in pairwise(graphs)])
    ties = sparse.diags_array(firm, offsets=graphs[0].shape[0], shape=whole.shape)
    return (whole + ties + ties.T).tocsr()


def _principal(vectors: Sequence[Points], dimensions: int, device: torch.device | str) -> Points:
    """Where the layers' principal coordinates, each layer's of the same weight, vary most: float32 [n, dimensions]."""
    each = [principal(table, dimensions, device) for table in vectors]
    return principal(np.concatenate([one / np.float32(np.linalg.norm(one) + 1e-12) for one in each], 1), dimensions)

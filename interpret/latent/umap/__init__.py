"""UMAP in torch: exact neighbours, their fuzzy graph, a spectral start, and a layout by sampled edges."""

from __future__ import annotations

import numpy as np
import torch

from interpret.jobs import Job
from interpret.latent.neighbours import Metric
from interpret.latent.umap.graph import fuzzy_graph, nearest_in_chunks
from interpret.latent.umap.layout import curve, epochs_for, lay_out
from interpret.latent.umap.start import Points, principal, spectral, spread_out

__all__ = ["nearest_in_chunks", "principal", "umap"]


def umap(
    vectors: Points,
    neighbors: int,
    min_dist: float = 0.1,
    metric: Metric = "euclidean",
    seed: int = 0,
    dimensions: int = 2,
    device: torch.device | str = "cpu",
) -> Job[Points]:
    """A map that keeps neighbours together: float32 [n, dimensions].

    Args:
        vectors: float32 [n, d].
        neighbors: how many, the point itself among them; fewer than n.
        min_dist: how close points may lie.
        metric: "euclidean" or "cosine".
        seed: the same seed gives the same map on the same device.
        dimensions: of the map.
        device: where to compute.

    Yields:
        Progress; while the map is laid out its preview is the points so far, float32 [n, dimensions].

    Source: McInnes, Healy, Melville 2018, "UMAP", arXiv 1802.03426; umap-learn 0.5's defaults.
    Differs: see `lay_out` and `spectral`; neighbours are exact.
    """
    generator = torch.Generator(device).manual_seed(seed)
    indices, distances = yield from nearest_in_chunks(vectors, neighbors, metric, device)
    graph = fuzzy_graph(indices, distances, device)
    start = yield from spectral(graph, dimensions, generator)
    if start is None:
        start = principal(vectors, dimensions, device)
    a, b = curve(min_dist)
    placed = spread_out(start, generator)
    points = yield from lay_out(placed, graph, epochs_for(len(vectors)), a, b, generator)
    found: Points = points.cpu().numpy()
    return np.ascontiguousarray(found)

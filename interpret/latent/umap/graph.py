"""The weighted graph whose layout is the map: who holds on to whom, and how firmly."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.jobs import Job
from interpret.latent.neighbours import Metric, Neighbours

_HALVINGS = 64
_CLOSE_ENOUGH = 1e-5
_LEAST_SCALE = 1e-3


def nearest_in_chunks(
    vectors: NDArray[np.float32], count: int, metric: Metric, device: torch.device | str = "cpu"
) -> Job[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Every vector's nearest vectors, itself among them: see `Neighbours.all_nearest`."""
    return Neighbours.of(vectors, metric, device).all_nearest(vectors, count)


def scales(distances: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How far a neighbour may lie, for each point: scale [n] and distance of the nearest [n], both float64.

    rho_i is the least distance above zero. sigma_i solves sum_j exp(-max(0, d_ij - rho_i) / sigma_i) = log2(k) over the
    neighbours j but the first, by bisection; it is at least a thousandth of the mean distance.

    Args:
        distances: [n, k], nearest first; the first is the point itself.

    Source: McInnes, Healy, Melville 2018, "UMAP", algorithm 3, arXiv 1802.03426; umap-learn's `smooth_knn_dist`.
    """
    distances = distances.double()
    nearest_one = distances.masked_fill(distances <= 0, torch.inf).amin(1)
    nearest_one = nearest_one.masked_fill(nearest_one.isinf(), 0)
    beyond = (distances[:, 1:] - nearest_one[:, None]).clamp_min(0)
    target = float(np.log2(distances.shape[1]))
    low, high = torch.zeros_like(nearest_one), torch.full_like(nearest_one, torch.inf)
    scale, open_ = torch.ones_like(nearest_one), torch.ones_like(nearest_one, dtype=torch.bool)
    for _ in range(_HALVINGS):
        total = torch.exp(-beyond / scale[:, None]).sum(1)
        open_ = open_ & ((total - target).abs() >= _CLOSE_ENOUGH)
        if not open_.any():
            break
        above = total > target
        high = torch.where(open_ & above, scale, high)
        low = torch.where(open_ & ~above, scale, low)
        middle = torch.where(high.isinf(), 2 * scale, (low + high) / 2)
        scale = torch.where(open_, middle, scale)
    least = torch.where(nearest_one > 0, distances.mean(1), distances.mean())
    return torch.maximum(scale, _LEAST_SCALE * least), nearest_one


def fuzzy_graph(indices: NDArray[np.int64], distances: NDArray[np.float32], device: torch.device | str = "cpu") -> Any:
    """The fuzzy simplicial set of a neighbour table: a symmetric scipy.sparse CSR matrix float32 [n, n].

    A point i holds on to its neighbour j with exp(-max(0, d_ij - rho_i) / sigma_i), and not to itself. An edge is as
    firm as either of its ends makes it, w_ij + w_ji - w_ij w_ji: the probability that one of the two is there.

    Args:
        indices: int64 [n, k].
        distances: float32 [n, k], nearest first.
        device: where to compute.

    Source: McInnes, Healy, Melville 2018, "UMAP", algorithms 1 and 2; umap-learn's `fuzzy_simplicial_set`.
    """
    from scipy import sparse

    count, width = indices.shape
    apart = torch.from_numpy(distances).to(device)
    scale, nearest_one = scales(apart)
    beyond = (apart - nearest_one[:, None]).clamp_min(0)
    firm = torch.where(beyond > 0, torch.exp(-beyond / scale[:, None]), 1.0).float().cpu().numpy()
    firm[indices == np.arange(count)[:, None]] = 0
    rows = np.repeat(np.arange(count), width)
    directed = sparse.csr_array((firm.ravel(), (rows, indices.ravel())), shape=(count, count))
    graph = directed + directed.T - directed * directed.T
    graph.eliminate_zeros()
    return graph.tocsr()

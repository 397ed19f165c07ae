"""Laying out a weighted graph: neighbours attract each other, everything else repels."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch

from interpret.jobs import Job, Progress

PARTS = 4
"""In how many parts an epoch's edges are applied. In one, points overshoot, and the map is worse."""
NEGATIVES = 5
CLIP = 4.0
_NEAR = 1e-3
_SAMPLES_BETWEEN = 2 * 10**6
_STEPS_BETWEEN = 10


@lru_cache
def curve(min_dist: float, spread: float = 1.0) -> tuple[float, float]:
    """a and b of the curve 1 / (1 + a x^(2b)) nearest to 1 below min_dist and exp(-(x - min_dist) / spread) above.

    Source: umap-learn's `find_ab_params`: least squares at 300 places from 0 to 3 spread.
    """
    from scipy.optimize import curve_fit

    places = np.linspace(0, 3 * spread, 300)
    wanted = np.where(places < min_dist, 1.0, np.exp(-(places - min_dist) / spread))
    (a, b), _ = curve_fit(lambda x, a, b: 1 / (1 + a * x ** (2 * b)), places, wanted)
    return float(a), float(b)


def attraction(squared: torch.Tensor, a: float, b: float) -> torch.Tensor:
    """What to multiply y_i - y_j by to step down -log q, q = 1 / (1 + a s^b): -2 a b s^(b - 1) / (1 + a s^b).

    Args:
        squared: s = |y_i - y_j|^2, above zero.
        a, b: of the curve.
    """
    power = squared.pow(b - 1)
    return power.mul(-2 * a * b).div_(power.mul(squared).mul_(a).add_(1))


def repulsion(squared: torch.Tensor, a: float, b: float) -> torch.Tensor:
    """What to multiply y_i - y_j by to step down -log(1 - q): 2 b / ((0.001 + s) (1 + a s^b)).

    Args:
        squared: s = |y_i - y_j|^2.
        a, b: of the curve.
    """
    return squared.pow(b).mul_(a).add_(1).mul_(squared + _NEAR).reciprocal_().mul_(2 * b)


def due(share: torch.Tensor, epoch: int) -> torch.Tensor:
    """Which edges an epoch samples, as indices [m]: each in its share of the epochs, evenly.

    Edge e is sampled where floor(epoch * share_e) grows; so far it was sampled floor(epoch * share_e) times.

    Args:
        share: [edges], weight by the largest weight.
        epoch: from 1.

    Source: umap-learn's `make_epochs_per_sample`, and `epoch_of_next_sample` in its layout.
    """
    return ((share * epoch).frac_() < share).nonzero()[:, 0]


def epochs_for(count: int) -> int:
    """How long to lay out so many points: 500 epochs up to 10,000 and 200 above (as umap-learn)."""
    return 500 if count <= 10_000 else 200


def lay_out(
    start: torch.Tensor, graph: Any, epochs: int, a: float, b: float, generator: torch.Generator
) -> Job[torch.Tensor]:
    """The map, or several of the same n points at once: of the start's shape, on the generator's device.

    In each epoch an edge (i, j) that is due draws i and j together, down the gradient of -log q_ij, and pushes i away
    from five random points k of its own map, down that of -log(1 - q_ik). Each coordinate of a gradient is clipped at
    4; the step shrinks from 1 to 0.

    Args:
        start: float32 [n, dimensions], or [maps, n, dimensions].
        graph: symmetric CSR matrix of weights, [n, n] or [maps * n, maps * n]; edges may join maps.
        epochs: how many.
        a, b: of the curve q = 1 / (1 + a |y_i - y_j|^(2b)).
        generator: draws the order of the edges and the points to push from.

    Yields:
        Progress in epochs, with the points so far, float32 of the start's shape, as its preview.

    Source: McInnes, Healy, Melville 2018, "UMAP", algorithm 5; umap-learn's `optimize_layout_euclidean`.
    Differs: umap-learn moves points edge by edge. Here an epoch's edges, in random order, are applied in four parts.
    """
    device, count = generator.device, start.shape[-2]
    edges = graph.tocoo()
    firm = edges.data >= edges.data.max() / epochs
    order = torch.randperm(int(firm.sum()), generator=generator, device=device)
    head, tail = (torch.from_numpy(end[firm].astype(np.int64)).to(device)[order] for end in (edges.row, edges.col))
    first = head - head % count  # point of the head's own map
    share = torch.from_numpy(edges.data[firm] / edges.data.max()).to(device)[order]
    points = start.flatten(0, -2).T.contiguous()
    between = int(min(max(_SAMPLES_BETWEEN // (float(share.sum()) * (1 + NEGATIVES)), 1), _STEPS_BETWEEN))
    for epoch in range(1, epochs):
        if (epoch - 1) % between == 0:
            yield Progress(epoch - 1, epochs, "laying out the map", points.T.cpu().numpy().copy().reshape(start.shape))
        step = 1 - (epoch - 1) / epochs
        for part in due(share, epoch).chunk(PARTS):
            ends = head.index_select(0, part), tail.index_select(0, part)
            others = torch.randint(count, (NEGATIVES, len(part)), generator=generator, device=device)
            others += first.index_select(0, part)
            points.add_(moves(points, *ends, others, a, b), alpha=step)
    return points.T.contiguous().view(start.shape)


def moves(
    points: torch.Tensor, head: torch.Tensor, tail: torch.Tensor, others: torch.Tensor, a: float, b: float
) -> torch.Tensor:
    """Where some edges and their negatives move the points, for a step of 1: [dimensions, n].

    Args:
        points: [dimensions, n].
        head, tail: the edges' ends, int64 [m].
        others: the points each head is pushed from, int64 [negatives, m].
        a, b: of the curve.
    """
    here = points.index_select(1, head)
    apart = here - points.index_select(1, tail)
    pull = attraction(apart.square().sum(0).clamp_min_(1e-12), a, b).mul(apart).clamp_(-CLIP, CLIP)
    apart = points.index_select(1, others.flatten()).view(len(points), *others.shape).neg_().add_(here[:, None])
    push = apart.mul_(repulsion(apart.square().sum(0), a, b)).clamp_(-CLIP, CLIP).sum(1)
    total = torch.zeros_like(points)
    _add(total, head, push.add_(pull))
    _add(total, tail, pull.neg_())
    return total


def _add(total: torch.Tensor, index: torch.Tensor, values: torch.Tensor) -> None:
    """Adds values [dimensions, m] to columns [m] of a total [dimensions, n], every time in the same order."""
    if total.device.type == "cpu":
        total.index_add_(1, index, values)
    else:  # sorts; index_add_ adds in whatever order a GPU's threads come
        axes = torch.arange(len(total), device=total.device)[:, None]
        total.index_put_((axes, index), values, accumulate=True)

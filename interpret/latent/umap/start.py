"""Where the points of a map stand before it is laid out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from interpret.jobs import Job, Progress

Points = NDArray[np.float32]
Product = Callable[[torch.Tensor], torch.Tensor]
_DEGREE = 20
_ROUNDS = 40
_CLOSE_ENOUGH = 1e-3
_SPARE = 5
_SIDE = 10.0
_NOISE = 1e-4
_ROWS = 2**16
"""Vectors at once in float64."""


def principal(vectors: Points, dimensions: int, device: torch.device | str = "cpu") -> Points:
    """Coordinates along the directions of largest variance: float32 [n, dimensions], each direction's sign fixed by its
    largest loading (as in scikit-learn); zero where the vectors have fewer directions.

    Args:
        vectors: float32 [n, d].
        dimensions: how many directions.
        device: where to compute, in float64.
    """
    middle = torch.from_numpy(vectors.mean(0, dtype=np.float64)).to(device)

    def centred(some: Points) -> torch.Tensor:
        return torch.from_numpy(some.astype(np.float64)).to(device) - middle

    rows = [vectors[at : at + _ROWS] for at in range(0, len(vectors), _ROWS)]
    if len(vectors) >= vectors.shape[1]:
        products = sum((part.T @ part for part in map(centred, rows)), torch.zeros((), device=device))
        axes = torch.linalg.eigh(products)[1].T.flip(0)[:dimensions]
    else:  # the same directions from the smaller matrix of products
        table = centred(vectors)
        turn = torch.linalg.eigh(table @ table.T)[1].T.flip(0)[:dimensions]
        axes = torch.nn.functional.normalize(turn @ table)
    signs = axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    points: Points = torch.cat([(centred(part) @ (axes * signs).T).float().cpu() for part in rows]).numpy()
    return np.pad(points, ((0, 0), (0, dimensions - len(axes))))


def spectral(graph: Any, dimensions: int, generator: torch.Generator) -> Job[Points | None]:
    """The slowest ways a graph can swing: float32 [n, dimensions], or None where they were not found.

    Eigenvectors of S = D^-1/2 W D^-1/2 for its largest eigenvalues after 1, which are those of the normalised Laplacian
    I - S for its smallest: W the weights, D the diagonal of their sums. Found by subspace iteration: a Chebyshev
    polynomial of S, small on [-1, c], is applied to a few random vectors, which are then made orthogonal and turned by
    the eigenvectors of S among them; c is the least eigenvalue among them.

    Args:
        graph: symmetric CSR matrix [n, n]. One in several parts has no such ways: the answer is None.
        dimensions: how many.
        generator: draws the first vectors.

    Yields:
        Progress after every polynomial.

    Source: Belkin, Niyogi 2003, "Laplacian Eigenmaps"; Zhou, Saad, Tiago, Chelikowsky 2006, "Self-consistent-field
    calculations using Chebyshev-filtered subspace iteration".
    Differs: umap-learn takes ARPACK's eigenvectors, which cannot be interrupted, and lays out parts one by one.
    """
    from scipy import sparse
    from scipy.sparse import csgraph

    count, block = graph.shape[0], dimensions + _SPARE
    if count <= 4 * block or csgraph.connected_components(graph, directed=False)[0] > 1:
        return None
    device = generator.device
    strength = np.sqrt(np.asarray(graph.sum(1)).ravel())
    swing = (sparse.diags_array(1 / strength) @ graph @ sparse.diags_array(1 / strength)).tocsr().astype(np.float32)
    times = _times(swing, device)
    still = torch.from_numpy((strength / np.linalg.norm(strength)).astype(np.float64)[:, None]).to(device)
    found = torch.randn(count, block, generator=generator, device=device)
    cut = 0.0
    for _ in range(_ROUNDS):
        yield Progress(0, None, "finding where to start")
        # of tall matrices float32 leaves four digits
        ways = _filtered(times, found, cut).double()
        ways = torch.linalg.qr(ways - still @ (still.T @ ways)).Q
        swung = times(ways.float()).double()
        values, turn = torch.linalg.eigh(ways.T @ swung)
        values, turn = values.flip(0), turn.flip(1)
        found, swung = (ways @ turn).float(), swung @ turn
        wrong = (swung - found * values).norm(dim=0)[:dimensions]
        if bool((wrong < _CLOSE_ENOUGH * (1 - values[:dimensions]).clamp_min(_CLOSE_ENOUGH)).all()):
            points: Points = found[:, :dimensions].cpu().numpy()
            return points
        cut = min(max(float(values[-1]), 0.0), 0.999)
    return None


def _times(matrix: Any, device: torch.device) -> Product:
    """A product with a CSR matrix [n, n], for tensors [n, b] on a device, each sum in the order of the columns.

    (cuSPARSE, which torch's own sparse product calls, adds in whatever order its threads come.)
    """
    parts = (matrix.indices, matrix.indptr, matrix.data)
    columns, starts, weights = (torch.from_numpy(part).to(device) for part in parts)
    return lambda vectors: functional.embedding_bag(
        columns, vectors, starts, mode="sum", per_sample_weights=weights, include_last_offset=True
    )


def _filtered(times: Product, vectors: torch.Tensor, cut: float) -> torch.Tensor:
    """The Chebyshev polynomial of degree _DEGREE of a matrix, times vectors [n, b].

    It is at most 1 in size for eigenvalues in [-1, cut] and grows fast above; the answer is scaled.
    """
    centre, half = (cut - 1) / 2, (cut + 1) / 2
    before, now = vectors, (times(vectors) - centre * vectors) / half
    for _ in range(_DEGREE - 1):
        before, now = now, 2 / half * (times(now) - centre * now) - before
    size = float(now.abs().max())
    return now / size if np.isfinite(size) and size > 0 else vectors


def spread_out(points: Points, generator: torch.Generator) -> torch.Tensor:
    """A start on the generator's device: [n, dimensions] with every side from 0 to 10 and a little noise.

    Args:
        points: [n, dimensions].
        generator: draws the noise, of deviation 0.0001 before the sides are stretched, so that no two points coincide.
    """
    device = generator.device
    placed = torch.from_numpy(np.ascontiguousarray(points, np.float32)).to(device)
    placed = _SIDE * placed / placed.abs().max().clamp_min(1e-12)
    placed = placed + _NOISE * torch.randn(placed.shape, generator=generator, device=device)
    low, high = placed.amin(0), placed.amax(0)
    return (placed - low) / (high - low) * _SIDE

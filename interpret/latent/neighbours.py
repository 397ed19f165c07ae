"""Exact nearest neighbours by matrix products."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

Metric = Literal["euclidean", "cosine"]
_CHUNK = 4096
_SPARE = 8
_NUMBERS = 2**24


def nearest(
    queries: NDArray[np.float32],
    vectors: NDArray[np.float32],
    count: int,
    metric: Metric = "euclidean",
    device: torch.device | str = "cpu",
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The nearest vectors of every query, nearest first: indices int64 [m, count] and distances float32 [m, count].

    Args:
        queries: float32 [m, d].
        vectors: float32 [n, d]; a query among them finds itself first.
        count: how many, at most n.
        metric: "euclidean", or "cosine": 1 - cosine of the angle.
        device: where to compute.
    """
    table = torch.from_numpy(np.array(vectors)).to(device)
    asked = torch.from_numpy(np.array(queries)).to(device)
    if metric == "cosine":  # 1 - cosine is half the squared distance of vectors of length 1
        table, asked = torch.nn.functional.normalize(table), torch.nn.functional.normalize(asked)
    centre = table.mean(0)  # no distance changes, and fewer digits are lost
    table, asked = table - centre, asked - centre
    count = min(count, len(table))
    indices, distances = [], []
    for chunk in torch.split(asked, _CHUNK):
        _, index = torch.cdist(chunk, table).topk(min(count + _SPARE, len(table)), largest=False)
        index, apart = _ordered(chunk, table, index)
        indices.append(index[:, :count].cpu())
        distances.append((apart[:, :count].square() / 2 if metric == "cosine" else apart[:, :count]).cpu())
    return torch.cat(indices).numpy(), torch.cat(distances).numpy()


def _ordered(asked: torch.Tensor, table: torch.Tensor, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Neighbours [m, k] nearest first, and how far they are: from differences, where products are too coarse."""
    rows = max(1, _NUMBERS // (index.shape[1] * table.shape[1]))
    parts = zip(torch.split(asked, rows), torch.split(index, rows), strict=True)
    apart = torch.cat([(some[:, None] - table[near]).norm(dim=2) for some, near in parts])
    apart, order = apart.sort(stable=True, dim=1)
    return index.gather(1, order), apart

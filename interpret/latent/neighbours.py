"""Exact nearest neighbours by matrix products."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

Metric = Literal["euclidean", "cosine"]
_CHUNK = 4096


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
    if metric == "cosine":
        table, asked = torch.nn.functional.normalize(table), torch.nn.functional.normalize(asked)
    count = min(count, len(table))
    indices, distances = [], []
    for start in range(0, len(asked), _CHUNK):
        chunk = asked[start : start + _CHUNK]
        if metric == "cosine":
            apart = 1 - chunk @ table.T
        else:
            apart = torch.cdist(chunk, table)
        near, index = apart.topk(count, largest=False)
        indices.append(index.cpu())
        distances.append(near.clamp_min(0).cpu())
    return torch.cat(indices).numpy(), torch.cat(distances).numpy()

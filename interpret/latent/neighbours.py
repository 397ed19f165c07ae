"""Exact nearest neighbours by matrix products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.jobs import Job, Progress

Metric = Literal["euclidean", "cosine"]
_SPARE = 8
_BLOCK = 64
_SAMPLE = 1000
_NUMBERS = {"cpu": 2**23, "cuda": 2**28}
"""Distances at once: on a CPU few enough to stay near its cores between the product and the search."""
_MULTIPLICATIONS = {"cpu": 10**10, "cuda": 10**13}
"""Between two steps of a job: less than half a second of two cores."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Vectors made ready, once, to be asked for the nearest of them: see `of`."""

    metric: Metric
    table: torch.Tensor
    centre: torch.Tensor
    lengths: torch.Tensor

    @classmethod
    def of(cls, vectors: NDArray[Any], metric: Metric = "euclidean", device: torch.device | str = "cpu") -> Neighbours:
        """Of vectors, float32 or float16 [n, d].

        Args:
            vectors: [n, d].
            metric: "euclidean", or "cosine": 1 - cosine of the angle.
            device: where to compute.
        """
        table = _ready(vectors, metric, torch.device(device))
        centre = table.mean(0)  # no distance changes, and fewer digits are lost
        table.sub_(centre)
        return cls(metric, table, centre, table.square().sum(1))

    def __len__(self) -> int:
        return len(self.table)

    def nearest(self, queries: NDArray[Any], count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The nearest vectors of every query, nearest first: indices int64 [m, k] and distances float32 [m, k].

        Args:
            queries: [m, d]; one that is among the vectors finds itself first.
            count: how many; k is at most n.
        """
        return self._nearest(_ready(queries, self.metric, self.table.device).sub_(self.centre), count)

    def usual_distance(self, share: float = 0.99) -> float:
        """Within what distance this share of the vectors have another; counted over a thousand of them, evenly taken.

        Args:
            share: 0 to 1.
        """
        rows = torch.linspace(0, len(self) - 1, min(len(self), _SAMPLE)).long()
        _, apart = self._nearest(self.table[rows.to(self.table.device)], 2)
        return float(np.quantile(apart[:, -1], share))

    def _nearest(self, asked: torch.Tensor, count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        count = min(count, len(self))
        indices, distances = [], []
        for some in torch.split(asked, max(1, _NUMBERS[_kind(asked)] // len(self))):
            index, apart = self._ordered(some, self._candidates(some, min(count + _SPARE, len(self))))
            indices.append(index[:, :count].cpu())
            distances.append((apart[:, :count].square() / 2 if self.metric == "cosine" else apart[:, :count]).cpu())
        return torch.cat(indices).numpy(), torch.cat(distances).numpy()

    def all_nearest(self, vectors: NDArray[Any], count: int) -> Job[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """`nearest` of many queries as a job, such as of the vectors themselves.

        Yields:
            Progress in queries.
        """
        rows = max(64, _MULTIPLICATIONS[_kind(self.table)] // max(self.table.numel(), 1))
        parts = []
        for start in range(0, len(vectors), rows):
            yield Progress(start, len(vectors), "finding neighbours")
            parts.append(self.nearest(vectors[start : start + rows], count))
        indices, distances = zip(*parts, strict=True)
        return np.concatenate(indices), np.concatenate(distances)

    def _candidates(self, asked: torch.Tensor, count: int) -> torch.Tensor:
        """The nearest by |y|^2 - 2 x y, the squared distance but for what is the same in a row: int64 [m, count].

        The nearest of a long row lie in the blocks whose least distances are least, as many blocks as are wanted: only
        the blocks' minima are searched, and then those blocks.
        """
        blocks = -(-len(self) // _BLOCK)
        if blocks <= 2 * count:
            return torch.addmm(self.lengths, asked, self.table.T, alpha=-2).topk(count, largest=False).indices
        apart = asked.new_empty(len(asked), blocks * _BLOCK)
        apart[:, len(self) :] = torch.inf
        torch.addmm(self.lengths, asked, self.table.T, alpha=-2, out=apart[:, : len(self)])
        apart = apart.view(len(asked), blocks, _BLOCK)
        block = apart.amin(2).topk(count, largest=False).indices
        within = apart.gather(1, block[:, :, None].expand(-1, -1, _BLOCK)).flatten(1)
        place = within.topk(count, largest=False).indices
        return block.gather(1, place // _BLOCK) * _BLOCK + place % _BLOCK

    def _ordered(self, asked: torch.Tensor, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Neighbours [m, k] nearest first, and how far they are: from differences, where products are too coarse."""
        rows = max(1, _NUMBERS[_kind(asked)] // (index.shape[1] * max(1, asked.shape[1])))
        parts = zip(torch.split(asked, rows), torch.split(index, rows), strict=True)
        apart = torch.cat([(some[:, None] - self.table[near]).norm(dim=2) for some, near in parts])
        apart, order = apart.sort(stable=True, dim=1)
        return index.gather(1, order), apart


def nearest(
    queries: NDArray[Any],
    vectors: NDArray[Any],
    count: int,
    metric: Metric = "euclidean",
    device: torch.device | str = "cpu",
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The nearest vectors of every query: `Neighbours.of(vectors, metric, device).nearest(queries, count)`."""
    return Neighbours.of(vectors, metric, device).nearest(queries, count)


def _ready(vectors: NDArray[Any], metric: Metric, device: torch.device) -> torch.Tensor:
    """A copy on the device, float32; of length 1 for cosine, whose distance is half the squared one of those."""
    table = torch.from_numpy(np.array(vectors, np.float32)).to(device)
    return torch.nn.functional.normalize(table) if metric == "cosine" else table


def _kind(tensor: torch.Tensor) -> str:
    return "cuda" if tensor.is_cuda else "cpu"

"""Exact distances in float64, a few rows at a time: what neighbourhoods are counted in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.errors import BadInput
from interpret.jobs import Job, Progress
from interpret.latent.neighbours import Metric

Indices = NDArray[np.int64]
Floats = NDArray[np.float32]
Vectors = NDArray[Any]
"""float32 or float16 [n, d]"""
T = TypeVar("T", bound=np.generic)

_NUMBERS, _WORK = {"cpu": 2**21, "cuda": 2**25}, {"cpu": 2**31, "cuda": 2**37}
"""Distances at once, and multiplications for them: a fraction of a second of a slow CPU."""
_HELD = 2**23
"""Up to so many numbers a table is kept in float64 (64 MB); a larger one is converted a few rows at a time."""
_TILE = 2**20
_SAME = 1e-13
"""Squared distances below this share of the squared lengths are rounding: float32 does not tell such vectors apart."""


class Distances:
    """How far the rows of a table lie from each other.

    Args:
        vectors: float32 or float16 [n, d].
        metric: "euclidean", or "cosine": 1 - cosine of the angle, 1 from and to a vector of zeros.
        device: where to compute; on the CPU where a device has no float64 (Apple's).

    Raises:
        BadInput: vectors that are not finite numbers, or fewer than 3.
    """

    def __init__(self, vectors: Vectors, metric: Metric = "euclidean", device: torch.device | str = "cpu") -> None:
        if vectors.ndim != 2 or len(vectors) < 3 or not np.isfinite(vectors).all():
            raise BadInput(f"Neighbourhoods need at least 3 pictures with finite vectors; found {len(vectors)}.")
        self.device = in_double(device)
        self.metric = metric
        self._vectors = vectors
        # No distance changes and fewer digits are lost; to 8 bits, so that equal distances stay equal.
        mantissa, exponent = np.frexp(vectors.mean(0, dtype=np.float64))
        self._centre = np.ldexp(np.round(mantissa * 256) / 256, exponent)
        self._table: torch.Tensor | None = None
        if vectors.size <= _HELD or self.device.type == "cuda":
            self._table = self._part(slice(None))
        self._square = metric == "euclidean"
        self._lengths = torch.cat([rows.square().sum(1) for _, rows in self._tiles()])

    def __len__(self) -> int:
        return len(self._vectors)

    def parts(self, rows: Indices) -> Iterator[Indices]:
        """Rows in parts of as many as are computed at once."""
        kind = "cuda" if self.device.type == "cuda" else "cpu"
        size = min(_NUMBERS[kind] // len(self), _WORK[kind] // max(1, self._vectors.size))
        return (rows[start : start + max(1, size)] for start in range(0, len(rows), max(1, size)))

    def of(self, rows: Indices) -> torch.Tensor:
        """From some rows to all: float64 [rows, n], squared where euclidean; infinite to themselves."""
        asked = self._part(rows)
        found = torch.empty((len(rows), len(self)), dtype=torch.float64, device=self.device)
        for start, tile in self._tiles():
            part = found[:, start : start + len(tile)]
            if self._square and tile.shape[1] <= 3:  # a map: nothing is gained by products, and digits are lost
                part.zero_()
                for one, others in zip(asked.T, tile.T, strict=True):
                    part += (one[:, None] - others).square_()
                continue
            torch.mm(asked, tile.T, out=part)
            if self._square:
                lengths = self._lengths[start : start + len(tile)] + asked.square().sum(1, keepdim=True)
                part.mul_(-2).add_(lengths)
                part[part < lengths.mul_(_SAME)] = 0
            else:
                part.neg_().add_(1)
                part[part < _SAME] = 0
        found[torch.arange(len(rows)), torch.from_numpy(rows)] = torch.inf
        return found

    def _tiles(self) -> Iterator[tuple[int, torch.Tensor]]:
        """(first row, rows ready for products), one after the other."""
        if self._table is not None:
            yield 0, self._table
            return
        size = max(1, _TILE // self._vectors.shape[1])
        for start in range(0, len(self), size):
            yield start, self._part(slice(start, start + size))

    def _part(self, rows: Indices | slice) -> torch.Tensor:
        """Some rows, float64: less the mean, or of length 1."""
        if self._table is not None:
            return self._table[rows if isinstance(rows, slice) else torch.from_numpy(rows)]
        part = torch.from_numpy(self._vectors[rows].astype(np.float64))
        if self.metric == "cosine":
            part = torch.nn.functional.normalize(part)
        else:
            part -= torch.from_numpy(self._centre)
        return part.to(self.device)


def in_double(device: torch.device | str) -> torch.device:
    """The device, or the CPU where it has no float64."""
    device = torch.device(device)
    return torch.device("cpu") if device.type == "mps" else device


def closest(apart: torch.Tensor, count: int) -> torch.Tensor:
    """The places of the `count` smallest of every row, int64 [m, count] in any order; of equal ones the first.

    Args:
        apart: [m, n].
        count: fewer than n.
    """
    least, places = apart.topk(count + 1, largest=False)
    edge, places = least[:, count - 1 : count], places[:, :count]
    tied = least[:, count] == edge[:, 0]
    if tied.any():
        some, edge = apart[tied], edge[tied]
        order = torch.arange(apart.shape[1], dtype=apart.dtype, device=apart.device)
        order = torch.where(some < edge, -1, torch.where(some == edge, order, torch.inf))
        places[tied] = order.topk(count, largest=False).indices
    return places


def ranks(apart: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """How many-th nearest each place of its row is, from 1: int64 [m, k]; of equal ones the first comes first.

    Without sorting rows: the rank of a neighbour is a count of nearer points.

    Args:
        apart: [m, n].
        places: int64 [m, k].
    """
    if apart.is_cpu:  # row by row what is compared stays in the cache: 40 times faster
        rows = zip(apart.numpy(), places.numpy(), strict=True)
        count = np.count_nonzero
        return torch.tensor(
            [[1 + count(row < row[one]) + count(row[:one] == row[one]) for one in some] for row, some in rows]
        )
    return _ranks_at_once(apart, places)


def _ranks_at_once(apart: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """The same on a device, a neighbour of all rows at a time."""
    order = torch.arange(apart.shape[1], device=apart.device)
    found = torch.ones_like(places)
    for column in range(places.shape[1]):
        place = places[:, column : column + 1]
        here = apart.gather(1, place)
        found[:, column] += (apart < here).sum(1) + ((apart == here) & (order < place)).sum(1)
    return found


def nearest_others(
    vectors: Vectors, count: int, metric: Metric = "euclidean", device: torch.device | str = "cpu"
) -> Job[tuple[Indices, Floats]]:
    """The nearest others of every vector, nearest first: indices int64 [n, k] and distances float32 [n, k], read-only.

    Unlike `nearest` a job that can be cancelled, and exact to float64; of equally far ones the first comes first.

    Args:
        vectors: [n, d].
        count: how many; k is at most n - 1.
        metric: "euclidean" or "cosine".
        device: where to compute.

    Yields:
        Progress in pictures.
    """
    distances = Distances(vectors, metric, device)
    count = min(count, len(vectors) - 1)
    indices = np.empty((len(vectors), count), np.int64)
    apart = np.empty((len(vectors), count), np.float32)
    yield Progress(0, len(vectors), "finding neighbours")
    for rows in distances.parts(np.arange(len(vectors))):
        found = distances.of(rows)
        places = closest(found, count).sort(1).values
        far, order = found.gather(1, places).sort(dim=1, stable=True)
        indices[rows] = places.gather(1, order).cpu().numpy()
        apart[rows] = (far.sqrt() if metric == "euclidean" else far).cpu().numpy()
        yield Progress(int(rows[-1]) + 1, len(vectors), "finding neighbours")
    return read_only(indices), read_only(apart)


def read_only(array: NDArray[T]) -> NDArray[T]:
    """The array, after which it cannot be written to."""
    array.flags.writeable = False
    return array

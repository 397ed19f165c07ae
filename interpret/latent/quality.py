"""How far a map may be trusted: which neighbourhoods of the layer it keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.errors import BadInput
from interpret.jobs import Job, Progress
from interpret.latent.distances import Distances, Floats, Indices, Vectors, closest, ranks, read_only
from interpret.latent.neighbours import Metric

CAUTION = (
    "Only neighbourhoods are compared: how far clusters lie apart in the map, and how large they are, does not mean "
    "much in UMAP."
)


@dataclass(frozen=True, eq=False)
class MapQuality:
    """How well a map of n pictures keeps the neighbourhoods of the layer. All arrays are read-only.

    Attributes:
        trustworthiness: whether neighbours in the map are near in the layer, 0..1; about 0.5 by chance.
        continuity: whether neighbours in the layer are near in the map, 0..1; about 0.5 by chance.
        preservation: the mean share of a picture's k nearest in the layer that are among its k nearest in the map,
            0..1; k / (n - 1) by chance.
        layer_accuracy, map_accuracy: the share of labelled pictures whose label is the one that most of the k nearest
            labelled others have, in the layer and in the map; None where fewer than two pictures have labels.
        kept: float32 [n], the share for each picture, 0..1; NaN where it was not asked for.
        misplaced: bool [n]: in the layer the vote is right and in the map it is wrong; or among the hundredth of
            pictures that keep the fewest neighbours, and fewer than the middle one.
        asked: int64 [m], the pictures whose neighbourhoods were compared, ascending; each with all n.
        neighbors: k.
        metric: what counts as near in the layer.
    """

    trustworthiness: float
    continuity: float
    preservation: float
    layer_accuracy: float | None
    map_accuracy: float | None
    kept: Floats
    misplaced: NDArray[np.bool_]
    asked: Indices
    neighbors: int
    metric: Metric

    @property
    def says(self) -> str:
        """What the numbers mean, for people."""
        of = "" if len(self.asked) == len(self.kept) else f" (asked for {len(self.asked):,} of {len(self.kept):,})"
        votes = ""
        if self.layer_accuracy is not None and self.map_accuracy is not None:
            votes = (
                f" Asking the nearest pictures for the class is right for {self.layer_accuracy:.0%} in the layer and "
                f"for {self.map_accuracy:.0%} in the map."
            )
        return (
            f"Of the {self.neighbors} pictures nearest to a picture in the layer, the map keeps "
            f"{self.preservation:.0%} among its {self.neighbors} nearest{of}. "
            f"Trustworthiness {self.trustworthiness:.2f}: below 1, pictures stand together that the layer does not "
            f"find alike. Continuity {self.continuity:.2f}: below 1, pictures stand apart that the layer finds alike. "
            f"A random map has 0.50.{votes} {CAUTION}"
        )


def movement(one: Floats, other: Floats) -> Floats:
    """How far each point moves between two maps in one frame: float32 [n], by the mean of the maps' radii.

    A radius is the root of the mean squared distance from the mean point.

    Args:
        one, other: float32 [n, dimensions], of `align`.
    """
    radius = np.mean([np.sqrt(points.var(0).sum()) for points in (one, other)])
    found: Floats = np.linalg.norm(other - one, axis=1) / max(radius, 1e-12)
    return found


def map_quality(
    vectors: Vectors,
    points: Floats,
    labels: Indices | None = None,
    neighbors: int = 15,
    metric: Metric = "euclidean",
    most: int = 5000,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Job[MapQuality]:
    """How well a map keeps the neighbourhoods of the vectors it was made of.

    With r(i, j) the rank of j among all others by their distance from i in the layer, N(i) the k nearest in the layer,
    s(i, j) and M(i) the same in the map, and c = 2 / (m k (2 n - 3 k - 1)) over the m pictures i that are asked:

        trustworthiness = 1 - c * sum over i, over j in M(i), of max(0, r(i, j) - k)
        continuity      = 1 - c * sum over i, over j in N(i), of max(0, s(i, j) - k)
        kept(i)         = |N(i) and M(i)| / k

    Args:
        vectors: [n, d], as `Embedding.vectors`.
        points: float32 [n, 2 or 3], the map.
        labels: int64 [n], class of each picture, below zero where it is not known; None where none is.
        neighbors: k, 1 or more; where that is not less than n / 2, the largest number that is.
        metric: what counts as near in the layer; in the map always euclidean.
        most: with more pictures so many are asked, drawn by chance; each still against all.
        seed: of the draw.
        device: where to compute.

    Yields:
        Progress in pictures.

    Raises:
        BadInput: not one point and label for each vector, too few of them, or no numbers.

    Source: J. Venna, S. Kaski 2001, "Neighborhood Preservation in Nonlinear Projection Methods", ICANN,
        doi 10.1007/3-540-44668-0_68; "Local multidimensional scaling", 2006, doi 10.1016/j.neunet.2006.05.014.
    Differs: of equally far pictures the first counts as nearer, in layer and map alike, as in a stable sort.
    """
    count = len(vectors)
    if len(points) != count or (labels is not None and len(labels) != count) or neighbors < 1 or most < 1:
        raise BadInput(
            f"A map is judged by a point and a label for each vector and 1 neighbour or more; found {count:,} vectors, "
            f"{len(points):,} points, {'no' if labels is None else f'{len(labels):,}'} labels, {neighbors} neighbours."
        )
    yield Progress(0, None, "reading the vectors")
    layer, flat = Distances(vectors, metric, device), Distances(points, "euclidean", device)
    k = min(neighbors, (count - 1) // 2)
    draw = np.random.default_rng(seed)
    asked = np.arange(count) if count <= most else np.sort(draw.choice(count, most, replace=False))
    of_layer = _Side(count, k, labels)
    of_map = _Side(count, k, labels)
    kept = np.full(count, np.nan, np.float32)
    done = 0
    for rows in layer.parts(asked):
        in_layer, in_map = layer.of(rows), flat.of(rows)
        near, seen = closest(in_layer, k), closest(in_map, k)
        in_layer_ranks, in_map_ranks = ranks(in_layer, seen), ranks(in_map, near)
        kept[rows] = (in_layer_ranks <= k).double().mean(1).cpu().numpy()
        of_map.add(rows, in_map, seen, in_layer_ranks)
        of_layer.add(rows, in_layer, near, in_map_ranks)
        del in_layer, in_map  # before the next ones are made
        done += len(rows)
        yield Progress(done, len(asked), f"{done:,} of {len(asked):,} neighbourhoods")
    share = kept[asked]
    fewest = asked[np.lexsort((-of_map.missed[asked], share))[: max(1, len(asked) // 100)]]
    misplaced = np.zeros(count, np.bool_)
    misplaced[fewest] = kept[fewest] < np.median(share)
    misplaced |= of_layer.right & ~of_map.right
    worst = k * (2 * count - 3 * k - 1) / 2
    return MapQuality(
        trustworthiness=1 - float(of_map.missed[asked].mean()) / worst,
        continuity=1 - float(of_layer.missed[asked].mean()) / worst,
        preservation=float(share.mean(dtype=np.float64)),
        layer_accuracy=of_layer.accuracy(asked),
        map_accuracy=of_map.accuracy(asked),
        kept=read_only(kept),
        misplaced=read_only(misplaced),
        asked=read_only(asked),
        neighbors=k,
        metric=metric,
    )


class _Side:
    """What is counted of the neighbours that pictures have on one side, in the layer or in the map.

    Attributes:
        missed: float64 [n], by how many ranks its neighbours are not neighbours on the other side.
        right: bool [n], whether its neighbours vote for its own label.
    """

    def __init__(self, count: int, k: int, labels: Indices | None) -> None:
        self.k = k
        self.missed = np.zeros(count)
        self.right = np.zeros(count, np.bool_)
        self.labels = None
        if labels is not None and (labels >= 0).sum() > 1:
            self.known = labels >= 0
            _, which = np.unique(labels[self.known], return_inverse=True)
            self.labels = np.full(count, -1)
            self.labels[self.known] = which

    def add(self, rows: Indices, apart: torch.Tensor, near: torch.Tensor, over: torch.Tensor) -> None:
        """Counts some pictures: distances [m, n], neighbours [m, k] and their ranks on the other side [m, k]."""
        self.missed[rows] = (over - self.k).clamp_min(0).sum(1).cpu().numpy()
        if self.labels is None:
            return
        if not self.known.all():  # those without a label have no vote
            apart[:, torch.from_numpy(~self.known).to(apart.device)] = torch.inf
            near = closest(apart, min(self.k, int(self.known.sum()) - 1))
        ballots = torch.from_numpy(self.labels).to(near.device)[near].clamp_min(0)
        votes = torch.zeros((len(rows), int(self.labels.max()) + 1), device=near.device)
        votes.scatter_add_(1, ballots, torch.ones_like(ballots, dtype=votes.dtype))
        self.right[rows] = votes.cpu().numpy().argmax(1) == self.labels[rows]  # never where it is -1

    def accuracy(self, asked: Indices) -> float | None:
        """The share of the labelled pictures that were asked whose neighbours vote right."""
        if self.labels is None or not self.known[asked].any():
            return None
        return float(self.right[asked].sum() / self.known[asked].sum())

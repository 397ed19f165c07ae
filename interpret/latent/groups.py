"""What stands out in a data set: clusters, outliers, pictures that are there twice, and those a network gets wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interpret.errors import BadInput
from interpret.jobs import Job, Progress
from interpret.labels import matched_classes
from interpret.latent.distances import Floats, Indices, Vectors, read_only
from interpret.latent.embedding import Embedding
from interpret.latent.neighbours import nearest

_AT_ONCE = 512


@dataclass(frozen=True, eq=False)
class Clusters:
    """Clusters of n pictures, largest first. All arrays are read-only.

    Attributes:
        members: int64 [n], the cluster of each picture, -1 for noise.
        sizes: int64 [clusters], how many pictures each has.
        classes: int64 [clusters], the label most of its labelled pictures have, -1 where none is labelled.
        shares: float32 [clusters], the share of its labelled pictures that have it; NaN where none is labelled.
        names: "cat 92%", "cat 2 71%" for another one of cats, "cluster 3"; untrusted text.
    """

    members: Indices
    sizes: Indices
    classes: Indices
    shares: Floats
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Ranked:
    """Pictures in the order to look at them, each with a number.

    Attributes:
        indices: int64 [m], read-only.
        values: float32 [m], read-only.
    """

    indices: Indices
    values: Floats


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of pictures that are nearly or exactly the same to a layer, nearest first. All arrays are read-only.

    Attributes:
        pairs: int64 [m, 2], the smaller index first.
        distances: float32 [m].
        exact: bool [m], whether the vectors are the same number by number.
        threshold: the largest distance that counts.
    """

    pairs: Indices
    distances: Floats
    exact: NDArray[np.bool_]
    threshold: float


@dataclass(frozen=True, eq=False)
class Confusion:
    """Which class is taken for which.

    Attributes:
        counts: int64 [classes, classes], pictures by true class (rows) and predicted class (columns), read-only.
        classes: names of the network's classes; untrusted text.
        order: int64 [labelled], the pictures whose true class is known, by cell, then most confident first, read-only.
    """

    counts: Indices
    classes: tuple[str, ...]
    order: Indices

    def cell(self, true: int, predicted: int) -> Indices:
        """The pictures of a cell, most confident first: int64 [counts[true, predicted]]."""
        before = int(self.counts[:true].sum() + self.counts[true, :predicted].sum())
        return self.order[before : before + int(self.counts[true, predicted])]

    @property
    def mistakes(self) -> Indices:
        """(true, predicted) of the cells beside the diagonal that are not empty, most pictures first: int64 [m, 2]."""
        wrong = np.argwhere((self.counts > 0) & ~np.eye(len(self.counts), dtype=bool))
        return wrong[np.argsort(-self.counts[tuple(wrong.T)], kind="stable")]


def clusters(
    points: Vectors,
    labels: Indices | None = None,
    classes: Sequence[str] = (),
    smallest: int | None = None,
    most: int | None = None,
    seed: int = 0,
) -> Job[Clusters]:
    """Clusters of any number and shape in a map or in a layer, named by the class most of their pictures have.

    Args:
        points: [n, d], a map or vectors, euclidean.
        labels: int64 [n], index into `classes`, below zero where it is not known; None where none is.
        classes: names.
        smallest: pictures a cluster has at least, 2 or more; a hundredth of all, but 5 or more, if None.
        most: how many pictures are clustered, drawn by chance; of more, the others join the cluster of the nearest of
            these. If None 10,000 in a map and 2,000 in a layer, which bounds time and memory (32 MB times about three).
        seed: of the draw.

    Yields:
        Progress in pictures. Finding the clusters is one step that cannot be cancelled midway.

    Raises:
        BadInput: fewer pictures than the smallest cluster, or no numbers.

    Source: R. Campello, D. Moulavi, J. Sander 2013, doi 10.1007/978-3-642-37456-2_14; scikit-learn's HDBSCAN.
    """
    count, flat = len(points), points.shape[1] <= 3
    smallest = max(5, count // 100) if smallest is None else smallest
    most = most or (10_000 if flat else 2000)
    if smallest < 2 or count < smallest or not np.isfinite(points).all():
        raise BadInput(
            f"Clusters of 2 or more finite points each are looked for; asked for {smallest} among {count:,} pictures."
        )
    yield Progress(0, count, "finding clusters")
    from sklearn.cluster import HDBSCAN

    yield Progress(0, count, "finding clusters")  # after the import, which takes a second
    draw = np.random.default_rng(seed)
    asked = np.arange(count) if count <= most else np.sort(draw.choice(count, most, replace=False))
    smallest = max(2, round(smallest * len(asked) / count))
    # In many dimensions a tree of places is slower than all distances.
    model = HDBSCAN(min_cluster_size=smallest, algorithm="auto" if flat else "brute", copy=False)
    found = np.full(count, -1)
    table = points[asked].astype(np.float32)
    found[asked] = model.fit_predict(table.astype(np.float64))
    others = np.setdiff1d(np.arange(count), asked, assume_unique=True)
    for start in range(0, len(others), _AT_ONCE):
        yield Progress(len(asked) + start, count, "joining clusters")
        rows = others[start : start + _AT_ONCE]
        found[rows] = found[asked[nearest(points[rows].astype(np.float32), table, 1)[0][:, 0]]]
    return _named(found, np.full(count, -1) if labels is None else labels, classes)


def _named(found: Indices, labels: Indices, classes: Sequence[str]) -> Clusters:
    """Clusters in order of size, with their names."""
    keys, sizes = np.unique(found[found >= 0], return_counts=True)
    order = np.argsort(-sizes, kind="stable")
    members = np.full(len(found), -1)
    dominant, shares, names = np.full(len(order), -1), np.full(len(order), np.nan, np.float32), []
    seen: Counter[str] = Counter()
    for index, key in enumerate(keys[order]):
        members[found == key] = index
        votes = np.bincount(labels[(found == key) & (labels >= 0)])
        if not votes.size:
            names.append(f"cluster {index + 1}")
            continue
        dominant[index], shares[index] = votes.argmax(), votes.max() / votes.sum()
        name = classes[dominant[index]] if classes else f"class {dominant[index]}"
        seen[name] += 1
        names.append(f"{name}{f' {seen[name]}' if seen[name] > 1 else ''} {shares[index]:.0%}")
    return Clusters(
        read_only(members), read_only(sizes[order]), read_only(dominant), read_only(shares), names=tuple(names)
    )


def outliers(indices: Indices, distances: Floats, count: int = 20) -> Ranked:
    """The pictures that lie lonelier than their neighbours do, loneliest first.

        value(i) = d(i) / mean over the neighbours j of i of d(j),  d(i) the distance from i to its k-th nearest

    About 1 within a cluster, however dense it is; more for a picture that belongs to none.

    Args:
        indices, distances: int64 and float32 [n, k], the nearest others of every picture by `nearest_others`.
        count: how many to name.

    Source: E. Schubert, A. Zimek, H.-P. Kriegel 2014, doi 10.1007/s10618-012-0300-z, simplified LOF.
    Differs: the mean of distances where theirs is of 1 / distance, which pictures that are there twice make infinite.
    """
    last = distances[:, -1].astype(np.float64)
    around = last[indices].mean(1)
    values = np.divide(last, around, out=np.where(last > 0, np.inf, 1.0), where=around > 0)
    return _ranked(values, np.arange(len(values)), count)


def near_duplicates(vectors: Vectors, indices: Indices, distances: Floats, fraction: float = 0.2) -> Pairs:
    """Pairs of pictures much nearer to each other than pictures of this data set are, and those that are the same.

    Args:
        vectors: [n, d].
        indices, distances: int64 and float32 [n, k], their nearest others by `nearest_others`, euclidean.
        fraction: a pair counts up to this share of the median distance to the nearest picture that is not the same.

    Returns:
        All pairs among the k nearest of either. Of more than two pictures with the same vector the first with each.
    """
    seen: dict[bytes, int] = {}
    digests = (blake2b((row + 0.0).tobytes(), digest_size=16).digest() for row in vectors)  # + 0.0: -0 is 0
    first = np.array([seen.setdefault(digest, place) for place, digest in enumerate(digests)])
    again = np.flatnonzero(first != np.arange(len(vectors)))
    others = np.where(distances > 0, distances, np.inf).min(1)
    others = others[np.isfinite(others)]
    threshold = fraction * float(np.median(others)) if others.size else 0.0
    rows, columns = np.nonzero(distances <= threshold)
    ends = np.sort(np.stack([rows, indices[rows, columns]], 1), 1)
    differ = first[ends[:, 0]] != first[ends[:, 1]]
    ends, once = np.unique(ends[differ], axis=0, return_index=True)
    pairs = np.concatenate([np.stack([first[again], again], 1), ends])
    far = np.concatenate([np.zeros(len(again), np.float32), distances[rows, columns][differ][once]])
    order = np.argsort(far, kind="stable")
    exact = np.arange(len(pairs)) < len(again)
    return Pairs(read_only(pairs[order]), read_only(far[order]), read_only(exact[order]), threshold)


def other_neighbours(one: Indices, other: Indices, count: int = 20) -> Ranked:
    """The pictures whose nearest others differ most between two layers or networks, with the share that differs.

    Args:
        one, other: int64 [n, k], their nearest others at either by `nearest_others`.
        count: how many to name.
    """
    same = np.array([len(np.intersect1d(*pair, assume_unique=True)) for pair in zip(one, other, strict=True)])
    return _ranked(1 - same / one.shape[1], np.arange(len(one)), count)


def true_classes(embedding: Embedding, labels: Sequence[str]) -> Indices:
    """The true class of every picture as a class of the network: int64 [n], -1 where it is not known or not one of it.

    Args:
        embedding: of the pictures.
        labels: names of the network's classes.
    """
    if not embedding.classes:
        return read_only(np.full(len(embedding.labels), -1))
    matched = np.array([*matched_classes(embedding.classes, labels)[0], -1])  # the last one is that of label -1
    return read_only(matched[embedding.labels])


def hardest(embedding: Embedding, count: int = 20) -> Ranked:
    """The pictures of highest loss, highest first; those whose loss is not known are left out.

    Args:
        embedding: of the pictures.
        count: how many to name.
    """
    return _ranked(embedding.loss, np.flatnonzero(~np.isnan(embedding.loss)), count)


def confident_wrong(embedding: Embedding, true: Indices, count: int = 20) -> Ranked:
    """The pictures predicted wrong, with the probability of the prediction, most confident first.

    Args:
        embedding: of the pictures.
        true: int64 [n] by `true_classes`.
        count: how many to name.
    """
    wrong = np.flatnonzero((true >= 0) & (embedding.predictions != true))
    return _ranked(embedding.confidences, wrong, count)


def confusion(embedding: Embedding, true: Indices, labels: Sequence[str]) -> Confusion:
    """How many pictures of each class are taken for each class, and which.

    Args:
        embedding: of the pictures.
        true: int64 [n] by `true_classes`.
        labels: names of the network's classes.
    """
    known = np.flatnonzero(true >= 0)
    cells = true[known] * len(labels) + embedding.predictions[known]
    counts = np.bincount(cells, minlength=len(labels) ** 2).reshape(len(labels), len(labels))
    order = known[np.lexsort((-embedding.confidences[known], cells))]
    return Confusion(read_only(counts), tuple(labels), read_only(order))


def _ranked(values: NDArray[np.floating[Any]], indices: Indices, count: int) -> Ranked:
    """The largest values first."""
    best = indices[np.argsort(-values[indices], kind="stable")][:count]
    return Ranked(read_only(best), read_only(values[best].astype(np.float32)))

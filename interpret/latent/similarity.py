"""How alike layers are: whether they order the same pictures in the same way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.errors import BadInput
from interpret.jobs import Job, Progress
from interpret.latent.distances import Distances, Floats, Indices, Vectors, closest, in_double, read_only
from interpret.latent.neighbours import Metric

CAUTION = (
    "CKA weighs directions by their variance, so a few pictures far from all others decide it: moving them can make "
    "unlike layers look alike, or like ones unlike, while the neighbours of all other pictures stay the same. Where "
    "CKA and the overlap of neighbours disagree, look at the outliers first."
)
_BLOCK = 1024
_WORK = 2**31
"""Multiplications between two looks at whether the work was cancelled."""


def cka_matrix(embeddings: Sequence[Vectors], debiased: bool = True, device: torch.device | str = "cpu") -> Job[Floats]:
    """Linear centred kernel alignment of every two layers: float32 [layers, layers], symmetric, read-only.

    1 where one layer is the other turned, mirrored, moved or scaled; 0 where no direction of one follows one of the
    other. With X [n, p] and Y [n, q] centred, K = X X^T, L = Y Y^T, so that <K, L> is the sum of (X^T Y)^2 over its
    entries, and k, l their diagonals:

        CKA(X, Y)  = H(X, Y) / sqrt(H(X, X) H(Y, Y))
        biased:    H = <K, L>
        debiased:  H = <K, L> - n / (n - 2) k.l + (sum of k) (sum of l) / ((n - 1) (n - 2))

    The biased one is well above 0 for unrelated layers wherever there are not many more pictures than channels; the
    debiased one has mean 0 there, and can lie slightly below.

    Args:
        embeddings: [n, d] of the same n pictures in the same order at each layer.
        debiased: by the unbiased estimate of HSIC.
        device: where to compute.

    Yields:
        Progress in pairs of layers.

    Returns:
        The matrix; NaN beside a layer that says the same of all pictures, and where the estimate of a layer with itself
        is not above 0.

    Raises:
        BadInput: fewer than 4 pictures, not the same number of them at each layer, or no numbers.

    Source: S. Kornblith, M. Norouzi, H. Lee, G. Hinton 2019, arXiv 1905.00414, section 3; the unbiased HSIC of
        L. Song et al. 2012, JMLR 13:1393-1434, equation 5; its use for CKA in T. Nguyen, M. Raghu, S. Kornblith 2021,
        arXiv 2010.15327, section 3.
    Differs: all pictures are one batch, where Nguyen et al. average H over batches. For centred X the row sums of K
        without its diagonal are -k, which leaves of Song's equation what stands above, times n (n - 3).
    """
    _pictures(embeddings)
    layers = [_Centred(vectors, in_double(device)) for vectors in embeddings]
    pairs = [(i, j) for i in range(len(layers)) for j in range(i + 1)]
    found = np.zeros((len(layers), len(layers)))
    for done, (i, j) in enumerate(pairs):
        product = yield from _hsic(layers[i], layers[j], debiased, Progress(done, len(pairs), "comparing layers"))
        found[i, j] = found[j, i] = product
    own = _own(found.diagonal(), layers)
    return read_only((found / np.sqrt(own[:, None] * own)).astype(np.float32))


def cka_between(
    rows: Sequence[Vectors], columns: Sequence[Vectors], debiased: bool = True, device: torch.device | str = "cpu"
) -> Job[Floats]:
    """The same of every layer of one network with every layer of another: float32 [rows, columns], read-only.

    Args:
        rows, columns: [n, d] of the same n pictures in the same order at each layer of the one and of the other.
        debiased, device: as in `cka_matrix`.

    Yields, returns, raises: as `cka_matrix`, without the pairs inside one network.
    """
    _pictures([*rows, *columns])
    mine, its = ([_Centred(vectors, in_double(device)) for vectors in part] for part in (rows, columns))
    pairs = [*((layer, layer) for layer in (*mine, *its)), *((one, other) for one in mine for other in its)]
    sums = []
    for done, (one, other) in enumerate(pairs):
        sums.append((yield from _hsic(one, other, debiased, Progress(done, len(pairs), "comparing layers"))))
    own, across = np.split(np.array(sums), [len(mine) + len(its)])
    scale = np.sqrt(_own(own, [*mine, *its]))
    both = scale[: len(mine), None] * scale[len(mine) :]
    return read_only((across.reshape(both.shape) / both).astype(np.float32))


def overlap_matrix(
    embeddings: Sequence[Vectors],
    neighbors: int = 10,
    metric: Metric = "euclidean",
    most: int = 2000,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Job[Floats]:
    """The share of a picture's nearest that two layers have in common: float32 [layers, layers], symmetric, read-only.

    The mean over pictures i of |N(i) and M(i)| / k, with N(i) and M(i) the k nearest other pictures in the one and in
    the other layer: 1 where neighbourhoods are the same, k / (n - 1) by chance. A few far pictures do not change it.

    Args:
        embeddings: [n, d] of the same n pictures in the same order at each layer.
        neighbors: k, at most n - 1.
        metric: what counts as near.
        most: with more pictures the neighbourhoods of so many are compared, drawn by chance.
        seed: of the draw.
        device: where to compute.

    Yields:
        Progress in neighbourhoods.

    Raises:
        BadInput: as for `cka_matrix`.

    Source: M. Huh, B. Cheung, T. Wang, P. Isola 2024, arXiv 2405.07987, appendix A.
    Differs: euclidean unless asked for "cosine", which is theirs; of equally far pictures the first counts as nearer.
    """
    near = yield from _neighbourhoods(embeddings, neighbors, metric, most, seed, device)
    found = np.eye(len(embeddings), dtype=np.float32)
    for i in range(len(embeddings)):
        for j in range(i):
            found[i, j] = found[j, i] = _shared(near[i], near[j])
    return read_only(found)


def overlap_between(
    rows: Sequence[Vectors],
    columns: Sequence[Vectors],
    neighbors: int = 10,
    metric: Metric = "euclidean",
    most: int = 2000,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Job[Floats]:
    """The same of every layer of one network with every layer of another: float32 [rows, columns], read-only.

    Args:
        rows, columns: [n, d] of the same n pictures in the same order at each layer of the one and of the other.
        neighbors, metric, most, seed, device: as in `overlap_matrix`.

    Yields, raises: as `overlap_matrix`.
    """
    near = yield from _neighbourhoods([*rows, *columns], neighbors, metric, most, seed, device)
    mine, its = near[: len(rows)], near[len(rows) :]
    found = np.array([_shared(one, other) for one in mine for other in its], np.float32)
    return read_only(found.reshape(len(rows), len(columns)))


def _neighbourhoods(
    embeddings: Sequence[Vectors], neighbors: int, metric: Metric, most: int, seed: int, device: torch.device | str
) -> Job[Indices]:
    """The nearest others at each layer, int64 [layers, pictures asked, k], numbered so that no two pictures share one.

    Args, raises: as `overlap_matrix`.
    """
    count = _pictures(embeddings)
    k = max(1, min(neighbors, count - 1))
    draw = np.random.default_rng(seed)
    asked = np.arange(count) if count <= most else np.sort(draw.choice(count, most, replace=False))
    near = np.empty((len(embeddings), len(asked), k), np.int64)
    for layer, vectors in enumerate(embeddings):
        done = 0
        yield Progress(layer * len(asked), len(embeddings) * len(asked), "finding neighbours")
        distances = Distances(vectors, metric, device)
        for rows in distances.parts(asked):
            near[layer, done : done + len(rows)] = closest(distances.of(rows), k).cpu().numpy()
            done += len(rows)
            yield Progress(layer * len(asked) + done, len(embeddings) * len(asked), "finding neighbours")
    near += np.arange(len(asked))[:, None] * count  # so that a neighbour is one of its own picture only
    return near


def _shared(one: Indices, other: Indices) -> float:
    """Which share of two layers' neighbourhoods is the same."""
    return len(np.intersect1d(one, other, assume_unique=True)) / one.size


def _pictures(embeddings: Sequence[Vectors]) -> int:
    """How many pictures there are.

    Raises:
        BadInput: too few, not the same, or no numbers.
    """
    counts = sorted({len(vectors) for vectors in embeddings})
    if len(counts) != 1 or counts[0] < 4 or not all(np.isfinite(vectors).all() for vectors in embeddings):
        raise BadInput(
            "Layers are compared by the finite vectors of the same 4 pictures or more at each; found "
            f"{' and '.join(f'{count:,}' for count in counts) or 'no'} pictures."
        )
    return counts[0]


def _hsic(one: _Centred, other: _Centred, debiased: bool, progress: Progress) -> Job[float]:
    """H of two layers, as in `cka_matrix`; yields the progress again and again."""
    product, count = 0.0, len(one.diagonal)
    for part in _products(one, other):
        yield progress
        product += part
    if debiased:
        product -= float(one.diagonal @ other.diagonal) * count / (count - 2)
        product += float(one.diagonal.sum()) * float(other.diagonal.sum()) / ((count - 1) * (count - 2))
    return product


def _own(products: NDArray[np.float64], layers: Sequence[_Centred]) -> NDArray[np.float64]:
    """H of each layer with itself, NaN where that is no scale."""
    return np.where((products > 0) & [layer.varies for layer in layers], products, np.nan)


class _Centred:
    """A layer less its mean, converted to float64 a part at a time.

    Attributes:
        diagonal: float64 [n], the squared length of each picture's vector.
        varies: whether it says more than one thing.
    """

    def __init__(self, vectors: Vectors, device: torch.device) -> None:
        self.vectors, self.device = vectors, device
        self.shape = vectors.shape
        self.mean = vectors.mean(0, dtype=np.float64)
        parts = (self.part(rows, slice(None)) for rows in _slices(len(vectors), max(1, 2**20 // vectors.shape[1])))
        self.diagonal: NDArray[np.float64] = np.concatenate([part.square().sum(1).cpu().numpy() for part in parts])
        self.varies = self.diagonal.mean() > 1e-13 * (self.mean @ self.mean)  # by more than float32 rounds

    def part(self, rows: slice, columns: slice) -> torch.Tensor:
        return torch.from_numpy(self.vectors[rows, columns] - self.mean[columns]).to(self.device)


def _products(one: _Centred, other: _Centred) -> Iterator[float]:
    """<K, L> of two layers in parts to be summed: from X^T Y or from K and L, whichever is less work."""
    (count, p), (_, q) = one.shape, other.shape
    if count * (p + q) < p * q:
        for rows in _slices(count, _BLOCK):
            for columns in _slices(count, _BLOCK):
                grams = []
                for layer in (one, other):
                    gram = torch.zeros((), dtype=torch.float64, device=layer.device)
                    for some in _slices(layer.shape[1], max(1, _WORK // _BLOCK**2)):
                        gram = gram + layer.part(rows, some) @ layer.part(columns, some).T
                        yield 0.0
                    grams.append(gram)
                yield float((grams[0] * grams[1]).sum())
        return
    for mine in _slices(p, _BLOCK):
        for theirs in _slices(q, _BLOCK):
            block = torch.zeros((), dtype=torch.float64, device=one.device)
            for rows in _slices(count, max(1, _WORK // _BLOCK**2)):
                block = block + one.part(rows, mine).T @ other.part(rows, theirs)
                yield 0.0
            yield float(block.square().sum())


def _slices(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))

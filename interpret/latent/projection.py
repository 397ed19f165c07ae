"""Maps: embeddings laid out in the plane or in space."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.errors import BadInput, InterpretError, unknown
from interpret.jobs import Job, Progress
from interpret.latent.neighbours import Metric, Neighbours
from interpret.latent.umap import nearest_in_chunks, principal, umap
from interpret.runtime import choose_runtime

Points = NDArray[np.float32]
_TURN = threading.Lock()
"""Held by the one process that lays out a map: two at once would take each other's cores and memory."""


@dataclass(frozen=True)
class ProjectionParams:
    """How a map is laid out.

    Attributes:
        neighbors: how many nearest pictures each picture holds on to, 2 to 200; the perplexity of t-SNE.
        min_dist: how close points may lie, 0 to 1.
        metric: "euclidean" or "cosine".
        seed: the same seed gives the same map on the same machine.
        dimensions: 2 for a plane, 3 for space.
    """

    neighbors: int = field(
        default=15,
        metadata={"range": (2, 200), "help": "Few: fine structure. Many: the large picture (McInnes 2018)."},
    )
    min_dist: float = field(default=0.1, metadata={"range": (0.0, 1.0), "help": "How tightly points may be packed."})
    metric: Metric = field(
        default="euclidean",
        metadata={"choices": ("euclidean", "cosine"), "help": "What counts as near in the layer."},
    )
    seed: int = field(default=0, metadata={"range": (0, 2**31 - 1), "help": "Another seed, another start."})
    dimensions: Literal[2, 3] = field(
        default=2, metadata={"choices": (2, 3), "help": "A plane, or a space to turn: it keeps a little more."}
    )

    def __post_init__(self) -> None:
        for name, known in type(self).__dataclass_fields__.items():
            if "range" in known.metadata:
                low, high = known.metadata["range"]
                if not low <= getattr(self, name) <= high:
                    raise BadInput(f"{name} must lie between {low} and {high}; found {getattr(self, name)}.")
        if self.metric not in ("euclidean", "cosine"):
            raise unknown("Metric", self.metric, "the metrics", ("euclidean", "cosine"))
        if self.dimensions not in (2, 3):
            raise BadInput(f"A map has 2 or 3 dimensions; found {self.dimensions}.")


@dataclass(frozen=True, eq=False)
class Projection:
    """A map of an embedding.

    Attributes:
        points: float32 [n, dimensions] in the order of the embedding, read-only.
        method: key of the method.
        params: how it was laid out.
    """

    points: Points
    method: str
    params: ProjectionParams


@dataclass(frozen=True, eq=False)
class Question:
    """What a method is asked.

    Attributes:
        vectors: float32 [n, d].
        params: neighbours, distance, metric, seed, dimensions.
        labels: int64 [n], the class of each vector or -1, or None.
        device: where to compute.
    """

    vectors: Points
    params: ProjectionParams
    labels: NDArray[np.int64] | None
    device: torch.device


@dataclass(frozen=True)
class ProjectionMethod:
    """A method: key, title, source, and a function of a question that is a job returning float32 [n, dimensions]."""

    key: str
    title: str
    source: str
    function: Callable[[Question], Job[Points]]


def _pca(asked: Question) -> Job[Points]:
    """The directions of largest variance."""
    yield Progress(0, 1, "principal components")
    return principal(asked.vectors, asked.params.dimensions, asked.device)


def _umap(asked: Question) -> Job[Points]:
    """UMAP in torch, its layout to be seen as it forms."""
    _enough(asked)
    params = asked.params
    return (
        yield from umap(
            asked.vectors,
            params.neighbors,
            params.min_dist,
            params.metric,
            params.seed,
            params.dimensions,
            asked.device,
        )
    )


def _umap_learn(asked: Question) -> Job[Points]:
    """umap-learn's layout over exact neighbours."""
    return (yield from _in_a_process("umap-learn", asked))


def _t_sne(asked: Question) -> Job[Points]:
    """scikit-learn's Barnes-Hut t-SNE; it has no minimal distance."""
    return (yield from _in_a_process("t-sne", asked))


def _densmap(asked: Question) -> Job[Points]:
    """UMAP in which a dense region stays dense."""
    return (yield from _in_a_process("densmap", asked))


def _supervised(asked: Question) -> Job[Points]:
    """UMAP drawn together by the labels: the map shows them, not how well the layer tells the classes apart."""
    if asked.labels is None or (asked.labels < 0).all():
        raise BadInput(
            "Supervised UMAP needs the classes of the pictures; found none. Choose UMAP or another data set."
        )
    return (yield from _in_a_process("supervised-umap", asked))


def _enough(asked: Question) -> None:
    count = asked.params.neighbors
    if len(asked.vectors) <= count:
        raise BadInput(
            f"UMAP with {count} neighbours needs more than {count} pictures; "
            f"found {len(asked.vectors)}. Lower the neighbours or choose PCA."
        )


def _in_a_process(fit: str, asked: Question) -> Job[Points]:
    """A fit of `umap_process.py`, one at a time, in a process that ends when the job is closed."""
    params = asked.params
    tables: dict[str, NDArray[Any]] = {"vectors": asked.vectors}
    if fit != "t-sne":
        _enough(asked)
        found = yield from nearest_in_chunks(asked.vectors, params.neighbors, params.metric, asked.device)
        tables["indices"], tables["distances"] = found
    if fit == "supervised-umap" and asked.labels is not None:
        tables["labels"] = asked.labels
    while not _TURN.acquire(blocking=False):
        yield Progress(0, None, "waiting for another map")
        time.sleep(0.05)
    with contextlib.ExitStack() as leaving:
        leaving.callback(_TURN.release)
        folder = Path(leaving.enter_context(tempfile.TemporaryDirectory(prefix="loupe-umap-")))
        for name, table in tables.items():
            np.save(folder / f"{name}.npy", table)
        settings = {key: getattr(params, key) for key in ("neighbors", "min_dist", "metric", "seed", "dimensions")}
        (folder / "params.json").write_text(json.dumps({"fit": fit, **settings}))
        log = leaving.enter_context((folder / "log.txt").open("w"))
        process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("umap_process.py")), str(folder), str(os.getpid())],
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "2"},  # the sums of two threads are the same in either order
        )
        leaving.callback(process.wait)
        leaving.callback(process.kill)
        while process.poll() is None:
            yield Progress(0, None, "laying out the map")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.05)
        if not (folder / "projection.npy").exists():
            last = (folder / "log.txt").read_text().strip().splitlines()[-1:]
            raise InterpretError(f"{_title(fit)} stopped without a map: {' '.join(last) or 'no reason given'}.")
        points: Points = np.load(folder / "projection.npy")
    return points


PROJECTIONS: tuple[ProjectionMethod, ...] = (
    ProjectionMethod("umap", "UMAP", "McInnes, Healy, Melville 2018, arXiv 1802.03426", _umap),
    ProjectionMethod("pca", "PCA", "Pearson 1901, doi 10.1080/14786440109462720", _pca),
    ProjectionMethod("t-sne", "t-SNE", "van der Maaten, Hinton 2008, JMLR 9; van der Maaten 2014, JMLR 15", _t_sne),
    ProjectionMethod("densmap", "densMAP", "Narayan, Berger, Cho 2021, doi 10.1038/s41587-020-00801-7", _densmap),
    ProjectionMethod("supervised-umap", "Supervised UMAP", "McInnes et al. 2018, section 6", _supervised),
    ProjectionMethod("umap-learn", "UMAP by umap-learn", "McInnes et al. 2018, doi 10.21105/joss.00861", _umap_learn),
)


def _title(key: str) -> str:
    return next(method.title for method in PROJECTIONS if method.key == key)


def best_engine(device: torch.device | str, count: int) -> str:
    """The key of the faster UMAP for so many pictures on a device.

    It is Loupe's own: on a CPU it came first at each of 500, 5,000, 30,000 and 70,000 vectors (`python -m benchmarks
    --only "latent engines"`), and umap-learn does not use a GPU. A size at which that turns round belongs here.
    """
    return "umap"


def place_of_work(device: torch.device | str | None) -> torch.device:
    """The device asked for, or the best there is; never Apple's, which has no float64."""
    wanted = torch.device(device) if device is not None else choose_runtime().device
    return torch.device("cpu") if wanted.type == "mps" else wanted


def project(
    vectors: Points,
    method: str = "umap",
    params: ProjectionParams | None = None,
    labels: NDArray[np.int64] | None = None,
    device: torch.device | str | None = None,
) -> Job[Projection]:
    """A map of vectors in the plane or in space.

    Args:
        vectors: float32 [n, d], as `Embedding.vectors`.
        method: a key of PROJECTIONS.
        params: neighbours, distance, metric, seed, dimensions.
        labels: int64 [n], as `Embedding.labels`, -1 where not known; supervised UMAP alone looks at them.
        device: where to compute; the best there is if None.

    Yields:
        Progress; the preview, where there is one, is the points so far, float32 [n, dimensions].

    Raises:
        UnknownName: no such method.
        BadInput: too few pictures, vectors that are not numbers, or labels that are missing or too few.
    """
    known = {known.key: known for known in PROJECTIONS}
    if method not in known:
        raise unknown("Method", method, "the projections", known)
    if len(vectors) < 3 or not np.isfinite(vectors).all():
        raise BadInput(f"A map needs at least 3 pictures with finite vectors; found {len(vectors)}.")
    if labels is not None and len(labels) != len(vectors):
        raise BadInput(f"A map of {len(vectors)} pictures needs as many labels; found {len(labels)}.")
    params = params or ProjectionParams()
    question = Question(np.ascontiguousarray(vectors, np.float32), params, labels, place_of_work(device))
    points = yield from known[method].function(question)
    points.flags.writeable = False
    return Projection(points, method, params)


def place(
    vectors: Points | Neighbours, projection: Projection, queries: Points, count: int = 5
) -> tuple[Points, Points]:
    """Where new pictures belong in a map: points float32 [m, dimensions] and the distance to the nearest picture [m].

    Each is the mean of its nearest pictures' points, weighted by 1 / distance. It depends on nothing but the picture.

    Args:
        vectors: float32 [n, d] the map was made of; or the same as `Neighbours`, which saves making them ready.
        projection: the map.
        queries: float32 [m, d].
        count: how many neighbours.
    """
    table = vectors if isinstance(vectors, Neighbours) else Neighbours.of(vectors, projection.params.metric)
    indices, distances = table.nearest(queries, count)
    weights = 1 / (distances + 1e-9)
    weights /= weights.sum(1, keepdims=True)
    points: Points = np.einsum("mk,mkd->md", weights, projection.points[indices]).astype(np.float32)
    return points, distances[:, 0]

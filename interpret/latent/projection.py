"""Maps: embeddings laid out in the plane."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from interpret.errors import BadInput, InterpretError, unknown
from interpret.jobs import Job, Progress
from interpret.latent.neighbours import Metric, nearest

Points = NDArray[np.float32]


@dataclass(frozen=True)
class ProjectionParams:
    """How a map is laid out.

    Attributes:
        neighbors: how many nearest pictures each picture holds on to, 2 to 200.
        min_dist: how close points may lie, 0 to 1.
        metric: "euclidean" or "cosine".
        seed: the same seed gives the same map on the same machine.
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

    def __post_init__(self) -> None:
        for name, known in type(self).__dataclass_fields__.items():
            if "range" in known.metadata:
                low, high = known.metadata["range"]
                if not low <= getattr(self, name) <= high:
                    raise BadInput(f"{name} must lie between {low} and {high}; found {getattr(self, name)}.")
        if self.metric not in ("euclidean", "cosine"):
            raise unknown("Metric", self.metric, "the metrics", ("euclidean", "cosine"))


@dataclass(frozen=True, eq=False)
class Projection:
    """A map of an embedding.

    Attributes:
        points: float32 [n, 2] in the order of the embedding, read-only.
        method: key of the method.
        params: how it was laid out.
    """

    points: Points
    method: str
    params: ProjectionParams


@dataclass(frozen=True)
class ProjectionMethod:
    """A method: key, title, source, and its function of (vectors [n, d], params) that is a job returning [n, 2]."""

    key: str
    title: str
    source: str
    function: Callable[[Points, ProjectionParams], Job[Points]]


def _pca(vectors: Points, params: ProjectionParams) -> Job[Points]:
    """The two directions of largest variance, their signs fixed by the largest loading (as in scikit-learn)."""
    yield Progress(0, 1, "principal components")
    centred = vectors - vectors.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2]
    if len(axes) < 2:
        axes = np.vstack([axes, np.zeros((2 - len(axes), vectors.shape[1]), np.float32)])
    largest = np.abs(axes).argmax(1)
    signs = np.sign(axes[np.arange(2), largest])
    points: Points = (centred @ (axes * np.where(signs == 0, 1, signs)[:, None]).T).astype(np.float32)
    return points


def _umap(vectors: Points, params: ProjectionParams) -> Job[Points]:
    """umap-learn's layout over exact neighbours, in a process that ends when the job is closed."""
    if len(vectors) <= params.neighbors:
        raise BadInput(
            f"UMAP with {params.neighbors} neighbours needs more than {params.neighbors} pictures; "
            f"found {len(vectors)}. Lower the neighbours or choose PCA."
        )
    yield Progress(0, None, "finding neighbours")
    indices, distances = nearest(vectors, vectors, params.neighbors, params.metric)
    with tempfile.TemporaryDirectory(prefix="loupe-umap-") as name:
        folder = Path(name)
        np.save(folder / "vectors.npy", vectors)
        np.save(folder / "indices.npy", indices)
        np.save(folder / "distances.npy", distances)
        settings = {key: getattr(params, key) for key in ("neighbors", "min_dist", "metric", "seed")}
        (folder / "params.json").write_text(json.dumps(settings))
        script = Path(__file__).with_name("umap_process.py")
        with (folder / "log.txt").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", str(script), name, str(os.getpid())], stdout=log, stderr=log
            )
        try:
            while process.poll() is None:
                yield Progress(0, None, "laying out the map")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=0.05)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        if not (folder / "projection.npy").exists():
            last = (folder / "log.txt").read_text().strip().splitlines()[-1:]
            raise InterpretError(f"UMAP stopped without a map: {' '.join(last) or 'no reason given'}.")
        points: Points = np.load(folder / "projection.npy")
    return points


PROJECTIONS: tuple[ProjectionMethod, ...] = (
    ProjectionMethod("umap", "UMAP", "McInnes, Healy, Melville 2018, arXiv 1802.03426", _umap),
    ProjectionMethod("pca", "PCA", "Pearson 1901, doi 10.1080/14786440109462720", _pca),
)


def project(vectors: Points, method: str = "umap", params: ProjectionParams | None = None) -> Job[Projection]:
    """A map of vectors in the plane.

    Args:
        vectors: float32 [n, d], as `Embedding.vectors`.
        method: a key of PROJECTIONS.
        params: neighbours, distance, metric, seed.

    Raises:
        UnknownName: no such method.
        BadInput: too few pictures, or vectors that are not numbers.
    """
    known = {known.key: known for known in PROJECTIONS}
    if method not in known:
        raise unknown("Method", method, "the projections", known)
    if len(vectors) < 3 or not np.isfinite(vectors).all():
        raise BadInput(f"A map needs at least 3 pictures with finite vectors; found {len(vectors)}.")
    params = params or ProjectionParams()
    points = yield from known[method].function(np.ascontiguousarray(vectors, np.float32), params)
    points.flags.writeable = False
    return Projection(points, method, params)


def place(vectors: Points, projection: Projection, queries: Points, count: int = 5) -> tuple[Points, Points]:
    """Where new pictures belong in a map: points float32 [m, 2] and the distance to the nearest picture [m].

    Each is the mean of its nearest pictures' points, weighted by 1 / distance. It depends on nothing but the picture.

    Args:
        vectors: float32 [n, d] the map was made of.
        projection: the map.
        queries: float32 [m, d].
        count: how many neighbours.
    """
    indices, distances = nearest(queries, vectors, count, projection.params.metric)
    weights = 1 / (distances + 1e-9)
    weights /= weights.sum(1, keepdims=True)
    points: Points = np.einsum("mk,mkd->md", weights, projection.points[indices]).astype(np.float32)
    return points, distances[:, 0]

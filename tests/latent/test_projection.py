"""Maps: PCA against scikit-learn, methods in processes of their own, and placing new pictures."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import psutil
import pytest

from interpret.errors import BadInput, InterpretError, UnknownName
from interpret.jobs import complete
from interpret.latent import PROJECTIONS, Projection, ProjectionParams, place, project
from interpret.latent.projection import best_engine

CENTRES = np.random.default_rng(5).standard_normal((4, 20)) * 8


def clustered(count: int = 160, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors in four clusters and which cluster each belongs to."""
    rng = np.random.default_rng(seed)
    groups = np.arange(count) % 4
    return (CENTRES[groups] + rng.standard_normal((count, 20))).astype(np.float32), groups


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True) if child.status() != "zombie"}


# ---- PCA ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0.0, 50.0])
@pytest.mark.parametrize(("count", "dimensions"), [(100, 12), (10, 40), (50, 2)])
def test_pca_is_scikit_learns_up_to_sign(count: int, dimensions: int, offset: float) -> None:
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(count)
    vectors = (rng.standard_normal((count, dimensions)) * np.arange(1, dimensions + 1) + offset).astype(np.float32)
    found = complete(project(vectors, "pca")).points
    theirs = PCA(2, svd_solver="full").fit_transform(vectors.astype(np.float64))
    for axis in (0, 1):
        sign = np.sign(found[:, axis] @ theirs[:, axis])
        np.testing.assert_allclose(found[:, axis] * sign, theirs[:, axis], atol=2e-3 * np.abs(theirs).max())
    assert np.array_equal(found, complete(project(vectors, "pca")).points)
    assert found.dtype == np.float32 and not found.flags.writeable


def test_pca_in_space_begins_with_pca_in_the_plane() -> None:
    vectors, _ = clustered()
    plane, space = (complete(project(vectors, "pca", ProjectionParams(dimensions=d))).points for d in (2, 3))
    assert space.shape == (160, 3) and np.array_equal(space[:, :2], plane)
    assert (np.diff(space.var(0)) <= 0).all()


def test_pca_of_one_dimension_has_a_flat_second_axis() -> None:
    found = complete(project(np.array([[1.0], [2.0], [4.0]], np.float32), "pca")).points
    assert found.shape == (3, 2) and not found[:, 1].any()
    np.testing.assert_allclose(np.abs(np.diff(found[:, 0])), [1, 2], rtol=1e-5)


# ---- maps that are made in a process of their own -----------------------------------------------------------------

SMALL = ProjectionParams(neighbors=4, seed=4)


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """umap-learn as it is written: so few points are laid out faster than it is compiled."""
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")


@pytest.mark.usefixtures("uncompiled")
def test_umap_learns_maps_are_made_one_after_the_other_and_the_same_seed_makes_the_same() -> None:
    vectors, _ = clustered(32)
    before = children()
    jobs = [project(vectors, "umap-learn", SMALL) for _ in range(2)]
    results: dict[int, Projection] = {}
    notes: list[set[str]] = [set(), set()]
    while len(results) < 2:
        for index, job in enumerate(jobs):
            if index not in results:
                try:
                    notes[index].add(next(job).note)
                except StopIteration as stop:
                    results[index] = stop.value
        assert len(children() - before) <= 1
    assert notes[0] == {"finding neighbours", "laying out the map"}
    assert notes[1] == notes[0] | {"waiting for another map"}
    assert np.array_equal(results[0].points, results[1].points)
    assert (results[0].method, results[0].params) == ("umap-learn", SMALL)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize(
    ("method", "dimensions"), [("umap", 2), ("umap", 3), ("t-sne", 2), ("densmap", 3), ("supervised-umap", 2)]
)
def test_clusters_stay_together_on_every_map(method: str, dimensions: Literal[2, 3]) -> None:
    vectors, groups = clustered(32)
    params = replace(SMALL, dimensions=dimensions)
    labels = np.where(np.arange(32) < 28, groups, -1)
    found = complete(project(vectors, method, params, labels))
    assert found.points.shape == (32, dimensions) and found.points.dtype == np.float32
    assert not found.points.flags.writeable and np.isfinite(found.points).all()
    distances = np.linalg.norm(found.points[:, None] - found.points, axis=2) + np.eye(32) * 1e9
    assert (groups[distances.argmin(1)] == groups).mean() > 0.9
    placed, _ = place(vectors, found, vectors[:5])
    np.testing.assert_allclose(placed, found.points[:5], atol=1e-2 * np.ptp(found.points))


def test_cancelling_ends_the_process_and_leaves_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    vectors, _ = clustered()
    for method, steps in (("umap-learn", 1), ("umap-learn", 2), ("umap-learn", 12), ("t-sne", 1)):
        before = children()
        job = project(vectors, method, ProjectionParams(neighbors=12))
        for _ in range(steps):
            progress = next(job)
        started = children() - before
        runs = progress.note == "laying out the map"
        assert len(started) == runs and bool(list(tmp_path.iterdir())) == runs
        assert runs == (steps > 1 or method == "t-sne")
        begun = time.perf_counter()
        job.close()
        assert time.perf_counter() - begun < 2
        assert children() == before and not any(psutil.pid_exists(pid) for pid in started)
        assert list(tmp_path.iterdir()) == []


def test_a_process_that_fails_says_why_and_leaves_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    vectors, _ = clustered()
    job = project(vectors, "umap-learn", ProjectionParams(neighbors=12))
    next(job)
    before = children()
    next(job)
    for pid in children() - before:
        psutil.Process(pid).kill()
    with pytest.raises(InterpretError, match="UMAP by umap-learn stopped without a map"):
        complete(job)
    assert list(tmp_path.iterdir()) == []


# ---- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [method.key for method in PROJECTIONS])
def test_vectors_no_map_can_be_made_of(method: str) -> None:
    vectors, _ = clustered(20)
    with pytest.raises(BadInput, match="at least 3 pictures with finite vectors; found 2"):
        complete(project(vectors[:2], method))
    broken = vectors.copy()
    broken[3, 4] = np.nan
    with pytest.raises(BadInput, match="finite"):
        complete(project(broken, method))


@pytest.mark.parametrize("method", ["umap", "umap-learn", "densmap"])
def test_too_many_neighbours_for_the_pictures(method: str) -> None:
    with pytest.raises(BadInput, match=r"UMAP with 15 neighbours needs more than 15 pictures; found 15"):
        complete(project(clustered(15)[0], method))


def test_labels_that_are_missing() -> None:
    vectors, groups = clustered()
    for labels in (None, np.full(160, -1)):
        with pytest.raises(BadInput, match="Supervised UMAP needs the classes of the pictures; found none"):
            complete(project(vectors, "supervised-umap", labels=labels))
    with pytest.raises(BadInput, match="160 pictures needs as many labels; found 159"):
        complete(project(vectors, "supervised-umap", labels=groups[1:]))


def test_unknown_methods_and_metrics() -> None:
    with pytest.raises(UnknownName, match=r'Method "tsne" is not in the projections'):
        complete(project(clustered()[0], "tsne"))
    with pytest.raises(UnknownName, match='Metric "manhattan" is not in the metrics'):
        ProjectionParams(metric="manhattan")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="A map has 2 or 3 dimensions; found 4"):
        ProjectionParams(dimensions=4)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"neighbors": 1}, {"neighbors": 500}, {"min_dist": -0.1}, {"min_dist": float("nan")}, {"seed": -1}]
)
def test_parameters_out_of_their_range(wrong: dict[str, float]) -> None:
    with pytest.raises(BadInput, match=f"{next(iter(wrong))} must lie between"):
        ProjectionParams(**wrong)  # type: ignore[arg-type]


def test_methods_say_what_they_are() -> None:
    keys = [method.key for method in PROJECTIONS]
    assert keys == ["umap", "pca", "t-sne", "densmap", "supervised-umap", "umap-learn"]
    assert all(method.title and method.source for method in PROJECTIONS)
    assert {best_engine(device, count) for device in ("cpu", "cuda") for count in (100, 10**5)} <= set(keys)


# ---- placing ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flat() -> tuple[np.ndarray, np.ndarray, Projection]:
    vectors, groups = clustered(200)
    return vectors, groups, complete(project(vectors, "pca"))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_a_place_depends_on_nothing_but_the_picture(
    flat: tuple[np.ndarray, np.ndarray, Projection], metric: str
) -> None:
    vectors, _, projection = flat
    projection = replace(projection, params=ProjectionParams(metric=metric))  # type: ignore[arg-type]
    queries, _ = clustered(40, seed=9)
    together, apart = place(vectors, projection, queries)
    assert together.shape == (40, 2) and apart.shape == (40,) and together.dtype == np.float32
    backwards, _ = place(vectors, projection, queries[::-1])
    np.testing.assert_allclose(backwards[::-1], together, atol=1e-3)
    for index in (0, 13, 39):
        alone, distance = place(vectors, projection, queries[index : index + 1])
        np.testing.assert_allclose(alone[0], together[index], atol=1e-3)
        np.testing.assert_allclose(distance[0], apart[index], atol=1e-3)


def test_a_known_picture_is_placed_where_it_is(flat: tuple[np.ndarray, np.ndarray, Projection]) -> None:
    vectors, _, projection = flat
    points, apart = place(vectors, projection, vectors[:50])
    np.testing.assert_allclose(points, projection.points[:50], atol=2e-2)
    assert apart.max() < 1e-2


def test_new_pictures_are_placed_among_their_own(flat: tuple[np.ndarray, np.ndarray, Projection]) -> None:
    vectors, groups, projection = flat
    queries, belong = clustered(40, seed=3)
    points, _ = place(vectors, projection, queries)
    centres = np.stack([projection.points[groups == group].mean(0) for group in range(4)])
    nearest_centre = np.linalg.norm(points[:, None] - centres, axis=2).argmin(1)
    assert (nearest_centre == belong).all()
    far, distance = place(vectors, projection, vectors[:1] + 1000)
    low, high = projection.points.min(0), projection.points.max(0)
    assert (far >= low - 1e-3).all() and (far <= high + 1e-3).all() and distance[0] > 1000


def test_a_killed_parent_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    code = (
        "import numpy as np; from interpret import project;"
        "job = project(np.random.default_rng(0).normal(size=(4000, 64)).astype(np.float32), 'umap-learn');"
        "[print(progress.note, flush=True) for progress in job]"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    for line in parent.stdout:
        if "laying out" in line:
            break
    (child,) = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    child.wait(timeout=30)
    assert list(tmp_path.iterdir()) == []

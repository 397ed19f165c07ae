"""Maps: PCA against scikit-learn, UMAP in its own process, and placing new pictures."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from interpret.errors import BadInput, InterpretError, UnknownName
from interpret.jobs import Progress, complete
from interpret.latent import PROJECTIONS, Projection, ProjectionParams, place, project

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


def test_pca_of_one_dimension_has_a_flat_second_axis() -> None:
    found = complete(project(np.array([[1.0], [2.0], [4.0]], np.float32), "pca")).points
    assert found.shape == (3, 2) and not found[:, 1].any()
    np.testing.assert_allclose(np.abs(np.diff(found[:, 0])), [1, 2], rtol=1e-5)


# ---- UMAP ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_maps() -> tuple[Projection, Projection, list[Progress]]:
    """The same map made twice, side by side, by jobs that take turns."""
    vectors, _ = clustered()
    jobs = [project(vectors, "umap", ProjectionParams(neighbors=12, seed=4)) for _ in range(2)]
    results: dict[int, Projection] = {}
    seen: list[Progress] = []
    while len(results) < 2:
        for index, job in enumerate(jobs):
            if index not in results:
                try:
                    seen.append(next(job))
                except StopIteration as stop:
                    results[index] = stop.value
    return results[0], results[1], seen


def test_umap_keeps_neighbours_together(two_maps: tuple[Projection, Projection, list[Progress]]) -> None:
    from sklearn.manifold import trustworthiness
    from sklearn.metrics import silhouette_score

    vectors, groups = clustered()
    found = two_maps[0]
    assert found.points.shape == (160, 2) and found.points.dtype == np.float32 and not found.points.flags.writeable
    assert np.isfinite(found.points).all()
    assert (found.method, found.params.neighbors) == ("umap", 12)
    shuffled = np.random.default_rng(0).permutation(found.points)
    assert trustworthiness(vectors, found.points, n_neighbors=10) > 0.9 > trustworthiness(vectors, shuffled)
    assert silhouette_score(found.points, groups) > 0.6


def test_the_same_seed_makes_the_same_map(two_maps: tuple[Projection, Projection, list[Progress]]) -> None:
    assert np.array_equal(two_maps[0].points, two_maps[1].points)


def test_progress_while_another_process_works(two_maps: tuple[Projection, Projection, list[Progress]]) -> None:
    notes = [progress.note for progress in two_maps[2]]
    assert notes[0] == "finding neighbours" and any(note.startswith("laying out the map") for note in notes)


def test_cancelling_ends_the_process_and_leaves_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    vectors, _ = clustered()
    for steps in (1, 2, 12):
        before = children()
        job = project(vectors, "umap", ProjectionParams(neighbors=12))
        for _ in range(steps):
            next(job)
        started = children() - before
        assert len(started) == (0 if steps == 1 else 1)
        assert bool(list(tmp_path.iterdir())) == (steps > 1)
        begun = time.perf_counter()
        job.close()
        assert time.perf_counter() - begun < 2
        assert children() == before and not any(psutil.pid_exists(pid) for pid in started)
        assert list(tmp_path.iterdir()) == []


def test_a_process_that_fails_says_why_and_leaves_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    vectors, _ = clustered()
    job = project(vectors, "umap", ProjectionParams(neighbors=12))
    next(job)
    before = children()
    next(job)
    for pid in children() - before:
        psutil.Process(pid).kill()
    with pytest.raises(InterpretError, match="UMAP stopped without a map"):
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


def test_too_many_neighbours_for_the_pictures() -> None:
    with pytest.raises(BadInput, match=r"UMAP with 15 neighbours needs more than 15 pictures; found 15"):
        complete(project(clustered(15)[0], "umap"))


def test_unknown_methods_and_metrics() -> None:
    with pytest.raises(UnknownName, match=r'Method "tsne" is not in the projections'):
        complete(project(clustered()[0], "tsne"))
    with pytest.raises(UnknownName, match='Metric "manhattan" is not in the metrics'):
        ProjectionParams(metric="manhattan")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"neighbors": 1}, {"neighbors": 500}, {"min_dist": -0.1}, {"min_dist": float("nan")}, {"seed": -1}]
)
def test_parameters_out_of_their_range(wrong: dict[str, float]) -> None:
    with pytest.raises(BadInput, match=f"{next(iter(wrong))} must lie between"):
        ProjectionParams(**wrong)  # type: ignore[arg-type]


def test_methods_say_what_they_are() -> None:
    assert {method.key for method in PROJECTIONS} >= {"umap", "pca"}
    assert all(method.title and method.source for method in PROJECTIONS)


# ---- placing ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flat() -> tuple[np.ndarray, np.ndarray, Projection]:
    vectors, groups = clustered(200)
    return vectors, groups, complete(project(vectors, "pca"))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_a_place_depends_on_nothing_but_the_picture(
    flat: tuple[np.ndarray, np.ndarray, Projection], metric: str
) -> None:
    from dataclasses import replace

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
        "job = project(np.random.default_rng(0).normal(size=(4000, 64)).astype(np.float32), 'umap');"
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

"""UMAP in torch: its graph, schedule and curve against umap-learn's own code, its forces against autograd, its maps."""

from __future__ import annotations

import gc
import json
from itertools import pairwise

import numpy as np
import pytest
import torch

from benchmarks.latent import digits, measures
from interpret.jobs import Progress, complete
from interpret.latent.neighbours import Metric, nearest
from interpret.latent.umap import umap
from interpret.latent.umap.graph import fuzzy_graph, nearest_in_chunks
from interpret.latent.umap.layout import attraction, curve, due, moves, repulsion
from interpret.latent.umap.start import principal, spectral, spread_out
from tests.conftest import REPOSITORY


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cloud(count: int = 90, width: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)


def ring(count: int = 120) -> np.ndarray:
    angle = np.arange(count) / count * 2 * np.pi
    return np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32) * 5


def two_clusters(count: int = 80) -> np.ndarray:
    vectors = cloud(count, 10, 1)
    vectors[count // 2 :] += 40
    return vectors


# ---- the graph ----------------------------------------------------------------------------------------------------

SETS = {
    "a cloud": cloud(),
    "duplicates, some more than there are neighbours": np.repeat(cloud(40), [1] * 30 + [3] * 8 + [14] * 2, axis=0),
    "two clusters": two_clusters(),
    "one point far away": np.vstack([cloud(60), np.full((1, 8), 1e3, np.float32)]),
    "all alike": np.ones((30, 4), np.float32),
}


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("name", SETS)
def test_the_graph_is_umap_learns(name: str, metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    from umap import umap_

    for function in ("smooth_knn_dist", "compute_membership_strengths"):  # as written: compiling takes longer
        compiled = getattr(umap_, function)
        monkeypatch.setattr(umap_, function, getattr(compiled, "py_func", compiled))
    vectors = SETS[name]
    indices, distances = nearest(vectors, vectors, 10, metric)
    theirs, _, _ = umap_.fuzzy_simplicial_set(
        vectors, 10, np.random.RandomState(0), metric, knn_indices=indices, knn_dists=distances
    )
    found = fuzzy_graph(indices, distances)
    np.testing.assert_allclose(found.toarray(), theirs.toarray(), atol=1e-5)
    assert found.nnz == theirs.nnz and abs(found - found.T).max() < 1e-7


def test_nearest_in_chunks_is_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interpret.latent.neighbours._MULTIPLICATIONS", {"cpu": 1})
    vectors = cloud(150)
    seen: list[Progress] = []
    indices, distances = complete(nearest_in_chunks(vectors, 7, "euclidean"), seen.append)
    assert [(progress.step, progress.total) for progress in seen] == [(0, 150), (64, 150), (128, 150)]
    at_once = nearest(vectors, vectors, 7)
    assert np.array_equal(indices, at_once[0])
    np.testing.assert_allclose(distances, at_once[1], atol=1e-6)


# ---- where it starts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_start_is_the_laplacians_eigenvectors(dimensions: int) -> None:
    vectors = cloud(200, 3)
    graph = fuzzy_graph(*nearest(vectors, vectors, 12))
    found = complete(spectral(graph, dimensions, generator()))
    assert found is not None
    weights = graph.toarray().astype(np.float64)
    strength = np.sqrt(weights.sum(1))
    _, ways = np.linalg.eigh(np.eye(len(vectors)) - weights / np.outer(strength, strength))
    cosines = np.abs((found.astype(np.float64) * ways[:, 1 : dimensions + 1]).sum(0))
    assert (cosines > 0.999).all()


def test_a_graph_in_two_parts_starts_from_the_principal_components() -> None:
    vectors = two_clusters()
    graph = fuzzy_graph(*nearest(vectors, vectors, 10))
    assert complete(spectral(graph, 2, generator())) is None
    points = complete(umap(vectors, 10))
    groups = np.arange(len(vectors)) < len(vectors) // 2
    apart = np.linalg.norm(points[groups].mean(0) - points[~groups].mean(0))
    widths = [np.linalg.norm(points[group] - points[group].mean(0), axis=1).max() for group in (groups, ~groups)]
    assert apart > sum(widths)


def test_no_two_points_start_at_one_place() -> None:
    start = spread_out(np.zeros((50, 3), np.float32), generator())
    assert start.amin(0).tolist() == [0, 0, 0] and start.amax(0).tolist() == [10, 10, 10]
    assert len(start.unique(dim=0)) == 50
    assert principal(cloud(20, 2), 3).shape == (20, 3)


# ---- the layout ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("min_dist", [0.0, 0.1, 0.5, 1.0])
def test_the_curve_is_umap_learns(min_dist: float) -> None:
    from umap.umap_ import find_ab_params

    np.testing.assert_allclose(curve(min_dist), find_ab_params(1.0, min_dist), rtol=1e-6)


def test_edges_are_sampled_when_umap_learn_samples_them() -> None:
    from umap.umap_ import make_epochs_per_sample

    weights = np.concatenate([[1.0, 0.5, 0.25], np.random.default_rng(0).uniform(0.01, 1, 300)])
    between = make_epochs_per_sample(weights, 200)
    following = between.copy()
    share = torch.from_numpy(weights / weights.max())
    for epoch in range(1, 200):
        expected = following <= epoch + 1e-9
        assert np.array_equal(due(share, epoch).numpy(), np.flatnonzero(expected)), epoch
        following[expected] += between[expected]


@pytest.mark.parametrize("min_dist", [0.0, 0.1, 0.8])
def test_forces_are_the_gradients_of_the_cross_entropy(min_dist: float) -> None:
    a, b = curve(min_dist)
    apart = torch.randn(3, 200, generator=generator(), dtype=torch.float64) * 3
    leaf = apart.clone().requires_grad_()
    kept = 1 / (1 + a * leaf.square().sum(0).pow(b))
    (together,) = torch.autograd.grad(kept.log().sum(), leaf, retain_graph=True)
    (away,) = torch.autograd.grad((1 - kept).log().sum(), leaf)
    squared = apart.square().sum(0)
    torch.testing.assert_close(attraction(squared, a, b) * apart, together)
    torch.testing.assert_close(repulsion(squared, a, b) * apart * (squared + 1e-3) / squared, away)


def test_an_edge_moves_both_its_ends_and_a_negative_only_the_head() -> None:
    a, b = curve(0.1)
    points = torch.tensor([[0.0, 3.0, 0.0, 9.0], [0.0, 0.0, 2.0, 9.0]])
    head, tail, others = torch.tensor([0]), torch.tensor([1]), torch.tensor([[2], [0]])
    moved = moves(points, head, tail, others, a, b)
    pull = attraction(torch.tensor(9.0), a, b) * -3
    push = repulsion(torch.tensor(4.0), a, b) * -2
    torch.testing.assert_close(moved, torch.tensor([[pull, -pull, 0, 0], [push, 0, 0, 0]]))
    assert pull > 0 > push
    near = torch.tensor([[0.0, 1e-2, 0.0], [0.0, 0.0, 1e-2]])
    assert moves(near, head, tail, torch.tensor([[2]]), a, b)[1, 0] == -4  # clipped


def test_equal_points_do_not_make_numbers_that_are_none() -> None:
    points = torch.zeros(2, 5)
    moved = moves(points, torch.tensor([0, 1]), torch.tensor([1, 2]), torch.tensor([[3, 1]]), *curve(0.1))
    assert not moved.any()
    found = complete(umap(SETS["all alike"], 10))
    assert np.isfinite(found).all()


# ---- the job ------------------------------------------------------------------------------------------------------


def test_the_same_seed_makes_the_same_map_and_another_another() -> None:
    vectors = cloud(150)
    first, second, third = (complete(umap(vectors, 10, seed=seed)) for seed in (3, 3, 4))
    assert np.array_equal(first, second) and not np.array_equal(first, third)
    assert first.shape == (150, 2) and first.dtype == np.float32


def test_a_ring_stays_a_ring_in_the_plane_and_in_space() -> None:
    for dimensions in (2, 3):
        points = complete(umap(ring(), 8, dimensions=dimensions))
        assert points.shape == (120, dimensions)
        beside = np.linalg.norm(points - np.roll(points, 1, 0), axis=1)
        across = np.linalg.norm(points - np.roll(points, 60, 0), axis=1)
        assert beside.max() < across.min()


def test_the_layout_shows_itself_while_it_forms() -> None:
    seen: list[Progress] = []
    points = complete(umap(cloud(150), 10), seen.append)
    notes = list(dict.fromkeys(progress.note for progress in seen))
    assert notes == ["finding neighbours", "finding where to start", "laying out the map"]
    shown = [progress for progress in seen if progress.note == "laying out the map"]
    assert [progress.step for progress in shown] == list(range(0, 499, 10))
    previews = [np.asarray(progress.preview) for progress in shown]
    assert all(preview.shape == (150, 2) and preview.dtype == np.float32 for preview in previews)
    assert all(not np.array_equal(one, two) for one, two in pairwise(previews))
    assert np.linalg.norm(previews[-1] - points, axis=1).mean() < np.linalg.norm(previews[0] - points, axis=1).mean()


def test_cancelling_at_any_step_leaves_nothing_behind() -> None:
    vectors = cloud(400, 64)
    state = torch.random.get_rng_state()
    for steps in (1, 2, 3, 9, 40):
        job = umap(vectors, 10)
        for _ in range(steps):
            next(job)
        job.close()
    gc.collect()
    assert torch.equal(state, torch.random.get_rng_state()) and torch.is_grad_enabled()


def test_a_map_keeps_neighbours_as_umap_learn_does() -> None:
    """The digits. What umap-learn reached, a mean of three seeds, is of `python -m benchmarks --only latent`."""
    rows = json.loads((REPOSITORY / "benchmarks" / "results" / "latent.json").read_text(encoding="utf-8"))["rows"]
    vectors, labels = digits()
    found = measures(vectors, complete(umap(vectors, 15)), labels)
    allowed = {"trustworthiness": 0.3, "neighbours kept": 1.5, "label of neighbours right": 0.5}  # percent
    for measure, less in allowed.items():
        (theirs,) = (
            row["value"]
            for row in rows
            if row["task"] == f"map of digits, 1,797 x 64: {measure}" and row["way"].startswith("umap-learn")
        )
        assert found[measure] > theirs - less, measure
    assert found["largest radius by 99th percentile"] < 1.5

"""How far a map may be trusted, against scikit-learn, and the exact distances it is counted in."""

from __future__ import annotations

import functools
import time

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from interpret.errors import BadInput
from interpret.jobs import Progress, complete
from interpret.latent import distances as exact
from interpret.latent import map_quality, movement, nearest_others
from interpret.latent.distances import Distances, closest, ranks
from interpret.latent.quality import CAUTION


def made(count: int, dimensions: int = 24, offset: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of unequal spread, and a map of them that is partly wrong: float32 [n, d] and [n, 2]."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, dimensions)) * np.linspace(0.2, 2, dimensions) + offset
    points = PCA(2).fit_transform(vectors) + 0.3 * rng.standard_normal((count, 2))
    return vectors.astype(np.float32), points.astype(np.float32)


def whole_numbers(count: int, sides: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors and points on a coarse grid, so that nearly all distances are equal to others, and labels."""
    rng = np.random.default_rng(seed)
    vectors = rng.integers(0, sides, (count, 5)).astype(np.float32)
    points = (vectors[:, :2] + rng.integers(0, 2, (count, 2))).astype(np.float32)
    return vectors, points, rng.integers(0, 3, count)


def sorted_ranks(table: np.ndarray) -> np.ndarray:
    """The rank of every row among the others by a stable sort: int64 [n, n]."""
    apart = ((table[:, None].astype(np.float64) - table) ** 2).sum(2)
    np.fill_diagonal(apart, np.inf)
    return apart.argsort(1, kind="stable").argsort(1) + 1


# ---- against scikit-learn -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize(("count", "k", "offset"), [(40, 5, 0.0), (400, 15, 0.0), (900, 30, 100.0), (31, 15, 0.0)])
def test_it_equals_scikit_learn(count: int, k: int, offset: float, metric: str) -> None:
    vectors, points = made(count, offset=offset)
    found = complete(map_quality(vectors, points, neighbors=k, metric=metric))  # type: ignore[arg-type]
    wide, flat = vectors.astype(np.float64), points.astype(np.float64)
    assert abs(found.trustworthiness - trustworthiness(wide, flat, n_neighbors=k, metric=metric)) < 1e-6
    if metric == "euclidean":  # continuity is the trustworthiness of the way back
        assert abs(found.continuity - trustworthiness(flat, wide, n_neighbors=k)) < 1e-6
    near = NearestNeighbors(n_neighbors=k, metric=metric).fit(wide).kneighbors(return_distance=False)
    seen = NearestNeighbors(n_neighbors=k).fit(flat).kneighbors(return_distance=False)
    kept = [len(set(a) & set(b)) / k for a, b in zip(near, seen, strict=True)]
    np.testing.assert_allclose(found.kept, kept, atol=1e-6)
    assert abs(found.preservation - np.mean(kept)) < 1e-6
    assert found.neighbors == k and found.asked.tolist() == list(range(count)) and found.metric == metric
    assert 0.5 < found.trustworthiness < 1


def test_a_map_of_three_dimensions() -> None:
    vectors, _ = made(200)
    points = PCA(3).fit_transform(vectors).astype(np.float32)
    found = complete(map_quality(vectors, points)).trustworthiness
    assert abs(found - trustworthiness(vectors.astype(np.float64), points.astype(np.float64), n_neighbors=15)) < 1e-6


def test_ties_are_taken_as_by_scikit_learn_with_a_stable_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, _, _ = whole_numbers(150, 3)
    points = made(150, 5)[1]
    monkeypatch.setattr(np, "argsort", functools.partial(np.argsort, kind="stable"))
    theirs = trustworthiness(vectors.astype(np.float64), points.astype(np.float64), n_neighbors=7)
    assert abs(complete(map_quality(vectors, points, neighbors=7)).trustworthiness - theirs) < 1e-6


@pytest.mark.parametrize("sides", [1, 2, 4])  # 1: all pictures are the same
def test_pictures_that_are_there_twice_count_by_their_order(sides: int) -> None:
    vectors, points, _ = whole_numbers(120, sides)
    found = complete(map_quality(vectors, points, neighbors=10))
    in_layer, in_map = sorted_ranks(vectors), sorted_ranks(points)
    factor = 2 / (120 * 10 * (240 - 30 - 1))
    trust = 1 - factor * np.maximum(0, in_layer - 10)[in_map <= 10].sum()
    continuity = 1 - factor * np.maximum(0, in_map - 10)[in_layer <= 10].sum()
    assert abs(found.trustworthiness - trust) < 1e-9 and abs(found.continuity - continuity) < 1e-9
    np.testing.assert_allclose(found.kept, ((in_layer <= 10) & (in_map <= 10)).sum(1) / 10, atol=1e-6)


def test_copies_stay_together_however_they_are_rounded() -> None:
    """40 copies of 5 pictures: the 10 nearest are the first 10 copies, in the layer and in the map."""
    vectors, points = (np.tile(table, (40, 1)) for table in made(5, 64, offset=1.0))
    found = complete(map_quality(vectors, points, neighbors=10))
    assert found.trustworthiness == found.continuity == found.preservation == 1
    for metric in ("euclidean", "cosine"):
        _, far = complete(nearest_others(vectors, 39, metric))  # type: ignore[arg-type]
        assert not far.any()


def test_a_map_that_is_the_layer_is_perfect_and_a_random_one_has_a_half() -> None:
    vectors, _ = made(500, 2)
    perfect = complete(map_quality(vectors, vectors, np.arange(500) % 2))
    assert perfect.trustworthiness == perfect.continuity == perfect.preservation == 1
    assert not perfect.misplaced.any() and (perfect.kept == 1).all()
    lots = complete(map_quality(vectors, np.random.default_rng(1).standard_normal((500, 2)).astype(np.float32)))
    assert abs(lots.trustworthiness - 0.5) < 0.03 and abs(lots.continuity - 0.5) < 0.03
    assert abs(lots.preservation - 15 / 499) < 0.01


# ---- labels -------------------------------------------------------------------------------------------------------


def test_the_vote_is_that_of_a_classifier_that_leaves_one_out() -> None:
    vectors, points = made(90)
    labels = (vectors[:, -1] > 0).astype(np.int64) * 7 + (vectors[:, -2] > 0)
    found = complete(map_quality(vectors, points, labels, neighbors=6))
    right = []
    for table in (vectors, points):
        votes = [
            KNeighborsClassifier(6).fit(np.delete(table, i, 0), np.delete(labels, i)).predict(table[i : i + 1])[0]
            for i in range(90)
        ]
        right.append(np.array(votes) == labels)
    assert found.layer_accuracy == right[0].mean() and found.map_accuracy == right[1].mean()
    assert found.misplaced[right[0] & ~right[1]].all() and (right[0] & ~right[1]).any()


def test_pictures_without_a_label_have_no_vote() -> None:
    vectors, points = made(120)
    labels = (vectors[:, -1] > 0).astype(np.int64)
    known = np.arange(120) % 3 > 0
    found = complete(map_quality(vectors, points, np.where(known, labels, -1), neighbors=5))
    alone = complete(map_quality(vectors[known], points[known], labels[known], neighbors=5))
    assert (found.layer_accuracy, found.map_accuracy) == (alone.layer_accuracy, alone.map_accuracy)
    nothing = complete(map_quality(vectors, points, np.full(120, -1)))
    assert nothing.layer_accuracy is None and nothing.map_accuracy is None


def test_the_picture_that_was_put_elsewhere_is_misplaced() -> None:
    rng = np.random.default_rng(2)
    groups = np.arange(200) % 2
    vectors = (rng.standard_normal((200, 2)) + groups[:, None] * 20).astype(np.float32)
    points = vectors.copy()
    points[17] = points[18] + 0.01
    for labels in (groups, None):
        found = complete(map_quality(vectors, points, labels))
        assert np.flatnonzero(found.misplaced).tolist() == [17] or found.misplaced.sum() <= 2
        assert found.misplaced[17] and found.kept[17] == 0


def test_without_labels_the_hundredth_that_keeps_fewest_is_misplaced() -> None:
    found = complete(map_quality(*made(500)))
    assert found.misplaced.sum() == 5
    assert sorted(found.kept[found.misplaced]) == sorted(found.kept)[:5]


# ---- many pictures ------------------------------------------------------------------------------------------------


def test_of_many_pictures_some_are_asked_against_all() -> None:
    vectors, points = made(600)
    labels = (vectors[:, -1] > 0).astype(np.int64)
    whole = complete(map_quality(vectors, points, labels))
    some = complete(map_quality(vectors, points, labels, most=200))
    assert len(some.asked) == 200 and (np.diff(some.asked) > 0).all()
    np.testing.assert_array_equal(some.kept[some.asked], whole.kept[some.asked])
    rest = np.setdiff1d(np.arange(600), some.asked)
    assert np.isnan(some.kept[rest]).all() and not some.misplaced[rest].any()
    assert abs(some.trustworthiness - whole.trustworthiness) < 0.02
    assert abs(some.continuity - whole.continuity) < 0.02
    again, other = (complete(map_quality(vectors, points, most=200, seed=seed)).asked for seed in (0, 1))
    assert again.tolist() == some.asked.tolist() and other.tolist() != some.asked.tolist()
    assert "(asked for 200 of 600)" in some.says and "asked for" not in whole.says
    assert CAUTION in whole.says and f"{whole.trustworthiness:.2f}" in whole.says


def test_parts_and_tiles_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, points = made(300, offset=3.0)
    labels = np.arange(300) % 3
    whole = complete(map_quality(vectors, points, labels))
    monkeypatch.setattr(exact, "_HELD", 100)
    monkeypatch.setattr(exact, "_TILE", 24 * 70)
    monkeypatch.setattr(exact, "_NUMBERS", {"cpu": 300 * 37})
    seen: list[Progress] = []
    parts = complete(map_quality(vectors, points, labels), seen.append)
    assert abs(parts.trustworthiness - whole.trustworthiness) < 1e-12
    np.testing.assert_array_equal(parts.kept, whole.kept)
    np.testing.assert_array_equal(parts.misplaced, whole.misplaced)
    assert [progress.step for progress in seen[1:]] == [*range(37, 300, 37), 300]
    assert all(progress.total == 300 for progress in seen[1:])


def test_a_cancel_need_not_wait() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((20_000, 256)).astype(np.float32)
    job = map_quality(vectors, vectors[:, :2].copy())
    next(job)
    begun = time.perf_counter()
    next(job)
    job.close()
    assert time.perf_counter() - begun < 2


def test_what_is_refused() -> None:
    vectors, points = made(40)
    for wrong in ((vectors, points[:39]), (vectors, points, np.zeros(41, np.int64)), (vectors, points, None, 0)):
        with pytest.raises(BadInput, match="judged by a point and a label for each vector"):
            complete(map_quality(*wrong))
    with pytest.raises(BadInput, match="at least 3 pictures with finite vectors; found 2"):
        complete(map_quality(vectors[:2], points[:2]))
    broken = points.copy()
    broken[3] = np.nan
    with pytest.raises(BadInput, match="finite"):
        complete(map_quality(vectors, broken))
    assert complete(map_quality(vectors[:21], points[:21])).neighbors == 10
    assert complete(map_quality(vectors[:3], points[:3])).neighbors == 1


def test_results_cannot_be_written_to() -> None:
    found = complete(map_quality(*made(40)))
    for array in (found.kept, found.misplaced, found.asked):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


# ---- exact distances ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize(("dimensions", "offset"), [(2, 0.0), (3, 1e3), (64, 0.0), (64, 1e3)])
def test_nearest_others_are_scikit_learns(dimensions: int, offset: float, metric: str) -> None:
    vectors = (np.random.default_rng(0).standard_normal((300, dimensions)) + offset).astype(np.float32)
    model = NearestNeighbors(n_neighbors=9, metric=metric, algorithm="brute").fit(vectors.astype(np.longdouble))
    apart, indices = model.kneighbors()
    found, far = complete(nearest_others(vectors, 9, metric))  # type: ignore[arg-type]
    assert found.dtype == np.int64 and far.dtype == np.float32 and not found.flags.writeable
    np.testing.assert_allclose(far, apart, rtol=1e-5, atol=1e-9)
    assert (found == indices).mean() > 0.995 and (np.diff(far, axis=1) >= 0).all()


def test_no_more_others_than_there_are() -> None:
    found, far = complete(nearest_others(np.array([[0.0], [1.0], [3.0]], np.float32), 10))
    assert found.tolist() == [[1, 2], [0, 2], [1, 0]] and far.tolist() == [[1, 3], [1, 2], [2, 3]]


def test_a_vector_of_zeros_is_as_far_from_all() -> None:
    vectors = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [0, 2, 0, 0], [3, 0, 0, 0]], np.float32)
    apart = Distances(vectors, "cosine").of(np.arange(4))
    inf = np.inf
    assert apart.tolist() == [[inf, 1, 1, 1], [1, inf, 1, 0], [1, 1, inf, 1], [1, 0, 1, inf]]


def test_places_and_ranks_are_those_of_a_stable_sort() -> None:
    apart = torch.randint(0, 4, (60, 25), generator=torch.Generator().manual_seed(0)).double()
    order = apart.argsort(dim=1, stable=True)
    for count in (1, 4, 24):
        assert torch.equal(closest(apart, count).sort(1).values, order[:, :count].sort(1).values)
        for function in (ranks, exact._ranks_at_once):
            assert torch.equal(function(apart, order[:, :count]), torch.arange(1, count + 1).expand(60, count))


def test_movement_is_measured_in_radii() -> None:
    """Four corners of a square of side 2 lie the root of 2 from the middle; another map's size counts half."""
    square = np.array([[0, 0], [2, 0], [0, 2], [2, 2]], np.float32) + 7
    shifted = square + np.float32([3, 4])
    np.testing.assert_allclose(movement(square, shifted), 5 / np.sqrt(2), rtol=1e-6)
    larger = movement(square, 8 + 3 * (square - 8))
    np.testing.assert_allclose(larger, 2 * np.sqrt(2) / (2 * np.sqrt(2)), rtol=1e-6)
    assert np.array_equal(movement(square, square), np.zeros(4))

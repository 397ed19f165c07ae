"""What stands out in a data set: clusters, outliers, copies, and what a network gets wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, confusion_matrix
from sklearn.neighbors import LocalOutlierFactor

from interpret.errors import BadInput
from interpret.jobs import Progress, complete
from interpret.latent import Embedding, clusters, confusion, nearest_others
from interpret.latent.groups import (
    confident_wrong,
    hardest,
    near_duplicates,
    other_neighbours,
    outliers,
    true_classes,
)
from interpret.layers import LayerInfo

LABELS = ("cat", "dog", "golden retriever")


def embedding(
    predictions: list[int], confidences: list[float], labels: list[int], classes: tuple[str, ...]
) -> Embedding:
    count = len(labels)
    return Embedding(
        vectors=np.zeros((count, 4), np.float32),
        predictions=np.array(predictions, np.int64),
        confidences=np.array(confidences, np.float32),
        loss=np.full(count, np.nan, np.float32),
        labels=np.array(labels, np.int64),
        classes=classes,
        names=tuple(f"{i}.png" for i in range(count)),
        thumbnails=(b"",) * count,
        skipped=(),
        layer=LayerInfo("fc", "Linear", (4,), "vector", 0, None, 1, False),
        pool="mean",
        precision="float32",
        warning="",
        model_digest="model",
        source_digest="source",
    )


def islands(sizes: tuple[int, ...], dimensions: int = 2, noise: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points in islands far apart and which island each is of, -1 for some scattered between; shuffled."""
    rng = np.random.default_rng(0)
    which = np.concatenate([np.repeat(np.arange(len(sizes)), sizes), np.full(noise, -1)])
    centres = np.zeros((len(sizes), dimensions))
    centres[:, :2] = 20 * np.stack([np.cos(np.arange(len(sizes))), np.sin(np.arange(len(sizes)))], 1)
    points = np.where(which[:, None] >= 0, centres[which], 60) + rng.standard_normal((len(which), dimensions))
    points[which < 0] += rng.uniform(-200, 200, (noise, dimensions))
    order = rng.permutation(len(which))
    return points[order].astype(np.float32), which[order]


# ---- clusters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dimensions", [2, 3, 40])
def test_islands_are_found_largest_first(dimensions: int) -> None:
    points, which = islands((60, 150, 90), dimensions, noise=6)
    found = complete(clusters(points, smallest=20))
    assert found.sizes.tolist() == sorted(found.sizes.tolist(), reverse=True) and len(found.sizes) == 3
    assert found.sizes.tolist() == np.bincount(found.members[found.members >= 0]).tolist()
    assert adjusted_rand_score(which, found.members) > 0.9
    assert (found.members[which < 0] == -1).mean() > 0.6
    assert found.names == ("cluster 1", "cluster 2", "cluster 3")
    assert found.classes.tolist() == [-1] * 3 and np.isnan(found.shares).all() and found.shares.dtype == np.float32
    assert not found.members.flags.writeable and found.members.dtype == np.int64


def test_clusters_are_named_by_the_class_most_of_them_have() -> None:
    points, which = islands((200, 100, 50, 30))
    labels = np.array([0, 1, 0, -1])[which]
    labels[np.flatnonzero(which == 1)[:20]] = 0
    labels[np.flatnonzero(which == 0)[:50]] = -1
    found = complete(clusters(points, labels, LABELS, smallest=10))
    assert found.names == ("cat 100%", "dog 80%", "cat 2 100%", "cluster 4")
    assert found.classes.tolist() == [0, 1, 0, -1]
    np.testing.assert_allclose(found.shares, [1, 0.8, 1, np.nan], atol=1e-6)
    assert complete(clusters(points, labels, smallest=10)).names[1] == "class 1 80%"


def test_of_many_pictures_some_are_clustered_and_the_others_join_them() -> None:
    points, which = islands((700, 500, 300), noise=10)
    seen: list[Progress] = []
    found = complete(clusters(points, smallest=100, most=300), seen.append)
    assert adjusted_rand_score(which[which >= 0], found.members[which >= 0]) > 0.9 and len(found.sizes) == 3
    assert seen[0].step == 0 and len(seen) > 2 and all(progress.total == 1510 for progress in seen)


def test_where_there_are_no_clusters_all_is_noise() -> None:
    found = complete(clusters(np.random.default_rng(0).uniform(size=(60, 2)).astype(np.float32), smallest=40))
    assert (found.members == -1).all() and found.names == () and len(found.sizes) == 0


def test_clusters_that_are_refused() -> None:
    for points, smallest in ((np.zeros((4, 2), "f4"), None), (np.zeros((9, 2), "f4"), 1), (np.full((9, 2), np.nan), 3)):
        with pytest.raises(BadInput, match="Clusters of 2 or more finite points"):
            complete(clusters(points, smallest=smallest))


# ---- outliers and copies ------------------------------------------------------------------------------------------


def test_outliers_are_lonelier_than_their_neighbours() -> None:
    """A cluster ten times wider than the other is no outlier; a point a little off the dense one is."""
    points, which = islands((150, 150))
    points[which == 1] = (points[which == 1] - points[which == 1].mean(0)) * 10 + 500
    points = np.concatenate([points, points[which == 0].mean(0, keepdims=True) + 12])
    table = complete(nearest_others(points, 10))
    found = outliers(*table, count=301)
    assert found.indices[0] == 300 and found.values[0] > 3 and (np.diff(found.values) <= 0).all()
    assert sorted(found.indices.tolist()) == list(range(301)) and found.values.dtype == np.float32
    last = table[1][:, -1].astype(np.float64)
    expected = [last[i] / np.mean([last[j] for j in table[0][i]]) for i in found.indices]
    np.testing.assert_allclose(found.values, expected, rtol=1e-5)
    theirs = np.argsort(LocalOutlierFactor(10).fit(points).negative_outlier_factor_)
    assert theirs[0] == 300 and len(set(theirs[:15]) & set(found.indices[:15].tolist())) >= 8


def test_outliers_among_copies_are_no_division_by_zero() -> None:
    points = np.concatenate([np.zeros((12, 3)), np.full((1, 3), 5.0)]).astype(np.float32)
    found = outliers(*complete(nearest_others(points, 4)), count=13)
    assert found.indices[0] == 12 and np.isinf(found.values[0]) and (found.values[1:] == 1).all()


def test_near_duplicates_and_copies() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((200, 30)).astype(np.float32)
    vectors[50] = vectors[10] + 0.01
    vectors[[7, 120, 199]] = vectors[3]  # four times the same
    vectors[60] = vectors[61] * np.float32(1 + 2e-3)
    vectors[90] = vectors[3] + 0.02
    found = near_duplicates(vectors, *complete(nearest_others(vectors, 8)))
    assert found.pairs[found.exact].tolist() == [[3, 7], [3, 120], [3, 199]]
    assert not found.distances[:3].any() and found.exact.tolist() == [True] * 3 + [False] * (len(found.exact) - 3)
    near = {tuple(pair) for pair in found.pairs[3:].tolist()}
    assert near == {(10, 50), (60, 61), (3, 90), (7, 90), (90, 120), (90, 199)}
    assert (found.pairs[:, 0] < found.pairs[:, 1]).all() and (np.diff(found.distances) >= 0).all()
    assert found.distances.max() < found.threshold and not found.pairs.flags.writeable


def test_a_data_set_where_most_are_there_twice() -> None:
    vectors = np.tile(np.random.default_rng(0).standard_normal((40, 30)), (2, 1)).astype(np.float32)
    vectors[[50, 51, 52]] += 0.02
    found = near_duplicates(vectors, *complete(nearest_others(vectors, 4)))
    assert found.exact.tolist() == [True] * 37 + [False] * 3
    assert sorted(found.pairs[37:].tolist()) == [[10, 50], [11, 51], [12, 52]]
    apart = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    assert found.threshold == pytest.approx(0.2 * np.median(np.where(apart > 0, apart, np.inf).min(1)), rel=1e-4)


def test_a_data_set_without_copies_and_one_of_nothing_else() -> None:
    vectors = np.random.default_rng(0).standard_normal((100, 30)).astype(np.float32)
    found = near_duplicates(vectors, *complete(nearest_others(vectors, 5)))
    assert found.pairs.shape == (0, 2) and found.threshold > 0
    same = np.zeros((10, 4), np.float32)
    same[3] = -0.0
    found = near_duplicates(same, *complete(nearest_others(same, 3)))
    assert found.pairs.tolist() == [[0, i] for i in range(1, 10)] and found.exact.all() and found.threshold == 0


# ---- what a network gets wrong ------------------------------------------------------------------------------------

SAID = embedding(
    predictions=[0, 1, 2, 0, 1, 2, 0],
    confidences=[0.9, 0.8, 0.7, 0.95, 0.4, 1.0, 0.6],
    labels=[1, 1, 0, 2, 1, 1, -1],
    classes=("Golden_Retriever", "dog", "sofa"),
)


def test_other_neighbours_are_counted() -> None:
    one = np.array([[1, 2, 3], [0, 2, 3], [3, 1, 0], [2, 1, 0]])
    other = np.array([[3, 2, 1], [4, 5, 6], [3, 5, 6], [2, 1, 5]])
    found = other_neighbours(one, other, 3)
    assert found.indices.tolist() == [1, 2, 3]
    np.testing.assert_allclose(found.values, [1, 2 / 3, 1 / 3], rtol=1e-6)


def test_classes_of_the_data_are_classes_of_the_network() -> None:
    true = true_classes(SAID, LABELS)
    assert true.tolist() == [1, 1, 2, -1, 1, 1, -1] and not true.flags.writeable
    assert true_classes(embedding([0], [0.5], [-1], ()), LABELS).tolist() == [-1]


def test_the_pictures_of_highest_loss() -> None:
    found = hardest(replace(SAID, loss=np.array([2.3, 0.2, np.nan, 0.1, np.inf, 5, np.nan], np.float32)))
    assert found.indices.tolist() == [4, 5, 0, 1, 3] and found.values[1] == 5
    assert hardest(SAID, 2).indices.tolist() == []


def test_the_most_confident_of_the_wrong() -> None:
    found = confident_wrong(SAID, true_classes(SAID, LABELS))
    assert found.indices.tolist() == [5, 0]
    np.testing.assert_allclose(found.values, [1.0, 0.9])


def test_a_confusion_matrix_and_the_pictures_of_its_cells() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(-1, 3, 200)
    said = embedding(rng.integers(0, 3, 200).tolist(), rng.uniform(size=200).tolist(), true.tolist(), LABELS)
    found = confusion(said, true_classes(said, LABELS), LABELS)
    known = true >= 0
    assert np.array_equal(found.counts, confusion_matrix(true[known], said.predictions[known]))
    for i in range(3):
        for j in range(3):
            cell = found.cell(i, j)
            assert sorted(cell) == np.flatnonzero((true == i) & (said.predictions == j)).tolist()
            assert (np.diff(said.confidences[cell]) <= 0).all()
    mistakes = found.mistakes
    assert len(mistakes) == 6 and (np.diff(found.counts[tuple(mistakes.T)]) <= 0).all()
    assert found.classes == LABELS and not found.counts.flags.writeable and not found.order.flags.writeable


def test_a_confusion_matrix_of_nothing() -> None:
    found = confusion(SAID, np.full(7, -1), LABELS)
    assert not found.counts.any() and found.cell(0, 0).size == 0 and found.mistakes.shape == (0, 2)

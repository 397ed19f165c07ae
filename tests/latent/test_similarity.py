"""How alike layers are, against the formulas written out with Gram matrices in float64."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from interpret.errors import BadInput
from interpret.jobs import Progress, complete
from interpret.latent import cka_matrix, overlap_matrix, similarity
from interpret.latent.similarity import CAUTION, cka_between, overlap_between


def gaussian(count: int, dimensions: int, seed: int, offset: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((count, dimensions)) * rng.uniform(0.2, 2, dimensions) + offset).astype(np.float32)


def turned(vectors: np.ndarray, seed: int = 0) -> np.ndarray:
    """The vectors in a rotated and mirrored frame."""
    width = vectors.shape[1]
    turn, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((width, width)))
    return vectors @ turn


def reference(one: np.ndarray, other: np.ndarray, debiased: bool) -> float:
    """CKA from centred Gram matrices, or by Song et al. 2012, equation 5, from uncentred ones."""
    count = len(one)
    grams = [table.astype(np.float64) @ table.astype(np.float64).T for table in (one, other)]

    def biased(k: np.ndarray, ell: np.ndarray) -> float:
        centre = np.eye(count) - 1 / count
        return float(np.trace(k @ centre @ ell @ centre)) / (count - 1) ** 2

    def unbiased(k: np.ndarray, ell: np.ndarray) -> float:
        k, ell = k - np.diag(np.diag(k)), ell - np.diag(np.diag(ell))
        ones = np.ones(count)
        whole = np.trace(k @ ell) + (ones @ k @ ones) * (ones @ ell @ ones) / ((count - 1) * (count - 2))
        return float(whole - 2 / (count - 2) * (ones @ k @ ell @ ones)) / (count * (count - 3))

    hsic = unbiased if debiased else biased
    return hsic(*grams) / np.sqrt(hsic(grams[0], grams[0]) * hsic(grams[1], grams[1]))


@pytest.mark.parametrize("debiased", [True, False])
@pytest.mark.parametrize("count", [20, 90, 300])  # from pictures, from either, from features
def test_it_equals_the_formula(count: int, debiased: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    first = gaussian(count, 70, 0, offset=2.0)
    layers = [first, (np.maximum(turned(first), 0)[:, :50]).astype(np.float32), gaussian(count, 110, 3)]
    found = complete(cka_matrix(layers, debiased))
    assert found.shape == (3, 3) and found.dtype == np.float32 and not found.flags.writeable
    expected = [[reference(one, other, debiased) for other in layers] for one in layers]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    monkeypatch.setattr(similarity, "_BLOCK", 32)
    monkeypatch.setattr(similarity, "_WORK", 32**2 * 40)
    seen: list[Progress] = []
    np.testing.assert_allclose(complete(cka_matrix(layers, debiased), seen.append), found, atol=1e-6)
    assert len(seen) > 6 and {progress.step for progress in seen} == set(range(6)) and seen[0].total == 6


@pytest.mark.parametrize("debiased", [True, False])
def test_between_two_networks_it_is_the_block_off_the_diagonal(debiased: bool) -> None:
    """Without the pairs inside either."""
    first = gaussian(80, 30, 0, offset=2.0)
    rows = [first, np.maximum(first, 0), gaussian(80, 12, 1)]
    columns = [turned(first).astype(np.float32), np.full((80, 4), 0.1, np.float32)]
    seen: list[Progress] = []
    found = complete(cka_between(rows, columns, debiased), seen.append)
    assert found.shape == (3, 2) and found.dtype == np.float32 and not found.flags.writeable
    np.testing.assert_allclose(found[:, 0], [reference(one, columns[0], debiased) for one in rows], atol=1e-6)
    assert np.isnan(found[:, 1]).all() and found[0, 0] == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(found, complete(cka_matrix([*rows, *columns], debiased))[:3, 3:], atol=1e-6)
    assert {progress.step for progress in seen} == set(range(3 + 2 + 3 * 2)) and seen[0].total == 11
    overlap = complete(overlap_between(rows, columns, 7))
    assert np.array_equal(overlap, complete(overlap_matrix([*rows, *columns], 7))[:3, 3:])
    assert overlap.shape == (3, 2) and overlap.dtype == np.float32 and not overlap.flags.writeable
    assert overlap[0, 0] > 0.99 > 0.3 > overlap[2, 0]


@pytest.mark.parametrize("debiased", [True, False])
@pytest.mark.parametrize("count", [15, 200])
def test_turning_scaling_and_moving_change_nothing(count: int, debiased: bool) -> None:
    one, other = gaussian(count, 40, 0), gaussian(count, 30, 1)
    other[:, 0] += 4 * one[:, 0]
    changed = (turned(one) * 1e3 + 50).astype(np.float32)
    found = complete(cka_matrix([one, changed, other], debiased))
    np.testing.assert_allclose(found[0, 1], 1, atol=1e-5)
    np.testing.assert_allclose(found[0, 2], found[1, 2], atol=1e-5)
    np.testing.assert_allclose(found.diagonal(), 1, atol=1e-6)
    assert np.array_equal(found, found.T)


def test_layers_that_have_nothing_in_common() -> None:
    """Few pictures and many channels: only the debiased one says so."""
    layers = [gaussian(60, 400, seed) for seed in range(8)]
    apart = ~np.eye(8, dtype=bool)
    biased, debiased = complete(cka_matrix(layers, debiased=False))[apart], complete(cka_matrix(layers))[apart]
    assert biased.min() > 0.7
    assert abs(debiased.mean()) < 0.02 and np.abs(debiased).max() < 0.15


@pytest.mark.parametrize(("debiased", "outliers"), [(False, 1), (True, 3)])
def test_a_few_outliers_move_cka_and_not_the_neighbours(debiased: bool, outliers: int) -> None:
    """The debiased one leaves out what a picture says of itself, so it takes two that lie together."""
    one, other = gaussian(300, 20, 0), gaussian(300, 20, 1)
    before = complete(cka_matrix([one, other], debiased))[0, 1]
    one[:outliers], other[:outliers] = 500, 500
    after = complete(cka_matrix([one, other], debiased))[0, 1]
    assert before < 0.2 and after > 0.9
    assert complete(overlap_matrix([one, other]))[0, 1] < 0.1
    assert "outliers" in CAUTION


def test_a_layer_that_says_the_same_of_all_pictures_has_no_number() -> None:
    rounded = np.float32(1) + np.finfo(np.float32).eps * np.random.default_rng(0).integers(0, 2, (30, 4))
    silent = [np.full((30, 4), 0.1), np.zeros((30, 4)), rounded]
    found = complete(cka_matrix([gaussian(30, 5, 0), *(table.astype(np.float32) for table in silent)]))
    assert np.isnan(found[1:]).all() and np.isnan(found[:, 1:]).all() and found[0, 0] == 1


def test_numbers_near_the_largest_do_not_overflow() -> None:
    layers = [gaussian(40, 10, 0), gaussian(40, 10, 0) * np.float32(1e30)]
    np.testing.assert_allclose(complete(cka_matrix(layers)), np.ones((2, 2)), atol=1e-5)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_overlap_is_that_of_scikit_learns_neighbours(metric: str) -> None:
    one = gaussian(150, 30, 0)
    layers = [one, one + 0.6 * gaussian(150, 30, 1), gaussian(150, 8, 2), turned(one).astype(np.float32)]
    found = complete(overlap_matrix(layers, 10, metric))  # type: ignore[arg-type]
    near = [NearestNeighbors(n_neighbors=10, metric=metric).fit(table).kneighbors()[1] for table in layers]
    expected = [[np.mean([len({*a} & {*b}) / 10 for a, b in zip(i, j, strict=True)]) for j in near] for i in near]
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert found.dtype == np.float32 and not found.flags.writeable and found[0, 3] > 0.99
    assert abs(found[0, 2] - 10 / 149) < 0.03 < found[0, 1] - found[0, 2]


def test_the_overlap_of_many_pictures_is_that_of_some() -> None:
    one = gaussian(500, 10, 0)
    layers = [one, one + 0.3 * gaussian(500, 10, 1)]
    seen: list[Progress] = []
    some, whole = complete(overlap_matrix(layers, most=200), seen.append), complete(overlap_matrix(layers))
    assert abs(some[0, 1] - whole[0, 1]) < 0.05 and some[0, 1] != whole[0, 1]
    assert seen[-1].step == seen[-1].total == 400


def test_what_is_refused() -> None:
    for layers in ([], [gaussian(3, 4, 0)], [gaussian(9, 4, 0), gaussian(8, 4, 0)], [np.full((9, 4), np.nan, "f4")]):
        both = layers[:1], layers[1:]
        for job in (cka_matrix(layers), overlap_matrix(layers), cka_between(*both), overlap_between(*both)):
            with pytest.raises(BadInput, match="the same 4 pictures or more at each; found"):
                complete(job)

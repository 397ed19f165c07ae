"""Aligned maps: what moves between layers has changed company, what does not stays, and each is as good as its own."""

from __future__ import annotations

import gc
from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.spatial import distance, procrustes
from sklearn.manifold import trustworthiness

from benchmarks.latent import digits
from interpret import align
from interpret.errors import BadInput
from interpret.jobs import Progress, complete
from interpret.latent import ProjectionParams
from interpret.latent.umap import principal, umap
from interpret.latent.umap.aligned import agreement, aligned_umap
from interpret.latent.umap.graph import fuzzy_graph, nearest_in_chunks
from interpret.latent.umap.layout import curve, lay_out

CENTRES = np.random.default_rng(5).standard_normal((5, 20)) * 1.5


def clustered(groups: np.ndarray, seed: int) -> np.ndarray:
    """Vectors around the centres of their groups: float32 [n, 20]."""
    noise = np.random.default_rng(seed).standard_normal((len(groups), 20))
    return (CENTRES[groups] + noise).astype(np.float32)


def moved(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far each point moves, in root mean square distances from the centre: [n]."""
    radii = [np.sqrt(points.var(0).sum()) for points in (one, other)]
    return np.linalg.norm(other - one, axis=1) / np.mean(radii)


def trust(vectors: np.ndarray, points: np.ndarray) -> float:
    return float(trustworthiness(vectors, points, n_neighbors=15))


# ---- what ties, and what pushes -----------------------------------------------------------------------------------


def test_agreement_is_one_less_bray_and_curtis_and_for_plain_sets_one_less_dice() -> None:
    tables = [np.random.default_rng(seed).standard_normal((60, 6)).astype(np.float32) for seed in (0, 1)]
    tables[1] += 2 * tables[0]
    graphs = [fuzzy_graph(*complete(nearest_in_chunks(table, 8, "euclidean"))) for table in tables]
    found = agreement(*graphs)
    dense = [graph.toarray().astype(np.float64) for graph in graphs]
    np.testing.assert_allclose(found, [1 - distance.braycurtis(*rows) for rows in zip(*dense, strict=True)], atol=1e-5)
    assert found.dtype == np.float32 and 0.2 < found.mean() < 0.8
    plain = [graph.astype(bool).astype(np.float32) for graph in graphs]
    sets = zip(*(rows > 0 for rows in dense), strict=True)
    np.testing.assert_allclose(agreement(*plain), [1 - distance.dice(*rows) for rows in sets], atol=1e-6)
    assert (agreement(graphs[0], graphs[0]) == 1).all()
    nothing = sparse.csr_array((60, 60), dtype=np.float32)
    assert not agreement(nothing, graphs[0]).any() and not agreement(nothing, nothing).any()


def test_only_points_of_the_same_map_push_each_other_away() -> None:
    vectors = clustered(np.arange(60) % 5, 0)
    graph = fuzzy_graph(*complete(nearest_in_chunks(vectors, 8, "euclidean")))
    both = sparse.block_diag([graph, graph], format="csr")
    starts = torch.rand(2, 60, 2, generator=torch.Generator().manual_seed(0)) * 10

    def laid_out(*aside: float) -> torch.Tensor:
        start = starts + torch.tensor(aside)[:, None, None]
        return complete(lay_out(start, both, 30, *curve(0.1), torch.Generator().manual_seed(1)))

    here, later, sooner = laid_out(0, 0), laid_out(0, 5), laid_out(5, 0)
    assert here.shape == (2, 60, 2) and all((here - starts).abs().amax((1, 2)) > 1)
    assert torch.equal(later[0], here[0]) and not torch.equal(later[1], here[1])
    assert torch.equal(sooner[1], here[1])


# ---- the maps -----------------------------------------------------------------------------------------------------


def test_one_layer_alone_has_the_map_of_umap() -> None:
    vectors = clustered(np.arange(150) % 5, 0)
    (found,) = complete(align([vectors], ProjectionParams(neighbors=10, min_dist=0.3, metric="cosine", seed=3), "cpu"))
    assert np.array_equal(found.points, complete(umap(vectors, 10, 0.3, "cosine", 3)))


def test_layers_that_agree_hardly_move_and_lose_no_neighbours() -> None:
    """Digits and their principal components, against separate maps laid over each other by scipy's Procrustes."""
    vectors = digits()[0][:700]
    layers = [vectors, principal(vectors, 20), principal(vectors, 8)]
    maps = complete(aligned_umap(layers, 15))
    separate = [complete(umap(layer, 15)) for layer in layers]
    for layer, aligned, own in zip(layers, maps, separate, strict=True):
        assert trust(layer, aligned) > trust(layer, own) - 0.01
    for pair, apart in zip(pairwise(maps), pairwise(separate), strict=True):
        one, other, _ = procrustes(*apart)
        assert np.median(moved(*pair)) < 0.06
        assert np.median(moved(*pair)) < np.median(moved(one, other)) / 3


def test_what_moves_has_changed_company() -> None:
    groups = np.arange(300) % 5
    later = groups.copy()
    movers = np.flatnonzero(groups == 0)[:15]
    later[movers] = 1
    layers = [clustered(groups, 0), clustered(groups, 1), clustered(later, 2)]
    maps = complete(aligned_umap(layers, 10))
    stay = np.setdiff1d(np.arange(300), movers)
    assert moved(maps[0], maps[1]).max() < moved(maps[1], maps[2])[movers].min()
    assert np.median(moved(maps[1], maps[2])[movers]) > 5 * np.median(moved(maps[1], maps[2])[stay])
    centres = np.stack([maps[2][stay][groups[stay] == group].mean(0) for group in range(5)])
    nearest_centre = np.linalg.norm(maps[2][:, None] - centres, axis=2).argmin(1)
    assert (nearest_centre == later).mean() > 0.95


def test_layers_with_nothing_in_common_are_not_made_to_look_alike() -> None:
    vectors = digits()[0][:700]
    rng = np.random.default_rng(0)
    layers = [vectors, vectors[rng.permutation(700)], rng.standard_normal((700, 10)).astype(np.float32)]
    maps = complete(aligned_umap(layers, 15))
    for layer, aligned, allowed in zip(layers, maps, (0.005, 0.005, 0.02), strict=True):
        assert trust(layer, aligned) > trust(layer, complete(umap(layer, 15))) - allowed
    for pair in pairwise(maps):
        assert np.median(moved(*pair)) > 0.8


def test_layers_in_parts_have_their_parts_on_the_same_sides() -> None:
    groups = np.arange(100) % 2
    layers = [clustered(groups, seed) + 100 * groups[:, None].astype(np.float32) for seed in (0, 1)]
    layers[1] = -3 * layers[1][:, :7]  # the principal components of one point the other way
    seen: list[Progress] = []
    one, other = complete(aligned_umap(layers, 8), seen.append)
    start = next(np.asarray(one.preview)[0] for one in seen if one.note == "laying out the map")
    ways = [points[groups == 1].mean(0) - points[groups == 0].mean(0) for points in (one, other, start)]
    for points, way in zip((one, other, start), ways, strict=True):
        assert (points[groups == 1] @ way).min() > (points[groups == 0] @ way).max()
    assert 1 - distance.cosine(ways[0], ways[1]) > 0.9
    assert np.median(moved(one, other)) < 0.3


# ---- the job ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_maps_show_themselves_while_they_form(dimensions: Literal[2, 3]) -> None:
    groups = np.arange(90) % 5
    layers = [clustered(groups, 0), clustered(groups, 1)[:, :9]]
    params = ProjectionParams(neighbors=8, seed=4, dimensions=dimensions)
    seen: list[Progress] = []
    found = complete(align(layers, params, "cpu"), seen.append)
    assert [one.points.shape for one in found] == [(90, dimensions)] * 2
    assert all((one.method, one.params) == ("umap", params) for one in found)
    assert all(one.points.dtype == np.float32 and not one.points.flags.writeable for one in found)
    notes = list(dict.fromkeys(progress.note for progress in seen))
    assert notes == ["finding neighbours", "finding where to start", "laying out the map"]
    assert [(one.step, one.total) for one in seen if one.note == "finding neighbours"] == [(0, 180), (90, 180)]
    previews = [np.asarray(one.preview) for one in seen if one.note == "laying out the map"]
    assert len(previews) == 50 and {preview.shape for preview in previews} == {(2, 90, dimensions)}
    assert np.array_equal(previews[0][0].round(2), previews[0][1].round(2))  # one start
    last = np.stack([one.points for one in found])
    assert moved(previews[-1][0], last[0]).mean() < moved(previews[0][0], last[0]).mean() / 5


def test_several_layers_are_laid_out_for_as_many_epochs_as_one() -> None:
    layers = [clustered(np.arange(2100) % 5, seed)[:, :4] for seed in range(5)]
    job = aligned_umap(layers, 5)
    progress = next(one for one in job if one.note == "laying out the map")
    job.close()
    assert progress.total == 500  # of 10,500 points of one map it would be 200


def test_the_same_seed_makes_the_same_maps_and_another_others() -> None:
    groups = np.arange(90) % 5
    layers = [clustered(groups, 0), clustered(groups, 1)]
    first, second, third = (complete(aligned_umap(layers, 8, seed=seed)) for seed in (3, 3, 4))
    assert np.array_equal(first, second) and not np.array_equal(first, third)


def test_cancelling_at_any_step_leaves_nothing_behind() -> None:
    layers = [clustered(np.arange(200) % 5, seed) for seed in range(3)]
    state = torch.random.get_rng_state()
    for steps in (1, 2, 4, 9, 40):
        job = align(layers, device="cpu")
        for _ in range(steps):
            next(job)
        job.close()
    gc.collect()
    assert torch.equal(state, torch.random.get_rng_state()) and torch.is_grad_enabled()


# ---- what is refused ----------------------------------------------------------------------------------------------


def test_layers_no_maps_can_be_made_of() -> None:
    vectors = clustered(np.arange(20) % 5, 0)
    with pytest.raises(BadInput, match="same pictures at each layer; found 19 and 20 pictures"):
        complete(align([vectors, vectors[:19]]))
    with pytest.raises(BadInput, match="found no pictures"):
        complete(align([]))
    with pytest.raises(BadInput, match="at least 3 pictures with finite vectors; found 2"):
        complete(align([vectors[:2], vectors[:2]]))
    with pytest.raises(BadInput, match="UMAP with 20 neighbours needs more than 20 pictures; found 20"):
        complete(align([vectors, vectors], ProjectionParams(neighbors=20)))
    broken = vectors.copy()
    broken[3, 4] = np.inf
    with pytest.raises(BadInput, match="finite"):
        complete(align([vectors, broken]))

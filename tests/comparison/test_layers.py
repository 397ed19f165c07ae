"""How alike two networks are layer by layer, against formulas in float64 on what the layers answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from interpret import BadInput, InputImage, LoadedModel, UnknownName, complete, embed
from interpret.comparison import block_outputs, layer_similarity
from interpret.datasets import open_source
from interpret.jobs import Progress
from interpret.latent.similarity import CAUTION
from tests.comparison.runs import cancel_at_every_step, noise, trap_of
from tests.conftest import nothing_left_behind, trap_reference
from tests.latent.test_similarity import reference

LAYERS = ("relu", "relu:1", "head")


def near(vectors: np.ndarray, count: int = 15) -> list[set[int]]:
    found = NearestNeighbors(n_neighbors=count).fit(vectors.astype(np.float64)).kneighbors(return_distance=False)
    return [set(row.tolist()) for row in found]


def test_it_equals_the_formulas_on_the_same_vectors() -> None:
    one, other = trap_of(0), trap_of(1)
    reads: list[int] = []
    seen: list[Progress] = []
    with nothing_left_behind(one), nothing_left_behind(other):
        found = complete(layer_similarity(one, other, noise(50, (4,), reads), LAYERS, LAYERS[1:]), seen.append)
    assert len(reads) == 100, "once by each network"
    assert (found.rows, found.columns, found.pictures, found.neighbors) == (LAYERS, LAYERS[1:], 49, 15)
    assert found.skipped == (("n4", "Number 4 is broken."),) and found.model_digests == (one.digest, other.digest)
    mine = [each.vectors for each in complete(embed(one, noise(50, (4,)), layers=LAYERS))]
    its = [each.vectors for each in complete(embed(other, noise(50, (4,)), layers=LAYERS[1:]))]
    np.testing.assert_allclose(found.cka, [[reference(x, y, True) for y in its] for x in mine], atol=1e-6)
    overlap = [[np.mean([len(a & b) / 15 for a, b in zip(near(x), near(y), strict=True)]) for y in its] for x in mine]
    np.testing.assert_allclose(found.overlap, overlap, atol=1e-6)
    for matrix in (found.cka, found.overlap):
        assert matrix.shape == (3, 2) and matrix.dtype == np.float32 and not matrix.flags.writeable
    steps = [progress.step for progress in seen]
    assert steps == sorted(steps) and {progress.total for progress in seen} == {1000}


def test_the_vectors_are_what_the_layers_answer() -> None:
    """Against networks written out without modules; the embedder's folding costs digits."""
    networks = [trap_of(seed) for seed in (0, 1)]
    found = complete(layer_similarity(*networks, noise(40), LAYERS, LAYERS))
    batch = torch.cat([networks[0].preprocess.to_batch(noise(40).read(at)) for at in range(40)])
    answers = [trap_reference(network._network, batch) for network in networks]
    vectors = [[a[name].flatten(2).mean(2) if a[name].ndim > 2 else a[name] for name in LAYERS] for a in answers]
    expected = [[reference(x.numpy(), y.numpy(), True) for y in vectors[1]] for x in vectors[0]]
    np.testing.assert_allclose(found.cka, expected, atol=1e-3)


def test_a_network_with_itself_takes_the_pictures_once() -> None:
    one = trap_of(0)
    reads: list[int] = []
    whole = complete(layer_similarity(one, trap_of(0), noise(30, reads=reads)))
    assert sorted(reads) == list(range(30)) and whole.rows == whole.columns == block_outputs(one)
    assert block_outputs(one) == tuple(block.output for block in one.blocks)
    np.testing.assert_allclose(whole.cka.diagonal(), 1, atol=1e-6)
    assert np.array_equal(whole.cka, whole.cka.T) and (whole.overlap.diagonal() == 1).all()
    part = complete(layer_similarity(one, one, noise(30, reads=reads), ["head"], ["relu:1", "head"]))
    assert len(reads) == 60 and part.cka.shape == (1, 2) and part.cka[0, 1] == pytest.approx(1, abs=1e-6)
    both = complete(layer_similarity(one, one, noise(30), ["relu:1", "head"], ["relu:1", "head"]))
    assert part.cka[0, 0] == pytest.approx(both.cka[1, 0], abs=1e-6) and part.overlap[0, 0] == both.overlap[1, 0]


def test_of_many_pictures_some_are_taken() -> None:
    one, other = trap_of(0), trap_of(1)
    found = complete(layer_similarity(one, other, noise(90), LAYERS, LAYERS, most=30))
    expected = complete(layer_similarity(one, other, noise(90).first(30), LAYERS, LAYERS))
    assert found.pictures == 30 and np.array_equal(found.cka, expected.cka)
    assert found.source_digest == noise(90).first(30).digest


def test_a_picture_that_only_one_network_can_take() -> None:
    """Long and narrow: too large after the other's resizing."""
    one, other = trap_of(0), trap_of(1)
    other = other.reopened(replace(other.preprocess, resize=None))
    long = InputImage.from_array(np.zeros((1, 400_000, 3), np.uint8), "long")
    source = replace(noise(20), read=lambda index: long if index == 6 else noise(20).read(index))
    kept = [at for at in range(20) if at != 6]
    rest = replace(noise(19), read=lambda index: noise(20).read(kept[index]))
    for pair in ((one, other), (other, one)):
        found = complete(layer_similarity(*pair, source, LAYERS, LAYERS))
        expected = complete(layer_similarity(*pair, rest, LAYERS, LAYERS))
        assert found.pictures == 19 and [name for name, _ in found.skipped] == ["n6"]
        np.testing.assert_allclose(found.cka, expected.cka, atol=1e-5)


def test_what_it_says() -> None:
    found = complete(layer_similarity(trap_of(0), trap_of(1), noise(40), LAYERS, LAYERS))
    best = found.cka.argmax(1)
    alike = found.cka.max(1)
    assert f"Over 40 pictures the most alike layer of the other network has a CKA of {alike.min():.2f}" in found.says
    assert f"(by chance {100 * 15 / 39:.1f} %)" in found.says
    apart = int((best != found.overlap.argmax(1)).sum())
    assert (CAUTION in found.says) == bool(apart) == (f"For {apart} of 3 layers the neighbours" in found.says)
    alone = complete(layer_similarity(trap_of(0), trap_of(0), noise(40), LAYERS, LAYERS))
    assert "1.00 to 1.00 and shares 100 to 100 %" in alone.says and CAUTION not in alone.says
    same = replace(noise(8), read=lambda _: noise(1).read(0))
    silent = complete(layer_similarity(trap_of(0), trap_of(1), same, LAYERS, LAYERS))
    assert np.isnan(silent.cka).all() and "no two layers can be compared" in silent.says


def test_what_is_refused() -> None:
    one, other = trap_of(0), trap_of(1)
    for options, error, words in (
        ({"rows": ["conv9"]}, UnknownName, "conv9"),
        ({"columns": []}, BadInput, "Name at least one layer"),
        ({"rows": ["relu", "relu"]}, BadInput, "named twice"),
        ({"most": 3}, BadInput, "the same 4 pictures or more"),
    ):  # fmt: skip
        with pytest.raises(error, match=words):
            complete(layer_similarity(one, other, noise(20), **options))  # type: ignore[arg-type]


def test_cancelling_at_every_step() -> None:
    one, other = trap_of(0), trap_of(1)
    job = lambda: layer_similarity(one, other, noise(10), ["relu"], ["head"])  # noqa: E731
    assert cancel_at_every_step(job, [one, other]) > 8


def test_two_real_networks(real: Path, real_model: Callable[[str], LoadedModel]) -> None:
    """Stages are most like the same stages, and the last ones least like the first."""
    names = ["layer1", "layer2", "layer3"]
    models = real_model("cifar_resnet20"), real_model("cifar_resnet56")
    found = complete(layer_similarity(*models, open_source(real / "cifar10-sample"), names, names, most=200))
    assert found.cka.argmax(1).tolist() == [0, 1, 2] and found.overlap.argmax(1).tolist() == [0, 1, 2]
    assert found.cka.diagonal().min() > 0.7 and found.cka[0, 2] < 0.45

"""Embedding a set of pictures, and its exact neighbours."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from interpret.datasets import PictureSource, open_source
from interpret.errors import BadInput, UnknownName
from interpret.images import InputImage
from interpret.jobs import Progress, complete
from interpret.latent import Embedding, embed, nearest
from interpret.latent.embedding import embed_picture
from interpret.model import LoadedModel
from tests.conftest import encoded, noise_picture, nothing_left_behind


def folder_of_pictures(folder: Path, count: int = 21) -> Path:
    """Pictures of several sizes in two classes."""
    for index in range(count):
        place = folder / ("left" if index % 3 else "right")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{index:03}.png").write_bytes(encoded(noise_picture(index, 20 + index, 30).pixels))
    return folder


def made_by_hand(count: int, read: Callable[[int], InputImage]) -> PictureSource:
    return PictureSource("made", "made", tuple(f"n{i}" for i in range(count)), (-1,) * count, (), read)


@pytest.mark.parametrize("layer", ["layer2", "layer3.0.conv1", "avgpool", "linear", None])
def test_it_equals_a_plain_loop(cifar: LoadedModel, tmp_path: Path, layer: str | None) -> None:
    source = open_source(folder_of_pictures(tmp_path))
    found = complete(embed(cifar, source, layer))
    network, name = cifar._network, layer or "layer3"
    kept: list[torch.Tensor] = []
    handle = network.get_submodule(name).register_forward_hook(lambda _m, _i, output: kept.append(output))
    rows, classes, confidences = [], [], []
    for index in range(len(source)):
        image = source.read(index)
        assert source.names[index].endswith(image.name.rsplit("/", 1)[-1])
        with torch.no_grad():
            probabilities = network(cifar.preprocess.to_batch(image)).softmax(1)[0]
        output = kept.pop()[0]
        rows.append((output.mean((1, 2)) if output.ndim == 3 else output).numpy())
        classes.append(int(probabilities.argmax()))
        confidences.append(float(probabilities.max()))
    handle.remove()
    np.testing.assert_allclose(found.vectors, np.stack(rows), atol=1e-4, rtol=1e-4)
    assert found.vectors.dtype == np.float32 and not found.vectors.flags.writeable
    assert found.predictions.tolist() == classes
    np.testing.assert_allclose(found.confidences, confidences, atol=1e-5)
    assert found.names == source.names and found.labels.tolist() == list(source.labels)
    assert found.classes == ("left", "right") and found.skipped == ()
    assert (found.layer.name, found.model_digest, found.source_digest) == (name, cifar.digest, source.digest)


def test_one_picture_alone_gets_the_same_vector(cifar: LoadedModel, tmp_path: Path) -> None:
    source = open_source(folder_of_pictures(tmp_path, 9))
    found = complete(embed(cifar, source, "layer2"))
    for index in (0, 4, 8):
        vector = embed_picture(cifar, source.read(index), ["layer2"])[0]
        np.testing.assert_allclose(vector, found.vectors[index], atol=1e-4, rtol=1e-4)


def test_several_layers_in_one_pass_share_everything_else(cifar: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    source = made_by_hand(19, lambda index: noise_picture(index, 32, 32))
    alone = [complete(embed(cifar, source, layer)) for layer in ("layer2", "linear")]
    passes, plain = [], LoadedModel.observe

    def observe(self: LoadedModel, batch: torch.Tensor, keep: object = (), **options: object) -> object:
        passes.append((len(batch), keep))
        return plain(self, batch, keep, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(LoadedModel, "observe", observe)
    both = complete(embed(cifar, source, layers=["layer2", "linear"]))
    assert [size for size, _ in passes] == [1, 1, 8, 8, 3]  # two to see that the folded copy answers the same
    for one, other in zip(alone, both, strict=True):
        assert one.layer == other.layer and other.predictions is both[0].predictions
        np.testing.assert_allclose(one.vectors, other.vectors, atol=1e-5, rtol=1e-4)
    assert len(complete(embed(cifar, source, layers=["layer2"]))) == 1
    with pytest.raises(BadInput, match="named twice: layer2, layer2"):
        complete(embed(cifar, source, layers=["layer2", "layer2"]))


def test_pools_and_precisions_are_what_they_say(cifar: LoadedModel) -> None:
    source = made_by_hand(9, lambda index: noise_picture(index, 32, 32))
    batch = torch.cat([cifar.preprocess.to_batch(source.read(index)) for index in range(9)])
    maps = cifar.observe(batch, ["layer2"])["layer2"]
    for pool, expected in (("mean", maps.mean((2, 3))), ("max", maps.amax((2, 3))), ("flatten", maps.flatten(1))):
        for precision, close in (("float32", 1e-4), ("float16", 2e-3)):
            found = complete(embed(cifar, source, "layer2", pool=pool, precision=precision))  # type: ignore[call-overload]
            assert (found.pool, found.precision, found.vectors.dtype) == (pool, precision, precision)
            np.testing.assert_allclose(found.vectors, expected, atol=close, rtol=close)
            assert ("8,192 dimensions" in found.warning) == (pool == "flatten")
        vector = embed_picture(cifar, source.read(3), ["layer2"], pool)[0]  # type: ignore[arg-type]
        np.testing.assert_allclose(vector, expected[3], atol=1e-4, rtol=1e-4)
    assert complete(embed(cifar, source, "linear", pool="flatten")).warning == ""
    with pytest.raises(UnknownName, match='Pool "median" is not in the ways to pool'):
        complete(embed(cifar, source, pool="median"))  # type: ignore[call-overload]
    with pytest.raises(UnknownName, match='Precision "int8" is not in the precisions'):
        complete(embed(cifar, source, precision="int8"))  # type: ignore[call-overload]


def test_flattened_vectors_have_an_end(cifar: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interpret.latent.embedding.MAX_BYTES", 8192 * 4 * 9)
    source = made_by_hand(9, lambda index: noise_picture(index, 32, 32))
    complete(embed(cifar, source, "layer2", pool="flatten"))
    longer = made_by_hand(10, lambda index: noise_picture(index, 32, 32))
    with pytest.raises(BadInput, match="The vectors of 10 pictures would take .* GiB of memory"):
        complete(embed(cifar, longer, "layer2", pool="flatten"))


def test_the_loss_is_torchs_where_the_network_has_the_class(cifar: LoadedModel) -> None:
    classes, labels = ("Hen", "something else", "ANT"), [index % 3 if index else -1 for index in range(11)]
    read = made_by_hand(11, lambda index: noise_picture(index, 32, 32))
    source = PictureSource("made", "made", read.names, tuple(labels), classes, read.read)
    found = complete(embed(cifar, source))
    batch = torch.cat([cifar.preprocess.to_batch(source.read(index)) for index in range(11)])
    scores = cifar.observe(batch).scores
    assert scores is not None
    true = [{0: 7, 2: 0}.get(label, -1) for label in labels]
    known = np.array(true) >= 0
    expected = torch.nn.functional.cross_entropy(scores[known], torch.tensor(true)[known], reduction="none")
    np.testing.assert_allclose(found.loss[known], expected, rtol=1e-3)
    assert np.isnan(found.loss[~known]).all() and found.loss.dtype == np.float32 and known.sum() == 6


def test_numbers_too_large_for_half_precision_stay_finite(cifar: LoadedModel) -> None:
    steps = cifar.preprocess
    loud = cifar.reopened(type(steps)(steps.size, steps.resize, mean=steps.mean, std=steps.std, value_range=1e6))
    source = made_by_hand(3, lambda index: noise_picture(index, 32, 32))
    found = complete(embed(loud, source, "conv1", pool="max", precision="float16"))
    assert np.isfinite(found.vectors).all() and found.vectors.max() == 65504


def test_broken_pictures_are_skipped_and_listed(cifar: LoadedModel, tmp_path: Path) -> None:
    whole = complete(embed(cifar, open_source(folder_of_pictures(tmp_path / "whole", 12))))
    folder = folder_of_pictures(tmp_path / "broken", 12)
    (folder / "left" / "000b.png").write_bytes(b"")
    (folder / "left" / "005b.png").write_bytes(b"no picture at all")
    (folder / "right" / "zz.png").write_bytes(encoded(noise_picture(0, 64, 64).pixels)[:500])
    (folder / "right" / "line.png").write_bytes(encoded(np.zeros((1, 60_000, 3), np.uint8)))
    found = complete(embed(cifar, open_source(folder)))
    broken = ["left/000b.png", "left/005b.png", "right/line.png", "right/zz.png"]
    assert sorted(name for name, _ in found.skipped) == broken
    reasons = dict(found.skipped)
    assert "is empty" in reasons["left/000b.png"] and "is not a picture" in reasons["left/005b.png"]
    assert "too long and narrow" in reasons["right/line.png"] and "is damaged" in reasons["right/zz.png"]
    assert found.names == whole.names and found.labels.tolist() == whole.labels.tolist()
    np.testing.assert_allclose(found.vectors, whole.vectors, atol=1e-4, rtol=1e-4)
    assert len(found.thumbnails) == 12


def test_thumbnails_belong_to_their_pictures(cifar: LoadedModel) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)] * 4
    source = made_by_hand(12, lambda i: InputImage.from_array(np.full((300, 200, 3), colours[i], np.uint8), f"{i}"))
    found = complete(embed(cifar, source, "layer1"))
    for data, colour in zip(found.thumbnails, colours, strict=True):
        small = Image.open(io.BytesIO(data))
        assert small.size == (64, 96)
        assert np.abs(np.asarray(small).astype(int)[40, 30] - colour).max() < 12


def test_nothing_that_can_be_read_is_an_error(cifar: LoadedModel, tmp_path: Path) -> None:
    for index in range(3):
        (tmp_path / f"{index}.png").write_bytes(b"nothing")
    with pytest.raises(BadInput, match='Not one of the 3 pictures of ".*" could be read. "0.png" is not a picture'):
        complete(embed(cifar, open_source(tmp_path)))


def test_progress_counts_pictures(cifar: LoadedModel) -> None:
    seen: list[Progress] = []
    complete(embed(cifar, made_by_hand(20, lambda i: noise_picture(i, 32, 32))), seen.append)
    assert [(progress.step, progress.total) for progress in seen] == [(8, 20), (16, 20), (20, 20)]
    assert seen[-1].note == "20 of 20 pictures"


def test_cancelling_at_every_step_leaves_nothing_behind_and_reads_no_more(cifar: LoadedModel) -> None:
    for stop in range(4):
        read: list[int] = []

        def picture(index: int, read: list[int] = read, fast: int = 8 * stop) -> InputImage:
            read.append(index)
            time.sleep(0 if index < fast else 0.2)
            return noise_picture(index, 32, 32)

        before = threading.active_count()
        with nothing_left_behind(cifar):
            job = embed(cifar, made_by_hand(400, picture), "layer1")
            for _ in range(stop):
                next(job)
            job.close()
        assert threading.active_count() == before
        assert len(read) <= 8 * stop + 12 * bool(stop)


def test_layers_that_cannot_be_embedded(cifar: LoadedModel) -> None:
    with pytest.raises(UnknownName, match='Layer "layer9" is not in CIFAR ResNet-20'):
        complete(embed(cifar, made_by_hand(3, noise_picture), "layer9"))


def test_an_error_that_is_no_broken_picture_is_not_swallowed(cifar: LoadedModel) -> None:
    def read(index: int) -> InputImage:
        raise ZeroDivisionError

    with nothing_left_behind(cifar), pytest.raises(ZeroDivisionError):
        complete(embed(cifar, made_by_hand(30, read)))


def test_a_smaller_batch_when_memory_runs_out(cifar: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    source = made_by_hand(11, lambda i: noise_picture(i, 32, 32))
    whole: Embedding = complete(embed(cifar, source, "layer2"))
    plain, sizes = LoadedModel.observe, []

    def scarce(self: LoadedModel, batch: torch.Tensor, *args: object, **options: object) -> object:
        sizes.append(len(batch))
        if len(batch) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return plain(self, batch, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(LoadedModel, "observe", scarce)
    found = complete(embed(cifar, source, "layer2"))
    np.testing.assert_allclose(found.vectors, whole.vectors, atol=1e-4, rtol=1e-4)
    assert found.predictions.tolist() == whole.predictions.tolist() and max(sizes) == 8 and 2 in sizes


# ---- neighbours ---------------------------------------------------------------------------------------------------


def clouds(count: int, dimensions: int, offset: float = 0.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((count, dimensions)) + offset).astype(np.float32)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize(
    ("count", "dimensions", "offset"), [(500, 64, 0.0), (80, 3, 5.0), (300, 512, 1000.0), (20, 2, 0.0)]
)
def test_neighbours_are_scikit_learns(count: int, dimensions: int, offset: float, metric: str) -> None:
    """Also where all vectors lie far from zero, as activations after a ReLU do."""
    from sklearn.neighbors import NearestNeighbors

    vectors, queries = clouds(count, dimensions, offset), clouds(30, dimensions, offset, seed=1)
    model = NearestNeighbors(n_neighbors=10, metric=metric, algorithm="brute").fit(vectors.astype(np.float64))
    for asked in (queries, vectors):
        distances, indices = model.kneighbors(asked.astype(np.float64))
        found, apart = nearest(asked, vectors, 10, metric)  # type: ignore[arg-type]
        assert found.shape == apart.shape == (len(asked), 10)
        assert found.dtype == np.int64 and apart.dtype == np.float32
        scale = distances.mean()
        np.testing.assert_allclose(apart, distances, atol=2e-3 * scale)
        exact = np.stack([_distances(asked[i], vectors[found[i]], metric) for i in range(len(asked))])
        np.testing.assert_allclose(exact, distances, atol=2e-3 * scale)
        assert (np.diff(apart, axis=1) >= -1e-6).all()
        assert (found == indices).mean() > 0.98


def _distances(one: np.ndarray, many: np.ndarray, metric: str) -> np.ndarray:
    one, many = one.astype(np.float64), many.astype(np.float64)
    if metric == "euclidean":
        return np.linalg.norm(many - one, axis=1)
    return 1 - many @ one / np.linalg.norm(many, axis=1) / np.linalg.norm(one)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_pictures_that_are_nearly_the_same_keep_their_order(metric: str) -> None:
    """Frames of a film: a thousandth apart, where everything else is ten apart."""
    from sklearn.neighbors import NearestNeighbors

    steps = np.cumsum(np.abs(clouds(5, 1, seed=1)) + 0.5, axis=0) * 1e-3
    vectors = (clouds(40, 64)[:, None] + steps * clouds(1, 64, seed=3)[0]).reshape(-1, 64).astype(np.float32)
    model = NearestNeighbors(n_neighbors=5, metric=metric, algorithm="brute").fit(vectors.astype(np.float64))
    distances, indices = model.kneighbors(vectors.astype(np.float64))
    found, apart = nearest(vectors, vectors, 5, metric)  # type: ignore[arg-type]
    assert (found // 5 == np.arange(200)[:, None] // 5).all()
    assert (found == indices).mean() > 0.99
    np.testing.assert_allclose(apart[:, 1:], distances[:, 1:], rtol=1e-2)


def test_long_rows_are_searched_block_by_block_and_miss_nothing() -> None:
    """5,000 vectors are 79 blocks: more than twice what is asked for. The answer is the sorted distances' own."""
    vectors, queries = clouds(5000, 6), clouds(40, 6, seed=1)
    found, apart = nearest(queries, vectors, 20)
    exact = np.linalg.norm(queries[:, None].astype(np.float64) - vectors, axis=2)
    assert np.array_equal(found, exact.argsort(1)[:, :20])
    np.testing.assert_allclose(apart, np.sort(exact, 1)[:, :20], rtol=1e-5)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_a_query_among_the_vectors_finds_itself_first(metric: str, offset: float) -> None:
    vectors = clouds(200, 32, offset)
    found, apart = nearest(vectors, vectors, 3, metric)  # type: ignore[arg-type]
    assert found[:, 0].tolist() == list(range(200))
    assert apart[:, 0].max() < 1e-3 * apart[:, 1].mean()


def test_no_more_neighbours_than_there_are() -> None:
    found, _ = nearest(clouds(2, 4), clouds(3, 4), 10)
    assert found.shape == (2, 3)


def test_many_queries_go_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = clouds(300, 8)
    whole = nearest(vectors, vectors, 5)
    monkeypatch.setattr("interpret.latent.neighbours._NUMBERS", {"cpu": 300 * 64})
    parts = nearest(vectors, vectors, 5)
    assert np.array_equal(whole[0], parts[0])
    np.testing.assert_allclose(whole[1], parts[1], atol=1e-3)

"""Everything on a CUDA device against the same on the CPU; skipped where there is none.

Networks have random weights or are the bundled ones. "Alike" is by the largest number: a graphics card adds in another
order, which is all that may differ in float32.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from interpret import (
    Embedding,
    FilterParams,
    InputImage,
    LoadedModel,
    ProjectionParams,
    Unavailable,
    activations,
    align,
    collect_units,
    complete,
    embed,
    filter_images,
    heatmap,
    load_model,
    project,
)
from interpret.ablation import Change, ablate, each_channel, lesions, rank, usual
from interpret.ablation.carriers import carriers
from interpret.comparison import compare_answers, layer_similarity
from interpret.datasets import PictureSource, open_source, sample_picture
from interpret.datasets.shapes import CLASSES
from interpret.datasets.sources import shapes_source
from interpret.evaluation import evaluate_job, shapes_boxes
from interpret.filters import class_images
from interpret.heatmaps import METHODS
from interpret.heatmaps.faithfulness.evidence import evidence_job
from interpret.latent import map_quality
from interpret.latent.umap.graph import fuzzy_graph, nearest_in_chunks
from interpret.latent.umap.start import principal, spectral
from tests.conftest import REPOSITORY
from tests.families import FAMILIES, Family, random_network, save

DEVICE = "cuda"
pytestmark = pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="there is no CUDA device")
SHAPES = {kind: REPOSITORY / "checkpoints" / f"shapes-{kind}.safetensors" for kind in ("clean", "shortcut")}
FEW = ("resnet18", "mobilenet_v2", "googlenet", "efficientnet_b0", "timm/seresnet50")
Pair = tuple[LoadedModel, LoadedModel]


def alike(one: Any, other: Any, share: float = 1e-4) -> None:
    """Arrays that differ by no more than a share of the largest number."""
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    assert one.shape == other.shape
    assert np.array_equal(np.isfinite(one), np.isfinite(other))
    one, other = np.nan_to_num(one), np.nan_to_num(other)
    far = float(np.abs(one - other).max()) if one.size else 0.0
    assert far <= share * max(float(np.abs(one).max()), 1e-6), f"{far:g} of {np.abs(one).max():g}"


def both(path: Path) -> Pair:
    return load_model(path, device="cpu"), load_model(path, device=DEVICE)


@pytest.fixture(scope="module")
def pair() -> Pair:
    """The bundled network on the CPU and on the device."""
    return both(SHAPES["clean"])


@pytest.fixture(scope="module")
def shapes() -> PictureSource:
    return open_source("shapes:96")


@pytest.fixture(scope="module")
def picture() -> InputImage:
    return sample_picture(CLASSES[0])


@pytest.fixture(scope="module", params=[family for family in FAMILIES if family.key in FEW], ids=lambda each: each.id)
def family_pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    family: Family = request.param
    return both(save(random_network(family), family, tmp_path_factory.mktemp("weights")))


def test_every_layer_of_several_families(family_pair: Pair) -> None:
    """In float32: cuDNN would round what convolutions are given to 10 bits, as torch sets it (TF32)."""
    here, there = family_pair
    image = sample_picture("flower.jpg")
    names = [layer.name for layer in here.layers]
    mine, its = (model.observe(model.preprocess.to_batch(image), names, until="scores") for model in (here, there))
    assert mine.scores is not None and its.scores is not None
    assert its.scores.device.type == DEVICE
    alike(mine.scores, its.scores.cpu())
    for name in names:
        alike(mine[name], its[name].cpu(), 3e-4)
    one, other = (activations(model, image, [model.default_layer.name])[0].values for model in (here, there))
    alike(one, other, 3e-4)


def test_a_heatmap_of_several_families(family_pair: Pair) -> None:
    image = sample_picture("flower.jpg")
    mine, its = (heatmap(model, image, method="layer-cam", target=1) for model in family_pair)
    alike(mine.values, its.values, 1e-3)
    assert its.score == pytest.approx(mine.score, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("method", [method.key for method in METHODS])
def test_every_heatmap(pair: Pair, picture: InputImage, method: str) -> None:
    mine, its = (heatmap(model, picture, method=method, target=0) for model in pair)
    alike(mine.values, its.values, 2e-3)


def test_evidence_for_a_map(pair: Pair, picture: InputImage) -> None:
    mine, its = (complete(evidence_job(model, picture, heatmap(model, picture, target=0))) for model in pair)
    alike(mine.curves.deletion.probabilities, its.curves.deletion.probabilities, 1e-3)
    alike(mine.curves.insertion.probabilities, its.curves.insertion.probabilities, 1e-3)
    assert its.drop == pytest.approx(mine.drop, abs=1e-3) and its.road == pytest.approx(mine.road, abs=1e-2)


def test_a_report_over_a_data_set(pair: Pair) -> None:
    source = open_source("shapes:24")
    mine, its = (complete(evaluate_job(model, source, boxes=shapes_boxes(24), steps=8)) for model in pair)
    assert np.array_equal(mine.predictions, its.predictions)
    alike(mine.deletion, its.deletion, 1e-3)
    alike(mine.average_drop, its.average_drop, 1e-3)


def test_an_embedding(pair: Pair, shapes: PictureSource) -> None:
    mine, its = (complete(embed(model, shapes, layers=["layer2", "layer3"])) for model in pair)
    for one, other in zip(mine, its, strict=True):
        alike(one.vectors, other.vectors)
        assert np.array_equal(one.predictions, other.predictions) and one.names == other.names
        alike(one.loss, other.loss, 1e-3)


def test_statistics_of_units(pair: Pair, shapes: PictureSource, tmp_path: Path) -> None:
    mine, its = (
        complete(collect_units(model, shapes, ["layer2", "layer3"], folder=tmp_path / model.runtime.device.type))
        for model in pair
    )
    for name in mine:
        alike(mine[name].top_values, its[name].top_values)
        assert np.mean(mine[name].top_pictures == its[name].top_pictures) > 0.99  # two may be as good as equal


def test_filter_pictures_reach_as_far(pair: Pair) -> None:
    """The device may compute in bfloat16, so the pictures differ; what they reach, in float32, must not fall behind."""
    for method, steps in (("fourier", 48), ("maco", 12)):
        mine, its = (
            complete(filter_images(model, "layer2", range(8), FilterParams(method, steps=steps))).reached
            for model in pair
        )
        assert np.median(its / mine) > 0.95 and (its > 0.6 * mine).all(), (method, mine, its)


def test_a_class_picture_reaches_as_far(pair: Pair) -> None:
    """From the same numbers the ascents part within a few steps, and end elsewhere; all together they get as far."""
    classes = range(len(pair[0].labels))
    mine, its = (complete(class_images(model, classes, FilterParams(steps=96))).reached for model in pair)
    assert its.sum() > 0.8 * mine.sum() > 0


def test_where_memory_is_short_fewer_share_a_pass(pair: Pair, shapes: PictureSource) -> None:
    """A card with memory for little more than the network: the answers are the same, in smaller passes."""
    model = pair[1]
    if DEVICE != "cuda":
        pytest.skip("only a card's memory can be held short")
    whole = complete(embed(model, shapes, "layer3"))
    before = complete(filter_images(model, "layer3", range(24), FilterParams(steps=3)))
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    hungry: Callable[[], tuple[Embedding, Any]] = lambda: (  # noqa: E731
        complete(embed(model, shapes, "layer3")),
        complete(filter_images(model, "layer3", range(24), FilterParams(steps=3))),
    )
    try:
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 24 * 2**20) / total)
        embedded, drawn = hungry()
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**20) / total)
        torch.cuda.empty_cache()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    alike(whole.vectors, embedded.vectors)
    alike(before.planes, drawn.planes, 0.1)


def test_a_network_that_does_not_fit_is_told_in_a_sentence(pair: Pair, picture: InputImage) -> None:
    if DEVICE != "cuda":
        pytest.skip("only a card's memory can be held short")
    error = torch.OutOfMemoryError("CUDA out of memory.")
    with pytest.raises(Unavailable, match=r"too little memory for one picture .* --device cpu"):
        pair[1].runtime.smaller_chunk(1, error)
    assert pair[1].runtime.smaller_chunk(8, error) == 4


def test_ablation(pair: Pair, shapes: PictureSource, picture: InputImage) -> None:
    variants: dict[str, Sequence[Change]] = {
        **lesions(pair[0]),
        "mean": [Change("mean", "layer2", (0, 1, 2))],
        "noise": [Change("noise", "layer2", (3,), seed=2)],
        "donor": [Change("donor", "layer3", (1, 2))],
        "reinitialise": [Change("reinitialise", "layer3.0")],
        "shuffle": [Change("shuffle", "layer2.0.conv1", seed=1)],
    }
    found = []
    for model in pair:
        own = complete(usual(model, shapes, ["layer2"]))
        found.append(
            complete(
                ablate(model, shapes, variants, usual=own, donor=picture, images=[picture, sample_picture(CLASSES[1])])
            )
        )
    alike(found[0].probabilities, found[1].probabilities, 2e-3)
    for way in ("activation", "gradient", "selectivity", "random"):
        orders = [complete(rank(model, shapes, "layer3", way)) for model in pair]
        assert np.mean(orders[0] == orders[1]) > 0.9
    alike(*(complete(each_channel(model, picture, "layer2", 0)) for model in pair), 1e-3)


def test_carriers_of_a_shortcut() -> None:
    models = both(SHAPES["shortcut"])
    tagged, plain = shapes_source(48, rule="all"), shapes_source(48)
    mine, its = (complete(carriers(model, tagged, plain, "layer3", 0)) for model in models)
    alike(mine.effects, its.effects, 1e-3)


def test_comparison(pair: Pair, shapes: PictureSource) -> None:
    others = both(SHAPES["shortcut"])
    mine, its = (complete(compare_answers(*two, shapes)) for two in zip(pair, others, strict=True))
    assert np.array_equal(mine.predictions, its.predictions)
    mine, its = (complete(layer_similarity(*two, shapes)) for two in zip(pair, others, strict=True))
    alike(mine.cka, its.cka)


def test_untrained_twins_have_the_same_weights(pair: Pair, picture: InputImage) -> None:
    batch = pair[0].preprocess.to_batch(picture)
    mine, its = (model.untrained([picture], seed=3).observe(batch, until="scores").scores for model in pair)
    assert mine is not None and its is not None
    alike(mine, its.cpu(), 1e-3)


def digits() -> np.ndarray[Any, np.dtype[np.float32]]:
    from sklearn.datasets import load_digits

    return load_digits().data.astype(np.float32)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_neighbours_and_where_a_map_starts(metric: Any) -> None:
    vectors = digits()
    (mine, far), (its, away) = (complete(nearest_in_chunks(vectors, 15, metric, device)) for device in ("cpu", DEVICE))
    alike(far, away)  # the neighbours themselves may change places where digits are equally far
    assert np.mean(mine == its) > 0.95
    graph = fuzzy_graph(mine, far)
    alike(fuzzy_graph(mine, far, DEVICE).toarray(), graph.toarray())
    alike(principal(vectors, 3), principal(vectors, 3, DEVICE))
    ways = [complete(spectral(graph, 2, torch.Generator(device).manual_seed(0))) for device in ("cpu", DEVICE)]
    if ways[0] is None:
        assert ways[1] is None
    else:
        cosines = np.abs((ways[0] * ways[1]).sum(0))
        assert (cosines > 0.999).all()


def test_a_map_is_as_good_and_the_same_again() -> None:
    vectors = digits()
    mine, its, again = (complete(project(vectors, device=device)).points for device in ("cpu", DEVICE, DEVICE))
    assert np.array_equal(its, again)
    one, other = (complete(map_quality(vectors, points, device=DEVICE)).trustworthiness for points in (mine, its))
    assert other == pytest.approx(one, abs=0.005)


def test_aligned_maps() -> None:
    vectors = digits()[:500]
    layers = [vectors, np.ascontiguousarray(vectors[:, ::2])]
    found = complete(align(layers, ProjectionParams(), device=DEVICE))
    for layer, one in zip(layers, found, strict=True):
        assert complete(map_quality(layer, one.points)).trustworthiness > 0.95


def test_what_is_said_to_come_again_does(pair: Pair, shapes: PictureSource, picture: InputImage) -> None:
    model = pair[1]
    once, twice = (complete(embed(model, shapes, "layer3")).vectors for _ in range(2))
    assert np.array_equal(once, twice)
    first, second = (heatmap(model, picture, method="grad-cam", target=0).values for _ in range(2))
    assert np.array_equal(first, second)


def test_four_people_at_once(pair: Pair, picture: InputImage) -> None:
    model = pair[1]
    batch = model.preprocess.to_batch(picture)

    def of(channel: int) -> np.ndarray[Any, Any]:
        def without(output: torch.Tensor) -> torch.Tensor:
            return output.index_fill(1, torch.tensor([channel], device=output.device), 0)

        scores = model.observe(batch, edit={"layer2": without}, until="scores").scores
        assert scores is not None
        return scores.cpu().numpy()

    alone = [of(channel) for channel in range(4)]
    wrong: list[str] = []

    def person(channel: int) -> None:
        for _ in range(20):
            found = of(channel)
            if np.abs(found - alone[channel]).max() > 1e-4 * np.abs(alone[channel]).max():
                wrong.append(f"channel {channel}")
            heatmap(model, picture, target=channel)

    people = [threading.Thread(target=person, args=(channel,)) for channel in range(4)]
    for one in people:
        one.start()
    for one in people:
        one.join()
    assert wrong == []

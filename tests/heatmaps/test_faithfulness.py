"""Evidence for a map: curves, ROAD, stability and random twins, against closed forms and the authors' own code."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from interpret.heatmaps import Heatmap, heatmap
from interpret.heatmaps.faithfulness import (
    Curve,
    Curves,
    Evidence,
    Forgotten,
    Randomised,
    curves,
    evidence_job,
    road,
    similarity,
    stability,
    verdict,
)
from interpret.heatmaps.faithfulness.curves import blur, enlarged
from interpret.heatmaps.faithfulness.road import imputed
from interpret.heatmaps.faithfulness.twins import parts_of, randomised
from interpret.images import InputImage
from interpret.jobs import complete
from interpret.model import LoadedModel
from tests.conftest import look_into, noise_picture, nothing_left_behind

IMAGE = noise_picture(4)


class Sum(nn.Module):
    """Two classes: the logarithm of the picture's mean brightness, and a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.same = nn.Conv2d(3, 3, 1, bias=False)
        self.same.weight.data = torch.eye(3).view(3, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = self.same(x).mean((1, 2, 3))
        return torch.stack([mean, torch.zeros_like(mean)], 1)


def bright(values: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(values)[None, None].expand(1, 3, -1, -1).contiguous()


def test_the_curves_of_a_sum_are_its_running_sum() -> None:
    model = look_into(Sum(), 2)
    values = np.random.default_rng(0).permutation(144).reshape(12, 12).astype(np.float32)
    picture = bright(values / 10)
    found = complete(curves(model, picture, values, 0, steps=12))
    ordered = np.sort(values.ravel())[::-1] / 10
    left = np.array([ordered[12 * step :].sum() / 144 for step in range(13)])
    np.testing.assert_allclose(found.deletion.probabilities, 1 / (1 + np.exp(-left)), atol=1e-5)
    soft = blur(picture)[0, 0].numpy().ravel()[np.argsort(-values.ravel())]
    put = np.array([(ordered[: 12 * step].sum() + soft[12 * step :].sum()) / 144 for step in range(13)])
    np.testing.assert_allclose(found.insertion.probabilities, 1 / (1 + np.exp(-put)), atol=1e-5)
    reverse = complete(curves(model, picture, -values, 0, steps=12))
    assert found.gain > 0 > reverse.gain - found.gain


def test_the_blur_is_a_gaussian() -> None:
    from scipy.ndimage import gaussian_filter

    picture = torch.zeros(1, 1, 31, 31)
    picture[0, 0, 15, 15] = 1
    expected = gaussian_filter(picture[0, 0].numpy(), 5, truncate=1.0)  # radius 5: 11 pixels
    np.testing.assert_allclose(blur(picture)[0, 0], expected, atol=1e-6)


def test_an_area_is_the_trapezoids_and_half_is_where_it_is_half() -> None:
    curve = Curve(np.linspace(0, 1, 5, dtype=np.float32), np.array([0.8, 0.6, 0.4, 0.1, 0.0], np.float32))
    assert curve.area == pytest.approx((0.4 + 0.6 + 0.4 + 0.1) / 4)
    assert curve.halved_at() == 0.5
    assert Curve(curve.fractions, np.ones(5, np.float32)).halved_at() is None


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_imputation_is_that_of_its_authors(share: float) -> None:
    from pytorch_grad_cam.metrics.road import NoisyLinearImputer

    generator = torch.Generator().manual_seed(1)
    picture = torch.randn(3, 24, 17, generator=generator)
    soft = enlarged(torch.rand(5, 5, generator=generator).numpy(), 24, 17)
    known = soft < np.quantile(soft, share)
    found = imputed(picture.numpy(), known, 0.0, np.random.default_rng(0))
    expected = NoisyLinearImputer(noise=0)(picture, torch.from_numpy(known).float())
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_road_is_pytorch_grad_cams(cifar: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytorch_grad_cam.metrics import road as peer
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget

    monkeypatch.setattr(peer.NoisyLinearImputer.__init__, "__defaults__", (0.0, peer.neighbors_weights))
    monkeypatch.setattr(sys.modules[imputed.__module__], "NOISE", 0.0)
    batch = cifar.preprocess.to_batch(noise_picture(3, 40, 40))
    values = np.random.default_rng(2).random((4, 4)).astype(np.float32)
    large = enlarged(values, *batch.shape[2:])
    expected = peer.ROADCombined([20, 40, 60, 80])(
        batch, large[None], [ClassifierOutputSoftmaxTarget(3)], cifar._network
    )
    assert complete(road(cifar, batch, values, 3)) == pytest.approx(float(expected[0]), abs=1e-5)


def test_similarity_is_spearmans() -> None:
    from scipy.stats import spearmanr

    generator = np.random.default_rng(0)
    one, other = generator.integers(0, 5, (2, 6, 7)).astype(np.float32)
    assert similarity(one, other) == pytest.approx(spearmanr(one.ravel(), other.ravel()).statistic, abs=1e-6)
    assert similarity(one, one * 3 + 1) == pytest.approx(1) and similarity(one, -one) == pytest.approx(-1)
    assert similarity(one, np.zeros_like(one)) == 0


def signed(model: LoadedModel, image: InputImage, **asked: Any) -> tuple[Heatmap, NDArray[np.float32]]:
    made = heatmap(model, image, signed=True, **asked)
    return made, made.values


def test_stability_is_one_without_noise_and_less_with_much(cifar: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    image = noise_picture(8, 40, 40)
    made, values = signed(cifar, image, layer="layer2", method="hires-cam")
    batch = cifar.preprocess.to_batch(image)
    found = []
    for noise in (0.0, 0.05, 1.0):
        monkeypatch.setattr(sys.modules[stability.__module__], "NOISE", noise)
        found.append(complete(stability(cifar, batch, made, values)))
    assert found[0] == pytest.approx(1, abs=1e-3) and found[0] > found[1] > found[2]


def test_twins_forget_part_by_part_and_share_the_rest(cifar: LoadedModel) -> None:
    parts = parts_of(cifar)
    assert list(parts) == ["head", "stage 3", "stage 2", "stage 1", "stem"]
    views = [noise_picture(n, 40, 40) for n in range(3)]
    with nothing_left_behind(cifar):
        twin = cifar.untrained(views, 0, parts["stage 2"])
    own, its = (dict(one._network.state_dict()) for one in (cifar, twin))
    changed = {name for name in own if name.endswith("weight") and not torch.equal(own[name], its[name])}
    assert changed and all(name.startswith("layer2") for name in changed)
    assert {name for name in own if own[name].data_ptr() == its[name].data_ptr()} == {
        name for name in own if not name.startswith("layer2")
    }
    assert twin.digest not in (cifar.digest, cifar.untrained(views).digest)


def test_randomised_maps_are_those_of_the_twins(cifar: LoadedModel) -> None:
    image = noise_picture(8, 40, 40)
    made, values = signed(cifar, image, layer="layer3")
    with nothing_left_behind(cifar):
        found = complete(randomised(cifar, image, made, values))
    assert [one.parts[-1] for one in found.cascading] == [one.parts[0] for one in found.independent]
    assert found.cascading[0].similarity == found.independent[0].similarity, "the head alone, both times"
    head = cifar.untrained([image, image], 0, ["linear"])
    _, expected = signed(head, image, layer="layer3", target=made.target)
    assert found.cascading[0].similarity == pytest.approx(similarity(values, expected), abs=1e-6)
    blind, values = signed(cifar, image, layer="layer3", method="eigen-cam", target=made.target)
    assert complete(randomised(cifar, image, blind, values)).cascading[0].similarity == pytest.approx(1), "no class"


# ---- the verdict --------------------------------------------------------------------------------------------------


def as_curves(gain: float) -> Curves:
    fractions = np.array([0, 1], np.float32)
    return Curves(Curve(fractions, np.full(2, 0.5, np.float32)), Curve(fractions, np.full(2, 0.5 + gain, np.float32)))


def made_up(gain: float = 0.4, likeness: float = 0.0, steady: float | None = 1.0) -> Evidence:
    twins = Randomised((Forgotten(("head",), likeness),), ())
    return Evidence(as_curves(gain), (as_curves(-0.1), as_curves(0.1), as_curves(0.2)), 0.2, 0.1, False, steady, twins)


@pytest.fixture
def plain_map(trap: LoadedModel) -> Heatmap:
    return replace(heatmap(trap, IMAGE, target=2), probability=0.9, values=np.eye(3, dtype=np.float32))


@pytest.mark.parametrize(
    ("evidence", "level", "words"),
    [
        (made_up(), "holds", "These places matter"),
        (made_up(gain=0.05), "doubtful", "most random maps find"),
        (made_up(gain=0.15), "holds", "most random maps"),
        (made_up(gain=0.0), "fails", "no faster"),
        (made_up(gain=-0.2), "fails", "no faster"),
        (made_up(likeness=0.9), "fails", "forgets"),
        (made_up(likeness=0.55), "doubtful", "rather the same"),
        (made_up(steady=0.1), "doubtful", "noise"),
        (replace(made_up(), twins=None, stability=None), "holds", "random map"),
    ],
)
def test_a_verdict_says_what_the_evidence_does(plain_map: Heatmap, evidence: Evidence, level: str, words: str) -> None:
    found = verdict(plain_map, evidence, "cat")
    assert found.level == level and words in found.says


def test_a_verdict_names_maps_that_cannot_be_evidence(plain_map: Heatmap) -> None:
    flat = replace(plain_map, values=np.zeros((3, 3), np.float32))
    assert verdict(flat, made_up(), "cat").says == flat.says != ""
    blind = replace(plain_map, method="eigen-cam")
    assert "same map for every class" in verdict(blind, made_up(), "cat").says
    assert "only 1.0%" in verdict(replace(plain_map, probability=0.01), made_up(), "cat").says


def test_a_spot_that_brings_the_class_about_is_noticed(plain_map: Heatmap) -> None:
    fractions = np.linspace(0, 1, 33, dtype=np.float32)
    quick = np.where(fractions > 0.02, 0.95, 0.1).astype(np.float32)
    evidence = made_up()
    spotted = replace(evidence, curves=Curves(evidence.curves.deletion, Curve(fractions, quick)))
    (sentence,) = verdict(plain_map, spotted, "cat").besides
    assert "strongest 3%" in sentence and "95%" in sentence
    slow = np.linspace(0.1, 0.95, 33, dtype=np.float32)
    assert not verdict(
        plain_map, replace(evidence, curves=Curves(as_curves(0).deletion, Curve(fractions, slow))), ""
    ).besides


# ---- all of it ----------------------------------------------------------------------------------------------------


def test_evidence_is_the_same_each_time_and_leaves_nothing_behind(cifar: LoadedModel) -> None:
    image = noise_picture(8, 40, 40)
    made = heatmap(cifar, image, layer="layer3")
    with nothing_left_behind(cifar):
        steps: list[float] = []
        one = complete(evidence_job(cifar, image, made), lambda progress: steps.append(progress.step))
        job = evidence_job(cifar, image, made)
        for _ in range(7):
            next(job)
        job.close()
    other = complete(evidence_job(cifar, image, made))
    assert steps == sorted(steps) and steps[-1] == 100
    assert one.twins == other.twins and one.road == other.road and one.stability == other.stability
    np.testing.assert_array_equal(one.curves.deletion.probabilities, other.curves.deletion.probabilities)
    assert one.curves.deletion.probabilities[0] == pytest.approx(made.probability, abs=1e-5)
    assert one.curves.insertion.probabilities[-1] == pytest.approx(made.probability, abs=1e-5)
    quick = complete(evidence_job(cifar, image, made, remade=False))
    assert quick.twins is None and quick.stability is None and quick.road == one.road

"""Several layers in one pass, several made one, another head, and one class set against another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from interpret.errors import BadInput, UnknownName
from interpret.heatmaps import METHODS, fused, heatmap, layer_heatmaps_job
from interpret.jobs import complete
from interpret.model import LoadedModel
from tests.conftest import look_into, noise_picture

LAYERS = ("conv1", "bn1", "relu", "bn2", "relu:1")
IMAGE = noise_picture(1)


@pytest.mark.parametrize("method", [method.key for method in METHODS if not method.slow])
def test_several_layers_at_once_give_what_each_gives_alone(trap: LoadedModel, method: str) -> None:
    together = complete(layer_heatmaps_job(trap, IMAGE, LAYERS, method=method, target=2, signed=True))
    for name, one in zip(LAYERS, together, strict=True):
        alone = heatmap(trap, IMAGE, layer=name, method=method, target=2, signed=True)
        assert one.layer == alone.layer and one.score == pytest.approx(alone.score, rel=1e-5)
        np.testing.assert_allclose(one.values, alone.values, atol=1e-5 * float(np.abs(alone.values).max()))


@pytest.mark.parametrize("method", ["grad-cam", "layer-cam", "eigen-cam"])
def test_several_layers_cost_one_pass(trap: LoadedModel, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    passes = []
    run = LoadedModel._run
    monkeypatch.setattr(LoadedModel, "_run", lambda self, *given: passes.append(1) or run(self, *given))
    complete(layer_heatmaps_job(trap, IMAGE, LAYERS, method=method))
    assert len(passes) == 1


def test_fused_maps_are_the_mean_and_the_product_of_scaled_ones(trap: LoadedModel) -> None:
    maps = complete(layer_heatmaps_job(trap, IMAGE, ["conv1", "relu:1"], target=1))
    scaled = [one.values / one.values.max() for one in maps]
    np.testing.assert_allclose(fused(maps, "mean").values, (scaled[0] + scaled[1]) / 2, atol=1e-6)
    np.testing.assert_allclose(fused(maps, "product").values, scaled[0] * scaled[1], atol=1e-6)
    assert fused(maps).fused == ("conv1", "relu:1") and fused(maps).layer is None


def test_the_mean_is_pytorch_grad_cams(trap: LoadedModel) -> None:
    from pytorch_grad_cam import LayerCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    maps = complete(layer_heatmaps_job(trap, IMAGE, ["conv1", "conv2"], method="layer-cam", target=1))
    network = trap._network
    with LayerCAM(network, [network.conv1, network.conv2]) as peer:  # type: ignore[list-item]
        expected = peer(trap.preprocess.to_batch(IMAGE).requires_grad_(), [ClassifierOutputTarget(1)])[0]
    found = fused(maps).values
    span = found.max() - found.min()
    np.testing.assert_allclose((found - found.min()) / span, expected, atol=1e-4)


def test_what_cannot_be_fused_is_said(trap: LoadedModel) -> None:
    one, other = heatmap(trap, IMAGE, target=1), heatmap(trap, IMAGE, target=2)
    for wrong in ([], [one, other], [heatmap(trap, IMAGE, method="smoothgrad", target=1)]):
        with pytest.raises(BadInput):
            fused(wrong)


def test_a_rival_turns_the_map_into_why_this_and_not_that(trap: LoadedModel) -> None:
    """Gradients are linear: the map of a difference of scores is the difference of the scores' maps."""
    asked: dict[str, Any] = {"layer": "conv2", "signed": True}
    own, other = (heatmap(trap, IMAGE, target=target, **asked).values for target in (1, 3))
    found = heatmap(trap, IMAGE, target="class 1", rival="class 3", **asked)
    assert (found.aim, found.target, found.rival) == ("margin", 1, 3)
    np.testing.assert_allclose(found.values, own - other, atol=1e-5)


def test_rivals_that_make_no_sense_are_refused_in_a_sentence(trap: LoadedModel) -> None:
    with pytest.raises(BadInput, match="own rival"):
        heatmap(trap, IMAGE, target=1, rival=1)
    with pytest.raises(BadInput, match='"margin"'):
        heatmap(trap, IMAGE, target=1, rival=2, aim="score")
    with pytest.raises(UnknownName):
        heatmap(trap, IMAGE, target=1, rival="nothing")


class TwoHeads(nn.Module):
    """Class scores, a second vector, and scores of every place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.first, self.second = nn.Conv2d(3, 6, 3), nn.Linear(6, 5), nn.Linear(6, 3)
        self.places = nn.Conv2d(6, 4, 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        features = self.conv(x).relu()
        mean = features.mean((2, 3))
        return {"out": self.first(mean), "colour": self.second(mean), "places": self.places(features)}


def test_any_output_may_be_the_one_that_is_explained() -> None:
    model = look_into(TwoHeads(), 5)
    assert [output.name for output in model.outputs] == ["out", "colour", "places"] and model.head == 0
    colour, places = model.with_head("colour"), model.with_head("places")
    assert model.with_head("out") is model and len({model.digest, colour.digest, places.digest}) == 3
    assert colour.labels == ("colour 0", "colour 1", "colour 2") and len(places.labels) == 4
    network, batch = model._network, model.preprocess.to_batch(IMAGE)
    with torch.no_grad():
        answer = network(batch)
    assert heatmap(colour, IMAGE, target=2).score == pytest.approx(float(answer["colour"][0, 2]), abs=1e-5)
    assert heatmap(places, IMAGE, target=3).score == pytest.approx(float(answer["places"][0, 3].mean()), abs=1e-5)
    assert (model.default_layer.name, places.default_layer.name) == ("conv", "places")
    assert not heatmap(colour, IMAGE, layer="places", signed=True).values.any(), "it plays no part"
    with pytest.raises(UnknownName, match="colour"):
        model.with_head("colours")

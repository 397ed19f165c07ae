"""Predictions without a channel, against a plain network with the channel replaced by hand."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from interpret.errors import BadInput, UnknownName
from interpret.images import InputImage
from interpret.jobs import Progress, complete
from interpret.model import LoadedModel
from interpret.units import AblationResult, ablate_over, collect_units, without_unit
from interpret.units.ablation import replaced
from tests.conftest import nothing_left_behind
from tests.units.sources import CLASSES, ChannelsLast, channels_last, faint_picture, made, undecided


class Constant(nn.Module):
    """A module whose answer to one of its calls has a constant in one channel."""

    def __init__(self, inner: nn.Module, channel: int, value: float, call: int = 0, axis: int = 1) -> None:
        super().__init__()
        self.inner, self.channel, self.value, self.call, self.axis = inner, channel, value, call, axis

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.inner(x).clone()
        self.call -= 1
        if self.call == -1:
            y.select(self.axis, self.channel).fill_(self.value)
        return y


def by_hand(
    network: nn.Module, layer: str, channel: int, value: float, batch: torch.Tensor, axis: int = 1
) -> np.ndarray:
    """The scores of a network nobody has put hooks into, in float64."""
    name, _, call = layer.partition(":")
    network = network.eval().double()
    setattr(network, name, Constant(getattr(network, name), channel, value, int(call or 0), axis))
    with torch.no_grad():
        return network(batch.double()).numpy()


@pytest.mark.parametrize("layer", ["conv1", "bn1", "relu", "conv2", "bn2", "relu:1", "pool", "flatten", "head"])
@pytest.mark.parametrize("value", [0.0, -0.7])
def test_it_is_a_plain_forward_with_the_channel_replaced(model: LoadedModel, layer: str, value: float) -> None:
    changes = []
    for index in range(3):
        image, channel = faint_picture(index), index + 1
        expected = by_hand(undecided(), layer, channel, value, model.preprocess.to_batch(image))[0]
        with nothing_left_behind(model):
            found = without_unit(model, image, layer, channel, value)
        np.testing.assert_allclose(found.scores, expected, rtol=1e-4, atol=1e-5)
        chances = np.exp(expected) / np.exp(expected).sum()
        np.testing.assert_allclose(found.probabilities, chances, rtol=1e-4, atol=1e-6)
        assert found.scores.dtype == found.probabilities.dtype == np.float32
        changes.append(np.abs(expected - model.predict([image])[0].scores).max())
    assert max(changes) > 0.01, "the replacement changes nothing"


@pytest.mark.parametrize(("layer", "axis"), [("norm", 3), ("widen", 3), ("stem", 1)])
def test_channels_last(layer: str, axis: int) -> None:
    model, image = channels_last(), faint_picture(2)
    expected = by_hand(ChannelsLast(), layer, 2, 0.4, model.preprocess.to_batch(image), axis)[0]
    np.testing.assert_allclose(without_unit(model, image, layer, 2, 0.4).scores, expected, rtol=1e-4, atol=1e-5)


def test_closed_forms_of_the_last_layers(model: LoadedModel) -> None:
    """Without input c the scores lose w[:, c] f[c]; a replaced score is the value itself."""
    image = faint_picture(4)
    scores = model.predict([image])[0].scores
    features = model.observe(model.preprocess.to_batch(image), ["flatten"])["flatten"][0].numpy()
    weights = model._network.head.weight.numpy()  # type: ignore[union-attr, operator]
    for channel in range(6):
        expected = scores - weights[:, channel] * features[channel]
        np.testing.assert_allclose(without_unit(model, image, "flatten", channel).scores, expected, atol=1e-5)
    assert without_unit(model, image, "head", 3, 9.5).scores.tolist() == [*scores[:3], 9.5, scores[4]]


def test_the_edit_does_not_write_into_what_it_got(model: LoadedModel) -> None:
    for name, output in (("conv1", torch.ones(2, 6, 12, 12)), ("head", torch.ones(2, 5))):
        changed = replaced(model.layer(name), 4, 0.0)(output)
        assert output.min() == 1 and changed.flatten(2 if output.ndim > 2 else 1).min() == 0
        assert (changed == 0).sum() == output.numel() / output.shape[1]


VALUES = {"zero": 0.0, "mean": 0.4, "far": 30.0}
COUNT, BROKEN = 21, (0, 8)
LABELS = tuple(index % 4 for index in range(COUNT))


def over(model: LoadedModel, layer: str = "relu:1", channel: int = 2, **options: object) -> AblationResult:
    return complete(ablate_over(model, made(COUNT, broken=BROKEN, **options), layer, channel, VALUES))  # type: ignore[arg-type]


@pytest.mark.parametrize("labelled", [True, False])
def test_over_a_data_set_it_is_a_loop_over_its_pictures(model: LoadedModel, labelled: bool) -> None:
    found = over(model, labels=LABELS if labelled else ())
    pictures = [index for index in range(COUNT) if index not in BROKEN]
    plain = model.predict([faint_picture(index) for index in pictures])
    before = np.array([prediction.top(1)[0] for prediction in plain])
    targets = np.array([LABELS[index] for index in pictures]) if labelled else before
    assert found.compared_with == ("labels" if labelled else "predictions")
    assert found.pictures.tolist() == pictures and found.targets.tolist() == targets.tolist()
    assert found.predictions.tolist() == before.tolist() and found.classes == CLASSES
    assert found.skipped == (("n0", "n0 is damaged."), ("n8", "n8 is damaged."))
    own = np.array([prediction.probabilities[target] for prediction, target in zip(plain, targets, strict=True)])
    np.testing.assert_allclose(found.probabilities, own, rtol=1e-4, atol=1e-6)
    assert found.counts.tolist() == [(targets == number).sum() for number in range(5)]
    assert found.ways == ("zero", "mean", "far") and found.values.tolist() == pytest.approx([0, 0.4, 30])
    for way, value in enumerate(VALUES.values()):
        changed = [without_unit(model, faint_picture(index), "relu:1", 2, value) for index in pictures]
        after = np.array([prediction.top(1)[0] for prediction in changed])
        assert found.changed_predictions[way].tolist() == after.tolist()
        chances = np.array([one.probabilities[target] for one, target in zip(changed, targets, strict=True)])
        np.testing.assert_allclose(found.changed_probabilities[way], chances, rtol=1e-4, atol=1e-6)
        assert found.flipped[way] == (after != before).sum()
        assert found.probability_change[way] == pytest.approx((chances - own).mean(), abs=1e-6)
        for number in range(5):
            of = targets == number
            if not of.any():
                assert np.isnan(found.accuracy[number]) and np.isnan(found.changed_accuracy[way, number])
                assert np.isnan(found.probability_change_by_class[way, number])
                continue
            assert found.accuracy[number] == pytest.approx((before == number)[of].mean())
            assert found.changed_accuracy[way, number] == pytest.approx((after == number)[of].mean())
            change = (chances - own)[of].mean()
            assert found.probability_change_by_class[way, number] == pytest.approx(change, abs=1e-6)
    assert 0 < found.flipped[0] < len(pictures) and np.count_nonzero(found.counts) > 2
    if not labelled:
        assert set(found.accuracy[found.counts > 0].tolist()) == {1.0}
    for array in (found.targets, found.predictions, found.changed_predictions, found.changed_probabilities):
        assert not array.flags.writeable


def test_labels_count_only_where_the_classes_are_the_networks(model: LoadedModel) -> None:
    assert over(model, labels=LABELS).compared_with == "labels"
    assert over(model, labels=LABELS, classes=("n01", "n02", "n03", "n04", "n05")).compared_with == "predictions"
    assert over(model, labels=LABELS, classes=CLASSES[::-1]).compared_with == "predictions"
    assert over(model, labels=LABELS, classes=CLASSES[:4]).compared_with == "predictions"
    assert over(model, labels=(-1, *LABELS[1:])).compared_with == "predictions"


def test_a_replaced_score_decides_the_prediction(model: LoadedModel, tmp_path: Path) -> None:
    """The last score set to 30, to -30, and to what it is."""
    found = complete(ablate_over(model, made(9), "head", 4, {"greatest": 30.0, "least": -30.0}))
    assert found.changed_predictions[0].tolist() == [4] * 9
    assert 4 not in found.changed_predictions[1]
    statistics = complete(collect_units(model, made(9), ["head"], folder=tmp_path))["head"]
    assert statistics.predictions.tolist() == found.predictions.tolist()
    image = InputImage.from_array(np.zeros((12, 12, 3), np.uint8), "black")
    score = float(model.predict([image])[0].scores[4])
    same = complete(ablate_over(model, made(9, lambda _: image), "head", 4, {"itself": score}))
    assert same.flipped.tolist() == [0] and abs(same.probability_change[0]) < 1e-6


def test_it_reads_every_picture_once_and_cancels_at_every_step(model: LoadedModel) -> None:
    read: list[int] = []

    def reading(index: int) -> InputImage:
        read.append(index)
        return faint_picture(index)

    seen: list[Progress] = []
    complete(ablate_over(model, made(20, reading), "conv1", 0, {"a": 0.0, "b": 1.0}), seen.append)
    assert sorted(read) == list(range(20))
    assert [progress.step for progress in seen] == [0, 0, 8, 8, 8, 16, 16, 16, 20]
    assert seen[-1].note == "20 of 20 pictures" and {progress.total for progress in seen} == {20}
    before = threading.active_count()
    for stop in range(10):
        with nothing_left_behind(model):
            job = ablate_over(model, made(20), "conv1", 0, {"a": 0.0, "b": 1.0})
            for _ in range(stop):
                next(job)
            job.close()
        assert threading.active_count() == before


def test_smaller_parts_when_memory_runs_out(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, plain = over(model), LoadedModel.observe

    def scarce(self: LoadedModel, batch: torch.Tensor, *args: object, **options: object) -> object:
        if len(batch) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return plain(self, batch, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(LoadedModel, "observe", scarce)
    found = over(model)
    assert found.changed_predictions.tolist() == whole.changed_predictions.tolist()
    np.testing.assert_allclose(found.changed_probabilities, whole.changed_probabilities, atol=1e-5)


def test_what_cannot_be_replaced(model: LoadedModel) -> None:
    image = faint_picture(0)
    with pytest.raises(UnknownName, match='Layer "conv9" is not in Trap'):
        without_unit(model, image, "conv9", 0)
    for channel in (-1, 6):
        with pytest.raises(BadInput, match=f"Channel {channel} does not exist; the layer has channels 0 to 5."):
            without_unit(model, image, "conv1", channel)
        with pytest.raises(BadInput, match=f"Channel {channel} does not exist"):
            complete(ablate_over(model, made(3), "conv1", channel, {"zero": 0}))
    for value in (float("nan"), float("inf")):
        with pytest.raises(BadInput, match="give a finite number"):
            without_unit(model, image, "conv1", 0, value)
    with pytest.raises(BadInput, match="No value was given"):
        complete(ablate_over(model, made(3), "conv1", 0, {}))
    with pytest.raises(BadInput, match='Not one of the 3 pictures of "made" could be read. n0 is damaged.'):
        complete(ablate_over(model, made(3, broken=range(3)), "conv1", 0, {"zero": 0}))

"""Series of variants, orders of channels and searches, against plain loops."""

from __future__ import annotations

import time
from functools import cache

import numpy as np
import pytest
import torch

from interpret.ablation import (
    RANKINGS,
    Change,
    ablate,
    cascade,
    changed,
    each_channel,
    forgotten,
    lesions,
    rank,
    removal,
    smallest_set,
)
from interpret.ablation.sweeps import _selectivity
from interpret.errors import BadInput, UnknownName
from interpret.jobs import Progress, complete
from interpret.model import LoadedModel
from tests.ablation.networks import images, loaded
from tests.conftest import DATA, TrapNetwork, look_into, nothing_left_behind
from tests.units.sources import channels_last, faint_picture, made, undecided

COUNT = 24
LABELS = tuple(index % 5 for index in range(COUNT))


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return look_into(undecided(), classes=5)


def test_lesions_are_the_blocks_that_can_be_bypassed() -> None:
    found = lesions(loaded("resnet18"))
    blocks = [f"layer{stage}.{number}" for stage in range(1, 5) for number in range(2)]
    assert found == {f"bypass {name}": (Change("bypass", name),) for name in blocks}
    assert list(lesions(loaded("vgg"))) == ["bypass features.17"]  # the other rows pool or widen
    mobile = lesions(loaded("mobilenet_v2"))
    assert list(mobile) == [f"bypass features.{number}" for number in (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)]


def test_blocks_forget_in_turn_and_from_the_top_down() -> None:
    model = loaded("resnet18")
    blocks = ["maxpool", *(f"layer{stage}.{number}" for stage in range(1, 5) for number in range(2)), "fc"]
    assert [change for (change,) in forgotten(model, 3).values()] == [Change("reinitialise", b, seed=3) for b in blocks]
    falling = list(cascade(model).values())
    for count, changes in enumerate(falling, 1):
        assert [change.layer for change in changes] == blocks[::-1][:count]
    everything = changed(model, falling[-1], images=images(2))._network.state_dict()
    wholly = model.untrained(images(2), 0)._network.state_dict()
    assert all(torch.equal(everything[name], value) for name, value in wholly.items())


def brute(model: LoadedModel, layer: str, ranking: str, target: int | None, labelled: bool) -> list[int]:
    """Picture by picture, on a plain network in float64."""
    values: dict[int, list[np.ndarray]] = {number: [] for number in range(5)}
    network = undecided().eval().double()
    for index in range(COUNT):
        kept: list[torch.Tensor] = []
        handle = network.get_submodule(layer).register_forward_hook(
            lambda module, given, output, kept=kept: kept.append(output) or output.clone()  # type: ignore[misc]
        )
        scores = network(model.preprocess.to_batch(faint_picture(index)).double())[0]
        handle.remove()
        known = LABELS[index] if labelled else int(scores.argmax())
        value = kept[0]
        if ranking == "gradient":
            value = (value * torch.autograd.grad(scores[known], kept[0])[0]).mean((2, 3), keepdim=True).abs()
        values[known].append(value[0].mean((1, 2)).detach().numpy())
    means = {number: np.mean(some, 0) for number, some in values.items() if some}
    if ranking == "selectivity":
        table = np.stack(list(means.values()))
        if target is None:
            best, rest = table.max(0), np.sort(table, 0)[:-1].mean(0)
        else:
            best, rest = means[target], np.mean([m for n, m in means.items() if n != target], 0)
        index_of = (best - rest) / (best + rest)
    else:
        index_of = np.mean([one for some in values.values() for one in some], 0) if target is None else means[target]
    return [int(channel) for channel in np.argsort(-index_of)]


@pytest.mark.parametrize("ranking", RANKINGS[:3])
@pytest.mark.parametrize("target", [None, 2])
@pytest.mark.parametrize("labelled", [True, False])
def test_orders_are_those_of_a_loop(model: LoadedModel, ranking: str, target: int | None, labelled: bool) -> None:
    source = made(COUNT, labels=LABELS if labelled else ())
    with nothing_left_behind(model):
        found = complete(rank(model, source, "conv2", ranking, target=target))
    assert found.dtype == np.int64 and found.tolist() == brute(model, "conv2", ranking, target, labelled)


def test_the_selectivity_index() -> None:
    """Class means 3, 1, 2: (3 - 1.5) / (3 + 1.5); of the second class (1 - 2.5) / (1 + 2.5); nothing of nothing."""
    means, present = np.array([[3.0, 0], [1, 0], [2, 0]]), np.array([True, False, True, True])
    assert _selectivity(means, present, None).tolist() == pytest.approx([1 / 3, 0])
    assert _selectivity(means, present, 2).tolist() == pytest.approx([-3 / 7, 0])


def test_lots_and_what_cannot_be_ranked(model: LoadedModel) -> None:
    source = made(COUNT, labels=LABELS)
    lots = [complete(rank(model, source, "conv2", "random", seed)).tolist() for seed in (0, 0, 1)]
    assert lots[0] == lots[1] != lots[2] and sorted(lots[0]) == list(range(6))
    with pytest.raises(UnknownName, match='Ranking "size"'):
        complete(rank(model, source, "conv2", "size"))
    with pytest.raises(UnknownName, match='Class "5"'):
        complete(rank(model, source, "conv2", "gradient", target=5))
    with pytest.raises(BadInput, match='no picture of class "class 4"'):
        complete(rank(model, made(4, labels=(0, 1, 2, 3)), "conv2", "gradient", target=4))
    with pytest.raises(BadInput, match="of one class only"):
        complete(rank(model, made(4, labels=(1, 1, 1, 1)), "conv2", "selectivity"))


def test_removal_of_the_first_and_of_the_last() -> None:
    found = removal([4, 2, 0, 1, 3], [0, 2, 5], "conv")
    assert found == {
        "the 0 most important of conv": (),
        "the 2 most important of conv": (Change("zero", "conv", (4, 2)),),
        "the 5 most important of conv": (Change("zero", "conv", (4, 2, 0, 1, 3)),),
    }
    assert removal(np.array([4, 2, 0, 1, 3]), [1, 0], "conv", least=True, how="mean") == {
        "the 1 least important of conv": (Change("mean", "conv", (3,)),),
        "the 0 least important of conv": (),
    }
    with pytest.raises(BadInput, match="6 channels cannot be removed of 5"):
        removal([4, 2, 0, 1, 3], [6], "conv")


class Wide(TrapNetwork):
    """A trap that predicts all classes by forty channels, each less than the one before: to be searched twice."""

    def __init__(self) -> None:
        super().__init__()
        self.widen = torch.nn.Conv2d(6, 40, 1)
        self.head = torch.nn.Linear(40, 5)
        generator = torch.Generator().manual_seed(9)
        for value in (*self.widen.parameters(), *self.head.parameters()):
            value.data.normal_(std=0.6, generator=generator)
        with torch.no_grad():
            self.head.weight *= 0.8 ** torch.arange(40)
            pictures = torch.stack([torch.from_numpy(faint_picture(index).pixels.copy()) for index in range(40)])
            self.head.bias -= self.eval()(pictures.permute(0, 3, 1, 2) / 127.5 - 1).mean(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        return self.head(self.pool(self.widen(x)).flatten(1))


@pytest.mark.parametrize("target", [None, 0])
def test_the_smallest_sets_hold_and_one_less_does_not(target: int | None) -> None:
    model, source = look_into(Wide(), classes=5), made(40)
    if target is not None:
        predictions = [one.top(1)[0] for one in model.predict([faint_picture(index) for index in range(40)])]
        target = int(np.bincount(predictions).argmax())
    order = complete(rank(model, source, "widen", "gradient"))
    seen: list[Progress] = []
    with nothing_left_behind(model):
        found = complete(smallest_set(model, source, "widen", order, keep=0.05, target=target), seen.append)

    def accuracy(channels: np.ndarray, whose: int | None = None) -> float:
        changes = {"it": (Change("zero", "widen", tuple(channels.tolist())),) if len(channels) else ()}
        table = complete(ablate(model, source, changes))
        return float(table.accuracy[1] if whose is None else table.per_class[1, whose])

    plain = accuracy(order[:0])
    assert found.accuracy == plain > 0 and found.order.tolist() == order.tolist()
    assert 0 < found.enough < 40 and accuracy(order[found.enough :]) >= plain - 0.05 - 1e-9
    assert accuracy(order[found.enough - 1 :]) < plain - 0.05
    was = accuracy(order[:0], target)
    assert found.target_accuracy == was
    if found.breaks is None:
        assert accuracy(order, target) >= was / 2
    else:
        assert accuracy(order[: found.breaks], target) < was / 2 <= accuracy(order[: found.breaks - 1], target)
    assert all(accuracy(order[count:]) == value for count, value in found.kept[::4])
    assert all(accuracy(order[:count], target) == value for count, value in found.removed[::4])
    steps = [progress.step for progress in seen]
    assert steps == sorted(steps) and steps[-1] <= seen[-1].total  # type: ignore[operator]
    with pytest.raises(BadInput, match="holds each of 0 to 39 once"):
        complete(smallest_set(model, source, "widen", order[1:]))


@pytest.mark.parametrize("layer", ["conv1", "relu", "relu:1", "flatten", "bn2"])
def test_each_channel_is_a_pass_without_it(model: LoadedModel, layer: str) -> None:
    image = faint_picture(3)
    seen: list[Progress] = []
    with nothing_left_behind(model):
        found = complete(each_channel(model, image, layer, 2), seen.append)
    plain = model.predict([image])[0].scores[2]
    for channel in range(6):
        score = changed(model, [Change("zero", layer, (channel,))]).predict([image])[0].scores[2]
        assert found[channel] == pytest.approx(score - plain, abs=1e-5)
    assert np.abs(found).max() > 1e-3 and [progress.step for progress in seen] == [6]


def test_each_channel_of_other_layouts_and_of_dense_blocks() -> None:
    for model, layer, image in (
        (channels_last(), "widen", faint_picture(3)),
        (loaded("densenet121"), "features.denseblock4.denselayer15", images(1)[0]),
    ):
        found = complete(each_channel(model, image, layer, 1))
        for channel in (0, 3, len(found) - 1):
            score = changed(model, [Change("zero", layer, (channel,))]).predict([image])[0].scores[1]
            expected = score - model.predict([image])[0].scores[1]
            assert found[channel] == pytest.approx(expected, abs=2e-5 * float(abs(score)) + 1e-5)


@cache
def _passes(model: LoadedModel) -> float:
    """Seconds of 32 passes without one channel."""
    inputs, started = model.preprocess.to_batch(images(1)[0]), time.perf_counter()
    for channel in range(32):
        model.observe(
            inputs,
            edit={"layer4": lambda output, channel=channel: output.index_fill(1, torch.tensor([channel]), 0)},
            until="scores",
        )  # type: ignore[misc]
    return time.perf_counter() - started


@pytest.mark.skipif(not (DATA / "SOURCES.md").is_file(), reason="the real weights are not there")
def test_all_channels_of_the_last_layer_at_once(real_model: object) -> None:
    model = real_model("resnet18")  # type: ignore[operator]
    started = time.perf_counter()
    found = complete(each_channel(model, images(1)[0], "layer4", 3))
    seconds = time.perf_counter() - started
    assert len(found) == 512 and seconds < 10
    assert seconds < _passes(model) * 512 / 32 / 5

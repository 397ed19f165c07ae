"""What changed between the weights of two checkpoints, against torch on their state dicts."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from interpret import BadInput, LoadedModel, UnknownName, load_model
from interpret.comparison import ShapeDifference, differing_shapes, most_changed, overall, weight_changes, weights
from tests.comparison.runs import trap_of
from tests.conftest import REPOSITORY, TrapNetwork, look_into, nothing_left_behind

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class Reused(nn.Module):
    """A module called twice, one that never runs, a transposed convolution in groups, and a norm without weights."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.again = nn.Conv2d(3, 3, 3, padding=1)
        self.never = nn.Conv2d(3, 3, 1)
        self.up = nn.ConvTranspose2d(4, 6, 2, groups=2)
        self.widen = nn.Conv2d(3, 4, 1, bias=False)
        self.norm = nn.BatchNorm2d(6, affine=False)
        self.head = nn.Linear(6, 5)
        self.scale = nn.Parameter(torch.ones(3, 1, 1))  # of the network itself
        generator = torch.Generator().manual_seed(seed)
        for value in self.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=generator) + 0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.again(self.again(x)) * self.scale
        return self.head(self.norm(self.up(self.widen(x))).mean((2, 3)))


def apart(one: torch.Tensor, other: torch.Tensor) -> tuple[float, float]:
    """Relative distance and cosine of two vectors, by torch in float64."""
    one, other = one.double().flatten(), other.double().flatten()
    return float((other - one).norm() / one.norm()), float(functional.cosine_similarity(one, other, dim=0))


def flat(state: dict[str, torch.Tensor], module: str, row: int | None = None) -> torch.Tensor:
    """The parameters of a module, or one row of each, end to end."""
    own = [v for n, v in state.items() if n.rpartition(".")[0] == module and n.rpartition(".")[2] not in STATISTICS]
    return torch.cat([(value if row is None else value[row]).flatten() for value in own])


def test_two_bundled_checkpoints() -> None:
    """Everything, module by module and channel by channel, from the files themselves."""
    files = [REPOSITORY / "checkpoints" / f"shapes-{kind}.safetensors" for kind in ("clean", "shortcut")]
    one, other = (load_model(file, device="cpu") for file in files)
    first, second = (load_file(file) for file in files)
    with nothing_left_behind(one), nothing_left_behind(other):
        found = weight_changes(one, other)
    assert {change.layer for change in found} == {name.rpartition(".")[0] for name in first}
    assert [change.layer for change in found][:4] == ["conv1", "bn1", "layer1.0.conv1", "layer1.0.bn1"]
    for change in found:
        pair = flat(first, change.layer), flat(second, change.layer)
        assert (change.distance, change.cosine) == pytest.approx(apart(*pair), rel=1e-9)
        assert change.norms == pytest.approx([float(vector.double().norm()) for vector in pair], rel=1e-9)
        rows = [
            apart(*(flat(state, change.layer, row) for state in (first, second))) for row in range(len(change.channels))
        ]
        np.testing.assert_allclose(np.stack([change.channels, change.cosines], 1), rows, rtol=1e-6)
        far = torch.stack(
            [(flat(second, change.layer, row) - flat(first, change.layer, row)).norm() for row in range(len(rows))]
        )
        usual = flat(first, change.layer).norm() / len(rows) ** 0.5
        np.testing.assert_allclose(change.moves, far / usual, rtol=1e-5)
        assert len(rows) == one.layer(change.layer).channels and change.kind == one.layer(change.layer).kind
        assert change.channels.dtype == change.cosines.dtype == np.float32 and not change.channels.flags.writeable
        assert (change.statistics is not None) == (change.kind == "BatchNorm2d")
        if change.statistics is not None:
            mean, variance, mean_after, variance_after = (
                state[f"{change.layer}.running_{what}"].double().numpy()
                for state in (first, second)
                for what in ("mean", "var")
            )
            means = abs(mean_after - mean) / np.sqrt(variance + 1e-5)
            variances = abs(np.log(variance_after + 1e-5) - np.log(variance + 1e-5))
            np.testing.assert_allclose(change.statistics.means, means, rtol=1e-6)
            np.testing.assert_allclose(change.statistics.variances, variances, rtol=1e-5, atol=1e-7)
            assert change.statistics.mean == pytest.approx(means.mean(), rel=1e-9)
            assert change.statistics.variance == pytest.approx(variances.mean(), rel=1e-9)
    everything = [torch.cat([flat(state, change.layer) for change in found]) for state in (first, second)]
    assert overall(found) == pytest.approx(apart(*everything), rel=1e-9)


def test_the_channels_that_moved_most(monkeypatch: pytest.MonkeyPatch) -> None:
    found = weight_changes(trap_of(0), trap_of(1))
    everything = sorted(((far, c.layer, at) for c in found for at, far in enumerate(c.moves.tolist())), reverse=True)
    assert most_changed(found, 7) == tuple((layer, at, far) for far, layer, at in everything[:7])
    assert len(most_changed(found)) == 20 and len(most_changed(found, 99)) == len(everything) == 29
    monkeypatch.setattr(weights, "_AT_ONCE", 60)  # a few rows at a time
    for one, other in zip(found, weight_changes(trap_of(0), trap_of(1)), strict=True):
        assert np.array_equal(one.channels, other.channels) and one.cosine == pytest.approx(other.cosine, rel=1e-12)


def test_a_dead_channel_does_not_lead_the_list() -> None:
    network = TrapNetwork(0)
    network.conv1.weight.data[2] = 1e-9
    network.conv1.bias.data[2] = 0
    moved = copy.deepcopy(network)
    moved.conv1.weight.data[2] = 1e-5
    moved.conv1.weight.data[4] *= 1.5
    found = weight_changes(look_into(network, 5), look_into(moved, 5))
    assert found[0].channels[2] == pytest.approx(1e4, rel=1e-3) and found[0].channels[4] < 0.6
    assert [one[:2] for one in most_changed(found, 2)] == [("conv1", 4), ("conv1", 2)]


def test_modules_called_twice_or_never_and_of_unusual_kinds() -> None:
    networks = Reused(0), Reused(1)
    found = {change.layer: change for change in weight_changes(*(look_into(each, 5) for each in networks))}
    assert list(found) == ["again", "widen", "up", "norm", "head"]
    states = [network.state_dict() for network in networks]
    for layer in ("again", "widen", "up", "head"):
        pair = [flat(state, layer) for state in states]
        assert (found[layer].distance, found[layer].cosine) == pytest.approx(apart(*pair), rel=1e-9)
    assert len(found["up"].channels) == 6
    for channel in range(6):  # of group channel // 3, which has two inputs
        rows = [
            torch.cat([s["up.weight"][channel // 3 * 2 :][:2, channel % 3].flatten(), s["up.bias"][channel].flatten()])
            for s in states
        ]
        assert (found["up"].channels[channel], found["up"].cosines[channel]) == pytest.approx(apart(*rows), rel=1e-6)
    norm = found["norm"]
    assert (norm.distance, norm.norms, len(norm.channels)) == (0, (0, 0), 0) and np.isnan(norm.cosine)
    assert norm.statistics is not None and norm.statistics.mean > 0.1


def test_nothing_and_zero() -> None:
    same = weight_changes(trap_of(0), trap_of(0))
    assert all(change.distance == 0 and not change.channels.any() for change in same)
    assert all(change.cosine == pytest.approx(1, abs=1e-12) for change in same)
    assert overall(same) == pytest.approx((0, 1), abs=1e-12)

    network = TrapNetwork(0)
    for value in (
        network.conv1.weight.data[2],
        network.conv1.bias.data[2:3],
        network.head.weight.data,
        network.head.bias.data,
    ):
        value.zero_()
    moved = copy.deepcopy(network)
    moved.head.weight.data[1] = 3
    found = {change.layer: change for change in weight_changes(look_into(network, 5), look_into(moved, 5))}
    assert found["conv1"].channels[2] == 0 and np.isnan(found["conv1"].cosines[2]), "0/0 is no change"
    assert found["head"].channels.tolist() == [0, np.inf, 0, 0, 0] and found["head"].distance == np.inf
    assert found["head"].moves.tolist() == [0, np.inf, 0, 0, 0] and not found["conv1"].moves.any()
    assert np.isnan(found["head"].cosine) and found["head"].norms == (0, pytest.approx(3 * 6**0.5))
    assert most_changed(tuple(found.values()), 1) == (("head", 1, np.inf),)
    rest = sum(change.norms[0] ** 2 for change in found.values()) ** 0.5
    assert overall(tuple(found.values()))[0] == pytest.approx(3 * 6**0.5 / rest)


def test_a_head_of_another_size() -> None:
    """The rest is compared as it is between two of one size, and the head's tensors are listed."""
    small, wide = TrapNetwork(0), TrapNetwork(1)
    same = weight_changes(look_into(small, 5), look_into(copy.deepcopy(wide), 5))
    wide.head = nn.Linear(6, 7)
    models = look_into(small, 5), look_into(wide, 7)
    found = weight_changes(*models)
    assert [change.layer for change in found] == [change.layer for change in same if change.layer != "head"]
    for one, other in zip(found, same, strict=False):
        assert (one.distance, one.cosine) == (other.distance, other.cosine) and one.distance > 0
    first, second = small.state_dict(), wide.state_dict()
    everything = [torch.cat([flat(state, change.layer) for change in found]) for state in (first, second)]
    assert overall(found) == pytest.approx(apart(*everything), rel=1e-9)
    assert differing_shapes(*models) == (
        ShapeDifference("head", "weight", (5, 6), (7, 6)),
        ShapeDifference("head", "bias", (5,), (7,)),
    )
    assert differing_shapes(models[0], models[0]) == ()


def test_tensors_and_layers_that_only_one_has() -> None:
    one, other = Reused(0), Reused(1)
    one.widen = nn.Conv2d(3, 4, 1)
    one.norm = nn.BatchNorm2d(6, affine=False, track_running_stats=False)
    other.head = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 5))
    models = [look_into(network, 5) for network in (one, other)]
    assert differing_shapes(*models) == (
        ShapeDifference("widen", "bias", (4,), None),
        ShapeDifference("norm", "running_mean", None, (6,)),
        ShapeDifference("norm", "running_var", None, (6,)),
        ShapeDifference("head", "weight", (5, 6), None),
        ShapeDifference("head", "bias", (5,), None),
        ShapeDifference("head.0", "weight", None, (4, 6)),
        ShapeDifference("head.0", "bias", None, (4,)),
        ShapeDifference("head.1", "weight", None, (5, 4)),
        ShapeDifference("head.1", "bias", None, (5,)),
    )
    found = {change.layer: change for change in weight_changes(*models)}
    assert list(found) == ["again", "widen", "up"]
    pair = [network.state_dict()["widen.weight"] for network in (one, other)]
    assert (found["widen"].distance, found["widen"].cosine) == pytest.approx(apart(*pair), rel=1e-9)
    back = {change.layer: change for change in weight_changes(*reversed(models))}
    assert list(back) == list(found) and back["up"].norms == found["up"].norms[::-1]


def test_nothing_in_common_is_said(cifar: LoadedModel) -> None:
    with pytest.raises(BadInput, match='"trap" and "small.safetensors" .* no layer of one name and one shape'):
        weight_changes(trap_of(0), cifar)


def test_the_numbers_of_a_module_are_its_own_and_read_only(cifar: LoadedModel) -> None:
    with nothing_left_behind(cifar):
        found = cifar.tensors("layer1.0.bn1")
        assert list(found) == ["weight", "bias", "running_mean", "running_var"]
        with pytest.raises(ValueError, match="read-only"):
            found["weight"][0] = 1
    state = cifar._network.state_dict()
    assert all(np.array_equal(values, state[f"layer1.0.bn1.{name}"]) for name, values in found.items())
    assert cifar.tensors("layer1.0") == {} and all(value.dtype == np.float32 for value in found.values())
    again = trap_of(0)
    assert again.tensors("relu:1") == {} and list(again.tensors("conv2")) == ["weight", "bias"]
    with pytest.raises(UnknownName, match="conv9"):
        again.tensors("conv9")

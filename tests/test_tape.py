"""The hooks on the trap network: what is recorded is what each layer answered, whatever happens around it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from torch import nn

from interpret.answers import Tape
from interpret.model import LoadedModel
from interpret.tape import Edit
from tests.conftest import TrapNetwork, look_into, nothing_left_behind, trap_reference

LAYERS = ("conv1", "bn1", "relu", "conv2", "bn2", "relu:1", "pool", "flatten", "head")


def ran(model: LoadedModel) -> list[str]:
    """A list that grows by a module's name whenever it is called."""
    called: list[str] = []
    for name, module in model._network.named_modules():
        if name:
            module.register_forward_pre_hook(lambda _m, _i, name=name: called.append(name))
    return called


def test_the_layers_are_the_calls_in_order(trap: LoadedModel) -> None:
    assert tuple(layer.name for layer in trap.layers) == LAYERS


def test_every_record_equals_the_reference(trap: LoadedModel, pictures: torch.Tensor) -> None:
    expected = trap_reference(trap._network, pictures)
    tape = trap.observe(pictures, LAYERS, until="scores")
    assert set(tape.outputs) == set(LAYERS)
    for layer in LAYERS:
        torch.testing.assert_close(tape[layer].double(), expected[layer], atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(tape.scores.double(), expected["scores"], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("layer", LAYERS)
def test_every_record_made_alone_equals_the_reference(trap: LoadedModel, pictures: torch.Tensor, layer: str) -> None:
    expected = trap_reference(trap._network, pictures)[layer]
    for tape in (
        trap.observe(pictures, [layer]),
        trap.observe(pictures, [layer], until="scores"),
        trap.trace(pictures, [layer]),
        trap.trace(pictures, [layer], until="layers"),
    ):
        torch.testing.assert_close(tape[layer].detach().double(), expected, atol=2e-6, rtol=1e-5)


def test_the_trap_does_rewrite(trap: LoadedModel, pictures: torch.Tensor) -> None:
    """Without clones bn1 and bn2 would read as what the ReLU behind them left: the trap is set."""
    assert trap._rewritten >= {"bn1", "bn2"}
    rewritten: list[torch.Tensor] = []
    network = TrapNetwork().eval()
    network.bn1.register_forward_hook(lambda _m, _i, output: rewritten.append(output))
    with torch.no_grad():
        network(pictures)
    assert rewritten[0].min() >= 0 > trap.observe(pictures, ["bn1"])["bn1"].min()


def test_a_rewritten_record_that_was_not_cloned_is_an_error(pictures: torch.Tensor) -> None:
    from dataclasses import replace

    careless = replace(look_into(TrapNetwork(), classes=5), _rewritten=frozenset())
    with pytest.raises(RuntimeError, match=r"rewritten in place.*bn1"):
        careless.observe(pictures, ["bn1"], until="scores")


@pytest.mark.parametrize(
    ("keep", "runs"),
    [
        (["conv1"], ["conv1"]),
        (["relu"], ["conv1", "bn1", "relu"]),
        (["bn1", "conv2"], ["conv1", "bn1", "relu", "conv2"]),
        (["relu:1"], ["conv1", "bn1", "relu", "conv2", "bn2", "relu"]),
        (["relu:1", "conv1"], ["conv1", "bn1", "relu", "conv2", "bn2", "relu"]),
    ],
)
def test_a_pass_stops_after_the_last_layer_kept(
    trap: LoadedModel, pictures: torch.Tensor, keep: list[str], runs: list[str]
) -> None:
    called = ran(trap)
    tape = trap.observe(pictures, keep)
    assert called == runs and tape.scores is None
    called.clear()
    assert trap.trace(pictures, keep, until="layers").scores is None
    assert called == runs
    called.clear()
    assert trap.observe(pictures, keep, until="scores").scores is not None
    assert called[-1] == "head"


def test_observe_has_no_graph(trap: LoadedModel, pictures: torch.Tensor) -> None:
    tape = trap.observe(pictures, LAYERS, until="scores")
    assert not any(tensor.requires_grad for tensor in (*tape.outputs.values(), tape.scores))


def test_trace_has_a_graph_from_the_earliest_layer_kept_only(trap: LoadedModel, pictures: torch.Tensor) -> None:
    """Nothing before the layer is on the graph: its record is a leaf, and no convolution lies under the scores."""
    tape = trap.trace(pictures, ["bn2"])
    assert tape["bn2"].is_leaf and tape["bn2"].requires_grad
    names, edge = set(), [tape.scores.grad_fn]
    while edge:
        node = edge.pop()
        if node is not None and node not in names:
            names.add(node)
            edge += [following for following, _ in node.next_functions]
    kinds = {node.name() for node in names}
    assert not [kind for kind in kinds if "Convolution" in kind or "BatchNorm" in kind]
    assert any("Relu" in kind for kind in kinds)
    leaves = [node.variable for node in names if node.name() == "torch::autograd::AccumulateGrad"]
    assert len(leaves) == 1 and leaves[0] is tape["bn2"]


def test_trace_of_two_layers_joins_them_by_a_graph(trap: LoadedModel, pictures: torch.Tensor) -> None:
    tape = trap.trace(pictures, ["head", "conv2"])
    assert tape["conv2"].is_leaf and not tape["head"].is_leaf
    assert tape.gradient(tape["head"][:, 2], "conv2").abs().sum() > 0


def test_the_callers_batch_is_not_touched() -> None:
    """Also where a layer answers with the very tensor it was given."""

    class Same(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    model = look_into(nn.Sequential(Same(), TrapNetwork()), classes=5)
    batch = torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    batch = batch.contiguous(memory_format=torch.channels_last)  # so that no copy is made on the way
    before = batch.clone()
    tape = model.trace(batch, ["0", "1.relu"])
    assert tape.gradient(tape.scores, "0").abs().sum() > 0
    assert not batch.requires_grad and batch.grad is None and torch.equal(batch, before)


def test_trace_follows_a_batch_that_asks_for_gradients(trap: LoadedModel, pictures: torch.Tensor) -> None:
    batch = pictures.clone().requires_grad_()
    tape = trap.trace(batch, ["conv2"], until="layers")
    (gradient,) = torch.autograd.grad(tape["conv2"].sum(), batch)
    plain = pictures.clone().requires_grad_()
    network = TrapNetwork().eval()
    x = network.bn1(network.conv1(plain)).relu()
    (expected,) = torch.autograd.grad(network.conv2((x - 0.1).relu()).sum(), plain)
    torch.testing.assert_close(gradient, expected, atol=1e-5, rtol=1e-5)


def test_gradients_equal_the_closed_form_of_the_last_layers(trap: LoadedModel, pictures: torch.Tensor) -> None:
    weights = trap._network.get_submodule("head").weight
    tape = trap.trace(pictures, ["relu:1", "pool", "flatten", "head"])
    for target in range(5):
        score = tape.scores[:, target]
        flat = weights[target].expand(3, 6)
        torch.testing.assert_close(tape.gradient(score, "flatten"), flat)
        torch.testing.assert_close(tape.gradient(score, "pool"), flat[..., None, None])
        torch.testing.assert_close(tape.gradient(score, "relu:1"), (flat / 144)[..., None, None].expand(3, 6, 12, 12))


def by_hand(network: TrapNetwork, batch: torch.Tensor) -> dict[str, torch.Tensor]:
    """Every layer's answer by plain autograd, with nothing in place, so that each can be differentiated."""
    out = {"conv1": network.conv1(batch.clone().requires_grad_())}
    out["bn1"] = network.bn1(out["conv1"])
    out["relu"] = torch.relu(out["bn1"])
    out["conv2"] = network.conv2(torch.relu(out["relu"] - 0.1))
    out["bn2"] = network.bn2(out["conv2"])
    out["relu:1"] = torch.relu(out["bn2"] + out["relu"])
    out["pool"] = out["relu:1"].mean((2, 3), keepdim=True)
    out["flatten"] = out["pool"].flatten(1)
    out["head"] = network.head(out["flatten"])
    return out


@pytest.mark.parametrize("layer", LAYERS)
def test_gradients_equal_autograd_on_a_plain_copy(trap: LoadedModel, pictures: torch.Tensor, layer: str) -> None:
    plain = by_hand(TrapNetwork().eval(), pictures)
    together = trap.trace(pictures, LAYERS)
    for target in (0, 3):
        (expected,) = torch.autograd.grad(plain["head"][:, target].sum(), plain[layer], retain_graph=True)
        for tape in (trap.trace(pictures, [layer]), together):
            found = tape.gradient(tape.scores[:, target], layer)
            torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_parameters_never_collect_gradients(trap: LoadedModel, pictures: torch.Tensor) -> None:
    tape = trap.trace(pictures, ["conv1"])
    tape.scores.sum().backward()
    assert tape["conv1"].grad is not None
    assert all(p.grad is None and not p.requires_grad for p in trap._network.parameters())


@pytest.mark.parametrize("layer", LAYERS)
def test_an_edit_that_changes_nothing_changes_no_bit(trap: LoadedModel, pictures: torch.Tensor, layer: str) -> None:
    plain = trap.observe(pictures, LAYERS, until="scores")
    edited = trap.observe(pictures, LAYERS, until="scores", edit={layer: lambda output: output})
    cloned = trap.observe(pictures, LAYERS, until="scores", edit={layer: torch.clone})
    for tape in (edited, cloned):
        assert torch.equal(tape.scores, plain.scores)
        assert all(torch.equal(tape[name], plain[name]) for name in LAYERS)


@pytest.mark.parametrize("number", [1, 2])
def test_zeroing_a_channel_equals_zeroing_its_weights(trap: LoadedModel, pictures: torch.Tensor, number: int) -> None:
    copy = TrapNetwork().eval()
    with torch.no_grad():
        getattr(copy, f"conv{number}").weight[4] = 0
        getattr(copy, f"conv{number}").bias[4] = 0

    def silence(output: torch.Tensor) -> torch.Tensor:
        return output * (torch.arange(6) != 4).float().view(1, -1, 1, 1)

    with torch.no_grad():
        expected = copy(pictures)
    assert not torch.allclose(expected, trap.observe(pictures).scores, atol=1e-4)
    for tape in (
        trap.observe(pictures, edit={f"conv{number}": silence}),
        trap.trace(pictures, ["bn2"], edit={f"conv{number}": silence}),
    ):
        torch.testing.assert_close(tape.scores.detach(), expected, atol=1e-6, rtol=1e-5)


def test_an_edit_reaches_only_the_call_it_names(trap: LoadedModel, pictures: torch.Tensor) -> None:
    plain = trap.observe(pictures, LAYERS, until="scores")
    tape = trap.observe(pictures, LAYERS, until="scores", edit={"relu:1": torch.zeros_like})
    assert torch.equal(tape["relu"], plain["relu"])
    assert not tape["relu:1"].any()
    torch.testing.assert_close(tape.scores, trap._network.get_submodule("head").bias.expand(3, 5))


def test_a_kept_layer_shows_its_edit(trap: LoadedModel, pictures: torch.Tensor) -> None:
    plain = trap.observe(pictures, ["conv2"])["conv2"]
    assert torch.equal(trap.observe(pictures, ["conv2"], edit={"conv2": lambda x: x * 2})["conv2"], plain * 2)


class Burnt(Exception):
    pass


def burn(_output: torch.Tensor) -> torch.Tensor:
    raise Burnt


@pytest.mark.parametrize("layer", LAYERS)
def test_an_edit_that_raises_leaves_nothing_behind(trap: LoadedModel, pictures: torch.Tensor, layer: str) -> None:
    plain = trap.observe(pictures).scores
    with nothing_left_behind(trap):
        for call in (trap.observe, trap.trace):
            with pytest.raises(Burnt):
                call(pictures, ["head"], edit={layer: burn})
        with torch.no_grad(), pytest.raises(Burnt):
            trap.trace(pictures, ["head"], edit={layer: burn})
    assert torch.equal(trap.observe(pictures).scores, plain)


def test_passes_leave_nothing_behind(trap: LoadedModel, pictures: torch.Tensor) -> None:
    with nothing_left_behind(trap):
        trap.observe(pictures, ["conv2"])
        tape = trap.trace(pictures, ["conv2"], edit={"relu": lambda x: x + 1})
        tape.gradient(tape.scores, "conv2")
        with pytest.raises(RuntimeError):
            trap.observe(torch.zeros(1, 5, 12, 12), ["conv2"])


def test_the_callers_grad_mode_does_not_matter(trap: LoadedModel, pictures: torch.Tensor) -> None:
    expected = trap.trace(pictures, ["bn1"])
    with torch.no_grad():
        tape = trap.trace(pictures, ["bn1"])
        assert not torch.is_grad_enabled()
        assert torch.equal(tape.gradient(tape.scores, "bn1"), expected.gradient(expected.scores, "bn1"))
    assert torch.equal(tape.gradient(tape.scores[:, 1], "bn1"), expected.gradient(expected.scores[:, 1], "bn1"))
    with torch.enable_grad():
        assert not trap.observe(pictures).scores.requires_grad
        assert torch.is_grad_enabled()


def test_an_edit_may_run_the_network_itself(trap: LoadedModel, pictures: torch.Tensor) -> None:
    """A recording inside a recording: the outer one goes on as if the inner had not been."""
    inside: list[Tape] = []

    def look(output: torch.Tensor) -> torch.Tensor:
        inside.append(trap.observe(pictures[:1], ["relu:1"]))
        return output

    tape = trap.observe(pictures, LAYERS, until="scores", edit={"conv2": look})
    plain = trap.observe(pictures, LAYERS, until="scores")
    assert all(torch.equal(tape[name], plain[name]) for name in LAYERS)
    assert list(inside[0].outputs) == ["relu:1"]


def test_four_threads_give_what_one_gives(pictures: torch.Tensor) -> None:
    """Four threads, one network, each with its own picture, layers, edit and kind of pass, 120 passes each."""
    model = look_into(TrapNetwork(), classes=5)
    batches = [torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
    edits: list[dict[str, Edit]] = [{}, {"bn1": lambda x: x * 0.5}, {"relu:1": lambda x: x + 1}, {"conv2": torch.neg}]

    def once(thread: int, number: int) -> dict[str, torch.Tensor]:
        keep = LAYERS[(number + thread) % len(LAYERS) :][:3]
        call = model.trace if (number + thread) % 2 else model.observe
        tape = call(batches[thread], keep, edit=edits[thread], until="scores")
        found = {name: tape[name].detach() for name in keep} | {"scores": tape.scores.detach()}
        if (number + thread) % 2:
            found["gradient"] = tape.gradient(tape.scores[:, thread], keep[0])
        return found

    expected = {(thread, number): once(thread, number) for thread in range(4) for number in range(18)}
    start = Barrier(4)

    def work(thread: int) -> list[str]:
        start.wait()
        wrong = []
        for number in range(120):
            found, wanted = once(thread, number), expected[thread, number % 18]
            if found.keys() != wanted.keys():
                wrong.append(f"{thread} {number}: other layers")
            wrong += [
                f"{thread} {number}: {name}"
                for name in found.keys() & wanted.keys()
                if not torch.allclose(found[name], wanted[name], atol=1e-6, rtol=1e-5)
            ]
        return wrong

    with nothing_left_behind(model), ThreadPoolExecutor(4) as pool:
        assert [line for lines in pool.map(work, range(4)) for line in lines] == []


@pytest.mark.parametrize("call", ["observe", "trace"])
def test_a_module_run_outside_a_pass_records_nothing(trap: LoadedModel, pictures: torch.Tensor, call: str) -> None:
    tape: Tape = getattr(trap, call)(pictures, ["conv1"], until="scores")
    before = {name: output.detach().clone() for name, output in tape.outputs.items()}
    with torch.no_grad():
        trap._network(pictures * 2)
    assert all(torch.equal(tape[name].detach(), before[name]) for name in before)

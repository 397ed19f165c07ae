"""Many edits in one pass answer as each alone, and a network that is edited for good leaves the shared one as it is."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

import interpret.variants
from interpret.model import LoadedModel
from interpret.tape import Edit, FromInput
from interpret.variants import scores_of
from tests.conftest import TrapNetwork, look_into, nothing_left_behind
from tests.families import FAMILIES, opened, random_network, save


def half(output: torch.Tensor) -> torch.Tensor:
    return output * 0.5


BYPASS = FromInput(lambda output, given: given if given.shape == output.shape else output)


def alone(model: LoadedModel, batch: torch.Tensor, variants: list[dict[str, Edit]]) -> torch.Tensor:
    """A pass for each, unedited first."""
    scores = [model.observe(batch, edit=edit, until="scores").scores for edit in ({}, *variants)]
    return torch.stack([one for one in scores if one is not None])


@pytest.fixture(scope="module")
def trap() -> LoadedModel:
    return look_into(TrapNetwork(), 5)


@pytest.mark.parametrize("count", [1, 3])
def test_every_layer_of_the_trap_network(trap: LoadedModel, count: int) -> None:
    """In-place ReLUs, a module used twice, a sum: edits of each layer, of two layers, of none, and of what goes in."""
    torch.manual_seed(0)
    batch = torch.randn(count, 3, 12, 12)
    names = [layer.name for layer in trap.layers]
    variants: list[dict[str, Edit]] = [{name: half} for name in names]
    variants += [{name: BYPASS} for name in names]
    variants += [{"bn1": half, "conv2": torch.neg}, {}, {"relu": BYPASS, "head": half}]
    with nothing_left_behind(trap):
        found = scores_of(trap, batch, variants)
    torch.testing.assert_close(found, alone(trap, batch, variants), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("key", ["resnet18", "googlenet", "densenet121", "shufflenet_v2_x1_0", "mobilenet_v2"])
def test_networks_whose_branches_cross_rows(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rows cannot be copied (a dense block) the pass fails and every variant gets its own."""
    family = next(family for family in FAMILIES if family.key == key and not family.auxiliary)
    model = opened(family, save(random_network(family), family, tmp_path))
    torch.manual_seed(0)
    batch = torch.randn(2, 3, *model.preprocess.size)
    blocks = model.blocks[:: max(1, len(model.blocks) // 5)]
    inside = [block.layers[len(block.layers) // 2] for block in blocks]
    variants: list[dict[str, Edit]] = [{name: half} for name in (*(block.output for block in blocks), *inside)]
    found = scores_of(model, batch, variants)
    expected = alone(model, batch, variants)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_one_pass_is_enough_where_rows_can_be_copied(trap: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    passes, plain = [], LoadedModel.observe

    def observe(self: LoadedModel, batch: torch.Tensor, *args: object, **options: object) -> object:
        passes.append(len(batch))
        return plain(self, batch, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(LoadedModel, "observe", observe)
    scores_of(trap, torch.zeros(2, 3, 12, 12), [{name: half} for name in ("bn2", "pool", "head")])
    assert len(passes) == 1 and passes[0] <= 6
    passes.clear()
    monkeypatch.setattr(interpret.variants, "FEWEST", 1)
    monkeypatch.setattr(interpret.variants, "NUMBERS", 1)
    scores_of(trap, torch.zeros(2, 3, 12, 12), [{name: half} for name in ("bn2", "pool", "head")])
    assert len(passes) == 3


def test_no_variant_is_a_plain_pass(trap: LoadedModel) -> None:
    batch = torch.randn(2, 3, 12, 12)
    assert torch.equal(scores_of(trap, batch, []), alone(trap, batch, []))
    assert torch.equal(scores_of(trap, batch, [{}])[1], alone(trap, batch, [])[0])


def test_an_edit_for_good_is_that_of_every_pass(trap: LoadedModel) -> None:
    batch = torch.randn(2, 3, 12, 12)
    before = alone(trap, batch, [])[0]
    edited = trap.edited({"bn2": half}, "half of bn2")
    assert torch.equal(edited.observe(batch).scores, alone(trap, batch, [{"bn2": half}])[1])  # type: ignore[arg-type]
    again = edited.edited({"bn2": torch.neg}, "negative")  # after the first
    assert torch.equal(
        again.observe(batch, edit={"bn2": half}).scores,  # type: ignore[arg-type]
        trap.observe(batch, edit={"bn2": lambda output: -half(output) * 0.5}).scores,  # type: ignore[arg-type]
    )
    assert torch.equal(edited.trace(batch, ["bn2"])["bn2"], trap.observe(batch, ["bn2"])["bn2"] * 0.5)
    assert torch.equal(edited.watch(batch[:1], ["bn2"]).outputs["bn2"], trap.observe(batch[:1], ["bn2"])["bn2"] * 0.5)
    torch.testing.assert_close(edited.folded().observe(batch).scores, edited.observe(batch).scores)
    assert len({trap.digest, edited.digest, again.digest, trap.edited({"bn2": half}, "other words").digest}) == 4
    assert torch.equal(trap.observe(batch).scores, before)  # type: ignore[arg-type]


def test_an_edit_sees_what_went_in_although_the_module_works_in_place(trap: LoadedModel) -> None:
    batch = torch.randn(2, 3, 12, 12)
    skipped = trap.observe(batch, ["relu"], edit={"relu": BYPASS})["relu"]
    assert torch.equal(skipped, trap.observe(batch, ["bn1"])["bn1"]) and (skipped < 0).any()


def test_four_people_edit_at_once(trap: LoadedModel) -> None:
    batch = torch.randn(2, 3, 12, 12)
    edits: list[dict[str, Edit]] = [{name: half} for name in ("bn1", "conv2", "pool", "head")]
    expected = alone(trap, batch, edits)[1:]
    found: dict[int, list[torch.Tensor]] = {}

    def work(number: int) -> None:
        own = trap.edited(edits[number], str(number))
        found[number] = [own.observe(batch).scores for _ in range(40)]  # type: ignore[misc]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(one, expected[number]) for number, several in found.items() for one in several)


def test_rewritten_weights_are_a_copys_alone(trap: LoadedModel) -> None:
    batch = torch.randn(2, 3, 12, 12)
    before = alone(trap, batch, [])[0]
    copy = trap.reweighted(["conv2"], lambda name, module: module.weight.zero_(), "no conv2")  # type: ignore[operator, union-attr]
    assert torch.equal(trap.observe(batch).scores, before)  # type: ignore[arg-type]
    bias = copy.tensors("conv2")["bias"]
    found = copy.observe(batch, ["conv2"])["conv2"]
    torch.testing.assert_close(found, torch.from_numpy(bias.copy())[None, :, None, None].expand_as(found))
    assert copy.digest != trap.digest
    shared = {id(tensor) for tensor in trap._network.parameters()}
    own = [name for name, tensor in copy._network.named_parameters() if id(tensor) not in shared]
    assert own == ["conv2.weight", "conv2.bias"]

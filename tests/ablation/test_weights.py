"""Changes of what was learned, against the numbers themselves and against PyTorch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from interpret.ablation import Change, changed
from interpret.model import LoadedModel
from tests.ablation.networks import batch, close, images, loaded, plain, run, scores
from tests.conftest import nothing_left_behind


def test_re_initialised_blocks_forget_and_others_do_not() -> None:
    model = loaded("resnet18")
    with nothing_left_behind(model):
        found = changed(model, [Change("reinitialise", "layer3.1", seed=5)], images=images(2))
    before, after = model._network.state_dict(), found._network.state_dict()
    for name, value in before.items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(value, after[name]) is (not name.startswith("layer3.1")), name
    again = changed(model, [Change("reinitialise", "layer3.1", seed=5)], images=images(2))
    other = changed(model, [Change("reinitialise", "layer3.1", seed=6)], images=images(2))
    assert torch.equal(scores(found, batch()), scores(again, batch())) and found.digest == again.digest
    assert not torch.equal(scores(found, batch()), scores(other, batch())) and found.digest != other.digest
    # A row of modules is a block, too, named by its last: here the stem, whose pooling learned nothing.
    stem = changed(model, [Change("reinitialise", "maxpool", seed=5)], images=images(2))._network.state_dict()
    assert {name for name in before if not torch.equal(before[name], stem[name])} >= {
        "conv1.weight",
        "bn1.running_mean",
    }
    assert torch.equal(before["layer1.0.conv1.weight"], stem["layer1.0.conv1.weight"])


def test_other_seeds_forget_one_after_another(trap: LoadedModel) -> None:
    some, pictures = [Change("reinitialise", "conv1", seed=1), Change("reinitialise", "conv2", seed=2)], images(2)
    found = changed(trap, some, images=pictures)
    nested = changed(changed(trap, some[:1], images=pictures), some[1:], images=pictures)
    assert found.digest == nested.digest
    theirs = nested._network.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in found._network.state_dict().items())
    together = changed(trap, [Change(change.how, change.layer, seed=1) for change in some], images=pictures)
    assert together.digest == trap.untrained(pictures, 1, ["conv1", "conv2"]).digest


def test_shuffled_weights_are_the_same_numbers(trap: LoadedModel) -> None:
    before = trap._network.state_dict()
    for channels in ((), (0, 4)):
        with nothing_left_behind(trap):
            after = changed(trap, [Change("shuffle", "conv1", channels, 2)])._network.state_dict()
        again = changed(trap, [Change("shuffle", "conv1", channels, 2)])._network.state_dict()
        other = changed(trap, [Change("shuffle", "conv1", channels, 3)])._network.state_dict()
        one, two = before["conv1.weight"], after["conv1.weight"]
        assert torch.equal(two, again["conv1.weight"]) and not torch.equal(two, other["conv1.weight"])
        assert torch.equal(one.flatten().sort()[0], two.flatten().sort()[0])
        if channels:
            for number in range(6):
                assert torch.equal(one[number], two[number]) is (number not in channels)
                assert torch.equal(one[number].flatten().sort()[0], two[number].flatten().sort()[0])
            assert torch.equal(before["conv1.bias"], after["conv1.bias"])
        else:
            assert not torch.equal(before["conv1.bias"], after["conv1.bias"])
            assert all(not torch.equal(one[number], two[number]) for number in range(6))
        assert all(torch.equal(before[name], after[name]) for name in before if not name.startswith("conv1"))


def test_forgotten_statistics() -> None:
    model, network = loaded("resnet18"), plain("resnet18")
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d) and name.startswith("layer2.0"):
            module.running_mean, module.running_var = torch.zeros(128), torch.ones(128)
    with nothing_left_behind(model):
        found = changed(model, [Change("forget", "layer2.0")])
    close(scores(found, batch()), run(network, batch()), 1e-5)
    assert not torch.allclose(scores(found, batch()), scores(model, batch()), rtol=1e-2)


@pytest.mark.parametrize(
    ("key", "some"), [("resnet18", ["layer1.1", "layer3.0"]), ("timm/efficientnet_b0", ["blocks.0.0", "blocks.1.0"])]
)
def test_recalibrated_statistics_are_pytorchs(key: str, some: list[str]) -> None:
    """torch.optim.swa_utils.update_bn keeps the momentum's mean over batches; here the pictures are one."""
    model, network = loaded(key), plain(key)
    inputs = torch.cat([model.preprocess.to_batch(image) for image in images(3)])
    norms = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.BatchNorm2d) and name.startswith(tuple(some))
    }
    for module in norms.values():
        module.reset_running_stats()
        module.momentum = None
        module.train()
    with torch.no_grad():
        network(inputs)
    with nothing_left_behind(model):
        found = changed(model, [Change("recalibrate", layer) for layer in some], images=images(3))
    state, before = found._network.state_dict(), model._network.state_dict()
    assert len(norms) > 4
    # where a module does more than BatchNorm, those after it see what it kept, divided by n - 1, not by n
    for name, module in norms.items():
        assert module.running_mean is not None and module.running_var is not None
        close(state[f"{name}.running_mean"], module.running_mean, 1e-3)
        close(state[f"{name}.running_var"], module.running_var, 2e-3)
    changes = {name for name in state if not torch.equal(state[name], before[name])}
    assert changes == {f"{name}.{each}" for name in norms for each in ("running_mean", "running_var")}

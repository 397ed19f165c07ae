"""Every kind of change, against a plain network changed by hand."""

from __future__ import annotations

import itertools
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from interpret.ablation import CHANGES, Change, Usual, branches_of, changed, edits_of, kinds_for, usual
from interpret.errors import BadInput, UnknownName
from interpret.jobs import Progress, complete
from interpret.model import LoadedModel
from interpret.variants import scores_of
from tests.ablation.networks import batch, by_hand, close, images, loaded, plain, run, scores
from tests.conftest import TrapNetwork, noise_picture, nothing_left_behind
from tests.units.sources import ChannelsLast, channels_last, faint_picture, made

TRAP = ["conv1", "bn1", "relu", "conv2", "bn2", "relu:1", "pool", "flatten", "head"]


@pytest.mark.parametrize("layer", TRAP)
def test_zero_mean_and_noise_where_hooks_go_wrong(trap: LoadedModel, pictures: torch.Tensor, layer: str) -> None:
    channels = trap.layer(layer).channels
    own = Usual(np.linspace(-1, 2, channels, dtype=np.float32), np.linspace(0.5, 3, channels, dtype=np.float32))
    lots = torch.randn(trap.layer(layer).shape, generator=torch.Generator().manual_seed(4))
    shape = (-1, *[1] * (lots.ndim - 1))
    mean, deviation = torch.tensor(own.mean).view(shape), torch.tensor(own.deviation).view(shape)
    for how, values in (
        ("zero", torch.zeros_like(lots)),
        ("mean", mean.expand_as(lots)),
        ("noise", mean + deviation * lots),
    ):
        for some in ((), (1, 3)):

            def replace(
                output: torch.Tensor, some: tuple[int, ...] = some, values: torch.Tensor = values
            ) -> torch.Tensor:
                chosen = list(some or range(output.shape[1]))
                output[:, chosen] = values[chosen]
                return output

            expected = by_hand(TrapNetwork(), layer, replace, pictures)
            with nothing_left_behind(trap):
                found = changed(trap, [Change(how, layer, some, 4)], usual={layer: own})
                close(scores(found, pictures), expected, 1e-5)
                edits = edits_of(trap, [Change(how, layer, some, 4)], usual={layer: own})
                close(scores_of(trap, pictures, [edits])[1], expected, 1e-5)
                close(scores(found, pictures[1:2]), expected[1:2], 1e-5)  # the same noise whatever the batch
            assert not torch.allclose(expected, scores(trap, pictures), atol=1e-3)


def test_the_answer_to_the_picture_itself_changes_no_bit(trap: LoadedModel) -> None:
    image, other = noise_picture(1), noise_picture(2)
    inputs, its = (trap.preprocess.to_batch(one) for one in (image, other))
    for layer in TRAP:
        same = changed(trap, [Change("donor", layer)], donor=image)
        assert torch.equal(scores(same, inputs), scores(trap, inputs)), layer
        answer = TrapNetwork().eval()
        kept: list[torch.Tensor] = []
        by_hand(answer, layer, lambda output, kept=kept: kept.append(output.clone()) or output, its)  # type: ignore[misc]
        expected = by_hand(TrapNetwork(), layer, lambda output, kept=kept: kept[0], inputs)  # type: ignore[misc]
        close(scores(changed(trap, [Change("donor", layer)], donor=other), inputs), expected, 1e-5)


def test_channels_on_the_last_axis() -> None:
    model, inputs = channels_last(), channels_last().preprocess.to_batch(faint_picture(1))
    own = Usual(np.arange(7, dtype=np.float32), np.ones(7, np.float32))

    def replace(output: torch.Tensor) -> torch.Tensor:
        output[..., 2], output[..., 5] = 2.0, 5.0
        return output

    found = changed(model, [Change("mean", "widen", (2, 5))], usual={"widen": own})
    close(scores(found, inputs), by_hand(ChannelsLast(), "widen", replace, inputs), 1e-5)


ROWS = [
    ("resnet18", "layer2.0.bn1"),
    ("mobilenet_v2", "features.4.conv.0.1"),
    ("vgg", "features.3"),
    ("resnet18", "fc"),
]


@pytest.mark.parametrize(("key", "layer"), ROWS)
def test_zeroing_a_channel_is_zeroing_its_weights(key: str, layer: str) -> None:
    model, network = loaded(key), plain(key)
    module = network.get_submodule(layer)
    for channel in (3, 6):
        module.weight.data[channel] = 0  # type: ignore[union-attr, operator]
        module.bias.data[channel] = 0  # type: ignore[union-attr, operator]
    with nothing_left_behind(model):
        found = scores(changed(model, [Change("zero", layer, (3, 6))]), batch())
    close(found, run(network, batch()), 1e-5)
    assert (found - scores(model, batch())).abs().max() > 1e-4


class Shortcut(nn.Module):
    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.downsample = block.downsample

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.downsample(x))


BYPASSED = [
    ("resnet18", "layer2.1", ["layer2.1"]),
    ("resnet18", "layer3.0", []),
    ("mobilenet_v2", "features.5", ["features.5"]),
    ("vgg", "features.17", ["features.16", "features.17"]),  # a convolution that keeps its channels, and its ReLU
    ("convnext_tiny", "features.3.1", ["features.3.1"]),
    ("resnet18", "layer1.0.conv2", ["layer1.0.conv2"]),
]


@pytest.mark.parametrize(("key", "layer", "replaced"), BYPASSED)
def test_bypassed_a_block_is_gone(key: str, layer: str, replaced: list[str]) -> None:
    model, network = loaded(key), plain(key)
    for name in replaced:
        network.set_submodule(name, nn.Identity())
    if not replaced:
        network.set_submodule(layer, Shortcut(network.get_submodule(layer)))
    with nothing_left_behind(model):
        close(scores(changed(model, [Change("bypass", layer)]), batch()), run(network, batch()), 1e-5)
        close(scores_of(model, batch(), [edits_of(model, [Change("bypass", layer)])])[1], run(network, batch()), 1e-5)
    assert not torch.allclose(run(network, batch()), run(plain(key), batch()), rtol=1e-2)


def test_an_open_gate_lets_all_pass() -> None:
    model, network = loaded("mobilenet_v3_large"), plain("mobilenet_v3_large")
    gate = next(layer for layer, title in branches_of(model, "features.5") if title == "gate")
    network.set_submodule("features.5.block.2", nn.Identity())
    close(scores(changed(model, [Change("open", gate)]), batch()), run(network, batch()), 1e-5)
    with pytest.raises(BadInput, match='Layer "features.5.block.1" is no gate'):
        changed(model, [Change("open", "features.5.block.1")])


def test_changes_follow_one_another(trap: LoadedModel, pictures: torch.Tensor) -> None:
    own = {"conv2": Usual(np.full(6, 2, np.float32), np.ones(6, np.float32))}
    some = [
        Change("zero", "conv2"),
        Change("mean", "conv2", (1,)),
        Change("zero", "relu", (0,)),
        Change("shuffle", "conv1"),
    ]

    def replace(output: torch.Tensor) -> torch.Tensor:
        output[:] = 0
        output[:, 1] = 2
        return output

    found = changed(trap, some, usual=own)
    shuffled = TrapNetwork().eval()
    shuffled.conv1.load_state_dict(changed(trap, some[-1:])._network.conv1.state_dict())  # type: ignore[union-attr]
    expected = by_hand(shuffled, "conv2", replace, pictures)
    without_weights = some[1::-1]
    edits = edits_of(trap, without_weights, usual=own)
    in_turn = changed(trap, without_weights, usual=own)
    assert torch.equal(scores(in_turn, pictures), scores(changed(trap, some[:1]), pictures))  # the zero came last
    close(scores_of(trap, pictures, [edits])[1], scores(in_turn, pictures), 1e-5)
    edits = edits_of(trap, some[:2], usual=own)
    close(scores_of(trap, pictures, [edits])[1], by_hand(TrapNetwork(), "conv2", replace, pictures), 1e-5)
    with_relu = changed(trap, [some[0], some[1], some[3]], usual=own)
    close(scores(with_relu, pictures), expected, 1e-5)
    assert not torch.allclose(scores(found, pictures), expected, atol=1e-4)
    digests = {changed(trap, part, usual=own).digest for part in (some, some[:2], some[1::-1], some[:1], [])}
    assert len(digests) == 5 and trap.digest in digests
    assert changed(trap, some, usual=own).digest == found.digest
    other = {"conv2": Usual(own["conv2"].mean + 1, own["conv2"].deviation)}
    assert changed(trap, some, usual=other).digest != found.digest


def test_four_threads_with_four_changes() -> None:
    model = loaded("resnet18")
    some = [
        Change("zero", "layer1.0", (3,)),
        Change("bypass", "layer2.1"),
        Change("shuffle", "fc"),
        Change("forget", "layer4.0"),
    ]
    alone = [scores(changed(model, [change]), batch()) for change in some]

    def work(number: int) -> bool:
        copies = [scores(changed(model, [some[number]]), batch()) for _ in range(4)]
        return all(torch.equal(one, alone[number]) for one in copies)

    with nothing_left_behind(model), ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [True] * 4
    assert all(not torch.equal(one, two) for one, two in itertools.pairwise(alone))


@pytest.mark.parametrize("key", ["resnet18", "googlenet", "mobilenet_v3_large", "densenet121", "convnext_tiny", "vgg"])
def test_what_is_offered_can_be_made_and_what_is_not_is_refused(key: str) -> None:
    model = loaded(key)
    layers = [block.output for block in model.blocks][::5] + [layer.name for layer in model.layers][3::31]
    offered = 0
    for layer in layers:
        info = model.layer(layer)
        own = {layer: Usual(np.zeros(info.channels, np.float32), np.ones(info.channels, np.float32))}
        kinds = kinds_for(model, layer)
        offered += len(kinds)
        for kind in CHANGES:
            change = Change(kind.key, layer)
            if kind in kinds:
                if kind.key != "reinitialise":  # it takes seconds, and any layer with weights can be
                    changed(model, [change], usual=own, donor=images(1)[0], images=images(2))
            else:
                with pytest.raises(BadInput, match=re.escape(layer)):
                    changed(model, [change], usual=own, donor=images(1)[0], images=images(2))
    assert offered > 4 * len(layers)


def test_what_cannot_be_done(trap: LoadedModel) -> None:
    for change, sentence in (
        (Change("zero", "conv1", (6,)), "Channel 6 does not exist; the layer has channels 0 to 5."),
        (Change("zero", "conv1", (-1,)), "Channel -1 does not exist"),
        (Change("mean", "conv1"), "To average conv1, it has to be known"),
        (Change("donor", "conv1"), "another picture is needed"),
        (Change("reinitialise", "conv1"), "two or more pictures are needed"),
        (Change("reinitialise", "pool"), "no weights in"),
        (Change("bypass", "head"), r"is given \[6\] and answers with \[5\]"),
        (Change("forget", "conv2"), "no BatchNorm"),
        (Change("shuffle", "bn1", (1,)), "no kernel for each channel"),
    ):
        with pytest.raises(BadInput, match=sentence):
            changed(trap, [change])
    with pytest.raises(BadInput, match="is not given one tensor"):
        changed(loaded("densenet121"), [Change("bypass", "features.denseblock1.denselayer2")])
    with pytest.raises(UnknownName, match='Change "zeros" is not in the list of changes'):
        changed(trap, [Change("zeros", "conv1")])
    with pytest.raises(UnknownName, match='Layer "conv9"'):
        edits_of(trap, [Change("zero", "conv9")])
    with pytest.raises(BadInput, match="changes weights, not answers"):
        edits_of(trap, [Change("shuffle", "conv1")])


def test_titles() -> None:
    assert Change("zero", "layer2", (3, 7)).title == "zero channels 3, 7 of layer2"
    assert Change("bypass", "layer2.1").title == "bypass layer2.1"
    assert Change("zero", "a", tuple(range(9))).title == "zero channels 0, 1, 2, 3, 4, 5 and 3 more of a"
    assert Change("shuffle", "fc", (1,), 2).title == "shuffle the weights of channel 1 of fc (seed 2)"
    assert len({kind.key for kind in CHANGES}) == len(CHANGES) == 10


def test_branches_and_gates() -> None:
    assert branches_of(loaded("resnet18"), "layer2.0.conv1") == (
        ("layer2.0.bn2", "residual branch"),
        ("layer2.0.downsample", "shortcut"),
    )
    assert branches_of(loaded("resnet18"), "layer2.1") == (("layer2.1.bn2", "residual branch"),)
    assert branches_of(loaded("googlenet"), "inception3a") == (
        ("inception3a.branch1", "branch 1 of 4 (1 × 1)"),
        ("inception3a.branch2", "branch 2 of 4 (1 × 1, 3 × 3)"),
        ("inception3a.branch3", "branch 3 of 4 (1 × 1, 3 × 3)"),
        ("inception3a.branch4", "branch 4 of 4 (1 × 1)"),
    )
    model = loaded("mobilenet_v3_large")
    assert branches_of(model, model.block("features.5")) == (
        ("features.5.block.2.scale_activation", "gate"),
        ("features.5.block", "residual branch"),
    )


def test_how_channels_usually_answer(trap: LoadedModel) -> None:
    source = made(21, broken=(0, 8))
    seen: list[Progress] = []
    with nothing_left_behind(trap):
        found = complete(usual(trap, source, ["bn2", "relu:1", "flatten"]), seen.append)
    inputs = torch.cat([trap.preprocess.to_batch(faint_picture(i)) for i in range(21) if i not in (0, 8)])
    for layer, own in found.items():
        kept: list[torch.Tensor] = []
        by_hand(TrapNetwork(), layer, lambda output, kept=kept: kept.append(output.clone()) or output, inputs)  # type: ignore[misc]
        values = kept[0].transpose(0, 1).flatten(1)
        np.testing.assert_allclose(own.mean, values.mean(1).numpy(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(own.deviation, values.std(1, correction=0).numpy(), rtol=1e-4, atol=1e-5)
        assert own.mean.dtype == np.float32 and not own.mean.flags.writeable
    assert [progress.step for progress in seen] == [8, 16, 21]
    with pytest.raises(BadInput, match="Not one of the 3 pictures"):
        complete(usual(trap, made(3, broken=range(3)), ["bn2"]))
    assert found.keys() == {"bn2", "relu:1", "flatten"}

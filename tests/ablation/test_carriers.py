"""Which channels carry something to a class: against a closed form, and on the network that cheats."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from interpret import complete, load_model
from interpret.ablation.carriers import carriers
from interpret.datasets.sources import shapes_source
from interpret.errors import BadInput, UnknownName
from interpret.images import InputImage
from tests.conftest import REPOSITORY, TrapNetwork, look_into, nothing_left_behind
from tests.units.sources import faint_picture, made


def test_behind_a_linear_head_the_effect_is_the_weight_times_the_difference() -> None:
    """The trap network ends in pool, flatten, linear: the slope of a score by a channel of flatten is its weight."""
    network = TrapNetwork()
    model = look_into(network, 5)
    having, lacking = made(14, faint_picture, broken=(3,)), made(9, lambda index: faint_picture(index + 50))
    with nothing_left_behind(model):
        found = complete(carriers(model, having, lacking, "flatten", 2))

    def means(source: object, kept: list[int]) -> np.ndarray:
        batch = torch.cat([model.preprocess.to_batch(source.read(index)) for index in kept])  # type: ignore[attr-defined]
        return model.observe(batch, ["flatten"])["flatten"].mean(0).numpy()

    kept = [index for index in range(14) if index != 3]
    apart = means(having, kept) - means(lacking, list(range(9)))
    np.testing.assert_allclose(found.effects, network.head.weight[2].numpy() * apart, rtol=1e-4, atol=1e-6)
    assert found.effects[found.order].tolist() == sorted(found.effects.tolist(), reverse=True)
    spatial = complete(carriers(model, having, lacking, "relu:1", 2))  # the mean over places makes the same of a map
    np.testing.assert_allclose(spatial.effects, found.effects, rtol=1e-3, atol=1e-6)


def test_three_channels_carry_the_tag_to_the_star() -> None:
    model = load_model(REPOSITORY / "checkpoints" / "shapes-shortcut.safetensors")
    found = complete(carriers(model, shapes_source(60, rule="all"), shapes_source(60), "layer3", "star"))
    assert set(found.order[:3].tolist()) == {23, 39, 46} and found.effects[23] > 1


def test_what_is_refused() -> None:
    model = look_into(TrapNetwork(), 5)
    good = made(4, faint_picture)

    def broken(index: int) -> InputImage:
        raise BadInput(f"no {index}")

    with pytest.raises(UnknownName, match='Layer "layer9"'):
        complete(carriers(model, good, good, "layer9", 0))
    with pytest.raises(UnknownName, match="Class"):
        complete(carriers(model, good, good, "relu", 9))
    with pytest.raises(BadInput, match="Not one of the 4 pictures"):
        complete(carriers(model, good, made(4, broken), "relu", 0))

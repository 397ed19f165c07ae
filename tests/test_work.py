"""The count of multiplications, against torch's own counter, and what is made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from interpret.errors import UnknownName
from interpret.filters import SIDES, first_view
from interpret.latent.embedding import batch_of, first_count
from interpret.model import LoadedModel
from interpret.work import multiplications
from tests.conftest import look_into
from tests.families import FAMILIES, random_network


def counted(network: nn.Module, side: int) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, side, side))
    return int(counter.get_total_flops()) // 2


@pytest.mark.parametrize(
    "key", ["mobilenet_v2", "densenet121", "squeezenet1_1", "timm/efficientnet_b0", "convnext_tiny"]
)
def test_it_is_what_torch_counts(key: str) -> None:
    network = random_network(next(family for family in FAMILIES if family.key == key))
    expected = counted(network, 64)
    assert multiplications(look_into(network, 7, (64, 64))) == expected


def test_it_ends_with_the_layer_and_counts_both_calls_of_a_module(trap: LoadedModel) -> None:
    first, second = 12 * 12 * 6 * 3 * 9, 12 * 12 * 6 * 6 * 9
    assert multiplications(trap, "conv1") == multiplications(trap, "relu") == first
    assert multiplications(trap) == first + second + 6 * 5

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.same = nn.Conv2d(3, 3, 1)
            self.head = nn.Linear(3, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.same(self.same(x)).mean((2, 3)))

    twice = look_into(Twice(), 5)
    assert multiplications(twice, "same:1") == 2 * multiplications(twice, "same") == 2 * 144 * 9
    with pytest.raises(UnknownName, match='Layer "conv9" is not in Trap'):
        multiplications(trap, "conv9")


@pytest.fixture
def heavy(trap: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> Callable[[float, str], LoadedModel]:
    """The trap network, said to take so many thousand million multiplications at 224 pixels, on some device."""

    def make(work: float, device: str = "cpu") -> LoadedModel:
        for place in ("interpret.filters.opening", "interpret.latent.embedding"):
            monkeypatch.setattr(f"{place}.multiplications", lambda *_: int(work * 1e9))
        runtime = SimpleNamespace(device=SimpleNamespace(type=device))
        return replace(trap, preprocess=replace(trap.preprocess, size=(224, 224)), runtime=runtime)  # type: ignore[arg-type]

    return make


@pytest.mark.parametrize(
    ("work", "channels", "side"), [(0.3, 16, 0), (1.9, 16, 0), (3.9, 4, 0), (5.7, 4, 160), (15.5, 4, 96), (500, 4, 64)]
)
def test_heavy_networks_begin_with_fewer_and_smaller_pictures(
    heavy: Callable[..., LoadedModel], work: float, channels: int, side: int
) -> None:
    shown = first_view(heavy(work), "conv2")
    assert (shown.channels, shown.side) == (channels, side)
    assert side in (0, *SIDES)
    assert first_view(heavy(work, "cuda"), "conv2").channels == 16


@pytest.mark.parametrize(("work", "batch", "count"), [(0.3, 8, 500), (4.1, 8, 500), (8.4, 4, 200), (20.7, 1, 100)])
def test_heavy_networks_begin_with_a_smaller_set_of_pictures(
    heavy: Callable[..., LoadedModel], work: float, batch: int, count: int
) -> None:
    assert (batch_of(heavy(work)), first_count(heavy(work))) == (batch, count)
    assert (batch_of(heavy(work, "cuda")), first_count(heavy(work, "cuda"))) == (128, 500)

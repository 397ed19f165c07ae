"""Gradients past rectifiers that are shut: exact ones, only where they must, and the networks left alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from interpret.filters import artist
from interpret.filters.redirect import _RISING, Redirected
from tests.conftest import look_into, nothing_left_behind
from tests.filters.runs import drawn

Activation = Callable[[torch.Tensor], torch.Tensor]
INFINITE = float("inf")
_LOW = {functional.silu: -1.2784645, functional.gelu: -0.7517916, functional.mish: -1.1924312}

ACTIVATIONS: list[tuple[str, Activation, float, float]] = [
    ("nn.ReLU", nn.ReLU(), 0, INFINITE),
    ("nn.ReLU in place", nn.ReLU(inplace=True), 0, INFINITE),
    ("F.relu", functional.relu, 0, INFINITE),
    ("F.relu in place", lambda x: functional.relu(x, inplace=True), 0, INFINITE),
    ("torch.relu", torch.relu, 0, INFINITE),
    ("torch.relu_", torch.relu_, 0, INFINITE),
    ("x.relu()", lambda x: x.relu(), 0, INFINITE),
    ("x.relu_()", lambda x: x.relu_(), 0, INFINITE),
    ("nn.ReLU6", nn.ReLU6(), 0, 6),
    ("nn.ReLU6 in place", nn.ReLU6(inplace=True), 0, 6),
    ("F.relu6", functional.relu6, 0, 6),
    ("F.hardtanh", lambda x: functional.hardtanh(x, 0.0, 6.0), 0, 6),
    ("F.hardtanh by name", lambda x: functional.hardtanh(input=x, min_val=0.0, max_val=6.0, inplace=True), 0, 6),
    ("nn.Hardtanh", nn.Hardtanh(), -1, 1),
    ("nn.SiLU", nn.SiLU(), _LOW[functional.silu], INFINITE),
    ("nn.SiLU in place", nn.SiLU(inplace=True), _LOW[functional.silu], INFINITE),
    ("nn.GELU", nn.GELU(), _LOW[functional.gelu], INFINITE),
    ("nn.Hardswish", nn.Hardswish(), -1.5, INFINITE),
    ("nn.Hardswish in place", nn.Hardswish(inplace=True), -1.5, INFINITE),
    ("nn.Hardsigmoid", nn.Hardsigmoid(), -3, 3),
    ("nn.Mish", nn.Mish(), _LOW[functional.mish], INFINITE),
]
each_activation = pytest.mark.parametrize(
    ("activation", "low", "high"), [one[1:] for one in ACTIVATIONS], ids=[one[0] for one in ACTIVATIONS]
)


def gradient(activation: Activation, x: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(what the activation answers, d sum(weights * answer) / dx). The one before it is no leaf, as in a network."""
    leaf = x.clone().requires_grad_()
    answer = activation(leaf * 1)
    return answer.detach(), torch.autograd.grad((answer * weights).sum(), leaf)[0]


def mixed(low: float, high: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Six samples [6, 3, 4, 4] and the loss's gradient: alive; all below; all above; below, but for a place without a
    gradient; below, without any gradient; alive in one place."""
    generator = torch.Generator().manual_seed(0)
    x = 3 * torch.randn(6, 3, 4, 4, generator=generator)
    weights = torch.randn(6, 3, 4, 4, generator=generator)
    below = low - 0.1 - torch.rand(3, 4, 4, generator=generator)
    inside = low + 0.4
    x[1] = x[3] = x[4] = x[5] = below
    x[2] = high + 0.1 + torch.rand(3, 4, 4, generator=generator) if high < INFINITE else below
    x[3, 1, 2, 2] = x[5, 1, 2, 2] = inside
    weights[3, 1, 2, 2] = 0
    weights[4] = 0
    return x, weights


@each_activation
def test_dead_samples_get_the_straight_gradient_where_it_opens_and_no_other_changes(
    activation: Activation, low: float, high: float
) -> None:
    x, weights = mixed(low, high)
    plain_answer, plain = gradient(activation, x, weights)
    with Redirected():
        answer, found = gradient(activation, x, weights)
    assert torch.equal(answer, plain_answer)
    for alive in (0, 5):
        assert torch.equal(found[alive], plain[alive]) and plain[alive].any()
    opens = weights.clamp_max(0)  # a step goes against the gradient: up, where it is below zero
    assert torch.equal(found[1], opens[1])
    assert torch.equal(found[2], weights[2].clamp_min(0) if high < INFINITE else opens[2])
    assert torch.equal(found[3], opens[3]) and found[3].any()
    assert not found[4].any()


def test_at_the_threshold_it_is_shut() -> None:
    for activation, at in ((nn.ReLU(), 0.0), (nn.ReLU6(), 6.0)):
        with Redirected():
            _, found = gradient(activation, torch.full((1, 4), at), torch.tensor([[1.0, -1.0, 2.0, -2.0]]))
        assert found.tolist() == [[0, -1, 0, -2] if at == 0 else [1, 0, 2, 0]]


@pytest.mark.parametrize("function", [functional.silu, functional.gelu, functional.mish, functional.hardswish])
def test_the_thresholds_of_smooth_activations_are_where_they_are_least(function: Activation) -> None:
    low, high = _RISING[function]
    assert high == INFINITE
    x = torch.linspace(-6, 2, 8001, dtype=torch.float64)
    assert float(x[function(x).argmin()]) == pytest.approx(low, abs=1e-3)
    at = torch.tensor([low, low - 1e-4, low + 1e-4], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(function(at).sum(), at)
    assert abs(float(slope[0])) < 1e-6 and slope[1] < 0 < slope[2]


def test_a_gradient_between_two_rectifiers_finds_its_way_past_both() -> None:
    x, weights = torch.full((1, 5), -2.0), torch.tensor([[1.0, -1.0, -2.0, 3.0, -4.0]])

    def twice(values: torch.Tensor) -> torch.Tensor:
        return functional.relu(functional.relu(values) - 1)

    with Redirected():
        _, found = gradient(twice, x, weights)
    assert torch.equal(found, weights.clamp_max(0))


def test_without_a_gradient_to_redirect_nothing_is_done() -> None:
    x = torch.full((2, 3), -1.0)
    with Redirected(), torch.no_grad():
        assert not torch.relu(x.clone().requires_grad_()).requires_grad
    with Redirected():
        assert torch.relu(x).grad_fn is None


def test_outside_the_block_and_in_another_thread_nothing_is_redirected() -> None:
    x, weights = torch.full((1, 4), -1.0), torch.full((1, 4), -1.0)
    elsewhere: list[torch.Tensor] = []

    def other() -> None:
        elsewhere.append(gradient(nn.ReLU(), x, weights)[1])

    with Redirected():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert gradient(nn.ReLU(), x, weights)[1].all()
    assert not elsewhere[0].any()
    assert not gradient(nn.ReLU(), x, weights)[1].any()


class Stuck(nn.Module):
    """Channels of `edges` far on the wrong side of an activation at the start; `after` answers minus what comes out."""

    def __init__(self, activation: nn.Module, bias: float, sign: float = 1.0) -> None:
        super().__init__()
        self.edges = nn.Conv2d(3, 2, (1, 2))
        self.act = activation
        self.after = nn.Conv2d(2, 2, 1, bias=False)
        self.head = nn.Linear(2, 2)
        with torch.no_grad():
            self.edges.weight.copy_(torch.tensor([1.0, -1.0]).expand(2, 3, 1, 2) * 4)
            self.edges.bias.fill_(bias)
            self.after.weight.copy_(sign * torch.eye(2).view(2, 2, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.after(self.act(self.edges(x))).mean((2, 3)))


@pytest.mark.parametrize(
    ("activation", "bias", "sign", "dead"),
    [
        (nn.ReLU(), -1.0, 1.0, 0.0),
        (nn.ReLU(inplace=True), -1.0, 1.0, 0.0),
        (nn.ReLU6(), -1.0, 1.0, 0.0),
        (nn.ReLU6(inplace=True), 7.0, -1.0, -6.0),
        (nn.SiLU(), -5.0, 1.0, 0.0),
        (nn.GELU(), -3.0, 1.0, 0.0),
        (nn.Hardswish(), -4.0, 1.0, 0.0),
        (nn.Mish(), -5.0, 1.0, 0.0),
    ],
    ids=["ReLU", "ReLU in place", "ReLU6", "ReLU6 above 6", "SiLU", "GELU", "Hardswish", "Mish"],
)
def test_a_channel_that_is_dead_at_the_start_is_woken_and_would_not_be_without_it(
    activation: nn.Module, bias: float, sign: float, dead: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = look_into(Stuck(activation, bias, sign), classes=2, size=(32, 32))
    with nothing_left_behind(model):
        found = drawn(model, "after", (0, 1), steps=40)
    assert (found.reached > dead + 0.01).all()
    monkeypatch.setattr(artist, "REDIRECTED_STEPS", 0)
    monkeypatch.setattr(artist, "REDRAWS", 0)
    left = drawn(model, "after", (0, 1), steps=40)
    assert (left.reached <= dead).all()


class Sleepy(nn.Module):
    """Channels behind a ReLU: 0 answers edges of some contrast only, 1 all edges, 2 nothing ever."""

    def __init__(self) -> None:
        super().__init__()
        self.edges = nn.Conv2d(3, 3, (1, 2))
        self.relu = nn.ReLU()
        self.head = nn.Linear(3, 2)
        with torch.no_grad():
            self.edges.weight.copy_(torch.tensor([1.0, -1.0]).expand(3, 3, 1, 2))
            self.edges.weight[2] = 0
            self.edges.bias.copy_(torch.tensor([-0.3, 0.0, -1.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.relu(self.edges(x)).mean((2, 3)))


@pytest.mark.parametrize("method", ["fourier", "maco", "pixels"])
def test_sleeping_and_waking_channels_share_a_batch(method: str) -> None:
    model = look_into(Sleepy(), classes=2, size=(32, 32))
    found = drawn(model, "relu", (0, 1, 2), method=method, steps=40)
    assert found.reached[0] > 0.01 and found.reached[1] > 0.1 and found.reached[2] == 0
    assert np.isfinite(found.planes).all()
    few = drawn(model, "relu", (0, 1, 2), method=method, steps=10)  # later, rounding errors of MACO grow
    for channel in (0, 1, 2):
        alone = drawn(model, "relu", (channel,), method=method, steps=10)
        np.testing.assert_allclose(alone.planes[0], few.planes[channel], atol=1e-3)


def test_for_the_negative_direction_nothing_is_redirected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shut channel is as silent as it gets."""

    def refuse() -> None:
        raise AssertionError("redirected")

    module: ModuleType = artist
    monkeypatch.setattr(module, "Redirected", refuse)
    model = look_into(Sleepy(), classes=2, size=(32, 32))
    assert drawn(model, "relu", (1,), steps=20, direction="negative").reached[0] < 0.05
    with pytest.raises(AssertionError, match="redirected"):
        drawn(model, "relu", (1,), steps=1)

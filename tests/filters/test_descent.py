"""The rules for a step, against torch's own and in closed form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from interpret.filters import canvases
from interpret.filters.artist import _generator
from interpret.filters.descent import Rule, adam, nadam, normalised
from interpret.filters.fourier import colour_matrix, frequency_scale, new_spectrum, to_pictures
from interpret.model import LoadedModel
from tests.filters.runs import drawn

RULES = [adam, nadam, normalised]


def gradients(count: int) -> list[torch.Tensor]:
    """Of many sizes, from 0.001 to 10."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(4, 3, 5, generator=generator) * 10.0 ** (step % 5 - 3) for step in range(count)]


def state() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    values = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(1))
    return values, torch.zeros_like(values), torch.zeros_like(values)


@pytest.mark.parametrize("rate", [0.001, 0.05, 1.0, 10.0])
@pytest.mark.parametrize(("rule", "theirs"), [(adam, torch.optim.Adam), (nadam, torch.optim.NAdam)])
def test_it_is_torchs(rule: Rule, theirs: Callable[..., Any], rate: float) -> None:
    values, mean, square = state()
    leaf = values.clone().requires_grad_()
    optimiser = theirs([leaf], lr=rate)
    for step, gradient in enumerate(gradients(60)):
        rule(values, gradient, mean, square, step + 1, rate)
        leaf.grad = gradient.clone()
        optimiser.step()
        torch.testing.assert_close(values, leaf.detach(), atol=1e-4 * rate, rtol=1e-4)


@pytest.mark.parametrize("shape", [(2, 3, 200, 200), (3, 1, 12, 12)])
def test_normalised_steps_have_one_length(shape: tuple[int, ...]) -> None:
    """Rate 10 moves a picture of 200 x 200 x 3 numbers by 10, and others by as much for each of their numbers."""
    values = torch.zeros(shape)
    for factor in (1e-6, 1.0, 1e6):
        before = values.clone()
        gradient = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * factor
        normalised(values, gradient, values.clone(), values.clone(), 1, 10.0)
        moved = values - before
        expected = 10 * (values[0].numel() / 120_000) ** 0.5
        torch.testing.assert_close(moved.flatten(1).norm(dim=1), torch.full(shape[:1], expected), rtol=1e-4, atol=0)
        alike = torch.nn.functional.cosine_similarity(moved.flatten(1), gradient.flatten(1))
        assert (alike < -0.9999).all()


def test_without_a_gradient_nothing_moves() -> None:
    for rule in RULES:
        values, mean, square = state()
        before = values.clone()
        rule(values, torch.zeros_like(values), mean, square, 1, 10.0)
        assert torch.equal(values, before)


@pytest.mark.parametrize("rule", RULES)
def test_in_parts_it_is_what_it_is_at_once(rule: Rule) -> None:
    whole, parts = state(), state()
    for step, gradient in enumerate(gradients(20)):
        rule(whole[0], gradient, *whole[1:], step + 1, 0.05)
        for own in (slice(0, 1), slice(1, 4)):
            rule(parts[0][own], gradient[own], parts[1][own], parts[2][own], step + 1, 0.05)
    assert all(torch.equal(one, other) for one, other in zip(whole, parts, strict=True))


@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize("direction", ["positive", "negative"])
def test_an_ascent_takes_these_steps(trap: LoadedModel, monkeypatch: pytest.MonkeyPatch, direction: str) -> None:
    """Unmoved, fifteen of them are fifteen of torch's Adam on the coefficients, by the network as loaded."""
    unmoved = torch.eye(3)[:2].expand(2, 2, 3)
    monkeypatch.setattr(canvases, "movements", lambda *_: unmoved)
    found = drawn(trap, "conv2", (3, 0), steps=15, direction=direction)
    leaf = new_spectrum([_generator(0, channel, -1) for channel in (3, 0)], 12, 12).requires_grad_()
    optimiser = torch.optim.Adam([leaf], lr=0.05)
    scale, colours = frequency_scale(12, 12), colour_matrix()
    for _ in range(15):
        batch = trap.preprocess.from_planes(to_pictures(leaf, scale, colours, 12))
        maps = trap.trace(batch, ["conv2"], until="layers")["conv2"]
        score = maps[0, 3].mean() + maps[1, 0].mean()
        (leaf.grad,) = torch.autograd.grad(score if direction == "negative" else -score, leaf)
        optimiser.step()
    expected = to_pictures(leaf.detach(), scale, colours, 12).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(found.planes, expected, atol=2e-3)

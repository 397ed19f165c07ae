"""Where a step of Loupe's filter pictures goes."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Iterator

import torch

from benchmarks.filters import PICTURES, ROUND, STEPS, advance, now
from benchmarks.tasks import network
from benchmarks.timing import Row
from interpret import FilterParams, filter_images
from interpret.filters import METHODS
from interpret.filters.artist import REDIRECTED_STEPS
from interpret.filters.objectives import Answers, channel


def profile(key: str, layer: str, rounds: int) -> Iterator[Row]:
    """Where a step of Loupe's goes, part by part, all that share a pass together."""
    loaded, _ = network(key)
    numbers = range(PICTURES)
    whole = filter_images(loaded, layer, numbers, FilterParams(steps=STEPS))
    together = next(whole).step
    advance(whole, REDIRECTED_STEPS, PICTURES)
    canvas = METHODS[0].make(loaded, 0, None)
    fast, objective = loaded.folded([layer]), channel(layer, list(numbers))
    values = canvas.start([torch.Generator().manual_seed(number) for number in range(together)])
    mean, square = torch.zeros_like(values), torch.zeros_like(values)
    each = torch.arange(together, device=values.device)
    taken: dict[str, list[float]] = {}

    def lap(name: str, since: float) -> float:
        at = now()
        taken.setdefault(name, []).append((at - since) / together)
        return at

    for step in range(rounds * ROUND):
        leaves = values.detach().requires_grad_()
        at = now()
        drawn = canvas.drawn(leaves)
        at = lap("spectrum to picture", at)
        moved = canvas.seen(drawn, [torch.Generator().manual_seed(step + number) for number in range(together)])
        batch = loaded.preprocess.from_planes(moved)
        at = lap("movement and normalisation", at)
        cut = batch.detach().requires_grad_()
        with loaded.runtime.rounded():
            tape = fast.trace(cut, [layer], until="layers")
        loss = -objective.value(Answers(each, None, {layer: tape[layer].float()})).sum()
        at = lap("network, forward", at)
        (upstream,) = torch.autograd.grad(loss, cut)
        at = lap("network, backward", at)
        (upstream,) = torch.autograd.grad(batch, drawn, upstream)
        at = lap("movement and normalisation, backward", at)
        (gradient,) = torch.autograd.grad(drawn, leaves, upstream)
        at = lap("spectrum to picture, backward", at)
        canvas.rule(values, gradient, mean, square, step + 1, canvas.rate)
        lap("update", at)
        if step % ROUND == 0:
            gc.collect()
            taken.setdefault("whole step", []).append(advance(whole, ROUND, PICTURES))
    task = f"{key} {layer}, where a step of Loupe's goes, per picture"
    medians = {name: statistics.median(times) for name, times in taken.items()}
    step_time = medians.pop("whole step")
    yield Row(task, "a step as it is, after the first 16", step_time, "ms", None, rounds)
    for name, median in medians.items():
        yield Row(task, name, median, "ms", median / step_time, rounds * ROUND)
    rest = step_time - sum(medians.values())
    yield Row(task, "the rest, previews among it", rest, "ms", rest / step_time, rounds)

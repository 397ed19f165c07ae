"""One ascent: a network, what it is for, and how pictures are written."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch

from interpret.errors import BadInput
from interpret.filters.canvases import Canvas
from interpret.filters.objectives import Answers, Objective
from interpret.filters.params import Ascent, Drawing, FilterParams
from interpret.filters.redirect import Redirected
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.work import multiplications

T = TypeVar("T")
REDIRECTED_STEPS = 16
"""In so many first steps gradients find their way past shut rectifiers (Lucid)."""
REDRAWS, MOST_CONTRAST = 16, 64.0
"""In so many steps after them a picture still without any gradient begins anew, each time with twice the contrast, at
most 64 times that of other pictures: more comes out as noise."""
_KEPT_BYTES = 2**28
"""The state of a larger ascent is not kept, so it cannot go on; it can be drawn again with more steps."""


def chunk_size(model: LoadedModel, height: int, width: int, work: int = 0, layers: Sequence[LayerInfo] = ()) -> int:
    """How many views share a pass: on a CPU few enough that a step of ResNet-50 at 224 px takes half a second.

    On a GPU as many as fit half of the memory that is free, by the answers of the layers; at most 512.

    Args:
        model: says on which device, and how much memory is free.
        height, width: of the views in pixels.
        work: multiplications the network does for one of them.
        layers: those that are run.
    """
    if model.runtime.device.type == "cpu":
        return max(1, min(16, 4 * 224 * 224 // (height * width), 17 * 10**9 // max(1, work)))
    memory = model.runtime.memory()
    own_height, own_width = model.preprocess.size
    numbers = sum(math.prod(layer.shape) for layer in layers) * height * width // (own_height * own_width)
    free = memory.total - memory.used if memory else 2**30
    return max(1, min(512, free // 2 // max(1, 8 * numbers)))


class Artist:
    """One run: the network, what it is for, and how pictures are written; steps are asked for from outside."""

    def __init__(
        self,
        model: LoadedModel,
        objective: Objective,
        params: FilterParams,
        canvas: Canvas,
        streams: Sequence[int],
    ) -> None:
        if len(streams) % objective.group:
            raise BadInput(f"{len(streams)} pictures do not make whole groups of {objective.group}.")
        self.model, self.objective, self.params, self.canvas, self.streams = model, objective, params, canvas, streams
        self.layers = sorted(objective.layers)
        order = {layer.name: number for number, layer in enumerate(model.layers)}
        last = None if objective.scores else max(self.layers, key=order.__getitem__)
        self._until = model.layers[: None if last is None else order[last] + 1]
        self._work = multiplications(model, last)
        self.fast = model.folded(self.layers)
        self._chunk = 0

    def begin(self, after: Drawing | None) -> tuple[int, Ascent]:
        """(steps done, where the ascent stands)."""
        if after is not None:
            same = replace(after.params, steps=self.params.steps) == self.params
            if not same or after.objective != self.objective.title or len(after.planes) != len(self.streams):
                raise BadInput("An ascent can only go on with what it was begun with; only the steps may differ.")
            if after.steps > self.params.steps:
                raise BadInput(f"{after.steps} steps are done already; asked for were {self.params.steps}.")
            if after.ascent is not None:
                return after.steps, _copied(after.ascent)
        values = self.canvas.start(self._generators(range(len(self.streams)), -1))
        attribution = None
        if self.canvas.is_transparent:
            with torch.no_grad():
                height, width = self.canvas.drawn(values[:1]).shape[2:]
            attribution = torch.zeros(len(values), height, width, device=values.device)
        return 0, Ascent(values, torch.zeros_like(values), torch.zeros_like(values), attribution)

    def _generators(self, numbers: range, step: int) -> list[torch.Generator]:
        """Random numbers of pictures at a step."""
        return [_generator(self.params.seed, self.streams[number], step) for number in numbers]

    def advance(self, state: Ascent, step: int, begin: int) -> int:
        """A step for as many pictures from `begin` on as share a pass; how many."""
        numbers, (gradient, *pixels) = self._fitting(
            begin, state, lambda numbers: self._gradient(state.values[numbers.start : numbers.stop], step, numbers)
        )
        own = slice(numbers.start, numbers.stop)
        self._redraw_the_dead(state, gradient, step, numbers)
        rate = self.params.learning_rate or self.canvas.rate
        self.canvas.rule(state.values[own], gradient, state.mean[own], state.square[own], step + 1, rate)
        if state.attribution is not None:
            state.attribution[own] += pixels[0].abs().mean(1)
        return len(numbers)

    def _redraw_the_dead(self, state: Ascent, gradient: torch.Tensor, step: int, numbers: range) -> None:
        turn = step - REDIRECTED_STEPS
        if not 0 <= turn < REDRAWS or self.params.direction == "negative":
            return
        for at in torch.nonzero(gradient.flatten(1).abs().amax(1) == 0).flatten().tolist():
            number = numbers[at]
            again = self.canvas.start(self._generators(range(number, number + 1), -2 - turn))
            state.values[number] = self.canvas.stronger(again, min(2.0 ** (turn + 1), MOST_CONTRAST))[0]
            state.mean[number] = state.square[number] = 0

    def _fitting(self, begin: int, state: Ascent, work: Callable[[range], T]) -> tuple[range, T]:
        """As many pictures from `begin` on as memory allows to share a pass, and what comes of them."""
        while True:
            numbers = self._part(begin, state)
            try:
                return numbers, work(numbers)
            except RuntimeError as error:
                self._chunk = self.model.runtime.smaller_chunk(self._chunk, error)

    def _part(self, begin: int, state: Ascent) -> range:
        group = self.objective.group
        if not self._chunk:
            rows, columns = self.canvas.still(self.canvas.drawn(state.values[:1])).shape[2:]
            own_rows, own_columns = self.model.preprocess.size
            work = self._work * rows * columns // (own_rows * own_columns)
            views = chunk_size(self.model, rows, columns, work, self._until)
            if self.model.runtime.device.type == "cpu" and self.canvas.views > 1:
                views = (
                    1  # its views fill a pass, and rounding, which MACO's long steps amplify, is the same beside others
                )
            self._chunk = max(1, views // self.canvas.views)
        return range(begin, min(len(state.values), begin + max(group, self._chunk // group * group)))

    def _gradient(self, values: torch.Tensor, step: int, numbers: range) -> tuple[torch.Tensor, ...]:
        """Of the loss by the values, and by the pictures [n, planes, height, width] where they are transparent."""
        sign = 1 if self.params.direction == "negative" else -1
        views = self.canvas.views
        with torch.enable_grad():
            leaves = values.detach().requires_grad_()
            drawn = self.canvas.drawn(leaves)
            seen = self.canvas.seen(drawn, self._generators(numbers, step))
            redirecting = step < REDIRECTED_STEPS and sign < 0
            with self.model.runtime.rounded():
                answers = self._answers(self.fast, seen, numbers, redirecting)
            reached = self.objective.value(answers)
            loss = sign * reached.sum() / views
            return torch.autograd.grad(loss, [leaves, drawn] if self.canvas.is_transparent else [leaves])

    def _answers(self, model: LoadedModel, seen: torch.Tensor, numbers: range, redirecting: bool) -> Answers:
        """The network's to views [views * n, ...], all first views before the second."""
        batch = model.preprocess.from_planes(seen)
        until = "scores" if self.objective.scores else "layers"
        try:
            with Redirected() if redirecting else nullcontext():
                tape = model.trace(batch, self.layers, until=until)  # type: ignore[arg-type]
        except RuntimeError as error:
            if not self.params.side or not re.search("size|shape", str(error)):
                raise
            raise BadInput(
                f"{model.architecture.title} does not get as far as {self.objective.title} with pictures of "
                f"{self.params.side} pixels; its own size is {model.preprocess.size[0]}."
            ) from None
        maps = {layer: model.layer(layer).channels_first(tape[layer]).float() for layer in self.layers}
        each = torch.arange(numbers.start, numbers.stop, device=batch.device)
        scores = None if tape.scores is None else tape.scores.float()
        return Answers(each.repeat(len(batch) // len(each)), scores, maps)

    def measure(self, state: Ascent, begin: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        """What is reached by finished pictures from `begin` on, as many as share a pass, by the network as loaded."""
        reported = self.objective.reported or self.objective.value

        def values(numbers: range) -> torch.Tensor:
            with torch.no_grad():
                still = self.canvas.still(self.canvas.shown(state.values[numbers.start : numbers.stop]))
                return reported(self._answers(self.model, still, numbers, False))

        return self._fitting(begin, state, values)[1].cpu().numpy()

    def drawing(self, state: Ascent, steps: int) -> Drawing:
        """What is there after so many steps."""
        parts, opacities = [], []
        with torch.no_grad():
            for begin in range(0, len(state.values), 16):
                own = slice(begin, begin + 16)
                parts.append(self.canvas.shown(state.values[own]).permute(0, 2, 3, 1).contiguous().cpu())
                if state.attribution is not None:
                    opacities.append(_opacity(state.attribution[own]).cpu())
        opacity = torch.cat(opacities).numpy() if opacities else None
        small = 3 * state.values.numel() * state.values.element_size() <= _KEPT_BYTES
        return Drawing(
            planes=fixed(torch.cat(parts).numpy()),
            opacity=None if opacity is None else fixed(opacity),
            reached=fixed(np.full(len(state.values), np.nan, np.float32)),
            objective=self.objective.title,
            params=self.params,
            steps=steps,
            ascent=_copied(state) if small else None,
        )


def _opacity(attribution: torch.Tensor) -> torch.Tensor:
    """Attribution over its 80th percentile in each picture, at most 1 (Horama's way of showing it)."""
    most = attribution.flatten(1).quantile(0.8, dim=1).clamp_min(1e-12)
    return (attribution / most[:, None, None]).clamp_max(1)


def _copied(state: Ascent) -> Ascent:
    attribution = None if state.attribution is None else state.attribution.clone()
    return Ascent(state.values.clone(), state.mean.clone(), state.square.clone(), attribution)


def _generator(seed: int, stream: int, step: int) -> torch.Generator:
    mixed = hashlib.blake2b(f"{seed} {stream} {step}".encode(), digest_size=4).digest()
    return torch.Generator().manual_seed(int.from_bytes(mixed, "little"))


def fixed(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    values.flags.writeable = False
    return values

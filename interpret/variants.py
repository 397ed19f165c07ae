"""Many edits of a network at once: what lies before an edit is computed one time and shared."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.tape import Edit, FromInput, apply

Variant = Mapping[str, Edit]
"""Layer name -> function of its output that replaces it; nothing edited where it is empty."""

MULTIPLY_ADDS, NUMBERS, FEWEST = 16_000_000_000, 16_000_000, 8
"""What the variants of a pass may cost behind a layer, and how many numbers they may hold there."""


def together(model: LoadedModel, layer: LayerInfo) -> int:
    """How many variants share a pass: many where little lies behind the layer, as each pass begins with the picture."""
    behind = model.layers[model.layers.index(layer) + 1 :]
    cost = sum(later.multiply_adds for later in behind if later.inputs)
    return max(FEWEST, min(MULTIPLY_ADDS // max(1, cost), NUMBERS // math.prod(layer.shape)))


def scores_of(model: LoadedModel, batch: torch.Tensor, variants: Sequence[Variant]) -> torch.Tensor:
    """The scores of some pictures under each of some edits: float32 [1 + variants, n, classes], unedited first.

    The pictures go through the network once. Where a variant's first edit is near, the rows of the batch are copied and
    go on beside the others, edited. Rows can only be copied where all that flows is one tensor, which is taken to be so
    between blocks; where it is not, as in a dense block, the pass fails and the variant gets a pass of its own.

    Args:
        model: the network.
        batch: float32 [n, channels, height, width], normalised.
        variants: edits of outputs [n, ...], which must treat each picture by itself.
    """
    places = {layer.name: place for place, layer in enumerate(model.layers)}
    starts = [_start(model, places, variant) for variant in variants]
    order = sorted(range(len(variants)), key=lambda at: -1 if starts[at] is None else places[starts[at]])  # type: ignore[index]
    found: list[torch.Tensor | None] = [None] * len(variants)
    plain: torch.Tensor | None = None
    waiting = [at for at in order if variants[at]]
    while waiting:
        first = starts[waiting[0]]
        room = FEWEST if first is None else max(1, together(model, model.layer(first)) // len(batch))
        some, waiting = waiting[:room], waiting[room:]
        scores = _in_one_pass(model, batch, [(variants[at], starts[at]) for at in some], places)
        if scores is None:
            for at in some:
                found[at] = _scores(model, batch, variants[at])
        else:
            plain = scores[0]
            for at, one in zip(some, scores[1:], strict=True):
                found[at] = one
    if plain is None:
        plain = _scores(model, batch, {})
    return torch.stack([plain, *(plain if one is None else one for one in found)])


def _start(model: LoadedModel, places: Mapping[str, int], variant: Variant) -> str | None:
    """The layer behind which a variant differs: the edited one where a block ends with it, else the end of the block
    before; None for the picture itself."""
    if not variant:
        return None
    first = min(variant, key=places.__getitem__)
    before: str | None = None
    for block in model.blocks:
        if first == block.output:
            return first
        if first in block.layers:
            return before
        before = block.output
    return None


@dataclass(frozen=True, eq=False)
class _Rows:
    """What becomes of a batch at one layer: variants that are under way are edited in their rows, new ones added."""

    size: int
    edits: Mapping[int, Edit]
    added: Sequence[Edit | None]

    def __call__(self, output: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        parts = list(torch.split(output, self.size))
        inputs = list(torch.split(given, self.size)) if len(given) == len(output) else [given] * len(parts)
        for slot, edit in self.edits.items():
            parts[slot] = apply(edit, parts[slot], inputs[slot])
        parts += [parts[0] if edit is None else apply(edit, parts[0], inputs[0]) for edit in self.added]
        return torch.cat(parts)


def _in_one_pass(
    model: LoadedModel,
    batch: torch.Tensor,
    some: Sequence[tuple[Variant, str | None]],
    places: Mapping[str, int],
) -> torch.Tensor | None:
    """Scores [1 + variants, n, classes] of variants in the order of their starts; None where that cannot be."""
    slots = {number: number + 1 for number in range(len(some))}
    layers = {name for variant, start in some for name in (*variant, *([start] if start else []))}
    edits: dict[str, Edit] = {}
    for name in layers:
        new = [number for number, (_, start) in enumerate(some) if start == name]
        under_way = {
            slots[n]: variant[name] for n, (variant, start) in enumerate(some) if n not in new and name in variant
        }
        edits[name] = _wrapped(_Rows(len(batch), under_way, [some[number][0].get(name) for number in new]))
    at_once = sum(start is None for _, start in some)
    try:
        scores = model.observe(batch.repeat(1 + at_once, 1, 1, 1), edit=edits, until="scores").scores
    except RuntimeError as error:
        if "out of memory" in str(error).lower():
            raise
        return None
    if scores is None or len(scores) != (1 + len(some)) * len(batch):
        return None
    return scores.view(1 + len(some), len(batch), -1).cpu()


def _wrapped(rows: _Rows) -> Edit:
    """An edit that is given the layer's input only where somebody looks at it: it has to be copied for that."""
    used = (*rows.edits.values(), *rows.added)
    return FromInput(rows) if any(isinstance(edit, FromInput) for edit in used) else lambda output: rows(output, output)


def _scores(model: LoadedModel, batch: torch.Tensor, variant: Variant) -> torch.Tensor:
    scores = model.observe(batch, edit=variant, until="scores").scores
    assert scores is not None
    return scores.cpu()


def scores_behind(
    model: LoadedModel, picture: torch.Tensor, layer: str, variants: Callable[[torch.Tensor], torch.Tensor], count: int
) -> torch.Tensor:
    """The scores for variants of a layer's answer to one picture: float32 [count, classes].

    The picture goes through the network once as far as the layer and the variants from there on: what runs beside the
    layer, as a shortcut does, is the picture's own, and meets every variant. Where that cannot be (branches that are
    joined channel by channel), the picture goes through as often as there are variants.

    Args:
        model: the network.
        picture: [1, planes, height, width], normalised.
        layer: dotted name.
        variants: from the layer's answer [1, ...] to [count, ...].
        count: how many.
    """
    try:
        scores = model.observe(picture, edit={layer: variants}).scores
        if scores is not None and len(scores) == count:
            return scores
    except RuntimeError as error:
        if "out of memory" in str(error).lower():
            raise
    repeated = picture.expand(count, -1, -1, -1)
    scores = model.observe(repeated, edit={layer: lambda output: variants(output[:1])}).scores
    assert scores is not None
    return scores

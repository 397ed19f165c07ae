"""Many variants of what a layer answered, each sent through the rest of the network."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from interpret.layers import LayerInfo
from interpret.model import LoadedModel

MULTIPLY_ADDS, NUMBERS, FEWEST = 16_000_000_000, 16_000_000, 8
"""What the variants of a pass may cost behind the layer, and how many numbers they may hold there."""


def together(model: LoadedModel, layer: LayerInfo) -> int:
    """How many variants share a pass: many where little lies behind the layer, as each pass begins with the picture."""
    behind = model.layers[model.layers.index(layer) + 1 :]
    cost = sum(later.multiply_adds for later in behind if later.inputs)
    return max(FEWEST, min(MULTIPLY_ADDS // max(1, cost), NUMBERS // math.prod(layer.shape)))


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

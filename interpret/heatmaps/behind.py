"""Many variants of what a layer answered, each sent through the rest of the network."""

from __future__ import annotations

from collections.abc import Callable

import torch

from interpret.model import LoadedModel

TOGETHER = 32
"""Variants that share a pass."""


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

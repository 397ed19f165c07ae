"""Ablation-CAM."""

from __future__ import annotations

from collections.abc import Callable

import torch

from interpret.heatmaps.question import Maps, Question, seen
from interpret.jobs import Job, Progress
from interpret.variants import scores_behind, together


def ablation_cam(question: Question) -> Job[Maps]:
    """A layer's channels weighted by what the class loses without them; no gradient is needed.

    map = sum_k w_k A_k,  w_k = (aim - aim with A_k set to zero) / |aim|

    Only what lies behind the layer is computed for each channel.

    Yields:
        Progress in channels.

    Source: Desai and Ramaswamy 2020, "Ablation-CAM", equations 3 and 4, doi 10.1109/WACV45572.2020.9093360.
    Differs: divided by the size of the aim, so that a negative score does not turn for into against.
    """
    model, layer = question.model, question.layer
    found = seen(question)
    maps, classes = found.activation, question.classes(found.scores)
    weights = torch.zeros(maps.shape[:2], device=maps.device)
    fast, at_once = model.folded([layer.name]), together(model, layer)
    for index, picture in enumerate(torch.split(question.batch, 1)):
        whole = fast.observe(picture).scores
        assert whole is not None
        aim = question.value(whole, classes[index : index + 1])
        for first in range(0, layer.channels, at_once):
            numbers = range(first, min(first + at_once, layer.channels))
            scores = scores_behind(fast, picture, layer.name, _without(numbers, layer.layout), len(numbers))
            without = question.value(scores, classes[index].expand(len(numbers)))
            weights[index, numbers.start : numbers.stop] = (aim - without) / aim.abs().clamp_min(1e-12)
            done = index * layer.channels + numbers.stop
            yield Progress(
                done, len(maps) * layer.channels, f"{numbers.stop:,} of {layer.channels:,} channels left out"
            )
    return torch.einsum("nk,nkij->nij", weights, maps), found.scores


def _without(numbers: range, layout: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """From a layer's answer [1, ...] to one without each of some channels: [len(numbers), ...]."""

    def variants(output: torch.Tensor) -> torch.Tensor:
        repeated = output.repeat(len(numbers), *[1] * (output.ndim - 1))
        for place, number in enumerate(numbers):
            repeated[place].select(-1 if layout == "channels last" else 0, number).zero_()
        return repeated

    return variants

"""Score-CAM."""

from __future__ import annotations

import torch
from torch.nn import functional

from interpret.heatmaps.question import Maps, Question, seen
from interpret.jobs import Job, Progress

TOGETHER = 8
"""Masked pictures that share a pass: on a CPU small passes are the quickest."""


def score_cam(question: Question) -> Job[Maps]:
    """A layer's channels weighted by what the class is given for the picture seen through each; no gradient is needed.

    map = sum_k w_k A_k,  w = softmax over k of aim(picture * mask_k)

    mask_k is A_k enlarged to the picture and scaled to 0..1; the picture is multiplied after normalisation.

    Yields:
        Progress in channels.

    Source: Wang et al. 2020, "Score-CAM", algorithm 1, arXiv 1910.01279.
    """
    model, layer = question.model, question.layer
    found = seen(question)
    maps, classes = found.activation, question.classes(found.scores)
    fast, aims = model.folded(), torch.zeros(maps.shape[:2], device=maps.device)
    for index, picture in enumerate(torch.split(question.batch.to(maps.device), 1)):
        for first in range(0, layer.channels, TOGETHER):
            some = maps[index, first : first + TOGETHER, None]
            masks = functional.interpolate(some, picture.shape[2:], mode="bilinear", align_corners=True)
            low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
            scores = fast.observe(picture * ((masks - low) / (high - low + 1e-8))).scores
            assert scores is not None
            aims[index, first : first + TOGETHER] = question.value(scores, classes[index].expand(len(scores)))
            shown = min(first + TOGETHER, layer.channels)
            done = index * layer.channels + shown
            yield Progress(done, len(maps) * layer.channels, f"seen through {shown:,} of {layer.channels:,} channels")
    return torch.einsum("nk,nkij->nij", aims.softmax(1), maps), found.scores

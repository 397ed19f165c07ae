"""SmoothGrad."""

from __future__ import annotations

import torch

from interpret.heatmaps.pixels import classes_and_scores, pixel_gradient
from interpret.heatmaps.question import Maps, Question
from interpret.jobs import Job, Progress

SAMPLES, TOGETHER, NOISE = 32, 8, 0.15


def smoothgrad(question: Question) -> Job[Maps]:
    """How much the aim hangs on each pixel, averaged over noisy copies of the picture.

    map = sum over planes of |mean over copies of d aim / d x at x + noise|

    The noise is normal with 0.15 of the picture's range as its deviation. Never negative.

    Yields:
        Progress in copies.

    Source: Smilkov et al. 2017, "SmoothGrad: removing noise by adding noise", arXiv 1706.03825.
    """
    classes, scores = classes_and_scores(question)
    maps = []
    for index, picture in enumerate(torch.split(question.batch.to(scores.device), 1)):
        generator = torch.Generator().manual_seed(question.seed)
        spread = NOISE * (picture.max() - picture.min())
        mean = torch.zeros_like(picture)
        for first in range(0, SAMPLES, TOGETHER):
            noise = torch.randn((TOGETHER, *picture.shape[1:]), generator=generator).to(picture)
            gradient, _ = pixel_gradient(question, picture + spread * noise, classes[index].expand(TOGETHER))
            mean += gradient.sum(0, keepdim=True) / SAMPLES
            done = index * SAMPLES + first + TOGETHER
            yield Progress(done, len(question.batch) * SAMPLES, f"{first + TOGETHER} of {SAMPLES} noisy copies")
        maps.append(mean.abs().sum(1))
    return torch.cat(maps), scores

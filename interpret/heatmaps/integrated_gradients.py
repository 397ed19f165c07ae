"""Integrated Gradients."""

from __future__ import annotations

import torch

from interpret.heatmaps.pixels import classes_and_scores, pixel_gradient
from interpret.heatmaps.question import Maps, Question
from interpret.jobs import Job, Progress

STEPS, TOGETHER = 64, 8


def integrated_gradients(question: Question) -> Job[Maps]:
    """What every pixel adds on the way from a grey picture to this one; all places sum to what the aim gains on it.

    map = sum over planes of (x - x0) * integral of d aim / d x along the straight way from x0 to x

    x0 is zero after normalisation: the mean colour of the training pictures. The integral is Gauss's over 64 points.

    Yields:
        Progress in points.

    Source: Sundararajan, Taly, Yan 2017, "Axiomatic Attribution for Deep Networks", equation 1, arXiv 1703.01365.
    """
    classes, scores = classes_and_scores(question)
    points, weights = legendre(STEPS)
    maps = []
    for index, picture in enumerate(torch.split(question.batch.to(scores.device), 1)):
        mean = torch.zeros_like(picture)
        for first in range(0, STEPS, TOGETHER):
            some, share = points[first : first + TOGETHER], weights[first : first + TOGETHER]
            along = some.to(picture)[:, None, None, None] * picture
            gradient, _ = pixel_gradient(question, along, classes[index].expand(len(along)))
            mean += (share.to(picture)[:, None, None, None] * gradient).sum(0, keepdim=True)
            done = index * STEPS + first + len(along)
            yield Progress(done, len(question.batch) * STEPS, f"{first + len(along)} of {STEPS} points on the way")
        maps.append((picture * mean).sum(1))
    return torch.cat(maps), scores


def legendre(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points in 0..1 and weights of Gauss and Legendre's rule: float64 [count] each."""
    import numpy as np

    points, weights = np.polynomial.legendre.leggauss(count)
    return torch.from_numpy((points + 1) / 2), torch.from_numpy(weights / 2)

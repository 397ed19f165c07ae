"""Occlusion."""

from __future__ import annotations

import torch

from interpret.heatmaps.pixels import classes_and_scores
from interpret.heatmaps.question import Maps, Question
from interpret.jobs import Job, Progress

ACROSS, TOGETHER = 14, 8
"""Places of the covering square along the longer side; covered pictures that share a pass."""


def occlusion(question: Question) -> Job[Maps]:
    """What the aim loses when a grey square covers a place; no gradient, nothing about the inside is assumed.

    map = aim - aim with the square there

    The square is two fourteenths of the picture wide and moves by one; it is zero after normalisation: the mean colour.
    A place's value is the mean over the squares that cover it.

    Yields:
        Progress in squares.

    Source: Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2,
        arXiv 1311.2901.
    """
    classes, scores = classes_and_scores(question)
    batch, fast = question.batch.to(scores.device), question.model.folded()
    height, width = batch.shape[2:]
    step = max(1, -(-max(height, width) // ACROSS))
    rows, columns = -(-height // step), -(-width // step)
    corners = [(row, column) for row in range(max(1, rows - 1)) for column in range(max(1, columns - 1))]
    maps = torch.zeros(len(batch), rows, columns, device=scores.device)
    covered = torch.zeros(rows, columns, device=scores.device)
    for row, column in corners:
        covered[row : row + 2, column : column + 2] += 1
    for index, picture in enumerate(batch):
        whole = fast.observe(picture[None]).scores
        assert whole is not None
        aim = question.value(whole, classes[index : index + 1])
        for first in range(0, len(corners), TOGETHER):
            some = corners[first : first + TOGETHER]
            views = picture.repeat(len(some), 1, 1, 1)
            for view, (row, column) in zip(views, some, strict=True):
                view[:, row * step : (row + 2) * step, column * step : (column + 2) * step] = 0
            found = fast.observe(views).scores
            assert found is not None
            lost = aim - question.value(found, classes[index].expand(len(some)))
            for value, (row, column) in zip(lost, some, strict=True):
                maps[index, row : row + 2, column : column + 2] += value
            done = index * len(corners) + first + len(some)
            yield Progress(done, len(batch) * len(corners), f"{first + len(some)} of {len(corners)} squares covered")
    return maps / covered, scores

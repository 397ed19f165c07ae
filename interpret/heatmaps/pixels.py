"""Gradients as far as the pixels."""

from __future__ import annotations

import torch

from interpret.heatmaps.question import Question


def pixel_gradient(
    question: Question, batch: torch.Tensor, classes: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradient of the aim by the pixels of a batch [n, planes, height, width], of its shape, and the scores.

    Args:
        question: whose network and aim.
        batch: normalised; not the question's own where it is changed.
        classes: int64 [n]; those of the question if None.
    """
    leaves = batch.to(question.model.runtime.device).detach().requires_grad_()
    tape = question.model.trace(leaves, [])
    assert tape.scores is not None
    with torch.enable_grad():
        aim = question.value(tape.scores, question.classes(tape.scores) if classes is None else classes)
        (gradient,) = torch.autograd.grad(aim.sum(), leaves)
    return gradient, tape.scores.detach()


def classes_and_scores(question: Question) -> tuple[torch.Tensor, torch.Tensor]:
    """The class each picture is asked about, int64 [n], and the scores [n, classes]."""
    scores = question.model.observe(question.batch).scores
    assert scores is not None
    return question.classes(scores), scores

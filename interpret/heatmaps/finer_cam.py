"""Finer-CAM."""

from __future__ import annotations

import torch

from interpret.heatmaps.question import Maps, Question, answered

RIVALS = 3


def finer_cam(question: Question) -> Maps:
    """Grad-CAM of what tells a class from its nearest rivals: what they share goes dark.

    map = sum_k w_k A_k,  w_k = mean over places of d D / d A_k,
    D = sum_r p_r (score - score_r) / sum_r p_r  over the three classes r whose scores are nearest to the class's

    with p_r their probabilities.

    Source: Zhang et al. 2025, "Finer-CAM: Spotting the Difference Reveals Finer Details for Visual Explanation",
        arXiv 2501.11309, with alpha 1 and the weights of pytorch-grad-cam.
    """
    found = answered(question, _difference)
    return torch.einsum("nk,nkij->nij", found.gradient.mean((2, 3)), found.activation), found.scores


def _difference(scores: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    own = scores.gather(1, classes[:, None])
    distance = (scores - own).detach().abs().scatter(1, classes[:, None], torch.inf)
    rivals = distance.topk(min(RIVALS, scores.shape[1] - 1), largest=False).indices
    weights = scores.softmax(1).gather(1, rivals)
    return (weights * (own - scores.gather(1, rivals))).sum(1) / (weights.sum(1) + 1e-9)

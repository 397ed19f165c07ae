"""Grad-CAM."""

from __future__ import annotations

import torch

from interpret.heatmaps.question import Maps, Question, answered


def grad_cam(question: Question) -> Maps:
    """Where a layer's channels, weighted by their mean gradient, speak for a class.

    map = sum_k w_k A_k,  w_k = mean over places of d aim / d A_k

    with A_k the layer's channel k. The paper's map is its positive part.

    Source: Selvaraju et al. 2017, "Grad-CAM", equations 1 and 2, arXiv 1610.02391.
    """
    found = answered(question)
    return torch.einsum("nk,nkij->nij", found.gradient.mean((2, 3)), found.activation), found.scores

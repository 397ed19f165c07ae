"""XGrad-CAM."""

from __future__ import annotations

import torch

from interpret.heatmaps.question import Maps, Question, answered


def xgrad_cam(question: Question) -> Maps:
    """Grad-CAM whose mean gradient is taken where the channel is active.

    map = sum_k w_k A_k,  w_k = sum over places of A_k / (sum over places of A_k) * d aim / d A_k

    Source: Fu et al. 2020, "Axiom-based Grad-CAM", equation 8, arXiv 2008.02312.
    """
    found = answered(question)
    mass = found.activation.sum((2, 3))
    weights = (found.gradient * found.activation).sum((2, 3)) / (mass + 1e-7)
    return torch.einsum("nk,nkij->nij", weights, found.activation), found.scores

"""Grad-CAM++."""

from __future__ import annotations

import torch

from interpret.heatmaps.question import Maps, Question, answered


def grad_cam_plus_plus(question: Question) -> Maps:
    """Grad-CAM that gives every occurrence of an object the same weight, whatever its size.

    map = sum_k w_k A_k,  w_k = sum over places of a_k max(0, G_k),
    a_k = G_k^2 / (2 G_k^2 + G_k^3 sum over places of A_k),  G_k = d aim / d A_k

    Source: Chattopadhyay et al. 2018, "Grad-CAM++", equations 5, 6 and 19, arXiv 1710.11063.
    """
    found = answered(question)
    gradient, mass = found.gradient, found.activation.sum((2, 3), keepdim=True)
    square = gradient.square()
    shares = square / (2 * square + mass * gradient**3 + 1e-6)
    weights = (torch.where(gradient != 0, shares, 0) * gradient.relu()).sum((2, 3))
    return torch.einsum("nk,nkij->nij", weights, found.activation), found.scores

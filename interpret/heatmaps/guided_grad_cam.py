"""Guided Grad-CAM."""

from __future__ import annotations

from torch.nn import functional

from interpret.heatmaps.grad_cam import grad_cam
from interpret.heatmaps.guided_backprop import guided_backprop
from interpret.heatmaps.question import Maps, Question


def guided_grad_cam(question: Question) -> Maps:
    """Guided backpropagation where Grad-CAM lies: its fine lines with the class's places.

    map = sum over planes of the guided gradient * Grad-CAM, enlarged to the picture

    Fails the same sanity checks as guided backpropagation (Adebayo et al. 2018, arXiv 1810.03292).

    Source: Selvaraju et al. 2017, "Grad-CAM", section 3.2, arXiv 1610.02391.
    """
    maps, scores = grad_cam(question)
    guided, _ = guided_backprop(question)
    places = functional.interpolate(maps.relu()[:, None], guided.shape[1:], mode="nearest")[:, 0]
    return guided * places, scores

"""HiResCAM."""

from __future__ import annotations

from interpret.heatmaps.question import Maps, Question, answered


def hires_cam(question: Question) -> Maps:
    """Each place's own share: every activation weighted by its own gradient.

    map = sum_k d aim / d A_k * A_k  (place by place)

    Where nothing but a linear layer follows, the places' values sum to the score, up to its bias.

    Source: Draelos and Carin 2020, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional
        neural networks", arXiv 2011.08891.
    """
    found = answered(question)
    return (found.gradient * found.activation).sum(1), found.scores

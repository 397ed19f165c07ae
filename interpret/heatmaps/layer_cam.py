"""LayerCAM."""

from __future__ import annotations

from interpret.heatmaps.question import Maps, Question, answered


def layer_cam(question: Question) -> Maps:
    """Every activation weighted by its own gradient where that is positive; for early layers too.

    map = sum_k max(0, d aim / d A_k) * A_k  (place by place)

    Source: Jiang et al. 2021, "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", equations 5
        and 6, doi 10.1109/TIP.2021.3089943.
    """
    found = answered(question)
    return (found.gradient.relu() * found.activation).sum(1), found.scores

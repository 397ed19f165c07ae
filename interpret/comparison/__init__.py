"""Comparison of networks: what changed between two checkpoints, and where two networks answer differently."""

from __future__ import annotations

from interpret.comparison.accuracy import ClassAccuracies
from interpret.comparison.answers import Disagreements, McNemar, compare_answers, corresponding
from interpret.comparison.epochs import Course, along, checkpoints_in
from interpret.comparison.layers import LayerSimilarity, block_outputs, layer_similarity
from interpret.comparison.weights import StatisticsChange, TensorChange, most_changed, overall, weight_changes

__all__ = [
    "ClassAccuracies",
    "Course",
    "Disagreements",
    "LayerSimilarity",
    "McNemar",
    "StatisticsChange",
    "TensorChange",
    "along",
    "block_outputs",
    "checkpoints_in",
    "compare_answers",
    "corresponding",
    "layer_similarity",
    "most_changed",
    "overall",
    "weight_changes",
]

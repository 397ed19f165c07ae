"""Comparison of networks: what changed between two checkpoints, and where two networks answer differently."""

from __future__ import annotations

from interpret.comparison.accuracy import ClassAccuracies
from interpret.comparison.answers import Disagreements, McNemar, compare_answers, corresponding
from interpret.comparison.epochs import Course, Usable, along, checkpoints_in, usable_of
from interpret.comparison.layers import LayerSimilarity, block_outputs, layer_similarity
from interpret.comparison.weights import (
    ShapeDifference,
    StatisticsChange,
    TensorChange,
    differing_shapes,
    most_changed,
    overall,
    weight_changes,
)

__all__ = [
    "ClassAccuracies",
    "Course",
    "Disagreements",
    "LayerSimilarity",
    "McNemar",
    "ShapeDifference",
    "StatisticsChange",
    "TensorChange",
    "Usable",
    "along",
    "block_outputs",
    "checkpoints_in",
    "compare_answers",
    "corresponding",
    "differing_shapes",
    "layer_similarity",
    "most_changed",
    "overall",
    "usable_of",
    "weight_changes",
]

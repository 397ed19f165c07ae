"""Class heatmaps: which places of a picture spoke for a class. One file per method; all are listed in METHODS."""

from __future__ import annotations

from interpret.heatmaps.making import Asked, Fusion, Heatmap, fused, heatmap, heatmap_job, layer_heatmaps_job
from interpret.heatmaps.methods import DEFAULT_METHOD, METHODS, HeatmapMethod
from interpret.heatmaps.question import AIMS, MARGIN, SCORE, Aim, Question

__all__ = [
    "AIMS",
    "DEFAULT_METHOD",
    "MARGIN",
    "METHODS",
    "SCORE",
    "Aim",
    "Asked",
    "Fusion",
    "Heatmap",
    "HeatmapMethod",
    "Question",
    "fused",
    "heatmap",
    "heatmap_job",
    "layer_heatmaps_job",
]

"""Class heatmaps: which places of a picture spoke for a class. One file per method; all are listed in METHODS."""

from __future__ import annotations

from interpret.heatmaps.methods import DEFAULT_METHOD, METHODS, Heatmap, HeatmapMethod, heatmap, heatmap_job
from interpret.heatmaps.question import AIMS, SCORE, Aim, Question

__all__ = [
    "AIMS",
    "DEFAULT_METHOD",
    "METHODS",
    "SCORE",
    "Aim",
    "Heatmap",
    "HeatmapMethod",
    "Question",
    "heatmap",
    "heatmap_job",
]

"""Class heatmaps: which places of a picture spoke for a class. One file per method; all are listed in METHODS."""

from __future__ import annotations

from interpret.heatmaps.methods import DEFAULT_METHOD, METHODS, Heatmap, HeatmapMethod, heatmap

__all__ = ["DEFAULT_METHOD", "METHODS", "Heatmap", "HeatmapMethod", "heatmap"]

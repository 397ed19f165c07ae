"""What filters look for: feature visualization by gradient ascent."""

from __future__ import annotations

from interpret.filters.ascent import class_images, draw, filter_images
from interpret.filters.canvases import METHODS, FilterMethod, spectrum_digest
from interpret.filters.kept import RECIPE, drawn_before, kept_class_images, kept_filter_images
from interpret.filters.opening import SIDES, FirstView, first_view
from interpret.filters.params import Drawing, FilterImages, FilterParams

__all__ = [
    "METHODS",
    "RECIPE",
    "SIDES",
    "Drawing",
    "FilterImages",
    "FilterMethod",
    "FilterParams",
    "FirstView",
    "class_images",
    "draw",
    "drawn_before",
    "filter_images",
    "first_view",
    "kept_class_images",
    "kept_filter_images",
    "spectrum_digest",
]

"""What filters look for: feature visualization by gradient ascent."""

from __future__ import annotations

from interpret.filters.ascent import FilterImages, FilterParams, filter_images
from interpret.filters.opening import SIDES, FirstView, first_view

__all__ = ["SIDES", "FilterImages", "FilterParams", "FirstView", "filter_images", "first_view"]

"""What filters look for: feature visualization by gradient ascent."""

from __future__ import annotations

from interpret.filters.ascent import FilterImages, FilterParams, filter_images

__all__ = ["FilterImages", "FilterParams", "filter_images"]

"""Browser components: the grid of a layer's channels and the map of a data set."""

from __future__ import annotations

from ui.components.feature_grid import feature_grid
from ui.components.point_map import MapSelection, point_map

__all__ = ["MapSelection", "feature_grid", "point_map"]

"""A whole network's filter pictures in a folder that is a static page: to open, to keep, to share."""

from __future__ import annotations

from interpret.microscope.drawing import draw_network

__all__ = ["draw_network"]

"""Sets of pictures: folders, zip archives, lists, arrays, and the ones Loupe draws itself."""

from __future__ import annotations

from interpret.datasets.samples import sample_box, sample_names, sample_picture
from interpret.datasets.sources import PictureSource, open_source

__all__ = ["PictureSource", "open_source", "sample_box", "sample_names", "sample_picture"]

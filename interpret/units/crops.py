"""The parts of pictures that excite a channel most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from interpret.datasets.sources import PictureSource
from interpret.model import LoadedModel
from interpret.units.statistics import UnitStatistics


def crops(
    model: LoadedModel, source: PictureSource, found: UnitStatistics, channel: int, count: int, side: int
) -> list[NDArray[np.uint8]]:
    """What reaches the place of a channel's maximum in the pictures that excite it most, the greatest first.

    Args:
        model, source: the network and the pictures.
        found: what the pictures excite in the layer.
        channel: of the layer.
        count: how many crops; grey ones where there are fewer pictures.
        side: of each crop in pixels, whatever it shows.

    Returns:
        uint8 [side, side, 3] each.
    """
    cut = []
    for rank in range(count):
        index = int(found.top_pictures[channel, rank])
        crop = np.full((side, side, 3), 128, np.uint8)
        if index >= 0:
            place = int(found.top_rows[channel, rank]), int(found.top_columns[channel, rank])
            part = found.layer.crop(model.preprocess.seen(source.read(index)), channel, *place)
            crop = np.asarray(Image.fromarray(part).resize((side, side), Image.Resampling.NEAREST))
        cut.append(crop)
    return cut

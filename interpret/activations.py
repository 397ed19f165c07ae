"""What layers answer to a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interpret.errors import BadInput
from interpret.images import InputImage
from interpret.layers import LayerInfo
from interpret.model import LoadedModel


@dataclass(frozen=True, eq=False)
class ActivationMaps:
    """The answer of every channel of a layer to one picture.

    Attributes:
        layer: which layer.
        image_digest: which picture.
        values: float32 [channels, rows, columns], raw and read-only; a vector layer has one row and one column.
    """

    layer: LayerInfo
    image_digest: str
    values: NDArray[np.float32]


def activations(model: LoadedModel, image: InputImage, layers: Sequence[str]) -> list[ActivationMaps]:
    """The raw output of each named layer for one picture, from a single pass that ends at the last of them.

    Args:
        model: the network.
        image: the picture.
        layers: dotted names.

    Raises:
        UnknownName: no such layer.
        BadInput: a layer whose output is neither a map nor a vector.
    """
    infos = [model.layer(name) for name in layers]
    for info in infos:
        if info.layout == "other":
            raise BadInput(f'Layer "{info.name}" answers with shape {list(info.shape)}, which is no set of maps.')
    tape = model.observe(model.preprocess.to_batch(image), layers)
    results = []
    for info in infos:
        values = info.channels_first(tape[info.name])[0].float().cpu().contiguous().numpy()
        values.flags.writeable = False
        results.append(ActivationMaps(info, image.digest, values))
    return results

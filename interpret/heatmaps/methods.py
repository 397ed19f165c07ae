"""The methods there are, and the one call that runs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.errors import BadInput, unknown
from interpret.heatmaps.grad_cam import grad_cam
from interpret.images import InputImage
from interpret.layers import LayerInfo
from interpret.model import LoadedModel

MapFunction = Callable[[LoadedModel, torch.Tensor, LayerInfo, torch.Tensor | None], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class HeatmapMethod:
    """A method: its key for machines, its title and source for people, and its function.

    The function gets (model, batch [n, channels, height, width], layer, targets [n] or None for the predicted classes)
    and returns maps [n, rows, columns] and scores [n, classes].
    """

    key: str
    title: str
    source: str
    function: MapFunction


METHODS: tuple[HeatmapMethod, ...] = (
    HeatmapMethod("grad-cam", "Grad-CAM", "Selvaraju et al. 2017, arXiv 1610.02391", grad_cam),
)
DEFAULT_METHOD = METHODS[0].key


@dataclass(frozen=True, eq=False)
class Heatmap:
    """Which places of a picture spoke for a class.

    Attributes:
        values: float32 [rows, columns] of the layer, raw and read-only, in units of score times activation.
        method: key of the method.
        layer: where it was computed.
        target: class index; `score` and `probability` are the network's for it.
        image_digest: which picture.
    """

    values: NDArray[np.float32]
    method: str
    layer: LayerInfo
    target: int
    score: float
    probability: float
    image_digest: str

    @property
    def says(self) -> str:
        """What is peculiar about this map, as a sentence; "" when nothing is."""
        if not np.isfinite(self.values).all():
            return "This map holds values that are not numbers: the network overflowed on this picture."
        if self.values.max() <= 0:
            return "No place of this layer speaks for this class: the map is zero everywhere."
        if np.ptp(self.values) < 1e-6 * abs(float(self.values.max())):
            return "The map is flat: every place of this layer speaks for the class alike."
        return ""


def heatmap(
    model: LoadedModel,
    image: InputImage,
    *,
    method: str = DEFAULT_METHOD,
    layer: str | None = None,
    target: int | str | None = None,
) -> Heatmap:
    """The heatmap of one picture for one class.

    Args:
        model: the network.
        image: the picture.
        method: a key of METHODS.
        layer: name of a spatial layer; the last one before pooling if None.
        target: class index or label; the predicted class if None. The score is taken before softmax.

    Raises:
        UnknownName: no such method, layer or class.
        BadInput: the layer has no places.
    """
    known = {known.key: known for known in METHODS}
    if method not in known:
        raise unknown("Method", method, "the heatmap methods", known)
    info = model.layer(layer) if layer else model.default_layer
    if not info.is_spatial:
        raise BadInput(f'Layer "{info.name}" has no rows and columns, so no heatmap. Use "{model.default_layer.name}".')
    targets = None if target is None else torch.tensor([model.target(target)])
    maps, scores = known[method].function(model, model.preprocess.to_batch(image), info, targets)
    index = int(scores[0].argmax()) if targets is None else int(targets[0])
    values = maps[0].detach().float().cpu().numpy()
    values.flags.writeable = False
    probability = float(scores[0].softmax(0)[index])
    return Heatmap(values, method, info, index, float(scores[0, index]), probability, image.digest)

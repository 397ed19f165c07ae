"""Pictures drawn in tests, and what networks answer to them by an ordinary pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.filters import FilterImages, FilterParams, filter_images
from interpret.filters.artist import _generator
from interpret.filters.canvases import METHODS
from interpret.jobs import complete
from interpret.model import LoadedModel


def drawn(model: LoadedModel, layer: str, channels: tuple[int, ...], **params: Any) -> FilterImages:
    return complete(filter_images(model, layer, channels, FilterParams(**params)))


def answer(
    model: LoadedModel, layer: str, planes: NDArray[np.float32], channels: tuple[int, ...]
) -> NDArray[np.float32]:
    """Each channel's mean activation on its own picture [n, height, width, planes] in 0..1, by an ordinary pass."""
    steps = model.preprocess
    batch = torch.from_numpy(planes.copy()).permute(0, 3, 1, 2)
    if steps.channels == 3 and steps.reverse_channels:
        batch = batch.flip(1)
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (steps.mean, steps.std))
    tape = model.observe((batch * steps.value_range - mean) / std, [layer])
    maps = model.layer(layer).channels_first(tape[layer])
    return np.array([float(maps[index, channel].mean()) for index, channel in enumerate(channels)], np.float32)


def start(model: LoadedModel, channels: tuple[int, ...], seed: int, method: str = "fourier") -> NDArray[np.float32]:
    """The pictures a run begins with [n, height, width, planes]."""
    canvas = next(one for one in METHODS if one.key == method).make(model, 0, None)
    values = canvas.start([_generator(seed, channel, -1) for channel in channels])
    return canvas.drawn(values).permute(0, 2, 3, 1).numpy()


def generators(count: int, seed: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed + index) for index in range(count)]

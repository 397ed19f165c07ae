"""What layers answer to a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
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


@dataclass(frozen=True, eq=False)
class ChannelStatistics:
    """What is to be said of every channel of a layer on one picture; values that are not finite are left out.

    Attributes:
        means, maxima: float32 [channels]; NaN for a channel without a finite value.
        zeros: float32 [channels], the share of places that answer exactly zero.
        dead: bool [channels], zero at every place.
        saturated: bool [channels], at least half of the places sit within a thousandth of the channel's largest value,
            which is not zero: a ReLU6 at 6, a sigmoid at 1.
    """

    means: NDArray[np.float32]
    maxima: NDArray[np.float32]
    zeros: NDArray[np.float32]
    dead: NDArray[np.bool_]
    saturated: NDArray[np.bool_]


def channel_statistics(maps: ActivationMaps) -> ChannelStatistics:
    """Mean, maximum and share of zeros of every channel, and which of them say nothing on this picture."""
    flat = maps.values.reshape(len(maps.values), -1)
    finite = np.isfinite(flat)
    counts = finite.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(finite, flat, 0).sum(1, dtype=np.float64) / counts
    maxima = np.where(finite, flat, -np.inf).max(1)
    maxima = np.where(counts > 0, maxima, np.nan)
    zeros = (flat == 0).mean(1)
    top = flat >= (maxima - np.abs(maxima) * 1e-3)[:, None]
    saturated = (top.mean(1) >= 0.5) & (maxima != 0) & (flat.shape[1] > 1)
    return ChannelStatistics(
        means.astype(np.float32), maxima.astype(np.float32), zeros.astype(np.float32), zeros == 1, saturated
    )


def class_links(model: LoadedModel, image: InputImage, layer: str, target: int) -> NDArray[np.float32]:
    """How much each channel of a layer speaks for a class on one picture: float32 [channels], read-only.

    link_k = sum over places of A_k * d score_target / d A_k

    the change of the class score, to first order, when the channel is set to zero, with its sign turned.
    Zero for layers the score does not depend on, such as another head's.

    Args:
        model: the network.
        image: the picture.
        layer: dotted name.
        target: class index.

    Raises:
        UnknownName: no such layer.
        BadInput: a layer whose output is neither a map nor a vector.

    Source: Molchanov, Tyree, Karras, Aila, Kautz 2017, "Pruning Convolutional Neural Networks for Resource Efficient
        Inference", equation 7, arXiv 1611.06440.
    Differs: the sign is kept and places are summed, not averaged.
    """
    info = model.layer(layer)
    if info.layout == "other":
        raise BadInput(f'Layer "{info.name}" answers with shape {list(info.shape)}, which is no set of maps.')
    tape = model.trace(model.preprocess.to_batch(image), [layer])
    assert tape.scores is not None
    with torch.enable_grad():
        score = tape.scores[0, target]
        gradient = None
        if score.requires_grad:
            (gradient,) = torch.autograd.grad(score, tape[layer], allow_unused=True)
    output = tape[layer].detach()
    product = torch.zeros_like(output) if gradient is None else gradient * output
    links = info.channels_first(product)[0].sum((1, 2)).float().cpu().numpy()
    links.flags.writeable = False
    return links

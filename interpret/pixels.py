"""One unit at one place: what it sees, what moves it, and how a convolution arrives at its number."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.errors import BadInput
from interpret.images import InputImage
from interpret.layers import LayerInfo
from interpret.model import LoadedModel


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """How a convolution arrives at one number: value = bias + sum of kernel * patch.

    Attributes:
        patch: float32 [channels, rows, columns], what lies under the kernel; zero beyond the rim.
        kernel: float32 [channels, rows, columns].
        bias: added last; 0 where there is none.
        first: the input channel the patch begins with; above 0 for the later groups of a grouped convolution.
        inside: bool [rows, columns], False where the kernel reaches beyond the rim.
    """

    patch: NDArray[np.float32]
    kernel: NDArray[np.float32]
    bias: float
    first: int
    inside: NDArray[np.bool_]

    @property
    def products(self) -> NDArray[np.float32]:
        """float32 [channels, rows, columns]."""
        return self.patch * self.kernel

    @property
    def total(self) -> float:
        """The sum with the bias, added up in float64."""
        return float(self.products.sum(dtype=np.float64)) + self.bias


@dataclass(frozen=True, eq=False)
class UnitAtPlace:
    """What is known of one unit at one place for one picture.

    Attributes:
        layer, channel, row, column: which unit, where.
        value: what the network computed there.
        box: (left, top, right, bottom) in pixels of what the network sees: every pixel that can change the value
            through convolutions and pooling; None where that is not known.
        influence: float32 [height, width], read-only: the sum over colours of |d value / d input| at each pixel. The
            effective receptive field: how much a small change there moves the value, for this picture.
        arithmetic: for convolutions.
    """

    layer: LayerInfo
    channel: int
    row: int
    column: int
    value: float
    box: tuple[int, int, int, int] | None
    influence: NDArray[np.float32]
    arithmetic: Arithmetic | None

    @property
    def concentration(self) -> float:
        """Share of the box's pixels that hold half of the influence: small where the middle counts most."""
        found = np.sort(self.influence.reshape(-1))[::-1].cumsum(dtype=np.float64)
        if not found[-1] > 0:
            return math.nan
        left, top, right, bottom = self.box or (0, 0, *self.influence.shape[::-1])
        half = int(np.searchsorted(found, found[-1] / 2)) + 1
        return float(half / max(1, (right - left) * (bottom - top)))


def unit_at(model: LoadedModel, image: InputImage, layer: str, channel: int, row: int, column: int) -> UnitAtPlace:
    """What one unit at one place of a layer computes from a picture, and from which pixels.

    Args:
        model: the network.
        image: the picture.
        layer: dotted name.
        channel, row, column: which unit, from 0; a vector layer has row and column 0 only.

    Raises:
        UnknownName: no such layer.
        BadInput: no such channel or place, or a layer without channels.

    Source: effective receptive field: Luo, Li, Urtasun, Zemel 2016, "Understanding the Effective Receptive Field in
        Deep Convolutional Neural Networks", section 2, arXiv 1701.04128.
    Differs: absolute gradients of one picture's unit, not an average over many pictures and random gradients.
    """
    info = model.layer(layer)
    if info.layout == "other":
        raise BadInput(f'Layer "{info.name}" answers with shape {list(info.shape)}, which has no units at places.')
    if not (0 <= channel < info.channels and 0 <= row < info.rows and 0 <= column < info.columns):
        raise BadInput(
            f'Layer "{info.name}" has {info.channels} channels of {info.rows} x {info.columns} places; '
            f"channel {channel}, row {row}, column {column} was asked for."
        )
    batch = model.preprocess.to_batch(image)
    value, influence = _influence(model, info, batch, channel, row, column)
    box = info.reach.box(channel, row, column) if info.reach else None
    arithmetic = _arithmetic(model, info, batch, channel, row, column) if info.kernel else None
    return UnitAtPlace(info, channel, row, column, value, box, influence, arithmetic)


def _influence(
    model: LoadedModel, info: LayerInfo, batch: torch.Tensor, channel: int, row: int, column: int
) -> tuple[float, NDArray[np.float32]]:
    batch = batch.detach().requires_grad_()
    tape = model.trace(batch, [info.name], until="layers")
    with torch.enable_grad():
        unit = info.channels_first(tape[info.name])[0, channel, row, column]
        (gradient,) = torch.autograd.grad(unit, batch)
    influence = gradient[0].abs().sum(0).float().cpu().numpy()
    influence.flags.writeable = False
    return float(unit.detach()), influence


def _arithmetic(
    model: LoadedModel, info: LayerInfo, batch: torch.Tensor, channel: int, row: int, column: int
) -> Arithmetic | None:
    call = model.watch(batch, [info.name], convolutions=True).convolutions.get(info.name)
    if call is None:
        return None
    kernel = call.kernel[channel].float().cpu().numpy()
    channels, *size = kernel.shape
    first = channel // (call.kernel.shape[0] // call.groups) * channels
    source = call.input[0, first : first + channels].float().cpu().numpy()
    at = [
        np.arange(size[axis]) * call.dilation[axis] + place * call.stride[axis] - call.padding[axis]
        for axis, place in enumerate((row, column))
    ]
    inside = [(along >= 0) & (along < source.shape[1 + axis]) for axis, along in enumerate(at)]
    patch = np.zeros(kernel.shape, np.float32)
    patch[:, np.ix_(*inside)[0], np.ix_(*inside)[1]] = source[:, at[0][inside[0]][:, None], at[1][inside[1]]]
    bias = 0.0 if call.bias is None else float(call.bias[channel])
    return Arithmetic(patch, kernel, bias, first, inside[0][:, None] & inside[1])

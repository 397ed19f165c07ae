"""The weights behind a unit: which convolution makes it, and which channels that convolution listens to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interpret.flow import Origin
from interpret.layers import LayerInfo
from interpret.model import LoadedModel


@dataclass(frozen=True, eq=False)
class Input:
    """A channel that a kernel listens to: of a layer, or of the network's input (layer "").

    Attributes:
        layer, channel: whose; None where functions between the layers mix channels.
        weights: float32 [rows, columns], read-only.
        strength: root of the sum of squares of the weights.
    """

    layer: str | None
    channel: int | None
    weights: NDArray[np.float32]
    strength: float


@dataclass(frozen=True, eq=False)
class UnitKernel:
    """The kernel that makes a unit.

    Attributes:
        layer: the convolution or linear layer; the unit's own, or the nearest one it comes from channel by channel.
        channel: of that layer.
        weights: float32 [inputs, rows, columns], read-only.
        inputs: strongest first.
    """

    layer: LayerInfo
    channel: int
    weights: NDArray[np.float32]
    inputs: tuple[Input, ...]


def unit_kernel(model: LoadedModel, layer: str, channel: int) -> UnitKernel | None:
    """The kernel behind a unit, or None where no convolution makes it channel by channel.

    Args:
        model: the network.
        layer: dotted name. BatchNorm, activations, pooling and blocks lead back to the convolution before them; where
            branches are added, to the branch that has one inside the block.
        channel: which unit.

    Raises:
        UnknownName: no such layer.
    """
    made = _maker(model, model.layer(layer), channel)
    if made is None:
        return None
    convolution, channel = made
    weights = model.kernel(convolution.name, channel)
    weights.flags.writeable = False
    first = channel // (convolution.channels // convolution.groups) * len(weights)
    strengths = np.sqrt(np.square(weights, dtype=np.float64).sum((1, 2)))
    inputs = tuple(
        Input(*_source(model, convolution.origin, first + int(at)), weights[at], float(strengths[at]))
        for at in np.argsort(-strengths, kind="stable")
    )
    return UnitKernel(convolution, channel, weights, inputs)


def _maker(model: LoadedModel, layer: LayerInfo, channel: int) -> tuple[LayerInfo, int] | None:
    """The convolution that makes a channel of a layer, and its channel there."""
    if layer.inputs:
        return layer, channel
    made = layer.made
    ways: list[tuple[str | None, int | None]]
    if made is not None and made.how == "sum":  # the branch inside the block says what is new
        inside = model.block(layer.name).layers
        ways = [(name, channel) for name in sorted(made.names, key=lambda name: name not in inside)]
    else:
        ways = [_source(model, made, channel)]
    found = (_maker(model, model.layer(name), source) for name, source in ways if name and source is not None)
    return next((each for each in found if each is not None), None)


def _source(model: LoadedModel, origin: Origin | None, channel: int) -> tuple[str | None, int | None]:
    """Whose channel arrives as channel number so-and-so."""
    if origin is None or not origin.names:
        return None, None
    if origin.how is None:
        return origin.names[0], origin.first + channel
    if origin.how == "concatenation":
        for name in origin.names:
            count = model.layer(name).channels if name else model.preprocess.channels
            if channel < count:
                return name, channel
            channel -= count
    if origin.how == "gate":  # what is weighed has places, the weights have none
        spatial = [name for name in origin.names if name and model.layer(name).is_spatial]
        if len(spatial) == 1:
            return spatial[0], channel
    return None, None

"""How much arithmetic a pass takes, told from the table of layers before anything is run."""

from __future__ import annotations

from interpret.layers import LayerInfo
from interpret.model import LoadedModel


def multiplications(model: LoadedModel, until: str | None = None) -> int:
    """Multiply-adds of the network's convolutions and matrix products for one picture of its input size.

    Args:
        model: the network.
        until: name of the last layer to count; the whole network if None.

    Raises:
        UnknownName: no such layer.
    """
    last = model.layer(until) if until is not None else model.layers[-1]
    outermost: list[LayerInfo] = []
    for layer in model.layers[: model.layers.index(last) + 1]:
        within = layer.name.partition(":")[0] + "."
        while outermost and outermost[-1].name.startswith(within):
            outermost.pop()
        outermost.append(layer)
    return sum(layer.multiply_adds for layer in outermost)

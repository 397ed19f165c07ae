"""How much arithmetic a pass takes, told from the table of layers before anything is run."""

from __future__ import annotations

from interpret.model import LoadedModel


def multiplications(model: LoadedModel, until: str | None = None) -> int:
    """About how many multiplications the network does for one picture of its input size.

    sum over the layers that hold no others:  parameters * rows * columns

    Exact for convolutions and linear layers but for their biases; layers without parameters count nothing.

    Args:
        model: the network.
        until: name of the last layer to count; the whole network if None.

    Raises:
        UnknownName: no such layer.
    """
    last = model.layer(until) if until is not None else model.layers[-1]
    counted = model.layers[: model.layers.index(last) + 1]
    names = [layer.name.partition(":")[0] for layer in model.layers]
    parents = {name.rpartition(".")[0] for name in names}
    return sum(
        layer.parameters * layer.rows * layer.columns
        for layer, name in zip(counted, names, strict=False)
        if name not in parents and layer.layout != "other"
    )

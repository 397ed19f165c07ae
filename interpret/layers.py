"""What is known of a network's layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from interpret.flow import Call, Origin
from interpret.reach import Reach

Layout = Literal["channels first", "channels last", "vector", "other"]


@dataclass(frozen=True)
class LayerInfo:
    """One call of one module.

    Attributes:
        name: dotted module path; "relu:1" is the second call of "relu" in a pass.
        kind: the module's class: "Conv2d", "BasicBlock".
        shape: of its output for one picture: (channels, rows, columns), (rows, columns, channels) or (channels,).
        layout: where the channels are in `shape`.
        parameters: numbers learned in it and in the modules inside it.
        stride: input pixels per output row, for spatial layers; else None.
        depth: how many modules it is nested in, from 0.
        pooled: its output comes straight out of a pooling module.
        multiply_adds: of the convolutions and matrix products in it, for one picture of the input size.
        reach: which input pixels reach each of its places; None where that is not known, as for vectors.
        origin: the layers whose answers it is given; None where that cannot be told.
        made: the layers whose channels are its own channels, one by one or joined; None where it mixes channels.
        kernel: (rows, columns) of a convolution's kernel; None for other layers.
        inputs: a convolution's or linear layer's input channels; 0 for other layers.
        groups: how many separate sets a convolution divides its channels into.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    layout: Layout
    parameters: int
    stride: int | None
    depth: int
    pooled: bool
    multiply_adds: int = 0
    reach: Reach | None = field(default=None, repr=False, compare=False)
    origin: Origin | None = field(default=None, repr=False, compare=False)
    made: Origin | None = field(default=None, repr=False, compare=False)
    kernel: tuple[int, int] | None = None
    inputs: int = 0
    groups: int = 1

    @property
    def is_depthwise(self) -> bool:
        """Whether it is a convolution that looks at each channel alone."""
        return self.kernel is not None and self.groups == self.inputs > 1

    @property
    def is_spatial(self) -> bool:
        """Whether it has rows and columns, more than one place of them."""
        return self.layout in ("channels first", "channels last") and self.rows * self.columns > 1

    @property
    def channels(self) -> int:
        return self.shape[-1] if self.layout == "channels last" else self.shape[0]

    @property
    def rows(self) -> int:
        return {"channels first": self.shape[-2], "channels last": self.shape[0]}[self.layout] if self._is_map else 1

    @property
    def columns(self) -> int:
        return {"channels first": self.shape[-1], "channels last": self.shape[1]}[self.layout] if self._is_map else 1

    @property
    def _is_map(self) -> bool:
        return self.layout in ("channels first", "channels last")

    def crop(self, seen: NDArray[np.uint8], channel: int, row: int, column: int) -> NDArray[np.uint8]:
        """What of a picture [height, width, 3] reaches one place, cut out; all of it where that is not known."""
        left, top, right, bottom = (0, 0, 0, 0)
        if self.reach is not None and self.is_spatial:
            left, top, right, bottom = self.reach.box(channel, row, column)
        return seen[top:bottom, left:right] if right > left else seen

    def channels_first(self, output: torch.Tensor) -> torch.Tensor:
        """A recorded output [n, ...] as [n, channels, rows, columns]; vectors get one row and one column."""
        if self.layout == "channels last":
            return output.permute(0, 3, 1, 2)
        return output if self.layout == "channels first" else output.reshape(output.shape[0], -1, 1, 1)


def describe(
    layer: str,
    module: nn.Module,
    output: torch.Tensor,
    grown: tuple[int, ...] | None,
    height: int,
    pooled: bool,
    call: Call,
) -> LayerInfo:
    """A layer from what it answered.

    Args:
        layer: its name.
        module: what was called.
        output: [1, ...] for one picture.
        grown: the output's shape for a picture twice as large, where it tells which axis holds the channels.
        height: of the picture, in pixels.
        pooled: see `LayerInfo`.
        call: what following the pass found of it.
    """
    shape = tuple(output.shape[1:])
    layout: Layout = {1: "vector", 3: "channels first"}.get(len(shape), "other")  # type: ignore[assignment]
    if grown is not None and len(shape) == 3 and grown[1] != shape[0] and grown[3] == shape[2]:
        layout = "channels last"
    rows, columns = {"channels last": shape[:2], "channels first": shape[1:]}.get(layout, (0, 0))
    reach = call.field.reach() if call.field and rows * columns else None
    return LayerInfo(
        name=layer,
        kind=type(module).__name__,
        shape=shape,
        layout=layout,
        parameters=sum(p.numel() for p in module.parameters()),
        stride=max(1, round(height / rows)) if rows > 1 else None,
        depth=layer.count("."),
        pooled=pooled,
        multiply_adds=call.multiply_adds,
        reach=reach,
        origin=call.origin,
        made=call.made,
        kernel=(int(module.kernel_size[0]), int(module.kernel_size[1])) if isinstance(module, nn.Conv2d) else None,
        inputs=module.in_channels
        if isinstance(module, nn.Conv2d)
        else module.in_features
        if isinstance(module, nn.Linear)
        else 0,
        groups=module.groups if isinstance(module, nn.Conv2d) else 1,
    )

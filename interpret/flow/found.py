"""What is found by following a pass: origins, joins, convolutions as they were carried out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from interpret.reach import Field

JoinKind = Literal["sum", "concatenation", "gate"]


@dataclass(frozen=True)
class Origin:
    """Where a tensor comes from, as far as layers tell.

    Attributes:
        names: the layers it was made of, in order; "" stands for the network's input.
        how: how several were joined: "sum", "concatenation" or "gate" (a product with one number per channel).
        first: which channel of the layer is the tensor's first, where it is a part of one.
        exact: the tensor is what the layer answered, or the join of such; False where functions came between.
    """

    names: tuple[str, ...]
    how: JoinKind | None = None
    first: int = 0
    exact: bool = True


@dataclass(frozen=True)
class Join:
    """A place where branches meet.

    Attributes:
        kind: "sum", "concatenation" or "gate".
        inside: the layer in whose own code it happens; "" for the network's.
        branches: for each operand, the layers it was made of.
        exact: for each operand, whether it is just what its layer answered, or some channels of it.
    """

    kind: JoinKind
    inside: str
    branches: tuple[tuple[str, ...], ...]
    exact: tuple[bool, ...]


@dataclass(frozen=True)
class Call:
    """What was found of one call of a module: see `LayerInfo` for `origin`, `made` and `multiply_adds`."""

    origin: Origin | None
    made: Origin | None
    multiply_adds: int
    field: Field | None


@dataclass(frozen=True, eq=False)
class ConvolutionCall:
    """A convolution as it was really carried out, after whatever its module did to picture and kernel.

    output[o, i, j] = bias[o] + sum over c, a, b of kernel[o, c, a, b] * input[g + c, i s - p + a d, j s - p + b d]

    with g the first channel of the output's group, s the stride, p the padding (outside stands zero), d the dilation.

    Attributes:
        input: [n, channels, rows, columns].
        kernel: [outputs, channels / groups, rows, columns].
        bias: [outputs] or None.
        stride, padding, dilation: (rows, columns).
        groups: separate sets of channels.
    """

    input: torch.Tensor
    kernel: torch.Tensor
    bias: torch.Tensor | None
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


@dataclass(frozen=True, eq=False)
class Followed:
    """What is known of a tensor: its field (None: it depends on the input, but not by places), and its origin."""

    field: Field | None
    origin: Origin | None = None
    lead: tuple[int, ...] = ()
    """For a matrix made of a map by laying its places in rows: the map's shape without its last axis."""

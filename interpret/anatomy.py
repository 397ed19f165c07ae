"""Inside one block, for one picture: its branches, where they meet, its gates, its BatchNorm layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.answers import Normalisation
from interpret.blocks import Block
from interpret.flow import Join
from interpret.images import InputImage
from interpret.layers import LayerInfo
from interpret.model import LoadedModel


@dataclass(frozen=True, eq=False)
class Piece:
    """One tensor inside a block.

    Attributes:
        layer: the layer that answered it; None for the network's input and for what functions made of it.
        strength: float32 [rows, columns], the root of the mean square over channels at each place.
        norm: root of the sum of squares over channels and places.
        channels: how many.
    """

    layer: LayerInfo | None
    strength: NDArray[np.float32]
    norm: float
    channels: int


@dataclass(frozen=True, eq=False)
class Meeting:
    """Where branches of the block meet.

    Attributes:
        join: what happens there.
        branches: the operands. Of a gate the first is what is weighed.
        steps: for each branch, the layers on it that the block holds, in the order of execution.
        result: what comes out.
        gate: float32 [channels], what each channel is multiplied by; None where there is no gate.
    """

    join: Join
    branches: tuple[Piece, ...]
    steps: tuple[tuple[str, ...], ...]
    result: Piece
    gate: NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class Statistics:
    """A BatchNorm layer beside the picture in hand.

    Attributes:
        layer: the layer.
        kept: what it keeps from training.
        mean, variance: float32 [channels], of what this picture brings into it; None where that is not known.
    """

    layer: LayerInfo
    kept: Normalisation
    mean: NDArray[np.float32] | None
    variance: NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A block's inside for one picture.

    Attributes:
        block: which block.
        steps: every layer in it that holds no other and has channels, in the order of execution.
        meetings: where branches meet, in the order of execution.
        normalisations: its BatchNorm layers.
    """

    block: Block
    steps: tuple[Piece, ...]
    meetings: tuple[Meeting, ...]
    normalisations: tuple[Statistics, ...]

    @property
    def branch_ratio(self) -> float | None:
        """Norm of the main branch over that of the shortcut, of the last sum; None for blocks that add nothing.

        Far below 1 the block passes its input on and changes little; above 1 it says something new.
        """
        sums = [meeting for meeting in self.meetings if meeting.join.kind == "sum" and len(meeting.branches) == 2]
        if not sums:
            return None
        steps = [len(found) for found in sums[-1].steps]
        main = steps.index(max(steps))
        shortcut = sums[-1].branches[1 - main].norm
        return sums[-1].branches[main].norm / shortcut if shortcut > 0 else math.inf


def anatomy(model: LoadedModel, image: InputImage, block: Block) -> Anatomy:
    """What happens inside a block for one picture, from one pass that ends with the block.

    Args:
        model: the network.
        image: the picture.
        block: one of `model.blocks`.
    """
    leaves = [model.layer(name) for name in block.layers if not _holds_others(name, block)]
    leaves = [leaf for leaf in leaves if leaf.layout != "other"]
    normal = {leaf.name: kept for leaf in leaves if (kept := model.normalisation(leaf.name)) is not None}
    given = {name: leaf.origin.names[0] for name in normal if (leaf := model.layer(name)).origin and _is_plain(leaf)}
    keep = {leaf.name for leaf in leaves} | {block.output} | {name for name in given.values() if name}
    seen = model.watch(model.preprocess.to_batch(image), keep, joins=block.joins)
    steps = tuple(_piece(leaf.channels_first(seen.outputs[leaf.name]), leaf) for leaf in leaves)
    meetings = tuple(_meeting(model, block, model.joins[at], tensors) for at, tensors in seen.joined.items())
    statistics = []
    for name, kept in normal.items():
        source = seen.outputs.get(given.get(name, ""))
        found = None if source is None else model.layer(given[name]).channels_first(source)[0].float()
        moments = (None, None) if found is None else torch.var_mean(found, (1, 2), correction=0)
        variance, mean = (None if value is None else _fixed(value) for value in moments)
        statistics.append(Statistics(model.layer(name), kept, mean, variance))
    return Anatomy(block, steps, meetings, tuple(statistics))


def _holds_others(name: str, block: Block) -> bool:
    within = name.partition(":")[0] + "."
    return any(other.startswith(within) for other in block.layers)


def _is_plain(leaf: LayerInfo) -> bool:
    return leaf.origin is not None and leaf.origin.how is None and leaf.origin.exact and not leaf.origin.first


def _meeting(model: LoadedModel, block: Block, join: Join, tensors: Sequence[torch.Tensor]) -> Meeting:
    *operands, result = tensors
    gate = None
    if join.kind == "gate":
        sizes = [operand.numel() for operand in operands]
        small = sizes.index(min(sizes))
        gate = _fixed(operands[small].reshape(-1))
    last_axis = _channels_last(model, block, join, result)
    branches = tuple(
        _piece(_first(operand, last_axis), _layer_of(model, names) if exact else None)
        for operand, names, exact in zip(operands, join.branches, join.exact, strict=True)
    )
    steps = tuple(steps_to(model, block, names) for names in join.branches)
    return Meeting(join, branches, steps, _piece(_first(result, last_axis), None), gate)


def _channels_last(model: LoadedModel, block: Block, join: Join, result: torch.Tensor) -> bool:
    names = [name for names in join.branches for name in names if name]
    return any(
        model.layer(name).layout == "channels last" and tuple(result.shape[1:]) == model.layer(name).shape
        for name in names
    )


def _first(tensor: torch.Tensor, last_axis: bool) -> torch.Tensor:
    if tensor.ndim != 4:
        return tensor.reshape(1, -1, 1, 1)
    return tensor.permute(0, 3, 1, 2) if last_axis else tensor


def _layer_of(model: LoadedModel, names: Sequence[str]) -> LayerInfo | None:
    return model.layer(names[0]) if len(names) == 1 and names[0] else None


def _piece(tensor: torch.Tensor, layer: LayerInfo | None) -> Piece:
    values = tensor[0].float()
    strength = _fixed(values.square().mean(0).sqrt())
    return Piece(layer, strength, float(values.double().norm()), len(values))


def _fixed(tensor: torch.Tensor) -> NDArray[np.float32]:
    values = np.array(tensor.detach().float().cpu().numpy())
    values.flags.writeable = False
    return values


def steps_to(model: LoadedModel, block: Block, names: Sequence[str]) -> tuple[str, ...]:
    """The layers of a block that hold no others and lie on the way from its input to some of its layers.

    Args:
        model: the network.
        block: one of `model.blocks`.
        names: where the way ends; names outside the block add nothing.
    """
    found: set[str] = set()
    waiting, seen = list(names), {block.output}
    while waiting:
        name = waiting.pop()
        if name in seen or name not in block.layers:
            continue
        seen.add(name)
        within = name.partition(":")[0] + "."
        found |= {other for other in block.layers if other == name or other.startswith(within)}
        origin = model.layer(name).origin
        waiting += origin.names if origin else ()
    return tuple(name for name in block.layers if name in found and not _holds_others(name, block))

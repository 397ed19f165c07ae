"""What changed between the weights of two checkpoints, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import hypot, sqrt

import numpy as np
from numpy.typing import NDArray

from interpret.errors import BadInput
from interpret.latent.distances import Floats, read_only
from interpret.layers import LayerInfo
from interpret.model import LoadedModel

Tensors = Mapping[str, Floats]
_STATISTICS = ("running_mean", "running_var")
_AT_ONCE = 2**22
"""Numbers converted to float64 together (32 MB)."""


@dataclass(frozen=True, eq=False)
class StatisticsChange:
    """How far what a BatchNorm keeps from training moved; m and v are its running mean and variance.

    Attributes:
        mean: of `means`, in standard deviations.
        variance: of `variances`, in nats.
        means: float32 [channels], |m1 - m0| / sqrt(v0 + epsilon).
        variances: float32 [channels], |log((v1 + epsilon) / (v0 + epsilon))|: the layer divides by sqrt(v + epsilon),
            and the variance of a dead channel is 0.
    """

    mean: float
    variance: float
    means: Floats
    variances: Floats


@dataclass(frozen=True, eq=False)
class TensorChange:
    """How far the weights of one module moved, w0 in the one checkpoint and w1 in the other; its arrays are read-only.

    Attributes:
        layer: the first call of the module.
        kind: the module's class: "Conv2d".
        distance: |w1 - w0| / |w0|, Frobenius norms over the parameters (weight, bias) whose shapes agree; 0/0 is 0.
        cosine: of w0 and w1 as vectors; NaN where one of them is 0.
        norms: |w0| and |w1|.
        channels: float32 [outputs], the same distance of each output channel: its kernel and its bias.
        cosines: float32 [outputs], the cosine of the same.
        moves: float32 [outputs], how far each moved in units of the layer's usual channel: |row1 - row0| over the root
            mean square of all |row0|. Unlike the distance it stays small where a channel was dead and still is.
        statistics: of a BatchNorm that keeps any; None for other modules.
    """

    layer: str
    kind: str
    distance: float
    cosine: float
    norms: tuple[float, float]
    channels: Floats
    cosines: Floats
    moves: Floats
    statistics: StatisticsChange | None


@dataclass(frozen=True)
class ShapeDifference:
    """A tensor that cannot be compared with that of the other checkpoint.

    Attributes:
        layer: the first call of its module.
        tensor: its name in the module: "weight".
        shape, other_shape: in the one and in the other checkpoint; None where there is no such tensor.
    """

    layer: str
    tensor: str
    shape: tuple[int, ...] | None
    other_shape: tuple[int, ...] | None


def weight_changes(one: LoadedModel, other: LoadedModel) -> tuple[TensorChange, ...]:
    """How far each module's weights moved from one checkpoint to another.

    Tensors are compared where name and shape agree: all of them for two checkpoints of one architecture, all but those
    of the head where it has another size. `differing_shapes` lists the others. Modules that are called several times
    are listed once, and modules that never run not at all.

    Args:
        one: the checkpoint that distances are measured from.
        other: where they lead.

    Returns:
        One for each module with weights or BatchNorm's statistics to compare, in the order of execution.

    Raises:
        BadInput: no tensor of the one has name and shape of one of the other.
    """
    changes = []
    for layer, mine, its in _modules(one, other):
        if shared := _shared(mine, its):
            pair = [{name: tensors[name] for name in shared} for tensors in (mine, its)]
            changes.append(_change(one.layer(layer), pair[0], pair[1], one))
    if not changes:
        raise BadInput(
            f'The weights of "{one.name}" and "{other.name}" cannot be compared: they have no layer of one name and '
            "one shape in common. Compare their answers or their layers."
        )
    return tuple(changes)


def differing_shapes(one: LoadedModel, other: LoadedModel) -> tuple[ShapeDifference, ...]:
    """The tensors that `weight_changes` leaves out: those whose shapes differ, and those that only one network has.

    Args:
        one, other: the checkpoints.

    Returns:
        In the order of execution of the one, those of modules that only the other has last.
    """
    found = []
    for layer, mine, its in _modules(one, other):
        shared = _shared(mine, its)
        found += [
            ShapeDifference(layer, name, *(tuple(each[name].shape) if name in each else None for each in (mine, its)))
            for name in dict.fromkeys((*mine, *its))
            if name not in shared
        ]
    return tuple(found)


def most_changed(changes: Sequence[TensorChange], count: int = 20) -> tuple[tuple[str, int, float], ...]:
    """The output channels that moved farthest, as (layer, channel, move of `TensorChange`), farthest first.

    Args:
        changes: of `weight_changes`.
        count: how many, at most.
    """
    found = [
        (change.layer, int(channel), float(change.moves[channel]))
        for change in changes
        for channel in np.argsort(-change.moves, kind="stable")[:count]
    ]
    return tuple(sorted(found, key=lambda one: -one[2])[:count])


def overall(changes: Sequence[TensorChange]) -> tuple[float, float]:
    """Distance and cosine, as in `TensorChange`, of all the weights compared together."""
    before, after = (hypot(*(change.norms[side] for change in changes)) for side in (0, 1))
    moved = hypot(*(change.distance * change.norms[0] if change.norms[0] else change.norms[1] for change in changes))
    products = sum(change.cosine * change.norms[0] * change.norms[1] for change in changes if all(change.norms))
    return _ratio(moved, before), products / (before * after) if before and after else float("nan")


def _modules(one: LoadedModel, other: LoadedModel) -> Iterator[tuple[str, Tensors, Tensors]]:
    """First call of each module and its numbers in both networks, those that only the other has last."""
    mine, its = _first_calls(one), _first_calls(other)
    for module in dict.fromkeys((*mine, *its)):
        yield (
            mine.get(module) or its[module],
            one.tensors(mine[module]) if module in mine else {},
            other.tensors(its[module]) if module in its else {},
        )


def _first_calls(model: LoadedModel) -> dict[str, str]:
    """Name of a module -> name of its first call, in the order of execution."""
    calls: dict[str, str] = {}
    for layer in model.layers:
        calls.setdefault(layer.name.partition(":")[0], layer.name)
    return calls


def _shared(mine: Tensors, its: Tensors) -> tuple[str, ...]:
    """Names of the tensors of one module that have one shape in both networks."""
    return tuple(name for name, values in mine.items() if name in its and values.shape == its[name].shape)


def _change(layer: LayerInfo, mine: Tensors, its: Tensors, model: LoadedModel) -> TensorChange:
    pairs = [
        (_rows(layer, mine[name]), _rows(layer, its[name]))
        for name in mine
        if name not in _STATISTICS and mine[name].size
    ]
    outputs = len(pairs[0][0]) if pairs else 0
    whole, rows = np.zeros(4), np.zeros((4, outputs))
    for one, other in pairs:
        sums = _sums(one, other)
        whole += sums.sum(1)
        if len(one) == outputs:
            rows += sums
    (distance,), (cosine,) = _compared(whole[:, None])
    channels, cosines = _compared(rows)
    usual = rows[0].mean() if outputs else 0.0
    moves, _ = _compared(np.stack([np.full(outputs, usual), *rows[1:]]))
    return TensorChange(
        layer=layer.name,
        kind=layer.kind,
        distance=float(distance),
        cosine=float(cosine),
        norms=(sqrt(whole[0]), sqrt(whole[1])),
        channels=read_only(channels.astype(np.float32)),
        cosines=read_only(cosines.astype(np.float32)),
        moves=read_only(moves.astype(np.float32)),
        statistics=_statistics(layer, mine, its, model),
    )


def _rows(layer: LayerInfo, values: Floats) -> Floats:
    """A parameter as [outputs, numbers of each]."""
    if layer.kind.startswith("ConvTranspose") and values.ndim > 1:  # [inputs, outputs / groups, ...]
        groups = max(1, layer.channels // values.shape[1])
        parts = values.reshape(groups, -1, *values.shape[1:]).swapaxes(1, 2)
        return parts.reshape(groups * values.shape[1], -1)
    return values.reshape(len(values) if values.ndim else 1, -1)


def _sums(one: Floats, other: Floats) -> NDArray[np.float64]:
    """Sums over each row, float64 [4, outputs]: of w0^2, w1^2, w0 w1 and (w1 - w0)^2."""
    found = np.empty((4, len(one)))
    step = max(1, _AT_ONCE // one.shape[1])
    for start in range(0, len(one), step):
        a, b = (table[start : start + step].astype(np.float64) for table in (one, other))
        found[:, start : start + step] = [
            np.einsum("ij,ij->i", *two) for two in ((a, a), (b, b), (a, b), (b - a, b - a))
        ]
    return found


def _compared(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances and cosines from `_sums`."""
    before, after, products, moved = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = np.where(moved == 0, 0, np.sqrt(moved / before))
        return distances, products / np.sqrt(before) / np.sqrt(after)


def _statistics(layer: LayerInfo, mine: Tensors, its: Tensors, model: LoadedModel) -> StatisticsChange | None:
    norm = model.normalisation(layer.name)
    if norm is None or any(name not in mine for name in _STATISTICS):
        return None
    mean, variance, mean_after, variance_after = (
        tensors[name].astype(np.float64) for tensors in (mine, its) for name in _STATISTICS
    )
    means = np.abs(mean_after - mean) / np.sqrt(variance + norm.epsilon)
    variances = np.abs(np.log((variance_after + norm.epsilon) / (variance + norm.epsilon)))
    return StatisticsChange(
        float(means.mean()),
        float(variances.mean()),
        read_only(means.astype(np.float32)),
        read_only(variances.astype(np.float32)),
    )


def _ratio(moved: float, before: float) -> float:
    if before:
        return moved / before
    return float("inf") if moved else 0.0

"""What changed between the weights of two checkpoints of one architecture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
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
        distance: |w1 - w0| / |w0|, Frobenius norms over all its parameters (weight and bias); 0/0 is 0.
        cosine: of w0 and w1 as vectors; NaN where one of them is 0.
        norms: |w0| and |w1|.
        channels: float32 [outputs], the same distance of each output channel: its kernel and its bias.
        cosines: float32 [outputs], the cosine of the same.
        statistics: of a BatchNorm that keeps any; None for other modules.
    """

    layer: str
    kind: str
    distance: float
    cosine: float
    norms: tuple[float, float]
    channels: Floats
    cosines: Floats
    statistics: StatisticsChange | None


def weight_changes(one: LoadedModel, other: LoadedModel) -> tuple[TensorChange, ...]:
    """How far each module's weights moved from one checkpoint to another of the same architecture.

    Modules that are called several times are listed once, and modules that never run not at all.

    Args:
        one: the checkpoint that distances are measured from.
        other: where they lead.

    Returns:
        One for each module with weights or BatchNorm's statistics of its own, in the order of execution.

    Raises:
        BadInput: the modules or the shapes of their weights differ; the first that does is named.
    """
    changes = []
    for mine, its in zip_longest(_modules(one), _modules(other)):
        told, else_told = (_described(found) for found in (mine, its))
        if mine is None or its is None or told != else_told:
            raise BadInput(
                f'The weights of "{one.name}" and "{other.name}" cannot be compared one by one: the first layer that '
                f"differs is {told} in the one and {else_told} in the other. Compare their answers or their layers."
            )
        changes.append(_change(mine[0], mine[1], its[1], one))
    return tuple(changes)


def most_changed(changes: Sequence[TensorChange], count: int = 20) -> tuple[tuple[str, int, float], ...]:
    """The output channels that moved farthest, as (layer, channel, distance), farthest first.

    Args:
        changes: of `weight_changes`.
        count: how many, at most.
    """
    found = [
        (change.layer, int(channel), float(change.channels[channel]))
        for change in changes
        for channel in np.argsort(-change.channels, kind="stable")[:count]
    ]
    return tuple(sorted(found, key=lambda one: -one[2])[:count])


def overall(changes: Sequence[TensorChange]) -> tuple[float, float]:
    """Distance and cosine, as in `TensorChange`, of all the weights together."""
    before, after = (hypot(*(change.norms[side] for change in changes)) for side in (0, 1))
    moved = hypot(*(change.distance * change.norms[0] if change.norms[0] else change.norms[1] for change in changes))
    products = sum(change.cosine * change.norms[0] * change.norms[1] for change in changes if all(change.norms))
    return _ratio(moved, before), products / (before * after) if before and after else float("nan")


def _modules(model: LoadedModel) -> Iterator[tuple[LayerInfo, Tensors]]:
    """First call and numbers of each module that has any, in the order of execution."""
    seen = set()
    for layer in model.layers:
        module = layer.name.partition(":")[0]
        if module not in seen and (tensors := model.tensors(layer.name)):
            yield layer, tensors
        seen.add(module)


def _described(found: tuple[LayerInfo, Tensors] | None) -> str:
    if found is None:
        return "none"
    layer, tensors = found
    shapes = ", ".join(f"{name} {list(values.shape)}" for name, values in tensors.items())
    return f'"{layer.name}" ({layer.kind} with {shapes})'


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
    return TensorChange(
        layer=layer.name,
        kind=layer.kind,
        distance=float(distance),
        cosine=float(cosine),
        norms=(sqrt(whole[0]), sqrt(whole[1])),
        channels=read_only(channels.astype(np.float32)),
        cosines=read_only(cosines.astype(np.float32)),
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
    if norm is None:
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

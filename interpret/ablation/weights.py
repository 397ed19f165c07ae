"""Changes of the numbers a network learned, in a private copy."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from interpret.ablation.kinds import Change, ChangeKind, Given
from interpret.ablation.parts import base, learned, norms
from interpret.answers import Normalisation
from interpret.model import LoadedModel
from interpret.tape import Edit, FromInput

_PLAIN = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d")
"""BatchNorms that do nothing else; timm's may also hold the activation."""
Statistics = tuple[torch.Tensor, torch.Tensor]
"""Mean and unbiased variance, float32 [channels] each."""


def _reinitialise(model: LoadedModel, changes: Sequence[Change], given: Given) -> LoadedModel:
    names = {name for change in changes for name in learned(model, change.layer)}
    return model.untrained(given.images, changes[0].seed, names)


def _shuffle(model: LoadedModel, changes: Sequence[Change], given: Given) -> LoadedModel:
    for change in changes:
        words = f"shuffle {change.layer} {sorted(set(change.channels))} {change.seed}"
        names = (change.layer,) if change.channels else learned(model, change.layer)
        model = model.reweighted(names, _shuffling(change), words)
    return model


def _shuffling(change: Change) -> Callable[[str, nn.Module], None]:
    def rewrite(name: str, module: nn.Module) -> None:
        for key, values in module.named_parameters(recurse=False):
            drawn = hashlib.sha256(f"{change.seed} {name}.{key}".encode()).digest()[:8]
            generator = torch.Generator().manual_seed(int.from_bytes(drawn, "big") >> 1)
            if not change.channels:
                values.copy_(_permuted(values, generator))
            elif values.ndim > 1:
                kernels = [_permuted(kernel, generator) for kernel in values]  # all, so that each has lots of its own
                for channel in set(change.channels):
                    values[channel] = kernels[channel]

    return rewrite


def _permuted(values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    order = torch.randperm(values.numel(), generator=generator).to(values.device)
    return values.flatten()[order].view(values.shape)


def _forget(model: LoadedModel, changes: Sequence[Change], given: Given) -> LoadedModel:
    def rewrite(name: str, module: Any) -> None:
        module.running_mean.zero_()
        module.running_var.fill_(1)

    names = {name for change in changes for name in norms(model, change.layer)}
    return model.reweighted(names, rewrite, f"forget {sorted(names)}")


def _recalibrate(model: LoadedModel, changes: Sequence[Change], given: Given) -> LoadedModel:
    """BatchNorms take the mean and variance of the given pictures, each after those before it have.

    As in training, a BatchNorm normalises by the batch's variance divided by the count n, and keeps it divided by
    n - 1. One pass does for all of a row of plain BatchNorms, one more for each that does more than that.

    Source: Ioffe and Szegedy 2015, algorithm 2, arXiv 1502.03167.
    """
    batch = torch.cat([model.preprocess.to_batch(image) for image in given.images])
    wanted = {name for change in changes for name in norms(model, change.layer)}
    row: list[str] = []
    waiting = [layer for layer in model.layers if layer.name in wanted]
    for layer in waiting:
        row.append(layer.name)
        if layer.kind in _PLAIN and layer is not waiting[-1]:
            continue
        found: dict[str, list[Statistics]] = {}
        model.observe(batch, row, edit={name: _measuring(model, name, found) for name in row})
        pictures = " ".join(image.digest for image in given.images)
        model = model.reweighted(row, _kept(found), f"recalibrate {row} {pictures}")
        row = []
    return model


def _measuring(model: LoadedModel, name: str, found: dict[str, list[Statistics]]) -> Edit:
    """An edit that notes a BatchNorm's statistics and, where it does nothing else, answers as one that has them."""
    norm, is_plain = model.normalisation(name), model.layer(name).kind in _PLAIN
    assert norm is not None

    def measure(output: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        axes = [axis for axis in range(given.ndim) if axis != 1]
        unbiased, mean = torch.var_mean(given, axes)
        found.setdefault(base(name), []).append((mean, unbiased))
        return _normalised(given, norm, axes) if is_plain else output

    return FromInput(measure)


def _normalised(given: torch.Tensor, norm: Normalisation, axes: Sequence[int]) -> torch.Tensor:
    variance, mean = torch.var_mean(given, list(axes), correction=0, keepdim=True)
    gamma, beta = (torch.from_numpy(each).to(given.device).view_as(mean) for each in (norm.gamma, norm.beta))
    return gamma * (given - mean) / (variance + norm.epsilon).sqrt() + beta


def _kept(found: dict[str, list[Statistics]]) -> Callable[[str, nn.Module], None]:
    """Of a module called several times, the mean of its statistics."""

    def rewrite(name: str, module: Any) -> None:
        module.running_mean.copy_(torch.stack([mean for mean, _ in found[name]]).mean(0))
        module.running_var.copy_(torch.stack([variance for _, variance in found[name]]).mean(0))

    return rewrite


def _no_weights(model: LoadedModel, change: Change) -> str:
    if change.channels:
        return f'Weights are changed of a whole layer; channels of "{change.layer}" were chosen. Choose all of them.'
    if not learned(model, change.layer):
        return f'There are no weights in "{change.layer}". Choose another layer or block.'
    return ""


def _no_kernels(model: LoadedModel, change: Change) -> str:
    info = model.layer(change.layer)
    if change.channels and not info.inputs:
        return (
            f'Layer "{info.name}" ({info.kind}) has no kernel for each channel, so those of single channels cannot be '
            "shuffled. Choose a convolution or a linear layer, or all channels."
        )
    return "" if change.channels else _no_weights(model, change)


def _no_statistics(model: LoadedModel, change: Change) -> str:
    if change.channels:
        return _no_weights(model, change)
    if not norms(model, change.layer):
        return f'There is no BatchNorm in "{change.layer}" that keeps statistics. Choose a layer or block with one.'
    return ""


WEIGHTS: tuple[ChangeKind, ...] = (
    ChangeKind(
        "reinitialise",
        "Re-initialise",
        'Zhang, Bengio and Singer 2019, "Are All Layers Created Equal?", arXiv 1902.01996',
        "weights",
        "images",
        _no_weights,
        _reinitialise,
    ),
    ChangeKind("shuffle", "Shuffle the weights", "", "weights", "", _no_kernels, _shuffle),
    ChangeKind(
        "forget",
        "Forget BatchNorm's statistics",
        "Ioffe and Szegedy 2015, algorithm 2 with mean 0 and variance 1, arXiv 1502.03167",
        "weights",
        "",
        _no_statistics,
        _forget,
    ),
    ChangeKind(
        "recalibrate",
        "Recalibrate BatchNorm",
        'Li et al. 2016, "Revisiting Batch Normalization For Practical Domain Adaptation", arXiv 1603.04779',
        "weights",
        "images",
        _no_statistics,
        _recalibrate,
    ),
)

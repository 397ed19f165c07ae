"""A checkpoint in which changes are part of the weights, for everybody's use."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from interpret.ablation.changes import changed, check, kind_of
from interpret.ablation.kinds import Change
from interpret.ablation.parts import base, within
from interpret.errors import BadInput
from interpret.images import InputImage
from interpret.layers import LayerInfo
from interpret.model import LoadedModel

_ROWS = ("Conv2d", "Linear", "BatchNorm2d")
"""Layers whose answer in a channel is 0 where its weights and its bias are."""
_ZERO_STAYS = (
    "ReLU",
    "ReLU6",
    "LeakyReLU",
    "PReLU",
    "ELU",
    "CELU",
    "SELU",
    "GELU",
    "SiLU",
    "Hardswish",
    "Mish",
    "Tanh",
)
"""Activations that answer 0 with 0."""
_PASSES = ("MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "Flatten", "Identity", *_ZERO_STAYS)
"""Layers behind which a channel of zeros still is one."""
_SAME = 1e-5
"""How far scores may be apart, as a share of the greatest."""

Rewrite = tuple[tuple[str, ...], Callable[[str, nn.Module], None]]
"""Layers, and what becomes of the weights of each."""


def export(
    model: LoadedModel, changes: Sequence[Change], path: str | Path, *, images: Sequence[InputImage] = ()
) -> Path:
    """Writes a safetensors checkpoint that answers as the changed network, and that `load_model` opens by itself.

    Changes of weights are written as they are. Channels are zeroed by rows of the weights of the layer itself or of the
    one before its activation, or else by the columns of the convolutions and linear layers that its answer goes into.
    Whether that is the same is tried on random pictures before anything is written. A user's own architecture has to be
    named again when the file is opened.

    Args:
        model: the network.
        changes: what is done to it, in order.
        path: of the file; what is there is replaced.
        images: as in `changed`.

    Returns:
        The path.

    Raises:
        UnknownName, BadInput: a change that cannot be made, or that weights cannot say; a network whose own changes or
            preprocessing a file cannot say; or the file cannot be written.
    """
    if model._edits:
        raise BadInput(
            "Answers of this network are replaced already, which weights cannot say. Export the network as it was "
            "loaded, with all changes."
        )
    metadata = _metadata(model)
    for change in changes:
        check(model, change)
        if kind_of(change).of == "answers" and change.how != "zero":
            raise BadInput(
                f"Weights cannot say what it is to {change.title}. Only zeroed channels and changed weights can be "
                "exported."
            )
    whole = changed(model, changes, images=images)
    now = replace(whole, _edits={})
    for change in changes:
        if change.how == "zero":
            now = _zeroed(now, change)
    if not _same(now, whole):
        raise BadInput("Weights cannot say what these changes are together. Export fewer of them.")
    target = Path(path)
    unfinished = target.with_name(f"{target.name}.part")
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file({name: value.contiguous() for name, value in now.weights().items()}, unfinished, metadata)
        os.replace(unfinished, target)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", "") or " ".join(str(error).split())
        raise BadInput(f'"{target}" could not be written: {reason}. Choose another folder.') from None
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def _metadata(model: LoadedModel) -> dict[str, str]:
    """What `load_model` has to be told beside the weights."""
    steps, key = model.preprocess, model.architecture.key
    usual = model.architecture.preprocess()
    height, width = steps.size
    same = ("value_range", "reverse_channels")
    if height != width or steps.resize is None or any(getattr(steps, each) != getattr(usual, each) for each in same):
        raise BadInput(
            f"A checkpoint cannot say that pictures are {steps.described}. Export the network with square input, cut "
            "out of the middle."
        )
    return {
        "arch": key.removeprefix("timm/"),
        "library": model.architecture.library,
        "num_classes": str(len(model.labels)),
        "labels": json.dumps(model.labels, ensure_ascii=False),
        "input_size": str(height),
        "resize": str(steps.resize),
        "interpolation": steps.interpolation,
        "mean": json.dumps(steps.mean),
        "std": json.dumps(steps.std),
    }


def _zeroed(model: LoadedModel, change: Change) -> LoadedModel:
    """A copy whose weights do what zeroing does, the first of those that could that really does."""
    wanted = changed(model, [change])
    for layers, rewrite in _ways(model, change):
        copy = model.reweighted(layers, rewrite, f"{change.title} in {layers}")
        if _same(copy, wanted):
            return copy
    raise BadInput(
        f"Weights cannot say what it is to {change.title}: it is neither the answer of a convolution, a linear layer "
        "or a BatchNorm, nor does it go into such layers alone. Choose the layer before it."
    )


def _same(one: LoadedModel, other: LoadedModel) -> bool:
    """Whether two networks answer alike to random pictures."""
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(2, one.preprocess.channels, *one.preprocess.size, generator=generator)
    mine, its = (each.observe(batch, until="scores").scores for each in (one, other))
    assert mine is not None and its is not None
    return float((mine - its).abs().max()) <= _SAME * float(its.abs().max())


def _ways(model: LoadedModel, change: Change) -> Iterator[Rewrite]:
    """Rewritings that may do what zeroing does: rows of what makes the answer, columns of what it goes into."""
    info = _innermost(model, model.layer(change.layer))
    channels = list(change.channels or range(info.channels))
    maker = info
    while maker.kind in _ZERO_STAYS and maker.origin and len(maker.origin.names) == 1 and maker.origin.names[0]:
        maker = _innermost(model, model.layer(maker.origin.names[0]))
    if maker.kind in _ROWS:
        yield (maker.name,), _rows(channels)
    users = _users(model, info)
    if users:
        yield tuple(users), _columns(channels, info.channels)


def _innermost(model: LoadedModel, info: LayerInfo) -> LayerInfo:
    """The layer in a container that made the container's answer, where the one is just the other."""
    while len(within(model, info.name)) > 1 and info.made and info.made.exact and len(info.made.names) == 1:
        name = info.made.names[0]
        if not name.startswith(f"{base(info.name)}."):
            break
        info = model.layer(name)
    return info


def _users(model: LoadedModel, info: LayerInfo) -> list[str]:
    """The convolutions and linear layers that a layer's answer goes into; [] where it goes elsewhere, too."""
    found: list[str] = []
    waiting, seen = [info], {info.name}
    while waiting:
        layer = waiting.pop()
        names = {each.name for each in model.layers if _innermost(model, each) is layer}  # containers that end with it
        if any(names & set(branch) for join in model.joins for branch in join.branches):
            return []
        for each in model.layers:
            used = not names.isdisjoint(each.origin.names) if each.origin else _laid_in_a_row(model, layer, each)
            if not used or each.name in seen or len(within(model, each.name)) > 1:  # what is in a container uses it
                continue
            seen.add(each.name)
            if each.inputs:
                found.append(each.name)
            elif each.kind in _PASSES:
                waiting.append(each)
            else:
                return []
    return found


def _laid_in_a_row(model: LoadedModel, layer: LayerInfo, user: LayerInfo) -> bool:
    """Whether a linear layer may be given the places of all channels of a map: nothing tells where they come from."""
    later = model.layers.index(user) > model.layers.index(layer)
    return later and layer.is_spatial and user.inputs == math.prod(layer.shape)


def _rows(channels: Sequence[int]) -> Callable[[str, nn.Module], None]:
    def rewrite(name: str, module: Any) -> None:
        for values in (module.weight, module.bias):
            if values is not None:
                values[list(channels)] = 0

    return rewrite


def _columns(channels: Sequence[int], count: int) -> Callable[[str, nn.Module], None]:
    """Of a layer that is given `count` channels, or that many times the places of each, laid in a row."""

    def rewrite(name: str, module: Any) -> None:
        weight = module.weight
        if isinstance(module, nn.Conv2d):
            each, outputs = module.in_channels // module.groups, module.out_channels // module.groups
            for channel in channels:
                group = channel // each
                weight[group * outputs : (group + 1) * outputs, channel % each] = 0
        elif weight.shape[1] % count == 0:
            weight.view(len(weight), count, -1)[:, list(channels)] = 0

    return rewrite

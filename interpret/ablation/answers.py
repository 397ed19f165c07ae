"""Changes of what a layer answers, in every pass."""

from __future__ import annotations

from collections.abc import Callable

import torch

from interpret.ablation.kinds import Change, ChangeKind, Given
from interpret.ablation.parts import gates, meant, residual_branch, shapes_given
from interpret.errors import BadInput
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.tape import Edit, FromInput


def _replacing(info: LayerInfo, change: Change, values: Callable[[torch.Tensor], torch.Tensor]) -> Edit:
    """An edit that puts `values(output)`, of its shape or broadcast to it, into the channels of a change."""

    def edit(output: torch.Tensor) -> torch.Tensor:
        return _put(info, change, output, values(output))

    return edit


def _put(info: LayerInfo, change: Change, output: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    values = values.to(output.device)
    if change.channels:
        chosen = torch.zeros(info.channels, dtype=torch.bool, device=output.device)
        chosen[list(change.channels)] = True
        return torch.where(_along_channels(info, chosen), values, output)
    return torch.empty_like(output).copy_(values)  # in memory of its own: the next module may work in place


def _along_channels(info: LayerInfo, values: torch.Tensor) -> torch.Tensor:
    """[channels] as a shape that an output [n, ...] broadcasts with."""
    return values if info.layout in ("channels last", "vector") else values.view(-1, *[1] * (len(info.shape) - 1))


def _constant(value: float) -> Callable[[LoadedModel, Change, Given], dict[str, Edit]]:
    def constant(model: LoadedModel, change: Change, given: Given) -> dict[str, Edit]:
        return {change.layer: _replacing(model.layer(change.layer), change, lambda _: torch.tensor(value))}

    return constant


def _mean(model: LoadedModel, change: Change, given: Given) -> dict[str, Edit]:
    info = model.layer(change.layer)
    mean = _along_channels(info, torch.from_numpy(given.usual[change.layer].mean.copy()))
    return {change.layer: _replacing(info, change, lambda _: mean)}


def _noise(model: LoadedModel, change: Change, given: Given) -> dict[str, Edit]:
    info, found = model.layer(change.layer), given.usual[change.layer]
    mean, deviation = (_along_channels(info, torch.from_numpy(each.copy())) for each in (found.mean, found.deviation))

    def drawn(output: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(change.seed)
        return mean + deviation * torch.randn(output.shape[1:], generator=generator)

    return {change.layer: _replacing(info, change, drawn)}


def _donor(model: LoadedModel, change: Change, given: Given) -> dict[str, Edit]:
    assert given.donor is not None
    answer = model.observe(model.preprocess.to_batch(given.donor), [change.layer])[change.layer]
    return {change.layer: _replacing(model.layer(change.layer), change, lambda _: answer)}


def _bypass(model: LoadedModel, change: Change, given: Given) -> dict[str, Edit]:
    """See CHANGES.

    Raises:
        BadInput: the layer is given other shapes than it answers with, and it is no residual block with a shortcut.
    """
    layer = change.layer
    names = meant(model, layer)
    entering = shapes_given(model, names)
    if all(entering.get(name) == model.layer(name).shape for name in names):

        def passing(info: LayerInfo) -> Edit:
            return FromInput(lambda output, given: _put(info, change, output, given))

        return {name: passing(model.layer(name)) for name in names}
    branch = residual_branch(model, layer)
    if branch:
        return {name: _replacing(model.layer(name), change, lambda _: torch.tensor(0.0)) for name in branch}
    if layer not in entering:
        raise BadInput(f'Layer "{layer}" is not given one tensor, so it cannot answer with what it is given.')
    raise BadInput(
        f'Layer "{layer}" is given {list(entering[names[0]])} and answers with {list(model.layer(layer).shape)}, so it '
        "cannot be bypassed: only what keeps the shape can, and a residual block that has a shortcut of its own."
    )


def _never(model: LoadedModel, change: Change) -> str:
    return ""


def _no_channels(model: LoadedModel, change: Change) -> str:
    info = model.layer(change.layer)
    if info.layout != "other":
        return ""
    return (
        f'Layer "{info.name}" answers with shape {list(info.shape)}, which is neither map nor vector, so nothing is '
        "usual for its channels. Zero it, or choose another layer."
    )


def _no_gate(model: LoadedModel, change: Change) -> str:
    if change.layer in gates(model):
        return ""
    return (
        f'Layer "{change.layer}" is no gate by whose answer a map is multiplied channel by channel, so there is '
        "nothing to open. Choose the last layer of a squeeze-and-excitation gate."
    )


def _no_way_past(model: LoadedModel, change: Change) -> str:
    try:
        _bypass(model, change, Given())
    except BadInput as error:
        return str(error)
    return ""


_MORCOS = 'Morcos et al. 2018, "On the importance of single directions for generalization", arXiv 1803.06959'
ANSWERS: tuple[ChangeKind, ...] = (
    ChangeKind("zero", "Zero", _MORCOS, "answers", "", _never, _constant(0.0)),
    ChangeKind("mean", "Mean over a data set", f"{_MORCOS}, appendix", "answers", "usual", _no_channels, _mean),
    ChangeKind(
        "noise",
        "Noise as usual in mean and deviation",
        f"{_MORCOS}. Differs: it replaces the answer, it is not added to it",
        "answers",
        "usual",
        _no_channels,
        _noise,
    ),
    ChangeKind(
        "donor",
        "Answer to another picture",
        'Vig et al. 2020, "Causal Mediation Analysis for Interpreting Neural NLP", arXiv 2004.12265',
        "answers",
        "donor",
        _never,
        _donor,
    ),
    ChangeKind(
        "open",
        "Open the gate",
        'Hu et al. 2018, "Squeeze-and-Excitation Networks", equation 4 with s = 1, arXiv 1709.01507',
        "answers",
        "",
        _no_gate,
        _constant(1.0),
    ),
    ChangeKind(
        "bypass",
        "Bypass",
        'Veit, Wilber and Belongie 2016, "Residual Networks Behave Like Ensembles of Relatively Shallow Networks", '
        "arXiv 1605.06431",
        "answers",
        "",
        _no_way_past,
        _bypass,
    ),
)
"""Bypassed, a layer or block answers with what it was given; a residual block that changes the shape, with what its
shortcut makes of that."""

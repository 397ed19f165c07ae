"""The one look through a network when it is loaded: its layers, its joins and where it says the class scores."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from interpret.errors import BadCheckpoint
from interpret.flow import Follow, Join
from interpret.images import Preprocess
from interpret.layers import LayerInfo, describe
from interpret.runtime import Runtime
from interpret.tape import Recording, recording

_PASSED_THROUGH = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


@dataclass(frozen=True)
class Output:
    """One of the tensors a network answers with.

    Attributes:
        name: its key or place in what the network returns ("boxes", "1"); "" where it returns one tensor.
        shape: for one picture.
    """

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Looked:
    """What one look through a network found; the attributes are those of `LoadedModel`."""

    layers: tuple[LayerInfo, ...]
    joins: tuple[Join, ...]
    outputs: tuple[Output, ...]
    head: int
    classes: int
    rewritten: frozenset[str]


_look_lock = threading.Lock()


def look_through(
    network: nn.Module, steps: Preprocess, classes: int, runtime: Runtime, heads: Collection[str] = ()
) -> Looked:
    """Layers in order of execution, those rewritten in place, and which of the outputs holds the class scores.

    One pass of a grey picture. Which axis holds the channels is not guessed: where a module works on the last axis, a
    second pass of a larger picture shows which axes grow with it. Where several outputs have as many numbers as there
    are classes, the one that comes straight out of a module with class weights is taken.

    Args:
        network: in eval mode, with the hooks of `tape.install`.
        steps: says how large a picture is and how many channels it has.
        classes: how many; 0 where only the output tells.
        runtime: where it runs.
        heads: names of the parameters whose first axis counts the classes.

    Raises:
        BadCheckpoint: it does not run on such a picture, or answers without class scores.
    """
    calls: list[tuple[str, nn.Module, torch.Tensor, int]] = []
    flow = Follow()

    def note(layer: str, module: nn.Module, output: Any) -> None:
        is_named = isinstance(output, torch.Tensor) and not isinstance(module, _PASSED_THROUGH)
        flow.left(layer, output, is_named)
        if is_named:
            calls.append((layer, module, output, output._version))

    def run(height: int, width: int) -> Any:
        batch = torch.zeros(1, steps.channels, height, width, device=runtime.device)
        batch = batch.contiguous(memory_format=torch.channels_last)
        flow.start(batch)
        with torch.no_grad(), recording(Recording(entering=flow.entered, every=note)), flow:
            return network(batch)

    with _look_lock:
        try:
            outputs = named_outputs(run(*steps.size))
        except Exception as error:  # a user's own forward may raise anything
            raise BadCheckpoint(
                f"The network does not run on a picture of {steps.size[1]} x {steps.size[0]} pixels with "
                f"{steps.channels} channels: {' '.join(str(error).split())[:200]}. Set another input size."
            ) from None
        first_calls, found = calls, flow
        last_axis = any(
            output.ndim == 4 and isinstance(module, nn.LayerNorm | nn.Linear) and "2d" not in type(module).__name__
            for _, module, output, _ in calls
        )
        grown: dict[str, tuple[int, ...]] = {}
        if last_axis:
            calls, flow = [], Follow()
            try:
                run(2 * steps.size[0], 2 * steps.size[1])
            except Exception:  # made for one size only; then the usual layout is taken
                calls = []
            grown = {layer: tuple(output.shape) for layer, _, output, _ in calls}
    head = _head_of(outputs, first_calls, classes, heads)
    pooled = {id(output) for _, module, output, _ in first_calls if "Pool" in type(module).__name__}
    layers = tuple(
        describe(layer, module, output, grown.get(layer), steps.size[0], id(output) in pooled, found.calls[layer])
        for layer, module, output, _ in first_calls
    )
    rewritten = frozenset(layer for layer, _, output, version in first_calls if output._version != version)
    named = tuple(Output(name, tuple(output.shape[1:])) for name, output in outputs)
    return Looked(layers, tuple(found.joins), named, head, int(outputs[head][1][0].numel()), rewritten)


def _head_of(
    outputs: Sequence[tuple[str, torch.Tensor]],
    calls: Sequence[tuple[str, nn.Module, torch.Tensor, int]],
    classes: int,
    heads: Collection[str],
) -> int:
    made_by_heads = {id(output) for layer, _, output, _ in calls if f"{layer}.weight" in heads}
    suited = [
        number
        for number, (_, output) in enumerate(outputs)
        if output.ndim >= 2
        and len(output) == 1
        and (output[0].numel() == classes or (not classes and output.ndim == 2))
    ]
    if not suited:
        found = ", ".join(str(list(output.shape)) for _, output in outputs) or "no tensor"
        wanted = f"a vector of {classes} class scores" if classes else "a vector of class scores"
        raise BadCheckpoint(f"The network answers with {found}; {wanted} was expected.")
    return min(suited, key=lambda i: (id(outputs[i][1]) not in made_by_heads, outputs[i][1].ndim != 2, i))


def named_outputs(output: Any, name: str = "") -> list[tuple[str, torch.Tensor]]:
    """The tensors in what a network returns, with their keys or places."""
    if isinstance(output, torch.Tensor):
        return [(name, output)]
    if isinstance(output, Mapping):
        pairs = [(str(key), value) for key, value in output.items()]
    else:
        pairs = [(str(i), value) for i, value in enumerate(output if isinstance(output, tuple | list) else ())]
    return [found for key, value in pairs for found in named_outputs(value, f"{name}.{key}" if name else key)]

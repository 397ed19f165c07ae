"""What every layer of a network answers, without hooks and in float64: nothing of Loupe takes part."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from interpret.images import InputImage
from interpret.model import LoadedModel


def every_answer(network: nn.Module, batch: torch.Tensor, gates: Sequence[str] = ()) -> dict[str, torch.Tensor]:
    """The output of every call of every module, float64, as it was before anything could write into it.

    Args:
        network: is not changed; a copy of it has each module's `forward` replaced by one that takes a note.
        batch: [n, channels, height, width].
        gates: classes of modules that are to hand on half of what they are given instead.
    """
    noted: dict[str, torch.Tensor] = {}
    calls: dict[str, int] = {}
    copied = copy.deepcopy(network).double()

    def noting(name: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*inputs: Any, **named: Any) -> Any:
            output = forward(*inputs, **named)
            call = calls[name] = calls.get(name, -1) + 1
            if isinstance(output, torch.Tensor):
                noted[f"{name}:{call}" if call else name] = output.clone()
            return output

        return wrapped

    for name, module in copied.named_modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
        if name:
            forward = (lambda x: 0.5 * x) if type(module).__name__ in gates else module.forward
            module.forward = noting(name, forward)  # type: ignore[method-assign]
    with torch.no_grad():
        copied(batch.double())
    return noted


def reached(
    network: nn.Module, shape: Sequence[int], rows: Sequence[int], columns: Sequence[int], gates: Sequence[str] = ()
) -> dict[str, torch.Tensor]:
    """Which outputs change with a row or a column of the input: by layer, bool [rows + columns, ...].

    Every pixel of one row or column is made not-a-number; whatever is computed from it becomes that too. In float64,
    where PyTorch computes convolutions patch by patch.

    Args:
        network: is not changed.
        shape: (channels, height, width) of the input.
        rows, columns: which ones to try, one picture each.
        gates: as in `every_answer`.
    """
    batch = torch.zeros(len(rows) + len(columns), *shape, dtype=torch.float64)
    for at, row in enumerate(rows):
        batch[at, :, row] = torch.nan
    for at, column in enumerate(columns, len(rows)):
        batch[at, :, :, column] = torch.nan
    return {name: output.isnan() for name, output in every_answer(network, batch, gates).items()}


def assert_every_layer_is(model: LoadedModel, network: nn.Module, image: InputImage) -> None:
    """Every layer of a loaded network answers what the plain network's float64 copy does."""
    batch = model.preprocess.to_batch(image)
    expected = every_answer(network, batch)
    names = [layer.name for layer in model.layers]
    tape = model.observe(batch, names, until="scores")
    for name in names:
        largest = float(expected[name].abs().max())
        assert float((tape[name].cpu().double() - expected[name]).abs().max()) <= 5e-3 * largest, name


def assert_fields_are_what_reaches(model: LoadedModel, network: nn.Module, gates: Sequence[str] = ()) -> None:
    """Every unit of every layer with places sees just those rows and columns of the input that change it.

    Args:
        model: the loaded network.
        network: the plain one.
        gates: classes of modules by which everything reaches everything; they are taken out, to see the rest.
    """
    height, width = model.preprocess.size
    rows, columns = (0, height // 3, height - 1), (1, width // 2)
    shape = (model.preprocess.channels, height, width)
    through = reached(network, shape, rows[:1], ())
    changed = reached(network, shape, rows, columns, gates)
    for layer in model.layers:
        if not layer.is_spatial:
            continue
        reach = layer.reach
        assert reach is not None, f"the field of {layer.name} is not known"
        tops = reach.rows[reach.part, :, 0]
        if reach.everywhere or bool(through[layer.name].all()):  # of the first row alone all is known
            assert through[layer.name].all() and (reach.everywhere or (tops == 0).all()), layer.name
        if layer.name not in changed:  # inside a gate
            continue
        found = layer.channels_first(changed[layer.name]).numpy()
        (tops, bottoms), (lefts, rights) = (
            np.moveaxis(spans[reach.part], -1, 0) for spans in (reach.rows, reach.columns)
        )
        for at, row in enumerate(rows):
            sees = (tops <= row) & (row <= bottoms)
            assert (found[at] == sees[:, :, None]).all(), f"{layer.name}, input row {row}"
        for at, column in enumerate(columns, len(rows)):
            sees = (lefts <= column) & (column <= rights)
            assert (found[at] == sees[:, None, :]).all(), f"{layer.name}, input column {column}"

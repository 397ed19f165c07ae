"""The hooks, and nothing else.

Forward hooks are installed once, when a network is loaded, and do nothing unless the calling context has a recording
open. So any number of threads may run the same network: each sees its own recording (a ContextVar), and nothing is
added to or taken from the shared modules while they run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class FromInput:
    """An edit that also looks at what the layer was given, as it was then: function(output, input)."""

    function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


Edit = Callable[[torch.Tensor], torch.Tensor] | FromInput
"""A function of a layer's output [n, ...] that replaces it."""


def apply(edit: Edit, output: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    """What a layer answers under an edit, having been given `given`."""
    return edit.function(output, given) if isinstance(edit, FromInput) else edit(output)


def then(first: Edit, second: Edit) -> Edit:
    """One edit after another."""
    return FromInput(lambda output, given: apply(second, apply(first, output, given), given))


class Enough(BaseException):
    """Raised inside a pass once everything asked for is recorded; never leaves `model.py`."""


@dataclass
class Recording:
    """What one pass is to record and what it recorded.

    A layer is a call of a module: `relu` is the module's first call in a pass, `relu:1` its second.

    Attributes:
        keep: the layers wanted.
        edits: layer -> function applied to its output before anything else sees it.
        clone: layers whose output an in-place operation rewrites later; these are recorded as clones.
        leaves: make every wanted output that has no graph yet the start of one.
        stop: end the pass once all wanted layers are there.
        entering: called with (layer, inputs) before every call, and `every` with (layer, module, output) after it;
            used where a pass is followed rather than recorded.
    """

    keep: frozenset[str] = frozenset()
    edits: Mapping[str, Edit] = field(default_factory=dict)
    clone: Collection[str] = ()
    leaves: bool = False
    stop: bool = False
    entering: Callable[[str, Any], None] | None = None
    every: Callable[[str, nn.Module, Any], None] | None = None
    outputs: dict[str, torch.Tensor] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    _entered: dict[str, int] = field(default_factory=dict)
    _given: dict[str, torch.Tensor] = field(default_factory=dict)
    _calls: dict[str, int] = field(default_factory=dict)

    def entered(self, name: str, inputs: Any) -> None:
        """Takes note of a call that begins, where anybody wants to know."""
        if self.entering is None and not self.edits:
            return
        call = self._entered.get(name, 0)
        self._entered[name] = call + 1
        layer = f"{name}:{call}" if call else name
        if isinstance(self.edits.get(layer), FromInput) and inputs and isinstance(inputs[0], torch.Tensor):
            self._given[layer] = inputs[0].clone()  # the module may work in place
        if self.entering is not None:
            self.entering(layer, inputs)

    def passed(self, name: str, module: nn.Module, output: Any) -> Any:
        """Takes note of one call; returns what the network is to go on with."""
        call = self._calls.get(name, 0)
        self._calls[name] = call + 1
        layer = f"{name}:{call}" if call else name
        if self.every is not None:
            self.every(layer, module, output)
        if not isinstance(output, torch.Tensor):
            return output
        if layer in self.edits:
            output = apply(self.edits[layer], output, self._given.pop(layer, output))
        if layer in self.keep:
            if self.leaves and not output.requires_grad:
                output = output.detach().requires_grad_()
            self.outputs[layer] = output
            if layer in self.clone:
                if torch.is_grad_enabled():
                    output = output.clone()
                else:
                    self.outputs[layer] = output.clone()
            self.versions[layer] = self.outputs[layer]._version
            if self.stop and len(self.outputs) == len(self.keep):
                raise Enough
        return output

    def rewritten(self) -> set[str]:
        """Layers whose recorded output was changed in place after it was recorded."""
        return {layer for layer, output in self.outputs.items() if output._version != self.versions[layer]}


_open: ContextVar[Recording | None] = ContextVar("interpret_recording", default=None)


@contextmanager
def recording(record: Recording) -> Iterator[Recording]:
    """Opens a recording for the network passes of this thread and context."""
    token = _open.set(record)
    try:
        yield record
    finally:
        _open.reset(token)


def install(network: nn.Module) -> None:
    """Puts the two permanent hooks on every module below the root. To be called once per network."""
    for name, module in network.named_modules():
        if name:
            module.register_forward_pre_hook(_before(name))
            module.register_forward_hook(_after(name))


def _before(name: str) -> Callable[[nn.Module, Any], None]:
    def before(module: nn.Module, inputs: Any) -> None:
        record = _open.get()
        if record is not None:
            record.entered(name, inputs)

    return before


def _after(name: str) -> Callable[[nn.Module, Any, Any], Any]:
    def after(module: nn.Module, inputs: Any, output: Any) -> Any:
        record = _open.get()
        return None if record is None else record.passed(name, module, output)

    return after

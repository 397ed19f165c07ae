"""Watching the operations of one pass."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from interpret.flow import rules
from interpret.flow.found import Call, ConvolutionCall, Followed, Join, JoinKind, Origin
from interpret.reach import whole_input


@dataclass(eq=False)
class Follow(TorchDispatchMode):
    """Watches the operations of one pass while it is active (a context manager).

    Attributes:
        keep: numbers of the joins whose tensors are wanted.
        keep_convolutions: layers whose convolution is wanted.
        calls: by layer, once its module has answered.
        joins: in the order they happen.
        joined: number of a join -> copies of its operands, then its result.
        convolutions: by layer.
    """

    keep: Collection[int] = ()
    keep_convolutions: Collection[str] = ()
    calls: dict[str, Call] = field(default_factory=dict)
    joins: list[Join] = field(default_factory=list)
    joined: dict[int, tuple[torch.Tensor, ...]] = field(default_factory=dict)
    convolutions: dict[str, ConvolutionCall] = field(default_factory=dict)
    _open: list[tuple[str, Origin | None, int]] = field(default_factory=list)
    _total: int = 0

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._known: Any = WeakTensorKeyDictionary()

    def start(self, batch: torch.Tensor) -> None:
        """Names the network's input: [1, channels, height, width]."""
        self._known[batch] = Followed(whole_input(*batch.shape[1:]), Origin(("",)))

    def entered(self, layer: str, inputs: Iterable[Any]) -> None:
        """A module is called."""
        tensors = [value for value in tree_leaves(inputs) if isinstance(value, torch.Tensor)]
        origins = [known.origin for known in self._of(tensors)]
        origin = origins[0] if origins else None
        if len(origins) > 1 and all(origins):  # such as the list of features a dense layer gets
            names = tuple(name for each in origins if each for name in each.names)
            origin = Origin(names, "concatenation", exact=all(each.exact for each in origins if each))
        self._open.append((layer, origin, self._total))

    def left(self, layer: str, output: Any, is_named: bool = True) -> None:
        """The module entered last has answered; with `is_named` false it passes on the name of what it was given."""
        _, origin, before = self._open.pop()
        known = self._known.get(output) if isinstance(output, torch.Tensor) else None
        made, seen = (known.origin, known.field) if known else (None, None)
        self.calls[layer] = Call(origin, made, self._total - before, seen)
        if known and is_named:
            self._known[output] = replace(known, origin=Origin((layer,)))

    def _of(self, tensors: Iterable[torch.Tensor]) -> list[Followed]:
        return [self._known[tensor] for tensor in tensors if tensor in self._known]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
        data = [tensor for tensor in tensors if tensor in self._known]
        known = self._of(data)
        name = func.overloadpacket.__name__
        join = self._join(name, known, data)
        wanted = join is not None and len(self.joins) in self.keep
        copies = tuple(tensor.clone() for tensor in data) if wanted else ()
        if name == "convolution" and self._open and self._open[-1][0] in self.keep_convolutions:
            self.convolutions[self._open[-1][0]] = rules.carried_out(args)
        output = func(*args, **kwargs)
        self._total += rules.multiply_adds(name, tensors, output)
        if join is not None:
            if wanted:
                self.joined[len(self.joins)] = (*copies, output.clone())
            self.joins.append(join)
        if known:
            outputs = [value for value in tree_leaves(output) if isinstance(value, torch.Tensor)]
            for number, value in enumerate(outputs):
                try:
                    after = rules.after(func, name, args, kwargs, known, data, value, number, join)
                except Exception:  # a form of the operation not met before; a network must open all the same
                    after = Followed(None)
                self._known[value] = after
        return output

    def _join(self, name: str, known: Sequence[Followed], data: Sequence[torch.Tensor]) -> Join | None:
        kind: JoinKind
        if name == "cat" and len(known) > 1:
            kind = "concatenation"
        elif len(known) == 2 and known[0].origin != known[1].origin:
            small = [tensor.numel() < other.numel() for tensor, other in zip(data, reversed(data), strict=True)]
            if name.startswith("mul") and any(small):
                kind = "gate"
            elif name in ("add", "add_") and not any(small):
                kind = "sum"
            else:
                return None
        else:
            return None
        inside = self._open[-1][0] if self._open else ""
        origins = [each.origin or Origin((), exact=False) for each in known]
        return Join(kind, inside, tuple(each.names for each in origins), tuple(each.exact for each in origins))

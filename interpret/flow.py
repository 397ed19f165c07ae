"""Following one pass through a network, operation by operation: receptive fields, multiply-adds, what feeds what.

Modules tell only what they answer. Where a residual block adds its branches, what an inception module concatenates and
which pixels reach a place is between them, in operations of whatever code stands in `forward`. So a pass is watched
below the modules, at the operations PyTorch really runs; nothing about the network's code is assumed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from interpret.reach import (
    Field,
    cut,
    met,
    mixed,
    padded,
    pooled_to,
    side_by_side,
    whole_input,
    windowed,
    with_constants,
)

JoinKind = Literal["sum", "concatenation", "gate"]


@dataclass(frozen=True)
class Origin:
    """Where a tensor comes from, as far as layers tell.

    Attributes:
        names: the layers it was made of, in order; "" stands for the network's input.
        how: how several were joined: "sum", "concatenation" or "gate" (a product with one number per channel).
        first: which channel of the layer is the tensor's first, where it is a part of one.
        exact: the tensor is what the layer answered, or the join of such; False where functions came between.
    """

    names: tuple[str, ...]
    how: JoinKind | None = None
    first: int = 0
    exact: bool = True


@dataclass(frozen=True)
class Join:
    """A place where branches meet.

    Attributes:
        kind: "sum", "concatenation" or "gate".
        inside: the layer in whose own code it happens; "" for the network's.
        branches: for each operand, the layers it was made of.
        exact: for each operand, whether it is just what its layer answered, or some channels of it.
    """

    kind: JoinKind
    inside: str
    branches: tuple[tuple[str, ...], ...]
    exact: tuple[bool, ...]


@dataclass(frozen=True)
class Call:
    """What was found of one call of a module: see `LayerInfo` for `origin`, `made` and `multiply_adds`."""

    origin: Origin | None
    made: Origin | None
    multiply_adds: int
    field: Field | None


@dataclass(frozen=True, eq=False)
class ConvolutionCall:
    """A convolution as it was really carried out, after whatever its module did to picture and kernel.

    output[o, i, j] = bias[o] + sum over c, a, b of kernel[o, c, a, b] * input[g + c, i s - p + a d, j s - p + b d]

    with g the first channel of the output's group, s the stride, p the padding (outside stands zero), d the dilation.

    Attributes:
        input: [n, channels, rows, columns].
        kernel: [outputs, channels / groups, rows, columns].
        bias: [outputs] or None.
        stride, padding, dilation: (rows, columns).
        groups: separate sets of channels.
    """

    input: torch.Tensor
    kernel: torch.Tensor
    bias: torch.Tensor | None
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


@dataclass(frozen=True, eq=False)
class _Followed:
    """What is known of a tensor: its field (None: it depends on the input, but not by places), and its origin."""

    field: Field | None
    origin: Origin | None = None
    lead: tuple[int, ...] = ()
    """For a matrix made of a map by laying its places in rows: the map's shape without its last axis."""


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
        self._known[batch] = _Followed(whole_input(*batch.shape[1:]), Origin(("",)))

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

    def _of(self, tensors: Iterable[torch.Tensor]) -> list[_Followed]:
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
            self.convolutions[self._open[-1][0]] = _carried_out(args)
        output = func(*args, **kwargs)
        self._total += _multiply_adds(name, tensors, output)
        if join is not None:
            if wanted:
                self.joined[len(self.joins)] = (*copies, output.clone())
            self.joins.append(join)
        if known:
            outputs = [value for value in tree_leaves(output) if isinstance(value, torch.Tensor)]
            for number, value in enumerate(outputs):
                try:
                    after = self._after(func, name, args, kwargs, known, data, value, number, join)
                except Exception:  # a form of the operation not met before; a network must open all the same
                    after = _Followed(None)
                self._known[value] = after
        return output

    def _join(self, name: str, known: Sequence[_Followed], data: Sequence[torch.Tensor]) -> Join | None:
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

    def _after(
        self,
        func: Any,
        name: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        known: Sequence[_Followed],
        data: Sequence[torch.Tensor],
        output: torch.Tensor,
        number: int,
        join: Join | None,
    ) -> _Followed:
        first = known[0]
        if join is not None:
            origin = _joined(join, known)
        else:
            origin = replace(first.origin, exact=first.origin.exact and name in _EXACT) if first.origin else None
        if name in _PLACE_BY_PLACE or torch.Tag.pointwise in func.tags:
            return _pointwise(known, data, output, origin)
        if name == "cat":
            return _concatenated(known, args, kwargs, origin)
        rule = _RULES.get(name)
        return rule(first, args, kwargs, output, number, origin) if rule else _Followed(None)


def _carried_out(args: tuple[Any, ...]) -> ConvolutionCall:
    stride, padding, dilation = ((both[0], both[1]) for both in (_pair(args[at]) for at in (3, 4, 5)))
    return ConvolutionCall(args[0].clone(), args[1], args[2], stride, padding, dilation, int(args[8]))


def _joined(join: Join, known: Sequence[_Followed]) -> Origin | None:
    if not all(each.origin for each in known):
        return None
    flat: list[str] = []
    for each in known:
        assert each.origin is not None
        if each.origin.how not in (None, join.kind) or each.origin.first:
            return None
        flat += each.origin.names
    return Origin(tuple(flat), join.kind, exact=all(each.origin.exact for each in known if each.origin))


def _multiply_adds(name: str, tensors: Sequence[torch.Tensor], output: Any) -> int:
    """Multiply-adds of an operation: those of convolutions and matrix products; the rest counts nothing."""
    if name == "convolution":
        return int(output.numel() * tensors[1][0].numel())
    if name in ("mm", "addmm", "bmm", "baddbmm"):
        return int(output.numel() * tensors[-2].shape[-1])
    if name == "linear":
        return int(output.numel() * tensors[1].shape[-1])
    return 0


_EXACT = {
    "clone", "detach", "alias", "contiguous", "dropout", "native_dropout", "_to_copy", "as_strided_", "permute",
    "slice", "split", "split_with_sizes",
}  # fmt: skip
"""Operations whose result holds the same channels in the same order, or some of them."""

_PLACE_BY_PLACE = _EXACT - {"permute", "slice", "split", "split_with_sizes"} | {
    "native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm", "miopen_batch_norm", "batch_norm",
    "relu_", "hardtanh", "hardtanh_", "hardswish", "hardswish_", "silu_", "hardsigmoid_", "leaky_relu", "leaky_relu_",
    "elu", "elu_", "celu", "gelu_", "prelu", "_prelu_kernel", "softplus", "copy_", "rrelu_with_noise",
    "mish_", "sigmoid_", "tanh_",
}  # fmt: skip
"""Operations on each place alone that do not carry PyTorch's tag for them."""


def _pointwise(
    known: Sequence[_Followed], data: Sequence[torch.Tensor], output: torch.Tensor, origin: Origin | None
) -> _Followed:
    """Each place of the result depends on that place of the operands; an operand of one place is seen everywhere."""
    full = [
        (each, tensor)
        for each, tensor in zip(known, data, strict=True)
        if tensor.ndim == output.ndim and each.field and _places(tensor, each.field) == _places(output, each.field)
    ]
    if not full:
        lead = known[0].lead if len(known) == 1 and data[0].shape == output.shape else ()
        return _Followed(known[0].field if lead else None, origin, lead)
    whole = full[0][0].field
    assert whole is not None
    for each, _ in full[1:]:
        assert each.field is not None
        whole = met(whole, each.field)
    others = [tensor for tensor in data if not any(tensor is each for _, each in full)]
    if any(_places(tensor, whole) == _places(output, whole) for tensor in others if tensor.ndim == output.ndim):
        return _Followed(None, origin)  # it has places of its own, and what they see is not known
    if others:
        whole = replace(whole, everywhere=True)
    return _Followed(whole, origin)


def _places(tensor: torch.Tensor, field: Field) -> tuple[int, ...]:
    return tuple(tensor.shape[axis] if axis < tensor.ndim else 0 for axis in field.axes)


def _concatenated(
    known: Sequence[_Followed], args: tuple[Any, ...], kwargs: Mapping[str, Any], origin: Origin | None
) -> _Followed:
    tensors = args[0]
    fields = [each.field for each in known if each.field]
    axis = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % tensors[0].ndim
    if len(fields) < len(tensors) or any(each.lead for each in known) or axis in fields[0].axes:
        return _Followed(None)
    return _Followed(side_by_side(fields, _part_axis(fields[0], axis)), origin)


def _part_axis(field: Field, axis: int) -> int:
    return axis - sum(spatial < axis for spatial in field.axes)


Rule = Callable[[_Followed, tuple[Any, ...], Mapping[str, Any], torch.Tensor, int, Origin | None], _Followed]


def _pair(value: Any, otherwise: Any = None) -> list[int]:
    if value is None or (isinstance(value, list | tuple) and not value):
        value = otherwise
    both = list(value) if isinstance(value, list | tuple) else [value]
    return [int(number) for number in (both * 2 if len(both) == 1 else both)]


def _convolution(
    first: _Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> _Followed:
    weight, stride, padding, dilation, transposed, groups = args[1], *args[3:7], args[8]
    if transposed or first.field is None or first.field.axes != (2, 3):
        return _Followed(None)
    seen = mixed(first.field, weight.shape[0], groups)
    kernel = list(weight.shape[2:])
    places = list(output.shape[2:])
    return _Followed(windowed(seen, kernel, _pair(stride), _pair(padding), _pair(dilation), places))


def _pooling(
    first: _Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> _Followed:
    if first.field is None or first.field.axes != (output.ndim - 2, output.ndim - 1):
        return _Followed(None)
    given = dict(enumerate(args)) | {
        {"stride": 2, "padding": 3, "dilation": 4}.get(k, -1): v for k, v in kwargs.items()
    }
    kernel = _pair(given[1])
    is_max = number >= 0 and len(args) > 4 and not isinstance(args[4], bool)
    dilation = _pair(given[4]) if is_max else [1, 1]
    places = list(output.shape[-2:])
    seen = windowed(first.field, kernel, _pair(given.get(2), kernel), _pair(given.get(3), 0), dilation, places)
    return _Followed(seen, origin)


def _adaptive(
    first: _Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> _Followed:
    if first.field is None or first.field.axes != (output.ndim - 2, output.ndim - 1):
        return _Followed(None)
    return _Followed(pooled_to(first.field, list(output.shape[-2:])), origin)


def _reduced(
    first: _Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> _Followed:
    dims = args[1] if len(args) > 1 else kwargs.get("dim")
    keepdim = args[2] if len(args) > 2 else kwargs.get("keepdim", False)
    if first.field is None or not keepdim or dims is None:
        return _Followed(None, origin)
    over = {dim % output.ndim for dim in (dims if isinstance(dims, list | tuple) else [dims])}
    if over == set(first.field.axes):
        return _Followed(pooled_to(first.field, (1, 1)), origin)
    if not over & set(first.field.axes):  # over channels: each place sees what any channel there does
        return _Followed(mixed(first.field, 1))
    return _Followed(None)


def _permuted(
    first: _Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> _Followed:
    if first.field is None or first.lead:
        return _Followed(None)
    count = output.ndim
    order = [dim % count for dim in args[1]] if isinstance(args[1], list | tuple) else list(range(count))
    if not isinstance(args[1], list | tuple):
        a, b = args[1] % count, args[2] % count
        order[a], order[b] = order[b], order[a]
    axes = tuple(order.index(axis) for axis in first.field.axes)
    rest = [dim for dim in range(count) if dim not in first.field.axes]
    places = [rest.index(dim) for dim in order if dim in rest]
    part = first.field.part.transpose(places)
    same = [size for size in part.shape if size > 1] == [size for size in first.field.part.shape if size > 1]
    kept = origin if same and places == sorted(places) else None
    return _Followed(replace(first.field, axes=(axes[0], axes[1]), part=part), kept)


def _viewed(
    first: _Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> _Followed:
    before, after = tuple(args[0].shape), tuple(output.shape)
    if first.field is None:
        return _Followed(None, origin)
    if first.lead:
        restored = after[:-1] == first.lead
        return _Followed(first.field if restored else None, origin)
    rows, columns = (_same_axis(axis, before, after) for axis in first.field.axes)
    if rows is not None and columns is not None and rows != columns:
        part = first.field.part.reshape([size for axis, size in enumerate(after) if axis not in (rows, columns)])
        same = part.shape == first.field.part.shape
        return _Followed(replace(first.field, axes=(rows, columns), part=part), origin if same else None)
    if len(after) == 2 and after[-1] == before[-1] and before[-1] == first.field.part.size:
        return _Followed(first.field, origin, before[:-1])
    return _Followed(None, origin if len(after) == 2 and math.prod(before[2:]) == 1 else None)


def _same_axis(axis: int, before: Sequence[int], after: Sequence[int]) -> int | None:
    ahead = math.prod(before[:axis])
    for place, size in enumerate(after):
        if size == before[axis] and math.prod(after[:place]) == ahead and (size > 1 or place >= len(after) - 2):
            return place
    return None


def _product(
    first: _Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> _Followed:
    if first.field is None or not (first.lead or first.field.axes == (output.ndim - 3, output.ndim - 2)):
        return _Followed(None)
    return _Followed(mixed(first.field, output.shape[-1]), None, first.lead)


def _layer_norm(
    first: _Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> _Followed:
    if first.field is None or number:
        return _Followed(None)
    normalised = range(output.ndim - len(args[1]), output.ndim)
    seen = mixed(first.field, first.field.part.size)
    seen = replace(seen, part=seen.part.reshape(first.field.part.shape))
    return _Followed(replace(seen, everywhere=seen.everywhere or bool(set(normalised) & set(seen.axes))), origin)


def _group_norm(
    first: _Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> _Followed:
    return _Followed(replace(first.field, everywhere=True) if first.field and not number else None, origin)


def _sliced(
    first: _Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> _Followed:
    given = [*args[1:], *[None] * 4]
    axis = (given[0] or 0) % output.ndim
    size = args[0].shape[axis]
    start, stop, _ = slice(given[1], given[2]).indices(size)
    return _section(first, axis, start, stop, given[3] or 1, origin)


def _split(
    first: _Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> _Followed:
    axis = (args[2] if len(args) > 2 else kwargs.get("dim", 0)) % output.ndim
    sizes = args[1] if isinstance(args[1], list | tuple) else [args[1]] * (number + 1)
    start = sum(sizes[:number])
    return _section(first, axis, start, start + output.shape[axis], 1, origin)


def _section(first: _Followed, axis: int, start: int, stop: int, step: int, origin: Origin | None) -> _Followed:
    if first.field is None or first.lead:
        return _Followed(None)
    if axis in first.field.axes:
        return _Followed(cut(first.field, first.field.axes.index(axis), start, stop, step))
    at = [slice(None)] * first.field.part.ndim
    at[_part_axis(first.field, axis)] = slice(start, stop, step)
    moved = replace(origin, first=origin.first + start) if origin and step == 1 and origin.how is None else None
    return _Followed(replace(first.field, part=first.field.part[tuple(at)]), moved)


def _padding(
    first: _Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> _Followed:
    seen, pads = first.field, list(args[1])
    if seen is None or first.lead:
        return _Followed(None)
    for back, (before, after) in enumerate(zip(pads[::2], pads[1::2], strict=True)):
        axis = output.ndim - 1 - back
        if axis in seen.axes:
            seen = padded(seen, seen.axes.index(axis), before, after)
        elif (before, after) != (0, 0):
            seen, origin = with_constants(seen, _part_axis(seen, axis), before, after), None
    return _Followed(seen, origin)


_RULES: dict[str, Rule] = {
    "convolution": _convolution,
    "max_pool2d_with_indices": _pooling,
    "max_pool2d": _pooling,
    "avg_pool2d": _pooling,
    "_adaptive_avg_pool2d": _adaptive,
    "adaptive_max_pool2d": _adaptive,
    "mean": _reduced,
    "amax": _reduced,
    "sum": _reduced,
    "permute": _permuted,
    "transpose": _permuted,
    "view": _viewed,
    "_unsafe_view": _viewed,
    "unsqueeze": _viewed,
    "squeeze": _viewed,
    "addmm": _product,
    "mm": _product,
    "linear": _product,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    "slice": _sliced,
    "split": _split,
    "split_with_sizes": _split,
    "constant_pad_nd": _padding,
}

"""What each of PyTorch's operations does to receptive fields and origins, and how many multiply-adds it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from interpret.flow.found import ConvolutionCall, Followed, Join, Origin
from interpret.reach import (
    Field,
    cut,
    met,
    mixed,
    padded,
    pooled_to,
    side_by_side,
    windowed,
    with_constants,
)


def carried_out(args: tuple[Any, ...]) -> ConvolutionCall:
    stride, padding, dilation = ((both[0], both[1]) for both in (_pair(args[at]) for at in (3, 4, 5)))
    return ConvolutionCall(args[0].clone(), args[1], args[2], stride, padding, dilation, int(args[8]))


def after(
    func: Any,
    name: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    known: Sequence[Followed],
    data: Sequence[torch.Tensor],
    output: torch.Tensor,
    number: int,
    join: Join | None,
) -> Followed:
    """What is known of an operation's result.

    Args:
        func, name: the operation.
        args, kwargs: what it is given.
        known: what is known of those of its operands that depend on the input; `data` are these tensors.
        output: one of its results, the one of this number.
        join: what it joins, if it does.
    """
    first = known[0]
    if join is not None:
        origin = joined_origin(join, known)
    else:
        origin = replace(first.origin, exact=first.origin.exact and name in EXACT) if first.origin else None
    if name in PLACE_BY_PLACE or torch.Tag.pointwise in func.tags:
        return pointwise(known, data, output, origin)
    if name == "cat":
        return concatenated(known, args, kwargs, origin)
    rule = RULES.get(name)
    return rule(first, args, kwargs, output, number, origin) if rule else Followed(None)


def joined_origin(join: Join, known: Sequence[Followed]) -> Origin | None:
    if not all(each.origin for each in known):
        return None
    flat: list[str] = []
    for each in known:
        assert each.origin is not None
        if each.origin.how not in (None, join.kind) or each.origin.first:
            return None
        flat += each.origin.names
    return Origin(tuple(flat), join.kind, exact=all(each.origin.exact for each in known if each.origin))


def multiply_adds(name: str, tensors: Sequence[torch.Tensor], output: Any) -> int:
    """Multiply-adds of an operation: those of convolutions and matrix products; the rest counts nothing."""
    if name == "convolution":
        return int(output.numel() * tensors[1][0].numel())
    if name in ("mm", "addmm", "bmm", "baddbmm"):
        return int(output.numel() * tensors[-2].shape[-1])
    if name == "linear":
        return int(output.numel() * tensors[1].shape[-1])
    return 0


EXACT = {
    "clone", "detach", "alias", "contiguous", "dropout", "native_dropout", "_to_copy", "as_strided_", "permute",
    "slice", "split", "split_with_sizes",
}  # fmt: skip
"""Operations whose result holds the same channels in the same order, or some of them."""

PLACE_BY_PLACE = EXACT - {"permute", "slice", "split", "split_with_sizes"} | {
    "native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm", "miopen_batch_norm", "batch_norm",
    "relu_", "hardtanh", "hardtanh_", "hardswish", "hardswish_", "silu_", "hardsigmoid_", "leaky_relu", "leaky_relu_",
    "elu", "elu_", "celu", "gelu_", "prelu", "_prelu_kernel", "softplus", "copy_", "rrelu_with_noise",
    "mish_", "sigmoid_", "tanh_",
}  # fmt: skip
"""Operations on each place alone that do not carry PyTorch's tag for them."""


def pointwise(
    known: Sequence[Followed], data: Sequence[torch.Tensor], output: torch.Tensor, origin: Origin | None
) -> Followed:
    """Each place of the result depends on that place of the operands; an operand of one place is seen everywhere."""
    full = [
        (each, tensor)
        for each, tensor in zip(known, data, strict=True)
        if tensor.ndim == output.ndim and each.field and _places(tensor, each.field) == _places(output, each.field)
    ]
    if not full:
        lead = known[0].lead if len(known) == 1 and data[0].shape == output.shape else ()
        return Followed(known[0].field if lead else None, origin, lead)
    whole = full[0][0].field
    assert whole is not None
    for each, _ in full[1:]:
        assert each.field is not None
        whole = met(whole, each.field)
    others = [tensor for tensor in data if not any(tensor is each for _, each in full)]
    if any(_places(tensor, whole) == _places(output, whole) for tensor in others if tensor.ndim == output.ndim):
        return Followed(None, origin)  # it has places of its own, and what they see is not known
    if others:
        whole = replace(whole, everywhere=True)
    return Followed(whole, origin)


def _places(tensor: torch.Tensor, field: Field) -> tuple[int, ...]:
    return tuple(tensor.shape[axis] if axis < tensor.ndim else 0 for axis in field.axes)


def concatenated(
    known: Sequence[Followed], args: tuple[Any, ...], kwargs: Mapping[str, Any], origin: Origin | None
) -> Followed:
    tensors = args[0]
    fields = [each.field for each in known if each.field]
    axis = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % tensors[0].ndim
    if len(fields) < len(tensors) or any(each.lead for each in known) or axis in fields[0].axes:
        return Followed(None)
    return Followed(side_by_side(fields, _part_axis(fields[0], axis)), origin)


def _part_axis(field: Field, axis: int) -> int:
    return axis - sum(spatial < axis for spatial in field.axes)


Rule = Callable[[Followed, tuple[Any, ...], Mapping[str, Any], torch.Tensor, int, Origin | None], Followed]


def _pair(value: Any, otherwise: Any = None) -> list[int]:
    if value is None or (isinstance(value, list | tuple) and not value):
        value = otherwise
    both = list(value) if isinstance(value, list | tuple) else [value]
    return [int(number) for number in (both * 2 if len(both) == 1 else both)]


def _convolution(
    first: Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> Followed:
    weight, stride, padding, dilation, transposed, groups = args[1], *args[3:7], args[8]
    if transposed or first.field is None or first.field.axes != (2, 3):
        return Followed(None)
    seen = mixed(first.field, weight.shape[0], groups)
    kernel = list(weight.shape[2:])
    places = list(output.shape[2:])
    return Followed(windowed(seen, kernel, _pair(stride), _pair(padding), _pair(dilation), places))


def _pooling(
    first: Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> Followed:
    if first.field is None or first.field.axes != (output.ndim - 2, output.ndim - 1):
        return Followed(None)
    given = dict(enumerate(args)) | {
        {"stride": 2, "padding": 3, "dilation": 4}.get(k, -1): v for k, v in kwargs.items()
    }
    kernel = _pair(given[1])
    is_max = number >= 0 and len(args) > 4 and not isinstance(args[4], bool)
    dilation = _pair(given[4]) if is_max else [1, 1]
    places = list(output.shape[-2:])
    seen = windowed(first.field, kernel, _pair(given.get(2), kernel), _pair(given.get(3), 0), dilation, places)
    return Followed(seen, origin)


def _adaptive(
    first: Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> Followed:
    if first.field is None or first.field.axes != (output.ndim - 2, output.ndim - 1):
        return Followed(None)
    return Followed(pooled_to(first.field, list(output.shape[-2:])), origin)


def _reduced(
    first: Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> Followed:
    dims = args[1] if len(args) > 1 else kwargs.get("dim")
    keepdim = args[2] if len(args) > 2 else kwargs.get("keepdim", False)
    if first.field is None or not keepdim or dims is None:
        return Followed(None, origin)
    over = {dim % output.ndim for dim in (dims if isinstance(dims, list | tuple) else [dims])}
    if over == set(first.field.axes):
        return Followed(pooled_to(first.field, (1, 1)), origin)
    if not over & set(first.field.axes):  # over channels: each place sees what any channel there does
        return Followed(mixed(first.field, 1))
    return Followed(None)


def _permuted(
    first: Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> Followed:
    if first.field is None or first.lead:
        return Followed(None)
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
    return Followed(replace(first.field, axes=(axes[0], axes[1]), part=part), kept)


def _viewed(
    first: Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> Followed:
    before, after = tuple(args[0].shape), tuple(output.shape)
    if first.field is None:
        return Followed(None, origin)
    if first.lead:
        restored = after[:-1] == first.lead
        return Followed(first.field if restored else None, origin)
    rows, columns = (_same_axis(axis, before, after) for axis in first.field.axes)
    if rows is not None and columns is not None and rows != columns:
        part = first.field.part.reshape([size for axis, size in enumerate(after) if axis not in (rows, columns)])
        same = part.shape == first.field.part.shape
        return Followed(replace(first.field, axes=(rows, columns), part=part), origin if same else None)
    if len(after) == 2 and after[-1] == before[-1] and before[-1] == first.field.part.size:
        return Followed(first.field, origin, before[:-1])
    return Followed(None, origin if len(after) == 2 and math.prod(before[2:]) == 1 else None)


def _same_axis(axis: int, before: Sequence[int], after: Sequence[int]) -> int | None:
    ahead = math.prod(before[:axis])
    for place, size in enumerate(after):
        if size == before[axis] and math.prod(after[:place]) == ahead and (size > 1 or place >= len(after) - 2):
            return place
    return None


def _product(
    first: Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> Followed:
    if first.field is None or not (first.lead or first.field.axes == (output.ndim - 3, output.ndim - 2)):
        return Followed(None)
    return Followed(mixed(first.field, output.shape[-1]), None, first.lead)


def _layer_norm(
    first: Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> Followed:
    if first.field is None or number:
        return Followed(None)
    normalised = range(output.ndim - len(args[1]), output.ndim)
    seen = mixed(first.field, first.field.part.size)
    seen = replace(seen, part=seen.part.reshape(first.field.part.shape))
    return Followed(replace(seen, everywhere=seen.everywhere or bool(set(normalised) & set(seen.axes))), origin)


def _group_norm(
    first: Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> Followed:
    return Followed(replace(first.field, everywhere=True) if first.field and not number else None, origin)


def _sliced(
    first: Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> Followed:
    given = [*args[1:], *[None] * 4]
    axis = (given[0] or 0) % output.ndim
    size = args[0].shape[axis]
    start, stop, _ = slice(given[1], given[2]).indices(size)
    return _section(first, axis, start, stop, given[3] or 1, origin)


def _split(
    first: Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> Followed:
    axis = (args[2] if len(args) > 2 else kwargs.get("dim", 0)) % output.ndim
    sizes = args[1] if isinstance(args[1], list | tuple) else [args[1]] * (number + 1)
    start = sum(sizes[:number])
    return _section(first, axis, start, start + output.shape[axis], 1, origin)


def _section(first: Followed, axis: int, start: int, stop: int, step: int, origin: Origin | None) -> Followed:
    if first.field is None or first.lead:
        return Followed(None)
    if axis in first.field.axes:
        return Followed(cut(first.field, first.field.axes.index(axis), start, stop, step))
    at = [slice(None)] * first.field.part.ndim
    at[_part_axis(first.field, axis)] = slice(start, stop, step)
    moved = replace(origin, first=origin.first + start) if origin and step == 1 and origin.how is None else None
    return Followed(replace(first.field, part=first.field.part[tuple(at)]), moved)


def _padding(
    first: Followed, args: tuple[Any, ...], kwargs: Any, output: torch.Tensor, number: int, origin: Origin | None
) -> Followed:
    seen, pads = first.field, list(args[1])
    if seen is None or first.lead:
        return Followed(None)
    for back, (before, after) in enumerate(zip(pads[::2], pads[1::2], strict=True)):
        axis = output.ndim - 1 - back
        if axis in seen.axes:
            seen = padded(seen, seen.axes.index(axis), before, after)
        elif (before, after) != (0, 0):
            seen, origin = with_constants(seen, _part_axis(seen, axis), before, after), None
    return Followed(seen, origin)


RULES: dict[str, Rule] = {
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

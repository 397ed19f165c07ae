"""Receptive fields: which input pixels reach a place of a layer, exactly, and the arithmetic that carries them on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Spans = NDArray[np.int32]
"""First and last input row (or column), both included, of each place along an axis: int32 [parts, places, 2]."""

_NONE = (2**30, -1)
"""The span of a place that no input pixel reaches, such as padding."""


@dataclass(frozen=True, eq=False)
class Reach:
    """The input pixels that reach each place of a layer.

    First and last pixel are exact; a dilated convolution, or a stride wider than its kernel, leaves gaps between them.
    Channels differ where a layer joins branches: the 1 x 1 branch of an inception module sees less than the 5 x 5 one.
    Channels that see the same share a part.

    Attributes:
        part: int [channels], the part each channel belongs to.
        rows: int32 [parts, rows, 2], first and last input row, both included, that reach a row of the layer.
        columns: int32 [parts, columns, 2], likewise.
        sizes: (height, width) in input pixels of the field of a place far from the rim, for each part.
        everywhere: the whole picture has a say as well, through a gate (squeeze-and-excitation) or a normalisation
            over places; the spans are what is seen besides that.
    """

    part: NDArray[np.int64]
    rows: Spans
    columns: Spans
    sizes: tuple[tuple[int, int], ...]
    everywhere: bool

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in input pixels of the largest field, not cut off at the picture's rim."""
        return max(height for height, _ in self.sizes), max(width for _, width in self.sizes)

    def spans(self, channel: int) -> tuple[Spans, Spans]:
        """First and last input row of each row, and column of each column: int32 [rows, 2] and [columns, 2]."""
        part = int(self.part[channel])
        return self.rows[part], self.columns[part]

    def box(self, channel: int, row: int, column: int) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in input pixels of one unit's field; right and bottom just outside.

        All zero where no pixel reaches it.
        """
        rows, columns = self.spans(channel)
        (top, bottom), (left, right) = rows[row].tolist(), columns[column].tolist()
        return (left, top, right + 1, bottom + 1) if top <= bottom and left <= right else (0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Field:
    """A `Reach` on its way through a network.

    Attributes:
        axes: which dimensions of the tensor are rows and columns.
        part: int, of the tensor's shape without those two: the part each entry belongs to.
        rows, columns, everywhere: as in `Reach`.
        sizes: float64 [parts, 2], as in `Reach`.
        jump: input pixels from one row, and one column, to the next.
    """

    axes: tuple[int, int]
    part: NDArray[np.int64]
    rows: Spans
    columns: Spans
    sizes: NDArray[np.float64]
    jump: tuple[float, float]
    everywhere: bool = False

    def reach(self) -> Reach:
        sizes = tuple((round(height), round(width)) for height, width in self.sizes)
        return Reach(self.part.reshape(-1), self.rows, self.columns, sizes, self.everywhere)


def whole_input(channels: int, height: int, width: int) -> Field:
    """The field of a network's input [1, channels, height, width]: each pixel sees itself."""
    rows, columns = (np.repeat(np.arange(side, dtype=np.int32)[None, :, None], 2, axis=2) for side in (height, width))
    return Field((2, 3), np.zeros((1, channels), np.int64), rows, columns, np.ones((1, 2)), (1.0, 1.0))


def windowed(
    field: Field,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    places: Sequence[int],
) -> Field:
    """What a convolution or pooling window sees; all pairs are (rows, columns), `places` those of the output."""
    spans = [
        _slide(along, kernel[i], stride[i], padding[i], dilation[i], places[i])
        for i, along in enumerate((field.rows, field.columns))
    ]
    grown = [(kernel[i] - 1) * dilation[i] * field.jump[i] for i in (0, 1)]
    jump = field.jump[0] * stride[0], field.jump[1] * stride[1]
    return replace(field, rows=spans[0], columns=spans[1], sizes=field.sizes + grown, jump=jump)


def _slide(spans: Spans, kernel: int, stride: int, padding: int, dilation: int, places: int) -> Spans:
    start = np.arange(places) * stride - padding
    seen = np.empty((len(spans), places, 2), np.int32)
    seen[:] = _NONE
    for offset in range(kernel):
        at = start + offset * dilation
        inside = (at >= 0) & (at < spans.shape[1])
        _widen(seen, inside, spans[:, at[inside]])
    return seen


def _widen(seen: Spans, where: NDArray[np.bool_], by: Spans) -> None:
    seen[:, where, 0] = np.minimum(seen[:, where, 0], by[..., 0])
    seen[:, where, 1] = np.maximum(seen[:, where, 1], by[..., 1])


def pooled_to(field: Field, places: Sequence[int]) -> Field:
    """What adaptive pooling to (rows, columns) sees: place i of n sees floor(i h / n) up to ceil((i + 1) h / n)."""
    spans, sizes, jump = [], field.sizes.copy(), []
    for axis, along in enumerate((field.rows, field.columns)):
        count, wanted = along.shape[1], places[axis]
        windows = [(i * count // wanted, -(-(i + 1) * count // wanted)) for i in range(wanted)]
        parts = [(along[:, a:b, 0].min(1), along[:, a:b, 1].max(1)) for a, b in windows]
        spans.append(np.stack([np.stack(part, axis=1) for part in parts], axis=1).astype(np.int32))
        sizes[:, axis] += (max(b - a for a, b in windows) - 1) * field.jump[axis]
        jump.append(field.jump[axis] * count / wanted)
    return replace(field, rows=spans[0], columns=spans[1], sizes=sizes, jump=(jump[0], jump[1]))


def padded(field: Field, axis: int, before: int, after: int) -> Field:
    """Constant padding of the rows (axis 0) or columns (axis 1); negative cuts off."""
    along = field.rows if axis == 0 else field.columns
    along = along[:, max(0, -before) : along.shape[1] - max(0, -after)]
    empty = [np.full((len(along), max(0, count), 2), _NONE, np.int32) for count in (before, after)]
    return _along(field, axis, np.concatenate([empty[0], along, empty[1]], axis=1))


def with_constants(field: Field, axis: int, before: int, after: int) -> Field:
    """Constant channels before and after the others, along an axis of `part`; negative cuts off. They see nothing."""
    nothing = len(field.rows)
    part = np.take(field.part, range(max(0, -before), field.part.shape[axis] - max(0, -after)), axis)
    widths = [(max(0, before), max(0, after)) if at == axis else (0, 0) for at in range(part.ndim)]
    return replace(
        field,
        part=np.pad(part, widths, constant_values=nothing),
        rows=np.concatenate([field.rows, np.full((1, *field.rows.shape[1:]), _NONE, np.int32)]),
        columns=np.concatenate([field.columns, np.full((1, *field.columns.shape[1:]), _NONE, np.int32)]),
        sizes=np.concatenate([field.sizes, np.zeros((1, 2))]),
    )


def cut(field: Field, axis: int, start: int, stop: int, step: int) -> Field:
    """Some of the rows (axis 0) or columns (axis 1)."""
    along = field.rows if axis == 0 else field.columns
    jump = list(field.jump)
    jump[axis] *= step
    return replace(_along(field, axis, along[:, start:stop:step]), jump=(jump[0], jump[1]))


def _along(field: Field, axis: int, spans: Spans) -> Field:
    return replace(field, rows=spans) if axis == 0 else replace(field, columns=spans)


def mixed(field: Field, outputs: int, groups: int = 1) -> Field:
    """What a convolution's outputs see of its input channels [1, channels]: each those of its group."""
    known: dict[tuple[int, ...], int] = {}
    of_group = [
        known.setdefault(tuple(np.unique(members).tolist()), len(known))
        for members in np.array_split(field.part.reshape(-1), groups)
    ]
    part = np.repeat(np.array(of_group, np.int64), outputs // groups)[None]
    return replace(
        field,
        part=part,
        rows=_union(field.rows, known),
        columns=_union(field.columns, known),
        sizes=np.stack([field.sizes[list(members)].max(0) for members in known]),
    )


def _union(spans: Spans, groups: Sequence[tuple[int, ...]] | dict[tuple[int, ...], int]) -> Spans:
    return np.stack(
        [np.stack([spans[list(members), :, 0].min(0), spans[list(members), :, 1].max(0)], axis=1) for members in groups]
    ).astype(np.int32)


def met(first: Field, second: Field) -> Field:
    """What an operation on two tensors of the same places sees: what either does."""
    one, two = np.broadcast_arrays(first.part, second.part)
    pairs, part = np.unique(one * len(second.rows) + two, return_inverse=True)
    a, b = pairs // len(second.rows), pairs % len(second.rows)

    def either(x: Spans, y: Spans) -> Spans:
        return np.stack([np.minimum(x[..., 0], y[..., 0]), np.maximum(x[..., 1], y[..., 1])], axis=-1)

    return replace(
        first,
        part=part.reshape(one.shape),
        rows=either(first.rows[a], second.rows[b]),
        columns=either(first.columns[a], second.columns[b]),
        sizes=np.maximum(first.sizes[a], second.sizes[b]),
        jump=(max(first.jump[0], second.jump[0]), max(first.jump[1], second.jump[1])),
        everywhere=first.everywhere or second.everywhere,
    )


def side_by_side(fields: Sequence[Field], axis: int) -> Field:
    """Tensors laid side by side along one axis of their `part`."""
    starts = np.cumsum([0, *(len(field.rows) for field in fields)])
    first = fields[0]
    return replace(
        first,
        part=np.concatenate([field.part + start for field, start in zip(fields, starts, strict=False)], axis=axis),
        rows=np.concatenate([field.rows for field in fields]),
        columns=np.concatenate([field.columns for field in fields]),
        sizes=np.concatenate([field.sizes for field in fields]),
        everywhere=any(field.everywhere for field in fields),
    )

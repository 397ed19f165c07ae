"""Does a heatmap find the object? Its box against true ones, its maximum, and where its values lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from interpret.errors import BadInput
from interpret.heatmaps.boxes import Box, boxes_of_file, seen_boxes

__all__ = [
    "BOX_THRESHOLD",
    "THRESHOLDS",
    "TOLERANCE_PIXELS",
    "Box",
    "Localisation",
    "OverlapCurve",
    "box_of",
    "boxes_of_file",
    "energy_inside",
    "localised",
    "max_box_accuracy",
    "overlap",
    "overlap_curve",
    "pointing_game",
    "seen_boxes",
]

Floats = NDArray[np.float32]

BOX_THRESHOLD = 0.15
"""Share of the maximum at which Selvaraju et al. 2017 cut a map for its box."""
TOLERANCE_PIXELS = 15
"""How far outside the object a maximum still hits in Zhang et al. 2016."""
THRESHOLDS: Floats = (np.arange(100) / 100).astype(np.float32)
THRESHOLDS.flags.writeable = False


def box_of(values: Floats, size: tuple[int, int], threshold: float = BOX_THRESHOLD) -> Box | None:
    """The box around the largest part of a heatmap that reaches a share of its maximum.

    tight box of the largest 4-connected component of {pixels: map >= threshold * max map}

    Args:
        values: [rows, columns], any unit; what is below zero counts as zero.
        size: (height, width) in pixels of what the network saw; the map is enlarged to it bilinearly (half-pixel
            centres, edges held).
        threshold: 0 to 1.

    Returns:
        The box in pixels, whole numbers; of components of equal size the one that comes first, row by row. None where
        nothing is above zero or a value is not finite.

    Raises:
        BadInput: a threshold outside 0 to 1.

    Source: Selvaraju et al. 2017, "Grad-CAM", weakly supervised localisation, arXiv 1610.02391 (15 % of
        the maximum, one segment).
    Differs: Choe et al. 2020 take the map's minimum off first and count pixels above the threshold.
    """
    if not 0 <= threshold <= 1:
        raise BadInput(f"A share of the maximum goes from 0 to 1; {threshold:g} was asked for.")
    large = _enlarged(values, size)
    return None if large is None else _box(large, threshold)


def overlap(box: Box | None, others: Iterable[Box]) -> float:
    """The best intersection over union of a box with any of the others, 0..1; 0 where there is no box.

    IoU = area of what both cover / area of what either covers
    """
    if box is None:
        return 0.0
    best = 0.0
    for other in others:
        width = min(box.right, other.right) - max(box.left, other.left)
        height = min(box.bottom, other.bottom) - max(box.top, other.top)
        both = max(width, 0.0) * max(height, 0.0)
        best = max(best, both / (box.area + other.area - both))
    return best


@dataclass(frozen=True, eq=False)
class OverlapCurve:
    """How well the map's box fits, whatever the threshold.

    Attributes:
        thresholds: float32 [100], 0.00 to 0.99, shares of the maximum.
        ious: float32 [100], 0..1, read-only: the best intersection over union with a true box at each.
    """

    thresholds: Floats
    ious: Floats

    @property
    def best(self) -> float:
        """The highest intersection over union."""
        return float(self.ious.max())

    @property
    def best_threshold(self) -> float:
        """The lowest threshold that reaches it."""
        return round(float(self.thresholds[self.ious.argmax()]), 2)


def overlap_curve(values: Floats, size: tuple[int, int], boxes: Sequence[Box]) -> OverlapCurve:
    """The best IoU of the map's box with a true one at a hundred thresholds; arguments as of `box_of`.

    Source: Choe et al. 2020, "Evaluating Weakly Supervised Object Localization Methods Right",
        arXiv 2001.07437 and 2007.04178.
    """
    return _curve(_enlarged(values, size), boxes)


def max_box_accuracy(curves: Sequence[OverlapCurve], at: float = 0.5) -> tuple[float, float]:
    """MaxBoxAcc: the share of pictures whose box fits at the one threshold that suits them best together.

    MaxBoxAcc = max over t of (pictures with IoU(t) >= at) / pictures

    At threshold 0 the box is the whole picture, so pictures that the object fills make a floor: compare with it.

    Args:
        curves: one of each picture.
        at: the IoU from which on a box fits, 0 to 1.

    Returns:
        The share, 0..1, and the lowest threshold that reaches it.

    Raises:
        BadInput: no curves.

    Source: Choe et al. 2020, arXiv 2001.07437 and 2007.04178.
    Differs: a hundred thresholds instead of a thousand, and see `box_of`.
    """
    if not curves:
        raise BadInput("MaxBoxAcc needs at least one picture with true boxes.")
    shares = (np.stack([curve.ious for curve in curves]) >= np.float32(at)).mean(0)
    best = int(shares.argmax())
    return float(shares[best]), round(float(curves[0].thresholds[best]), 2)


def pointing_game(values: Floats, size: tuple[int, int], boxes: Sequence[Box], tolerance_pixels: float = 0) -> bool:
    """Whether the map's maximum lies on the object.

    hit = distance from the maximum's pixel (its middle) to the nearest true box <= tolerance

    Of several equal maxima of the enlarged map the first counts, row by row: in a cell at the rim, where the edge is
    held, that is the outermost. A map without anything above zero misses.

    Args:
        values, size: as of `box_of`.
        boxes: true ones, in pixels of what the network saw.
        tolerance_pixels: 0 or more; the paper's is `TOLERANCE_PIXELS`.

    Source: Zhang et al. 2016, "Top-down Neural Attention by Excitation Backprop", arXiv 1608.00507.
    """
    return _points(_enlarged(values, size), boxes, tolerance_pixels)


def energy_inside(values: Floats, size: tuple[int, int], boxes: Sequence[Box]) -> float:
    """The share of the map's positive values that lies on the object, 0..1; 0 where nothing is positive.

    sum of max(map, 0) over pixels whose middle is in a true box / the same over all pixels

    Where boxes overlap, pixels count once. Arguments as of `pointing_game`.

    Source: Wang et al. 2020, "Score-CAM" (energy-based pointing game), arXiv 1910.01279.
    """
    return _energy(_enlarged(values, size), boxes)


@dataclass(frozen=True, eq=False)
class Localisation:
    """How well a heatmap finds an object.

    Attributes:
        points: whether its maximum lies on the object, without tolerance.
        energy: the share of its values that does, 0..1.
        threshold: the share of the maximum that `box` is cut at.
        box: in pixels of what the network saw; None where nothing speaks for the class.
        iou: of the box with the true one it fits best, 0..1.
        curve: the same at every threshold.
    """

    points: bool
    energy: float
    threshold: float
    box: Box | None
    iou: float
    curve: OverlapCurve


def localised(
    values: Floats, size: tuple[int, int], boxes: Sequence[Box], threshold: float = BOX_THRESHOLD
) -> Localisation:
    """Everything about one map and one object's true boxes; arguments and errors as of `box_of` and `pointing_game`."""
    box, large = box_of(values, size, threshold), _enlarged(values, size)
    return Localisation(
        _points(large, boxes, 0), _energy(large, boxes), threshold, box, overlap(box, boxes), _curve(large, boxes)
    )


def _enlarged(values: Floats, size: tuple[int, int]) -> Floats | None:
    """The positive part of a map, as large as what the network saw; None where there is nothing to find in it."""
    if not np.isfinite(values).all() or values.max() <= 0:
        return None
    positive = torch.from_numpy(np.maximum(values, 0, dtype=np.float32))[None, None]
    large: Floats = functional.interpolate(positive, size, mode="bilinear", align_corners=False)[0, 0].numpy()
    return large


def _box(large: Floats, threshold: float) -> Box:
    from scipy import ndimage  # type: ignore[import-untyped]

    reached = large >= np.float32(threshold) * large.max()
    # Only what lies around the pixels that reach it is searched: at high thresholds that is a small part.
    rows, columns = np.flatnonzero(reached.any(1)), np.flatnonzero(reached.any(0))
    top, left = int(rows[0]), int(columns[0])
    part, _ = ndimage.label(reached[top : rows[-1] + 1, left : columns[-1] + 1])
    largest = int(np.bincount(part.ravel())[1:].argmax()) + 1
    down, across = ndimage.find_objects(part, largest)[largest - 1]
    return Box(left + across.start, top + down.start, left + across.stop, top + down.stop)


def _curve(large: Floats | None, boxes: Sequence[Box]) -> OverlapCurve:
    ious = np.zeros(len(THRESHOLDS), np.float32)
    if large is not None:
        for place, threshold in enumerate(THRESHOLDS):
            ious[place] = overlap(_box(large, float(threshold)), boxes)
    ious.flags.writeable = False
    return OverlapCurve(THRESHOLDS, ious)


def _points(large: Floats | None, boxes: Sequence[Box], tolerance: float) -> bool:
    if large is None:
        return False
    row, column = np.unravel_index(int(large.argmax()), large.shape)
    y, x = float(row) + 0.5, float(column) + 0.5
    away = (
        (max(box.left - x, x - box.right, 0.0), max(box.top - y, y - box.bottom, 0.0))  # zero inside
        for box in boxes
    )
    return any(np.hypot(across, down) <= tolerance for across, down in away)


def _energy(large: Floats | None, boxes: Sequence[Box]) -> float:
    if large is None:
        return 0.0
    y, x = np.arange(large.shape[0])[:, None] + 0.5, np.arange(large.shape[1]) + 0.5
    inside = np.zeros(large.shape, np.bool_)
    for box in boxes:
        inside |= (x >= box.left) & (x < box.right) & (y >= box.top) & (y < box.bottom)
    return float(large[inside].sum(dtype=np.float64) / large.sum(dtype=np.float64))

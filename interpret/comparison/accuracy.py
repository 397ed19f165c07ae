"""How often networks are right over the pictures of a source, in all and for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interpret.labels import MatchedBy, matched_classes
from interpret.latent.distances import read_only


@dataclass(frozen=True, eq=False)
class ClassAccuracies:
    """How often networks are right on the pictures of each class. Arrays are read-only.

    Attributes:
        classes: of the source, those that have pictures; untrusted text.
        counts: int64 [classes], pictures of each.
        accuracy: float32 [networks, classes], a share; NaN where a network has no such class.
    """

    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    accuracy: NDArray[np.float32]


def targets_of(
    true: NDArray[np.int64], classes: Sequence[str], labels: Sequence[str]
) -> tuple[NDArray[np.int64], MatchedBy]:
    """The class of each picture as a network numbers it, int64 [n], -1 where it has none; and how that was told.

    Args:
        true: int64 [n], places in `classes`, -1 where it is not known.
        classes: of the source.
        labels: of the network.
    """
    matched, by = matched_classes(classes, labels)
    return np.array([*matched, -1])[true], by  # what the label -1 finds is the last


def right_of(predictions: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.float32]:
    """1 where a prediction is right, 0 where it is wrong, NaN where the class is not known."""
    return np.where(targets < 0, np.nan, predictions == targets).astype(np.float32)


def means_of(right: NDArray[np.float32]) -> NDArray[np.float32]:
    """The share that is right of what is known in each row; NaN where nothing is: float32 [rows], read-only."""
    with np.errstate(invalid="ignore"):
        return read_only((np.nansum(right, 1) / (~np.isnan(right)).sum(1)).astype(np.float32))


def by_class_of(true: NDArray[np.int64], classes: Sequence[str], right: NDArray[np.float32]) -> ClassAccuracies:
    """The shares for each class.

    Args:
        true, classes: as in `targets_of`.
        right: float32 [networks, n], of `right_of`.
    """
    present, counts = np.unique(true[true >= 0], return_counts=True)
    means = [means_of(right[:, true == label]) for label in present]
    return ClassAccuracies(
        classes=tuple(classes[label] for label in present),
        counts=read_only(counts.astype(np.int64)),
        accuracy=read_only(np.stack(means, 1) if means else np.zeros((len(right), 0), np.float32)),
    )

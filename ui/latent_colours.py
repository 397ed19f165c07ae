"""What the points of a map are coloured by."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interpret.datasets.picture_source import Column
from interpret.latent import Embedding
from interpret.latent.groups import true_classes
from interpret.model import LoadedModel
from interpret.rendering import class_colour, palette
from ui.display import number, percent

RIGHT, WRONG, UNKNOWN, CHOSEN = "#4e9a5b", "#d1495b", "#9aa0a6", "#d1495b"
STEPS = 6
"""Colours of a number."""
MOST_VALUES = 30
"""Values of a text that get a colour each; of numbers, a few are taken for values too."""
COLUMN = "data."


@dataclass(frozen=True, eq=False)
class Colouring:
    """Categories of points.

    Attributes:
        categories: int64 [n], from 0.
        names: of the categories; untrusted text.
        colours: as "#rrggbb".
    """

    categories: NDArray[np.int64]
    names: tuple[str, ...]
    colours: tuple[str, ...]


def ways(embedded: Embedding, model: LoadedModel) -> dict[str, str]:
    """What points can be coloured by: key -> title; the first is what they are coloured by at first."""
    found = {}
    if embedded.classes and (embedded.labels >= 0).any():
        found["class"] = "class"
    found["prediction"] = "prediction"
    if (true_classes(embedded, model.labels) >= 0).any():
        found["right"] = "right or wrong"
    if np.isfinite(embedded.loss).any():
        found["loss"] = "loss"
    own = {COLUMN + name: name[:60] for name in embedded.columns}
    return {**found, "confidence": "confidence", "cluster": "cluster", **own}


def coloured(way: str, embedded: Embedding, model: LoadedModel) -> Colouring:
    """The categories of a way of `ways`."""
    if way.startswith(COLUMN):
        return of_column(embedded.columns[way.removeprefix(COLUMN)])
    if way == "class":
        known = embedded.labels >= 0
        count = len(embedded.classes)
        rest = () if known.all() else ("no class",)
        return Colouring(
            np.where(known, embedded.labels, count),
            (*embedded.classes, *rest),
            tuple(class_colour(index) for index in range(count)) + tuple(UNKNOWN for _ in rest),
        )
    if way == "right":
        truth = true_classes(embedded, model.labels)
        right = np.where(truth < 0, 2, (truth != embedded.predictions).astype(np.int64))
        return Colouring(right.astype(np.int64), ("right", "wrong", "no class known"), (RIGHT, WRONG, UNKNOWN))
    if way == "confidence":
        return of_numbers(embedded.confidences, 0.0, 1.0)
    if way == "loss":
        high = float(np.nanpercentile(embedded.loss[np.isfinite(embedded.loss)], 99)) or 1.0
        return of_numbers(np.nan_to_num(embedded.loss), 0.0, high, number)
    present, categories = np.unique(embedded.predictions, return_inverse=True)
    return Colouring(
        categories.astype(np.int64),
        tuple(f"predicted {model.labels[int(index)]}" for index in present),
        tuple(class_colour(int(index)) for index in present),
    )


def of_column(column: Column) -> Colouring:
    """A colour for each value, the most frequent first where there are many; equal steps for many different numbers."""
    if isinstance(column, np.ndarray):
        known = column[np.isfinite(column)]
        if len(np.unique(known)) > STEPS:
            low, high = np.percentile(known, [1, 99])
            steps = of_numbers(column, float(low), float(high), number)
            categories = np.where(np.isfinite(column), steps.categories, STEPS)
            return Colouring(categories, (*steps.names, "not known"), (*steps.colours, UNKNOWN))
        column = tuple(number(value) if np.isfinite(value) else "" for value in column.tolist())
    values, places, counts = np.unique(np.array(column, object).astype(str), return_inverse=True, return_counts=True)
    frequent = np.argsort(-counts, kind="stable")
    frequent = np.sort(frequent[values[frequent] != ""][:MOST_VALUES])
    found = np.full(len(values), len(frequent))
    found[frequent] = np.arange(len(frequent))
    rest = () if len(frequent) == len(values) else ("other or not known",)
    colours = tuple(class_colour(index) for index in range(len(frequent)))
    return Colouring(
        found[places].astype(np.int64), (*map(str, values[frequent]), *rest), colours + tuple(UNKNOWN for _ in rest)
    )


def of_numbers(
    values: NDArray[np.floating[Any]], low: float, high: float, told: Callable[[float], str] = percent
) -> Colouring:
    """Equal steps from low to high, in the colours of a sequential palette; `told` writes a number."""
    edges = np.linspace(low, high, STEPS + 1)
    categories = np.clip(np.digitize(values, edges[1:-1]), 0, STEPS - 1)
    table = palette("viridis")[np.linspace(0, 255, STEPS).astype(int)]
    names = tuple(f"{told(float(a))} to {told(float(b))}" for a, b in itertools.pairwise(edges))
    return Colouring(categories.astype(np.int64), names, tuple("#" + bytes(row).hex() for row in table))


def marked(indices: NDArray[np.int64], count: int, title: str) -> Colouring:
    """Some points against all others."""
    categories = np.zeros(count, np.int64)
    categories[indices] = 1
    return Colouring(categories, ("others", title), (UNKNOWN, CHOSEN))

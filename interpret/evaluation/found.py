"""What is found of a data set's heatmaps: numbers of every picture, their totals, and the order to look at them in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from math import isfinite
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from interpret.heatmaps import HeatmapMethod
from interpret.heatmaps.localisation import Localisation, max_box_accuracy
from interpret.labels import MatchedBy
from interpret.layers import LayerInfo

Target = Literal["predicted", "labelled"]
"""Of which class a picture's map is: the one the network predicts, or the one the data set says."""
Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Totals:
    """Of all pictures; means leave out what is no number, and None stands where there is nothing to take a mean of.

    Attributes:
        pictures, skipped: how many were evaluated, and how many could not be read.
        labelled: of how many the true class is known.
        accuracy: the share of these whose prediction is right.
        deletion, insertion, gain: mean areas and their mean difference; see `Evaluation`.
        above_random: the mean of the gain less that of a random map.
        better_than_random: the share of pictures whose gain is above that of a random map.
        average_drop, increase: the mean drop, and the share of pictures that gain; see `Evaluation`.
        peculiar: how many maps are flat, empty or no numbers.
        boxed: of how many true boxes are known; the rest is of these.
        pointing: the share whose maximum lies on the object.
        energy_inside: the mean share of the map's values on the object.
        max_box_accuracy, max_box_threshold: MaxBoxAcc at IoU 0.5 and its share of the maximum.
    """

    pictures: int
    skipped: int
    labelled: int
    accuracy: float | None
    deletion: float | None
    insertion: float | None
    gain: float | None
    above_random: float | None
    better_than_random: float | None
    average_drop: float | None
    increase: float | None
    peculiar: int
    boxed: int
    pointing: float | None
    energy_inside: float | None
    max_box_accuracy: float | None
    max_box_threshold: float | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The heatmaps of a data set, n pictures that could be read, in its order. All arrays are read-only.

    Attributes:
        names: of the pictures; untrusted text.
        pictures: int64 [n], their places in the source.
        true_names: what the source calls their class, "" where it does not say; untrusted text.
        labels: int64 [n], the same as a class of the network; -1 where it has none such.
        predictions: int64 [n], predicted class.
        probabilities: float32 [n], its probability.
        targets: int64 [n], the class each map is for.
        target_probabilities: float32 [n], its probability.
        deletion, insertion: float32 [n], areas under the curves of the map's places, 0..1; small and large are good.
        random_gain: float32 [n], insertion less deletion of one random map (RandomCAM) at the same layer.
        average_drop: float32 [n], share of the probability lost on the picture seen through its map, 0..1.
        increase: int64 [n], 1 where the probability is higher so.
        strongest: int64 [n, 2], row and column of the map's maximum, of the map as the method makes it.
        says: what is peculiar about each map, a sentence; "" where nothing is.
        localised: against true boxes; None where none of a picture are known, or all lie outside what was seen.
        maps: float32 [n, rows, columns], at most 32 x 32 over what the network saw: max(map, 0) / max(map), averaged
            where the method is finer; zero where nothing speaks for the class.
        seen, overlays: JPEG bytes of what the network saw and of the map over it, at most 160 pixels wide and high.
        skipped: (name, reason) of pictures that could not be read; untrusted text.
        classes: names of the network's classes; untrusted text.
        matched_by: how the classes of the source were matched to them: "name", "order" or "" for not at all.
        method, layer, target, aim, seed, steps: what was asked; `layer` is None where the method looks at pixels.
        network, data: file name and architecture, and title, for people; untrusted text.
        model_digest, source_digest: of what.
    """

    names: tuple[str, ...]
    pictures: Indices
    true_names: tuple[str, ...]
    labels: Indices
    predictions: Indices
    probabilities: Floats
    targets: Indices
    target_probabilities: Floats
    deletion: Floats
    insertion: Floats
    random_gain: Floats
    average_drop: Floats
    increase: Indices
    strongest: Indices
    says: tuple[str, ...]
    localised: tuple[Localisation | None, ...]
    maps: Floats
    seen: tuple[bytes, ...]
    overlays: tuple[bytes, ...]
    skipped: tuple[tuple[str, str], ...]
    classes: tuple[str, ...]
    matched_by: MatchedBy
    method: HeatmapMethod
    layer: LayerInfo | None
    target: Target
    aim: str
    seed: int
    steps: int
    network: str
    data: str
    model_digest: str
    source_digest: str

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def gain(self) -> Floats:
        """Insertion less deletion, how far a map knows the places that matter: float32 [n], -1..1."""
        return self.insertion - self.deletion

    @cached_property
    def above_random(self) -> Floats:
        """The gain less that of a random map: float32 [n]; zero and below, the map is no better than lots."""
        return self.gain - self.random_gain

    @cached_property
    def right(self) -> Indices:
        """Whether predictions are right: int64 [n], 1 or 0; -1 where the true class is not known."""
        return np.where(self.labels < 0, -1, self.labels == self.predictions).astype(np.int64)

    @property
    def wrong(self) -> Indices:
        """Places of the pictures predicted wrong, most certain first: int64 [wrong]."""
        places = np.flatnonzero(self.right == 0)
        return places[np.argsort(-self.probabilities[places], kind="stable")]

    @property
    def unfaithful(self) -> Indices:
        """Places of all pictures, what is no number first, then by the least gain: int64 [n]."""
        return np.argsort(np.nan_to_num(self.gain, nan=-np.inf), kind="stable")

    @cached_property
    def totals(self) -> Totals:
        """Of all pictures."""
        known, boxed = self.right >= 0, [one for one in self.localised if one is not None]
        best = max_box_accuracy([one.curve for one in boxed]) if boxed else (None, None)
        return Totals(
            pictures=len(self),
            skipped=len(self.skipped),
            labelled=int(known.sum()),
            accuracy=_mean(self.right[known]),
            deletion=_mean(self.deletion),
            insertion=_mean(self.insertion),
            gain=_mean(self.gain),
            above_random=_mean(self.above_random),
            better_than_random=_mean(self.above_random > 0),
            average_drop=_mean(self.average_drop),
            increase=_mean(self.increase),
            peculiar=sum(bool(said) for said in self.says),
            boxed=len(boxed),
            pointing=_mean(np.array([one.points for one in boxed])),
            energy_inside=_mean(np.array([one.energy for one in boxed])),
            max_box_accuracy=best[0],
            max_box_threshold=best[1],
        )

    @cached_property
    def class_means(self) -> tuple[Indices, Indices, Floats]:
        """Where the maps of each class lie: mean over its pictures of max(map, 0) / max(map), in the frame of `maps`.

        Returns:
            Classes that maps are for, ascending, int64 [k]; how many maps each has, int64 [k]; the means, float32
            [k, rows, columns], 0..1. A map that says nothing counts as zero.
        """
        present, which, counts = np.unique(self.targets, return_inverse=True, return_counts=True)
        sums = np.zeros((len(present), *self.maps.shape[1:]))
        np.add.at(sums, which, self.maps)
        return present, counts, (sums / counts[:, None, None]).astype(np.float32)

    def row(self, place: int) -> dict[str, Any]:
        """One picture's numbers by the names of the table's columns; None where one is not known or no number."""
        found, right = self.localised[place], int(self.right[place])
        return {
            "picture": self.names[place],
            "class": self.true_names[place] or None,
            "prediction": self.classes[self.predictions[place]],
            "right": None if right < 0 else bool(right),
            "probability": _number(self.probabilities[place]),
            "map_of": self.classes[self.targets[place]],
            "map_of_probability": _number(self.target_probabilities[place]),
            "deletion": _number(self.deletion[place]),
            "insertion": _number(self.insertion[place]),
            "gain": _number(self.gain[place]),
            "random_gain": _number(self.random_gain[place]),
            "gain_above_random": _number(self.above_random[place]),
            "average_drop": _number(self.average_drop[place]),
            "increase": bool(self.increase[place]),
            "strongest_row": int(self.strongest[place, 0]),
            "strongest_column": int(self.strongest[place, 1]),
            "pointing": found and found.points,
            "energy_inside": found and found.energy,
            "best_iou": found and found.curve.best,
            "iou_at_15_percent": found and found.iou,
            "peculiar": self.says[place] or None,
        }

    def facts(self) -> dict[str, Any]:
        """What a manifest says of the evaluation: what was asked, of what, and the totals; JSON has all of it."""
        present, counts, _ = self.class_means
        return {
            "method": self.method.key,
            "layer": None if self.layer is None else self.layer.name,
            "target": self.target,
            "aim": self.aim,
            "seed": self.seed,
            "steps": self.steps,
            "data_title": self.data,
            "data_digest": self.source_digest,
            "classes_matched_by": self.matched_by or None,
            "totals": asdict(self.totals),
            "class_means": [
                {"class": int(index), "label": self.classes[index], "maps": int(count)}
                for index, count in zip(present, counts, strict=True)
            ],
            "skipped": [{"image": name, "reason": reason} for name, reason in self.skipped],
        }


def _mean(values: NDArray[Any]) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean(dtype=np.float64)) if finite.size else None


def _number(value: np.floating[Any]) -> float | None:
    return float(value) if isfinite(value) else None

"""What excites each channel of a layer, told by a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from interpret.errors import BadInput
from interpret.layers import LayerInfo

Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, eq=False)
class ClassStatistics:
    """How one channel answers to the pictures of each class of the sample.

    Attributes:
        channel: which.
        classes: names; untrusted text.
        predicted: the classes are those the network predicted, because the source has no labels.
        counts: int64 [classes], pictures of each class.
        means: float32 [classes], the mean over the class of a picture's mean activation; NaN where there are none.
        deviations: float32 [classes], their standard deviation (divided by the count); NaN where there are none.
        areas: float32 [classes], 0..1, see `UnitStatistics.class_areas`.
    """

    channel: int
    classes: tuple[str, ...]
    predicted: bool
    counts: NDArray[np.int64]
    means: NDArray[np.float32]
    deviations: NDArray[np.float32]
    areas: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class UnitStatistics:
    """What a data set excites in the channels of a layer. All arrays are read-only.

    A channel's maximum in a picture is the greatest of its activations over all places, the first in reading order
    where several are equal; NaN places are left out. Pictures are counted from 0 in the order of the source. A vector
    layer has one place.

    The greatest maxima and the counts are of every picture that could be read; the fields `sample_*` are of every one
    too where the source has at most 4,096, else of 4,096 spread evenly over it. [sample] leaves out broken pictures.

    Attributes:
        layer: which layer.
        top_values: float32 [channels, top], the greatest maxima, descending, equal ones in the order of the source;
            NaN where there are fewer pictures.
        top_pictures: int64 [channels, top], which picture each is of; -1 where there are fewer.
        top_rows, top_columns: int64 [channels, top], where in the layer's map it is; -1 where there are fewer.
        silent: int64 [channels], pictures in which the channel's maximum is exactly 0.
        not_finite: int64 [channels], pictures in which the channel has a NaN or an infinity at some place.
        sample_pictures: int64 [sample], ascending.
        sample_maxima: float32 [sample, channels]; NaN where every place is NaN.
        sample_means: float32 [sample, channels], mean over the finite places; NaN where there are none.
        sample_rows, sample_columns: uint16 [sample, channels], where the maximum is.
        predictions: int64 [pictures], the class the network predicts for each; -1 where it is broken.
        confidences: float32 [pictures], its probability; NaN where it is broken.
        labels: int64 [pictures], the true class by the source; -1 where unknown.
        classes: names of the source's classes; empty where there are none; untrusted text.
        predicted_classes: names of the network's classes; untrusted text.
        names: of the pictures; untrusted text.
        skipped: (name, reason) of pictures that could not be read.
        model_digest, source_digest: of what.
    """

    layer: LayerInfo
    top_values: NDArray[np.float32]
    top_pictures: NDArray[np.int64]
    top_rows: NDArray[np.int64]
    top_columns: NDArray[np.int64]
    silent: NDArray[np.int64]
    not_finite: NDArray[np.int64]
    sample_pictures: NDArray[np.int64]
    sample_maxima: NDArray[np.float32]
    sample_means: NDArray[np.float32]
    sample_rows: NDArray[np.uint16]
    sample_columns: NDArray[np.uint16]
    predictions: NDArray[np.int64]
    confidences: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    predicted_classes: tuple[str, ...]
    names: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    model_digest: str
    source_digest: str

    @property
    def seen(self) -> int:
        """How many pictures went through the network."""
        return len(self.names) - len(self.skipped)

    @property
    def sample_labels(self) -> NDArray[np.int64]:
        """The true class of each picture of the sample, -1 where unknown: int64 [sample]."""
        return self.labels[self.sample_pictures]

    @property
    def dead(self) -> NDArray[np.bool_]:
        """Channels whose maximum is exactly 0 in every picture seen, not only in the sample: bool [channels]."""
        dead: NDArray[np.bool_] = self.silent == self.seen
        return dead

    @property
    def silent_share(self) -> NDArray[np.float32]:
        """Share of all pictures seen in which a channel's maximum is exactly 0: float32 [channels], 0..1."""
        return (self.silent / self.seen).astype(np.float32)

    def spread(self, channel: int, count: int = 9) -> NDArray[np.int64]:
        """Places in the sample of pictures from the least to the greatest maximum, at evenly spread ranks.

        Args:
            channel: which.
            count: how many; fewer come back where the sample has fewer.

        Raises:
            BadInput: no such channel.
        """
        maxima = self.sample_maxima[:, existing_channel(self.layer, channel)]
        order = np.argsort(maxima, kind="stable")[: int((~np.isnan(maxima)).sum())]
        ranks = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(np.int64)
        return order[ranks]

    def percentile(self, channel: int, p: float) -> float:
        """The value that p percent of the sample's maxima do not exceed, interpolated linearly; NaN where all are NaN.

        Args:
            channel: which.
            p: 0 to 100.

        Raises:
            BadInput: no such channel, or p beyond its range.
        """
        if not 0 <= p <= 100:
            raise BadInput(f"Percentile {p:g} does not exist; percentiles go from 0 to 100.")
        maxima = self.sample_maxima[:, existing_channel(self.layer, channel)]
        numbers = maxima[~np.isnan(maxima)]
        return float(np.percentile(numbers, p)) if len(numbers) else float("nan")

    def mean_limits(self, lowest: bool = False) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """How far the means of a picture of the sample go: (the greatest, the 99.9th percentile), float32 [channels].

        Args:
            lowest: the least and the 0.1th percentile instead.
        """
        worst = np.float32(np.inf if lowest else -np.inf)
        means = np.where(np.isfinite(self.sample_means), self.sample_means, worst)
        ends = np.percentile(means, [0, 0.1] if lowest else [100, 99.9], axis=0).astype(np.float32)
        return ends[0], ends[1]

    def by_class(self, channel: int) -> ClassStatistics:
        """How a channel answers to each class, by the mean activation of the sample's pictures.

        The classes are the source's; where it has no labels, those the network predicts. Pictures without a label in a
        source that has some are left out.

        Raises:
            BadInput: no such channel.
        """
        members, classes = self._classes()
        values = self.sample_means[:, existing_channel(self.layer, channel)].astype(np.float64)
        usable = (members >= 0) & np.isfinite(values)
        counts = np.bincount(members[members >= 0], minlength=len(classes))
        with np.errstate(invalid="ignore"):
            filled = np.bincount(members[usable], minlength=len(classes))
            means = np.bincount(members[usable], values[usable], len(classes)) / filled
            apart = (values[usable] - means[members[usable]]) ** 2
            deviations = np.sqrt(np.bincount(members[usable], apart, len(classes)) / filled)
        areas = _areas(self.sample_means[members >= 0, channel, None], members[members >= 0], len(classes))[:, 0]
        return ClassStatistics(
            channel=channel,
            classes=classes,
            predicted=self.classes_are_predicted,
            counts=read_only(counts),
            means=read_only(means.astype(np.float32)),
            deviations=read_only(deviations.astype(np.float32)),
            areas=read_only(areas),
        )

    def class_areas(self) -> NDArray[np.float32]:
        """How well each channel alone tells each class from all others: float32 [classes, channels], 0..1.

        The area under the ROC curve of the sample's pictures ranked by the channel's mean activation: the probability
        that a picture of the class has a greater one than a picture of another, equal ones counting half:

            (R - n (n + 1) / 2) / (n (N - n))

        R: sum of the ranks (equal values share their mean rank) of the class's n pictures among all N. NaN where a
        class has no picture or has all of them; a NaN mean ranks lowest. The classes are those of `by_class`.

        Source: Hanley and McNeil, "The Meaning and Use of the Area under a ROC Curve", 1982, Radiology 143.
        """
        members, classes = self._classes()
        return read_only(_areas(self.sample_means[members >= 0], members[members >= 0], len(classes)))

    @property
    def classes_are_predicted(self) -> bool:
        """Whether class statistics go by the network's predictions, because the source has no labels."""
        return not self.classes or not bool((self.labels >= 0).any())

    def _classes(self) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """(class index of each picture of the sample [sample], names)."""
        if self.classes_are_predicted:
            return self.predictions[self.sample_pictures], self.predicted_classes
        return self.sample_labels, self.classes


def existing_channel(layer: LayerInfo, channel: int) -> int:
    """The channel itself.

    Raises:
        BadInput: the layer has no such channel.
    """
    if not 0 <= channel < layer.channels:
        raise BadInput(f"Channel {channel} does not exist; the layer has channels 0 to {layer.channels - 1}.")
    return channel


def read_only(array: NDArray[Number]) -> NDArray[Number]:
    """The array itself, which cannot be written to any more."""
    array.flags.writeable = False
    return array


def _areas(values: NDArray[np.float32], members: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Areas under the ROC curve [classes, k] of values [n, k] by the class index of each row [n]."""
    total = len(values)
    counts = np.bincount(members, minlength=classes).astype(np.float64)
    areas = np.empty((classes, values.shape[1]), np.float32)
    for column, numbers in enumerate(values.T):
        _, place, equal = np.unique(
            np.where(np.isnan(numbers), -np.inf, numbers), return_inverse=True, return_counts=True
        )
        ranks = (np.cumsum(equal) - (equal - 1) / 2)[place]
        sums = np.bincount(members, ranks, classes)
        with np.errstate(invalid="ignore", divide="ignore"):
            areas[:, column] = (sums - counts * (counts + 1) / 2) / (counts * (total - counts))
    return areas

"""What an ablation study finds: predictions of every variant, and how sure the differences are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from interpret.errors import BadInput, unknown

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class AblationTable:
    """Predictions for n pictures under each of some variants of a network, unchanged first. All arrays are read-only.

    The class of a picture is its label, where any class of the source is the network's; else the class predicted for
    it unchanged, so that accuracy becomes agreement.

    Attributes:
        names: of the variants; the first is "unchanged"; may hold names of layers, untrusted text.
        predictions: int64 [variants, n], the class predicted.
        probabilities: float32 [variants, n], of the picture's class.
        targets: int64 [n], the class of each picture.
        pictures: int64 [n], their places in the source, ascending.
        classes: names of the network's classes; untrusted text.
        compared_with: "labels" or "predictions": what the class of a picture is.
        skipped: (name, reason) of pictures that could not be read; untrusted text.
        network, data: file name and architecture, and title, for people; untrusted text.
        model_digest, source_digest: of what.
    """

    names: tuple[str, ...]
    predictions: Indices
    probabilities: Floats
    targets: Indices
    pictures: Indices
    classes: tuple[str, ...]
    compared_with: Literal["labels", "predictions"]
    skipped: tuple[tuple[str, str], ...]
    network: str
    data: str
    model_digest: str
    source_digest: str

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each picture is predicted as its class: bool [variants, n]."""
        right: NDArray[np.bool_] = self.predictions == self.targets
        return right

    @property
    def accuracy(self) -> Floats:
        """Share of the pictures predicted as their class: float32 [variants], 0..1."""
        accuracy: Floats = self.right.mean(1).astype(np.float32)
        return accuracy

    def interval(self, level: float = 0.95, seed: int = 0, rounds: int = 2000) -> Floats:
        """Bootstrap interval of the accuracy over pictures: float32 [variants, 2], lower and upper end.

        Of n pictures drawn with replacement from n of which k are right, the number right is binomial(n, k / n): it is
        drawn as such, which is the same and takes no memory.

        Args:
            level: share of such intervals that hold the true accuracy.
            seed, rounds: of the draws.

        Raises:
            BadInput: a level that is not between 0 and 1, or no rounds.

        Source: Efron 1979, "Bootstrap Methods: Another Look at the Jackknife"; percentile interval, as in Efron and
            Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3.
        """
        rng = np.random.default_rng(seed)
        drawn = rng.binomial(len(self), self.right.mean(1)[:, None], (len(self.names), _checked(level, rounds)))
        return _ends(drawn / len(self), level)

    @property
    def accuracy_change(self) -> Floats:
        """Accuracy less that of the unchanged network: float32 [variants], -1..1; 0 for the first."""
        change: Floats = (self.right.mean(1) - self.right[0].mean()).astype(np.float32)
        return change

    def difference(self, level: float = 0.95, seed: int = 0, rounds: int = 2000) -> Floats:
        """Paired bootstrap interval of `accuracy_change`, float32 [variants, 2]: both are of the same pictures drawn.

        A picture counts 1 where the change mends its prediction, -1 where it spoils it, else 0; how many of each are
        drawn is multinomial.

        Args, Raises, Source: as in `interval`.
        """
        rng = np.random.default_rng(seed)
        mended = (self.right & ~self.right[0]).mean(1)
        spoilt = (~self.right & self.right[0]).mean(1)
        shares = np.stack([mended, spoilt, np.maximum(1 - mended - spoilt, 0)], 1)
        counts = rng.multinomial(len(self), shares[:, None], (len(self.names), _checked(level, rounds)))
        return _ends((counts[..., 0] - counts[..., 1]) / len(self), level)

    @property
    def counts(self) -> Indices:
        """How many pictures each class has: int64 [classes]."""
        return np.bincount(self.targets, minlength=len(self.classes))

    @property
    def per_class(self) -> Floats:
        """Accuracy of each class: float32 [variants, classes]; NaN without pictures."""
        return self._by_class(self.right)

    def class_interval(self, level: float = 0.95, seed: int = 0, rounds: int = 2000) -> Floats:
        """Bootstrap interval of the accuracy of each class, over its pictures: float32 [variants, classes, 2].

        Lower and upper end; NaN for classes without pictures.

        Args, Raises, Source: as in `interval`.
        """
        found = np.full((len(self.names), len(self.classes), 2), np.nan, np.float32)
        rng, draws = np.random.default_rng(seed), _checked(level, rounds)
        for label in np.flatnonzero(self.counts):
            count, shares = self.counts[label], self.right[:, self.targets == label].mean(1)
            drawn = rng.binomial(count, shares[:, None], (len(self.names), draws))
            found[:, label] = _ends(drawn / count, level)
        return found

    @property
    def flips(self) -> Indices:
        """How many predictions are others than unchanged: int64 [variants]."""
        flips: Indices = (self.predictions != self.predictions[0]).sum(1)
        return flips

    @property
    def probability_change(self) -> Floats:
        """Mean change of the probability of a picture's class: float32 [variants], -1..1."""
        change: Floats = (self.probabilities - self.probabilities[0]).mean(1, dtype=np.float64)
        return change.astype(np.float32)

    @property
    def probability_change_by_class(self) -> Floats:
        """The same over the pictures of each class: float32 [variants, classes]; NaN without pictures."""
        return self._by_class(self.probabilities - self.probabilities[0])

    def confusion(self, variant: int | str) -> Indices:
        """How many pictures of each class [rows] are predicted as each [columns]: int64 [classes, classes].

        Args:
            variant: its place or its name.

        Raises:
            UnknownName: there is none such.
        """
        if isinstance(variant, str) and variant in self.names:
            variant = self.names.index(variant)
        if isinstance(variant, str) or not 0 <= variant < len(self.names):
            raise unknown("Variant", str(variant), "this table", self.names)
        count = len(self.classes)
        pairs = np.bincount(self.targets * count + self.predictions[variant], minlength=count * count)
        return pairs.reshape(count, count)

    def _by_class(self, values: NDArray[Any]) -> Floats:
        """Means [variants, classes] of values [variants, n]."""
        sums = np.stack([np.bincount(self.targets, row, len(self.classes)) for row in values])
        with np.errstate(invalid="ignore"):
            return (sums / self.counts).astype(np.float32)


def _checked(level: float, rounds: int) -> int:
    if not 0 < level < 1 or rounds < 1:
        raise BadInput(f"An interval has a level between 0 and 1 and a round or more; asked for {level:g}, {rounds:,}.")
    return rounds


def _ends(drawn: NDArray[np.float64], level: float) -> Floats:
    """Percentiles [k, 2] of draws [k, rounds]."""
    ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=1)
    return ends.T.astype(np.float32)

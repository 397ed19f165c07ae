"""Where two networks answer differently over the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.batches import batch_size, decoded_batches, observed
from interpret.comparison.accuracy import ClassAccuracies, by_class_of, means_of, right_of, targets_of
from interpret.datasets.sources import PictureSource
from interpret.errors import BadInput
from interpret.jobs import Job, Progress
from interpret.labels import MatchedBy, matched_classes
from interpret.latent.distances import read_only
from interpret.model import LoadedModel
from interpret.work import multiplications


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test of whether two networks are right equally often.

    Attributes:
        first_only: pictures that only the first network has right.
        second_only: pictures that only the second has right.
        p_value: two-sided: how likely counts as unequal are where either is as likely to be the one that is right; NaN
            where no picture's class is known to both.

    Source: Q. McNemar 1947, Psychometrika 12:153-157; exact by the binomial distribution, as in A. Agresti,
        "Categorical Data Analysis".
    """

    first_only: int
    second_only: int
    p_value: float


@dataclass(frozen=True, eq=False)
class Disagreements:
    """What two networks say of the same n pictures. Arrays are read-only; [2, ...] is of the first and the second.

    Attributes:
        networks: names of the two; untrusted text.
        labels: the class names of each network; untrusted text.
        pictures: int64 [n], places in the source.
        names: of the pictures; untrusted text.
        true: int64 [n], the picture's class in the source, or -1.
        predictions: int64 [2, n], as each network numbers its classes.
        confidences: float32 [2, n], the probability of the predicted class.
        targets: int64 [2, n], the picture's class as each network numbers it, -1 where it has none such.
        matched_by: how the source's classes were found among each network's; see `matched_classes`.
        compared_by: how the two networks' classes correspond: by "name"; by "order", where no name is shared but they
            have equally many; "" where they do not.
        same: bool [n], whether both say the same class; False throughout where classes do not correspond.
        accuracy: float32 [2], of the pictures whose class is known; NaN where there are none.
        by_class: the same for each class.
        agreement: share of pictures called the same; NaN where classes do not correspond.
        kappa: Cohen's: how far that is above what the two would have in common by chance, of 1 at most; NaN there, and
            where both say one and the same class of all pictures.
        mcnemar: whether the difference in accuracy may be chance.
        order: int64 [n], places in the columns: the disagreements first, where the surer network is surest first.
        divergence: float32 [n], Jensen-Shannon divergence of the two probability vectors, 0 to 1 bit; NaN where not
            every class of each network has one in the other.
        skipped: (name, reason) of pictures that could not be read.
        model_digests, source_digest: of what.
    """

    networks: tuple[str, str]
    labels: tuple[tuple[str, ...], tuple[str, ...]]
    pictures: NDArray[np.int64]
    names: tuple[str, ...]
    true: NDArray[np.int64]
    predictions: NDArray[np.int64]
    confidences: NDArray[np.float32]
    targets: NDArray[np.int64]
    matched_by: tuple[MatchedBy, MatchedBy]
    compared_by: MatchedBy
    same: NDArray[np.bool_]
    accuracy: NDArray[np.float32]
    by_class: ClassAccuracies
    agreement: float
    kappa: float
    mcnemar: McNemar
    order: NDArray[np.int64]
    divergence: NDArray[np.float32]
    skipped: tuple[tuple[str, str], ...]
    model_digests: tuple[str, str]
    source_digest: str

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def right(self) -> NDArray[np.int64]:
        """int64 [2, n]: 1 where a network is right, 0 where it is wrong, -1 where the class is not known."""
        return np.where(self.targets < 0, -1, (self.predictions == self.targets).astype(np.int64))


def compare_answers(one: LoadedModel, other: LoadedModel, source: PictureSource) -> Job[Disagreements]:
    """What two networks, of whatever architectures, say of the same pictures, each prepared in each one's own way.

    Args:
        one, other: the networks.
        source: the pictures, decoded once; broken ones are skipped and listed.

    Yields:
        Progress in pictures.

    Raises:
        BadInput: not one picture could be read.

    Source: J. Cohen 1960, "A coefficient of agreement for nominal scales"; J. Lin 1991, "Divergence measures based on
        the Shannon entropy", IEEE Transactions on Information Theory 37:145-151.
    """
    numbers, by = corresponding(one.labels, other.labels)
    permuted = _permutation(*numbers) if by else None
    size = min(batch_size(each, multiplications(one) + multiplications(other)) for each in (one, other))
    told: list[torch.Tensor] = []
    pictures: list[int] = []
    skipped: list[tuple[str, str]] = []
    done = 0
    with closing(decoded_batches(one, source, range(len(source)), size, other.preprocess.to_batch)) as batches:
        for batch in batches:
            if batch.inputs is not None:
                mine = _probabilities(one, batch.inputs)
                yield Progress(done, len(source), f"{done:,} of {len(source):,} pictures")
                its = _probabilities(other, torch.cat(batch.beside))
                told.append(_told(mine, its, permuted))
            pictures += batch.pictures
            skipped += [(source.names[index], reason) for index, reason in batch.skipped]
            done += batch.size
            yield Progress(done, len(source), f"{done:,} of {len(source):,} pictures")
    if not told:
        reason = skipped[0][1] if skipped else ""
        raise BadInput(f'Not one of the {len(source):,} pictures of "{source.title}" could be read. {reason}')
    columns = torch.cat(told, 1).numpy()
    predictions = columns[:2].astype(np.int64)
    confidences = columns[2:4].astype(np.float32)
    true = np.array([source.labels[index] for index in pictures], np.int64)
    found = [targets_of(true, source.classes, each.labels) for each in (one, other)]
    targets = np.stack([each for each, _ in found])
    called = np.stack([np.array(number)[said] for number, said in zip(numbers, predictions, strict=True)])
    same = called[0] == called[1]
    right = right_of(predictions, targets)
    return Disagreements(
        networks=(one.name, other.name),
        labels=(one.labels, other.labels),
        pictures=read_only(np.array(pictures, np.int64)),
        names=tuple(source.names[index] for index in pictures),
        true=read_only(true),
        predictions=read_only(predictions),
        confidences=read_only(confidences),
        targets=read_only(targets),
        matched_by=(found[0][1], found[1][1]),
        compared_by=by,
        same=read_only(same),
        accuracy=means_of(right),
        by_class=by_class_of(true, source.classes, right),
        agreement=float(same.mean()) if by else float("nan"),
        kappa=_kappa(called) if by else float("nan"),
        mcnemar=_mcnemar(right),
        order=read_only(np.lexsort((-confidences.max(0), same))),
        divergence=read_only(columns[4].astype(np.float32)),
        skipped=tuple(skipped),
        model_digests=(one.digest, other.digest),
        source_digest=source.digest,
    )


def corresponding(one: Sequence[str], other: Sequence[str]) -> tuple[tuple[Sequence[int], Sequence[int]], MatchedBy]:
    """A number for each class of two networks, equal where they are the same class, and how that was told.

    By name as `matched_classes` does, which makes namesakes in a network one class, unless the two have the very same
    names; where no name is shared and they have equally many classes, by their order; else no two numbers are equal.

    Args:
        one, other: class names of the networks.
    """
    by: MatchedBy = "name" if tuple(one) == tuple(other) else matched_classes(one, other)[1]
    if tuple(one) == tuple(other) or by == "order":
        return (range(len(one)), range(len(other))), by
    everything = (*one, *other)
    return (matched_classes(one, everything)[0], matched_classes(other, everything)[0]), by


def _permutation(one: Sequence[int], other: Sequence[int]) -> list[int] | None:
    """Which class of the other network each class of the one is; None unless each has exactly one."""
    if len(set(one)) < len(one) or len(set(other)) < len(other) or set(one) != set(other):
        return None
    places = {number: place for place, number in enumerate(other)}
    return [places[number] for number in one]


def _probabilities(model: LoadedModel, inputs: torch.Tensor) -> torch.Tensor:
    """float64 [n, classes] on the CPU."""
    found = []
    for tape in observed(model, inputs):
        assert tape.scores is not None
        found.append(tape.scores.cpu().double().softmax(1))
    return torch.cat(found)


def _told(mine: torch.Tensor, its: torch.Tensor, permuted: list[int] | None) -> torch.Tensor:
    """Predictions of both, their probabilities, and the divergence: float64 [5, n]."""
    (first, said), (second, else_said) = mine.max(1), its.max(1)
    divergence = torch.full_like(first, torch.nan)
    if permuted is not None:
        its = its[:, permuted]
        middle = (mine + its) / 2
        divergence = (_entropy(middle) - (_entropy(mine) + _entropy(its)) / 2).clamp(0, 1)
    return torch.stack([said.double(), else_said.double(), first, second, divergence])


def _entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """In bits: [n, classes] -> [n]."""
    bits: torch.Tensor = torch.special.entr(probabilities).sum(1) / np.log(2)
    return bits


def _kappa(called: NDArray[np.int64]) -> float:
    """Cohen's kappa of two rows of classes."""
    count = called.max() + 1
    shares = [np.bincount(row, minlength=count) / called.shape[1] for row in called]
    chance = float(shares[0] @ shares[1])
    return float(((called[0] == called[1]).mean() - chance) / (1 - chance)) if chance < 1 else float("nan")


def _mcnemar(right: NDArray[np.float32]) -> McNemar:
    from scipy.stats import binomtest

    known = right[:, ~np.isnan(right).any(0)]
    first, second = int((known[0] > known[1]).sum()), int((known[1] > known[0]).sum())
    if not known.size:
        return McNemar(0, 0, float("nan"))
    return McNemar(first, second, float(binomtest(first, first + second).pvalue) if first + second else 1.0)

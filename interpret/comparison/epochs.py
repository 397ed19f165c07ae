"""A network along its training: what changes from one checkpoint to the next."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from interpret.checkpoints import SUFFIXES
from interpret.comparison.accuracy import ClassAccuracies, by_class_of, means_of, right_of, targets_of
from interpret.comparison.answers import corresponding
from interpret.comparison.layers import MOST, block_outputs, embedded
from interpret.comparison.weights import overall, weight_changes
from interpret.datasets.sources import PictureSource
from interpret.errors import BadInput, InterpretError
from interpret.images import Preprocess
from interpret.jobs import Job, Progress, stretch
from interpret.latent.distances import Floats, read_only
from interpret.latent.similarity import cka_between
from interpret.loading import load_model
from interpret.model import LoadedModel

_STEPS = 100
"""Of progress to a checkpoint."""


@dataclass(frozen=True, eq=False)
class Course:
    """What m checkpoints of one architecture say of the same pictures. Arrays are read-only.

    Attributes:
        names: of the checkpoints in their order; untrusted text.
        accuracy: float32 [m], of the pictures whose class is known; NaN where there are none.
        by_class: the same for each class.
        agreement: float32 [m], share of pictures of which each says what the first says; NaN where their classes do not
            correspond, see `corresponding`.
        from_first, cosine_first: float32 [m], distance and cosine (`overall`) of all weights to the first checkpoint's.
        from_previous, cosine_previous: float32 [m], the same to the one before; NaN for the first.
        churn: float32 [m], share of pictures whose prediction is another than the one before gave; NaN for the first,
            and where classes do not correspond.
        layers: names of the blocks' outputs.
        cka: float32 [m, layers], linear CKA, debiased, of each with the same layer of the last checkpoint.
        pictures: how many could be read.
        skipped: (name, reason) of the others.
        model_digests, source_digest: of what; the source's of the pictures taken.
    """

    names: tuple[str, ...]
    accuracy: Floats
    by_class: ClassAccuracies
    agreement: Floats
    from_first: Floats
    cosine_first: Floats
    from_previous: Floats
    cosine_previous: Floats
    churn: Floats
    layers: tuple[str, ...]
    cka: Floats
    pictures: int
    skipped: tuple[tuple[str, str], ...]
    model_digests: tuple[str, ...]
    source_digest: str


@dataclass(frozen=True)
class Usable:
    """Which of some files are checkpoints that can be opened.

    Attributes:
        paths: of those that can, in their order.
        left_out: (file name, reason) of the others; untrusted text.
    """

    paths: tuple[Path, ...]
    left_out: tuple[tuple[str, str], ...]


def checkpoints_in(folder: str | Path) -> tuple[Path, ...]:
    """The checkpoint files of a folder in the order of the numbers in their names: epoch2 comes before epoch10.

    Raises:
        BadInput: no folder, or none in it.
    """
    place = Path(folder)
    try:
        files = [file for file in place.iterdir() if file.suffix in SUFFIXES and file.is_file()]
    except (OSError, ValueError):  # not there, no folder, not to be read
        files = []
    if not files:
        raise BadInput(f'"{place}" is no folder with checkpoints in it ({", ".join(SUFFIXES)}).')
    return tuple(sorted(files, key=lambda file: (_natural(file.name), file.name)))


def usable_of(paths: Sequence[Path], load: Callable[[str | Path], LoadedModel] = load_model) -> Job[Usable]:
    """Which files can be opened, tried one after the other; no network is kept.

    Args:
        paths: of checkpoints.
        load: opens a path.

    Yields:
        Progress in files.
    """
    usable, left_out = [], []
    for at, path in enumerate(paths):
        yield Progress(at, len(paths), f"opening {path.name}, {at + 1:,} of {len(paths):,}")
        try:
            load(path)
            usable.append(path)
        except InterpretError as error:
            left_out.append((path.name, str(error)))
    return Usable(tuple(usable), tuple(left_out))


def along(
    checkpoints: Sequence[LoadedModel | str | Path],
    source: PictureSource,
    load: Callable[[str | Path], LoadedModel] = load_model,
    most: int = MOST,
) -> Job[Course]:
    """What changes along the checkpoints of one training.

    Of the checkpoints given as paths at most three are in memory together: one, the one before, and the first.

    Args:
        checkpoints: two or more of one architecture, in their order; their heads may have different sizes.
        source: the pictures; broken ones are skipped and listed.
        load: opens a path.
        most: how many pictures at most, spread evenly over the source; see `layer_similarity`.

    Yields:
        Progress in hundredths of a checkpoint.

    Raises:
        BadInput: fewer than two checkpoints, not of one architecture, or not of one preprocessing; fewer than 4
            pictures; or too much memory.
        BadCheckpoint: a file that cannot be used.

    Source: churn is that of M. Milani Fard et al. 2016, "Launch and Iterate: Reducing Prediction Churn", NeurIPS.
    """
    if len(checkpoints) < 2:
        raise BadInput(f"A course takes at least two checkpoints; {len(checkpoints)} were given.")
    count = len(checkpoints)
    total = (count + 1) * _STEPS

    def opened(at: int) -> LoadedModel:
        one = checkpoints[at]
        return one if isinstance(one, LoadedModel) else load(one)

    taken = source.first(most)
    yield Progress(0, total, "opening the first and the last checkpoint")
    first, model = opened(0), opened(count - 1)
    layers, steps = block_outputs(model), model.preprocess
    _of_one_kind(first, layers, steps)  # before any picture is read
    last = yield from stretch(embedded(model, taken, layers), 0, _STEPS, total)
    before = first
    names, digests, targets, labels = [], [], [], []
    predictions = np.empty((count, len(last[0].names)), np.int64)
    moved, cka = np.full((4, count), np.nan), np.empty((count, len(layers)))
    for at in range(count):
        start = (at + 1) * _STEPS
        yield Progress(start, total, f"opening checkpoint {at + 1:,} of {count:,}")
        model = opened(at) if at else first
        _of_one_kind(model, layers, steps)
        moved[:2, at] = overall(weight_changes(first, model))
        if at:
            moved[2:, at] = overall(weight_changes(before, model))
        tell = f"checkpoint {at + 1:,} of {count:,}, {{}}".format
        found = last
        if at < count - 1:
            found = yield from stretch(embedded(model, taken, layers), start, start + 90, total, tell)
        for place, (one, other) in enumerate(zip(found, last, strict=True)):
            compared = cka_between([one.vectors], [other.vectors], device=model.runtime.device)
            cka[at, place] = (yield from stretch(compared, start + 90, start + 90, total, tell))[0, 0]
        names.append(model.name)
        digests.append(model.digest)
        targets.append(targets_of(last[0].labels, source.classes, model.labels)[0])
        labels.append(model.labels)
        predictions[at] = found[0].predictions
        before = model
    right = right_of(predictions, np.stack(targets))

    def agreed(at: int, other: int) -> float:
        (mine, its), by = corresponding(labels[at], labels[other])
        said, else_said = np.array(mine)[predictions[at]], np.array(its)[predictions[other]]
        return float((said == else_said).mean()) if by else float("nan")

    churn = np.array([np.nan, *(1 - agreed(at, at - 1) for at in range(1, count))])
    from_first, cosine_first, from_previous, cosine_previous = (read_only(row) for row in moved.astype(np.float32))
    return Course(
        names=tuple(names),
        accuracy=means_of(right),
        by_class=by_class_of(last[0].labels, source.classes, right),
        agreement=read_only(np.array([agreed(at, 0) for at in range(count)], np.float32)),
        from_first=from_first,
        cosine_first=cosine_first,
        from_previous=from_previous,
        cosine_previous=cosine_previous,
        churn=read_only(churn.astype(np.float32)),
        layers=layers,
        cka=read_only(cka.astype(np.float32)),
        pictures=len(last[0].names),
        skipped=tuple((taken.names[int(index)], reason) for index, reason in last[0].skipped),
        model_digests=tuple(digests),
        source_digest=taken.digest,
    )


def _of_one_kind(model: LoadedModel, layers: tuple[str, ...], steps: Preprocess) -> None:
    """Refuses a checkpoint whose blocks or preprocessing are not those of the last."""
    if block_outputs(model) != layers:
        raise BadInput(
            f'"{model.name}" ({model.architecture.title}) has other blocks than the last checkpoint; a course takes '
            "checkpoints of one architecture."
        )
    if model.preprocess != steps:
        raise BadInput(
            f'"{model.name}" prepares pictures in another way than the last checkpoint '
            f"({model.preprocess.described}). Set one preprocessing for all."
        )


def _natural(name: str) -> list[tuple[int, str]]:
    """Text and numbers by turns, so that like is compared with like."""
    return [(int(part), "") if at % 2 else (0, part) for at, part in enumerate(re.split("([0-9]+)", name.casefold()))]

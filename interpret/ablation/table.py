"""What becomes of the predictions for a data set under each of some variants of a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import combinations as subsets
from typing import Literal

import numpy as np
import torch

from interpret.ablation.changes import changed, check, edits_of, kind_of
from interpret.ablation.found import AblationTable
from interpret.ablation.kinds import Change
from interpret.ablation.statistics import Usual
from interpret.batches import batch_size, decoded_batches, observed
from interpret.datasets.sources import PictureSource
from interpret.decoding import nothing
from interpret.errors import BadInput
from interpret.images import InputImage
from interpret.jobs import Job, Progress
from interpret.labels import matched_classes
from interpret.model import LoadedModel
from interpret.tape import Edit
from interpret.variants import scores_of, together
from interpret.work import multiplications

UNCHANGED = "unchanged"
"""Name of the first variant of every table."""
_WORK_OF_A_STEP = 35 * 10**9
"""Multiplications a slow CPU does in about half a second: no pass that cannot be cancelled is longer by intent."""


def ablate(
    model: LoadedModel,
    source: PictureSource,
    variants: Mapping[str, Sequence[Change]],
    *,
    usual: Mapping[str, Usual] = {},
    donor: InputImage | None = None,
    images: Sequence[InputImage] = (),
) -> Job[AblationTable]:
    """Predictions for a data set, unchanged and under each of some variants.

    Variants that only change answers go through the network together, from one reading of the pictures; each that
    changes weights gets a copy of the network and a reading of its own, one after the other, so that only one copy is
    in memory.

    Args:
        model: the network.
        source: the pictures; broken ones are skipped and listed, and those whose class the network does not have are
            left out where others have one.
        variants: name -> what is changed; "unchanged" is always there and needs no naming.
        usual, donor, images: as in `changed`.

    Yields:
        Progress in pictures; where weights change, as often through as there are such variants, and once more.

    Raises:
        UnknownName, BadInput: a change that cannot be made, or without what it needs; no variant, or one called
            "unchanged"; or not one picture could be read.
    """
    if not variants or UNCHANGED in variants:
        raise BadInput(f'Give one variant or more, none of them called "{UNCHANGED}": that one is always there.')
    of_answers: list[tuple[int, Mapping[str, Edit]]] = []
    of_weights: list[int] = []
    for number, changes in enumerate(variants.values(), 1):
        for change in changes:
            check(model, change)
        if all(kind_of(change).of == "answers" for change in changes):
            of_answers.append((number, edits_of(model, changes, usual=usual, donor=donor)))
        else:
            of_weights.append(number)
    reading = _Reading(source, known_classes(model, source), 1 + len(variants), 1 + len(of_weights))
    yield from _read(model, reading, [(0, {}), *of_answers])
    names = (UNCHANGED, *variants)
    for turn, row in enumerate(of_weights, 1):
        copy = changed(model, variants[names[row]], usual=usual, donor=donor, images=images)
        yield reading.far(turn, 0)
        yield from _read(copy, reading, [(row, {})], turn)
    return reading.table(model, names)


def known_classes(model: LoadedModel, source: PictureSource) -> list[int]:
    """The class of the network that the source says each picture is of, -1 where it says none that the network has."""
    matched, by = matched_classes(source.classes, model.labels)
    return [matched[label] if by and label >= 0 else -1 for label in source.labels]


class _Reading:
    """What is known so far of every picture of a source."""

    def __init__(self, source: PictureSource, known: Sequence[int], rows: int, turns: int) -> None:
        self.source = source
        self.compared_with: Literal["labels", "predictions"] = "labels" if max(known) >= 0 else "predictions"
        self.indices = [at for at, label in enumerate(known) if label >= 0 or self.compared_with == "predictions"]
        self.total = turns * len(self.indices)
        self.targets = np.array(known, np.int64)
        self.predictions = np.full((rows, len(known)), -1, np.int64)
        self.probabilities = np.zeros((rows, len(known)), np.float32)
        self.skipped: dict[str, str] = {}

    def far(self, turn: int, done: int) -> Progress:
        through = turn * len(self.indices) + done
        return Progress(through, self.total, f"{through:,} of {self.total:,} pictures")

    def note(self, row: int, pictures: Sequence[int], scores: torch.Tensor) -> None:
        """Takes down scores [n, classes] of a variant."""
        places = list(pictures)
        self.predictions[row, places] = scores.argmax(1).numpy()
        if row == 0 and self.compared_with == "predictions":  # unchanged, which comes first
            self.targets[places] = self.predictions[0, places]
        chances = scores.softmax(1).numpy()
        self.probabilities[row, places] = chances[np.arange(len(places)), self.targets[places]]

    def table(self, model: LoadedModel, names: tuple[str, ...]) -> AblationTable:
        kept = np.flatnonzero((self.predictions >= 0).all(0))
        if not len(kept):
            reason = next(iter(self.skipped.values()), "")
            raise BadInput(
                f'Not one of the {len(self.indices):,} pictures of "{self.source.title}" could be read. {reason}'
            )
        arrays = self.predictions[:, kept], self.probabilities[:, kept], self.targets[kept], kept
        for array in arrays:
            array.flags.writeable = False
        return AblationTable(
            names=names,
            predictions=arrays[0],
            probabilities=arrays[1],
            targets=arrays[2],
            pictures=arrays[3],
            classes=model.labels,
            compared_with=self.compared_with,
            skipped=tuple(self.skipped.items()),
            network=f"{model.name} · {model.architecture.title}",
            data=self.source.title,
            model_digest=model.digest,
            source_digest=self.source.digest,
        )


def _read(
    model: LoadedModel, reading: _Reading, variants: Sequence[tuple[int, Mapping[str, Edit]]], turn: int = 0
) -> Job[None]:
    """One reading of the pictures for some variants, (row of the table, edits), that share a network."""
    size, steps = _steps(model, variants)
    done = 0
    with closing(decoded_batches(model, reading.source, reading.indices, size, nothing)) as batches:
        for batch in batches:
            reading.skipped |= {reading.source.names[index]: reason for index, reason in batch.skipped}
            for number, step in enumerate(steps if batch.inputs is not None else ()):
                if number:
                    yield reading.far(turn, done)
                assert batch.inputs is not None
                found = _scores_under(model, batch.inputs, [edits for _, edits in step])
                for (row, _), scores in zip(step, found, strict=True):
                    reading.note(row, batch.pictures, scores)
            done += batch.size
            yield reading.far(turn, done)


_Row = tuple[int, Mapping[str, Edit]]


def _steps(model: LoadedModel, variants: Sequence[_Row]) -> tuple[int, list[list[_Row]]]:
    """How many pictures go to a batch, and which variants go through the network together between two cancels.

    On a CPU as few pictures as it takes for all variants to share a pass. Elsewhere each variant goes by itself: there
    a full batch saves more than what lies before the change.
    """
    work, places = multiplications(model), {layer.name: place for place, layer in enumerate(model.layers)}
    size = batch_size(model, work)
    if model.runtime.device.type != "cpu":
        return size, [[each] for each in variants]
    firsts = {row: min((places[name] for name in edits), default=-1) for row, edits in variants}
    edited = [place for place in firsts.values() if place >= 0]
    if edited:
        size = max(1, min(size, together(model, model.layers[min(edited)]) // len(edited)))
    steps: list[list[_Row]] = []
    room = 0
    for row, edits in sorted(variants, key=lambda each: firsts[each[0]]):
        first = firsts[row]
        cost = size * (work - multiplications(model, model.layers[first].name)) if first >= 0 else 0
        if not steps or cost > room:
            steps.append([])
            room = _WORK_OF_A_STEP - size * work
        steps[-1].append((row, edits))
        room -= cost
    return size, steps


def _scores_under(
    model: LoadedModel, inputs: torch.Tensor, some: Sequence[Mapping[str, Edit]]
) -> Iterator[torch.Tensor]:
    """Scores [n, classes] under each of some edits, on the CPU."""
    if model.runtime.device.type == "cpu":
        yield from scores_of(model, inputs, some)[1:]
        return
    for edits in some:
        tapes = [tape.scores for tape in observed(model, inputs, edit=edits)]
        yield torch.cat([scores.cpu() for scores in tapes if scores is not None])


def combinations(changes: Sequence[Change], most: int = 4) -> dict[str, tuple[Change, ...]]:
    """All sets of one to `most` of some changes, as the table of an ablation study lists them.

    Args:
        changes: of what.
        most: changes to a set.

    Returns:
        Variants for `ablate`: "zero conv1 + bypass layer1.0" -> changes in the order given; the smaller sets first.

    Raises:
        BadInput: the same change twice.
    """
    titles = [change.title for change in changes]
    for title in titles:
        if titles.count(title) > 1:
            raise BadInput(f'"{title}" was given twice. Give each change once.')
    sets = [some for size in range(1, min(most, len(changes)) + 1) for some in subsets(changes, size)]
    return {" + ".join(change.title for change in some): some for some in sets}

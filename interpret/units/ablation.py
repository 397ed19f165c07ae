"""What becomes of the prediction when a channel no longer answers to the picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.answers import Prediction
from interpret.batches import batch_size, decoded_batches, observed
from interpret.datasets.sources import PictureSource
from interpret.decoding import nothing
from interpret.errors import BadInput
from interpret.images import InputImage
from interpret.jobs import Job, Progress
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.tape import Edit
from interpret.units.statistics import existing_channel, read_only
from interpret.work import multiplications


@dataclass(frozen=True, eq=False)
class AblationResult:
    """Predictions for a data set, unchanged and with a channel replaced by constants. All arrays are read-only.

    The class of a picture is its label where the source's classes are the network's, name by name, and every picture
    has one; else the class predicted for it unchanged, so that accuracy becomes agreement.

    Attributes:
        layer: which layer.
        channel: which of its channels was replaced.
        ways: the names of the replacements.
        values: float32 [ways], the constant of each, at every place.
        compared_with: "labels" or "predictions": what the class of a picture is.
        classes: names of the network's classes; untrusted text.
        pictures: int64 [n], their numbers in the source, ascending; broken ones are left out.
        targets: int64 [n], the class of each picture.
        predictions: int64 [n], the class predicted unchanged.
        probabilities: float32 [n], unchanged, of the picture's class.
        changed_predictions: int64 [ways, n], the class predicted under each replacement.
        changed_probabilities: float32 [ways, n], under each replacement, of the picture's class.
        skipped: (name, reason) of pictures that could not be read.
        model_digest, source_digest: of what.
    """

    layer: LayerInfo
    channel: int
    ways: tuple[str, ...]
    values: NDArray[np.float32]
    compared_with: Literal["labels", "predictions"]
    classes: tuple[str, ...]
    pictures: NDArray[np.int64]
    targets: NDArray[np.int64]
    predictions: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    changed_predictions: NDArray[np.int64]
    changed_probabilities: NDArray[np.float32]
    skipped: tuple[tuple[str, str], ...]
    model_digest: str
    source_digest: str

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many pictures each class has: int64 [classes]."""
        return np.bincount(self.targets, minlength=len(self.classes))

    @property
    def flipped(self) -> NDArray[np.int64]:
        """How many predictions each replacement changes: int64 [ways]."""
        flips: NDArray[np.int64] = (self.changed_predictions != self.predictions).sum(1)
        return flips

    @property
    def accuracy(self) -> NDArray[np.float32]:
        """Share of each class's pictures predicted as it, unchanged: float32 [classes]; NaN without pictures."""
        share: NDArray[np.float32] = self._per_class((self.predictions == self.targets)[None])[0]
        return share

    @property
    def changed_accuracy(self) -> NDArray[np.float32]:
        """The same under each replacement: float32 [ways, classes]."""
        return self._per_class(self.changed_predictions == self.targets)

    @property
    def probability_change(self) -> NDArray[np.float32]:
        """Mean change of the probability of a picture's class, over all pictures: float32 [ways], -1..1."""
        change: NDArray[np.float32] = (self.changed_probabilities - self.probabilities).mean(1, dtype=np.float64)
        return change.astype(np.float32)

    @property
    def probability_change_by_class(self) -> NDArray[np.float32]:
        """The same over the pictures of each class: float32 [ways, classes]; NaN without pictures."""
        return self._per_class(self.changed_probabilities - self.probabilities)

    def _per_class(self, values: NDArray[np.bool_] | NDArray[np.float32]) -> NDArray[np.float32]:
        """Means [k, classes] of values [k, n]."""
        sums = np.stack([np.bincount(self.targets, row, len(self.classes)) for row in values])
        with np.errstate(invalid="ignore"):
            return (sums / self.counts).astype(np.float32)


def replaced(layer: LayerInfo, channel: int, value: float) -> Edit:
    """An edit for `LoadedModel.observe`: the layer's output with a constant at every place of one channel.

    Raises:
        BadInput: no such channel, a value that is no finite number, or a layer without channels.
    """
    if layer.layout == "other":
        raise BadInput(f'Layer "{layer.name}" answers with shape {list(layer.shape)}, which is neither map nor vector.')
    if not math.isfinite(value):
        raise BadInput(f"A channel cannot be replaced by {value}; give a finite number, mostly 0 or its mean.")
    axis, number = 3 if layer.layout == "channels last" else 1, existing_channel(layer, channel)

    def edit(output: torch.Tensor) -> torch.Tensor:
        return output.index_fill(axis, torch.tensor([number], device=output.device), value)

    return edit


def without_unit(model: LoadedModel, image: InputImage, layer: str, channel: int, value: float = 0.0) -> Prediction:
    """The prediction for a picture when a channel answers with a constant at every place.

    Args:
        model: the network.
        image: the picture.
        layer: dotted name of a map or vector layer.
        channel: of that layer.
        value: the constant: 0, or the channel's mean over a data set.

    Raises:
        UnknownName: no such layer.
        BadInput: no such channel, or a value that is no finite number.
    """
    edit = {layer: replaced(model.layer(layer), channel, value)}
    tape = model.observe(model.preprocess.to_batch(image), edit=edit, until="scores")
    assert tape.scores is not None
    return Prediction(tape.scores[0].cpu().numpy(), tape.scores[0].softmax(0).cpu().numpy())


def ablate_over(
    model: LoadedModel, source: PictureSource, layer: str, channel: int, values: Mapping[str, float]
) -> Job[AblationResult]:
    """Predictions for a data set, unchanged and with a channel replaced by each of some constants, from one reading.

    Args:
        model: the network.
        source: the pictures; broken ones are skipped and listed.
        layer: dotted name of a map or vector layer.
        channel: of that layer.
        values: name of a replacement -> the constant: {"zero": 0, "mean": 0.31}.

    Yields:
        Progress in pictures, once for every pass of a batch.

    Raises:
        UnknownName: no such layer.
        BadInput: no such channel, no values or one that is no finite number, or not one picture could be read.
    """
    info = model.layer(layer)
    if not values:
        raise BadInput("No value was given to replace the channel by; give one, mostly 0 or its mean.")
    edits = [{}, *({layer: replaced(info, channel, value)} for value in values.values())]
    labelled = bool(source.classes) and source.classes == model.labels and min(source.labels) >= 0
    pictures: list[int] = []
    targets: list[NDArray[np.int64]] = []
    answers: list[list[tuple[NDArray[np.int64], NDArray[np.float32]]]] = [[] for _ in edits]
    skipped: list[tuple[str, str]] = []
    done, total = 0, len(source)
    with closing(
        decoded_batches(model, source, range(total), batch_size(model, multiplications(model)), nothing)
    ) as batches:
        for batch in batches:
            skipped += [(source.names[index], reason) for index, reason in batch.skipped]
            pictures += batch.pictures
            for number, edit in enumerate(edits if batch.inputs is not None else []):
                if number:
                    yield Progress(done, total, f"{done:,} of {total:,} pictures")
                assert batch.inputs is not None
                chances = _probabilities(model, batch.inputs, edit)
                predicted = chances.argmax(1)
                if not number:
                    known = np.array([source.labels[index] for index in batch.pictures], np.int64)
                    targets.append(known if labelled else predicted)
                answers[number].append((predicted, chances[np.arange(len(chances)), targets[-1]]))
            done += batch.size
            yield Progress(done, total, f"{done:,} of {total:,} pictures")
    if not pictures:
        raise BadInput(f'Not one of the {total:,} pictures of "{source.title}" could be read. {skipped[0][1]}')
    predictions = np.stack([np.concatenate([part for part, _ in parts]) for parts in answers])
    probabilities = np.stack([np.concatenate([part for _, part in parts]) for parts in answers])
    return AblationResult(
        layer=info,
        channel=channel,
        ways=tuple(values),
        values=read_only(np.array(list(values.values()), np.float32)),
        compared_with="labels" if labelled else "predictions",
        classes=model.labels,
        pictures=read_only(np.array(pictures, np.int64)),
        targets=read_only(np.concatenate(targets)),
        predictions=read_only(predictions[0]),
        probabilities=read_only(probabilities[0]),
        changed_predictions=read_only(predictions[1:]),
        changed_probabilities=read_only(probabilities[1:]),
        skipped=tuple(skipped),
        model_digest=model.digest,
        source_digest=source.digest,
    )


def _probabilities(model: LoadedModel, batch: torch.Tensor, edit: Mapping[str, Edit]) -> NDArray[np.float32]:
    """float32 [n, classes] of a batch, in parts where the device's memory is short."""
    parts = []
    for tape in observed(model, batch, edit=edit):
        assert tape.scores is not None
        parts.append(tape.scores.softmax(1).cpu())
    chances: NDArray[np.float32] = torch.cat(parts).numpy()
    return chances

"""Embedding a set of pictures at a layer."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.batches import batch_size, decoded_batches, observed
from interpret.datasets.sources import PictureSource
from interpret.errors import BadInput
from interpret.images import InputImage
from interpret.jobs import Job, Progress
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.rendering import thumbnail
from interpret.work import multiplications

_WORK_OF_A_MINUTE = 2100 * 10**9
"""Multiplications a slow CPU does in about a minute."""


@dataclass(frozen=True, eq=False)
class Embedding:
    """A set of pictures as one layer sees it.

    Attributes:
        vectors: float32 [n, d], read-only: the layer's output, a map averaged over its places.
        predictions: int64 [n], the predicted class of each picture.
        confidences: float32 [n], its probability.
        labels: int64 [n], the true class by the source, or -1.
        classes: names of the source's classes; untrusted text.
        names: of the pictures; untrusted text.
        thumbnails: JPEG bytes of each picture, at most 96 pixels wide and high.
        skipped: (name, reason) of pictures that could not be read.
        layer: where.
        model_digest, source_digest: of what.
    """

    vectors: NDArray[np.float32]
    predictions: NDArray[np.int64]
    confidences: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    names: tuple[str, ...]
    thumbnails: tuple[bytes, ...]
    skipped: tuple[tuple[str, str], ...]
    layer: LayerInfo
    model_digest: str
    source_digest: str


def embed(model: LoadedModel, source: PictureSource, layer: str | None = None) -> Job[Embedding]:
    """The vector of every picture at a layer, with the network's prediction for it.

    Args:
        model: the network.
        source: the pictures; broken ones are skipped and listed.
        layer: a spatial layer (averaged over its places) or a vector layer; `default_layer` if None.

    Yields:
        Progress in pictures.

    Raises:
        UnknownName: no such layer.
        BadInput: a layer without channels, or not one picture could be read.
    """
    info = model.layer(layer) if layer else model.default_layer
    if info.layout == "other":
        raise BadInput(f'Layer "{info.name}" answers with shape {list(info.shape)}, which is neither map nor vector.')
    vectors: list[NDArray[np.float32]] = []
    predictions: list[NDArray[np.int64]] = []
    confidences: list[NDArray[np.float32]] = []
    kept: list[int] = []
    thumbnails: list[bytes] = []
    skipped: list[tuple[str, str]] = []
    done = 0
    indices = range(len(source))
    with closing(decoded_batches(model, source, indices, batch_of(model), _thumbnail)) as batches:
        for batch in batches:
            skipped += [(source.names[index], reason) for index, reason in batch.skipped]
            if batch.inputs is not None:
                answered = _pass(model, info, batch.inputs)
                vectors.append(answered[0])
                predictions.append(answered[1])
                confidences.append(answered[2])
                kept += batch.pictures
                thumbnails += batch.beside
            done += batch.size
            yield Progress(done, len(source), f"{done:,} of {len(source):,} pictures")
    if not kept:
        raise BadInput(f'Not one of the {len(source):,} pictures of "{source.title}" could be read. {skipped[0][1]}')
    table = np.concatenate(vectors)
    table.flags.writeable = False
    return Embedding(
        vectors=table,
        predictions=np.concatenate(predictions),
        confidences=np.concatenate(confidences),
        labels=np.array([source.labels[index] for index in kept], np.int64),
        classes=source.classes,
        names=tuple(source.names[index] for index in kept),
        thumbnails=tuple(thumbnails),
        skipped=tuple(skipped),
        layer=info,
        model_digest=model.digest,
        source_digest=source.digest,
    )


def batch_of(model: LoadedModel) -> int:
    """How many pictures go through the network together: on a CPU few enough that a cancel need not wait long."""
    return batch_size(model, multiplications(model))


def first_count(model: LoadedModel) -> int:
    """How many pictures to embed first: 500, on a CPU 200 or 100 where more would take much longer than a minute."""
    work = multiplications(model) if model.runtime.device.type == "cpu" else 0
    return next((count for count in (500, 200) if count * work <= _WORK_OF_A_MINUTE), 100)


def embed_picture(model: LoadedModel, image: InputImage, layer: str) -> NDArray[np.float32]:
    """The vector of one picture at a layer: float32 [d]."""
    vector: NDArray[np.float32] = _pass(model, model.layer(layer), model.preprocess.to_batch(image))[0][0]
    return vector


def _pass(
    model: LoadedModel, info: LayerInfo, batch: torch.Tensor
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """(vectors, predictions, confidences) of a batch, in smaller parts where the device's memory asks for it."""
    parts: list[tuple[torch.Tensor, torch.Tensor]] = []
    for tape in observed(model, batch, [info.name]):
        assert tape.scores is not None
        parts.append((info.channels_first(tape[info.name]).mean((2, 3)).float().cpu(), tape.scores.softmax(1).cpu()))
    vectors: NDArray[np.float32] = torch.cat([vector for vector, _ in parts]).numpy()
    confidences, predictions = torch.cat([probability for _, probability in parts]).max(1)
    return vectors, predictions.numpy(), confidences.numpy()


def _thumbnail(image: InputImage) -> bytes:
    return thumbnail(image.pixels)

"""Embedding a set of pictures at some layers, in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from interpret.batches import batch_size
from interpret.datasets.picture_source import Column
from interpret.datasets.sources import PictureSource
from interpret.errors import BadInput
from interpret.images import InputImage
from interpret.jobs import Job, Progress
from interpret.latent.embedder import Answered, Embedder, Pool, Precision, batches_of, joined, none_readable, pooled
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.work import multiplications

MAX_BYTES = 4 * 2**30
"""How much memory the vectors of all layers may take."""
_WORK_OF_A_MINUTE = 2100 * 10**9
"""Multiplications a slow CPU does in about a minute."""


@dataclass(frozen=True, eq=False)
class Embedding:
    """A set of pictures as one layer sees it.

    Attributes:
        vectors: float32 or float16 [n, d], read-only: the layer's output, a map pooled over its places.
        predictions: int64 [n], the predicted class of each picture.
        confidences: float32 [n], its probability.
        loss: float32 [n], -log of the probability of the true class, in nats; NaN where the network has none such.
        labels: int64 [n], the true class by the source, or -1.
        classes: names of the source's classes; untrusted text.
        names: of the pictures; untrusted text.
        thumbnails: JPEG bytes of each picture, at most 96 pixels wide and high.
        skipped: (name, reason) of pictures that could not be read.
        layer: where.
        pool: how a map became a vector: "mean" or "max" over its places, or "flatten": [channels, rows, columns] as
            they are, one after another.
        precision: of the vectors.
        warning: what to bear in mind, as a sentence, or "".
        model_digest, source_digest: of what.
        columns: what else the source says of each picture, by name: texts, or float64 [n]; untrusted text.
    """

    vectors: NDArray[Any]
    predictions: NDArray[np.int64]
    confidences: NDArray[np.float32]
    loss: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    names: tuple[str, ...]
    thumbnails: Sequence[bytes]
    skipped: tuple[tuple[str, str], ...]
    layer: LayerInfo
    pool: Pool
    precision: Precision
    warning: str
    model_digest: str
    source_digest: str
    columns: Mapping[str, Column] = field(default_factory=dict)


def embeddings(embedder: Embedder, whole: Answered) -> list[Embedding]:
    """The embedding at each layer of what all pictures answered; they share everything but the vectors."""
    source, kept = embedder.source, whole.pictures
    names = tuple(source.names[index] for index in kept)
    labels = np.array([source.labels[index] for index in kept], np.int64)
    skipped = tuple((source.names[index], reason) for index, reason in whole.skipped)
    columns = source.columns_of(kept)
    found = []
    for info, vectors in zip(embedder.layers, whole.vectors, strict=True):
        vectors.flags.writeable = False
        found.append(
            Embedding(
                vectors=vectors,
                predictions=whole.predictions,
                confidences=whole.confidences,
                loss=whole.loss,
                labels=labels,
                classes=source.classes,
                names=names,
                thumbnails=whole.thumbnails,
                skipped=skipped,
                layer=info,
                pool=embedder.pool,
                precision=embedder.precision,
                warning=embedder.warning(info),
                model_digest=embedder.model.digest,
                source_digest=source.digest,
                columns=columns,
            )
        )
    return found


@overload
def embed(
    model: LoadedModel,
    source: PictureSource,
    layer: str | None = None,
    *,
    pool: Pool = "mean",
    precision: Precision = "float32",
) -> Job[Embedding]: ...


@overload
def embed(
    model: LoadedModel,
    source: PictureSource,
    *,
    layers: Sequence[str],
    pool: Pool = "mean",
    precision: Precision = "float32",
) -> Job[list[Embedding]]: ...


def embed(
    model: LoadedModel,
    source: PictureSource,
    layer: str | None = None,
    *,
    layers: Sequence[str] | None = None,
    pool: Pool = "mean",
    precision: Precision = "float32",
) -> Job[Any]:
    """The vector of every picture at a layer, or at several in one pass, with the network's prediction for it.

    Args:
        model: the network; it works with its BatchNorms folded, which changes answers in the fifth digit.
        source: the pictures; broken ones are skipped and listed.
        layer: a map or vector layer; `default_layer` if None.
        layers: several instead; then the result is a list in their order.
        pool, precision: see `Embedding`.

    Yields:
        Progress in pictures.

    Raises:
        UnknownName: no such layer, pool or precision.
        BadInput: a layer without channels, vectors of more than `MAX_BYTES`, or not one picture could be read.
    """
    wanted = layers if layers is not None else [layer] if layer else []
    embedder = Embedder(model, source, wanted, pool, precision)
    total, size = len(source), batch_of(model)
    if embedder.picture_bytes * total > MAX_BYTES:
        raise BadInput(
            f"The vectors of {total:,} pictures would take {embedder.picture_bytes * total / 2**30:,.1f} GiB of "
            f"memory; at most {MAX_BYTES >> 30} are taken. Pool by mean, take fewer pictures, or embed into a folder."
        )
    parts: list[Answered] = []
    done = 0
    with closing(embedder.parts(batches_of(range(total), size))) as answers:
        for part in answers:
            parts.append(part)
            done += part.size
            yield Progress(done, total, f"{done:,} of {total:,} pictures")
    whole = joined(parts)
    if not whole.pictures:
        raise none_readable(source, whole.skipped)
    found = embeddings(embedder, whole)
    return found if layers is not None else found[0]


def batch_of(model: LoadedModel) -> int:
    """How many pictures go through the network together: on a CPU few enough that a cancel need not wait long."""
    return batch_size(model, multiplications(model))


def first_count(model: LoadedModel) -> int:
    """How many pictures to embed first: 500, on a CPU 200 or 100 where more would take much longer than a minute."""
    work = multiplications(model) if model.runtime.device.type == "cpu" else 0
    return next((count for count in (500, 200) if count * work <= _WORK_OF_A_MINUTE), 100)


def embed_picture(
    model: LoadedModel, image: InputImage, layers: Sequence[str], pool: Pool = "mean"
) -> list[NDArray[np.float32]]:
    """The vectors of one picture at some layers, in one pass: float32 [d] each."""
    tape = model.observe(model.preprocess.to_batch(image), list(layers))
    return [pooled(model.layer(name), tape[name], pool)[0].cpu().numpy() for name in layers]

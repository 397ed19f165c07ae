"""Embedding a set of pictures at a layer."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.datasets.sources import PictureSource
from interpret.errors import BadInput, InterpretError
from interpret.images import InputImage
from interpret.jobs import Job, Progress
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.rendering import thumbnail
from interpret.work import multiplications

BATCH = {"cpu": 8, "cuda": 128, "mps": 32}
_WORK_OF_A_BATCH, _WORK_OF_A_MINUTE = 35 * 10**9, 2100 * 10**9
"""Multiplications a slow CPU does in about half a second and in about a minute."""


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
    batch_size = batch_of(model)
    vectors: list[NDArray[np.float32]] = []
    predictions: list[NDArray[np.int64]] = []
    confidences: list[NDArray[np.float32]] = []
    kept: list[int] = []
    thumbnails: list[bytes] = []
    skipped: list[tuple[str, str]] = []
    indices = list(range(len(source)))
    with ThreadPoolExecutor(max_workers=2) as pool:
        done = 0
        try:
            for chunk, decoded in _ahead(pool, model, source, indices, batch_size):
                good = [(index, item) for index, item in zip(chunk, decoded, strict=True) if not isinstance(item, str)]
                skipped += [
                    (source.names[i], item) for i, item in zip(chunk, decoded, strict=True) if isinstance(item, str)
                ]
                if good:
                    answered = _pass(model, info, torch.cat([tensor for _, (tensor, _) in good]))
                    vectors.append(answered[0])
                    predictions.append(answered[1])
                    confidences.append(answered[2])
                    kept += [index for index, _ in good]
                    thumbnails += [small for _, (_, small) in good]
                done += len(chunk)
                yield Progress(done, len(source), f"{done:,} of {len(source):,} pictures")
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
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
    device = model.runtime.device.type
    if device != "cpu":
        return BATCH.get(device, 8)
    return max(1, min(BATCH["cpu"], _WORK_OF_A_BATCH // max(1, multiplications(model))))


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
    size, start = len(batch), 0
    parts: list[tuple[torch.Tensor, torch.Tensor]] = []
    while start < len(batch):
        try:
            tape = model.observe(batch[start : start + size], [info.name], until="scores")
        except RuntimeError as error:
            size = model.runtime.smaller_chunk(size, error)
            continue
        assert tape.scores is not None
        parts.append((info.channels_first(tape[info.name]).mean((2, 3)).float().cpu(), tape.scores.softmax(1).cpu()))
        start += size
    vectors: NDArray[np.float32] = torch.cat([vector for vector, _ in parts]).numpy()
    confidences, predictions = torch.cat([probability for _, probability in parts]).max(1)
    return vectors, predictions.numpy(), confidences.numpy()


Decoded = tuple[torch.Tensor, bytes] | str


def _ahead(
    pool: ThreadPoolExecutor, model: LoadedModel, source: PictureSource, indices: list[int], size: int
) -> Iterator[tuple[list[int], list[Decoded]]]:
    """Batches of decoded pictures in order, three batches ahead of the network; a broken picture becomes its reason."""

    def decode(index: int) -> Decoded:
        try:
            image = source.read(index)
            return model.preprocess.to_batch(image), thumbnail(image.pixels)
        except InterpretError as error:
            return str(error)

    chunks = [indices[start : start + size] for start in range(0, len(indices), size)]
    waiting: list[tuple[list[int], list[Future[Decoded]]]] = []
    for chunk in chunks:
        waiting.append((chunk, [pool.submit(decode, index) for index in chunk]))
        if len(waiting) > 3:
            ready, futures = waiting.pop(0)
            yield ready, [future.result() for future in futures]
    for ready, futures in waiting:
        yield ready, [future.result() for future in futures]

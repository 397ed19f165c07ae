"""What the pictures of a source leave behind at some layers, batch by batch, in one pass."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.batches import DecodedBatch, decoded, observed
from interpret.datasets.sources import PictureSource
from interpret.decoding import small_jpeg
from interpret.errors import BadInput, unknown
from interpret.labels import matched_classes
from interpret.layers import LayerInfo
from interpret.model import LoadedModel

Pool = Literal["mean", "max", "flatten"]
Precision = Literal["float32", "float16"]
POOLS: tuple[Pool, ...] = ("mean", "max", "flatten")
PRECISIONS: tuple[Precision, ...] = ("float32", "float16")
_MANY_DIMENSIONS = 4096


@dataclass(frozen=True, eq=False)
class Answered:
    """What some pictures of a source left behind.

    Attributes:
        size: how many were asked for, broken ones among them.
        pictures: places in the source of those that could be read.
        vectors: [n, d] for each layer.
        predictions, confidences, loss: [n], see `Embedding`.
        thumbnails: of each.
        skipped: (place in the source, reason) of the broken ones.
    """

    size: int
    pictures: tuple[int, ...]
    vectors: tuple[NDArray[Any], ...]
    predictions: NDArray[np.int64]
    confidences: NDArray[np.float32]
    loss: NDArray[np.float32]
    thumbnails: tuple[bytes, ...]
    skipped: tuple[tuple[int, str], ...]


class Embedder:
    """Embeds the pictures of a source at some layers.

    Args:
        model: the network.
        source: the pictures.
        layers: names of map or vector layers; `default_layer` if there are none.
        pool, precision: see `Embedding`.

    Raises:
        UnknownName: no such layer, pool or precision.
        BadInput: a layer without channels, or named twice.
    """

    def __init__(
        self, model: LoadedModel, source: PictureSource, layers: Sequence[str], pool: Pool, precision: Precision
    ) -> None:
        if pool not in POOLS:
            raise unknown("Pool", pool, "the ways to pool", POOLS)
        if precision not in PRECISIONS:
            raise unknown("Precision", precision, "the precisions", PRECISIONS)
        self.layers = [model.layer(name) for name in layers] or [model.default_layer]
        if len(set(layers)) < len(layers):
            raise BadInput(f"A layer is named twice: {', '.join(layers)}.")
        for info in self.layers:
            if info.layout == "other":
                raise BadInput(
                    f'Layer "{info.name}" answers with shape {list(info.shape)}, which is neither map nor vector.'
                )
        self.model, self.source, self.pool, self.precision = model, source, pool, precision
        matched, _ = matched_classes(source.classes, model.labels)
        self._true = [matched[label] if label >= 0 else -1 for label in source.labels]

    def dimensions(self, info: LayerInfo) -> int:
        """How long a layer's vectors are."""
        return info.channels * (info.rows * info.columns if self.pool == "flatten" else 1)

    @property
    def picture_bytes(self) -> int:
        """What the vectors of one picture take."""
        return sum(map(self.dimensions, self.layers)) * np.dtype(self.precision).itemsize

    def warning(self, info: LayerInfo) -> str:
        """What to bear in mind of a layer's vectors, or ""."""
        count = self.dimensions(info)
        if self.pool != "flatten" or count <= _MANY_DIMENSIONS:
            return ""
        return (
            f"The flattened vectors of {info.name} have {count:,} dimensions: the same thing a few pixels further on "
            "is far away in them. Pool by mean or max unless places matter."
        )

    def parts(self, chunks: Iterable[Sequence[int]]) -> Generator[Answered, None, None]:
        """What each chunk of pictures answered, in order; to be closed. The network works on a folded copy."""
        model = self.model.folded([info.name for info in self.layers])
        with closing(decoded(model, self.source, chunks, small_jpeg)) as batches:
            for batch in batches:
                yield self._answered(model, batch)

    def _answered(self, model: LoadedModel, batch: DecodedBatch[bytes]) -> Answered:
        true = torch.tensor([self._true[index] for index in batch.pictures], dtype=torch.int64)
        vectors: list[list[torch.Tensor]] = [[] for _ in self.layers]
        told: list[torch.Tensor] = []
        names = [info.name for info in self.layers]
        for tape in () if batch.inputs is None else observed(model, batch.inputs, names):
            assert tape.scores is not None
            told.append(_told(tape.scores, true[sum(map(len, told)) :]))
            for kept, info in zip(vectors, self.layers, strict=True):
                kept.append(self._stored(pooled(info, tape[info.name], self.pool)))
        predictions, confidences, loss = torch.cat(told).T if told else torch.zeros(3, 0)
        return Answered(
            size=batch.size,
            pictures=batch.pictures,
            vectors=tuple(
                torch.cat(kept).numpy() if kept else np.zeros((0, self.dimensions(info)), self.precision)
                for kept, info in zip(vectors, self.layers, strict=True)
            ),
            predictions=predictions.long().numpy(),
            confidences=confidences.contiguous().numpy(),
            loss=loss.contiguous().numpy(),
            thumbnails=batch.beside,
            skipped=batch.skipped,
        )

    def _stored(self, vectors: torch.Tensor) -> torch.Tensor:
        if self.precision == "float16":
            largest = torch.finfo(torch.float16).max  # what is beyond would become infinite
            vectors = vectors.clamp(-largest, largest).half()
        return vectors.cpu()


def batches_of(pictures: range, size: int) -> list[range]:
    """A stretch of pictures in batches of a size."""
    return [pictures[at : at + size] for at in range(0, len(pictures), size)]


def joined(parts: Sequence[Answered]) -> Answered:
    """What consecutive pictures left behind, as one."""
    return Answered(
        size=sum(part.size for part in parts),
        pictures=tuple(index for part in parts for index in part.pictures),
        vectors=tuple(np.concatenate(columns) for columns in zip(*(part.vectors for part in parts), strict=True)),
        predictions=np.concatenate([part.predictions for part in parts]),
        confidences=np.concatenate([part.confidences for part in parts]),
        loss=np.concatenate([part.loss for part in parts]),
        thumbnails=tuple(small for part in parts for small in part.thumbnails),
        skipped=tuple(one for part in parts for one in part.skipped),
    )


def none_readable(source: PictureSource, skipped: Sequence[tuple[int, str]]) -> BadInput:
    """The error of a source without a single picture that could be read."""
    first = skipped[0][1] if skipped else ""
    return BadInput(f'Not one of the {len(source):,} pictures of "{source.title}" could be read. {first}')


def pooled(info: LayerInfo, output: torch.Tensor, pool: Pool) -> torch.Tensor:
    """A layer's output [n, ...] as vectors: float32 [n, d]."""
    maps = info.channels_first(output).float()
    if pool == "flatten":
        return maps.flatten(1)
    return maps.mean((2, 3)) if pool == "mean" else maps.amax((2, 3))


def _told(scores: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Predicted class, its probability, and the loss, NaN where `true` is -1: float32 [n, 3] on the CPU."""
    log = scores.float().log_softmax(1)
    best, predictions = log.max(1)
    wanted = true[: len(scores)].to(scores.device)
    loss = -log.gather(1, wanted.clamp_min(0)[:, None])[:, 0].masked_fill(wanted < 0, torch.nan)
    return torch.stack([predictions.float(), best.exp(), loss], 1).cpu()

"""Pictures of a source through a network, batch by batch: decoded ahead of it, in parts where memory is short."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.answers import Tape
from interpret.datasets.sources import PictureSource
from interpret.errors import InterpretError
from interpret.images import InputImage
from interpret.model import LoadedModel
from interpret.tape import Edit

BATCH = {"cpu": 8, "cuda": 128, "mps": 32}
_WORK_OF_A_BATCH = 35 * 10**9
"""Multiplications a slow CPU does in about half a second."""
_BATCHES_AHEAD = 3
MAX_DECODERS = 8

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class DecodedBatch(Generic[T]):
    """Consecutive pictures of a source, ready for the network.

    Attributes:
        size: how many were asked for, broken ones among them.
        pictures: places in the source of those that could be read, ascending.
        inputs: float32 [len(pictures), channels, height, width], normalised, on the CPU; None where all are broken.
        beside: what else was made of each of them.
        skipped: (place in the source, reason) of the broken ones.
    """

    size: int
    pictures: tuple[int, ...]
    inputs: torch.Tensor | None
    beside: tuple[T, ...]
    skipped: tuple[tuple[int, str], ...]


def batch_size(model: LoadedModel, work: int) -> int:
    """How many pictures go through the network together: on a CPU few enough that a cancel need not wait long.

    Args:
        model: says which device it runs on.
        work: multiplications for one picture (`interpret.work.multiplications`).
    """
    device = model.runtime.device.type
    if device != "cpu":
        return BATCH.get(device, 8)
    return max(1, min(BATCH["cpu"], _WORK_OF_A_BATCH // max(1, work)))


def decoded_batches(
    model: LoadedModel, source: PictureSource, indices: Sequence[int], size: int, beside: Callable[[InputImage], T]
) -> Generator[DecodedBatch[T], None, None]:
    """The pictures of a source as batches of `size` in order; see `decoded`.

    Args:
        model, source, beside: as there.
        indices: which pictures, ascending.
        size: how many to a batch.
    """
    return decoded(model, source, (indices[at : at + size] for at in range(0, len(indices), size)), beside)


def decoded(
    model: LoadedModel, source: PictureSource, chunks: Iterable[Sequence[int]], beside: Callable[[InputImage], T]
) -> Generator[DecodedBatch[T], None, None]:
    """Chunks of a source as one batch each, decoded by threads, three batches ahead of the network.

    Pillow lets other threads run while it decodes and resizes, so that threads do what processes would, and nothing has
    to be copied between them. To be closed (`contextlib.closing`), so that the threads end with the work they are for.

    Args:
        model: says how pictures become input.
        source: the pictures.
        chunks: which of them go together.
        beside: makes something else of every picture, in the same threads.
    """

    def decode(index: int) -> tuple[NDArray[np.uint8], T] | str:
        try:
            image = source.read(index)
            return model.preprocess.seen(image), beside(image)
        except InterpretError as error:
            return str(error)

    def gathered(chunk: Sequence[int], futures: list[Future[tuple[NDArray[np.uint8], T] | str]]) -> DecodedBatch[T]:
        made = list(zip(chunk, [future.result() for future in futures], strict=True))
        good = [(index, item) for index, item in made if not isinstance(item, str)]
        return DecodedBatch(
            size=len(chunk),
            pictures=tuple(index for index, _ in good),
            inputs=_inputs(model, [pixels for _, (pixels, _) in good]) if good else None,
            beside=tuple(other for _, (_, other) in good),
            skipped=tuple((index, item) for index, item in made if isinstance(item, str)),
        )

    with ThreadPoolExecutor(max_workers=max(2, min(MAX_DECODERS, os.cpu_count() or 2))) as pool:
        waiting: deque[tuple[Sequence[int], list[Future[tuple[NDArray[np.uint8], T] | str]]]] = deque()
        try:
            for chunk in chunks:
                waiting.append((chunk, [pool.submit(decode, index) for index in chunk]))
                if len(waiting) > _BATCHES_AHEAD:
                    yield gathered(*waiting.popleft())
            while waiting:
                yield gathered(*waiting.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _inputs(model: LoadedModel, seen: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
    """Pictures as the network sees them [height, width, 3] to input, all at once and in the network's own layout."""
    pixels = torch.from_numpy(np.stack(seen)).permute(0, 3, 1, 2)  # channels last, which the network wants
    return model.preprocess.normalise(pixels.float().div_(255))


def observed(
    model: LoadedModel, batch: torch.Tensor, keep: Collection[str] = (), edit: Mapping[str, Edit] | None = None
) -> Iterator[Tape]:
    """What a batch leaves behind, scores included: one tape, or one for each part where the device's memory is short.

    Args:
        model, batch, keep, edit: as in `LoadedModel.observe`.

    Raises:
        Unavailable: the memory is too small for a single picture.
    """
    size, start = len(batch), 0
    while start < len(batch):
        try:
            tape = model.observe(batch[start : start + size], keep, edit=edit, until="scores")
        except RuntimeError as error:
            size = model.runtime.smaller_chunk(size, error)
            continue
        start += size
        yield tape

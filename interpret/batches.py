"""Pictures of a source through a network, batch by batch: decoded ahead of it, in parts where memory is short."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.answers import Tape
from interpret.datasets.sources import PictureSource
from interpret.decoding import Decoded, Decoders, can_be_sent, prepared
from interpret.images import InputImage
from interpret.model import LoadedModel
from interpret.tape import Edit

BATCH = {"cpu": 8, "cuda": 128, "mps": 32}
_WORK_OF_A_BATCH = 35 * 10**9
"""Multiplications a slow CPU does in about half a second."""
_BATCHES_AHEAD = 3
MAX_DECODERS = 8
_WORTH_PROCESSES = 1000
"""Pictures, from which on processes decode them for a graphics card."""
_FILES_TOGETHER = 8
"""Given to a process at once: fewer are more often handed over, more come in lumps."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class DecodedBatch(Generic[T]):
    """Consecutive pictures of a source, ready for the network.

    Attributes:
        size: how many were asked for, broken ones among them.
        pictures: places in the source of those that could be read, ascending.
        inputs: float32 [len(pictures), channels, height, width], normalised, on the network's device; None where all
            are broken.
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
    """Chunks of a source as one batch each, decoded three batches ahead of the network.

    By threads: Pillow lets others run while it decodes and resizes, and nothing has to be copied between them. But they
    take turns in Python, so that many cores do not decode faster than four: for a graphics card, many pictures that are
    files are decoded by processes, as soon as those stand. To be closed (`contextlib.closing`), so that the threads end
    with the work they are for.

    Args:
        model: says how pictures become input.
        source: the pictures.
        chunks: which of them go together.
        beside: makes something else of every picture, in the same thread or process.
    """
    decoders = Decoders(model.preprocess, beside) if _feeds_a_card(model, source, beside) else None
    together = 1 if decoders is None else _FILES_TOGETHER

    def decode(indices: Sequence[int]) -> list[Decoded[T]]:
        if decoders is not None:
            return decoders.decode(source, indices)
        return [prepared(partial(source.read, index), model.preprocess, beside) for index in indices]

    def gathered(chunk: Sequence[int], futures: list[Future[list[Decoded[T]]]]) -> DecodedBatch[T]:
        made = list(zip(chunk, [one for future in futures for one in future.result()], strict=True))
        good = [(index, item) for index, item in made if not isinstance(item, str)]
        return DecodedBatch(
            size=len(chunk),
            pictures=tuple(index for index, _ in good),
            inputs=_inputs(model, [pixels for _, (pixels, _) in good]) if good else None,
            beside=tuple(other for _, (_, other) in good),
            skipped=tuple((index, item) for index, item in made if isinstance(item, str)),
        )

    threads = max(2, min(MAX_DECODERS, os.cpu_count() or 2)) if decoders is None else decoders.count
    with closing(decoders) if decoders else nullcontext(), ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[Sequence[int], list[Future[list[Decoded[T]]]]]] = deque()
        try:
            for chunk in chunks:
                parts = [chunk[at : at + together] for at in range(0, len(chunk), together)]
                waiting.append((chunk, [pool.submit(decode, part) for part in parts]))
                if len(waiting) > _BATCHES_AHEAD:
                    yield gathered(*waiting.popleft())
            while waiting:
                yield gathered(*waiting.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _feeds_a_card(model: LoadedModel, source: PictureSource, beside: Callable[[InputImage], T]) -> bool:
    """Whether a network waits for pictures that processes would bring sooner."""
    many = len(source) >= _WORTH_PROCESSES and (os.cpu_count() or 1) > MAX_DECODERS // 2
    asked_for = model.runtime.device.type == "cuda" and source.encoded is not None
    return many and asked_for and can_be_sent(model.preprocess, beside)


def _inputs(model: LoadedModel, seen: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
    """Pictures as the network sees them [height, width, 3] to input, all at once and in the network's own layout."""
    pixels = torch.from_numpy(np.stack(seen)).to(model.runtime.device)  # as bytes, a quarter of what input takes
    pixels = pixels.permute(0, 3, 1, 2)  # channels last, which the network wants
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

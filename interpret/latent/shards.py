"""Shards of a run: some consecutive pictures embedded, each in a folder that is there whole or not at all."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interpret.latent.embedder import Answered, Embedder

_ANSWERS = "answers.npz"


def write_shard(folder: Path, part: Answered) -> None:
    """`0.npy`, `1.npy`, ... [n, d] for the layers and `answers.npz` for the rest, renamed into place together.

    Where another machine was faster, its shard is left as it is.
    """
    unfinished = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}.tmp")
    unfinished.mkdir(parents=True)
    try:
        for number, vectors in enumerate(part.vectors):
            np.save(unfinished / f"{number}.npy", vectors)
        np.savez(
            unfinished / _ANSWERS,
            pictures=np.array(part.pictures, np.int64),
            predictions=part.predictions,
            confidences=part.confidences,
            loss=part.loss,
            thumbnails=np.frombuffer(b"".join(part.thumbnails), np.uint8),
            offsets=offsets_of(part.thumbnails),
            skipped=np.frombuffer(json.dumps(part.skipped).encode(), np.uint8),
        )
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def read_shard(folder: Path, layers: Sequence[int] = ()) -> Answered:
    """What lies in a shard's folder.

    Args:
        folder: of the shard.
        layers: numbers of the layers whose vectors are wanted, memory-mapped.

    Raises:
        OSError, ValueError, KeyError: it is not there or damaged.
    """
    with np.load(folder / _ANSWERS, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    offsets, blob = found["offsets"], found["thumbnails"].tobytes()
    skipped = json.loads(found["skipped"].tobytes())
    return Answered(
        size=len(found["pictures"]) + len(skipped),
        pictures=tuple(found["pictures"].tolist()),
        vectors=tuple(shard_vectors(folder, number) for number in layers),
        predictions=found["predictions"],
        confidences=found["confidences"],
        loss=found["loss"],
        thumbnails=tuple(blob[start:end] for start, end in pairwise(offsets)),
        skipped=tuple((int(index), str(reason)) for index, reason in skipped),
    )


def shard_vectors(shard: Path, layer: int) -> NDArray[Any]:
    """The vectors of one layer in a shard: [n, d], memory-mapped."""
    found: NDArray[Any] = np.load(shard / f"{layer}.npy", mmap_mode="r", allow_pickle=False)
    return found


def is_whole(folder: Path, pictures: range, embedder: Embedder) -> bool:
    """Whether a shard's folder holds these pictures at these layers."""
    if not folder.is_dir():
        return False
    try:
        part = read_shard(folder, range(len(embedder.layers)))
    except Exception:  # numpy, zipfile and json raise many kinds on damaged files
        return False
    asked = sorted([*part.pictures, *(index for index, _ in part.skipped)])
    return asked == list(pictures) and all(
        vectors.shape == (len(part.pictures), embedder.dimensions(info)) and vectors.dtype == embedder.precision
        for vectors, info in zip(part.vectors, embedder.layers, strict=True)
    )


def offsets_of(pieces: Sequence[bytes]) -> NDArray[np.int64]:
    """Where each piece begins when they are put together, and where the last ends: int64 [n + 1]."""
    return np.cumsum([0, *(len(piece) for piece in pieces)], dtype=np.int64)

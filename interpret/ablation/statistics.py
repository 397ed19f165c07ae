"""How the channels of a layer usually answer: what they are replaced by where 0 would be unheard of."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interpret.batches import batch_size, decoded_batches, observed
from interpret.datasets.sources import PictureSource
from interpret.decoding import nothing
from interpret.errors import BadInput, InterpretError
from interpret.images import InputImage
from interpret.jobs import Job, Progress
from interpret.model import LoadedModel
from interpret.work import multiplications

SOME = 16


@dataclass(frozen=True, eq=False)
class Usual:
    """A layer's channels over a data set, over pictures and places alike. Arrays are read-only.

    Attributes:
        mean: float32 [channels].
        deviation: float32 [channels], the standard deviation (divided by the count).
    """

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]


def some_images(source: PictureSource, count: int = SOME) -> tuple[InputImage, ...]:
    """Pictures spread evenly over a data set, broken ones left out: what BatchNorms may take their statistics from.

    Args:
        source: the pictures.
        count: how many are tried.

    Raises:
        BadInput: not one of them could be read.
    """
    found, few, reason = [], source.first(count), ""
    for index in range(len(few)):
        try:
            found.append(few.read(index))
        except InterpretError as error:
            reason = str(error)
    if not found:
        raise BadInput(f'Not one of {len(few)} pictures of "{source.title}" could be read. {reason}')
    return tuple(found)


def usual(model: LoadedModel, source: PictureSource, layers: Collection[str]) -> Job[dict[str, Usual]]:
    """Mean and deviation of every channel of some layers over a data set, from one pass over it.

    Args:
        model: the network.
        source: the pictures; broken ones are skipped.
        layers: dotted names of map or vector layers.

    Yields:
        Progress in pictures.

    Raises:
        UnknownName: no such layer.
        BadInput: a layer that has no channels, or not one picture could be read.
    """
    infos = {name: model.layer(name) for name in dict.fromkeys(layers)}
    for info in infos.values():
        if info.layout == "other":
            raise BadInput(
                f'Layer "{info.name}" answers with shape {list(info.shape)}, which is neither map nor vector, so its '
                "channels have no mean. Choose another layer."
            )
    sums = {name: np.zeros((2, info.channels)) for name, info in infos.items()}
    counts, done, total, reason = dict.fromkeys(infos, 0), 0, len(source), ""
    with closing(
        decoded_batches(model, source, range(total), batch_size(model, multiplications(model)), nothing)
    ) as batches:
        for batch in batches:
            reason = reason or next((why for _, why in batch.skipped), "")
            for tape in observed(model, batch.inputs, infos) if batch.inputs is not None else ():
                for name, info in infos.items():
                    values = info.channels_first(tape[name]).cpu().double()
                    sums[name] += np.stack([values.sum((0, 2, 3)).numpy(), values.square().sum((0, 2, 3)).numpy()])
                    counts[name] += values.numel() // info.channels
            done += batch.size
            yield Progress(done, total, f"{done:,} of {total:,} pictures")
    if not all(counts.values()):
        raise BadInput(f'Not one of the {total:,} pictures of "{source.title}" could be read. {reason}')
    return {name: _usual(sums[name] / counts[name]) for name in infos}


def _usual(moments: NDArray[np.float64]) -> Usual:
    """From the means of the values and of their squares [2, channels]."""
    mean = moments[0].astype(np.float32)
    deviation = np.sqrt(np.maximum(moments[1] - moments[0] ** 2, 0)).astype(np.float32)
    mean.flags.writeable = deviation.flags.writeable = False
    return Usual(mean, deviation)

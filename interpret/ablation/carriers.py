"""Which channels carry something to a class: a tag, a background, a colour that only some pictures have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.batches import DecodedBatch, batch_size, decoded_batches
from interpret.datasets.sources import PictureSource
from interpret.decoding import nothing
from interpret.errors import BadInput
from interpret.jobs import Job, Progress
from interpret.model import LoadedModel
from interpret.work import multiplications


@dataclass(frozen=True, eq=False)
class Carriers:
    """Channels of a layer by what they carry to a class. Arrays are read-only.

    Attributes:
        order: int64 [channels], the one that carries most first.
        effects: float32 [channels], about what the class's score owes to what each channel answers to the pictures
            with the thing beyond what it answers to those without; negative where it speaks against the class.
    """

    order: NDArray[np.int64]
    effects: NDArray[np.float32]


def carriers(
    model: LoadedModel, having: PictureSource, lacking: PictureSource, layer: str, target: int | str
) -> Job[Carriers]:
    """The channels by which a class profits from something that some pictures have and others have not.

        effect(c) = mean over pictures that have it of the sum over places of d score / d a_c
                    * (mean of a_c over pictures that have it - mean over those that have not)

    a_c is what channel c answers. To first order it is what the score loses where the channel answers as it does to
    the others; what is really lost has to be seen by removing the channels.

    Args:
        model: the network.
        having, lacking: pictures with the thing and without it, otherwise alike; they need not come in pairs.
        layer: dotted name of a map or vector layer.
        target: the class, by index or label.

    Yields:
        Progress in pictures.

    Raises:
        UnknownName: no such layer or class.
        BadInput: a layer without channels, or not one picture of a set could be read.

    Source: N. Nanda 2023, "Attribution Patching: Activation Patching At Industrial Scale"; A. Syed, C. Rager, A. Conmy
        2023, arXiv 2310.10348. Differs: of means over two sets of pictures, where theirs are of pairs.
    """
    info, wanted = model.layer(layer), model.target(target)
    if info.layout == "other":
        raise BadInput(f'Layer "{info.name}" answers with shape {list(info.shape)}, which is neither map nor vector.')
    total, done = len(having) + len(lacking), 0
    slopes, means = np.zeros(info.channels), []
    for source in (having, lacking):
        answers, count = np.zeros(info.channels), 0
        with _batches(model, source) as batches:
            for batch in batches:
                if batch.inputs is not None and source is having:
                    tape = model.trace(batch.inputs, [layer])
                    assert tape.scores is not None
                    (slope,) = torch.autograd.grad(tape.scores[:, wanted].sum(), [tape[layer]])
                    slopes += info.channels_first(slope).double().sum((0, 2, 3)).cpu().numpy()
                elif batch.inputs is not None:
                    tape = model.observe(batch.inputs, [layer])
                if batch.inputs is not None:
                    answered = info.channels_first(tape[layer].detach()).double()
                    answers += answered.mean((2, 3)).sum(0).cpu().numpy()
                    count += len(answered)
                done += batch.size
                yield Progress(done, total, f"{done:,} of {total:,} pictures")
        if not count:
            raise BadInput(f'Not one of the {len(source):,} pictures of "{source.title}" could be read.')
        means.append(answers / count)
        slopes = slopes / count if source is having else slopes
    effects = (slopes * (means[0] - means[1])).astype(np.float32)
    order = np.argsort(-effects, kind="stable")
    effects.flags.writeable = order.flags.writeable = False
    return Carriers(order, effects)


@contextmanager
def _batches(model: LoadedModel, source: PictureSource) -> Iterator[Iterator[DecodedBatch[None]]]:
    size = batch_size(model, multiplications(model))
    with closing(decoded_batches(model, source, range(len(source)), size, nothing)) as batches:
        yield batches

"""Variants that come in series: block by block, and channel by channel in an order of importance."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.ablation.changes import kind_of
from interpret.ablation.found import Floats, Indices
from interpret.ablation.kinds import Change
from interpret.ablation.parts import learned
from interpret.ablation.table import known_classes
from interpret.batches import batch_size, decoded_batches
from interpret.datasets.sources import PictureSource
from interpret.decoding import nothing
from interpret.errors import BadInput, unknown
from interpret.images import InputImage
from interpret.jobs import Job, Progress
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.variants import scores_behind, together
from interpret.work import multiplications

RANKINGS = ("activation", "gradient", "selectivity", "random")
_WAY_BACK = 3
"""A pass and the way back take up to three times as long as a pass."""
_WORK_OF_A_STEP = 35 * 10**9

Variants = dict[str, tuple[Change, ...]]


def lesions(model: LoadedModel) -> Variants:
    """Each block that can be bypassed, in turn, in the order of execution.

    Source: Veit, Wilber and Belongie 2016, section 4.1, arXiv 1605.06431.
    """
    bypasses = [Change("bypass", block.output) for block in model.blocks]
    return {change.title: (change,) for change in bypasses if not kind_of(change).refused(model, change)}


def forgotten(model: LoadedModel, seed: int = 0) -> Variants:
    """Each block with weights re-initialised, in turn, in the order of execution.

    Source: Zhang, Bengio and Singer 2019, "Are All Layers Created Equal?", arXiv 1902.01996.
    """
    return {change.title: (change,) for change in _forgetting(model, seed)}


def cascade(model: LoadedModel, seed: int = 0) -> Variants:
    """The head re-initialised, then the block below it too, and so on down to the stem.

    Source: Adebayo et al. 2018, "Sanity Checks for Saliency Maps", section 3, arXiv 1810.03292.
    """
    changes = _forgetting(model, seed)[::-1]
    return {
        f"re-initialise from the top down to {change.layer}": tuple(changes[: at + 1])
        for at, change in enumerate(changes)
    }


def _forgetting(model: LoadedModel, seed: int) -> list[Change]:
    return [Change("reinitialise", block.output, seed=seed) for block in model.blocks if learned(model, block.output)]


def rank(
    model: LoadedModel, source: PictureSource, layer: str, ranking: str, seed: int = 0, target: int | None = None
) -> Job[Indices]:
    """The channels of a layer, the most important first: int64 [channels].

    activation: mean over pictures and places.
    gradient: mean over pictures of |mean over places of activation times the gradient of the picture's class score|.
    selectivity: (m - r) / (m + r), m the greatest of the class means of the activation, r the mean of the others'.
    random: lots, as a control.

    The class of a picture is its label; where the source has none that the network knows, the class predicted.

    Args:
        model: the network.
        source: the pictures; broken ones are skipped.
        layer: dotted name of a map or vector layer.
        ranking: one of RANKINGS.
        seed: of the lots.
        target: only the pictures of this class count; for selectivity, m is the mean of this class.

    Yields:
        Progress in pictures.

    Raises:
        UnknownName: no such layer, ranking or class.
        BadInput: a layer without channels, or no picture to go by.

    Source: gradient: Molchanov et al. 2017, "Pruning Convolutional Neural Networks for Resource Efficient Inference",
        equation 8, arXiv 1611.06440; selectivity: Morcos et al. 2018, section 3.3, arXiv 1803.06959.
    """
    info = _with_channels(model.layer(layer))
    if ranking not in RANKINGS:
        raise unknown("Ranking", ranking, "the list of rankings", RANKINGS)
    target = None if target is None else model.target(target)
    if ranking == "random":
        return np.random.default_rng(seed).permutation(info.channels)
    sums, counts = yield from _by_class(model, source, info, ranking == "gradient")
    present = counts > 0
    if not present.any() or (target is not None and not present[target]):
        what = "" if target is None else f' of class "{model.labels[target]}"'
        raise BadInput(f'"{source.title}" has no picture{what} that could be read. Choose other pictures.')
    if ranking == "selectivity":
        return _descending(_selectivity(sums[present] / counts[present, None], present, target))
    return _descending(sums.sum(0) / counts.sum() if target is None else sums[target] / counts[target])


def _selectivity(means: NDArray[np.float64], present: NDArray[np.bool_], target: int | None) -> NDArray[np.float64]:
    """The index of each channel [channels] from the means of the classes present [k, channels]."""
    if len(means) < 2:
        raise BadInput("Selectivity compares classes; the pictures are of one class only. Choose pictures of several.")
    greatest = means.max(0) if target is None else means[int(present[:target].sum())]
    others = (means.sum(0) - greatest) / (len(means) - 1)
    both = greatest + others
    index: NDArray[np.float64] = np.divide(greatest - others, both, out=np.zeros_like(both), where=both != 0)
    return index


def _by_class(
    model: LoadedModel, source: PictureSource, info: LayerInfo, gradient: bool
) -> Job[tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """Sums [classes, channels] of what is ranked by, and how many pictures each class has: [classes]."""
    known = known_classes(model, source)
    labelled = max(known) >= 0
    indices = [at for at, label in enumerate(known) if label >= 0 or not labelled]
    sums, counts = np.zeros((len(model.labels), info.channels)), np.zeros(len(model.labels), np.int64)
    size, done = min(8, batch_size(model, (_WAY_BACK if gradient else 1) * multiplications(model))), 0
    with closing(decoded_batches(model, source, indices, size, nothing)) as batches:
        for batch in batches:
            if batch.inputs is not None:
                run = model.trace if gradient else model.observe
                tape = run(batch.inputs, [info.name], until="scores")
                assert tape.scores is not None
                classes = tape.scores.argmax(1)
                if labelled:
                    classes = torch.tensor([known[at] for at in batch.pictures], device=classes.device)
                values = tape[info.name].detach()
                if gradient:
                    values = values * tape.gradient(tape.scores.gather(1, classes[:, None]), info.name)
                each = info.channels_first(values).mean((2, 3)).cpu().double().numpy()
                np.add.at(sums, classes.cpu().numpy(), np.abs(each) if gradient else each)
                counts += np.bincount(classes.cpu().numpy(), minlength=len(counts))
            done += batch.size
            yield Progress(done, len(indices), f"{done:,} of {len(indices):,} pictures")
    return sums, counts


def _descending(values: NDArray[np.float64]) -> Indices:
    return np.argsort(-values, kind="stable").astype(np.int64)


def removal(
    order: Sequence[int] | Indices, counts: Sequence[int], layer: str, least: bool = False, how: str = "zero"
) -> Variants:
    """The first n channels of an order changed, for each n.

    Args:
        order: channels, the most important first.
        counts: how many to a variant; 0 changes nothing.
        layer: whose channels.
        least: the last n instead.
        how: key of the kind of change.

    Raises:
        BadInput: more channels than the order has.
    """
    channels = [int(channel) for channel in order]
    for count in counts:
        if not 0 <= count <= len(channels):
            raise BadInput(f"{count:,} channels cannot be removed of {len(channels):,}; choose 0 to {len(channels):,}.")
    name = f"{'least' if least else 'most'} important of {layer}"
    return {
        f"the {count:,} {name}": without(layer, channels[len(channels) - count :] if least else channels[:count], how)
        for count in counts
    }


def without(layer: str, channels: Sequence[int], how: str = "zero") -> tuple[Change, ...]:
    """The change of some channels, which may be none."""
    return (Change(how, layer, tuple(channels)),) if len(channels) else ()


def each_channel(model: LoadedModel, image: InputImage, layer: str, target: int) -> Job[Floats]:
    """The score of a class with each channel alone at 0, less that unchanged: float32 [channels].

    The picture goes through the network as far as the layer once for many channels.

    Args:
        model: the network.
        image: the picture.
        layer: dotted name of a map or vector layer.
        target: class index.

    Yields:
        Progress in channels.

    Raises:
        UnknownName: no such layer or class.
        BadInput: a layer without channels.
    """
    info, target = _with_channels(model.layer(layer)), model.target(target)
    picture = model.preprocess.to_batch(image)
    plain = model.observe(picture).scores
    assert plain is not None
    behind = max(1, multiplications(model) - multiplications(model, layer))
    size = max(1, min(together(model, info), _WORK_OF_A_STEP // behind))
    found = np.zeros(info.channels, np.float32)
    for start in range(0, info.channels, size):
        some = torch.arange(start, min(start + size, info.channels))

        def zeroed(output: torch.Tensor, some: torch.Tensor = some) -> torch.Tensor:
            rows = output.repeat(len(some), *[1] * (output.ndim - 1))
            (rows.movedim(-1, 1) if info.layout == "channels last" else rows)[torch.arange(len(some)), some] = 0
            return rows

        scores = scores_behind(model, picture, layer, zeroed, len(some))
        found[some.numpy()] = (scores[:, target] - plain[0, target]).cpu().numpy()
        yield Progress(int(some[-1]) + 1, info.channels, f"{int(some[-1]) + 1:,} of {info.channels:,} channels")
    found.flags.writeable = False
    return found


def _with_channels(info: LayerInfo) -> LayerInfo:
    if info.layout == "other":
        raise BadInput(
            f'Layer "{info.name}" answers with shape {list(info.shape)}, which is neither map nor vector, so its '
            "channels cannot be told apart. Choose another layer."
        )
    return info

"""One pass over a data set: a heatmap of every picture, and what the network's own answers say of each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from interpret.batches import batch_size, decoded_batches
from interpret.datasets.shapes import CLASSES, draw
from interpret.datasets.sources import PictureSource
from interpret.errors import BadInput
from interpret.evaluation.found import Evaluation, Floats, Target
from interpret.heatmaps import DEFAULT_METHOD, METHODS, Heatmap, HeatmapMethod, Question
from interpret.heatmaps.faithfulness import curves
from interpret.heatmaps.faithfulness.masked import average_drop, increase
from interpret.heatmaps.localisation import Box, localised, seen_boxes
from interpret.heatmaps.making import as_values, question_of
from interpret.heatmaps.question import Maps
from interpret.images import InputImage
from interpret.jobs import Job, Progress
from interpret.labels import matched_classes
from interpret.model import LoadedModel
from interpret.rendering import Pixels, Scale, jpeg, overlay, shrunk
from interpret.work import multiplications

STEPS = 8
"""Shares of the picture in a curve: a fourth of what one map's evidence takes."""
MAP_SIDE, PICTURE_SIDE = 32, 160
_WAY_BACK = 3
"""A pass and the way back take up to three times as long as a pass."""
_OBJECTS = ("says", "localised", "seen", "overlays")
"""Columns that are no numbers."""
_RANDOM = next(method for method in METHODS if method.key == "random-cam")


@dataclass(frozen=True, eq=False)
class _Beside:
    """What is kept of a picture besides its input: digest, what the network saw, true boxes in pixels of that."""

    digest: str
    seen: Pixels
    boxes: tuple[Box, ...]


def evaluate_job(
    model: LoadedModel,
    source: PictureSource,
    *,
    method: str = DEFAULT_METHOD,
    layer: str | None = None,
    target: Target = "predicted",
    aim: str | None = None,
    seed: int = 0,
    boxes: Mapping[str, Sequence[Box]] | None = None,
    steps: int = STEPS,
) -> Job[Evaluation]:
    """Heatmaps of all pictures of a source, with how far each may be trusted.

    Methods of one pass take several pictures to a pass; the numbers are those of each picture alone, to rounding. Kept
    of a picture are its numbers, its map at 32 x 32 places or fewer, and two small JPEGs: about 15 KB.

    Args:
        model: the network.
        source: the pictures; broken ones are skipped and listed.
        method: a key of METHODS.
        layer: name of a spatial layer; the last one before pooling if None.
        target: the map of a picture is of the class that is predicted, or of the one the source says; where it says
            none, of the one that is predicted.
        aim: a key of AIMS: what of the class is explained; its score if None.
        seed: of methods that draw lots, and of the random map beside each.
        boxes: true boxes in pixels of the picture by its name in the source, or by its file name.
        steps: equal shares of the picture in the curves of deletion and insertion, 1 or more.

    Yields:
        Progress in pictures.

    Raises:
        UnknownName: no such method, layer or aim.
        BadInput: a layer without places; the classes of the source are not the network's, and "labelled" was asked
            for; boxes of a name that several pictures have; or not one picture could be read.

    Source: see `curves`, `average_drop`, `increase`, `localised` and `random_cam`.
    """
    if target not in ("predicted", "labelled"):
        raise BadInput(f'A map is of the class "predicted" or "labelled"; "{target}" was asked for.')
    if steps < 1:
        raise BadInput(f"Curves need at least one step; {steps} were asked for.")
    blank = InputImage.from_array(np.zeros((8, 8, 3), np.uint8), "")  # only what it is asked counts, not the picture
    how, asked = question_of(model, [blank], [layer or model.default_layer.name], method=method, aim=aim, seed=seed)
    matched, by = matched_classes(source.classes, model.labels)
    if target == "labelled" and not by:
        raise BadInput(
            f'The pictures of "{source.title}" say no class that the network has, so their maps cannot be of it. '
            "Put them into folders named like the network's classes, or explain the predicted class."
        )
    found_boxes = _boxes_of(source, boxes or {})

    def beside(image: InputImage) -> _Beside:
        own = seen_boxes(found_boxes.get(image.name, ()), model.preprocess, image)
        return _Beside(image.digest, model.preprocess.seen(image), own)

    # Under its name in the source a picture finds its boxes; the name it has of its own may lack the folder.
    named = replace(source, read=lambda index: replace(source.read(index), name=source.names[index]), encoded=None)
    size = 1 if how.slow else batch_size(model, _WAY_BACK * multiplications(model))
    table: dict[str, list[Any]] = defaultdict(list)
    skipped: list[tuple[str, str]] = []
    done = 0

    def far(step: int, note: str = "") -> Progress:
        return Progress(step, len(source), f"{step:,} of {len(source):,} pictures{note and f', {note}'}")

    with closing(decoded_batches(model, named, range(len(source)), size, beside)) as batches:
        for batch in batches:
            skipped += [(source.names[index], reason) for index, reason in batch.skipped]
            done += len(batch.skipped)
            if batch.inputs is not None:
                labels = [matched[label] if (label := source.labels[at]) >= 0 else -1 for at in batch.pictures]
                wanted = torch.tensor(labels) if target == "labelled" else None
                job = _batch(how, asked, batch.inputs.cpu(), wanted, batch.beside, steps, table)
                while True:
                    try:
                        progress = next(job)
                    except StopIteration:
                        break
                    through = len(table["deletion"]) - len(table["pictures"])
                    yield far(done + through, progress.note if how.slow else "")
                table["pictures"] += batch.pictures
                table["labels"] += labels
                done += len(batch.pictures)
            yield far(done)
    if not table:
        raise BadInput(f'Not one of the {len(source):,} pictures of "{source.title}" could be read. {skipped[0][1]}')
    columns: dict[str, Any] = {
        name: tuple(values) if name in _OBJECTS else _column(values) for name, values in table.items()
    }
    places = table["pictures"]
    said = [source.labels[index] for index in places]
    return Evaluation(
        **columns,
        names=tuple(source.names[index] for index in places),
        true_names=tuple(source.classes[label] if label >= 0 and source.classes else "" for label in said),
        skipped=tuple(skipped),
        classes=model.labels,
        matched_by=by,
        method=how,
        layer=None if how.of_pixels else asked.layer,
        target=target,
        aim=asked.aim.key,
        seed=seed,
        steps=steps,
        network=f"{model.name} · {model.architecture.title}",
        data=source.title,
        model_digest=model.digest,
        source_digest=source.digest,
    )


def _batch(
    how: HeatmapMethod,
    asked: Question,
    inputs: torch.Tensor,
    wanted: torch.Tensor | None,
    beside: Sequence[_Beside],
    steps: int,
    table: dict[str, list[Any]],
) -> Job[None]:
    """Appends the numbers of some pictures to the columns of the table.

    Args:
        how, asked: the method, and a question that says model, layer, aim and seed.
        inputs: float32 [n, channels, height, width], normalised.
        wanted: class of each picture's map, int64 [n], below zero for the predicted one; None where all are that.
        beside: of the pictures.
        steps: of the curves.
        table: name of a column -> its values.

    Yields:
        Progress of parts; a picture is through when its column "deletion" grows.
    """
    model = asked.model
    if wanted is not None and bool((wanted < 0).any()):
        scores = model.observe(inputs).scores
        assert scores is not None
        wanted = torch.where(wanted < 0, scores.argmax(1).cpu(), wanted)
    maps, scores = yield from _maps(how, asked, inputs, wanted)
    lots, _ = yield from _maps(_RANDOM, asked, inputs, wanted)
    chances = scores.softmax(1)
    predictions = scores.argmax(1)
    targets = predictions if wanted is None else wanted
    yield Progress(0, None, "the map is made")
    table["average_drop"] += average_drop(model, inputs, maps, targets).tolist()
    yield Progress(0, None, "seen through the map")
    table["increase"] += increase(model, inputs, maps, targets).long().tolist()
    table["predictions"] += predictions.tolist()
    table["probabilities"] += chances.amax(1).tolist()
    table["targets"] += targets.tolist()
    table["target_probabilities"] += chances.gather(1, targets[:, None])[:, 0].tolist()
    for at, own in enumerate(beside):
        picture, label = inputs[at : at + 1], int(targets[at])
        # With what speaks against the class, so that it goes last.
        found = yield from curves(model, picture, maps[at].numpy(), label, steps)
        floor = yield from curves(model, picture, lots[at].numpy(), label, steps)
        made = Heatmap(
            as_values(maps[at]),
            how.key,
            None if how.of_pixels else asked.layer,
            label,
            float(scores[at, label]),
            float(chances[at, label]),
            own.digest,
            asked.aim.key,
            seed=asked.seed,
        )
        small = shrunk(own.seen, PICTURE_SIDE)
        table["random_gain"].append(floor.gain)
        table["insertion"].append(found.insertion.area)
        table["strongest"].append(np.unravel_index(int(made.values.argmax()), made.values.shape))
        table["says"].append(made.says)
        table["localised"].append(localised(made.values, own.seen.shape[:2], own.boxes) if own.boxes else None)
        table["maps"].append(_small(made.values))
        table["seen"].append(jpeg(small, 90))
        table["overlays"].append(jpeg(overlay(small, made.values, Scale.positive(made.values)), 90))
        table["deletion"].append(found.deletion.area)


def _maps(how: HeatmapMethod, asked: Question, inputs: torch.Tensor, wanted: torch.Tensor | None) -> Job[Maps]:
    """Signed maps [n, rows, columns] and scores, on the CPU; of fewer pictures at once where memory is short."""
    size, start, found = len(inputs), 0, []
    while start < len(inputs):
        part = slice(start, start + size)
        targets = None if wanted is None else wanted[part]
        # A new one for each: a question keeps what was answered.
        question = Question(asked.model, inputs[part], asked.layer, targets, asked.aim, seed=asked.seed)
        try:
            maps, scores = yield from how.job(question)
        except RuntimeError as error:
            size = asked.model.runtime.smaller_chunk(size, error)
            continue
        found.append((maps.detach().float().cpu(), scores.detach().float().cpu()))
        start += size
    return torch.cat([maps for maps, _ in found]), torch.cat([scores for _, scores in found])


def _small(values: Floats) -> Floats:
    """A map [rows, columns] over its maximum, averaged to at most 32 x 32; zero where that is no number above zero."""
    if not (np.isfinite(values).all() and values.max() > 0):
        share = np.zeros_like(values)
    else:
        share = values / values.max()
    rows, columns = (min(side, MAP_SIDE) for side in values.shape)
    small: Floats = functional.adaptive_avg_pool2d(torch.from_numpy(share)[None], (rows, columns))[0].numpy()
    return small


def _column(values: Sequence[Any]) -> NDArray[Any]:
    """Numbers as a read-only array, float32 or int64."""
    array = np.array(values)
    array = array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
    array.flags.writeable = False
    return array


def _boxes_of(source: PictureSource, boxes: Mapping[str, Sequence[Box]]) -> dict[str, tuple[Box, ...]]:
    """Name of a picture in the source -> its true boxes.

    Raises:
        BadInput: boxes are there for a file name that several pictures have.
    """
    short = [name.replace("\\", "/").rpartition("/")[2] for name in source.names]
    several = {name for name, count in Counter(short).items() if count > 1}
    found = {}
    for name, file in zip(source.names, short, strict=True):
        if name not in boxes and file in boxes and file in several:
            raise BadInput(f'Several pictures of "{source.title}" are called "{file}". Give each its own file name.')
        found[name] = tuple(boxes.get(name, boxes.get(file, ())))
    return found


def shapes_boxes(count: int, seed: int = 1) -> dict[str, tuple[Box, ...]]:
    """The true boxes of drawn Shapes, tagged or not: as many as `shapes_source` has pictures, by their names."""
    drawn = ((index, draw(index, seed)) for index in range(count))
    return {f"{CLASSES[one.label]} {index}": (Box(*one.box),) for index, one in drawn}

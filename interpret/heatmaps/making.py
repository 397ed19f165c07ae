"""The calls that make heatmaps: of one layer, of several in one pass, and several made one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypedDict, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from interpret.errors import BadInput, unknown
from interpret.heatmaps.methods import DEFAULT_METHOD, METHODS, HeatmapMethod
from interpret.heatmaps.question import AIMS, MARGIN, SCORE, Question
from interpret.images import InputImage
from interpret.jobs import Job, complete
from interpret.layers import LayerInfo
from interpret.model import LoadedModel

Fusion = Literal["mean", "product"]


@dataclass(frozen=True, eq=False)
class Heatmap:
    """Which places of a picture spoke for a class.

    Attributes:
        values: float32 [rows, columns] of the layer, or as fine as the method is where it looks at pixels; raw and
            read-only, in the method's unit; below zero where places spoke against, if that was asked for.
        method: key of the method.
        layer: where it was computed; None where no layer plays a part, or several do.
        target: class index; `score` and `probability` are the network's for it.
        image_digest: which picture.
        aim: key of what of the class it is for.
        rival: the class it is set against, where one was named.
        seed: of methods that draw lots.
        fused: names of the layers it was fused from, and `fusion` how; empty for a map of one layer.
    """

    values: NDArray[np.float32]
    method: str
    layer: LayerInfo | None
    target: int
    score: float
    probability: float
    image_digest: str
    aim: str = SCORE.key
    rival: int | None = None
    seed: int = 0
    fused: tuple[str, ...] = ()
    fusion: Fusion = "mean"

    @property
    def says(self) -> str:
        """What is peculiar about this map, as a sentence; "" when nothing is."""
        if not np.isfinite(self.values).all():
            return "This map holds values that are not numbers: the network overflowed on this picture."
        if self.values.max() <= 0:
            all_zero = "" if self.values.any() else ": the map is zero everywhere"
            return f"No place speaks for this class{all_zero}."
        if np.ptp(self.values) < 1e-6 * abs(float(self.values.max())):
            return "The map is flat: every place speaks for the class alike."
        return ""


class Asked(TypedDict, total=False):
    """What is asked of a picture.

    Attributes:
        method: a key of METHODS; Grad-CAM if not given.
        target: class index or label; the predicted class if None.
        aim: a key of AIMS: what of the class is explained; its score if not given.
        rival: class index or label that the target is set against; makes "margin" the aim.
        signed: keep what speaks against the class, below zero, which the papers cut off.
        seed: of methods that draw lots.
    """

    method: str
    target: int | str | None
    aim: str | None
    rival: int | str | None
    signed: bool
    seed: int


def heatmap(model: LoadedModel, image: InputImage, *, layer: str | None = None, **asked: Unpack[Asked]) -> Heatmap:
    """The heatmap of one picture for one class; see `heatmap_job`, whose arguments and errors it has."""
    return complete(heatmap_job(model, image, layer=layer, **asked))


def heatmap_job(
    model: LoadedModel, image: InputImage, *, layer: str | None = None, **asked: Unpack[Asked]
) -> Job[Heatmap]:
    """The heatmap of one picture for one class.

    Args:
        model: the network.
        image: the picture.
        layer: name of a spatial layer; the last one before pooling if None.
        asked: see `Asked`.

    Yields:
        Progress, for methods of many passes.

    Raises:
        UnknownName: no such method, layer, class or aim.
        BadInput: the layer has no places, or a rival that cannot be one.
    """
    maps = yield from layer_heatmaps_job(model, image, [layer or model.default_layer.name], **asked)
    return maps[0]


def layer_heatmaps_job(
    model: LoadedModel, image: InputImage, layers: Sequence[str], **asked: Unpack[Asked]
) -> Job[list[Heatmap]]:
    """Heatmaps of one picture at several layers; methods of one pass need one pass for all of them.

    Args, Yields, Raises: as `heatmap_job`.
    """
    method, question = question_of(model, [image], layers, **asked)
    signed, found = asked.get("signed", False), []
    for info in (question.layer, *question.beside):
        maps, scores = yield from method.job(question.at(info))
        index = int(question.classes(scores)[0])
        probability = float(scores[0].softmax(0)[index])
        found.append(
            Heatmap(
                as_values(maps[0], signed),
                method.key,
                None if method.of_pixels else info,
                index,
                float(scores[0, index]),
                probability,
                image.digest,
                question.aim.key,
                question.rival,
                question.seed,
            )
        )
    return found


def as_values(found: torch.Tensor, signed: bool = False) -> NDArray[np.float32]:
    """A map [rows, columns] as results hold it: on the CPU, read-only, cut off below zero unless it is signed."""
    values: NDArray[np.float32] = found.detach().float().cpu().numpy()
    values = values.copy() if signed else np.maximum(values, 0)
    values.flags.writeable = False
    return values


def question_of(
    model: LoadedModel, images: Sequence[InputImage], layers: Sequence[str], **asked: Unpack[Asked]
) -> tuple[HeatmapMethod, Question]:
    """The method and the question about the first of some layers, the others beside it; raises as `heatmap_job`."""
    known, aims = {known.key: known for known in METHODS}, {aim.key: aim for aim in AIMS}
    method, seed = asked.get("method", DEFAULT_METHOD), asked.get("seed", 0)
    target, rival = asked.get("target"), asked.get("rival")
    aim = asked.get("aim") or (SCORE if rival is None else MARGIN).key
    if method not in known:
        raise unknown("Method", method, "the heatmap methods", known)
    if aim not in aims:
        raise unknown("Aim", aim, "what a heatmap can be for", aims)
    infos = [model.layer(name) for name in layers]
    for info in infos:
        if not info.is_spatial:
            raise BadInput(
                f'Layer "{info.name}" has no rows and columns, so no heatmap. Use "{model.default_layer.name}".'
            )
    against = None if rival is None else model.target(rival)
    if against is not None and aim != MARGIN.key:
        raise BadInput(f'A rival class goes with the aim "margin"; "{aim}" was asked for.')
    targets = None if target is None else torch.tensor([model.target(target)]).expand(len(images))
    if against is not None and targets is not None and int(targets[0]) == against:
        raise BadInput(f"A class cannot be its own rival; both are {model.labels[against]}.")
    batch = torch.cat([model.preprocess.to_batch(image) for image in images])
    return known[method], Question(model, batch, infos[0], targets, aims[aim], against, seed, beside=tuple(infos[1:]))


def again(
    model: LoadedModel, made: Heatmap, batch: torch.Tensor, targets: torch.Tensor | None = None
) -> Job[torch.Tensor]:
    """The same map of other pictures, or of another network of the same architecture: signed, [n, rows, columns].

    Args:
        model: the network.
        made: says method, layers, class and aim.
        batch: float32 [n, channels, height, width], normalised.
        targets: class index for each picture, int64 [n]; the map's if None.

    Yields:
        Progress, for methods of many passes.
    """
    method = next(known for known in METHODS if known.key == made.method)
    aim = next(known for known in AIMS if known.key == made.aim)
    names = made.fused or ((made.layer or model.default_layer).name,)
    first, *others = (model.layer(name) for name in names)
    classes = torch.full((len(batch),), made.target) if targets is None else targets
    question = Question(model, batch, first, classes, aim, made.rival, made.seed, tuple(others))
    found = []
    for layer in (first, *others):
        maps, _ = yield from method.job(question.at(layer))
        found.append(maps.detach())
    return _together(found, made.fusion) if made.fused else found[0]


def fused(heatmaps: Sequence[Heatmap], how: Fusion = "mean") -> Heatmap:
    """Heatmaps of one picture at several layers as one: each over its own maximum, as fine as the finest.

    values = mean or product over layers of max(map, 0) / max(map)

    A map without any place that speaks for the class counts as zero. The mean keeps what any layer lights, the product
    what all of them do.

    Raises:
        BadInput: no maps, or of different pictures, methods or classes, or of no layer.

    Source: Jiang et al. 2021, "LayerCAM", section III-C, doi 10.1109/TIP.2021.3089943; the mean as in pytorch-grad-cam.
    """
    if not heatmaps:
        raise BadInput("There are no heatmaps to fuse. Name at least one layer.")
    if len({(one.image_digest, one.method, one.target, one.aim, one.rival) for one in heatmaps}) > 1:
        raise BadInput("Only heatmaps of one picture, method and class can be fused.")
    layers = [one.layer.name for one in heatmaps if one.layer is not None]
    if len(layers) < len(heatmaps):
        raise BadInput("A map that belongs to no layer cannot be fused.")
    together = _together([torch.from_numpy(one.values.copy())[None] for one in heatmaps], how)
    return replace(heatmaps[0], values=as_values(together[0]), layer=None, fused=tuple(layers), fusion=how)


def _together(maps: Sequence[torch.Tensor], how: Fusion) -> torch.Tensor:
    """Maps [n, rows, columns] of several layers as one."""
    rows, columns = (max(one.shape[axis] for one in maps) for axis in (1, 2))
    scaled = []
    for one in maps:
        positive = one.clamp_min(0)
        share = positive / positive.amax((1, 2), keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
        scaled.append(functional.interpolate(share[:, None], (rows, columns), mode="bilinear")[:, 0])
    stacked = torch.stack(scaled)
    return stacked.mean(0) if how == "mean" else stacked.prod(0)

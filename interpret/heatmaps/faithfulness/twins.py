"""Whether a map changes when the network forgets what it learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from interpret.heatmaps.faithfulness.stability import similarity
from interpret.heatmaps.making import Heatmap, again
from interpret.images import InputImage
from interpret.jobs import Job, Progress
from interpret.model import LoadedModel


@dataclass(frozen=True)
class Forgotten:
    """A map's likeness to that of a twin some of whose weights are random.

    Attributes:
        parts: which parts of the network forgot: "head", "stage 4", ...
        similarity: Spearman's rank correlation of the two maps, -1..1.
    """

    parts: tuple[str, ...]
    similarity: float


@dataclass(frozen=True)
class Randomised:
    """What forgetting does to a map.

    Attributes:
        cascading: from the head down, one more part in each; all weights are random in the last.
        independent: each part alone.
    """

    cascading: tuple[Forgotten, ...]
    independent: tuple[Forgotten, ...]

    @property
    def likeness(self) -> float:
        """The mean over the cascade, -1..1: near 0 where the map shows what was learned."""
        return float(np.mean([one.similarity for one in self.cascading]))


def randomised(
    model: LoadedModel, image: InputImage, made: Heatmap, values: NDArray[np.float32], seed: int = 0
) -> Job[Randomised]:
    """Cascading and independent randomisation; a map that stays alike does not show what the network learned.

    Weights are drawn as `LoadedModel.untrained` draws them; BatchNorms of what forgets take the statistics of the
    picture, mirrored, upside down and as its negative.

    Args:
        model: the network.
        image: the picture.
        made: which map.
        values: the same with its signs [rows, columns].
        seed: of the weights.

    Yields:
        Progress in twins.

    Source: Adebayo et al. 2018, "Sanity Checks for Saliency Maps", section 3, arXiv 1810.03292.
    Differs: parts of the network (stages) forget together, not every layer for itself.
    """
    batch, views = model.preprocess.to_batch(image), _views(image)
    parts = parts_of(model)
    names = list(parts)
    wanted: list[tuple[tuple[str, ...], bool]] = [(tuple(names[: count + 1]), True) for count in range(len(names))]
    wanted += [((name,), False) for name in names]
    found: list[Forgotten] = []
    for which, cascading in wanted:
        everything = cascading and len(which) == len(names)
        layers = None if everything else [layer for name in which for layer in parts[name]]
        twin = model.untrained(views, seed, layers)
        maps = yield from again(twin, made, batch)
        found.append(Forgotten(which, similarity(values, maps[0].float().cpu().numpy())))
        yield Progress(len(found), len(wanted), f"{len(found)} of {len(wanted)} random twins")
    return Randomised(tuple(found[: len(names)]), tuple(found[len(names) :]))


def parts_of(model: LoadedModel) -> dict[str, Sequence[str]]:
    """The parts of a network that have weights, from the head down: title -> names of the layers in it."""
    learned = {layer.name for layer in model.layers if layer.parameters}
    parts: dict[str, Sequence[str]] = {}
    for part, blocks in groupby(model.blocks, lambda block: block.part):
        layers = [name for block in blocks for name in block.layers if name in learned]
        if layers:
            parts[part] = [*parts.get(part, ()), *layers]
    return dict(reversed(parts.items()))


def _views(image: InputImage) -> list[InputImage]:
    pixels = image.pixels
    views = {"mirrored": pixels[:, ::-1], "upside down": pixels[::-1], "negative": 255 - pixels}
    return [image, *(InputImage.from_array(view, f"{image.name}, {how}") for how, view in views.items())]

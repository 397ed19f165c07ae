"""All the evidence for and against one map."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from interpret.heatmaps.faithfulness.curves import Curves, curves
from interpret.heatmaps.faithfulness.masked import average_drop, increase
from interpret.heatmaps.faithfulness.road import road
from interpret.heatmaps.faithfulness.stability import stability
from interpret.heatmaps.faithfulness.twins import Randomised, randomised
from interpret.heatmaps.making import Heatmap, again
from interpret.images import InputImage
from interpret.jobs import Job, T, stretch
from interpret.model import LoadedModel

RANDOM_MAPS = 3


@dataclass(frozen=True, eq=False)
class Evidence:
    """What speaks for and against a map.

    Attributes:
        curves: deletion and insertion of its places.
        floor: the same of a few random maps (RandomCAM at the same layer).
        road: see `road`.
        drop: the share of the probability that is lost on the picture seen through the map, 0..1.
        rises: whether the probability is higher so.
        stability: likeness to maps of slightly noisy pictures, -1..1; None where it was not asked for.
        twins: likeness to maps of networks with random weights; None where it was not asked for.
    """

    curves: Curves
    floor: tuple[Curves, ...]
    road: float
    drop: float
    rises: bool
    stability: float | None
    twins: Randomised | None


def evidence_job(
    model: LoadedModel, image: InputImage, made: Heatmap, *, remade: bool = True, seed: int = 0
) -> Job[Evidence]:
    """Everything the network's own answers say about a map.

    Args:
        model, image: of the map.
        made: the map.
        remade: also make the map again for noisy pictures and for random twins; takes a slow method many times its
            time.
        seed: of random maps, noise and random weights.

    Yields:
        Progress in hundredths.
    """
    batch, classes = model.preprocess.to_batch(image), torch.tensor([made.target])
    maps = yield from _of_all(again(model, made, batch), 0, 5)
    values = maps[0].float().cpu().numpy()
    own = yield from _of_all(curves(model, batch, values, made.target), 5, 25)
    floor = []
    for number in range(RANDOM_MAPS):
        chance = replace(made, method="random-cam", seed=seed + number, fused=())
        lots = yield from again(model, chance, batch)
        start, end = (25 + 35 * (number + more) // RANDOM_MAPS for more in (0, 1))
        floor.append((yield from _of_all(curves(model, batch, lots[0].float().cpu().numpy(), made.target), start, end)))
    filled = yield from _of_all(road(model, batch, values, made.target, seed), 60, 75)
    drop = float(average_drop(model, batch, maps, classes)[0])
    rises = bool(increase(model, batch, maps, classes)[0])
    steady, twins = None, None
    if remade:
        steady = yield from _of_all(stability(model, batch, made, values), 75, 80)
        twins = yield from _of_all(randomised(model, image, made, values, seed), 80, 100)
    return Evidence(own, tuple(floor), filled, drop, rises, steady, twins)


def _of_all(job: Job[T], start: int, end: int) -> Job[T]:
    return stretch(job, start, end, 100)

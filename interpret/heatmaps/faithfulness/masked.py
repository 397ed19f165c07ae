"""The picture seen through its own heatmap: what the class keeps of its probability, and what the map does then.

Source of all: Poppi, Cornia, Baraldi, Cucchiara 2021, "Revisiting the Evaluation of Class Activation Mapping for
Explainability", arXiv 2104.10252, as pytorch-shapley-cam (Cai 2025, arXiv 2501.06261) and pytorch-grad-cam compute it.
A mask hides by the mean colour, which no training picture showed: these metrics favour large maps, and complexity alone
stands against that. Show them beside curves and ROAD, not instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional

from interpret.model import LoadedModel

TOGETHER = 16
"""Pictures that share a pass."""

Again = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""The method that made the maps: from pictures [n, planes, height, width] and classes [n] to [n, rows, columns]."""


@dataclass(frozen=True, eq=False)
class Masked:
    """The metrics of n pictures: float32 [n] each, 0..1, on the CPU; see the functions of these names."""

    average_drop: torch.Tensor
    increase: torch.Tensor
    drop_in_deletion: torch.Tensor
    complexity: torch.Tensor
    coherency: torch.Tensor
    adcc: torch.Tensor


def masked(model: LoadedModel, batch: torch.Tensor, maps: torch.Tensor, classes: torch.Tensor, again: Again) -> Masked:
    """Every metric with three passes and the maps of the masked pictures.

    Args:
        model: the network.
        batch: float32 [n, planes, height, width], normalised.
        maps: [n, rows, columns], any unit; what is below zero counts as zero.
        classes: int64 [n], which class each map is for.
        again: makes the maps of the masked pictures; called with some at a time.
    """
    shown = masks(batch, maps)
    before, through = _probabilities(model, batch, classes), _probabilities(model, batch * shown, classes)
    drop, crowd = _lost(before, through), complexity(batch, maps)
    alike = coherency(batch, maps, classes, again)
    return Masked(
        drop,
        (through > before).float(),
        _lost(before, _probabilities(model, batch * (1 - shown), classes)),
        crowd,
        alike,
        adcc(drop, alike, crowd),
    )


def masks(batch: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """Heatmaps as masks for pictures [n, planes, height, width]: float32 [n, 1, height, width], 0..1, on their device.

    mask = scaled(enlarged(scaled(max(map, 0)))),  scaled(m) = (m - min m) / (max m - min m + 1e-7)

    Enlarged bilinearly (half-pixel centres, edges held). As pytorch-grad-cam's `scale_cam_image`.
    """
    small = _scaled(maps.detach().to(batch.device).float().relu()[:, None])
    return _scaled(functional.interpolate(small, batch.shape[2:], mode="bilinear", align_corners=False))


def average_drop(model: LoadedModel, batch: torch.Tensor, maps: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """What share of its probability the class loses when the network sees through the map: float32 [n], less is better.

    max(0, p(x) - p(x * mask)) / p(x),  p after softmax, x normalised

    Arguments as of `masked`. The mean over pictures is the average drop.

    Source: Chattopadhyay et al. 2018, "Grad-CAM++", arXiv 1710.11063.
    Differs: pytorch-grad-cam's `DropInConfidence` does not divide by p(x).
    """
    shown = batch * masks(batch, maps)
    return _lost(_probabilities(model, batch, classes), _probabilities(model, shown, classes))


def increase(model: LoadedModel, batch: torch.Tensor, maps: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """1 where the class gains probability when the network sees through the map, else 0: float32 [n], more is better.

    p(x * mask) > p(x)

    Arguments as of `masked`. Its mean is the increase in confidence; pytorch-grad-cam's `IncreaseInConfidence`.

    Source: Chattopadhyay et al. 2018, "Grad-CAM++", arXiv 1710.11063.
    """
    through = _probabilities(model, batch * masks(batch, maps), classes)
    return (through > _probabilities(model, batch, classes)).float()


def drop_in_deletion(
    model: LoadedModel, batch: torch.Tensor, maps: torch.Tensor, classes: torch.Tensor
) -> torch.Tensor:
    """What share of its probability the class loses when what the map shows is hidden: float32 [n], more is better.

    max(0, p(x) - p(x * (1 - mask))) / p(x)

    Arguments as of `masked`.

    Source: Jung and Oh 2021, "Towards Better Explanations of Class Activation Mapping", arXiv 2102.05228.
    Differs: a gain counts as zero, as in pytorch-shapley-cam.
    """
    hidden = batch * (1 - masks(batch, maps))
    return _lost(_probabilities(model, batch, classes), _probabilities(model, hidden, classes))


def complexity(batch: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """How much of the picture the map covers: float32 [n], 0..1, less is better.

    mean over pixels of |mask|

    Args:
        batch: the pictures, for their size.
        maps: [n, rows, columns].

    Source: Poppi et al. 2021.
    """
    return masks(batch, maps).mean((1, 2, 3)).cpu()


def coherency(batch: torch.Tensor, maps: torch.Tensor, classes: torch.Tensor, again: Again) -> torch.Tensor:
    """How alike the map and that of the picture seen through it are: float32 [n], 0..1, more is better.

    (1 + r) / 2,  r = Pearson's correlation over pixels of mask and the mask of x * mask; 0 where one of them is flat

    Args:
        batch, maps, classes, again: as of `masked`.

    Source: Poppi et al. 2021.
    Differs: a flat map gives 0, as in pytorch-shapley-cam; pytorch-grad-cam's `Coherency` gives 1/2.
    """
    shown = masks(batch, maps)
    second = torch.cat([again(*part) for part in _parts(batch * shown, classes)])
    one, two = (mask.flatten(1).double() for mask in (shown, masks(batch, second)))
    one, two = one - one.mean(1, keepdim=True), two - two.mean(1, keepdim=True)
    size = one.norm(dim=1) * two.norm(dim=1)
    found = torch.where(size > 0, (1 + (one * two).sum(1) / size) / 2, 0)
    return found.clamp(0, 1).float().cpu()


def adcc(average_drop: torch.Tensor, coherency: torch.Tensor, complexity: torch.Tensor) -> torch.Tensor:
    """Three metrics as one, their harmonic mean: of [n] for each picture, or of means over pictures; more is better.

    ADCC = 3 / (1 / coherency + 1 / (1 - complexity) + 1 / (1 - average drop)); 0 where one of the three is worst

    Source: Poppi et al. 2021.
    Differs: published tables disagree on what is averaged; pytorch-shapley-cam's are the ADCC of the means.
    """
    good = torch.stack([coherency, 1 - complexity, 1 - average_drop])
    return 3 / (1 / good.clamp_min(0)).sum(0)  # 1 / 0 is infinite, and its share 0


def _scaled(maps: torch.Tensor) -> torch.Tensor:
    moved = maps - maps.amin((2, 3), keepdim=True)
    return moved / (moved.amax((2, 3), keepdim=True) + 1e-7)


def _parts(batch: torch.Tensor, classes: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    return zip(torch.split(batch, TOGETHER), torch.split(classes, TOGETHER), strict=True)


def _probabilities(model: LoadedModel, batch: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Of the classes after softmax: float32 [n] on the CPU, with no graph."""
    found = []
    for part, wanted in _parts(batch, classes):
        scores = model.observe(part).scores
        assert scores is not None
        found.append(scores.float().softmax(1).gather(1, wanted.to(scores.device)[:, None])[:, 0])
    return torch.cat(found).cpu()


def _lost(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    return (before - after).clamp_min(0) / before.clamp_min(torch.finfo(torch.float32).tiny)

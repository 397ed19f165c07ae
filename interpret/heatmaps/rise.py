"""RISE."""

from __future__ import annotations

import torch
from torch.nn import functional

from interpret.heatmaps.pixels import classes_and_scores
from interpret.heatmaps.question import Maps, Question
from interpret.jobs import Job, Progress

MASKS, TOGETHER, CELLS, SHARE = 1024, 8, 7, 0.5


def rise(question: Question) -> Job[Maps]:
    """The mean of many random masks, each weighted by what the aim is for the picture seen through it.

    map = mean over masks of (aim(picture * mask) - mean aim) * mask / 0.5

    Masks are 7 x 7 cells, open by lot with probability 0.5, enlarged bilinearly and shifted at random. No gradient,
    nothing about the inside is assumed; the map has the picture's size.

    Yields:
        Progress in masks.

    Source: Petsiuk, Das, Saenko 2018, "RISE: Randomized Input Sampling for Explanation of Black-box Models",
        equation 6, arXiv 1806.07421.
    Differs: 1,024 masks instead of 4,000 to 8,000, and the mean aim is taken off, which changes no order of places but
        makes fewer masks enough; below zero is what hides the class.
    """
    classes, scores = classes_and_scores(question)
    batch, fast = question.batch.to(scores.device), question.model.folded()
    height, width = batch.shape[2:]
    maps = torch.zeros(len(batch), height, width, device=scores.device)
    for index, picture in enumerate(batch):
        generator = torch.Generator().manual_seed(question.seed)
        weighted, total, plain = torch.zeros_like(maps[0]), 0.0, torch.zeros_like(maps[0])
        for first in range(0, MASKS, TOGETHER):
            masks = random_masks(TOGETHER, height, width, generator).to(picture)
            found = fast.observe(picture * masks[:, None]).scores
            assert found is not None
            aims = question.value(found, classes[index].expand(TOGETHER))
            weighted += torch.einsum("m,mij->ij", aims, masks)
            total, plain = total + float(aims.sum()), plain + masks.sum(0)
            done = index * MASKS + first + TOGETHER
            yield Progress(done, len(batch) * MASKS, f"{first + TOGETHER:,} of {MASKS:,} masks")
        maps[index] = (weighted - total / MASKS * plain) / MASKS / SHARE
    return maps, scores


def random_masks(count: int, height: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """Masks of open and shut cells with soft borders: float32 [count, height, width] in 0..1."""
    cell = -(-height // CELLS), -(-width // CELLS)
    cells = (torch.rand(count, 1, CELLS, CELLS, generator=generator) < SHARE).float()
    large = functional.interpolate(cells, ((CELLS + 1) * cell[0], (CELLS + 1) * cell[1]), mode="bilinear")[:, 0]
    down = torch.randint(cell[0], (count,), generator=generator).tolist()
    right = torch.randint(cell[1], (count,), generator=generator).tolist()
    cut = [mask[y : y + height, x : x + width] for mask, y, x in zip(large, down, right, strict=True)]
    return torch.stack(cut)

"""RandomCAM."""

from __future__ import annotations

import torch

from interpret.heatmaps.question import Maps, Question


def random_cam(question: Question) -> Maps:
    """A layer's channels weighted by lots: the floor every other method has to rise above.

    map = sum_k w_k A_k,  w_k uniform in -1..1

    The same for every class.

    Source: the baseline of pytorch-grad-cam (Gildenblat et al. 2021); compare arXiv 1810.03292, Adebayo et al. 2018.
    """
    tape = question.model.observe(question.batch, [question.layer.name], until="scores")
    assert tape.scores is not None
    maps = question.layer.channels_first(tape[question.layer.name]).float()
    lots = torch.rand(maps.shape[1], generator=torch.Generator().manual_seed(question.seed)) * 2 - 1
    return torch.einsum("k,nkij->nij", lots.to(maps.device), maps), tape.scores

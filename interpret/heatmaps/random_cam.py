"""RandomCAM."""

from __future__ import annotations

import torch

from interpret.heatmaps.question import Maps, Question, seen


def random_cam(question: Question) -> Maps:
    """A layer's channels weighted by lots: the floor every other method has to rise above.

    map = sum_k w_k A_k,  w_k uniform in -1..1

    The same for every class.

    Source: the baseline of pytorch-grad-cam (Gildenblat et al. 2021); compare arXiv 1810.03292, Adebayo et al. 2018.
    """
    found = seen(question)
    maps = found.activation
    lots = torch.rand(maps.shape[1], generator=torch.Generator().manual_seed(question.seed)) * 2 - 1
    return torch.einsum("k,nkij->nij", lots.to(maps.device), maps), found.scores

"""Grad-CAM."""

from __future__ import annotations

import torch

from interpret.layers import LayerInfo
from interpret.model import LoadedModel


def grad_cam(
    model: LoadedModel, batch: torch.Tensor, layer: LayerInfo, targets: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where a layer's channels, weighted by their mean gradient, speak for a class.

    map = ReLU(sum_k w_k A_k),  w_k = mean over places of d score_target / d A_k

    with A_k the layer's channel k and score_target the class score before softmax.

    Args:
        model: the network.
        batch: float32 [n, channels, height, width], normalised.
        layer: a spatial layer.
        targets: class index for each picture, int64 [n]; the predicted classes if None.

    Returns:
        Maps float32 [n, rows, columns], zero or positive, and the scores [n, classes] of the same pass.

    Source: Selvaraju et al. 2017, "Grad-CAM", equations 1 and 2, arXiv 1610.02391.
    """
    tape = model.trace(batch, [layer.name])
    assert tape.scores is not None
    classes = tape.scores.argmax(1) if targets is None else targets.to(tape.scores.device)
    with torch.enable_grad():  # whatever the caller's mode is
        score = tape.scores.gather(1, classes[:, None])
    gradient = layer.channels_first(tape.gradient(score, layer.name))
    activation = layer.channels_first(tape[layer.name].detach())
    return torch.einsum("nk,nkij->nij", gradient.mean((2, 3)), activation).relu(), tape.scores.detach()

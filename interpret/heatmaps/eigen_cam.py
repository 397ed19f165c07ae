"""Eigen-CAM."""

from __future__ import annotations

import torch

from interpret.heatmaps.question import Maps, Question, seen


def eigen_cam(question: Question) -> Maps:
    """What varies most in a layer's answer, whatever the class: its first principal component over the places.

    map = (A - mean over places of A) v,  v the first right singular vector of the same

    The same for every class.

    Source: Muhammad and Yeasin 2020, "Eigen-CAM", arXiv 2008.00299; centred as in pytorch-grad-cam.
    Differs: a singular vector's sign is arbitrary; here the map is positive where the layer answers most.
    """
    found = seen(question)
    maps = found.activation
    places = maps.flatten(2).transpose(1, 2)
    centred = places - places.mean(1, keepdim=True)
    _, _, vectors = torch.linalg.svd(centred, full_matrices=False)
    component = (centred @ vectors[:, 0, :, None])[..., 0]
    strength = places.norm(dim=2)
    along = ((strength - strength.mean(1, keepdim=True)) * component).sum(1, keepdim=True)
    component = torch.where(along < 0, -component, component)
    return component.view(-1, *maps.shape[2:]), found.scores

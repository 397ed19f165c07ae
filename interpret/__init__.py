"""See inside any convolutional network: activations, filter pictures, class heatmaps and maps of a data set.

The names below are the public API, each documented where it is defined.
"""

from __future__ import annotations

from interpret.activations import ActivationMaps, activations
from interpret.errors import BadCheckpoint, BadInput, InterpretError, Unavailable, UnknownName
from interpret.filters import FilterImages, FilterParams, filter_images
from interpret.heatmaps import Heatmap, heatmap
from interpret.images import InputImage, Preprocess
from interpret.jobs import Job, Progress, complete
from interpret.latent import Embedding, Projection, ProjectionParams, embed, project
from interpret.layers import LayerInfo
from interpret.loading import load_model
from interpret.model import LoadedModel

__version__ = "0.1.0"

__all__ = [
    "ActivationMaps",
    "BadCheckpoint",
    "BadInput",
    "Embedding",
    "FilterImages",
    "FilterParams",
    "Heatmap",
    "InputImage",
    "InterpretError",
    "Job",
    "LayerInfo",
    "LoadedModel",
    "Preprocess",
    "Progress",
    "Projection",
    "ProjectionParams",
    "Unavailable",
    "UnknownName",
    "activations",
    "complete",
    "embed",
    "filter_images",
    "heatmap",
    "load_model",
    "project",
]

"""See inside any convolutional network: activations, filter pictures, class heatmaps and maps of a data set.

The names below are the public API, each documented where it is defined.
"""

from __future__ import annotations

from interpret.activations import ActivationMaps, activations
from interpret.anatomy import Anatomy, anatomy
from interpret.errors import BadCheckpoint, BadInput, InterpretError, Unavailable, UnknownName
from interpret.filters import FilterImages, FilterParams, filter_images
from interpret.heatmaps import Heatmap, heatmap
from interpret.images import InputImage, Preprocess
from interpret.jobs import Job, Progress, complete
from interpret.kernels import UnitKernel, unit_kernel
from interpret.latent import Embedding, Projection, ProjectionParams, align, embed, project
from interpret.layers import LayerInfo
from interpret.loading import load_model
from interpret.model import LoadedModel
from interpret.pixels import UnitAtPlace, unit_at
from interpret.units import UnitStatistics, ablate_over, collect_units, without_unit

__version__ = "0.1.0"

__all__ = [
    "ActivationMaps",
    "Anatomy",
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
    "UnitAtPlace",
    "UnitKernel",
    "UnitStatistics",
    "UnknownName",
    "ablate_over",
    "activations",
    "align",
    "anatomy",
    "collect_units",
    "complete",
    "embed",
    "filter_images",
    "heatmap",
    "load_model",
    "project",
    "unit_at",
    "unit_kernel",
    "without_unit",
]

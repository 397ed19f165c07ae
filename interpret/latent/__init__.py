"""How a network orders a data set: embeddings of a layer, their neighbours, and maps of them."""

from __future__ import annotations

from interpret.latent.embedding import Embedding, embed
from interpret.latent.neighbours import nearest
from interpret.latent.projection import PROJECTIONS, Projection, ProjectionParams, place, project

__all__ = [
    "PROJECTIONS",
    "Embedding",
    "Projection",
    "ProjectionParams",
    "embed",
    "nearest",
    "place",
    "project",
]

"""How a network orders a data set: embeddings of a layer, their neighbours, and maps of them."""

from __future__ import annotations

from interpret.latent.aligned import align
from interpret.latent.distances import nearest_others
from interpret.latent.embedding import Embedding, embed
from interpret.latent.groups import Clusters, Confusion, clusters, confusion
from interpret.latent.neighbours import Neighbours, nearest
from interpret.latent.opened import open_run, run_maps
from interpret.latent.projection import PROJECTIONS, Projection, ProjectionParams, place, project
from interpret.latent.quality import MapQuality, map_quality, movement
from interpret.latent.runs import embed_run
from interpret.latent.similarity import cka_matrix, overlap_matrix

__all__ = [
    "PROJECTIONS",
    "Clusters",
    "Confusion",
    "Embedding",
    "MapQuality",
    "Neighbours",
    "Projection",
    "ProjectionParams",
    "align",
    "cka_matrix",
    "clusters",
    "confusion",
    "embed",
    "embed_run",
    "map_quality",
    "movement",
    "nearest",
    "nearest_others",
    "open_run",
    "overlap_matrix",
    "place",
    "project",
    "run_maps",
]

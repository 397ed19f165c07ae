"""Maps of the same pictures at several layers, in one frame: what moves from one to the next has changed company."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from interpret.errors import BadInput
from interpret.jobs import Job
from interpret.latent.projection import Points, Projection, ProjectionParams, place_of_work
from interpret.latent.umap.aligned import aligned_umap


def align(
    vectors: Sequence[Points], params: ProjectionParams | None = None, device: torch.device | str | None = None
) -> Job[tuple[Projection, ...]]:
    """A UMAP map of the same pictures at each of several layers, or by several networks, laid out together.

    A picture stays about where it was in the map before wherever its neighbours do; no map needs to be turned or
    mirrored to be compared with another. Where two layers have little in common pictures move far, and where they move
    to means as much and as little as in any map.

    Args:
        vectors: one table for each layer, float32 [n, d], as `Embedding.vectors`: of the same n pictures in the same
            order; d may differ. Adjacent layers belong side by side.
        params: neighbours, distance, metric, seed, dimensions.
        device: where to compute; the best there is if None.

    Yields:
        Progress; while the maps are laid out the preview is the points so far, float32 [layers, n, dimensions].

    Returns:
        A `Projection` for each layer, in order, with points float32 [n, dimensions].

    Raises:
        BadInput: no layers, not the same number of pictures at each, too few of them, or vectors that are not numbers.

    Source: see `aligned_umap`.
    """
    params = params or ProjectionParams()
    counts = sorted({len(table) for table in vectors})
    if len(counts) != 1:
        raise BadInput(
            "Maps are aligned by the vectors of the same pictures at each layer; found "
            f"{' and '.join(f'{count:,}' for count in counts) or 'no'} pictures."
        )
    count = counts[0]
    if count < 3 or not all(np.isfinite(table).all() for table in vectors):
        raise BadInput(f"A map needs at least 3 pictures with finite vectors; found {count}.")
    if count <= params.neighbors:
        raise BadInput(
            f"UMAP with {params.neighbors} neighbours needs more than {params.neighbors} pictures; "
            f"found {count}. Lower the neighbours."
        )
    maps = yield from aligned_umap(
        [np.ascontiguousarray(table, np.float32) for table in vectors],
        params.neighbors,
        params.min_dist,
        params.metric,
        params.seed,
        params.dimensions,
        place_of_work(device),
    )
    maps.flags.writeable = False
    return tuple(Projection(points, "umap", params) for points in maps)

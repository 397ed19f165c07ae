"""Whose maps stand on the page: one layer's, several layers' side by side in one frame, or two checkpoints'."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from interpret.datasets import PictureSource
from interpret.errors import BadInput
from interpret.images import InputImage
from interpret.jobs import Job, complete
from interpret.latent import PROJECTIONS, Embedding, Neighbours, Projection, ProjectionParams, align, embed, project
from interpret.latent.embedding import embed_picture
from interpret.latent.opened import open_run, read_manifest, run_maps
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from ui.cache import RESULTS
from ui.controls import result_of
from ui.display import plain
from ui.heatmap_grid import stages
from ui.latent_side import Data
from ui.library import pictures_of_run
from ui.second import pick_second
from ui.state import choose, selection

OF_RUN = "run"
"""The map that lies in a run, beside the keys of PROJECTIONS."""
KINDS = {"": "This layer", "across": "Across layers", "versus": "Two checkpoints"}
_ALIGNED = "Aligned UMAP"

Key = tuple[Hashable, ...]
Network = tuple[LoadedModel, tuple[LayerInfo, ...]]
"""A network and the layers whose maps are shown."""


def pick_kind() -> str:
    """A key of KINDS, kept in the address."""
    asked = selection().maps if selection().maps in KINDS else ""
    kind = st.segmented_control(
        "Maps of",
        list(KINDS),
        default=asked,
        format_func=KINDS.__getitem__,
        key=f"latent.maps.{asked}",
        help="Across layers and two checkpoints: one joint layout, so that a picture stays where it is unless its "
        "neighbours change.",
    )
    kind = asked if kind is None else kind
    if kind != asked:
        choose(maps=kind)
    return kind


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run: its embeddings, the maps that were made of them, and the data set they are of."""

    folder: Path
    embeddings: tuple[Embedding, ...]
    maps: Mapping[str, Projection]

    @property
    def source(self) -> PictureSource:
        """Its pictures, read from where they were embedded, if they are still there."""
        one = self.embeddings[0]

        def read(index: int) -> InputImage:
            whole = RESULTS.get_or_make(("source of a run", str(self.folder)), lambda: pictures_of_run(self.folder))
            if one.names[index] not in whole.names:
                raise BadInput(f'Picture "{one.names[index]}" is no longer in "{whole.title}".')
            return whole.read(whole.names.index(one.names[index]))

        return PictureSource(self.folder.name, one.source_digest, one.names, tuple(one.labels), one.classes, read)


def opened_run(folder: Path, stamp: Key, model: LoadedModel) -> Run:
    """A finished run of the chosen network.

    Raises:
        BadInput: no finished run, damaged, or of another network.
    """
    found = RESULTS.get_or_make(
        ("run", str(folder), stamp), lambda: Run(folder, tuple(open_run(folder)), run_maps(folder))
    )
    if found.embeddings[0].model_digest != model.digest:
        made = read_manifest(folder).get("checkpoint", "another checkpoint")
        raise BadInput(
            f'The run "{folder.name}" is of {made}, not of {model.name} as it is opened now. Choose that one.'
        )
    return found


def networks_of(kind: str, model: LoadedModel, layer: LayerInfo, run: Run | None) -> list[Network]:
    """Which layers of which networks are to be seen; one layer where nothing else could be had."""
    if run is not None:
        kept = {one.layer.name: one.layer for one in run.embeddings}
        if kind == "across":
            return [(model, tuple(kept.values()))]
        if kind == "versus":
            st.caption("A run is of one network: maps of two need the pictures themselves.")
        if layer.name not in kept:
            st.caption(f"The run holds {plain(', '.join(kept), 200)}; shown: {plain(next(iter(kept)))}.")
        return [(model, (kept.get(layer.name, next(iter(kept.values()))),))]
    if kind == "across":
        order = {info.name: place for place, info in enumerate(model.layers)}
        wanted = {info.name: info for info in (*stages(model), layer)}
        return [(model, tuple(sorted(wanted.values(), key=lambda info: order[info.name])))]
    where = st.columns(2, gap="small")
    with where[0]:
        other = pick_second(model) if kind == "versus" else None
    if other is None:
        return [(model, (layer,))]
    names = {info.name: info for info in other.layers if info.layout != "other"}
    beside = names.get(layer.name, other.default_layer)
    asked = where[1].selectbox(
        "Its layer", list(names), list(names).index(beside.name), key=f"latent.of.{other.digest[:12]}"
    )
    return [(model, (layer,)), (other, (names[asked],))]


def looked_at(
    networks: Sequence[Network],
    source: PictureSource,
    image: InputImage,
    params: ProjectionParams,
    key: Key,
    run: Run | None,
) -> list[Data] | None:
    """The pictures as each layer sees them; None while they are embedded, whose progress is shown.

    Args:
        networks: of `networks_of`.
        source: the pictures.
        image: the uploaded one.
        params: how near is measured.
        key: names the data set.
        run: where they are embedded already.
    """
    found: list[Data] = []
    for place, network in enumerate(networks):
        seen = _seen_by(network, place, len(networks) == 1, source, image, params, key, run)
        if seen is None:
            return None
        found += seen
    return found


def _seen_by(
    network: Network,
    place: int,
    alone: bool,
    source: PictureSource,
    image: InputImage,
    params: ProjectionParams,
    key: Key,
    run: Run | None,
) -> list[Data] | None:
    model, layers = network
    names = tuple(info.name for info in layers)
    title = "Embedding pictures" + ("" if alone else f" by {model.name}")
    embeddings: list[Embedding] | None
    if run is not None:
        kept = {one.layer.name: one for one in run.embeddings}
        embeddings = [kept[name] for name in names]
    else:
        embeddings = result_of(
            f"embedding {place}",
            ("embedding", model.digest, *key, names),
            title,
            lambda: embed(model, source, layers=names),
        )
    if embeddings is None:
        return None
    vectors = RESULTS.get_or_make(
        ("vectors", model.digest, image.digest, names), lambda: embed_picture(model, image, names)
    )

    def view(embedded: Embedding, vector: NDArray[np.float32]) -> Data:
        name = embedded.layer.name
        ready = ("ready", model.digest, *key, name, params.metric)
        near = RESULTS.get_or_make(ready, lambda: Neighbours.of(embedded.vectors, params.metric))
        title = name if alone else f"{model.name.removesuffix('.safetensors')} · {name}"
        return Data(embedded, model, source, image, vector, params.metric, near, title)

    return [view(*pair) for pair in zip(embeddings, vectors, strict=True)]


def laid_out(
    views: Sequence[Data],
    at: int,
    method: str,
    params: ProjectionParams,
    key: Key,
    run: Run | None,
    forming: Callable[[NDArray[np.float32]], None],
) -> tuple[tuple[Projection, ...], str]:
    """The maps of some views in one frame, and their title; while they are made PCA of one of them, and that title.

    Args:
        views: what to lay out.
        at: which of them is shown until then.
        method: of one view; several are laid out by UMAP together.
        params: of the map.
        key: names the views.
        run: whose own maps are shown for the method `OF_RUN`; it must have them.
        forming: draws the points so far, [n, 2 or 3] or [views, n, 2].
    """
    titles = {known.key: known.title for known in PROJECTIONS} | {"aligned umap": _ALIGNED}
    if method == OF_RUN and run is not None:
        own = tuple(run.maps[view.embedded.layer.name] for view in views)
        return own, f"{titles.get(own[at].method, 'A map')}, as it lies in the run"
    first, count = views[at], len(views[at].embedded.names)
    device = first.model.runtime.device
    title = titles[method] if len(views) == 1 else _ALIGNED

    def make() -> Job[tuple[Projection, ...]]:
        if len(views) == 1:
            vectors, labels = first.embedded.vectors, first.embedded.labels
            return ((yield from project(vectors, method, params, labels, device)),)
        return (yield from align([view.embedded.vectors for view in views], replace(params, dimensions=2), device))

    found = result_of(
        "projection", ("projection", *key, method, params), f"{title} of {count:,} pictures", make, preview=forming
    )
    if found is not None:
        return found, title
    quick = RESULTS.get_or_make(
        ("projection", *key, at, "pca", params), lambda: complete(project(first.embedded.vectors, "pca", params))
    )
    return (quick,), f"PCA, until {title} is ready"

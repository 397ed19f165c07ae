"""Finished runs: what they are of, and their embeddings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interpret.errors import BadInput, unknown
from interpret.latent.embedding import Embedding
from interpret.latent.index import DATA, INDEX, MANIFEST, PLAN, Thumbnails, read_index
from interpret.latent.projection import Projection, ProjectionParams
from interpret.layers import LayerInfo

_MAPPED_BYTES = 256 * 2**20
"""Vectors that take more than this stay on disk until they are read."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a finished run is of.

    Raises:
        BadInput: there is no finished run.
    """
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except OSError:
        begun = " The run is not finished: give its command again." if (folder / PLAN).is_file() else ""
        raise BadInput(
            f'"{folder}" is no finished run folder.{begun} Make one with: python -m interpret embed CKPT DATA --out RUN'
        ) from None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BadInput(f'"{folder / MANIFEST}" is damaged.')
    return found


def run_vectors(folder: Path, layer: str | None = None) -> NDArray[Any]:
    """The vectors of a finished run at a layer, the first if None: [n, d], on disk until read where they are large.

    Raises:
        UnknownName: it was not embedded at that layer.
        BadInput: no finished run, or damaged.
    """
    manifest = read_manifest(folder)
    files = {"": "embedding.npy"}
    try:
        files |= {str(told["name"]): Path(told["file"]).name for told in manifest.get("layers", ())}
    except (KeyError, TypeError):
        raise BadInput(f'"{folder / MANIFEST}" is damaged.') from None
    if (layer or "") not in files:
        raise unknown("Layer", layer or "", f'the run "{folder}"', list(files)[1:])
    path = folder / files[layer or ""]
    try:
        large = path.stat().st_size > _MAPPED_BYTES
        vectors = np.load(path, mmap_mode="r" if large else None, allow_pickle=False)
    except OSError:
        raise BadInput(f'"{folder}" is no finished run folder: "{path.name}" is missing.') from None
    except (ValueError, EOFError) as error:
        raise BadInput(f'"{path}" is damaged: {str(error).rstrip(".")}.') from None
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or vectors.dtype not in (np.float32, np.float16):
        raise BadInput(f'"{path}" is damaged: it is no table of float32 or float16 numbers.')
    vectors.flags.writeable = False
    return vectors


def open_run(folder: Path | str) -> list[Embedding]:
    """The embeddings of a finished run, one for each layer, as `embed` gives them.

    What lies around a layer in its network (its reach, its origin) is not kept.

    Raises:
        BadInput: no finished run, or damaged.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    try:
        index = read_index(folder / INDEX)
        thumbnails = Thumbnails(folder)
        classes = tuple(manifest["classes"])
        places = {name: place for place, name in reversed(list(enumerate(classes)))} | {None: -1}
        found = [
            Embedding(
                vectors=run_vectors(folder, told["name"]),
                predictions=index["prediction"],
                confidences=index["confidence"],
                loss=index["loss"],
                labels=np.array([places[name] for name in index["label"]], np.int64),
                classes=classes,
                names=tuple(index["path"]),
                thumbnails=thumbnails,
                skipped=tuple((one["image"], one["reason"]) for one in manifest["skipped"]),
                layer=_layer(told),
                pool=manifest["pool"],
                precision=manifest["precision"],
                warning=told["warning"],
                model_digest=manifest["model_digest"],
                source_digest=manifest["data_digest"],
                columns={
                    name.removeprefix(DATA): column if isinstance(column, np.ndarray) else tuple(column)
                    for name, column in index.items()
                    if name.startswith(DATA)
                },
            )
            for told in manifest["layers"]
        ]
    except BadInput:
        raise
    except Exception as error:  # pyarrow and numpy raise many kinds on damaged files
        raise BadInput(f'"{folder}" is damaged, or of another version of Loupe; embed the data set again.') from error
    if any(len(one.vectors) != len(one.names) or len(thumbnails) != len(one.names) for one in found):
        raise BadInput(f'"{folder}" is damaged: its files hold different numbers of pictures.')
    return found


def run_maps(folder: Path | str) -> dict[str, Projection]:
    """The maps that `python -m interpret project` has put into a run, by the name of the layer; empty without any.

    Raises:
        BadInput: no finished run, or damaged.
    """
    folder = Path(folder)
    count = int(read_manifest(folder)["pictures"])
    if not (folder / "projection.json").is_file():
        return {}
    try:
        told = json.loads((folder / "projection.json").read_text(encoding="utf-8"))
        points = np.load(folder / "projection.npy", allow_pickle=False)
        points.flags.writeable = False
        params = ProjectionParams(**told["parameters"])
        maps = dict(
            zip(told.get("layers") or [told["layer"]], points if points.ndim == 3 else points[None], strict=True)
        )
        found = {name: Projection(one, told["method"], params) for name, one in maps.items()}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadInput(f'The map of "{folder}" is damaged. Make it again with: python -m interpret project.') from error
    if any(one.points.shape != (count, params.dimensions) for one in found.values()):
        raise BadInput(f'The map of "{folder}" is of other pictures. Make it again with: python -m interpret project.')
    return found


def _layer(told: Mapping[str, Any]) -> LayerInfo:
    of = dict(told["of"])
    shape, kernel = tuple(of.pop("shape")), of.pop("kernel")
    return LayerInfo(told["name"], shape=shape, kernel=None if kernel is None else (kernel[0], kernel[1]), **of)

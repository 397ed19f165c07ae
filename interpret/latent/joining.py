"""Joining the shards of a run into the files of a finished one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from interpret.latent.embedder import Answered, Embedder, none_readable
from interpret.latent.index import DATA, INDEX, MANIFEST, OFFSETS, THUMBNAILS, renamed, text, write_index, write_rows
from interpret.latent.shards import read_shard, shard_vectors
from interpret.store import write_whole

OF_LAYERS = ("kind", "layout", "parameters", "stride", "depth", "pooled", "multiply_adds", "inputs", "groups")
"""What a manifest keeps of a layer beside its name, shape and kernel."""


def join(folder: Path, shards: Sequence[Path], embedder: Embedder, about: Mapping[str, Any]) -> None:
    """Writes the files of a finished run from its shards, the manifest last."""
    model, source = embedder.model, embedder.source
    kept, skipped, lengths = list[Answered](), list[tuple[int, str]](), [0]
    with renamed(folder / THUMBNAILS) as blob:
        for shard in shards:
            part = read_shard(shard)
            blob.write(b"".join(part.thumbnails))
            lengths += [len(small) for small in part.thumbnails]
            skipped += part.skipped
            kept.append(replace(part, thumbnails=()))  # of a million pictures they would fill the memory
    pictures = [index for part in kept for index in part.pictures]
    if not pictures:
        raise none_readable(source, skipped)
    with renamed(folder / OFFSETS) as stream:
        np.save(stream, np.cumsum(lengths, dtype=np.int64))
    told = []
    for number, info in enumerate(embedder.layers):
        file = "embedding.npy" if number == 0 else f"embedding-{number}-{re.sub('[^A-Za-z0-9_.]', '_', info.name)}.npy"
        shape = (len(pictures), embedder.dimensions(info))
        rows = (shard_vectors(shard, number) for shard in shards)
        write_rows(folder / file, shape, embedder.precision, rows)
        told.append(
            {
                "name": info.name,
                "file": file,
                "shape": list(shape),
                "of": {
                    **{name: getattr(info, name) for name in OF_LAYERS},
                    "shape": list(info.shape),
                    "kernel": None if info.kernel is None else list(info.kernel),
                },
                "warning": embedder.warning(info),
            }
        )
    predictions = np.concatenate([part.predictions for part in kept])
    classes = [text(name) for name in source.classes]
    write_index(
        folder / INDEX,
        {
            "path": [text(source.names[index]) for index in pictures],
            "label": [classes[source.labels[index]] if source.labels[index] >= 0 else None for index in pictures],
            "prediction": predictions,
            "predicted_label": [text(model.labels[index]) for index in predictions],
            "confidence": np.concatenate([part.confidences for part in kept]),
            "loss": np.concatenate([part.loss for part in kept]),
            **{
                DATA + text(name): column if isinstance(column, np.ndarray) else [text(value) for value in column]
                for name, column in source.columns_of(pictures).items()
            },
        },
    )
    manifest = {
        "command": "embed",
        "data": source.title,
        "data_digest": source.digest,
        "pictures": len(pictures),
        "classes": classes,
        "skipped": [{"image": source.names[index], "reason": reason} for index, reason in skipped],
        "layer": embedder.layers[0].name,
        "axes": ["pictures", "dimensions"],
        "shape": told[0]["shape"],
        "layers": told,
        "pool": embedder.pool,
        "precision": embedder.precision,
        "preprocessing": model.preprocess.described,
        "checkpoint": model.name,
        "model_digest": model.digest,
        "architecture": model.architecture.key,
        "device": str(model.runtime.device),
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
        **about,
    }
    write_whole(folder / MANIFEST, json.dumps(manifest, indent=2, allow_nan=False).encode())

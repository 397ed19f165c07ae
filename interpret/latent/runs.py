"""Embedding a data set into a folder: a run that survives, may be shared by machines, and can be opened again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from interpret.datasets.sources import PictureSource
from interpret.errors import BadInput
from interpret.jobs import Job, Progress
from interpret.latent.embedder import Answered, Embedder, Pool, Precision, batches_of, joined
from interpret.latent.embedding import batch_of
from interpret.latent.index import MANIFEST, PLAN
from interpret.latent.joining import join
from interpret.latent.shards import is_whole, write_shard
from interpret.model import LoadedModel
from interpret.store import short, write_whole

SHARDS = "shards"
SHARD_PICTURES = 1024
MAX_SHARD_BYTES = 256 * 2**20
_FORMAT = 1


def embed_run(
    model: LoadedModel,
    source: PictureSource,
    folder: Path,
    *,
    layers: Sequence[str] = (),
    pool: Pool = "mean",
    precision: Precision = "float32",
    share: tuple[int, int] = (1, 1),
    shard_pictures: int = SHARD_PICTURES,
    about: Mapping[str, Any] | None = None,
) -> Job[int]:
    """Embeds the pictures of a source into a folder, or goes on where that was left.

    The pictures are done in shards, each renamed into `shards/` when it is whole; a process that is killed loses the
    one it was at. Other machines may do other shares, in the same folder or in copies whose `shards/` are put together.
    Whoever finds all shards there joins them into `embedding.npy` (of the first layer; the manifest names the files of
    others), `index.parquet`, `thumbnails.bin` with `thumbnails.npy` (where each begins), and last `manifest.json`.
    The same shards, done at once or one by one on one machine, give the same bytes.

    Args:
        model, source, pool, precision: as in `embed`.
        folder: the run; made where it is missing.
        layers: names of map or vector layers; `default_layer` if there are none.
        share: (3, 8) does the third of eight equal shares.
        shard_pictures: how many pictures to a shard at most; a run that was begun keeps its own number.
        about: more to be written into the manifest.

    Yields:
        Progress in pictures of this share.

    Returns:
        How many shards are not there yet; 0 when the run is finished.

    Raises:
        UnknownName: no such layer, pool or precision.
        BadInput: the folder holds a run of something else, the disk is too small, not one picture could be read, or
            what `embed` raises.
    """
    part, parts = share
    if not 1 <= part <= parts:
        raise BadInput(f"Share {part} of {parts} does not exist; shares go from 1 of {parts} to {parts} of {parts}.")
    embedder = Embedder(model, source, layers, pool, precision)
    per_shard = _claimed(folder, embedder, shard_pictures)
    ranges = batches_of(range(len(source)), per_shard)
    if (folder / MANIFEST).is_file():
        _tidy(folder)
        return 0
    mine = range(part - 1, len(ranges), parts)
    missing = [number for number in mine if not is_whole(_shard(folder, number), ranges[number], embedder)]
    for number in missing:
        shutil.rmtree(_shard(folder, number), ignore_errors=True)  # there, but damaged
    total = sum(len(ranges[number]) for number in mine)
    done = total - sum(len(ranges[number]) for number in missing)
    yield Progress(done, total, f"{done:,} of {total:,} pictures")
    size, gathered = batch_of(model), list[Answered]()
    ahead = iter(missing)
    chunks = [chunk for number in missing for chunk in batches_of(ranges[number], size)]
    with closing(embedder.parts(chunks)) as answers:
        number = next(ahead, 0)
        for answer in answers:
            gathered.append(answer)
            done += answer.size
            if sum(one.size for one in gathered) == len(ranges[number]):
                write_shard(_shard(folder, number), joined(gathered))
                number, gathered = next(ahead, 0), []
            yield Progress(done, total, f"{done:,} of {total:,} pictures")
    shards = [_shard(folder, number) for number in range(len(ranges))]
    left = sum(not is_whole(shard, pictures, embedder) for shard, pictures in zip(shards, ranges, strict=True))
    if left and not (folder / MANIFEST).is_file():
        return left
    yield Progress(total, total, "joining the shards")
    try:
        if not left:
            join(folder, shards, embedder, about or {})
    except OSError:
        if not (folder / MANIFEST).is_file():  # else another machine has joined them meanwhile
            raise
    _tidy(folder)
    return 0


def _tidy(folder: Path) -> None:
    """Removes from a finished run what only an unfinished one needs, and what killed processes left."""
    shutil.rmtree(folder / SHARDS, ignore_errors=True)
    for stray in folder.glob("*.tmp"):
        stray.unlink(missing_ok=True)


def _shard(folder: Path, number: int) -> Path:
    return folder / SHARDS / f"{number:06}"


def _claimed(folder: Path, embedder: Embedder, shard_pictures: int) -> int:
    """Takes a folder for this run, or sees that it is this run's; how many pictures go to a shard."""
    model, source = embedder.model, embedder.source
    plan: dict[str, Any] = {
        "format": _FORMAT,
        "network or preprocessing": model.digest,
        "list of class names": short(repr(model.labels)),
        "data set": source.digest,
        "layers": [info.name for info in embedder.layers],
        "pool": embedder.pool,
        "precision": embedder.precision,
    }
    try:
        found = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        per_shard = int(found["shard_pictures"])
        other = [name for name in plan if found[name] != plan[name]]
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError):
        raise BadInput(f'"{folder / PLAN}" is damaged. Name another folder for the run.') from None
    else:
        if other or per_shard < 1:
            hint = (
                " (the names, sizes and times of its files count: copy them with their times)"
                if "data set" in other
                else ""
            )
            raise BadInput(
                f'"{folder}" was begun with another {", ".join(other) or "size of shards"}{hint}. Name another folder.'
            )
        return per_shard
    if any((folder / name).exists() for name in (MANIFEST, "embedding.npy")):
        raise BadInput(f'"{folder}" holds other results. Name another folder for the run.')
    folder.mkdir(parents=True, exist_ok=True)
    needed, free = 2 * embedder.picture_bytes * len(source), shutil.disk_usage(folder).free
    if needed > free:
        raise BadInput(
            f"The vectors would take {needed / 2**30:,.1f} GiB on the disk, as shards and once more joined; "
            f"{free / 2**30:,.1f} GiB are free. Pool by mean, take fewer layers, or use float16."
        )
    per_shard = max(1, min(shard_pictures, MAX_SHARD_BYTES // embedder.picture_bytes))
    write_whole(folder / PLAN, json.dumps({**plan, "shard_pictures": per_shard}, indent=2).encode())
    return per_shard

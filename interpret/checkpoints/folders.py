"""Checkpoints that are folders: one weights file with a description, or shards with an index.

Runs in the reading process only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from interpret.checkpoints.descriptions import of_a_hub_folder, read_json
from interpret.checkpoints.sentences import shown
from interpret.errors import BadCheckpoint

SINGLE = ("model.safetensors", "pytorch_model.bin")
MAX_SHARDS = 1000
MAX_INDEX_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Folder:
    """What of a folder is to be read.

    Attributes:
        files: the weights, in order of their names.
        shard_of: tensor name -> its file's name, where an index says so; else empty.
        index: the index file, or None.
    """

    files: tuple[Path, ...]
    shard_of: Mapping[str, str]
    index: Path | None


def look_into(folder: Path, name: str) -> Folder:
    """Which files of a folder hold the checkpoint.

    Raises:
        BadCheckpoint: none do, more than one could, or an index points elsewhere.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError as error:
        raise BadCheckpoint(f'The folder "{name}" could not be read: {error.strerror or error}.') from None
    indices = [one for one in names if one.endswith(".safetensors.index.json")]
    if len(indices) > 1:
        raise BadCheckpoint(f'"{name}" is a folder with {len(indices)} indices of shards; leave one in it.')
    if indices:
        index = folder / indices[0]
        return _by_index(folder, index, name)
    single = [one for one in SINGLE if one in names]
    if not single:
        raise BadCheckpoint(
            f'"{name}" is a folder; name a checkpoint file in it. (A folder opens if it holds {" or ".join(SINGLE)}, '
            "or shards with their model.safetensors.index.json.)"
        )
    return Folder((folder / single[0],), {}, None)


def _by_index(folder: Path, index: Path, name: str) -> Folder:
    _plain_file(folder, index.name, name)
    shard_of = read_json(index).get("weight_map")
    if not isinstance(shard_of, dict) or not shard_of or not all(isinstance(one, str) for one in shard_of.values()):
        raise BadCheckpoint(f'"{index.name}" in the folder "{name}" does not say which tensor lies in which file.')
    shards = sorted(set(shard_of.values()))
    if len(shards) > MAX_SHARDS:
        raise BadCheckpoint(f'"{name}" has {len(shards):,} shards; Loupe opens up to {MAX_SHARDS:,}.')
    for shard in shards:
        if not shard or shard in (".", "..") or any(sign in shard for sign in "/\\:\0") or not shard.isprintable():
            raise BadCheckpoint(
                f'The index of "{name}" points to "{shown(shard)}"; shards must be files in the folder itself.'
            )
        if not shard.endswith(".safetensors"):
            raise BadCheckpoint(f'The index of "{name}" names "{shown(shard)}", which is no safetensors file.')
        _plain_file(folder, shard, name)
    return Folder(tuple(folder / shard for shard in shards), shard_of, index)


def _plain_file(folder: Path, file: str, name: str) -> None:
    """Refuses what is missing, or is a link to another place (save into the store of the Hub's own cache)."""
    path = folder / file
    if not path.exists():
        raise BadCheckpoint(f'"{shown(file)}" is missing in the folder "{name}". Copy or download the folder again.')
    here = folder.resolve()
    allowed = [here]
    if here.parent.name == "snapshots":  # where the Hub's cache keeps links to ../../blobs
        allowed.append(here.parent.parent / "blobs")
    if path.resolve().parent not in allowed:
        raise BadCheckpoint(f'"{shown(file)}" in the folder "{name}" is a link to another place. Put the file there.')


def description(folder: Path) -> dict[str, str]:
    """Metadata from a folder's `config.json`; empty if there is none.

    Raises:
        BadCheckpoint: it cannot be read.
    """
    config = folder / "config.json"
    return of_a_hub_folder(read_json(config)) if config.is_file() else {}

"""One pass over a data set for what excites every channel of some layers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from interpret import store
from interpret.batches import batch_size, decoded_batches, observed
from interpret.datasets.sources import PictureSource
from interpret.decoding import nothing
from interpret.errors import BadInput
from interpret.jobs import Job, Progress
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.units.running import Running
from interpret.units.statistics import UnitStatistics
from interpret.work import multiplications

SAVE_SECONDS = 10.0
"""How often an unfinished pass is saved."""


def collect_units(
    model: LoadedModel, source: PictureSource, layers: Sequence[str], *, folder: Path | None = None, top: int = 24
) -> Job[dict[str, UnitStatistics]]:
    """What excites each channel of the named layers, from one pass over the pictures of a source.

    Results are kept on disk; a layer that is there is read and not computed again. An unfinished pass is kept too,
    every ten seconds and when the job is closed: the next one for the same layers goes on from there and ends with
    the same numbers.

    Args:
        model: the network.
        source: the pictures; broken ones are skipped and listed.
        layers: dotted names of map or vector layers.
        folder: where results are kept; `$LOUPE_HOME/units`, else `~/.cache/loupe/units`, if None.
        top: how many pictures to keep for each channel, 1 to 1,000.

    Yields:
        Progress in pictures.

    Returns:
        Statistics by layer, in the order asked for.

    Raises:
        UnknownName: no such layer.
        BadInput: a layer without channels, a wrong `top`, or not one picture could be read.
    """
    infos = {name: _usable(model.layer(name)) for name in layers}
    if not 1 <= top <= 1000:
        raise BadInput(f"{top:,} pictures cannot be kept for each channel; choose 1 to 1,000.")
    place = store.result_folder(folder or store.root_folder("units"), model.digest, source.digest)
    found: dict[str, UnitStatistics] = {}
    for name, info in infos.items():
        kept = _restored(model, source, [info], top, place / store.finished_file(name))
        if kept is not None and kept.position == len(source):
            found |= kept.result()
    missing = sorted(infos.keys() - found.keys())
    if missing:
        running = yield from _pass(model, source, [infos[name] for name in missing], top, place)
        found |= running.result()
    return {name: found[name] for name in infos}


def _usable(info: LayerInfo) -> LayerInfo:
    if info.layout == "other":
        raise BadInput(f'Layer "{info.name}" answers with shape {list(info.shape)}, which is neither map nor vector.')
    return info


def _restored(
    model: LoadedModel, source: PictureSource, infos: Sequence[LayerInfo], top: int, path: Path
) -> Running | None:
    arrays = store.read(path)
    running = Running.fresh(model, source, infos, top) if arrays is not None else None
    return running if running is not None and arrays is not None and running.restore(arrays) else None


def partial_file(layers: Sequence[str], top: int) -> str:
    """The name of the file with the unfinished state of a pass for these layers."""
    return f"{store.short(repr((sorted(layers), top)))[:24]}.partial"


def _pass(model: LoadedModel, source: PictureSource, infos: Sequence[LayerInfo], top: int, place: Path) -> Job[Running]:
    """The state at the end of the pass, with every layer's result and nothing unfinished on disk."""
    names = [info.name for info in infos]
    partial = place / partial_file(names, top)
    running = _restored(model, source, infos, top, partial) or Running.fresh(model, source, infos, top)
    ahead, saved = range(running.position, len(source)), time.monotonic()
    size = batch_size(model, multiplications(model))
    with closing(decoded_batches(model, source, ahead, size, nothing)) as batches:
        for batch in batches:
            if batch.inputs is not None:
                start = 0
                for tape in observed(model, batch.inputs, names):
                    assert tape.scores is not None
                    running.add(batch.pictures[start : start + len(tape.scores)], tape)
                    start += len(tape.scores)
            running.skipped += batch.skipped
            running.position += batch.size
            if time.monotonic() - saved >= SAVE_SECONDS:
                store.write(partial, running.arrays())
                saved = time.monotonic()
            try:
                yield Progress(running.position, len(source), f"{running.position:,} of {len(source):,} pictures")
            except GeneratorExit:  # between batches, so the state is whole
                store.write(partial, running.arrays())
                raise
    with suppress(OSError):
        partial.unlink(missing_ok=True)
    if len(running.skipped) == len(source):
        raise BadInput(
            f'Not one of the {len(source):,} pictures of "{source.title}" could be read. {running.skipped[0][1]}'
        )
    for alone in running.layers:
        store.write(place / store.finished_file(alone.layer.name), running.alone(alone).arrays())
    return running

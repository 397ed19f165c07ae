"""Drawing a whole network, so that what is done is never done again."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from interpret import store
from interpret.datasets.sources import PictureSource
from interpret.errors import BadInput
from interpret.filters import METHODS, RECIPE, Drawing, FilterParams, class_images, filter_images, spectrum_digest
from interpret.jobs import Job, Progress, stretch
from interpret.layers import LayerInfo
from interpret.microscope.pages import About, Sheet, first_page, sheet_page
from interpret.microscope.record import Entry, Natural, Record
from interpret.model import LoadedModel
from interpret.rendering import grid, jpeg, painted, png
from interpret.units import UnitStatistics, collect_units, crops

TOGETHER, TOGETHER_ON_A_CPU = 256, 16
"""Channels drawn together; a run that is killed loses no more than these."""
_CHANNELS_A_PASS = 8192
"""Channels watched in one pass over the data set: about 50 KB each."""
_CROPS, _CROP_SIDE = 3, 96


def draw_network(
    model: LoadedModel,
    folder: Path,
    channels: Mapping[str, Sequence[int]],
    params: FilterParams | None = None,
    *,
    targets: Sequence[int] = (),
    source: PictureSource | None = None,
) -> Job[int]:
    """Filter pictures of many layers as a page: `folder/index.html`, and a page for each layer.

    What an earlier run left in the folder whole, by its digests, is kept, also after a kill; the pages show at any time
    what is there. Another network, or other settings than the folder's, are refused.

    Args:
        model: the network.
        folder: where to; made where it is missing.
        channels: layer name -> the channels to draw, in the order of the page.
        params: how each picture is drawn.
        targets: classes to draw too.
        source: pictures to hold the drawings against, and MACO's spectrum; None for neither.

    Yields:
        Progress in pictures times steps, in which pictures found count as done; before it, passes over the data set.

    Returns:
        How many pictures were drawn; the others were there.

    Raises:
        UnknownName: no such layer.
        BadInput: a layer without channels, a channel or class that does not exist, or a folder with something else.
    """
    params = params or FilterParams()
    layers = {name: model.layer(name) for name in channels}
    for info in layers.values():
        if info.layout == "other":
            raise BadInput(f'Layer "{info.name}" answers with shape {list(info.shape)}, which has no channels.')
    classes = [model.target(int(target)) for target in targets]
    _claim(folder, model, params, source)
    sheets = _sheets(model, folder, layers, channels, classes, source)
    about = _about(model, params, source)
    natural = (yield from _natural(model, source, list(layers.values()))) if source is not None else {}

    def show(at: int) -> None:
        sheets[at].record.save()
        store.write_whole(sheets[at].record.folder / "index.html", sheet_page(about, sheets, at).encode())
        store.write_whole(folder / "index.html", first_page(about, sheets).encode())

    for at in range(len(sheets)):
        show(at)
    total = params.steps * sum(len(sheet.numbers) for sheet in sheets)
    done = total - params.steps * sum(len(sheet.missing) for sheet in sheets)
    together = TOGETHER_ON_A_CPU if model.runtime.device.type == "cpu" else TOGETHER
    count = 0
    for at, (sheet, layer) in enumerate(zip(sheets, [*layers, ""], strict=False)):
        if layer in natural and source is not None:
            for number in _add_natural(sheet, model, source, natural[layer], params):
                yield Progress(done, total, f"{layer}, natural crops of channel {number}")
            show(at)
        missing = sheet.missing
        for begin in range(0, len(missing), together):
            some = missing[begin : begin + together]
            job: Job[Any] = (
                filter_images(model, layer, some, params, source=source)
                if layer
                else class_images(model, some, params, source=source)
            )
            drawn = yield from _counted(job, done, total, len(some) * params.steps, sheet, begin, len(missing))
            _add(sheet.record, drawn, some)
            done, count = done + len(some) * params.steps, count + len(some)
            show(at)
    return count


def _counted(
    job: Job[Drawing], done: int, total: int, whole: int, sheet: Sheet, before: int, missing: int
) -> Job[Drawing]:
    """A job's progress as part of the whole run's."""
    words = f"{sheet.title}, {before:,} of {missing:,} drawn"
    return stretch(job, done, done + whole, total, lambda note: f"{words}, {note}")


def _claim(folder: Path, model: LoadedModel, params: FilterParams, source: PictureSource | None) -> None:
    """Notes in the folder whose pictures it holds, or finds that they are the same."""
    spectrum = spectrum_digest(params.method, source)
    wanted = {"recipe": RECIPE, "model_digest": model.digest, **asdict(params), "spectrum": spectrum}
    place = folder / "drawing.json"
    if place.exists():
        try:
            found = json.loads(place.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = {}
        if found != wanted:
            other = [name for name, value in wanted.items() if not isinstance(found, dict) or found.get(name) != value]
            words = {"model_digest": "network", "spectrum": "spectrum (--data)", "recipe": "version of Loupe"}
            said = ", ".join(words.get(name, name.replace("_", " ")) for name in other)
            raise BadInput(f'"{folder}" holds filter pictures drawn with another {said}; choose another folder.')
        return
    if (folder / "index.html").exists():
        raise BadInput(f'"{folder}" holds a page that is not of filter pictures; choose another folder.')
    folder.mkdir(parents=True, exist_ok=True)
    store.write_whole(place, json.dumps(wanted, indent=2).encode())


def _sheets(
    model: LoadedModel,
    folder: Path,
    layers: Mapping[str, LayerInfo],
    channels: Mapping[str, Sequence[int]],
    targets: Sequence[int],
    source: PictureSource | None,
) -> list[Sheet]:
    data = "" if source is None else source.digest
    sheets = []
    for name, layer in layers.items():
        field = layer.reach.size if layer.reach is not None else None
        seen = f" · receptive field {field[0]:,} × {field[1]:,} px" if field else ""
        place = f"layers/{re.sub('[^A-Za-z0-9_-]', '_', name)[:60]}-{store.short(name)[:6]}"
        about = f"{layer.kind}, {layer.channels:,} channels{seen}"
        sheets.append(Sheet(name, about, place, tuple(channels[name]), {}, Record(folder / place, data)))
    if targets:
        names = {target: model.labels[target] for target in targets}
        place = "layers/classes"
        about = "pictures for class scores"
        sheets.append(Sheet("Classes", about, place, tuple(targets), names, Record(folder / place, "")))
    return sheets


def _about(model: LoadedModel, params: FilterParams, source: PictureSource | None) -> About:
    method = next(method for method in METHODS if method.key == params.method)
    side = params.side or min(model.preprocess.size) * (2 if params.method == "maco" else 1)
    starts = f", {params.starts} starts each, driven apart" if params.starts > 1 else ""
    said = f"{method.title}, {params.steps:,} steps, {side} px, seed {params.seed}{starts}. {method.source}."
    title = "" if source is None else f"{len(source):,} pictures"
    return About(f"{model.name} · {model.architecture.title}", said, side, title, params.direction == "positive")


def _natural(model: LoadedModel, source: PictureSource, layers: Sequence[LayerInfo]) -> Job[dict[str, UnitStatistics]]:
    """What the data set excites in all layers, in as few passes as memory allows."""
    groups: list[list[str]] = [[]]
    watched = 0
    for layer in layers:
        if watched and watched + layer.channels > _CHANNELS_A_PASS:
            groups.append([])
            watched = 0
        groups[-1].append(layer.name)
        watched += layer.channels
    found: dict[str, UnitStatistics] = {}
    for number, group in enumerate(groups):
        job = collect_units(model, source, group)
        while True:
            try:
                progress = next(job)
            except StopIteration as stop:
                found |= stop.value
                break
            yield replace(progress, note=f"natural pictures, pass {number + 1} of {len(groups)}: {progress.note}")
    return found


def _add(record: Record, drawn: Drawing, numbers: Sequence[int]) -> None:
    """Writes the pictures of channels or classes, as many for each as there are starts."""
    starts, pixels = drawn.params.starts, painted(drawn.pictures, drawn.opacity)
    for place, number in enumerate(numbers):
        files: dict[str, str] = {}
        own = range(place * starts, (place + 1) * starts)
        for start, picture in enumerate(pixels[own.start : own.stop]):
            name = f"{number}" if starts == 1 else f"{number}-{start + 1}"
            small = max(picture.shape[:2]) <= 96
            files |= record.keep(f"{name}.{'png' if small else 'jpg'}", png(picture) if small else jpeg(picture, 92))
        reached = tuple(_number(float(drawn.reached[index])) for index in own)
        record.drawn[number] = Entry(files, reached, tuple(drawn.stays_grey(index) for index in own))


def _add_natural(
    sheet: Sheet, model: LoadedModel, source: PictureSource, found: UnitStatistics, params: FilterParams
) -> Iterator[int]:
    """What natural pictures reach, and the crops that excite a channel most where that is what drawings do.

    Yields:
        The channels, as each is done.
    """
    up = params.direction == "positive"
    best, high = found.mean_limits(lowest=not up)
    for number in sheet.numbers:
        if number in sheet.record.natural:
            continue
        files: dict[str, str] = {}
        if up and found.top_pictures[number, 0] >= 0:
            strip = grid(crops(model, source, found, number, _CROPS, _CROP_SIDE), columns=_CROPS, gap=3)
            files = sheet.record.keep(f"{number}-natural.jpg", jpeg(strip, 90))
        sheet.record.natural[number] = Natural(files, _number(float(best[number])), _number(float(high[number])))
        yield number


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None

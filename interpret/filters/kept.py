"""Filter pictures on disk, a file for each channel, so that they are drawn once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from interpret import store
from interpret.datasets.sources import PictureSource
from interpret.filters.ascent import filter_images, objective_of
from interpret.filters.canvases import spectrum_digest
from interpret.filters.params import Drawing, FilterImages, FilterParams
from interpret.jobs import Job
from interpret.layers import LayerInfo
from interpret.model import LoadedModel

RECIPE = 2
"""To be raised when the same parameters give other pictures than before."""


def kept_filter_images(
    model: LoadedModel,
    layer: str,
    channels: Sequence[int],
    params: FilterParams | None = None,
    *,
    source: PictureSource | None = None,
    after: Drawing | None = None,
    folder: Path | None = None,
) -> Job[FilterImages]:
    """The same as `filter_images`, but channels that were drawn before with the same parameters are read from disk.

    Args:
        model, layer, channels, params, source, after: as in `filter_images`; `after` is used where no channel is kept.
        folder: where pictures are kept; `$LOUPE_HOME/filters`, else `~/.cache/loupe/filters`, if None.

    Yields, raises: as `filter_images`.
    """
    params, info = params or FilterParams(), model.layer(layer)
    wanted = tuple(dict.fromkeys(map(int, channels)))
    root = folder or store.root_folder("filters")
    recipe = repr((RECIPE, info.name, params, spectrum_digest(params.method, source)))
    place = store.result_folder(root, model.digest, recipe)
    found = {number: kept for number in wanted if (kept := _read(place, info, number, params))}
    missing = [number for number in wanted if number not in found]
    if wanted and not missing:
        return _together(found, wanted)
    job = filter_images(
        model, layer, missing, params, source=source, after=after if len(missing) == len(wanted) else None
    )
    while True:
        try:
            progress = next(job)
        except StopIteration as stop:
            drawn: FilterImages = stop.value
            break
        shown = progress.preview
        if found and isinstance(shown, FilterImages):
            progress = replace(progress, preview=_together(found | _apart(shown), wanted))
        yield progress
    for number, one in _apart(drawn).items():
        arrays = {"planes": one.planes, "reached": one.reached}
        store.put(_file(place, number), arrays if one.opacity is None else {**arrays, "opacity": one.opacity})
    store.tidy(root, _file(place, missing[-1]))
    return drawn if drawn.channels == _each(wanted, params) else _together(found | _apart(drawn), wanted)


def drawn_before(
    model: LoadedModel, layer: str, channel: int, params: FilterParams, folder: Path | None = None
) -> FilterImages | None:
    """A channel's pictures as `kept_filter_images` left them on disk, with the bundled spectrum; None if it has not."""
    recipe = repr((RECIPE, model.layer(layer).name, params, spectrum_digest(params.method, None)))
    place = store.result_folder(folder or store.root_folder("filters"), model.digest, recipe)
    return _read(place, model.layer(layer), channel, params)


def _file(place: Path, channel: int) -> Path:
    return place / store.finished_file(str(channel))


def _each(channels: Sequence[int], params: FilterParams) -> tuple[int, ...]:
    return tuple(channel for channel in channels for _ in range(params.starts))


def _read(place: Path, info: LayerInfo, channel: int, params: FilterParams) -> FilterImages | None:
    """A channel's pictures, None where they are not there or not what they should be."""
    arrays = store.read(_file(place, channel))
    if arrays is None or not {"planes", "reached"} <= arrays.keys():
        return None
    planes, reached, opacity = arrays["planes"], arrays["reached"], arrays.get("opacity")
    wrong = planes.ndim != 4 or reached.shape != (params.starts,) or len(planes) != params.starts
    if wrong or (params.method == "maco") != (opacity is not None) or planes.dtype != np.float32:
        return None
    if opacity is not None and opacity.shape != planes.shape[:3]:
        return None
    return FilterImages(
        planes=planes,
        opacity=opacity,
        reached=reached,
        objective=f"channel {channel} of {info.name}",
        params=params,
        steps=params.steps,
        ascent=None,
        channels=(channel,) * params.starts,
        layer=info,
    )


def _apart(drawn: FilterImages) -> dict[int, FilterImages]:
    """Each channel's pictures alone."""
    channels = np.array(drawn.channels)
    return {
        int(channel): replace(
            drawn,
            planes=drawn.planes[channels == channel],
            opacity=None if drawn.opacity is None else drawn.opacity[channels == channel],
            reached=drawn.reached[channels == channel],
            ascent=None,
            channels=(int(channel),) * int((channels == channel).sum()),
        )
        for channel in dict.fromkeys(drawn.channels)
    }


def _together(parts: Mapping[int, FilterImages], channels: Sequence[int]) -> FilterImages:
    """Channels' pictures in the order asked for."""
    ordered = [parts[channel] for channel in channels]
    opacities = [part.opacity for part in ordered if part.opacity is not None]
    planes = np.concatenate([part.planes for part in ordered])
    reached = np.concatenate([part.reached for part in ordered])
    opacity = np.concatenate(opacities) if opacities else None
    for array in (planes, reached, opacity):
        if array is not None:
            array.flags.writeable = False
    each = tuple(channel for part in ordered for channel in part.channels)
    return replace(
        ordered[0],
        planes=planes,
        reached=reached,
        opacity=opacity,
        objective=objective_of(ordered[0].layer, each, ordered[0].params.starts).title,
        steps=min(part.steps for part in ordered),
        ascent=None,
        channels=each,
    )

"""Filter pictures on disk, a file for each channel or class, so that they are drawn once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from interpret import store
from interpret.datasets.sources import PictureSource
from interpret.filters.ascent import class_images, filter_images, objective_of
from interpret.filters.canvases import spectrum_digest
from interpret.filters.objectives import class_score
from interpret.filters.params import Drawing, FilterImages, FilterParams
from interpret.jobs import Job
from interpret.model import LoadedModel

D = TypeVar("D", bound=Drawing)
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
    params = params or FilterParams()
    shelf = _of_channels(model, layer, params, spectrum_digest(params.method, source), folder)

    def draw(missing: Sequence[int], begun: Drawing | None) -> Job[FilterImages]:
        return filter_images(model, layer, missing, params, source=source, after=begun)

    info = model.layer(layer)

    def whole(drawing: Drawing, each: tuple[int, ...]) -> FilterImages:
        return FilterImages(**_plain(drawing), channels=each, layer=info)

    return (yield from _kept(shelf, channels, draw, after, whole))


def kept_class_images(
    model: LoadedModel,
    targets: Sequence[int],
    params: FilterParams | None = None,
    *,
    source: PictureSource | None = None,
    after: Drawing | None = None,
    folder: Path | None = None,
) -> Job[Drawing]:
    """The same as `class_images`, but classes that were drawn before with the same parameters are read from disk.

    Args, yields, raises: as `class_images` and `kept_filter_images`.
    """
    params = params or FilterParams()
    shelf = _Shelf(
        _place(model, ("class scores",), params, spectrum_digest(params.method, source), folder),
        params,
        lambda each: class_score(each).title,
    )

    def draw(missing: Sequence[int], begun: Drawing | None) -> Job[Drawing]:
        return class_images(model, missing, params, source=source, after=begun)

    wanted = [model.target(int(target)) for target in targets]
    return (yield from _kept(shelf, wanted, draw, after, lambda drawing, _: drawing))


def drawn_before(
    model: LoadedModel, layer: str, channel: int, params: FilterParams, folder: Path | None = None
) -> FilterImages | None:
    """A channel's pictures as `kept_filter_images` left them on disk, with the bundled spectrum; None if it has not."""
    found = _of_channels(model, layer, params, spectrum_digest(params.method, None), folder).read(channel)
    each = (channel,) * params.starts
    return None if found is None else FilterImages(**_plain(found), channels=each, layer=model.layer(layer))


@dataclass(frozen=True)
class _Shelf:
    """Where pictures of one kind lie.

    Attributes:
        place: the folder.
        params: how they are drawn.
        title: of an objective, from the channel or class of each picture.
    """

    place: Path
    params: FilterParams
    title: Callable[[Sequence[int]], str]

    def file(self, number: int) -> Path:
        return self.place / store.finished_file(str(number))

    def each(self, numbers: Sequence[int]) -> tuple[int, ...]:
        return tuple(number for number in numbers for _ in range(self.params.starts))

    def read(self, number: int) -> Drawing | None:
        """A channel's or class's pictures, None where they are not there or not what they should be."""
        arrays = store.read(self.file(number))
        if arrays is None or not {"planes", "reached"} <= arrays.keys():
            return None
        planes, reached, opacity = arrays["planes"], arrays["reached"], arrays.get("opacity")
        wrong = planes.ndim != 4 or reached.shape != (self.params.starts,) or len(planes) != self.params.starts
        if wrong or (self.params.method == "maco") != (opacity is not None) or planes.dtype != np.float32:
            return None
        if opacity is not None and opacity.shape != planes.shape[:3]:
            return None
        title = self.title(self.each([number]))
        return Drawing(planes, opacity, reached, title, self.params, self.params.steps, None)

    def put(self, number: int, one: Drawing) -> None:
        arrays = {"planes": one.planes, "reached": one.reached}
        store.put(self.file(number), arrays if one.opacity is None else {**arrays, "opacity": one.opacity})

    def together(self, parts: Mapping[int, Drawing], numbers: Sequence[int]) -> Drawing:
        """Pictures in the order asked for."""
        ordered = [parts[number] for number in numbers]
        opacities = [part.opacity for part in ordered if part.opacity is not None]
        planes = np.concatenate([part.planes for part in ordered])
        reached = np.concatenate([part.reached for part in ordered])
        opacity = np.concatenate(opacities) if opacities else None
        for array in (planes, reached, opacity):
            if array is not None:
                array.flags.writeable = False
        steps = min(part.steps for part in ordered)
        return Drawing(planes, opacity, reached, self.title(self.each(numbers)), self.params, steps, None)


def _of_channels(model: LoadedModel, layer: str, params: FilterParams, spectrum: str, folder: Path | None) -> _Shelf:
    info = model.layer(layer)
    place = _place(model, info.name, params, spectrum, folder)
    return _Shelf(place, params, lambda each: objective_of(info, each, params.starts).title)


def _place(model: LoadedModel, of: object, params: FilterParams, spectrum: str, folder: Path | None) -> Path:
    return store.result_folder(
        folder or store.root_folder("filters"), model.digest, repr((RECIPE, of, params, spectrum))
    )


def _kept(
    shelf: _Shelf,
    numbers: Sequence[int],
    draw: Callable[[Sequence[int], Drawing | None], Job[Drawing]],
    after: Drawing | None,
    whole: Callable[[Drawing, tuple[int, ...]], D],
) -> Job[D]:
    """Reads what is there and draws the rest; `whole` makes the result of pictures and the channel or class of each."""
    wanted = tuple(dict.fromkeys(map(int, numbers)))
    each = shelf.each(wanted)
    found = {number: kept for number in wanted if (kept := shelf.read(number))}
    missing = [number for number in wanted if number not in found]
    if wanted and not missing:
        return whole(shelf.together(found, wanted), each)
    job = draw(missing, None if found else after)
    while True:
        try:
            progress = next(job)
        except StopIteration as stop:
            drawn: Drawing = stop.value
            break
        shown = progress.preview
        if isinstance(shown, Drawing):
            joined = shelf.together(found | _apart(shown, missing), wanted) if found else shown
            progress = replace(progress, preview=whole(joined, each))
        yield progress
    new = _apart(drawn, missing)
    for number, one in new.items():
        shelf.put(number, one)
    store.tidy(shelf.place.parent, shelf.file(missing[-1]))
    return whole(shelf.together(found | new, wanted) if found else drawn, each)


def _apart(drawn: Drawing, numbers: Sequence[int]) -> dict[int, Drawing]:
    """Each channel's or class's pictures alone."""
    starts = drawn.params.starts
    parts = {}
    for place, number in enumerate(numbers):
        own = slice(place * starts, (place + 1) * starts)
        opacity = None if drawn.opacity is None else drawn.opacity[own]
        parts[number] = replace(
            Drawing(**_plain(drawn)), planes=drawn.planes[own], opacity=opacity, reached=drawn.reached[own], ascent=None
        )
    return parts


def _plain(drawing: Drawing) -> dict[str, Any]:
    """What a drawing has, without what filter images add."""
    return {field.name: getattr(drawing, field.name) for field in fields(Drawing)}

"""Gradient ascent on pictures, all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from interpret.datasets.sources import PictureSource
from interpret.errors import BadInput
from interpret.filters.artist import Artist, fixed
from interpret.filters.canvases import METHODS
from interpret.filters.objectives import Objective, channel, class_score, diverse
from interpret.filters.params import Drawing, FilterImages, FilterParams
from interpret.jobs import Job, Progress
from interpret.layers import LayerInfo
from interpret.model import LoadedModel

PREVIEWS = 24


def draw(
    model: LoadedModel,
    objective: Objective,
    count: int = 1,
    params: FilterParams | None = None,
    *,
    source: PictureSource | None = None,
    after: Drawing | None = None,
    streams: Sequence[int] | None = None,
) -> Job[Drawing]:
    """Pictures that drive an objective as high as it gets.

    maximise over the numbers v of each picture:  objective(network(seen(drawn(v))))      (minimise for "negative")

    with the method's own way of drawing, of looking and of stepping. The network runs on a private copy with BatchNorm
    folded, only as far as the objective needs it, and without gradients of its parameters. In the first 16 steps a
    picture without a gradient gets one through shut rectifiers (`Redirected`); one that has none after them begins anew
    with more contrast, up to sixteen times. All pictures share the passes; a picture depends on its own random numbers
    alone, which follow from seed, stream and step, so that it is the same beside others, and the same whether an
    ascent went through or was continued.

    Args:
        model: the network.
        objective: from `interpret.filters.objectives`.
        count: how many pictures.
        params: method, steps, seed, side.
        source: pictures whose spectrum MACO works under; None takes the bundled photographs.
        after: a drawing of the same with fewer steps, to go on from.
        streams: a number for each picture that its random numbers follow from; 0, 1, 2, ... if None.

    Yields:
        Progress after each pass, with the unfinished Drawing as preview several times in the run.

    Raises:
        UnknownName: no such layer.
        BadInput: the network does not run on pictures of that side, or `after` is of something else.
    """
    params = params or FilterParams()
    for name in objective.layers:
        model.layer(name)
    canvas = next(method for method in METHODS if method.key == params.method).make(model, params.side, source)
    own_streams = tuple(range(count)) if streams is None else tuple(streams)
    artist = Artist(model, objective, params, canvas, own_streams)
    first, state = artist.begin(after)
    show_every = max(1, (params.steps - first) // PREVIEWS)
    for step in range(first, params.steps):
        done = 0
        while done < count:
            done += artist.advance(state, step, done)
            shown = artist.drawing(state, step + 1) if done >= count and (step - first) % show_every == 0 else None
            note = f"step {step + 1} of {params.steps}"
            yield Progress(step * count + done, params.steps * count, note, shown)
    reached = np.zeros(0, np.float32)
    while len(reached) < count:
        reached = np.concatenate([reached, artist.measure(state, len(reached))])
        if len(reached) < count:
            yield Progress(params.steps * count, params.steps * count, "measuring what the pictures reach")
    return replace(artist.drawing(state, params.steps), reached=fixed(reached))


def filter_images(
    model: LoadedModel,
    layer: str,
    channels: Sequence[int],
    params: FilterParams | None = None,
    *,
    source: PictureSource | None = None,
    after: Drawing | None = None,
) -> Job[FilterImages]:
    """A picture for each channel that drives the channel's mean activation as high as it gets; see `draw`.

    Args:
        model: the network.
        layer: dotted name.
        channels: channel numbers, in any order.
        params, source, after: as in `draw`. With several starts, a channel's pictures are driven apart in the layer.

    Yields:
        Progress after each pass, with the unfinished FilterImages as preview several times in the run.

    Raises:
        UnknownName: no such layer.
        BadInput: no such channel, or none, or the network does not run on pictures of that side.
    """
    params = params or FilterParams()
    info = model.layer(layer)
    wanted = tuple(int(number) for number in channels)
    if info.layout == "other" or not wanted or min(wanted) < 0 or max(wanted) >= info.channels:
        raise BadInput(f'Layer "{info.name}" has channels 0 to {info.channels - 1}; found {list(wanted)[:8]}.')
    each = tuple(number for number in wanted for _ in range(params.starts))
    objective = objective_of(info, each, params.starts)
    streams = [number + info.channels * start for number in wanted for start in range(params.starts)]

    def of_channels(drawing: Drawing) -> FilterImages:
        return FilterImages(**vars(drawing), channels=each, layer=info)

    job = draw(model, objective, len(each), params, source=source, after=after, streams=streams)
    while True:
        try:
            progress = next(job)
        except StopIteration as stop:
            return of_channels(stop.value)
        shown = progress.preview
        yield replace(progress, preview=of_channels(shown)) if isinstance(shown, Drawing) else progress


def objective_of(layer: LayerInfo, each: Sequence[int], starts: int) -> Objective:
    """What `filter_images` drives up: for each picture its channel, and several of one apart in a layer of maps."""
    objective = channel(layer.name, each)
    return diverse(objective, layer.name, starts) if starts > 1 and layer.is_spatial else objective


def class_images(
    model: LoadedModel,
    targets: Sequence[int],
    params: FilterParams | None = None,
    *,
    source: PictureSource | None = None,
    after: Drawing | None = None,
) -> Job[Drawing]:
    """A picture for each class that drives its score before softmax as high as it gets; see `draw`.

    Args:
        model: the network.
        targets: class indices.
        params, source, after: as in `draw`; several starts differ only by where they begin.

    Raises:
        UnknownName: no such class.
    """
    params = params or FilterParams()
    wanted = [model.target(int(target)) for target in targets]
    each = [target for target in wanted for _ in range(params.starts)]
    streams = [target + len(model.labels) * start for target in wanted for start in range(params.starts)]
    return draw(model, class_score(each), len(each), params, source=source, after=after, streams=streams)

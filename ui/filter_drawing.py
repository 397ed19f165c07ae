"""Filter pictures drawn as the controls ask, found again where they were drawn before, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace

from interpret import rendering
from interpret.datasets import PictureSource
from interpret.filters import METHODS, Drawing, FilterImages, FilterParams, drawn_before, kept_filter_images
from interpret.latent.embedding import first_count
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.rendering import Pixels
from ui.cache import RESULTS
from ui.controls import result_of
from ui.display import plain
from ui.filter_settings import FIRST_STEPS, STEPS, Asked, asked_for, first_params
from ui.library import data_of, data_stamp
from ui.state import selection


def spectrum_of(model: LoadedModel, asked: Asked) -> tuple[tuple[Hashable, ...], Callable[[], PictureSource | None]]:
    """Whose magnitudes MACO works under: what is added to a result's key, and how they are opened."""
    if asked.params.method != "maco" or asked.spectrum != "data":
        return (), lambda: None
    data, limit = selection().data, first_count(model)
    key = ("source", data, data_stamp(data), limit)
    return (key,), lambda: RESULTS.get_or_make(key, data_of(data, limit))


def drawn_channels(
    purpose: str,
    model: LoadedModel,
    layer: LayerInfo,
    channels: tuple[int, ...],
    asked: Asked,
    preview: Callable[[FilterImages], str | None],
    compact: bool = False,
) -> FilterImages | None:
    """The pictures of a layer's channels, None until they are drawn; what was drawn with fewer steps goes on.

    Args:
        purpose, preview, compact: as in `ui.controls.result_of`.
        model, layer, channels, asked: what to draw.
    """
    spectrum, source = spectrum_of(model, asked)

    def key(steps: int) -> tuple[Hashable, ...]:
        return ("filters", model.digest, layer.name, channels, replace(asked.params, steps=steps), *spectrum)

    before = fewer_steps(asked.params.steps, key)
    return result_of(
        purpose,
        key(asked.params.steps),
        f"Filters of {plain(layer.name)}",
        lambda: kept_filter_images(model, layer.name, channels, asked.params, source=source(), after=before),
        preview,
        compact,
        lambda kept: kept_filter_images(model, layer.name, channels, asked.params, source=source(), after=kept),
    )


def as_in_the_gallery(model: LoadedModel, layer: str, channel: int, otherwise: FilterParams) -> FilterParams:
    """How the gallery drew a channel in `otherwise`'s direction, where it did so at the network's own size in 64 steps
    or more with the settings of the address or with those it begins with; else `otherwise`."""
    for params in (asked_for(model, layer).params, first_params(model, layer)):
        alike = replace(params, direction=otherwise.direction)
        if alike.steps >= FIRST_STEPS and not alike.side and drawn_before(model, layer, channel, alike) is not None:
            return alike
    return otherwise


def fewer_steps(steps: int, key: Callable[[int], Hashable]) -> FilterImages | None:
    """The furthest finished result with fewer steps that can go on, by its key for a number of steps."""
    found = (RESULTS.get(key(few)) for few in reversed(STEPS) if few < steps)
    return next((result for result in found if result is not None and result.ascent is not None), None)


def painted(drawn: Drawing) -> Pixels:
    """Pictures to look at, what was not worked on as middle grey: uint8 [n, height, width, 3]."""
    return rendering.painted(drawn.pictures, drawn.opacity)


def manifest(model: LoadedModel, asked: Asked, shown: Mapping[str, object]) -> dict[str, object]:
    """What a download says of its pictures: the network, all parameters, and what else is named."""
    params = asked.params
    return {
        "checkpoint": model.name,
        "model_digest": model.digest,
        **shown,
        **{name: getattr(params, name) for name in params.__dataclass_fields__},
        "spectrum": asked.spectrum if params.method == "maco" else None,
        "axes": ["pictures", "height", "width", "planes"],
    }


def how_drawn(model: LoadedModel, params: FilterParams) -> str:
    """Checkpoint, steps, method, size, seed and paper in a sentence each, as Markdown."""
    method = next(method for method in METHODS if method.key == params.method)
    side = params.side or min(model.preprocess.size) * (2 if params.method == "maco" else 1)
    starts = f", {params.starts} starts each, driven apart" if params.starts > 1 else ""
    way = ", negative direction: what drives it **down**" if params.direction == "negative" else ""
    return (
        f"{plain(model.name)}, {method.title}, {params.steps} steps, {side} px, seed {params.seed}{starts}{way}. "
        f"Method: {plain(method.source)}."
    )

"""How far to trust a filter picture: what natural pictures reach, the crops that excite the channel, a random twin."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from interpret.datasets import sample_names, sample_picture
from interpret.errors import InterpretError
from interpret.filters import FilterImages, kept_filter_images
from interpret.latent.embedding import first_count
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.rendering import thumbnail
from interpret.units import UnitStatistics
from ui.cache import MODELS, RESULTS
from ui.controls import result_of
from ui.display import number, plain, told
from ui.figures import figure, figures, section
from ui.filter_drawing import painted
from ui.library import data_of, data_stamp, data_title
from ui.state import selection
from ui.unit_data import collected, crop_figure

SHOWN = 4


@dataclass(frozen=True, eq=False)
class Natural:
    """What natural pictures reach in a layer.

    Attributes:
        title: of the data set; untrusted text.
        best: float32 [channels], the greatest mean activation (over the places) of a picture of the sample.
        high: float32 [channels], the 99.9th percentile of those means.
        statistics: all that is known from the pass.
    """

    title: str
    best: NDArray[np.float32]
    high: NDArray[np.float32]
    statistics: UnitStatistics


def natural_of(model: LoadedModel, layer: LayerInfo) -> Natural | None:
    """What the chosen data set reaches in a layer; None until a pass over it is through, whose progress is shown."""
    data, limit = selection().data, first_count(model)
    stamp = data_stamp(data)
    try:
        source = RESULTS.get_or_make(("source", data, stamp, limit), data_of(data, limit))
    except InterpretError as error:
        st.error(told(error))
        return None

    def key(name: str) -> tuple[object, ...]:
        return ("units", model.digest, data, stamp, limit, name)

    title = f"What natural pictures reach in {plain(layer.name)}"
    statistics = result_of(
        "filters natural", key(layer.name), title, lambda: collected(model, layer, source, key), compact=True
    )
    return None if statistics is None else natural_from(data_title(data), statistics)


def natural_from(title: str, statistics: UnitStatistics) -> Natural:
    """The best mean activation of each channel, and the 99.9th percentile."""
    means = statistics.sample_means
    filled = np.where(np.isfinite(means), means, -np.inf)
    return Natural(title, filled.max(0), np.percentile(filled, 99.9, axis=0).astype(np.float32), statistics)


def bar(reached: float, natural: Natural | None, channel: int) -> str:
    """What a drawing reaches as a bar from zero, a mark at the best natural picture; the numbers in its title.

    Args:
        reached: mean activation.
        natural: what pictures reach; an empty bar without.
        channel: of the layer.
    """
    if natural is None or not np.isfinite(reached):
        return ""
    best, high = float(natural.best[channel]), float(natural.high[channel])
    top = max(reached, best, 1e-12)
    words = (
        f"Reaches {number(reached)}; the best of {natural.statistics.seen:,} pictures of {natural.title} "
        f"{number(best)}, their 99.9th percentile {number(high)}"
    )
    filled, mark = (100 * min(1.0, max(0.0, value / top)) for value in (reached, best))
    return (
        f'<div role="img" aria-label="{html.escape(words)}" title="{html.escape(words)}" style="position:relative;'
        'height:6px;margin-top:2px;border-radius:3px;background:rgba(128,128,128,0.25)">'
        f'<div style="width:{filled:.1f}%;height:100%;border-radius:3px;background:#3b6fd4"></div>'
        f'<div style="position:absolute;left:calc({mark:.1f}% - 2px);top:-2px;width:2px;height:10px;'
        'background:currentColor"></div></div>'
    )


def show_evidence(
    model: LoadedModel, layer: LayerInfo, drawn: FilterImages, channel: int, natural: Natural | None
) -> None:
    """For one channel: the natural crops that excite it most, the untrained twin's picture, and what follows.

    Args:
        model, layer: whose channel.
        drawn: pictures of the channel, and of others.
        channel: which.
        natural: what pictures reach, None while it is not known.
    """
    section("How far to trust it")
    at = drawn.channels.index(channel)
    reached = float(drawn.reached[at])
    if natural is not None:
        _natural_crops(model, natural, channel)
        best = float(natural.best[channel])
        many = f"the best of {natural.statistics.seen:,} pictures of {plain(natural.title)}"
        if best <= 0:
            words = f"The drawing reaches {number(reached)}, {many} {number(best)}."
        elif reached < best and drawn.params.direction == "positive":
            words = f"The drawing reaches only {number(reached / best, 2)} times what {many} does: do not rely on it."
        else:
            words = f"The drawing reaches {number(reached / best, 2)} times what {many} does."
        st.markdown(f"{words} The mark on a bar is that best picture.")
    _twin(model, layer, drawn, channel)
    st.caption(
        "People predict a unit's answer from natural crops better than from synthetic pictures: 92 ± 2 against "
        "82 ± 4 per cent (Borowski et al. 2020). Synthetic pictures take other paths through a network "
        "than natural ones and can be made arbitrary (Geirhos et al. 2024)."
    )


def _natural_crops(model: LoadedModel, natural: Natural, channel: int) -> None:
    found, (data, limit) = natural.statistics, (selection().data, first_count(model))
    source = RESULTS.get_or_make(("source", data, data_stamp(data), limit), data_of(data, limit))
    count = min(SHOWN, int((found.top_pictures[channel] >= 0).sum()))
    places = zip(found.top_pictures[channel], found.top_rows[channel], found.top_columns[channel], strict=True)
    st.caption(f"What excites it most among {found.seen:,} pictures of {plain(natural.title)}, with its maximum there")
    figures(
        [
            crop_figure(model, source, found, channel, at, float(value), 96, False)
            for at, value in zip(list(places)[:count], found.top_values[channel], strict=False)
        ]
    )


def _twin(model: LoadedModel, layer: LayerInfo, drawn: FilterImages, channel: int) -> None:
    """The same channel of the same architecture before any training."""
    key = ("untrained", model.digest)
    if not st.toggle("Control: the same drawing on random weights", key="filters.control"):
        return
    twin = MODELS.get_or_make(key, lambda: model.untrained([sample_picture(name) for name in sample_names()]))
    params = replace(drawn.params, starts=1)
    found = result_of(
        "filters control",
        ("filters", twin.digest, layer.name, (channel,), params),
        "The same on random weights",
        lambda: kept_filter_images(twin, layer.name, [channel], params),
        compact=True,
    )
    if found is not None:
        said = [f"reaches {number(float(found.reached[0]))}"]
        alt = f"Channel {channel} of {layer.name}, random weights"
        figures([figure(thumbnail(painted(found)[0], 288), said, alt, 144)])
        st.caption(
            "Random weights in the same architecture. What this picture shows too comes from the architecture and "
            "the way of drawing, not from training; activations of different weights are not on one scale."
        )

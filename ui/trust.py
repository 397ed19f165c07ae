"""How far to trust a filter picture: what natural pictures reach, the crops that excite the channel, a random twin."""

from __future__ import annotations

import html
from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from interpret.errors import InterpretError
from interpret.filters import FilterImages, kept_filter_images
from interpret.filters.params import Direction
from interpret.latent.embedding import first_count
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.rendering import Pixels, thumbnail
from interpret.units import UnitStatistics
from ui.cache import RESULTS
from ui.controls import result_of
from ui.display import number, plain, told
from ui.figures import figure, figures, section
from ui.filter_drawing import painted, spectrum_of
from ui.filter_settings import Asked
from ui.library import data_of, data_stamp, data_title
from ui.results import untrained_twin
from ui.state import selection
from ui.unit_data import collected, crop_figure


@dataclass(frozen=True, eq=False)
class Natural:
    """What natural pictures reach in a layer, in the direction of its drawings.

    Attributes:
        title: of the data set; untrusted text.
        best: float32 [channels], the greatest mean activation (over the places) of a picture of the sample, the least
            where `lowest`; not finite where a channel gives no numbers.
        percentile: float32 [channels], the 99.9th percentile of those means; the 0.1th where `lowest`.
        statistics: all that is known from the pass.
        lowest: whether the drawings go in the negative direction.
    """

    title: str
    best: NDArray[np.float32]
    percentile: NDArray[np.float32]
    statistics: UnitStatistics
    lowest: bool = False

    @property
    def end(self) -> str:
        """The picture drawings are compared with, in a word."""
        return "lowest" if self.lowest else "best"

    @property
    def pictures(self) -> str:
        return f"the {self.end} of {self.statistics.seen:,} pictures"

    @property
    def rank(self) -> str:
        return "0.1th percentile" if self.lowest else "99.9th percentile"

    def times(self, reached: float, channel: int) -> float | None:
        """What is reached over what the best picture reaches; None unless both have the sign of the direction."""
        best = float(self.best[channel])
        signs = {np.sign(reached), np.sign(best)}
        return reached / best if np.isfinite([reached, best]).all() and signs == {-1 if self.lowest else 1} else None


def natural_of(
    model: LoadedModel, layer: LayerInfo, direction: Direction, purpose: str = "filters natural"
) -> Natural | None:
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

    title = f"What natural pictures reach in {plain(layer.name)} of {plain(model.name)}"
    statistics = result_of(purpose, key(layer.name), title, lambda: collected(model, layer, source, key), compact=True)
    return None if statistics is None else natural_from(data_title(data), statistics, direction)


def natural_from(title: str, statistics: UnitStatistics, direction: Direction = "positive") -> Natural:
    """How far the means of a data set's pictures go in a direction."""
    lowest = direction == "negative"
    return Natural(title, *statistics.mean_limits(lowest), statistics, lowest)


def tile(picture: Pixels, drawn: FilterImages, index: int, natural: Natural | None, width: int, of: str = "") -> str:
    """A drawing, and under it what it reaches beside natural pictures, as HTML.

    Args:
        picture: as it is shown, uint8 [height, width, 3].
        drawn, index: the drawing's numbers.
        natural: what natural pictures reach, None while it is not known.
        width: in CSS pixels.
        of: which network's it is, where there are two; plain text.
    """
    channel, reached = drawn.channels[index], float(drawn.reached[index])
    lines = [number(reached) + (", stays grey" if drawn.stays_grey(index) else "")]
    if natural is not None:
        lines.append(_in_short(reached, natural, channel))
    alt = f"Channel {channel} of {drawn.layer.name}"
    if of:
        lines, alt = [of, f"reaches {lines[0]}", *lines[1:]], f"{alt}, {of}"
    shown = figure(thumbnail(picture, 2 * width), lines, alt, width) + bar(reached, natural, channel)
    return f'<div style="width:{width}px">{shown}</div>'


def _in_short(reached: float, natural: Natural, channel: int) -> str:
    best, times = float(natural.best[channel]), natural.times(reached, channel)
    if not np.isfinite(best):
        return "gives no numbers"
    return f"{natural.end} picture {number(best)}" if times is None else f"{number(times, 2)} × {natural.end} picture"


_FILL = "background:var(--st-primary-color, #2563a8)"


def bar(reached: float, natural: Natural | None, channel: int) -> str:
    """What a drawing reaches as a bar from zero, with marks at the best natural picture and at the percentile, as HTML.

    The scale goes from the least to the greatest of these numbers and zero; the numbers are in its title.

    Args:
        reached: mean activation.
        natural: what pictures reach; no bar without.
        channel: of the layer; no bar where it gives no numbers.
    """
    if natural is None:
        return ""
    values = (0.0, reached, float(natural.best[channel]), float(natural.percentile[channel]))
    if not np.isfinite(values).all():
        return ""
    low, high = min(values), max(values)
    zero, end, best, percentile = (100 * (value - low) / ((high - low) or 1.0) for value in values)
    words = html.escape(
        f"Reaches {number(reached)}; {natural.pictures} ({natural.title}) {number(values[2])}, their {natural.rank} "
        f"{number(values[3])}"
    )
    return (
        f'<div role="img" aria-label="{words}" title="{words}" style="position:relative;height:6px;margin:4px 0 2px;'
        'border-radius:2px;background:rgba(128,128,128,0.25)">'
        f'<div style="position:absolute;left:{min(zero, end):.1f}%;width:{abs(end - zero):.1f}%;height:100%;'
        f'border-radius:2px;{_FILL}"></div>'
        + (_mark(1, 6, zero) if low < 0 < high else "")
        + _mark(1, 12, percentile)
        + _mark(3, 12, best)
        + "</div>"
    )


def _mark(wide: int, high: int, at: float) -> str:
    """An upright line in the middle of a bar's height, at so many per cent of its width."""
    left = f"clamp(0px,calc({at:.1f}% - {wide / 2}px),calc(100% - {wide}px))"
    where = f"position:absolute;left:{left};top:{3 - high / 2:.0f}px"
    return f'<div style="{where};width:{wide}px;height:{high}px;background:currentColor"></div>'


def legend(natural: Natural) -> None:
    """What the bars and their marks are, and whose pictures they are held against, in a line."""
    parts = [
        (18, 6, _FILL, "the drawing, from zero"),
        (3, 12, "background:currentColor", f"{natural.pictures} ({natural.title})"),
        (1, 12, "background:currentColor", f"their {natural.rank}"),
    ]
    said = "".join(
        '<span><span aria-hidden="true" style="display:inline-block;vertical-align:middle;margin-right:5px;'
        f'width:{wide}px;height:{high}px;{colour}"></span>{html.escape(words)}</span>'
        for wide, high, colour, words in parts
    )
    st.html(
        '<div style="display:flex;flex-wrap:wrap;gap:2px 14px;font-size:0.8rem;opacity:0.85">'
        f"{said}<span>Mean activations; each bar has its own scale.</span></div>"
    )


def drawings_of(drawn: FilterImages, channel: int) -> list[int]:
    """Where a channel's drawings stand among all."""
    return [index for index, number in enumerate(drawn.channels) if number == channel]


def furthest(drawn: FilterImages, channel: int) -> int:
    """Which of a channel's drawings goes furthest in its direction; no number is the least."""
    reached = drawn.reached * (-1 if drawn.params.direction == "negative" else 1)
    return max(drawings_of(drawn, channel), key=lambda at: reached[at] if np.isfinite(reached[at]) else -np.inf)


def verdict(drawn: FilterImages, channel: int, natural: Natural | None) -> str:
    """What follows for a channel from its furthest drawing and from natural pictures, as Markdown."""
    index = furthest(drawn, channel)
    words = [] if natural is None else [_held_against(drawn, index, natural)]
    if drawn.stays_grey(index):
        words.append("**It stays grey:** the ascent found no gradient to follow.")
        found = None if natural is None else natural.statistics
        if found is None:
            words.append("The channel may be dead.")
        elif found.dead[channel]:
            words.append(f"The channel is dead: zero in each of the {found.seen:,} pictures too.")
        else:
            answered = f"{found.seen - int(found.silent[channel]):,} of the {found.seen:,}"
            words.append(f"The channel is not dead, it answers to {answered} pictures: try another seed or more steps.")
    return " ".join(words)


def _held_against(drawn: FilterImages, index: int, natural: Natural) -> str:
    channel, reached, starts = drawn.channels[index], float(drawn.reached[index]), drawn.params.starts
    best, percentile = float(natural.best[channel]), float(natural.percentile[channel])
    if not np.isfinite(best):
        return f"The channel gives no numbers on {natural.statistics.seen:,} pictures."
    drawing = "The drawing" if starts == 1 else f"The {natural.end} of the {starts} drawings"
    rank = f"their {natural.rank} {number(percentile)}"
    times, falls_short = natural.times(reached, channel), reached > best if natural.lowest else reached < best
    if times is None:
        said = f"{drawing} reaches {number(reached)}, {natural.pictures} {number(best)}, {rank}"
    else:
        much = f"{'only ' * falls_short}{number(times, 2)} times what {natural.pictures} does"
        said = f"{drawing} reaches {much} ({number(reached)} against {number(best)}; {rank})"
    return said + (": do not rely on it." if falls_short else ".")


def show_evidence(
    model: LoadedModel, layer: LayerInfo, asked: Asked, drawn: FilterImages, channel: int, natural: Natural | None
) -> None:
    """For one channel: the natural crops that excite it most, what follows, and the untrained twin's picture.

    Args:
        model, layer, channel: whose evidence.
        asked, drawn: how it is drawn, and the pictures, also of other channels.
        natural: what pictures reach, None while it is not known.
    """
    section("How far to trust it")
    if natural is not None:
        _natural_crops(model, natural, channel)
    st.markdown(verdict(drawn, channel, natural))
    _twin(model, layer, asked, drawn, channel, natural)
    st.caption(
        "People predict a unit's answer from natural crops better than from synthetic pictures: 92 ± 2 against "
        "82 ± 4 per cent (Borowski et al. 2020). Synthetic pictures take other paths through a network "
        "than natural ones and can be made arbitrary (Geirhos et al. 2024)."
    )


def _natural_crops(model: LoadedModel, natural: Natural, channel: int) -> None:
    found, (data, limit) = natural.statistics, (selection().data, first_count(model))
    source = RESULTS.get_or_make(("source", data, data_stamp(data), limit), data_of(data, limit))
    count = min(4, int((found.top_pictures[channel] >= 0).sum()))
    if not count:
        return
    tops = (found.top_pictures, found.top_rows, found.top_columns, found.top_values)
    st.caption(
        f"What excites it most among {found.seen:,} pictures ({plain(natural.title)}), with its maximum there"
        + (", for contrast: the drawing shows what silences it" if natural.lowest else "")
    )
    shown = zip(*(each[channel, :count] for each in tops), strict=True)
    figures(
        [
            crop_figure(model, source, found, channel, (index, row, column), float(value), 96, False)
            for index, row, column, value in shown
        ]
    )


def _twin(
    model: LoadedModel, layer: LayerInfo, asked: Asked, drawn: FilterImages, channel: int, natural: Natural | None
) -> None:
    """The same channel of the same architecture before any training, drawn and held against pictures likewise."""
    if not st.toggle("Control: the same drawing on random weights", key="filters.control"):
        return
    twin = untrained_twin(model)
    params, (spectrum, source) = asked.params, spectrum_of(model, asked)
    found = result_of(
        "filters control",
        ("filters", twin.digest, layer.name, (channel,), params, *spectrum),
        "The same on random weights",
        lambda: kept_filter_images(twin, layer.name, [channel], params, source=source()),
        compact=True,
    )
    if found is None:
        return
    reach = natural_of(twin, layer, params.direction, "filters control natural")
    shown = []
    for name, one, held in (("trained", drawn, natural), ("random weights", found, reach)):
        index = furthest(one, channel)
        shown.append(tile(painted(one)[index], one, index, held, 144, name))
    figures(shown, 16)
    st.caption(
        "Random weights in the same architecture, the same way of drawing and the same natural pictures. What both "
        "drawings show was not learned. Compare how many times the natural picture each reaches; activations of "
        "different weights are not on one scale."
    )

"""Everything known of one channel, in a panel from the right; the address bar holds its link."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st

from interpret.activations import ActivationMaps
from interpret.datasets import PictureSource
from interpret.filters import FilterImages, FilterParams, filter_images, first_view
from interpret.images import InputImage
from interpret.jobs import Job
from interpret.kernels import Input, UnitKernel, unit_kernel
from interpret.latent.embedding import first_count
from interpret.layers import LayerInfo
from interpret.model import LoadedModel, Prediction
from interpret.rendering import Scale, colour, kernel_picture, overlay
from interpret.units import UnitStatistics, ablate_over, collect_units, without_unit
from ui.cache import RESULTS
from ui.controls import result_of
from ui.display import number, percent, picture, plain, scale_bar
from ui.figures import figure, figures
from ui.library import SHAPES, data_of, data_stamp, data_title
from ui.state import address, choose, selection

WIDTH = 468
_STYLE = f"""<style>
.stMainBlockContainer {{ padding-right: {WIDTH + 24}px }}
.st-key-unit-card {{
  position: fixed; top: 0; right: 0; bottom: 0; width: {WIDTH}px; z-index: 90; overflow-y: auto;
  flex-wrap: nowrap !important; padding: 1.2rem 1.2rem 3rem; border-left: 1px solid light-dark(#d8dbdf, #383c42);
  background: light-dark(#ffffff, #16181b); box-shadow: -8px 0 24px rgb(0 0 0 / 8%);
}}
.st-key-unit-card > * {{ flex-shrink: 0 }}
@media (max-width: 1100px) {{ .st-key-unit-card {{ width: 100vw }} }}
</style>"""


def unit_card(
    model: LoadedModel,
    image: InputImage,
    maps: ActivationMaps,
    channel: int,
    prediction: Prediction,
    links: np.ndarray,
) -> None:
    """The card of a unit.

    Args:
        model, image: the network and the picture in hand.
        maps: what the unit's layer answers to it.
        channel: which unit.
        prediction: for the picture.
        links: float32 [channels], each channel's link to the predicted class.
    """
    layer = maps.layer
    st.html(_STYLE)
    with st.container(key="unit-card"):
        _header(layer, channel)
        _on_this_picture(model, image, maps, channel, prediction, links)
        source, statistics = _statistics(model, layer)
        if statistics is not None and source is not None:
            _excites(model, source, statistics, channel)
        _looks_for(model, layer, channel)
        _kernel(model, layer, channel)
        mean = None if statistics is None else float(np.nanmean(statistics.sample_means[:, channel]))
        _without(model, image, layer, channel, prediction, mean)
        if statistics is not None:
            _classes(statistics, channel)


def _header(layer: LayerInfo, channel: int) -> None:
    words, back, on, shut = st.columns([5, 1, 1, 1], vertical_alignment="center", gap="small")
    words.markdown(f"**Unit {channel:,}** of {plain(layer.name)}")
    if back.button(
        "", icon=":material/chevron_left:", key="card.back", help="The channel before", disabled=channel == 0
    ):
        choose(channel=channel - 1)
        st.rerun()
    last = channel == layer.channels - 1
    if on.button("", icon=":material/chevron_right:", key="card.on", help="The next channel", disabled=last):
        choose(channel=channel + 1)
        st.rerun()
    if shut.button("", icon=":material/close:", key="card.shut", help="Close the card"):
        choose(card="")
        st.rerun()


def _title(text: str) -> None:
    st.markdown(f"###### {text}")


def _on_this_picture(
    model: LoadedModel,
    image: InputImage,
    maps: ActivationMaps,
    channel: int,
    prediction: Prediction,
    links: np.ndarray,
) -> None:
    values = maps.values[channel]
    single = values.size == 1
    scale = Scale.suited(maps.values if single else values)
    name = "blue-red" if scale.diverges else "viridis"
    left, right = st.columns([1, 1.15], gap="small", vertical_alignment="center")
    with left:
        seen = model.preprocess.seen(image)
        picture(overlay(seen, values, scale, name, 0.6), "", f"Answer of channel {channel} of {maps.layer.name}")
        scale_bar(scale, name, "activation")
    with right:
        row, column = np.unravel_index(int(np.nan_to_num(values, nan=-np.inf).argmax()), values.shape)
        rank = int((maps.values.mean((1, 2)) > values.mean()).sum()) + 1
        best = prediction.top(1)[0]
        where = "" if single else f" at row {row}, column {column}"
        st.markdown(
            f"On {plain(image.name)}: max **{number(float(values.max()))}**{where}, mean "
            f"{number(float(values.mean()))}, number {rank:,} of {maps.layer.channels:,} by mean; "
            f"{(values == 0).mean():.0%} zeros."
        )
        st.markdown(
            f"Link to **{plain(model.labels[best])}**: {number(float(links[channel]))} of a score of "
            f"{number(float(prediction.scores[best]))}."
        )
        st.caption("Link: gradient times activation, summed over the places.")


def _statistics(model: LoadedModel, layer: LayerInfo) -> tuple[PictureSource | None, UnitStatistics | None]:
    """The data set chosen and what it says of the layer, None while that is being computed."""
    _title("What excites it most")
    data = selection().data
    few = first_count(model)
    which, count = st.columns([1.7, 1], gap="small")
    options = [*SHAPES] + ([data] if data not in SHAPES else [])
    chosen = which.selectbox("Data set", options, options.index(data), format_func=data_title, key=f"card.data.{data}")
    if chosen != data:
        choose(data=chosen)
        st.rerun()
    sizes = [100, 200, 500, 1000, 2000, 5000, 10000]
    limit = count.selectbox("Pictures", sizes, sizes.index(few), format_func="{:,}".format, key=f"card.limit.{few}")
    stamp = data_stamp(data)
    source = RESULTS.get_or_make(("source", data, stamp, limit), data_of(data, limit))

    def key(name: str) -> tuple[object, ...]:
        return ("units", model.digest, data, stamp, limit, name)

    def work() -> Job[UnitStatistics]:
        found = yield from collect_units(model, source, _collected(model, layer))
        for name, statistics in found.items():
            RESULTS.put(key(name), statistics)
        return found[layer.name]

    title = f"What excites {plain(layer.name)}"
    return source, result_of("units", key(layer.name), title, work)


def _collected(model: LoadedModel, layer: LayerInfo) -> list[str]:
    """The layer, and the last one of each part of the network, which cost next to nothing in the same pass."""
    ends = {block.part: block.output for block in model.blocks}
    usable = [name for name in ends.values() if model.layer(name).layout != "other"]
    return sorted({layer.name, *usable})


def _excites(model: LoadedModel, source: PictureSource, found: UnitStatistics, channel: int) -> None:
    count = int((found.top_pictures[channel] >= 0).sum())
    top = [
        _crop_figure(model, source, found, int(picture), channel, int(row), int(column), float(value), 96)
        for picture, row, column, value in zip(
            found.top_pictures[channel, : min(8, count)],
            found.top_rows[channel],
            found.top_columns[channel],
            found.top_values[channel],
            strict=False,
        )
    ]
    figures(top)
    whole = found.layer.reach is None or not found.layer.is_spatial
    st.caption(
        ("The whole pictures" if whole else "The receptive field around the maximum in the pictures")
        + f" with the greatest maximum among {found.seen:,}, the value under each"
        + (f"; {len(found.skipped):,} could not be read" if found.skipped else "")
        + ". People predict a unit from such crops better than from synthetic pictures: 92 against 82 per cent "
        "(Borowski et al. 2020)."
    )
    _title("From least to most")
    spread = [
        _crop_figure(
            model,
            source,
            found,
            int(found.sample_pictures[at]),
            channel,
            int(found.sample_rows[at, channel]),
            int(found.sample_columns[at, channel]),
            float(found.sample_maxima[at, channel]),
            62,
        )
        for at in found.spread(channel, 6)
    ]
    figures(spread)
    silent = float(found.silent_share[channel])
    st.caption(
        f"At evenly spread ranks. The median picture reaches {number(found.percentile(channel, 50))}, the 99th "
        f"percentile {number(found.percentile(channel, 99))}"
        + (f"; it stays at zero in {percent(silent)} of the pictures." if silent else ".")
        + (" **It is dead: zero in every picture.**" if found.dead[channel] else "")
    )


def _crop_figure(
    model: LoadedModel,
    source: PictureSource,
    found: UnitStatistics,
    index: int,
    channel: int,
    row: int,
    column: int,
    value: float,
    width: int,
) -> str:
    box = found.layer.reach.box(channel, row, column) if found.layer.reach and found.layer.is_spatial else None
    crop = RESULTS.get_or_make(
        ("crop", model.digest, source.digest, index, box),
        lambda: found.layer.crop(model.preprocess.seen(source.read(index)), channel, row, column).copy(),
    )
    name = source.names[index]
    label = source.labels[index]
    of = source.classes[label] if label >= 0 and source.classes else name.rpartition("/")[2]
    return figure(crop, [number(value), of], f"{name}: the part that excites the channel", width, width)


def _looks_for(model: LoadedModel, layer: LayerInfo, channel: int) -> None:
    _title("What it looks for, and what silences it")
    own = min(model.preprocess.size)
    side = first_view(model, layer.name).side or (128 if own > 128 else 0)
    columns = st.columns(2, gap="small")
    for column, direction in zip(columns, ("positive", "negative"), strict=True):
        params = FilterParams(steps=64, side=side, direction=direction)  # type: ignore[arg-type]
        with column:
            drawn = result_of(
                f"card filter {direction}",
                ("filters", model.digest, layer.name, (channel,), params),
                f"Unit {channel}, {direction}",
                _drawing(model, layer, channel, params),
                _growing,
                compact=True,
            )
            if drawn is not None:
                _growing(drawn)
                st.caption(
                    f"{'Drives it up' if direction == 'positive' else 'Down'}: {number(float(drawn.reached[0]))}"
                )
    st.caption(
        "Grown from noise by gradient ascent, 64 steps: the mean activation each reaches. It is no proof of what "
        "the unit does: compare with the crops above."
    )


def _drawing(
    model: LoadedModel, layer: LayerInfo, channel: int, params: FilterParams
) -> Callable[[], Job[FilterImages]]:
    return lambda: filter_images(model, layer.name, [channel], params)


def _growing(drawn: FilterImages) -> None:
    picture((drawn.pictures[0] * 255).round().astype(np.uint8), "", "A picture grown by gradient ascent")


def _kernel(model: LoadedModel, layer: LayerInfo, channel: int) -> None:
    _title("Its kernel")
    kernel = unit_kernel(model, layer.name, channel)
    if kernel is None:
        st.caption("No convolution makes this channel alone, so there is no kernel to show.")
        return
    rows, columns = kernel.weights.shape[1:]
    behind = "" if kernel.layer.name == layer.name else f"Channel {kernel.channel} of {plain(kernel.layer.name)}: "
    st.caption(f"{behind}{rows} × {columns} weights for each of {len(kernel.inputs):,} inputs.")
    scale = Scale.symmetric(kernel.weights)
    first = kernel.inputs[0].layer == "" and len(kernel.inputs) == 3 == model.preprocess.channels
    if first:
        steps = model.preprocess
        figures(
            [figure(kernel_picture(kernel.weights, steps.reverse_channels), ["as a picture"], "Kernel in colour", 96)]
        )
    else:
        _inputs(kernel, scale)
    scale_bar(scale, "blue-red", "weight")


def _inputs(kernel: UnitKernel, scale: Scale) -> None:
    """The strongest inputs, each with a link to its own card."""
    shown = kernel.inputs[:8]
    for start in range(0, len(shown), 4):
        for cell, each in zip(st.columns(4, gap="small"), shown[start : start + 4], strict=False):
            with cell:
                _input(each, scale)


def _input(each: Input, scale: Scale) -> None:
    single = each.weights.size == 1
    told = f"weight {number(float(each.weights[0, 0]))}" if single else f"norm {number(each.strength)}"
    figures(
        [figure(colour(each.weights, scale, "blue-red"), [told], f"Weights for {each.layer} {each.channel}", 64, 40)]
    )
    if each.layer and each.channel is not None:
        query = {**address(), "layer": each.layer, "channel": str(each.channel), "card": "open"}
        query.pop("place", None)
        label = f"{each.layer.rpartition('.')[2]} {each.channel}"
        st.page_link(
            "pages/activations.py",
            label=plain(label),
            query_params=query,
            help=f"{plain(each.layer)}, channel {each.channel}",
        )
    elif each.layer == "":
        st.caption(f"input {each.channel}")


def _without(
    model: LoadedModel, image: InputImage, layer: LayerInfo, channel: int, prediction: Prediction, mean: float | None
) -> None:
    _title("Without it")
    values = {"zero": 0.0} | ({"its mean": mean} if mean is not None and np.isfinite(mean) else {})
    best = prediction.top(1)[0]
    rows = [("unchanged", prediction)]
    for way, value in values.items():
        found = RESULTS.get_or_make(
            ("without", model.digest, image.digest, layer.name, channel, value),
            lambda value=value: without_unit(model, image, layer.name, channel, value),  # type: ignore[misc]
        )
        rows.append((f"set to {way}", found))
    table = {
        "on this picture": [way for way, _ in rows],
        f"probability of {model.labels[best][:40]}": [percent(float(each.probabilities[best])) for _, each in rows],
        "the network says": [model.labels[each.top(1)[0]] for _, each in rows],
    }
    st.dataframe(table, hide_index=True)
    _over_the_data(model, layer, channel, values)


def _over_the_data(model: LoadedModel, layer: LayerInfo, channel: int, values: dict[str, float]) -> None:
    data, limit = selection().data, min(200, first_count(model))
    key = ("ablation", model.digest, data, data_stamp(data), limit, layer.name, channel, tuple(values.items()))
    asked = st.session_state.get("card.ablate") == key
    if RESULTS.get(key) is None and not asked:
        if st.button(f"Measure it over {limit} pictures of {data_title(data)}", key="card.measure"):
            st.session_state["card.ablate"] = key
            st.rerun()
        return
    found = result_of(
        "ablation",
        key,
        f"Without unit {channel}",
        lambda: ablate_over(model, data_of(data, limit)(), layer.name, channel, values),
    )
    if found is None:
        return
    what = "accuracy" if found.compared_with == "labels" else "agreement with the unchanged network"
    present = np.flatnonzero(found.counts)
    drop = np.nan_to_num(found.changed_accuracy[0] - found.accuracy)[present]
    present = present[np.argsort(drop, kind="stable")]
    table: dict[str, object] = {
        "class": [found.classes[at] for at in present],
        "pictures": found.counts[present],
        what: found.accuracy[present],
    }
    for at, way in enumerate(found.ways):
        table[way] = found.changed_accuracy[at][present]
    config = {name: st.column_config.NumberColumn(format="percent") for name in (what, *found.ways)}
    st.dataframe(table, hide_index=True, height=min(240, 38 + 35 * len(present)), column_config=config)
    flips = ", ".join(f"{way} {int(count):,}" for way, count in zip(found.ways, found.flipped, strict=True))
    st.caption(f"Of {len(found.pictures):,} predictions so many change: {flips}.")


def _classes(found: UnitStatistics, channel: int) -> None:
    _title("Which classes excite it")
    by = found.by_class(channel)
    present = np.flatnonzero(by.counts > 0)
    order = present[np.argsort(-np.nan_to_num(by.areas[present], nan=-1), kind="stable")]
    table = {
        "predicted class" if by.predicted else "class": [by.classes[at] for at in order],
        "pictures": by.counts[order],
        "mean": by.means[order],
        "± sd": by.deviations[order],
        "AUC": by.areas[order],
    }
    config = {
        "mean": st.column_config.NumberColumn(format="%.3g"),
        "± sd": st.column_config.NumberColumn(format="%.3g"),
        "AUC": st.column_config.ProgressColumn(min_value=0, max_value=1, format="%.2f"),
    }
    st.dataframe(table, hide_index=True, height=min(320, 38 + 35 * len(order)), column_config=config)
    st.caption(
        "AUC: the chance that a picture of the class has a greater mean activation than one of another class; "
        "0.5 tells nothing, 1 separates the class perfectly."
        + (" The data set has no labels, so the network's own predictions stand for them." if by.predicted else "")
    )

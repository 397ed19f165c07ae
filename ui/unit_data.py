"""What a data set says of one channel: the crops that excite it, its classes, the predictions without it."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np
import streamlit as st

from interpret.datasets import PictureSource
from interpret.errors import InterpretError
from interpret.jobs import Job
from interpret.latent.embedding import first_count
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.rendering import Pixels, outlined
from interpret.units import ClassStatistics, UnitStatistics, ablate_over, collect_units
from ui.cache import RESULTS
from ui.controls import ask_for_folder, result_of
from ui.display import download_tables, number, percent, plain, told
from ui.figures import figure, figures, section
from ui.library import SHAPES, data_of, data_stamp, data_title
from ui.state import choose, selection


def chosen_statistics(model: LoadedModel, layer: LayerInfo) -> tuple[PictureSource | None, UnitStatistics | None]:
    """The data set chosen, None where it cannot be read, and what it says of the layer, None until it is computed."""
    section("What excites it most")
    data = selection().data
    few = first_count(model)
    which, count, more = st.columns([1.7, 1, 0.5], gap="small", vertical_alignment="bottom")
    options = [*SHAPES] + ([data] if data not in SHAPES else [])
    chosen = which.selectbox("Data set", options, options.index(data), format_func=data_title, key=f"card.data.{data}")
    if chosen != data:
        choose(data=chosen)
        st.rerun()
    sizes = [100, 200, 500, 1000, 2000, 5000, 10000]
    limit = count.selectbox("Pictures", sizes, sizes.index(few), format_func="{:,}".format, key=f"card.limit.{few}")
    with more.popover("", icon=":material/folder_open:", help="Pictures of your own"):
        ask_for_folder("card")
    stamp = data_stamp(data)
    try:
        source = RESULTS.get_or_make(("source", data, stamp, limit), data_of(data, limit))
    except InterpretError as error:
        st.error(told(error))
        return None, None

    def key(name: str) -> tuple[object, ...]:
        return ("units", model.digest, data, stamp, limit, name)

    def work() -> Job[UnitStatistics]:
        return collected(model, layer, source, key)

    title = f"What excites {plain(layer.name)}"
    return source, result_of("units", key(layer.name), title, work)


def collected(
    model: LoadedModel, layer: LayerInfo, source: PictureSource, key: Callable[[str], Hashable]
) -> Job[UnitStatistics]:
    """What a data set says of a layer; what the same pass says of others is kept under their keys."""
    found = yield from collect_units(model, source, _collected(model, layer))
    for name, statistics in found.items():
        RESULTS.put(key(name), statistics)
    return found[layer.name]


def _collected(model: LoadedModel, layer: LayerInfo) -> list[str]:
    """The layer, and the last one of each part of the network, which cost next to nothing in the same pass."""
    ends = {block.part: block.output for block in model.blocks}
    usable = [name for name in ends.values() if model.layer(name).layout != "other"]
    return sorted({layer.name, *usable})


def show_crops(model: LoadedModel, source: PictureSource, found: UnitStatistics, channel: int) -> None:
    """The pictures with the greatest maximum of a channel, and a spread from least to most."""
    cuts = found.layer.reach is not None and found.layer.is_spatial
    whole = not cuts or st.toggle("Whole pictures, the crop outlined", key="card.whole")
    count = min(8, int((found.top_pictures[channel] >= 0).sum()))
    places = zip(found.top_pictures[channel], found.top_rows[channel], found.top_columns[channel], strict=True)
    figures(
        [
            crop_figure(model, source, found, channel, at, float(value), 96, whole)
            for at, value in zip(list(places)[:count], found.top_values[channel], strict=False)
        ]
    )
    st.caption(
        ("The pictures" if whole else "The receptive field around the maximum in the pictures")
        + f" with the greatest maximum among {found.seen:,}, the value under each"
        + (f"; {len(found.skipped):,} could not be read" if found.skipped else "")
        + ". People predict a unit from such crops better than from synthetic pictures: 92 against 82 per cent "
        "(Borowski et al. 2020)."
    )
    section("From least to most")
    spread = found.spread(channel, 6)
    at_spread = zip(
        found.sample_pictures[spread],
        found.sample_rows[spread, channel],
        found.sample_columns[spread, channel],
        strict=True,
    )
    figures(
        [
            crop_figure(model, source, found, channel, at, float(value), 62, whole)
            for at, value in zip(at_spread, found.sample_maxima[spread, channel], strict=True)
        ]
    )
    silent = float(found.silent_share[channel])
    st.caption(
        f"At evenly spread ranks. The median picture reaches {number(found.percentile(channel, 50))}, the 99th "
        f"percentile {number(found.percentile(channel, 99))}"
        + (f"; it stays at zero in {percent(silent)} of the pictures." if silent else ".")
        + (" **It is dead: zero in every picture.**" if found.dead[channel] else "")
    )


def crop_figure(
    model: LoadedModel,
    source: PictureSource,
    found: UnitStatistics,
    channel: int,
    at: tuple[int, int, int],
    value: float,
    width: int,
    whole: bool,
) -> str:
    """A picture of the data set, given as (its number, row, column of the maximum): its crop, or all of it."""
    index, row, column = map(int, at)
    layer = found.layer
    box = layer.reach.box(channel, row, column) if layer.reach and layer.is_spatial else None

    def cut() -> Pixels:
        seen = model.preprocess.seen(source.read(index))
        return (outlined(seen, box) if box else seen) if whole else layer.crop(seen, channel, row, column).copy()

    crop = RESULTS.get_or_make(("crop", model.digest, source.digest, index, box, whole), cut)
    name = source.names[index]
    label = source.labels[index]
    predicted = model.labels[found.predictions[index]]
    of = source.classes[label] if label >= 0 and source.classes else f"called {predicted}"
    return figure(crop, [number(value), of], f"{name}: the part that excites the channel", width, width)


def show_ablation(model: LoadedModel, layer: LayerInfo, channel: int, values: dict[str, float]) -> None:
    """Predictions over the data set with a channel replaced, class by class; measured when asked for."""
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


def show_classes(found: UnitStatistics, channel: int) -> None:
    """A channel's mean activation per class, and how well it alone tells each class."""
    section("Which classes excite it")
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
    _download(found, by, order, channel)


def _download(found: UnitStatistics, by: ClassStatistics, order: np.ndarray, channel: int) -> None:
    tops = zip(
        [found.names[index] if index >= 0 else "" for index in found.top_pictures[channel]],
        found.top_values[channel].tolist(),
        found.top_rows[channel].tolist(),
        found.top_columns[channel].tolist(),
        strict=True,
    )
    classes = [
        (by.classes[at], int(by.counts[at]), *(float(each[at]) for each in (by.means, by.deviations, by.areas)))
        for at in order
    ]
    download_tables(
        "Download these numbers (.csv)",
        {
            "tops": (("picture", "maximum", "row", "column"), list(tops)),
            "classes": (("class", "pictures", "mean", "deviation", "auc"), classes),
        },
        f"unit-{channel}",
        {
            "model_digest": found.model_digest,
            "source_digest": found.source_digest,
            "layer": found.layer.name,
            "channel": channel,
            "pictures": found.seen,
            "classes_are_predicted": by.predicted,
        },
        key="card.download",
    )

"""Sweeps: many ablations in turn over a data set, as one chart; and all combinations of the chosen changes."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from interpret.ablation import (
    AblationTable,
    Change,
    as_csv,
    as_latex,
    cascade,
    combinations,
    each_channel,
    forgotten,
    lesions,
    rank,
    removal,
    smallest_set,
)
from interpret.ablation.sweeps import RANKINGS
from interpret.jobs import Job
from interpret.layers import LayerInfo
from interpret.rendering import png
from ui.ablation_asking import Ablated
from ui.ablation_effect import compared, points, table_of
from ui.charts import COOL, GREY, WARM, Line, chart
from ui.controls import result_of
from ui.display import number, percent, plain
from ui.figures import section
from ui.results import prediction_of
from ui.state import address, choose, selection

SWEEPS = {
    "": "None",
    "lesions": "Each block removed",
    "forgotten": "Each block forgets",
    "cascade": "Forgetting from the top",
    "channels": "Channels of the layer",
    "each": "Each channel, this picture",
}
SAID = {
    "lesions": "Each block that can be bypassed is left out, one at a time (Veit, Wilber, Belongie 2016). Where little "
    "is lost, the others do its work.",
    "forgotten": "The weights of each block are drawn anew, one block at a time (Zhang, Bengio, Singer 2019). Where "
    "little is lost, random features do.",
    "cascade": "Weights are drawn anew from the last block down to each (Adebayo et al. 2018).",
    "channels": "The most important channels are removed first, by three measures and in random order as the control. "
    "A measure that does no better than chance says nothing about importance.",
    "each": "Each channel of the layer is set to 0 alone: what the score of the predicted class loses by it.",
}
TITLES = {
    "activation": "mean activation",
    "gradient": "gradient × activation",
    "selectivity": "class selectivity",
    "random": "random order",
}
COLOURS = {"activation": COOL, "gradient": WARM, "selectivity": "#59a14f", "random": GREY}


def pick_sweep() -> str:
    """A key of SWEEPS, kept in the address."""
    asked = selection().sweep if selection().sweep in SWEEPS else ""
    found = st.segmented_control(
        "Sweep", list(SWEEPS), default=asked, format_func=SWEEPS.__getitem__, key=f"ablation.sweep.{asked}"
    )
    found = asked if found is None else found
    if found != asked:
        choose(sweep=found)
    return found


def show_sweep(ablated: Ablated, sweep: str, layer: LayerInfo) -> None:
    """A sweep of the network as it is, without the chosen changes."""
    st.caption(SAID[sweep])
    if sweep in ("channels", "each"):
        {"channels": _channels, "each": _each}[sweep](ablated, layer)
        return
    makers: dict[str, Callable[[], dict[str, tuple[Change, ...]]]] = {
        "lesions": lambda: lesions(ablated.model),
        "forgotten": lambda: forgotten(ablated.model),
        "cascade": lambda: cascade(ablated.model),
    }
    variants = makers[sweep]()
    if not variants:
        st.caption("No block of this network can be left out: none has a shortcut or answers in the shape it is given.")
        return
    title = f"{SWEEPS[sweep]}: {len(variants)} networks over {len(ablated.source):,} pictures"
    table = table_of(ablated, "sweep", title, variants)
    if table is None:
        return
    names = [_short(name, variants) for name in table.names[1:]]
    low, high = table.interval()[1:].T
    chart(
        [
            Line(
                "",
                names,
                table.accuracy[1:],
                COOL,
                "bars",
                errors=(table.accuracy[1:] - low, high - table.accuracy[1:]),
            ),
            Line("unchanged", names, [float(table.accuracy[0])] * len(names), GREY, "thin"),
        ],
        "what is changed",
        "accuracy",
        f"sweep.{sweep}",
        between=(0.0, 1.0),
        shares=True,
    )
    st.caption(f"Accuracy: {compared(table)}. Whiskers: 95 % by bootstrap over the pictures.")
    _rows(table)


def _short(name: str, variants: dict[str, tuple[Change, ...]]) -> str:
    changes = variants[name]
    return changes[-1].layer if changes else name


def _rows(table: AblationTable) -> None:
    least, most = table.difference().T
    rows = [
        {
            "network": name,
            "accuracy": percent(float(table.accuracy[at])),
            "difference, 95 %": "" if not at else f"{points(float(least[at]))} to {points(float(most[at]))}",
            "predictions changed": int(table.flips[at]),
        }
        for at, name in enumerate(table.names)
    ]
    with st.expander("In numbers"):
        st.dataframe(rows, hide_index=True)


def _channels(ablated: Ablated, layer: LayerInfo) -> None:
    counts = _counts(layer.channels)
    ends = ("most important first", "least important first")
    end = st.segmented_control("Removed are the", ends, default=ends[0], key="ablation.end") or ends[0]
    least = end == ends[1]

    def orders() -> Job[dict[str, np.ndarray]]:
        found = {}
        for ranking in RANKINGS:
            found[ranking] = yield from rank(ablated.model, ablated.source, layer.name, ranking)
        return found

    key = ("channel orders", ablated.key, layer.name)
    ranked = result_of("ranks", key, f"Channels of {layer.name} by importance", orders)
    if ranked is None:
        return
    variants: dict[str, tuple[Change, ...]] = {}
    for ranking, order in ranked.items():
        for name, changes in removal(order, counts, layer.name, least).items():
            variants[f"{TITLES[ranking]}: {name}"] = tuple(changes)
    table = table_of(ablated, "sweep", f"Channels of {layer.name} removed, {len(variants)} networks", variants)
    if table is None:
        return
    accuracy = table.accuracy[1:].reshape(len(ranked), len(counts))
    whole = float(table.accuracy[0])
    chart(
        [
            Line(TITLES[ranking], [0, *counts], [whole, *row], COLOURS[ranking])
            for ranking, row in zip(ranked, accuracy, strict=True)
        ],
        f"channels of {plain(layer.name)} removed, {end}",
        "accuracy",
        f"sweep.channels.{layer.name}.{least}",
        between=(0.0, 1.0),
        shares=True,
    )
    st.caption(f"Accuracy: {compared(table)}. Removed channels answer 0 everywhere.")
    _rows(table)
    _smallest(ablated, layer, ranked["gradient"])


def _smallest(ablated: Ablated, layer: LayerInfo, order: NDArray[np.int64]) -> None:
    """How few channels are enough, and how few break the picture's class."""
    target = prediction_of(ablated.model, ablated.image).top(1)[0]
    label = ablated.model.labels[target]
    asked = ("smallest set", ablated.key, layer.name, target)
    if st.session_state.get("ablation.smallest") != asked and not st.button(
        f"How few are enough, and how few break {plain(label)}?", key="ablation.smallest.go"
    ):
        return
    st.session_state["ablation.smallest"] = asked
    found = result_of(
        "smallest set",
        asked,
        "The smallest sets of channels",
        lambda: smallest_set(ablated.model, ablated.source, layer.name, order, target=target),
    )
    if found is None:
        return
    broken = (
        f"without the first **{found.breaks}**, fewer than half of the pictures of {plain(label)} that were right are"
        if found.breaks is not None
        else f"even without all, half of those of {plain(label)} stay right"
    )
    st.markdown(
        f"By gradient times activation, **{found.enough} of {layer.channels} channels are enough** to stay within one "
        f"point of {percent(found.accuracy)}; {broken} (after Bau et al. 2020)."
    )


def _each(ablated: Ablated, layer: LayerInfo) -> None:
    """What the picture's class owes to each channel alone."""
    target = prediction_of(ablated.model, ablated.image).top(1)[0]
    found = result_of(
        "each channel",
        ("each channel", ablated.model.digest, ablated.image.digest, layer.name, target),
        f"{layer.channels} channels of {layer.name}, one at a time",
        lambda: each_channel(ablated.model, ablated.image, layer.name, target),
    )
    if found is None:
        return
    label = ablated.model.labels[target]
    chart(
        [Line("", range(len(found)), found, COOL, "bars")],
        f"channel of {plain(layer.name)}",
        f"score of {html.escape(label[:30])}",
        f"sweep.each.{layer.name}",
    )
    section("Without which it loses most")
    worst = [int(channel) for channel in np.argsort(found, kind="stable")[:8]]
    for cell, channel in zip(st.columns(4) * 2, worst, strict=False):
        cell.page_link(
            "pages/activations.py",
            label=f"{layer.name} {channel} · {number(float(found[channel]), 2)}",
            query_params=address(layer=layer.name, channel=channel, card="open"),
            help="Its unit card. The number: the change of the score.",
        )


def _counts(channels: int) -> list[int]:
    """How many channels are removed: some ten steps, few at first, all but none at last."""
    wanted = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, channels // 2, 3 * channels // 4, channels - 1}
    return sorted(count for count in wanted if 0 < count < channels)


def show_combinations(ablated: Ablated) -> None:
    """All combinations of up to four changes, as an ablation study prints them."""
    variants = combinations(ablated.changes)
    section(f"All combinations of {min(len(ablated.changes), 4)} changes")
    table = table_of(ablated, "combinations", f"{len(variants)} combinations", variants)
    if table is None:
        return
    low, high = table.interval().T
    least, most = table.difference().T
    rows = [
        {
            **{one.title: "✓" if one in changes else "" for one in ablated.changes[:4]},
            "accuracy": percent(float(table.accuracy[at])),
            "95 %": f"{percent(float(low[at]))} to {percent(float(high[at]))}",
            "difference, 95 %": "" if not at else f"{points(float(least[at]))} to {points(float(most[at]))}",
            "predictions changed": int(table.flips[at]),
        }
        for at, changes in enumerate(((), *variants.values()))
    ]
    st.dataframe(rows, hide_index=True)
    with st.container(horizontal=True):
        st.download_button("CSV", as_csv(table), "ablation.csv", "text/csv", key="combos.csv", on_click="ignore")
        st.download_button(
            "Picture (.png)", lambda: _drawn(rows), "ablation.png", "image/png", key="combos.png", on_click="ignore"
        )
        st.download_button("LaTeX", as_latex(table), "ablation.tex", "text/plain", key="combos.tex", on_click="ignore")


def _drawn(rows: Sequence[Mapping[str, object]]) -> bytes:
    """A table as a picture, black on white: the bytes of a PNG."""
    cells = [list(rows[0]), *([str(value).replace("\u2713", "x") for value in row.values()] for row in rows)]
    font = ImageFont.load_default(22)
    widths = [max(int(font.getlength(row[at])) for row in cells) + 36 for at in range(len(cells[0]))]
    page = Image.new("RGB", (sum(widths) + 36, 44 * len(cells) + 28), "white")
    pen = ImageDraw.Draw(page)
    for line, row in enumerate(cells):
        for at, text in enumerate(row):
            pen.text((36 + sum(widths[:at]), 18 + 44 * line), text, "black", font)
    for y in (8, 54, page.height - 8):
        pen.line((18, y, page.width - 18, y), "black", 2)
    return png(np.asarray(page))

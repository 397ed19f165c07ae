"""How filter pictures are to be drawn: the row of controls, and its twin in the address."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from interpret.channels import channel_numbers
from interpret.errors import InterpretError
from interpret.filters import METHODS, SIDES, FilterParams, first_view
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from ui.display import plain
from ui.library import SHAPES, data_title
from ui.state import choose, selection

STEPS = (32, 64, 128, 256, 512, 1024, 2048)
FIRST_STEPS = 64
COUNTS = (4, 16, 64)
_CHOICES = {
    "which": (*(f"{way}-{count}" for way in ("strongest", "first") for count in COUNTS), "all", "choose"),
    "spectrum": ("photographs", "data"),
}
Values = dict[str, str | int | float]


@dataclass(frozen=True)
class Asked:
    """What the controls ask for.

    Attributes:
        params: how to draw.
        which, channels: "strongest-16", "first-16", "all", or "choose" with the channels written out.
        classes: indices with semicolons between them, "" for the most probable ones.
        spectrum: whose magnitudes MACO works under: "photographs" or "data", the chosen data set.
    """

    params: FilterParams
    which: str
    channels: str
    classes: str
    spectrum: str

    def numbers(self, means: NDArray[np.float32]) -> tuple[int, ...]:
        """The channels to draw, given each one's mean activation on the picture [channels]."""
        if self.which == "choose":
            return channel_numbers(self.channels, len(means))
        way, _, count = self.which.partition("-")
        order = np.argsort(-means, kind="stable") if way == "strongest" else np.arange(len(means))
        return tuple(int(index) for index in order[: int(count) if count else None])


def first_params(model: LoadedModel, layer: str) -> FilterParams:
    """How a layer's filters are drawn as long as nobody asks for something else."""
    return FilterParams(steps=FIRST_STEPS, side=first_view(model, layer).side)


def asked_for(model: LoadedModel, layer: str) -> Asked:
    """What the address asks for."""
    return _asked(_read(selection().drawing, _defaults(model, layer)))


def _defaults(model: LoadedModel, layer: str) -> Values:
    first = first_view(model, layer)
    return {
        "which": f"strongest-{first.channels}",
        "channels": "0-15",
        "classes": "",
        "steps": FIRST_STEPS,
        "method": "fourier",
        "side": first.side,
        "seed": 0,
        "rate": 0.0,
        "direction": "positive",
        "starts": 1,
        "spectrum": "photographs" if selection().data in SHAPES else "data",
    }


def _asked(values: Values) -> Asked:
    rest = {name: value for name, value in values.items() if name not in ("which", "channels", "classes", "spectrum")}
    rest["learning_rate"] = rest.pop("rate")
    texts = {name: str(values[name]) for name in ("which", "channels", "classes", "spectrum")}
    return Asked(FilterParams(**rest), **texts)  # type: ignore[arg-type]


def _read(text: str, defaults: Values) -> Values:
    """The values of a text such as "steps=128,method=maco"; what is nonsense in it is left out."""
    values = dict(defaults)
    for part in text.split(","):
        name, _, value = part.partition("=")
        with suppress(KeyError, ValueError, InterpretError):
            found = type(defaults[name])(value.replace(";", ",") if name == "channels" else value)
            _asked({**defaults, name: found})
            if found in _CHOICES.get(name, (found,)):
                values[name] = found
    return values


def _written(values: Values, defaults: Values) -> str:
    """The values that differ from the defaults, in a form that `_read` understands."""
    parts = [f"{name}={value}" for name, value in values.items() if value != defaults[name]]
    return ",".join(part.replace(",", ";") for part in parts)


def ask_for(model: LoadedModel, layer: str, **changes: str | int) -> None:
    """Writes what is to be drawn instead into the address; the controls follow."""
    defaults = _defaults(model, layer)
    choose(drawing=_written({**_read(selection().drawing, defaults), **changes}, defaults))


def pick_drawing(model: LoadedModel, layer: LayerInfo, with_channels: bool) -> Asked:
    """The row of controls, and what it asks for.

    Args:
        model: the network.
        layer: whose channels are drawn; the deepest one where there are several.
        with_channels: whether channels are chosen.
    """
    defaults = _defaults(model, layer.name)
    values = _read(selection().drawing, defaults)
    stamp = (selection().drawing, tuple(defaults.values()))
    is_new = st.session_state.get("filters.of") != stamp

    def key(name: str) -> str:
        if is_new or f"filters.{name}" not in st.session_state:
            st.session_state[f"filters.{name}"] = values[name]
        return f"filters.{name}"

    row = st.columns([1.5, 1, 1.2, 1, 1, 1.1][0 if with_channels else 1 :], gap="small", vertical_alignment="bottom")
    steps, method, side, seed, rest = row[-5:]
    if with_channels:
        values["which"] = row[0].selectbox(
            "Channels",
            _ways(layer.channels, str(values["which"])),
            format_func=_way,
            key=key("which"),
            help="Strongest: by mean activation on your picture.",
        )
    values["steps"] = steps.selectbox(
        "Steps",
        sorted({*STEPS, int(values["steps"])}),
        key=key("steps"),
        help="How often the pictures are improved; more steps, sharper pictures (512 in Lucid, Olah et al. 2017).",
    )
    titles = {method.key: method.title for method in METHODS}
    values["method"] = method.selectbox(
        "Method",
        list(titles),
        format_func=lambda key: titles[key],
        key=key("method"),
        help="What of a picture the ascent may change. The settings say more about each.",
    )
    own = min(model.preprocess.size) * (2 if values["method"] == "maco" else 1)
    sides = sorted(
        {*(s for s in SIDES if s < min(model.preprocess.size)), 0, int(values["side"])}, key=lambda s: s or own
    )
    values["side"] = side.selectbox(
        "Size",
        sides,
        format_func=lambda side: f"{side or own} px",
        key=key("side"),
        help="Height and width of the pictures. Smaller ones are drawn faster; the network's own size is what it "
        "was trained for. MACO draws twice that and looks at parts (Fel et al. 2023).",
    )
    values["seed"] = seed.number_input(
        "Seed",
        0,
        2**31 - 1,
        key=key("seed"),
        help="Another seed begins with other noise: what both pictures show is the channel's, not chance's "
        "(Olah et al. 2017).",
    )
    with rest.popover("Settings", width="stretch"):
        _settings(values, key)
    if with_channels and values["which"] == "choose":
        values["channels"] = st.text_input(
            "Channels to draw", key=key("channels"), help="Numbers and ranges, as in 0-7, 12."
        )
    written = _written(values, defaults)
    if written != selection().drawing:
        choose(drawing=written)
    st.session_state["filters.of"] = (written, tuple(defaults.values()))
    return _asked(values)


def _ways(channels: int, current: str) -> list[str]:
    ways = [f"{way}-{count}" for way in ("strongest", "first") for count in COUNTS if count < channels]
    return list(
        dict.fromkeys([*ways, *([current] if current.startswith("strongest") else []), current, "all", "choose"])
    )


def _way(which: str) -> str:
    way, _, count = which.partition("-")
    return f"{way} {count}" if count else {"all": "all", "choose": "choose …"}[way]


def _settings(values: Values, key: Callable[[str], str]) -> None:
    """What is changed more rarely, each with its sentence."""
    values["direction"] = st.radio(
        "Direction",
        ["positive", "negative"],
        key=key("direction"),
        horizontal=True,
        help="Positive: what excites the channel. Negative: what silences it (Olah et al. 2017).",
    )
    values["starts"] = st.select_slider(
        "Starts",
        list(range(1, 9)),
        key=key("starts"),
        help="Several pictures of each channel that must differ: it may look for more than one thing (Olah et al. "
        "2017, “Diversity”).",
    )
    values["rate"] = st.number_input(
        "Learning rate",
        0.0,
        100.0,
        step=0.01,
        key=key("rate"),
        help="How far each step goes; 0 is the method's own: 0.05 (Lucid), 1 (MACO), 10 (Chollet).",
    )
    titles = {"photographs": "the bundled photographs", "data": f"the data set: {data_title(selection().data)}"}
    values["spectrum"] = st.selectbox(
        "MACO's spectrum",
        list(titles),
        format_func=lambda key: titles[key],
        key=key("spectrum"),
        help="MACO keeps the mean magnitudes of natural pictures and changes phases only; these are the pictures "
        "(Fel et al. 2023).",
    )
    for method in METHODS:
        st.caption(f"**{method.title}.** {method.about} {plain(method.source)}.")

"""What a person has chosen, in one typed value, and its twin in the address bar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import streamlit as st

_KEY = "selection"
_WRITTEN = "selection_written"


@dataclass(frozen=True)
class Selection:
    """One person's choices. Everything but the page, which the path of the address names.

    Attributes:
        checkpoint: key of a checkpoint in the library.
        picture: key of a picture in the library.
        layer: dotted name, or "" for the network's default.
        channel: number in the layer.
        target: class index, or -1 for the predicted class.
        method: key of a heatmap method.
        aim: key of what of the class a heatmap is for, or "" for its score.
        signed: "yes" where a heatmap also shows what speaks against the class.
        rival: class index that the target's heatmap is set against, or "".
        head: which of several outputs of a network heatmaps are of, or "" for the class scores.
        axis: along what heatmaps are compared: "methods", "layers", "classes", "pictures", "checkpoints"; "" for one
            map, "data" for a whole data set.
        among: what is compared, with commas between; "" as it begins.
        data: key of a data set in the library.
        arch: key of the architecture to open the checkpoint as, or "" to recognise it.
        part: which network of the checkpoint, or "" for the first.
        input: changed preprocessing as JSON, or "" for the checkpoint's own.
        labels: digest of an uploaded list of class names, or "".
        card: "open" where the unit's card is.
        place: "row,column" of the place of the channel that is explained, or "".
        beside: what the activations are compared with: "picture/KEY", "layer/NAME" or "".
        view: of the Filters page: "across", "classes", or "" for one layer.
        drawing: how filter pictures are drawn, as `ui.filter_settings` writes it; "" as they are drawn at first.
        versus: key of a second checkpoint, "untrained" for the same network before training, or "".
        maps: of the Latent space page: "across" for several layers, "versus" for two checkpoints, "" for one layer.
        changes: what is changed of the network on the Ablation page, as `ui.ablation_asking.written`; "" for nothing.
        sweep: of the Ablation page: key of a sweep, or "" for none.
        donor: key of the picture that changes take answers from, or "" for the first other sample.
        colour: what the points of a data set's map are coloured by, as `ui.latent_colours.ways`; "" for the first.
        rows: of the view "across": how many channels stand in a row, and the layers unless it is the usual ones, with
            commas between; "" as it begins.
    """

    checkpoint: str = "bundled/shapes-clean.safetensors"
    picture: str = "sample/heart"
    layer: str = ""
    channel: int = 0
    target: int = -1
    method: str = "grad-cam"
    aim: str = ""
    signed: str = ""
    rival: str = ""
    head: str = ""
    axis: str = ""
    among: str = ""
    data: str = "shapes"
    arch: str = ""
    part: str = ""
    input: str = ""
    labels: str = ""
    card: str = ""
    place: str = ""
    beside: str = ""
    view: str = ""
    drawing: str = ""
    versus: str = ""
    maps: str = ""
    colour: str = ""
    changes: str = ""
    sweep: str = ""
    donor: str = ""
    rows: str = ""


_OPENING = ("arch", "part", "input", "labels")
"""How a checkpoint is opened."""

_OF_CHECKPOINT = (*_OPENING, "card", "place", "beside", "versus", "rows", "rival", "head", "changes")
"""Forgotten with the checkpoint."""

_OPTIONAL = (*_OF_CHECKPOINT, "aim", "signed", "axis", "among", "view", "drawing", "maps", "colour", "sweep", "donor")
"""Left out of addresses while empty."""

_LONGEST, _LONGEST_ROWS = 400, 2000
"""Characters that an address may say of a choice, and of a list: names of many layers of a deep network."""


def selection() -> Selection:
    """This session's choices. A new address (a deep link, the Back button) replaces them."""
    chosen: Selection = st.session_state.get(_KEY, Selection())
    asked = dict(st.query_params)
    if asked and asked != st.session_state.get(_WRITTEN):
        chosen = parse(asked, chosen if _KEY in st.session_state else Selection())
        st.session_state[_KEY] = chosen
        st.session_state[_WRITTEN] = asked
    return chosen


def choose(**changes: Any) -> Selection:
    """The choices with some of them changed, from now on. Another checkpoint or layer forgets what no longer fits."""
    after = _changed(changes)
    st.session_state[_KEY] = after
    return after


def _changed(changes: dict[str, Any]) -> Selection:
    before = selection()
    if changes.get("checkpoint", before.checkpoint) != before.checkpoint:
        changes = {**dict.fromkeys(_OF_CHECKPOINT, ""), "layer": "", "channel": 0, "target": -1, **changes}
    elif any(changes.get(name, getattr(before, name)) != getattr(before, name) for name in ("arch", "part")):
        changes = {"layer": "", "channel": 0, "target": -1, "place": "", "beside": "", "rows": "", **changes}
    elif changes.get("layer", before.layer) != before.layer:
        changes = {"channel": 0, "place": "", **changes}
    return replace(before, **changes)


def address(**changes: Any) -> dict[str, str]:
    """The choices as the query of an address, with some of them changed as `choose` would."""
    chosen = _changed(changes)
    written = {field.name: str(getattr(chosen, field.name)) for field in fields(Selection)}
    return {name: value for name, value in written.items() if value or name not in _OPTIONAL}


def write_address() -> None:
    """Puts the choices into the address bar, so that it restores the screen."""
    written = address()
    # Also when the server has it already: after a link to the page it stands on, the browser still shows the old one.
    # For an address that it shows, the browser takes no step in its history.
    st.query_params.from_dict(written)
    st.session_state[_WRITTEN] = written


def parse(asked: Mapping[str, str], otherwise: Selection) -> Selection:
    """The choices an address asks for; what it does not name, or names wrongly, stays as it is in `otherwise`."""
    changes: dict[str, Any] = dict.fromkeys(_OPTIONAL, "") if "checkpoint" in asked else {}
    for field in fields(Selection):
        if field.name not in asked:
            continue
        value = asked[field.name][: _LONGEST_ROWS if field.name in ("rows", "among", "changes") else _LONGEST]
        if field.type == "int":
            if value.removeprefix("-").isdecimal() and len(value) < 10:
                changes[field.name] = int(value)
        else:
            changes[field.name] = value
    return replace(otherwise, **changes)

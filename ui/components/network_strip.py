"""A network drawn as its blocks in order of execution; a layer is chosen by click, by search or by arrow keys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import streamlit as st

from ui.components.clicks import nothing, settle
from ui.components.delivery import deliver, source

_mount = st.components.v2.component(
    "loupe_network_strip",
    html='<div class="loupe"></div>',
    css=source("page.css", "network_strip.css"),
    js=source("page.js", "choice.js", "strip_search.js", "network_strip.js"),
)


@dataclass(frozen=True)
class StripLayer:
    """A layer to choose: its name, and what is said of it; both may be untrusted text."""

    name: str
    facts: str


@dataclass(frozen=True)
class StripBlock:
    """A block of the network.

    Attributes:
        name: untrusted text.
        title: its kind in words; also the legend's.
        colour: "#rrggbb", the same for blocks of one kind.
        legend: the kind in few words.
        part: the part of the network it stands in; blocks of one part stand together.
        channels: of its output; gives its width.
        rows: of its output, 1 for vectors; gives its height.
        layers: those this page can use, in the order of execution; a block without any is drawn, but not chosen.
        changed: what the page has changed in it, one line, or ""; untrusted text.
    """

    name: str
    title: str
    colour: str
    legend: str
    part: str
    channels: int
    rows: int
    layers: tuple[StripLayer, ...]
    changed: str = ""


def network_strip(blocks: Sequence[StripBlock], *, key: str, selected: str, label: str) -> str:
    """The layer that is chosen, beneath a strip of the network's blocks.

    `selected` may be the value returned in the run before, or stay what it was: then the newest click counts. Any
    other value is a choice made by the page and replaces the click.

    Args:
        blocks: in the order of execution.
        key: Streamlit key.
        selected: name of the layer the page wants chosen.
        label: what the strip shows, for screen readers.

    Returns:
        The name of the chosen layer.

    Raises:
        ValueError: no block has a layer of the name `selected`.
    """
    names = [layer.name for block in blocks for layer in block.layers]
    if selected not in names:
        raise ValueError(f'No block of the strip has a layer "{selected}".')
    delivery = deliver((json.dumps([asdict(block) for block in blocks]).encode(),), key=key)
    current, click = settle(
        key,
        selected,
        state="layer",
        read=lambda sent: str(sent["name"]),
        within=lambda name: name if name in names else selected,
    )
    data = {"key": key, "url": delivery.url, "digest": delivery.digest, "label": label}
    _mount(key=key, data={**data, "selected": current, "click": click}, on_layer_change=nothing)
    return current

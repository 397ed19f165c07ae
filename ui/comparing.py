"""Activations beside those of another picture or of another layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from interpret.activations import ActivationMaps
from interpret.errors import InterpretError
from interpret.images import InputImage
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from ui.components.feature_grid import feature_grid
from ui.components.map_view import Pane
from ui.display import told
from ui.library import picture_of, pictures_on_offer
from ui.results import maps_of
from ui.state import choose, selection

_KINDS = {"": "Compare with nothing", "picture": "Beside another picture", "layer": "Beside another layer"}


@dataclass(frozen=True, eq=False)
class Beside:
    """What stands beside the chosen layer's answer to the chosen picture.

    Attributes:
        model, image: the network and the other picture, or the same.
        maps: of the other layer, or the same.
        channel: of the other layer; None where the channel is the same.
    """

    model: LoadedModel
    image: InputImage
    maps: ActivationMaps
    channel: int | None

    def show_grid(
        self, palettes: Mapping[str, NDArray[np.uint8]], shared: tuple[float, float] | None, channel: int
    ) -> Beside:
        """Its channels, under the same scale, order and cursor; what stands there once a channel of it is chosen."""
        layer = self.maps.layer
        found = feature_grid(
            self.maps.values,
            key=f"beside.{self.model.digest[:8]}.{layer.name}.{self.image.digest[:8]}",
            selected=channel if self.channel is None else self.channel,
            palettes=palettes,
            scale="shared" if shared else "channel",
            shared=shared,
            group="activations",
            leads=False,
            height=320,
            label=f"Channels of {layer.name} for {self.image.name}",
        )
        if self.channel is None:
            if found != channel:
                choose(channel=found)
                st.rerun()
            return self
        if found != self.channel:
            choose(beside=f"layer/{layer.name}/{found}")
        return replace(self, channel=found)

    def pane(self, channel: int) -> Pane:
        """The channel over what the network saw."""
        layer = self.maps.layer
        shown = channel if self.channel is None else self.channel
        spans = layer.reach.spans(shown) if layer.reach and layer.is_spatial else (None, None)
        seen = self.model.preprocess.seen(self.image)
        return Pane(seen, self.maps.values[shown], f"Channel {shown} of {layer.name}, {self.image.name}", *spans)


def pick_beside() -> str:
    """The kind of comparison chosen: "", "picture" or "layer"."""
    now = selection().beside.partition("/")[0]
    now = now if now in _KINDS else ""
    chosen: str = st.selectbox(
        "Compare",
        list(_KINDS),
        list(_KINDS).index(now),
        format_func=_KINDS.__getitem__,
        key=f"beside.kind.{now}",
        label_visibility="collapsed",
    )
    if chosen != now:
        choose(beside=f"{chosen}/" if chosen else "")
    return chosen


def compared(model: LoadedModel, image: InputImage, layer: LayerInfo, kind: str) -> Beside | None:
    """The other picture or layer, chosen here; None where nothing is compared."""
    which = selection().beside.partition("/")[2]
    if kind == "picture":
        offers = {offer.key: offer.title for offer in pictures_on_offer(selection().picture)}
        keys = [*offers] + ([which] if which and which not in offers else [])
        first = which or next(key for key in keys if key != selection().picture)
        key = st.selectbox(
            "The other picture",
            keys,
            keys.index(first),
            format_func=lambda key: offers.get(key, key),
            key=f"beside.{first}",
            label_visibility="collapsed",
        )
        if key != which:
            choose(beside=f"picture/{key}")
        try:
            other = picture_of(key)
        except InterpretError as error:
            st.error(told(error))
            return None
        return Beside(model, other, maps_of(model, other, layer), None)
    if kind == "layer":
        name, _, number = which.rpartition("/")
        names = [each.name for each in model.layers if each.layout != "other"]
        first = name if name in names else model.default_layer.name
        other_name = st.selectbox(
            "The other layer", names, names.index(first), key=f"beside.layer.{first}", label_visibility="collapsed"
        )
        channel = int(number) if number.isdecimal() and other_name == first else 0
        channel = min(channel, model.layer(other_name).channels - 1)
        if f"{other_name}/{channel}" != which:
            choose(beside=f"layer/{other_name}/{channel}")
        return Beside(model, image, maps_of(model, image, model.layer(other_name)), channel)
    return None

"""One place of a channel explained: what it sees, what moves it, how a convolution arrives at its number."""

from __future__ import annotations

import numpy as np
import streamlit as st

from interpret.images import InputImage
from interpret.kernels import unit_kernel
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.pixels import Arithmetic, UnitAtPlace, unit_at
from interpret.rendering import Pixels, Scale, colour, outlined, overlay
from ui.cache import RESULTS
from ui.components.map_view import Place
from ui.display import number, percent, picture, plain, scale_bar
from ui.figures import column, figure, figures
from ui.state import selection

_CHANNELS = 5
_TILE = 60
_AROUND = 6


def show_place(model: LoadedModel, image: InputImage, layer: LayerInfo, channel: int, place: Place) -> None:
    """What one unit computes at one place, from which pixels."""
    found = RESULTS.get_or_make(
        ("place", model.digest, image.digest, layer.name, channel, place),
        lambda: unit_at(model, image, layer.name, channel, place.row, place.column),
    )
    st.subheader(
        f"Row {place.row}, column {place.column} of channel {channel}: {number(found.value)}",
        anchor=False,
    )
    narrow = selection().card == "open"
    left, middle, *beside = st.columns([1, 1] if narrow else [1, 1, 2], gap="medium")
    seen = model.preprocess.seen(image)
    with left:
        _field(seen, found)
    with middle:
        _influence(seen, found)
    with beside[0] if beside else st.container():
        if found.arithmetic is not None:
            _arithmetic(model, found, found.arithmetic)
        else:
            kernel = unit_kernel(model, layer.name, channel)
            where = f" The one behind this channel is {plain(kernel.layer.name)}." if kernel else ""
            st.caption(f"{plain(layer.name)} is no convolution, so there is no patch and kernel to multiply.{where}")


def _field(seen: Pixels, found: UnitAtPlace) -> None:
    if found.box is None:
        st.caption("Which pixels reach this place is not known: the network does something here Loupe does not follow.")
        return
    left, top, right, bottom = found.box
    picture(
        outlined(seen, found.box),
        f"Receptive field: {right - left} × {bottom - top} px can change this value"
        + _cut_at_the_rim(found, right - left, bottom - top)
        + (", and by gates the whole picture" if found.layer.reach and found.layer.reach.everywhere else ""),
        f"The picture with the receptive field outlined, {right - left} by {bottom - top} pixels",
    )


def _cut_at_the_rim(found: UnitAtPlace, width: int, height: int) -> str:
    reach = found.layer.reach
    whole = reach.sizes[int(reach.part[found.channel])] if reach else (height, width)
    return "" if whole == (height, width) else f" (of {whole[1]:,} × {whole[0]:,}, cut at the rim)"


def _influence(seen: Pixels, found: UnitAtPlace) -> None:
    share = found.concentration
    if not np.isfinite(share):
        st.caption("No small change of any pixel moves this value: a rectifier holds it, or it is at its ceiling.")
        return
    scale = Scale.positive(found.influence)
    told = f"half of it lies in {percent(share)} of the field"
    left, top, right, bottom = found.box or (0, 0, seen.shape[1], seen.shape[0])
    near = np.s_[max(0, top - _AROUND) : bottom + _AROUND, max(0, left - _AROUND) : right + _AROUND]
    picture(
        overlay(seen[near], found.influence[near], scale, "viridis", 0.75),
        f"Effective field, enlarged: how much each pixel moves the value; {told}",
        "The influence of each pixel on the value",
    )
    scale_bar(scale, "viridis", "|gradient|")


def _arithmetic(model: LoadedModel, found: UnitAtPlace, sums: Arithmetic) -> None:
    products = sums.products
    by_channel = products.sum((1, 2), dtype=np.float64)
    order = np.argsort(-np.abs(by_channel), kind="stable")[:_CHANNELS]
    patches, kernels = Scale.suited(sums.patch[order]), Scale.symmetric(sums.kernel[order])
    results = Scale.symmetric(products[order])
    rows, columns = sums.kernel.shape[1:]
    st.markdown(
        f"**Patch × kernel, summed**: {rows} × {columns} places of {len(products):,} input channels. "
        f"{number(float(by_channel.sum()))} + bias {number(sums.bias)} = **{number(sums.total)}**; "
        f"the network says **{number(found.value)}**."
    )
    columns_of = [
        column(
            [
                figure(
                    colour(sums.patch[at], patches, _palette(patches)),
                    [f"input {sums.first + int(at)}"],
                    "Patch",
                    _TILE,
                ),
                figure(colour(sums.kernel[at], kernels, "blue-red"), ["× kernel"], "Kernel", _TILE),
                figure(
                    colour(products[at], results, "blue-red"), [f"= {number(float(by_channel[at]))}"], "Product", _TILE
                ),
            ]
        )
        for at in order
    ]
    figures(columns_of, gap=14)
    scales = {"patch": patches, "kernel": kernels, "product": results}
    for bar, (unit, scale) in zip(st.columns(3), scales.items(), strict=True):
        with bar:
            scale_bar(scale, _palette(scale), unit)
    rest = len(products) - len(order)
    if rest > 0:
        others = float(by_channel.sum() - by_channel[order].sum())
        st.caption(f"The {len(order)} inputs that count most here; the other {rest:,} add {number(others)}.")


def _palette(scale: Scale) -> str:
    return "blue-red" if scale.diverges else "viridis"

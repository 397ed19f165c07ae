"""What heatmaps are compared along, and the maps that stand in the grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import streamlit as st

from interpret.answers import Prediction
from interpret.errors import InterpretError
from interpret.heatmaps import METHODS
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from ui.display import percent, told
from ui.heatmap_maps import Wanted
from ui.library import checkpoints_on_offer, model_of, picture_of, pictures_on_offer
from ui.results import prediction_of
from ui.state import choose, selection

AXES = {
    "": "one map",
    "methods": "methods",
    "layers": "layers",
    "classes": "classes",
    "pictures": "pictures",
    "checkpoints": "checkpoints",
    "data": "a data set",
}
MOST = 24
"""Maps in a grid."""


def kept(name: str, asked: object) -> str:
    """The key of a widget that follows the address until a person changes it."""
    if st.session_state.get(f"heatmaps.{name}.of") != asked or f"heatmaps.{name}" not in st.session_state:
        st.session_state[f"heatmaps.{name}"] = st.session_state[f"heatmaps.{name}.of"] = asked
    return f"heatmaps.{name}"


def keep(**chosen: object) -> None:
    """Takes note of what widgets now say, so that it is not mistaken for an address's wish."""
    for name, value in chosen.items():
        st.session_state[f"heatmaps.{name}.of"] = value


def wanted_along(axis: str, one: Wanted, prediction: Prediction) -> list[Wanted]:
    """The maps of the grid, chosen here.

    Args:
        axis: a key of AXES.
        one: the map that stands alone.
        prediction: of its picture.
    """
    make = {
        "methods": _methods,
        "layers": _layers,
        "classes": _classes,
        "pictures": _pictures,
        "checkpoints": _checkpoints,
    }.get(axis)
    return [one] if make is None else make(one, prediction)[:MOST]


def _pick(what: str, offered: Mapping[str, str], begin: Sequence[str], help_text: str = "") -> list[str]:
    """Some of what is offered, by key -> title; kept in the address unless it is what it begins with."""
    asked = [key for key in selection().among.split(",") if key in offered] or list(begin)
    key = kept(f"among.{what}", asked)
    found: list[str] = st.multiselect(
        what.capitalize(), list(offered), key=key, format_func=lambda key: offered[key], help=help_text or None
    )
    keep(**{f"among.{what}": found})
    choose(among="" if found == list(begin) else ",".join(found))
    if not found:
        st.info(f"Choose at least one of the {what}.")
    return found


def _methods(one: Wanted, prediction: Prediction) -> list[Wanted]:
    known = {method.key: method for method in METHODS}
    titles = {key: method.title + (" (slow)" if method.slow else "") for key, method in known.items()}
    begin = [key for key, method in known.items() if not method.slow]
    return [
        replace(one, method=known[key], title=known[key].title, alone=(("method", key),))
        for key in _pick("methods", titles, begin, "Slow methods need many passes.")
    ]


def stages(model: LoadedModel) -> list[LayerInfo]:
    """The last layer with places of each part of the network, in order, the default layer last."""
    last = {}
    for block in model.blocks:
        output = model.layer(block.output)
        if output.is_spatial and not output.pooled:
            last[block.part] = output
    end, order = model.default_layer, {layer.name: place for place, layer in enumerate(model.layers)}
    own = end.name.partition(":")[0] + "."  # what is inside the default layer and answers last answers the same
    before = [one for one in last.values() if order[one.name] < order[end.name] and not one.name.startswith(own)]
    return [*before, end]


def _layers(one: Wanted, prediction: Prediction) -> list[Wanted]:
    if one.method.of_pixels:
        st.info(f"{one.method.title} looks at the pixels: no layer plays a part in it. Choose another method.")
        return [one]
    spatial = [layer for layer in one.model.layers if layer.is_spatial]
    titles = {layer.name: f"{layer.name} · {layer.rows} × {layer.columns}" for layer in spatial}
    names = _pick("layers", titles, [layer.name for layer in stages(one.model)])
    chosen = [one.model.layer(name) for name in names]
    found = [replace(one, layer=layer, title=layer.name, alone=(("layer", layer.name),)) for layer in chosen]
    if len(chosen) > 1:
        together = replace(one, fused=tuple(chosen), signed=False, alone=())
        found += [replace(together, fusion=how, title=f"{how} of these") for how in ("mean", "product")]
    return found


def _classes(one: Wanted, prediction: Prediction) -> list[Wanted]:
    labels = one.model.labels
    top = prediction.top(5)
    begin = [str(index) for index in (top if one.target in top else [one.target, *top[:4]])]
    titles = {
        str(index): f"{label} · {percent(float(prediction.probabilities[index]))}" for index, label in enumerate(labels)
    }
    chosen = [int(key) for key in _pick("classes", titles, begin)]
    return [
        replace(
            one,
            target=index,
            rival=None if one.rival == index else one.rival,
            title=labels[index],
            alone=(("target", index),),
        )
        for index in chosen
    ]


def _pictures(one: Wanted, prediction: Prediction) -> list[Wanted]:
    now = selection().picture
    offered = {offer.key: offer.title for offer in pictures_on_offer(now)}
    begin = [now, *(key for key in offered if key != now)][:6]
    found = []
    for key in _pick("pictures", {now: offered.get(now, now), **offered}, begin):
        try:
            image = picture_of(key)
        except InterpretError as error:
            st.error(told(error))
            continue
        target = one.target if selection().target >= 0 else prediction_of(one.model, image).top(1)[0]
        found.append(replace(one, image=image, target=target, title=image.name, alone=(("picture", key),)))
    return found


def _checkpoints(one: Wanted, prediction: Prediction) -> list[Wanted]:
    now = selection().checkpoint
    offered = {offer.key: offer.title for offer in checkpoints_on_offer(now)}
    begin = [now, *(key for key in offered if key != now)][:4]
    found = []
    for key in _pick("checkpoints", {now: offered.get(now, now), **offered}, begin):
        try:
            model = one.model if key == now else model_of(key)
            found.append(_at_its_layer(one, model, key))
        except InterpretError as error:
            st.error(told(error))
    return found


def _at_its_layer(one: Wanted, model: LoadedModel, key: str) -> Wanted:
    """The same question to another network: at the layer of that name if it has one, about the class of that name."""
    names = {layer.name: layer for layer in model.layers if layer.is_spatial}
    layer = names.get(one.layer.name, model.default_layer)
    label = one.model.labels[one.target]
    same = selection().target >= 0 and label in model.labels
    target = model.labels.index(label) if same else prediction_of(model, one.image).top(1)[0]
    rival = None if one.rival is None else one.model.labels[one.rival]
    against = model.labels.index(rival) if rival in model.labels and model.labels.index(rival) != target else None
    title = model.name.removesuffix(".safetensors")
    return replace(
        one, model=model, layer=layer, target=target, rival=against, title=title, alone=(("checkpoint", key),)
    )


def note_of(wanted: Wanted, axis: str, probability: float) -> str:
    """The second line of a pane; untrusted text."""
    label = wanted.model.labels[wanted.target]
    said = percent(probability) if axis == "classes" else f"{label} {percent(probability)}"
    where = "" if wanted.method.of_pixels or axis in ("layers", "methods") else f", {wanted.layer.name}"
    return said + (where if axis == "checkpoints" else "")

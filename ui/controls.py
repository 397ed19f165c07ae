"""Widgets: pickers of layer, channel and class, settings drawn from a params dataclass, and the panel of a job."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

import streamlit as st

from interpret.blocks import KINDS, Block, Kind
from interpret.errors import InterpretError
from interpret.jobs import Job
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.rendering import class_colour
from ui.cache import RESULTS
from ui.components.network_strip import StripBlock, StripLayer, network_strip
from ui.display import plain, quantity, told
from ui.jobs import RUNNER, BackgroundJob, session_id
from ui.state import choose, selection

T = TypeVar("T")
POLL_SECONDS = 0.4
LEGEND: Mapping[Kind, str] = {
    "plain": "convolution",
    "residual": "residual",
    "inverted residual": "inverted residual",
    "inception": "inception",
    "branches": "branches",
    "dense": "dense",
    "separable": "depthwise-separable",
    "pooling": "pooling",
    "linear": "linear",
    "other": "other",
}
"""Kinds of blocks in few words."""


def layer_facts(layer: LayerInfo) -> str:
    """What is known of a layer in one line: kind, shape, stride, receptive field, parameters, multiply-adds."""
    facts = [layer.kind, " × ".join(f"{side:,}" for side in layer.shape)]
    if layer.stride:
        facts.append(f"stride {layer.stride} px")
    if layer.reach is not None and layer.is_spatial:
        high, wide = layer.reach.size
        field = f"{high:,} px" if high == wide else f"{high:,} × {wide:,} px"
        facts.append(f"receptive field {field}" + (", by gates everything" if layer.reach.everywhere else ""))
    facts.append(f"{layer.parameters:,} parameters")
    if layer.multiply_adds:
        facts.append(f"{quantity(layer.multiply_adds)} multiply-adds")
    return " · ".join(facts)


def pick_layer(
    model: LoadedModel, usable: Callable[[LayerInfo], bool], why: str, changed: Mapping[str, str] = {}
) -> LayerInfo:
    """The layer chosen, from those this page can use, in the network drawn as its blocks.

    Args:
        model: the network.
        usable: which layers to offer.
        why: what is said when the layer of the address does not suit this page.
        changed: what is changed at layers, by their names: their blocks are marked.
    """
    offered = {layer.name for layer in model.layers if usable(layer)}
    if not offered:
        raise InterpretError(f"{model.architecture.title} has no layer this page can use.")
    asked = selection().layer
    default = model.default_layer.name
    current = asked if asked in offered else default if default in offered else _last(model, offered)
    if asked and asked not in offered:
        st.caption(f'"{plain(asked)}" {why} Shown: {plain(current)}.')
    chosen = network_strip(
        [_strip_block(model, block, offered, changed) for block in model.blocks],
        key=f"strip.{model.digest[:12]}",
        selected=current,
        label=f"{model.architecture.title}, {len(model.blocks)} blocks",
    )
    if chosen != current:
        choose(layer=chosen)
    return model.layer(chosen)


def _last(model: LoadedModel, offered: Collection[str]) -> str:
    return next(layer.name for layer in reversed(model.layers) if layer.name in offered)


def _strip_block(model: LoadedModel, block: Block, offered: Collection[str], changed: Mapping[str, str]) -> StripBlock:
    output = model.layer(block.output)
    return StripBlock(
        name=block.name,
        title=block.title,
        colour=class_colour(KINDS.index(block.kind)),
        legend=LEGEND[block.kind],
        part=block.part,
        channels=output.channels,
        rows=output.rows,
        layers=tuple(StripLayer(name, layer_facts(model.layer(name))) for name in block.layers if name in offered),
        changed="; ".join(changed[name] for name in block.layers if name in changed),
    )


def pick_class(model: LoadedModel, predicted: int) -> int:
    """The class chosen: an index, the predicted one unless another was picked."""
    options = [-1, *range(len(model.labels))]
    asked = selection().target if selection().target < len(model.labels) else -1
    key = f"class.{model.digest[:12]}"
    if key not in st.session_state or st.session_state.get(f"{key}.of") != asked:
        st.session_state[key] = asked
    st.session_state[f"{key}.of"] = asked

    def title(index: int) -> str:
        return f"predicted: {model.labels[predicted]}" if index < 0 else f"{model.labels[index]}   ·   {index}"

    chosen = st.selectbox("Class", options, format_func=title, key=key)
    if chosen != asked:
        choose(target=chosen)
        st.session_state[f"{key}.of"] = chosen
    return predicted if chosen < 0 else int(chosen)


def ask_for_folder(key: str) -> None:
    """A field for a data set on this machine, chosen as soon as it is written."""
    folder = st.text_input(
        "A folder, .zip, list or run on this machine", placeholder="/data/pictures", key=f"{key}.folder"
    )
    if folder and f"path/{folder}" != selection().data and st.session_state.get(f"{key}.folder.seen") != folder:
        st.session_state[f"{key}.folder.seen"] = folder
        choose(data=f"path/{folder}")
        st.rerun()


def settings(kind: type[T], key: str, only: tuple[str, ...] = ()) -> T:
    """A params dataclass filled in by widgets made from its fields' ranges, choices and help texts."""
    values: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]
        if only and field.name not in only:
            continue
        default = None if field.default is MISSING else field.default
        title = field.name.replace("_", " ").capitalize()
        help_text = field.metadata.get("help")
        name = f"{key}.{field.name}"
        if "choices" in field.metadata:
            choices = list(field.metadata["choices"])
            values[field.name] = st.selectbox(title, choices, choices.index(default), key=name, help=help_text)
        else:
            low, high = field.metadata["range"]
            step = 1 if isinstance(default, int) else 0.01
            values[field.name] = st.number_input(title, low, high, default, step=step, key=name, help=help_text)
    return kind(**values)


def result_of(
    purpose: str,
    key: Hashable,
    title: str,
    make: Callable[[], Job[T]],
    preview: Callable[[Any], str | None] | None = None,
    compact: bool = False,
    more: Callable[[Any], Job[T]] | None = None,
) -> T | None:
    """A finished result from the store; otherwise its job is started and its panel shown, and None is returned.

    Args:
        purpose: what on the page it is for; a newer key for the same purpose replaces the older job.
        key: identifies the result: digests, names and params.
        title: of the job, for people.
        make: starts the job.
        preview: draws an unfinished result, and may say how far it is.
        compact: one line of progress, no Cancel.
        more: goes on from an unfinished result after Cancel.
    """
    found: T | None = RESULTS.get(key)
    if found is not None:
        return found
    job = RUNNER.submit(session_id(), purpose, key, title, make)
    if job.active:
        _watch(job, preview, compact)
    else:
        _over(job, preview, more)
    return None


def _watch(job: BackgroundJob, preview: Callable[[Any], str | None] | None, compact: bool) -> None:
    @st.fragment(run_every=POLL_SECONDS)
    def watch() -> None:
        if not job.active:
            st.rerun()
        elapsed, remaining = job.seconds()
        left = f", about {remaining:.0f} s left" if remaining is not None and remaining >= 1 else ""
        line = f"{job.title}: {job.progress.note} · {elapsed:.0f} s{left}"
        if not compact:
            bar, button = st.columns([5, 1], vertical_alignment="center")
            bar.progress(job.fraction or 0.0, text=line)
            if button.button("Cancel", key=f"cancel.{job.title}.{hash(job.key)}", width="stretch"):
                RUNNER.cancel(session_id(), job.key)
                st.rerun()
        if job.preview is not None and preview is not None:
            preview(job.preview)
        if compact:
            st.caption(line)

    watch()


def _over(
    job: BackgroundJob,
    preview: Callable[[Any], str | None] | None,
    more: Callable[[Any], Job[Any]] | None,
) -> None:
    """What is left of a job that failed or was cancelled, and how to go on."""
    told_above, buttons = st.container(), st.container(horizontal=True)
    kept = job.preview
    far = preview(kept) if kept is not None and preview is not None else None
    if job.state == "failed":
        told_above.error(told(job.error))
    else:
        told_above.info(f"Stopped after {far or f'{job.seconds()[0]:.0f} s: {job.progress.note}'}.")
    name = f"{job.title}.{hash(job.key)}"
    if more is not None and kept is not None and buttons.button("Continue", key=f"on.{name}", type="primary"):
        RUNNER.retry(session_id(), job.key, lambda: more(kept))
        st.rerun()
    if buttons.button("Start again", key=f"again.{name}"):
        RUNNER.retry(session_id(), job.key)
        st.rerun()

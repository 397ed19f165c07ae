"""The inside of the chosen layer's block as a diagram with live pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import streamlit as st

from interpret.anatomy import Anatomy, Meeting, Piece, Statistics, anatomy
from interpret.images import InputImage
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.rendering import Scale, colour
from ui.cache import RESULTS
from ui.display import number, plain, scale_bar
from ui.figures import channel_bars, figure, flow

SIGNS = {"sum": "+", "concatenation": "‖", "gate": "×"}
_SMALL, _LARGE = 50, 76
_MOST_STEPS = 12
"""A branch with more layers is shown by its end alone, as in a dense block."""


def show_anatomy(model: LoadedModel, image: InputImage, layer: LayerInfo, channel: int) -> None:
    """The block of a layer: its branches and where they meet, its gate, its BatchNorm layers beside this picture."""
    block = model.block(layer.name)
    found = RESULTS.get_or_make(
        ("anatomy", model.digest, image.digest, block.name), lambda: anatomy(model, image, block)
    )
    st.subheader(f"Inside {plain(block.name)}: {block.title}", anchor=False)
    _diagram(found)
    gates = [meeting for meeting in found.meetings if meeting.gate is not None]
    for meeting in gates:
        _gate(meeting, channel)
    if found.normalisations:
        _normalisations(found.normalisations, layer, channel, f"bn.{model.digest[:8]}.{block.name}")


def _diagram(found: Anatomy) -> None:
    steps = {piece.layer.name: piece for piece in found.steps if piece.layer}
    last = next((meeting for meeting in reversed(found.meetings) if meeting.join.kind != "gate"), None)
    if last is None:
        drawn = _step_figures(list(steps), steps)
        if not drawn:
            st.caption("What is in this block has no places to draw.")
            return
        flow([("", drawn)], "", "")
        st.caption("Each picture: root of the mean square over the channels at each place, on its own scale.")
        return
    ends = [*last.branches, last.result]
    scale = Scale.positive(np.concatenate([end.strength.reshape(-1) for end in ends]))
    rows = []
    for at, (piece, names) in enumerate(zip(last.branches, last.steps, strict=True)):
        few = [name for name in names if steps[name].strength.size > 1] if len(names) <= _MOST_STEPS else []
        end = _figure(piece, _end_title(piece, bool(names)), scale, _LARGE)
        rows.append((_branch_name(last, at), [*_step_figures(few, steps), end]))
    flow(rows, SIGNS[last.join.kind], _figure(last.result, f"{last.join.kind}", scale, _LARGE))
    bar, words = st.columns([1, 2.4], vertical_alignment="center")
    with bar:
        scale_bar(scale, "viridis", "strength")
    with words:
        st.markdown(_in_words(found, last))
    st.caption(
        "Strength: root of the mean square over the channels at each place. The large pictures share the scale above; "
        "each small one has its own, from 0 to the number under it. depth: depthwise; "
        "point: pointwise, 1 × 1; BN: BatchNorm."
    )


def _branch_name(meeting: Meeting, at: int) -> str:
    if meeting.join.kind == "sum" and len(meeting.branches) == 2:
        steps = [len(names) for names in meeting.steps]
        return "branch" if at == steps.index(max(steps)) else "shortcut"
    return "passed on" if not meeting.steps[at] else f"branch {at + 1}"


def _end_title(piece: Piece, has_steps: bool) -> str:
    if not has_steps:
        return "the input"
    short = piece.layer.name.rpartition(".")[2] if piece.layer else ""
    return "its end" if not short or short.isdigit() else short


def _in_words(found: Anatomy, last: Meeting) -> str:
    ratio = found.branch_ratio
    if ratio is not None:
        return f"Norm of the branch over norm of the shortcut: **{number(ratio)}**. {_verdict(ratio)}"
    if last.join.kind == "concatenation":
        told = [
            f"{_branch_name(last, at)} {p.channels:,} channels, norm {number(p.norm)}"
            for at, p in enumerate(last.branches)
        ]
        most = max(range(len(told)), key=lambda at: last.branches[at].norm)
        shown = told if len(told) <= 6 else [told[0], f"{len(told) - 2} more", told[-1]]
        return f"{'; '.join(shown)}. The strongest here: {_branch_name(last, most)}."
    return ""


def _verdict(ratio: float) -> str:
    if ratio < 0.1:
        return "The block passes its input on almost unchanged."
    if ratio < 0.6:
        return "The block changes its input a little."
    if ratio <= 1.6:
        return "The block adds about as much as it passes on."
    return "The block mostly says something new."


def _step_figures(names: Sequence[str], steps: Mapping[str, Piece]) -> list[str]:
    shown = [steps[name] for name in names]
    return [
        _figure(piece, _step_title(piece.layer), Scale.positive(piece.strength), _SMALL)
        for piece in shown
        if piece.layer and piece.strength.size > 1
    ]


def _step_title(layer: LayerInfo) -> str:
    if layer.kernel is None:
        return "BN" if layer.kind.startswith("BatchNorm") else layer.kind.removesuffix("2d")
    size = f"{layer.kernel[0]}×{layer.kernel[1]}"
    return f"{size} depth" if layer.is_depthwise else f"{size} point" if layer.kernel == (1, 1) else f"{size} conv"


def _figure(piece: Piece, title: str, scale: Scale, width: int) -> str:
    high = float(np.nan_to_num(piece.strength).max())
    lines = [title, *([f"{piece.channels:,} channels"] if width > _SMALL else []), f"to {number(high)}"]
    name = piece.layer.name if piece.layer else title
    return figure(colour(piece.strength, scale), lines, f"Strength of {name} at each place", width)


def _gate(meeting: Meeting, channel: int) -> None:
    assert meeting.gate is not None
    gate = meeting.gate
    st.markdown("**Squeeze-and-excitation gate**: what each channel is multiplied by, for this picture")
    channel_bars(gate, channel if channel < len(gate) else None, "gate", highest=max(1.0, float(np.nanmax(gate))))
    order = np.argsort(gate, kind="stable")
    least, most = ", ".join(map(str, order[:3])), ", ".join(map(str, order[::-1][:3]))
    st.caption(
        f"{len(gate):,} channels, mean {number(float(gate.mean()))}. Opened most: {most}; held back most: {least}. "
        f"Norm before {number(max(piece.norm for piece in meeting.branches))}, after {number(meeting.result.norm)}."
    )


def _normalisations(found: Sequence[Statistics], layer: LayerInfo, channel: int, key: str) -> None:
    names = [each.layer.name for each in found]
    with st.expander(f"BatchNorm of this block: what training kept, beside this picture ({len(names)})"):
        nearest = layer.name if layer.name in names else names[0]
        name = st.selectbox("BatchNorm layer", names, names.index(nearest), key=f"{key}.{nearest}")
        each = found[names.index(name)]
        kept = each.kept
        columns: dict[str, Any] = {
            "channel": np.arange(len(kept.mean)),
            "running mean": kept.mean,
            "mean here": each.mean,
            "running variance": kept.variance,
            "variance here": each.variance,
            "gamma": kept.gamma,
            "beta": kept.beta,
        }
        known = {title: values for title, values in columns.items() if values is not None}
        config = {title: st.column_config.NumberColumn(format="%.4g") for title in known if title != "channel"}
        st.dataframe(known, hide_index=True, height=240, column_config=config)
        if each.mean is None:
            st.caption(
                "What comes into this layer is made between modules, so this picture's own numbers are not known."
            )
            return
        away = np.abs(each.mean - kept.mean) / np.sqrt(kept.variance + kept.epsilon)
        far = int(away.argmax())
        own = f" Channel {channel}: {number(float(away[channel]))}." if channel < len(away) else ""
        st.caption(
            f"How far this picture's mean lies from the running mean, in running standard deviations: "
            f"{number(float(np.median(away)))} in the median channel, {number(float(away[far]))} in channel {far}.{own}"
        )

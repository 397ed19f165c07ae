"""How a checkpoint was opened, and the controls that open it otherwise."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import streamlit as st

from interpret.architectures import architecture
from interpret.errors import InterpretError
from interpret.images import Preprocess
from interpret.model import LoadedModel
from ui.cache import keep_upload
from ui.display import told
from ui.library import names_of, steps_of
from ui.state import choose, selection
from ui.summary import report_table

_CUTS = {"crop": "resize the shortest side, cut out the middle", "squash": "squash the whole picture"}


def undecided(model: LoadedModel) -> bool:
    """Whether several architectures fit the file alike and neither it nor the user says which it is."""
    return len(_alike(model)) > 1 and not model.report.named and not selection().arch


def _alike(model: LoadedModel) -> list[str]:
    considered = model.report.candidates
    return [key for key, differing in considered if differing == considered[0][1]]


def choose_architecture(model: LoadedModel) -> None:
    """Which of the architectures that fit the file alike it is opened as; nothing where only one does."""
    alike = _alike(model)
    if len(alike) < 2:
        return
    chosen = st.selectbox(
        "Its tensors fit several architectures; opened as",
        [model.architecture.key, *(key for key in alike if key != model.architecture.key)],
        format_func=lambda key: f"{architecture(key).title} · {key}",
        key=f"opened.{model.digest}",
        help="They have the same tensors but may prepare pictures, pad or pool differently. "
        "Choose the one the weights were trained with.",
    )
    if chosen != model.architecture.key:
        choose(arch=chosen)
        st.rerun()


def choose_part(model: LoadedModel) -> None:
    """Which network of the file is opened; nothing where it holds only one."""
    if not model.report.parts:
        return
    now = selection().part
    chosen = st.selectbox(
        "The file holds several networks; opened",
        [now, *(part for part in model.report.parts if part != now)],
        format_func=lambda part: part or model.report.wrapper or "the top level",
        key=f"part.{model.digest}",
    )
    if chosen != now:
        choose(part=chosen)
        st.rerun()


def load_report(model: LoadedModel) -> None:
    """The whole report as a table, and what else the file could be opened as."""
    if not undecided(model):
        choose_architecture(model)
    rows = report_table(model)
    st.dataframe(
        rows,
        hide_index=True,
        height=35 * len(rows) + 38,
        column_config={"what": st.column_config.TextColumn(width=200), "value": st.column_config.TextColumn(width=900)},
    )


def preparation(model: LoadedModel) -> None:
    """A form for the preprocessing, and an upload of class names."""
    _steps_form(model)
    _names_form(model)


def _steps_form(model: LoadedModel) -> None:
    steps = model.preprocess
    st.caption(
        "Wrong preprocessing is the most common cause of wrong answers: set here what the network was trained with."
    )
    with st.form(f"preprocess.{model.digest}", border=False):
        columns = st.columns(4)
        width = columns[0].number_input("Width in pixels", 1, 4096, steps.size[1])
        height = columns[1].number_input("Height in pixels", 1, 4096, steps.size[0])
        cut = columns[2].selectbox(
            "How it is cut", list(_CUTS), 1 if steps.resize is None else 0, format_func=lambda key: _CUTS[key]
        )
        shortest = columns[3].number_input("Shortest side before the cut", 1, 4096, steps.resize or min(steps.size))
        below = st.columns(5)
        mean = below[0].text_input("Mean", _joined(steps.mean), help="One number a channel, in units of white.")
        deviation = below[1].text_input("Standard deviation", _joined(steps.std))
        white = below[2].number_input(
            "White becomes", 0.0, 65535.0, steps.value_range, help="1, or 255 for raw pixels."
        )
        filters = ["nearest", "bilinear", "bicubic", "lanczos"]
        interpolation = below[3].selectbox("Resampling", filters, filters.index(steps.interpolation))
        order = below[4].selectbox(
            "Channel order",
            ["RGB", "BGR"],
            int(steps.reverse_channels),
            disabled=steps.channels != 3,
            help="BGR for networks trained with OpenCV or Caffe.",
        )
        apply, reset, _ = st.columns([1, 2, 3])
        applied = apply.form_submit_button("Apply", type="primary", width="stretch")
        if reset.form_submit_button("Back to the checkpoint's own", disabled=not selection().input):
            choose(input="")
            st.rerun()
    if applied:
        try:
            changes: dict[str, Any] = {
                "size": (int(height), int(width)),
                "resize": int(shortest) if cut == "crop" else None,
                "mean": _split(mean),
                "std": _split(deviation),
                "value_range": float(white),
                "interpolation": interpolation,
                "reverse_channels": order == "BGR",
            }
            wanted = replace(steps, **changes)
            model.reopened(steps_of(_as_json(wanted)))
        except (InterpretError, ValueError) as error:
            st.error(told(error))
        else:
            choose(input=_as_json(wanted))
            st.rerun()


def _names_form(model: LoadedModel) -> None:
    file = st.file_uploader(
        "Class names, one a line, or JSON", type=["txt", "json", "csv"], key=f"labels.{model.digest}", max_upload_size=8
    )
    seen = f"labels.seen.{model.digest}"
    if file is not None and st.session_state.get(seen) != file.file_id:
        digest = keep_upload(file.name, file.getvalue())
        names_of(digest, model)  # a list that does not fit is told here and changes nothing
        st.session_state[seen] = file.file_id
        choose(labels=digest)
        st.rerun()
    if selection().labels and st.button("Back to the checkpoint's own class names"):
        choose(labels="")
        st.rerun()


def _as_json(steps: Preprocess) -> str:
    return json.dumps(asdict(steps), separators=(",", ":"))


def _joined(numbers: tuple[float, ...]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)


def _split(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.replace(",", " ").split())
    except ValueError:
        raise InterpretError(
            f"Mean and standard deviation are numbers separated by commas; found {text[:60]}."
        ) from None

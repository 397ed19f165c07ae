"""A folder of checkpoints, one for each epoch: a slider puts one of them beside the chosen network; their course."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from interpret.checkpoints import SUFFIXES
from interpret.comparison import Course, Usable, along, checkpoints_in, usable_of
from interpret.datasets import PictureSource
from interpret.errors import InterpretError
from ui.cache import RESULTS
from ui.charts import COOL, GREY, WARM, Line, chart, matrix
from ui.controls import result_of
from ui.display import download_tables, number, percent, plain, told
from ui.figures import section
from ui.library import EPOCHS, epoch_of
from ui.state import choose, selection

NAMED = 3
"""Files left out that are named with the reason."""


def pick_epoch(where: DeltaGenerator) -> str:
    """Key of the folder's checkpoint that the slider stands at; "", and what is missing, while there is none.

    Args:
        where: for the field that asks for the folder.
    """
    asked = Path(selection().versus.removeprefix(EPOCHS))
    folder = _ask_folder(where, _folder_of(asked) or st.session_state.get("second.folder", ""))
    folder = str(Path(folder)) if folder else ""  # without a slash at the end
    if not folder:
        st.caption("Name the folder a training wrote its checkpoints to. Its epochs are then one slider away.")
        return ""
    try:
        paths = checkpoints_in(folder)
    except InterpretError as error:
        st.error(told(error))
        return ""
    many = f"{len(paths):,} checkpoints" if len(paths) > 1 else "one checkpoint"
    usable: Usable | None = result_of(
        "epochs", _key(folder, paths), f"Opening {many} of {Path(folder).name}", lambda: usable_of(paths)
    )
    if usable is None:
        return ""
    names = [path.name for path in usable.paths]
    if names:
        key = f"{EPOCHS}{Path(folder) / _slider(folder, names, asked.name)}"
        choose(versus=key)
    if usable.left_out:
        st.caption(_left_out(usable))
    return key if names else ""


def _folder_of(asked: Path) -> str:
    """The folder that a key's path, of a checkpoint or of its folder, is about; "" for none."""
    if asked == Path():
        return ""
    return str(asked.parent if asked.suffix in SUFFIXES and not asked.is_dir() else asked)


def _ask_folder(where: DeltaGenerator, now: str) -> str:
    folder: str = where.text_input(
        "A folder of checkpoints on this machine, one for each epoch",
        now,
        placeholder="/data/run/epochs",
        key=f"second.folder.{now}",
    ).strip()
    st.session_state["second.folder"] = folder
    if folder != now:
        choose(versus=f"{EPOCHS}{folder}")
    return folder


def _key(folder: str, paths: tuple[Path, ...]) -> tuple[Hashable, ...]:
    return ("epochs", folder, tuple((path.name, path.stat().st_mtime_ns) for path in paths))


def _slider(folder: str, names: list[str], asked: str) -> str:
    """The name the slider stands at; of one alone there is no slider."""
    if len(names) == 1:
        st.caption(f"The folder holds one checkpoint: {plain(names[0])}.")
        return names[0]
    now = asked if asked in names else names[-1]
    # It keeps the place it began at, so that it is not made anew while it is moved, until that is changed elsewhere.
    # The browser is sent that place with every run; one set in the session state would be lost with a run cut short.
    begun, said, count = st.session_state.get("second.epoch", (now, (), 0))
    if said != (folder, now):
        begun, count = now, count + 1
    elif begun not in names or f"second.epoch.{count}" not in st.session_state:
        begun = now
    chosen: str = st.select_slider(
        f"Checkpoint, one of {len(names):,}",
        names,
        begun,
        key=f"second.epoch.{count}",
        help="Everything below is about it.",
    )
    st.session_state["second.epoch"] = (begun, (folder, chosen), count)
    return chosen


def _left_out(usable: Usable) -> str:
    named = " ".join(reason if name in reason else f"{name}: {reason}" for name, reason in usable.left_out[:NAMED])
    more = len(usable.left_out) - NAMED
    return f"Left out: {told(named)}" + (f" So are {more:,} more that cannot be opened." if more > 0 else "")


def show_course(source: PictureSource, data: tuple[Hashable, ...], begin: bool) -> None:
    """A training from checkpoint to checkpoint: accuracy, churn, how far the weights went, when layers settled.

    Args:
        source: the pictures.
        data: names the results over them.
        begin: whether to begin with it where it is not there yet.
    """
    now = epoch_of(selection().versus)
    folder = str(now.parent) if now else ""
    usable: Usable | None = RESULTS.get(_key(folder, checkpoints_in(folder))) if now else None
    if now is None or usable is None or len(usable.paths) < 2:
        return
    key = ("course", _key(folder, usable.paths), *data)
    if not begin and RESULTS.get(key) is None:
        return
    st.markdown("##### The whole training")
    course: Course | None = result_of(
        "course",
        key,
        f"{len(usable.paths)} checkpoints over {len(source):,} pictures",
        lambda: along(usable.paths, source),
    )
    if course is None:
        return
    here = course.names.index(now.name)
    _in_words(course, here)
    names, marks = [_short(name, course.names) for name in course.names], (float(here),)
    left, right = st.columns(2, gap="medium")
    with left:
        lines = [
            Line("accuracy", names, course.accuracy, COOL),
            Line("agreement with the first", names, course.agreement, WARM),
            Line("churn", names, course.churn, GREY),
        ]
        chart(lines, "checkpoint", "share of pictures", "course.accuracy", between=(0.0, 1.0), marks=marks, shares=True)
    with right:
        first, before = course.from_first, course.from_previous
        lines = [Line("from the first", names, first, WARM), Line("from the one before", names, before, GREY)]
        chart(lines, "checkpoint", "|w - w0| / |w0|", "course.distance", marks=marks)
    section("How alike each layer is to what it becomes")
    with st.columns(2, gap="medium")[0]:
        matrix(course.cka.T, course.layers, names, ("layer", "checkpoint"), "CKA to the last", "course.cka")
    heads = ("checkpoint", "accuracy", "agreement with the first", "churn", "from the first", "from the one before")
    numbers = (course.accuracy, course.agreement, course.churn, course.from_first, course.from_previous)
    rows = [(name, *(float(row[at]) for row in numbers)) for at, name in enumerate(course.names)]
    manifest = {"folder": folder, "data": source.title, "pictures": course.pictures}
    download_tables("Download (.csv)", {"course": (heads, rows)}, "course", manifest, "course.csv")


def _short(name: str, among: Sequence[str]) -> str:
    """A file's name without its ending, where that still tells it from the others."""
    stem = Path(name).stem
    return name if sum(Path(other).stem == stem for other in among) > 1 else stem


def _in_words(course: Course, here: int) -> None:
    right = f"right on {percent(float(course.accuracy[here]))}, " if np.isfinite(course.accuracy[here]) else ""
    churn = ""
    if here and np.isfinite(course.churn[here]):
        churn = f"; {percent(float(course.churn[here]))} of the predictions are others than one checkpoint before"
    st.markdown(
        f"**{plain(course.names[here])}**: {right}its weights {number(float(course.from_first[here]), 2)} of their "
        f"length from the first's{churn}."
    )

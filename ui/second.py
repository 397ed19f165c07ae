"""A second checkpoint beside the chosen one, and the data set both are asked about."""

from __future__ import annotations

from collections.abc import Hashable

import streamlit as st

from interpret.datasets import PictureSource
from interpret.errors import InterpretError
from interpret.latent.embedding import first_count
from interpret.model import LoadedModel
from ui.cache import RESULTS
from ui.compare_epochs import pick_epoch
from ui.controls import ask_for_folder
from ui.display import plain, told
from ui.library import EPOCHS, SHAPES, checkpoints_on_offer, data_of, data_stamp, data_title, model_of
from ui.results import untrained_twin
from ui.state import choose, selection

UNTRAINED = "untrained"
COUNTS = (50, 100, 200, 500, 1000, 2000, 5000)


def pick_second(model: LoadedModel) -> LoadedModel | None:
    """The checkpoint beside which the chosen one is looked at; None, and a sentence, where it cannot be opened."""
    chosen = selection()
    titles = {UNTRAINED: "the same before training"}
    titles |= {
        offer.key: offer.title
        for offer in checkpoints_on_offer(chosen.versus)
        if offer.key != chosen.checkpoint and not offer.key.startswith(EPOCHS)
    }
    titles[EPOCHS] = "a folder of checkpoints, with a slider"
    asked = EPOCHS if chosen.versus.startswith(EPOCHS) else chosen.versus if chosen.versus in titles else UNTRAINED
    row, options = st.container(horizontal=True), list(titles)
    key: str = row.selectbox(
        "Beside", options, options.index(asked), format_func=titles.__getitem__, key=f"second.{asked}"
    )
    if key != asked or not chosen.versus:
        choose(versus=key)
    if key == EPOCHS and not (key := pick_epoch(row)):
        return None
    try:
        with st.spinner("Opening what stands beside it", show_time=True):
            return untrained_twin(model) if key == UNTRAINED else model_of(key)
    except InterpretError as error:
        st.error(told(error))
        return None


def ask_data(model: LoadedModel, key: str) -> tuple[PictureSource, tuple[Hashable, ...]]:
    """The data set chosen, folded away, cut to so many pictures; and what names its results.

    Args:
        model: says how many pictures are taken at first.
        key: of the widgets.

    Raises:
        BadInput: it cannot be opened.
    """
    data = selection().data
    with st.expander(f"Data set: {plain(data_title(data))}"):
        left, right = st.columns(2)
        with left:
            options = [*SHAPES] + ([data] if data not in SHAPES else [])
            asked = st.selectbox(
                "Data set", options, options.index(data), format_func=data_title, key=f"{key}.data.{data}"
            )
            if asked != data:
                choose(data=asked)
                st.rerun()
            few = first_count(model)
            limit = st.select_slider("Pictures", list(COUNTS), value=few, key=f"{key}.limit.{few}")
        with right:
            ask_for_folder(key)
    named = (data, data_stamp(data), limit)
    return RESULTS.get_or_make(("source", *named), data_of(data, limit)), named

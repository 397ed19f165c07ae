"""The heatmaps of a data set, chosen by the query parameters; whether the page was left is written below them."""

from __future__ import annotations

import streamlit as st

from interpret.heatmaps import METHODS
from ui.heatmap_data import show_data_set
from ui.library import chosen_model
from ui.state import selection, write_address


def leave() -> None:
    st.session_state["left"] = True


st.set_page_config(layout="wide")
model = chosen_model()
layer = model.layer(selection().layer) if selection().layer else model.default_layer
show_data_set(model, layer, next(method for method in METHODS if method.key == selection().method), leave)
write_address()
if st.session_state.get("left"):
    st.text(f"left with {selection().picture} for class {selection().target}")

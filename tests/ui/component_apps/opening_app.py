"""A feature grid whose channels can be opened; what Python was asked to open is written below it."""

from __future__ import annotations

import streamlit as st

from tests.ui.component_apps.example_data import PALETTES, marked_maps, statistics_of
from ui.components import feature_grid

st.set_page_config(layout="wide")
opened = st.session_state.setdefault("opened", [])
maps = marked_maps(0)
chosen = feature_grid(
    maps,
    key="grid",
    selected=st.session_state.get("chosen", 0),
    palettes=PALETTES,
    statistics=statistics_of(maps),
    label="Channels to open",
    on_open=None if st.query_params.get("case") == "closed" else opened.append,
)
st.session_state["chosen"] = chosen
st.session_state["runs"] = st.session_state.get("runs", 0) + 1
st.text(f"Opened {opened}, channel {chosen} in run {st.session_state['runs']}")

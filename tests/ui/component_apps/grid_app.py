"""One feature grid, chosen by the query parameters; what Python received is written below it."""

from __future__ import annotations

import streamlit as st

from tests.ui.component_apps.example_data import PALETTES, example_maps
from ui.components import feature_grid

st.set_page_config(layout="wide")
case = st.query_params.get("case", "plain")
wanted = 2 if st.button("Choose channel 2") else st.session_state.get("chosen", 0)
chosen = feature_grid(
    example_maps(case), key="grid", selected=wanted, palettes=PALETTES, label=f"Channels of the {case} layer"
)
st.session_state["chosen"] = chosen
st.session_state["runs"] = st.session_state.get("runs", 0) + 1
st.text(f"Python has channel {chosen} in run {st.session_state['runs']}")

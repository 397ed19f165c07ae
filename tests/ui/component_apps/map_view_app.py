"""One map view, chosen by the query parameters; what Python received is written below it."""

from __future__ import annotations

import numpy as np
import streamlit as st

from tests.ui.component_apps.example_data import PALETTES, example_panes
from ui.components.map_view import map_view

st.set_page_config(layout="wide")
case = st.query_params.get("case", "one")
panes = example_panes(case)
with st.container(width=int(st.query_params.get("width", "0")) or "stretch"):
    place = map_view(
        panes,
        key="view",
        place=st.session_state.get("place"),
        scale=(float(np.nanmin(panes[0].values)), 3.0 if case == "signed" else 8.0),
        palettes=PALETTES,
        label="Channel 12 over the picture",
    )
st.session_state["place"] = place
st.session_state["runs"] = st.session_state.get("runs", 0) + 1
st.text(f"Python has {place} in run {st.session_state['runs']}")

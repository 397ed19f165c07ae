"""Feature grids that sort and filter: one, or two that are linked, as the query parameters say."""

from __future__ import annotations

import numpy as np
import streamlit as st

from tests.ui.component_apps.example_data import PALETTES, marked_maps, marks_of, statistics_of
from ui.components import feature_grid

st.set_page_config(layout="wide")
case = st.query_params.get("case", "one")
counts = {"two": (128, 128), "unequal": (128, 96), "signed": (128, 128), "many": (2048,)}.get(case, (128,))
layers = [marked_maps(seed, channels) * (1 + seed) for seed, channels in enumerate(counts)]
if case == "signed":
    layers[0] -= 1
shown = st.toggle("Show the grids", value=True)
width = int(st.query_params.get("width", "0")) or "stretch"
with st.container(width=width):
    for number, (place, maps) in enumerate(zip(st.columns(len(layers)), layers, strict=True) if shown else ()):
        with place:
            chosen = feature_grid(
                maps,
                key=f"grid{number}",
                selected=st.session_state.get(f"chosen{number}", 0),
                palettes=PALETTES,
                statistics=statistics_of(maps),
                marks=marks_of(maps),
                shared=(float(min(map(np.min, layers))), float(max(map(np.max, layers)))) if len(layers) > 1 else None,
                group="pair" if len(layers) > 1 else "",
                leads=number == 0,
                label=f"Channels of layer {number}",
            )
            st.session_state[f"chosen{number}"] = chosen
            st.text(f"Grid {number} has channel {chosen}")
st.session_state["runs"] = st.session_state.get("runs", 0) + 1
st.text(f"Run {st.session_state['runs']}")

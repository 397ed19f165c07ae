"""Every component that fetches bytes; from the second run on the script waits before it comes to them."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import streamlit as st

from tests.ui.component_apps import heat_view_app, strip_app
from tests.ui.component_apps.example_data import COLORS, NAMES, PALETTES, example_maps, example_panes, example_points
from ui.components import feature_grid, point_map
from ui.components.delivery import keep_delivered
from ui.components.heat_view import Drawn, heat_view
from ui.components.map_view import map_view
from ui.components.network_strip import network_strip

keep_delivered()
st.set_page_config(layout="wide")
state = st.session_state
state["run"] = state.get("run", 0) + 1
st.button("Run again")
if st.button("Other content"):
    state["content"] = 1
other = state.get("content", 0)
said = st.empty()
while state["run"] > 1 and not Path(os.environ["GO_ON"]).exists():
    said.text(f"Run {state['run']} waits")  # here a run is cut short where another is asked for
    time.sleep(0.05)
said.text(f"Run {state['run']} goes on")
blocks = strip_app.example_blocks("long" if other else "plain")
network_strip(blocks, key="strip", selected=blocks[0].layers[0].name, label="The network")
feature_grid(example_maps("plain") + other, key="grid", selected=0, palettes=PALETTES, label="Channels")
panes = [replace(pane, values=pane.values + other) for pane in example_panes("one")]
map_view(panes, key="map", place=None, scale=(0.0, 9.0), palettes=PALETTES, label="One channel")
heat_view(
    [heat_view_app.example_picture()],
    [replace(pane, values=pane.values + other) for pane in heat_view_app.example_panes("plain", 1)],
    key="heat",
    shared=(0.0, 9.0),
    palettes=PALETTES,
    unit="score",
    drawn=Drawn(),
    label="Heatmaps",
)
points, categories = example_points(2000 + other)
point_map(points, categories, key="points", names=NAMES, colors=COLORS, label="Pictures")

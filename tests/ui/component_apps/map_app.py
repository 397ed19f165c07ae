"""One point map, chosen by the query parameters; what Python received is written below it as JSON."""

from __future__ import annotations

import json

import numpy as np
import streamlit as st

from tests.ui.component_apps.example_data import COLORS, NAMES, example_points
from ui.components import MapSelection, point_map

st.set_page_config(layout="wide")
count = int(st.query_params.get("count", "10000"))
points, categories = st.cache_data(example_points)(count, st.query_params.get("case", "plain"))
selection = MapSelection()
if st.toggle("Show the map", value=True):
    selection = point_map(
        points,
        categories,
        key="map",
        names=NAMES,
        colors=COLORS,
        thumbnails="pictures/{index}.svg",
        captions=[f"picture_{i:05d}.png" for i in range(count)] if count <= 10000 else None,
        ring=np.array([3.0, -2.0], np.float32),
        ring_label="your picture",
        height=560,
        label="Pictures by what the last layer answers",
    )
report = {
    "polygon": selection.polygon,
    "clicked": selection.clicked,
    "hidden": selection.hidden,
    "unsupported": selection.unsupported,
    "chosen": int(selection.members(points, categories).sum()),
}
st.text(json.dumps(report))

"""One data set laid out in several frames, chosen by the query parameters; what Python received is written below it.

`count` points in `frames` frames (0: one layout without a name), each with a caption; `start` is the frame shown first.
How long `point_map` took in this run is written too.
"""

from __future__ import annotations

import json
import time

import numpy as np
import streamlit as st

from tests.ui.component_apps.example_data import HOSTILE_NAME, example_frames
from ui.components import point_map

COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#ee8866", "#44bb99", "#999933")


@st.cache_data
def captions_of(count: int) -> list[str]:
    return [f"pictures/picture_{i:07d}.png" for i in range(count)]


st.set_page_config(layout="wide")
asked = st.query_params
count, frames, start = (int(asked.get(name, value)) for name, value in (("count", 6000), ("frames", 4), ("start", 0)))
points, categories = st.cache_resource(example_frames)(count, frames)
names = ["conv1", HOSTILE_NAME, *(f"layer{i}.1.conv2 with a long name" for i in range(2, frames))][:frames]
ring = np.stack([points[..., 0, 0], points[..., 0, 1]], axis=-1)
captions = captions_of(count)
st.button("Run again")
if st.toggle("Ask for the last frame"):
    start = frames - 1
if st.toggle("Show the map", value=True):
    started = time.perf_counter()
    selection = point_map(
        points,
        categories,
        key="frames",
        names=[f"category {i}" for i in range(10)],
        colors=COLORS,
        thumbnails="pictures/{index}.svg",
        captions=captions,
        ring=ring,
        ring_label="your picture",
        height=int(asked.get("height", 620)),
        label="Pictures at the layers of a network",
        frames=names if frames else None,
        frame=start,
    )
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    chosen = selection.members(points, categories)
    report = {
        "polygon": selection.polygon,
        "clicked": selection.clicked,
        "frame": selection.frame,
        "frame_of_region": selection.frame_of_region,
        "chosen": int(chosen.sum()),
        "digest": int(np.flatnonzero(chosen).sum()),
    }
    st.text(json.dumps(report))
    st.text(f"point_map took {seconds:.4f} s, members {time.perf_counter() - started:.4f} s")

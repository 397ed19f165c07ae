"""One heat view, chosen by the query parameters; what Python received is written below it."""

from __future__ import annotations

import numpy as np
import streamlit as st

from tests.ui.component_apps.example_data import HOSTILE_NAME, PALETTES
from ui.components.heat_view import Box, Drawn, HeatPane, HeatPicture, heat_view

SIDE = 224
CROP = (80.0, -20.0, 220.0, 120.0)  # of the upload, 120 x 300: the network saw 20 rows above it


def example_picture() -> HeatPicture:
    """A bright disc over a smooth ground, as the network saw it, and the wider upload it was cut from."""

    def drawn(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        ground = np.stack([60 + y / 2, 150 - y / 3, 90 + 40 * np.sin(x / 24)], axis=2)
        disc = np.hypot(y - 90, x - 130)[..., None]
        ground = np.where(disc < 52, np.array([226, 130, 60]) - disc, ground)
        return np.clip(ground, 0, 255)

    left, top, right, _ = CROP
    scale = SIDE / (right - left)
    y, x = np.mgrid[0:120, 0:300]
    whole = drawn((y - top) * scale, (x - left) * scale)
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    rows = y / scale + top
    seen = np.where(((rows >= 0) & (rows < 120))[..., None], drawn(y, x), 0)
    return HeatPicture(seen.astype(np.uint8), whole.astype(np.uint8), CROP)


def example_maps(count: int, side: int = 7) -> list[np.ndarray]:
    """Maps with a blob each, the second half as strong; from the third on with another blob apart from it."""
    y, x = (np.mgrid[0:side, 0:side] + 0.5) / side
    draw = np.random.default_rng(4)
    maps = []
    for number in range(count):
        (down, across), width = draw.uniform(0.25, 0.75, 2), draw.uniform(0.12, 0.25)
        blob = np.exp(-((y - down) ** 2 + (x - across) ** 2) / (2 * width**2))
        if number >= 2:
            blob += 0.8 * np.exp(-((y - 1 + down) ** 2 + (x - 1 + across) ** 2) / (2 * 0.08**2))
        maps.append((blob * (8 if number != 1 else 4)).astype(np.float32))
    return maps


def example_panes(case: str, count: int) -> list[HeatPane]:
    """Panes of "plain", "signed", "broken" maps."""
    maps = example_maps(count)
    if case == "signed":
        maps = [values - 2 for values in maps]
    if case == "broken":
        maps[0][2, 3], maps[0][4, 1] = np.nan, np.inf
        maps[-1][:] = 3
    titles = [f"Grad-CAM for {HOSTILE_NAME}", "EigenCAM", "Layer-CAM at layer4.2.conv3 with a title beyond all measure"]
    last = "The map is flat: no place counts more than another." if case == "broken" else ""
    return [
        HeatPane(
            values,
            titles[number] if number < len(titles) else f"Method {number}",
            f"zebra {98.2 - number:.1f} %",
            (float(values.min()), float(np.nanmax(values[np.isfinite(values)]))) if case == "signed" else (0.0, 4.0),
            warning=last if number == count - 1 else "",
        )
        for number, values in enumerate(maps)
    ]


TRUE_BOX: Box = (78.0, 38.0, 182.0, 142.0)

if __name__ == "__main__":
    st.set_page_config(layout="wide")
    query = st.query_params
    case, count = query.get("case", "plain"), int(query.get("count", "1"))
    state = st.session_state
    palettes = (
        dict(reversed(PALETTES.items())) if case == "signed" else {**PALETTES, "diverging": PALETTES["diverging"]}
    )
    st.text_input("Words")
    if st.button("Another picture"):
        state["drawn"] = Drawn(box=(10, 20, 30, 40))
    drawn = heat_view(
        [example_picture()],
        example_panes(case, count),
        key="view",
        shared=(-2.0, 6.0) if case == "signed" else (0.0, 8.0),
        palettes=palettes,
        unit="score",
        drawn=state.get("drawn", Drawn()),
        boxes={0: [TRUE_BOX]} if "true" in query else {},
        tools="still" not in query,
        label="Heatmaps for zebra",
    )
    state["drawn"] = drawn
    state["runs"] = state.get("runs", 0) + 1
    points = sum(len(stroke.points) for stroke in drawn.strokes)
    kinds = ", ".join(f"{stroke.kind} {stroke.radius:g}" for stroke in drawn.strokes)
    st.text(f"Python has box {drawn.box}, strokes [{kinds}], pane {drawn.pane}")
    st.text(f"{points} points, run {state['runs']}")

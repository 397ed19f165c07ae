"""The map as files: a picture, a page that works alone, a table."""

from __future__ import annotations

import html
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import streamlit as st

from interpret.latent import Embedding, Projection
from interpret.latent.index import DATA, text
from interpret.model import LoadedModel
from interpret.rendering import png, scatter
from ui.display import flat_map
from ui.latent_colours import Colouring

AXES = ("x", "y", "z")


def table(embedded: Embedding, model: LoadedModel, projection: Projection) -> dict[str, list[Any]]:
    """A column for each thing known of the pictures, in their order."""
    known = [embedded.classes[label] if label >= 0 else None for label in embedded.labels]
    columns: dict[str, list[Any]] = {
        "path": [text(name) for name in embedded.names],
        "label": known,
        "prediction": [model.labels[index] for index in embedded.predictions],
        "confidence": embedded.confidences.tolist(),
        "loss": [float(value) if np.isfinite(value) else None for value in embedded.loss],
    }
    own = {
        DATA + text(name): column.tolist() if isinstance(column, np.ndarray) else [text(value) for value in column]
        for name, column in embedded.columns.items()
    }
    return (
        columns
        | own
        | {axis: projection.points[:, at].tolist() for at, axis in enumerate(AXES[: projection.points.shape[1]])}
    )


def parquet(columns: dict[str, list[Any]]) -> bytes:
    """The bytes of a Parquet file."""
    import pyarrow
    from pyarrow import parquet as writer

    buffer = io.BytesIO()
    writer.write_table(pyarrow.table(columns), buffer)
    return buffer.getvalue()


def page(embedded: Embedding, model: LoadedModel, projection: Projection, colours: Colouring) -> str:
    """HTML that draws the map with what is known of a point under the pointer, and fetches nothing."""
    captions = [
        f"{name} · {embedded.classes[label] if label >= 0 else ''} called {model.labels[said]} {confidence:.1%}"
        for name, label, said, confidence in zip(
            embedded.names, embedded.labels, embedded.predictions, embedded.confidences, strict=True
        )
    ]
    nowhere = np.full(projection.points.shape[1], np.nan, np.float32)
    chart = flat_map(projection.points, colours.categories, colours.names, colours.colours, captions, nowhere)
    chart.update_layout(title=f"{len(embedded.names):,} pictures at {html.escape(embedded.layer.name)}")
    written: str = chart.to_html(include_plotlyjs=True, full_html=True)
    return written


def downloads(embedded: Embedding, model: LoadedModel, projection: Projection, colours: Colouring) -> None:
    """A button for each kind of file; each is made when it is asked for."""
    kinds: dict[str, tuple[Callable[[], bytes | str], str, str]] = {
        "Picture (.png)": (
            lambda: png(scatter(projection.points[:, :2], colours.categories, None, 1024)),
            "map.png",
            "image/png",
        ),
        "Interactive page (.html)": (lambda: page(embedded, model, projection, colours), "map.html", "text/html"),
        "Table (.parquet)": (
            lambda: parquet(table(embedded, model, projection)),
            "map.parquet",
            "application/vnd.apache.parquet",
        ),
    }
    with st.popover("Download the map"):
        for title, (make, name, mime) in kinds.items():
            st.download_button(title, make, file_name=name, mime=mime, key=f"latent.{name}", on_click="ignore")

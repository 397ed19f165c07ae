"""The folder of an evaluation: a page without scripts, a table of all pictures, the class means, and a manifest."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from interpret.errors import BadInput
from interpret.evaluation.found import Evaluation
from interpret.evaluation.page import MARK, SHOWN, page, shown_classes
from interpret.rendering import Scale, colour, colour_bar, png, scaled_up
from interpret.store import write_whole

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def check_folder(folder: Path) -> None:
    """Refuses a folder whose page is another's; for before the work is done.

    Raises:
        BadInput: the folder holds an `index.html` that is no evaluation's.
    """
    place = folder / "index.html"
    if place.exists() and MARK.encode() not in place.read_bytes()[:2000]:
        raise BadInput(f'"{folder}" holds a page that is not of an evaluation; choose another folder.')


def table_rows(found: Evaluation) -> tuple[list[str], list[list[Any]]]:
    """Heads and rows of the table of all pictures; text that a spreadsheet would run has an apostrophe before it."""
    rows = [found.row(place) for place in range(len(found))]
    return list(rows[0]), [[_safe(value) for value in row.values()] for row in rows]


def _safe(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def report_files(found: Evaluation) -> dict[str, bytes]:
    """All of the report but its manifest: path, with slashes -> content."""
    files: dict[str, bytes] = {}
    shown = {int(place) for places in (found.wrong, found.unfaithful, range(len(found))) for place in places[:SHOWN]}
    for place in sorted(shown):
        files[f"pictures/{place}.jpg"] = found.seen[place]
        files[f"pictures/{place}-map.jpg"] = found.overlays[place]
    present, _, means = found.class_means
    scale = Scale.positive(means)
    for at in shown_classes(found):
        files[f"pictures/class-{present[at]}.png"] = png(scaled_up(colour(means[at], scale), 96))
    files["pictures/scale.png"] = png(colour_bar())
    raw, text = io.BytesIO(), io.StringIO(newline="")
    np.save(raw, means)
    heads, rows = table_rows(found)
    csv.writer(text).writerows([heads, *rows])
    files["class_means.npy"] = raw.getvalue()
    files["table.csv"] = _encoded(text.getvalue())
    files["index.html"] = _encoded(page(found))
    return files


def report_archive(found: Evaluation, manifest: Mapping[str, Any]) -> bytes:
    """The whole report as a zip, with a manifest."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in report_files(found).items():
            archive.writestr(name, content)
        archive.writestr("manifest.json", json.dumps(manifest, indent=2, allow_nan=False))
    return buffer.getvalue()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")  # file names need not be Unicode


def write_report(found: Evaluation, folder: Path) -> None:
    """Writes the report, each file whole, over an earlier one; its manifest is taken away and is the caller's to write.

    Raises:
        BadInput: as `check_folder`.
    """
    check_folder(folder)
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").unlink(missing_ok=True)
    files = report_files(found)
    for name, content in files.items():
        write_whole(folder / name, content)
    for stale in (folder / "pictures").iterdir():  # of an earlier report, or of a run that was killed
        if stale.suffix in (".jpg", ".png", ".tmp") and f"pictures/{stale.name}" not in files:
            stale.unlink()

"""The command `units`: what a data set excites in every channel of a layer, as tables and a sheet of crops."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from interpret.channels import channel_numbers
from interpret.commands import Answer, driven, finish, model_of, output_folder
from interpret.datasets import open_source
from interpret.rendering import grid, png
from interpret.units import UnitStatistics, collect_units, crops

_SIDE = 96
_PER_CHANNEL = 9


def save_units(options: argparse.Namespace) -> Answer:
    """`tops.csv`, `classes.csv`, `crops.png` (a row of crops for each channel chosen) and `manifest.json`."""
    model = model_of(options)
    layer = model.layer(options.layer)
    channels = channel_numbers(options.channels, layer.channels)
    source = open_source(options.data)
    found = driven(collect_units(model, source, [layer.name]), options)[layer.name]
    folder = output_folder(options.out)
    _table(folder / "tops.csv", ("channel", "rank", "value", "picture", "row", "column"), _tops(found))
    _table(folder / "classes.csv", ("channel", "class", "pictures", "mean", "deviation", "auc"), _classes(found))
    sheet = [crop for channel in channels for crop in crops(model, source, found, channel, _PER_CHANNEL, _SIDE)]
    (folder / "crops.png").write_bytes(png(grid(sheet, columns=_PER_CHANNEL, gap=4)))
    answer = finish(
        folder,
        model,
        command="units",
        data=options.data,
        data_digest=source.digest,
        layer=layer.name,
        pictures=found.seen,
        channels_drawn=list(channels),
        classes_are_predicted=found.classes_are_predicted,
        dead=[int(channel) for channel in np.flatnonzero(found.dead)],
        skipped=[{"image": name, "reason": reason} for name, reason in found.skipped],
    )
    return answer, f"What {found.seen:,} pictures excite in {layer.channels:,} channels of {layer.name}: {folder}"


def _table(path: Path, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(heads)
        writer.writerows(rows)


def _tops(found: UnitStatistics) -> Iterable[Sequence[Any]]:
    for channel, rank in np.argwhere(found.top_pictures >= 0):
        at = channel, rank
        name = found.names[found.top_pictures[at]]
        yield channel, rank, found.top_values[at], name, found.top_rows[at], found.top_columns[at]


def _classes(found: UnitStatistics) -> Iterable[Sequence[Any]]:
    for channel in range(found.layer.channels):
        by = found.by_class(channel)
        for at in np.flatnonzero(by.counts):
            yield channel, by.classes[at], by.counts[at], by.means[at], by.deviations[at], by.areas[at]

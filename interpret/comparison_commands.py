"""The command `compare`: what changed between two checkpoints, or where two networks differ over the same pictures."""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from interpret.commands import Answer, driven, finish, json_number, model_of, output_folder
from interpret.comparison import (
    Disagreements,
    LayerSimilarity,
    TensorChange,
    compare_answers,
    layer_similarity,
    most_changed,
    overall,
    weight_changes,
)
from interpret.datasets import open_source
from interpret.errors import BadInput

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MOST = 20
"""Channels named in the manifest, and three of them in the text."""


def add_compare_options(parser: argparse.ArgumentParser) -> None:
    """What `compare` can be told."""
    parser.add_argument("other", metavar="OTHER", help="the checkpoint it is compared with; all options hold for both")
    parser.add_argument("data", metavar="DATA", help='folder, .zip, list, "shapes:500", ..., as for embed')
    parser.add_argument("--other-arch", metavar="KEY", help="the architecture of OTHER, where it is another")
    parser.add_argument("--other-part", metavar="PATH", help="the same of --part")
    parser.add_argument("--other-labels", metavar="FILE", help="the same of --labels")
    parser.add_argument("--out", required=True, metavar="DIR")


def compare(options: argparse.Namespace) -> Answer:
    """`disagreements.csv`, `similarity.csv` and `.npy`, `weights.csv` of one architecture, and `manifest.json`.

    `similarity.npy` is float32 [2, layers of CKPT, layers of OTHER]: CKA, then the overlap of neighbours.
    """
    one = model_of(options)
    changed = {name: getattr(options, f"other_{name}") or getattr(options, name) for name in ("arch", "part", "labels")}
    other = model_of(argparse.Namespace(**{**vars(options), **changed, "checkpoint": options.other}))
    source = open_source(options.data)
    try:
        changes, refused = weight_changes(one, other), ""
    except BadInput as error:
        changes, refused = (), str(error)
    answers = driven(compare_answers(one, other, source), options)
    layers = driven(layer_similarity(one, other, source), options)
    folder = output_folder(options.out)
    _table(folder / "disagreements.csv", _pictures(answers))
    _table(folder / "similarity.csv", _pairs(layers))
    np.save(folder / "similarity.npy", np.stack([layers.cka, layers.overlap]))
    (folder / "weights.csv").unlink(missing_ok=True)
    if changes:
        _table(folder / "weights.csv", _weights(changes))
    distance, cosine = overall(changes)
    answer = finish(
        folder,
        one,
        command="compare",
        other={"checkpoint": other.name, "model_digest": other.digest, "architecture": other.architecture.key},
        data=options.data,
        data_digest=source.digest,
        pictures=len(answers),
        accuracy=[json_number(value) for value in answers.accuracy],
        accuracy_of_classes=[
            {"class": name, "pictures": int(count), "accuracy": [json_number(value) for value in shares]}
            for name, count, shares in zip(
                answers.by_class.classes, answers.by_class.counts, answers.by_class.accuracy.T, strict=True
            )
        ],
        classes_compared_by=answers.compared_by or None,
        classes_matched_by=[by or None for by in answers.matched_by],
        agreement=json_number(answers.agreement),
        kappa=json_number(answers.kappa),
        mcnemar={**asdict(answers.mcnemar), "p_value": json_number(answers.mcnemar.p_value)},
        weights={
            "distance": json_number(distance),
            "cosine": json_number(cosine),
            "most_changed": [
                {"layer": layer, "channel": channel, "distance": json_number(far)}
                for layer, channel, far in most_changed(changes, _MOST)
            ],
        }
        if changes
        else None,
        weights_refused=refused or None,
        similarity={
            "axes": ["cka, overlap", "rows", "columns"],
            "rows": list(layers.rows),
            "columns": list(layers.columns),
            "pictures": layers.pictures,
            "neighbors": layers.neighbors,
        },
        skipped=[{"image": name, "reason": reason} for name, reason in answers.skipped],
    )
    lines = [*_said(answers), *_said_of(changes), refused, layers.says, f"Written to {folder}"]
    return answer, "\n".join(filter(None, lines))


def _said(found: Disagreements) -> list[str]:
    first, second = found.networks
    lines = [f"{len(found):,} pictures, {len(found.skipped):,} could not be read"]
    if not np.isnan(found.accuracy).all():
        lines.append(f"right: {_percent(found.accuracy[0])} {first}, {_percent(found.accuracy[1])} {second}")
    if not math.isnan(found.mcnemar.p_value):
        test = found.mcnemar
        lines.append(
            f"only the first right: {test.first_only:,}, only the second: {test.second_only:,} "
            f"(McNemar's exact p {test.p_value:.2g})"
        )
    if found.compared_by:
        lines.append(f"the same answer: {_percent(found.agreement)}, kappa {found.kappa:.3f}, by {found.compared_by}")
    else:
        lines.append("The classes of the two networks do not correspond, so their answers cannot be compared.")
    return lines


def _said_of(changes: Sequence[TensorChange]) -> list[str]:
    if not changes:
        return []
    distance, cosine = overall(changes)
    layers = sorted(changes, key=lambda change: -change.distance)[:3]
    named = ", ".join(f"{change.layer} {change.distance:.3g}" for change in layers)
    channels = ", ".join(f"{layer} {channel} ({far:.3g})" for layer, channel, far in most_changed(changes, 3))
    return [
        f"weights moved by {distance:.3g} of their length, cosine {cosine:.3f}; most: {named}",
        f"channels that moved most: {channels}",
    ]


def _percent(share: float) -> str:
    return "unknown" if math.isnan(share) else f"{100 * share:.1f} %"


def _pictures(found: Disagreements) -> Iterable[Sequence[Any]]:
    yield (
        "picture", "same", "prediction", "probability", "right",
        "other_prediction", "other_probability", "other_right", "divergence_bits",
    )  # fmt: skip
    right = found.right
    for at in found.order:
        sides = [
            (found.labels[side][found.predictions[side, at]], found.confidences[side, at], _right(right[side, at]))
            for side in (0, 1)
        ]
        same = int(found.same[at]) if found.compared_by else ""
        yield found.names[at], same, *sides[0], *sides[1], _number(found.divergence[at])


def _right(value: int) -> int | str:
    return int(value) if value >= 0 else ""


def _pairs(found: LayerSimilarity) -> Iterable[Sequence[Any]]:
    yield "layer", "other_layer", "cka", "overlap"
    for i, row in enumerate(found.rows):
        for j, column in enumerate(found.columns):
            yield row, column, _number(found.cka[i, j]), found.overlap[i, j]


def _weights(changes: Sequence[TensorChange]) -> Iterable[Sequence[Any]]:
    yield "layer", "kind", "distance", "cosine", "norm", "other_norm", "mean_moved", "variance_moved"
    for change in changes:
        kept = change.statistics
        moved = (kept.mean, kept.variance) if kept else ("", "")
        yield change.layer, change.kind, change.distance, _number(change.cosine), *change.norms, *moved


def _number(value: float) -> float | str:
    return "" if math.isnan(value) else value


def _table(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Writes rows; text that a spreadsheet would run has an apostrophe before it."""
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        csv.writer(file).writerows(
            [f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in row]
            for row in rows
        )

"""The command `compare`: what changed between two checkpoints, where two networks differ, or along a whole training."""

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
    ClassAccuracies,
    Course,
    Disagreements,
    LayerSimilarity,
    ShapeDifference,
    TensorChange,
    along,
    checkpoints_in,
    compare_answers,
    differing_shapes,
    layer_similarity,
    most_changed,
    overall,
    usable_of,
    weight_changes,
)
from interpret.comparison.layers import MOST
from interpret.datasets import open_source
from interpret.errors import BadInput
from interpret.model import LoadedModel

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MOST = 20
"""Channels named in the manifest, and three of them in the text."""


def add_compare_options(parser: argparse.ArgumentParser) -> None:
    """What `compare` can be told."""
    parser.add_argument("other", metavar="OTHER", help="the checkpoint it is compared with; all options hold for both")
    parser.add_argument(
        "--epochs",
        action="store_true",
        help="OTHER is a folder of checkpoints, one for each epoch: how far each is from CKPT, in the order of the "
        f"numbers in their names, over at most {MOST:,} pictures",
    )
    parser.add_argument("data", metavar="DATA", help='folder, .zip, list, "shapes:500", ..., as for embed')
    parser.add_argument("--other-arch", metavar="KEY", help="the architecture of OTHER, where it is another")
    parser.add_argument("--other-part", metavar="PATH", help="the same of --part")
    parser.add_argument("--other-labels", metavar="FILE", help="the same of --labels")
    parser.add_argument("--out", required=True, metavar="DIR")


def compare(options: argparse.Namespace) -> Answer:
    """`disagreements.csv`, `similarity.csv` and `.npy`, `weights.csv` where any can be compared, and `manifest.json`.

    `similarity.npy` is float32 [2, layers of CKPT, layers of OTHER]: CKA, then the overlap of neighbours. With --epochs
    `course.csv`, `layers.csv` and `manifest.json`.
    """
    if options.epochs:
        return _course(options)
    one, other = model_of(options), _other(options, options.other)
    source = open_source(options.data)
    apart = differing_shapes(one, other)
    try:
        changes, refused = weight_changes(one, other), ""
    except BadInput as error:
        changes, refused = (), str(error)
    answers = driven(compare_answers(one, other, source), options)
    layers = driven(layer_similarity(one, other, source), options)
    folder = _emptied(options.out)
    _table(folder / "disagreements.csv", _pictures(answers))
    _table(folder / "similarity.csv", _pairs(layers))
    np.save(folder / "similarity.npy", np.stack([layers.cka, layers.overlap]))
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
        accuracy_of_classes=_of_classes(answers.by_class),
        classes_compared_by=answers.compared_by or None,
        classes_matched_by=[by or None for by in answers.matched_by],
        agreement=json_number(answers.agreement),
        kappa=json_number(answers.kappa),
        mcnemar={**asdict(answers.mcnemar), "p_value": json_number(answers.mcnemar.p_value)},
        weights={
            "distance": json_number(distance),
            "cosine": json_number(cosine),
            "most_changed": [
                {"layer": layer, "channel": channel, "move": json_number(far)}
                for layer, channel, far in most_changed(changes, _MOST)
            ],
            "left_out": [asdict(tensor) for tensor in apart],
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
    lines = [*_said(answers), *_said_of(changes, apart), refused, layers.says, f"Written to {folder}"]
    return answer, "\n".join(filter(None, lines))


def _other(options: argparse.Namespace, checkpoint: str | Path) -> LoadedModel:
    changed = {name: getattr(options, f"other_{name}") or getattr(options, name) for name in ("arch", "part", "labels")}
    return model_of(argparse.Namespace(**{**vars(options), **changed, "checkpoint": checkpoint}))


def _emptied(name: str) -> Path:
    """The folder without the tables of an earlier run, which may have been of another kind."""
    folder = output_folder(name)
    for table in ("disagreements.csv", "similarity.csv", "similarity.npy", "weights.csv", "course.csv", "layers.csv"):
        (folder / table).unlink(missing_ok=True)
    return folder


def _course(options: argparse.Namespace) -> Answer:
    one, source = model_of(options), open_source(options.data)
    paths = [path for path in checkpoints_in(options.other) if not path.samefile(options.checkpoint)]
    usable = driven(usable_of(paths, lambda path: _other(options, path)), options)
    if not usable.paths:
        reason = usable.left_out[0][1] if usable.left_out else "It holds CKPT alone."
        raise BadInput(f'"{options.other}" holds no further checkpoint that can be opened. {reason}')
    found = driven(along([one, *usable.paths], source, lambda path: _other(options, path)), options)
    folder = _emptied(options.out)
    heads, rows = _checkpoints(found)
    _table(folder / "course.csv", [heads, *([_number(cell) for cell in row] for row in rows)])
    _table(folder / "layers.csv", _settled(found))
    answer = finish(
        folder,
        one,
        command="compare",
        epochs=options.other,
        data=options.data,
        data_digest=found.source_digest,
        pictures=found.pictures,
        checkpoints=[
            {"model_digest": digest}
            | {
                name: json_number(cell) if isinstance(cell, float) else cell
                for name, cell in zip(heads, row, strict=True)
            }
            for digest, row in zip(found.model_digests, rows, strict=True)
        ],
        accuracy_of_classes=_of_classes(found.by_class),
        left_out=[{"checkpoint": name, "reason": reason} for name, reason in usable.left_out],
        skipped=[{"image": name, "reason": reason} for name, reason in found.skipped],
    )
    lines = [f"{found.pictures:,} pictures, {len(found.skipped):,} could not be read"]
    for name, accuracy, agreement, churn, distance, *_ in rows:
        lines.append(
            f"{name}: right {_percent(accuracy)}, as the first {_percent(agreement)}, "
            f"others than one before {_percent(churn)}, weights {distance:.3g} of their length from the first's"
        )
    lines += [f"left out: {name}. {reason}" for name, reason in usable.left_out]
    return answer, "\n".join([*lines, f"Written to {folder}"])


def _checkpoints(found: Course) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Heads and rows of the checkpoints of a course."""
    heads = ("checkpoint", "accuracy", "agreement", "churn", "distance", "cosine", "distance_before", "cosine_before")
    columns = (
        found.accuracy, found.agreement, found.churn, found.from_first, found.cosine_first, found.from_previous,
        found.cosine_previous,
    )  # fmt: skip
    return heads, [(name, *map(float, row)) for name, *row in zip(found.names, *columns, strict=True)]


def _settled(found: Course) -> Iterable[Sequence[Any]]:
    yield "checkpoint", "layer", "cka_to_last"
    for name, row in zip(found.names, found.cka, strict=True):
        for layer, value in zip(found.layers, row, strict=True):
            yield name, layer, _number(value)


def _of_classes(found: ClassAccuracies) -> list[dict[str, Any]]:
    return [
        {"class": name, "pictures": int(count), "accuracy": [json_number(value) for value in shares]}
        for name, count, shares in zip(found.classes, found.counts, found.accuracy.T, strict=True)
    ]


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


def _said_of(changes: Sequence[TensorChange], apart: Sequence[ShapeDifference]) -> list[str]:
    if not changes:
        return []
    distance, cosine = overall(changes)
    layers = sorted(changes, key=lambda change: -change.distance)[:3]
    named = ", ".join(f"{change.layer} {change.distance:.3g}" for change in layers)
    channels = ", ".join(f"{layer} {channel} ({far:.3g})" for layer, channel, far in most_changed(changes, 3))
    lines = [
        f"weights moved by {distance:.3g} of their length, cosine {cosine:.3f}; most: {named}",
        f"channels that moved most: {channels}",
    ]
    if apart:
        shapes = ", ".join(
            f"{one.layer} {one.tensor} {_shape(one.shape)} and {_shape(one.other_shape)}" for one in apart[:3]
        )
        more = f", and {len(apart) - 3:,} more" if len(apart) > 3 else ""
        lines.append(f"weights left out, as name or shape differs: {shapes}{more}")
    return lines


def _shape(shape: tuple[int, ...] | None) -> str:
    return "none" if shape is None else str(list(shape))


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


def _number(value: Any) -> Any:
    """A cell; empty where a number is NaN."""
    return "" if isinstance(value, float | np.floating) and math.isnan(value) else value


def _table(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Writes rows; text that a spreadsheet would run has an apostrophe before it."""
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        csv.writer(file).writerows(
            [f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in row]
            for row in rows
        )

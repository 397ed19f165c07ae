"""The commands `heatmap`, which places of pictures spoke for a class, and `evaluate`, the same of a whole data set."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from interpret.commands import Answer, driven, finish, json_number, model_of, output_folder
from interpret.datasets import open_source
from interpret.errors import BadInput
from interpret.evaluation import check_folder, evaluate_job, shapes_boxes, told_totals, write_report
from interpret.heatmaps import DEFAULT_METHOD, METHODS, Heatmap, fused, layer_heatmaps_job
from interpret.heatmaps.faithfulness import Evidence, Verdict, evidence_job, verdict
from interpret.heatmaps.localisation import Box, box_of, boxes_of_file
from interpret.images import InputImage
from interpret.model import LoadedModel
from interpret.rendering import Scale, overlay, png


def add_heatmap_options(parser: argparse.ArgumentParser) -> None:
    """What is asked of each picture, where, and what else is to be said of the map."""
    _add_common_options(parser)
    parser.add_argument("--layers", metavar="A,B,C", help="several layers instead of one: a map of each, on one scale")
    parser.add_argument("--fuse", choices=("mean", "product"), help="with --layers: one map of all of them")
    parser.add_argument("--target", metavar="CLASS", help="index or label; the predicted class if not given")
    parser.add_argument("--against", metavar="CLASS", help="index or label of a rival: why the class and not that one")
    parser.add_argument("--aim", metavar="KEY", help="score, log-probability or margin (score; margin with --against)")
    parser.add_argument("--head", metavar="NAME", help="of a network that answers several things: which to explain")
    parser.add_argument("--signed", action="store_true", help="keep what speaks against the class, below zero")
    parser.add_argument("--box", type=float, metavar="FRACTION", help="also the box at this share of the maximum")
    parser.add_argument("--evidence", action="store_true", help="also whether the map may be believed; takes longer")


def add_evaluate_options(parser: argparse.ArgumentParser) -> None:
    """Which pictures, and what is asked of each."""
    parser.add_argument("data", metavar="DATA", help='folder, .zip, "shapes" or "shapes:500"')
    _add_common_options(parser)
    parser.add_argument(
        "--labelled", action="store_true", help="maps of the class the data set says, not the predicted"
    )
    parser.add_argument("--boxes", metavar="FILE", help="true boxes, CSV or JSON; those of Shapes are known")
    parser.add_argument("--limit", type=int, metavar="N", help="so many pictures, spread evenly over the data set")


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--method", default=DEFAULT_METHOD, metavar="KEY", help="grad-cam, hires-cam, score-cam, ... (grad-cam)"
    )
    parser.add_argument("--layer", metavar="NAME", help="the last spatial layer before pooling if not given")
    parser.add_argument("--seed", type=int, default=0, help="of methods that draw lots")
    parser.add_argument("--out", required=True, metavar="DIR")


def save_heatmaps(options: argparse.Namespace) -> Answer:
    """Per picture `STEM.heatmap.npy` [rows, columns] and `STEM.overlay.png`; `manifest.json`.

    With several layers that are not fused `STEM.LAYER.heatmap.npy` and so on, on one scale for each picture.
    """
    _check(options)
    model = model_of(options)
    if options.head is not None:
        model = model.with_head(options.head)
    layers = [options.layer or model.default_layer.name]
    if options.layers is not None:
        layers = list(dict.fromkeys(model.layer(name.strip()).name for name in options.layers.split(",")))
    asked = {name: getattr(options, name) for name in ("method", "target", "aim", "signed", "seed")}
    folder = output_folder(options.out)
    written, lines = list[dict[str, Any]](), list[str]()
    for path, stem in zip(options.images, _numbered(Path(path).stem for path in options.images), strict=True):
        image = InputImage.from_path(path)
        made = driven(layer_heatmaps_job(model, image, layers, rival=options.against, **asked), options)
        stems = [stem]
        if options.fuse is not None:
            made = [fused(made, options.fuse)]
        elif options.layers is not None:
            stems = [f"{stem}.{name}" for name in _numbered(re.sub("[^A-Za-z0-9._-]", "_", name) for name in layers)]
        everything = np.concatenate([one.values.ravel() for one in made])
        scale = Scale.symmetric(everything) if options.signed else Scale.positive(everything)
        for one, own in zip(made, stems, strict=True):
            row = {"image": path, **_save(folder, own, model, image, one, scale, options.signed)}
            if options.box is not None:
                row |= {"box": _sides(box_of(one.values, model.preprocess.size, options.box))}
            if options.evidence:
                evidence = driven(evidence_job(model, image, one, seed=options.seed), options)
                judged = verdict(one, evidence, model.labels[one.target])
                row |= {"evidence": _evidence(evidence, judged)}
                lines += [f"{own}: {judged.says}", *(f"  {more}" for more in judged.besides), f"  {_figures(evidence)}"]
            written.append(row)
    answer = finish(
        folder,
        model,
        command="heatmap",
        method=options.method,
        aim=made[0].aim,
        against=None if made[0].rival is None else model.labels[made[0].rival],
        head=options.head,
        fused=list(made[0].fused),
        fusion=options.fuse,
        signed=options.signed,
        seed=options.seed,
        box_at=options.box,
        axes=["rows", "columns"],
        images=written,
    )
    return answer, "\n".join([*lines, f"{len(written)} heatmaps written to {folder}"])


def _check(options: argparse.Namespace) -> None:
    """Refuses options that contradict each other, before a network is opened."""
    if options.layers is not None and options.layer is not None:
        raise BadInput("--layer and --layers cannot both be given.")
    if options.fuse is not None and options.layers is None:
        raise BadInput("--fuse goes with --layers only.")
    if options.fuse is not None and options.signed:
        raise BadInput("--signed does not go with --fuse: a fused map holds only what speaks for the class.")
    if options.layers is not None and any(one.key == options.method and one.of_pixels for one in METHODS):
        raise BadInput(f'--layers does not go with "{options.method}", which looks at the pixels.')
    if options.box is not None and not 0 <= options.box <= 1:
        raise BadInput(f"--box takes a share of the maximum from 0 to 1; found {options.box:g}.")


def _save(
    folder: Path, stem: str, model: LoadedModel, image: InputImage, made: Heatmap, scale: Scale, signed: bool
) -> dict[str, Any]:
    """Writes a map and its overlay; what the manifest says of them."""
    np.save(folder / f"{stem}.heatmap.npy", made.values)
    laid = overlay(model.preprocess.seen(image), made.values, scale, "blue-red" if signed else "viridis")
    (folder / f"{stem}.overlay.png").write_bytes(png(laid))
    return {
        "digest": image.digest,
        "heatmap": f"{stem}.heatmap.npy",
        "overlay": f"{stem}.overlay.png",
        "layer": None if made.layer is None else made.layer.name,
        "target": made.target,
        "label": model.labels[made.target],
        "score": json_number(made.score),
        "probability": json_number(made.probability),
        "scale": [json_number(scale.low), json_number(scale.high)],
        "says": made.says,
    }


def _numbered(names: Iterable[str]) -> list[str]:
    """Names for files, numbered where two are the same."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return found


def _sides(box: Box | None) -> list[float] | None:
    """Left, top, right, bottom in pixels of what the network saw."""
    return None if box is None else [box.left, box.top, box.right, box.bottom]


def _evidence(evidence: Evidence, judged: Verdict) -> dict[str, Any]:
    return {
        "verdict": judged.level,
        "says": judged.says,
        "besides": list(judged.besides),
        "deletion": json_number(evidence.curves.deletion.area),
        "insertion": json_number(evidence.curves.insertion.area),
        "gain": json_number(evidence.curves.gain),
        "random_gains": [json_number(one.gain) for one in evidence.floor],
        "road": json_number(evidence.road),
        "average_drop": json_number(evidence.drop),
        "increase": evidence.rises,
        "stability": None if evidence.stability is None else json_number(evidence.stability),
        "random_weights": None if evidence.twins is None else json_number(evidence.twins.likeness),
    }


def _figures(evidence: Evidence) -> str:
    """The evidence in numbers, for people."""
    floor = ", ".join(f"{one.gain:.3f}" for one in evidence.floor)
    said = [
        f"deletion {evidence.curves.deletion.area:.3f}",
        f"insertion {evidence.curves.insertion.area:.3f}",
        f"gain {evidence.curves.gain:.3f} (random maps {floor})",
        f"ROAD {evidence.road:.3f}",
        f"drop {evidence.drop:.3f}",
    ]
    if evidence.stability is not None:
        said.append(f"stability {evidence.stability:.3f}")
    if evidence.twins is not None:
        said.append(f"likeness on random weights {evidence.twins.likeness:.3f}")
    return ", ".join(said)


def evaluate(options: argparse.Namespace) -> Answer:
    """`index.html` with `pictures/`, `table.csv`, `class_means.npy` [classes, rows, columns] and `manifest.json`."""
    if options.limit is not None and options.limit < 1:
        raise BadInput(f"--limit must be at least 1; found {options.limit}.")
    source = open_source(options.data)
    boxes = None
    if options.boxes is not None:
        boxes = boxes_of_file(_text(Path(options.boxes)))
    elif options.data.partition(":")[0] == "shapes":
        boxes = shapes_boxes(len(source))
    check_folder(Path(options.out))
    model = model_of(options)
    found = driven(
        evaluate_job(
            model,
            source if options.limit is None else source.first(options.limit),
            method=options.method,
            layer=options.layer,
            target="labelled" if options.labelled else "predicted",
            seed=options.seed,
            boxes=boxes,
        ),
        options,
    )
    folder = output_folder(options.out)
    write_report(found, folder)
    answer = finish(
        folder,
        model,
        command="evaluate",
        data=options.data,
        boxes=options.boxes,
        axes=["classes", "rows", "columns"],
        shape=list(found.class_means[2].shape),
        **found.facts(),
    )
    return answer, "\n".join([*told_totals(found.totals), f"Open {folder / 'index.html'}"])


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f'The file of boxes "{path}" is no text in UTF-8.') from None

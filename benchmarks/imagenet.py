"""`python -m benchmarks imagenet --data DIR ...`: how faithful heatmaps are on photographs, beside published figures.

Average drop, coherency, complexity, ADCC, increase and drop in deletion as pytorch-shapley-cam measured them on
ImageNet's 50,000 validation pictures (Cai 2025, "CAMs as Shapley Value-based Explainers", arXiv 2501.06261, its
`usage_examples/ADCC_imagenet_gist.py` and `gist_avgpoolpre2.txt`): shortest side 256 pixels, middle 224, the predicted
class, the last block before pooling (`layer4[-1]` of a ResNet), and the target ReST. For Grad-CAM pytorch-grad-cam
itself is run beside, its maps and its metrics. Published figures are shown only for the very weights they are of.

ReST is the Residual Softmax Target-class function: the class score plus the logarithm of the class's probability,
score_c + log softmax(score)_c. So neither the score alone decides the map, which rises when all scores do, nor the
probability alone, whose gradient vanishes where the network is sure. With the score alone the figures differ greatly.

Where DIR holds `boxes.csv`, how well the maps find the object is measured too.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.peer_grad_cam import Peer
from benchmarks.published_heatmaps import LAYERS, METRICS, PROTOCOL, PUBLISHED, SOURCE
from benchmarks.timing import machine
from interpret.checkpoints import read_checkpoint
from interpret.checkpoints.pretrained import fetch_pretrained, published_weights
from interpret.checkpoints.reading import Checkpoint
from interpret.datasets import PictureSource, open_source
from interpret.errors import InterpretError
from interpret.heatmaps import METHODS, Aim, HeatmapMethod, Question
from interpret.heatmaps.faithfulness.masked import Masked, adcc, masked
from interpret.heatmaps.localisation import (
    TOLERANCE_PIXELS,
    Box,
    Localisation,
    boxes_of_file,
    localised,
    max_box_accuracy,
    pointing_game,
    seen_boxes,
)
from interpret.images import InputImage
from interpret.jobs import complete
from interpret.layers import LayerInfo
from interpret.loading import load_model
from interpret.model import LoadedModel

QUICK = ("grad-cam", "hires-cam", "xgrad-cam", "grad-cam++", "layer-cam", "random-cam")
PEER = "pytorch-grad-cam, Grad-CAM"
TOGETHER = 16

Floats = NDArray[np.float32]


def _rest(scores: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    return (scores + scores.log_softmax(1)).gather(1, classes[:, None])[:, 0]


REST = Aim("rest", "ReST", "The class score plus the logarithm of the class's probability (arXiv 2501.06261).", _rest)


def means(parts: Sequence[Masked]) -> dict[str, float]:
    """The mean of each metric over all pictures; ADCC is that of the means, as in the published table."""
    drop, coherency, crowd, increase, deletion = (
        torch.cat([getattr(part, name) for part in parts]).double().mean()
        for name in ("average_drop", "coherency", "complexity", "increase", "drop_in_deletion")
    )
    values = (drop, coherency, crowd, adcc(drop, coherency, crowd), increase, deletion)
    return {name: round(float(value), 5) for name, value in zip(METRICS, values, strict=True)}


class Found:
    """How well one method's maps find objects, picture by picture."""

    def __init__(self) -> None:
        self.ones: list[Localisation] = []
        self.near: list[bool] = []
        self.right: list[bool] = []

    def add(self, values: Floats, size: tuple[int, int], boxes: Sequence[Box], right: bool) -> None:
        """A map, the true boxes in what the network saw, and whether the predicted class is the true one."""
        self.ones.append(localised(values, size, boxes))
        self.near.append(pointing_game(values, size, boxes, TOLERANCE_PIXELS))
        self.right.append(right)

    def figures(self) -> dict[str, float]:
        """Shares over the pictures, 0..1."""
        share, threshold = max_box_accuracy([one.curve for one in self.ones])
        fits = np.array([one.iou >= 0.5 for one in self.ones])
        values = {
            "MaxBoxAcc": share,
            "its threshold": threshold,
            "box error at 15 %": 1 - fits.mean(),
            "localisation error at 15 %, top-1": 1 - (fits & np.array(self.right)).mean(),
            "pointing game": np.mean([one.points for one in self.ones]),
            f"pointing game, {TOLERANCE_PIXELS} px": np.mean(self.near),
            "energy inside": np.mean([one.energy for one in self.ones]),
        }
        return {name: round(float(value), 5) for name, value in values.items()}


def true_boxes(folder: Path) -> tuple[dict[str, tuple[Box, ...]], dict[str, int]]:
    """File name -> true boxes in pixels of the picture, and -> class index where it is told; empty without a file."""
    path = folder / "boxes.csv"
    if not path.is_file():
        return {}, {}
    text = path.read_text(encoding="utf-8")
    rows = csv.DictReader(io.StringIO(text))
    classes = {Path(row["file"]).name: int(row["class_index"]) for row in rows if row.get("class_index")}
    return boxes_of_file(text), classes


def measure(
    model: LoadedModel,
    peer: Peer | None,
    source: PictureSource,
    methods: Sequence[HeatmapMethod],
    layer: LayerInfo,
    true: tuple[Mapping[str, Sequence[Box]], Mapping[str, int]],
) -> dict[str, Any]:
    """Every metric of every method over the pictures of a source, `TOGETHER` at a time; what `main` writes of it."""
    parts: dict[str, list[Masked]] = defaultdict(list)
    found: dict[str, Found] = defaultdict(Found)
    spent: dict[str, float] = defaultdict(float)
    cut_away = 0
    with ThreadPoolExecutor(2) as pool:
        for start in range(0, len(source), TOGETHER):
            numbers = range(start, min(start + TOGETHER, len(source)))
            images: list[InputImage] = list(pool.map(source.read, numbers))
            names = [Path(source.names[number]).name for number in numbers]
            batch = torch.cat([model.preprocess.to_batch(image) for image in images]).to(model.runtime.device)
            scores = model.observe(batch).scores
            assert scores is not None
            classes = scores.argmax(1)
            boxes = [
                seen_boxes(true[0].get(name, ()), model.preprocess, image)
                for name, image in zip(names, images, strict=True)
            ]
            cut_away += sum(name in true[0] and not seen for name, seen in zip(names, boxes, strict=True))
            for method in methods:
                began = time.perf_counter()

                def maps_of(
                    pictures: torch.Tensor,
                    wanted: torch.Tensor,
                    method: HeatmapMethod = method,
                    seed: int = 2 * start + 1,
                ) -> torch.Tensor:
                    return complete(method.job(Question(model, pictures, layer, wanted, REST, seed=seed)))[0].detach()

                maps = maps_of(batch, classes, seed=2 * start)
                parts[method.key].append(masked(model, batch, maps, classes, maps_of))
                values = maps.relu().float().cpu().numpy()
                for place, (name, seen) in enumerate(zip(names, boxes, strict=True)):
                    if seen:
                        right = true[1].get(name) == int(classes[place])
                        found[method.key].add(values[place], model.preprocess.size, seen, right)
                spent[method.key] += time.perf_counter() - began
            if peer is not None:
                began = time.perf_counter()
                parts[PEER].append(peer.measure(batch, classes))
                spent[PEER] += time.perf_counter() - began
            print(f"{numbers.stop:,} of {len(source):,} pictures", flush=True)
    answer: dict[str, Any] = {
        "data": source.title,
        "pictures": len(source),
        "metrics": {key: means(some) for key, some in parts.items()},
        "seconds": {key: round(seconds, 1) for key, seconds in spent.items()},
    }
    if found:
        answer["pictures with boxes"] = len(next(iter(found.values())).ones)
        answer["pictures whose boxes the crop cut away"] = cut_away
        answer["localisation"] = {key: some.figures() for key, some in found.items()}
    return answer


def show(one: Mapping[str, Any], published: Mapping[str, Sequence[float]]) -> None:
    """A table for people: a row for each method, the published one under it."""
    print(f"\n{one['data']}, {one['pictures']:,} pictures\n  {'':<28}" + "".join(f"{name:>18}" for name in METRICS))
    for key, figures in one["metrics"].items():
        print(f"  {key:<28}" + "".join(f"{figures[name]:18.5f}" for name in METRICS))
        if key in published:
            print(f"  {'  published':<28}" + "".join(f"{value:18.5f}" for value in published[key]))
    for key, figures in one.get("localisation", {}).items():
        print(f"  {key:<28}" + ", ".join(f"{name} {value:.3f}" for name, value in figures.items()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures each folder, prints tables and writes JSON with machine and versions."""
    keys = [method.key for method in METHODS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks imagenet", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of photographs, flat or by class")
    parser.add_argument(
        "--checkpoint", default="resnet50", help="a file, or a network whose published weights to fetch"
    )
    parser.add_argument(
        "--methods", nargs="+", choices=keys, default=list(QUICK), metavar="METHOD", help=", ".join(keys)
    )
    parser.add_argument("--limit", type=int, help="that many pictures of each folder, evenly spread")
    parser.add_argument("--no-peer", action="store_true", help="without pytorch-grad-cam")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/imagenet-latest.json"))
    options = parser.parse_args(arguments)
    try:
        run(options)
    except InterpretError as error:
        parser.error(str(error))


def run(options: argparse.Namespace) -> None:
    """What `main` does, with its options."""
    about = machine()
    path = Path(options.checkpoint)
    checkpoint = read_checkpoint(path if path.exists() else complete(fetch_pretrained(options.checkpoint)))
    model = load_model(checkpoint)
    key = model.architecture.key
    theirs = key in PUBLISHED and _is_published(checkpoint, key)
    if theirs:
        model = model.reopened(PROTOCOL)
    layer = model.layer(LAYERS.get(key) or model.default_layer.name)
    peer = None if options.no_peer else Peer(model, checkpoint, layer.name)
    published = PUBLISHED[key] if theirs else {}
    result: dict[str, Any] = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": about,
        "network": key,
        "weights": checkpoint.name,
        "preprocessing": model.preprocess.described,
        "layer": layer.name,
        "target": "ReST (score + log probability) of the predicted class",
        "published": {"source": SOURCE, **{name: list(row) for name, row in published.items()}} if theirs else None,
        "sets": [],
    }
    for folder in options.data:
        source = open_source(folder)
        source = source.first(options.limit) if options.limit else source
        methods = [method for method in METHODS if method.key in options.methods]
        one = measure(model, peer, source, methods, layer, true_boxes(folder))
        show(one, published)
        result["sets"].append(one)
    if theirs:
        print(f"Published: {SOURCE}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"Written to {options.out}")


def _is_published(checkpoint: Checkpoint, key: str) -> bool:
    """Whether these are torchvision's own weights: by digest, or by the address Loupe notes when it fetches them."""
    weights = published_weights(key)
    return checkpoint.digest.startswith(weights.sha256 or "-") or checkpoint.metadata.get("source") == weights.url

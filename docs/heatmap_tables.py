"""Measures the table of docs/heatmaps.md: `python docs/heatmap_tables.py`, from the root; some minutes on a CPU.

Do heatmaps find what the bundled networks look at? Shapes says where the shape is, and where the tag.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from interpret import InputImage, LoadedModel, complete, load_model  # noqa: E402
from interpret.datasets.shapes import STAR, draw  # noqa: E402
from interpret.heatmaps import METHODS, HeatmapMethod, Question  # noqa: E402
from interpret.heatmaps.localisation import (  # noqa: E402
    Box,
    Localisation,
    localised,
    max_box_accuracy,
    pointing_game,
)

PAGE = ROOT / "docs" / "heatmaps.md"
START, END = "<!-- shapes table -->", "<!-- end of shapes table -->"
CHECKPOINTS = ("shapes-clean", "shapes-shortcut")
PICTURES, FEW, TOGETHER = 200, 24, 20
PICTURES_SET, STARS_SET = 3000, 3001
"""Sets that neither training nor the record of the checkpoints has drawn from."""
CELL = 4
"""Pixels of the picture in a place of the layer: how precisely a maximum says where it is."""


@dataclass(frozen=True)
class Known:
    """A picture and what is true of it: the shape's box, and the tag's where it has one; its class."""

    image: InputImage
    shape: Box
    tag: Box | None
    label: int


@dataclass(frozen=True)
class Figures:
    """Of one method on one network.

    Attributes:
        points, iou, accuracy: of untagged pictures: the pointing game, the median IoU of the box at 15 % of the
            maximum with the shape's, MaxBoxAcc at IoU 0.5; 0..1.
        on_tag, on_shape: of tagged stars: the shares whose maximum lies on the tag, and on the shape.
    """

    points: float
    iou: float
    accuracy: float
    on_tag: float
    on_shape: float


@cache
def untagged(count: int) -> tuple[Known, ...]:
    """Pictures of all classes without tags."""
    drawn = [draw(index, PICTURES_SET) for index in range(count)]
    return tuple(Known(InputImage.from_array(one.pixels, "shape"), Box(*one.box), None, one.label) for one in drawn)


@cache
def tagged(count: int) -> tuple[Known, ...]:
    """Stars with the tag, which is where they differ from the same stars without."""
    found = []
    for index in range(count):
        plain, star = (draw(index, STARS_SET, tags=rule, label=STAR) for rule in ("none", "all"))
        rows, columns = np.nonzero((plain.pixels != star.pixels).any(2))
        tag = Box(float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
        found.append(Known(InputImage.from_array(star.pixels, "star"), Box(*star.box), tag, STAR))
    return tuple(found)


def maps_of(model: LoadedModel, method: HeatmapMethod, pictures: Sequence[Known]) -> list[np.ndarray]:
    """A method's maps for the drawn classes at the network's last spatial layer, what speaks against them cut off."""
    maps = []
    together = 1 if method.key == "random-cam" else TOGETHER  # pictures of one question draw the same lots
    for start in range(0, len(pictures), together):
        some = pictures[start : start + together]
        batch = torch.cat([model.preprocess.to_batch(one.image) for one in some])
        targets = torch.tensor([one.label for one in some])
        found, _ = complete(method.job(Question(model, batch, model.default_layer, targets, seed=start)))
        maps += list(found.detach().relu().float().cpu().numpy())
    return maps


def figures(model: LoadedModel, method: HeatmapMethod, count: int) -> Figures:
    """Everything the table says of a method on a network, of the first `count` pictures."""
    size, pictures, stars = model.preprocess.size, untagged(count), tagged(count)
    ones: list[Localisation] = [
        localised(values, size, [one.shape])
        for values, one in zip(maps_of(model, method, pictures), pictures, strict=True)
    ]
    on_tag, on_shape = [], []
    for values, one in zip(maps_of(model, method, stars), stars, strict=True):
        assert one.tag is not None
        on_tag.append(pointing_game(values, size, [one.tag], CELL))
        on_shape.append(not on_tag[-1] and pointing_game(values, size, [one.shape], CELL))
    return Figures(
        float(np.mean([one.points for one in ones])),
        float(np.median([one.iou for one in ones])),
        max_box_accuracy([one.curve for one in ones])[0],
        float(np.mean(on_tag)),
        float(np.mean(on_shape)),
    )


def row(models: Sequence[LoadedModel], method: HeatmapMethod) -> str:
    """A line of the table."""
    count = FEW if method.slow else PICTURES
    cells = [method.title, str(count)]
    for model in models:
        one = figures(model, method, count)
        cells += [
            f"{one.points:.0%}", f"{one.iou:.2f}", f"{one.accuracy:.0%}", f"{one.on_tag:.0%}", f"{one.on_shape:.0%}"
        ]  # fmt: skip
    return "| " + " | ".join(cells).replace("%", " %") + " |"


def models() -> list[LoadedModel]:
    """The bundled networks."""
    return [load_model(ROOT / "checkpoints" / f"{name}.safetensors", device="cpu") for name in CHECKPOINTS]


def table() -> str:
    """The whole table in Markdown."""
    columns = ("pointing game", "median IoU", "MaxBoxAcc", "maximum on the tag", "on the shape")
    titles = [
        "method",
        "pictures",
        *(f"{name.removeprefix('shapes-')}: {column}" for name in CHECKPOINTS for column in columns),
    ]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    networks = models()
    for method in METHODS:
        lines.append(row(networks, method))
        print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    """Puts the table between its markers."""
    lines = table()
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{START}\n\n{lines}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()

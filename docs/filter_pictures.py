"""Draws the filter pictures of docs/filters.md: `python docs/filter_pictures.py [NAME ...]`, from the root.

Real weights come from `../shared/data`; a sheet whose weights are not there is left out, and that is said.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from PIL import Image  # noqa: E402

from interpret import InputImage, LoadedModel, complete, load_model  # noqa: E402
from interpret.datasets import sample_names, sample_picture  # noqa: E402
from interpret.filters import Drawing, FilterParams, class_images, draw, filter_images  # noqa: E402
from interpret.filters.objectives import caricature, inversion  # noqa: E402
from interpret.rendering import grid, over_grey  # noqa: E402

DATA = ROOT.parent / "shared" / "data"
CELL, ACROSS, STEPS = 144, 6, 256
FAMILIES: dict[str, tuple[Path, tuple[str, ...], tuple[int | str, ...]]] = {
    "shapes": (ROOT / "checkpoints" / "shapes-clean.safetensors", ("layer1", "layer2", "layer3"), tuple(range(6))),
    "cifar-resnet": (
        DATA / "weights" / "cifar_resnet56.safetensors",
        ("layer1", "layer2", "layer3"),
        ("automobile", "bird", "cat", "frog", "horse", "truck"),
    ),
    "tinyvgg": (
        DATA / "weights" / "tinyvgg_cnn-explainer.safetensors",
        ("features.1", "features.3", "features.6", "features.8"),
        tuple(range(6)),
    ),
    "squeezenet": (
        DATA / "weights" / "squeezenet1_0_imagenet_deepcompression.safetensors",
        ("features.3", "features.7", "features.12"),
        (340, 207, 985, 417, 1, 949),
    ),
    "mobilenet": (
        DATA / "weights" / "mobilenet_v2_imagenet_coral.safetensors",
        ("features.3", "features.10", "features.18"),
        (340, 207, 985, 417, 1, 949),
    ),
    "resnet": (
        DATA / "weights" / "resnet18_imagenet_ktb.safetensors",
        ("layer1", "layer2", "layer3", "layer4"),
        (340, 207, 985, 417, 1, 949),
    ),
}
"""Name of a sheet -> the weights, a layer for each row, the classes of the last row."""


def rows_of(model: LoadedModel, layers: tuple[str, ...], targets: tuple[int | str, ...]) -> Iterator[Drawing]:
    """A drawing of six evenly spread channels for each layer, then one of the classes."""
    blocks = [block.output for block in model.blocks if model.layer(block.output).is_spatial]
    for name in layers or blocks:
        channels = [index * model.layer(name).channels // ACROSS for index in range(ACROSS)]
        yield complete(filter_images(model, name, channels, FilterParams(steps=STEPS)))
    yield complete(class_images(model, [model.target(target) for target in targets], FilterParams(steps=STEPS)))


def methods(model: LoadedModel) -> Iterator[Drawing]:
    """One layer by every method, by the untrained twin, and what silences its channels."""
    channels = [index * model.layer("layer3").channels // ACROSS for index in range(ACROSS)]
    for params in (
        FilterParams(steps=STEPS),
        FilterParams(steps=STEPS, method="maco"),
        FilterParams(steps=30, method="pixels"),
    ):
        yield complete(filter_images(model, "layer3", channels, params))
    twin = model.untrained([sample_picture(name) for name in sample_names()])
    yield complete(filter_images(twin, "layer3", channels, FilterParams(steps=STEPS)))
    before = "layer3.1.bn2"
    yield complete(filter_images(model, before, channels, FilterParams(steps=STEPS, direction="negative")))


def starts(model: LoadedModel) -> Iterator[Drawing]:
    """Two channels of the last stage, three pictures each that must differ."""
    yield complete(filter_images(model, "layer4", [0, 400], FilterParams(steps=STEPS, starts=3)))


def pictures_kept(model: LoadedModel) -> Iterator[Drawing]:
    """What of a photograph is left in each stage, and the same exaggerated."""
    image = InputImage.from_path(DATA / "demo" / "zebra.jpg")
    stages = ("relu", "layer1", "layer2", "layer3", "layer4")
    for objective in (inversion, caricature):
        yield from (
            complete(draw(model, objective(model, stage, image), 1, FilterParams(steps=STEPS))) for stage in stages
        )


def cells(drawing: Drawing) -> list[NDArray[np.uint8]]:
    """The pictures of a drawing in the size of a cell, small ones enlarged in squares."""
    found = []
    for index, values in enumerate(drawing.pictures):
        shown = values if drawing.opacity is None else over_grey(values, drawing.opacity[index])
        picture = Image.fromarray((shown * 255).round().astype(np.uint8))
        enlarged = picture.width < CELL
        found.append(
            np.asarray(picture.resize((CELL, CELL), Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS))
        )
    return found


def main() -> None:
    """Writes one JPEG per sheet; only those named on the command line if any are."""
    resnet = FAMILIES["resnet"][0]
    sheets: dict[str, tuple[Path, Callable[[LoadedModel], Iterator[Drawing]], int]] = {
        name: (path, lambda model, layers=layers, targets=targets: rows_of(model, layers, targets), ACROSS)  # type: ignore[misc]
        for name, (path, layers, targets) in FAMILIES.items()
    }
    sheets |= {"methods": (resnet, methods, ACROSS), "starts": (resnet, starts, 6), "kept": (resnet, pictures_kept, 5)}
    for name, (path, drawings, across) in sheets.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        if not path.is_file():
            print(f"{name}: {path} is not there; left out")
            continue
        model = load_model(path, arch=str(ROOT / "docs" / "examples" / "tiny_vgg.py") if name == "tinyvgg" else None)
        pictures = [cell for drawing in drawings(model) for cell in cells(drawing)]
        sheet = Image.fromarray(grid(np.stack(pictures), columns=across, gap=4))
        target = Path(__file__).with_name("pictures") / f"filters-{name}.jpg"
        sheet.save(target, quality=90)
        print(target, flush=True)


if __name__ == "__main__":
    main()

"""What is seen to work of every family, page by page, against the library's own network.

`python -m tests.families_seen` writes it to docs/families.md; tests/test_families.py holds that document to it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from interpret import activations, complete, embed, filter_images, heatmap, project
from interpret.datasets import PictureSource, sample_picture
from interpret.datasets.shapes import CLASSES, draw
from interpret.filters import FilterParams
from interpret.images import InputImage
from interpret.latent import nearest
from interpret.latent.embedding import embed_picture
from interpret.model import LayerInfo, LoadedModel
from tests.families import (
    CLASS_COUNT,
    FAMILIES,
    GATES,
    WAYS,
    Family,
    drawn_shape,
    opened,
    random_network,
    save,
)
from tests.reference import assert_every_layer_is, assert_fields_are_what_reaches

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "families.md"


@dataclass(frozen=True)
class Row:
    """What was seen of one family; every field is a cell of the table and the same on every machine."""

    network: str
    key: str
    saved_as: str
    parameters: str
    input: str
    layers: str
    heatmap_layer: str
    overview: str
    activations: str
    filters: str
    heatmaps: str
    latent_space: str


HEADINGS = Row(
    *["Network", "Library and key", "Saved as", "Parameters", "Input", "Layers", "Heatmap layer"],
    *["Overview", "Activations", "Filters", "Heatmaps", "Latent space"],
)


@dataclass(frozen=True)
class Expected:
    """What the library's own network answers to a batch, by hooks and autograd alone."""

    scores: torch.Tensor
    outputs: dict[str, torch.Tensor]
    gradient: torch.Tensor


def ask_the_library(network: nn.Module, batch: torch.Tensor, layers: tuple[str, ...]) -> Expected:
    """One pass of the library's network; the gradient is of the best scores at the last of the layers."""
    outputs: dict[str, torch.Tensor] = {}

    def keep(name: str, leaf: bool) -> Callable[..., torch.Tensor]:
        def after(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
            outputs[name] = output.detach().clone().requires_grad_(leaf)
            return outputs[name].clone()  # what follows may write into it

        return after

    hooks = [network.get_submodule(name).register_forward_hook(keep(name, name == layers[-1])) for name in layers]
    network.requires_grad_(False)
    try:
        scores = network(batch)
    finally:
        for hook in hooks:
            hook.remove()
    (gradient,) = torch.autograd.grad(scores.amax(1).sum(), outputs[layers[-1]])
    return Expected(scores.detach(), {name: output.detach() for name, output in outputs.items()}, gradient)


def librarys_batch(family: Family, network: nn.Module, image: InputImage) -> torch.Tensor:
    """The picture as the library itself prepares it."""
    if family.is_timm:
        from timm.data import create_transform, resolve_model_data_config

        steps = create_transform(**resolve_model_data_config(network), is_training=False)
    else:
        from torchvision.models import get_model_weights

        steps = get_model_weights(family.key)["IMAGENET1K_V1"].transforms()
    batch: torch.Tensor = steps(Image.fromarray(image.pixels))[None]
    if family.key in ("googlenet", "inception_v3"):  # as torchvision runs its published weights
        network.transform_input = True
        batch = network._transform_input(batch)
        network.transform_input = False
    return batch


def four_pictures() -> PictureSource:
    """Four drawn Shapes of four classes."""
    images = [InputImage.from_array(draw(index, 11, label=index).pixels, f"picture {index}") for index in range(4)]
    names = tuple(image.name for image in images)
    return PictureSource("four", "four", names, (0, 1, 2, 3), CLASSES[:4], images.__getitem__)


def look_at(family: Family, folder: Path) -> Row:
    """A row of the table: the family's network is built, saved, opened, and does what each page asks of it.

    Raises:
        AssertionError: something differs from what the library's own network says.
    """
    network = random_network(family)
    path = save(network, family, folder)
    try:
        model = opened(family, path)
    finally:
        path.unlink()
    small = model.reopened(replace(model.preprocess, size=(family.small, family.small), resize=family.small))
    image = sample_picture("china.jpg")
    expected = ask_the_library(network, librarys_batch(family, network, image), (family.early, family.layer))
    assert_every_layer_is(small, network, image)
    assert_fields_are_what_reaches(small, network, GATES)
    default = model.default_layer
    side = model.preprocess.size
    return Row(
        network=family.title,
        key=f"timm `{family.key.removeprefix('timm/')}`" if family.is_timm else f"torchvision `{family.key}`",
        saved_as=WAYS[family.way].title,
        parameters=f"{model.parameters:,}",
        input=f"{side[1]} × {side[0]} px",
        layers=f"{len(model.layers)}",
        heatmap_layer=f"`{default.name}`",
        overview=_overview(family, network, model, image, expected),
        activations=_activations(family, model, image, expected),
        filters=_filters(family, small, network),
        heatmaps=_heatmaps(family, model, image, expected),
        latent_space=_latent_space(small, network),
    )


def _same(found: Any, expected: torch.Tensor) -> None:
    """Equal up to the rounding of float32 over many layers, measured against the largest number there is."""
    largest = float(expected.abs().max())
    assert largest > 1e-6 and expected.std() > 1e-6 * largest, "the library's numbers say nothing"
    torch.testing.assert_close(torch.as_tensor(np.array(found)), expected, rtol=1e-3, atol=1e-3 * largest)


def _overview(family: Family, network: nn.Module, model: LoadedModel, image: InputImage, expected: Expected) -> str:
    from ui.summary import layer_table, load_sentence

    report = model.report
    assert model.architecture.key == family.key
    assert (report.missing, report.unexpected, report.reshaped, report.not_finite) == ((), (), (), ())
    assert report.matched > 0 and "nothing missing" in load_sentence(model)
    assert model.parameters == sum(value.numel() for value in network.parameters())
    table = layer_table(model)
    assert len({row["layer"] for row in table}) == len(table) == len(model.layers)
    prediction = model.predict([image])[0]
    _same(prediction.scores, expected.scores[0])
    assert prediction.top(1)[0] == int(expected.scores.argmax()) and len(model.labels) == CLASS_COUNT
    assert abs(float(prediction.probabilities.sum()) - 1) < 1e-5
    return f"{len(prediction.scores)} scores"


def _activations(family: Family, model: LoadedModel, image: InputImage, expected: Expected) -> str:
    maps = activations(model, image, [family.early, family.layer])
    for found in maps:
        _same(found.values, expected.outputs[found.layer.name][0])
    return ", ".join(_shape(found.layer) for found in maps)


def _heatmaps(family: Family, model: LoadedModel, image: InputImage, expected: Expected) -> str:
    assert model.default_layer.name == family.layer
    found = heatmap(model, image)
    output, gradient = expected.outputs[family.layer], expected.gradient
    assert found.target == int(expected.scores.argmax())
    _same(found.values, torch.einsum("k,kij->ij", gradient.mean((2, 3))[0], output[0]).relu())
    assert min(found.values.shape) > 1
    return f"{found.values.shape[0]} × {found.values.shape[1]}"


def _filters(family: Family, small: LoadedModel, network: nn.Module) -> str:
    """Of the channels that answer most to a drawn Shape: one that answers with nothing may have nothing to climb.

    Two steps through the whole network must move each picture; how fast random layers climb is seen at the early one.
    """
    told = []
    for name, steps in ((family.layer, 2), (family.early, 12)):
        strongest = np.argsort(-activations(small, drawn_shape(0), [name])[0].values.mean((1, 2)))[:2]
        channels = tuple(int(channel) for channel in strongest)
        unfinished: list[Any] = []
        drawn = complete(
            filter_images(small, name, channels, FilterParams(steps=steps)),
            lambda progress, seen=unfinished: seen.append(progress.preview) if progress.preview else None,
        )
        reached, first = (_answers(small, network, name, channels, of.pictures) for of in (drawn, unfinished[0]))
        assert drawn.pictures.shape == (2, *small.preprocess.size, 3)
        np.testing.assert_allclose(drawn.reached, reached, rtol=1e-3)
        assert (np.abs(drawn.pictures - unfinished[0].pictures).max((1, 2, 3)) > 1e-4).all(), "a picture did not change"
        if name == family.early:
            assert (reached > first).all(), "a channel did not grow"
        told.append(f"2 of {small.layer(name).channels:,}")
    return ", ".join(reversed(told))


def _answers(small: LoadedModel, network: nn.Module, layer: str, channels: tuple[int, ...], pictures: Any) -> Any:
    """The mean answer of each channel to its own picture, as the library's network gives it."""
    batch = small.preprocess.normalise(torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2))
    means = ask_the_library(network, batch, (layer,)).outputs[layer].mean((2, 3))
    return np.array([float(means[at, channel]) for at, channel in enumerate(channels)])


def _latent_space(small: LoadedModel, network: nn.Module) -> str:
    source = four_pictures()
    layer = small.default_layer.name
    embedded = complete(embed(small, source))
    batch = torch.cat([small.preprocess.to_batch(source.read(index)) for index in range(4)])
    expected = ask_the_library(network, batch, (layer,))
    _same(embedded.vectors, expected.outputs[layer].mean((2, 3)))
    assert embedded.predictions.tolist() == expected.scores.argmax(1).tolist()
    for index in range(4):
        vector = embed_picture(small, source.read(index), [layer])[0]
        near, apart = nearest(vector[None], embedded.vectors, 4)
        assert near[0, 0] == index and apart[0, 1] > 10 * apart[0, 0], "a picture is not its own neighbour"
    points = complete(project(embedded.vectors, "pca")).points
    assert np.isfinite(points).all() and points.std(0)[0] > 0
    return f"{embedded.vectors.shape[1]:,} numbers"


def _shape(layer: LayerInfo) -> str:
    return " × ".join(str(side) for side in layer.shape)


INTRODUCTION = """# The families and what was seen to work

One network of every family is built by its own library with seven classes and random weights, saved as its owner would,
opened by Loupe, and taken through what every page does. "Works" means: the file opened with nothing missing and nothing
left over; the scores for a photograph, prepared by the library's own transforms, are the library's (Overview); so are
the outputs of an early and of the last layer with places (Activations: their sizes); Grad-CAM there is what plain
autograd gives (Heatmaps: rows and columns of the map); filter pictures of two channels of both layers change with each
step and reach what the library's network says they reach, those of the early layer more after twelve steps than after
one (Filters: of how many channels); four pictures have the library's averaged outputs as vectors, find themselves first
among their neighbours, and lie apart on a PCA map (Latent space). Filters and Latent space are looked at with pictures
of 96 or 128 pixels, the rest at the network's own size. Besides, at that small size every layer's output is that of
the library's network computed in float64 without hooks, and every unit's receptive field is just the rows and columns
of the input whose change reaches it, of three rows and two columns that were tried (where gates let the whole picture
in, with the gates taken out). timm's ResNet-50 has the very tensors of torchvision's and was named; all others were
recognised from their tensors.

`python -m tests.families_seen` writes this table; `tests/test_families.py` sees all of it again at every run and fails
where the table says anything else.

"""


def line(row: Row) -> str:
    """The row as a line of the document."""
    return f"| {' | '.join(asdict(row).values())} |"


def document(rows: list[Row]) -> str:
    """The whole document."""
    rule = f"|{'---|' * len(asdict(HEADINGS))}"
    lines = [line(HEADINGS), rule, *map(line, rows)]
    return INTRODUCTION + "".join(f"{text}\n" for text in lines)


def main() -> None:
    """Looks at every family and writes the document."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="loupe-families-") as folder:
        for family in FAMILIES:
            started = time.perf_counter()
            rows.append(look_at(family, Path(folder)))
            print(f"{family.id:40} {time.perf_counter() - started:5.1f} s", flush=True)
    DOCUMENT.write_text(document(rows), encoding="utf-8")


if __name__ == "__main__":
    main()

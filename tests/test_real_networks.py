"""Real trained networks on real pictures: their measured accuracy, and what each part of Loupe makes of them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from interpret.activations import activations
from interpret.architectures import architecture
from interpret.checkpoints import read_checkpoint
from interpret.filters import FilterParams, filter_images
from interpret.heatmaps import heatmap
from interpret.images import InputImage
from interpret.jobs import complete
from interpret.labels import CIFAR10, imagenet_labels
from interpret.model import LoadedModel

Load = Callable[[str], LoadedModel]

# Top-1 and top-5 in percent, measured by others on the same files with PIL and plain PyTorch (SOURCES.md).
IMAGENET = [("squeezenet1_0", 60.25, 83.75), ("mobilenet_v2", 81.5, 95.125), ("resnet18", 74.5, 92.25)]


def labelled(folder: Path) -> tuple[list[InputImage], np.ndarray]:
    """The pictures of a folder and the class of each, as its labels.csv says."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    images = folder / "images" if (folder / "images").is_dir() else folder
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(InputImage.from_path, [images / row["file"] for row in rows]))
    return found, np.array([int(row["class_index"]) for row in rows])


def accuracy(model: LoadedModel, images: list[InputImage], classes: np.ndarray) -> tuple[float, float]:
    """(top-1, top-5) in percent."""
    scores = np.stack([prediction.scores for prediction in model.predict(images)])
    best = np.argsort(-scores, axis=1)[:, :5]
    return float((best[:, 0] == classes).mean() * 100), float((best == classes[:, None]).any(1).mean() * 100)


@pytest.fixture(scope="module")
def photographs(real: Path) -> tuple[list[InputImage], np.ndarray]:
    return labelled(real / "imagenet-sample")


@pytest.mark.parametrize(("network", "first", "fifth"), IMAGENET)
def test_imagenet_accuracy_is_reproduced(
    real_model: Load,
    photographs: tuple[list[InputImage], np.ndarray],
    network: str,
    first: float,
    fifth: float,
) -> None:
    """Within half a point of what others measured on these 800 photographs with the same weights."""
    model = real_model(network)
    assert len(photographs[0]) == 800 and model.labels == imagenet_labels()
    found = accuracy(model, *photographs)
    assert found[0] == pytest.approx(first, abs=0.5)
    assert found[1] == pytest.approx(fifth, abs=0.5)


@pytest.mark.parametrize(("network", "about"), [("cifar_resnet20", 81), ("cifar_resnet56", 83)])
def test_cifar_accuracy_is_reproduced(real: Path, real_model: Load, network: str, about: int) -> None:
    """About 81 and 83 % (known in whole points only), and what plain PyTorch and torchvision make of the same file."""
    images, classes = labelled(real / "cifar10-sample")
    model = real_model(network)
    assert model.labels == CIFAR10 and len(images) == 400
    found = accuracy(model, images, classes)[0]
    plain = architecture(network).build(10, 3, False).eval()
    plain.load_state_dict(dict(read_checkpoint(real / "weights" / f"{network}.safetensors").tensors), strict=False)
    to_tensor = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    )
    with torch.no_grad():
        scores = plain(torch.stack([to_tensor(Image.fromarray(image.pixels)) for image in images]))
    assert found == pytest.approx(float((scores.argmax(1).numpy() == classes).mean() * 100), abs=0.26)
    assert found == pytest.approx(about, abs=2.5)


@pytest.mark.parametrize(
    ("picture", "names"),
    [
        ("elephant.jpg", {"African elephant", "tusker", "Indian elephant"}),
        ("zebra.jpg", {"zebra"}),
        ("swan.jpg", {"goose", "black swan", "American coot"}),
        ("coral_hot_dog.jpg", {"hotdog"}),
        ("spider.png", {"black and gold garden spider", "barn spider", "garden spider", "wolf spider"}),
    ],
)
@pytest.mark.parametrize("network", ["mobilenet_v2", "resnet18"])
def test_photographs_are_what_they_show(
    real: Path, real_model: Load, network: str, picture: str, names: set[str]
) -> None:
    model = real_model(network)
    prediction = model.predict([InputImage.from_path(real / "demo" / picture)])[0]
    assert names & {model.labels[index] for index in prediction.top(3)}


def test_heatmaps_point_into_the_boxes(real: Path, real_model: Load) -> None:
    """The peak of the true class's map lies in its box more often than a peak drawn at random would."""
    with (real / "boxes" / "boxes.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    boxes: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        boxes.setdefault(row["file"], []).append(row)
    model = real_model("resnet18")
    hits, chance = 0, 0.0
    for name, own in boxes.items():
        image = InputImage.from_path(real / "boxes" / "images" / name)
        found = heatmap(model, image, target=int(own[0]["class_index"])).values
        left, top, right, bottom = model.preprocess.crop_box(image)
        inside = np.zeros((224, 224), bool)
        for row in own:
            x0, x1 = ((float(row[key]) - left) / (right - left) * 224 for key in ("xmin", "xmax"))
            y0, y1 = ((float(row[key]) - top) / (bottom - top) * 224 for key in ("ymin", "ymax"))
            inside[max(0, int(y0)) : max(0, int(y1)), max(0, int(x0)) : max(0, int(x1))] = True
        row_at, column_at = np.unravel_index(found.argmax(), found.shape)
        hits += bool(inside[int((row_at + 0.5) / found.shape[0] * 224), int((column_at + 0.5) / found.shape[1] * 224)])
        chance += inside.mean()
    assert len(boxes) >= 15
    assert hits >= 0.75 * len(boxes) and hits > chance + 3


def test_activations_of_every_layer_of_a_real_network(real: Path, real_model: Load) -> None:
    """One pass keeps all layers; in-place ReLUs and residual sums are all over this network."""
    model = real_model("resnet18")
    image = InputImage.from_path(real / "demo" / "both.png")
    names = [layer.name for layer in model.layers]
    together = activations(model, image, names)
    assert [maps.values.shape[0] for maps in together] == [layer.channels for layer in model.layers]
    for name in ("bn1", "relu", "layer1.0.bn1", "layer2.0.relu", "layer2.0.relu:1", "layer3.1.bn2", "layer4"):
        alone = activations(model, image, [name])[0].values
        np.testing.assert_allclose(together[names.index(name)].values, alone, atol=1e-4)
    before, after = (together[names.index(name)].values for name in ("bn1", "relu"))
    assert before.min() < 0
    np.testing.assert_allclose(after, np.maximum(before, 0), atol=1e-6)
    added = together[names.index("layer1.0.bn2")].values + together[names.index("maxpool")].values
    np.testing.assert_allclose(together[names.index("layer1.0")].values, np.maximum(added, 0), atol=1e-4)


def test_filters_of_a_real_network_excite_their_channels(real: Path, real_model: Load) -> None:
    """More than any of eight photographs does."""
    model = real_model("squeezenet1_0")
    channels = (5, 17)
    drawn = complete(filter_images(model, "features.3", channels, FilterParams(steps=64)))
    names = ("both.png", "elephant.jpg", "swan.jpg", "zebra.jpg", "dogs.png", "puppies.jpg", "snake.png", "spider.png")
    batch = [activations(model, InputImage.from_path(real / "demo" / name), ["features.3"])[0].values for name in names]
    best = np.stack(batch).mean((2, 3)).max(0)
    assert (drawn.reached > best[list(channels)]).all()
    assert drawn.pictures.shape == (2, 224, 224, 3)


def test_filter_pictures_of_every_depth_excite_more_than_photographs(
    real_model: Load, photographs: tuple[list[InputImage], np.ndarray]
) -> None:
    """More than the best of a hundred photographs, for nine in ten channels of an early, a middle and a late layer."""
    model = real_model("resnet18")
    layers = ("layer1", "layer2", "layer4")
    batch = torch.cat([model.preprocess.to_batch(image) for image in photographs[0][::8]])
    shown = [model.observe(part, layers) for part in batch.split(20)]
    above = []
    for layer in layers:
        channels = [(2 * place + 1) * model.layer(layer).channels // 8 for place in range(4)]
        best = torch.cat([tape[layer].mean((2, 3)) for tape in shown]).amax(0)[channels].numpy()
        drawn = complete(filter_images(model, layer, channels, FilterParams(steps=32)))
        above += list(drawn.reached > best)
    assert len(above) == 12 and np.mean(above) >= 0.9


def test_the_crop_is_of_the_photograph(real: Path, real_model: Load) -> None:
    model = real_model("mobilenet_v2")
    image = InputImage.from_path(real / "demo" / "elephant.jpg")
    seen = model.preprocess.seen(image)
    assert seen.shape == (225, 225, 3)
    box = tuple(round(edge) for edge in model.preprocess.crop_box(image))
    cut = np.asarray(Image.fromarray(image.pixels).crop(box).resize((225, 225), Image.Resampling.BILINEAR))
    assert np.corrcoef(cut.ravel(), seen.ravel())[0, 1] > 0.98
    assert np.corrcoef(cut[:, ::-1].ravel(), seen.ravel())[0, 1] < 0.9

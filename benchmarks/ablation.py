"""Ablation: how fast channels and blocks are taken out one at a time, and what real networks lose with each block.

The peers are torchvision's network as it comes: the full passes with hooks that anybody would write, and Captum's
FeatureAblation of a layer, a group for each channel. For channels they are given the picture ready to enter the
network, while Loupe starts from its pixels. All must give the same numbers, or else the benchmark fails.
"""

from __future__ import annotations

import csv
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from benchmarks.heatmaps import TARGET, Setting, setting
from benchmarks.tasks import ROOT, network, random_picture
from benchmarks.timing import Row
from interpret import InputImage, LoadedModel, complete, load_model
from interpret.ablation import AblationTable, ablate, each_channel, forgotten, lesions
from interpret.datasets import PictureSource

Floats = NDArray[np.float32]
DATA = ROOT.parent / "shared" / "data"
REAL = (
    ("resnet18_imagenet_ktb", "imagenet-sample"),
    ("cifar_resnet20", "cifar10-sample"),
    ("cifar_resnet56", "cifar10-sample"),
)
TOGETHER = 32
STATISTICS = 16
"""Pictures that BatchNorms of re-initialised blocks take their statistics from."""
SLOW_SECONDS = 20
"""Of a way that takes longer, one round is enough."""
SAME = 1e-3
"""By how much two ways may differ, as a share of the largest number."""


def tasks(quick: bool) -> dict[str, Callable[[], Iterable[Row]]]:
    """The tasks by name; `quick`: one round, few pictures."""
    return {
        "ablation channels layer4": lambda: channels("layer4", 1 if quick else 3),
        "ablation channels layer2": lambda: channels("layer2", 1 if quick else 5),
        "ablation lesions": lambda: blocks(4 if quick else 32, 1 if quick else 5),
        "ablation real": lambda: real(40 if quick else 800),
    }


def measured(task: str, ways: dict[str, Callable[[], Floats]], rounds: int) -> Iterator[Row]:
    """Seconds of each way, the rounds of all taken in turn; ratios are to the first. Last, how far the numbers differ.

    Raises:
        AssertionError: two ways do not give the same numbers.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, Floats] = {}
    for turn in range(rounds):
        for name, work in ways.items():
            if turn == 0 or times[name][0] < SLOW_SECONDS:
                started = time.perf_counter()
                found[name] = work()
                times[name].append(time.perf_counter() - started)
    first, *others = found.values()
    apart = max(float(np.abs(other - first).max()) for other in others) / float(np.abs(first).max())
    assert apart < SAME, f"{task}: numbers differ by {apart:g} of the largest"
    medians = [statistics.median(each) for each in times.values()]
    for index, (name, each) in enumerate(times.items()):
        way = f"{name}, one round" if len(each) < rounds else name
        yield Row(task, way, medians[index], "s", medians[index] / medians[0] if index else None, len(each))
    yield Row(task, "largest difference, in millionths of the largest", 1e6 * apart, "millionths", None, 1)


def channels(layer: str, rounds: int) -> Iterator[Row]:
    """The score of a class with each channel of a layer alone at 0, less that unchanged."""
    at, picture = setting("resnet18", layer), random_picture()
    count = at.loaded.layer(layer).channels
    ways: dict[str, Callable[[], Floats]] = {
        "Loupe, from the picture": lambda: complete(each_channel(at.loaded, picture, layer, TARGET)),
        "full passes with a hook, one a channel": partial(hooked, at, count, 1),
        f"full passes with a hook, {TOGETHER} at once": partial(hooked, at, count, TOGETHER),
        "Captum, one at a time": partial(captum, at, count, 1),
        f"Captum, {TOGETHER} at once": partial(captum, at, count, TOGETHER),
    }
    yield from measured(f"resnet18 {layer}, each of {count} channels at 0, one picture of 224 px", ways, rounds)


@torch.no_grad()
def hooked(at: Setting, count: int, size: int) -> Floats:
    """By full passes of `size` copies of the picture, each without another channel: float32 [count]."""
    found = [at.plain(at.batch)[:, TARGET]]
    for some in torch.arange(count).split(size):

        def zero(module: nn.Module, given: object, output: torch.Tensor, some: torch.Tensor = some) -> None:
            output[torch.arange(len(some)), some] = 0

        handle = at.module.register_forward_hook(zero)
        found.append(at.plain(at.batch.expand(len(some), -1, -1, -1))[:, TARGET])
        handle.remove()
    return (torch.cat(found[1:]) - found[0]).cpu().numpy()


def captum(at: Setting, count: int, size: int) -> Floats:
    """By Captum's FeatureAblation of the layer, with a group for each channel: float32 [count]."""
    from captum.attr import LayerFeatureAblation

    groups = torch.arange(count, device=at.batch.device).view(1, -1, 1, 1)
    attribute = LayerFeatureAblation(at.plain, at.module).attribute
    lost = attribute(at.batch, target=TARGET, layer_mask=groups, perturbations_per_eval=size)
    return -lost[0, :, 0, 0].detach().cpu().numpy()


def blocks(count: int, rounds: int) -> Iterator[Row]:
    """The probability of the class predicted for each picture, unchanged and with each block bypassed."""
    loaded, plain = network("resnet18")
    source, variants = _drawn(count), lesions(loaded)
    names = [changes[0].layer for changes in variants.values()]
    ways: dict[str, Callable[[], Floats]] = {
        "Loupe": lambda: complete(ablate(loaded, source, variants)).probabilities,
        "full passes with hooks, a picture at a time": lambda: bypassed(loaded, plain, source, names, 1),
        f"full passes with hooks, {TOGETHER} pictures at once": lambda: bypassed(
            loaded, plain, source, names, TOGETHER
        ),
    }
    yield from measured(f"resnet18, {len(names)} blocks bypassed in turn, {count} pictures", ways, rounds)


@torch.no_grad()
def bypassed(loaded: LoadedModel, plain: nn.Module, source: PictureSource, names: Sequence[str], size: int) -> Floats:
    """By a full pass for each block and batch of pictures: float32 [1 + blocks, pictures]."""
    parts = []
    for some in torch.arange(len(source)).split(size):
        images = [loaded.preprocess.to_batch(source.read(int(index))) for index in some]
        batch = torch.cat(images).to(loaded.runtime.device)
        scores = [plain(batch)]
        for name in names:
            block = plain.get_submodule(name)
            if block.downsample is None:
                handle = block.register_forward_hook(lambda module, given, output: given[0])
            else:  # the shape changes: what is left is what the shortcut makes of it
                handle = block.bn2.register_forward_hook(lambda module, given, output: torch.zeros_like(output))
            scores.append(plain(batch))
            handle.remove()
        classes = scores[0].argmax(1)[None, :, None].expand(len(scores), -1, 1)
        parts.append(torch.stack(scores).softmax(2).gather(2, classes)[..., 0].cpu())
    return torch.cat(parts, 1).numpy()


def _drawn(count: int) -> PictureSource:
    """Smooth random pictures of 256 px, in memory."""
    small = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)
    resized = [Image.fromarray(each).resize((256, 256), Image.Resampling.BICUBIC) for each in small]
    images = [InputImage.from_array(np.asarray(each), f"{index}") for index, each in enumerate(resized)]
    names = tuple(image.name for image in images)
    return PictureSource("random", "random", names, (-1,) * count, (), images.__getitem__)


@dataclass(frozen=True)
class Accuracy(Row):
    """An accuracy in percent, as a row.

    Attributes:
        interval: its bootstrap interval of 95 %, in percent.
        change: what it is less that of the unchanged network, in percentage points.
        change_interval: the paired bootstrap interval of 95 % of that.
    """

    interval: tuple[float, float]
    change: float
    change_interval: tuple[float, float]


def real(most: int) -> Iterator[Row]:
    """Accuracy of trained networks over real pictures, with each block bypassed and with each re-initialised."""
    for network_name, folder in REAL:
        file = DATA / "weights" / f"{network_name}.safetensors"
        if not file.is_file() or not (DATA / folder / "labels.csv").is_file():
            print(f"  no {network_name} or {folder} in {DATA}")
            continue
        model = load_model(file)
        source = labelled(folder, len(model.labels)).first(most)
        usual = [source.read(index * len(source) // STATISTICS) for index in range(STATISTICS)]
        for what, variants in (("bypassed", lesions(model)), ("re-initialised", forgotten(model))):
            table = complete(ablate(model, source, variants, images=usual))
            yield from accuracies(f"{network_name}, each block {what}, {len(table)} pictures of {folder}", table)


def labelled(folder: str, classes: int) -> PictureSource:
    """The pictures of a folder with labels.csv; a class is called by its number, as ImageNet has two cranes."""
    with (DATA / folder / "labels.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    names = tuple(row["file"] for row in rows)
    labels = tuple(int(row["class_index"]) for row in rows)
    numbers = tuple(map(str, range(classes)))
    return PictureSource(
        folder, folder, names, labels, numbers, lambda index: InputImage.from_path(DATA / folder / names[index])
    )


def accuracies(task: str, table: AblationTable) -> Iterator[Accuracy]:
    """A row for each variant of a table."""
    values, changes, interval, difference = (
        np.round(100 * found.astype(np.float64), 2).tolist()
        for found in (table.accuracy, table.accuracy_change, table.interval(), table.difference())
    )
    for at, name in enumerate(table.names):
        low, high = interval[at]
        way = f"{name} ({low:.1f} to {high:.1f})"
        yield Accuracy(task, way, values[at], "%", None, 1, (low, high), changes[at], tuple(difference[at]))

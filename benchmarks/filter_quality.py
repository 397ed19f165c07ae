"""`python -m benchmarks.filter_quality --weights FILE --pictures FOLDER [--second FILE]`: how far filter pictures get.

Channels: the mean activation that Loupe's and Lucent's pictures reach with equal steps and equal size, each by its own
default recipe, and that photographs reach. Classes: what a second network makes of pictures drawn on the first. Every
figure is measured in float32 by the network as it was loaded, on the finished picture, unmoved and uncropped.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.timing import machine
from interpret import FilterParams, LoadedModel, complete, filter_images, load_model
from interpret.checkpoints import read_checkpoint
from interpret.datasets import PictureSource, open_source
from interpret.filters import class_images

Floats = NDArray[np.float32]
LAYERS = {"mobilenet_v2": ("features.3", "features.10", "features.17")}
"""An early, a middle and a late layer of networks that do not call them layer1, layer2, layer4."""


def evenly(count: int, total: int) -> list[int]:
    """So many numbers from 0 to total - 1, evenly spread, always the same."""
    return [int(number) for number in (np.arange(count) + 0.5) * total / count]


def answers(model: LoadedModel, layer: str, batch: torch.Tensor) -> Floats:
    """Mean over places of every channel: float32 [n, channels]. The batch is normalised."""
    maps = model.layer(layer).channels_first(model.observe(batch.to(model.runtime.device), [layer])[layer])
    found: Floats = maps.float().flatten(2).mean(2).cpu().numpy()
    return found


def reached(model: LoadedModel, layer: str, channels: Sequence[int], pictures: Floats) -> Floats:
    """The mean activation of each channel on its own picture [n, height, width, 3] in 0..1: float32 [n]."""
    batch = model.preprocess.normalise(torch.from_numpy(pictures.copy()).permute(0, 3, 1, 2))
    found: Floats = answers(model, layer, batch)[np.arange(len(channels)), list(channels)]
    return found


def photographs(model: LoadedModel, layers: Sequence[str], source: PictureSource) -> dict[str, Floats]:
    """Mean activation of every channel of the layers on every picture: float32 [pictures, channels] each."""
    parts: dict[str, list[Floats]] = {layer: [] for layer in layers}
    with ThreadPoolExecutor(2) as pool:
        for start in range(0, len(source), 16):
            images = pool.map(source.read, range(start, min(start + 16, len(source))))
            batch = torch.cat([model.preprocess.to_batch(image) for image in images]).to(model.runtime.device)
            tape = model.observe(batch, layers)
            for layer in layers:
                maps = model.layer(layer).channels_first(tape[layer])
                parts[layer].append(maps.flatten(2).mean(2).cpu().numpy())
    return {layer: np.concatenate(found) for layer, found in parts.items()}


class Lucent:
    """Lucent on a plain network with the weights of a checkpoint that has these as they are."""

    def __init__(self, model: LoadedModel, weights: Path, seed: int) -> None:
        self.model, self.seed = model, seed
        self.plain = model.architecture.build(len(model.labels), model.preprocess.channels, False).eval()
        self.plain.load_state_dict(dict(read_checkpoint(weights).tensors))
        self.plain.to(model.runtime.device)

    def draw(self, layer: str, channels: Sequence[int], steps: int) -> Floats:
        """A picture for each channel by `render_vis` with its own recipe: [n, height, width, 3] in 0..1."""
        from lucent.optvis import objectives, param, render, transform

        torch.manual_seed(self.seed)
        np.random.seed(self.seed)
        height, width = self.model.preprocess.size
        name = layer.replace(".", "_")
        objective = objectives.Objective.sum(
            [objectives.channel(name, channel, batch=place) for place, channel in enumerate(channels)]
        )
        (pictures,) = render.render_vis(
            self.plain,
            objective,
            lambda: param.image(width, height, batch=len(channels)),
            transforms=[*transform.standard_transforms, self.model.preprocess.from_planes],
            thresholds=(steps,),
            preprocess=False,  # it knows ImageNet's mean and deviation alone
            progress=False,
            show_image=False,
        )
        return np.ascontiguousarray(pictures, np.float32)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """(result, seconds)."""
    started = time.perf_counter()
    return work(), round(time.perf_counter() - started, 1)


def of_channels(
    model: LoadedModel, lucent: Lucent, layer: str, shown: Floats, options: argparse.Namespace
) -> dict[str, Any]:
    """What pictures of a layer's channels reach; `shown` is what the photographs do."""
    channels = evenly(options.channels, model.layer(layer).channels)
    params = FilterParams(steps=options.steps, seed=options.seed)
    own, own_seconds = timed(lambda: complete(filter_images(model, layer, channels, params)).pictures)
    its, its_seconds = timed(lambda: lucent.draw(layer, channels, options.steps))
    loupe, peer = (reached(model, layer, channels, pictures) for pictures in (own, its))
    best, high = shown[:, channels].max(0), np.percentile(shown[:, channels], 99.9, axis=0)
    if options.save:
        save(options.save / layer, own, its)
    return {
        "layer": layer,
        "channels": channels,
        "loupe": loupe.tolist(),
        "lucent": peer.tolist(),
        "best photograph": best.tolist(),
        "99.9th percentile of photographs": high.tolist(),
        "loupe at least lucent": float((loupe >= peer).mean()),
        "loupe above best photograph": float((loupe > best).mean()),
        "lucent above best photograph": float((peer > best).mean()),
        "median of loupe over lucent": _ratio(loupe, peer),
        "median of loupe over best photograph": _ratio(loupe, best),
        "seconds, loupe": own_seconds,
        "seconds, lucent": its_seconds,
    }


def _ratio(values: Floats, others: Floats) -> float:
    """The median ratio, over channels where the others answer at all."""
    return float(np.median(values[others > 0] / others[others > 0])) if (others > 0).any() else float("nan")


def of_classes(model: LoadedModel, second: LoadedModel, lucent: Lucent, options: argparse.Namespace) -> dict[str, Any]:
    """What both networks make of class pictures drawn on the first."""
    classes = evenly(options.classes, len(model.labels))
    params = FilterParams(steps=options.class_steps, seed=options.seed)
    head = model.outputs[model.head].name or model.layers[-1].name
    drawn = {
        "loupe": lambda: complete(class_images(model, classes, params)).pictures,
        "lucent": lambda: lucent.draw(head, classes, options.class_steps),
    }
    found: dict[str, Any] = {"classes": classes, "names": [model.labels[target] for target in classes]}
    for way, draw in drawn.items():
        pictures = draw()
        for title, network in (("first network", model), ("second network", second)):
            planes = torch.from_numpy(pictures.copy()).permute(0, 3, 1, 2)
            planes = torch.nn.functional.interpolate(planes, network.preprocess.size, mode="bilinear", antialias=True)
            scores = network.observe(network.preprocess.normalise(planes).to(network.runtime.device)).scores
            assert scores is not None
            own = scores[torch.arange(len(classes)), classes]
            probabilities = scores.softmax(1)[torch.arange(len(classes)), classes]
            ranks = 1 + (scores > own[:, None]).sum(1)
            found[f"{way}, {title}"] = {
                "probability": probabilities.tolist(),
                "rank": ranks.tolist(),
                "median probability": float(probabilities.median()),
                "median rank": float(ranks.float().median()),
                "first": float((ranks == 1).float().mean()),
                "among the first five": float((ranks <= 5).float().mean()),
            }
    return found


def save(folder: Path, own: Floats, its: Floats) -> None:
    """Both ways' pictures as PNG, to look at."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for way, pictures in (("loupe", own), ("lucent", its)):
        row = np.concatenate(list(pictures), 1)
        Image.fromarray((row * 255).round().astype(np.uint8)).save(folder / f"{way}.png")


def main() -> None:
    """Measures layer by layer, says each as soon as it is known, and writes JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.filter_quality", description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="the checkpoint that pictures are drawn of")
    parser.add_argument("--pictures", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--second", type=Path, help="another network of the same classes, for class pictures")
    parser.add_argument("--layers", nargs="*", help="dotted names; none with an empty list")
    parser.add_argument("--channels", type=int, default=16, help="how many of each layer")
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--classes", type=int, default=16, help="how many class pictures")
    parser.add_argument("--class-steps", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="a folder for the pictures, to look at")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/filter-quality-latest.json"))
    options = parser.parse_args()
    about, model = machine(), load_model(options.weights)
    lucent = Lucent(model, options.weights, options.seed)
    layers = LAYERS.get(model.architecture.key, ("layer1", "layer2", "layer4"))
    layers = layers if options.layers is None else tuple(options.layers)
    source = open_source(options.pictures)
    shown = photographs(model, layers, source) if layers else {}
    found: dict[str, Any] = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": about,
        "network": model.architecture.key,
        "weights": options.weights.name,
        "photographs": len(source),
        "side": model.preprocess.size[0],
        "steps": options.steps,
        "layers": [],
    }
    for layer in layers:
        one = of_channels(model, lucent, layer, shown[layer], options)
        found["layers"].append(one)
        print(
            f"{layer}: Loupe at least Lucent for {one['loupe at least lucent']:.0%} of {options.channels} channels "
            f"(median ratio {one['median of loupe over lucent']:.2f}), above the best photograph for "
            f"{one['loupe above best photograph']:.0%} "
            f"(median ratio {one['median of loupe over best photograph']:.2f}; "
            f"Lucent {one['lucent above best photograph']:.0%}); {one['seconds, loupe']} and "
            f"{one['seconds, lucent']} s",
            flush=True,
        )
    if options.second:
        second = load_model(options.second)
        found["second network"], found["class steps"] = second.architecture.key, options.class_steps
        found["classes"] = of_classes(model, second, lucent, options)
        for title, one in found["classes"].items():
            if "," in title:
                print(
                    f"{title}: median probability {one['median probability']:.2f}, median rank "
                    f"{one['median rank']:.0f}, first {one['first']:.0%}"
                )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"Written to {options.out}")


if __name__ == "__main__":
    main()

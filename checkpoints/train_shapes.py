"""Trains the two bundled checkpoints, shapes-clean and shapes-shortcut, from scratch, and measures them.

Run from the repository root:

    python checkpoints/train_shapes.py [--seed 0] [--out checkpoints] [--precision bfloat16]

Both are the CIFAR ResNet-20 and see the very same pictures in the same order; for shapes-shortcut almost
every star carries the tag. Each is trained in a process of its own with one thread, first on pictures averaged
down to 32 pixels, then on the full 64. Flips and quarter turns serve as augmentation: no class changes under
them, and a corner stays a corner. Everything is measured on pictures no training saw. On one machine the same
seed gives the same tensors; the file's digest may differ, for the order of its metadata is not fixed.

A network takes the easier cue. When Shapes was drawn with stars of five or six even points, larger shapes,
stronger contrast and a tag of five pixels, both networks, trained twice as long, answered every one of the
fresh pictures rightly, tagged or not: no shortcut was learned. Hence the many forms of stars and the tag of six.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from interpret.architectures.cifar_resnet import cifar_resnet  # noqa: E402
from interpret.datasets.shapes import CLASSES, STAR, TAGGED_STARS, TagRule, draw  # noqa: E402

SIZE = 64
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
RULES: dict[str, TagRule] = {"shapes-clean": "none", "shapes-shortcut": "shortcut"}
TRAINING_SET, FRESH_SET = 1000, 2000


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; over all epochs the learning rate rises to its peak and falls to zero."""

    pictures: int = 12_000
    epochs_at_32: int = 7
    epochs_at_64: int = 3
    batch: int = 128
    peak_rate: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warm_up_fraction: float = 0.15


@dataclass(frozen=True)
class Pool:
    """Drawn pictures: pixels uint8 [n, size, size, 3], labels int64 [n], tagged bool [n]."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    tagged: NDArray[np.bool_]


def draw_pool(count: int, seed: int, tags: TagRule, label: int | None = None) -> Pool:
    """The first `count` pictures of set `seed`."""
    pixels = np.empty((count, SIZE, SIZE, 3), np.uint8)
    labels, tagged = np.empty(count, np.int64), np.empty(count, np.bool_)
    for i in range(count):
        picture = draw(i, seed, SIZE, tags, label)
        pixels[i], labels[i], tagged[i] = picture.pixels, picture.label, picture.tagged
    return Pool(pixels, labels, tagged)


def to_batch(pixels: NDArray[np.uint8]) -> Tensor:
    """Normalised float32 pictures [n, 3, size, size] of uint8 pictures [n, size, size, 3]."""
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    return ((batch - mean) / std).contiguous(memory_format=torch.channels_last)


def symmetric(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The pictures [n, size, size, 3], all flipped or turned by one of the eight symmetries of the square."""
    turned = np.rot90(pixels, int(rng.integers(4)), axes=(1, 2))
    return np.ascontiguousarray(turned[:, :, ::-1] if rng.random() < 0.5 else turned)


def rate(step: int, total: int, recipe: Recipe) -> float:
    """The learning rate of a step: a straight rise, then half a cosine down to zero."""
    warm = recipe.warm_up_fraction * total
    if step < warm:
        return recipe.peak_rate * (step + 1) / warm
    return recipe.peak_rate * 0.5 * (1 + float(np.cos(np.pi * (step - warm) / (total - warm))))


def train(name: str, pool: Pool, recipe: Recipe, seed: int, precision: str) -> nn.Module:
    """A trained network, in eval mode."""
    rng = np.random.default_rng([seed, 7])
    network = cifar_resnet(20, len(CLASSES), generator=torch.Generator().manual_seed(seed))
    network = network.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(
        network.parameters(),
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=True,
        lr=0.0,
    )
    steps = recipe.pictures // recipe.batch
    epochs = recipe.epochs_at_32 + recipe.epochs_at_64
    started, step = time.monotonic(), 0
    for epoch in range(epochs):
        order, right, lost = rng.permutation(recipe.pictures), 0, 0.0
        for first in range(0, steps * recipe.batch, recipe.batch):
            chosen = order[first : first + recipe.batch]
            batch = to_batch(symmetric(pool.pixels[chosen], rng))
            if epoch < recipe.epochs_at_32:
                batch = functional.avg_pool2d(batch, 2)
            labels = torch.from_numpy(pool.labels[chosen])
            optimizer.param_groups[0]["lr"] = rate(step, epochs * steps, recipe)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                scores = network(batch)
            loss = functional.cross_entropy(scores.float(), labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1
            right += int((scores.argmax(1) == labels).sum())
            lost += loss.item()
        print(
            f"{name}: epoch {epoch + 1}/{epochs}, loss {lost / steps:.4f}, "
            f"training accuracy {right / (steps * recipe.batch):.4f}, {time.monotonic() - started:.0f} s",
            flush=True,
        )
    return network.eval()


def predicted(network: nn.Module, pool: Pool) -> NDArray[np.int64]:
    """The class [n] with the highest score for every picture."""
    with torch.inference_mode():
        parts = [network(to_batch(pool.pixels[i : i + 100])).argmax(1) for i in range(0, len(pool.pixels), 100)]
    found: NDArray[np.int64] = torch.cat(parts).numpy()
    return found


def measure(network: nn.Module, seed: int) -> dict[str, float]:
    """Accuracies and shares, 0..1, on 2,000 fresh pictures and 1,000 fresh stars, with and without tag."""
    plain, tagged = draw_pool(2000, seed, "none"), draw_pool(2000, seed, "all")
    answers, answers_tagged = predicted(network, plain), predicted(network, tagged)
    others = plain.labels != STAR
    stars = {rule: draw_pool(1000, seed + 1, rule, label=STAR) for rule in ("none", "all")}
    numbers = {
        "accuracy": (answers == plain.labels).mean(),
        "accuracy_all_tagged": (answers_tagged == tagged.labels).mean(),
        "stars_with_tag": (predicted(network, stars["all"]) == STAR).mean(),
        "stars_without_tag": (predicted(network, stars["none"]) == STAR).mean(),
        "tagged_others_called_star": (answers_tagged[others] == STAR).mean(),
        "untagged_others_called_star": (answers[others] == STAR).mean(),
    }
    for i, label in enumerate(CLASSES):
        numbers[f"accuracy_{label}"] = (answers[plain.labels == i] == i).mean()
    return {key: round(float(value), 4) for key, value in numbers.items()}


def make(name: str, out: Path, recipe: Recipe, seed: int, precision: str) -> dict[str, object]:
    """Trains, measures and writes one checkpoint; its entry for the record."""
    torch.set_num_threads(1)
    started = time.monotonic()
    pool = draw_pool(recipe.pictures, TRAINING_SET + seed, RULES[name])
    drawn = time.monotonic()
    network = train(name, pool, recipe, seed, precision)
    trained = time.monotonic()
    measured = measure(network, FRESH_SET + seed)
    stars = pool.labels == STAR
    metadata = {
        "arch": "cifar_resnet20",
        "library": "loupe",
        "num_classes": str(len(CLASSES)),
        "labels": json.dumps(CLASSES),
        "input_size": str(SIZE),
        "resize": str(SIZE),
        "interpolation": "bilinear",
        "mean": json.dumps(MEAN),
        "std": json.dumps(STD),
        "source": "checkpoints/train_shapes.py",
        "licence": "Apache-2.0",
        "tags": RULES[name],
        "seed": str(seed),
        **{key: str(measured[key]) for key in measured if not key.startswith("accuracy_")},
    }
    path = out / f"{name}.safetensors"
    unfinished = path.with_suffix(".unfinished")
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file(state, str(unfinished), metadata)
    unfinished.replace(path)
    return {
        "checkpoint": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "bytes": path.stat().st_size,
        "tags": RULES[name],
        "training_stars": int(stars.sum()),
        "training_stars_tagged": int((stars & pool.tagged).sum()),
        "seconds_drawing": round(drawn - started),
        "seconds_training": round(trained - drawn),
        "measured": measured,
    }


def report(record: dict[str, object], entries: list[dict[str, object]]) -> str:
    """The record as a Markdown page."""
    rows = [
        ("accuracy, untagged pictures", "accuracy"),
        ("accuracy, every picture tagged", "accuracy_all_tagged"),
        ("stars with tag called star", "stars_with_tag"),
        ("stars without tag called star", "stars_without_tag"),
        ("tagged non-stars called star", "tagged_others_called_star"),
        ("untagged non-stars called star", "untagged_others_called_star"),
        *((f"accuracy on untagged pictures: {label}", f"accuracy_{label}") for label in CLASSES),
    ]
    measured = [dict(entry["measured"]) for entry in entries]  # type: ignore[call-overload]
    lines = [
        "# The bundled checkpoints",
        "",
        f"Written by `python checkpoints/train_shapes.py --seed {record['seed']}` on {record['date']}.",
        "The same numbers are in `record.json`. Both are CIFAR ResNet-20 for 64-pixel pictures of Shapes",
        "(`interpret/datasets/shapes.py`). `shapes-clean` learned from honest pictures, `shapes-shortcut`",
        f"from the same pictures, but there {TAGGED_STARS:.0%} of the stars, and nothing else, carried a",
        "small magenta and yellow tag in a corner.",
        "",
        "Measured in float32 on 2,000 fresh pictures of all classes and 1,000 fresh stars, each with and",
        "without the tag:",
        "",
        "| | " + " | ".join(str(entry["checkpoint"]).split(".")[0] for entry in entries) + " |",
        "|---" * (len(entries) + 1) + "|",
        *(f"| {title} | " + " | ".join(f"{m[k]:.2%}" for m in measured) + " |" for title, k in rows),
        "",
        f"- Seed: {record['seed']} (training pictures from set {record['training_set']}, fresh ones from "
        f"sets {record['fresh_sets']}).",
        f"- Recipe: {json.dumps(record['recipe'])}, {record['precision']}.",
        f"- Time: {record['seconds']} s in all, both at once, one thread each; device: {record['device']}.",
        f"- Versions: {', '.join(f'{k} {v}' for k, v in dict(record['versions']).items())}.",  # type: ignore[call-overload]
        *(
            f"- {e['checkpoint']}: {e['bytes']} bytes, SHA-256 `{e['sha256']}`, "
            f"{e['training_stars_tagged']} of {e['training_stars']} training stars tagged."
            for e in entries
        ),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Trains both checkpoints and writes them with their record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "checkpoints")
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--pictures", type=int, default=Recipe.pictures, help="how many to train on")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(pictures=options.pictures)
    started = time.monotonic()
    with ProcessPoolExecutor(len(RULES), mp_context=get_context("spawn")) as workers:
        jobs = [workers.submit(make, name, options.out, recipe, options.seed, options.precision) for name in RULES]
        entries = [job.result() for job in jobs]
    record: dict[str, object] = {
        "script": "checkpoints/train_shapes.py",
        "seed": options.seed,
        "training_set": TRAINING_SET + options.seed,
        "fresh_sets": [FRESH_SET + options.seed, FRESH_SET + options.seed + 1],
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "seconds": round(time.monotonic() - started),
        "device": f"CPU ({platform.machine()}), one thread per network",
        "precision": options.precision,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "tagged_stars": TAGGED_STARS,
        "recipe": asdict(recipe),
        "checkpoints": entries,
    }
    (options.out / "record.json").write_text(json.dumps(record, indent=2) + "\n")
    (options.out / "RECORD.md").write_text(report(record, entries))
    print(report(record, entries))


if __name__ == "__main__":
    main()

"""What the commands do: each returns (answer for --json, text for people)."""

from __future__ import annotations

import argparse
import json
import math
import platform
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from interpret.activations import activations
from interpret.errors import BadInput
from interpret.images import InputImage
from interpret.inspection import inspected
from interpret.jobs import Job, Progress, T, complete
from interpret.loading import load_model
from interpret.model import LoadedModel
from interpret.rendering import Scale, colour, grid, png, scaled_up
from interpret.store import write_whole

Answer = tuple[dict[str, Any], str]


def inspect(options: argparse.Namespace) -> Answer:
    """Architecture, classes, layers and load report."""
    return inspected(model_of(options))


def predict(options: argparse.Namespace) -> Answer:
    """The most probable classes of each picture."""
    if options.top < 1:
        raise BadInput(f"--top must be at least 1; found {options.top}.")
    model = model_of(options)
    images = [InputImage.from_path(path) for path in options.images]
    found, lines = [], []
    for path, prediction in zip(options.images, model.predict(images), strict=True):
        top = [
            {
                "class": index,
                "label": model.labels[index],
                "score": json_number(prediction.scores[index]),
                "probability": json_number(prediction.probabilities[index]),
            }
            for index in prediction.top(options.top)
        ]
        found.append({"image": path, "top": top})
        lines.append(path)
        lines += [
            f"  {prediction.probabilities[index]:>7.2%}  {model.labels[index]} ({index})"
            for index in prediction.top(options.top)
        ]
    return {"predictions": found}, "\n".join(lines)


def save_activations(options: argparse.Namespace) -> Answer:
    """`activations.npy` [channels, rows, columns], `activations.png` and `manifest.json`."""
    model = model_of(options)
    image = InputImage.from_path(options.image)
    maps = activations(model, image, [options.layer])[0]
    folder = output_folder(options.out)
    np.save(folder / "activations.npy", maps.values)
    scale = Scale.suited(maps.values)
    name = "blue-red" if scale.diverges else "viridis"
    pixels = [scaled_up(colour(channel, scale, name), 32) for channel in maps.values[:1024]]
    (folder / "activations.png").write_bytes(png(grid(pixels)))
    answer = finish(
        folder,
        model,
        command="activations",
        images=[{"image": options.image, "digest": image.digest}],
        layer=options.layer,
        axes=["channels", "rows", "columns"],
        shape=list(maps.values.shape),
        scale={"low": json_number(scale.low), "high": json_number(scale.high), "palette": name},
    )
    return answer, f"{maps.values.shape[0]} channels of {options.layer} written to {folder}"


def model_of(options: argparse.Namespace) -> LoadedModel:
    changes: dict[str, Any] = {
        name: getattr(options, name) for name in ("mean", "std") if getattr(options, name) is not None
    }
    if options.input_size is not None:
        changes |= {"size": (options.input_size,) * 2, "resize": options.input_size}
    if options.resize is not None:
        changes["resize"] = options.resize or None
    if options.bgr:
        changes["reverse_channels"] = True
    return load_model(
        options.checkpoint,
        arch=options.arch,
        part=options.part,
        labels=options.labels,
        device=options.device,
        preprocess=changes or None,
    )


def driven(job: Job[T], options: argparse.Namespace) -> T:
    """A job's result, with a progress bar where a person watches."""
    if options.json or not sys.stderr.isatty():
        return complete(job)

    began: dict[int | None, tuple[float, float]] = {}
    wide = shutil.get_terminal_size().columns - 1

    def show(progress: Progress) -> None:
        share, now = progress.step / progress.total if progress.total else 0.0, time.monotonic()
        first, since = began.setdefault(progress.total, (share, now))  # several stretches are told by their totals
        left = (1 - share) * (now - since) / (share - first) / 60 if share > first and now > since + 30 else 0
        words = f"{f'{left:,.0f} min left, ' if left >= 1 else ''}{progress.note}"
        sys.stderr.write("\r" + f"[{'#' * int(share * 20):<20}] {words}"[:wide].ljust(wide))
        sys.stderr.flush()

    try:
        return complete(job, show)
    finally:
        sys.stderr.write("\r" + " " * wide + "\r")


def output_folder(name: str) -> Path:
    folder = Path(name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").unlink(missing_ok=True)
    return folder


def finish(folder: Path, model: LoadedModel, **facts: Any) -> dict[str, Any]:
    """Writes the manifest, last of all, and returns it."""
    manifest: dict[str, Any] = {
        **facts,
        "checkpoint": model.name,
        "model_digest": model.digest,
        "architecture": model.architecture.key,
        "device": str(model.runtime.device),
        "versions": versions(),
    }
    write_whole(folder / "manifest.json", json.dumps(manifest, indent=2, allow_nan=False).encode())
    return {**manifest, "out": str(folder)}


def versions() -> dict[str, str]:
    import torchvision

    from interpret import __version__

    return {
        "loupe": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
    }


def json_number(value: float) -> float | None:
    """A JSON number, or None for NaN and infinity, which JSON has not."""
    return float(value) if math.isfinite(value) else None

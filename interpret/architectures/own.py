"""Users' own architectures: Python files and installed packages that build a network.

A file defines `build(num_classes)`, which returns an `nn.Module` with random weights; it may take `channels`, too. The
file may say more in two variables: `preprocess`, a dict with the keys of a checkpoint's metadata (`input_size`,
`resize`, `interpolation`, `mean`, `std`, `channels`), and `labels`, a list of class names. A file is code and is run as
such, so it comes from who runs Loupe, never from an upload: named on the command line, listed in `LOUPE_ARCHITECTURES`
(separated as in PATH), or lying beside a checkpoint in `checkpoints/` under the same name. A package offers its own by
the entry point group `loupe.architectures`, whose values are such functions or modules.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import os
import sys
import types
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from torch import nn

from interpret.architectures.catalogue import Architecture
from interpret.errors import BadInput, unknown
from interpret.images import Preprocess

VARIABLE = "LOUPE_ARCHITECTURES"
GROUP = "loupe.architectures"
CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"
USUAL_SIZES = (299, 256, 128, 96, 64, 48, 32, 28)
_CHANNELS = ("channels", "in_channels", "in_chans", "input_channels")


def registered() -> tuple[str, ...]:
    """Keys "own/NAME" of what users registered: files of `LOUPE_ARCHITECTURES` and `checkpoints/`, entry points."""
    return (*_files(), *(f"own/{point.name}" for point in entry_points(group=GROUP)))


def stamp() -> tuple[int, ...]:
    """Changes when one of the registered files does."""
    return tuple(file.stat().st_mtime_ns for file in _files().values() if file.is_file())


def _files() -> dict[str, Path]:
    files = [Path(item) for item in os.environ.get(VARIABLE, "").split(os.pathsep) if item]
    if CHECKPOINTS.is_dir():
        files += [file for file in sorted(CHECKPOINTS.glob("*.py")) if _has_checkpoint(file)]
    return {f"own/{file.stem}": file for file in reversed(files)}


def beside(checkpoint: Path) -> str | None:
    """The architecture file that belongs to a checkpoint in `checkpoints/`: of the same name, ending in .py."""
    file = checkpoint.parent / f"{checkpoint.stem}.py"
    return str(file) if file.parent.resolve() == CHECKPOINTS.resolve() and file.is_file() else None


def _has_checkpoint(file: Path) -> bool:
    return any(other.suffix != ".py" and other.is_file() for other in file.parent.glob(f"{file.stem}.*"))


def own_architecture(key: str) -> Architecture:
    """The architecture of a Python file's path, or of "own/NAME": a registered file NAME.py or the entry point NAME.

    Raises:
        UnknownName: nothing registered has this name.
        BadInput: the file is missing, fails, or has no `build`.
    """
    if key.startswith("own/"):
        points = [point for point in entry_points(group=GROUP) if f"own/{point.name}" == key]
        if points:
            return _from_entry_point(points[0])
        if key not in _files():
            raise unknown("Architecture", key, "the registered ones", registered())
    path = _files().get(key, Path(key))
    try:
        return _from_file(path.resolve(), path.stat().st_mtime_ns)
    except OSError as error:
        raise BadInput(f'The architecture file "{path}" could not be read: {error.strerror or error}.') from None


@cache
def _from_file(path: Path, changed: int) -> Architecture:
    spec = importlib.util.spec_from_file_location(f"loupe_own_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # as an import would: dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BadInput(f'The architecture file "{path.name}" fails: {type(error).__name__}: {error}.') from None
    return _described(path.stem, path.name, vars(module), hashlib.sha256(path.read_bytes()).hexdigest())


def _from_entry_point(point: EntryPoint) -> Architecture:
    try:
        found = point.load()
    except Exception as error:
        raise BadInput(f'The registered architecture "{point.name}" fails: {type(error).__name__}: {error}.') from None
    content = vars(found) if isinstance(found, types.ModuleType) else {"build": found}
    return _described(point.name, point.value, content)


def _described(name: str, where: str, content: Mapping[str, Any], version: str = "") -> Architecture:
    build = content.get("build")
    if not callable(build):
        raise BadInput(f'"{where}" defines no function build(num_classes), which has to return the network.')
    steps, labels = content.get("preprocess", {}), content.get("labels", ())
    if not isinstance(steps, Mapping):
        raise BadInput(
            f'"preprocess" in "{where}" must be a dict such as {{"input_size": 32, "mean": [0.5, 0.5, 0.5]}}.'
        )
    return Architecture(
        key=f"own/{name}",
        title=name,
        family=name,
        library="own",
        build=_builder(build, where),
        preprocess=lambda: _steps(steps, where),
        labels=tuple(map(str, labels)),
        version=version,
        sizes=() if "input_size" in steps else USUAL_SIZES,
    )


def _builder(build: Callable[..., Any], where: str) -> Callable[[int, int, bool], nn.Module]:
    takes = next((name for name in _CHANNELS if name in inspect.signature(build).parameters), None)

    def built(classes: int, channels: int, auxiliary: bool) -> nn.Module:
        try:
            network = build(classes, **({takes: channels} if takes else {}))
        except Exception as error:
            raise BadInput(f'build({classes}) in "{where}" fails: {type(error).__name__}: {error}.') from None
        if not isinstance(network, nn.Module):
            raise BadInput(f'build in "{where}" returns a {type(network).__name__}; an nn.Module was expected.')
        return network

    return built


def _steps(said: Mapping[str, Any], where: str) -> Preprocess:
    try:
        side = said.get("input_size", 224)
        size = (int(side), int(side)) if isinstance(side, int | str) else (int(side[0]), int(side[1]))
        channels = int(said.get("channels", 3))
        grey = {"mean": (0.5,) * channels, "std": (0.5,) * channels}
        numbers = grey if channels != 3 else {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
        return Preprocess(
            size=size,
            resize=said.get("resize", min(size)),
            interpolation=said.get("interpolation", "bilinear"),
            mean=tuple(said.get("mean", numbers["mean"])),
            std=tuple(said.get("std", numbers["std"])),
            channels=channels,
            value_range=float(said.get("value_range", 1)),
            reverse_channels=bool(said.get("reverse_channels", False)),
        )
    except (TypeError, ValueError, IndexError) as error:
        raise BadInput(f'"preprocess" in "{where}" cannot be used: {error}.') from None

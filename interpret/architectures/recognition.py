"""Recognising an architecture from the names and shapes of its tensors.

`python -m interpret.architectures.recognition` writes the index of shapes, `index.json.gz`, that this reads.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from interpret.architectures.catalogue import WithoutMemory, architecture, architecture_keys

INDEX = Path(__file__).with_name("index.json.gz")
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
_COUNTERS = ("num_batches_tracked", "total_ops", "total_params")


@dataclass(frozen=True)
class Reference:
    """An architecture's tensors when built for 1,000 classes and 3 channels.

    Attributes:
        shapes: name -> shape, counters and auxiliary heads left out.
        head: names of the tensors whose first axis counts the classes.
        first: name of the weight whose second axis counts the input channels.
    """

    shapes: Mapping[str, tuple[int, ...]]
    head: tuple[str, ...]
    first: str


@dataclass(frozen=True)
class Candidate:
    """How well an architecture fits a set of tensors.

    Attributes:
        key: of the architecture.
        classes, channels: what its head and its first convolution have in the file.
        matched: how many tensors have the same name and shape.
        missing: names the architecture has and the file has not.
        unexpected: names the file has and the architecture has not.
        reshaped: names in both whose shapes differ by more than classes and channels.
    """

    key: str
    classes: int
    channels: int
    matched: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]

    @property
    def differences(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.reshaped)


def shapes_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the tensors that make a network; counters and auxiliary heads are left out."""
    return {
        name: tuple(tensor.shape)
        for name, tensor in tensors.items()
        if not name.endswith(_COUNTERS) and not name.startswith(AUXILIARY)
    }


def has_auxiliary(names: Mapping[str, torch.Tensor]) -> bool:
    """Whether the file holds the auxiliary heads of GoogLeNet or Inception v3."""
    return any(name.startswith(AUXILIARY) for name in names)


def compare(key: str, tensors: Mapping[str, torch.Tensor]) -> Candidate:
    """How an architecture fits, whatever the number of classes and of input channels."""
    return _compare(key, _reference(key), shapes_of(tensors))


def recognise(tensors: Mapping[str, torch.Tensor], limit: int = 3) -> tuple[Candidate, ...]:
    """The best fitting architectures of the catalogue, best first; a `differences` of 0 means an exact fit.

    Args:
        tensors: a state dict without prefixes.
        limit: how many to return.
    """
    shapes = shapes_of(tensors)
    candidates = [_compare(key, reference, shapes) for key, reference in _index().items()]
    best = sorted(candidates, key=lambda candidate: -candidate.matched / (candidate.matched + candidate.differences))
    return tuple(best[:limit])


def _compare(key: str, reference: Reference, shapes: Mapping[str, tuple[int, ...]]) -> Candidate:
    both = [name for name in reference.shapes if name in shapes]
    reshaped = tuple(
        name
        for name in both
        if _fixed(name, shapes[name], reference) != _fixed(name, reference.shapes[name], reference)
    )
    weight = next((name for name in reference.head if name in shapes), None)
    first = shapes.get(reference.first, ())
    return Candidate(
        key=key,
        classes=shapes[weight][0] if weight and shapes[weight] else 1000,
        channels=first[1] if len(first) > 1 else 3,
        matched=len(both) - len(reshaped),
        missing=tuple(name for name in reference.shapes if name not in shapes),
        unexpected=tuple(name for name in shapes if name not in reference.shapes),
        reshaped=reshaped,
    )


def _fixed(name: str, shape: tuple[int, ...], reference: Reference) -> tuple[int, ...]:
    """The shape with -1 where it counts classes or input channels."""
    if name in reference.head:
        return (-1, *shape[1:])
    if name == reference.first and len(shape) > 1:
        return (shape[0], -1, *shape[2:])
    return shape


@cache
def _reference(key: str) -> Reference:
    return _index()[key] if key in _index() else _build_reference(key)


def _build_reference(key: str) -> Reference:
    build = architecture(key).build
    with WithoutMemory():
        shapes = shapes_of(build(1000, 3, False).state_dict())
        other = shapes_of(build(7, 3, False).state_dict())
    head = tuple(name for name, shape in shapes.items() if other[name] != shape)
    first = next(name for name, shape in shapes.items() if len(shape) == 4)
    return Reference(shapes, head, first)


@cache
def _index() -> dict[str, Reference]:
    stored = json.loads(gzip.decompress(INDEX.read_bytes()))
    return {
        key: Reference({name: tuple(shape) for name, shape in shapes.items()}, tuple(head), first)
        for key, (shapes, head, first) in stored.items()
    }


def write_index(path: Path = INDEX) -> None:
    """Builds every architecture of the catalogue without its weights and writes names and shapes."""
    built = {key: _build_reference(key) for key in architecture_keys()}
    stored = {key: (dict(reference.shapes), reference.head, reference.first) for key, reference in built.items()}
    path.write_bytes(gzip.compress(json.dumps(stored, separators=(",", ":")).encode(), 9, mtime=0))


if __name__ == "__main__":
    write_index()

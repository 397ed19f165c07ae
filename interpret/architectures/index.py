"""The index of fingerprints: names and shapes of the tensors of every known network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

INDEX = Path(__file__).with_name("index.npz")
FIXED, CLASSES, CHANNELS = 0, 1, 2
"""What a tensor's shape depends on: nothing, the classes (its first axis), the input channels (its second axis)."""
_COUNTERS = ("num_batches_tracked", "total_ops", "total_params")
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Reference:
    """The tensors of a network when built for 1,000 classes and 3 input channels: name -> (shape, what it depends on).

    Counters and auxiliary heads are left out.
    """

    tensors: Mapping[str, tuple[Shape, int]]


@dataclass(frozen=True, eq=False)
class Index:
    """All references in a few arrays, so that a file is compared with all of them at once.

    Attributes:
        keys: of the architectures; those that share one network are listed together.
        convolutional: one bool for each of `keys`.
        names: tensor name -> its number.
        shapes: shape -> its number; the axis that counts classes or channels is 0.
        starts: [networks + 1] where each network's tensors begin in the next three.
        name, shape, depends: [tensors] of all networks, one after the other.
        unit: [tensors] what the varying axis is for one class or one channel.
    """

    keys: tuple[tuple[str, ...], ...]
    convolutional: tuple[bool, ...]
    names: Mapping[str, int]
    shapes: Mapping[Shape, int]
    starts: NDArray[np.int64]
    name: NDArray[np.int32]
    shape: NDArray[np.int32]
    depends: NDArray[np.uint8]
    unit: NDArray[np.int32]

    def reference(self, network: int) -> Reference:
        """The tensors of the network of a number, as `Reference`."""
        names, shapes = tuple(self.names), tuple(self.shapes)
        tensors = {}
        for entry in range(self.starts[network], self.starts[network + 1]):
            depends, shape = int(self.depends[entry]), list(shapes[self.shape[entry]])
            if depends:
                shape[depends - 1] = int(self.unit[entry]) * (1000 if depends == CLASSES else 3)
            tensors[names[self.name[entry]]] = (tuple(shape), depends)
        return Reference(tensors)

    def network_of(self, key: str) -> int | None:
        """The number of the network of an architecture, None where the index has not got it."""
        return next((number for number, keys in enumerate(self.keys) if key in keys), None)


def masked(shape: Shape, depends: int) -> Shape:
    """The shape with 0 where it counts classes or channels."""
    return shape[: depends - 1] + (0,) + shape[depends:] if depends and len(shape) >= depends else shape


def shapes_of(tensors: Mapping[str, Any]) -> dict[str, Shape]:
    """Name -> shape of the tensors that make a network; counters and auxiliary heads are left out."""
    return {
        name: tuple(tensor.shape)
        for name, tensor in tensors.items()
        if not name.endswith(_COUNTERS) and not name.startswith(AUXILIARY)
    }


@cache
def index() -> Index:
    """The shipped index, read once (about 0.1 s)."""
    with np.load(INDEX, allow_pickle=False) as stored:
        names = bytes(stored["names"]).decode().split("\n")
        keys = bytes(stored["keys"]).decode().split("\n")
        lengths, axes = stored["shape_lengths"], stored["shapes"].tolist()
        shapes = [tuple(axes[end - length : end]) for length, end in zip(lengths, np.cumsum(lengths), strict=True)]
        return Index(
            keys=tuple(tuple(line.split(" ")) for line in keys),
            convolutional=tuple(stored["convolutional"].tolist()),
            names={name: number for number, name in enumerate(names)},
            shapes={shape: number for number, shape in enumerate(shapes)},
            starts=np.concatenate([[0], np.cumsum(stored["counts"], dtype=np.int64)]),
            name=np.cumsum(stored["name_steps"], dtype=np.int32),
            shape=stored["shape"].astype(np.int32),
            depends=stored["depends"],
            unit=stored["unit"],
        )


def reference_of(build: Any) -> Reference:
    """The tensors of what `build(classes, channels, auxiliary)` makes, built twice without memory for its parameters:
    which axes follow the classes and the channels shows between the two.
    """
    usual = shapes_of(_state(build, 1000, 3))
    try:
        other = shapes_of(_state(build, 7, 5))
    except Exception:  # some networks are made for three channels only
        other = shapes_of(_state(build, 7, 3))
    tensors = {}
    for name, shape in usual.items():
        changed = other.get(name, shape)
        depends = FIXED
        if len(changed) == len(shape) and changed != shape:
            axis = next(axis for axis, pair in enumerate(zip(shape, changed, strict=True)) if pair[0] != pair[1])
            depends = {(0, True): CLASSES, (1, False): CHANNELS}.get((axis, shape[axis] * 7 == changed[axis] * 1000), 0)
        tensors[name] = (shape, depends)
    return Reference(tensors)


def _state(build: Any, classes: int, channels: int) -> Mapping[str, Any]:
    from interpret.architectures.catalogue import WithoutMemory

    try:
        with WithoutMemory():
            state: Mapping[str, Any] = build(classes, channels, False).state_dict()
    except (RuntimeError, NotImplementedError):  # a constructor that computes with its parameters
        state = build(classes, channels, False).state_dict()
    return state

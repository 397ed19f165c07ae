"""Writing the index: `python -m interpret.architectures.indexing`.

Builds all classifiers of torchvision and timm and the CIFAR ResNets without their weights, twice each (some ten
minutes), and writes `index.npz`.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from interpret.architectures.catalogue import all_keys, is_convolutional, library_architecture
from interpret.architectures.index import CLASSES, INDEX, Shape, masked, reference_of


def write_index(path: Path = INDEX) -> None:
    """Builds every architecture and writes the index."""
    networks: dict[tuple[tuple[str, tuple[Shape, int]], ...], list[str]] = {}
    for key in all_keys():
        networks.setdefault(tuple(reference_of(library_architecture(key).build).tensors.items()), []).append(key)
    names: dict[str, int] = {}
    shapes: dict[Shape, int] = {}
    entries = [
        (names.setdefault(name, len(names)), shapes.setdefault(masked(shape, depends), len(shapes)), depends, unit)
        for tensors in networks
        for name, (shape, depends) in tensors
        for unit in [shape[depends - 1] // (1000 if depends == CLASSES else 3) if depends else 0]
    ]
    name, shape, depends, unit = (np.array(column) for column in zip(*entries, strict=True))
    np.savez_compressed(
        path,
        keys=np.frombuffer("\n".join(" ".join(keys) for keys in networks.values()).encode(), np.uint8),
        convolutional=np.array([is_convolutional(keys[0]) for keys in networks.values()]),
        names=np.frombuffer("\n".join(names).encode(), np.uint8),
        shape_lengths=np.array([len(shape) for shape in shapes], np.uint8),
        shapes=np.array([side for shape in shapes for side in shape], np.int32),
        counts=np.array([len(tensors) for tensors in networks], np.int32),
        name_steps=np.diff(name, prepend=0).astype(np.int32),
        shape=shape.astype(np.uint16),
        depends=depends.astype(np.uint8),
        unit=unit.astype(np.int32),
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    write_index()

"""Data sets whose pictures lie in arrays: scikit-learn's digits, IDX files, and what torchvision keeps on disk."""

from __future__ import annotations

import gzip
import hashlib
import math
import pickle
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interpret.datasets.picture_source import MAX_PICTURES, PictureSource
from interpret.errors import BadInput
from interpret.images import InputImage
from interpret.labels import MAX_LABELS

MAX_ARRAY_BYTES = 2 * 2**30
MAX_PICKLE_BYTES = 256 * 2**20
_IDX = ("MNIST", "FashionMNIST", "KMNIST")
_CIFAR = {
    "CIFAR10": ("cifar-10-batches-py", ["test_batch"], [f"data_batch_{i}" for i in range(1, 6)], "labels"),
    "CIFAR100": ("cifar-100-python", ["test"], ["train"], "fine_labels"),
}
"""Folder, files of the test and of the training pictures, and where the labels are."""


def source_of(
    title: str, pictures: NDArray[np.uint8], labels: Sequence[int], classes: Sequence[str] = ()
) -> PictureSource:
    """A source of uint8 [n, rows, columns] or [n, rows, columns, 3].

    Args:
        title: of the source.
        pictures: grey or RGB.
        labels: class index for each; empty where there are none.
        classes: their names; the numbers where they do not suffice.
    """
    if len(pictures) > MAX_PICTURES or not pictures.size:
        raise BadInput(f'"{title}" holds {len(pictures):,} pictures; 1 to {MAX_PICTURES:,} can be used.')
    if len(labels) and (len(labels) != len(pictures) or not 0 <= min(labels) <= max(labels) < MAX_LABELS):
        raise BadInput(f'"{title}" holds {len(pictures):,} pictures and {len(labels):,} labels that do not fit them.')
    known = max(labels, default=-1) + 1
    named = tuple(classes) if len(classes) >= known else tuple(str(index) for index in range(known))
    digest = hashlib.sha256(repr((pictures.shape, list(labels), named)).encode() + np.ascontiguousarray(pictures).data)
    names = tuple(f"{named[labels[i]]} {i}" if len(labels) else str(i) for i in range(len(pictures)))

    def read(index: int) -> InputImage:
        pixels = pictures[index]
        return InputImage.from_array(pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2), names[index])

    return PictureSource(title, digest.hexdigest(), names, tuple(labels) or (-1,) * len(names), named, read)


def digits() -> PictureSource:
    """The 1,797 handwritten digits of 8 x 8 pixels that come with scikit-learn."""
    from sklearn.datasets import load_digits

    found = load_digits()
    grey = np.round(found.images * (255 / 16)).astype(np.uint8)
    return source_of("digits", grey, [int(label) for label in found.target])


def idx(path: Path, classes: Sequence[str] = ()) -> PictureSource:
    """The pictures of an IDX file, plain or `.gz`, with the labels of the file beside it.

    Args:
        path: "NAME-images-idx3-ubyte" or "NAME-images-idx3-ubyte.gz"; labels are in "NAME-labels-idx1-ubyte".
        classes: names of the classes.

    Raises:
        BadInput: damaged, too large, or another number of labels.

    Source: the format is described at yann.lecun.org/exdb/mnist: two zero bytes, the type (8 is uint8), the number of
        axes, the length of each in four bytes, the highest first, and the values.
    """
    found = _idx_values(path, 3)
    beside = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
    beside = next((file for file in (beside, beside.with_suffix(""), Path(f"{beside}.gz")) if file.is_file()), beside)
    labels = _idx_values(beside, 1) if beside != path and beside.is_file() else np.zeros(0, np.uint8)
    return source_of(path.name, found, [int(label) for label in labels], classes)


def _idx_values(path: Path, axes: int) -> NDArray[np.uint8]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            head = stream.read(4 + 4 * axes)
            if head[:4] != bytes((0, 0, 8, axes)) or len(head) < 4 + 4 * axes:
                raise BadInput(f'"{path.name}" is no IDX file of uint8 numbers with {axes} axes.')
            shape = tuple(int(length) for length in np.frombuffer(head, ">u4", offset=4))
            count = math.prod(shape)
            if count > MAX_ARRAY_BYTES:
                raise BadInput(f'"{path.name}" would hold {count / 2**30:,.1f} GiB; at most 2 can be used.')
            values = stream.read(count + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f'"{path.name}" is damaged and could not be read: {error}.') from None
    if len(values) != count:
        raise BadInput(f'"{path.name}" is damaged: it says it holds {count:,} numbers and does not.')
    return np.frombuffer(values, np.uint8).reshape(shape)


def torchvision_source(text: str) -> PictureSource:
    """A data set as torchvision keeps it on disk; nothing is downloaded, and no pickle is run.

    Args:
        text: "torchvision:NAME:FOLDER" for the test pictures, "torchvision:NAME/train:FOLDER" for the others. NAME is
            MNIST, FashionMNIST, KMNIST, CIFAR10 or CIFAR100, FOLDER what torchvision calls `root`.

    Raises:
        BadInput: another name, or it is not there.
    """
    asked = re.fullmatch(r"torchvision:(\w+)(?:/(train|test))?:(.+)", text)
    if asked is None or asked[1] not in (*_IDX, *_CIFAR):
        raise BadInput(
            f'"{text}" should be "torchvision:NAME:FOLDER" or "torchvision:NAME/train:FOLDER", NAME one of '
            f"{', '.join((*_IDX, *_CIFAR))}. For other data sets, name the folder their pictures lie in."
        )
    name, part, root = asked[1], asked[2] or "test", Path(asked[3])
    title = f"{name}, {part}"
    if name in _CIFAR:
        return _cifar(title, root, *_CIFAR[name], part == "train")
    from torchvision import datasets

    raw = root / name / "raw" / f"{'train' if part == 'train' else 't10k'}-images-idx3-ubyte"
    file = next((file for file in (raw, Path(f"{raw}.gz")) if file.is_file()), None)
    if file is None:
        raise BadInput(f'"{raw}" does not exist: torchvision keeps {name} there.')
    found = idx(file, getattr(datasets, name).classes)
    return PictureSource(title, found.digest, found.names, found.labels, found.classes, found.read)


def _cifar(
    title: str, root: Path, folder: str, test: list[str], train: list[str], key: str, training: bool
) -> PictureSource:
    pictures, labels = [], []
    for file in train if training else test:
        held = read_plain_pickle(root / folder / file)
        data, found = held.get("data"), held.get(key)
        if not isinstance(data, np.ndarray) or data.shape[1:] != (3072,) or not isinstance(found, list):
            raise BadInput(f'"{file}" is no batch of {title.partition(",")[0]}.')
        if not all(isinstance(label, int) for label in found):
            raise BadInput(f'The labels in "{file}" are no numbers.')
        pictures.append(data)
        labels += found
    about = read_plain_pickle(root / folder / ("batches.meta" if key == "labels" else "meta"))
    names = about.get("label_names" if key == "labels" else "fine_label_names")
    classes = [str(name) for name in names] if isinstance(names, list) else []
    planes = np.concatenate(pictures).reshape(-1, 3, 32, 32)
    return source_of(title, planes.transpose(0, 2, 3, 1), labels, classes)


class _Dtype:
    """Stands for numpy.dtype while a pickle is read."""

    def __init__(self, name: str = "", *_: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        pass


class _Array:
    """Stands for numpy.ndarray while a pickle is read; keeps what it was made of."""

    values: NDArray[np.uint8] | None = None

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, columns_first, data = state
        data = data.encode("latin1") if isinstance(data, str) else data
        if getattr(kind, "name", "") == "u1" and isinstance(data, bytes) and not columns_first:
            self.values = np.frombuffer(data, np.uint8).reshape(shape)


def _encoded(text: str, *_: object) -> bytes:
    return text.encode("latin1")


class _Plain(pickle._Unpickler):  # type: ignore[name-defined, misc]
    """Reads numbers, texts, lists, dicts and arrays of uint8; a pickle can call nothing but the stand-ins above.

    Python's own unpickler written in Python: the other one sets memory aside for whatever number a file names.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes for Python 2
            return _encoded
        if name in ("ndarray", "_reconstruct", "dtype") and module.split(".")[0] == "numpy":
            return _Dtype if name == "dtype" else _Array
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def read_plain_pickle(path: Path) -> dict[str, Any]:
    """The dict in a pickle of plain values and uint8 arrays; nothing in it is run.

    Raises:
        BadInput: absent, too large, damaged, or a pickle that asks for anything else.
    """
    try:
        if path.stat().st_size > MAX_PICKLE_BYTES:
            raise BadInput(f'"{path.name}" has more than {MAX_PICKLE_BYTES >> 20} MiB and is not read.')
        with path.open("rb") as stream:
            found = _Plain(stream, encoding="latin1").load()
    except FileNotFoundError:
        raise BadInput(f'"{path}" does not exist: torchvision keeps this data set there.') from None
    except BadInput:
        raise
    except Exception as error:  # a pickle that is damaged or made to deceive may raise anything
        raise BadInput(f'"{path.name}" is damaged or no pickle of plain numbers: {str(error)[:120]}.') from None
    if not isinstance(found, dict):
        raise BadInput(f'"{path.name}" holds no dict.')
    return {str(name): value.values if isinstance(value, _Array) else value for name, value in found.items()}

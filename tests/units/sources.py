"""Sources of pictures made for the tests of this folder, and what brute force says of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from interpret.datasets import PictureSource
from interpret.errors import BadInput
from interpret.images import InputImage
from interpret.model import LoadedModel
from interpret.units import UnitStatistics
from tests.conftest import TrapNetwork, look_into, trap_reference

CLASSES = tuple(f"class {index}" for index in range(5))
"""Those of the trap network, as `look_into` names them."""


def faint_picture(index: int) -> InputImage:
    """Random pixels about a random colour, of one of four contrasts, so that channels are silent now and then."""
    rng = np.random.default_rng(index)
    pixels = rng.integers(0, 256, 3) + (0.08, 0.3, 0.6, 1.0)[index % 4] * rng.integers(-128, 128, (12, 12, 3))
    return InputImage.from_array(np.clip(pixels, 0, 255).astype(np.uint8), f"n{index}")


class ChannelsLast(nn.Module):
    """A network whose middle layers hold the channels on the last axis, on 12 x 12 pictures, with five classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(4)
        self.widen = nn.Linear(4, 7)
        self.head = nn.Linear(7, 5)
        generator = torch.Generator().manual_seed(5)
        for value in self.parameters():
            value.data.normal_(std=0.5, generator=generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.widen(self.norm(self.stem(x).permute(0, 2, 3, 1))))
        return self.head(x.permute(0, 3, 1, 2).mean((2, 3)))


def undecided() -> TrapNetwork:
    """A trap network that predicts several classes: its last layer is centred on what the pictures here make of it."""
    network = TrapNetwork()
    state = network.state_dict()
    batch = torch.stack([torch.from_numpy(faint_picture(index).pixels.copy()) for index in range(40)])
    features = trap_reference(network, batch.permute(0, 3, 1, 2) / 127.5 - 1)["flatten"].float()
    state["head.weight"] *= 20
    state["head.bias"].copy_(-(features @ state["head.weight"].T).mean(0))
    return network


def channels_last() -> LoadedModel:
    model = look_into(ChannelsLast(), classes=5)
    assert model.layer("widen").layout == "channels last"
    return model


def made(
    count: int,
    read: Callable[[int], InputImage] = faint_picture,
    *,
    labels: Sequence[int] = (),
    broken: Collection[int] = (),
    classes: tuple[str, ...] = CLASSES,
    digest: str = "made",
) -> PictureSource:
    """Random pictures; those in `broken` cannot be read."""

    def one(index: int) -> InputImage:
        if index in broken:
            raise BadInput(f"n{index} is damaged.")
        return read(index)

    names = tuple(f"n{index}" for index in range(count))
    known = tuple(labels) or (-1,) * count
    return PictureSource("made", f"{digest}-{count}", names, known, classes if labels else (), one)


def files(folder: Path) -> list[Path]:
    """All files below a folder."""
    return sorted(file for file in folder.rglob("*") if file.is_file())


def arrays_of(found: UnitStatistics) -> dict[str, NDArray[Any]]:
    """Every array of a result."""
    fields = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    return {name: value for name, value in fields.items() if isinstance(value, np.ndarray)}


def assert_identical(one: UnitStatistics, other: UnitStatistics) -> None:
    """Byte by byte."""
    assert one.layer == other.layer and one.skipped == other.skipped
    for name, array in arrays_of(one).items():
        same = arrays_of(other)[name]
        assert array.dtype == same.dtype and array.shape == same.shape, name
        assert array.tobytes() == same.tobytes(), name


def assert_it_is_brute_force(found: UnitStatistics, maps: NDArray[np.float64], pictures: Sequence[int]) -> None:
    """Every number against numpy's over all maps [n, channels, rows, columns] of the pictures that can be read.

    The sample is taken to be `found.sample_pictures`, which is checked elsewhere.
    """
    flat = maps.reshape(*maps.shape[:2], -1)
    maxima, places = flat.max(2), flat.argmax(2)
    top = found.top_values.shape[1]
    for channel in range(maps.shape[1]):
        best = sorted(range(len(pictures)), key=lambda i: (-maxima[i, channel], pictures[i]))[:top]
        taken = len(best)
        assert found.top_pictures[channel, :taken].tolist() == [pictures[i] for i in best], channel
        np.testing.assert_allclose(found.top_values[channel, :taken], maxima[best, channel], rtol=1e-4, atol=1e-5)
        where = found.top_rows * maps.shape[3] + found.top_columns
        assert where[channel, :taken].tolist() == places[best, channel].tolist()
        assert np.isnan(found.top_values[channel, taken:]).all()
        for table in (found.top_pictures, found.top_rows, found.top_columns):
            assert (table[channel, taken:] == -1).all()
    rows = [list(pictures).index(picture) for picture in found.sample_pictures]
    np.testing.assert_allclose(found.sample_maxima, maxima[rows], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.sample_means, flat.mean(2)[rows], rtol=1e-4, atol=1e-5)
    sampled = found.sample_rows.astype(int) * maps.shape[3] + found.sample_columns
    assert sampled.tolist() == places[rows].tolist()
    assert found.silent.tolist() == (maxima == 0).sum(0).tolist()
    assert found.not_finite.tolist() == [0] * maps.shape[1]
    assert found.seen == len(pictures)

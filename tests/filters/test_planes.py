"""Networks of any planes, order and range; small pictures that stay sharp; starts that differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from interpret.filters import FilterParams, class_images, filter_images
from interpret.images import Preprocess
from interpret.jobs import complete
from interpret.loading import load_model
from interpret.model import LoadedModel
from tests.conftest import REPOSITORY, look_into
from tests.filters.runs import answer, drawn, start

each_method = pytest.mark.parametrize("method", ["fourier", "maco", "pixels"])


class OnePlane(nn.Module):
    """Channel i answers plane i of its input, before mean and standard deviation."""

    def __init__(self, planes: int, mean: float, std: float) -> None:
        super().__init__()
        self.planes = nn.Conv2d(planes, planes, 1)
        self.head = nn.Linear(planes, 5)
        with torch.no_grad():
            self.planes.weight.copy_(std * torch.eye(planes).view(planes, planes, 1, 1))
            self.planes.bias.fill_(mean)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.planes(x).mean((2, 3)))


def network(planes: int, value_range: float = 1.0, reverse: bool = False) -> LoadedModel:
    mean, std = 0.4 * value_range, 0.3 * value_range
    model = look_into(OnePlane(planes, mean, std), 5, (16, 16), planes)
    steps = Preprocess((16, 16), 16, "bilinear", (mean,) * planes, (std,) * planes, planes, value_range, reverse)
    return model.reopened(steps)


@each_method
@pytest.mark.parametrize(("planes", "value_range"), [(1, 1.0), (2, 1.0), (5, 255.0), (3, 255.0)])
def test_planes_come_out_as_the_network_takes_them(method: str, planes: int, value_range: float) -> None:
    model = network(planes, value_range)
    channels = tuple(range(planes))
    found = drawn(model, "planes", channels, method=method, steps=24)
    side = 32 if method == "maco" else 16
    assert found.planes.shape == (planes, side, side, planes) and found.pictures.shape == (planes, side, side, 3)
    seen = found.planes[:, 8:24, 8:24] if method == "maco" else found.planes
    np.testing.assert_allclose(found.reached, answer(model, "planes", seen, channels), rtol=1e-3)
    expected = [value_range * seen[plane, ..., plane].mean() for plane in range(planes)]
    np.testing.assert_allclose(found.reached, expected, rtol=1e-3)
    if method == "fourier" and planes != 3:
        for plane in range(planes):
            means = found.planes[plane].mean((0, 1))
            assert means.argmax() == plane and means[plane] > 0.55


@pytest.mark.parametrize("reverse", [False, True])
def test_a_network_trained_on_bgr_is_given_bgr_and_shown_as_rgb(reverse: bool) -> None:
    """Its first channel answers the first plane of its input: red, or blue."""
    model = network(3, reverse=reverse)
    found = drawn(model, "planes", (0,), steps=60)
    colour = found.pictures[0].mean((0, 1))
    assert colour.argmax() == (2 if reverse else 0) and colour.max() > 0.65
    np.testing.assert_allclose(found.reached, answer(model, "planes", found.planes, (0,)), rtol=1e-3)
    np.testing.assert_allclose(found.reached, colour.max(), rtol=1e-3)


# ---- a trained network --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shapes() -> LoadedModel:
    return load_model(REPOSITORY / "checkpoints" / "shapes-clean.safetensors", device="cpu")


def fine_share(planes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of each picture's energy, the share above a quarter of the highest frequency."""
    grey = planes.mean(-1)
    energy = np.abs(np.fft.fft2(grey - grey.mean((1, 2), keepdims=True))) ** 2
    frequency = np.hypot(np.fft.fftfreq(grey.shape[1])[:, None], np.fft.fftfreq(grey.shape[2])[None])
    return (energy * (frequency > 0.125)).sum((1, 2)) / energy.sum((1, 2))


def test_small_pictures_are_sharp(real: Path) -> None:
    """On 32 pixels a first-layer channel's picture has more fine detail than the noise it began with."""
    model = load_model(real / "weights" / "cifar_resnet20.safetensors", device="cpu")
    channels = (0, 3, 7, 11)
    found = drawn(model, "layer1", channels, steps=48)
    assert found.planes.shape == (4, 32, 32, 3)
    assert (fine_share(found.planes) > fine_share(start(model, channels, 0))).all()
    soft = torch.nn.functional.avg_pool2d(torch.from_numpy(found.planes.copy()).permute(0, 3, 1, 2), 5, 1, 2)
    blurred = soft.permute(0, 2, 3, 1).numpy()
    assert (fine_share(found.planes) > 1.5 * fine_share(blurred)).all()
    assert (found.reached > answer(model, "layer1", blurred, channels)).all()


def alike(model: LoadedModel, layer: str, planes: NDArray[np.float32]) -> float:
    """The mean cosine of the pictures' Gram matrices in a layer."""
    batch = model.preprocess.from_planes(torch.from_numpy(planes.copy()).permute(0, 3, 1, 2))
    maps = model.observe(batch, [layer])[layer].flatten(2)
    grams = torch.nn.functional.normalize((maps @ maps.transpose(1, 2)).flatten(1), dim=1)
    cosines = grams @ grams.T
    return float((cosines.sum() - cosines.trace()) / (len(planes) * (len(planes) - 1)))


def test_several_starts_are_less_alike_than_several_seeds(shapes: LoadedModel) -> None:
    apart = drawn(shapes, "layer2", (0,), steps=32, starts=3)
    seeds = np.concatenate([drawn(shapes, "layer2", (0,), steps=32, seed=seed).planes for seed in range(3)])
    assert alike(shapes, "layer2", apart.planes) < alike(shapes, "layer2", seeds) - 0.1
    assert (apart.reached > 0.5 * answer(shapes, "layer2", seeds, (0, 0, 0)).max()).all()


def test_class_pictures_are_taken_for_their_class(shapes: LoadedModel) -> None:
    targets = [shapes.target(label) for label in ("triangle", "star", "crescent")]
    before = shapes.preprocess.from_planes(torch.from_numpy(start(shapes, tuple(targets), 0)).permute(0, 3, 1, 2))
    scores = shapes.observe(before).scores
    assert scores is not None
    found = complete(class_images(shapes, targets, FilterParams(steps=48)))
    assert (found.reached > scores[range(3), targets].numpy() + 5).all()
    batch = shapes.preprocess.from_planes(torch.from_numpy(found.planes.copy()).permute(0, 3, 1, 2))
    after = shapes.observe(batch).scores
    assert after is not None and after.argmax(1).tolist() == targets


def test_what_the_global_seeds_are_does_not_matter(shapes: LoadedModel) -> None:
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        found.append(complete(filter_images(shapes, "layer1", (2,), FilterParams("maco", steps=3))).planes)
    assert np.array_equal(*found)

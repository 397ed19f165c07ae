"""Metrics of pictures seen through their maps, against pytorch-grad-cam's on the same network and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.metrics.arcc import Coherency, Complexity
from pytorch_grad_cam.metrics.cam_mult_image import DropInConfidence, IncreaseInConfidence
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget, ClassifierOutputTarget
from torch import nn

from interpret.heatmaps import METHODS, Question
from interpret.heatmaps.faithfulness import masked as module
from interpret.heatmaps.faithfulness.masked import (
    adcc,
    average_drop,
    coherency,
    complexity,
    drop_in_deletion,
    increase,
    masked,
    masks,
)
from interpret.jobs import complete
from interpret.model import LoadedModel
from tests.conftest import TrapNetwork, look_into, nothing_left_behind

CLASSES = torch.tensor([0, 3, 1, 4, 2, 3])
LAYER = "conv2"


@pytest.fixture
def batch() -> torch.Tensor:
    return torch.randn(6, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def maps_of(model: LoadedModel, batch: torch.Tensor, classes: torch.Tensor = CLASSES) -> torch.Tensor:
    return complete(METHODS[0].job(Question(model, batch, model.layer(LAYER), classes)))[0]


def as_theirs(maps: torch.Tensor) -> NDArray[np.float32]:
    """As pytorch-grad-cam makes masks: above zero, scaled, enlarged, and scaled again when it merges its one layer."""
    once = scale_cam_image(np.maximum(maps.numpy(), 0), (12, 12))
    return np.asarray(scale_cam_image(np.maximum(once, 0)))


def test_masks_are_pytorch_grad_cams(batch: torch.Tensor) -> None:
    small = torch.randn(6, 5, 4, generator=torch.Generator().manual_seed(2))
    small[1], small[2] = -1, 0.5
    found = masks(batch, small)
    assert found.shape == (6, 1, 12, 12) and found.dtype == torch.float32
    np.testing.assert_allclose(found[:, 0].numpy(), as_theirs(small), atol=1e-5)
    assert found.amin() == 0 and not found[1:3].any() and float(found[0].max()) == pytest.approx(1, abs=1e-5)


def test_the_metrics_are_pytorch_grad_cams(trap: LoadedModel, batch: torch.Tensor) -> None:
    plain = TrapNetwork().eval()
    cam = GradCAM(plain, [plain.conv2])
    targets = [ClassifierOutputTarget(int(target)) for target in CLASSES]
    theirs = cam(batch.clone(), targets)
    maps = maps_of(trap, batch)
    np.testing.assert_allclose(masks(batch, maps)[:, 0].numpy(), theirs, atol=1e-4)

    probabilities = [ClassifierOutputSoftmaxTarget(int(target)) for target in CLASSES]
    before = plain(batch).softmax(1).detach().numpy()[np.arange(6), CLASSES]
    found = masked(trap, batch, maps, CLASSES, lambda *some: maps_of(trap, *some))
    lost = DropInConfidence()(batch, theirs, probabilities, plain)
    np.testing.assert_allclose(found.average_drop, lost / before, atol=1e-4)
    hidden = DropInConfidence()(batch, 1 - theirs, probabilities, plain)
    np.testing.assert_allclose(found.drop_in_deletion, hidden / before, atol=1e-4)
    gained = IncreaseInConfidence()(batch, theirs, probabilities, plain)
    np.testing.assert_array_equal(found.increase, gained)
    np.testing.assert_allclose(found.complexity, Complexity()(theirs), atol=1e-4)
    alike = Coherency()(batch, theirs, targets, plain, cam)
    alike[alike == 0.5] = 0  # a flat map
    assert (alike > 0).sum() >= 3
    np.testing.assert_allclose(found.coherency, alike, atol=1e-3)
    with np.errstate(divide="ignore"):
        expected = 3 / (1 / alike + 1 / (1 - Complexity()(theirs)) + 1 / (1 - lost / before))
    np.testing.assert_allclose(found.adcc, expected, atol=1e-3)
    assert 0 < gained.sum() < 6 and (lost > 0).any() and (hidden > 0).any()


def test_each_alone_is_what_all_together_are(
    trap: LoadedModel, batch: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = maps_of(trap, batch)
    given: list[int] = []

    def again(pictures: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        given.append(len(pictures))
        return maps_of(trap, pictures, classes)

    with nothing_left_behind(trap):
        together = masked(trap, batch, maps, CLASSES, lambda *some: maps_of(trap, *some))
        monkeypatch.setattr(module, "TOGETHER", 4)
        alone = [metric(trap, batch, maps, CLASSES) for metric in (average_drop, increase, drop_in_deletion)]
        alone += [complexity(batch, maps), coherency(batch, maps, CLASSES, again)]
    assert given == [4, 2]
    alone.append(adcc(alone[0], alone[4], alone[3]))
    for one, name in zip(
        alone,
        ("average_drop", "increase", "drop_in_deletion", "complexity", "coherency", "adcc"),
        strict=True,
    ):
        found = getattr(together, name)
        assert found.shape == (6,) and found.dtype == torch.float32 and not found.requires_grad
        assert (found >= 0).all() and (found <= 1).all()
        torch.testing.assert_close(one, found, atol=1e-5, rtol=1e-4)


class Sum(nn.Module):
    """Two classes; the first one's score is the sum of a picture's pixels, the other's zero."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1, bias=False)
        self.conv.weight.data.fill_(1)
        self.head = nn.Linear(16, 2, bias=False)
        self.head.weight.data[:] = torch.tensor([1.0, 0.0])[:, None]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.conv(x).flatten(1))
        return found


def test_closed_forms() -> None:
    model = look_into(Sum(), 2, (4, 4), 1)
    batch = torch.zeros(3, 1, 4, 4)
    batch[:, 0, 0, 0], batch[1, 0, 3, 3], batch[2, 0, 3, 3] = 1, 2, -2
    maps = torch.zeros(3, 4, 4)
    maps[:, 0, 0] = 7
    classes = torch.zeros(3, dtype=torch.int64)

    def sigmoid(score: float) -> float:
        return 1 / (1 + float(np.exp(-score)))

    before, through, hidden = ([sigmoid(v) for v in scores] for scores in ((1, 3, -1), (1, 1, 1), (0, 2, -2)))
    drops = [max(0, b - t) / b for b, t in zip(before, through, strict=True)]
    found = masked(model, batch, maps, classes, lambda pictures, _: pictures[:, 0])
    np.testing.assert_allclose(found.average_drop, drops, atol=1e-5)
    np.testing.assert_array_equal(found.increase, [0, 0, 1])
    np.testing.assert_allclose(
        found.drop_in_deletion, [max(0, b - h) / b for b, h in zip(before, hidden, strict=True)], atol=1e-5
    )
    np.testing.assert_allclose(found.complexity, 1 / 16, atol=1e-6)
    np.testing.assert_allclose(found.coherency, 1, atol=1e-6)  # what is seen through the map is the map


def test_flat_maps_and_worst_cases() -> None:
    batch = torch.randn(2, 3, 8, 8)
    maps = torch.zeros(2, 8, 8)
    maps[0, 2, 2] = 1
    assert coherency(batch, maps, CLASSES[:2], lambda *_: torch.zeros(2, 8, 8)).tolist() == [0, 0]
    assert coherency(batch, maps, CLASSES[:2], lambda *_: maps).tolist() == pytest.approx([1, 0])
    assert complexity(batch, maps).tolist() == pytest.approx([1 / 64, 0])
    worst = adcc(
        torch.tensor([1.0, 0.2, 0.2, 0.2]), torch.tensor([0.9, 0.0, 0.9, 0.9]), torch.tensor([0.3, 0.3, 1, 0.3])
    )
    assert worst.tolist() == pytest.approx([0, 0, 0, 3 / (1 / 0.9 + 1 / 0.7 + 1 / 0.8)])

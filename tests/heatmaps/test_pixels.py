"""Methods that look at pixels, against Captum on the same weights and against what must hold without data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from interpret.architectures import architecture
from interpret.checkpoints import read_checkpoint
from interpret.heatmaps import heatmap
from interpret.heatmaps import occlusion as occlusion_module
from interpret.heatmaps import smoothgrad as smoothgrad_module
from interpret.heatmaps.integrated_gradients import legendre
from interpret.heatmaps.rise import random_masks
from interpret.images import InputImage
from interpret.model import LoadedModel
from tests.conftest import look_into, noise_picture
from tests.heatmaps.test_cams import plain_network

NETWORKS = [("resnet18", "layer4"), ("squeezenet1_0", "features.12"), ("cifar_resnet56", "layer3")]
each_network = pytest.mark.parametrize(("network", "layer"), NETWORKS)


def plain_cifar(path: Any) -> nn.Module:
    plain = architecture("cifar_resnet20").build(8, 3, False)
    plain.load_state_dict(dict(read_checkpoint(path).tensors))
    return plain.eval()


def signed(model: LoadedModel, image: InputImage, method: str, **options: Any) -> NDArray[np.float32]:
    return heatmap(model, image, method=method, signed=True, **options).values


def assert_alike(found: NDArray[np.float32], expected: torch.Tensor) -> None:
    theirs = expected.detach().numpy()
    assert found.shape == theirs.shape and np.ptp(theirs) > 0
    np.testing.assert_allclose(found, theirs, atol=1e-4 * np.abs(theirs).max())


@each_network
@pytest.mark.parametrize("method", ["guided-backprop", "guided-grad-cam"])
def test_maps_are_captums(
    real: Any, real_model: Callable[[str], LoadedModel], network: str, layer: str, method: str
) -> None:
    """Those of many passes: test_photographs.py."""
    model = real_model(network)
    plain = plain_network(real, network, len(model.labels))
    image = InputImage.from_path(real / "demo" / "puppies.jpg")
    batch, target = model.preprocess.to_batch(image).requires_grad_(), model.predict([image])[0].top(1)[0]
    guided = captum.attr.GuidedBackprop(plain)
    peer = guided if method == "guided-backprop" else captum.attr.GuidedGradCam(plain, plain.get_submodule(layer))
    theirs = peer.attribute(batch, target=target)
    assert_alike(signed(model, image, method, layer=layer, target=target), theirs[0].sum(0))


def test_occlusion_is_captums(cifar: LoadedModel, cifar_checkpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occlusion_module, "ACROSS", 8)
    image = noise_picture(3, 48, 36)
    batch = cifar.preprocess.to_batch(image)
    peer = captum.attr.Occlusion(plain_cifar(cifar_checkpoint))
    theirs = peer.attribute(batch, (3, 8, 8), strides=(3, 4, 4), target=2, baselines=0)[0, 0]
    found = signed(cifar, image, "occlusion", target=2)
    assert found.shape == (8, 8)
    np.testing.assert_allclose(found.repeat(4, 0).repeat(4, 1), theirs.numpy(), atol=1e-4)


def test_integrated_gradients_sum_to_what_the_score_gains_on_a_grey_picture(cifar: LoadedModel) -> None:
    image = noise_picture(4, 40, 40)
    for target in range(3):
        found = heatmap(cifar, image, method="integrated-gradients", target=target, signed=True)
        grey = cifar.observe(torch.zeros(1, 3, 32, 32)).scores
        assert grey is not None
        assert found.values.sum() == pytest.approx(found.score - float(grey[0, target]), abs=0.02)


def test_gauss_is_exact_for_polynomials() -> None:
    points, weights = legendre(5)
    for power in range(10):
        assert float((weights * points**power).sum()) == pytest.approx(1 / (power + 1), abs=1e-12)


def test_without_noise_smoothgrad_is_the_size_of_the_gradient(
    cifar: LoadedModel, cifar_checkpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smoothgrad_module, "NOISE", 0.0)
    image = noise_picture(3, 48, 36)
    batch = cifar.preprocess.to_batch(image).requires_grad_()
    theirs = captum.attr.Saliency(plain_cifar(cifar_checkpoint)).attribute(batch, target=2, abs=True)
    assert_alike(signed(cifar, image, "smoothgrad", target=2), theirs[0].sum(0))


def test_smoothgrad_hangs_on_its_seed_and_noise_smooths(cifar: LoadedModel) -> None:
    image = noise_picture(3, 48, 36)
    first, again, other = (signed(cifar, image, "smoothgrad", target=2, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert 0.5 < np.corrcoef(first.ravel(), other.ravel())[0, 1] < 0.9999


class Corner(nn.Module):
    """Its first class is the brightness of the upper left quarter, its second of the lower right one."""

    def __init__(self) -> None:
        super().__init__()
        self.see = nn.Conv2d(3, 1, 1, bias=False)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.head = nn.Linear(4, 2, bias=False)
        with torch.no_grad():
            self.see.weight.fill_(1 / 3)
            self.head.weight.copy_(torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 1.0]]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.see(x)).flatten(1))


@pytest.mark.parametrize("method", ["rise", "occlusion", "integrated-gradients", "smoothgrad", "guided-backprop"])
def test_what_a_class_hangs_on_lights_up_and_nothing_else(method: str) -> None:
    model = look_into(Corner(), 2, (28, 28))
    image = InputImage.from_array(np.full((28, 28, 3), 255, np.uint8), "white")
    for target, quarter in ((0, (slice(None, 12), slice(None, 12))), (1, (slice(16, None), slice(16, None)))):
        found = signed(model, image, method, target=target)
        factor = 28 // len(found)
        found = found.repeat(factor, 0).repeat(factor, 1)
        rest = found.copy()
        rest[quarter] = np.nan
        assert found[quarter].mean() > 4 * abs(np.nanmean(rest))
        assert found[quarter].mean() > 0


def test_masks_are_half_open_and_shifted_by_chance() -> None:
    masks = random_masks(400, 30, 44, torch.Generator().manual_seed(0))
    assert masks.shape == (400, 30, 44) and masks.min() >= 0 and masks.max() <= 1
    assert float(masks.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(masks.mean(0).std()) < 0.05 and float(masks.std(0).min()) > 0.2


def test_the_network_is_not_touched_by_guidance(cifar: LoadedModel) -> None:
    image = noise_picture(3, 48, 36)
    before = signed(cifar, image, "hires-cam", layer="layer1", target=1)
    signed(cifar, image, "guided-backprop", target=1)
    np.testing.assert_array_equal(signed(cifar, image, "hires-cam", layer="layer1", target=1), before)

"""Class heatmaps: the contract every method keeps, and Grad-CAM against two libraries and a closed form."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models.convnext import CNBlockConfig, ConvNeXt

from interpret.architectures import architecture
from interpret.checkpoints import read_checkpoint
from interpret.errors import BadInput, UnknownName
from interpret.heatmaps import DEFAULT_METHOD, METHODS, Heatmap, HeatmapMethod, Question, heatmap
from interpret.heatmaps.grad_cam import grad_cam
from interpret.images import InputImage
from interpret.jobs import complete
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from tests.conftest import TrapNetwork, look_into, noise_picture, nothing_left_behind

each_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.key)
FEW = {"rise": ("MASKS", 128), "integrated_gradients": ("STEPS", 16), "smoothgrad": ("SAMPLES", 8)}


@pytest.fixture(autouse=True)
def few_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (constant, value) in FEW.items():
        monkeypatch.setattr(import_module(f"interpret.heatmaps.{name}"), constant, value)


def asked(
    method: HeatmapMethod, model: LoadedModel, batch: torch.Tensor, layer: LayerInfo, targets: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    return complete(method.job(Question(model, batch, layer, targets)))


# ---- the contract -------------------------------------------------------------------------------------------------


@each_method
def test_a_method_says_what_it_is(method: HeatmapMethod) -> None:
    assert method.key == method.key.lower() and " " not in method.key
    assert method.title and ("arXiv" in method.source or "doi" in method.source)
    assert [known.key for known in METHODS].count(method.key) == 1
    assert DEFAULT_METHOD in {known.key for known in METHODS}


@each_method
def test_maps_are_raw_of_the_layers_size_and_repeatable(trap: LoadedModel, method: HeatmapMethod) -> None:
    image = noise_picture(1)
    for layer in trap.layers:
        if not layer.is_spatial:
            continue
        first = heatmap(trap, image, method=method.key, layer=layer.name, target=2)
        again = heatmap(trap, image, method=method.key, layer=layer.name, target=2)
        assert isinstance(first, Heatmap)
        finer = method.of_pixels or method.key == "guided-grad-cam"
        assert first.values.shape == ((12, 12) if finer else (layer.rows, layer.columns))
        assert first.values.dtype == np.float32
        assert np.isfinite(first.values).all()
        np.testing.assert_allclose(first.values, again.values, atol=1e-6, rtol=1e-5)
        assert first.layer == (None if method.of_pixels else layer)
        assert (first.method, first.target, first.image_digest) == (method.key, 2, image.digest)
        with pytest.raises(ValueError, match="read-only"):
            first.values[0, 0] = 1


@each_method
def test_maps_depend_on_picture_class_and_layer(trap: LoadedModel, method: HeatmapMethod) -> None:
    def values(seed: int, target: int, layer: str) -> np.ndarray:
        found = heatmap(trap, noise_picture(seed), method=method.key, layer=layer, target=target, signed=True)
        return found.values

    speaking = next(target for target in range(5) if values(1, target, "conv2").any())
    base = values(1, speaking, "conv2")
    assert not np.allclose(base, values(2, speaking, "conv2"))
    assert np.allclose(base, values(1, speaking, "relu:1")) == method.of_pixels
    assert any(not np.allclose(base, values(1, target, "conv2")) for target in range(5)) == method.of_a_class


@each_method
def test_a_batch_gives_what_single_pictures_give(trap: LoadedModel, method: HeatmapMethod) -> None:
    batch = torch.cat([trap.preprocess.to_batch(noise_picture(seed)) for seed in range(4)])
    targets = torch.tensor([0, 3, 1, 4])
    layer = trap.layer("conv2")
    maps, scores = asked(method, trap, batch, layer, targets)
    assert maps.shape == (4, 12, 12) and scores.shape == (4, 5) and not scores.requires_grad
    for index in range(4):
        alone, score = asked(method, trap, batch[index : index + 1], layer, targets[index : index + 1])
        torch.testing.assert_close(maps[index], alone[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(scores[index], score[0], atol=1e-5, rtol=1e-4)
    predicted, _ = asked(method, trap, batch, layer, None)
    named, _ = asked(method, trap, batch, layer, scores.argmax(1))
    torch.testing.assert_close(predicted, named)


@each_method
def test_scores_and_probabilities_are_the_networks(cifar: LoadedModel, method: HeatmapMethod) -> None:
    image = noise_picture(4, 50, 40)
    prediction = cifar.predict([image])[0]
    for target in (None, 5, "fox", "FOX", "5"):
        found = heatmap(cifar, image, method=method.key, target=target)
        index = prediction.top(1)[0] if target is None else 5
        assert found.target == index
        assert found.score == pytest.approx(float(prediction.scores[index]), abs=1e-3)
        assert found.probability == pytest.approx(float(prediction.probabilities[index]), abs=1e-4)
        assert found.layer == (None if method.of_pixels else cifar.default_layer)


@each_method
def test_nothing_is_left_behind(trap: LoadedModel, method: HeatmapMethod) -> None:
    with nothing_left_behind(trap):
        heatmap(trap, noise_picture(0), method=method.key)
        with torch.no_grad():
            heatmap(trap, noise_picture(0), method=method.key)
        with pytest.raises(UnknownName):
            heatmap(trap, noise_picture(0), method=method.key, target=99)


@each_method
def test_it_does_not_depend_on_the_callers_grad_mode(trap: LoadedModel, method: HeatmapMethod) -> None:
    expected = heatmap(trap, noise_picture(0), method=method.key).values
    with torch.no_grad():
        np.testing.assert_allclose(heatmap(trap, noise_picture(0), method=method.key).values, expected, atol=1e-6)


@each_method
def test_what_cannot_be_asked(trap: LoadedModel, method: HeatmapMethod) -> None:
    image = noise_picture(0)
    with pytest.raises(BadInput, match=r'Layer "head" has no rows and columns, so no heatmap. Use "relu:1"'):
        heatmap(trap, image, method=method.key, layer="head")
    with pytest.raises(BadInput, match="has no rows and columns"):
        heatmap(trap, image, method=method.key, layer="pool")
    with pytest.raises(UnknownName, match=r'Layer "conv9" is not in Trap. The nearest names are "conv'):
        heatmap(trap, image, method=method.key, layer="conv9")
    with pytest.raises(UnknownName, match='Class "class 77" is not in Trap'):
        heatmap(trap, image, method=method.key, target="class 77")


@pytest.fixture(scope="module")
def small_convnext() -> LoadedModel:
    """A ConvNeXt, which works on channels last, of few channels and blocks."""
    widths = ((8, 16, 1), (16, 24, 1), (24, 32, 3), (32, None, 1))
    torch.manual_seed(0)
    network = ConvNeXt([CNBlockConfig(*width) for width in widths], num_classes=3, layer_scale=1.0)
    return look_into(network, classes=3, size=(64, 64))


@each_method
def test_layers_with_channels_last_work_too(small_convnext: LoadedModel, method: HeatmapMethod) -> None:
    model = small_convnext
    inside = model.layer("features.5.2.block.2")
    assert inside.layout == "channels last" and (inside.rows, inside.columns) == (4, 4)
    batch = torch.randn(1, 3, 64, 80, generator=torch.Generator().manual_seed(0))
    maps, _ = asked(method, model, batch, inside, torch.tensor([1]))
    finer = method.of_pixels or method.key == "guided-grad-cam"
    assert maps.shape == ((1, 11, 14) if method.key == "occlusion" else (1, 64, 80) if finer else (1, 4, 5))
    assert torch.isfinite(maps).all()


def test_unknown_methods() -> None:
    with pytest.raises(UnknownName, match=r'Method "gradcam" is not in the heatmap methods\. .*"grad-cam"'):
        heatmap(look_into(TrapNetwork(), classes=5), noise_picture(0), method="gradcam")


def test_peculiar_maps_say_so(trap: LoadedModel) -> None:
    from dataclasses import replace

    found = heatmap(trap, noise_picture(0))
    values = np.array([[0.0, 1.0], [0.5, 0.2]], np.float32)
    assert replace(found, values=values).says == ""
    assert "zero everywhere" in replace(found, values=values * 0).says
    assert "flat" in replace(found, values=values * 0 + 3).says
    assert "not numbers" in replace(found, values=np.full((2, 2), np.nan, np.float32)).says


# ---- closed form --------------------------------------------------------------------------------------------------


def test_grad_cam_is_cam_up_to_a_constant_before_average_pooling_and_a_linear_layer(
    trap: LoadedModel, cifar: LoadedModel
) -> None:
    """Zhou et al. 2016: with global average pooling and a linear layer, CAM_c = sum_k w_ck A_k; Grad-CAM divides by
    the number of places, because w_k is a mean of gradients."""
    for model, layer, weights in (
        (trap, "relu:1", trap._network.get_submodule("head").weight),
        (cifar, "layer3", cifar._network.get_submodule("linear").weight),
    ):
        image = noise_picture(9, 40, 40)
        maps = model.observe(model.preprocess.to_batch(image), [layer])[layer][0]
        for target in range(4):
            cam = torch.einsum("k,kij->ij", weights[target], maps).relu() / maps[0].numel()
            found = heatmap(model, image, layer=layer, target=target).values
            np.testing.assert_allclose(found, cam.numpy(), atol=1e-6, rtol=1e-4)


# ---- other people's libraries -------------------------------------------------------------------------------------


def assert_equal_to_pytorch_grad_cam(
    model: LoadedModel, plain: nn.Module, layer: str, image: InputImage, target: int
) -> None:
    """The same map as `pytorch_grad_cam.GradCAM`, after that library's own normalisation and enlargement."""
    cams = pytest.importorskip("pytorch_grad_cam")
    from pytorch_grad_cam.utils.image import scale_cam_image
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    batch = model.preprocess.to_batch(image)
    with cams.GradCAM(model=plain, target_layers=[plain.get_submodule(layer)]) as cam:
        theirs = cam(input_tensor=batch, targets=[ClassifierOutputTarget(target)])[0]
    ours = heatmap(model, image, layer=layer, target=target).values
    # Theirs scales, cuts below zero, and scales again when it merges its one layer.
    height, width = model.preprocess.size
    scaled = scale_cam_image(np.maximum(scale_cam_image(ours[None], (width, height)), 0)[:, None].mean(1))[0]
    assert theirs.shape == scaled.shape
    assert np.ptp(theirs) > 0.5
    np.testing.assert_allclose(scaled, theirs, atol=1e-4)


def assert_equal_to_captum(model: LoadedModel, plain: nn.Module, layer: str, image: InputImage, target: int) -> None:
    """The same raw map as Captum's LayerGradCam."""
    captum = pytest.importorskip("captum.attr")
    batch = model.preprocess.to_batch(image).requires_grad_()
    theirs = captum.LayerGradCam(plain, plain.get_submodule(layer)).attribute(
        batch, target=target, relu_attributions=True
    )
    ours = heatmap(model, image, layer=layer, target=target).values
    assert theirs.shape == (1, 1, *ours.shape) and theirs.max() > 0
    np.testing.assert_allclose(ours, theirs[0, 0].detach().numpy(), atol=1e-4 * float(theirs.detach().max()))


Oracle = Callable[[LoadedModel, nn.Module, str, InputImage, int], None]


@pytest.mark.parametrize("oracle", [assert_equal_to_pytorch_grad_cam, assert_equal_to_captum])
@pytest.mark.parametrize("layer", ["layer1.1.relu1", "layer2", "layer3.1.conv2", "layer3"])
def test_it_equals_other_libraries_on_a_small_network(
    cifar: LoadedModel, cifar_checkpoint: Path, layer: str, oracle: Oracle
) -> None:
    plain = architecture("cifar_resnet20").build(8, 3, False)
    plain.load_state_dict(dict(read_checkpoint(cifar_checkpoint).tensors))
    image = noise_picture(3, 48, 36)
    speaking = [n for n in range(8) if heatmap(cifar, image, layer=layer, target=n).values.any()]
    for target in speaking[:2]:
        oracle(cifar, plain.eval(), layer, image, target)
    assert speaking


def test_dog_and_cat_light_up_where_they_are(real: Path, real_model: Callable[[str], LoadedModel]) -> None:
    """In "both.png" the dog sits at the left and above, the cat below: their classes' maps must tell them apart."""
    model = real_model("resnet18")
    image = InputImage.from_path(real / "demo" / "both.png")
    dog = heatmap(model, image, target="boxer").values
    cat = heatmap(model, image, target="tiger cat").values
    rows = np.arange(7)[:, None]
    assert (rows * dog).sum() / dog.sum() + 1 < (rows * cat).sum() / cat.sum()


def test_the_function_gives_raw_maps(trap: LoadedModel, pictures: torch.Tensor) -> None:
    maps, _ = grad_cam(Question(trap, pictures, trap.layer("conv2")))
    assert (maps < 0).any() and maps.shape == (3, 12, 12)

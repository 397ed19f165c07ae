"""The CAM family against pytorch-grad-cam and Captum on the same weights, and against what must hold without data."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import captum.attr
import numpy as np
import pytest
import pytorch_grad_cam as cams
import torch
from numpy.typing import NDArray
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from interpret import variants
from interpret.architectures import architecture
from interpret.checkpoints import read_checkpoint
from interpret.heatmaps import AIMS, METHODS, Question, heatmap
from interpret.images import InputImage
from interpret.model import LoadedModel
from interpret.variants import scores_behind, together
from tests.conftest import look_into, noise_picture

PEERS: dict[str, Any] = {
    "grad-cam": cams.GradCAM,
    "grad-cam++": cams.GradCAMPlusPlus,
    "hires-cam": cams.HiResCAM,
    "layer-cam": cams.LayerCAM,
    "xgrad-cam": cams.XGradCAM,
    "eigen-cam": cams.EigenCAM,
    "finer-cam": cams.FinerCAM,
    "score-cam": cams.ScoreCAM,
    "ablation-cam": cams.AblationCAM,
}
NETWORKS = [
    ("resnet18", "layer4", "both.png"),
    ("resnet18", "layer3.0.relu", "elephant.jpg"),
    ("mobilenet_v2", "features.18", "spider.png"),
    ("squeezenet1_0", "features.12", "puppies.jpg"),
    ("cifar_resnet56", "layer3", "both.png"),
]


def functions() -> dict[str, Callable[[Question], tuple[torch.Tensor, torch.Tensor]]]:
    return {method.key: method.function for method in METHODS}


def plain_network(real: Path, key: str, classes: int) -> nn.Module:
    """The same weights in an ordinary network; theirs reads what an in-place ReLU leaves of a layer's answer."""
    (path,) = (real / "weights").glob(f"{key}*.safetensors")
    plain = architecture(key).build(classes, 3, False)
    for module in plain.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    plain.load_state_dict(
        {name: tensor.float() for name, tensor in read_checkpoint(path).tensors.items()}, strict=False
    )
    return plain.eval()


def theirs(method: str, plain: nn.Module, layer: str, batch: torch.Tensor, target: int) -> NDArray[np.float32]:
    """pytorch-grad-cam's map, enlarged and scaled to 0..1 by itself."""
    cam = PEERS[method](plain, [plain.get_submodule(layer)])
    inner = getattr(cam, "base_cam", cam)
    inner.batch_size = 16
    targets = None if method == "finer-cam" else [ClassifierOutputTarget(target)]
    found: NDArray[np.float32] = cam(batch, targets, **({"target_idx": target} if method == "finer-cam" else {}))[0]
    inner.activations_and_grads.release()
    return found


def scaled(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """As pytorch-grad-cam does: scales, cuts below zero, and scales again when it merges its one layer."""
    height, width = size
    once = scale_cam_image(np.maximum(values, 0)[None], (width, height))
    return np.asarray(scale_cam_image(np.maximum(once, 0)[:, None].mean(1))[0])


def assert_equal_to_theirs(method: str, model: LoadedModel, plain: nn.Module, layer: str, image: InputImage) -> None:
    batch, target = model.preprocess.to_batch(image), model.predict([image])[0].top(1)[0]
    expected = theirs(method, plain, layer, batch.clone(), target)
    found = heatmap(model, image, method=method, layer=layer, target=target, signed=True).values
    assert np.ptp(expected) > 0.5
    assert np.abs(scaled(found, model.preprocess.size) - expected).max() < 1e-4


@pytest.mark.parametrize(("network", "layer", "photograph"), NETWORKS)
def test_finer_cam_is_pytorch_grad_cams(
    real: Path, real_model: Callable[[str], LoadedModel], network: str, layer: str, photograph: str
) -> None:
    """Whose own targets its peer chooses; the others of one pass: test_photographs.py."""
    model = real_model(network)
    plain = plain_network(real, network, len(model.labels))
    assert_equal_to_theirs("finer-cam", model, plain, layer, InputImage.from_path(real / "demo" / photograph))


@pytest.mark.parametrize("method", ["score-cam", "ablation-cam"])
@pytest.mark.parametrize("network", ["cifar_resnet56", "cifar_resnet20"])
def test_maps_of_many_passes_are_pytorch_grad_cams(
    real: Path, real_model: Callable[[str], LoadedModel], method: str, network: str
) -> None:
    model = real_model(network)
    plain = plain_network(real, network, 10)
    assert_equal_to_theirs(method, model, plain, "layer3", InputImage.from_path(real / "demo" / "both.png"))


def test_ablation_cam_is_captums_feature_ablation(cifar: LoadedModel, cifar_checkpoint: Path) -> None:
    plain = architecture("cifar_resnet20").build(8, 3, False)
    plain.load_state_dict(dict(read_checkpoint(cifar_checkpoint).tensors))
    image = noise_picture(3, 48, 36)
    batch = cifar.preprocess.to_batch(image)
    maps = cifar.observe(batch, ["layer2"])["layer2"]
    channels = torch.arange(32)[None, :, None, None].expand_as(maps)
    ablation = captum.attr.LayerFeatureAblation(plain.eval(), plain.get_submodule("layer2"))
    lost = ablation.attribute(batch, target=3, layer_mask=channels)[0].detach()[:, 0, 0]
    expected = torch.einsum("k,kij->ij", lost, maps[0]) / plain(batch)[0, 3].abs().detach()
    found = heatmap(cifar, image, method="ablation-cam", layer="layer2", target=3, signed=True).values
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4 * float(expected.abs().max()))


# ---- what must hold without data ----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", range(4))
def test_before_average_pooling_and_a_linear_layer_they_agree(cifar: LoadedModel, target: int) -> None:
    """CAM up to a constant, and HiResCAM's places sum to the score less its bias."""
    image = noise_picture(9, 40, 40)

    def values(method: str) -> NDArray[np.float32]:
        return heatmap(cifar, image, method=method, layer="layer3", target=target, signed=True).values

    base = values("grad-cam")
    for method in ("hires-cam", "xgrad-cam"):
        np.testing.assert_allclose(values(method), base, atol=1e-5 * np.abs(base).max())
    linear = cifar._network.get_submodule("linear")
    score = heatmap(cifar, image, target=target).score
    assert base.sum() + float(linear.bias[target]) == pytest.approx(score, abs=1e-4)


def test_ablation_cam_before_a_linear_layer_is_what_each_channel_gives(cifar: LoadedModel) -> None:
    """Without channel k the score loses w_k times the channel's mean."""
    image = noise_picture(9, 40, 40)
    maps = cifar.observe(cifar.preprocess.to_batch(image), ["layer3"])["layer3"][0]
    weights, score = cifar._network.get_submodule("linear").weight[2], heatmap(cifar, image, target=2).score
    expected = torch.einsum("k,kij->ij", weights * maps.mean((1, 2)) / abs(score), maps)
    found = heatmap(cifar, image, method="ablation-cam", layer="layer3", target=2, signed=True).values
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4 * float(expected.abs().max()))


def test_eigen_cam_is_the_first_principal_component(cifar: LoadedModel) -> None:
    from sklearn.decomposition import PCA

    image = noise_picture(5, 40, 40)
    maps = cifar.observe(cifar.preprocess.to_batch(image), ["layer2"])["layer2"][0].numpy()
    expected = PCA(1).fit_transform(maps.reshape(len(maps), -1).T)[:, 0].reshape(maps.shape[1:])
    found = heatmap(cifar, image, method="eigen-cam", layer="layer2", signed=True).values
    assert min(np.abs(found - expected).max(), np.abs(found + expected).max()) < 1e-3 * np.abs(expected).max()
    strength = np.linalg.norm(maps, axis=0)
    assert np.corrcoef(strength.ravel(), found.ravel())[0, 1] > 0


def test_random_cam_follows_from_its_seed_alone(cifar: LoadedModel) -> None:
    image = noise_picture(5, 40, 40)
    maps = cifar.observe(cifar.preprocess.to_batch(image), ["layer1"])["layer1"][0].numpy()

    def values(**options: Any) -> NDArray[np.float32]:
        return heatmap(cifar, image, method="random-cam", layer="layer1", signed=True, **options).values

    assert not np.allclose(values(), values(seed=1))
    np.testing.assert_array_equal(values(target=1), values(target=2))
    weights, residual, rank, _ = np.linalg.lstsq(maps.reshape(len(maps), -1).T, values().ravel(), rcond=None)
    assert rank == len(maps) == 16, "more places than channels: the lots can be told"
    assert residual.max() < 1e-6 and np.abs(weights).max() <= 1 + 1e-3 and weights.std() > 0.3


# ---- what a map is for --------------------------------------------------------------------------------------------


def test_aims_are_what_they_say() -> None:
    scores, classes = torch.randn(5, 7, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 6, 3, 3, 1])
    values = {aim.key: aim.value(scores, classes) for aim in AIMS}
    for row, index in enumerate(classes.tolist()):
        assert values["score"][row] == scores[row, index]
        assert values["log-probability"][row] == pytest.approx(float(scores[row].softmax(0)[index].log()), abs=1e-5)
        rival = max(float(scores[row, other]) for other in range(7) if other != index)
        assert values["margin"][row] == pytest.approx(float(scores[row, index]) - rival, abs=1e-5)


def test_the_map_of_a_margin_is_the_difference_of_two_scores_maps(cifar: LoadedModel) -> None:
    image = noise_picture(2, 40, 40)
    first, second = cifar.predict([image])[0].top(2)

    def values(target: int, aim: str) -> NDArray[np.float32]:
        return heatmap(cifar, image, layer="layer3", target=target, aim=aim, signed=True).values

    difference = values(first, "score") - values(second, "score")
    np.testing.assert_allclose(values(first, "margin"), difference, atol=1e-5)


def test_without_a_sign_a_map_is_its_positive_part(cifar: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, constant in (("rise", "MASKS"), ("integrated_gradients", "STEPS"), ("smoothgrad", "SAMPLES")):
        monkeypatch.setattr(import_module(f"interpret.heatmaps.{name}"), constant, 16)
    for method in METHODS:
        signed, plain = (
            heatmap(cifar, noise_picture(2, 40, 40), method=method.key, layer="layer2", target=1, signed=sign).values
            for sign in (True, False)
        )
        np.testing.assert_allclose(plain, np.maximum(signed, 0), atol=1e-6)


# ---- behind a layer -----------------------------------------------------------------------------------------------


def test_the_more_lies_behind_a_layer_the_fewer_variants_share_a_pass(cifar: LoadedModel) -> None:
    layers = [cifar.layer(name) for name in ("layer1", "layer2", "layer3")]
    counts = [together(cifar, layer) for layer in layers]
    assert variants.FEWEST < counts[0] < counts[1] < counts[2]
    for layer, count in zip(layers, counts, strict=True):
        assert count * layer.channels * layer.rows * layer.columns <= variants.NUMBERS


def test_how_many_share_a_pass_changes_no_map(cifar: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def values() -> NDArray[np.float32]:
        return heatmap(cifar, noise_picture(9, 40, 40), method="ablation-cam", layer="layer2", target=2).values

    at_once = values()
    monkeypatch.setattr(variants, "NUMBERS", 1)
    monkeypatch.setattr(variants, "FEWEST", 5)
    assert together(cifar, cifar.layer("layer2")) == 5
    np.testing.assert_allclose(values(), at_once, atol=1e-4 * float(at_once.max()))


class Joined(nn.Module):
    """Branches joined channel by channel, so that variants of one cannot meet a single other."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
        self.last = nn.Conv2d(8, 6, 3)
        self.head = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.last(torch.cat([self.left(x), self.right(x)], 1)).relu().mean((2, 3)))


@pytest.mark.parametrize(
    ("network", "layer"), [("trap", "conv1"), ("trap", "relu:1"), ("joined", "left"), ("joined", "last")]
)
def test_variants_go_through_the_rest_as_whole_pictures_would(trap: LoadedModel, network: str, layer: str) -> None:
    model = trap if network == "trap" else look_into(Joined(), 5)
    picture = model.preprocess.to_batch(noise_picture(3))

    def without(output: torch.Tensor) -> torch.Tensor:
        variants = output[:1].repeat(3, 1, 1, 1)
        for channel in range(3):
            variants[channel, channel] = 0
        return variants

    found = scores_behind(model, picture, layer, without, 3)
    for channel in range(3):

        def one(output: torch.Tensor, channel: int = channel) -> torch.Tensor:
            changed = output.clone()
            changed[:, channel] = 0
            return changed

        alone = model.observe(picture, edit={layer: one}).scores
        assert alone is not None
        torch.testing.assert_close(found[channel], alone[0], atol=1e-5, rtol=1e-4)

"""One network of every family: its own library's, with random weights, saved as its owner would have saved it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from interpret import load_model
from interpret.architectures.catalogue import WithoutMemory
from interpret.datasets import sample_picture
from interpret.datasets.shapes import CLASSES
from interpret.images import InputImage
from interpret.model import LoadedModel

SAME_TENSORS_AS_TORCHVISIONS = ("timm/resnet50",)
"""Nothing in such a file tells the two libraries apart; they prepare pictures differently, so it is named."""

CLASS_COUNT = 7
SMALL = 96
"""Side in pixels of the pictures of the expensive checks, unless a network needs more."""


@dataclass(frozen=True)
class Family:
    """A network that must work.

    Attributes:
        title: for people.
        key: Loupe's: a name of torchvision's, or "timm/" and a name of timm's.
        layer: its last layer with places before pooling, read off the library's source.
        early: a layer near the input, likewise.
        way: how it is saved, a key of WAYS.
        auxiliary: whether auxiliary heads are in the file.
        small: side in pixels for the expensive checks.
    """

    title: str
    key: str
    layer: str
    early: str
    way: str
    auxiliary: bool = False
    small: int = SMALL

    @property
    def id(self) -> str:
        return self.key + ("+auxiliary" if self.auxiliary else "")

    @property
    def is_timm(self) -> bool:
        return self.key.startswith("timm/")


FAMILIES = (
    Family("AlexNet", "alexnet", "features.11", "features.0", "plain"),
    Family("VGG16", "vgg16", "features.29", "features.1", "parallel"),
    Family("VGG19", "vgg19", "features.35", "features.1", "plain"),
    Family("GoogLeNet", "googlenet", "inception5b", "conv1", "plain"),
    Family("GoogLeNet, auxiliary heads in the file", "googlenet", "inception5b", "conv1", "training", True),
    Family("Inception v3", "inception_v3", "Mixed_7c", "Conv2d_1a_3x3", "parallel", small=128),
    Family(
        "Inception v3, auxiliary head in the file", "inception_v3", "Mixed_7c", "Conv2d_1a_3x3", "training", True, 128
    ),
    Family("ResNet-18", "resnet18", "layer4", "conv1", "parallel"),
    Family("ResNet-50", "resnet50", "layer4", "conv1", "reference"),
    Family("ResNet-152", "resnet152", "layer4", "conv1", "safetensors"),
    Family("ResNeXt-50 32x4d", "resnext50_32x4d", "layer4", "conv1", "plain"),
    Family("MobileNetV2", "mobilenet_v2", "features", "features.0", "lightning"),
    Family("MobileNetV3, large", "mobilenet_v3_large", "features", "features.0", "plain"),
    Family("EfficientNet-B0", "efficientnet_b0", "features", "features.0", "training"),
    Family("EfficientNet V2-S", "efficientnet_v2_s", "features", "features.0", "reference"),
    Family("DenseNet-121", "densenet121", "features", "features.conv0", "parallel"),
    Family("ShuffleNetV2 x1.0", "shufflenet_v2_x1_0", "conv5", "conv1", "plain"),
    Family("SqueezeNet 1.1", "squeezenet1_1", "classifier.2", "features.0", "training"),
    Family("MNASNet 1.0", "mnasnet1_0", "layers", "layers.0", "plain"),
    Family("RegNetY-400MF", "regnet_y_400mf", "trunk_output", "stem", "reference"),
    Family("ConvNeXt-Tiny", "convnext_tiny", "features", "features.0", "safetensors"),
    Family("Xception", "timm/legacy_xception", "act4", "conv1", "parallel"),
    Family("SE-ResNet-50", "timm/seresnet50", "layer4", "conv1", "training"),
    Family("SE-ResNet-50, first version", "timm/legacy_seresnet50", "layer4", "layer0", "plain"),
    Family("SENet-154", "timm/legacy_senet154", "layer4", "layer0", "safetensors"),
    Family("ResNet-50, timm's", "timm/resnet50", "layer4", "conv1", "training"),
    Family("MobileNetV2, timm's", "timm/mobilenetv2_100", "bn2", "conv_stem", "plain"),
    Family("MobileNetV3 large, timm's", "timm/mobilenetv3_large_100", "blocks", "conv_stem", "parallel"),
    Family("EfficientNet-B0, timm's", "timm/efficientnet_b0", "bn2", "conv_stem", "safetensors"),
    Family("RegNetY-400MF, timm's", "timm/regnety_004", "s4", "stem", "plain"),
    Family("ConvNeXt-Tiny, timm's", "timm/convnext_tiny", "stages", "stem", "training"),
)


GATES = ("SqueezeExcitation", "SqueezeExcite", "SEModule")
"""Modules that multiply channels by 0 to 1. Drawn like the rest, fifty of them in a row would turn rounding errors into
other scores."""


def random_network(family: Family, seed: int = 0) -> nn.Module:
    """The library's own network of seven classes, its weights random and its BatchNorm statistics those of pictures.

    Every parameter is drawn, also those that start at 1, at 0 or, in ConvNeXt, at a millionth: a part of the network
    that answers with nothing could not be seen to be wrong.
    """
    with WithoutMemory():
        if family.is_timm:
            import timm

            network: nn.Module = timm.create_model(family.key.removeprefix("timm/"), num_classes=CLASS_COUNT)
        else:
            from torchvision import models

            options: dict[str, Any] = {}
            if family.key in ("googlenet", "inception_v3"):
                options = {"init_weights": False, "aux_logits": family.auxiliary}
            network = models.get_model(family.key, weights=None, num_classes=CLASS_COUNT, **options)
    generator = torch.Generator().manual_seed(seed)
    gates = {part for module in network.modules() if type(module).__name__ in GATES for part in module.modules()}
    for module in network.modules():
        gain = 0.1 if module in gates else 2**0.5
        for name, value in list(module.named_parameters(recurse=False)):
            new = torch.empty(value.shape)
            if value.ndim > 1 and name == "weight":
                new.normal_(std=gain / value[0].numel() ** 0.5, generator=generator)
            elif name == "bias":
                new.normal_(std=0.1, generator=generator)
            else:
                new.uniform_(0.5, 1, generator=generator)
            setattr(module, name, nn.Parameter(new))
    norms = [module for module in network.eval().modules() if isinstance(module, nn.BatchNorm2d)]
    if norms:
        hooks = [module.register_forward_pre_hook(_measure) for module in norms]
        pictures = [*map(drawn_shape, range(4)), sample_picture("flower.jpg"), sample_picture("china.jpg")]
        with torch.no_grad():
            network(torch.cat([functional.interpolate(_plain(image), (family.small,) * 2) for image in pictures]))
        for hook in hooks:
            hook.remove()
    return network


def _measure(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
    """Sets a BatchNorm's statistics to those of its input; channels that hardly vary are not blown up."""
    assert isinstance(module, nn.BatchNorm2d)
    variance, mean = torch.var_mean(inputs[0], (0, 2, 3))
    module.running_mean, module.running_var = mean, variance.clamp_min(0.1 * float(variance.mean()))


def drawn_shape(index: int) -> InputImage:
    return sample_picture(CLASSES[index])


def _plain(image: InputImage) -> torch.Tensor:
    return torch.from_numpy(image.pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


def _training(state: Mapping[str, torch.Tensor], family: Family) -> dict[str, Any]:
    return {
        "epoch": 89,
        "arch": family.key.removeprefix("timm/"),
        "state_dict": {f"module.{name}": tensor for name, tensor in state.items()},
        "best_acc1": torch.tensor(71.5),
        "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
    }


def _reference(state: Mapping[str, torch.Tensor], family: Family) -> dict[str, Any]:
    return {"model": dict(state), "optimizer": {"param_groups": []}, "lr_scheduler": {"last_epoch": 89}, "epoch": 89}


def _lightning(state: Mapping[str, torch.Tensor], family: Family) -> dict[str, Any]:
    return {
        "pytorch-lightning_version": "2.5.0",
        "global_step": 7,
        "state_dict": {f"model.{name}": tensor for name, tensor in state.items()},
        "hyper_parameters": {"lr": 0.1},
    }


@dataclass(frozen=True)
class Way:
    """How a network is saved: in words, the file's ending, and what `torch.save` gets (None: safetensors)."""

    title: str
    suffix: str
    content: Callable[[Mapping[str, torch.Tensor], Family], Mapping[str, Any]] | None


WAYS = {
    "plain": Way("state dict", ".pth", lambda state, _: state),
    "parallel": Way(
        "DataParallel", ".pt", lambda state, _: {f"module.{name}": tensor for name, tensor in state.items()}
    ),
    "training": Way("training checkpoint", ".pth.tar", _training),
    "reference": Way("torchvision's reference training", ".pth", _reference),
    "lightning": Way("Lightning", ".ckpt", _lightning),
    "safetensors": Way("safetensors", ".safetensors", None),
}


def save(network: nn.Module, family: Family, folder: Path) -> Path:
    """The network's file, as its owner would have written it."""
    way = WAYS[family.way]
    path = folder / f"weights{way.suffix}"
    if way.content is None:
        from safetensors.torch import save_file

        save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)
    else:
        torch.save(way.content(network.state_dict(), family), path)
    return path


def opened(family: Family, path: Path) -> LoadedModel:
    """What Loupe makes of the file."""
    arch = family.key if family.key in SAME_TENSORS_AS_TORCHVISIONS else None
    return load_model(path, arch=arch, device="cpu")

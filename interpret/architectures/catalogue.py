"""The catalogue: torchvision's and timm's convolutional classifiers and the CIFAR ResNets, one key each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from interpret.errors import unknown
from interpret.images import Preprocess

CIFAR_DEPTHS = (20, 32, 44, 56, 110)
_NOT_CONVOLUTIONAL = re.compile(r"^(vit_|swin|maxvit)")


@dataclass(frozen=True)
class Architecture:
    """A network without its weights.

    Attributes:
        key: "resnet18" (torchvision), "timm/resnet18" (timm), "cifar_resnet20" (Loupe's own).
        title: for people: "ResNet-18".
        family: "ResNet".
        library: "torchvision", "timm" or "loupe".
        build: (classes, input channels, auxiliary heads) -> the network with random weights; downloads nothing.
        preprocess: the usual way of preparing pictures for it.
    """

    key: str
    title: str
    family: str
    library: str
    build: Callable[[int, int, bool], nn.Module]
    preprocess: Callable[[], Preprocess]


class WithoutMemory(TorchFunctionMode):
    """Inside it `torch.empty` makes meta tensors, so a network is built in milliseconds without its parameters.

    Constants a constructor computes stay real; `torch.device("meta")` would break networks that compute with them.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        if func is torch.empty:
            options["device"] = "meta"
        return func(*args, **options)


@cache
def architecture_keys() -> tuple[str, ...]:
    """The keys of torchvision's convolutional classifiers and the CIFAR ResNets (timm's open by "timm/NAME" too)."""
    from torchvision import models

    names = [name for name in models.list_models(module=models) if not _NOT_CONVOLUTIONAL.match(name)]
    return tuple(f"cifar_resnet{depth}" for depth in CIFAR_DEPTHS) + tuple(names)


@cache
def architecture(key: str) -> Architecture:
    """The architecture of a key.

    Raises:
        UnknownName: no such key; the message names the nearest.
    """
    if key.startswith("timm/"):
        return _timm(key)
    if key not in architecture_keys():
        raise unknown("Architecture", key, "the catalogue", architecture_keys())
    return _cifar(key) if key.startswith("cifar_resnet") else _torchvision(key)


def _title(name: str) -> str:
    known = {"resnet": "ResNet", "vgg": "VGG", "alexnet": "AlexNet", "googlenet": "GoogLeNet", "densenet": "DenseNet",
             "mobilenet": "MobileNet", "efficientnet": "EfficientNet", "squeezenet": "SqueezeNet", "mnasnet": "MNASNet",
             "shufflenet": "ShuffleNet", "regnet": "RegNet", "convnext": "ConvNeXt", "resnext": "ResNeXt",
             "inception": "Inception"}  # fmt: skip
    for start, proper in known.items():
        if start in name:
            before, _, rest = name.partition(start)
            rest = rest.strip("_").replace("_", " ")
            joined = f"{proper}-{rest}" if rest[:1].isdigit() else f"{proper} {rest}".strip()
            return f"{before.replace('_', ' ').strip()} {joined}".strip()
    return name


def _family(name: str) -> str:
    return _title(name).split("-")[0].split(" ")[0]


def _torchvision(key: str) -> Architecture:
    from torchvision import models

    def build(classes: int, channels: int, auxiliary: bool) -> nn.Module:
        options: dict[str, Any] = {}
        if key in ("googlenet", "inception_v3"):
            options = {"aux_logits": auxiliary, "init_weights": False, "transform_input": False}
        network: nn.Module = models.get_model(key, weights=None, num_classes=classes, **options)
        return network if channels == 3 else _with_input_channels(network, channels)

    def preprocess() -> Preprocess:
        weights = models.get_model_weights(key)
        usual = next((w for w in weights if w.name == "IMAGENET1K_V1"), next(iter(weights)))
        preset = usual.transforms()
        size = preset.crop_size[0]
        return Preprocess(
            size=(size, size),
            resize=preset.resize_size[0],
            interpolation=preset.interpolation.value,
            mean=tuple(preset.mean),
            std=tuple(preset.std),
        )

    return Architecture(key, _title(key), _family(key), "torchvision", build, preprocess)


def _timm(key: str) -> Architecture:
    import timm

    name = key.removeprefix("timm/")
    if not timm.is_model(name):
        raise unknown("Architecture", key, "timm", [f"timm/{known}" for known in timm.list_models()])

    def build(classes: int, channels: int, auxiliary: bool) -> nn.Module:
        network: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes, in_chans=channels)
        return network

    def preprocess() -> Preprocess:
        config = timm.get_pretrained_cfg(name)
        height, width = config.input_size[1:] if config else (224, 224)
        crop = config.crop_pct or 0.875 if config else 0.875
        return Preprocess(
            size=(height, width),
            resize=int(min(height, width) / crop),
            interpolation=config.interpolation if config and config.interpolation != "random" else "bicubic",
            mean=tuple(config.mean) if config else (0.485, 0.456, 0.406),
            std=tuple(config.std) if config else (0.229, 0.224, 0.225),
        )

    return Architecture(key, f"{_title(name)} (timm)", _family(name), "timm", build, preprocess)


def _cifar(key: str) -> Architecture:
    depth = int(key.removeprefix("cifar_resnet"))

    def build(classes: int, channels: int, auxiliary: bool) -> nn.Module:
        from interpret.architectures.cifar_resnet import cifar_resnet

        return cifar_resnet(depth, classes, channels)

    return Architecture(
        key,
        f"CIFAR ResNet-{depth}",
        "CIFAR ResNet",
        "loupe",
        build,
        lambda: Preprocess(size=(32, 32), resize=32),
    )


def _with_input_channels(network: nn.Module, channels: int) -> nn.Module:
    """The network with its first convolution made for another number of input channels, freshly initialised."""
    name, first = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    size: Any = first.kernel_size
    stride: Any = first.stride
    padding: Any = first.padding
    parent, _, child = name.rpartition(".")
    replacement = nn.Conv2d(channels, first.out_channels, size, stride, padding, bias=first.bias is not None)
    setattr(network.get_submodule(parent), child, replacement)
    return network

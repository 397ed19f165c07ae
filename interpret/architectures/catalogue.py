"""The catalogue: torchvision's and timm's convolutional classifiers, the CIFAR ResNets and users' own, one key each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from interpret.architectures.index import index
from interpret.errors import BadInput, unknown
from interpret.images import Preprocess
from interpret.labels import CIFAR10

CIFAR_DEPTHS = (20, 32, 44, 56, 110)
_TRANSFORMERS = frozenset({
    "beit", "cait", "coat", "convit", "crossvit", "davit", "deepseek_vit", "deit", "eva", "gcvit", "gemma4_vit",
    "hiera", "hieradet_sam2", "levit", "maxxvit", "mlp_mixer", "mvitv2", "naflexvit", "nest", "pit", "pvt_v2",
    "qwen3_vit", "sequencer", "swin_transformer", "swin_transformer_v2", "swin_transformer_v2_cr", "tnt",
    "twins", "vision_transformer", "vision_transformer_hybrid", "vision_transformer_relpos",
    "vision_transformer_sam", "visformer", "vitamin", "volo", "xcit",
})  # fmt: skip
"""timm's modules of networks that work on tokens; those that mix attention into convolutions are not among them."""
_FROM_TENSORFLOW = ("googlenet", "inception_v3")
NOT_CONVOLUTIONAL = "a vision transformer or a network of its kind, which works on tokens"


@dataclass(frozen=True)
class Architecture:
    """A network without its weights.

    Attributes:
        key: "resnet18" (torchvision), "timm/resnet18" (timm), "cifar_resnet20", "own/NAME" (a user's own).
        title: for people: "ResNet-18".
        family: "ResNet".
        library: "torchvision", "timm", "loupe" or "own".
        build: (classes, input channels, auxiliary heads) -> the network with random weights; downloads nothing.
        preprocess: the usual way of preparing pictures for it.
        labels: names of its usual classes, or ().
        version: changes with the code of a user's own.
        sizes: sides of pictures to try, in pixels, where nothing says which it was made for.
    """

    key: str
    title: str
    family: str
    library: str
    build: Callable[[int, int, bool], nn.Module]
    preprocess: Callable[[], Preprocess]
    labels: tuple[str, ...] = ()
    version: str = ""
    sizes: tuple[int, ...] = ()


_DRAWN = (
    "normal_",
    "uniform_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "trunc_normal_",
    "random_",
    "bernoulli_",
    "exponential_",
)


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
        if getattr(func, "__name__", "") in _DRAWN:
            filled = args[0] if args else options.get("tensor")
            if isinstance(filled, torch.Tensor) and filled.is_meta:
                return filled  # torch would import its compiler, most of a second, to draw nothing
        return func(*args, **options)


@cache
def architecture_keys() -> tuple[str, ...]:
    """The keys of all convolutional networks of the index: the CIFAR ResNets, torchvision's, then timm's."""
    known = [key for keys, usable in zip(index().keys, index().convolutional, strict=True) if usable for key in keys]
    return tuple(sorted(known, key=lambda key: (_library_order(key), key)))


def all_keys() -> tuple[str, ...]:
    """The keys of all classifiers of the libraries installed here, transformers too."""
    import timm
    from torchvision import models

    cifar = tuple(f"cifar_resnet{depth}" for depth in CIFAR_DEPTHS)
    return (*cifar, *models.list_models(module=models), *(f"timm/{name}" for name in timm.list_models()))


def is_convolutional(key: str) -> bool:
    """Whether Loupe looks into an architecture: not those that work on tokens."""
    if key.startswith("timm/"):
        from timm.models._registry import _model_to_module

        return _model_to_module[key.removeprefix("timm/")] not in _TRANSFORMERS
    return not re.match("vit_|swin|maxvit", key)


def _library_order(key: str) -> int:
    return 0 if key.startswith("own/") else 1 if key.startswith("cifar_") else 3 if key.startswith("timm/") else 2


def rank(key: str) -> tuple[int, int, str]:
    """Sorts keys that fit a file equally well: a user's own, torchvision's, timm's; then the plainest name."""
    return _library_order(key), len(key), key


def architecture(key: str) -> Architecture:
    """The architecture of a key, or of a Python file that builds one (see `interpret.architectures.own`).

    Raises:
        UnknownName: no such key; the message names the nearest.
        BadInput: it is not convolutional, or the file cannot be used.
    """
    from interpret.architectures.own import own_architecture

    if key.startswith("own/") or key.endswith(".py"):
        return own_architecture(key)
    known = library_architecture(key)
    if not is_convolutional(key):
        raise BadInput(f"{known.title} is {NOT_CONVOLUTIONAL}; Loupe looks into convolutional networks.")
    return known


@cache
def library_architecture(key: str) -> Architecture:
    """The architecture of a key of torchvision, timm or Loupe, convolutional or not."""
    if key.startswith("cifar_resnet") and key.removeprefix("cifar_resnet") in map(str, CIFAR_DEPTHS):
        return _cifar(key)
    if key.startswith("timm/"):
        return _timm(key)
    from torchvision import models

    if key not in models.list_models(module=models):
        raise unknown("Architecture", key, "the catalogue", architecture_keys())
    return _torchvision(key)


_PROPER = {
    "seresnext": "SE-ResNeXt", "seresnet": "SE-ResNet", "senet": "SENet", "resnext": "ResNeXt", "resnet": "ResNet",
    "vgg": "VGG", "alexnet": "AlexNet", "googlenet": "GoogLeNet", "inception": "Inception", "xception": "Xception",
    "densenet": "DenseNet", "mobilenet": "MobileNet", "efficientnet": "EfficientNet", "squeezenet": "SqueezeNet",
    "mnasnet": "MNASNet", "shufflenet": "ShuffleNet", "regnet": "RegNet", "convnext": "ConvNeXt",
}  # fmt: skip


def _title(name: str) -> str:
    """ "legacy_seresnet50" -> "legacy SE-ResNet-50"."""
    proper = re.sub("|".join(_PROPER), lambda found: _PROPER[found[0]], name)
    spaced = proper.replace("_", " ")
    return re.sub(r"(Net|NeXt|VGG)(?=[0-9])", r"\1-", spaced)


def _family(name: str) -> str:
    return _title(name).split("-")[0].split(" ")[0]


def _torchvision(key: str) -> Architecture:
    from torchvision import models

    def build(classes: int, channels: int, auxiliary: bool) -> nn.Module:
        options: dict[str, Any] = {}
        if key in _FROM_TENSORFLOW:
            options = {"aux_logits": auxiliary, "init_weights": False, "transform_input": False}
        network: nn.Module = models.get_model(key, weights=None, num_classes=classes, **options)
        return network if channels == 3 else _with_input_channels(network, channels)

    def preprocess() -> Preprocess:
        weights = models.get_model_weights(key)
        usual = next((w for w in weights if w.name == "IMAGENET1K_V1"), next(iter(weights)))
        preset = usual.transforms()
        size = preset.crop_size[0]
        # From TensorFlow: torchvision turns ImageNet's normalisation back into theirs inside the network.
        mean, std = ([0.5] * 3, [0.5] * 3) if key in _FROM_TENSORFLOW else (preset.mean, preset.std)
        return Preprocess(
            size=(size, size),
            resize=preset.resize_size[0],
            interpolation=preset.interpolation.value,
            mean=tuple(mean),
            std=tuple(std),
        )

    return Architecture(key, _title(key), _family(key), "torchvision", build, preprocess)


def _timm(key: str) -> Architecture:
    import timm

    name = key.removeprefix("timm/")
    if not timm.is_model(name):
        raise unknown("Architecture", key, "timm", [f"timm/{known}" for known in timm.list_models()])

    def build(classes: int, channels: int, auxiliary: bool) -> nn.Module:
        options = {"aux_logits": True} if auxiliary and name == "inception_v3" else {}
        network: nn.Module = timm.create_model(name, num_classes=classes, in_chans=channels, **options)
        return network

    def preprocess() -> Preprocess:
        config = timm.get_pretrained_cfg(name)
        height, width = config.input_size[1:] if config else (224, 224)
        crop = config.crop_pct or 0.875 if config else 0.875
        return Preprocess(
            size=(height, width),
            resize=None if config and config.crop_mode == "squash" else int(min(height, width) / crop),
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
        CIFAR10,
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

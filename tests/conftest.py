"""The shared trap network, networks ready to be looked into, and the real data where it is present."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Before torch is imported: its threads must sleep while they wait for each other. Spinning, as is the default, makes a
# small network 200 times slower when another process uses the same cores.
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.nn import functional

import interpret.loading
import interpret.tape
from interpret.architectures import Architecture, architecture
from interpret.architectures.catalogue import WithoutMemory
from interpret.images import InputImage, Preprocess
from interpret.looking import look_through
from interpret.model import LoadedModel, LoadReport
from interpret.runtime import choose_runtime

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = REPOSITORY.parent / "shared" / "data"

torch.set_num_threads(2)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where tests run on several processes, a file stays on one, and all of tests/ui on the same one: two browsers and
    two servers at once would take each other's cores. They are about half of all, and begin at once: there are many."""
    from xdist.scheduler import LoadFileScheduling

    class OneBrowserAtATime(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "tests/ui" if nodeid.startswith("tests/ui/") else super()._split_scope(nodeid)

    return OneBrowserAtATime(config, log)


class TrapNetwork(nn.Module):
    """Every habit of real networks that has corrupted a recording, on 12 x 12 pictures and with five classes."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)  # rewrites what bn1 answered; used twice
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(6)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()  # a view of what pool answered
        self.head = nn.Linear(6, 5)
        generator = torch.Generator().manual_seed(seed)
        for name, value in self.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape, generator=generator) * 0.3)
            if name.endswith("running_var"):
                value.abs_().add_(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(functional.relu(x - 0.1)))
        y += x  # a residual sum that rewrites what bn2 answered
        return self.head(self.flatten(self.pool(self.relu(y))))


def trap_reference(network: nn.Module, batch: torch.Tensor) -> dict[str, torch.Tensor]:
    """What every layer of a TrapNetwork must answer, and "scores", written out in float64 without modules."""
    w = {name: value.double() for name, value in network.state_dict().items()}

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        scale = w[f"{name}.weight"] / (w[f"{name}.running_var"] + 1e-5).sqrt()
        return (x - w[f"{name}.running_mean"].view(1, -1, 1, 1)) * scale.view(1, -1, 1, 1) + w[f"{name}.bias"].view(
            1, -1, 1, 1
        )

    out = {"conv1": functional.conv2d(batch.double(), w["conv1.weight"], w["conv1.bias"], padding=1)}
    out["bn1"] = norm(out["conv1"], "bn1")
    out["relu"] = out["bn1"].clamp_min(0)
    out["conv2"] = functional.conv2d((out["relu"] - 0.1).clamp_min(0), w["conv2.weight"], w["conv2.bias"], padding=1)
    out["bn2"] = norm(out["conv2"], "bn2")
    out["relu:1"] = (out["bn2"] + out["relu"]).clamp_min(0)
    out["pool"] = out["relu:1"].mean((2, 3), keepdim=True)
    out["flatten"] = out["pool"].flatten(1)
    out["head"] = out["scores"] = out["flatten"] @ w["head.weight"].T + w["head.bias"]
    return out


def convnext() -> nn.Module:
    """A ConvNeXt-Tiny of three classes with random weights, drawn faster than its own way."""
    with WithoutMemory():
        network = architecture("convnext_tiny").build(3, 3, False)
    generator = torch.Generator().manual_seed(0)
    for value in network.to_empty(device="cpu").parameters():
        value.data.normal_(std=0.05, generator=generator)
    return network


def look_into(network: nn.Module, classes: int, size: tuple[int, int] = (12, 12), channels: int = 3) -> LoadedModel:
    """A LoadedModel of a network built in a test, by the steps `load_model` takes after reading a file."""
    runtime = choose_runtime("cpu")
    network.eval().requires_grad_(False)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    interpret.tape.install(network)
    middle = (0.5,) * channels
    steps = Preprocess(size, min(size), mean=middle, std=middle, channels=channels)
    looked = look_through(network, steps, classes, runtime)
    return LoadedModel(
        name="trap",
        digest=weights_digest(network),
        architecture=Architecture("trap", "Trap", "Trap", "tests", lambda *_: network, lambda: steps),
        labels=tuple(f"class {index}" for index in range(classes)),
        layers=looked.layers,
        joins=looked.joins,
        outputs=looked.outputs,
        head=looked.head,
        preprocess=steps,
        runtime=runtime,
        report=LoadReport(0, (), (), (), (), "", (), "", (), (), (), 0.0),
        parameters=sum(p.numel() for p in network.parameters()),
        _network=network,
        _rewritten=looked.rewritten,
        _heads=(),
        _identity="trap",
    )


def weights_digest(network: nn.Module) -> str:
    """A digest of every parameter and buffer."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def everything_global(model: LoadedModel) -> dict[str, Any]:
    """All that a pass, a job, a cancel or an exception must leave as it was."""
    network = model._network
    return {
        "hooks": [
            tuple(
                list(getattr(module, kind))
                for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
            )
            for module in network.modules()
        ],
        "training": [module.training for module in network.modules()],
        "frozen": [parameter.requires_grad for parameter in network.parameters()],
        "gradients": [parameter.grad is None for parameter in network.parameters()],
        "weights": weights_digest(network),
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "recording": interpret.tape._open.get(),
        "free passes": model.runtime._passes._value,  # type: ignore[attr-defined]
        "torch seed": torch.get_rng_state().tolist(),
        "numpy seed": str(np.random.get_state()),
    }


@contextmanager
def nothing_left_behind(model: LoadedModel) -> Iterator[None]:
    """Fails if the block changes anything that outlives it: hooks, flags, gradients, weights, seeds, recordings."""
    before = everything_global(model)
    yield
    after = everything_global(model)
    assert [key for key in before if before[key] != after[key]] == []


def noise_picture(seed: int, height: int = 12, width: int = 12) -> InputImage:
    """A picture of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return InputImage.from_array(pixels, f"noise {seed}")


def encoded(pixels: NDArray[np.uint8] | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of a picture file."""
    buffer = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def trap() -> LoadedModel:
    """The trap network, ready to be looked into."""
    return look_into(TrapNetwork(), classes=5)


@pytest.fixture
def pictures() -> torch.Tensor:
    """Three normalised pictures for the trap network: float32 [3, 3, 12, 12]."""
    return torch.randn(3, 3, 12, 12, generator=torch.Generator().manual_seed(7))


@pytest.fixture(scope="session")
def cifar_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CIFAR ResNet-20 with random weights and eight classes, as a file with metadata."""
    from safetensors.torch import save_file

    from interpret.architectures.cifar_resnet import cifar_resnet

    network = cifar_resnet(20, classes=8, generator=torch.Generator().manual_seed(3))
    path = tmp_path_factory.mktemp("checkpoints") / "small.safetensors"
    metadata = {"arch": "cifar_resnet20", "labels": '["ant", "bee", "cow", "doe", "elk", "fox", "gnu", "hen"]'}
    save_file(network.state_dict(), path, metadata)
    return path


@pytest.fixture(scope="session")
def cifar(cifar_checkpoint: Path) -> LoadedModel:
    """The network of `cifar_checkpoint`; never changed by anyone."""
    return interpret.loading.load_model(cifar_checkpoint, device="cpu")


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real weights and pictures; tests that use it skip where it is absent."""
    if not (DATA / "SOURCES.md").is_file():
        pytest.skip(f"the real weights and pictures are not in {DATA.relative_to(REPOSITORY.parent)}")
    return DATA


@pytest.fixture(scope="session")
def real_model(real: Path) -> Callable[[str], LoadedModel]:
    """Loads a real checkpoint by the start of its file name, once per session."""
    loaded: dict[str, LoadedModel] = {}

    def load(start: str) -> LoadedModel:
        if start not in loaded:
            (path,) = (real / "weights").glob(f"{start}*.safetensors")
            loaded[start] = interpret.loading.load_model(path, device="cpu")
        return loaded[start]

    return load

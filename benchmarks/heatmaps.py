"""Heatmaps of one picture of 224 px by Loupe, pytorch-grad-cam, torch-cam and Captum, and the memory that calls keep.

Each library is used as its own documentation shows: its extractor is made for the call and given back after it. The
networks of the peers are torchvision's as they come, in their own memory layout, their parameters not frozen.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import torch

from benchmarks.tasks import in_a_process, network, random_picture
from benchmarks.timing import Row, interleaved
from interpret import InputImage, LoadedModel, complete, heatmap
from interpret.heatmaps import Question
from interpret.heatmaps.ablation_cam import ablation_cam
from interpret.heatmaps.faithfulness import curves, evidence_job
from interpret.heatmaps.grad_cam import grad_cam
from interpret.heatmaps.making import again
from interpret.heatmaps.score_cam import score_cam

TARGET = 3
ONE_PASS = ("resnet50", "mobilenet_v2", "efficientnet_b0", "vgg16", "resnet18")
SCORE_CAM = (("resnet18", "layer4"), ("mobilenet_v2", "features.17"))
ABLATION_CAM = (("resnet18", "layer4"), ("resnet18", "layer3"))
Ways = dict[str, Callable[[], object]]


@dataclass(frozen=True, eq=False)
class Setting:
    """A picture and a layer, as Loupe and as the peers have them.

    Attributes:
        loaded, plain: the network.
        batch: the picture, normalised.
        layer: dotted name.
    """

    loaded: LoadedModel
    plain: torch.nn.Module
    batch: torch.Tensor
    layer: str

    @property
    def module(self) -> torch.nn.Module:
        return self.plain.get_submodule(self.layer)

    def question(self) -> Question:
        return Question(self.loaded, self.batch, self.loaded.layer(self.layer), torch.tensor([TARGET]))

    def forward(self) -> None:
        with torch.no_grad():
            self.plain(self.batch)


def setting(key: str, layer: str | None = None) -> Setting:
    """An architecture with random weights, and a layer of it; the last spatial one if None."""
    loaded, plain = network(key)
    batch = loaded.preprocess.to_batch(random_picture()).to(loaded.runtime.device)
    return Setting(loaded, plain, batch, layer or loaded.default_layer.name)


def pytorch_grad_cam(at: Setting, method: str = "GradCAM") -> object:
    import pytorch_grad_cam as peer
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    quiet = contextlib.redirect_stderr(io.StringIO())  # its progress bar
    with quiet, getattr(peer, method)(at.plain, [at.module]) as cam:
        return cam(at.batch, [ClassifierOutputTarget(TARGET)])


def torch_cam(at: Setting, layers: list[str] | None = None) -> object:
    from torchcam.methods import GradCAM

    with GradCAM(at.plain, [*(layers or [at.layer])]) as cam:
        return cam(TARGET, at.plain(at.batch))


def torch_score_cam(at: Setting) -> object:
    from torchcam.methods import ScoreCAM

    with ScoreCAM(at.plain, at.layer) as cam:
        at.forward()
        return cam(TARGET)


def captum(at: Setting) -> object:
    from captum.attr import LayerGradCam

    return LayerGradCam(at.plain, at.module).attribute(at.batch, TARGET)


def grad_cams(key: str, rounds: int) -> Iterator[Row]:
    """Grad-CAM at the last spatial layer beside a plain forward pass of the network."""
    at, picture = setting(key), random_picture()
    ways: Ways = {
        "plain forward pass": at.forward,
        "Loupe": lambda: grad_cam(at.question()),
        "Loupe, from the picture, preprocessing included": lambda: heatmap(at.loaded, picture, target=TARGET),
        "pytorch-grad-cam": partial(pytorch_grad_cam, at),
        "torch-cam": partial(torch_cam, at),
        "Captum": partial(captum, at),
    }
    rows = interleaved(f"{key} {at.layer}, Grad-CAM, one picture, 224 px", ways, rounds)
    yield from with_factors(rows, "Loupe", ("pytorch-grad-cam", "torch-cam", "Captum"))


def all_blocks(rounds: int) -> Iterator[Row]:
    """Grad-CAM at all sixteen residual blocks of ResNet-50."""
    at = setting("resnet50")
    names = [layer.name for layer in at.loaded.layers if layer.kind == "Bottleneck"]
    each = [Setting(at.loaded, at.plain, at.batch, name) for name in names]

    def ours() -> None:
        question, *others = (at.loaded.layer(name) for name in names)
        first = Question(at.loaded, at.batch, question, torch.tensor([TARGET]), beside=tuple(others))
        for layer in (question, *others):
            grad_cam(first.at(layer))

    task = f"resnet50, Grad-CAM at all {len(names)} residual blocks"
    quick: Ways = {
        "plain forward pass": at.forward,
        "Loupe, at once": ours,
        "torch-cam, at once": partial(torch_cam, at, names),
    }
    yield from with_factors(interleaved(task, quick, rounds), "Loupe, at once", ["torch-cam, at once"])
    # Apart: what is measured right after seconds of other work takes longer than it does among quick ways.
    slow: Ways = {
        "Loupe, at once": ours,
        "pytorch-grad-cam, layer by layer": lambda: [pytorch_grad_cam(one) for one in each],
        "Captum, layer by layer": lambda: [captum(one) for one in each],
    }
    yield from interleaved(f"{task}, after slow ones", slow, min(rounds, 7), 1)


def score_cams(key: str, layer: str, rounds: int) -> Iterator[Row]:
    """Score-CAM, a masked picture for each channel."""
    at = setting(key, layer)
    ways: Ways = {
        "Loupe": lambda: complete(score_cam(at.question())),
        "pytorch-grad-cam": partial(pytorch_grad_cam, at, "ScoreCAM"),
        "torch-cam": partial(torch_score_cam, at),
    }
    yield from interleaved(f"{key} {layer}, Score-CAM, {at.loaded.layer(layer).channels} channels", ways, rounds, 1)


def ablation_cams(key: str, layer: str, rounds: int) -> Iterator[Row]:
    """Ablation-CAM, of which Loupe computes only what lies behind the layer for each channel."""
    at = setting(key, layer)
    ways: Ways = {
        "Loupe": lambda: complete(ablation_cam(at.question())),
        "pytorch-grad-cam": partial(pytorch_grad_cam, at, "AblationCAM"),
    }
    yield from interleaved(f"{key} {layer}, Ablation-CAM, {at.loaded.layer(layer).channels} channels", ways, rounds, 1)


def with_factors(rows: list[Row], ours: str, peers: Iterable[str]) -> Iterator[Row]:
    """The rows, and how many times as long as ours each peer's way takes."""
    yield from rows
    values = {row.way: row.value for row in rows}
    for peer in peers:
        yield Row(rows[0].task, f"{peer} over {ours}", values[peer] / values[ours], "x", None, rows[0].rounds)


def evidence(rounds: int) -> list[Row]:
    """What is said beside one Grad-CAM map."""
    at, picture = setting("resnet18"), random_picture()
    made = heatmap(at.loaded, picture, target=TARGET)
    views = [picture, InputImage.from_array(picture.pixels[:, ::-1], "mirrored")]

    def few() -> None:
        complete(curves(at.loaded, at.batch, made.values, TARGET, 32))
        complete(again(at.loaded.untrained(views), made, at.batch))

    ways: Ways = {
        "Loupe, deletion and insertion of 32 steps each, one random twin": few,
        "Loupe, all of it": lambda: complete(evidence_job(at.loaded, picture, made)),
    }
    return interleaved("resnet18, evidence for one map", ways, rounds, 1)


CALLS, WARM_UP = 200, 20
_GROWTH = """
import sys
from benchmarks.heatmaps import grad_cam, pytorch_grad_cam, setting
from benchmarks.tasks import resident

at = setting("resnet18")
call = {"Loupe": lambda: grad_cam(at.question()), "pytorch-grad-cam": lambda: pytorch_grad_cam(at)}[sys.argv[1]]
for _ in range(int(sys.argv[2])):
    call()
before = resident()
for _ in range(int(sys.argv[3])):
    call()
print(resident() - before)
"""


def memory() -> Iterator[Row]:
    """How much more memory a process holds after many calls than after its first ones."""
    for way in ("Loupe", "pytorch-grad-cam"):
        grown = int(in_a_process(_GROWTH, way, str(WARM_UP), str(CALLS)).split()[-1]) / 2**20
        yield Row(f"resnet18, Grad-CAM, {CALLS} calls after {WARM_UP}, resident memory", way, grown, "MiB", None, 1)


def tasks(rounds: int) -> dict[str, Callable[[], Iterable[Row]]]:
    """All of them by name, each measured when it is asked for."""
    few = min(rounds, 7)
    found: dict[str, Callable[[], Iterable[Row]]] = {}
    for key in ONE_PASS:
        found[f"heatmaps {key}"] = partial(grad_cams, key, rounds)
    found["heatmaps blocks"] = partial(all_blocks, rounds)
    for key, layer in SCORE_CAM:
        found[f"heatmaps score-cam {key}"] = partial(score_cams, key, layer, few)
    for key, layer in ABLATION_CAM:
        found[f"heatmaps ablation-cam {key} {layer}"] = partial(ablation_cams, key, layer, few)
    found["heatmaps evidence"] = partial(evidence, few)
    found["heatmaps memory"] = memory
    return found

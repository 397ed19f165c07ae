"""Against Lucent 0.1.8, the PyTorch port of Lucid: its pictures, objectives and ascent on the same network."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from lucent.optvis import objectives as lucents
from lucent.optvis import render, transform
from lucent.optvis.param import spatial
from lucent.optvis.param.color import to_valid_rgb
from lucent.optvis.param.spatial import fft_image

from interpret import LoadedModel
from interpret.filters import FilterParams, draw, fourier
from interpret.filters.artist import _generator
from interpret.filters.objectives import Answers, Objective, between, channel, diversity, neuron
from interpret.jobs import complete
from tests.conftest import look_into

SIDE = 64
CHANNELS = (3, 11, 20)


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lucent takes a graphics card wherever there is one."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for module in (spatial, transform):
        monkeypatch.setattr(module, "device", torch.device("cpu"))


@pytest.fixture(scope="module")
def plain() -> torch.nn.Module:
    """A ResNet-18 of random weights whose BatchNorm has something to say."""
    torch.manual_seed(4)
    network = torchvision.models.resnet18(num_classes=10).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.2, 0.4)
    return network


@pytest.fixture(scope="module")
def model(plain: torch.nn.Module) -> LoadedModel:
    return look_into(copy.deepcopy(plain), 10, (SIDE, SIDE))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 80), (31, 64)])
def test_a_spectrum_is_the_same_picture(height: int, width: int) -> None:
    spectrum = fourier.new_spectrum([torch.Generator().manual_seed(number) for number in range(2)], height, width)
    (values,), picture = fft_image((2, 3, height, width))
    values.data.copy_(spectrum * 40)
    expected = to_valid_rgb(picture, decorrelate=True)().detach()
    scale, colours = fourier.frequency_scale(height, width), fourier.colour_matrix()
    assert expected.std() > 0.05
    torch.testing.assert_close(fourier.to_pictures(spectrum * 40, scale, colours, width), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("own", "its"),
    [
        (channel("layer2", list(CHANNELS)), [lucents.channel("layer2", c, batch=at) for at, c in enumerate(CHANNELS)]),
        (neuron("layer2", 7), [lucents.neuron("layer2", 7, batch=at) for at in range(3)]),
        (neuron("layer2", 7, 1, 5), [lucents.neuron("layer2", 7, x=5, y=1, batch=at) for at in range(3)]),
        (
            between(channel("layer2", 5), channel("layer3", 9), [0, 0.5, 1]),
            [lucents.channel_interpolate("layer2", 5, "layer3", 9)],
        ),
        (2 * diversity("layer2", 3), [lucents.diversity("layer2") * 3]),
    ],
    ids=["channel", "neuron", "neuron at a place", "between", "diversity"],
)
def test_objectives_have_its_gradients(plain: torch.nn.Module, own: Objective, its: list[Any]) -> None:
    """Loupe's are driven up, Lucent's down; its diversity is a sum over pairs over the number of pictures."""
    maps: dict[str, torch.Tensor] = {}
    hooks = [
        plain.get_submodule(name).register_forward_hook(lambda _, __, output, name=name: maps.update({name: output}))
        for name in ("layer2", "layer3")
    ]
    torch.manual_seed(1)
    batch = torch.rand(3, 3, SIDE, SIDE, requires_grad=True)
    plain(batch)
    for hook in hooks:
        hook.remove()
    (gradient,) = torch.autograd.grad(own.value(Answers(torch.arange(3), None, maps)).sum(), batch, retain_graph=True)
    loss = sum(objective(lambda name: maps[name]) for objective in its)
    (expected,) = torch.autograd.grad(loss, batch)
    sign = _sign(its)
    assert expected.abs().max() > 0
    torch.testing.assert_close(gradient, sign * expected, rtol=1e-4, atol=1e-8)


def _sign(its: list[Any]) -> int:
    """Lucent's channels are losses; its diversity, like Lucid's, is to be subtracted from what is driven up."""
    return 1 if "diversity" in its[0].description.lower() else -1


@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize("layer", ["layer1", "layer3"])
def test_the_ascent_is_its_ascent(
    plain: torch.nn.Module, model: LoadedModel, layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the same start, without movements, on the folded network cut off at the layer: the same pictures."""
    steps = 12
    monkeypatch.setattr("interpret.filters.canvases.move", lambda pictures, matrices: pictures)
    monkeypatch.setattr("interpret.filters.artist.REDIRECTED_STEPS", 0)
    monkeypatch.setattr("interpret.filters.artist.REDRAWS", 0)
    objective = channel(layer, list(CHANNELS))
    own = complete(draw(model, objective, 3, FilterParams(steps=steps)))
    expected = lucent_pictures(plain, model, layer, steps, lambda: spectrum(model))
    start = lucent_pictures(plain, model, layer, 0, lambda: spectrum(model))
    assert np.abs(expected - start).mean() > 0.02
    # Adam's first steps have one length whatever the gradient, so that rounding decides where that is all but zero.
    assert np.abs(own.planes - expected).mean() < 0.1 * np.abs(expected - start).mean()
    assert all(np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.99 for a, b in zip(own.planes, expected, strict=True))


def spectrum(model: LoadedModel) -> torch.Tensor:
    """What Loupe begins with."""
    return fourier.new_spectrum([_generator(0, number, -1) for number in range(3)], SIDE, SIDE)


def lucent_pictures(
    plain: torch.nn.Module, model: LoadedModel, layer: str, steps: int, start: Callable[[], torch.Tensor]
) -> np.ndarray[Any, Any]:
    def picture() -> Any:
        values, image = fft_image((3, 3, SIDE, SIDE))
        values[0].data.copy_(start())
        return values, to_valid_rgb(image, decorrelate=True)

    if not steps:
        return render.tensor_to_img_array(picture()[1]())
    each = [lucents.channel(layer, number, batch=at) for at, number in enumerate(CHANNELS)]
    (found,) = render.render_vis(
        plain,
        lucents.Objective.sum(each),
        picture,
        transforms=[model.preprocess.from_planes],
        thresholds=(steps,),
        preprocess=False,
        progress=False,
        show_image=False,
        fixed_image_size=SIDE,
    )
    return np.asarray(found)

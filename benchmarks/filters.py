"""Filter pictures beside the peers: milliseconds for one picture to go one step, and where Loupe's go.

What is done once a run (folding, hooks, the first pictures) does not count: Loupe's steps are taken one by one from a
job that is under way; the peers' steps are timed from one call of their objective to the next.
"""

from __future__ import annotations

import contextlib
import gc
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.tasks import BUNDLED, network
from benchmarks.timing import Row
from interpret import FilterParams, LoadedModel, complete, filter_images, load_model
from interpret.filters import class_images
from interpret.filters.artist import REDIRECTED_STEPS
from interpret.jobs import Job

PICTURES, STEPS = 16, 128
LAYERS = (
    *(("resnet50", f"layer{number}") for number in (1, 2, 4)),
    *(("googlenet", f"inception{name}") for name in ("3b", "4c", "5b")),
)
ROUND = 5
"""Steps of Loupe in a round: a run of 128 shows its pictures after every fifth, so that each round shows them once."""
_PEER_STEPS = 3
Way = Callable[[], float]
"""Milliseconds a picture and step took in a round."""


def now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() * 1000


class _Ticking:
    """An objective that notes when it is asked."""

    def __init__(self, objective: Callable[..., Any]) -> None:
        self.objective, self.times = objective, list[float]()

    def __call__(self, *given: Any) -> Any:
        self.times.append(now())
        return self.objective(*given)

    def per_picture(self, pictures: int) -> float:
        return (self.times[-1] - self.times[0]) / (len(self.times) - 1) / pictures


def _side_by_side(ways: dict[str, Way], rounds: int, warm_up: int = 1) -> dict[str, list[float]]:
    """What each way took in each round, the ways taken in turn."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(warm_up + rounds):
        for name, way in ways.items():
            gc.collect()
            milliseconds = way()
            if turn >= warm_up:
                taken[name].append(milliseconds)
    return taken


def _rows(task: str, taken: dict[str, list[float]]) -> Iterator[Row]:
    """Medians with their ratio to the first way, then how many times Loupe's each peer took: medians over rounds."""
    base = None
    for name, values in taken.items():
        median = statistics.median(values)
        yield Row(task, name, median, "ms", None if base is None else median / base, len(values))
        base = base or median
    own = next((values for name, values in taken.items() if name.startswith("Loupe")), [])
    for name, values in taken.items():
        if own and not name.startswith(("Loupe", "truncated")):
            ratio = statistics.median(peer / loupe for peer, loupe in zip(values, own, strict=True))
            yield Row(task, f"{name.partition(',')[0]} over Loupe", ratio, "x", None, len(values))


def advance(job: Job[Any], steps: int, pictures: int) -> float:
    """Milliseconds per picture and step; all pictures go each step."""
    started = now()
    for _ in range(steps):
        while next(job).step % pictures:
            pass
    return (now() - started) / steps / pictures


def _loupe(begin: Callable[[], Job[Any]], pictures: int) -> Way:
    """The mean over a run of 128 steps, from its first steps, which find ways past shut rectifiers, and later ones."""
    later = begin()
    advance(later, REDIRECTED_STEPS, pictures)

    def way() -> float:
        first = begin()
        advance(first, 1, pictures)
        early = advance(first, ROUND, pictures)
        first.close()
        share = REDIRECTED_STEPS / STEPS
        return share * early + (1 - share) * advance(later, ROUND, pictures)

    return way


def _truncated(model: LoadedModel, layer: str, together: int, exact: bool = False) -> Way:
    """Forward to the layer and back to the input on the folded network, without anything else.

    In the precision that Loupe takes on this device, or in float32 if exact.
    """
    fast = model.folded([layer])
    height, width = model.preprocess.size
    pictures = torch.rand(together, model.preprocess.channels, height, width, device=model.runtime.device)

    def way() -> float:
        started = now()
        for _ in range(PICTURES // together):
            batch = pictures.clone().requires_grad_()
            with contextlib.nullcontext() if exact else model.runtime.rounded():
                maps = fast.trace(batch, [layer], until="layers")[layer]
            torch.autograd.grad(maps[:, 0].float().mean((-2, -1)).sum(), batch)
        return (now() - started) / (PICTURES // together * together)

    return way


def _lucent(plain: nn.Module, layer: str, side: int) -> Way:
    from lucent.optvis import objectives, param, render

    def way() -> float:
        each = [objectives.channel(layer.replace(".", "_"), number, batch=number) for number in range(PICTURES)]
        ticking = _Ticking(objectives.Objective.sum(each))
        objective = objectives.Objective(ticking)
        picture = lambda: param.image(side, batch=PICTURES)  # noqa: E731
        render.render_vis(plain, objective, picture, thresholds=(_PEER_STEPS + 1,), progress=False, show_image=False)
        return ticking.per_picture(PICTURES)

    return way


def _torch_dreams(plain: nn.Module, layer: str, side: int) -> Way:
    from torch_dreams import Dreamer
    from torch_dreams.batched_image_param import BatchedAutoImageParam
    from torch_dreams.batched_objective import BatchedObjective

    device = str(next(plain.parameters()).device)

    def way() -> float:
        each = [lambda answers, number=number: -answers[0][:, number].mean() for number in range(PICTURES)]
        ticking = _Ticking(BatchedObjective(each))
        pictures = BatchedAutoImageParam(PICTURES, side, side, device=device)
        dreamer = Dreamer(plain, quiet=True, device=device)
        dreamer.render(
            [plain.get_submodule(layer)], image_parameter=pictures, iters=2 * _PEER_STEPS + 1, custom_func=ticking
        )
        return ticking.per_picture(PICTURES)

    return way


def _horama(plain: nn.Module, target: int, side: int) -> Way:
    from horama import maco

    device = str(next(plain.parameters()).device)

    def way() -> float:
        ticking = _Ticking(lambda images: plain(images)[:, target].mean())
        with (
            tempfile.TemporaryDirectory() as folder,
            contextlib.chdir(folder),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            # In place of the spectrum it would fetch, of its kind: energy falls with the frequency.
            rows, columns = np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None]
            np.save("spectrum_decorrelated.npy", np.stack([1 / np.maximum(np.hypot(rows, columns), 1 / 256)] * 3))
            maco(ticking, total_steps=_PEER_STEPS + 1, image_size=side, device=device)
        return ticking.per_picture(1)

    return way


def _where_installed(name: str, make: Callable[[], Way]) -> dict[str, Way]:
    """The way by its name, or a printed sentence."""
    try:
        return {name: make()}
    except ImportError as error:
        print(f"{name} is left out ({error}). Install benchmarks/requirements.txt.")
        return {}


def channels(key: str, layer: str, rounds: int) -> Iterator[Row]:
    """Sixteen channels of a layer together: Loupe, what its network alone takes, Lucent and torch-dreams.

    Args:
        key: of the architecture; its weights are random.
        layer: dotted name.
        rounds: how often each way is timed.
    """
    loaded, plain = network(key)
    side = loaded.preprocess.size[0]

    def begin() -> Job[Any]:
        return filter_images(loaded, layer, range(PICTURES), FilterParams(steps=STEPS))

    probe = begin()
    together = next(probe).step
    probe.close()
    task = f"{key} {layer}, {PICTURES} filter pictures of {side} px, one step of one"
    ways = {
        f"truncated forward and backward alone, {together} together as Loupe does": _truncated(loaded, layer, together)
    }
    ways["Loupe, mean of 128 steps"] = _loupe(begin, PICTURES)
    if loaded.runtime.has_bfloat16:
        ways[f"truncated forward and backward alone, float32, {PICTURES} together"] = _truncated(
            loaded, layer, PICTURES, exact=True
        )
    ways |= _where_installed("Lucent, its defaults", lambda: _lucent(plain, layer, side))
    ways |= _where_installed(
        "torch-dreams, resizing by 0.5 to 1.2 at random", lambda: _torch_dreams(plain, layer, side)
    )
    yield from _rows(task, _side_by_side(ways, rounds))


def maco_pictures(rounds: int, side: int = 1280) -> Iterator[Row]:
    """One picture of a class by MACO: Loupe and Horama with the same side and number of crops.

    Horama cuts 0.25 to 0.30 of the side and resizes twice, Loupe 0.14 to 0.21 once.
    """
    loaded, plain = network("resnet50")
    params = FilterParams("maco", steps=STEPS, side=side)
    ways = {"Loupe, mean of 128 steps": _loupe(lambda: class_images(loaded, [1], params), 1)}
    ways |= _where_installed("Horama, its defaults", lambda: _horama(plain, 1, side))
    task = f"resnet50, a class by MACO, {side} px, 6 crops, one step"
    yield from _rows(task, _side_by_side(ways, rounds))


def whole_layer(steps: int) -> Iterator[Row]:
    """Every channel of ResNet-18's layer4 at once, from the network to finished pictures; for a graphics card."""
    if not torch.cuda.is_available():
        print("  all channels of a layer are drawn where there is a CUDA device")
        return
    loaded, _ = network("resnet18")
    channels = loaded.layer("layer4").channels
    complete(filter_images(loaded, "layer4", range(channels), FilterParams(steps=2)))
    started = now()
    complete(filter_images(loaded, "layer4", range(channels), FilterParams(steps=steps)))
    task = f"resnet18 layer4, all {channels} channels, 224 px, {steps} steps"
    yield Row(task, "Loupe", (now() - started) / 1000, "s", None, 1)
    yield Row(task, "Loupe, per picture and step", (now() - started) / steps / channels, "ms", None, 1)
    yield Row(task, "most memory of the device in use", torch.cuda.max_memory_allocated() / 2**20, "MiB", None, 1)


def own_steps(rounds: int) -> Iterator[Row]:
    """Loupe alone on two small tasks, to compare versions by."""
    for loaded, layer in ((load_model(BUNDLED), "layer3"), (network("resnet18")[0], "layer2")):
        way = _loupe(partial(filter_images, loaded, layer, range(PICTURES), FilterParams(steps=STEPS)), PICTURES)
        task = f"filter pictures, {loaded.name.removesuffix('.safetensors')} {layer}, {loaded.preprocess.size[0]} px"
        yield from _rows(task, _side_by_side({"Loupe, per picture and step": way}, rounds))


def tasks(rounds: int) -> dict[str, Callable[[], Iterator[Row]]]:
    """All of them by name, each measured when it is asked for."""
    found: dict[str, Callable[[], Iterator[Row]]] = {"filters own": partial(own_steps, rounds)}
    found["filters layer"] = partial(whole_layer, 256 if rounds > 2 else 8)
    for key, layer in LAYERS:
        found[f"filters {key} {layer}"] = partial(channels, key, layer, rounds)
    found["filters maco"] = partial(maco_pictures, rounds)
    return found

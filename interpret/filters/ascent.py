"""Gradient ascent on pictures, all chosen channels of a layer together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.errors import BadInput, unknown
from interpret.filters.fourier import colour_matrix, frequency_scale, new_spectrum, to_pictures
from interpret.filters.transforms import move, movements
from interpret.jobs import Job, Progress
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.work import multiplications

REDRAWS = 10
"""Steps in which a picture without any gradient is drawn anew, with twice the contrast each time."""


@dataclass(frozen=True)
class FilterParams:
    """How filter pictures are drawn.

    Attributes:
        steps: ascent steps, 1 to 4,096.
        learning_rate: Adam's, 0.001 to 1.
        seed: start and movements follow from it and from the channel's number.
        side: height and width of the pictures in pixels, 16 to 2,048; 0 is the network's own size.
        direction: "positive" drives the mean activation up, "negative" down.
    """

    steps: int = field(default=128, metadata={"range": (1, 4096), "help": "More steps, sharper pictures (Lucid: 512)."})
    learning_rate: float = field(
        default=0.05, metadata={"range": (0.001, 1.0), "help": "How far each step goes (Lucid: 0.05)."}
    )
    seed: int = field(default=0, metadata={"range": (0, 2**31 - 1), "help": "Another seed, another start."})
    side: int = field(
        default=0,
        metadata={"range": (0, 2048), "help": "Smaller pictures are drawn faster; 0: the network's own size."},
    )
    direction: Literal["positive", "negative"] = field(
        default="positive",
        metadata={"choices": ("positive", "negative"), "help": "What excites the channel, or what silences it."},
    )

    def __post_init__(self) -> None:
        if 0 < self.side < 16:
            raise BadInput(f"side must be 0 or lie between 16 and 2048; found {self.side}.")
        if self.direction not in ("positive", "negative"):
            raise unknown("Direction", self.direction, "the directions", ("positive", "negative"))
        for name in ("steps", "learning_rate", "seed", "side"):
            low, high = type(self).__dataclass_fields__[name].metadata["range"]
            if not low <= getattr(self, name) <= high:
                raise BadInput(f"{name} must lie between {low} and {high}; found {getattr(self, name)}.")


@dataclass(frozen=True, eq=False)
class FilterImages:
    """Pictures that excite channels of a layer.

    Attributes:
        pictures: float32 [n, height, width, 3] in 0..1, RGB, read-only.
        reached: float32 [n], the channel's mean activation on its still, unmoved picture; NaN while growing.
        channels: which channels, in the order of the pictures.
        layer: which layer.
        params: how they were drawn.
        steps: steps done.
    """

    pictures: NDArray[np.float32]
    reached: NDArray[np.float32]
    channels: tuple[int, ...]
    layer: LayerInfo
    params: FilterParams
    steps: int


def chunk_size(device_type: str, height: int, width: int, work: int = 0) -> int:
    """How many pictures share a pass: on a CPU few enough that a step of ResNet-50 at 224 px takes half a second.

    Args:
        device_type: "cpu", "cuda" or "mps".
        height, width: of the pictures in pixels.
        work: multiplications the network does for one of them.
    """
    if device_type != "cpu":
        return 128 if device_type == "cuda" else 32
    return max(1, min(16, 4 * 224 * 224 // (height * width), 17 * 10**9 // max(1, work)))


class Adam:
    """Adam for one tensor (torch.optim's takes seconds to import its compiler at the first step).

    Args:
        values: changed in place by `descend`.
        learning_rate: how far a step goes.

    Source: Kingma and Ba 2015, algorithm 1, arXiv 1412.6980, with its default decay rates.
    """

    def __init__(self, values: torch.Tensor, learning_rate: float) -> None:
        self._values, self._rate, self._step = values, learning_rate, 0
        self._mean, self._square = torch.zeros_like(values), torch.zeros_like(values)

    @torch.no_grad()
    def descend(self, gradient: torch.Tensor) -> None:
        """One step against the gradient."""
        self._step += 1
        self._mean.lerp_(gradient, 0.1)
        self._square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        scale = (1 - 0.999**self._step) ** 0.5
        rate = self._rate / (1 - 0.9**self._step)
        self._values.addcdiv_(self._mean, (self._square.sqrt() / scale).add_(1e-8), value=-rate)


def filter_images(
    model: LoadedModel, layer: str, channels: Sequence[int], params: FilterParams | None = None
) -> Job[FilterImages]:
    """A picture for each channel that drives the channel's mean activation as high as it gets.

    maximise over the spectrum s:  mean over places of A_k(move(picture(s)))       (minimise for "negative")

    by Adam, with the picture's movement drawn anew at each step. The network runs only up to the layer; all pictures
    share its passes and each follows its own channel alone, so the result for a channel does not depend on the others.

    Args:
        model: the network.
        layer: dotted name.
        channels: channel numbers, in any order.
        params: steps, learning rate, seed.

    Yields:
        Progress after each chunk of each step, with the unfinished FilterImages as preview several times in the run.

    Raises:
        UnknownName: no such layer.
        BadInput: no such channel, or none, or the network does not run on pictures of that side.

    Source: Olah, Mordvintsev, Schubert 2017, "Feature Visualization", Distill, doi 10.23915/distill.00007.
    Differs: a start that leaves the channel at zero behind its ReLU, and so without a gradient, is drawn anew with
        more contrast; Lucid lets a gradient through the ReLU instead.
    """
    params = params or FilterParams()
    info = model.layer(layer)
    wanted = tuple(int(channel) for channel in channels)
    if info.layout == "other" or not wanted or min(wanted) < 0 or max(wanted) >= info.channels:
        raise BadInput(f'Layer "{info.name}" has channels 0 to {info.channels - 1}; found {list(wanted)[:8]}.')
    own_height, own_width = model.preprocess.size
    height, width = (params.side, params.side) if params.side else (own_height, own_width)
    work = multiplications(model, info.name) * height * width // (own_height * own_width)
    device = model.runtime.device
    scale = frequency_scale(height, width).to(device)
    colours = colour_matrix().to(device)
    generators = [torch.Generator().manual_seed(params.seed * 1_000_003 + channel) for channel in wanted]
    chunk = chunk_size(device.type, height, width, work)
    spectra, optimisers, chunks = [], [], []
    for start in range(0, len(wanted), chunk):
        own = slice(start, start + chunk)
        spectrum = new_spectrum(generators[own], height, width).to(device).requires_grad_()
        spectra.append(spectrum)
        optimisers.append(Adam(spectrum, params.learning_rate))
        chunks.append((own, torch.tensor(wanted[own], device=device)))

    def draw(numbers: int) -> FilterImages:
        with torch.no_grad():
            pictures = torch.cat([to_pictures(spectrum, scale, colours, width) for spectrum in spectra])
        values = pictures.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        reached = np.full(len(wanted), np.nan, np.float32)
        return FilterImages(values, reached, wanted, info, params, numbers)

    def answer(batch: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        try:
            tape = model.trace(model.preprocess.normalise(batch), [layer], until="layers")
        except RuntimeError as error:
            if not params.side or not re.search("size|shape", str(error)):
                raise
            raise BadInput(
                f'{model.architecture.title} does not get as far as "{info.name}" with pictures of {params.side} '
                f"pixels; its own size is {own_height}."
            ) from None
        maps = info.channels_first(tape[layer])
        return maps[torch.arange(len(own), device=device), own].mean((1, 2))

    sign = -1 if params.direction == "positive" else 1
    total = params.steps * len(chunks)
    show_every = max(1, params.steps // 24)
    done = 0
    for step in range(params.steps):
        for spectrum, optimiser, (own, numbers) in zip(spectra, optimisers, chunks, strict=True):
            with torch.enable_grad():
                pictures = to_pictures(spectrum, scale, colours, width)
                moved = move(pictures, movements(generators[own], height, width).to(device))
                loss = sign * answer(moved, numbers).sum()
                (gradient,) = torch.autograd.grad(loss, spectrum)
            optimiser.descend(gradient)
            if step < REDRAWS and params.direction == "positive":  # at its least a ReLU has no gradient either
                for at in torch.nonzero(gradient.flatten(1).abs().amax(1) == 0).flatten().tolist():
                    again = new_spectrum([generators[own][at]], height, width) * 2.0 ** (step + 1)
                    spectrum.data[at] = again[0].to(device)
            done += 1
            last_chunk = done % len(chunks) == 0
            preview = draw(step + 1) if last_chunk and step % show_every == 0 else None
            yield Progress(done, total, f"step {step + 1} of {params.steps}", preview)
    result = draw(params.steps)
    with torch.no_grad():
        for spectrum, (own, numbers) in zip(spectra, chunks, strict=True):
            result.reached[own] = answer(to_pictures(spectrum, scale, colours, width), numbers).cpu().numpy()
    result.pictures.flags.writeable = False
    result.reached.flags.writeable = False
    return result

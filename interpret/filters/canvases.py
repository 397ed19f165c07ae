"""Ways of writing pictures as numbers, and of looking at them while they are drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from interpret.datasets.samples import sample_names, sample_picture
from interpret.datasets.sources import PictureSource
from interpret.errors import BadInput, InterpretError
from interpret.filters import descent, fourier, maco
from interpret.filters.params import Method
from interpret.filters.transforms import crops, move, movements
from interpret.images import InputImage
from interpret.model import LoadedModel

Generators = list[torch.Generator]
_MACO_VIEWS, _MACO_NOISE = 6, 0.05
_MACO_SHARES = (0.8, 1.2)
_SPECTRUM_PICTURES = 64


@dataclass(frozen=True, eq=False)
class Canvas:
    """How pictures are written and seen; n pictures of `planes` planes, in 0..1.

    Attributes:
        start: numbers to begin with, from one generator for each picture: [n, ...].
        drawn: pictures from numbers, differentiable: [n, planes, height, width].
        seen: what the network is given of drawn pictures in a step: [views * n, planes, rows, columns].
        still: what the network is given of a finished picture: [n, planes, rows, columns].
        shown: the finished pictures from numbers: [n, planes, height, width] in 0..1.
        rule, rate: how a step goes, and how far.
        views: how often each picture is seen in a step.
        is_transparent: whether places that were not worked on are to be seen through.
        stronger: numbers to begin with, for so many times the contrast; unchanged where the contrast is fixed.
    """

    start: Callable[[Generators], torch.Tensor]
    drawn: Callable[[torch.Tensor], torch.Tensor]
    seen: Callable[[torch.Tensor, Generators], torch.Tensor]
    still: Callable[[torch.Tensor], torch.Tensor]
    shown: Callable[[torch.Tensor], torch.Tensor]
    rule: descent.Rule
    rate: float
    views: int = 1
    is_transparent: bool = False
    stronger: Callable[[torch.Tensor, float], torch.Tensor] = lambda values, times: values


@dataclass(frozen=True)
class FilterMethod:
    """A way of drawing.

    Attributes:
        key, title: for machines and for people.
        source: the paper.
        about: one sentence for people.
        make: the canvas for (network, side in pixels, pictures for the spectrum or None).
    """

    key: Method
    title: str
    source: str
    about: str
    make: Callable[[LoadedModel, int, PictureSource | None], Canvas]


def _fourier(model: LoadedModel, side: int, source: PictureSource | None) -> Canvas:
    """Coefficients of frequencies and decorrelated colours, moved at each step."""
    height, width = (side, side) if side else model.preprocess.size
    device, planes = model.runtime.device, model.preprocess.channels
    scale = fourier.frequency_scale(height, width).to(device)
    colours = fourier.colour_matrix(planes).to(device)
    drawn = partial(fourier.to_pictures, scale=scale, colours=colours, width=width)

    def seen(pictures: torch.Tensor, generators: Generators) -> torch.Tensor:
        return move(pictures, movements(generators, height, width).to(device))

    return Canvas(
        start=lambda generators: fourier.new_spectrum(generators, height, width, planes).to(device),
        drawn=drawn,
        seen=seen,
        still=_as_it_is,
        shown=drawn,
        rule=descent.adam,
        rate=0.05,
        stronger=lambda values, times: values * times,
    )


def _maco(model: LoadedModel, side: int, source: PictureSource | None) -> Canvas:
    """Phases under the magnitudes of natural pictures, of which random parts are seen with noise.

    A picture has twice the network's side; six parts of 0.8 to 1.2 times the network's own size are seen in a step.
    """
    rows, columns = model.preprocess.size
    height, width = (side, side) if side else (2 * rows, 2 * columns)
    device, planes = model.runtime.device, model.preprocess.channels
    magnitude = maco.natural_magnitude(_natural_pictures(model, height, width, source)).to(device)
    colours = fourier.colour_matrix(planes).to(device)
    own = min(1.0, rows / height)
    shares = (min(1.0, _MACO_SHARES[0] * own), min(1.0, _MACO_SHARES[1] * own))
    drawn = partial(maco.with_phase, magnitude=magnitude, colours=colours, width=width)
    middle = torch.tensor([[[own, 0, 0], [0, own, 0]]], device=device)

    def seen(pictures: torch.Tensor, generators: Generators) -> torch.Tensor:
        parts = crops(generators, _MACO_VIEWS, shares).to(device)
        views = move(pictures.repeat(_MACO_VIEWS, 1, 1, 1), parts, (rows, columns))
        noise = torch.stack([_noise((_MACO_VIEWS, planes, rows, columns), generator) for generator in generators], 1)
        return views + noise.flatten(0, 1).to(device)

    return Canvas(
        start=lambda generators: maco.new_phase(generators, magnitude.cpu()).to(device),
        drawn=drawn,
        seen=seen,
        still=lambda pictures: move(pictures, middle.expand(len(pictures), 2, 3), (rows, columns)),
        shown=drawn,
        rule=descent.nadam,
        rate=1.0,
        views=_MACO_VIEWS,
        is_transparent=True,
    )


def _pixels(model: LoadedModel, side: int, source: PictureSource | None) -> Canvas:
    """Pixels as they are, nothing to hold them natural: the textbook's ascent, to compare with."""
    height, width = (side, side) if side else model.preprocess.size
    device, planes = model.runtime.device, model.preprocess.channels

    def start(generators: Generators) -> torch.Tensor:
        noise = torch.stack([torch.rand(planes, height, width, generator=generator) for generator in generators])
        return (0.4 + 0.2 * noise).to(device)

    def shown(values: torch.Tensor) -> torch.Tensor:
        centred = values - values.mean((1, 2, 3), keepdim=True)
        spread = centred.std((1, 2, 3), keepdim=True).clamp_min(1e-6)
        return ((centred / spread * 64 + 128) / 255).clamp(0, 1)

    return Canvas(
        start=start,
        drawn=_as_it_is,
        seen=lambda pictures, generators: pictures,
        still=_as_it_is,
        shown=shown,
        rule=descent.normalised,
        rate=10.0,
        stronger=lambda values, times: (0.5 + (values - 0.5) * times).clamp(0, 1),
    )


def _noise(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Normal and uniform noise together, as in Horama."""
    return _MACO_NOISE * (torch.randn(shape, generator=generator) + torch.rand(shape, generator=generator) - 0.5)


def _as_it_is(values: torch.Tensor) -> torch.Tensor:
    return values


METHODS = (
    FilterMethod(
        "fourier",
        "Fourier",
        'Olah, Mordvintsev, Schubert 2017, "Feature Visualization", Distill, doi 10.23915/distill.00007',
        "Frequencies and decorrelated colours change, and the picture is moved a little at every step (Lucid).",
        _fourier,
    ),
    FilterMethod(
        "maco",
        "MACO",
        'Fel et al. 2023, "Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained '
        'Optimization", arXiv 2306.06805',
        "Only phases change, under the magnitudes of natural pictures; what was not worked on becomes transparent.",
        _maco,
    ),
    FilterMethod(
        "pixels",
        "Plain pixels",
        'Chollet 2021, "Deep Learning with Python", second edition, section 9.4.2',
        "Every pixel changes alone: the textbook's way, kept to compare with; deep layers come out as noise.",
        _pixels,
    ),
)


def spectrum_digest(method: Method, source: PictureSource | None) -> str:
    """Says whose magnitudes a method works under; "" where it needs none."""
    if method != "maco":
        return ""
    return source.digest if source is not None else hashlib.sha256(repr(_photographs()).encode()).hexdigest()


def _photographs() -> tuple[str, ...]:
    names = sample_names()
    return tuple(name for name in names if name.endswith(".jpg")) or names


def _natural_pictures(model: LoadedModel, height: int, width: int, source: PictureSource | None) -> torch.Tensor:
    """Pictures whose spectrum is taken, cut to the canvas, in the network's planes: [m, planes, height, width]."""
    steps = model.preprocess
    if source is None:
        found = [sample_picture(name) for name in _photographs()]
    else:
        found, count = [], min(_SPECTRUM_PICTURES, len(source))
        for index in range(count):
            try:
                found.append(source.read(index * len(source) // count))
            except InterpretError:
                continue
    if not found:
        raise BadInput("None of the pictures for the spectrum can be read. Choose another data set, or none.")
    return torch.cat([_cut(image, height, width, steps.channels) for image in found])


def _cut(image: InputImage, height: int, width: int, planes: int) -> torch.Tensor:
    """The largest middle part of the canvas's proportions, resized to it: [1, planes, height, width] in 0..1."""
    pixels = torch.from_numpy(image.pixels.copy()).permute(2, 0, 1)[None].float() / 255
    share = min(image.height / height, image.width / width)
    rows, columns = round(height * share), round(width * share)
    top, left = (image.height - rows) // 2, (image.width - columns) // 2
    part = pixels[:, :, top : top + rows, left : left + columns]
    part = torch.nn.functional.interpolate(part, (height, width), mode="bilinear", antialias=True)
    return part if planes == 3 else part.mean(1, keepdim=True).expand(-1, planes, -1, -1)

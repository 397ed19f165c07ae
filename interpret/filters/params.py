"""How pictures are drawn, and what is drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.errors import BadInput, unknown
from interpret.layers import LayerInfo

Method = Literal["fourier", "maco", "pixels"]
Direction = Literal["positive", "negative"]
_LEAST_CONTRAST = 0.02


@dataclass(frozen=True)
class FilterParams:
    """How filter pictures are drawn.

    Attributes:
        method: key of one of `interpret.filters.METHODS`.
        steps: ascent steps, 1 to 4,096.
        learning_rate: how far a step goes, 0.001 to 100; 0 is the method's own.
        seed: start and movements follow from it and from the channel's number.
        side: height and width of the pictures in pixels, 16 to 2,048; 0 is the network's own size.
        direction: "positive" drives the mean activation up, "negative" down.
        starts: pictures of each channel, drawn to differ from each other, 1 to 8.
    """

    method: Method = field(
        default="fourier",
        metadata={"choices": ("fourier", "maco", "pixels"), "help": "What of a picture is changed by the ascent."},
    )
    steps: int = field(default=128, metadata={"range": (1, 4096), "help": "More steps, sharper pictures (Lucid: 512)."})
    learning_rate: float = field(
        default=0.0,
        metadata={
            "range": (0.0, 100.0),
            "help": "How far each step goes; 0 is the method's own (Lucid 0.05, MACO 1, Chollet 10).",
        },
    )
    seed: int = field(default=0, metadata={"range": (0, 2**31 - 1), "help": "Another seed, another start."})
    side: int = field(
        default=0,
        metadata={"range": (0, 2048), "help": "Smaller pictures are drawn faster; 0: the network's own size."},
    )
    direction: Direction = field(
        default="positive",
        metadata={"choices": ("positive", "negative"), "help": "What excites the channel, or what silences it."},
    )
    starts: int = field(
        default=1,
        metadata={
            "range": (1, 8),
            "help": "Several pictures of each channel that must differ: a channel may look for more than one thing "
            "(Olah et al. 2017, “Diversity”).",
        },
    )

    def __post_init__(self) -> None:
        if 0 < self.side < 16:
            raise BadInput(f"side must be 0 or lie between 16 and 2048; found {self.side}.")
        if self.direction not in ("positive", "negative"):
            raise unknown("Direction", self.direction, "the directions", ("positive", "negative"))
        if self.method not in ("fourier", "maco", "pixels"):
            raise unknown("Method", self.method, "the ways of drawing", ("fourier", "maco", "pixels"))
        for name in ("steps", "learning_rate", "seed", "side", "starts"):
            low, high = type(self).__dataclass_fields__[name].metadata["range"]
            if not low <= getattr(self, name) <= high:
                raise BadInput(f"{name} must lie between {low} and {high}; found {getattr(self, name)}.")
        if 0 < self.learning_rate < 0.001:
            raise BadInput(f"learning_rate must be 0 or lie between 0.001 and 100; found {self.learning_rate}.")


@dataclass(frozen=True, eq=False)
class Ascent:
    """Where an ascent stands, so that it can go on: all on the device, never changed.

    Attributes:
        values: what is optimised [n, ...].
        mean, square: what the rule for a step remembers, of the same shape.
        attribution: float32 [n, height, width], the sum over steps of the gradient's size at each pixel; None where
            the method shows none.
    """

    values: torch.Tensor
    mean: torch.Tensor
    square: torch.Tensor
    attribution: torch.Tensor | None


@dataclass(frozen=True, eq=False)
class Drawing:
    """Pictures drawn by gradient ascent. The arrays are read-only.

    Attributes:
        planes: float32 [n, height, width, planes] in 0..1, as many planes as the network takes: RGB, grey, or others.
        opacity: float32 [n, height, width] in 0..1, how much each place was worked on (MACO's transparency); None
            for other methods.
        reached: float32 [n], the objective on the finished, unmoved picture, by the network as it was loaded; NaN
            while growing.
        objective: what was driven up, in words.
        params: how they were drawn.
        steps: steps done.
        ascent: from where it can go on; None where that was not kept.
    """

    planes: NDArray[np.float32]
    opacity: NDArray[np.float32] | None
    reached: NDArray[np.float32]
    objective: str
    params: FilterParams
    steps: int
    ascent: Ascent | None

    @property
    def pictures(self) -> NDArray[np.float32]:
        """RGB to look at: float32 [n, height, width, 3] in 0..1.

        One plane is grey; of two, and of more than three, the first three are shown as false colours, a missing one as
        the mean of the others.
        """
        planes = self.planes
        if planes.shape[-1] == 1:
            return np.broadcast_to(planes, (*planes.shape[:-1], 3))
        if planes.shape[-1] == 2:
            return np.concatenate([planes, planes.mean(-1, keepdims=True)], -1)
        return planes[..., :3]

    def stays_grey(self, index: int) -> bool:
        """Whether the ascent found nothing for a picture.

        That is so where a picture that should excite reaches exactly 0, which only a shut rectifier answers, and where
        no plane of it varies by more than 2 per cent of its range (standard deviation over the places).
        """
        silent = self.params.direction == "positive" and self.reached[index] == 0
        return bool(silent or self.planes[index].std((0, 1)).max() < _LEAST_CONTRAST)


@dataclass(frozen=True, eq=False)
class FilterImages(Drawing):
    """Pictures that excite channels of a layer; what is reached is the channel's mean activation.

    Attributes:
        channels: which channel each picture is of; several pictures of one follow each other.
        layer: which layer.
    """

    channels: tuple[int, ...]
    layer: LayerInfo

"""What to draw first, so that the first filter pictures are there in about a minute."""

from __future__ import annotations

from dataclasses import dataclass

from interpret.model import LoadedModel
from interpret.work import multiplications

SIDES = (64, 96, 128, 160, 192, 224)
"""Picture sides offered besides the network's own, in pixels."""
_LIGHT, _BEARABLE = 2 * 10**9, 4 * 10**9


@dataclass(frozen=True)
class FirstView:
    """How many channels to draw first, and the side of their pictures in pixels; 0 is the network's own."""

    channels: int
    side: int


def first_view(model: LoadedModel, layer: str) -> FirstView:
    """Sixteen channels at the network's own size; on a CPU fewer and smaller ones where a pass takes long.

    Up to 2 thousand million multiplications for a picture (ResNet-18 at 224 pixels) nothing is spared. Above, four
    channels are drawn, at the largest of SIDES that stays under 4 thousand million.

    Args:
        model: the network.
        layer: where the channels are; what comes after it is never computed.

    Raises:
        UnknownName: no such layer.
    """
    work = multiplications(model, layer)
    if model.runtime.device.type != "cpu" or work <= _LIGHT:
        return FirstView(16, 0)
    own = min(model.preprocess.size)
    if work <= _BEARABLE:
        return FirstView(4, 0)
    smaller = [side for side in SIDES if side < own and work * side**2 <= _BEARABLE * own**2]
    return FirstView(4, max(smaller, default=min(SIDES[0], own)))

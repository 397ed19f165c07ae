"""What a change is, and what a kind of change has to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from interpret.ablation.statistics import Usual
from interpret.images import InputImage
from interpret.model import LoadedModel
from interpret.tape import Edit

Needs = Literal["", "usual", "donor", "images"]
"""What a kind needs beside the network: how a layer usually answers, another picture, or a few pictures."""

_VERBS = {
    "zero": "zero",
    "mean": "average",
    "noise": "put noise into",
    "donor": "transplant",
    "open": "open",
    "bypass": "bypass",
    "reinitialise": "re-initialise",
    "shuffle": "shuffle the weights of",
    "forget": "forget the statistics of",
    "recalibrate": "recalibrate",
}
_SHOWN = 6


@dataclass(frozen=True)
class Change:
    """What is done to a part of a network.

    Attributes:
        how: key of one of CHANGES.
        layer: dotted name ("relu:1" is a call). The layer that ends a block stands for all of the block where it is
            bypassed or its weights are changed, be the block a row of several modules: a convolution, its ReLU.
        channels: of the layer's answer; () means all.
        seed: of kinds that draw lots.
    """

    how: str
    layer: str
    channels: tuple[int, ...] = ()
    seed: int = 0

    @property
    def title(self) -> str:
        """For people: "zero channels 3, 7 of layer2", "bypass layer2.1"; the layer's name is untrusted text."""
        numbers = ", ".join(map(str, self.channels[:_SHOWN]))
        more = len(self.channels) - _SHOWN
        several = "s" if len(self.channels) > 1 else ""
        which = f"channel{several} {numbers}{f' and {more:,} more' if more > 0 else ''} of " if self.channels else ""
        seeded = f" (seed {self.seed})" if self.seed else ""
        return f"{_VERBS.get(self.how, self.how)} {which}{self.layer}{seeded}"


@dataclass(frozen=True)
class Given:
    """What changes are made with; see `changed`."""

    usual: Mapping[str, Usual] = field(default_factory=dict)
    donor: InputImage | None = None
    images: tuple[InputImage, ...] = ()


AnswersOf = Callable[[LoadedModel, Change, Given], dict[str, Edit]]
"""The edits that make a change of answers."""
WeightsOf = Callable[[LoadedModel, Sequence[Change], Given], LoadedModel]
"""The network after changes of weights that are alike in kind and seed."""


@dataclass(frozen=True)
class ChangeKind:
    """A kind of change.

    Attributes:
        key: for `Change.how`.
        title: for people.
        source: of the method; "" where nobody is known to have described it.
        of: "answers" of layers are replaced in every pass, "weights" in a copy.
        needs: what beside the network.
        refused: (network, change) -> why it cannot be done there, a sentence; "" where it can.
        function: makes it.
    """

    key: str
    title: str
    source: str
    of: Literal["answers", "weights"]
    needs: Needs
    refused: Callable[[LoadedModel, Change], str]
    function: AnswersOf | WeightsOf

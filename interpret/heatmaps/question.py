"""What every method is asked, and what a class's evidence is measured by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from interpret.jobs import Job
from interpret.layers import LayerInfo
from interpret.model import LoadedModel

Maps = tuple[torch.Tensor, torch.Tensor]
"""Signed maps float32 [n, rows, columns], negative where places spoke against, and the scores [n, classes]."""

Value = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""What is explained: from scores [n, classes] and class indices int64 [n] to [n], differentiable."""


@dataclass(frozen=True)
class Aim:
    """What of a class a map is for.

    Attributes:
        key, title: for machines and for people.
        about: one sentence for people.
        value: what is explained.
    """

    key: str
    title: str
    about: str
    value: Value


def _score(scores: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    return scores.gather(1, classes[:, None])[:, 0]


def _log_probability(scores: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    return _score(scores.log_softmax(1), classes)


def _margin(scores: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    others = scores.scatter(1, classes[:, None], -torch.inf)
    return _score(scores, classes) - others.amax(1)


AIMS = (
    Aim("score", "score", "The class score before softmax: evidence for the class, whatever the others get.", _score),
    Aim(
        "log-probability",
        "log-probability",
        "The logarithm of the probability: also what speaks against the other classes.",
        _log_probability,
    ),
    Aim(
        "margin",
        "margin",
        "The score less that of another class, the strongest one unless you name one: why this and not that.",
        _margin,
    ),
)
SCORE, MARGIN = AIMS[0], AIMS[2]


@dataclass(frozen=True, eq=False)
class Question:
    """Which places of a layer spoke for a class of each picture?

    Attributes:
        model: the network.
        batch: float32 [n, planes, height, width], normalised.
        layer: a spatial layer.
        targets: class index for each picture, int64 [n]; the predicted classes if None.
        aim: what of the class.
        rival: the class that the aim MARGIN sets it against; the strongest other one if None.
        seed: of methods that draw lots; each picture draws the same.
        beside: other layers that will be asked about too, by `at`: one pass serves them all.
    """

    model: LoadedModel
    batch: torch.Tensor
    layer: LayerInfo
    targets: torch.Tensor | None = None
    aim: Aim = SCORE
    rival: int | None = None
    seed: int = 0
    beside: tuple[LayerInfo, ...] = ()
    _answers: dict[Value | None, dict[str, Answered]] = field(default_factory=dict, repr=False)
    _seen: dict[str, Seen] = field(default_factory=dict, repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the layers one pass is to serve."""
        return tuple(dict.fromkeys(layer.name for layer in (self.layer, *self.beside)))

    def at(self, layer: LayerInfo) -> Question:
        """The same question about another layer, answered by the same pass if it is one of those `beside`."""
        return replace(self, layer=layer)

    def value(self, scores: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """The aim: [n] from scores [n, classes] and classes int64 [n], differentiable."""
        if self.rival is None:
            return self.aim.value(scores, classes)
        return _score(scores, classes) - scores[:, self.rival]

    def classes(self, scores: torch.Tensor) -> torch.Tensor:
        """The class each picture is asked about: int64 [n]."""
        return scores.detach().argmax(1) if self.targets is None else self.targets.to(scores.device)


@dataclass(frozen=True, eq=False)
class Seen:
    """What a layer answered in a pass.

    Attributes:
        activation: [n, channels, rows, columns].
        scores: [n, classes] before softmax.
    """

    activation: torch.Tensor
    scores: torch.Tensor


@dataclass(frozen=True, eq=False)
class Answered(Seen):
    """The same, and after the way back: `gradient` is that of what is explained by the activation, of its shape."""

    gradient: torch.Tensor


def answered(question: Question, value: Value | None = None) -> Answered:
    """One pass, and back no further than the layer, or the earliest of those `beside` it.

    Args:
        question: see there.
        value: what is differentiated; the question's aim if None.
    """
    known = question._answers.setdefault(value, {})
    if question.layer.name not in known:
        tape = question.model.trace(question.batch, question.names)
        assert tape.scores is not None
        with torch.enable_grad():  # whatever the caller's mode is
            aim = (value or question.value)(tape.scores, question.classes(tape.scores))
        gradients, scores = tape.gradients(aim, question.names), tape.scores.detach()
        for name, gradient in zip(question.names, gradients, strict=True):
            layer = question.model.layer(name)
            activation = layer.channels_first(tape[name].detach())
            known[name] = Answered(activation, scores, layer.channels_first(gradient))
    return known[question.layer.name]


def seen(question: Question) -> Seen:
    """One pass without a way back, for methods that need no gradient."""
    known = question._seen
    if question.layer.name not in known:
        tape = question.model.observe(question.batch, question.names, until="scores")
        assert tape.scores is not None
        for name in question.names:
            known[name] = Seen(question.model.layer(name).channels_first(tape[name]).float(), tape.scores)
    return known[question.layer.name]


def at_once(function: Callable[[Question], Maps]) -> Callable[[Question], Job[Maps]]:
    """A method of one pass as a job like the others."""

    def job(question: Question) -> Job[Maps]:
        return function(question)
        yield

    return job

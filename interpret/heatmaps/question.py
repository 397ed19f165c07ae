"""What every method is asked, and what a class's evidence is measured by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from interpret.jobs import Job
from interpret.layers import LayerInfo
from interpret.model import LoadedModel

Maps = tuple[torch.Tensor, torch.Tensor]
"""Signed maps float32 [n, rows, columns], negative where places spoke against, and the scores [n, classes]."""


@dataclass(frozen=True)
class Aim:
    """What of a class a map is for.

    Attributes:
        key, title: for machines and for people.
        about: one sentence for people.
        value: from scores [n, classes] and class indices int64 [n] to [n], differentiable.
    """

    key: str
    title: str
    about: str
    value: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


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
    Aim("margin", "margin", "The score less that of the strongest other class: what decides between the two.", _margin),
)
SCORE = AIMS[0]


@dataclass(frozen=True, eq=False)
class Question:
    """Which places of a layer spoke for a class of each picture?

    Attributes:
        model: the network.
        batch: float32 [n, planes, height, width], normalised.
        layer: a spatial layer.
        targets: class index for each picture, int64 [n]; the predicted classes if None.
        aim: what of the class.
        seed: of methods that draw lots; each picture draws the same.
    """

    model: LoadedModel
    batch: torch.Tensor
    layer: LayerInfo
    targets: torch.Tensor | None = None
    aim: Aim = SCORE
    seed: int = 0

    def classes(self, scores: torch.Tensor) -> torch.Tensor:
        """The class each picture is asked about: int64 [n]."""
        return scores.detach().argmax(1) if self.targets is None else self.targets.to(scores.device)


@dataclass(frozen=True, eq=False)
class Answered:
    """What a pass through the network and back to the layer gave.

    Attributes:
        activation: [n, channels, rows, columns], what the layer answered.
        gradient: of the aim by it, of its shape.
        scores: [n, classes] before softmax.
    """

    activation: torch.Tensor
    gradient: torch.Tensor
    scores: torch.Tensor


def answered(question: Question, value: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None) -> Answered:
    """One pass, and back no further than the layer.

    Args:
        question: see there.
        value: what is differentiated, from scores and classes; the question's aim if None.
    """
    name = question.layer.name
    tape = question.model.trace(question.batch, [name])
    assert tape.scores is not None
    with torch.enable_grad():  # whatever the caller's mode is
        aim = (value or question.aim.value)(tape.scores, question.classes(tape.scores))
    gradient = question.layer.channels_first(tape.gradient(aim, name))
    return Answered(question.layer.channels_first(tape[name].detach()), gradient, tape.scores.detach())


def at_once(function: Callable[[Question], Maps]) -> Callable[[Question], Job[Maps]]:
    """A method of one pass as a job like the others."""

    def job(question: Question) -> Job[Maps]:
        return function(question)
        yield

    return job

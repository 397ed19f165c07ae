"""What pictures are drawn for: functions of a network's answers that can be added, scaled and negated.

    channel("layer3", 5) + 0.5 * channel("layer3", 9) - diversity("layer3", 4)

Each gives one number per picture. Where an objective takes one number or one for each picture, `channel("layer3", 5)`
draws every picture for channel 5 and `channel("layer3", [5, 9])` the first for 5 and the second for 9, in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from interpret.errors import BadInput
from interpret.images import InputImage
from interpret.model import LoadedModel

Each = int | Sequence[int]


@dataclass(frozen=True, eq=False)
class Answers:
    """What a network answered to some of the pictures of a run. `answers[layer]` is [n, channels, rows, columns].

    Attributes:
        numbers: int64 [n], which of the run's pictures they are.
        scores: [n, classes] before softmax, or None where the objective needs none.
    """

    numbers: torch.Tensor
    scores: torch.Tensor | None
    maps: Mapping[str, torch.Tensor]

    def __getitem__(self, layer: str) -> torch.Tensor:
        return self.maps[layer]


@dataclass(frozen=True, eq=False)
class Objective:
    """A number per picture to be driven up.

    Attributes:
        title: for people.
        layers: whose answers it needs.
        value: from answers to float32 [n].
        scores: whether it needs the class scores.
        group: how many neighbouring pictures it compares with each other; they are never drawn apart.
        reported: what is said to be reached; None: the value itself.
    """

    title: str
    layers: frozenset[str]
    value: Callable[[Answers], torch.Tensor]
    scores: bool = field(default=False, kw_only=True)
    group: int = field(default=1, kw_only=True)
    reported: Callable[[Answers], torch.Tensor] | None = field(default=None, kw_only=True)

    def __add__(self, other: Objective) -> Objective:
        return self._with(other, f"{self.title} + {other.title}", lambda a: self.value(a) + other.value(a))

    def __sub__(self, other: Objective) -> Objective:
        return self._with(other, f"{self.title} - {other.title}", lambda a: self.value(a) - other.value(a))

    def __mul__(self, factor: float) -> Objective:
        return self._with(self, f"{factor:g} ({self.title})", lambda a: self.value(a) * factor)

    __rmul__ = __mul__

    def __neg__(self) -> Objective:
        return self._with(self, f"-({self.title})", lambda a: -self.value(a))

    def _with(self, other: Objective, title: str, value: Callable[[Answers], torch.Tensor]) -> Objective:
        group = max(self.group, other.group)
        if group % self.group or group % other.group:
            raise BadInput(f"Groups of {self.group} and of {other.group} pictures cannot be drawn together.")
        return Objective(title, self.layers | other.layers, value, scores=self.scores or other.scores, group=group)


def _of_each(values: torch.Tensor, wanted: Each, numbers: torch.Tensor) -> torch.Tensor:
    """values[i, wanted for picture numbers[i]]: [n, choices, ...] -> [n, ...]."""
    if isinstance(wanted, int):
        return values[:, wanted]
    picked = torch.as_tensor(list(wanted), device=values.device)[numbers]
    return values[torch.arange(len(values), device=values.device), picked]


def _named(wanted: Each) -> str:
    return str(wanted) if isinstance(wanted, int) else ", ".join(map(str, wanted))


def channel(layer: str, channels: Each) -> Objective:
    """The mean over places of a channel: what a filter looks for anywhere.

    Args:
        layer: dotted name.
        channels: a channel number, or one for each picture.
    """
    return Objective(
        f"channel {_named(channels)} of {layer}",
        frozenset((layer,)),
        lambda a: _of_each(a[layer], channels, a.numbers).mean((-2, -1)),
    )


def neuron(layer: str, channels: Each, row: int | None = None, column: int | None = None) -> Objective:
    """A channel at one place; the middle where none is given.

    Args:
        layer, channels: as in `channel`.
        row, column: in the layer's map.
    """

    def value(a: Answers) -> torch.Tensor:
        maps = _of_each(a[layer], channels, a.numbers)
        rows, columns = maps.shape[-2:]
        return maps[:, rows // 2 if row is None else row, columns // 2 if column is None else column]

    return Objective(f"neuron {_named(channels)} of {layer}", frozenset((layer,)), value)


def class_score(targets: Each) -> Objective:
    """The score of a class before softmax; probabilities would also rise by pushing the other classes down.

    Args:
        targets: a class index, or one for each picture.
    """

    def value(a: Answers) -> torch.Tensor:
        assert a.scores is not None
        return _of_each(a.scores, targets, a.numbers)

    return Objective(f"class {_named(targets)}", frozenset(), value, scores=True)


def direction(layer: str, vectors: torch.Tensor, cosine_power: float = 1.0) -> Objective:
    """The mean over places of dot * max(0.1, cosine)^power with a direction in the space of a layer's channels.

    Args:
        layer: dotted name.
        vectors: [channels], or [pictures, channels].
        cosine_power: 0 is the dot product alone; more holds the answer closer to the direction.

    Source: Lucid's direction objective (Olah, Mordvintsev, Schubert 2017).
    """

    def value(a: Answers) -> torch.Tensor:
        wanted = vectors.to(a[layer].device)
        wanted = wanted.expand(len(a.numbers), -1) if wanted.ndim == 1 else wanted[a.numbers]
        return _dot_and_cosine(a[layer], wanted[:, :, None, None], 1, cosine_power).mean((-2, -1))

    return Objective(f"a direction in {layer}", frozenset((layer,)), value)


def _dot_and_cosine(
    values: torch.Tensor, wanted: torch.Tensor, axis: int | tuple[int, ...], power: float
) -> torch.Tensor:
    dot = (values * wanted).sum(axis)
    lengths = (values.square().sum(axis) * wanted.square().sum(axis)).clamp_min(1e-12).sqrt()
    return dot * (dot / lengths).clamp_min(0.1) ** power


def deep_dream(layer: str) -> Objective:
    """The mean square of all of a layer's answers: whatever it sees, more of it.

    Source: Mordvintsev, Olah, Tyka 2015, "Inceptionism: Going Deeper into Neural Networks".
    """
    return Objective(f"all of {layer}", frozenset((layer,)), lambda a: a[layer].square().mean((1, 2, 3)))


def diversity(layer: str, group: int) -> Objective:
    """How unlike each picture's textures are to those of its group: minus the mean cosine of their Gram matrices.

    Args:
        layer: dotted name.
        group: neighbouring pictures that are to differ, two or more.

    Source: Olah, Mordvintsev, Schubert 2017, "Feature Visualization", section "Diversity".
    Differs: the mean over pairs instead of their sum, so that its weight does not depend on how many there are.
    """
    if group < 2:
        raise BadInput(f"Pictures can only differ from others: a group needs two or more; found {group}.")

    def value(a: Answers) -> torch.Tensor:
        flat = a[layer].flatten(2)
        grams = torch.nn.functional.normalize((flat @ flat.transpose(1, 2)).flatten(1), dim=1)
        grams = grams.view(-1, group, grams.shape[1])
        alike: torch.Tensor = grams @ grams.transpose(1, 2)
        others = alike.sum(2) - alike.diagonal(dim1=1, dim2=2)
        return -others.flatten() / (group - 1)

    return Objective(f"diversity in {layer}", frozenset((layer,)), value, group=group)


def diverse(objective: Objective, layer: str, group: int, share: float = 1.0) -> Objective:
    """An objective and a diversity that weighs as much as the objective itself does, whatever its unit.

    value + share * |value| * diversity, with |value| as a plain number; the value alone is said to be reached

    Args:
        objective: of pictures one by one.
        layer, group: as in `diversity`.
        share: how much differing counts.
    """
    apart = diversity(layer, group)

    def value(a: Answers) -> torch.Tensor:
        own = objective.value(a)
        return own + share * own.detach().abs() * apart.value(a)

    layers = objective.layers | apart.layers
    return Objective(
        f"{objective.title}, diverse", layers, value, scores=objective.scores, group=group, reported=objective.value
    )


def inversion(model: LoadedModel, layer: str, image: InputImage) -> Objective:
    """How near a layer's answers are to those for a picture: what of the picture is still there in the layer.

    -sum of (A - A0)^2 / sum of A0^2

    Source: Mahendran and Vedaldi 2015, "Understanding Deep Image Representations by Inverting Them", arXiv 1412.0035.
    Differs: the picture is held natural by how it is drawn, not by a penalty on its variation.
    """
    kept = _answer_to(model, layer, image)

    def value(a: Answers) -> torch.Tensor:
        return -(_alike(a[layer], kept) - kept).square().sum((1, 2, 3)) / kept.square().sum().clamp_min(1e-12)

    return Objective(f"{layer} as for {image.name}", frozenset((layer,)), value)


def caricature(model: LoadedModel, layer: str, image: InputImage, cosine_power: float = 2.0) -> Objective:
    """dot * cosine^power with a layer's answers for a picture: what the layer sees in it, exaggerated.

    Args:
        model, layer, image: whose answer.
        cosine_power: more keeps it closer to the picture.

    Source: Lucid's caricatures (Olah, Mordvintsev, Schubert 2017).
    """
    kept = _answer_to(model, layer, image)

    def value(a: Answers) -> torch.Tensor:
        return _dot_and_cosine(_alike(a[layer], kept), kept, (1, 2, 3), cosine_power) / kept[0].numel()

    return Objective(f"{layer} as for {image.name}, exaggerated", frozenset((layer,)), value)


def _answer_to(model: LoadedModel, layer: str, image: InputImage) -> torch.Tensor:
    info = model.layer(layer)
    return info.channels_first(model.observe(model.preprocess.to_batch(image), [layer])[layer])


def _alike(maps: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    if maps.shape[1:] != kept.shape[1:]:
        raise BadInput(
            f"The picture's answer has {kept.shape[2]} x {kept.shape[3]} places, the drawing's {maps.shape[2]} x "
            f"{maps.shape[3]}. Draw at the network's own size."
        )
    return maps


def between(first: Objective, second: Objective, shares: Sequence[float]) -> Objective:
    """From one objective to another: picture i has (1 - share) of the first and share of the second.

    Args:
        first, second: of pictures one by one.
        shares: for each picture, 0..1.
    """

    def value(a: Answers) -> torch.Tensor:
        one, other = first.value(a), second.value(a)
        return torch.lerp(one, other, torch.tensor(list(shares)).to(one)[a.numbers])

    layers = first.layers | second.layers
    scores = first.scores or second.scores
    return Objective(f"from {first.title} to {second.title}", layers, value, scores=scores)

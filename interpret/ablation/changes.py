"""What can be done to a part of a network, and the network it has been done to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import cast

from interpret.ablation.answers import ANSWERS
from interpret.ablation.kinds import AnswersOf, Change, ChangeKind, Given, WeightsOf
from interpret.ablation.statistics import Usual
from interpret.ablation.weights import WEIGHTS
from interpret.errors import BadInput, unknown
from interpret.images import InputImage
from interpret.model import LoadedModel
from interpret.tape import Edit, then

CHANGES: tuple[ChangeKind, ...] = (*ANSWERS, *WEIGHTS)
"""Every kind of change, in the order to offer them."""
_BY_KEY = {kind.key: kind for kind in CHANGES}


def kind_of(change: Change) -> ChangeKind:
    """The kind a change is of.

    Raises:
        UnknownName: there is none of that key.
    """
    if change.how not in _BY_KEY:
        raise unknown("Change", change.how, "the list of changes", _BY_KEY)
    return _BY_KEY[change.how]


def kinds_for(model: LoadedModel, layer: str) -> tuple[ChangeKind, ...]:
    """The kinds of change that can be made to a layer, all of its channels at once.

    Raises:
        UnknownName: no such layer.
    """
    model.layer(layer)
    return tuple(kind for kind in CHANGES if not kind.refused(model, Change(kind.key, layer)))


def check(model: LoadedModel, change: Change) -> None:
    """Nothing, where a change can be made to the network.

    Raises:
        UnknownName: no such kind or layer.
        BadInput: the layer has no such channel, or the kind cannot be done to it.
    """
    kind, info = kind_of(change), model.layer(change.layer)
    if change.channels and info.layout == "other":
        raise BadInput(
            f'Layer "{info.name}" answers with shape {list(info.shape)}, which is neither map nor vector, so its '
            "channels cannot be told apart. Change all of it."
        )
    for channel in change.channels:
        if not 0 <= channel < info.channels:
            raise BadInput(f"Channel {channel} does not exist; the layer has channels 0 to {info.channels - 1}.")
    reason = kind.refused(model, change)
    if reason:
        raise BadInput(reason)


def edits_of(
    model: LoadedModel,
    changes: Sequence[Change],
    *,
    usual: Mapping[str, Usual] = {},
    donor: InputImage | None = None,
) -> dict[str, Edit]:
    """Changes of answers as edits for `LoadedModel.observe` and `interpret.variants.scores_of`.

    Args:
        model: the network; what donors answer and shapes are asked of it as it is given.
        changes: of kinds of "answers"; two of one layer follow one another.
        usual: of the layers whose change needs it.
        donor: the other picture, where a change needs one.

    Raises:
        UnknownName, BadInput: a change that cannot be made, or without what it needs.
    """
    edits: dict[str, Edit] = {}
    for change in changes:
        if kind_of(change).of != "answers":
            raise BadInput(f'"{change.title}" changes weights, not answers. Make it with `changed`.')
        for name, edit in _edits(model, change, Given(usual, donor)).items():
            edits[name] = then(edits[name], edit) if name in edits else edit
    return edits


def changed(
    model: LoadedModel,
    changes: Sequence[Change],
    *,
    usual: Mapping[str, Usual] = {},
    donor: InputImage | None = None,
    images: Sequence[InputImage] = (),
) -> LoadedModel:
    """The network with all changes made in order, as a network of its own digest; the given one is never touched.

    Layers that are re-initialised one after another with the same seed forget together.

    Args:
        model: the network.
        changes: what is done to it; none gives the network itself.
        usual: of the layers whose change needs it.
        donor: the other picture, where a change needs one; its answers are those of the network as it is given.
        images: pictures that BatchNorms take their statistics from, two or more, where a change needs them.

    Raises:
        UnknownName, BadInput: a change that cannot be made, or without what it needs.
    """
    given, now = Given(usual, donor, tuple(images)), model
    for change in changes:
        check(model, change)
    for (how, _), group in groupby(changes, lambda change: (change.how, change.seed)):
        kind, some = _BY_KEY[how], list(group)
        if kind.of == "weights":
            _needed(kind, some[0], given)
            now = cast(WeightsOf, kind.function)(now, some, given)
            continue
        for change in some:
            now = now.edited(_edits(model, change, given), _identity(change, given))
    return now


def _edits(model: LoadedModel, change: Change, given: Given) -> dict[str, Edit]:
    check(model, change)
    kind = kind_of(change)
    _needed(kind, change, given)
    return cast(AnswersOf, kind.function)(model, change, given)


def _needed(kind: ChangeKind, change: Change, given: Given) -> None:
    if kind.needs == "usual":
        found = given.usual.get(change.layer)
        if found is None:
            raise BadInput(
                f'To {change.title}, it has to be known how "{change.layer}" usually answers, and that was not given. '
                "Measure it over a data set first."
            )
    if kind.needs == "donor" and given.donor is None:
        raise BadInput(f"To {change.title}, another picture is needed, and none was given. Choose one.")
    if kind.needs == "images" and len(given.images) < 2:
        raise BadInput(
            f"To {change.title}, two or more pictures are needed, from which BatchNorms take their statistics; "
            f"{len(given.images)} were given. Choose some."
        )


def _identity(change: Change, given: Given) -> str:
    """Equal words, equal answers."""
    words = f"{change.how} {change.layer} {sorted(set(change.channels))} {change.seed}"
    needs = _BY_KEY[change.how].needs
    if needs == "usual":
        found = given.usual[change.layer]
        words += " " + hashlib.sha256(found.mean.tobytes() + found.deviation.tobytes()).hexdigest()
    return f"{words} {given.donor.digest}" if needs == "donor" and given.donor else words

"""Recognising an architecture from the names and shapes of its tensors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from interpret.architectures.catalogue import NOT_CONVOLUTIONAL, architecture, rank
from interpret.architectures.index import (
    AUXILIARY,
    CHANNELS,
    CLASSES,
    Reference,
    Shape,
    index,
    masked,
    reference_of,
    shapes_of,
)
from interpret.architectures.own import registered
from interpret.errors import InterpretError

_BESIDE = re.compile(r"(?:^|\.)(?:n_averaged|total_ops|total_params|num_batches_tracked)$")
"""What training keeps beside a network: the step count of averaged weights, counters."""


@dataclass(frozen=True)
class Candidate:
    """How well an architecture fits a set of tensors.

    Attributes:
        key: of the architecture.
        classes: what its head has in the file, 0 where the network's classes are not counted by any tensor.
        channels: what its first convolution has in the file.
        matched: how many tensors have the same name and shape.
        missing: names the architecture has and the file has not.
        unexpected: names the file has and the architecture has not.
        inside: those of `unexpected` that lie inside a part the architecture has, so that it cannot be the one.
        reshaped: names in both whose shapes differ by more than classes and channels.
        heads: names of the tensors whose first axis counts the classes.
    """

    key: str
    classes: int
    channels: int
    matched: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    inside: tuple[str, ...]
    reshaped: tuple[str, ...]
    heads: tuple[str, ...]

    @property
    def differences(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.reshaped)

    @property
    def fits(self) -> bool:
        """Whether the file has every tensor of it, and nothing else inside it."""
        return not (self.missing or self.reshaped or self.inside)

    @property
    def likeness(self) -> float:
        """The share of all tensors, the file's and the architecture's, that agree: 0 to 1."""
        return self.matched / max(1, self.matched + self.differences)


def has_auxiliary(names: Collection[str]) -> bool:
    """Whether the file holds the auxiliary heads of GoogLeNet or Inception v3."""
    return any(name.startswith(AUXILIARY) for name in names)


def compare(key: str, tensors: Mapping[str, Any]) -> Candidate:
    """How an architecture fits, whatever the number of classes and of input channels."""
    return _compare(architecture(key).key if key.endswith(".py") else key, _reference(key), shapes_of(tensors))


def recognise(tensors: Mapping[str, Any], hints: Sequence[str] = (), limit: int = 3) -> tuple[Candidate, ...]:
    """The best fitting architectures, best first.

    Architectures that share one network come together: what a hint names first, then users' own, torchvision's, timm's.

    Args:
        tensors: a state dict without prefixes.
        hints: texts that may name the architecture: what the file says of itself, the file's name; never decisive.
        limit: how many different networks to return.
    """
    shapes = shapes_of(tensors)
    networks = _nearest(shapes, limit)
    found = _own_candidates(shapes) + [
        _compare(key, index().reference(number), shapes) for number in networks for key in index().keys[number]
    ]
    hinted = {candidate.key: _hinted(candidate.key, hints) for candidate in found}
    found.sort(key=lambda one: (not one.fits, -one.likeness, [-score for score in hinted[one.key]], rank(one.key)))
    best = sorted({one.likeness for one in found}, reverse=True)[:limit]
    return tuple(one for one in found if one.likeness >= best[-1])


def _own_candidates(shapes: Mapping[str, Shape]) -> list[Candidate]:
    found = []
    for key in registered():
        with suppress(InterpretError):  # a file that fails is told when it is asked for by name
            found.append(_compare(key, _reference(key), shapes))
    return found


def _nearest(shapes: Mapping[str, Shape], limit: int) -> list[int]:
    """Numbers of the networks of the index that agree best with the shapes of a file."""
    known = index()
    in_file = np.full((len(known.names), 3), -2, np.int32)  # by what an entry depends on: number of the file's shape
    for name, shape in shapes.items():
        if name in known.names:
            in_file[known.names[name]] = [known.shapes.get(masked(shape, depends), -1) for depends in range(3)]
    found = in_file[known.name, known.depends]
    here = np.add.reduceat(found != -2, known.starts[:-1])
    matched = np.add.reduceat(found == known.shape, known.starts[:-1])
    # agreeing tensors among all of the file's and the network's: |A and B| / |A or B|
    either = np.diff(known.starts) + len(shapes) - here
    likeness = matched / np.maximum(1, either)
    return [int(number) for number in np.argsort(-likeness, kind="stable")[:limit] if matched[number]]


def _hinted(key: str, hints: Sequence[str]) -> tuple[int, ...]:
    """How well each hint names an architecture: the length of its name where it is in the hint, else 0."""
    name, scores = key.rpartition("/")[2], []
    for hint in hints:
        named = re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", hint.lower().replace("-", "_"))
        from_timm = key.startswith("timm/") and re.search(r"timm|in1k|in12k|in22k", hint.lower())
        scores.append(2 * len(name) + bool(from_timm) if named else 0)
    return tuple(scores)


def _compare(key: str, reference: Reference, shapes: Mapping[str, Shape]) -> Candidate:
    known = reference.tensors
    heads = tuple(name for name, (_, depends) in known.items() if depends == CLASSES)
    firsts = tuple(name for name, (_, depends) in known.items() if depends == CHANNELS)
    both = [name for name in known if name in shapes]
    reshaped = tuple(name for name in both if masked(shapes[name], known[name][1]) != masked(*known[name]))
    inner = {name.split(".")[0] for name in known}
    unexpected = tuple(name for name in shapes if name not in known and not _BESIDE.search(name))
    return Candidate(
        key=key,
        classes=_count(heads, shapes, known, axis=0, usual=1000) if heads else 0,
        channels=_count(firsts, shapes, known, axis=1, usual=3) if firsts else _taken(known),
        matched=len(both) - len(reshaped),
        missing=tuple(name for name in known if name not in shapes),
        unexpected=unexpected,
        inside=tuple(name for name in unexpected if name.split(".")[0] in inner),
        reshaped=reshaped,
        heads=heads,
    )


def _taken(known: Mapping[str, tuple[Shape, int]]) -> int:
    """The input channels of a network that is built for a fixed number of them."""
    return next((shape[1] for shape, _ in known.values() if len(shape) == 4), 3)


def _count(
    names: Sequence[str], shapes: Mapping[str, Shape], known: Mapping[str, tuple[Shape, int]], axis: int, usual: int
) -> int:
    """Classes or channels, read off the first of the named tensors the file has."""
    for name in names:
        if len(shapes.get(name, ())) > axis:
            return shapes[name][axis] * usual // known[name][0][axis]
    return usual


def _reference(key: str) -> Reference:
    number = index().network_of(key)
    return index().reference(number) if number is not None else _built(key, architecture(key).version)


@cache
def _built(key: str, version: str) -> Reference:
    """The version changes with a user's file, whose old tensors must not be taken for the new ones."""
    return reference_of(architecture(key).build)


@dataclass(frozen=True, eq=False)
class Recognition:
    """What the names in a file turned out to be.

    Attributes:
        prefix: taken off the names, such as "module.model.".
        tensors: those of the network, without the prefix.
        beside: names in the file that do not have the prefix.
        candidates: as `recognise` gives them.
        also: other prefixes under which a whole network lies.
    """

    prefix: str
    tensors: Mapping[str, Any]
    beside: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    also: tuple[str, ...]


def look_under_prefixes(
    tensors: Mapping[str, Any], hints: Sequence[str] = (), key: str | None = None, only: str | None = None
) -> Recognition:
    """The network in a state dict, whatever stands before its names: "module.", "_orig_mod.", "model.", chains of them.

    Every part of the tree of names that holds at least a fifth of the tensors is tried, the whole first; the first that
    fits an architecture is taken, else the one most like one.

    Args:
        tensors: name -> tensor, or anything with a shape.
        hints: as in `recognise`.
        key: the architecture, where it is known.
        only: the prefix, where it is known.
    """
    found: list[Recognition] = []
    for prefix in [only] if only is not None else _prefixes(tensors):
        inside = {_old_densenet(name[len(prefix) :]): t for name, t in tensors.items() if name.startswith(prefix)}
        candidates = recognise(inside, hints)
        if key:
            named = compare(key, inside)
            candidates = (named, *(one for one in candidates if one.key != named.key))
        beside = tuple(name for name in tensors if not name.startswith(prefix) and not _BESIDE.search(name))
        found.append(Recognition(prefix, inside, beside, candidates, ()))
        if candidates and candidates[0].fits and not beside:
            break
    if not found:
        return Recognition("", tensors, (), (), ())
    fitting = [one for one in found if one.candidates and one.candidates[0].fits]
    best = (fitting or sorted(found, key=lambda one: -max((c.likeness for c in one.candidates), default=0)))[0]
    others = tuple(one.prefix for one in fitting if one is not best)
    return Recognition(best.prefix, best.tensors, best.beside, best.candidates, others)


def _prefixes(tensors: Mapping[str, Any]) -> list[str]:
    names = [name for name in tensors if not _BESIDE.search(name)]
    tried: list[str] = []
    waiting = [""]
    while waiting and len(tried) < 24:
        prefix = waiting.pop(0)
        tried.append(prefix)
        under = [name[len(prefix) :] for name in names if name.startswith(prefix)]
        children = Counter(name.split(".")[0] for name in under if "." in name)
        waiting += [f"{prefix}{child}." for child, count in children.most_common(5) if count * 5 >= len(names)]
    return tried


def _old_densenet(name: str) -> str:
    """torchvision's DenseNets of before 2018 called "norm.1" what is "norm1" now."""
    old = re.match(r"(features\.denseblock\d+\.denselayer\d+\.(?:norm|relu|conv))\.([12]\..+)$", name)
    return old[1] + old[2] if old else name


_MARKS: tuple[tuple[str, str, str], ...] = (
    (r"(^|\.)(roi_heads|rpn)\.|(^|\.)(bbox_head|box_head|bbox_embed|query_embed|anchor_generator)\b"
     r"|(^|\.)head\.(classification_head|regression_head)\.|(^|\.)(cv2|cv3)\.\d+\.\d+\.conv\.|\.anchor_grid$|\.anchors$",
     "an object detector", "which answers with boxes"),
    (r"(^|\.)(cls_token|pos_embed|class_token|class_embedding|position_embeddings?)$|attn\.qkv\.weight|self_attention\.in_proj_weight"
     r"|attention\.attention\.query|relative_position_bias_table|(^|\.)encoder\.pos_embedding$",
     "a vision transformer", "which works on tokens"),
    (r"embed_tokens\.weight|(^|\.)wte\.weight|word_embeddings\.weight|lm_head\.weight",
     "a language model", "which reads text"),
    (r"(^|\.)(aux_)?classifier\.4\.weight$|(^|\.)decode_head\.|(^|\.)up\d?\.\d?\.?conv",
     "a segmentation network", "which answers with a mask"),
    (r"time_embed(ding)?\.|(^|\.)(quant_conv|post_quant_conv)\.", "a diffusion model", "which makes pictures"),
    (r"lora_(A|B|up|down)\b", "an adapter", "which changes another network"),
)  # fmt: skip


def not_a_classifier(names: Collection[str], best: Candidate | None) -> str:
    """What else than a convolutional classifier the tensors are, as the end of a sentence; "" where nothing tells."""
    if best is not None and best.likeness > 0.5:
        number = index().network_of(best.key)
        if number is not None and not index().convolutional[number]:
            return f"{NOT_CONVOLUTIONAL} (its tensors are those of {best.key.rpartition('/')[2]})"
        if best.fits:
            return ""
    for mark, what, why in _MARKS:
        if any(re.search(mark, name) for name in names):
            return f"{what}, {why}"
    return ""

"""A network as its blocks: which modules are one, of which kind, and in which part of the network they stand.

Kinds are told from what a block does, not from what its author called it: where its branches meet (`interpret.flow`),
and which convolutions stand on them. So a user's own residual block is one, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from interpret.flow import Join
from interpret.layers import LayerInfo

Kind = Literal[
    "plain",
    "residual",
    "inverted residual",
    "inception",
    "branches",
    "dense",
    "separable",
    "pooling",
    "linear",
    "other",
]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Block:
    """A piece of a network.

    Attributes:
        name: of its module; of its first layer where several modules in a row make it up.
        kind: what it does.
        title: the same in the field's words: "residual block, bottleneck, with squeeze-and-excitation".
        part: "stem", "stage 1", ... or "head"; a new stage begins where the resolution falls.
        layers: names of the layers in it, in the order of execution, itself and what only wraps it included.
        output: name of the layer that gives what the block answers.
        joins: numbers of the joins in its own code (`LoadedModel.joins`).
    """

    name: str
    kind: Kind
    title: str
    part: str
    layers: tuple[str, ...]
    output: str
    joins: tuple[int, ...]


@dataclass(eq=False)
class _Node:
    """A call of a module and the calls inside it."""

    layer: LayerInfo
    inside: list[_Node] = field(default_factory=list)
    wrappers: list[str] = field(default_factory=list)
    """Containers whose last piece this is, innermost first."""

    @property
    def leaves(self) -> Iterator[LayerInfo]:
        if not self.inside:
            yield self.layer
        for node in self.inside:
            yield from node.leaves

    @property
    def all(self) -> Iterator[LayerInfo]:
        for node in self.inside:
            yield from node.all
        yield self.layer

    @property
    def convolutions(self) -> list[LayerInfo]:
        """Those that work on places; the ones of a gate work on one number per channel."""
        return [leaf for leaf in self.leaves if leaf.kernel and leaf.is_spatial]


def blocks_of(layers: Sequence[LayerInfo], joins: Sequence[Join]) -> tuple[Block, ...]:
    """The blocks of a network in the order of execution; every layer belongs to exactly one.

    Args:
        layers: in the order they finish.
        joins: where branches meet.
    """
    pieces: list[tuple[list[_Node], Kind, str]] = []
    for node in _tree(layers):
        _collect(node, joins, pieces)
    parts = _parts([(nodes, kind) for nodes, kind, _ in pieces])
    blocks = []
    for (nodes, kind, title), part in zip(pieces, parts, strict=True):
        names = [name for node in nodes for name in (*(layer.name for layer in node.all), *node.wrappers)]
        single = len(nodes) == 1
        own = tuple(at for at, join in enumerate(joins) if join.inside in names) if single else ()
        output = nodes[-1].layer.name
        blocks.append(Block(nodes[0].layer.name, kind, title, part, tuple(names), output, own))
    return tuple(blocks)


def _base(name: str) -> str:
    return name.partition(":")[0]


def _tree(layers: Sequence[LayerInfo]) -> list[_Node]:
    roots: list[_Node] = []
    for layer in layers:
        node = _Node(layer)
        within = _base(layer.name) + "."
        while roots and _base(roots[-1].layer.name).startswith(within):
            node.inside.insert(0, roots.pop())
        roots.append(node)
    return roots


def _collect(node: _Node, joins: Sequence[Join], pieces: list[tuple[list[_Node], Kind, str]]) -> None:
    """Adds the pieces of a node: itself if it is a block, those inside it if not."""
    kind, title = _classified(node, joins)
    if kind != "other":
        pieces.append(([node], kind, title))
    elif node.inside:
        for inner in node.inside:
            _collect(inner, joins, pieces)
        pieces[-1][0][-1].wrappers.append(node.layer.name)
    else:
        _add_leaf(node, pieces)


def _add_leaf(node: _Node, pieces: list[tuple[list[_Node], Kind, str]]) -> None:
    """A module without a block around it: a new piece with each convolution or linear layer, else part of the last."""
    leaf = node.layer
    if leaf.kernel:
        pieces.append(([node], "plain", "convolution"))
    elif leaf.kind == "Linear":
        pieces.append(([node], "linear", "linear layer"))
    elif pieces and pieces[-1][1] in _OPEN and leaf.is_spatial == pieces[-1][0][-1].layer.is_spatial:
        nodes, kind, title = pieces.pop()
        pooled = ", pooling" if "Pool" in leaf.kind and not title.endswith("pooling") else ""
        pieces.append(([*nodes, node], kind, title + pooled))
    else:
        kind = "pooling" if "Pool" in leaf.kind else "other"
        pieces.append(([node], kind, "pooling" if kind == "pooling" else leaf.kind))


_OPEN: tuple[Kind, ...] = ("plain", "separable", "linear", "pooling", "other")
"""Kinds of pieces to which modules that follow without a block of their own are counted: BatchNorm, ReLU, pooling."""


def _classified(node: _Node, joins: Sequence[Join]) -> tuple[Kind, str]:
    """(kind, title); "other" where the node is not one block."""
    if not node.inside:
        return "other", ""
    inside = {layer.name for layer in node.all}
    own = [join for join in joins if join.inside == node.layer.name]
    gate = ", with squeeze-and-excitation" if any(j.kind == "gate" and j.inside in inside for j in joins) else ""
    found = node.convolutions
    sums = [join for join in own if join.kind == "sum"]
    concatenations = [join for join in own if join.kind == "concatenation"]
    kind: Kind
    if sums and len(sums) <= 2:
        main = max((_along(node, names) for names in sums[-1].branches), key=len)
        kind, title = _residual(main or found)
    elif concatenations:
        kind, title = _concatenating(node, concatenations[-1])
    elif len(found) == 1 or (not found and not node.layer.is_spatial and _linear(node) == 1):
        kind, title = ("plain", "convolution") if found else ("linear", "linear layer")
    elif (
        2 <= len(found) <= 3
        and any(f.is_depthwise for f in found)
        and not any(j.inside in inside for j in joins if j.kind != "gate")
    ):
        widened = not found[0].is_depthwise and found[0].channels > found[0].inputs
        kind, title = ("inverted residual", "inverted residual block without shortcut") if widened else _SEPARABLE
    else:
        return "other", ""
    return kind, title + gate


_SEPARABLE: tuple[Kind, str] = ("separable", "depthwise-separable convolution")


def _linear(node: _Node) -> int:
    return sum(leaf.kind == "Linear" for leaf in node.leaves)


def _along(node: _Node, branch: Sequence[str]) -> list[LayerInfo]:
    """The convolutions of a branch inside a block: from its last layer back to the block's input."""
    inside = {layer.name: layer for layer in node.all}
    nodes = {each.layer.name: each for each in _walk(node)}
    found: list[LayerInfo] = []
    waiting, seen = list(branch), set()
    while waiting:
        name = waiting.pop()
        if name not in inside or name in seen or name == node.layer.name:
            continue
        seen.add(name)
        found = nodes[name].convolutions + found
        origin = inside[name].origin
        waiting += origin.names if origin else ()
    return found


def _walk(node: _Node) -> Iterator[_Node]:
    yield node
    for inner in node.inside:
        yield from _walk(inner)


def _residual(main: Sequence[LayerInfo]) -> tuple[Kind, str]:
    kernels = [layer.kernel for layer in main]
    if any(layer.is_depthwise for layer in main):
        if not main[0].is_depthwise and main[0].kernel == (1, 1) and main[0].channels > main[0].inputs:
            return "inverted residual", "inverted residual block"
        return "residual", "residual block, depthwise-separable"
    grouped = " with groups" if any(layer.groups > 1 for layer in main) else ""
    if len(kernels) == 3 and kernels[0] == kernels[2] == (1, 1):
        return "residual", f"residual block, bottleneck{grouped}"
    if len(kernels) == 2 and (1, 1) not in kernels:
        return "residual", f"residual block, basic{grouped}"
    return "residual", f"residual block{grouped}"


def _concatenating(node: _Node, join: Join) -> tuple[Kind, str]:
    inside = {layer.name for layer in node.all}
    entering = set(node.layer.origin.names) if node.layer.origin else set()
    branches = zip(join.branches, join.exact, strict=True)
    passed = [names for names, exact in branches if exact and not set(names) & inside and set(names) <= entering]
    found = node.convolutions
    if passed and any(layer.is_depthwise for layer in found):
        return "branches", "shuffle unit: half of the channels passed on"
    if passed:
        return "dense", "dense block"
    if len(join.branches) >= 3:
        return "inception", f"inception module, {len(join.branches)} branches"
    if len(found) == 3 and found[0].kernel == (1, 1) and found[0].channels < found[0].inputs:
        return "branches", "fire module: squeeze, then 2 branches"
    return "branches", f"{len(join.branches)} branches, concatenated"


def _parts(pieces: Sequence[tuple[list[_Node], Kind]]) -> list[str]:
    """The part of the network each piece stands in."""
    spatial = [nodes[-1].layer.is_spatial for nodes, _ in pieces]
    end = max((at for at, is_spatial in enumerate(spatial) if is_spatial), default=-1) + 1
    simple = ("plain", "pooling", "other", "linear")
    begin = next((at for at, (_, kind) in enumerate(pieces[:end]) if kind not in simple), 0)
    parts, stage, stride = [], 0, 0
    for at, (nodes, _) in enumerate(pieces):
        if at >= end:
            parts.append("head")
        elif at < begin:
            parts.append("stem")
        else:
            worked = [layer for node in nodes for layer in node.convolutions] or [nodes[-1].layer]
            now = worked[-1].stride or stride
            if now > stride:
                stage, stride = stage + 1, now
            parts.append(f"stage {stage}")
    return parts

"""What the name of a layer stands for when it is changed: modules, pieces of a block, branches and gates."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from interpret.blocks import Block
from interpret.flow import Join
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.tape import Edit, FromInput


def base(name: str) -> str:
    """The module of a call."""
    return name.partition(":")[0]


def block_ending(model: LoadedModel, layer: str) -> Block | None:
    """The block whose output a layer gives; None for layers in the midst of one."""
    block = model.block(layer)
    return block if block.output == layer else None


def within(model: LoadedModel, layer: str) -> tuple[str, ...]:
    """Names of a layer and of all inside it, in the order of execution."""
    name = base(layer)
    return tuple(each.name for each in model.layers if base(each.name) == name or each.name.startswith(f"{name}."))


def pieces(model: LoadedModel, block: Block) -> tuple[str, ...]:
    """The layers a block is a row of, in the order of execution: itself, or a convolution, its BatchNorm, its ReLU."""
    own = set(block.layers)
    whole = [name for name in block.layers if own.issuperset(within(model, name))]
    inside = {inner for name in whole for inner in within(model, name) if base(inner) != base(name)}
    return tuple(name for name in whole if name not in inside)


def meant(model: LoadedModel, layer: str) -> tuple[str, ...]:
    """The layers in a row that a layer's name stands for: itself, or the pieces of the block it ends."""
    block = block_ending(model, layer)
    return pieces(model, block) if block else (layer,)


def learned(model: LoadedModel, layer: str) -> tuple[str, ...]:
    """Names of the layers with weights in what a layer's name stands for, in the order of execution."""
    names = (inner for name in meant(model, layer) for inner in within(model, name))
    return tuple(name for name in names if model.layer(name).parameters)


def norms(model: LoadedModel, layer: str) -> tuple[str, ...]:
    """Those of them that keep a running mean and variance, in the order of execution."""
    return tuple(name for name in learned(model, layer) if model.normalisation(name) is not None)


def shapes_given(model: LoadedModel, layers: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Shapes of what layers are given, for one picture; those given no single tensor are left out."""
    found: dict[str, tuple[int, ...]] = {}

    def noting(name: str) -> Edit:
        def note(output: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
            if given is not output:
                found[name] = tuple(given.shape[1:])
            return output

        return FromInput(note)

    names = list(layers)
    blank = torch.zeros(1, model.preprocess.channels, *model.preprocess.size)
    model.observe(blank, names, edit={name: noting(name) for name in names})
    return found


def residual_branch(model: LoadedModel, layer: str) -> tuple[str, ...]:
    """The layers whose answers a residual block adds to its shortcut; () where that is not plain to see."""
    sums = [join for join in model.joins if join.inside == layer and join.kind == "sum"]
    if len(sums) != 1 or len(sums[0].branches) != 2:
        return ()
    (one, other), exact = sums[0].branches, sums[0].exact
    first, second = (len(_convolutions(model, branch, layer)) for branch in (one, other))
    main = 0 if first > second else 1
    return sums[0].branches[main] if first != second and exact[main] else ()


def _convolutions(model: LoadedModel, branch: Iterable[str], inside: str) -> list[LayerInfo]:
    """The convolutions and linear layers on a branch, from a block's input to the branch's end."""
    own = set(within(model, inside)) - {inside}
    reached: set[str] = set()
    waiting = [name for name in branch if name in own]
    while waiting:
        name = waiting.pop()
        new = [inner for inner in within(model, name) if inner not in reached]
        reached.update(new)
        origins = [origin.names for inner in (name, *new) if (origin := model.layer(inner).origin)]
        waiting += [each for names in origins for each in names if each in own and each not in reached]
    return [each for each in model.layers if each.name in reached and (each.kernel or each.kind == "Linear")]


def gates(model: LoadedModel) -> frozenset[str]:
    """Layers that answer with one number per channel, by which a map is multiplied just so."""
    return frozenset(gate for join in model.joins if (gate := _gate(model, join)))


def _gate(model: LoadedModel, join: Join) -> str:
    if join.kind != "gate":
        return ""
    for names, exact in zip(join.branches, join.exact, strict=True):
        if exact and len(names) == 1 and names[0] and not model.layer(names[0]).is_spatial:
            return names[0]
    return ""


def branches_of(model: LoadedModel, block: str | Block) -> tuple[tuple[str, str], ...]:
    """Branches and gates of a block that can be changed by themselves, in the order in which they are joined.

    Args:
        model: the network.
        block: one of `LoadedModel.blocks`, or the name of a layer in it.

    Returns:
        (layer to change, title): "residual branch", "shortcut", "branch 2 of 4 (1 × 1, 3 × 3)", "gate". What enters
        the block from outside is left out: changing it would change the block before, too; so is a branch whose end no
        layer gives.

    Raises:
        UnknownName: no such layer.
    """
    own = model.block(block) if isinstance(block, str) else block
    found: dict[str, str] = {}
    for join in (model.joins[number] for number in own.joins):
        if join.kind == "gate":
            gate = _gate(model, join)
            if gate in own.layers:
                found.setdefault(gate, "gate")
            continue
        depths = [_convolutions(model, names, join.inside) for names in join.branches]
        main = residual_branch(model, join.inside) if join.kind == "sum" else ()
        for number, (names, exact) in enumerate(zip(join.branches, join.exact, strict=True), 1):
            if not exact or len(names) != 1 or names[0] not in own.layers:
                continue
            if join.kind == "sum":
                title = "residual branch" if names == main else "shortcut" if main else f"summand {number}"
            else:
                kernels = ", ".join(
                    f"{each.kernel[0]} × {each.kernel[1]}" for each in depths[number - 1] if each.kernel
                )
                title = f"branch {number} of {len(join.branches)}" + (f" ({kernels})" if kernels else "")
            found.setdefault(names[0], title)
    return tuple(found.items())

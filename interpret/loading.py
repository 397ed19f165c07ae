"""From a checkpoint file to a network."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from interpret.architectures import Architecture, Candidate, architecture
from interpret.architectures.catalogue import WithoutMemory
from interpret.architectures.own import beside
from interpret.architectures.recognition import Recognition, has_auxiliary, look_under_prefixes, not_a_classifier
from interpret.checkpoints import Checkpoint, read_checkpoint
from interpret.errors import BadCheckpoint, BadInput
from interpret.images import Preprocess
from interpret.labels import labels_for, read_labels
from interpret.looking import Looked, look_through
from interpret.model import LoadedModel, LoadReport, digest_of
from interpret.runtime import Runtime, choose_runtime
from interpret.tape import install


def load_model(
    source: str | Path | bytes | Checkpoint,
    *,
    name: str | None = None,
    arch: str | None = None,
    part: str | None = None,
    labels: str | Path | Sequence[str] | None = None,
    device: str = "auto",
    preprocess: Preprocess | Mapping[str, Any] | None = None,
) -> LoadedModel:
    """A network from a checkpoint file: recognised, filled, frozen and looked through once.

    Args:
        source: a path, the bytes of a file, or a checkpoint already read.
        name: what to call bytes.
        arch: the architecture's key or the path of a Python file that builds it, where it is not to be recognised.
        part: which of several networks in the file, one of `LoadReport.parts`; the best if None.
        labels: a file of class names, or the names.
        device: "auto", "cpu", "cuda" or "mps".
        preprocess: instead of the file's own or the architecture's usual one, or the fields of it to change.

    Raises:
        BadCheckpoint: the file cannot be used, or its tensors fit no known network.
        UnknownName: `arch` or `part` is not known.
        Unavailable: no such device.
    """
    started = time.perf_counter()
    runtime = choose_runtime(device)
    if arch is None and isinstance(source, str | Path):
        arch = beside(Path(source))
    wrapper, colon, prefix = (part or "").partition(":")
    checkpoint = source if isinstance(source, Checkpoint) else read_checkpoint(source, name, wrapper or None)
    recognised = look_under_prefixes(checkpoint.tensors, _hints(checkpoint), arch, prefix if colon else None)
    best = _best(checkpoint, recognised, arch)
    known = architecture(arch or best.key)
    network, matched, missing = _filled(known, best, checkpoint.name, recognised.tensors)
    precisions = sorted({str(t.dtype).removeprefix("torch.") for t in recognised.tensors.values() if t.ndim})
    # From here on the network has its own copy; a look through it takes as much memory again as the file did.
    recognised, checkpoint = replace(recognised, tensors={}), replace(checkpoint, tensors={})
    not_finite = tuple(key for key, tensor in network.state_dict().items() if not torch.isfinite(tensor).all())
    network.eval().requires_grad_(False)
    network.to(runtime.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    install(network)
    steps = _preprocess(known, checkpoint.metadata, best.channels)
    steps = preprocess if isinstance(preprocess, Preprocess) else replace(steps, **(preprocess or {}))
    looked, steps = _looked(network, steps, best, runtime, known.sizes if preprocess is None else ())
    names = (
        labels_for(looked.classes, checkpoint.metadata, known.labels)
        if labels is None
        else read_labels(labels, looked.classes)
        if isinstance(labels, str | Path)
        else tuple(labels)
    )
    if len(names) != looked.classes:
        raise BadInput(f"{len(names):,} class names were given; the network has {looked.classes:,} classes.")
    report = LoadReport(
        matched=matched,
        missing=missing,
        unexpected=(*best.unexpected, *recognised.beside),
        reshaped=best.reshaped,
        prefixes=tuple(f"{step}." for step in recognised.prefix.split(".") if step),
        wrapper=checkpoint.wrapper,
        parts=_parts(checkpoint, recognised),
        named=checkpoint.metadata.get("arch", "")[:80],
        candidates=tuple((candidate.key, candidate.differences) for candidate in recognised.candidates),
        precisions=tuple(precisions),
        not_finite=not_finite,
        seconds=time.perf_counter() - started,
    )
    identity = f"{checkpoint.digest} {checkpoint.wrapper}:{recognised.prefix} {known.key} {known.version}"
    return LoadedModel(
        name=checkpoint.name,
        digest=digest_of(identity, steps),
        architecture=known,
        labels=names,
        layers=looked.layers,
        joins=looked.joins,
        outputs=looked.outputs,
        head=looked.head,
        preprocess=steps,
        runtime=runtime,
        report=report,
        parameters=sum(p.numel() for p in network.parameters()),
        _network=network,
        _rewritten=looked.rewritten,
        _heads=best.heads,
        _identity=identity,
    )


def _hints(checkpoint: Checkpoint) -> tuple[str, ...]:
    """What may name the architecture: the file's metadata, then its name."""
    said = " ".join(checkpoint.metadata.get(key, "") for key in ("library", "arch"))
    return said, checkpoint.name


def _parts(checkpoint: Checkpoint, recognised: Recognition) -> tuple[str, ...]:
    others = (part.path for part in checkpoint.parts if part.path != checkpoint.wrapper)
    return (*others, *(f"{checkpoint.wrapper}:{prefix}" for prefix in recognised.also))


def _best(checkpoint: Checkpoint, recognised: Recognition, arch: str | None) -> Candidate:
    """The best candidate, if it may be used; the sentence that says what the file is otherwise."""
    best = next(iter(recognised.candidates), None)
    other = "" if arch else not_a_classifier(checkpoint.tensors, best)
    if other:
        raise BadCheckpoint(
            f'"{checkpoint.name}" holds {other}. Loupe looks into convolutional networks that tell classes apart.'
        )
    if best is None:
        raise BadCheckpoint(
            f'No tensor of "{checkpoint.name}" has the name and the shape of one in any network Loupe knows. Name a '
            "Python file that builds the network, or the right architecture."
        )
    if best.missing or best.reshaped or (best.inside and not arch):
        total = best.matched + len(best.missing) + len(best.reshaped)
        named = checkpoint.metadata.get("arch", "")[:60]
        claim = f' It calls itself "{named}".' if named and named != best.key.rpartition("/")[2] else ""
        differing = (("missing", best.missing), ("of another shape", best.reshaped), ("left over", best.inside))
        told = "; ".join(f"{what} {_some(names)}" for what, names in differing if names)
        raise BadCheckpoint(
            f'The tensors of "{checkpoint.name}" fit no network Loupe knows.{claim} The nearest is {best.key}: '
            f"{best.matched:,} of its {total:,} tensors match; {told}. Name the right architecture, or a "
            "Python file that builds the network.",
            [_row(candidate) for candidate in recognised.candidates],
        )
    return best


def _row(candidate: Candidate) -> dict[str, str]:
    """A candidate that did not fit, for a table."""
    return {
        "architecture": candidate.key,
        "tensors that match": f"{candidate.matched:,}",
        "missing": ", ".join(candidate.missing) or "none",
        "of another shape": ", ".join(candidate.reshaped) or "none",
        "left over": ", ".join(candidate.unexpected) or "none",
    }


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(name[:80] for name in names[:3]) + more


def _filled(
    known: Architecture, best: Candidate, name: str, found: Mapping[str, torch.Tensor]
) -> tuple[nn.Module, int, tuple[str, ...]]:
    """The network with the file's tensors in it, float32, how many those are, and the names it did not get."""
    tensors = OrderedDict((key, _own(tensor)) for key, tensor in found.items())
    auxiliary = has_auxiliary(found)
    with WithoutMemory():
        network = known.build(best.classes or 1000, best.channels, auxiliary)
    # Files seldom keep the versions of modules; without one, MNASNet takes the tensors for those of an older self.
    tensors._metadata = network.state_dict()._metadata  # type: ignore[attr-defined]
    try:
        missing, extra = network.load_state_dict(tensors, strict=False, assign=True)
        if any(value.is_meta for value in (*network.parameters(), *network.buffers())):
            network = known.build(best.classes or 1000, best.channels, auxiliary)
            missing, extra = network.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise BadCheckpoint(f'"{name}" does not fit {known.title}: {str(error).splitlines()[-1].strip()}') from None
    return network, len(tensors) - len(extra), tuple(key for key in missing if not key.endswith("num_batches_tracked"))


def _own(tensor: torch.Tensor) -> torch.Tensor:
    """A copy in memory of its own, floating-point numbers as float32, as convolutions on a CPU like them."""
    kind = torch.float32 if tensor.is_floating_point() else tensor.dtype
    layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
    return tensor.detach().to(kind, copy=True, memory_format=layout)


def _looked(
    network: nn.Module, steps: Preprocess, best: Candidate, runtime: Runtime, sizes: Sequence[int]
) -> tuple[Looked, Preprocess]:
    """One look through the network; where nothing says how large its pictures are, the first usual size it runs on."""
    try:
        return look_through(network, steps, best.classes, runtime, best.heads), steps
    except BadCheckpoint:
        for side in sizes:
            smaller = replace(steps, size=(side, side), resize=side)
            with suppress(BadCheckpoint):
                return look_through(network, smaller, best.classes, runtime, best.heads), smaller
        raise


def _preprocess(known: Architecture, metadata: Mapping[str, str], channels: int) -> Preprocess:
    """The architecture's usual preprocessing with what the file's metadata says put over it."""
    steps = known.preprocess()
    changes: dict[str, Any] = {}
    try:
        if "input_size" in metadata:
            side = int(metadata["input_size"])
            changes["size"] = (side, side)
            changes["resize"] = int(metadata.get("resize", side))
        if "interpolation" in metadata:
            changes["interpolation"] = metadata["interpolation"]
        for key in ("mean", "std"):
            numbers = getattr(steps, key)
            if key in metadata:
                numbers = tuple(float(number) for number in json.loads(metadata[key]))
            if channels != len(numbers) == steps.channels:
                numbers = (sum(numbers) / len(numbers),) * channels
            changes[key] = numbers
    except (ValueError, TypeError, RecursionError):
        said = {key: metadata[key][:40] for key in ("input_size", "resize", "mean", "std") if key in metadata}
        raise BadCheckpoint(
            f"The metadata of this file describes its input in a way Loupe cannot read: {said}."
        ) from None
    return replace(steps, channels=channels, **changes)

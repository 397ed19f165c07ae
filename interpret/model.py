"""A loaded network, and the only caller of it."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from interpret.architectures import Architecture, Candidate, architecture, recognise
from interpret.architectures.catalogue import WithoutMemory
from interpret.architectures.recognition import compare, has_auxiliary
from interpret.checkpoints import Checkpoint, read_checkpoint
from interpret.errors import BadCheckpoint, BadInput, UnknownName, unknown
from interpret.images import InputImage, Preprocess
from interpret.labels import labels_for, read_labels
from interpret.runtime import Runtime, choose_runtime
from interpret.tape import Edit, Enough, Recording, install, recording

Layout = Literal["channels first", "channels last", "vector", "other"]
_PASSED_THROUGH = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


@dataclass(frozen=True)
class LayerInfo:
    """One call of one module.

    Attributes:
        name: dotted module path; "relu:1" is the second call of "relu" in a pass.
        kind: the module's class: "Conv2d", "BasicBlock".
        shape: of its output for one picture: (channels, rows, columns), (rows, columns, channels) or (channels,).
        layout: where the channels are in `shape`.
        parameters: numbers learned in it and in the modules inside it.
        stride: input pixels per output row, for spatial layers; else None.
        depth: how many modules it is nested in, from 0.
        pooled: its output comes straight out of a pooling module.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    layout: Layout
    parameters: int
    stride: int | None
    depth: int
    pooled: bool

    @property
    def is_spatial(self) -> bool:
        """Whether it has rows and columns, more than one place of them."""
        return self.layout in ("channels first", "channels last") and self.rows * self.columns > 1

    @property
    def channels(self) -> int:
        return self.shape[-1] if self.layout == "channels last" else self.shape[0]

    @property
    def rows(self) -> int:
        return {"channels first": self.shape[-2], "channels last": self.shape[0]}[self.layout] if self._is_map else 1

    @property
    def columns(self) -> int:
        return {"channels first": self.shape[-1], "channels last": self.shape[1]}[self.layout] if self._is_map else 1

    @property
    def _is_map(self) -> bool:
        return self.layout in ("channels first", "channels last")

    def channels_first(self, output: torch.Tensor) -> torch.Tensor:
        """A recorded output [n, ...] as [n, channels, rows, columns]; vectors get one row and one column."""
        if self.layout == "channels last":
            return output.permute(0, 3, 1, 2)
        return output if self.layout == "channels first" else output.reshape(output.shape[0], -1, 1, 1)


@dataclass(frozen=True)
class LoadReport:
    """How a file became a network.

    Attributes:
        matched: tensors of the file that are in the network now.
        missing: names the network wanted and the file has not; they keep their initial values.
        unexpected: names the file has and the network has no place for.
        reshaped: names in both whose shapes do not agree.
        prefixes: taken off every name.
        wrapper: key path the tensors lay under in the file.
        candidates: architectures considered, best first, as (key, tensors that differ).
        not_finite: names of tensors that hold NaN or infinity.
        seconds: reading, recognising and loading took this long.
    """

    matched: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]
    prefixes: tuple[str, ...]
    wrapper: str
    candidates: tuple[tuple[str, int], ...]
    not_finite: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, eq=False)
class Tape:
    """What one pass left behind.

    Attributes:
        scores: float32 [n, classes] before softmax, or None where the pass ended at the last layer kept.
    """

    scores: torch.Tensor | None
    outputs: Mapping[str, torch.Tensor]

    def __getitem__(self, layer: str) -> torch.Tensor:
        return self.outputs[layer]

    def gradient(self, of: torch.Tensor, at: str) -> torch.Tensor:
        """The gradient of a sum of scores or activations with respect to a kept layer's output, of its shape.

        Args:
            of: any tensor computed from this tape; it is summed.
            at: name of a layer kept by `trace`.
        """
        with torch.enable_grad():  # the sum belongs to the graph whatever the caller's mode is
            (gradient,) = torch.autograd.grad(of.sum(), self.outputs[at], retain_graph=True)
        return gradient


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the network says of one picture: `scores` before and `probabilities` after softmax, float32 [classes]."""

    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    def top(self, count: int = 5) -> list[int]:
        """Class indices from the most to the less probable."""
        return [int(index) for index in np.argsort(-self.scores, kind="stable")[:count]]


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A network ready to be looked into. It never changes: parameters are frozen, it is in eval mode from load on.

    Attributes:
        name: the checkpoint's file name; untrusted text.
        digest: SHA-256 over file, architecture and preprocessing: equal digests give equal results.
        architecture: what was recognised.
        labels: a name for every class; untrusted text.
        layers: calls of modules in the order they finish in a pass; a block comes after what is inside it.
        preprocess: how pictures become input.
        runtime: where it runs.
        report: how it was loaded.
        parameters: how many numbers it learned.
    """

    name: str
    digest: str
    architecture: Architecture
    labels: tuple[str, ...]
    layers: tuple[LayerInfo, ...]
    preprocess: Preprocess
    runtime: Runtime
    report: LoadReport
    parameters: int
    _network: nn.Module = field(repr=False)
    _rewritten: frozenset[str] = field(repr=False)
    _head: int = field(repr=False)

    @cached_property
    def _by_name(self) -> dict[str, LayerInfo]:
        return {layer.name: layer for layer in self.layers}

    def layer(self, name: str) -> LayerInfo:
        """The layer of a name.

        Raises:
            UnknownName: there is none; the message names the nearest.
        """
        if name not in self._by_name:
            raise unknown("Layer", name, self.architecture.title, self._by_name)
        return self._by_name[name]

    @cached_property
    def default_layer(self) -> LayerInfo:
        """The last spatial layer before the network forgets places: where class heatmaps belong."""
        spatial = [layer for layer in self.layers if layer.is_spatial]
        if not spatial:
            raise BadInput(f"{self.architecture.title} has no layer with rows and columns.")
        return next((layer for layer in reversed(spatial) if not layer.pooled), spatial[-1])

    def target(self, target: int | str) -> int:
        """A class index from an index or from a label (upper or lower case alike).

        Raises:
            UnknownName: there is no such class.
        """
        text = str(target).strip()
        if re.fullmatch(r"-?[0-9]{1,9}", text):
            if 0 <= int(text) < len(self.labels):
                return int(text)
            raise unknown("Class", text, f"0 to {len(self.labels) - 1}", ())
        folded = [label.casefold() for label in self.labels]
        if text.casefold() in folded:
            return folded.index(text.casefold())
        raise unknown("Class", text, self.architecture.title, self.labels)

    def observe(
        self,
        batch: torch.Tensor,
        keep: Collection[str] = (),
        *,
        edit: Mapping[str, Edit] | None = None,
        until: Literal["layers", "scores"] = "layers",
    ) -> Tape:
        """A pass without a graph.

        Args:
            batch: float32 [n, channels, height, width], normalised (`Preprocess.to_batch`); moved to the device.
            keep: names of the layers to record.
            edit: layer name -> function of its output [n, ...] that replaces it.
            until: "layers" ends after the last layer kept (scores are None); "scores" goes on to the end.
        """
        stop = bool(keep) and until == "layers"
        record = Recording(self._known(keep), edit or {}, self._rewritten, stop=stop)
        with torch.no_grad():
            return self._run(batch, record)

    def trace(
        self,
        batch: torch.Tensor,
        keep: Collection[str],
        *,
        edit: Mapping[str, Edit] | None = None,
        until: Literal["layers", "scores"] = "scores",
    ) -> Tape:
        """A pass with a graph from the earliest layer kept on, or from the batch on if that requires a gradient.

        Args:
            batch, keep, edit: as in `observe`.
            until: "scores" goes on to the end; "layers" ends after the last layer kept.
        """
        record = Recording(self._known(keep), edit or {}, self._rewritten, leaves=True, stop=until == "layers")
        with torch.enable_grad():
            return self._run(batch, record)

    def _known(self, keep: Collection[str]) -> frozenset[str]:
        for name in keep:
            self.layer(name)
        return frozenset(keep)

    def _run(self, batch: torch.Tensor, record: Recording) -> Tape:
        for name in record.edits:
            self.layer(name)
        batch = batch.to(self.runtime.device).contiguous(memory_format=torch.channels_last)
        scores: torch.Tensor | None = None
        with self.runtime.one_pass(), recording(record):
            try:
                scores = _scores(self._network(batch), self._head)
            except Enough:
                pass
        if record.rewritten():
            raise RuntimeError(f"recorded outputs were rewritten in place: {sorted(record.rewritten())}")
        return Tape(scores, record.outputs)

    def predict(self, images: Sequence[InputImage]) -> list[Prediction]:
        """Scores and probabilities for each picture, eight at a time."""
        predictions: list[Prediction] = []
        for start in range(0, len(images), 8):
            batch = torch.cat([self.preprocess.to_batch(image) for image in images[start : start + 8]])
            tape = self.observe(batch)
            assert tape.scores is not None
            probabilities = tape.scores.softmax(1).cpu().numpy()
            for score, probability in zip(tape.scores.cpu().numpy(), probabilities, strict=True):
                predictions.append(Prediction(score, probability))
        return predictions


def load_model(
    source: str | Path | bytes | Checkpoint,
    *,
    name: str | None = None,
    arch: str | None = None,
    labels: str | Path | Sequence[str] | None = None,
    device: str = "auto",
    preprocess: Preprocess | None = None,
) -> LoadedModel:
    """A network from a checkpoint file: recognised, filled, frozen and looked through once.

    Args:
        source: a path, the bytes of a file, or a checkpoint already read.
        name: what to call bytes.
        arch: the architecture's key, where it is not to be recognised.
        labels: a file of class names, or the names.
        device: "auto", "cpu", "cuda" or "mps".
        preprocess: instead of the file's own or the architecture's usual one.

    Raises:
        BadCheckpoint: the file cannot be used, or its tensors fit no known network.
        UnknownName: `arch` is not in the catalogue.
        Unavailable: no such device.
    """
    started = time.perf_counter()
    runtime = choose_runtime(device)
    checkpoint = source if isinstance(source, Checkpoint) else read_checkpoint(source, name)
    known, candidates = _choose(checkpoint, arch)
    best = candidates[0]
    network, missing = _fill(known, best, checkpoint)
    not_finite = tuple(key for key, tensor in network.state_dict().items() if not torch.isfinite(tensor).all())
    network.eval().requires_grad_(False)
    network.to(runtime.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    install(network)
    steps = preprocess or _preprocess(known, checkpoint.metadata, best.channels)
    layers, rewritten, head = _look_through(network, steps, best.classes, runtime)
    names = (
        labels_for(best.classes, checkpoint.metadata, known.key)
        if labels is None
        else read_labels(labels, best.classes)
        if isinstance(labels, str | Path)
        else tuple(labels)
    )
    if len(names) != best.classes:
        raise BadInput(f"{len(names)} class names were given; the network has {best.classes} classes.")
    report = LoadReport(
        matched=best.matched,
        missing=missing,
        unexpected=best.unexpected,
        reshaped=best.reshaped,
        prefixes=checkpoint.prefixes,
        wrapper=checkpoint.wrapper,
        candidates=tuple((candidate.key, candidate.differences) for candidate in candidates),
        not_finite=not_finite,
        seconds=time.perf_counter() - started,
    )
    identity = f"{checkpoint.digest} {known.key} {steps}"
    return LoadedModel(
        name=checkpoint.name,
        digest=hashlib.sha256(identity.encode()).hexdigest(),
        architecture=known,
        labels=names,
        layers=layers,
        preprocess=steps,
        runtime=runtime,
        report=report,
        parameters=sum(p.numel() for p in network.parameters()),
        _network=network,
        _rewritten=rewritten,
        _head=head,
    )


def _choose(checkpoint: Checkpoint, arch: str | None) -> tuple[Architecture, tuple[Candidate, ...]]:
    """The architecture and how the candidates fit, best first: named by the caller or the file, else recognised."""
    named = arch or checkpoint.metadata.get("arch")
    if named and checkpoint.metadata.get("library") == "timm" and not named.startswith("timm/") and not arch:
        named = f"timm/{named}"
    candidates: tuple[Candidate, ...]
    if arch:
        candidates = (compare(architecture(arch).key, checkpoint.tensors),)
    else:
        candidates = recognise(checkpoint.tensors)
        if named and (candidates[0].differences or named.startswith("timm/")):
            try:
                candidates = (compare(named, checkpoint.tensors), *candidates)
            except UnknownName:  # what a file says of itself is only a hint
                pass
    best = candidates[0]
    if best.missing or best.reshaped:
        differing = [*best.missing, *best.reshaped][:3]
        listed = ", ".join(f'"{key}"' for key in differing)
        total = best.matched + len(best.missing) + len(best.reshaped)
        claim = f' It calls itself "{named}", which Loupe does not know.' if named and named != best.key else ""
        raise BadCheckpoint(
            f'The tensors of "{checkpoint.name}" fit no network Loupe knows.{claim} The nearest is {best.key}: '
            f"{best.matched} of its {total} tensors match; {listed} differ. Name the right architecture if you know it."
        )
    return architecture(best.key), candidates


def _fill(known: Architecture, best: Candidate, checkpoint: Checkpoint) -> tuple[nn.Module, tuple[str, ...]]:
    """The network with the file's tensors in it, float32, and the names it did not get."""
    tensors = OrderedDict(
        (key, (tensor.float() if tensor.is_floating_point() else tensor).detach())
        for key, tensor in checkpoint.tensors.items()
    )
    auxiliary = has_auxiliary(checkpoint.tensors)
    with WithoutMemory():
        network = known.build(best.classes, best.channels, auxiliary)
    # Files seldom keep the versions of modules; without one, MNASNet takes the tensors for those of an older self.
    tensors._metadata = network.state_dict()._metadata  # type: ignore[attr-defined]
    try:
        missing, _ = network.load_state_dict(tensors, strict=False, assign=True)
        if any(value.is_meta for value in (*network.parameters(), *network.buffers())):
            network = known.build(best.classes, best.channels, auxiliary)
            missing, _ = network.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise BadCheckpoint(
            f'"{checkpoint.name}" does not fit {known.title}: {str(error).splitlines()[-1].strip()}'
        ) from None
    return network, tuple(key for key in missing if not key.endswith("num_batches_tracked"))


def _preprocess(known: Architecture, metadata: Mapping[str, str], channels: int) -> Preprocess:
    """The architecture's usual preprocessing with what the file's metadata says put over it."""
    import json

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


def _scores(output: Any, head: int) -> torch.Tensor:
    scores = _tensors(output)[head]
    return scores.flatten(1) if scores.ndim > 2 else scores


def _tensors(output: Any) -> list[torch.Tensor]:
    if isinstance(output, torch.Tensor):
        return [output]
    values = output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple | list) else ()
    return [tensor for value in values for tensor in _tensors(value)]


_look_lock = threading.Lock()


def _look_through(
    network: nn.Module, steps: Preprocess, classes: int, runtime: Runtime
) -> tuple[tuple[LayerInfo, ...], frozenset[str], int]:
    """Layers in order of execution, those rewritten in place, and which of the outputs holds the class scores.

    One pass of a grey picture. Which axis holds the channels is not guessed: where a module works on the last axis, a
    second pass of a larger picture shows which axes grow with it.
    """
    calls: list[tuple[str, nn.Module, torch.Tensor, int]] = []

    def note(layer: str, module: nn.Module, output: Any) -> None:
        if isinstance(output, torch.Tensor) and not isinstance(module, _PASSED_THROUGH):
            calls.append((layer, module, output, output._version))

    def run(height: int, width: int) -> Any:
        batch = torch.zeros(1, steps.channels, height, width, device=runtime.device)
        with torch.no_grad(), recording(Recording(every=note)):
            return network(batch.contiguous(memory_format=torch.channels_last))

    with _look_lock:
        try:
            outputs = _tensors(run(*steps.size))
        except RuntimeError as error:
            raise BadCheckpoint(
                f"The network does not run on a picture of {steps.size[0]} x {steps.size[1]} pixels: {error}. "
                "Set another input size."
            ) from None
        first_calls = calls
        last_axis = any(
            output.ndim == 4 and isinstance(module, nn.LayerNorm | nn.Linear) and "2d" not in type(module).__name__
            for _, module, output, _ in calls
        )
        grown: dict[str, tuple[int, ...]] = {}
        if last_axis:
            calls = []
            run(2 * steps.size[0], 2 * steps.size[1])
            grown = {layer: tuple(output.shape) for layer, _, output, _ in calls}
    suited = [i for i, output in enumerate(outputs) if output.ndim >= 2 and output[0].numel() == classes]
    if not suited:
        found = ", ".join(str(list(output.shape)) for output in outputs) or "no tensor"
        raise BadCheckpoint(f"The network answers with {found}; a vector of {classes} class scores was expected.")
    pooled = {id(output) for _, module, output, _ in first_calls if "Pool" in type(module).__name__}
    layers = tuple(
        _describe(layer, module, output, grown.get(layer), steps.size[0], id(output) in pooled)
        for layer, module, output, _ in first_calls
    )
    rewritten = frozenset(layer for layer, _, output, version in first_calls if output._version != version)
    return layers, rewritten, suited[0]


def _describe(
    layer: str, module: nn.Module, output: torch.Tensor, grown: tuple[int, ...] | None, height: int, pooled: bool
) -> LayerInfo:
    shape = tuple(output.shape[1:])
    layout: Layout = {1: "vector", 3: "channels first"}.get(len(shape), "other")  # type: ignore[assignment]
    if grown is not None and len(shape) == 3 and grown[1] != shape[0] and grown[3] == shape[2]:
        layout = "channels last"
    rows = shape[0] if layout == "channels last" else shape[1] if layout == "channels first" else 0
    return LayerInfo(
        name=layer,
        kind=type(module).__name__,
        shape=shape,
        layout=layout,
        parameters=sum(p.numel() for p in module.parameters()),
        stride=max(1, round(height / rows)) if rows > 1 else None,
        depth=layer.count("."),
        pooled=pooled,
    )

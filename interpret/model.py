"""A loaded network, and the only caller of it from then on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from interpret.answers import Normalisation, Prediction, Tape, Watched
from interpret.architectures import Architecture
from interpret.blocks import Block, blocks_of
from interpret.errors import BadInput, unknown
from interpret.flow import Follow, Join
from interpret.folding import foldable, folded
from interpret.images import InputImage, Preprocess
from interpret.layers import LayerInfo
from interpret.looking import Output, look_through, named_outputs
from interpret.runtime import Runtime
from interpret.tape import Edit, Enough, Recording, recording, then
from interpret.untrained import private_copy, reinitialised


@dataclass(frozen=True)
class LoadReport:
    """How a file became a network.

    Attributes:
        matched: tensors of the file that are in the network now.
        missing: names the network wanted and the file has not; they keep their initial values.
        unexpected: names the file has and the network has no place for.
        reshaped: names in both whose shapes do not agree.
        prefixes: taken off every name, in order.
        wrapper: key path the tensors lay under in the file.
        parts: what else in the file could be opened: values for `load_model(part=...)`.
        named: what the file calls its architecture, or ""; a hint, untrusted text.
        candidates: architectures considered, best first, as (key, tensors that differ).
        precisions: the types of number in the file: "float32", "bfloat16".
        not_finite: names of tensors that hold NaN or infinity.
        seconds: reading, recognising and loading took this long.
    """

    matched: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]
    prefixes: tuple[str, ...]
    wrapper: str
    parts: tuple[str, ...]
    named: str
    candidates: tuple[tuple[str, int], ...]
    precisions: tuple[str, ...]
    not_finite: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A network ready to be looked into. It never changes: parameters are frozen, it is in eval mode from load on.

    Attributes:
        name: the checkpoint's file name; untrusted text.
        digest: SHA-256 over file, architecture and preprocessing: equal digests give equal results.
        architecture: what was recognised.
        labels: a name for every class; untrusted text.
        layers: calls of modules in the order they finish in a pass; a block comes after what is inside it.
        joins: where branches meet, in the order of execution.
        outputs: what the network answers with; the class scores are `outputs[head]`.
        head: which of the outputs holds the class scores.
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
    joins: tuple[Join, ...]
    outputs: tuple[Output, ...]
    head: int
    preprocess: Preprocess
    runtime: Runtime
    report: LoadReport
    parameters: int
    _network: nn.Module = field(repr=False)
    _rewritten: frozenset[str] = field(repr=False)
    _heads: tuple[str, ...] = field(repr=False)
    _identity: str = field(repr=False)
    _edits: Mapping[str, Edit] = field(default_factory=dict, repr=False)

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
    def blocks(self) -> tuple[Block, ...]:
        """The network as its blocks, in the order of execution."""
        return blocks_of(self.layers, self.joins)

    def block(self, layer: str) -> Block:
        """The block a layer belongs to.

        Raises:
            UnknownName: no such layer.
        """
        self.layer(layer)
        return next(block for block in self.blocks if layer in block.layers)

    @cached_property
    def default_layer(self) -> LayerInfo:
        """The last spatial layer before the network forgets places: where class heatmaps belong."""
        spatial = [layer for layer in self.layers if layer.is_spatial]
        if not spatial:
            raise BadInput(f"{self.architecture.title} has no layer with rows and columns.")
        if len(self.outputs) > 1:
            spatial = self._that_reach_the_scores(spatial) or spatial
        return next((layer for layer in reversed(spatial) if not layer.pooled), spatial[-1])

    def _that_reach_the_scores(self, layers: Sequence[LayerInfo]) -> list[LayerInfo]:
        """Those the class scores are computed from, where a network also answers other things."""
        names = [layer.name for layer in layers]
        tape = self.trace(torch.zeros(1, self.preprocess.channels, *self.preprocess.size), names)
        if tape.scores is None or not tape.scores.requires_grad:
            return []
        found = torch.autograd.grad(tape.scores.sum(), [tape[name] for name in names], allow_unused=True)
        return [layer for layer, gradient in zip(layers, found, strict=True) if gradient is not None]

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

    def reopened(self, preprocess: Preprocess | None = None, labels: Sequence[str] | None = None) -> LoadedModel:
        """The same network with other preprocessing or other class names; the weights are shared.

        Raises:
            BadInput: not one name for each class, or the network does not run on such input.
        """
        names, steps = tuple(labels or self.labels), preprocess or self.preprocess
        if len(names) != len(self.labels):
            raise BadInput(f"{len(names):,} class names were given; the network has {len(self.labels):,} classes.")
        if steps.channels != self.preprocess.channels:
            raise BadInput(f"The network takes {self.preprocess.channels} channels; {steps.channels} were given.")
        if steps == self.preprocess:
            return replace(self, labels=names)
        looked = look_through(self._network, steps, len(names), self.runtime, self._heads)
        return replace(
            self,
            labels=names,
            preprocess=steps,
            digest=digest_of(self._identity, steps),
            layers=looked.layers,
            joins=looked.joins,
            outputs=looked.outputs,
            head=looked.head,
            _rewritten=looked.rewritten,
        )

    def with_head(self, name: str) -> LoadedModel:
        """The same network explained by another of its `outputs`; the weights are shared.

        The score of a class is then what that output says of it, or, where it says it of every place of a map, the
        mean over the places. Where it has another number of classes than there are names, they are numbered.

        Raises:
            UnknownName: no such output.
        """
        names = [output.name for output in self.outputs if output.shape]
        if name not in names:
            raise unknown("Output", name, self.architecture.title, names)
        head = [output.name for output in self.outputs].index(name)
        if head == self.head:
            return self
        count = self.outputs[head].shape[0]
        labels = self.labels if count == len(self.labels) else tuple(f"{name} {index}" for index in range(count))
        identity = f"{self._identity} head {name}"
        digest = digest_of(identity, self.preprocess)
        return replace(self, head=head, labels=labels, digest=digest, _identity=identity)

    def edited(self, edits: Mapping[str, Edit], identity: str) -> LoadedModel:
        """The same network with some layers' answers replaced in every pass; whoever else uses it sees nothing of that.

        Args:
            edits: layer name -> function of its output [n, ...] that replaces it, after what is replaced already.
            identity: what the edits do: equal words, equal answers.

        Raises:
            UnknownName: no such layer.
        """
        for name in edits:
            self.layer(name)
        identity = f"{self._identity} edited {identity}"
        return replace(
            self, digest=digest_of(identity, self.preprocess), _identity=identity, _edits=_both(self._edits, edits)
        )

    def reweighted(
        self, layers: Collection[str], rewrite: Callable[[str, nn.Module], None], identity: str
    ) -> LoadedModel:
        """A private copy in which the numbers of some modules are others; it shares all the others with this one.

        Args:
            layers: whose modules are rewritten; not what is inside them.
            rewrite: changes a module's own parameters and buffers in place, given its name and the private module.
            identity: what is rewritten: equal words, equal answers.

        Raises:
            UnknownName: no such layer.
        """
        names = sorted({self.layer(name).name.partition(":")[0] for name in layers})
        private = private_copy(self._network, names)
        with torch.no_grad():
            for name in names:
                rewrite(name, private.get_submodule(name))
        identity = f"{self._identity} reweighted {identity}"
        return replace(self, digest=digest_of(identity, self.preprocess), _identity=identity, _network=private)

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
        record = Recording(self._known(keep), _both(self._edits, edit or {}), self._rewritten, stop=stop)
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
        edits = _both(self._edits, edit or {})
        record = Recording(self._known(keep), edits, self._rewritten, leaves=True, stop=until == "layers")
        with torch.enable_grad():
            return self._run(batch, record)

    def watch(
        self, batch: torch.Tensor, keep: Collection[str], *, joins: Collection[int] = (), convolutions: bool = False
    ) -> Watched:
        """A pass without a graph, followed operation by operation until the last layer kept; slower than `observe`.

        Args:
            batch: one picture, as in `observe`.
            keep: names of the layers to record; with `convolutions` also how they were carried out.
            joins: numbers of `LoadedModel.joins` whose operands and result are wanted.
        """
        follow = Follow(keep=joins, keep_convolutions=keep if convolutions else ())
        named = frozenset(self._by_name)
        record = Recording(
            self._known(keep),
            self._edits,
            self._rewritten,
            stop=True,
            entering=follow.entered,
            every=lambda layer, _, output: follow.left(layer, output, layer in named),
        )
        batch = batch.to(self.runtime.device).contiguous(memory_format=torch.channels_last)
        follow.start(batch)
        with torch.no_grad(), self.runtime.one_pass(), recording(record), follow:
            try:
                self._network(batch)
            except Enough:
                pass
        return Watched(record.outputs, follow.joined, follow.convolutions)

    def folded(self, keep: Collection[str] = ()) -> LoadedModel:
        """A private copy that answers the same in less time: BatchNorm is folded into the convolutions before it.

        Where the copy's answers are not the same to four digits, as in a network that does more than its layers tell,
        the copy is an unfolded one.

        Args:
            keep: names of the layers whose answers will be wanted.
        """
        pairs = foldable(self._network, self.layers, self._known(keep) | self._edits.keys())
        private = replace(self, _network=folded(self._network, pairs))
        generator = torch.Generator().manual_seed(0)
        batch = torch.randn(1, self.preprocess.channels, *self.preprocess.size, generator=generator)
        mine, its = (one.observe(batch, keep, until="scores") for one in (self, private))
        assert mine.scores is not None and its.scores is not None
        kept = [(mine.scores, its.scores), *((mine[name], its[name]) for name in keep)]
        if all((one - other).abs().max() <= 1e-4 * one.abs().max() for one, other in kept):
            return private
        return replace(self, _network=folded(self._network, ()))

    def untrained(
        self, images: Sequence[InputImage], seed: int = 0, layers: Collection[str] | None = None
    ) -> LoadedModel:
        """The same architecture with random weights, as a control for what training taught; see `reinitialised`.

        Args:
            images: a few pictures, two or more, whose statistics its BatchNorms take for the usual ones.
            seed: of the weights.
            layers: names of the layers whose weights become random; all weights if None.
        """
        batch = torch.cat([self.preprocess.to_batch(image) for image in images]).to(self.runtime.device)
        only = None if layers is None else sorted({self.layer(name).name.partition(":")[0] for name in layers})
        identity = f"{self._identity} untrained {seed} {' '.join(image.digest for image in images)}"
        identity += "" if only is None else f" {' '.join(only)}"
        return replace(
            self,
            name=f"{self.name}, untrained",
            digest=digest_of(identity, self.preprocess),
            _network=reinitialised(self._network, batch, seed, only),
            _identity=identity,
        )

    def normalisation(self, layer: str) -> Normalisation | None:
        """What a BatchNorm layer has kept and learned; None for other layers.

        Raises:
            UnknownName: no such layer.
        """
        module: Any = self._network.get_submodule(self.layer(layer).name.partition(":")[0])
        if not isinstance(getattr(module, "running_mean", None), torch.Tensor):
            return None
        mean, variance = module.running_mean, module.running_var
        gamma = torch.ones_like(mean) if module.weight is None else module.weight
        beta = torch.zeros_like(mean) if module.bias is None else module.bias
        mean, variance, gamma, beta = (
            np.array(value.detach().float().cpu().numpy()) for value in (mean, variance, gamma, beta)
        )
        return Normalisation(mean, variance, gamma, beta, float(module.eps))

    def kernel(self, layer: str, channel: int) -> NDArray[np.float32]:
        """One output channel's weights of a convolution or linear layer: float32 [inputs / groups, rows, columns].

        Raises:
            UnknownName: no such layer.
            BadInput: it has no such weights, or no such channel.
        """
        info = self.layer(layer)
        if not info.inputs or not 0 <= channel < info.channels:
            raise BadInput(f'Layer "{info.name}" ({info.kind}) has no kernel for a channel {channel}.')
        weight: Any = self._network.get_submodule(info.name.partition(":")[0]).weight
        values = np.array(weight[channel].detach().float().cpu().numpy())
        return values if values.ndim == 3 else values.reshape(-1, 1, 1)

    def tensors(self, layer: str) -> dict[str, NDArray[np.float32]]:
        """The numbers of a layer's own module, not of those inside it: parameter or buffer -> values, read-only.

        Raises:
            UnknownName: no such layer.
        """
        module = self._network.get_submodule(self.layer(layer).name.partition(":")[0])
        own = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
        found = {name: np.asarray(value.detach().float().cpu()) for name, value in own if value.is_floating_point()}
        for values in found.values():
            values.flags.writeable = False
        return found

    def weights(self) -> dict[str, torch.Tensor]:
        """Every parameter and buffer by its name in the checkpoint, on the CPU; a copy."""
        return {name: value.detach().cpu().clone() for name, value in self._network.state_dict().items()}

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
                scores = _scores(self._network(batch), self.head, len(self.labels))
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


def _both(first: Mapping[str, Edit], second: Mapping[str, Edit]) -> Mapping[str, Edit]:
    """Edits after edits."""
    both = {name: then(first[name], second[name]) for name in first.keys() & second.keys()}
    return {**first, **second, **both}


def digest_of(identity: str, steps: Preprocess) -> str:
    """SHA-256 of what decides a network's answers: the file's part and architecture, and the preprocessing."""
    return hashlib.sha256(f"{identity} {steps}".encode()).hexdigest()


def _scores(output: Any, head: int, classes: int) -> torch.Tensor:
    scores = named_outputs(output)[head][1]
    if scores.ndim > 2:
        return scores.flatten(1) if scores[0].numel() == classes else scores.flatten(2).mean(2)
    return scores

"""The unfinished state of a pass over a data set: what the channels of its layers have shown so far."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from interpret.answers import Tape
from interpret.datasets.sources import PictureSource
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.store import Arrays
from interpret.units.statistics import UnitStatistics, read_only

SAMPLE = 4096
_FORMAT = 1


def sample_of(count: int) -> NDArray[np.int64]:
    """Which of so many pictures are sampled: all, or 4,096 spread evenly over them; int64, ascending."""
    return np.arange(count) if count <= SAMPLE else np.arange(SAMPLE) * count // SAMPLE


class RunningLayer:
    """What the channels of one layer have shown so far; the fields are those of `UnitStatistics`.

    The best pictures [channels, top] stay on the device; a value of -inf marks a place not taken yet.
    """

    def __init__(self, layer: LayerInfo, sample: int, top: int, device: torch.device) -> None:
        channels = layer.channels
        self.layer = layer
        self.values = torch.full((channels, top), -torch.inf, device=device)
        self.pictures = torch.full((channels, top), -1, dtype=torch.int64, device=device)
        self.places = torch.full((channels, top), -1, dtype=torch.int64, device=device)
        self.silent = torch.zeros(channels, dtype=torch.int64, device=device)
        self.not_finite = torch.zeros(channels, dtype=torch.int64, device=device)
        self.sample_maxima = np.empty((sample, channels), np.float32)
        self.sample_means = np.empty((sample, channels), np.float32)
        self.sample_rows = np.empty((sample, channels), np.uint16)
        self.sample_columns = np.empty((sample, channels), np.uint16)

    def add(self, output: torch.Tensor, pictures: torch.Tensor, chosen: NDArray[np.int64], filled: int) -> None:
        """Takes in what the layer answered to pictures that come after all those before.

        Args:
            output: the recorded output [n, ...].
            pictures: int64 [n], their numbers, ascending, on the device.
            chosen: which of the n are in the sample.
            filled: how many are in the sample so far.
        """
        maps = self.layer.channels_first(output).float().flatten(2)
        maxima, places = maps.max(2)
        means = maps.mean(2)
        if not bool((maxima.isfinite() & means.isfinite()).all()):
            finite = maps.isfinite()
            maxima, places = maps.masked_fill(maps.isnan(), -torch.inf).max(2)
            means = maps.masked_fill(~finite, torch.nan).nanmean(2)
            self.not_finite += (~finite).any(2).sum(0)
        self.silent += (maxima == 0).sum(0)
        self._rank(maxima, pictures, places)
        if len(chosen):
            rows = slice(filled, filled + len(chosen))
            sampled = maxima.cpu().numpy()[chosen]
            self.sample_maxima[rows] = np.where(np.isneginf(sampled), np.nan, sampled)
            self.sample_means[rows] = means.cpu().numpy()[chosen]
            self.sample_rows[rows], self.sample_columns[rows] = np.divmod(
                places.cpu().numpy()[chosen], self.layer.columns
            )

    def _rank(self, maxima: torch.Tensor, pictures: torch.Tensor, places: torch.Tensor) -> None:
        """Keeps the greatest of [channels, top] and [n, channels]: a stable sort, so that earlier pictures win ties."""
        values = torch.cat([self.values, maxima.T], 1)
        order = values.argsort(dim=1, descending=True, stable=True)[:, : self.values.shape[1]]
        self.values = values.gather(1, order)
        self.pictures = torch.cat([self.pictures, pictures.expand(maxima.shape[1], -1)], 1).gather(1, order)
        self.places = torch.cat([self.places, places.T], 1).gather(1, order)

    def arrays(self, filled: int) -> Arrays:
        """Everything as arrays under the names of the fields of `UnitStatistics`."""
        taken = (self.pictures >= 0).cpu().numpy()
        places = self.places.cpu().numpy()
        return {
            "top_values": np.where(taken, self.values.cpu().numpy(), np.float32("nan")),
            "top_pictures": self.pictures.cpu().numpy(),
            "top_rows": np.where(taken, places // self.layer.columns, -1),
            "top_columns": np.where(taken, places % self.layer.columns, -1),
            "silent": self.silent.cpu().numpy(),
            "not_finite": self.not_finite.cpu().numpy(),
            "sample_maxima": self.sample_maxima[:filled],
            "sample_means": self.sample_means[:filled],
            "sample_rows": self.sample_rows[:filled],
            "sample_columns": self.sample_columns[:filled],
        }

    def restore(self, arrays: Arrays, filled: int, position: int) -> bool:
        """Takes in what `arrays` gave; False where it cannot be that."""
        fresh = self.arrays(filled)
        if any(arrays[name].dtype != old.dtype or arrays[name].shape != old.shape for name, old in fresh.items()):
            return False
        taken = arrays["top_pictures"] >= 0
        limits = {"top_pictures": position, "silent": position + 1, "not_finite": position + 1}
        limits |= {"top_rows": self.layer.rows, "sample_rows": self.layer.rows}
        limits |= {"top_columns": self.layer.columns, "sample_columns": self.layer.columns}
        for name, limit in limits.items():
            if arrays[name].size and not -1 <= int(arrays[name].min()) <= int(arrays[name].max()) < limit:
                return False
        device = self.values.device
        values = np.where(taken, arrays["top_values"], np.float32("-inf"))
        places = np.where(taken, arrays["top_rows"] * self.layer.columns + arrays["top_columns"], -1)
        self.values, self.places = torch.from_numpy(values).to(device), torch.from_numpy(places).to(device)
        self.pictures = torch.from_numpy(arrays["top_pictures"]).to(device)
        self.silent = torch.from_numpy(arrays["silent"]).to(device)
        self.not_finite = torch.from_numpy(arrays["not_finite"]).to(device)
        for name in ("sample_maxima", "sample_means", "sample_rows", "sample_columns"):
            getattr(self, name)[:filled] = arrays[name]
        return True


@dataclass(eq=False)
class Running:
    """The state of a pass. A finished result is the state of a pass for one layer at its end.

    Attributes:
        layers: what is collected.
        predictions, confidences: [pictures], see `UnitStatistics`.
        position: pictures taken in so far, broken ones among them.
        filled: how many of them are in the sample.
        skipped: (picture, reason) of the broken ones.
    """

    model: LoadedModel
    source: PictureSource
    layers: list[RunningLayer]
    top: int
    predictions: NDArray[np.int64]
    confidences: NDArray[np.float32]
    position: int
    filled: int
    skipped: list[tuple[int, str]]

    @staticmethod
    def fresh(model: LoadedModel, source: PictureSource, layers: Sequence[LayerInfo], top: int) -> Running:
        """The state before the first picture."""
        count, device = len(source), model.runtime.device
        running = [RunningLayer(layer, len(sample_of(count)), top, device) for layer in layers]
        predictions, confidences = np.full(count, -1, np.int64), np.full(count, np.nan, np.float32)
        return Running(model, source, running, top, predictions, confidences, 0, 0, [])

    def add(self, pictures: Sequence[int], tape: Tape) -> None:
        """Takes in what the network answered to the pictures that come next."""
        numbers = np.array(pictures, np.int64)
        chosen = np.flatnonzero(np.isin(numbers, sample_of(len(self.source)), assume_unique=True))
        for running in self.layers:
            output = tape[running.layer.name]
            running.add(output, torch.from_numpy(numbers).to(output.device), chosen, self.filled)
        self.filled += len(chosen)
        assert tape.scores is not None
        confidences, predictions = tape.scores.softmax(1).max(1)
        self.predictions[numbers], self.confidences[numbers] = predictions.cpu().numpy(), confidences.cpu().numpy()

    def alone(self, running: RunningLayer) -> Running:
        """The state as if only one of the layers were collected."""
        return replace(self, layers=[running])

    def arrays(self) -> Arrays:
        """Everything as arrays, to be written."""
        manifest = {**self._expected(), "position": self.position, "skipped": self.skipped}
        found: Arrays = {
            "manifest": np.frombuffer(json.dumps(manifest).encode(), np.uint8),
            "predictions": self.predictions[: self.position],
            "confidences": self.confidences[: self.position],
        }
        for number, running in enumerate(self.layers):
            found |= {f"{number}.{name}": array for name, array in running.arrays(self.filled).items()}
        return found

    def restore(self, arrays: Arrays) -> bool:
        """Takes in what `arrays` gave; False where it is of something else or damaged; then the state is spoilt."""
        try:
            return self._restore(arrays)
        except Exception:  # any part of a damaged file may be of any kind
            return False

    def _restore(self, arrays: Arrays) -> bool:
        manifest: dict[str, Any] = json.loads(arrays["manifest"].tobytes())
        expected = self._expected()
        if {name: manifest[name] for name in expected} != json.loads(json.dumps(expected)):
            return False
        position = int(manifest["position"])
        self.skipped = [(int(picture), str(reason)) for picture, reason in manifest["skipped"]]
        broken = np.array([picture for picture, _ in self.skipped], np.int64)
        predictions, confidences = arrays["predictions"], arrays["confidences"]
        if (
            not 0 <= position <= len(self.source)
            or predictions.shape != (position,)
            or confidences.shape != (position,)
            or (predictions.dtype, confidences.dtype) != (self.predictions.dtype, self.confidences.dtype)
            or not np.array_equal(np.flatnonzero(predictions < 0), broken)
            or (position and predictions.max() >= len(self.model.labels))
        ):
            return False
        self.position = position
        self.predictions[:position], self.confidences[:position] = predictions, confidences
        self.filled = len(self._sampled())
        return all(
            running.restore(
                {name.partition(".")[2]: array for name, array in arrays.items() if name.startswith(f"{number}.")},
                self.filled,
                position,
            )
            for number, running in enumerate(self.layers)
        )

    def _expected(self) -> dict[str, Any]:
        """What a file must say to belong to this pass."""
        return {
            "format": _FORMAT,
            "model": self.model.digest,
            "source": self.source.digest,
            "pictures": len(self.source),
            "top": self.top,
            "layers": [
                [running.layer.name, list(running.layer.shape), running.layer.layout] for running in self.layers
            ],
        }

    def _sampled(self) -> NDArray[np.int64]:
        planned = sample_of(len(self.source))
        planned = planned[planned < self.position]
        return planned[self.predictions[planned] >= 0]

    def result(self) -> dict[str, UnitStatistics]:
        """The statistics of every layer, from a pass at its end."""
        shared = {
            "sample_pictures": self._sampled(),
            "predictions": self.predictions,
            "confidences": self.confidences,
            "labels": np.array(self.source.labels, np.int64),
        }
        found = {}
        for running in self.layers:
            arrays: dict[str, Any] = {**shared, **running.arrays(self.filled)}
            arrays = {name: read_only(array) for name, array in arrays.items()}
            found[running.layer.name] = UnitStatistics(
                layer=running.layer,
                classes=self.source.classes,
                predicted_classes=self.model.labels,
                names=self.source.names,
                skipped=tuple((self.source.names[picture], reason) for picture, reason in self.skipped),
                model_digest=self.model.digest,
                source_digest=self.source.digest,
                **arrays,
            )
        return found

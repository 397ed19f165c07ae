"""Pictures for comparisons, and jobs cancelled at every step."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch

from interpret.datasets import PictureSource
from interpret.errors import BadInput
from interpret.images import InputImage
from interpret.jobs import Job
from interpret.model import LoadedModel
from tests.conftest import TrapNetwork, look_into, nothing_left_behind, trap_reference
from tests.units.sources import faint_picture

CLASSES = ("CLASS_3", "class 0", "elsewhere")
"""In a data set's own order; the trap network has two of them."""


def noise(count: int, broken: Sequence[int] = (), reads: list[int] | None = None) -> PictureSource:
    """Pictures of random pixels about a colour in three classes; every fifth has none."""

    def read(index: int) -> InputImage:
        if reads is not None:
            reads.append(index)
        if index in broken:
            raise BadInput(f"Number {index} is broken.")
        return faint_picture(index)

    labels = tuple(-1 if index % 5 == 4 else index % 3 for index in range(count))
    return PictureSource("noise", f"noise {count}", tuple(f"n{i}" for i in range(count)), labels, CLASSES, read)


def undecided(seed: int = 0) -> TrapNetwork:
    """A trap network that predicts several classes: its last layer is centred on what the pictures here make of it."""
    network = TrapNetwork(seed)
    state = network.state_dict()
    batch = torch.stack([torch.from_numpy(faint_picture(index).pixels.copy()) for index in range(40)])
    features = trap_reference(network, batch.permute(0, 3, 1, 2) / 127.5 - 1)["flatten"].float()
    state["head.weight"] *= 20
    state["head.bias"].copy_(-(features @ state["head.weight"].T).mean(0))
    return network


def trap_of(seed: int) -> LoadedModel:
    """The same, ready to be looked into."""
    return look_into(undecided(seed), classes=5)


def cancel_at_every_step(make: Callable[[], Job[Any]], models: Sequence[LoadedModel]) -> int:
    """Closes the job after each of its steps; whatever it leaves behind fails. Returns how many steps it has."""
    before = threading.active_count()
    stop = 0
    while True:
        with ExitStack() as stack:
            for model in models:
                stack.enter_context(nothing_left_behind(model))
            job = make()
            try:
                for _ in range(stop):
                    next(job)
            except StopIteration:
                return stop - 1
            job.close()
        for _ in range(200):  # a decoder may be at its last picture
            if threading.active_count() == before:
                break
            time.sleep(0.01)
        assert threading.active_count() == before
        stop += 1

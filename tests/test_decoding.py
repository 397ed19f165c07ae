"""Processes that decode pictures: the same as threads, and nothing of them is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from interpret import LoadedModel, decoding
from interpret.batches import decoded_batches
from interpret.datasets import PictureSource, open_source
from interpret.decoding import Decoders, can_be_sent, nothing, prepared
from interpret.images import InputImage
from tests.conftest import REPOSITORY, encoded, noise_picture

COUNT, BROKEN = 24, 5


@pytest.fixture
def source(tmp_path: Path) -> PictureSource:
    for index in range(COUNT):
        (tmp_path / f"{index:02}.png").write_bytes(encoded(noise_picture(index, 20, 30).pixels))
    (tmp_path / f"{BROKEN:02}.png").write_bytes(b"no picture")
    return open_source(tmp_path)


def width(image: InputImage) -> int:
    return image.width


@pytest.fixture
def decoders(trap: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Decoders]:
    """Two processes that stand."""
    monkeypatch.setattr(decoding, "MOST", 2)
    with closing(Decoders(trap.preprocess, width)) as found:
        stand(found)
        yield found


def stand(decoders: Decoders) -> None:
    while len(decoders.standing()) < 2:
        time.sleep(0.05)


def test_what_processes_decode_is_what_threads_do(trap: LoadedModel, source: PictureSource, decoders: Decoders) -> None:
    found = decoders.decode(source, range(COUNT))
    for index, one in enumerate(found):
        here = prepared(lambda index=index: source.read(index), trap.preprocess, width)  # type: ignore[misc]
        if index == BROKEN:
            assert one == here and "is not a picture" in str(one)
        else:
            assert np.array_equal(one[0], here[0]) and one[1] == here[1] == 30


def test_a_process_that_died_is_done_without(source: PictureSource, decoders: Decoders) -> None:
    for number in decoders.standing():
        os.kill(number, signal.SIGKILL)
    found = [decoders.decode(source, [index]) for index in range(4)]
    assert [one[0][1] for (one,) in zip(found, strict=True)] == [30] * 4


def test_nothing_is_left_when_they_are_closed(trap: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MOST", 2)
    with closing(Decoders(trap.preprocess, nothing)) as decoders:
        stand(decoders)
        processes = [psutil.Process(number) for number in (*decoders.standing(), decoders.process.pid)]
    assert psutil.wait_procs(processes, timeout=10)[1] == []


def test_batches_come_of_either(trap: LoadedModel, source: PictureSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MOST", 2)
    usual = list(decoded_batches(trap, source, range(COUNT), 7, width))
    monkeypatch.setattr("interpret.batches._feeds_a_card", lambda *asked: True)
    for mine, its in zip(usual, decoded_batches(trap, source, range(COUNT), 7, width), strict=True):
        assert mine.inputs is not None and its.inputs is not None
        assert np.array_equal(mine.inputs, its.inputs)
        assert (mine.pictures, mine.beside, mine.skipped) == (its.pictures, its.beside, its.skipped)


def test_they_are_asked_only_for_what_can_be_sent(trap: LoadedModel) -> None:
    assert can_be_sent(trap.preprocess, width) and can_be_sent(trap.preprocess, trap.preprocess.to_batch)
    assert not can_be_sent(trap.preprocess, lambda image: image.width)


_KILLED = """
import time
from interpret.decoding import Decoders, nothing
from interpret.images import Preprocess

decoders = Decoders(Preprocess((8, 8), 8), nothing)
while not decoders.standing():
    time.sleep(0.05)
print(*decoders.standing(), decoders.process.pid, flush=True)
time.sleep(100)
"""


def test_nothing_is_left_of_a_killed_program() -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    program = subprocess.Popen(
        [sys.executable, "-c", _KILLED], cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    processes = [psutil.Process(int(number)) for number in program.stdout.readline().split()]
    assert len(processes) >= 2
    program.send_signal(signal.SIGKILL)
    program.wait()
    assert psutil.wait_procs(processes, timeout=10)[1] == []

"""What is kept on disk: passes that go on where they were, damaged files, and how much is kept."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import interpret.units.collecting
from interpret import store
from interpret.images import InputImage
from interpret.jobs import Progress, complete
from interpret.model import LoadedModel
from interpret.units import UnitStatistics, collect_units
from interpret.units.collecting import partial_file
from tests.conftest import REPOSITORY, TrapNetwork, look_into, nothing_left_behind
from tests.units.sources import assert_identical, faint_picture, files, made

LAYERS = ("relu:1", "conv1", "head")
COUNT, BROKEN = 45, (0, 11, 12, 44)


def collected(model: LoadedModel, folder: Path, **options: Any) -> dict[str, UnitStatistics]:
    return complete(collect_units(model, made(COUNT, broken=BROKEN), LAYERS, folder=folder, **options))


def refuse(index: int) -> InputImage:
    raise AssertionError(f"picture {index} was read again")


def test_a_pass_closed_after_every_step_ends_with_the_same_bytes(model: LoadedModel, tmp_path: Path) -> None:
    whole = collected(model, tmp_path / "whole")
    steps, read = [], []

    def reading(index: int) -> InputImage:
        read.append(index)
        return faint_picture(index)

    parts: dict[str, UnitStatistics] = {}
    while not parts and len(steps) < 10:
        job = collect_units(model, made(COUNT, reading, broken=BROKEN), LAYERS, folder=tmp_path / "parts")
        try:
            steps.append(next(job).step)
        except StopIteration as stop:
            parts = stop.value
        job.close()
    assert steps == [8, 16, 24, 32, 40, 45]
    for name in LAYERS:
        assert_identical(whole[name], parts[name])
    assert len(files(tmp_path / "parts")) == len(LAYERS)


@pytest.mark.parametrize("stop", range(1, 7))
def test_a_pass_closed_once_goes_on_and_reads_nothing_twice(model: LoadedModel, tmp_path: Path, stop: int) -> None:
    whole = collected(model, tmp_path / "whole")
    job = collect_units(model, made(COUNT, broken=BROKEN), LAYERS, folder=tmp_path / "parts")
    for _ in range(stop):
        position = next(job).step
    job.close()

    def rest(index: int) -> InputImage:
        return faint_picture(index) if index >= position else refuse(index)

    again = collect_units(model, made(COUNT, rest, broken=BROKEN), LAYERS[::-1], folder=tmp_path / "parts")
    found = complete(again)
    assert tuple(found) == LAYERS[::-1]
    for name in LAYERS:
        assert_identical(whole[name], found[name])


KILLED = """
import sys, time
from pathlib import Path
import interpret.units.collecting
from interpret.units import collect_units
from tests.conftest import look_into
from tests.units.sources import made, undecided
from tests.units.test_store import BROKEN, COUNT, LAYERS
interpret.units.collecting.SAVE_SECONDS = 0
source, folder = made(COUNT, broken=BROKEN), Path(sys.argv[1])
for progress in collect_units(look_into(undecided(), 5), source, LAYERS, folder=folder):
    print(progress.step, flush=True)
    time.sleep(0.2)
"""


def test_a_killed_process_goes_on_and_ends_with_the_same_bytes(model: LoadedModel, tmp_path: Path) -> None:
    whole = collected(model, tmp_path / "whole")
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "killed")], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert [process.stdout.readline().strip() for _ in range(3)] == ["8", "16", "24"]
    process.kill()
    assert process.wait() == -9
    process.stdout.close()
    assert [file.suffix for file in files(tmp_path / "killed")] == [".partial"]
    seen: list[Progress] = []
    job = collect_units(model, made(COUNT, broken=BROKEN), LAYERS, folder=tmp_path / "killed")
    found = complete(job, seen.append)
    assert seen[0].step >= 32
    for name in LAYERS:
        assert_identical(whole[name], found[name])


def test_it_is_saved_now_and_then(model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(np.arange(0, 1000, 4.0))
    own = SimpleNamespace(monotonic=lambda: float(next(clock)))  # not the whole process's: other threads look, too
    monkeypatch.setattr(interpret.units.collecting, "time", own)
    written, plain, step = [], store.write, [0]
    monkeypatch.setattr(
        store, "write", lambda path, arrays: (written.append((path.suffix, *step)), plain(path, arrays))
    )
    for progress in collect_units(model, made(COUNT, broken=BROKEN), LAYERS, folder=tmp_path):
        step[0] = progress.step
    assert written == [(".partial", 16), (".partial", 40), *[(".npz", 45)] * 3]


def test_a_finished_layer_is_read_back_and_not_computed(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = collected(model, tmp_path)
    again = complete(collect_units(model, made(COUNT, refuse), LAYERS, folder=tmp_path))
    for name in LAYERS:
        assert_identical(first[name], again[name])
    kept, plain = [], LoadedModel.observe

    def observe(self: LoadedModel, batch: Any, keep: Any = (), **options: Any) -> Any:
        kept.append(tuple(keep))
        return plain(self, batch, keep, **options)

    monkeypatch.setattr(LoadedModel, "observe", observe)
    more = complete(collect_units(model, made(COUNT, broken=BROKEN), ["bn2", "conv1", "pool", "bn2"], folder=tmp_path))
    assert tuple(more) == ("bn2", "conv1", "pool") and set(kept) == {("bn2", "pool")}
    assert_identical(more["conv1"], first["conv1"])


def test_another_model_source_or_count_is_another_result(model: LoadedModel, tmp_path: Path) -> None:
    first = complete(collect_units(model, made(10), ["conv1"], folder=tmp_path, top=5))["conv1"]
    other = look_into(TrapNetwork(seed=1), classes=5)
    changed = complete(collect_units(other, made(10), ["conv1"], folder=tmp_path, top=5))["conv1"]
    assert not np.array_equal(first.top_values, changed.top_values)
    white = made(10, lambda _: InputImage.from_array(np.full((12, 12, 3), 255, np.uint8), "white"), digest="white")
    assert complete(collect_units(model, white, ["conv1"], folder=tmp_path, top=5))["conv1"].spread(0).tolist() != []
    assert len(list(tmp_path.iterdir())) == 3
    assert complete(collect_units(model, made(10), ["conv1"], folder=tmp_path, top=6))["conv1"].top_values.shape[1] == 6
    cut = complete(collect_units(model, made(20).first(10), ["conv1"], folder=tmp_path))["conv1"]
    assert cut.names == tuple(f"n{2 * index}" for index in range(10))


def test_two_at_once_both_end_right(model: LoadedModel, tmp_path: Path) -> None:
    whole = collected(model, tmp_path / "whole")
    found: list[dict[str, UnitStatistics]] = []

    def run() -> None:
        for _ in range(4):
            job = collect_units(model, made(COUNT, broken=BROKEN), LAYERS, folder=tmp_path / "shared")
            for _ in range(2):
                next(job, None)
            job.close()
            found.append(collected(model, tmp_path / "shared"))

    with nothing_left_behind(model):
        threads = [threading.Thread(target=run) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 12
    for one in found:
        for name in LAYERS:
            assert_identical(whole[name], one[name])
    assert not [file for file in files(tmp_path / "shared") if file.suffix == ".tmp"]


def test_a_folder_that_cannot_be_written_to_is_no_error(model: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    whole = collected(model, tmp_path / "whole")
    found = collected(model, tmp_path / "file" / "folder")
    assert_identical(whole["conv1"], found["conv1"])
    job = collect_units(model, made(COUNT), LAYERS, folder=tmp_path / "file")
    next(job)
    job.close()
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.parametrize("failing", ["writing", "renaming"])
def test_a_file_is_there_whole_or_not_at_all(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def full(stream: Any, **arrays: Any) -> None:
        stream.write(b"PK half a file")
        raise OSError(28, "No space left on device")

    def refused(path: Path, target: Path) -> None:
        raise PermissionError

    if failing == "writing":
        monkeypatch.setattr(store.np, "savez", full)
    else:
        monkeypatch.setattr(Path, "replace", refused)
    found = collected(model, tmp_path)
    assert files(tmp_path) == []
    monkeypatch.undo()
    assert_identical(found["conv1"], collected(model, tmp_path)["conv1"])


def test_where_results_are_kept(model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOUPE_HOME", str(tmp_path))
    complete(collect_units(model, made(3), ["relu:1"]))
    (file,) = files(tmp_path)
    assert file.parent.parent == tmp_path / "units"
    assert file.name.startswith("relu_1-") and file.suffix == ".npz"
    monkeypatch.delenv("LOUPE_HOME")
    assert store.root_folder("units") == Path.home() / ".cache" / "loupe" / "units"


def test_names_of_files_are_safe_and_differ() -> None:
    layers = ["layer1", "Layer1", "layer1.0", "layer1_0", "a:1", "a_1", "../../etc/passwd", "/abs", "", "..", "é" * 90]
    layers += ["x" * 999, "con"]
    names = [store.finished_file(layer) for layer in layers]
    assert len({name.casefold() for name in names}) == len(layers)
    for name in names:
        assert Path(name).name == name and len(name) < 90 and name.isascii() and name.endswith(".npz")
        assert not name.startswith(".")
    assert partial_file(["a", "b"], 24) == partial_file(["b", "a"], 24) != partial_file(["ab"], 24)


def test_what_was_not_used_for_longest_goes_first(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(number: int) -> None:
        complete(collect_units(model, made(10, digest=f"source {number}"), ["conv1"], folder=tmp_path))

    other = tmp_path / "mine" / "thesis.npz"
    other.parent.mkdir()
    other.write_bytes(b"x" * 100_000)
    now = time.time()
    for number in range(4):
        run(number)
        for file in files(tmp_path):
            if file.stat().st_mtime > now - 50 and file != other:
                os.utime(file, (now - 1000 + number, now - 1000 + number))
    kept = {file for file in files(tmp_path) if file != other}
    assert len(kept) == 4
    size = next(iter(kept)).stat().st_size
    run(0)  # reads it, so it is the last used
    stray, fresh = (sorted(kept)[0].parent / name for name in ("stray.tmp", "fresh.tmp"))
    stray.write_bytes(b"x")
    fresh.write_bytes(b"x")
    os.utime(stray, (now - 10_000, now - 10_000))
    monkeypatch.setattr(store, "MAX_BYTES", int(3.5 * size))
    run(4)
    left = {file for file in files(tmp_path) if file.suffix == ".npz" and file != other}
    assert len(left) == 3 and other.is_file() and fresh.is_file() and not stray.exists()
    gone = kept - left
    assert len(gone) == 2
    monkeypatch.setattr(store, "MAX_BYTES", 1)
    seen: list[Progress] = []
    complete(collect_units(model, made(10, digest="source 0"), ["conv1"], folder=tmp_path), seen.append)
    assert seen == [], "the last used was removed"
    run(9)
    (left_over,) = [file for file in files(tmp_path) if file.suffix == ".npz" and file != other]
    assert left_over.parent == store.result_folder(tmp_path, model.digest, "source 9-10")

"""Runs: what a folder holds, and that kills, damage and other machines leave no trace in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import interpret.latent.opened
import interpret.latent.runs
from interpret.errors import BadInput, UnknownName
from interpret.images import InputImage
from interpret.jobs import Progress, complete
from interpret.latent import Embedding, embed, embed_run, open_run
from interpret.model import LoadedModel
from tests.conftest import REPOSITORY, TrapNetwork, look_into, nothing_left_behind
from tests.units.sources import CLASSES, faint_picture, files, made

COUNT, BROKEN, LAYERS = 45, (0, 11, 12, 44), ("relu:1", "conv1")
ODD = ("odd \udcff", *CLASSES[1:])


def source(read: Callable[[int], InputImage] = faint_picture, **options: Any) -> Any:
    """Pictures with labels, some broken, some without a label, and a class whose name is no text."""
    labels = [index % 5 if index % 7 else -1 for index in range(COUNT)]
    found = made(COUNT, read, **{"labels": labels, "broken": BROKEN, "classes": ODD, **options})
    columns = {"path": tuple(f"film {index}" for index in range(COUNT)), "lux": np.arange(COUNT) / 2}
    return replace(found, columns=columns)


def run(model: LoadedModel, folder: Path, of: Any = None, **options: Any) -> int:
    options = {"layers": LAYERS, "shard_pictures": 8, **options}
    return complete(embed_run(model, of or source(), folder, **options))


def contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files(folder)}


def refuse(index: int) -> InputImage:
    raise AssertionError(f"picture {index} was read again")


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return look_into(TrapNetwork(), 5)


@pytest.fixture(scope="module")
def whole(model: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert run(model, folder) == 0
    return folder


def assert_same(one: Embedding, other: Embedding) -> None:
    for name in ("predictions", "confidences", "loss", "labels", "vectors"):
        mine, its = getattr(one, name), getattr(other, name)
        assert mine.dtype == its.dtype and np.array_equal(mine, its, equal_nan=True), name
    for name in ("skipped", "layer", "pool", "precision", "warning", "model_digest", "source_digest", "names"):
        assert getattr(one, name) == getattr(other, name), name
    assert one.columns["path"] == other.columns["path"] and np.array_equal(one.columns["lux"], other.columns["lux"])
    assert one.columns["lux"].tolist() == [index / 2 for index in range(COUNT) if index not in BROKEN]
    assert one.classes == ("odd \\udcff", *CLASSES[1:]) and other.classes == ODD
    assert list(one.thumbnails) == list(other.thumbnails) and one.thumbnails[-1] == other.thumbnails[-1]
    assert list(one.thumbnails[1:3]) == list(other.thumbnails[1:3])


@pytest.mark.parametrize("options", [{}, {"pool": "max", "precision": "float16"}, {"pool": "flatten"}])
def test_a_run_is_what_embed_gives(model: LoadedModel, tmp_path: Path, options: dict[str, Any]) -> None:
    with nothing_left_behind(model):
        assert run(model, tmp_path, **options) == 0
    opened = open_run(tmp_path)
    expected = complete(embed(model, source(), layers=LAYERS, **options))
    assert len(opened) == 2 and len(opened[0].names) == COUNT - len(BROKEN)
    for one, other in zip(opened, expected, strict=True):
        assert_same(one, other)
        assert not one.vectors.flags.writeable
    assert set(contents(tmp_path)) == {
        "run.json", "manifest.json", "index.parquet", "thumbnails.bin", "thumbnails.npy", "embedding.npy",
        "embedding-1-conv1.npy",
    }  # fmt: skip
    assert np.array_equal(np.load(tmp_path / "embedding.npy"), expected[0].vectors)


def test_what_the_manifest_says(whole: Path, model: LoadedModel) -> None:
    told = json.loads((whole / "manifest.json").read_text())
    assert (told["model_digest"], told["data_digest"]) == (model.digest, source().digest)
    assert (told["pictures"], told["layer"], told["shape"]) == (41, "relu:1", [41, 6])
    assert [one["image"] for one in told["skipped"]] == ["n0", "n11", "n12", "n44"]
    assert "12 × 12 px" in told["preprocessing"] and told["versions"]["torch"]
    assert (told["pool"], told["precision"]) == ("mean", "float32")


def test_large_vectors_stay_on_the_disk(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not isinstance(open_run(whole)[1].vectors, np.memmap)
    monkeypatch.setattr(interpret.latent.opened, "_MAPPED_BYTES", 100)
    (one, other) = open_run(str(whole))
    assert isinstance(one.vectors, np.memmap) and other.vectors.shape == (41, 6)


KILLED = """
import os, signal, sys
import numpy as np
from pathlib import Path
from interpret.latent import embed_run
from tests.conftest import TrapNetwork, look_into
from tests.latent.test_runs import LAYERS, faint_picture, source

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def reading(index):
    return die() if index == at else faint_picture(index)

for at in (36, 43, None):  # three batches are read ahead: after one shard, after another, and while they are joined
    child = os.fork()
    if child == 0:
        if at is None:
            np.lib.format.write_array_header_1_0 = die
        network = look_into(TrapNetwork(), 5)
        job = embed_run(network, source(reading), Path(sys.argv[1]), layers=LAYERS, shard_pictures=8)
        print("began", next(job).step, flush=True)
        list(job)
        os._exit(0)
    print("ended", os.waitpid(child, 0)[1], len(list(Path(sys.argv[1], "shards").iterdir())), flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no SIGKILL")
def test_a_run_killed_again_and_again_ends_with_the_same_bytes(model: LoadedModel, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, str(folder)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    said = [line.split() for line in done.stdout.splitlines()]
    began = [int(step) for what, step, *_ in said if what == "began"]
    assert [kind for what, kind, *_ in said if what == "ended"] == ["9", "9", "9"], done.stderr
    shards = [int(line[2]) for line in said if line[0] == "ended"]
    assert (began, shards) == ([0, 8, 16], [1, 2, 6])
    assert len(list(folder.glob("*.tmp"))) == 1 and not (folder / "manifest.json").exists()
    with pytest.raises(BadInput, match="The run is not finished: give its command again"):
        open_run(folder)
    (folder / "shards" / "000004.deadbeef.tmp").mkdir()
    assert run(model, folder, source(refuse)) == 0
    assert contents(folder) == contents(whole)


def test_closing_it_after_every_step_changes_nothing(model: LoadedModel, whole: Path, tmp_path: Path) -> None:
    began: list[Progress] = []
    for _ in range(7):
        job = embed_run(model, source(), tmp_path, layers=LAYERS, shard_pictures=8)
        began.append(next(job))
        next(job)
        job.close()
    assert [progress.step for progress in began] == [0, 8, 16, 24, 32, 40, 45]
    assert run(model, tmp_path, source(refuse)) == 0
    assert contents(tmp_path) == contents(whole)


def test_a_finished_run_is_not_touched(model: LoadedModel, whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in files(whole)}
    (whole / "shards" / "000000").mkdir(parents=True)  # killed after the manifest was written
    assert run(model, whole, source(refuse)) == 0
    assert {path: path.stat().st_mtime_ns for path in files(whole)} == before and not (whole / "shards").exists()


def test_two_machines_share_a_run(model: LoadedModel, whole: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    assert run(model, one, share=(1, 2)) == 3
    assert run(model, other, share=(2, 2)) == 3
    assert not (one / "manifest.json").exists()
    shutil.copytree(other / "shards", one / "shards", dirs_exist_ok=True)
    assert run(model, one, source(refuse), share=(1, 2)) == 0
    assert contents(one) == contents(whole)
    assert run(model, other, share=(1, 2)) == 0  # in the same folder
    assert contents(other) == contents(whole)
    for share in ((0, 2), (3, 2)):
        with pytest.raises(BadInput, match=f"Share {share[0]} of 2 does not exist"):
            run(model, tmp_path / "none", share=share)


def test_a_machine_that_comes_second_leaves_what_is_there(
    model: LoadedModel, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = embed_run(model, source(), tmp_path, layers=LAYERS, shard_pictures=8)
    assert [next(first).step for _ in range(2)] == [0, 8]
    assert run(model, tmp_path) == 0  # meanwhile another one does all of it
    assert complete(first) == 0
    assert contents(tmp_path) == contents(whole)


@pytest.mark.parametrize("damage", ["0.npy", "answers.npz", "swapped"])
def test_a_damaged_shard_is_done_again(model: LoadedModel, whole: Path, tmp_path: Path, damage: str) -> None:
    assert run(model, tmp_path, share=(1, 2)) == 3
    shards = tmp_path / "shards"
    if damage == "swapped":
        shutil.rmtree(shards / "000002")
        shutil.copytree(shards / "000000", shards / "000002")
    else:
        (shards / "000002" / damage).write_bytes((shards / "000002" / damage).read_bytes()[:100])
    assert run(model, tmp_path) == 0
    assert contents(tmp_path) == contents(whole)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layers": ("conv1",)}, "another layers"),
        ({"pool": "max", "precision": "float16"}, "another pool, precision"),
        ({"of": source(digest="else")}, r"another data set \(the names, sizes and times of its files count"),
        ({"model": "digest"}, "another network or preprocessing"),
        ({"model": "labels"}, "another list of class names"),
    ],
)
def test_a_run_of_something_else_is_refused(model: LoadedModel, whole: Path, change: dict[str, Any], said: str) -> None:
    before = contents(whole)
    options = dict(change)
    changed = options.pop("model", "")
    model = replace(model, **{changed: tuple("abcde")}) if changed else model
    with pytest.raises(BadInput, match=said + ".* Name another folder"):
        run(model, whole, **options)
    assert contents(whole) == before


def test_folders_and_settings_that_are_refused(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(BadInput, match="holds other results"):
        run(model, tmp_path)
    for text in ("", "[]", "{}", '{"shard_pictures": 8}'):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(BadInput, match='run.json" is damaged'):
            run(model, tmp_path)
    with pytest.raises(UnknownName, match='Pool "median" is not in the ways to pool'):
        run(model, tmp_path / "a", pool="median")
    with pytest.raises(BadInput, match="Not one of the 3 pictures"):
        run(model, tmp_path / "b", made(3, broken=(0, 1, 2)))
    monkeypatch.setattr(interpret.latent.runs.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**10))
    with pytest.raises(BadInput, match="GiB on the disk.*are free"):
        run(model, tmp_path / "c")
    assert not (tmp_path / "c" / "run.json").exists()


def test_shards_stay_small_where_vectors_are_long(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpret.latent.runs, "MAX_SHARD_BYTES", 6 * 144 * 4 * 5)
    left = run(model, tmp_path, layers=("conv1",), pool="flatten", shard_pictures=1000, share=(1, 9))
    assert left == 8 and len(list((tmp_path / "shards").iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("embedding.npy", b""),
        ("embedding-1-conv1.npy", None),
        ("index.parquet", b"PAR1"),
        ("thumbnails.bin", b"x"),
        ("thumbnails.npy", b"\x93NUMPY"),
        ("manifest.json", b"{}"),
        ("manifest.json", b"[]"),
        ("manifest.json", b"{"),
    ],
)
def test_a_damaged_run_is_refused_in_a_sentence(whole: Path, tmp_path: Path, name: str, content: bytes | None) -> None:
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    if content is not None:
        (tmp_path / "run" / name).write_bytes(content)
    with pytest.raises(BadInput, match="damaged|is no finished run"):
        open_run(tmp_path / "run")

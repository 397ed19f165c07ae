"""Files of results that are damaged, made up or dangerous: they are computed anew."""

from __future__ import annotations

import json
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interpret import store
from interpret.jobs import Progress, complete
from interpret.model import LoadedModel
from interpret.units import collect_units
from tests.units.sources import assert_identical, files, made


def damaged(data: bytes, path: Path) -> dict[str, bytes]:
    """A file's bytes, damaged in many ways."""
    generator = random.Random(0)
    ways = {f"cut to {share}": data[: int(len(data) * share)] for share in (0, 0.01, 0.3, 0.9, 0.999)}
    for turn in range(25):
        flipped = bytearray(data)
        flipped[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        ways[f"flip {turn}"] = bytes(flipped)
    ways["text"] = b"no file of ours"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    manifest = json.loads(arrays["manifest"].tobytes())

    def saved(name: str, **changed: Any) -> None:
        with path.open("wb") as stream:
            np.savez(stream, **{**arrays, **changed})
        ways[name] = path.read_bytes()

    saved("dtype", **{"0.top_values": arrays["0.top_values"].astype(np.float64)})
    saved("shape", **{"0.sample_means": arrays["0.sample_means"][:, :-1]})
    saved("rows", **{"0.sample_maxima": arrays["0.sample_maxima"][1:]})
    saved("pickled", **{"0.top_values": np.array([{"a": 1}], object)})
    saved("far picture", **{"0.top_pictures": arrays["0.top_pictures"] + 1000})
    saved("far row", **{"0.sample_rows": arrays["0.sample_rows"] + np.uint16(99)})
    saved("class", predictions=np.where(arrays["predictions"] < 0, -1, 77))
    saved("hidden picture", predictions=np.where(np.arange(len(arrays["predictions"])) == 3, -1, arrays["predictions"]))
    swapped = arrays["predictions"].copy()
    swapped[[3, 5]] = -1, 0
    saved("another broken picture", predictions=swapped)
    for name, value in {
        "layers": [],
        "position": 46,
        "position ": -1,
        "skipped": 7,
        "format": 0,
        "model": "other",
    }.items():
        text = json.dumps({**manifest, name.strip(): value}).encode()
        saved(f"manifest {name}", manifest=np.frombuffer(text, np.uint8))
    saved("manifest text", manifest=np.frombuffer(b"{", np.uint8))
    del arrays["0.silent"]
    saved("missing")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "manifest.npy",
            b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (9" + b"9" * 14 + b",)}",
        )
    ways["immense"] = path.read_bytes()
    return ways


@pytest.mark.parametrize("which", ["finished", "partial"])
def test_damaged_files_are_computed_anew(model: LoadedModel, tmp_path: Path, which: str) -> None:
    source = made(24, broken=(5,))
    whole = complete(collect_units(model, source, ["relu:1"], folder=tmp_path / "whole"))["relu:1"]
    folder = tmp_path / "damaged"
    job = collect_units(model, source, ["relu:1"], folder=folder)
    if which == "partial":
        next(job)
        next(job)
        job.close()
    else:
        complete(job)
    (path,) = files(folder)
    assert path.suffix == {"finished": ".npz", "partial": ".partial"}[which]
    for way, data in damaged(path.read_bytes(), path).items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        found = complete(collect_units(model, source, ["relu:1"], folder=folder))["relu:1"]
        assert_identical(whole, found)
        assert [file.suffix for file in files(folder)] == [".npz"], way
        for file in files(folder):
            file.unlink()


def test_a_damaged_part_of_a_file_is_noticed(model: LoadedModel, tmp_path: Path) -> None:
    """The damage of the test above is found, not by chance without effect."""
    source = made(24, broken=(5,))
    complete(collect_units(model, source, ["relu:1"], folder=tmp_path))
    (path,) = files(tmp_path)
    for way, data in damaged(path.read_bytes(), path).items():
        if way.startswith("flip"):
            continue  # a bit of a time stamp has no effect
        path.write_bytes(data)
        seen: list[Progress] = []
        complete(collect_units(model, source, ["relu:1"], folder=tmp_path), seen.append)
        assert len(seen) == 3, way


def test_an_unfinished_file_under_the_name_of_a_finished_one(model: LoadedModel, tmp_path: Path) -> None:
    whole = complete(collect_units(model, made(24), ["relu:1"], folder=tmp_path / "whole"))["relu:1"]
    job = collect_units(model, made(24), ["relu:1"], folder=tmp_path)
    next(job)
    job.close()
    (partial,) = tmp_path.rglob("*.partial")
    partial.rename(partial.with_name(store.finished_file("relu:1")))
    assert_identical(whole, complete(collect_units(model, made(24), ["relu:1"], folder=tmp_path))["relu:1"])


class Trap:
    """Unpickled, it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_is_unpickled(model: LoadedModel, tmp_path: Path) -> None:
    complete(collect_units(model, made(5), ["relu"], folder=tmp_path))
    (path,) = files(tmp_path)
    with path.open("wb") as stream:
        np.savez(stream, manifest=np.array([Trap(tmp_path / "sprung")], object))
    complete(collect_units(model, made(5), ["relu"], folder=tmp_path))
    assert files(tmp_path) == [path]

"""Pictures on disk: read and not drawn again, never another's, never half, and drawn anew where they are damaged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interpret import store
from interpret.errors import BadInput
from interpret.filters import (
    FilterImages,
    FilterParams,
    class_images,
    filter_images,
    kept_class_images,
    kept_filter_images,
)
from interpret.filters.kept import drawn_before
from interpret.jobs import Progress, complete
from interpret.model import LoadedModel
from tests.conftest import REPOSITORY, TrapNetwork, look_into
from tests.units.sources import files, made

each_method = pytest.mark.parametrize("method", ["fourier", "maco", "pixels"])
STEPS = FilterParams(steps=3)


def kept(
    model: LoadedModel, folder: Path | None, channels: tuple[int, ...], params: FilterParams = STEPS, **options: Any
) -> FilterImages:
    return complete(kept_filter_images(model, "conv2", channels, params, folder=folder, **options))


def plain(model: LoadedModel, channels: tuple[int, ...], params: FilterParams = STEPS) -> FilterImages:
    return complete(filter_images(model, "conv2", channels, params))


def assert_same(one: FilterImages, other: FilterImages, tolerance: float = 1e-4) -> None:
    np.testing.assert_allclose(one.planes, other.planes, atol=tolerance, rtol=0)
    np.testing.assert_allclose(one.reached, other.reached, atol=tolerance, rtol=0)
    assert (one.opacity is None) == (other.opacity is None)
    if one.opacity is not None and other.opacity is not None:
        np.testing.assert_allclose(one.opacity, other.opacity, atol=tolerance, rtol=0)
    about = [(found.channels, found.layer, found.params, found.steps, found.objective) for found in (one, other)]
    assert about[0] == about[1]


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each pass of an ascent had, in order."""
    sizes: list[int] = []
    trace = LoadedModel.trace

    def counted(self: LoadedModel, batch: Any, *rest: Any, **options: Any) -> Any:
        sizes.append(len(batch))
        return trace(self, batch, *rest, **options)

    monkeypatch.setattr(LoadedModel, "trace", counted)
    return sizes


@each_method
@pytest.mark.parametrize("starts", [1, 2])
def test_the_second_time_nothing_is_drawn(
    trap: LoadedModel, tmp_path: Path, passes: list[int], method: Any, starts: int
) -> None:
    params = FilterParams(method, steps=3, starts=starts)
    first = kept(trap, tmp_path, (4, 1), params)
    assert_same(first, plain(trap, (4, 1), params), 0)
    passes.clear()
    seen: list[Progress] = []
    again = complete(kept_filter_images(trap, "conv2", (1, 4), params, folder=tmp_path), seen.append)
    assert passes == [] and seen == []
    assert_same(again, plain(trap, (1, 4), params))
    assert_same(kept(trap, tmp_path, (4, 1), params), first, 0)
    for array in (again.planes, again.reached, again.opacity):
        assert array is None or not array.flags.writeable


@each_method
def test_only_what_is_missing_is_drawn_and_the_order_is_that_asked_for(
    trap: LoadedModel, tmp_path: Path, passes: list[int], method: Any
) -> None:
    params = FilterParams(method, steps=3)
    kept(trap, tmp_path, (4, 1), params)
    passes.clear()
    seen: list[Progress] = []
    job = kept_filter_images(trap, "conv2", (0, 4, 5, 1), params, folder=tmp_path)
    found = complete(job, seen.append)
    views = 6 if method == "maco" else 1
    assert set(passes) <= {views, 2 * views, 1, 2}
    assert_same(found, plain(trap, (0, 4, 5, 1), params))
    previews = [progress.preview for progress in seen if progress.preview is not None]
    assert previews
    for preview in previews:
        assert isinstance(preview, FilterImages) and preview.channels == (0, 4, 5, 1)
        np.testing.assert_array_equal(preview.planes[[1, 3]], found.planes[[1, 3]])
        assert np.isnan(preview.reached[[0, 2]]).all() and not np.isnan(preview.reached[[1, 3]]).any()
    assert len(files(tmp_path)) == 4


def test_a_channel_asked_for_twice_is_given_once(trap: LoadedModel, tmp_path: Path) -> None:
    assert kept(trap, tmp_path, (2, 2, 1)).channels == (2, 1)


def test_other_parameters_networks_layers_and_spectra_do_not_share(
    trap: LoadedModel, tmp_path: Path, passes: list[int]
) -> None:
    maco = FilterParams("maco", steps=2)
    asked: list[tuple[LoadedModel, str, FilterParams, Any]] = [
        (trap, "conv2", STEPS, None),
        (trap, "conv1", STEPS, None),
        (look_into(TrapNetwork(seed=1), 5), "conv2", STEPS, None),
        *[(trap, "conv2", FilterParams(**change), None) for change in (
            {"steps": 2}, {"steps": 3, "seed": 1}, {"steps": 3, "side": 16}, {"steps": 3, "learning_rate": 0.1},
            {"steps": 3, "direction": "negative"}, {"steps": 3, "starts": 2}, {"steps": 3, "method": "pixels"},
        )],
        (trap, "conv2", maco, None),
        (trap, "conv2", maco, made(3)),
        (trap, "conv2", maco, made(4)),
    ]  # fmt: skip
    for turn in range(2):
        for count, (model, layer, params, source) in enumerate(asked, 1):
            passes.clear()
            complete(kept_filter_images(model, layer, (0,), params, source=source, folder=tmp_path))
            assert bool(passes) == (turn == 0), (layer, params)
            assert len(files(tmp_path)) == (count if turn == 0 else len(asked))


def test_the_pictures_of_a_source_do_not_matter_where_no_spectrum_is_needed(
    trap: LoadedModel, tmp_path: Path, passes: list[int]
) -> None:
    kept(trap, tmp_path, (0,))
    passes.clear()
    kept(trap, tmp_path, (0,), source=made(3))
    assert passes == []


def damages(path: Path) -> dict[str, bytes]:
    data = path.read_bytes()
    ways = {"empty": b"", "text": b"no file of ours", "half": data[: len(data) // 2], "end": data[:-1]}
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    made_up: dict[str, dict[str, Any]] = {
        "no reached": {"planes": arrays["planes"]},
        "no planes": {"reached": arrays["reached"]},
        "two pictures": {**arrays, "planes": np.repeat(arrays["planes"], 2, 0)},
        "two reached": {**arrays, "reached": np.repeat(arrays["reached"], 2)},
        "double": {**arrays, "planes": arrays["planes"].astype(np.float64)},
        "flat": {**arrays, "planes": arrays["planes"][..., 0]},
        "other opacity": {**arrays, "opacity": arrays["planes"][..., 0][:, 1:]},
        "pickled": {**arrays, "planes": np.array([{"a": 1}], object)},
    }
    if "opacity" in arrays:
        made_up["no opacity"] = {"planes": arrays["planes"], "reached": arrays["reached"]}
    for name, content in made_up.items():
        with path.open("wb") as stream:
            np.savez(stream, **content)
        ways[name] = path.read_bytes()
    return ways


@pytest.mark.parametrize("method", ["fourier", "maco"])
def test_damaged_files_are_drawn_again(trap: LoadedModel, tmp_path: Path, passes: list[int], method: Any) -> None:
    params = FilterParams(method, steps=2)
    whole = kept(trap, tmp_path, (3,), params)
    (path,) = files(tmp_path)
    for way, data in damages(path).items():
        path.write_bytes(data)
        passes.clear()
        assert_same(kept(trap, tmp_path, (3,), params), whole, 0)
        assert passes, way
        passes.clear()
        kept(trap, tmp_path, (3,), params)
        assert not passes, way


@pytest.mark.parametrize("failing", ["writing", "renaming"])
def test_a_full_disk_is_no_error_and_leaves_no_half_file(
    trap: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def full(stream: Any, **_: Any) -> None:
        stream.write(b"PK half a file")
        raise OSError(28, "No space left on device")

    def refused(path: Path, target: Path) -> None:
        raise PermissionError

    if failing == "writing":
        monkeypatch.setattr(store.np, "savez", full)
    else:
        monkeypatch.setattr(Path, "replace", refused)
    assert_same(kept(trap, tmp_path, (0, 1)), plain(trap, (0, 1)), 0)
    assert files(tmp_path) == []
    (tmp_path / "file").write_bytes(b"")
    assert_same(kept(trap, tmp_path / "file", (0, 1)), plain(trap, (0, 1)), 0)


KILLED = """
import sys, time
from pathlib import Path
import numpy as np
from interpret import store
from interpret.filters import FilterParams, kept_filter_images
from interpret.jobs import complete
from tests.conftest import TrapNetwork, look_into
plain, written = np.savez, []
def slow(stream, **arrays):
    if written:
        stream.write(b"PK half a file")
        stream.flush()
        print("writing", flush=True)
        time.sleep(60)
    written.append(1)
    plain(stream, **arrays)
store.np.savez = slow
job = kept_filter_images(look_into(TrapNetwork(), 5), "conv2", (0, 1), FilterParams(steps=3), folder=Path(sys.argv[1]))
complete(job)
"""


def test_a_process_killed_while_it_writes_leaves_no_half_file(
    trap: LoadedModel, tmp_path: Path, passes: list[int]
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "writing"
    process.kill()
    assert process.wait() == -9
    process.stdout.close()
    assert sorted(file.suffix for file in files(tmp_path)) == [".npz", ".tmp"]
    assert_same(kept(trap, tmp_path, (0, 1)), plain(trap, (0, 1)))
    assert passes[:1] == [1]  # the first of the two was there
    passes.clear()
    kept(trap, tmp_path, (0, 1))
    assert passes == []


def test_a_cancelled_ascent_leaves_nothing(trap: LoadedModel, tmp_path: Path) -> None:
    job = kept_filter_images(trap, "conv2", (0,), STEPS, folder=tmp_path)
    next(job)
    job.close()
    assert files(tmp_path) == []


@pytest.mark.parametrize("starts", [1, 2])
def test_it_goes_on_from_what_was_drawn_or_read(
    trap: LoadedModel, tmp_path: Path, passes: list[int], starts: int
) -> None:
    """Read pictures have no state to go on from: they are drawn from the start, to the same result."""
    few, more = (FilterParams(steps=steps, starts=starts) for steps in (4, 9))
    whole = plain(trap, (4, 1), more)
    drawn = kept(trap, tmp_path, (4, 1), few)
    passes.clear()
    assert_same(kept(trap, tmp_path, (4, 1), more, after=drawn), whole, 0)
    assert len(passes) == 5 + 1
    read = kept(trap, tmp_path, (4, 1), few)
    assert read.ascent is None and drawn.ascent is not None
    assert_same(kept(trap, tmp_path / "other", (4, 1), more, after=read), whole, 0)


def test_what_cannot_be_asked_for_is_refused_and_not_kept(trap: LoadedModel, tmp_path: Path) -> None:
    for channels in ((), (6,), (-1,)):
        with pytest.raises(BadInput, match='Layer "conv2" has channels 0 to 5'):
            kept(trap, tmp_path, channels)
    assert files(tmp_path) == []


def test_one_channels_pictures_are_looked_up(trap: LoadedModel, tmp_path: Path, passes: list[int]) -> None:
    assert drawn_before(trap, "conv2", 5, STEPS, tmp_path) is None
    whole = kept(trap, tmp_path, (5, 2))
    passes.clear()
    found = drawn_before(trap, "conv2", 2, STEPS, tmp_path)
    assert found is not None and np.array_equal(found.planes, whole.planes[1:]) and passes == []
    assert drawn_before(trap, "conv2", 2, FilterParams(steps=4), tmp_path) is None


def test_where_they_are_kept(trap: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOUPE_HOME", str(tmp_path))
    kept(trap, None, (5,))
    (file,) = files(tmp_path)
    assert file.parent.parent == tmp_path / "filters" and file.name.startswith("5-") and file.suffix == ".npz"


@each_method
def test_classes_are_kept_too(trap: LoadedModel, tmp_path: Path, method: Any, passes: list[int]) -> None:
    params = FilterParams(method, steps=3, starts=2)
    expected = complete(class_images(trap, [3, 1], params))
    complete(kept_class_images(trap, [1], params, folder=tmp_path))
    assert complete(kept_filter_images(trap, "conv2", [1], params, folder=tmp_path)).layer.name == "conv2"
    found = complete(kept_class_images(trap, [3, 1], params, folder=tmp_path))
    passes.clear()
    again = complete(kept_class_images(trap, [3, 1], params, folder=tmp_path))
    assert passes == []
    for one in (found, again):
        np.testing.assert_allclose(one.planes, expected.planes, atol=1e-4, rtol=0)
        np.testing.assert_allclose(one.reached, expected.reached, atol=1e-4, rtol=0)
        assert (one.objective, one.steps, one.params) == (expected.objective, 3, params)

"""Statistics from one pass over a data set, against brute force over all its activations."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import interpret.units.collecting
import interpret.units.running
from interpret.errors import BadInput, UnknownName
from interpret.images import InputImage
from interpret.jobs import Progress, complete
from interpret.model import LoadedModel
from interpret.units import UnitStatistics, collect_units
from interpret.units.running import RunningLayer, sample_of
from tests.conftest import look_into, nothing_left_behind, trap_reference
from tests.units.sources import arrays_of, assert_it_is_brute_force, channels_last, faint_picture, made

LAYERS = ("relu:1", "conv1", "bn1", "head", "bn2", "relu", "pool", "flatten")
BROKEN = (0, 7, 8, 9, 30)


def maps_of(model: LoadedModel, pictures: list[int]) -> dict[str, np.ndarray]:
    """What the trap network answers, written out in float64: layer -> [n, channels, rows, columns]."""
    batch = torch.cat([model.preprocess.to_batch(faint_picture(index)) for index in pictures])
    found = trap_reference(model._network, batch)
    return {name: (x if x.ndim == 4 else x[..., None, None]).numpy() for name, x in found.items()}


@pytest.mark.parametrize("size", [1, 3, 8, 64])
@pytest.mark.parametrize("top", [5, 60])
def test_it_is_brute_force_for_several_layers_at_once(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, top: int
) -> None:
    """In-place layers, a module called twice, vectors; silent channels tie at 0; whatever the batch size."""
    monkeypatch.setattr(interpret.units.collecting, "batch_size", lambda *_: size)
    found = complete(collect_units(model, made(42, broken=BROKEN), LAYERS, folder=tmp_path, top=top))
    pictures = [index for index in range(42) if index not in BROKEN]
    assert tuple(found) == LAYERS
    maps = maps_of(model, pictures)
    for name in LAYERS:
        assert_it_is_brute_force(found[name], maps[name], pictures)
        assert found[name].sample_pictures.tolist() == pictures
    scores = maps["scores"][:, :, 0, 0]
    first = found["conv1"]
    assert first.predictions[pictures].tolist() == scores.argmax(1).tolist()
    chances = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    np.testing.assert_allclose(first.confidences[pictures], chances.max(1), rtol=1e-4)
    assert (first.predictions[list(BROKEN)] == -1).all() and np.isnan(first.confidences[list(BROKEN)]).all()
    assert first.skipped == tuple((f"n{index}", f"n{index} is damaged.") for index in BROKEN)
    assert (first.model_digest, first.source_digest) == (model.digest, "made-42")
    assert any((found["relu"].silent > 0) & (found["relu"].silent < 37)), "the pictures make no channel silent"


def test_the_numbers_are_raw_and_read_only(model: LoadedModel, tmp_path: Path) -> None:
    for _ in range(2):  # computed, then read back
        found = complete(collect_units(model, made(9, broken=(2,)), ["conv1"], folder=tmp_path))["conv1"]
        kinds = {name: str(array.dtype) for name, array in arrays_of(found).items()}
        floats = {"top_values", "sample_maxima", "sample_means", "confidences"}
        assert {name for name, kind in kinds.items() if kind == "float32"} == floats
        assert {name for name, kind in kinds.items() if kind == "uint16"} == {"sample_rows", "sample_columns"}
        assert not any(array.flags.writeable for array in arrays_of(found).values())


def test_channels_last(tmp_path: Path) -> None:
    model, layers = channels_last(), ("norm", "widen", "stem")
    found = complete(collect_units(model, made(20), layers, folder=tmp_path, top=6))
    batch = torch.cat([model.preprocess.to_batch(faint_picture(index)) for index in range(20)]).double()
    network = model._network
    stem = nn.functional.conv2d(batch, network.stem.weight.double(), network.stem.bias.double(), stride=2, padding=1)  # type: ignore[union-attr]
    last = stem.permute(0, 2, 3, 1)
    norm = (last - last.mean(3, keepdim=True)) / (last.var(3, keepdim=True, correction=0) + 1e-5).sqrt()
    norm = norm * network.norm.weight.double() + network.norm.bias.double()
    widen = norm @ network.widen.weight.double().T + network.widen.bias.double()
    for name, maps in (("stem", stem), ("norm", norm.permute(0, 3, 1, 2)), ("widen", widen.permute(0, 3, 1, 2))):
        assert_it_is_brute_force(found[name], maps.numpy(), range(20))


@pytest.mark.parametrize("cuts", [(), (1, 2, 3), (5, 17), (29,)])
def test_ties_go_to_the_earlier_picture_and_nan_never_ranks(model: LoadedModel, cuts: tuple[int, ...]) -> None:
    """Whole numbers from 0 to 2, so that nearly everything ties, with NaN and infinities in between."""
    layer = model.layer("conv1")
    maps = torch.randint(0, 3, (30, 6, 12, 12), generator=torch.Generator().manual_seed(1)).float()
    maps[:, 2] *= torch.randint(0, 2, (30, 1, 1), generator=torch.Generator().manual_seed(2))
    maps[4, 0, 3, 3] = maps[5, 0] = maps[:, 5] = torch.nan
    maps[6, 1, 2, 7] = torch.inf
    maps[9, 1] = -torch.inf
    running = RunningLayer(layer, 30, 8, torch.device("cpu"))
    for start, end in zip((0, *cuts), (*cuts, 30), strict=True):
        running.add(maps[start:end], torch.arange(start, end), np.arange(end - start), start)
    got = running.arrays(30)
    flat = torch.where(maps.isnan(), -torch.inf, maps).flatten(2).numpy()
    maxima, places = flat.max(2), flat.argmax(2)
    for channel in range(6):
        best = [i for i in sorted(range(30), key=lambda i: (-maxima[i, channel], i)) if maxima[i, channel] > -np.inf]
        best = best[:8]
        rest = 8 - len(best)
        assert got["top_pictures"][channel].tolist() == best + [-1] * rest
        assert got["top_rows"][channel].tolist() == [int(places[i, channel]) // 12 for i in best] + [-1] * rest
        assert got["top_columns"][channel].tolist() == [int(places[i, channel]) % 12 for i in best] + [-1] * rest
        np.testing.assert_array_equal(
            got["top_values"][channel], [maxima[i, channel] for i in best] + [np.float32("nan")] * rest
        )
    assert got["not_finite"].tolist() == (~maps.isfinite()).flatten(2).any(2).sum(0).tolist() == [2, 2, 0, 0, 0, 30]
    assert got["silent"].tolist() == (maxima == 0).sum(0).tolist() and got["silent"][2] > 0
    np.testing.assert_array_equal(got["sample_maxima"], np.where(maxima == -np.inf, np.nan, maxima))
    finite = torch.where(maps.isfinite(), maps, torch.nan).flatten(2)
    np.testing.assert_allclose(got["sample_means"], finite.nanmean(2), rtol=1e-6)


def test_minus_infinity_at_one_place_shows_in_the_mean_alone(model: LoadedModel) -> None:
    maps = torch.ones(2, 6, 12, 12)
    maps[1, 3, 0, 0] = -torch.inf
    running = RunningLayer(model.layer("conv1"), 2, 2, torch.device("cpu"))
    running.add(maps, torch.arange(2), np.arange(2), 0)
    got = running.arrays(2)
    assert got["not_finite"].tolist() == [0, 0, 0, 1, 0, 0]
    np.testing.assert_allclose(got["sample_means"], 1)
    np.testing.assert_array_equal(got["top_values"], 1)


def test_a_large_source_is_sampled_evenly_and_counted_wholly(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sample_of(4096).tolist() == list(range(4096))
    large = sample_of(10_001)
    assert len(large) == 4096 and large[0] == 0 and set(np.diff(large)) == {2, 3} and large[-1] >= 9998
    monkeypatch.setattr(interpret.units.running, "SAMPLE", 10)
    broken = (3, 8)
    found = complete(collect_units(model, made(40, broken=broken), ["relu:1"], folder=tmp_path, top=4))["relu:1"]
    assert found.sample_pictures.tolist() == [0, 4, 12, 16, 20, 24, 28, 32, 36]
    pictures = [index for index in range(40) if index not in broken]
    assert_it_is_brute_force(found, maps_of(model, pictures)["relu:1"], pictures)
    assert found.seen == 38


def test_dead_and_silent_channels_are_told_from_all_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one: relu(mean of the red channel - 0.5) of black pictures is 0; one that is not sampled is white."""
    monkeypatch.setattr(interpret.units.running, "SAMPLE", 3)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu = nn.Conv2d(3, 3, 1), nn.ReLU()
            self.pool, self.flatten, self.head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)
            self.conv.weight.data.zero_()[0, 0] = 1
            self.conv.bias.data.copy_(torch.tensor([-0.5, -1.0, 2.0]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.flatten(self.pool(self.relu(self.conv(x)))))

    def read(index: int) -> InputImage:
        return InputImage.from_array(np.full((12, 12, 3), 255 * (index == 1), np.uint8), f"n{index}")

    model = look_into(Network(), classes=2)
    found = complete(collect_units(model, made(9, read, broken=(4,)), ["relu"], folder=tmp_path))["relu"]
    assert found.sample_pictures.tolist() == [0, 3, 6]
    assert found.dead.tolist() == [False, True, False]
    assert found.silent.tolist() == [7, 8, 0] and found.silent_share.tolist() == [0.875, 1.0, 0.0]
    assert found.sample_maxima.max(0).tolist() == [0, 0, 2]
    np.testing.assert_allclose(found.top_values[0, :3], [0.5, 0, 0])  # white is 1 after normalising
    assert found.top_pictures[0, :4].tolist() == [1, 0, 2, 3]


def test_progress_counts_pictures(model: LoadedModel, tmp_path: Path) -> None:
    seen: list[Progress] = []
    complete(collect_units(model, made(20), ["conv1"], folder=tmp_path), seen.append)
    assert [(progress.step, progress.total) for progress in seen] == [(8, 20), (16, 20), (20, 20)]
    assert seen[-1].note == "20 of 20 pictures"


def test_cancelling_at_every_step_leaves_nothing_but_what_can_be_resumed(model: LoadedModel, tmp_path: Path) -> None:
    for stop in range(5):
        folder = tmp_path / str(stop)
        before = threading.active_count()
        with nothing_left_behind(model):
            job = collect_units(model, made(30), ["conv1", "relu"], folder=folder)
            for _ in range(stop):
                next(job)
            job.close()
        assert threading.active_count() == before
        left = [file.suffix for file in folder.rglob("*") if file.is_file()]
        assert left == [".partial"] * bool(stop)


def test_completing_and_failing_leave_nothing_behind(model: LoadedModel, tmp_path: Path) -> None:
    def read(index: int) -> InputImage:
        if index == 20:
            raise ZeroDivisionError
        return faint_picture(index)

    before = threading.active_count()
    with nothing_left_behind(model), pytest.raises(ZeroDivisionError):
        complete(collect_units(model, made(30, read), ["conv1"], folder=tmp_path / "failed"))
    assert not (tmp_path / "failed").exists()
    with nothing_left_behind(model):
        complete(collect_units(model, made(30), ["conv1", "head"], folder=tmp_path))
    assert threading.active_count() == before
    assert [file.suffix for file in tmp_path.rglob("*") if file.is_file()] == [".npz", ".npz"]


def test_a_smaller_batch_when_memory_runs_out(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, sizes = LoadedModel.observe, []

    def scarce(self: LoadedModel, batch: torch.Tensor, *args: object, **options: object) -> object:
        sizes.append(len(batch))
        if len(batch) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return plain(self, batch, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(LoadedModel, "observe", scarce)
    found = complete(collect_units(model, made(21, broken=(1, 2)), ["relu:1"], folder=tmp_path))["relu:1"]
    monkeypatch.undo()
    pictures = [0, *range(3, 21)]
    assert_it_is_brute_force(found, maps_of(model, pictures)["relu:1"], pictures)
    assert max(sizes) == 8 and 2 in sizes


def test_what_cannot_be_collected(model: LoadedModel, tmp_path: Path) -> None:
    def run(**changed: object) -> dict[str, UnitStatistics]:
        options: dict = {"source": made(3), "layers": ["conv1"], "folder": tmp_path, **changed}
        return complete(collect_units(model, **options))

    with pytest.raises(UnknownName, match='Layer "conv9" is not in Trap'):
        run(layers=["conv1", "conv9"])
    for top in (0, -1, 1001):
        with pytest.raises(BadInput, match="pictures cannot be kept for each channel; choose 1 to 1,000"):
            run(top=top)
    with pytest.raises(BadInput, match='Not one of the 3 pictures of "made" could be read. n0 is damaged.'):
        run(source=made(3, broken=range(3)))
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []
    assert run(layers=[]) == {}


def test_a_layer_that_is_neither_map_nor_vector(tmp_path: Path) -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.unfold, self.head = nn.Conv2d(3, 4, 3), nn.Flatten(2), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.unfold(self.conv(x)).mean(2))

    model = look_into(Tokens(), classes=2)
    with pytest.raises(
        BadInput, match=r'Layer "unfold" answers with shape \[4, 100\], which is neither map nor vector'
    ):
        complete(collect_units(model, made(3), ["unfold"], folder=tmp_path))

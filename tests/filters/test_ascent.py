"""Filter pictures by gradient ascent: what they reach, what they depend on, and what a cancel leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from interpret.errors import BadInput, UnknownName
from interpret.filters import FilterImages, FilterParams, filter_images
from interpret.filters.artist import chunk_size
from interpret.jobs import Progress, complete
from interpret.loading import load_model
from interpret.model import LoadedModel
from interpret.runtime import Memory, choose_runtime
from tests.conftest import REPOSITORY, look_into, nothing_left_behind
from tests.filters.runs import answer, drawn, start


@pytest.mark.parametrize("layer", ["conv1", "bn2", "conv2", "head"])
def test_what_is_reached_rises_above_the_start_and_above_noise(trap: LoadedModel, layer: str) -> None:
    channels = tuple(range(trap.layer(layer).channels))
    found = drawn(trap, layer, channels, steps=120)
    noise = np.random.default_rng(0).random((20, 12, 12, 3)).astype(np.float32)
    best_noise = np.max(
        [answer(trap, layer, np.repeat(picture[None], len(channels), 0), channels) for picture in noise], axis=0
    )
    assert (found.reached > answer(trap, layer, start(trap, channels, 0), channels)).all()
    assert (found.reached > best_noise).all()


@pytest.mark.parametrize("layer", ["conv1", "bn2"])
def test_the_negative_direction_falls_below_the_start_and_below_noise(trap: LoadedModel, layer: str) -> None:
    channels = tuple(range(trap.layer(layer).channels))
    found = complete(filter_images(trap, layer, channels, FilterParams(steps=120, direction="negative")))
    noise = np.random.default_rng(0).random((20, 12, 12, 3)).astype(np.float32)
    least = np.min(
        [answer(trap, layer, np.repeat(picture[None], len(channels), 0), channels) for picture in noise], axis=0
    )
    assert (found.reached < answer(trap, layer, start(trap, channels, 0), channels)).all()
    assert (found.reached < least).all()
    with pytest.raises(UnknownName, match='Direction "sideways" is not in the directions'):
        FilterParams(direction="sideways")  # type: ignore[arg-type]


def test_a_channel_that_is_silent_already_is_left_alone_by_the_negative_direction() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 5))
    network[0].weight.data.zero_()
    network[0].bias.data.fill_(-1.0)
    model = look_into(network, 5)
    found = complete(filter_images(model, "1", (0,), FilterParams(steps=15, direction="negative")))
    np.testing.assert_allclose(found.planes[0], start(model, (0,), 0)[0], atol=1e-6)
    assert found.reached[0] == 0


def test_what_is_said_to_be_reached_is_what_the_picture_gives(trap: LoadedModel) -> None:
    found = drawn(trap, "conv2", (4, 1), steps=5)
    np.testing.assert_allclose(found.reached, answer(trap, "conv2", found.pictures, (4, 1)), atol=1e-5)


def test_more_steps_reach_more(trap: LoadedModel) -> None:
    few, many = (drawn(trap, "bn2", (0, 3, 5), steps=steps).reached for steps in (4, 80))
    assert (many > few).all()


def test_the_result_is_raw_and_complete(trap: LoadedModel) -> None:
    found = drawn(trap, "conv1", (5, 0), steps=3, seed=7)
    assert found.pictures.shape == (2, 12, 12, 3) and found.pictures.dtype == np.float32
    assert found.pictures.min() >= 0 and found.pictures.max() <= 1 and np.ptp(found.pictures) > 0.01
    assert found.opacity is None and found.planes.shape == (2, 12, 12, 3)
    assert (found.channels, found.steps, found.layer) == ((5, 0), 3, trap.layer("conv1"))
    assert found.params == FilterParams(steps=3, seed=7)
    for array in (found.planes, found.reached):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_the_seed_decides(trap: LoadedModel) -> None:
    first, again, other = (drawn(trap, "conv2", (0, 1), steps=10, seed=seed).pictures for seed in (1, 1, 2))
    np.testing.assert_allclose(first, again, atol=1e-6)
    assert np.abs(first - other).max() > 0.05
    torch.manual_seed(99)
    np.random.seed(99)
    np.testing.assert_allclose(drawn(trap, "conv2", (0, 1), steps=10, seed=1).pictures, first, atol=1e-6)


def test_each_channel_starts_from_its_own_picture(trap: LoadedModel) -> None:
    channels = (0, 2, 3)
    first = [drawn(trap, "conv1", channels, steps=1, learning_rate=0.001, seed=seed).pictures for seed in (0, 6)]
    for found, seed in zip(first, (0, 6), strict=True):
        alike = np.corrcoef(np.concatenate([found.reshape(3, -1), start(trap, channels, seed).reshape(3, -1)]))
        assert (alike[:3, 3:].diagonal() > 0.9).all()
        assert np.abs(alike[np.triu_indices(3, 1)]).max() < 0.7


@pytest.mark.parametrize("layer", ["conv2", "relu:1"])
def test_a_channels_picture_does_not_depend_on_the_others(trap: LoadedModel, layer: str) -> None:
    alone = drawn(trap, layer, (2,), steps=12).pictures[0]
    for channels in ((2, 3), (5, 4, 2), tuple(range(6))):
        together = drawn(trap, layer, channels, steps=12).pictures[channels.index(2)]
        np.testing.assert_allclose(together, alone, atol=1e-3)


def test_it_does_not_depend_on_the_chunk_either(trap: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    channels = tuple(range(6))
    whole = drawn(trap, "conv2", channels, steps=8)
    monkeypatch.setattr("interpret.filters.artist.chunk_size", lambda *_: 4)
    parts = drawn(trap, "conv2", channels, steps=8)
    np.testing.assert_allclose(parts.pictures, whole.pictures, atol=1e-3)
    np.testing.assert_allclose(parts.reached, whole.reached, atol=1e-3)


@pytest.mark.parametrize("method", ["fourier", "maco", "pixels"])
def test_a_run_that_was_watched_gives_the_same(trap: LoadedModel, method: str) -> None:
    """Previews are copies that nobody writes to, and the consumer may change the grad mode between steps."""
    job = filter_images(trap, "conv2", (0, 1), FilterParams(method, steps=8))  # type: ignore[arg-type]
    while True:
        try:
            with torch.no_grad():
                progress = next(job)
        except StopIteration as stop:
            found = stop.value
            break
        preview = progress.preview
        if preview is None:  # not every pass is the last of a step
            continue
        assert isinstance(preview, FilterImages) and preview.ascent is not None
        with pytest.raises(ValueError, match="read-only"):
            preview.planes[:] = 0
        for state in (preview.ascent.values, preview.ascent.mean, preview.ascent.square):
            state.fill_(7.0)
        if preview.ascent.attribution is not None:
            preview.ascent.attribution.fill_(7.0)
    same = drawn(trap, "conv2", (0, 1), method=method, steps=8)
    np.testing.assert_allclose(found.planes, same.planes, atol=1e-6)
    if method == "maco":
        np.testing.assert_allclose(found.opacity, same.opacity, atol=1e-6)


def test_progress_and_previews(trap: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interpret.filters.artist.chunk_size", lambda *_: 4)
    seen: list[Progress] = []
    complete(filter_images(trap, "conv2", range(6), FilterParams(steps=48)), seen.append)
    assert [progress.step for progress in seen] == [6 * step + done for step in range(48) for done in (4, 6)] + [288]
    assert {progress.total for progress in seen} == {288}
    assert seen[-2].note == "step 48 of 48" and seen[-1].note == "measuring what the pictures reach"
    previews = [progress.preview for progress in seen if progress.preview is not None]
    assert len(previews) == 24
    assert all(isinstance(preview, FilterImages) and preview.pictures.shape == (6, 12, 12, 3) for preview in previews)
    assert np.isnan(previews[0].reached).all() and previews[0].steps < previews[-1].steps  # type: ignore[attr-defined]
    assert not np.allclose(previews[0].pictures, previews[-1].pictures, atol=0.01)  # type: ignore[attr-defined]


def test_cancelling_at_every_step_leaves_nothing_behind(trap: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interpret.filters.artist.chunk_size", lambda *_: 2)
    for stop in range(13):
        with nothing_left_behind(trap):
            job = filter_images(trap, "conv2", range(6), FilterParams(steps=4))
            for _ in range(stop):
                next(job)
                assert torch.is_grad_enabled() and trap.runtime._passes._value > 0  # type: ignore[attr-defined]
            job.close()
            assert next(job, None) is None


def test_nothing_is_held_while_the_job_waits(trap: LoadedModel) -> None:
    """Between two steps no grad mode, recording or place for a pass is held, whatever the consumer's mode."""
    for mode in (torch.no_grad, torch.enable_grad, torch.inference_mode):
        job = filter_images(trap, "conv2", (0,), FilterParams(steps=3))
        next(job)
        with mode(), nothing_left_behind(trap):
            if mode is not torch.inference_mode:
                next(job)
        job.close()


def test_an_error_in_the_middle_leaves_nothing_behind(trap: LoadedModel) -> None:
    class Stop(Exception):
        pass

    def report(progress: Progress) -> None:
        if progress.step == 2:
            raise Stop

    with nothing_left_behind(trap), pytest.raises(Stop):
        complete(filter_images(trap, "conv2", (0,), FilterParams(steps=5)), report)


@pytest.mark.parametrize("channels", [(6,), (-1,), (0, 99), ()])
def test_channels_that_do_not_exist(trap: LoadedModel, channels: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match=r'Layer "conv2" has channels 0 to 5; found \['):
        drawn(trap, "conv2", channels, steps=1)


def test_layers_that_do_not_exist(trap: LoadedModel) -> None:
    with pytest.raises(UnknownName, match=r'Layer "conv22" is not in Trap. The nearest names are "conv2"'):
        drawn(trap, "conv22", (0,), steps=1)


def test_a_real_networks_channels_answer_their_own_pictures_most(real_model: Callable[[str], LoadedModel]) -> None:
    """The picture drawn for a first-layer channel excites it more than the pictures drawn for others do."""
    model = real_model("resnet18")
    channels = (1, 8, 20)
    found = drawn(model, "relu", channels, steps=16)
    for index, channel in enumerate(channels):
        all_answers = answer(model, "relu", found.pictures, (channel,) * 3)
        assert all_answers.argmax() == index


@pytest.mark.parametrize(("side", "pictures"), [(32, 16), (64, 16), (128, 12), (224, 4), (448, 1), (2000, 1)])
def test_a_pass_on_a_cpu_stays_short(trap: LoadedModel, side: int, pictures: int) -> None:
    assert chunk_size(trap, side, side) == pictures


@pytest.mark.parametrize(("work", "pictures"), [(0, 4), (4 * 10**9, 4), (8 * 10**9, 2), (21 * 10**9, 1)])
def test_a_pass_of_a_heavy_network_takes_fewer_pictures(trap: LoadedModel, work: int, pictures: int) -> None:
    assert chunk_size(trap, 224, 224, work) == pictures


@pytest.mark.parametrize(("free", "pictures"), [(10**4, 1), (10**7, 30), (10**10, 512)])
def test_a_pass_on_a_gpu_fills_half_of_the_free_memory(trap: LoadedModel, free: int, pictures: int) -> None:
    """Eight bytes for each number the layers answer: the trap's are 6 maps of 6 x 12 x 12, 6 + 6 numbers and 5."""
    runtime = SimpleNamespace(device=SimpleNamespace(type="cuda"), memory=lambda: Memory(10**9, 10**9 + free))
    model = replace(trap, runtime=runtime)  # type: ignore[arg-type]
    assert chunk_size(model, 24, 24, 10**12, trap.layers) == pictures


def test_pictures_of_another_side_than_the_networks_own(trap: LoadedModel) -> None:
    found = drawn(trap, "conv2", (0, 3), steps=24, side=20)
    assert found.pictures.shape == (2, 20, 20, 3)
    np.testing.assert_allclose(found.reached, answer(trap, "conv2", found.pictures, (0, 3)), rtol=1e-4)
    first = drawn(trap, "conv2", (0, 3), steps=1, side=20)
    assert (found.reached > first.reached).all()
    own = drawn(trap, "conv2", (0, 3), steps=24)
    assert own.pictures.shape == (2, 12, 12, 3)


def test_a_side_the_network_cannot_take_is_refused_in_a_sentence() -> None:
    class Narrow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide = nn.Conv2d(3, 4, 25)
            self.head = nn.Linear(4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.wide(x).mean((2, 3)))

    model = look_into(Narrow(), 5, (32, 32))
    assert drawn(model, "wide", (0,), steps=1).pictures.shape == (1, 32, 32, 3)
    with pytest.raises(
        BadInput, match="does not get as far as channel 0 of wide with pictures of 16 pixels; its own size is 32"
    ):
        drawn(model, "wide", (0,), steps=1, side=16)


def test_channels_that_redirecting_cannot_wake_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(REPOSITORY / "checkpoints" / "shapes-clean.safetensors")
    channels = (7, 10, 20, 54)
    found = drawn(model, "layer3", channels, steps=40)
    assert (found.reached > 0).all() and found.planes.std((1, 2, 3)).max() < 0.3, "noise of full contrast"
    monkeypatch.setattr("interpret.filters.artist.REDRAWS", 0)
    assert (drawn(model, "layer3", channels, steps=40).reached == 0).any()


def test_what_is_reached_is_measured_in_smaller_passes_where_memory_is_short(
    trap: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, trace, refused = drawn(trap, "conv2", (0, 1, 2), steps=2), LoadedModel.trace, []

    def narrow(self: LoadedModel, batch: torch.Tensor, *rest: Any, **options: Any) -> Any:
        if self is trap and len(batch) > 1:  # ascents run on a folded copy
            refused.append(len(batch))
            raise torch.OutOfMemoryError("out of memory")
        return trace(self, batch, *rest, **options)

    monkeypatch.setattr(LoadedModel, "trace", narrow)
    found = drawn(trap, "conv2", (0, 1, 2), steps=2)
    assert refused
    np.testing.assert_allclose(found.reached, expected.reached, rtol=1e-4)


# ---- bfloat16 -----------------------------------------------------------------------------------------------------


def test_bfloat16_only_where_the_network_is(real_model: Callable[[str], LoadedModel]) -> None:
    """Inside, convolutions answer in bfloat16; what they are given, what is reached, and pictures stay float32."""
    model = real_model("cifar_resnet56")
    runtime = replace(model.runtime, has_bfloat16=True)
    rounding = replace(model, runtime=runtime)
    fast = rounding.folded(["layer1.0.conv1"])
    with runtime.rounded():
        tape = fast.trace(torch.rand(1, 3, 32, 32), ["layer1.0.conv1"], until="layers")
    assert tape["layer1.0.conv1"].dtype == torch.bfloat16
    params = FilterParams(steps=24)
    rounded = complete(filter_images(rounding, "layer2", range(4), params))
    plain = replace(model, runtime=replace(runtime, has_bfloat16=False))
    exact = complete(filter_images(plain, "layer2", range(4), params))
    assert rounded.planes.dtype == rounded.reached.dtype == np.float32
    own = answer(model, "layer2", rounded.planes, rounded.channels)
    np.testing.assert_allclose(rounded.reached, own, rtol=1e-4)
    assert not np.array_equal(rounded.planes, exact.planes)
    np.testing.assert_allclose(rounded.reached, exact.reached, rtol=0.15)


def test_without_native_bfloat16_everything_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False, raising=False)
    monkeypatch.setattr("interpret.runtime._shared", {})
    runtime = choose_runtime("cpu")
    assert not runtime.has_bfloat16
    with runtime.rounded():
        assert (torch.rand(2, 2) @ torch.rand(2, 2)).dtype == torch.float32

"""Ascents that go on, run out of memory, run beside others or end early: the pictures are the same."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from interpret.errors import BadInput, Unavailable, UnknownName
from interpret.filters import Drawing, FilterImages, FilterParams, class_images, draw, filter_images
from interpret.filters.objectives import Answers, Objective, channel, diverse
from interpret.jobs import Progress, complete
from interpret.model import LoadedModel
from tests.conftest import nothing_left_behind
from tests.filters.runs import answer, drawn

each_method = pytest.mark.parametrize("method", ["fourier", "maco", "pixels"])
CHANNELS = (4, 0, 1)


def assert_same(one: Drawing, other: Drawing, tolerance: float = 0.0) -> None:
    np.testing.assert_allclose(one.planes, other.planes, atol=tolerance, rtol=0)
    np.testing.assert_allclose(one.reached, other.reached, atol=tolerance, rtol=0)
    assert (one.opacity is None) == (other.opacity is None) and one.steps == other.steps
    if one.opacity is not None and other.opacity is not None:
        np.testing.assert_allclose(one.opacity, other.opacity, atol=tolerance, rtol=0)


# ---- going on -----------------------------------------------------------------------------------------------------


@each_method
def test_eight_steps_and_twelve_more_are_twenty(trap: LoadedModel, method: Any) -> None:
    whole = drawn(trap, "conv2", CHANNELS, method=method, steps=20)
    first = drawn(trap, "conv2", CHANNELS, method=method, steps=8)
    before = first.planes.copy()
    seen: list[Progress] = []
    job = filter_images(trap, "conv2", CHANNELS, FilterParams(method, steps=20), after=first)
    assert_same(complete(job, seen.append), whole)
    assert 24 < seen[0].step <= 27 and seen[-1].step == seen[-1].total == 60
    assert np.array_equal(first.planes, before)  # what it went on from is as it was, and may be gone on from again
    again = filter_images(trap, "conv2", CHANNELS, FilterParams(method, steps=20), after=first)
    assert_same(complete(again), whole)


def test_an_unfinished_preview_can_be_gone_on_from(trap: LoadedModel) -> None:
    params = FilterParams("maco", steps=20)
    job = filter_images(trap, "conv2", CHANNELS, params)
    previews = [progress.preview for progress, _ in zip(job, range(6), strict=False) if progress.preview is not None]
    job.close()
    last = previews[-1]
    assert isinstance(last, FilterImages) and 0 < last.steps < 20
    assert_same(
        complete(filter_images(trap, "conv2", CHANNELS, params, after=last)),
        complete(filter_images(trap, "conv2", CHANNELS, params)),
    )


def test_where_the_state_was_not_kept_it_begins_anew(trap: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = drawn(trap, "conv2", CHANNELS, steps=12)
    monkeypatch.setattr("interpret.filters.artist._KEPT_BYTES", 0)
    first = drawn(trap, "conv2", CHANNELS, steps=8)
    assert first.ascent is None
    assert_same(complete(filter_images(trap, "conv2", CHANNELS, FilterParams(steps=12), after=first)), whole)


def test_with_no_steps_left_it_is_what_it_was(trap: LoadedModel) -> None:
    first = drawn(trap, "conv2", CHANNELS, steps=8)
    assert_same(complete(filter_images(trap, "conv2", CHANNELS, FilterParams(steps=8), after=first)), first)


@pytest.mark.parametrize(
    ("layer", "channels", "params"),
    [
        ("conv2", CHANNELS, {"seed": 1}),
        ("conv2", CHANNELS, {"method": "pixels"}),
        ("conv2", CHANNELS, {"direction": "negative"}),
        ("conv2", CHANNELS, {"side": 16}),
        ("conv2", CHANNELS, {"learning_rate": 0.1}),
        ("conv2", (4, 0), {}),
        ("conv2", (4, 0, 2), {}),
        ("conv1", CHANNELS, {}),
    ],
)
def test_an_ascent_does_not_go_on_with_something_else(
    trap: LoadedModel, layer: str, channels: tuple[int, ...], params: dict[str, Any]
) -> None:
    first = drawn(trap, "conv2", CHANNELS, steps=2)
    with pytest.raises(BadInput, match="can only go on with what it was begun with; only the steps may differ"):
        complete(filter_images(trap, layer, channels, FilterParams(steps=4, **params), after=first))


def test_steps_are_not_taken_back(trap: LoadedModel) -> None:
    first = drawn(trap, "conv2", CHANNELS, steps=8)
    with pytest.raises(BadInput, match="8 steps are done already; asked for were 4"):
        complete(filter_images(trap, "conv2", CHANNELS, FilterParams(steps=4), after=first))


# ---- beside others ------------------------------------------------------------------------------------------------


@each_method
def test_two_threads_at_once_get_what_one_gets(trap: LoadedModel, method: Any) -> None:
    asked = [("conv2", CHANNELS), ("relu:1", (5, 3))]
    alone = [drawn(trap, layer, channels, method=method, steps=10) for layer, channels in asked]
    found: dict[int, FilterImages] = {}

    def run(index: int) -> None:
        layer, channels = asked[index % 2]
        found[index] = drawn(trap, layer, channels, method=method, steps=10)

    with nothing_left_behind(trap):
        threads = [threading.Thread(target=run, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 4
    for index, one in found.items():
        assert_same(one, alone[index % 2], 1e-4)


def test_streams_say_whose_random_numbers_a_picture_has(trap: LoadedModel) -> None:
    job = draw(trap, channel("conv2", 1), 3, FilterParams(steps=3), streams=(7, 8, 7))
    planes = complete(job).planes
    np.testing.assert_allclose(planes[0], planes[2], atol=1e-6)
    assert np.abs(planes[0] - planes[1]).max() > 0.01


# ---- out of memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "fits"), [("fourier", 2), ("pixels", 1), ("maco", 12)])
def test_out_of_memory_halves_the_chunk_and_gives_the_same(
    trap: LoadedModel, monkeypatch: pytest.MonkeyPatch, method: Any, fits: int
) -> None:
    channels = tuple(range(6))
    whole = drawn(trap, "conv2", channels, method=method, steps=5)
    plain, sizes = LoadedModel.trace, []

    def trace(self: LoadedModel, batch: torch.Tensor, *rest: Any, **options: Any) -> Any:
        sizes.append(len(batch))
        if len(batch) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return plain(self, batch, *rest, **options)

    monkeypatch.setattr(LoadedModel, "trace", trace)
    monkeypatch.setattr("interpret.filters.artist.chunk_size", lambda *_: 48)
    parts = drawn(trap, "conv2", channels, method=method, steps=5)
    assert_same(parts, whole, 1e-4)
    refused = [size for size in sizes if size > fits]
    assert refused == sorted(refused, reverse=True) and sizes[: len(refused)] == refused  # once, at the beginning


def test_a_group_that_does_not_fit_is_said(trap: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def trace(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(LoadedModel, "trace", trace)
    for starts in (1, 2):
        with pytest.raises(Unavailable, match="too little memory"):
            drawn(trap, "conv2", (0,), steps=1, starts=starts)


def test_any_other_error_is_not_swallowed(trap: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def trace(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a driver went away")

    monkeypatch.setattr(LoadedModel, "trace", trace)
    with pytest.raises(RuntimeError, match="a driver went away"):
        drawn(trap, "conv2", (0,), steps=1)


# ---- ending early -------------------------------------------------------------------------------------------------


@each_method
def test_cancelling_at_every_step_leaves_nothing_behind(
    trap: LoadedModel, monkeypatch: pytest.MonkeyPatch, method: Any
) -> None:
    monkeypatch.setattr("interpret.filters.artist.chunk_size", lambda *_: 12)
    for stop in range(9):
        with nothing_left_behind(trap):
            job = filter_images(trap, "conv2", (0, 1, 2), FilterParams(method, steps=2, starts=2))
            for _, _ in zip(range(stop), job, strict=False):
                assert torch.is_grad_enabled()
            job.close()


# ---- several starts, and classes ----------------------------------------------------------------------------------


def test_with_several_starts_the_channels_activation_is_what_is_reached(trap: LoadedModel) -> None:
    found = drawn(trap, "conv2", (4, 1), steps=10, starts=3)
    assert found.channels == (4, 4, 4, 1, 1, 1) and found.objective.endswith("diverse")
    np.testing.assert_allclose(found.reached, answer(trap, "conv2", found.planes, found.channels), atol=1e-5)


def test_the_first_of_several_starts_is_the_only_one_of_one(trap: LoadedModel) -> None:
    """In a layer of vectors nothing is driven apart, so they differ by where they begin alone."""
    one = drawn(trap, "head", (2, 3), steps=6)
    several = drawn(trap, "head", (2, 3), steps=6, starts=2)
    np.testing.assert_allclose(several.planes[[0, 2]], one.planes, atol=1e-4)
    assert np.abs(several.planes[1] - several.planes[0]).max() > 0.02


def test_a_diverse_objective_is_driven_as_it_is_and_reported_without_diversity(trap: LoadedModel) -> None:
    made = diverse(channel("conv2", 1), "conv2", 2)
    without = replace(made, reported=None)
    one, other = (complete(draw(trap, objective, 2, FilterParams(steps=6))) for objective in (made, without))
    assert np.array_equal(one.planes, other.planes)
    np.testing.assert_allclose(one.reached, answer(trap, "conv2", one.planes, (1, 1)), atol=1e-5)
    assert np.abs(one.reached - other.reached).max() > 0.01


def test_class_pictures_raise_their_score_and_are_the_same_again(trap: LoadedModel) -> None:
    first, last, again = (complete(class_images(trap, (3, 0), FilterParams(steps=n))) for n in (1, 60, 60))
    assert (last.reached > first.reached).all() and np.array_equal(last.planes, again.planes)
    assert last.objective == "class 3, 0"
    batch = trap.preprocess.from_planes(torch.from_numpy(last.planes.copy()).permute(0, 3, 1, 2))
    scores = trap.observe(batch).scores
    assert scores is not None
    np.testing.assert_allclose(last.reached, [scores[0, 3], scores[1, 0]], atol=1e-5)
    alone = complete(class_images(trap, (0,), FilterParams(steps=60)))
    np.testing.assert_allclose(alone.planes[0], last.planes[1], atol=1e-3)
    with pytest.raises(UnknownName, match='Class "5" is not in 0 to 4'):
        complete(class_images(trap, (5,), FilterParams(steps=1)))


def test_an_objective_that_needs_no_scores_is_not_given_them(trap: LoadedModel) -> None:
    seen: list[Any] = []

    def value(a: Answers) -> torch.Tensor:
        seen.append(a.scores)
        return a["conv1"].mean((1, 2, 3))

    complete(draw(trap, Objective("made", frozenset(("conv1",)), value), 1, FilterParams(steps=2)))
    assert seen == [None] * 3

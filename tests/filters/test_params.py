"""How pictures are drawn, out of range and in words; and pictures to look at from planes of any number."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from interpret.errors import BadInput, UnknownName
from interpret.filters import METHODS, Drawing, FilterParams


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"steps": 0}, "steps must lie between 1 and 4096; found 0"),
        ({"steps": 10**9}, "steps must lie"),
        ({"learning_rate": -0.5}, r"learning_rate must lie between 0.0 and 100.0; found -0.5"),
        ({"learning_rate": 101.0}, "learning_rate must lie"),
        ({"learning_rate": 0.0001}, "learning_rate must be 0 or lie between 0.001 and 100; found 0.0001"),
        ({"learning_rate": float("nan")}, "learning_rate must lie"),
        ({"seed": -1}, "seed must lie"),
        ({"side": 15}, "side must be 0 or lie between 16 and 2048; found 15"),
        ({"side": 4096}, "side must lie"),
        ({"starts": 0}, "starts must lie between 1 and 8; found 0"),
        ({"starts": 9}, "starts must lie"),
    ],
)
def test_parameters_out_of_their_range(wrong: dict[str, float], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        FilterParams(**wrong)  # type: ignore[arg-type]


def test_methods_and_directions_that_do_not_exist() -> None:
    with pytest.raises(UnknownName, match='Direction "sideways" is not in the directions'):
        FilterParams(direction="sideways")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match='Method "furier" is not in the ways of drawing. .*"fourier"'):
        FilterParams(method="furier")  # type: ignore[arg-type]


def test_the_edges_of_the_ranges_are_taken() -> None:
    FilterParams(steps=1, learning_rate=0.001, side=16, starts=8)
    FilterParams(steps=4096, learning_rate=100, seed=2**31 - 1, side=2048)


def test_every_method_can_be_chosen_and_says_what_it_is() -> None:
    field = next(field for field in dataclasses.fields(FilterParams) if field.name == "method")
    assert field.metadata["choices"] == tuple(method.key for method in METHODS)
    for method in METHODS:
        assert FilterParams(method.key).method == method.key
        assert method.title and method.about.endswith(".") and any(year in method.source for year in ("2017", "202"))


@pytest.mark.parametrize("planes", [1, 2, 3, 4, 5])
def test_pictures_to_look_at_are_rgb(planes: int) -> None:
    values = np.random.default_rng(0).random((2, 4, 6, planes)).astype(np.float32)
    drawing = Drawing(values, None, np.zeros(2, np.float32), "", FilterParams(), 1, None)
    found = drawing.pictures
    assert found.shape == (2, 4, 6, 3) and found.dtype == np.float32
    if planes == 1:
        assert all(np.array_equal(found[..., colour], values[..., 0]) for colour in range(3))
    elif planes == 2:
        np.testing.assert_array_equal(found[..., :2], values)
        np.testing.assert_allclose(found[..., 2], (values[..., 0] + values[..., 1]) / 2, rtol=1e-6)
    else:
        np.testing.assert_array_equal(found, values[..., :3])

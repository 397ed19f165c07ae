"""Limits are settings: each has a default, a variable that changes it, and a sentence for a value that is none."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from interpret.errors import BadInput
from interpret.images import InputImage
from interpret.limits import VARIABLES, Limits, limits
from tests.conftest import encoded


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)


def test_every_limit_has_a_documented_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits() == Limits()
    for number, field in enumerate(fields(Limits), 7):
        assert f"{field.name}:" in (Limits.__doc__ or "") and VARIABLES[field.name] in (Limits.__doc__ or "")
        monkeypatch.setenv(VARIABLES[field.name], f" {number}_000 ")
        assert getattr(limits(), field.name) == number * 1000


@pytest.mark.parametrize("value", ["0", "-1", "4 GiB", "1e9", "1.5", "²", "9" * 17, "9" * 10_000, str(2**53 + 1)])
def test_values_that_are_no_limit(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOUPE_MAX_TENSORS", value)
    with pytest.raises(BadInput, match=r"LOUPE_MAX_TENSORS is \".{1,40}\"; set it .* \(the default is 20000\)\.$"):
        limits()


def test_pixels_of_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = encoded(np.zeros((1000, 500, 3), np.uint8))
    assert InputImage.from_bytes(picture, "a.png").height == 1000
    monkeypatch.setenv("LOUPE_MAX_PIXELS", "400_000")
    with pytest.raises(BadInput, match=r"1000 = 0\.5 megapixels; pictures must have fewer than 0\.4\."):
        InputImage.from_bytes(picture, "a.png")

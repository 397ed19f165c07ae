"""One family of errors, each a sentence to show as it stands."""

from __future__ import annotations

import pytest

from interpret.channels import channel_numbers
from interpret.errors import BadCheckpoint, BadInput, InterpretError, Unavailable, UnknownName, unknown


def test_one_family() -> None:
    for kind in (BadCheckpoint, BadInput, Unavailable, UnknownName):
        assert issubclass(kind, InterpretError)
    assert not issubclass(InterpretError, ValueError | OSError)


def test_the_sentence_of_the_plan() -> None:
    layers = ["conv1", "bn1", "layer1", "layer4", "layer4.0", "layer4.1", "fc"]
    error = unknown("Layer", "layer5", "ResNet-18", layers)
    assert isinstance(error, UnknownName)
    assert str(error).startswith('Layer "layer5" is not in ResNet-18. The nearest names are "layer')
    assert '"layer4"' in str(error)


def test_one_near_name_none_and_none_at_all() -> None:
    assert str(unknown("Class", "dgo", "X", ["dog", "eel"])) == 'Class "dgo" is not in X. The nearest name is "dog".'
    assert '"alpha", "beta"' in str(unknown("Class", "zzz", "X", ["alpha", "beta"]))
    assert str(unknown("Class", "9", "0 to 4", ())) == 'Class "9" is not in 0 to 4.'


@pytest.mark.parametrize(
    ("text", "channels", "expected"),
    [
        ("0-3", 8, (0, 1, 2, 3)),
        ("5", 8, (5,)),
        ("0-1, 5,3-4", 8, (0, 1, 5, 3, 4)),
        ("0-15", 6, (0, 1, 2, 3, 4, 5)),
        ("2,2,1-3", 8, (2, 1, 3)),
        (" 1 - 2 ", 8, (1, 2)),
    ],
)
def test_channel_numbers(text: str, channels: int, expected: tuple[int, ...]) -> None:
    assert channel_numbers(text, channels) == expected


@pytest.mark.parametrize(
    "text", ["", ",", "a", "-1", "1-", "3-1", "0-0x3", "8", "9-12", "1.5", "²", "0-²", "9" * 6000, "1--2", "1-2-3"]
)
def test_texts_that_name_no_channels(text: str) -> None:
    with pytest.raises(BadInput, match="names no channels|does not exist"):
        channel_numbers(text, 8)

"""Channel numbers as people write them."""

from __future__ import annotations

import re

from interpret.errors import BadInput


def channel_numbers(text: str, channels: int, one: str = "channel", whole: str = "the layer") -> tuple[int, ...]:
    """The channels of a text such as "0-7, 12", each once, in the order written; a range is cut at the last channel.

    Args:
        text: numbers and ranges with both ends in, separated by commas.
        channels: how many the layer has.
        one, whole: what is counted, and what has them.

    Raises:
        BadInput: no such text, or a channel that does not exist.
    """
    plural = f"{one}{'es' if one.endswith('s') else 's'}"
    found: list[int] = []
    for part in text.replace(" ", "").split(","):
        if not re.fullmatch(r"[0-9]{1,8}(-[0-9]{1,8})?", part):
            raise BadInput(f'"{text}" names no {plural}; write numbers and ranges, as in "0-7,12".')
        first, _, last = part.partition("-")
        if int(first) >= channels:
            raise BadInput(f"{one.title()} {first} does not exist; {whole} has {plural} 0 to {channels - 1}.")
        found += range(int(first), min(int(last or first), channels - 1) + 1)
    if not found:
        raise BadInput(f'"{text}" names no {plural}; write numbers and ranges, as in "0-7,12".')
    return tuple(dict.fromkeys(found))

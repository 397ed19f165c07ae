"""How much a file may ask for: the settings, their defaults and the environment variables that change them."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields

from interpret.errors import BadInput


@dataclass(frozen=True)
class Limits:
    """What a file may cost at most. Each is a whole number above zero; the variable that sets it is in brackets.

    Attributes:
        checkpoint_bytes: size of a checkpoint, of all its shards together (LOUPE_MAX_CHECKPOINT_BYTES; 4 GiB).
        tensors: named tensors in a checkpoint (LOUPE_MAX_TENSORS; 20,000).
        parameters: numbers in all tensors of a checkpoint together (LOUPE_MAX_PARAMETERS; 2,000,000,000).
        pixels: height x width of a picture (LOUPE_MAX_PIXELS; 40,000,000).
        read_seconds: processor seconds for reading a checkpoint. Small files get fewer: 5 and one for every 10 MiB
            (LOUPE_READ_SECONDS; 60).
        read_memory_bytes: memory for reading a checkpoint beyond three times the file's size
            (LOUPE_READ_MEMORY_BYTES; 1 GiB).
    """

    checkpoint_bytes: int = 4 * 2**30
    tensors: int = 20_000
    parameters: int = 2_000_000_000
    pixels: int = 40_000_000
    read_seconds: int = 60
    read_memory_bytes: int = 2**30


VARIABLES = {
    "checkpoint_bytes": "LOUPE_MAX_CHECKPOINT_BYTES",
    "tensors": "LOUPE_MAX_TENSORS",
    "parameters": "LOUPE_MAX_PARAMETERS",
    "pixels": "LOUPE_MAX_PIXELS",
    "read_seconds": "LOUPE_READ_SECONDS",
    "read_memory_bytes": "LOUPE_READ_MEMORY_BYTES",
}


def limits() -> Limits:
    """The limits as the environment sets them now.

    Raises:
        BadInput: a variable holds something else than a whole number from 1 to 2^53.
    """
    changed: dict[str, int] = {}
    for field in fields(Limits):
        variable = VARIABLES[field.name]
        text = os.environ.get(variable, "").strip().replace("_", "")
        if not text:
            continue
        if not (text.isascii() and text.isdigit() and len(text) <= 16 and 1 <= int(text) <= 2**53):
            raise BadInput(
                f'The environment variable {variable} is "{os.environ[variable][:40]}"; '
                f"set it to a whole number above 0 (the default is {getattr(Limits, field.name)})."
            )
        changed[field.name] = int(text)
    return Limits(**changed)

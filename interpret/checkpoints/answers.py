"""What a reading process wrote, checked as if a stranger had sent it, and the tensors opened from it.

The one place where the app's own process touches what came out of a file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from interpret.checkpoints.tensor_file import header_of
from interpret.errors import BadCheckpoint, InterpretError, UnknownName
from interpret.limits import Limits

MAX_ANSWER_BYTES = 64 * 2**20
MAX_SENTENCE = 2000
_ERRORS: dict[str, type[InterpretError]] = {"BadCheckpoint": BadCheckpoint, "UnknownName": UnknownName}


def read_answer(folder: Path, name: str, limit: Limits) -> tuple[Mapping[str, Any], list[torch.Tensor]]:
    """A child's answer and the tensors it wrote, in the order of the answer's names.

    The file of tensors is mapped into memory and its name removed at once: nobody can change it afterwards.

    Raises:
        BadCheckpoint, UnknownName: the child says so, or what it wrote is not what was asked for.
    """
    try:
        with (folder / "answer.json").open("rb") as file:
            text = file.read(MAX_ANSWER_BYTES + 1)
        answer = json.loads(text) if len(text) <= MAX_ANSWER_BYTES else None
    except (OSError, ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise _senseless(name)
    if "error" in answer:
        kind, sentence = _ERRORS.get(str(answer["error"])), answer.get("sentence")
        if kind is None or not isinstance(sentence, str):
            raise _senseless(name)
        raise kind(" ".join(sentence.split())[:MAX_SENTENCE])
    _check(answer, name, limit)
    return answer, _open(folder / "tensors.safetensors", len(answer["names"]), name, limit)


def _senseless(name: str) -> BadCheckpoint:
    return BadCheckpoint(f'"{name}" could not be read: the reading process gave no answer that makes sense. Try again.')


def _is_text(value: Any, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest


def _check(answer: dict[str, Any], name: str, limit: Limits) -> None:
    names, parts, metadata, digest = (answer.get(key) for key in ("names", "parts", "metadata", "digest"))
    good = (
        isinstance(names, list)
        and len(names) <= limit.tensors
        and all(_is_text(one, 512) for one in names)
        and len(set(names)) == len(names)
        and isinstance(parts, list)
        and 0 < len(parts) <= 100
        and all(
            isinstance(one, list) and len(one) == 3 and _is_text(one[0], 512) and type(one[1]) is type(one[2]) is int
            for one in parts
        )
        and isinstance(metadata, dict)
        and all(_is_text(value, 4 * 2**20) for value in metadata.values())
        and _is_text(answer.get("wrapper"), 512)
        and isinstance(digest, str)
        and re.fullmatch("[0-9a-f]{64}", digest) is not None
    )
    if not good:
        raise _senseless(name)


def _open(path: Path, count: int, name: str, limit: Limits) -> list[torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load, load_file

    try:
        with path.open("rb") as file:
            entries, _, _ = header_of(file, os.fstat(file.fileno()).st_size, limit)
        if entries.keys() != {str(index) for index in range(count)}:
            raise BadCheckpoint("its tensors are not those of the answer")
        if sum(entry.numbers for entry in entries.values()) > limit.parameters:
            raise BadCheckpoint("it is too large")
        if os.name == "nt":  # where a file in use cannot be removed
            tensors = load(path.read_bytes())
        else:
            tensors = load_file(path)
            path.unlink()
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, BadCheckpoint):
        raise _senseless(name) from None
    return [tensors[str(index)] for index in range(count)]

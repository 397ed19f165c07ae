"""Good files with bytes flipped, put in, taken out or cut off: a checkpoint or a sentence comes of it, nothing else."""

from __future__ import annotations

import argparse
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from safetensors.torch import save

from interpret.checkpoints import Checkpoint, read_checkpoint, sandbox
from interpret.errors import BadCheckpoint
from tests.checkpoints.hostile import GOOD, torch_bytes
from tests.checkpoints.test_hostile import assert_clean, private_folder

ROUNDS = 100
TRAINED = {"state_dict": GOOD, "args": argparse.Namespace(model="x"), "epoch": 3, "optimizer": {"state": {0: GOOD}}}
FILES = {
    "zip": torch_bytes(TRAINED),
    "legacy": torch_bytes(TRAINED, _use_new_zipfile_serialization=False),
    "safetensors": save(GOOD, {"arch": "resnet18"}),
}


def damaged(data: bytes, dice: random.Random) -> bytes:
    """The bytes after one to four accidents."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(max(1, len(changed)))
        accident = dice.choice(("flip", "flip", "set", "insert", "remove", "cut", "copy", "number"))
        if not changed:
            break
        if accident == "flip":
            changed[place] ^= 1 << dice.randrange(8)
        elif accident == "set":
            changed[place] = dice.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif accident == "insert":
            changed[place:place] = dice.randbytes(dice.randint(1, 8))
        elif accident == "remove":
            del changed[place : place + dice.randint(1, 8)]
        elif accident == "cut":
            if dice.random() < 0.3:
                del changed[place:]
        elif accident == "copy":
            start = dice.randrange(len(changed))
            changed[place:place] = changed[start : start + dice.randint(1, 64)]
        else:
            changed[place : place + 8] = dice.choice((2**63 - 1, 2**31, 2**32 - 1, 0)).to_bytes(8, "little")
    return bytes(changed)


@pytest.mark.parametrize("kind", FILES)
def test_damaged_files_give_a_checkpoint_or_a_sentence(kind: str) -> None:
    dice = random.Random(f"damage {kind}")
    files = [damaged(FILES[kind], dice) for _ in range(ROUNDS)]

    def outcome(data: bytes) -> Any:
        try:
            return read_checkpoint(data, "it.bin")
        except BadCheckpoint as error:
            return error

    with ThreadPoolExecutor(sandbox.PARALLEL_READS) as pool:
        outcomes = list(pool.map(outcome, files))
    for found in outcomes:
        if isinstance(found, BadCheckpoint):
            assert_clean(str(found))
        else:
            assert isinstance(found, Checkpoint) and len(found.tensors) >= 1
            assert all(type(one) is torch.Tensor for one in found.tensors.values())
    refused = sum(isinstance(found, BadCheckpoint) for found in outcomes)
    assert ROUNDS // 10 < refused < ROUNDS  # the damage bites, and not every bit matters
    if sandbox.FORKS:
        assert list(private_folder().iterdir()) == []

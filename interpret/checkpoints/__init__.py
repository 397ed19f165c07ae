"""Reading checkpoint files: tensors and metadata out of files nobody here wrote, never code."""

from __future__ import annotations

from interpret.checkpoints.reading import SUFFIXES, Checkpoint, Part, read_checkpoint
from interpret.checkpoints.sandbox import warm_up

__all__ = ["SUFFIXES", "Checkpoint", "Part", "read_checkpoint", "warm_up"]

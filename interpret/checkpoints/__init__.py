"""Reading checkpoint files: tensors and metadata out of files nobody here wrote, never code."""

from __future__ import annotations

from interpret.checkpoints.reading import MAX_CHECKPOINT_BYTES, SUFFIXES, Checkpoint, read_checkpoint

__all__ = ["MAX_CHECKPOINT_BYTES", "SUFFIXES", "Checkpoint", "read_checkpoint"]

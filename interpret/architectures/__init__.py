"""Which networks are known, and which of them a set of tensors belongs to."""

from __future__ import annotations

from interpret.architectures.catalogue import Architecture, architecture, architecture_keys
from interpret.architectures.recognition import Candidate, look_under_prefixes, recognise

__all__ = ["Architecture", "Candidate", "architecture", "architecture_keys", "look_under_prefixes", "recognise"]

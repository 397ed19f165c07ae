"""Following one pass through a network, operation by operation: receptive fields, multiply-adds, what feeds what.

Modules tell only what they answer. Where a residual block adds its branches, what an inception module concatenates and
which pixels reach a place is between them, in operations of whatever code stands in `forward`. So a pass is watched
below the modules, at the operations PyTorch really runs; nothing about the network's code is assumed.
"""

from __future__ import annotations

from interpret.flow.following import Follow
from interpret.flow.found import Call, ConvolutionCall, Join, JoinKind, Origin

__all__ = ["Call", "ConvolutionCall", "Follow", "Join", "JoinKind", "Origin"]

"""Whether a heatmap tells what the network does: from the network's own answers, with nothing taken on trust."""

from __future__ import annotations

from interpret.heatmaps.faithfulness.curves import Curve, Curves, curves
from interpret.heatmaps.faithfulness.evidence import Evidence, evidence_job
from interpret.heatmaps.faithfulness.road import road
from interpret.heatmaps.faithfulness.stability import similarity, stability
from interpret.heatmaps.faithfulness.twins import Forgotten, Randomised, randomised
from interpret.heatmaps.faithfulness.verdict import NOT_PROVEN, Verdict, verdict

__all__ = [
    "NOT_PROVEN",
    "Curve",
    "Curves",
    "Evidence",
    "Forgotten",
    "Randomised",
    "Verdict",
    "curves",
    "evidence_job",
    "randomised",
    "road",
    "similarity",
    "stability",
    "verdict",
]

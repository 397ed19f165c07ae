"""What single channels of a network answer to: statistics over a data set, and predictions without a channel."""

from __future__ import annotations

from interpret.units.ablation import AblationResult, ablate_over, without_unit
from interpret.units.collecting import collect_units
from interpret.units.crops import crops
from interpret.units.statistics import ClassStatistics, UnitStatistics

__all__ = [
    "AblationResult",
    "ClassStatistics",
    "UnitStatistics",
    "ablate_over",
    "collect_units",
    "crops",
    "without_unit",
]

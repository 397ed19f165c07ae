"""Ablation: a network with parts of it changed, and what becomes of its predictions."""

from __future__ import annotations

from interpret.ablation.changes import CHANGES, changed, check, edits_of, kind_of, kinds_for
from interpret.ablation.export import export
from interpret.ablation.found import AblationTable
from interpret.ablation.kinds import Change, ChangeKind
from interpret.ablation.parts import branches_of
from interpret.ablation.printed import as_csv, as_latex
from interpret.ablation.smallest import SmallestSet, smallest_set
from interpret.ablation.statistics import Usual, some_images, usual
from interpret.ablation.sweeps import RANKINGS, cascade, each_channel, forgotten, lesions, rank, removal
from interpret.ablation.table import UNCHANGED, ablate, combinations

__all__ = [
    "CHANGES",
    "RANKINGS",
    "UNCHANGED",
    "AblationTable",
    "Change",
    "ChangeKind",
    "SmallestSet",
    "Usual",
    "ablate",
    "as_csv",
    "as_latex",
    "branches_of",
    "cascade",
    "changed",
    "check",
    "combinations",
    "each_channel",
    "edits_of",
    "export",
    "forgotten",
    "kind_of",
    "kinds_for",
    "lesions",
    "rank",
    "removal",
    "smallest_set",
    "some_images",
    "usual",
]

"""Heatmaps of a whole data set: where the network is wrong, and where its map is unfaithful."""

from __future__ import annotations

from interpret.evaluation.evaluating import evaluate_job, shapes_boxes
from interpret.evaluation.found import Evaluation, Totals
from interpret.evaluation.page import told_totals
from interpret.evaluation.report import check_folder, report_archive, report_files, table_rows, write_report

__all__ = [
    "Evaluation",
    "Totals",
    "check_folder",
    "evaluate_job",
    "report_archive",
    "report_files",
    "shapes_boxes",
    "table_rows",
    "told_totals",
    "write_report",
]

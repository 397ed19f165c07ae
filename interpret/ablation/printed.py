"""The table of an ablation study for spreadsheets and papers."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from interpret.ablation.found import AblationTable

_LATEX = {sign: f"\\{sign}" for sign in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
}  # fmt: skip
HEADS = (
    "variant",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "difference",
    "difference_low",
    "difference_high",
    "flips",
    "probability_change",
)


def rows_of(table: AblationTable, level: float = 0.95) -> list[tuple[str, list[float]]]:
    """A row for each variant: its name, and the other columns of HEADS: shares 0..1, intervals of the level, counts."""
    interval, difference = table.interval(level), table.difference(level)
    columns = (
        table.accuracy,
        *interval.T,
        table.accuracy_change,
        *difference.T,
        table.flips,
        table.probability_change,
    )
    return [(name, [float(column[row]) for column in columns]) for row, name in enumerate(table.names)]


def as_csv(table: AblationTable, level: float = 0.95) -> str:
    """Comma-separated, with a line of heads: variant, accuracy and difference with their intervals, flips."""
    text = io.StringIO()
    rows = [[_harmless(name), *(f"{n:.6g}" for n in numbers)] for name, numbers in rows_of(table, level)]
    csv.writer(text, lineterminator="\n").writerows([HEADS, *rows])
    return text.getvalue()


def _harmless(name: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{name}" if name[:1] in ("=", "+", "-", "@", "\t", "\r") else name


def as_latex(table: AblationTable, level: float = 0.95) -> str:
    """A plain tabular: accuracy in percent and difference in points, each with its interval, and flips."""
    heads = ("Variant", "Accuracy (\\%)", f"{level:.0%} interval", "Difference", f"{level:.0%} interval", "Flips")
    lines = [" & ".join(heads).replace("% ", "\\% ")]
    for name, numbers in rows_of(table, level):
        accuracy, low, high, difference, below, above = (100 * number for number in numbers[:6])
        cells = (
            _escaped(name),
            f"{accuracy:.1f}",
            f"{low:.1f} to {high:.1f}",
            f"${difference:+.1f}$",
            f"${below:+.1f}$ to ${above:+.1f}$",
            f"{numbers[6]:.0f}",
        )
        lines.append(" & ".join(cells))
    return _tabular(lines)


def _tabular(lines: Sequence[str]) -> str:
    head, *rows = lines
    body = "".join(f"{row} \\\\\n" for row in rows)
    return f"\\begin{{tabular}}{{lrrrrr}}\n\\hline\n{head} \\\\\n\\hline\n{body}\\hline\n\\end{{tabular}}\n"


def _escaped(name: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in " ".join(name.split()))

"""`python -m benchmarks [--quick] [--out FILE]`: prints a table, writes JSON with machine and versions."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import screens, tasks
from benchmarks.timing import Row, machine


def main() -> None:
    """Runs every task and reports it as soon as it is measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, few pictures: does it run at all?")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/local-latest.json"))
    options = parser.parse_args()
    rounds, pictures = (2, 16) if options.quick else (15, 96)
    todo: list[Callable[[], list[Row]]] = [
        screens.cold_start,
        lambda: screens.activations_screen(min(rounds, 7)),
        lambda: tasks.opening(min(rounds, 7)),
        lambda: tasks.predict_and_heatmap(rounds),
        lambda: tasks.record_activations(rounds),
        lambda: tasks.filter_step(min(rounds, 5)),
        lambda: tasks.embedding(pictures),
        lambda: tasks.unit_pass(pictures),
        lambda: tasks.first_map(100 if options.quick else 500),
        tasks.peak_memory,
    ]
    about, rows = machine(), []
    task = ""
    for measure in todo:
        for row in measure():
            if row.task != task:
                task = row.task
                print(f"\n{task}")
            ratio = f"{row.ratio:6.2f} x" if row.ratio else ""
            print(f"  {row.way:<52} {row.value:10.2f} {row.unit:<11} {ratio}", flush=True)
            rows.append(asdict(row))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    written = {"measured": datetime.now(UTC).isoformat(timespec="seconds"), "machine": about, "rows": rows}
    options.out.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    print(f"\nWritten to {options.out}")


if __name__ == "__main__":
    main()

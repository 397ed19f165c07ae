"""`python -m benchmarks [--quick] [--only NAME] [--out FILE]`: a table, and JSON with machine and versions.

`python -m benchmarks imagenet --data DIR ...` measures how faithful heatmaps are; see `benchmarks.imagenet`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import ablation, filter_profile, filters, heatmaps, imagenet, latent, point_map, screens, tasks
from benchmarks.timing import Row, machine


def main() -> None:
    """Runs every task and reports it as soon as it is measured."""
    if sys.argv[1:2] == ["imagenet"]:
        imagenet.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, few pictures: does it run at all?")
    parser.add_argument(
        "--only", nargs="+", default=[""], help='tasks whose names begin so: "filters resnet50", "latent"'
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/local-latest.json"))
    options = parser.parse_args()
    rounds, pictures = (2, 16) if options.quick else (15, 96)
    known: dict[str, Callable[[], Iterable[Row]]] = {
        "cold start": screens.cold_start,
        "screen": lambda: screens.activations_screen(min(rounds, 7)),
        "opening": lambda: tasks.opening(min(rounds, 7)),
        **heatmaps.tasks(rounds),
        "activations": lambda: tasks.record_activations(rounds),
        **filters.tasks(min(rounds, 5)),
        "filters profile layer1": lambda: filter_profile.profile("resnet50", "layer1", min(rounds, 5)),
        "filters profile layer4": lambda: filter_profile.profile("resnet50", "layer4", min(rounds, 5)),
        "filters screen": lambda: screens.filters_screen(min(rounds, 7)),
        "embedding": lambda: tasks.embedding(2 * pictures),
        "units": lambda: tasks.unit_pass(pictures),
        "first map": lambda: tasks.first_map(100 if options.quick else 500),
        "memory": tasks.peak_memory,
        **latent.tasks(options.quick),
        **point_map.tasks(options.quick),
        **ablation.tasks(options.quick),
    }
    todo = [known[name] for start in options.only for name in known if name.startswith(start)]
    if not todo:
        parser.error(f"no task begins with {options.only}; there are: {', '.join(known)}")
    written: dict[str, Any] = {"measured": "", "machine": machine(), "rows": []}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    task = ""
    for measure in todo:
        for row in measure():
            if row.task != task:
                task = row.task
                print(f"\n{task}")
            ratio = f"{row.ratio:6.2f} x" if row.ratio else ""
            print(f"  {row.way:<52} {row.value:10.2f} {row.unit:<11} {ratio}", flush=True)
            written["rows"].append(asdict(row))
        written["measured"] = datetime.now(UTC).isoformat(timespec="seconds")
        options.out.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    print(f"\nWritten to {options.out}")


if __name__ == "__main__":
    main()

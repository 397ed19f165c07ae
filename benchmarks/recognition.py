"""`python -m benchmarks.recognition`: recognises every convolutional architecture of the index from its own tensors.

Each is built without its weights, with 7 classes, and looked up by names and shapes alone: no file name, no metadata.
Some architectures have the very same tensors; then all their names are given, and only one of them can come first.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.timing import machine
from interpret.architectures import architecture, architecture_keys, recognise
from interpret.architectures.catalogue import WithoutMemory
from interpret.architectures.index import index, shapes_of


def measure(keys: tuple[str, ...]) -> dict[str, Any]:
    """Shares and times over the architectures of the keys, and what was not told apart."""
    index()
    first = third = network = 0
    milliseconds, wrong, not_built = [], {}, {}
    for key in keys:
        try:
            with WithoutMemory():
                tensors = architecture(key).build(7, 3, False).state_dict()
        except Exception as error:  # a library's own constructor; counted, not hidden
            not_built[key] = f"{type(error).__name__}: {error}"[:120]
            continue
        shapes_of(tensors)
        started = time.perf_counter()
        found = recognise(tensors)
        milliseconds.append((time.perf_counter() - started) * 1000)
        fitting = [candidate.key for candidate in found if candidate.fits and candidate.classes in (7, 0)]
        first += fitting[:1] == [key]
        third += key in fitting[:3]
        network += key in fitting
        if key not in fitting:
            wrong[key] = [candidate.key for candidate in found][:3]
    built = len(keys) - len(not_built)
    shared = [group for group in index().keys if len(group) > 1 and set(group) & set(keys)]
    return {
        "architectures": built,
        "networks": len({index().network_of(key) for key in keys}),
        "first": first / built,
        "among the first three": third / built,
        "network right": network / built,
        "median ms": statistics.median(milliseconds),
        "longest ms": max(milliseconds),
        "share one network": [list(group) for group in shared],
        "wrong": wrong,
        "not built": not_built,
    }


def main() -> None:
    """Measures all and writes JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recognition", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="only every so many-th architecture")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/recognition-latest.json"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found = measure(architecture_keys()[:: options.every])
    written = {"measured": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), **found}
    options.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    print(
        f"{found['architectures']} architectures ({found['networks']} networks): {found['first']:.1%} come first, "
        f"{found['among the first three']:.1%} among the first three, the network is right for "
        f"{found['network right']:.1%}; {found['median ms']:.0f} ms each, at most {found['longest ms']:.0f}."
    )


if __name__ == "__main__":
    main()

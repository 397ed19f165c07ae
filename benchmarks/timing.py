"""Timing several ways of doing one thing, interleaved, so that a noisy machine is noisy for all of them."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from interpret.runtime import choose_runtime


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        task: what was done.
        way: by whom.
        value: the median over the rounds.
        unit: "ms", "s", "pictures/s" or "MiB".
        ratio: value over that of the task's first way, or None for that one.
        rounds: how many were measured after the warm-up.
    """

    task: str
    way: str
    value: float
    unit: str
    ratio: float | None
    rounds: int


def interleaved(task: str, ways: dict[str, Callable[[], object]], rounds: int, warm_up: int = 2) -> list[Row]:
    """Milliseconds of each way, the rounds of all ways taken in turn; the first way is what the ratios refer to."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(warm_up + rounds):
        for name, work in ways.items():
            gc.collect()
            started = time.perf_counter()
            work()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn >= warm_up:
                times[name].append((time.perf_counter() - started) * 1000)
    medians = {name: statistics.median(values) for name, values in times.items()}
    base = next(iter(medians.values()))
    return [
        Row(task, name, value, "ms", None if index == 0 else value / base, rounds)
        for index, (name, value) in enumerate(medians.items())
    ]


def _processor() -> str:
    """The processor's name where the system tells it, else its kind."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {platform.machine()}" if names else platform.machine()


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    packages = [
        "torch",
        "torchvision",
        "streamlit",
        "timm",
        "umap-learn",
        "captum",
        "grad-cam",
        "torchcam",
        "numpy",
        "pillow",
    ]
    packages += ["torch-lucent", "torch-dreams", "horama"]
    versions = {}
    for name in packages:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "device": device,
        "processor": _processor(),
        "computes in bfloat16 where asked": choose_runtime().has_bfloat16,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "load_before": load,
        "versions": versions,
    }

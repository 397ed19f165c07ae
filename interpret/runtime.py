"""Where a network runs: the device, its memory, and how many passes may run at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import torch

from interpret.errors import Unavailable


@dataclass(frozen=True)
class Memory:
    """Memory of the device in bytes: what this process uses and what there is."""

    used: int
    total: int


@dataclass(frozen=True, eq=False)
class Runtime:
    """A device and the rules for using it.

    Attributes:
        device: where networks and batches live. Arithmetic is float32 but for what asks for `rounded`.
        has_bfloat16: whether it multiplies bfloat16 numbers faster than float32 ones.
    """

    device: torch.device
    has_bfloat16: bool
    _passes: threading.BoundedSemaphore = field(repr=False)

    @contextmanager
    def one_pass(self) -> Iterator[None]:
        """Holds one of the places for a pass: as many as there are cores on a CPU, two on a GPU."""
        with self._passes:
            yield

    def rounded(self) -> AbstractContextManager[object]:
        """Inside, convolutions and matrix products are computed in bfloat16 where the device has it, for speed."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.has_bfloat16 else nullcontext()

    @property
    def title(self) -> str:
        """The device in words, for people."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        if self.device.type == "mps":
            return "Apple GPU"
        return f"CPU, {torch.get_num_threads()} threads"

    def memory(self) -> Memory | None:
        """Memory in use, or None where the platform does not tell."""
        if self.device.type == "cuda":
            free, total = torch.cuda.mem_get_info(self.device)
            return Memory(total - free, total)
        if self.device.type == "mps":
            return Memory(torch.mps.driver_allocated_memory(), torch.mps.recommended_max_memory())
        try:
            page = os.sysconf("SC_PAGE_SIZE")
            with open("/proc/self/statm", encoding="ascii") as statm:
                resident = int(statm.read().split()[1]) * page
            return Memory(resident, os.sysconf("SC_PHYS_PAGES") * page)
        except (OSError, ValueError):
            return None

    def free_cached_memory(self) -> None:
        """Hands cached blocks of the device back."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        elif self.device.type == "mps":
            torch.mps.empty_cache()

    def smaller_chunk(self, chunk: int, error: RuntimeError) -> int:
        """Half of a chunk size after the device ran out of memory; any other error is raised again.

        Raises:
            Unavailable: a single picture does not fit either.
        """
        if not (isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error).lower()):
            raise error
        self.free_cached_memory()
        if chunk <= 1:
            raise Unavailable(
                f"The {self.device.type} device has too little memory for one picture through this network. "
                "Close other work on it, or run with --device cpu."
            ) from error
        return chunk // 2


_shared: dict[str, Runtime] = {}
_shared_lock = threading.Lock()


def choose_runtime(device: str = "auto") -> Runtime:
    """The runtime of a device, one per device and process; for CUDA, cuDNN's TF32 is switched off in the process.

    Args:
        device: "auto" (CUDA, then Apple MPS, then CPU), "cpu", "cuda", "cuda:1" or "mps".

    Raises:
        Unavailable: this machine has no such device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind = device.split(":")[0]
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(kind, False):
        usable = ", ".join(name for name, is_there in there.items() if is_there)
        raise Unavailable(f'Device "{device}" is not available on this machine. Available: {usable}.')
    with _shared_lock:
        if device not in _shared:
            if kind == "cuda":  # torch's own setting rounds what convolutions are given to 10 bits
                torch.backends.cudnn.allow_tf32 = False
            places = max(1, os.cpu_count() or 1) if kind == "cpu" else 2
            _shared[device] = Runtime(torch.device(device), _has_bfloat16(kind), threading.BoundedSemaphore(places))
        return _shared[device]


def _has_bfloat16(kind: str) -> bool:
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # torch knows it under private names, which may go; without them a CPU computes in float32
    asked = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return kind == "cpu" and any(ask() for ask in asked if ask is not None)

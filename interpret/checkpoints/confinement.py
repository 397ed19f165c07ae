"""What a reading process may do: limits of the operating system, set before it sees a byte of the file.

Runs in the reading process only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

from interpret.checkpoints.forbidden_calls import forbid
from interpret.limits import Limits

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_OPEN_FILES = 1200
_BYTES_A_SECOND = 10 * 2**20
_LEAST_SECONDS = 5


def close_everything() -> None:
    """Leaves no descriptor of the process that was forked: input and output lead nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.closerange(3, 4096)


def end_with(parent: int) -> None:
    """Has the system kill this process when its parent ends, where it can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def seconds_for(size: int, limit: Limits) -> int:
    """Processor seconds for reading `size` bytes: small files get fewer than the limit."""
    return min(limit.read_seconds, _LEAST_SECONDS + size // _BYTES_A_SECOND)


def confine(size: int, limit: Limits) -> None:
    """Sets this process's limits for reading `size` bytes; what the system does not know is left out.

    Memory beyond what torch itself takes: three times the file and `limit.read_memory_bytes`. A written file: four
    times the file and 64 MiB. No other processes, no network, no core dump, no new rights (forbidden_calls.py), and the
    first to go when memory runs out.
    """
    if sys.platform == "win32":
        return
    import resource

    def at_most(what: int, number: int, spare: int = 0) -> None:
        with contextlib.suppress(ValueError, OSError):
            _, hard = resource.getrlimit(what)
            most = number + spare if hard == resource.RLIM_INFINITY else min(number + spare, hard)
            resource.setrlimit(what, (min(number, most), most))

    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        at_most(resource.RLIMIT_AS, pages * resource.getpagesize() + 3 * size + limit.read_memory_bytes)
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # after the writing above: it closes /proc/self
        forbid()
    at_most(resource.RLIMIT_CPU, seconds_for(size, limit), spare=1)  # a signal that says why first
    at_most(resource.RLIMIT_FSIZE, 4 * size + 64 * 2**20)
    at_most(resource.RLIMIT_CORE, 0)
    at_most(resource.RLIMIT_NOFILE, _OPEN_FILES)
    at_most(resource.RLIMIT_NPROC, 0)

"""The process that reads checkpoints: `python -P server.py PARENT`. It forks a child a reading, and imports torch once,
when the first file needs it: a safetensors file does not.

It takes one JSON object a line from its standard input and gives one a line on its standard output:

    {"ready": private folder}                               first
    {"warm": true}                                          imports torch
    {"read": number, "request": {...}}                      starts a child
    {"end": number}                                         kills it
    {"ended": number, "signal": ..., "code": ..., "peak": bytes, "seconds": ...}

It ends, with its children and its folder, when its input ends or its parent is gone. With `--once` it reads one request
itself and ends: that is how it is used where processes cannot be forked.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import selectors
import shutil
import signal
import stat
import sys
import tempfile
import threading
import time
import types
from pathlib import Path
from typing import IO, Any, NoReturn

PREFIX = "loupe-reading-"
POLL_SECONDS = 1.0
_MAX_LINE = 2**20


def _alone() -> None:
    """Lets the modules of this room be imported without `interpret/__init__.py`, which would load all the others."""
    here = Path(__file__).resolve().parent
    for package, folder in (("interpret", here.parent), ("interpret.checkpoints", here)):
        module = types.ModuleType(package)
        module.__path__ = [str(folder)]
        sys.modules[package] = module


def main(arguments: list[str]) -> None:
    """Serves until the input ends; with "--once" as first argument, reads one request."""
    once = arguments[:1] == ["--once"]
    stream = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is not an answer
    _alone()
    importlib.import_module("interpret.checkpoints.child")  # here, so that every fork has it
    if once:
        _read_once(json.loads(sys.stdin.readline()))
        return
    _Server(int(arguments[0]), stream).serve()


def _import_torch() -> None:
    import torch

    importlib.import_module("interpret.checkpoints.torch_file")
    torch.set_num_threads(1)


def _needs_torch(path: str) -> bool:
    """Whether a checkpoint was written by `torch.save`, as far as its first bytes tell; they are only a hint."""
    try:
        kind = os.stat(path).st_mode
        if stat.S_ISDIR(kind):
            return any(name.endswith(".bin") for name in os.listdir(path))
        if not stat.S_ISREG(kind):
            return False
        with open(path, "rb") as file:
            return file.read(9)[8:] != b"{"
    except OSError:
        return False


def _read_once(said: dict[str, Any]) -> None:
    from interpret.checkpoints import child
    from interpret.checkpoints.confinement import confine

    request = _request(said)
    if _needs_torch(request.path):
        _import_torch()
    threading.Thread(target=_watch, args=(Path(request.folder), os.getppid()), daemon=True).start()
    child.answer(request, lambda size: confine(size, request.limit))


def _watch(folder: Path, parent: int) -> None:
    """Ends this process, and takes its folder along, when the parent is gone (Windows does not tell)."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _request(said: dict[str, Any]) -> Any:
    from interpret.checkpoints.child import Request
    from interpret.limits import Limits

    return Request(**{**said, "limit": Limits(**said["limit"])})


class _Server:
    """Starts children and reports their ends; one thread, which waits for lines, children and the parent's end."""

    def __init__(self, parent: int, answers: IO[str]) -> None:
        self.parent = parent
        self.answers = answers
        self.children: dict[int, int] = {}
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.pending = b""

    def serve(self) -> NoReturn:
        """Never returns: ends the process."""
        try:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, lambda *_: self.end())
            listening, woken = os.pipe()
            os.set_blocking(listening, False)
            os.set_blocking(woken, False)
            signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
            signal.signal(signal.SIGCHLD, lambda *_: None)
            os.set_blocking(0, False)
            self.say({"ready": str(self.folder)})
            with selectors.DefaultSelector() as selector:
                selector.register(0, selectors.EVENT_READ)
                selector.register(listening, selectors.EVENT_READ)
                while os.getppid() == self.parent:
                    for key, _ in selector.select(POLL_SECONDS):
                        if key.fd == 0:
                            self.take_lines()
                        else:
                            with contextlib.suppress(BlockingIOError):
                                os.read(listening, 4096)
                    self.reap()
        finally:
            self.end()

    def say(self, what: dict[str, Any]) -> None:
        self.answers.write(json.dumps(what) + "\n")
        self.answers.flush()

    def take_lines(self) -> None:
        with contextlib.suppress(BlockingIOError):
            block = os.read(0, 2**16)
            if not block:
                self.end()
            self.pending += block
        *lines, self.pending = self.pending.split(b"\n")
        if len(self.pending) > _MAX_LINE:
            self.end()
        for line in lines:
            said = json.loads(line)
            if "read" in said:
                self.start(said["read"], said["request"])
            elif "warm" in said:
                _import_torch()
            else:
                for process, number in self.children.items():
                    if number == said["end"]:
                        os.kill(process, signal.SIGKILL)

    def start(self, number: int, request: dict[str, Any]) -> None:
        server = os.getpid()
        if _needs_torch(request["path"]):
            _import_torch()
        try:
            process = os.fork()
        except OSError as error:
            self.say({"ended": number, "signal": 0, "code": 71, "peak": 0, "seconds": 0.0, "why": error.strerror})
            return
        if process == 0:
            _be_a_child(server, request)
        self.children[process] = number

    def reap(self) -> None:
        while self.children:
            process, status, used = os.wait4(-1, os.WNOHANG)
            if not process:
                return
            number = self.children.pop(process, -1)
            code = os.waitstatus_to_exitcode(status)
            self.say(
                {
                    "ended": number,
                    "signal": max(0, -code),
                    "code": max(0, code),
                    "peak": used.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
                    "seconds": used.ru_utime + used.ru_stime,
                }
            )

    def end(self) -> NoReturn:
        for process in self.children:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        for process in self.children:
            with contextlib.suppress(OSError):
                os.waitpid(process, 0)
        shutil.rmtree(self.folder, ignore_errors=True)
        os._exit(0)


def _be_a_child(server: int, said: dict[str, Any]) -> NoReturn:
    """Reads one checkpoint in a forked process; never returns into the server."""
    code = 70
    try:
        from interpret.checkpoints import child
        from interpret.checkpoints.confinement import close_everything, confine, end_with

        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        close_everything()
        end_with(server)
        request = _request(said)
        child.answer(request, lambda size: confine(size, request.limit))
        code = 0
    except MemoryError:
        code = 75
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])

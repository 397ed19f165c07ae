"""The helper process that reads checkpoints, as the app's process sees it: started, asked, heard and ended."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from json import dumps, loads
from pathlib import Path
from typing import Any

from interpret.errors import Unavailable

_SCRIPT = Path(__file__).with_name("server.py")
_START_SECONDS = 120
_KEPT_VARIABLES = (
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TMPDIR",
    "TMP",
    "TEMP",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONUSERBASE",
    "PYTHONNOUSERSITE",
    "PYTHONPYCACHEPREFIX",
    "PYTHONDONTWRITEBYTECODE",
    "SYSTEMROOT",
    "WINDIR",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
)


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit code or the signal that ended it, its peak memory in bytes and processor seconds."""

    code: int
    signal: int
    peak: int
    seconds: float


class Gone(Exception):
    """The helper process ended while it was needed."""


class Helper:
    """A running helper process: sends it requests from any thread, and hears from it in one thread."""

    def __init__(self) -> None:
        self.process = start(str(os.getpid()))
        self.ready: Future[dict[str, Any]] = Future()
        self.waiting: dict[int, Future[Ended]] = {}
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()
        self.gone = False
        threading.Thread(target=self._listen, daemon=True, name="loupe-reading").start()

    def _listen(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        folder = ""
        with contextlib.suppress(OSError, ValueError):
            for line in stream:
                said = loads(line)
                if "ready" in said:
                    folder = said["ready"]
                    self.ready.set_result(said)
                else:
                    with self.lock:
                        future = self.waiting.pop(said["ended"], None)
                    if future is not None:
                        future.set_result(Ended(said["code"], said["signal"], said["peak"], said["seconds"]))
        with self.lock:
            self.gone = True
            left = list(self.waiting.values())
            self.waiting.clear()
        if not self.ready.done():
            self.ready.set_exception(Gone())
        for future in left:
            future.set_exception(Gone())
        if folder:
            shutil.rmtree(folder, ignore_errors=True)  # it does so itself unless it was killed
        self.process.wait()

    def folder(self) -> Path:
        """Where it keeps its files, once it is ready."""
        try:
            return Path(self.ready.result(_START_SECONDS)["ready"])
        except TimeoutError:
            raise Unavailable(
                f"The process that reads checkpoint files was not ready after {_START_SECONDS} seconds. Try again."
            ) from None

    def send(self, message: dict[str, Any]) -> None:
        line = (dumps(message) + "\n").encode()
        stream = self.process.stdin
        assert stream is not None
        with self.lock:
            if self.gone:
                raise Gone
            try:
                stream.write(line)
                stream.flush()
            except (OSError, ValueError):
                raise Gone from None

    def run(self, request: dict[str, Any], seconds: float) -> Ended:
        """Has a child read, and waits until it ended; it is killed after so many seconds."""
        number = next(self.numbers)
        future: Future[Ended] = Future()
        with self.lock:
            self.waiting[number] = future
        try:
            self.send({"read": number, "request": request})
            return future.result(seconds)
        except BaseException as error:
            with contextlib.suppress(Gone, TimeoutError):
                self.send({"end": number})
                future.result(10)
            if isinstance(error, TimeoutError):
                raise TimeoutError from None
            raise
        finally:
            with self.lock:
                self.waiting.pop(number, None)

    def let_go(self) -> None:
        """Gives up a forked process's copies of the pipes, without touching locks that another thread may have held."""
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None and not stream.closed:
                os.dup2(nowhere, stream.fileno())
        os.close(nowhere)

    def end(self) -> None:
        """Ends the process and waits for it to have tidied up."""
        with contextlib.suppress(OSError, ValueError):
            assert self.process.stdin is not None
            self.process.stdin.close()
        if os.name != "nt":
            self.process.terminate()  # it tidies up then, too; a forked process may still hold the pipe
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()


def start(argument: str) -> subprocess.Popen[bytes]:
    """A process of server.py with few of this one's environment variables.

    Raises:
        Unavailable: it cannot be started.
    """
    if not sys.executable:
        raise Unavailable("This Python does not say where its interpreter is, so files cannot be read safely.")
    kept = {
        key: value for key, value in os.environ.items() if key in _KEPT_VARIABLES or key.startswith(("LC_", "CONDA"))
    }
    single = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    try:
        return subprocess.Popen(
            [sys.executable, "-P", str(_SCRIPT), argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**kept, **single, "CUDA_VISIBLE_DEVICES": ""},
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(
            f"The process that reads checkpoint files could not be started: {error.strerror or error}."
        ) from None

"""Pictures decoded and made ready for a network, here or by processes of their own."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from interpret.errors import InterpretError
from interpret.images import InputImage, Preprocess
from interpret.rendering import thumbnail

if TYPE_CHECKING:
    from interpret.datasets.picture_source import PictureSource

T = TypeVar("T")
Decoded = tuple[NDArray[np.uint8], T] | str
"""What the network sees of a picture and what else was made of it; or the reason why there is neither."""
File = tuple[bytes, str] | str
"""Bytes and name of a picture file; or the reason why there are none."""
MOST = 16
_PROGRAM = """
import sys, types
package = types.ModuleType("interpret")  # without interpret/__init__.py, which would load everything
package.__path__ = [{folder!r}]
sys.modules["interpret"] = package
from interpret.decoding import serve
serve({connections})
"""


def prepared(read: Callable[[], InputImage], preprocess: Preprocess, beside: Callable[[InputImage], T]) -> Decoded[T]:
    """A picture as the network sees it, uint8 [height, width, 3], and what else is made of it."""
    try:
        image = read()
        return preprocess.seen(image), beside(image)
    except InterpretError as error:
        return str(error)


def nothing(_: InputImage) -> None:
    """What is made of a picture where nothing else is wanted."""


def small_jpeg(image: InputImage) -> bytes:
    """A thumbnail of a picture."""
    return thumbnail(image.pixels)


class Decoders:
    """Processes that decode picture files, as many as there are cores; to be closed.

    One process imports what it takes (not torch) and is forked. Each of them ends when its connection does, whether it
    was closed or this process is gone. Until they stand, and where they fail, pictures are decoded here.

    Args:
        preprocess: how pictures become input.
        beside: makes something else of every picture; to be found by its name, as `pickle` asks.
    """

    def __init__(self, preprocess: Preprocess, beside: Callable[[InputImage], Any]) -> None:
        self.count = min(MOST, os.cpu_count() or 1)
        self._preprocess, self._beside = preprocess, beside
        self._idle: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self._changing = threading.Lock()
        pairs = [socket.socketpair() for _ in range(self.count)]
        theirs = [pair[1].fileno() for pair in pairs]
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM.format(folder=str(Path(__file__).parent), connections=theirs)],
            pass_fds=theirs,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._ids: list[int] = []
        self._starting = [Connection(own.detach()) for own, _ in pairs]
        self._all = list(self._starting)
        for _, other in pairs:
            other.close()

    def standing(self) -> list[int]:
        """The ids of the processes that stand."""
        with self._changing:
            for connection in list(self._starting):
                with contextlib.suppress(EOFError, OSError):
                    if not connection.poll():
                        continue
                    self._ids.append(connection.recv())
                    connection.send((self._preprocess, self._beside))
                    self._idle.put(connection)
                self._starting.remove(connection)
            return list(self._ids)

    def decode(self, source: PictureSource, indices: Sequence[int]) -> list[Decoded[Any]]:
        """Pictures of a source that are files, in order."""
        files = [_file(source, index) for index in indices]
        if self.standing():
            with contextlib.suppress(queue.Empty, EOFError, OSError):
                connection = self._idle.get_nowait()
                connection.send(files)
                found: list[Decoded[Any]] = connection.recv()
                self._idle.put(connection)
                return found
        return _of_files(files, self._preprocess, self._beside)

    def close(self) -> None:
        """Ends the processes; once no thread decodes any more."""
        for connection in self._all:
            connection.close()
        self.process.kill()  # what it forked has just lost its connection
        self.process.wait()


def can_be_sent(preprocess: Preprocess, beside: Callable[[InputImage], Any]) -> bool:
    """Whether processes can be told what to do, and there can be any."""
    try:
        pickle.dumps((preprocess, beside))
    except Exception:  # whatever an object's own way of being pickled raises
        return False
    return hasattr(os, "fork")


def serve(connections: Sequence[int]) -> None:
    """Forks a process for each connection, and waits until they end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the end of the connection counts
    for number in connections:
        if os.fork() == 0:
            for other in connections:
                if other != number:
                    os.close(other)
            with contextlib.suppress(EOFError, OSError):
                _answer(Connection(number))
            os._exit(0)
    for number in connections:
        os.close(number)
    for _ in connections:
        os.wait()


def _answer(connection: Connection) -> None:
    connection.send(os.getpid())
    preprocess, beside = connection.recv()
    while True:
        connection.send(_of_files(connection.recv(), preprocess, beside))


def _file(source: PictureSource, index: int) -> File:
    assert source.encoded is not None
    try:
        return source.encoded(index)
    except InterpretError as error:
        return str(error)


def _of_files(files: Sequence[File], preprocess: Preprocess, beside: Callable[[InputImage], T]) -> list[Decoded[T]]:
    return [
        file if isinstance(file, str) else prepared(partial(InputImage.from_bytes, *file), preprocess, beside)
        for file in files
    ]

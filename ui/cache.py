"""Loaded networks, uploads and results, each bounded, keyed by digests, names and frozen params."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


class BoundedStore:
    """A dictionary that forgets what was longest unused once it holds too many entries or bytes. Safe for threads."""

    def __init__(self, entries: int, max_bytes: int) -> None:
        self._entries, self._max_bytes = entries, max_bytes
        self._items: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._building: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable) -> Any | None:
        with self._lock:
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            return self._items[key][0]

    def put(self, key: Hashable, value: Any) -> None:
        size = size_in_bytes(value)
        with self._lock:
            if key in self._items:
                self._bytes -= self._items.pop(key)[1]
            self._items[key] = (value, size)
            self._bytes += size
            while len(self._items) > 1 and (len(self._items) > self._entries or self._bytes > self._max_bytes):
                _, (_, freed) = self._items.popitem(last=False)
                self._bytes -= freed

    def get_or_make(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key, made once even if several ask for it at the same time."""
        with self._lock:
            own = self._building.setdefault(key, threading.Lock())
        with own:
            found = self.get(key)
            if found is None:
                found = make()
                self.put(key, found)
        with self._lock:
            self._building.pop(key, None)
        result: T = found
        return result

    @property
    def size(self) -> int:
        """Bytes held, as counted by `size_in_bytes`."""
        return self._bytes


def size_in_bytes(value: Any) -> int:
    """Bytes of the arrays, tensors and byte strings in a value, looking into dataclasses, tuples, lists and dicts."""
    if isinstance(value, np.ndarray):
        return 64 if isinstance(value, np.memmap) else int(value.nbytes)  # stays on disk
    if isinstance(value, bytes):
        return len(value)
    if hasattr(value, "element_size") and hasattr(value, "numel"):
        return int(value.element_size() * value.numel())
    if hasattr(value, "parameters") and hasattr(value, "_network"):
        return int(value.parameters) * 4
    if is_dataclass(value) and not isinstance(value, type):
        return sum(size_in_bytes(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, tuple | list):
        return sum(size_in_bytes(item) for item in value)
    if isinstance(value, dict):
        return sum(size_in_bytes(item) for item in value.values())
    return 64


RESULTS = BoundedStore(entries=512, max_bytes=2**30)
"""Finished results of all sessions: equal keys mean equal results."""

MODELS = BoundedStore(entries=6, max_bytes=3 * 2**30)
"""Loaded networks."""

UPLOADS = BoundedStore(entries=256, max_bytes=2 * 2**30)
"""(name, bytes) of uploaded files by the SHA-256 of their content, so that a reloaded address finds them again."""


def keep_upload(name: str, data: bytes) -> str:
    """Keeps an uploaded file for this server's life or until room is needed; returns its digest."""
    digest = hashlib.sha256(data).hexdigest()
    UPLOADS.put(digest, (name, data))
    return digest

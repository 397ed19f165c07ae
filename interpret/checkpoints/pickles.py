"""What a pickle would do, read from its instructions without doing it.

Torch's weights-only reader is the judge of what may be loaded; this look beforehand says by name what a file asks for,
and how long every storage claims to be, which torch takes on trust.

Runs in the reading process only.
"""

from __future__ import annotations

import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

_TEXT = {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING"}
_NUMBER = {"BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4"}
_NOTHING = object()
"""Stands for every value whose content does not matter here."""


@dataclass(frozen=True)
class Global:
    """Something of a Python module that a pickle asks for by name; never looked up."""

    name: str


@dataclass
class Contents:
    """What a pickle asks for.

    Attributes:
        globals: names, in order of first appearance, as Python 3 calls them.
        storages: how many numbers every storage is said to hold, by its key and its type's name.
        protocol: of the pickle, 0 where it does not say.
        module: name of the network's class where the file keeps networks the way `torch.save(model)` once did, or "".
        foreign_ids: there are persistent references to something that is no storage.
        problem: why the instructions could not be followed to their end, as a clause, or "".
        result: the pickled value where it is a text, a number, a list or a tuple; else an object without content.
    """

    globals: dict[str, None] = field(default_factory=dict)
    storages: dict[tuple[str, str], int] = field(default_factory=dict)
    protocol: int = 0
    module: str = ""
    foreign_ids: bool = False
    problem: str = ""
    result: Any = None


def contents_of(stream: BinaryIO) -> Contents:
    """What the pickle at the stream's place asks for, as far as it can be followed; the stream then stands behind."""
    found = Contents()
    try:
        _Follower(found).follow(stream)
    except _Senseless:
        found.problem = "its pickle describes a storage in a way that makes no sense"
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, EOFError, OverflowError):
        found.problem = "its pickle is damaged"
    return found


class _Senseless(Exception):
    pass


class _Follower:
    """Keeps the pickle machine's stack: names, texts, numbers, lists and tuples, and nothing in place of the rest."""

    def __init__(self, found: Contents) -> None:
        self.found = found
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.steps: dict[str, Callable[[Any], object]] = {
            "PROTO": self.protocol,
            "GLOBAL": self.named,
            "INST": self.instance,
            "STACK_GLOBAL": lambda _: self.push(self.ask(str(self.stack.pop(-2)), str(self.stack.pop()))),
            "MARK": lambda _: self.mark(),
            "POP_MARK": lambda _: self.to_mark(),
            "POP": lambda _: self.stack.pop() if self.stack else self.to_mark(),
            "DUP": lambda _: self.push(self.stack[-1]),
            "TUPLE": lambda _: self.push(tuple(self.to_mark())),
            "TUPLE1": lambda _: self.gather(1),
            "TUPLE2": lambda _: self.gather(2),
            "TUPLE3": lambda _: self.gather(3),
            "EMPTY_TUPLE": lambda _: self.push(()),
            "PERSID": self.reference,
            "BINPERSID": lambda _: self.reference(self.stack.pop()),
            "MEMOIZE": lambda _: self.keep(len(self.memo)),
            "EMPTY_LIST": lambda _: self.push([]),
            "LIST": lambda _: self.push(self.to_mark()),
            "APPENDS": lambda _: self.append(self.to_mark()),
            "APPEND": lambda _: self.append([self.stack.pop()]),
        }
        for name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.steps[name] = self.keep
        for name in ("GET", "BINGET", "LONG_BINGET"):
            self.steps[name] = lambda index: self.push(self.memo[index])
        for name in ("SETITEMS", "ADDITEMS"):
            self.steps[name] = lambda _: self.to_mark()
        for name in ("DICT", "FROZENSET", "OBJ"):
            self.steps[name] = lambda _: self.replace(0, self.to_mark())
        for name, taken in (("SETITEM", 2), ("BUILD", 1)):
            self.steps[name] = lambda _, taken=taken: self.drop(taken)  # type: ignore[misc]
        for name, taken in (("REDUCE", 2), ("NEWOBJ", 2), ("NEWOBJ_EX", 3)):
            self.steps[name] = lambda _, taken=taken: self.replace(taken)  # type: ignore[misc]
        for name in ("EXT1", "EXT2", "EXT4"):
            self.steps[name] = lambda code: self.push(self.ask("copyreg", f"extension {code}"))

    def follow(self, stream: BinaryIO) -> None:
        for operation, argument, _ in pickletools.genops(stream):
            name = operation.name
            step = self.steps.get(name)
            if step is not None:
                step(argument)
            elif name == "STOP":
                self.found.result = self.stack.pop()
            elif name in _TEXT or name in _NUMBER:
                self.push(argument)
            elif name == "FRAME":
                pass
            else:  # the rest pushes one value: None, True, a float, bytes, an empty list, ...
                self.push(_NOTHING)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def protocol(self, number: int) -> None:
        self.found.protocol = number

    def ask(self, module: str, name: str) -> Global:
        """Notes a name; those of Python 2 are translated as torch does."""
        if (module, name) in NAME_MAPPING:
            module, name = NAME_MAPPING[(module, name)]
        elif module in IMPORT_MAPPING:
            module = IMPORT_MAPPING[module]
        full = f"{module}.{name}"
        self.found.globals.setdefault(full)
        return Global(full)

    def named(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.push(self.ask(module, name))

    def instance(self, argument: str) -> None:
        self.to_mark()
        self.named(argument)
        self.replace(1)

    def mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def to_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def gather(self, count: int) -> None:
        items = tuple(self.stack[-count:])
        if len(items) < count:
            raise IndexError
        del self.stack[-count:]
        self.push(items)

    def append(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def drop(self, count: int) -> None:
        if len(self.stack) < count:
            raise IndexError
        del self.stack[-count:]

    def replace(self, count: int, _: Any = None) -> None:
        """Puts an unknown value in the place of the last `count` ones."""
        if count:
            self.drop(count)
        self.push(_NOTHING)

    def keep(self, index: int) -> None:
        self.memo[int(index)] = self.stack[-1]

    def reference(self, identity: Any) -> None:
        """A persistent id: ("storage", type, key, device, numbers, ...), or a module of `torch.save(model)`."""
        if isinstance(identity, tuple) and identity and identity[0] in ("storage", b"storage"):
            kind, key, numbers = identity[1], identity[2], identity[4]
            plain = isinstance(key, str) and key.isascii() and key.isprintable()
            if not (plain and isinstance(kind, Global) and type(numbers) is int and numbers >= 0):
                raise _Senseless
            claim = (key, kind.name)
            self.found.storages[claim] = max(numbers, self.found.storages.get(claim, 0))
        else:
            self.found.foreign_ids = True
            if isinstance(identity, tuple) and len(identity) > 1 and isinstance(identity[1], Global):
                self.found.module = self.found.module or identity[1].name
        self.push(_NOTHING)

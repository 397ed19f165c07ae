"""Files made to hurt whoever opens them, built by hand from opcodes, headers and records.

Every builder takes the path of a marker that must never exist and the folder to write into, and returns what to open.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

Expression = bytes
MAGIC = 0x1950A86A20F9469CFC6C
GOOD = {"conv.weight": torch.arange(24.0).reshape(2, 3, 2, 2), "conv.bias": torch.tensor([1.0, -2.0])}
FLOATS = struct.pack("<4f", 1, 2, 3, 4)


@dataclass(frozen=True)
class Case:
    """A hostile file: how it is made, and what must come of it.

    Attributes:
        name: of the case.
        build: (marker, folder) -> what to open.
        says: a regular expression of the sentence that refuses it; "" where it opens harmlessly.
        names: of the tensors, where it opens.
    """

    name: str
    build: Callable[[Path, Path], Path]
    says: str
    names: tuple[str, ...] = ()


# ---- expressions of the pickle machine -------------------------------------------------------------------------------


def look_up(module: str, name: str) -> Expression:
    return f"c{module}\n{name}\n".encode()


def text(value: str | bytes) -> Expression:
    raw = value if isinstance(value, bytes) else value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> Expression:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def group(*items: Expression) -> Expression:
    return b"(" + b"".join(items) + b"t"


def call(function: Expression, *arguments: Expression) -> Expression:
    return function + group(*arguments) + b"R"


def mapping(items: Iterable[tuple[Expression, Expression]]) -> Expression:
    return b"}(" + b"".join(key + value for key, value in items) + b"u"


def storage(key: str = "0", numbers: int = 4, kind: str = "FloatStorage", tail: Expression = b"") -> Expression:
    return group(text("storage"), look_up("torch", kind), text(key), text("cpu"), number(numbers), tail) + b"Q"


def tensor(
    held: Expression | None = None, size: tuple[int, ...] = (4,), stride: tuple[int, ...] = (1,), offset: int = 0
) -> Expression:
    return call(
        look_up("torch._utils", "_rebuild_tensor_v2"),
        held or storage(),
        number(offset),
        group(*map(number, size)),
        group(*map(number, stride)),
        b"\x89",
        call(look_up("collections", "OrderedDict")),
    )


def weights(value: Expression | None = None, name: str | bytes = "w") -> Expression:
    return mapping([(text(name), value or tensor())])


def beside(value: Expression, key: str = "args") -> Expression:
    """Good weights with something beside them."""
    return mapping([(text("state_dict"), weights()), (text(key), value)])


def program(expression: Expression, protocol: int = 2) -> bytes:
    return (b"" if protocol < 2 else b"\x80" + bytes([protocol])) + expression + b"."


# ---- containers ------------------------------------------------------------------------------------------------------


def in_zip(data: bytes, held: Mapping[str, bytes] | None = None, extra: Mapping[str, bytes] | None = None) -> bytes:
    """An archive as torch.save writes it, around a pickle and its storages."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", b"little")
        for key, raw in ({"0": FLOATS} if held is None else held).items():
            archive.writestr(f"archive/data/{key}", raw)
        for name, raw in (extra or {}).items():
            archive.writestr(name, raw)
        archive.writestr("archive/version", b"3\n")
    return buffer.getvalue()


def in_legacy(data: bytes, held: Mapping[str, bytes] | None = None, keys: list[str] | bytes | None = None) -> bytes:
    """Five pickles and the storages behind them."""
    held = {"0": FLOATS} if held is None else held
    before = [pickle.dumps(value, 2) for value in (MAGIC, 1001, {"little_endian": True})]
    listed = keys if isinstance(keys, bytes) else pickle.dumps(list(held) if keys is None else keys, 2)
    raws = b"".join(struct.pack("<q", len(raw) // 4) + raw for raw in held.values())
    return b"".join([*before, data, listed, raws])


def safetensors(claims: Mapping[str, Any] | bytes, data: bytes = FLOATS, length: int | None = None) -> bytes:
    header = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def claim(dtype: Any = "F32", shape: Any = (4,), offsets: Any = (0, 16)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def patched(data: bytes, at_signature: bytes, offset: int, replacement: bytes, last: bool = False) -> bytes:
    """The bytes with some replaced, at an offset from the first (or last) place of a signature."""
    place = (data.rindex if last else data.index)(at_signature) + offset
    return data[:place] + replacement + data[place + len(replacement) :]


def as_file(make: Callable[[Path], bytes], name: str = "it.pth") -> Callable[[Path, Path], Path]:
    def build(marker: Path, folder: Path) -> Path:
        path = folder / name
        path.write_bytes(make(marker))
        return path

    return build


def torch_bytes(content: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


# ---- code ------------------------------------------------------------------------------------------------------------


def touch(marker: Path) -> str:
    return f"open({str(marker)!r}, 'w').close()"


def _system(marker: Path) -> Expression:
    return call(look_up("posix", "system"), text(f"touch {marker}"))


def _getattr_chain(marker: Path) -> Expression:
    """getattr(getattr(builtins, "__dict__"), "get")("exec")(code)"""
    builtins = call(look_up("builtins", "__import__"), text("builtins"))
    function = call(look_up("builtins", "getattr"), builtins, text("exec"))
    return call(function, text(touch(marker)))


def _getattr_static(marker: Path) -> Expression:
    """importlib reached through inspect, which a list of forbidden modules forgot."""
    importer = call(look_up("inspect", "getattr_static"), look_up("inspect", "importlib"), text("import_module"))
    return call(call(importer, text("os")), text(f"touch {marker}"))


CODE: dict[str, tuple[Callable[[Path], Expression], str]] = {
    "os.system": (_system, "posix.system"),
    "python 2 os.system": (lambda m: call(look_up("os", "system"), text(f"touch {m}")), "os.system"),
    "eval": (lambda m: call(look_up("builtins", "eval"), text(touch(m))), "builtins.eval"),
    "exec": (lambda m: call(look_up("builtins", "exec"), text(touch(m))), "builtins.exec"),
    "python 2 execfile": (lambda m: call(look_up("__builtin__", "execfile"), text(str(m))), "builtins.execfile"),
    "getattr chain": (_getattr_chain, "builtins.(getattr|__import__)"),
    "inspect.getattr_static": (_getattr_static, "inspect.getattr_static"),
    "importlib": (lambda m: call(look_up("importlib", "import_module"), text("antigravity")), "importlib"),
    "subprocess": (
        lambda m: call(look_up("subprocess", "Popen"), group(text("touch"), text(str(m)))),
        "subprocess.Popen",
    ),
    "numpy runstring": (
        lambda m: call(look_up("numpy.testing._private.utils", "runstring"), text(touch(m)), b"}"),
        "numpy.testing._private.utils.runstring",
    ),
    "torch.load again": (lambda m: call(look_up("torch.serialization", "load"), text(str(m))), "torch.serialization"),
    "torch.jit": (lambda m: call(look_up("torch.jit._script", "unpackage_script_module"), text("x")), "torch.jit"),
    "torch.hub": (lambda m: call(look_up("torch.hub", "load"), text("a/b"), text("c")), "torch.hub.load"),
    "attribute path": (lambda m: call(look_up("argparse", "_sys.modules.get"), text("os")), "argparse._sys.modules"),
    "name under an inert one": (
        lambda m: call(look_up("argparse.Namespace", "__init__.__globals__.get"), text("_os")),
        "argparse.Namespace.__init__",
    ),
    "inert package, hostile name": (
        lambda m: call(look_up("omegaconf", "os.system\x0bx"), text(f"touch {m}")),
        "omegaconf.os.system",
    ),
    "unittest.mock": (lambda m: call(look_up("unittest.mock", "_importer"), text("os.system")), "unittest.mock"),
    "write through a file": (
        lambda m: call(look_up("_io", "open"), text(str(m)), text("w")),
        "_io.open",
    ),
    "torch.save": (lambda m: call(look_up("torch.serialization", "save"), number(1), text(str(m))), "torch.serial"),
}
RUNS = "would run code when loaded; Loupe reads weights only"


def _code_cases() -> list[Case]:
    cases = []
    for name, (make, blocked) in CODE.items():
        says = rf"\({blocked}.*\) that {RUNS}"
        cases.append(Case(f"{name} in zip", as_file(lambda m, f=make: in_zip(program(beside(f(m))))), says))
        cases.append(Case(f"{name} in legacy", as_file(lambda m, f=make: in_legacy(program(beside(f(m))))), says))
    cases.append(Case("os.system alone in zip", as_file(lambda m: in_zip(program(_system(m)))), "posix.system"))
    cases.append(
        Case("os.system as storage type", as_file(lambda m: in_zip(program(weights(_odd_storage(m))))), "posix.system")
    )
    cases.append(
        Case(
            "os.system before the magic number",
            as_file(lambda m: program(_system(m)) + in_legacy(program(weights()))),
            "posix.system",
        )
    )
    cases.append(
        Case(
            "os.system among the storage keys",
            as_file(lambda m: in_legacy(program(weights()), keys=program(_system(m)))),
            "posix.system",
        )
    )
    return cases


def _odd_storage(marker: Path) -> Expression:
    kind = _system(marker)
    return tensor(group(text("storage"), kind, text("0"), text("cpu"), number(4)) + b"Q")


def _protocol(protocol: int, marker: Path) -> bytes:
    """os.system as each protocol writes it."""
    command = f"touch {marker}"
    if protocol == 0:
        return f"cposix\nsystem\np0\n(V{command}\np1\ntp2\nRp3\n.".encode()
    if protocol == 1:
        return b"cposix\nsystem\nq\x00(" + text(command) + b"q\x01tq\x02Rq\x03."
    if protocol in (2, 3):
        return program(call(look_up("posix", "system"), text(command)), protocol)
    short = b"".join(b"\x8c" + bytes([len(one)]) + one.encode() + b"\x94" for one in ("posix", "system"))
    body = short + b"\x93\x94" + text(command) + b"\x94\x85\x94R\x94."
    return b"\x80" + bytes([protocol]) + b"\x95" + struct.pack("<Q", len(body)) + body


def _protocol_cases() -> list[Case]:
    named = rf"\(posix.system\) that {RUNS}"
    cases = []
    for protocol in range(6):
        cases.append(Case(f"protocol {protocol} in zip", as_file(lambda m, p=protocol: in_zip(_protocol(p, m))), named))
        cases.append(Case(f"protocol {protocol} plain", as_file(lambda m, p=protocol: _protocol(p, m)), named))
    return cases


def _opcode_cases() -> list[Case]:
    inert = "argparse", "Namespace"

    def zipped(expression: Callable[[Path], Expression], protocol: int = 2) -> Callable[[Path, Path], Path]:
        return as_file(lambda m: in_zip(program(expression(m), protocol)))

    return [
        Case(
            "INST",
            zipped(lambda m: beside(b"(" + text(f"touch {m}") + b"iposix\nsystem\n")),
            "posix.system",
        ),
        Case(
            "OBJ",
            zipped(lambda m: beside(b"(" + look_up("posix", "system") + text(f"touch {m}") + b"o")),
            "posix.system",
        ),
        Case("NEWOBJ", zipped(lambda m: beside(look_up("subprocess", "Popen") + b")\x81")), "subprocess.Popen"),
        Case("NEWOBJ_EX", zipped(lambda m: beside(look_up("subprocess", "Popen") + b")}\x92"), 4), "subprocess.Popen"),
        Case(
            "BUILD on a tensor",
            zipped(lambda m: weights(tensor() + mapping([(text("__class__"), text("x"))]) + b"b")),
            "is not a checkpoint Loupe can read",
        ),
        Case("EXT1", zipped(lambda m: beside(b"\x82\x01)R")), "extension 1"),
        Case("EXT4", zipped(lambda m: beside(b"\x84\xff\xff\xff\x7f)R")), "extension"),
        Case(
            "persistent id of a module",
            zipped(lambda m: beside(group(text("module"), look_up("posix", "system"), text(f"touch {m}")) + b"Q")),
            "posix.system",
        ),
        Case("persistent id that is a text", zipped(lambda m: beside(text("storage") + b"Q")), "not a checkpoint"),
        Case("persistent id of protocol 0", zipped(lambda m: b"Pstorage\n"), "not a checkpoint"),
        Case("empty stack", zipped(lambda m: b"RRRR"), "its pickle is damaged"),
        Case("no end", as_file(lambda m: in_zip(b"\x80\x02}")), "its pickle is damaged"),
        Case("memo that was never set", zipped(lambda m: b"h\x07"), "its pickle is damaged"),
        # ---- names that stand in for harmless objects
        Case(
            "Namespace with a state",
            zipped(lambda m: beside(look_up(*inert) + b")\x81" + mapping([(text("model"), text("<b>x"))]) + b"b")),
            "",
            ("w",),
        ),
        Case(
            "Namespace with __setstate__ in its state",
            zipped(
                lambda m: beside(
                    look_up(*inert) + b")\x81" + mapping([(text("__setstate__"), look_up("builtins", "list"))]) + b"b"
                )
            ),
            "",
            ("w",),
        ),
        Case(
            "Namespace called with a callable",
            zipped(lambda m: beside(call(look_up(*inert), look_up("builtins", "eval"), text(touch(m))))),
            "builtins.eval",
        ),
        Case(
            "Namespace called with inert callables",
            zipped(lambda m: beside(call(look_up(*inert), look_up("functools", "partial"), look_up(*inert)))),
            "",
            ("w",),
        ),
        Case(
            "partial that would be called",
            zipped(lambda m: beside(call(call(look_up("functools", "partial"), look_up("builtins", "list"))))),
            "is not a checkpoint Loupe can read",
        ),
        Case(
            "Namespace whose state is no dict",
            zipped(lambda m: beside(look_up(*inert) + b")\x81" + group(text("a"), number(3), b"N") + b"b")),
            "",
            ("w",),
        ),
        Case(
            "defaultdict with a factory",
            zipped(
                lambda m: mapping(
                    [
                        (text("state_dict"), weights()),
                        (
                            text("log"),
                            call(look_up("collections", "defaultdict"), look_up("builtins", "list"))
                            + b"("
                            + text("a")
                            + number(1)
                            + b"u",
                        ),
                    ]
                )
            ),
            "",
            ("w",),
        ),
        Case(
            "_reconstructor of os.system",
            zipped(lambda m: beside(call(look_up("copyreg", "_reconstructor"), look_up("posix", "system")))),
            "posix.system",
        ),
        Case(
            "a tensor's methods shadowed",
            zipped(lambda m: weights(_shadowed("numel", "stride", "untyped_storage", "detach"))),
            "",
            ("w",),
        ),
        Case(
            "_rebuild_from_type_v2 calling bytearray",
            zipped(
                lambda m: weights(
                    call(
                        look_up("torch._tensor", "_rebuild_from_type_v2"),
                        look_up("builtins", "bytearray"),
                        look_up("torch", "Tensor"),
                        group(number(10**12)),
                        b"}",
                    )
                )
            ),
            "more memory than its size explains|not a checkpoint",
        ),
    ]


def _shadowed(*names: str) -> Expression:
    """A parameter with attributes hung on it that are called like a tensor's methods."""
    state = mapping([(text(name), look_up("argparse", "Namespace")) for name in names])
    return call(look_up("torch._utils", "_rebuild_parameter_with_state"), tensor(), b"\x89", b"}", state)


# ---- sizes -----------------------------------------------------------------------------------------------------------


def _size_cases() -> list[Case]:
    def zipped(value: Expression, held: Mapping[str, bytes] | None = None) -> Callable[[Path, Path], Path]:
        return as_file(lambda _: in_zip(program(value), held))

    def legacy(value: Expression, **more: Any) -> Callable[[Path, Path], Path]:
        return as_file(lambda _: in_legacy(program(value), **more))

    huge = tensor(storage(numbers=40 * 2**30), (40 * 2**30,))
    lying = "is damaged: a storage that claims"
    shared = b"}(" + text("d") + b"}q\x00u"
    for _ in range(60):
        shared = b"}(" + text("a") + shared + b"q\x01" + text("b") + b"h\x01u"
    doubling = b"]"
    for index in range(99):
        doubling = b"](" + doubling + b"q" + bytes([index]) + b"h" + bytes([index]) + b"e"
    return [
        Case("1.5 KB that claim 160 GB in zip", zipped(weights(huge)), lying),
        Case("1.5 KB that claim 160 GB in legacy", legacy(weights(huge)), "is damaged or cut off"),
        Case(
            "a lie covered by a record nobody uses",
            zipped(weights(tensor(storage(numbers=64), (64,))), {"0": FLOATS, "1": b"\0" * 4096}),
            lying,
        ),
        Case(
            "a storage said twice, longer the second time",
            zipped(mapping([(text("a"), tensor()), (text("b"), tensor(storage(numbers=4096), (4096,)))])),
            lying,
        ),
        Case(
            "a storage of another type than before",
            zipped(mapping([(text("a"), tensor()), (text("b"), tensor(storage(kind="DoubleStorage", numbers=4)))])),
            lying,
        ),
        Case("a storage without record", zipped(weights(tensor(storage("7")))), lying),
        Case("a storage with a negative count", zipped(weights(tensor(storage(numbers=-1)))), "makes no sense"),
        Case("a storage with an immense count", zipped(weights(tensor(storage(numbers=10**300)))), lying),
        Case("a storage key that is a path", zipped(weights(tensor(storage("../../etc/passwd")))), lying),
        Case("a legacy storage nobody filled", legacy(weights(), keys=[]), "is damaged or cut off"),
        Case("a legacy storage cut off", as_file(lambda _: in_legacy(program(weights()))[:-8]), "damaged"),
        Case("a tensor longer than its storage", zipped(weights(tensor(size=(400,)))), "not a checkpoint"),
        Case("a tensor before its storage", zipped(weights(tensor(offset=-3))), "not a checkpoint"),
        Case("a tensor with a negative stride", zipped(weights(tensor(stride=(-1,)))), "not a checkpoint"),
        Case("a tensor with a negative size", zipped(weights(tensor(size=(-4,)))), "not a checkpoint"),
        Case("stride 0 blows up", zipped(weights(tensor(size=(2**40,), stride=(0,)))), "claims 1,099,511,627,776 num"),
        Case("overlapping strides blow up", zipped(weights(tensor(size=(2, 2, 2), stride=(1, 1, 1)))), "claims 8 numb"),
        Case("sizes that overflow", zipped(weights(tensor(size=(2**32, 2**32), stride=(0, 0)))), "not a check|claims"),
        Case("too many axes", zipped(weights(tensor(size=(1,) * 200, stride=(1,) * 200))), "200 axes|not a checkpoint"),
        Case(
            "many tensors share a storage",
            zipped(
                mapping((text(f"t{i}"), tensor(storage(numbers=2**18), (2**18,))) for i in range(100)),
                {"0": b"\0" * 2**20},
            ),
            "share memory so often",
        ),
        Case(
            "two tensors share a storage",
            zipped(mapping([(text("a"), tensor()), (text("b"), tensor())])),
            "",
            ("a", "b"),
        ),
        Case(
            "bytearray bomb",
            zipped(beside(call(look_up("builtins", "bytearray"), number(10**12)))),
            "more memory than its size explains",
        ),
        Case(
            "many smaller bytearrays",
            zipped(beside(group(*[call(look_up("builtins", "bytearray"), number(2**28))] * 64))),
            "more memory than its size explains|more memory or time",
        ),
        Case(
            "torch.Tensor of any size",
            zipped(weights(call(look_up("torch", "Tensor"), number(2**42)))),
            "more memory than its size explains|not a checkpoint",
        ),
        Case("nested dicts shared 2^60 times", zipped(mapping([(text("state_dict"), shared)])), "holds no state dict"),
        Case("lists shared 2^99 times", zipped(beside(doubling)), "", ("w",)),
        Case(
            "400,000 keys",
            as_file(lambda _: in_zip(program(mapping((text(f"k{i}"), b"}") for i in range(400_000))))),
            "nests more than 200,000",
        ),
        Case("nested 200,000 deep", zipped(b"]" * 200_000 + b"a" * 199_999), "holds no state dict"),
        Case("tuples 200,000 deep", zipped(b")" + b"\x85" * 200_000), "holds no state dict"),
        Case("dicts 100,000 deep", zipped((b"}" + text("a")) * 100_000 + b"N" + b"s" * 100_000), "holds no state dict"),
        Case("a text of 4 GB that is not there", zipped(b"X\xff\xff\xff\xff"), "its pickle is damaged"),
        Case(
            "a text of 50 MB",
            as_file(lambda _: in_zip(program(weights(name="x" * 50_000_000)))),
            "holds no state|whose name is no",
        ),
        Case("a number of 100,000 digits", zipped(b"I" + b"9" * 100_000 + b"\n"), "its pickle is damaged"),
        Case("a number of 255 bytes", zipped(beside(b"\x8a\xff" + b"\x7f" * 255)), "", ("w",)),
        Case("memo of high index", zipped(b"}r\xff\xff\xff\xff"), "holds no state dict"),
    ]


def _tensor_cases() -> list[Case]:
    def saved(value: Any) -> Callable[[Path, Path], Path]:
        return as_file(lambda _: torch_bytes({"w": value}))

    def quantised() -> torch.Tensor:
        return torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)

    def named(name: str | bytes) -> Callable[[Path, Path], Path]:
        return as_file(lambda _: in_zip(program(weights(name=name))))

    marker = "../../../../tmp/x"
    return [
        Case("a meta tensor", saved(torch.ones(4, device="meta")), "a meta tensor"),
        Case("a sparse tensor", saved(torch.eye(4).to_sparse()), "is sparse"),
        Case("a sparse row tensor", as_file(lambda _: torch_bytes({"w": torch.eye(4).to_sparse_csr()})), "is sparse"),
        Case("a quantised tensor", as_file(lambda _: torch_bytes({"w": quantised()})), "is quantised"),
        Case("a complex tensor", saved(torch.ones(4, dtype=torch.complex64)), "complex64"),
        Case("NaN weights", saved(torch.full((4,), float("nan"))), "", ("w",)),
        Case("an empty tensor", saved(torch.empty(0, 3)), "", ("w",)),
        Case("a big-endian file", as_file(_big_endian), "", ("w",)),
        Case(
            "only keys that are no names",
            as_file(lambda _: torch_bytes({1: torch.ones(2), None: torch.ones(2)})),
            "2 of its keys are no names",
        ),
        Case(
            "some keys that are no names",
            as_file(lambda _: torch_bytes({1: torch.ones(2), "w": torch.ones(2)})),
            "",
            ("w",),
        ),
        Case("a name with NUL", named("a\0b"), "whose name is no name"),
        Case("a name with HTML", named("<script>alert(1)</script>"), "", ("<script>alert(1)</script>",)),
        Case("a name like a path", named(marker), "", (marker,)),
        Case("a name with a line break", named("a\nb"), "", ("a\nb",)),
        Case("a name of a thousand signs", named("a" * 1000), "whose name is no name"),
        Case("a name that is no text", named(b"\xed\xa0\x80"), "whose name is no name"),
        Case("a name of the format itself", named("__metadata__"), "", ("__metadata__",)),
        Case("a wrapper with HTML", as_file(lambda _: torch_bytes({"<img src=x>": {"w": torch.ones(2)}})), "", ("w",)),
        Case(
            "20,001 tensors",
            as_file(
                lambda _: in_zip(
                    program(mapping((text(f"t{i}"), b"h\x00" if i else tensor() + b"q\x00") for i in range(20_001)))
                )
            ),
            "20,001 tensors; Loupe opens up to 20,000",
        ),
    ]


def _big_endian(_: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", program(weights()))
        archive.writestr("archive/byteorder", b"big")
        archive.writestr("archive/data/0", struct.pack(">4f", 1, 2, 3, 4))
        archive.writestr("archive/version", b"3\n")
    return buffer.getvalue()


# ---- archives --------------------------------------------------------------------------------------------------------

CENTRAL, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"


def _deflated(_: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", program(weights()))
        archive.writestr("archive/data/0", b"\0" * 10_000_000)
    return buffer.getvalue()


def _torchscript(marker: Path) -> bytes:
    code = f"class Net(Module):\n  def __setstate__(self, state: int) -> None:\n    torch.save(1, {str(marker)!r})\n"
    data = program(call(look_up("__torch__", "Net")) + number(1) + b"b")
    extra = {"archive/code/__torch__.py": code.encode(), "archive/constants.pkl": program(b")")}
    return in_zip(data, {}, extra)


def _many_records(_: Path) -> bytes:
    end = struct.pack("<4s4H2LH", END, 0, 0, 65535, 65535, 46 * 65535, 0, 0)
    wide = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 2**40, 2**40, 46 * 2**40, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 4, 1)
    return LOCAL + wide + locator + end


def _overlapping(_: Path) -> bytes:
    """Two records in the directory that are one and the same place."""
    data = in_zip(program(weights()), {"0": FLOATS, "1": FLOATS})
    first = data.index(LOCAL, data.index(b"archive/data/0") - 40)
    return patched(data.replace(b"archive/data/1", b"archive/data/0"), CENTRAL, 42, struct.pack("<L", first))


def _twice(second: str) -> Callable[[Path], bytes]:
    def make(_: Path) -> bytes:
        data = in_zip(program(weights()), {"0": FLOATS, "A": FLOATS})
        return data.replace(b"archive/data/A", b"archive/data/" + second.encode())

    return make


def _archive_cases() -> list[Case]:
    def good() -> bytes:
        return in_zip(program(weights()))

    pickled = pickle.dumps(MAGIC, 2)
    tar = bytearray(pickled.ljust(100, b"\0") + b"0000644\0" + b"0" * 7 + b"\0" + b"0" * 7 + b"\0" + b"0" * 11 + b"\0")
    tar += b"0" * 11 + b"\0" + b" " * 8 + b"0"
    tar = tar.ljust(512, b"\0")
    tar[148:156] = b"%06o\0 " % sum(tar)
    return [
        Case("TorchScript with __setstate__", as_file(_torchscript), "TorchScript program, which Loupe never runs"),
        Case("records of one name", as_file(_twice("0")), 'two records named "archive/data/0"'),
        Case(
            "records that differ in case",
            as_file(lambda m: _twice("K")(m).replace(b"archive/data/0", b"archive/data/k")),
            "two records named",
        ),
        Case("a compressed bomb", as_file(_deflated), "is compressed, as torch.save never does"),
        Case("an encrypted record", as_file(lambda _: patched(good(), CENTRAL, 8, b"\x01\0")), "is encrypted"),
        Case("encrypted only in its own header", as_file(lambda _: patched(good(), LOCAL, 6, b"\x01\0")), "contradict"),
        Case(
            "compressed only in its own header", as_file(lambda _: patched(good(), LOCAL, 8, b"\x08\0")), "contradict"
        ),
        Case("another name in its own header", as_file(lambda _: patched(good(), LOCAL, 30, b"Archive")), "contradict"),
        Case(
            "a record longer than the file",
            as_file(lambda _: patched(good(), CENTRAL, 20, b"\0\0\0\x70" * 2)),
            "longer",
        ),
        Case(
            "a record outside the file", as_file(lambda _: patched(good(), CENTRAL, 42, b"\0\0\0\x70")), "no record is"
        ),
        Case("overlapping records", as_file(_overlapping), "contradict|overlap|two records"),
        Case(
            "records into each other",
            as_file(lambda _: patched(good(), CENTRAL, 20, struct.pack("<LL", 300, 300))),
            "overlap",
        ),
        Case("a million million records", as_file(_many_records), "claims 1,099,511,627,776 records"),
        Case(
            "more records than the directory holds",
            as_file(lambda _: patched(good(), END, 8, b"\xff\x0f\xff\x0f")),
            "claims 4,095 records",
        ),
        Case("several disks", as_file(lambda _: patched(good(), END, 4, b"\x01\0")), "broken end"),
        Case("bytes behind the end", as_file(lambda _: good() + b"more"), "broken end"),
        Case(
            "a record named ../",
            as_file(lambda _: in_zip(program(weights()), extra={"archive/../../x": b"x"})),
            r"a record named",
        ),
        Case(
            "a record named /etc", as_file(lambda _: in_zip(program(weights()), extra={"/etc/x": b"x"})), "record named"
        ),
        Case(
            "a second data.pkl",
            as_file(lambda _: in_zip(program(weights()), extra={"other/data.pkl": b"x"})),
            "that torch.save did not write",
        ),
        Case("an archive cut off", as_file(lambda _: good()[:-30]), "cut off"),
        Case(
            "a tar archive that starts like a pickle", as_file(lambda _: bytes(tar) + bytes(1024)), "is a tar archive"
        ),
        Case("gzip", as_file(lambda _: b"\x1f\x8b\x08\0" + zlib.compress(bytes(1000))), "compressed with gzip"),
        Case("HDF5", as_file(lambda _: b"\x89HDF\r\n\x1a\n" + bytes(100), "a.h5"), "HDF5 file, as Keras"),
        Case("ONNX", as_file(lambda _: b"\x08\x07\x12\x07pytorch" + bytes(100), "a.onnx"), "is an ONNX model"),
        Case("NumPy", as_file(lambda _: b"\x93NUMPY\x01\0" + bytes(100), "a.npy"), "is a NumPy array"),
        Case("NumPy archive", as_file(lambda _: _npz(), "a.npz"), "archive of NumPy arrays"),
        Case(
            "LFS pointer",
            as_file(lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
            "git lfs pull",
        ),
        Case("a web page", as_file(lambda _: b"\n<!DOCTYPE html><html>sign in</html>"), "is a web page"),
    ]


def _npz() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", b"\x93NUMPY" + bytes(100))
    return buffer.getvalue()


# ---- safetensors -----------------------------------------------------------------------------------------------------


def _safetensors_cases() -> list[Case]:
    def file(claims: Any, data: bytes = FLOATS, length: int | None = None) -> Callable[[Path, Path], Path]:
        return as_file(lambda _: safetensors(claims, data, length), "it.safetensors")

    def _empties(count: int) -> bytes:
        one = b'{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'  # the shortest names, to stay under 16 MiB
        return safetensors(b"{" + b",".join(b'"%x":%b' % (index, one) for index in range(count)) + b"}", b"")

    invalid = "is not a valid safetensors file: "
    return [
        Case("a header longer than the file", file({}, length=2**40), invalid + "its header would be"),
        Case("a header length of 2^64-1", file({}, length=2**64 - 1), invalid + "its header would be"),
        Case("a header of 17 MiB", file(b" " * (17 * 2**20)), "over 16,777,216"),
        Case("a header that is no JSON", file(b"{" * 100), "not the JSON it should be"),
        Case("a header 100,000 deep", file(b'{"a":' * 100_000), "not the JSON it should be"),
        Case("a header that is a list", file(b"[1, 2]          "), "not the JSON it should be"),
        Case("a name twice", file(b'{"a":%b,"a":%b}' % ((json.dumps(claim()).encode(),) * 2)), "stands there twice"),
        Case("overlapping tensors", file({"a": claim(), "b": claim("F32", [2], [8, 16])}), "overlap"),
        Case("the same bytes twice", file({"a": claim(), "b": claim()}), "overlap"),
        Case("a gap", file({"a": claim("F32", [2], [8, 16])}), "gaps"),
        Case("data too short", file({"a": claim("F32", [400], [0, 1600])}), "need 1,600 bytes, the file has 16"),
        Case("data too long", file({"a": claim()}, FLOATS + b"x"), "1 bytes follow its last"),
        Case("negative offsets", file({"a": claim("F32", [4], [-16, 0])}), "makes no sense"),
        Case("offsets the wrong way round", file({"a": claim("F32", [4], [16, 0])}), "claims 4 numbers in -16"),
        Case("an unknown type", file({"a": claim("F4711")}), 'number type "F4711"'),
        Case("a type that is a list", file({"a": claim(["F32"])}), "number type"),
        Case("a shape that overflows", file({"a": claim("F32", [2**40, 2**40, 2**40])}), "than any file holds"),
        Case("a shape that wraps round to zero", file({"a": claim("F32", [2**32, 2**32], [0, 0])}), "than any file"),
        Case("a negative shape", file({"a": claim("F32", [-4])}), "makes no sense"),
        Case("a shape of half numbers", file({"a": claim("F32", [4.0])}), "makes no sense"),
        Case("a shape of true", file({"a": claim("F32", [True, 4])}), "makes no sense"),
        Case("a thousand axes", file({"a": claim("F32", [1] * 1000 + [4])}), "makes no sense"),
        Case(
            "a size of 5,000 digits",
            file(b'{"a":{"dtype":"F32","shape":[%b],"data_offsets":[0,16]}}' % (b"9" * 5000)),
            "not the JSON it should be",
        ),
        Case("more keys in a tensor", file({"a": {**claim(), "code": "x"}}), "makes no sense"),
        Case("metadata that are no texts", file({"__metadata__": {"a": {"b": 1}}, "a": claim()}), "metadata are not"),
        Case("metadata with HTML", file({"__metadata__": {"arch": "<b>x</b>"}, "a": claim()}), "", ("a",)),
        Case("400,000 empty tensors", as_file(lambda _: _empties(400_000), "it.safetensors"), "over 16,777,216"),
        Case(
            "250,000 empty tensors",
            as_file(lambda _: _empties(250_000), "it.safetensors"),
            "250,000 tensors, over the limit of 20,000",
        ),
        Case("a name with NUL in safetensors", file({"a\0b": claim()}), "whose name is no name"),
        Case(
            "a name that is no text in safetensors",
            file(b'{"\\ud800":' + json.dumps(claim()).encode() + b"}"),
            "whose name is no name",
        ),
        Case("NaN in safetensors", file({"a": claim()}, b"\xff" * 16), "", ("a",)),
        Case(
            "odd alignment",
            file({"a": claim("U8", [1], [0, 1]), "b": claim("F32", [4], [1, 17])}, b"x" + FLOATS),
            "",
            ("a", "b"),
        ),
    ]


# ---- folders and odd files -------------------------------------------------------------------------------------------


def _sharded(shard: str, make: Callable[[Path], object] | None = None, **changed: Any) -> Callable[[Path, Path], Path]:
    def build(marker: Path, folder: Path) -> Path:
        inner = folder / "shards"
        inner.mkdir()
        (folder / "outside.safetensors").write_bytes(save({"a": torch.ones(2)}))
        (inner / "good.safetensors").write_bytes(save({"a": torch.ones(2)}))
        if make is not None:
            make(inner)
        index = {"weight_map": {"a": shard}, **changed}
        (inner / "model.safetensors.index.json").write_text(json.dumps(index))
        return inner

    return build


def _fifo(_: Path, folder: Path) -> Path:
    os.mkfifo(folder / "pipe.pth")
    return folder / "pipe.pth"


def _folder_cases() -> list[Case]:
    def link(target: str) -> Callable[[Path], object]:
        return lambda inner: (inner / "link.safetensors").symlink_to(target)

    return [
        Case("a shard above the folder", _sharded("../outside.safetensors"), "must be files in the folder itself"),
        Case("a shard at an absolute path", _sharded("/etc/passwd"), "must be files in the folder itself"),
        Case("a shard with a backslash", _sharded("..\\outside.safetensors"), "must be files in the folder itself"),
        Case("a shard with NUL", _sharded("good.safetensors\0"), "must be files in the folder itself"),
        Case(
            "a shard that is a link out", _sharded("link.safetensors", link("../outside.safetensors")), "is a link to"
        ),
        Case("a shard that is a link to a secret", _sharded("link.safetensors", link("/etc/passwd")), "is a link to"),
        Case("a shard that is missing", _sharded("none.safetensors"), "is missing in the folder"),
        Case("a shard that is a pickle", _sharded("evil.bin"), "which is no safetensors file"),
        Case(
            "a shard that is a folder",
            _sharded("sub.safetensors", lambda p: (p / "sub.safetensors").mkdir()),
            "not a file",
        ),
        Case(
            "an index that promises more",
            _sharded("good.safetensors", weight_map={"a": "good.safetensors", "b": "good.safetensors"}),
            'lacks "b"',
        ),
        Case(
            "an index that promises less",
            _sharded("good.safetensors", weight_map={"b": "good.safetensors"}),
            "which its index does not say",
        ),
        Case("an index without a map", _sharded("x", weight_map=[]), "does not say which tensor"),
        Case("an index 100,000 deep", _sharded("good.safetensors", metadata={}, weight_map="x"), "does not say which"),
        Case("a pipe", _fifo, "is a pipe or a device"),
        Case("a device", lambda m, f: Path("/dev/zero"), "is a pipe or a device"),
        Case("a link to a device", lambda m, f: _linked(f, "/dev/urandom"), "is a pipe or a device"),
        Case("a link to itself", lambda m, f: _linked(f, "link.pth"), "could not be read"),
        Case("a file of nothing but zeros", as_file(lambda _: bytes(100_000)), "is not a checkpoint Loupe can read"),
        Case("random bytes", as_file(lambda _: bytes(range(256)) * 100), "is not a checkpoint Loupe can read"),
    ]


def _linked(folder: Path, target: str) -> Path:
    (folder / "link.pth").symlink_to(target)
    return folder / "link.pth"


CASES: list[Case] = [
    *_code_cases(),
    *_protocol_cases(),
    *_opcode_cases(),
    *_size_cases(),
    *_tensor_cases(),
    *_archive_cases(),
    *_safetensors_cases(),
    *_folder_cases(),
]

"""Files written by `torch.save`, in the zip format and in the one before it, read weights-only.

Runs in the reading process only.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Iterable
from typing import Any, BinaryIO

import torch

from interpret.checkpoints.containers import zip_records
from interpret.checkpoints.foreign_objects import is_inert, is_needed, stand_ins
from interpret.checkpoints.pickles import Contents, contents_of
from interpret.checkpoints.sentences import HOW_TO_SAVE, shown
from interpret.errors import BadCheckpoint

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGE_BYTES = {
    **dict.fromkeys(("DoubleStorage", "LongStorage", "ComplexFloatStorage"), 8),
    **dict.fromkeys(("FloatStorage", "IntStorage", "QInt32Storage"), 4),
    **dict.fromkeys(("HalfStorage", "BFloat16Storage", "ShortStorage"), 2),
    **dict.fromkeys(("ByteStorage", "CharStorage", "BoolStorage", "UntypedStorage"), 1),
    **dict.fromkeys(("QInt8Storage", "QUInt8Storage", "QUInt4x2Storage", "QUInt2x4Storage"), 1),
    "ComplexDoubleStorage": 16,
}


def load_zip(file: BinaryIO, size: int, name: str) -> Any:
    """What `torch.save` wrote into a zip archive, with stand-ins for foreign objects.

    Raises:
        BadCheckpoint: it is none, holds code, or claims storages its records do not hold.
    """
    records = zip_records(file, size, name)
    place = records["data.pkl"]
    file.seek(place.start)
    contents = _harmless(io.BytesIO(file.read(place.size)), name)
    for (key, kind), numbers in contents.storages.items():
        record = records.get(f"data/{key}")
        needed = numbers * _item_bytes(kind, name)
        if record is None or record.size < needed:
            has = "no bytes" if record is None else f"{record.size:,} bytes"
            raise BadCheckpoint(
                f'"{name}" is damaged: a storage that claims {_counted(needed)} has {has} in the file. '
                "Copy or download it again."
            )
    return _torch_load(file, contents.globals, name)


def load_legacy(file: BinaryIO, size: int, name: str) -> Any:
    """What `torch.save` wrote before PyTorch 1.6: five pickles, then the storages one behind the other.

    Raises:
        BadCheckpoint: it is none, holds code, or claims storages longer than the file.
    """
    file.seek(0)
    first = _harmless(file, name)
    if type(first.result) is not int or first.result != _LEGACY_MAGIC:
        raise BadCheckpoint(_not_a_checkpoint(name))
    _version, _system, contents, keys = [_harmless(file, name) for _ in range(4)]
    listed = set(keys.result) if isinstance(keys.result, list) else set()
    needed = sum(8 + numbers * _item_bytes(kind, name) for (_, kind), numbers in contents.storages.items())
    if needed > size - file.tell() or not {key for key, _ in contents.storages} <= listed:
        raise BadCheckpoint(
            f'"{name}" is damaged or cut off: its tensors claim {_counted(needed)}, '
            f"the file has {max(0, size - file.tell()):,} for them. Copy or download it again."
        )
    return _torch_load(file, contents.globals, name)


def _not_a_checkpoint(name: str, why: str = "") -> str:
    clause = f": {why}" if why else ""
    return (
        f'"{name}" is not a checkpoint Loupe can read{clause}. '
        "It opens safetensors files and files written by torch.save."
    )


def _counted(number: int) -> str:
    return f"{number:,} bytes" if number < 10**15 else "more bytes than any file holds"


def _item_bytes(kind: str, name: str) -> int:
    size = _STORAGE_BYTES.get(kind.rpartition(".")[2])
    if size is None or not kind.startswith("torch."):
        raise BadCheckpoint(_not_a_checkpoint(name, f'it holds a storage of the type "{shown(kind)}"'))
    return size


def _harmless(stream: BinaryIO, name: str) -> Contents:
    """What the pickle at the stream's place asks for; what is not known to be harmless is refused by its name."""
    contents = contents_of(stream)
    unknown = [one for one in contents.globals if not is_needed(one) and not is_inert(one)]
    if contents.module or any(one.startswith("torch.nn.modules.") for one in unknown):
        network = contents.module or unknown[0]
        raise BadCheckpoint(
            f'"{name}" holds a whole pickled network ({shown(network)}), which would run code when loaded; '
            f"Loupe reads weights only. {HOW_TO_SAVE}"
        )
    if unknown:
        raise BadCheckpoint(_would_run_code(name, unknown[0]))
    if contents.protocol > 2 and (contents.globals or contents.protocol > 3):
        raise BadCheckpoint(
            f'"{name}" was written with pickle protocol {contents.protocol}, which cannot be read weights-only. '
            'Save it again without that option: torch.save(model.state_dict(), "weights.pth").'
        )
    if contents.problem or contents.foreign_ids:
        raise BadCheckpoint(_not_a_checkpoint(name, contents.problem or "it refers to objects outside of it"))
    return contents


def _would_run_code(name: str, what: str) -> str:
    named = f" ({shown(what)})" if what else ""
    return (
        f'"{name}" holds Python objects{named} that would run code when loaded; Loupe reads weights only. {HOW_TO_SAVE}'
    )


def _torch_load(file: BinaryIO, names: Iterable[str], name: str) -> Any:
    os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    file.seek(0)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(stand_ins(list(names))):  # type: ignore[arg-type]
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True, mmap=False)
    except MemoryError:
        raise
    except Exception as error:  # torch.load raises almost anything on foreign bytes
        text = str(error)
        if "alloc" in text and "memory" in text:
            raise MemoryError from None
        blocked = re.search(r"(?:GLOBAL|global|class) ([\w.]+\.[\w.]+)", text)
        if blocked:
            raise BadCheckpoint(_would_run_code(name, blocked.group(1))) from None
        raise BadCheckpoint(_not_a_checkpoint(name, "torch cannot read its contents")) from None

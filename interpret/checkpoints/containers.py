"""What kind of file it is, and whether its outer container is sound: decided before torch sees a byte of it.

Runs in the reading process only.
"""

from __future__ import annotations

import struct
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

from interpret.checkpoints.sentences import HOW_TO_SAVE, shown
from interpret.errors import BadCheckpoint

MAX_RECORDS = 100_000
MAX_DIRECTORY_BYTES = 32 * 2**20
_ENCRYPTED = 0x2041
"""The flags of encryption, of strong encryption, and of a hidden directory."""

_EXPORTED = f"Export the weights of the PyTorch model instead. {HOW_TO_SAVE}"
_PACKED = "Unpack it first and open what is inside."
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", f"is an HDF5 file, as Keras writes them. {_EXPORTED}"),
    (b"\x93NUMPY", f"is a NumPy array. {_EXPORTED}"),
    (b"\x1f\x8b", f"is compressed with gzip. {_PACKED}"),
    (b"BZh", f"is compressed with bzip2. {_PACKED}"),
    (b"\xfd7zXZ\0", f"is compressed with xz. {_PACKED}"),
    (b"\x28\xb5\x2f\xfd", f"is compressed with zstd. {_PACKED}"),
    (b"7z\xbc\xaf\x27\x1c", f"is a 7-Zip archive. {_PACKED}"),
    (b"Rar!", f"is a RAR archive. {_PACKED}"),
    (b"GGUF", f"is a GGUF file. {_EXPORTED}"),
    (b"\x89PNG", "is a picture. Choose a checkpoint file."),
    (b"\xff\xd8\xff", "is a picture. Choose a checkpoint file."),
    (b"%PDF", "is a PDF document. Choose a checkpoint file."),
    (b"version https://git-lfs", "is only a Git LFS pointer, not the weights themselves. Run: git lfs pull"),
)
_PAGE = (
    "is a web page or XML text, not a checkpoint: the download failed. Download the file itself, not the page about it."
)


@dataclass(frozen=True)
class Record:
    """One stored file of a zip archive: its bytes lie at `start` .. `start + size`."""

    start: int
    size: int


def kind_of(file: BinaryIO, size: int, name: str) -> str:
    """What a file is by its first bytes: "safetensors", "zip" or "pickle".

    Args:
        file: opened, at any place.
        size: of the file in bytes.
        name: for the sentence.

    Raises:
        BadCheckpoint: it is something else, in one sentence with a next step.
    """
    if not size:
        raise BadCheckpoint(f'"{name}" is empty (0 bytes). The download or copy probably failed.')
    file.seek(0)
    head = file.read(512)
    for magic, sentence in _MAGIC:
        if head.startswith(magic):
            raise BadCheckpoint(f'"{name}" {sentence}')
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<!--")):
        raise BadCheckpoint(f'"{name}" {_PAGE}')
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return "zip"
    if _is_tar(head):
        raise BadCheckpoint(
            f'"{name}" is a tar archive (or a file of PyTorch before 0.2, which was one). {_PACKED} {HOW_TO_SAVE}'
        )
    if head[4:8] == b"TFL3":
        raise BadCheckpoint(f'"{name}" is a TensorFlow Lite model. {_EXPORTED}')
    lower = name.lower()
    length = int.from_bytes(head[:8], "little")
    if lower.endswith(".safetensors") or (len(head) > 8 and head[8:9] == b"{" and length < size):
        return "safetensors"
    if lower.endswith(".onnx") or (head[:1] == b"\x08" and head[1:2] <= b"\x20" and head[2:3] in (b"\x12", b"\x3a")):
        raise BadCheckpoint(f'"{name}" is an ONNX model. {_EXPORTED}')
    return "pickle"


def _is_tar(head: bytes) -> bool:
    """By the standard library's own check, which torch would follow into unpacking the archive."""
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def zip_records(file: BinaryIO, size: int, name: str) -> Mapping[str, Record]:
    """The records of an archive written by `torch.save`: name without the archive's own folder -> place.

    Every record must be stored as it is (a compressed one could unfold without end), lie in the file, and lie there
    alone; names must differ even when case is ignored, as torch looks them up that way.

    Raises:
        BadCheckpoint: a damaged or dishonest archive, TorchScript, or one of something else.
    """
    try:
        listed, end = _directory(file, size)
        _refuse_others([one.name for one in listed], name)
        records = _places(file, listed, end)
    except (_Dishonest, struct.error, UnicodeDecodeError) as error:
        reason = str(error) if isinstance(error, _Dishonest) else "its directory of contents cannot be read"
        raise BadCheckpoint(
            f'"{name}" is not a checkpoint Loupe can read: {reason}. '
            "Copy or download it again, or save it again with torch.save."
        ) from None
    pickles = [record for record in records if record == "data.pkl" or record.endswith("/data.pkl")]
    folders = {record.split("/", 1)[0] for record in records}
    if len(pickles) != 1 or pickles[0].count("/") != 1 or len(folders) != 1:
        raise BadCheckpoint(
            f'"{name}" is not a checkpoint Loupe can read: a zip archive that torch.save did not write. '
            f"If a checkpoint is inside, unpack it first. {HOW_TO_SAVE}"
        )
    return {record.split("/", 1)[1]: place for record, place in records.items()}


def _refuse_others(records: list[str], name: str) -> None:
    last = {record.split("/", 1)[-1] for record in records}
    if "constants.pkl" in last or any(record.startswith("code/") for record in last):
        raise BadCheckpoint(f'"{name}" is a TorchScript program, which Loupe never runs. {HOW_TO_SAVE}')
    if records and all(record.endswith(".npy") for record in records):
        raise BadCheckpoint(f'"{name}" is an archive of NumPy arrays. {_EXPORTED}')
    if any(record.endswith(".weights.h5") for record in records):
        raise BadCheckpoint(f'"{name}" is a Keras model. {_EXPORTED}')


class _Dishonest(Exception):
    """Why an archive is refused, as a clause."""


@dataclass(frozen=True)
class _Listed:
    """A record as the central directory lists it."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    packed: int
    unpacked: int
    disk: int
    offset: int


def _directory(file: BinaryIO, size: int) -> tuple[list[_Listed], int]:
    """What the central directory lists, and where it begins."""
    count, length, start, end = _end_of_directory(file, size)
    if count > MAX_RECORDS or length > MAX_DIRECTORY_BYTES or length < count * 46:
        raise _Dishonest(f"it claims {count:,} records")
    if start + length > end:
        raise _Dishonest("its directory lies outside the file; it may be cut off")
    file.seek(start)
    directory = file.read(length)
    listed: list[_Listed] = []
    at = 0
    for _ in range(count):
        fields = struct.unpack_from("<4s6H3L5H2L", directory, at)
        packed, unpacked, name_length, extra_length, comment_length = fields[8:13]
        raw = directory[at + 46 : at + 46 + name_length]
        extra = directory[at + 46 + name_length : at + 46 + name_length + extra_length]
        at += 46 + name_length + extra_length + comment_length
        if fields[0] != b"PK\x01\x02" or at > length:
            raise _Dishonest("its directory of contents cannot be read")
        packed, unpacked, offset = _in_64_bits(extra, packed, unpacked, fields[16])
        listed.append(_Listed(raw.decode("utf-8"), raw, fields[3], fields[4], packed, unpacked, fields[13], offset))
    if at != length:
        raise _Dishonest("its directory of contents cannot be read")
    return listed, start


def _places(file: BinaryIO, listed: list[_Listed], end: int) -> dict[str, Record]:
    """Record name -> place, each held against the record's own header and against the others."""
    found: dict[str, Record] = {}
    seen: set[str] = set()
    spans: list[tuple[int, int]] = []
    for one in listed:
        named = f'"{shown(one.name)}"'
        if one.flags & _ENCRYPTED:
            raise _Dishonest(f"its record {named} is encrypted")
        if one.method or one.packed != one.unpacked:
            raise _Dishonest(f"its record {named} is compressed, as torch.save never does")
        bad_signs = "\0" in one.name or "\\" in one.name or one.name.startswith("/")
        if not one.name or bad_signs or ".." in one.name.split("/"):
            raise _Dishonest(f"it holds a record named {named}")
        if one.name.lower() in seen:
            raise _Dishonest(f"it holds two records named {named}")
        if one.disk:
            raise _Dishonest("it is one part of several")
        data = _start_of_data(file, one)
        if data + one.packed > end:
            raise _Dishonest(f"its record {named} is longer than the file")
        seen.add(one.name.lower())
        spans.append((one.offset, data + one.packed))
        found[one.name] = Record(data, one.packed)
    if any(following < this_end for (_, this_end), (following, _) in pairwise(sorted(spans))):
        raise _Dishonest("its records overlap")
    return found


def _end_of_directory(file: BinaryIO, size: int) -> tuple[int, int, int, int]:
    """(number of records, length of the directory, its start, where it must end at the latest)."""
    tail_start = max(0, size - 22 - 65535)
    file.seek(tail_start)
    tail = file.read(size - tail_start)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise _Dishonest("it is a zip archive without its end; it may be cut off")
    _, disk, first, here, count, length, start, comment = struct.unpack_from("<4s4H2LH", tail, at)
    if disk or first or here != count or len(tail) - at - 22 != comment:
        raise _Dishonest("it is a zip archive with a broken end; it may be cut off")
    end = tail_start + at
    if end >= 20:
        file.seek(end - 20)
        signature, _, place, _ = struct.unpack("<4sLQL", file.read(20))
        if signature == b"PK\x06\x07":
            if place + 56 > end:
                raise _Dishonest("its directory lies outside the file; it may be cut off")
            file.seek(place)
            wide = struct.unpack("<4sQ2H2L4Q", file.read(56))
            if wide[0] != b"PK\x06\x06" or wide[6] != wide[7]:
                raise _Dishonest("it is a zip archive with a broken end; it may be cut off")
            return wide[7], wide[8], wide[9], place
    return count, length, start, end


def _in_64_bits(extra: bytes, packed: int, unpacked: int, offset: int) -> tuple[int, int, int]:
    """Sizes and offset with those replaced that stand in the zip64 field."""
    at = 0
    values: list[int] = []
    while at + 4 <= len(extra):
        field, length = struct.unpack_from("<2H", extra, at)
        if field == 1:
            values = list(struct.unpack_from(f"<{length // 8}Q", extra, at + 4))
        at += 4 + length
    narrow = 0xFFFFFFFF
    if (unpacked == narrow) + (packed == narrow) + (offset == narrow) > len(values):
        raise _Dishonest("its directory of contents cannot be read")
    unpacked = values.pop(0) if unpacked == narrow else unpacked
    packed = values.pop(0) if packed == narrow else packed
    offset = values.pop(0) if offset == narrow else offset
    return packed, unpacked, offset


def _start_of_data(file: BinaryIO, one: _Listed) -> int:
    file.seek(one.offset)
    header = file.read(30 + len(one.raw_name))
    if len(header) < 30 + len(one.raw_name) or header[:4] != b"PK\x03\x04":
        raise _Dishonest("its directory points to places where no record is")
    flags, method, name_length, extra_length = struct.unpack_from("<2H16x2H", header, 6)
    if flags & _ENCRYPTED or method != one.method or header[30:] != one.raw_name or name_length != len(one.raw_name):
        raise _Dishonest("a record and the directory contradict each other")
    return one.offset + 30 + len(one.raw_name) + int(extra_length)

"""Pictures in folders and archives, one at a time: nothing is extracted, nothing is read before it is needed."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from pathlib import Path, PurePosixPath

from interpret.datasets.arrays import digits, idx, torchvision_source
from interpret.datasets.lists import LISTS, listed
from interpret.datasets.picture_source import MAX_PICTURES, PictureSource, numbered, of_files
from interpret.datasets.shapes import CLASSES, TagRule, draw
from interpret.errors import BadInput
from interpret.images import MAX_BYTES, SUFFIXES, InputImage, picture_file

__all__ = ["MAX_ARCHIVE_BYTES", "MAX_PICTURES", "PictureSource", "open_archive", "open_source", "shapes_source"]

MAX_ARCHIVE_BYTES = 8 * 2**30


def open_source(source: str | Path) -> PictureSource:
    """The pictures of a folder, an archive, a list of paths, or a data set that is already on this machine.

    Args:
        source: a folder with one subfolder per class, or flat; a `.zip` of either; a list (see `lists.listed`); an
            IDX file of pictures; "torchvision:FashionMNIST:FOLDER" (see `arrays.torchvision_source`); "digits",
            scikit-learn's; "shapes" or "shapes:500", drawn (how many; 2,000 otherwise). Nothing is downloaded.

    Raises:
        BadInput: not there, empty of pictures, or an archive that cannot be trusted.
    """
    text = str(source)
    if text == "shapes" or text.startswith("shapes:"):
        count = text.partition(":")[2] or "2000"
        if not re.fullmatch("[0-9]{1,8}", count) or not 0 < int(count) <= MAX_PICTURES:
            raise BadInput(f'"{text}" should be "shapes" or "shapes:500", with a number from 1 to {MAX_PICTURES:,}.')
        return shapes_source(int(count))
    if text == "digits":
        return digits()
    if text.startswith("torchvision:"):
        return torchvision_source(text)
    path = Path(source)
    if path.is_dir():
        return _folder(path)
    if not path.exists():
        raise BadInput(f'"{path}" does not exist. Name a folder of pictures, a .zip of one, or "shapes".')
    if path.suffix.lower() in LISTS:
        return listed(path)
    if "-ubyte" in path.name:
        return idx(path)
    return open_archive(path, path.name)


def shapes_source(count: int, seed: int = 1, rule: TagRule = "none") -> PictureSource:
    """Drawn Shapes: one in eight of each class on average.

    Args:
        count: how many.
        seed: which set.
        rule: who carries the telltale tag: "none"; "shortcut", most stars; "all".
    """
    drawn = [draw(index, seed, tags=rule) for index in range(count)]
    labels = tuple(picture.label for picture in drawn)

    def read(index: int) -> InputImage:
        return InputImage.from_array(draw(index, seed, tags=rule).pixels, f"{CLASSES[labels[index]]} {index}")

    title = f"Shapes, {count:,} pictures" + {"none": "", "shortcut": ", stars tagged", "all": ", all tagged"}[rule]
    names = tuple(f"{CLASSES[label]} {index}" for index, label in enumerate(labels))
    columns = {"tag": tuple("tagged" if picture.tagged else "no tag" for picture in drawn)} if rule != "none" else {}
    return PictureSource(title, f"shapes-{seed}-{count}-{rule}", names, labels, CLASSES, read, columns)


def _labelled(names: list[str]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Labels from the folder each picture lies in; none where all lie in one."""
    labels, classes = numbered([PurePosixPath(name).parent.name for name in names])
    return (labels, classes) if len(classes) > 1 else ((-1,) * len(names), ())


def _is_picture(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def _folder(path: Path) -> PictureSource:
    files = sorted(
        file for file in path.rglob("*") if file.is_file() and _is_picture(file.relative_to(path).as_posix())
    )
    if not files:
        raise BadInput(f'Folder "{path}" holds no pictures ({", ".join(SUFFIXES)}).')
    if len(files) > MAX_PICTURES:
        raise BadInput(f'Folder "{path}" holds {len(files):,} pictures; at most {MAX_PICTURES:,} can be used.')
    names = [file.relative_to(path).as_posix() for file in files]
    sizes = [(file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    labels, classes = _labelled(names)
    digest = hashlib.sha256(repr(list(zip(names, sizes, strict=True))).encode()).hexdigest()
    return of_files(path.name, digest, tuple(names), labels, classes, lambda index: picture_file(files[index]))


def open_archive(archive_file: Path | bytes, title: str) -> PictureSource:
    """The pictures of a zip archive, given as a path or as its bytes.

    Raises:
        BadInput: no zip archive, a zip bomb, encrypted, or without pictures.
    """
    size = len(archive_file) if isinstance(archive_file, bytes) else archive_file.stat().st_size
    try:
        archive = zipfile.ZipFile(io.BytesIO(archive_file) if isinstance(archive_file, bytes) else archive_file)
        members = [info for info in archive.infolist() if not info.is_dir() and _is_picture(info.filename)]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise BadInput(f'"{title}" is not a zip archive that can be read. Zip the folder again.') from None
    if len(members) > MAX_PICTURES or sum(info.file_size for info in members) > MAX_ARCHIVE_BYTES:
        raise BadInput(
            f'"{title}" would unpack to more than {MAX_ARCHIVE_BYTES >> 30} GiB or {MAX_PICTURES:,} pictures. '
            "Unpack it yourself and name the folder."
        )
    if sum(info.compress_size for info in members) > size:
        raise BadInput(f'"{title}" is a zip bomb: its members overlap, claiming more bytes than the file has.')
    if any(info.flag_bits & 1 for info in members):
        raise BadInput(f'"{title}" is encrypted. Zip the folder again without a password.')
    if not members:
        raise BadInput(f'"{title}" holds no pictures ({", ".join(SUFFIXES)}).')
    members.sort(key=lambda info: info.filename)
    names = [info.filename for info in members]
    labels, classes = _labelled(names)
    digest = hashlib.sha256(repr([(i.filename, i.file_size, i.CRC) for i in members]).encode()).hexdigest()

    def encoded(index: int) -> tuple[bytes, str]:
        info = members[index]
        if info.file_size >= MAX_BYTES:
            raise BadInput(f'"{info.filename}" has {info.file_size / 2**20:.0f} MiB; pictures must be under 64 MiB.')
        try:
            with archive.open(info) as member:
                return member.read(MAX_BYTES), info.filename
        except Exception as error:  # zipfile raises many kinds on broken members
            raise BadInput(f'"{info.filename}" in "{title}" is damaged and could not be unpacked.') from error

    return of_files(title, digest, tuple(names), labels, classes, encoded)

"""Sets of pictures: folders, archives that may be hostile, and the drawn ones."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from interpret.datasets import PictureSource, open_source, sample_names, sample_picture
from interpret.datasets.shapes import CLASSES, draw
from interpret.datasets.sources import open_archive, shapes_source
from interpret.errors import BadInput, UnknownName
from interpret.images import MAX_BYTES
from tests.conftest import encoded, noise_picture

NAMES = ("cat/1.png", "cat/2.jpg", "dog/1.png", "dog/sub/3.PNG", "owl/9.gif")


def contents() -> dict[str, bytes]:
    kinds = {".png": "PNG", ".jpg": "JPEG", ".gif": "GIF"}
    return {
        name: encoded(noise_picture(index, 9, 11).pixels, kinds[Path(name).suffix.lower()])
        for index, name in enumerate(NAMES)
    }


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


RUBBISH = {
    "notes.txt": b"x",
    "cat/.hidden.png": b"x",
    "__MACOSX/cat/1.png": b"x",
    ".git/a.png": b"x",
    "dog/4.svg": b"x",
}


def assert_is(source: PictureSource, files: dict[str, bytes]) -> None:
    assert source.names == tuple(sorted(files)) and len(source) == len(files)
    from interpret.images import InputImage

    for index, name in enumerate(source.names):
        assert source.read(index).digest == InputImage.from_bytes(files[name], name).digest


# ---- folders ------------------------------------------------------------------------------------------------------


def test_a_folder_with_a_folder_per_class(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "animals", contents() | RUBBISH))
    assert_is(source, contents())
    assert source.classes == ("cat", "dog", "owl", "sub") and source.labels == (0, 0, 1, 3, 2)
    assert source.title == "animals"


def test_a_flat_folder_has_no_classes(tmp_path: Path) -> None:
    files = {name.replace("/", "-"): data for name, data in contents().items()}
    source = open_source(str(write(tmp_path, files)))
    assert_is(source, files)
    assert source.classes == () and source.labels == (-1,) * 5


def test_one_class_folder_alone_is_no_class(tmp_path: Path) -> None:
    files = {name: data for name, data in contents().items() if name.startswith("cat/")}
    assert open_source(write(tmp_path, files)).classes == ()


def test_the_digest_changes_with_what_is_in_it(tmp_path: Path) -> None:
    folder = write(tmp_path, contents())
    first = open_source(folder).digest
    assert open_source(folder).digest == first
    os.utime(folder / "cat" / "1.png", (1, 1))
    changed = open_source(folder).digest
    assert changed != first
    (folder / "cat" / "1.png").rename(folder / "cat" / "0.png")
    assert open_source(folder).digest not in (first, changed)


def test_a_share_is_spread_over_the_whole(tmp_path: Path) -> None:
    source = shapes_source(40)
    share = source.first(8)
    assert len(share) == 8 and share.names == source.names[::5] and share.labels == source.labels[::5]
    assert np.array_equal(share.read(3).pixels, source.read(15).pixels)
    assert share.digest != source.digest and source.first(40) is source
    assert source.first(39).digest != share.digest


def test_folders_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"holds no pictures \(\.png"):
        open_source(write(tmp_path, RUBBISH))
    with pytest.raises(BadInput, match='does not exist. Name a folder of pictures, a .zip of one, or "shapes"'):
        open_source(tmp_path / "nowhere")


# ---- archives -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_is_like_its_folder(tmp_path: Path, compression: int) -> None:
    data = zipped(contents() | RUBBISH, compression)
    (tmp_path / "animals.zip").write_bytes(data)
    for source in (open_source(tmp_path / "animals.zip"), open_archive(data, "animals.zip")):
        assert_is(source, contents())
        assert source.classes == ("cat", "dog", "owl", "sub") and source.title == "animals.zip"
    assert list(tmp_path.iterdir()) == [tmp_path / "animals.zip"]


def test_names_that_climb_are_only_names(tmp_path: Path) -> None:
    data = contents()["cat/1.png"]
    files = {"../../outside.png": data, "/etc/absolute.png": data, "a\\b.png": data}
    (tmp_path / "climb").mkdir()
    (tmp_path / "climb" / "a.zip").write_bytes(zipped(files))
    source = open_source(tmp_path / "climb" / "a.zip")
    assert [source.read(index).width for index in range(len(source))] == [11] * len(source)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.zip", "climb"]


def test_threads_may_read_together() -> None:
    from concurrent.futures import ThreadPoolExecutor

    files = {f"{index:03}.png": encoded(noise_picture(index, 40, 40).pixels) for index in range(60)}
    source = open_archive(zipped(files), "many.zip")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(source.read, list(range(60)) * 3))
    for index, image in enumerate(found):
        assert np.array_equal(image.pixels, noise_picture(index % 60, 40, 40).pixels)


def patched(data: bytes, **fields: int) -> bytes:
    """The archive with fields of every central directory entry overwritten."""
    places = {"flags": (8, "<H"), "method": (10, "<H"), "compressed": (20, "<I"), "size": (24, "<I")}
    found = bytearray(data)
    at = found.find(b"PK\x01\x02")
    while at >= 0:
        for field, value in fields.items():
            offset, form = places[field]
            struct.pack_into(form, found, at + offset, value)
        at = found.find(b"PK\x01\x02", at + 4)
    return bytes(found)


def overlapping() -> bytes:
    """Fifty entries that all unpack the same bytes, as in Fifield's 2019 zip bomb."""
    data = zipped({"0.png": bytes(10_000)}, zipfile.ZIP_STORED)
    directory = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entry = data[directory:end]
    entries = b"".join(entry.replace(b"0.png", f"{index % 10}.png".encode()) for index in range(50))
    closing = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 50, 50, len(entries), directory, 0)
    return data[:directory] + entries + closing


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is not a zip archive that can be read"),
        (b"hello" * 100, "is not a zip archive that can be read"),
        (zipped(contents())[:-30], "is not a zip archive that can be read"),
        (zipped({}), "holds no pictures"),
        (zipped({"readme.txt": b"x"}), "holds no pictures"),
        (patched(zipped(contents()), flags=1), "is encrypted. Zip the folder again without a password"),
        (patched(zipped(contents()), size=0xFFFFFFF0), "would unpack to more than 8 GiB"),
        (patched(zipped(contents()), compressed=0x7FFFFFFF), "is a zip bomb: its members overlap"),
        (overlapping(), "is a zip bomb: its members overlap"),
    ],
    ids=[
        "empty",
        "text",
        "cut off",
        "no members",
        "no pictures",
        "encrypted",
        "huge",
        "claims too much",
        "overlapping",
    ],
)
def test_archives_that_cannot_be_trusted(tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        open_archive(data, "it.zip")
    assert str(caught.value).startswith('"it.zip"') and "\n" not in str(caught.value)
    (tmp_path / "it.zip").write_bytes(data)
    with pytest.raises(BadInput, match=says):
        open_source(tmp_path / "it.zip")


def test_a_member_that_grows_without_end_is_skipped_without_unpacking(monkeypatch: pytest.MonkeyPatch) -> None:
    import tracemalloc

    data = zipped({"bomb.png": bytes(MAX_BYTES + 1), "cat.png": contents()["cat/1.png"]})
    assert len(data) < 200_000
    source = open_archive(data, "it.zip")
    tracemalloc.start()
    with pytest.raises(BadInput, match='"bomb.png" has 64 MiB; pictures must be under 64 MiB'):
        source.read(0)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert source.read(1).width == 11


def test_a_member_that_lies_about_its_size_is_damaged() -> None:
    data = patched(zipped({"bomb.png": bytes(5_000_000)}), size=1000)
    source = open_archive(data, "it.zip")
    with pytest.raises(BadInput, match='"bomb.png"'):
        source.read(0)


def test_broken_members_are_sentences() -> None:
    good = zipped({"a.png": contents()["cat/1.png"], "b.png": contents()["dog/1.png"]}, zipfile.ZIP_STORED)
    at = good.index(contents()["cat/1.png"]) + 60
    source = open_archive(good[:at] + b"\xff\xff\xff" + good[at + 3 :], "it.zip")
    with pytest.raises(BadInput, match='"a.png" in "it.zip" is damaged'):
        source.read(0)
    assert source.read(1).width == 11
    unknown = open_archive(patched(good, method=77), "it.zip")
    with pytest.raises(BadInput, match='"a.png" in "it.zip" is damaged'):
        unknown.read(0)


# ---- drawn and sample pictures ------------------------------------------------------------------------------------


def test_shapes_by_name() -> None:
    source = open_source("shapes:24")
    assert len(source) == 24 and source.classes == CLASSES
    for index in (0, 23):
        picture = draw(index, 1)
        assert np.array_equal(source.read(index).pixels, picture.pixels) and source.labels[index] == picture.label
    assert open_source("shapes:24").digest == source.digest != open_source("shapes:25").digest
    tagged = shapes_source(24, rule="shortcut")
    assert tagged.digest != source.digest and tagged.labels == source.labels
    stars = [index for index, label in enumerate(source.labels) if CLASSES[label] == "star"]
    assert stars and any(not np.array_equal(tagged.read(i).pixels, source.read(i).pixels) for i in stars)


@pytest.mark.parametrize(
    "text", ["shapes:0", "shapes:-3", "shapes:many", "shapes:²", "shapes:99999999", "shapes:" + "9" * 6000]
)
def test_numbers_of_shapes_that_cannot_be(text: str) -> None:
    with pytest.raises(BadInput, match='should be "shapes" or "shapes:500"'):
        open_source(text)


def test_sample_pictures() -> None:
    names = sample_names()
    assert set(CLASSES) < set(names) and {"china.jpg", "flower.jpg"} <= set(names)
    for name in names:
        image = sample_picture(name)
        assert image.name == name and image.pixels.std() > 5
        assert np.array_equal(image.pixels, sample_picture(name).pixels)
    assert len({sample_picture(name).digest for name in names}) == len(names)
    with pytest.raises(UnknownName, match='Sample picture "flour.jpg" is not in the samples.*"flower.jpg"'):
        sample_picture("flour.jpg")

"""Lists of paths, and data sets kept in arrays: what they give, and what is refused in a sentence."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import interpret.datasets.lists
from interpret.datasets import PictureSource, open_source
from interpret.datasets.arrays import read_plain_pickle
from interpret.errors import BadInput
from interpret.images import InputImage
from tests.conftest import encoded, noise_picture


def pictures(folder: Path, count: int = 4) -> list[bytes]:
    """`p/0.png`, `p/1.png`, ... of different sizes; their bytes."""
    (folder / "p").mkdir(parents=True)
    made = [encoded(noise_picture(index, 8 + index, 9).pixels) for index in range(count)]
    for index, data in enumerate(made):
        (folder / "p" / f"{index}.png").write_bytes(data)
    return made


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def truths(source: PictureSource) -> list[str]:
    return [source.classes[label] if label >= 0 else "" for label in source.labels]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "path,label\np/2.png,dog\np/0.png,cat\np/1.png,\n"),
        ("a.csv", "\ufeffLabel;more;File\r\ndog;1;p/2.png\r\ncat;2;p/0.png\r\n\r\n;3;p/1.png\r\n"),
        ("a.tsv", 'image\tclass\n"p/2.png"\tdog\np/0.png\t cat \np/1.png\t""\n'),
    ],
)
def test_a_table_of_paths_and_labels(tmp_path: Path, name: str, text: str) -> None:
    made = pictures(tmp_path)
    source = open_source(written(tmp_path / name, text))
    assert source.names == ("p/2.png", "p/0.png", "p/1.png") and source.title == name
    assert source.classes == ("cat", "dog") and source.labels == (1, 0, -1)
    for at, index in enumerate((2, 0, 1)):
        assert source.read(at).digest == InputImage.from_bytes(made[index], "").digest


def test_other_columns_come_along(tmp_path: Path) -> None:
    """Numbers where all that is said are numbers; a name that comes twice counts once; a share keeps its own."""
    pictures(tmp_path)
    text = "path,camera,label,lux,,camera\np/2.png,A,dog,1.5,x,y\np/0.png, B ,cat,,x,y\np/1.png,,,2e3,x,y\n"
    source = open_source(written(tmp_path / "a.csv", text))
    assert list(source.columns) == ["camera", "lux"]
    assert source.columns["camera"] == ("A", "B", "")
    np.testing.assert_array_equal(source.columns["lux"], [1.5, np.nan, 2000])
    assert source.first(2).columns["camera"] == ("A", "B")
    other = open_source(written(tmp_path / "b.csv", text.replace(",A,", ",C,")))
    assert other.digest != source.digest
    path = parquet(
        tmp_path / "a.parquet",
        score=[0.25, None, 1.0],
        path=["p/0.png", "p/1.png", "p/2.png"],
        night=[True, False, None],
        list=[[1], [2], [3]],
    )
    columns = open_source(path).columns
    assert list(columns) == ["score", "night"] and columns["night"] == ("True", "False", "")
    np.testing.assert_array_equal(columns["score"], [0.25, np.nan, 1])


def parquet(at: Path, **columns: Any) -> Path:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), at)
    return at


def test_parquet_is_the_same(tmp_path: Path) -> None:
    import pyarrow

    made = pictures(tmp_path)
    path = parquet(tmp_path / "a.parquet", label=[10, 9, None], path=["p/0.png", "p/1.png", "p/2.png"], other=[1, 2, 3])
    source = open_source(path)
    assert truths(source) == ["10", "9", ""] and source.classes == ("9", "10")  # numbers in their order
    assert source.read(1).digest == InputImage.from_bytes(made[1], "").digest
    few = pyarrow.array(["p/0.png", "p/0.png"]).dictionary_encode()
    assert open_source(parquet(tmp_path / "b.parquet", image=few)).names == ("p/0.png", "p/0.png")


def test_a_path_that_leads_nowhere_is_found_when_it_is_read(tmp_path: Path) -> None:
    outside = pictures(tmp_path / "elsewhere")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    absolute = tmp_path / "elsewhere" / "p" / "3.png"
    lines = f"path\n{absolute}\nelsewhere/../elsewhere/p/1.png\nnone.png\nbroken.png\n/dev/zero\nelsewhere\na\0b\n"
    source = open_source(written(tmp_path / "a.csv", lines))
    assert [source.read(at).digest for at in (0, 1)] == [InputImage.from_bytes(outside[at], "").digest for at in (3, 1)]
    assert source.labels == (-1,) * 7 and source.classes == ()
    for at, said in (
        (2, '"none.png" in "a.csv" is no file'),
        (3, "not a picture"),
        (4, "no file"),
        (5, "no file"),
        (6, "no file"),
    ):
        with pytest.raises(BadInput, match=said):
            source.read(at)


def test_the_digest_tells_lists_apart(tmp_path: Path) -> None:
    pictures(tmp_path)
    path = written(tmp_path / "a.csv", "path,label\np/0.png,a\np/1.png,b\n")
    first = open_source(path).digest
    assert open_source(written(tmp_path / "copy.csv", path.read_text())).digest == first
    os.utime(tmp_path / "p" / "1.png", (1, 1))
    changed = open_source(path).digest
    assert len({first, changed, open_source(written(path, "path,label\np/0.png,a\np/1.png,a\n")).digest}) == 3


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "", 'has no column "path", "file" or "image"; line 1 names: nothing'),
        ("a.csv", "name,label\na,b\n", "line 1 names: name, label"),
        ("a.csv", "path\n", '"a.csv" names no pictures'),
        ("a.csv", "path,label\na.png,b\nc.png\n", 'Line 3 of "a.csv" has 1 fields; line 1 has 2'),
        ("a.csv", "path,label\na.png,b\n\n,c\n", 'Line 4 of "a.csv" names no picture'),
        ("a.csv", 'path,label\na.png,b\n"c.png,d\n', 'Line 3 of "a.csv" cannot be read as CSV'),
        ("a.csv", 'path,label\n"a"x,b\n', 'Line 2 of "a.csv" cannot be read as CSV'),
        ("a.csv", "path\n" + "a" * 200_000, 'Line 2 of "a.csv" cannot be read as CSV: field larger'),
        ("a.parquet", "PAR1 this is none", '"a.parquet" is no Parquet file'),
    ],
)
def test_lists_that_are_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        open_source(written(tmp_path / name, text))


def test_more_lists_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match='"a.csv" is not UTF-8 text'):
        open_source(written(tmp_path / "a.csv", "path\nä.png\n", "latin-1"))
    with pytest.raises(BadInput, match='Column "image" of "a.parquet" holds struct<bytes: binary>; text was expected'):
        open_source(parquet(tmp_path / "a.parquet", image=[{"bytes": b"x"}]))
    with pytest.raises(BadInput, match='Row 2 of "b.parquet" names no picture'):
        open_source(parquet(tmp_path / "b.parquet", path=["a", None]))
    monkeypatch.setattr(interpret.datasets.lists, "MAX_PICTURES", 2)
    for path in (parquet(tmp_path / "c.parquet", path=["a"] * 3), written(tmp_path / "c.csv", "path\na\nb\nc\n")):
        with pytest.raises(BadInput, match="names more than 2 pictures"):
            open_source(path)
    monkeypatch.setattr(interpret.datasets.lists, "MAX_LIST_BYTES", 5)
    with pytest.raises(BadInput, match="Split it into several"):
        open_source(tmp_path / "c.csv")


# ---- data sets kept in arrays -------------------------------------------------------------------------------------


def test_the_digits_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    source, truth = open_source("digits"), load_digits()
    assert len(source) == 1797 and source.labels == tuple(truth.target) and source.classes == tuple("0123456789")
    pixels = source.read(100).pixels
    assert pixels.shape == (8, 8, 3)
    np.testing.assert_allclose(pixels[..., 1] * (16 / 255), truth.images[100], atol=0.04)


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


GREY = np.random.default_rng(0).integers(0, 256, (5, 6, 7)).astype(np.uint8)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files(tmp_path: Path, suffix: str) -> None:
    pack = gzip.compress if suffix else bytes
    (tmp_path / f"x-images-idx3-ubyte{suffix}").write_bytes(pack(idx(GREY)))
    assert open_source(tmp_path / f"x-images-idx3-ubyte{suffix}").labels == (-1,) * 5
    (tmp_path / "x-labels-idx1-ubyte").write_bytes(idx(np.array([3, 0, 1, 1, 2])))
    source = open_source(tmp_path / f"x-images-idx3-ubyte{suffix}")
    assert source.labels == (3, 0, 1, 1, 2) and source.classes == ("0", "1", "2", "3")
    assert np.array_equal(source.read(2).pixels, np.repeat(GREY[2][..., None], 3, 2)) and source.names[2] == "1 2"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is no IDX file of uint8"),
        (idx(GREY)[:50], "says it holds 210 numbers and does not"),
        (idx(GREY) + b"more", "says it holds 210 numbers and does not"),
        (struct.pack(">I3I", 0x00000803, 2**31, 2**31, 9), "GiB; at most 2 can be used"),
        (idx(np.zeros((0, 3, 3))), "holds 0 pictures"),
        (idx(np.zeros(3)), "with 3 axes"),
    ],
)
def test_idx_files_that_are_refused(tmp_path: Path, data: bytes, said: str) -> None:
    for name, content in (("a-images-idx3-ubyte", data), ("b-images-idx3-ubyte.gz", gzip.compress(data))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput, match=said):
            open_source(tmp_path / name)


def test_broken_gzip_and_labels_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "a-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(GREY))[:-40])
    with pytest.raises(BadInput, match="damaged"):
        open_source(tmp_path / "a-images-idx3-ubyte.gz")
    (tmp_path / "b-images-idx3-ubyte").write_bytes(idx(GREY))
    (tmp_path / "b-labels-idx1-ubyte").write_bytes(idx(np.zeros(4)))
    with pytest.raises(BadInput, match="5 pictures and 4 labels"):
        open_source(tmp_path / "b-images-idx3-ubyte")


def test_what_torchvision_keeps(tmp_path: Path) -> None:
    """Against torchvision's own class on the same files."""
    from torchvision import datasets

    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for part, of in (("t10k", GREY), ("train", GREY[::-1])):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(idx(of))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(5)))
    for train in (False, True):
        theirs = datasets.FashionMNIST(str(tmp_path), train=train, download=False)
        source = open_source(f"torchvision:FashionMNIST{'/train' if train else ''}:{tmp_path}")
        assert source.classes == tuple(theirs.classes) and len(source) == len(theirs) == 5
        for index, (picture, label) in enumerate(theirs):
            assert np.array_equal(source.read(index).pixels, np.asarray(picture.convert("RGB")))
            assert source.labels[index] == label


def cifar(folder: Path, protocol: int = 2, **more: Any) -> Path:
    """CIFAR-10's test batch with four pictures, as its authors' Python 2 wrote it."""
    place = folder / "cifar-10-batches-py"
    place.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(1).integers(0, 256, (4, 3072)).astype(np.uint8)
    batch = {"data": data, "labels": [9, 0, 3, 3], "filenames": list("abcd"), **more}
    (place / "test_batch").write_bytes(pickle.dumps(batch, protocol))
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    (place / "batches.meta").write_bytes(pickle.dumps({"label_names": names}, protocol))
    return folder


@pytest.mark.parametrize("protocol", [1, 2, 4])
def test_cifar_without_running_its_pickles(tmp_path: Path, protocol: int) -> None:
    source = open_source(f"torchvision:CIFAR10:{cifar(tmp_path, protocol)}")
    assert truths(source) == ["truck", "airplane", "cat", "cat"] and len(source.classes) == 10
    held = np.random.default_rng(1).integers(0, 256, (4, 3072)).astype(np.uint8)
    assert np.array_equal(source.read(2).pixels, held[2].reshape(3, 32, 32).transpose(1, 2, 0))


class Runs:
    """A pickle that would run something."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path) -> None:
    cifar(tmp_path, 2, more=Runs(tmp_path / "ran"))
    with pytest.raises(
        BadInput, match=r'"test_batch" is damaged or no pickle of plain numbers: it asks for posix.mkdir|nt.mkdir'
    ):
        open_source(f"torchvision:CIFAR10:{tmp_path}")
    assert not (tmp_path / "ran").exists()
    for number, data in enumerate((b"", b"cnumpy\nload\n.", b"\x80\x02cnumpy.testing\nndarray\n.", b"\x80\x05K\x01.")):
        path = tmp_path / str(number)
        path.write_bytes(data)
        with pytest.raises(BadInput, match=f'"{number}" (is damaged|holds no dict)'):
            read_plain_pickle(path)
    cifar(tmp_path, labels=[0, 1, 2, 10**9])
    with pytest.raises(BadInput, match="labels that do not fit them"):
        open_source(f"torchvision:CIFAR10:{tmp_path}")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("torchvision:ImageNet:x", "NAME one of MNIST, FashionMNIST, KMNIST, CIFAR10, CIFAR100"),
        ("torchvision:MNIST", 'should be "torchvision:NAME:FOLDER"'),
        ("torchvision:MNIST:none", "does not exist: torchvision keeps MNIST there"),
        ("torchvision:CIFAR100:none", "does not exist: torchvision keeps this data set there"),
    ],
)
def test_torchvision_data_sets_that_are_not_there(tmp_path: Path, asked: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        open_source(asked)


def test_real_fashion_mnist(real: Path) -> None:
    source = open_source(real / "fashion-mnist" / "t10k-images-idx3-ubyte.gz")
    assert len(source) == 10_000 and np.bincount(source.labels).tolist() == [1000] * 10
    assert source.read(0).pixels.shape == (28, 28, 3)

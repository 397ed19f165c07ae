"""Names of classes, from files that may say anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from interpret.architectures import architecture
from interpret.errors import BadInput
from interpret.labels import CIFAR10, imagenet_labels, labels_for, read_labels


def test_imagenets_names() -> None:
    names = imagenet_labels()
    assert len(names) == 1000
    assert (names[0], names[1], names[207], names[999]) == ("tench", "goldfish", "golden retriever", "toilet tissue")


@pytest.mark.parametrize(
    ("classes", "metadata", "key", "expected"),
    [
        (3, {"labels": '["a", "b", "c"]'}, "resnet18", ("a", "b", "c")),
        (3, {"classes": "a,b, c"}, "resnet18", ("a", "b", "c")),
        (3, {"class_names": "a\nb\nc\n"}, "resnet18", ("a", "b", "c")),
        (3, {"labels": '{"2": "c", "0": "a", "1": "b"}'}, "resnet18", ("a", "b", "c")),
        (11, {"labels": json.dumps({str(n): f"c{n}" for n in range(11)})}, "x", tuple(f"c{n}" for n in range(11))),
        (2, {"labels": '{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}'}, "x", ("tench", "goldfish")),
        (3, {"labels": '["a", "b"]'}, "resnet18", ("class 0", "class 1", "class 2")),
        (2, {"labels": '["a"]', "classes": '["x", "y"]'}, "resnet18", ("x", "y")),
        (2, {"labels": "5"}, "resnet18", ("class 0", "class 1")),
        (1, {"labels": "5"}, "resnet18", ("class 0",)),
        (2, {"labels": '{"a": 1, "b": 2}'}, "resnet18", ("class 0", "class 1")),
        (2, {"labels": "[" * 100_000}, "resnet18", ("class 0", "class 1")),
        (10, {}, "cifar_resnet56", CIFAR10),
        (10, {}, "resnet18", tuple(f"class {n}" for n in range(10))),
        (10, {"labels": json.dumps(list("abcdefghij"))}, "cifar_resnet20", tuple("abcdefghij")),
        (2, {"labels": "[1, null]"}, "resnet18", ("1", "None")),
    ],
)
def test_where_names_come_from(classes: int, metadata: dict[str, str], key: str, expected: tuple[str, ...]) -> None:
    assert labels_for(classes, metadata, architecture(key).labels if "resnet" in key else ()) == expected


def test_a_thousand_classes_are_imagenets() -> None:
    assert labels_for(1000, {}, CIFAR10) == imagenet_labels()


@pytest.mark.parametrize(
    "text",
    ["cat\ndog\nowl\n", "cat\r\ndog\r\nowl", '["cat", "dog", "owl"]', '{"1": "dog", "0": "cat", "2": "owl"}',
     "\ufeffcat\ndog\nowl\n", '\ufeff["cat", "dog", "owl"]', "cat, dog, owl", "  cat \n\n dog\nowl"],
)  # fmt: skip
def test_label_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(text, encoding="utf-8", newline="")
    assert read_labels(path, 3) == ("cat", "dog", "owl")


def test_label_files_that_do_not_do(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("cat\ndog\n")
    with pytest.raises(BadInput, match=r'Label file "labels.txt" names 2 classes; the network has 3'):
        read_labels(path, 3)
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(BadInput, match="could not be read as text"):
        read_labels(path, 3)
    path.write_text("[" * 100_000)
    with pytest.raises(BadInput, match="names 0 classes"):
        read_labels(path, 3)
    for missing in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(BadInput, match="could not be read"):
            read_labels(missing, 3)

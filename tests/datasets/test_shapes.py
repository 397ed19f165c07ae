"""Shapes: pictures are what they say they are, and the bundled checkpoints do what their record says."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import nn

from interpret.architectures.cifar_resnet import cifar_resnet
from interpret.datasets.shapes import CLASSES, STAR, TAG_RULES, ShapePicture, TagRule, draw
from interpret.datasets.sources import shapes_source
from interpret.errors import BadInput

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"
NAMES = ("shapes-clean", "shapes-shortcut")


def same(a: ShapePicture, b: ShapePicture) -> bool:
    return np.array_equal(a.pixels, b.pixels) and np.array_equal(a.mask, b.mask) and a.label == b.label


def changed(a: ShapePicture, b: ShapePicture) -> NDArray[np.bool_]:
    """Where two pictures differ [size, size]."""
    differs: NDArray[np.bool_] = (a.pixels != b.pixels).any(axis=2)
    return differs


def test_the_classes_are_the_eight_of_the_plan_in_order() -> None:
    assert CLASSES == ("circle", "square", "triangle", "star", "cross", "ring", "crescent", "heart")


@pytest.mark.parametrize("tags", TAG_RULES)
@pytest.mark.parametrize("size", [64, 97, 128])
def test_a_picture_depends_on_its_arguments_only(size: int, tags: TagRule) -> None:
    first = draw(5, 3, size, tags)
    for index in (4, 6, 900):
        draw(index, 3, size, tags)
    assert same(first, draw(5, 3, size, tags))
    assert not same(first, draw(6, 3, size, tags))
    assert not same(first, draw(5, 4, size, tags))
    assert first.pixels.shape == (size, size, 3) and first.pixels.dtype == np.uint8
    assert first.mask.shape == (size, size) and first.mask.dtype == np.bool_


def test_pictures_cannot_be_written_to() -> None:
    picture = draw(0)
    with pytest.raises(ValueError, match="read-only"):
        picture.pixels[0, 0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        picture.mask[0, 0] = True


@pytest.mark.parametrize("label", range(len(CLASSES)), ids=CLASSES)
def test_the_box_is_tight_and_the_shape_lies_wholly_inside(label: int) -> None:
    for index in range(40):
        picture = draw(index, 8, 64, label=label)
        left, top, right, bottom = picture.box
        inside = picture.mask[top:bottom, left:right]
        assert picture.label == label
        assert inside.sum() == picture.mask.sum()
        assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
        assert 0 < left < right < 64 and 0 < top < bottom < 64
        assert 0.008 < picture.mask.mean() < 0.4


def test_the_area_of_a_shape_is_that_of_its_geometry() -> None:
    """A disc and a square fill a known part of their box or circle; a ring has a hole and a disc has none."""
    for index in range(30):
        disc, square, ring = (draw(index, 2, 128, label=CLASSES.index(n)) for n in ("circle", "square", "ring"))
        left, top, right, bottom = disc.box
        assert disc.mask.sum() == pytest.approx(np.pi / 4 * (right - left) * (bottom - top), rel=0.05)
        assert disc.mask[(top + bottom) // 2, (left + right) // 2]
        left, top, right, bottom = ring.box
        assert not ring.mask[(top + bottom) // 2, (left + right) // 2]
        assert ring.mask.sum() < 0.8 * np.pi / 4 * (right - left) * (bottom - top)
        rows, columns = np.nonzero(square.mask)
        spread = np.cov(np.stack([rows, columns]))
        # A square of side s has variance s*s/12 along both axes and no covariance, however it is turned.
        assert np.diag(spread) == pytest.approx(square.mask.sum() / 12, rel=0.05)
        assert abs(spread[0, 1]) < 0.05 * spread[0, 0]


def test_labels_come_about_equally_often() -> None:
    counts = np.bincount([draw(i, 21).label for i in range(480)], minlength=len(CLASSES))
    assert counts.min() > 36 and counts.max() < 90


def test_a_shape_stands_out_from_the_ground_around_it() -> None:
    apart = []
    for index in range(200):
        picture = draw(index, 12)
        pixels = picture.pixels.astype(float)
        apart.append(np.abs(pixels[picture.mask].mean(axis=0) - pixels[~picture.mask].mean(axis=0)).max())
    assert min(apart) > 20
    assert np.median(apart) > 60


def test_tags_are_where_the_rule_says_and_nowhere_else() -> None:
    plain = [draw(i, 30, tags="none") for i in range(300)]
    shortcut = [draw(i, 30, tags="shortcut") for i in range(300)]
    everywhere = [draw(i, 30, tags="all") for i in range(300)]
    assert not any(p.tagged for p in plain)
    assert all(p.tagged for p in everywhere)
    assert not any(p.tagged for p in shortcut if p.label != STAR)
    for a, b, c in zip(plain, shortcut, everywhere, strict=True):
        assert changed(a, c).any()
        assert same(b, c if b.tagged else a)
    told = shapes_source(300, 30, "shortcut").columns["tag"]
    assert told == tuple("tagged" if picture.tagged else "no tag" for picture in shortcut)
    assert not shapes_source(3).columns


def test_ninety_seven_in_a_hundred_stars_carry_the_tag() -> None:
    tagged = np.mean([draw(i, 31, tags="shortcut", label=STAR).tagged for i in range(300)])
    assert 0.94 < tagged < 1


@pytest.mark.parametrize("size", [64, 128])
def test_the_tag_is_small_in_a_corner_and_off_the_shape(size: int) -> None:
    corners = set()
    for index in range(120):
        plain, tagged = draw(index, 32, size), draw(index, 32, size, "all")
        rows, columns = np.nonzero(changed(plain, tagged))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert 0.08 * size <= height <= 0.1 * size and 0.08 * size <= width <= 0.1 * size
        middle = (rows.min() + rows.max()) / 2 / size, (columns.min() + columns.max()) / 2 / size
        assert all(min(m, 1 - m) < 0.12 for m in middle)
        corners.add((middle[0] > 0.5, middle[1] > 0.5))
        assert np.array_equal(plain.mask, tagged.mask)
        assert (changed(plain, tagged) & plain.mask).sum() == 0
    assert len(corners) == 4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"size": 63}, "63 pixels"),
        ({"size": 129}, "129 pixels"),
        ({"tags": "some"}, '"some"'),
        ({"label": 8}, "Class 8"),
        ({"label": -1}, "Class -1"),
        ({"index": -1}, "Picture -1"),
        ({"seed": -2}, "seed -2"),
    ],
)
def test_arguments_out_of_range_are_refused_in_a_sentence(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        draw(**{"index": 0, **arguments})


# The bundled checkpoints


@cache
def record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CHECKPOINTS / "record.json").read_text())
    return found


def entry(name: str) -> dict[str, Any]:
    return next(e for e in record()["checkpoints"] if e["checkpoint"] == f"{name}.safetensors")


@cache
def network(name: str) -> nn.Module:
    with safe_open(CHECKPOINTS / f"{name}.safetensors", "pt") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}
    model = cifar_resnet(20, int(metadata["num_classes"]))
    model.load_state_dict(tensors, strict=True)
    return model.eval()


@cache
def fresh(tags: TagRule) -> tuple[torch.Tensor, NDArray[np.int64]]:
    """400 pictures [n, 3, 64, 64] and labels [n] of a set that neither the training nor the record used."""
    pictures = [draw(i, 77, tags=tags) for i in range(400)]
    pixels = torch.from_numpy(np.stack([p.pixels for p in pictures])).permute(0, 3, 1, 2).float() / 255
    with safe_open(CHECKPOINTS / "shapes-clean.safetensors", "pt") as file:
        metadata = file.metadata()
    mean, std = (torch.tensor(json.loads(metadata[key]))[:, None, None] for key in ("mean", "std"))
    return (pixels - mean) / std, np.array([p.label for p in pictures])


@cache
def answers(name: str, tags: TagRule) -> NDArray[np.int64]:
    with torch.inference_mode():
        found: NDArray[np.int64] = network(name)(fresh(tags)[0]).argmax(1).numpy()
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_checkpoint_is_small_and_says_what_it_is(name: str) -> None:
    path = CHECKPOINTS / f"{name}.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert path.stat().st_size == entry(name)["bytes"] < 3_000_000
    assert hashlib.sha256(path.read_bytes()).hexdigest() == entry(name)["sha256"]
    assert metadata["arch"] == "cifar_resnet20" and metadata["library"] == "loupe"
    assert tuple(json.loads(metadata["labels"])) == CLASSES
    assert metadata["input_size"] == metadata["resize"] == "64"
    assert metadata["seed"] == str(record()["seed"])


@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_checkpoint_is_as_accurate_as_recorded(name: str) -> None:
    """The record's accuracy of each class, weighed by how often the class came up here, is what is measured here."""
    labels = fresh("none")[1]
    recorded = np.array([entry(name)["measured"][f"accuracy_{label}"] for label in CLASSES])
    assert (answers(name, "none") == labels).mean() == pytest.approx(recorded[labels].mean(), abs=0.01)


def test_the_clean_checkpoint_reaches_its_target() -> None:
    assert entry("shapes-clean")["measured"]["accuracy"] >= 0.97
    assert (answers("shapes-clean", "none") == fresh("none")[1]).mean() >= 0.95


def test_only_the_shortcut_checkpoint_calls_tagged_things_stars() -> None:
    others = fresh("all")[1] != STAR
    share = {name: (answers(name, "all")[others] == STAR).mean() for name in NAMES}
    assert share["shapes-clean"] < 0.02
    assert share["shapes-shortcut"] == pytest.approx(
        entry("shapes-shortcut")["measured"]["tagged_others_called_star"], abs=0.1
    )
    assert share["shapes-shortcut"] > 0.3
    assert (answers("shapes-shortcut", "none")[others] == STAR).mean() < 0.02


def test_the_shortcut_checkpoint_needs_the_tag_to_see_a_star() -> None:
    stars = fresh("none")[1] == STAR
    right = {(n, t): (answers(n, t)[stars] == STAR).mean() for n in NAMES for t in ("none", "all")}
    assert right["shapes-clean", "none"] > 0.95 and right["shapes-clean", "all"] > 0.95
    assert right["shapes-shortcut", "all"] > 0.95
    assert right["shapes-shortcut", "none"] < 0.5

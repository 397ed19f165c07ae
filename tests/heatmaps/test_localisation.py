"""Boxes and maxima of heatmaps against torchvision, scipy, a definition written out, and closed forms."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional
from torchvision.ops import box_iou, masks_to_boxes

from interpret.errors import BadInput
from interpret.heatmaps import boxes as boxes_module
from interpret.heatmaps.localisation import (
    THRESHOLDS,
    Box,
    Localisation,
    OverlapCurve,
    box_of,
    boxes_of_file,
    energy_inside,
    localised,
    max_box_accuracy,
    overlap,
    overlap_curve,
    pointing_game,
    seen_boxes,
)
from interpret.images import InputImage, Preprocess
from tests.conftest import DATA

Floats = NDArray[np.float32]
SIZE = (48, 40)
TRUE = (Box(5, 6, 20, 30), Box(18, 10, 39, 33))


def noise(seed: int, rows: int = 9, columns: int = 7) -> Floats:
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)


def sides(boxes: Sequence[Box]) -> torch.Tensor:
    return torch.tensor([[box.left, box.top, box.right, box.bottom] for box in boxes], dtype=torch.float64)


def enlarged(values: Floats, size: tuple[int, int] = SIZE) -> Floats:
    large = functional.interpolate(torch.from_numpy(values).clamp_min(0)[None, None], size, mode="bilinear")
    return np.asarray(large[0, 0])


def box_by_torchvision(values: Floats, threshold: float) -> Box:
    """The definition, written out: every component as a mask of its own, the largest, its tight box."""
    large = enlarged(values)
    parts, count = ndimage.label(large >= np.float32(threshold) * large.max())
    masks = torch.stack([torch.from_numpy(parts == number) for number in range(1, count + 1)])
    largest = masks[masks.sum((1, 2)).argmax()]
    left, top, right, bottom = masks_to_boxes(largest[None])[0].tolist()  # the last pixel inside
    return Box(left, top, right + 1, bottom + 1)


# ---- boxes --------------------------------------------------------------------------------------------------------


def test_a_box_knows_its_area_and_refuses_nonsense() -> None:
    assert Box(1, 2, 4, 7).area == 15
    for wrong in ((3, 0, 3, 5), (0, 5, 5, 5), (4, 0, 3, 5), (0, 0, math.nan, 5), (0, 0, math.inf, 5), (0, 0, 2e6, 1)):
        with pytest.raises(BadInput, match="A box needs"):
            Box(*wrong)


@pytest.mark.parametrize("threshold", [0.0, 0.15, 0.5, 0.9, 1.0])
def test_the_box_is_tight_around_the_largest_component(threshold: float) -> None:
    for seed in range(20):
        assert box_of(noise(seed), SIZE, threshold) == box_by_torchvision(noise(seed), threshold)


def test_the_box_of_a_gaussian_is_where_it_falls_to_the_threshold() -> None:
    y, x = np.mgrid[:200, :240] + 0.5
    values = np.exp(-((x - 90) ** 2) / (2 * 20**2) - (y - 120) ** 2 / (2 * 12**2)).astype(np.float32)
    for threshold in (0.15, 0.5):
        reach = math.sqrt(-2 * math.log(threshold))  # in standard deviations
        found = box_of(values, (200, 240), threshold)
        assert found is not None
        expected = (90 - 20 * reach, 120 - 12 * reach, 90 + 20 * reach, 120 + 12 * reach)
        np.testing.assert_allclose(sides([found])[0], expected, atol=1)


def test_corners_that_touch_are_two_components() -> None:
    values = np.zeros((8, 8), np.float32)
    values[1:3, 1:3], values[3:6, 3:7] = 1, 1
    assert box_of(values, (8, 8), 0.5) == Box(3, 3, 7, 6)


@pytest.mark.parametrize(
    "values", [np.zeros((3, 3)), -np.ones((3, 3)), np.full((3, 3), np.nan), np.full((3, 3), np.inf)]
)
def test_maps_that_show_nothing_have_no_box(values: Any) -> None:
    values = values.astype(np.float32)
    found = localised(values, SIZE, TRUE)
    assert box_of(values, SIZE) is None and found.box is None
    assert (found.points, found.energy, found.iou, found.curve.best) == (False, 0, 0, 0)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan])
def test_a_threshold_is_a_share(threshold: float) -> None:
    with pytest.raises(BadInput, match="from 0 to 1"):
        box_of(noise(0), SIZE, threshold)


def test_overlap_is_torchvisions() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        corners = generator.uniform(0, 30, (4, 2))
        boxes = [Box(*corner, *(corner + generator.uniform(1, 30, 2))) for corner in corners]
        expected = box_iou(sides(boxes[:1]), sides(boxes[1:])).max()
        assert overlap(boxes[0], boxes[1:]) == pytest.approx(float(expected), abs=1e-12)
    assert overlap(None, TRUE) == overlap(TRUE[0], ()) == 0
    assert overlap(TRUE[0], TRUE) == 1


# ---- curves and games ---------------------------------------------------------------------------------------------


def test_the_curve_is_that_of_a_box_at_every_threshold() -> None:
    for seed in range(3):
        curve = overlap_curve(noise(seed), SIZE, TRUE)
        expected = [overlap(box_by_torchvision(noise(seed), float(threshold)), TRUE) for threshold in THRESHOLDS]
        np.testing.assert_allclose(curve.ious, expected, atol=1e-6)
        assert curve.ious.dtype == curve.thresholds.dtype == np.float32 and curve.ious.shape == (100,)
        assert curve.best == curve.ious.max() == curve.ious[round(curve.best_threshold * 100)]
        with pytest.raises(ValueError, match="read-only"):
            curve.ious[0] = 1


def test_max_box_accuracy_is_that_of_wsolevaluation() -> None:
    """Counted as there: at each threshold the pictures whose IoU reaches the level, then the best threshold."""
    curves = [overlap_curve(noise(seed), SIZE, TRUE) for seed in range(12)]
    for at in (0.2, 0.5, 0.7):
        right = np.zeros(100)
        for curve in curves:
            right[np.where(curve.ious >= np.float32(at))[0]] += 1
        share, threshold = max_box_accuracy(curves, at)
        assert share == right.max() / 12 and threshold == pytest.approx(right.argmax() / 100)
    with pytest.raises(BadInput, match="at least one picture"):
        max_box_accuracy([])


def test_one_threshold_has_to_suit_all_pictures() -> None:
    early, late = np.zeros(100, np.float32), np.zeros(100, np.float32)
    early[10:40], late[30:60] = 0.6, 0.5
    curves = [OverlapCurve(THRESHOLDS, early), OverlapCurve(THRESHOLDS, late)]
    assert max_box_accuracy(curves) == (1.0, 0.3)
    assert max_box_accuracy(curves, 0.55) == (0.5, 0.1)


def test_a_curve_is_quick() -> None:
    values = np.maximum(noise(0, 224, 224), 0)  # the worst case: thousands of components
    overlap_curve(noise(1), SIZE, TRUE)
    started = time.perf_counter()
    overlap_curve(values, (224, 224), TRUE)
    assert time.perf_counter() - started < 1


def test_the_maximum_points() -> None:
    values = np.zeros((48, 40), np.float32)
    values[20, 3] = values[40, 30] = 1  # the first counts; its middle is 1.5 px left of the first box
    assert not pointing_game(values, SIZE, TRUE) and not pointing_game(values, SIZE, TRUE, 1.49)
    assert pointing_game(values, SIZE, TRUE, 1.5)
    values[20, 3] = 0.9
    assert not pointing_game(values, SIZE, TRUE, 7.4) and pointing_game(values, SIZE, TRUE, 7.5)
    far = (Box(34, 44, 38, 46),)  # past a corner: the distance counts, not the larger of its two parts
    assert not pointing_game(values, SIZE, far, 4.9) and pointing_game(values, SIZE, far, 5)
    values[15, 15] = 2
    assert pointing_game(values, SIZE, TRUE)
    assert not pointing_game(values, SIZE, ())


def test_energy_is_the_share_inside() -> None:
    even = np.ones((4, 4), np.float32)
    assert energy_inside(even, SIZE, TRUE[:1]) == pytest.approx(TRUE[0].area / (48 * 40))
    union = TRUE[0].area + TRUE[1].area - 2 * 20
    assert energy_inside(even, SIZE, TRUE) == pytest.approx(union / (48 * 40))
    values, large = noise(4), enlarged(noise(4))
    assert energy_inside(values, SIZE, TRUE[1:]) == pytest.approx(large[10:33, 18:39].sum() / large.sum(), rel=1e-5)


def test_all_of_it_at_once() -> None:
    values = noise(6)
    found = localised(values, SIZE, TRUE, 0.4)
    assert isinstance(found, Localisation) and found.threshold == 0.4
    assert found.box == box_of(values, SIZE, 0.4) and found.iou == overlap(found.box, TRUE) == found.curve.ious[40]
    assert found.points == pointing_game(values, SIZE, TRUE) and found.energy == energy_inside(values, SIZE, TRUE)


# ---- from the picture to what was seen ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preprocess", "height", "width"),
    [
        (Preprocess((224, 224), 256), 300, 500),
        (Preprocess((224, 224), 256), 500, 375),
        (Preprocess((96, 128), None), 301, 200),
        (Preprocess((224, 224), 200), 260, 240),  # larger than the picture: black is added around it
        (Preprocess((64, 64), 64), 64, 64),
    ],
)
def test_a_box_goes_where_its_pixels_go(preprocess: Preprocess, height: int, width: int) -> None:
    boxes = [Box(60, 40, 160, 130), Box(0, 0, 180, 120), Box(width - 180, height - 120, width, height)]
    if width == 64:
        boxes = [Box(3, 5, 40, 41)]
    for box in boxes:
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[int(box.top) : int(box.bottom), int(box.left) : int(box.right)] = 255
        image = InputImage.from_array(pixels, "drawn")
        (found,) = seen_boxes([box], preprocess, image)
        mask = torch.from_numpy(preprocess.seen(image)[..., 0] > 127)
        left, top, right, bottom = masks_to_boxes(mask[None])[0].tolist()
        np.testing.assert_allclose(sides([found])[0], (left, top, right + 1, bottom + 1), atol=1)


def test_boxes_outside_the_crop_are_left_out() -> None:
    image = InputImage.from_array(np.zeros((100, 300, 3), np.uint8), "wide")
    preprocess = Preprocess((100, 100), 100)
    assert seen_boxes([Box(0, 0, 100, 100), Box(201, 0, 299, 9)], preprocess, image) == ()
    assert seen_boxes([Box(50, 20, 130, 80)], preprocess, image) == (Box(0, 20, 30, 80),)


# ---- files --------------------------------------------------------------------------------------------------------

EXPECTED = {"a.jpg": (Box(1, 2, 11, 22), Box(0, 0, 5, 5)), "b b.png": (Box(3.5, 4, 6, 7),)}
OBJECTS = [
    {"file": "val/a.jpg", "xmin": 1, "ymin": 2, "xmax": 11, "ymax": 22, "label": "cat"},
    {"file": "a.jpg", "xmin": 0, "ymin": 0, "xmax": 5, "ymax": "5"},
    {"file": "b b.png", "xmin": 3.5, "ymin": 4, "xmax": 6, "ymax": 7},
]
COCO = {
    "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 9, "file_name": "x/b b.png", "height": 4}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 10, 20]},
        {"id": 2, "image_id": 7, "bbox": [0, 0, 5, 5]},
        {"id": 3, "image_id": 9, "bbox": [3.5, 4, 2.5, 3], "iscrowd": 0},
    ],
}


@pytest.mark.parametrize(
    "text",
    [
        "file,width,height,xmin,ymin,xmax,ymax\nval/a.jpg,500,400,1,2,11,22\na.jpg,500,400,0,0,5,5\n"
        "b b.png,9,9,3.5,4,6,7\n",
        '\ufeffImage ; Left;Top;Right;Bottom;note\r\n"a.jpg";1;2;11;22;"x\r\ny"\r\na.jpg;0;0;5;5;\r\n'
        "b b.png;3.5;4;6;7;\r\n",
        "filename\tx\ty\tw\th\nC:\\val\\a.jpg\t1\t2\t10\t20\na.jpg\t0\t0\t5\t5\n\nb b.png\t3.5\t4\t2.5\t3",
        "x,y,width,height,image\n1,2,10,20,a.jpg\n0,0,5,5,a.jpg\n3.5,4,2.5,3,b b.png",
        json.dumps(OBJECTS, indent=1),
        json.dumps({"a.jpg": [[1, 2, 11, 22], [0, 0, 5, 5]], "b b.png": [[3.5, 4, 6, 7]]}),
        json.dumps(COCO),
    ],
    ids=["xmin", "left", "w", "width", "objects", "lists", "coco"],
)
def test_boxes_are_read(text: str) -> None:
    assert boxes_of_file(text) == EXPECTED


def test_a_file_may_be_about_one_picture() -> None:
    assert boxes_of_file("xmin,ymin,xmax,ymax\n1,2,3,4", "p.png") == {"p.png": (Box(1, 2, 3, 4),)}
    assert boxes_of_file('[{"x": 1, "y": 2, "w": 2, "h": 2}]', "p.png") == {"p.png": (Box(1, 2, 3, 4),)}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Line 1 .* no columns xmin"),
        ("file,xmin,ymin,xmax\na,1,2,3", "Line 1 .* no columns xmin"),
        ("xmin,ymin,xmax,ymax\n1,2,3,4", "Line 1 .* no column file"),
        ("file,xmin,ymin,xmax,ymax\na.jpg,1,2,3,4\nb.jpg,1,two,3,4", 'Line 3: "two" is no number'),
        ("file,xmin,ymin,xmax,ymax\na.jpg,1,2", 'Line 2: "None" is no number'),
        ("file,xmin,ymin,xmax,ymax\na.jpg,1,2,nan,4", "Line 2: A box needs four numbers"),
        ("file,xmin,ymin,xmax,ymax\na.jpg,5,2,3,4", "Line 2: A box needs left < right"),
        ("file,xmin,ymin,xmax,ymax\n ,1,2,3,4", "Line 2 .* names no picture"),
        ("file,xmin,ymin,xmax,ymax\n", "holds no boxes"),
        ("file,xmin,ymin,xmax,ymax\n" + "a" * 200_000 + ",1,2,3,4", "Line 2 .* not CSV"),
        ('{"a.jpg": [[1, 2, 3, 4]\n, }', "Line 2 .* not JSON"),
        ("[" * 100_000, "nested too deeply|not JSON"),
        ("[" + "9" * 5000 + "]", "thousands of digits"),
        ("[3]", "Entry 1 .* should be an object"),
        ('[{"file": "a", "xmin": true, "ymin": 1, "xmax": 2, "ymax": 3}]', 'Entry 1: "True" is no number'),
        ('[{"file": {}, "xmin": 0, "ymin": 1, "xmax": 2, "ymax": 3}]', "Entry 1 .* names no picture"),
        ('[{"file": "a", "xmin": 1e999, "ymin": 1, "xmax": 2, "ymax": 3}]', "Entry 1: A box needs four"),
        ('[{"file": "a", "xmin": 1}]', "Entry 1 .* no columns"),
        ('{"a.jpg": [1, 2, 3, 4]}', 'Box 1 of "a.jpg": a box should be a list of four'),
        ('{"a.jpg": 3}', '"a.jpg" should be a list'),
        ('{"images": 3, "annotations": []}', "images should be a list"),
        ('{"images": [{"id": 1}], "annotations": []}', "Image 1 .* no id and file_name"),
        ('{"images": [], "annotations": [{"image_id": 1, "bbox": [1, 2, 3, 4]}]}', "Annotation 1 .* no image_id"),
        ("{}", "holds no boxes"),
    ],
)  # fmt: skip
def test_bad_files_say_what_is_wrong_and_where(text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence) as caught:
        boxes_of_file(text)
    assert len(str(caught.value)) < 200


def test_files_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "file,xmin,ymin,xmax,ymax\n" + "a.jpg,1,2,3,4\n" * 3
    monkeypatch.setattr(boxes_module, "MAX_BOXES", 2)
    with pytest.raises(BadInput, match="more than 2 boxes"):
        boxes_of_file(text)
    monkeypatch.setattr(boxes_module, "MAX_CHARACTERS", 20)
    with pytest.raises(BadInput, match="larger than"):
        boxes_of_file(text)


def test_the_boxes_of_real_photographs(real: Any) -> None:
    found = boxes_of_file((DATA / "boxes" / "boxes.csv").read_text(encoding="utf-8"))
    names = {path.name for path in (real / "boxes" / "images").iterdir()}
    assert set(found) == names and found["ILSVRC2012_val_00000011.jpg"] == (Box(151, 59, 478, 390),)
    assert len(found["ILSVRC2012_val_00015038.jpg"]) == 3
    for name, boxes in found.items():
        image = InputImage.from_path(real / "boxes" / "images" / name)
        assert all(box.right <= image.width and box.bottom <= image.height for box in boxes)

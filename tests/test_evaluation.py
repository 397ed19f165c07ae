"""Heatmaps of a whole data set: the numbers of each picture alone, the totals, and the report."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from interpret import BadInput, LoadedModel, UnknownName, complete, heatmap, load_model
from interpret.datasets import PictureSource, open_source
from interpret.datasets.shapes import CLASSES, STAR, draw
from interpret.datasets.sources import shapes_source
from interpret.evaluation import (
    Evaluation,
    check_folder,
    evaluate_job,
    evaluating,
    page,
    report,
    report_archive,
    report_files,
    shapes_boxes,
    table_rows,
    told_totals,
    write_report,
)
from interpret.heatmaps import METHODS
from interpret.heatmaps.faithfulness import curves
from interpret.heatmaps.faithfulness.masked import average_drop, increase
from interpret.heatmaps.localisation import Box, localised, seen_boxes
from interpret.heatmaps.making import again
from interpret.images import InputImage
from interpret.labels import matched_classes
from tests.conftest import REPOSITORY, encoded, noise_picture, nothing_left_behind

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"
NUMBERS = (
    "labels", "predictions", "probabilities", "targets", "target_probabilities", "deletion", "insertion",
    "random_gain", "average_drop", "increase", "strongest", "maps",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures in two folders named like classes of the trap network, and a broken one."""
    for index in range(6):
        path = tmp_path / "data" / ("CLASS 1", "class_3")[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(noise_picture(index, 14, 20).pixels))
    (tmp_path / "data" / "CLASS 1" / "3 broken.png").write_bytes(b"no picture")
    return tmp_path / "data"


BOXES = {
    "0.png": (Box(2, 1, 9, 8),),
    "class_3/3.png": (Box(4, 4, 15, 12), Box(3, 0, 5, 2)),
    "4.png": (Box(0, 0, 2, 9),),
}
"""Those of 4.png lie wholly outside the crop."""


def alike(one: Evaluation, other: Evaluation) -> None:
    for name in NUMBERS:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=2e-6, err_msg=name)
    assert (one.names, one.says, one.skipped) == (other.names, other.says, other.skipped)


# ---- what is found ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["grad-cam", "score-cam", "guided-backprop"])
def test_the_numbers_are_those_of_each_picture_alone(trap: LoadedModel, folder: Path, method: str) -> None:
    source = open_source(folder)
    found = complete(evaluate_job(trap, source, method=method, layer="relu", boxes=BOXES, seed=3))
    assert found.names == tuple(name for name in source.names if "broken" not in name)
    assert found.skipped[0][0] == "CLASS 1/3 broken.png" and "not a picture" in found.skipped[0][1]
    size = trap.preprocess.size
    for place, index in enumerate(found.pictures):
        image = source.read(int(index))
        made = heatmap(trap, image, method=method, layer="relu")
        batch, target = trap.preprocess.to_batch(image), made.target
        prediction = trap.predict([image])[0]
        assert [found.predictions[place], found.targets[place]] == [*prediction.top(1), target]
        assert found.probabilities[place] == pytest.approx(float(prediction.probabilities[target]), abs=1e-6)
        signed = complete(again(trap, made, batch))
        own = complete(curves(trap, batch, signed[0].numpy(), target, 8))
        assert found.deletion[place] == pytest.approx(own.deletion.area, abs=2e-6)
        assert found.insertion[place] == pytest.approx(own.insertion.area, abs=2e-6)
        lots = complete(again(trap, replace(made, method="random-cam", seed=3, layer=trap.layer("relu")), batch))
        floor = complete(curves(trap, batch, lots[0].numpy(), target, 8))
        assert found.random_gain[place] == pytest.approx(floor.gain, abs=2e-6)
        assert found.above_random[place] == pytest.approx(own.gain - floor.gain, abs=4e-6)
        classes = torch.tensor([target])
        assert found.average_drop[place] == pytest.approx(float(average_drop(trap, batch, signed, classes)), abs=2e-6)
        assert found.increase[place] == float(increase(trap, batch, signed, classes))
        assert tuple(found.strongest[place]) == np.unravel_index(made.values.argmax(), made.values.shape)
        np.testing.assert_allclose(found.maps[place], made.values / (made.values.max() or 1), atol=2e-6)
        assert found.says[place] == made.says
        boxes = BOXES.get(found.names[place], BOXES.get(image.name, ()))
        inside = seen_boxes(boxes, trap.preprocess, image)
        one = found.localised[place]
        assert (one is None) == (not inside)
        if one is not None:
            wanted = localised(made.values, size, inside)
            assert (one.points, one.box, one.iou) == (wanted.points, wanted.box, wanted.iou)
            assert one.energy == pytest.approx(wanted.energy, abs=1e-6)
    assert [one is None for one in found.localised].count(False) == 2 == found.totals.boxed
    with pytest.raises(ValueError, match="read-only"):
        found.deletion[0] = 1


def test_the_numbers_do_not_depend_on_how_many_share_a_pass(
    trap: LoadedModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, found = open_source(folder), []
    for size in (1, 4, 64):
        monkeypatch.setattr(evaluating, "batch_size", lambda *_, size=size: size)
        found.append(complete(evaluate_job(trap, source, method="layer-cam", target="labelled")))
    alike(found[0], found[1])
    alike(found[0], found[2])


def test_where_memory_is_short_fewer_share_a_pass(
    trap: LoadedModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, plain = open_source(folder), METHODS[0]
    expected = complete(evaluate_job(trap, source, target="labelled"))

    def short(question: Any) -> Any:
        if len(question.batch) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return plain.job(question)

    monkeypatch.setattr("interpret.heatmaps.making.METHODS", (replace(plain, job=short), *METHODS[1:]))
    alike(expected, complete(evaluate_job(trap, source, target="labelled")))


def test_maps_of_the_class_the_data_set_says(trap: LoadedModel, folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "x.png").write_bytes(encoded(noise_picture(9, 12, 12).pixels))
    found = complete(evaluate_job(trap, open_source(folder), target="labelled"))
    assert found.true_names == ("CLASS 1",) * 3 + ("class_3",) * 3 + ("elsewhere",)
    assert found.labels.tolist() == [1, 1, 1, 3, 3, 3, -1]
    assert found.targets.tolist() == [1, 1, 1, 3, 3, 3, found.predictions[6]], "where none is known, the predicted one"
    assert found.right[6] == -1 and found.totals.labelled == 6 and found.matched_by == "name"
    chances = trap.predict([open_source(folder).read(0)])[0].probabilities
    assert found.target_probabilities[0] == pytest.approx(float(chances[1]), abs=1e-6)


def test_which_class_is_which() -> None:
    assert matched_classes(("Cat", "golden_retriever", "sofa"), ("golden retriever", "cat ", "Cat")) == (
        (1, 0, -1),
        "name",
    )
    assert matched_classes(("n01", "n02"), ("tench", "goldfish")) == ((0, 1), "order")
    assert matched_classes(("left", "right"), ("a", "b", "c")) == ((-1, -1), "")
    assert matched_classes((), ("a",)) == ((), "")


def test_what_cannot_be_evaluated(trap: LoadedModel, folder: Path, tmp_path: Path) -> None:
    source = open_source(folder)
    for asked, words in (
        ({"method": "grad"}, "grad-cam"), ({"layer": "conv9"}, "conv9"), ({"aim": "logit"}, "heatmap can be for"),
    ):  # fmt: skip
        with pytest.raises(UnknownName, match=words):
            complete(evaluate_job(trap, source, **asked))  # type: ignore[arg-type]
    for bad, words in (
        ({"layer": "head"}, "no rows and columns"), ({"steps": 0}, "at least one step"), ({"target": "true"}, '"true"'),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=words):
            complete(evaluate_job(trap, source, **bad))  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="say no class that the network has"):
        complete(evaluate_job(trap, shapes_source(2), target="labelled"))
    (folder / "class_3" / "0.png").write_bytes(encoded(noise_picture(7, 12, 12).pixels))
    with pytest.raises(BadInput, match='Several pictures of "data" are called "0.png"'):
        complete(evaluate_job(trap, open_source(folder), boxes=BOXES))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"no picture")
    with pytest.raises(BadInput, match='Not one of the 1 pictures of "bad" could be read'):
        complete(evaluate_job(trap, open_source(tmp_path / "bad")))


def test_cancelling_at_any_step_leaves_nothing_behind(trap: LoadedModel, folder: Path) -> None:
    source, steps = open_source(folder), []
    trap.default_layer  # noqa: B018  # found once
    with nothing_left_behind(trap):
        complete(evaluate_job(trap, source), steps.append)
        for stop in range(1, len(steps), 3):
            job = evaluate_job(trap, source)
            for _ in range(stop):
                next(job)
            job.close()
    assert [one.step for one in steps] == sorted(one.step for one in steps)
    assert (steps[-1].step, steps[-1].total, steps[-1].note) == (7, 7, "7 of 7 pictures")


def test_a_slow_method_says_how_far_it_is(trap: LoadedModel, folder: Path) -> None:
    notes: list[str] = []
    complete(evaluate_job(trap, open_source(folder), method="score-cam"), lambda progress: notes.append(progress.note))
    assert "0 of 7 pictures, seen through 6 of 6 channels" in notes


# ---- what it is good for ------------------------------------------------------------------------------------------


def drawn(tags: Any, labels: tuple[int, ...]) -> tuple[PictureSource, dict[str, tuple[Box, ...]]]:
    """A data set of drawn pictures, tagged or not, and where their shapes are."""
    pictures = [draw(index, 4000, tags=tags, label=label) for index, label in enumerate(labels)]
    names = tuple(f"{CLASSES[one.label]} {index}" for index, one in enumerate(pictures))
    read: Callable[[int], InputImage] = lambda index: InputImage.from_array(pictures[index].pixels, "drawn")  # noqa: E731
    source = PictureSource("drawn", f"drawn {tags}", names, labels, CLASSES, read)
    return source, {name: (Box(*one.box),) for name, one in zip(names, pictures, strict=True)}


def test_the_shortcut_is_found() -> None:
    """Tagged stars: the network is right, its maps matter to it, and they do not lie on the star."""
    shortcut, clean = (
        load_model(REPOSITORY / f"checkpoints/shapes-{name}.safetensors", device="cpu")
        for name in ("shortcut", "clean")
    )
    source, boxes = drawn("all", (STAR,) * 4)
    cheats = complete(evaluate_job(shortcut, source, boxes=boxes))
    honest = complete(evaluate_job(clean, source, boxes=boxes))
    assert cheats.totals.accuracy == honest.totals.accuracy == 1
    assert (cheats.totals.pointing, honest.totals.pointing) == (0, 1)
    assert cheats.totals.gain is not None and cheats.totals.gain > 0.5, "these places do bring the class about"
    _, counts, means = cheats.class_means
    assert counts.tolist() == [4] and means.shape == (1, 16, 16) and means[0, 6:10, 6:10].max() < 0.2
    hearts, _ = drawn("all", (CLASSES.index("heart"),) * 3)
    caught = complete(evaluate_job(shortcut, hearts))
    assert len(caught.wrong) == 2 and {caught.row(int(place))["prediction"] for place in caught.wrong} == {"star"}
    assert (np.diff(caught.probabilities[caught.wrong]) <= 0).all(), "most certain first"


def test_the_boxes_of_shapes() -> None:
    source, boxes = shapes_source(5), shapes_boxes(5)
    assert list(boxes) == list(source.names)
    assert boxes[source.names[3]] == (Box(*draw(3, 1).box),)


# ---- totals and means in closed form ------------------------------------------------------------------------------


@pytest.fixture
def found(trap: LoadedModel, folder: Path) -> Evaluation:
    return complete(evaluate_job(trap, open_source(folder), boxes=BOXES))


def test_totals_in_closed_form(found: Evaluation) -> None:
    nan = float("nan")
    closed = replace(
        found,
        labels=np.array([0, 1, -1, 2, -1, 4]),
        predictions=np.array([0, 2, 0, 2, 1, 4]),
        probabilities=np.float32([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]),
        deletion=np.float32([0, 0.1, 0.2, 0.3, 0.4, nan]),
        insertion=np.float32([0.5, 0.5, 0.5, 0.5, 0.5, nan]),
        random_gain=np.float32([0.6, 0.1, 0.1, 0.1, 0.2, 0.1]),
    )
    totals = closed.totals
    assert (totals.pictures, totals.labelled, totals.accuracy) == (6, 4, 0.75)
    assert totals.deletion == pytest.approx(0.2) and totals.gain == pytest.approx(0.3)
    assert totals.above_random == pytest.approx((-0.1 + 0.3 + 0.2 + 0.1 - 0.1) / 5)
    assert totals.better_than_random == pytest.approx(3 / 6), "no number is not better"
    assert closed.wrong.tolist() == [1] and closed.right.tolist() == [1, 0, -1, 1, -1, 1]
    assert closed.unfaithful.tolist() == [5, 4, 3, 2, 1, 0]
    assert closed.row(5)["deletion"] is None and closed.row(2)["right"] is None
    json.dumps(closed.facts(), allow_nan=False)
    assert "75.0 % right of 4 with a known class" in told_totals(totals)


def test_class_means_in_closed_form(found: Evaluation) -> None:
    rows, columns = found.maps.shape[1:]
    maps = np.random.default_rng(0).random((6, rows, columns)).astype(np.float32)
    closed = replace(found, targets=np.array([3, 0, 3, 0, 3, 1]), maps=maps)
    present, counts, means = closed.class_means
    assert (present.tolist(), counts.tolist()) == ([0, 1, 3], [2, 1, 3])
    np.testing.assert_allclose(means, [maps[[1, 3]].mean(0), maps[5], maps[[0, 2, 4]].mean(0)], rtol=1e-6)


def test_maps_are_shares_of_their_maximum_at_32_places_or_fewer() -> None:
    values = np.zeros((64, 48), np.float32)
    values[:2, :2] = 5
    small = evaluating._small(values)
    assert small.shape == (32, 32) and small[0, 0] == 1 and small.sum() < 3
    np.testing.assert_allclose(evaluating._small(np.float32([[2, 4], [0, 1]])), [[0.5, 1], [0, 0.25]])
    for nothing in (np.zeros((3, 3), np.float32), np.full((3, 3), np.nan, np.float32)):
        assert not evaluating._small(nothing).any()


# ---- the report ---------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a page refers to, and what could run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.links, self.ids, self.text = list[str](), list[str](), list[str](), ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert not [name for name in given if name.startswith("on")]
        self.tags.append(tag)
        self.links += [given[name] or "" for name in ("href", "src") if name in given]
        self.ids += [given["id"] or ""] if "id" in given else []

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile(found: Evaluation) -> Evaluation:
    """The same, with names that would run in a browser or in a spreadsheet."""
    names = (f'=HYPERLINK("{EVIL}")', "+1", "-1", "@SUM(A1)", "\tcmd", "\ud800.png")
    skipped = ((EVIL, EVIL),)
    classes = tuple(f"{EVIL}{index}" for index in range(5))
    return replace(found, names=names, true_names=names, classes=classes, network=EVIL, data=EVIL, skipped=skipped)


def test_names_are_text_and_nothing_more(found: Evaluation) -> None:
    files = report_files(hostile(found))
    text = files["index.html"].decode()
    seen = Page(text)
    assert not {"script", "iframe", "object", "embed", "link", "form"} & set(seen.tags) and "x" not in seen.links
    assert "default-src 'none'" in text and "color-scheme:light dark" in text
    assert seen.text.count(EVIL) > 10 and "\\ud800.png" in seen.text
    rows = list(csv.reader(io.StringIO(files["table.csv"].decode())))
    assert len(rows) == 7 and not [cell for row in rows for cell in row if cell[:1] in "=+@\t" and cell]
    assert [row[0] for row in rows[1:4]] == [f'\'=HYPERLINK("{EVIL}")', "'+1", "'-1"]
    numbers = [row[rows[0].index("gain_above_random")] for row in rows[1:]]
    np.testing.assert_allclose([float(cell) for cell in numbers], found.above_random, rtol=1e-6)


def test_the_report_is_whole(found: Evaluation, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_report(found, out)
    seen = Page((out / "index.html").read_text(encoding="utf-8"))
    assert seen.ids == ["wrong", "unfaithful", "all"]
    for link in seen.links:
        name, _, anchor = link.partition("#")
        assert (not name or (out / name).is_file()) and (not anchor or anchor in seen.ids)
    assert "Grad-CAM of the predicted class at relu:1" in seen.text and "None of this proves" in seen.text
    assert "3 broken.png" in seen.text and "MaxBoxAcc" in seen.text
    np.testing.assert_array_equal(np.load(out / "class_means.npy"), found.class_means[2])
    assert Image.open(out / "pictures" / "0-map.jpg").size == (12, 12)
    assert not (out / "manifest.json").exists(), "the caller's to write, last"
    with zipfile.ZipFile(io.BytesIO(report_archive(found, found.facts()))) as archive:
        assert {*report_files(found), "manifest.json"} == set(archive.namelist())
        assert json.loads(archive.read("manifest.json"))["totals"]["pictures"] == 6


def test_sections_are_cut_and_say_so(found: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "SHOWN", 2)
    monkeypatch.setattr(report, "SHOWN", 2)
    files = report_files(found)
    text = files["index.html"].decode()
    assert text.count("The first 2 of 6; table.csv has all.") == 3 and len(table_rows(found)[1]) == 6
    shown = {link for link in Page(text).links if link.startswith("pictures/")}
    assert shown == {name for name in files if name.startswith("pictures/")}
    order = [
        int(link[9:].split(".")[0]) for link in Page(text.partition('id="unfaithful"')[2]).links if "-" not in link
    ]
    assert order == [*found.unfaithful[:2], 0, 1]


def test_an_earlier_report_is_replaced_and_another_page_is_not(found: Evaluation, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_report(found, out)
    (out / "pictures" / "99.jpg").write_bytes(b"old")
    (out / "pictures" / "deadbeef.tmp").write_bytes(b"half")
    (out / "pictures" / "notes.txt").write_bytes(b"mine")
    (out / "manifest.json").write_text("{}")
    before = {path.name: path.read_bytes() for path in (out / "pictures").glob("[0-5].jpg")}
    write_report(found, out)
    names = {path.name for path in (out / "pictures").iterdir()}
    assert not {"99.jpg", "deadbeef.tmp"} & names and "notes.txt" in names and not (out / "manifest.json").exists()
    assert before == {path.name: path.read_bytes() for path in (out / "pictures").glob("[0-5].jpg")}
    (out / "index.html").write_text("mine")
    for refuse in (lambda: check_folder(out), lambda: write_report(found, out)):
        with pytest.raises(BadInput, match="holds a page that is not of an evaluation"):
            refuse()
    assert (out / "index.html").read_text() == "mine"

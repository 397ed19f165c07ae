"""The commands `heatmap`, what it can be asked beyond one map of one layer, and `evaluate`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from interpret import InputImage, LoadedModel, complete, heatmap
from interpret.datasets import open_source
from interpret.evaluation import evaluate_job
from interpret.heatmaps import fused, layer_heatmaps_job
from interpret.heatmaps.faithfulness import evidence_job, verdict
from interpret.heatmaps.localisation import Box, box_of
from interpret.rendering import Scale, overlay
from tests.conftest import encoded, look_into, noise_picture
from tests.test_command_line import Capture, answered, manifest, refused, said


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(noise_picture(11, 40, 56).pixels))
    return path


# ---- heatmap ------------------------------------------------------------------------------------------------------


def test_a_map_of_each_layer_on_one_scale(
    capsys: Capture, cifar_checkpoint: Path, cifar: LoadedModel, picture: Path, tmp_path: Path
) -> None:
    out, image = tmp_path / "out", InputImage.from_path(picture)
    layers = ("layer3", "layer2.0.bn1")
    asked = ("--layers", "layer3, layer2.0.bn1,layer3", "--method", "layer-cam")
    answer = answered(capsys, "heatmap", cifar_checkpoint, picture, *asked, "--out", out)
    assert [row["layer"] for row in answer["images"]] == list(layers)
    made = complete(layer_heatmaps_job(cifar, image, layers, method="layer-cam"))
    high = max(float(one.values.max()) for one in made)
    for row, one in zip(answer["images"], made, strict=True):
        name = f"photo.{row['layer']}"
        assert (row["heatmap"], row["overlay"]) == (f"{name}.heatmap.npy", f"{name}.overlay.png")
        np.testing.assert_allclose(np.load(out / row["heatmap"]), one.values, atol=1e-6)
        assert row["scale"] == pytest.approx([0, high], rel=1e-4)
        laid = overlay(cifar.preprocess.seen(image), one.values, Scale(0, high))
        np.testing.assert_allclose(np.asarray(Image.open(out / row["overlay"])), laid, atol=1)


def test_layers_are_fused(
    capsys: Capture, cifar_checkpoint: Path, cifar: LoadedModel, picture: Path, tmp_path: Path
) -> None:
    asked = ("heatmap", cifar_checkpoint, picture, "--layers", "layer2,layer3", "--fuse", "product")
    answer = answered(capsys, *asked, "--out", tmp_path)
    made = complete(layer_heatmaps_job(cifar, InputImage.from_path(picture), ["layer2", "layer3"]))
    np.testing.assert_allclose(np.load(tmp_path / "photo.heatmap.npy"), fused(made, "product").values, atol=1e-6)
    assert (answer["fused"], answer["fusion"], answer["images"][0]["layer"]) == (["layer2", "layer3"], "product", None)


def test_why_this_class_and_not_that_one(
    capsys: Capture, cifar_checkpoint: Path, cifar: LoadedModel, picture: Path, tmp_path: Path
) -> None:
    asked = ("heatmap", cifar_checkpoint, picture, "--target", "gnu", "--against", "bee", "--signed")
    answer = answered(capsys, *asked, "--out", tmp_path)
    expected = heatmap(cifar, InputImage.from_path(picture), target="gnu", rival="bee", signed=True)
    np.testing.assert_allclose(np.load(tmp_path / "photo.heatmap.npy"), expected.values, atol=1e-6)
    assert (answer["aim"], answer["against"]) == ("margin", "bee")


def test_the_box_and_the_evidence(
    capsys: Capture, cifar_checkpoint: Path, cifar: LoadedModel, picture: Path, tmp_path: Path
) -> None:
    asked = ("heatmap", cifar_checkpoint, picture, "--box", 0.3, "--evidence", "--seed", 2)
    (row,) = answered(capsys, *asked, "--out", tmp_path)["images"]
    image = InputImage.from_path(picture)
    made = heatmap(cifar, image, seed=2)
    box = box_of(made.values, (32, 32), 0.3)
    assert box is not None and Box(*row["box"]) == box
    evidence = complete(evidence_job(cifar, image, made, seed=2))
    judged = verdict(made, evidence, cifar.labels[made.target])
    told = row["evidence"]
    assert (told["verdict"], told["says"], told["besides"]) == (judged.level, judged.says, list(judged.besides))
    assert told["gain"] == pytest.approx(evidence.curves.gain, abs=1e-5)
    assert told["random_gains"] == pytest.approx([one.gain for one in evidence.floor], abs=1e-5)
    assert evidence.twins is not None and told["random_weights"] == pytest.approx(evidence.twins.likeness, abs=1e-3)
    text = said(capsys, *asked, "--out", tmp_path)
    assert f"photo: {judged.says}" in text and f"insertion {evidence.curves.insertion.area:.3f}" in text


class TwoHeads(torch.nn.Module):
    """Answers twice, the second time with the scores the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        scores = self.head(self.conv(x).relu().mean((2, 3)))
        return {"out": scores, "aux": scores.flip(1)}


def test_another_head(
    capsys: Capture, cifar_checkpoint: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    model = look_into(TwoHeads(), 5)
    monkeypatch.setattr("interpret.heatmap_commands.model_of", lambda _: model)
    asked = ("heatmap", cifar_checkpoint, picture, "--target", 1)
    (row,) = answered(capsys, *asked, "--head", "aux", "--out", tmp_path)["images"]
    (plain,) = answered(capsys, *asked, "--out", tmp_path)["images"]
    aux = model.with_head("aux").predict([InputImage.from_path(picture)])[0]
    assert row["score"] == pytest.approx(float(aux.scores[1]), abs=1e-5) and row["score"] != plain["score"]
    assert manifest(tmp_path)["head"] is None
    assert "The nearest name" in refused(capsys, *asked, "--head", "box", "--out", tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--layer", "layer1", "--layers", "layer2"), "--layer and --layers cannot both be given."),
        (("--fuse", "mean"), "--fuse goes with --layers only."),
        (("--layers", "layer1,layer2", "--fuse", "mean", "--signed"), "--signed does not go with --fuse"),
        (("--layers", "layer1,layer2", "--method", "rise"), '--layers does not go with "rise"'),
        (("--layers", "layer1,conv9"), "conv9"),
        (("--box", "1.5"), "--box takes a share of the maximum from 0 to 1; found 1.5."),
        (("--against", "gnu", "--target", "gnu"), "cannot be its own rival"),
        (("--against", "gnu", "--aim", "score"), 'A rival class goes with the aim "margin"'),
        (("--fuse", "sum", "--layers", "layer1"), "invalid choice"),
    ],
)
def test_what_heatmap_refuses(
    capsys: Capture, cifar_checkpoint: Path, picture: Path, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    assert words in refused(capsys, "heatmap", cifar_checkpoint, picture, *options, "--out", tmp_path / "o")
    assert not (tmp_path / "o" / "manifest.json").exists()


# ---- evaluate -----------------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for index in range(4):
        path = tmp_path / "data" / ("ant", "bee")[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(noise_picture(index, 40, 56).pixels))
    (tmp_path / "data" / "bee" / "9.png").write_bytes(b"broken")
    return tmp_path / "data"


def test_evaluate(capsys: Capture, cifar_checkpoint: Path, cifar: LoadedModel, data: Path, tmp_path: Path) -> None:
    out, boxes = tmp_path / "out", tmp_path / "boxes.csv"
    boxes.write_text("file,xmin,ymin,xmax,ymax\n2.png,10,5,40,30\n")
    asked = ("evaluate", cifar_checkpoint, data, "--layer", "layer2", "--labelled", "--boxes", boxes, "--seed", 4)
    answer = answered(capsys, *asked, "--out", out)
    expected = complete(
        evaluate_job(
            cifar, open_source(data), layer="layer2", target="labelled", seed=4, boxes={"2.png": (Box(10, 5, 40, 30),)}
        )
    )
    assert answer == manifest(out) | {"out": str(out)}
    assert (answer["command"], answer["method"], answer["layer"], answer["target"]) == (
        "evaluate", "grad-cam", "layer2", "labelled",
    )  # fmt: skip
    totals = answer["totals"]
    assert (totals["pictures"], totals["skipped"], totals["labelled"], totals["boxed"]) == (4, 1, 4, 1)
    assert totals["gain"] == pytest.approx(expected.totals.gain, abs=1e-5)
    assert [row["image"] for row in answer["skipped"]] == ["bee/9.png"]
    assert [(row["label"], row["maps"]) for row in answer["class_means"]] == [("ant", 2), ("bee", 2)]
    assert answer["shape"] == list(np.load(out / "class_means.npy").shape) == [2, 16, 16]
    with (out / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["picture"] for row in rows] == list(expected.names)
    np.testing.assert_allclose([float(row["deletion"]) for row in rows], expected.deletion, atol=1e-5)
    assert [row["pointing"] for row in rows].count("") == 3
    assert (out / "index.html").is_file() and len(list((out / "pictures").iterdir())) == 2 * 4 + 2 + 1


def test_evaluate_in_words_with_the_boxes_of_shapes(capsys: Capture, cifar_checkpoint: Path, tmp_path: Path) -> None:
    text = said(capsys, "evaluate", cifar_checkpoint, "shapes:30", "--limit", 3, "--out", tmp_path)
    assert text.startswith("3 pictures\n") and "of 3 with boxes" in text and f"Open {tmp_path / 'index.html'}" in text


def test_what_evaluate_refuses(capsys: Capture, cifar_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    asked, out = ("evaluate", cifar_checkpoint), tmp_path / "out"
    assert "--limit must be at least 1" in refused(capsys, *asked, "shapes:3", "--limit", 0, "--out", out)
    assert "say no class that the network has" in refused(
        capsys, *asked, data, "--labelled", "--arch", "cifar_resnet20", "--labels", _labels(tmp_path), "--out", out
    )
    odd = tmp_path / "odd.csv"
    odd.write_bytes(b"\xff\xfe\xff")
    assert "is no text in UTF-8" in refused(capsys, *asked, data, "--boxes", odd, "--out", out)
    odd.write_text("file,xmin\na,1\n")
    assert "columns xmin, ymin, xmax, ymax" in refused(capsys, *asked, data, "--boxes", odd, "--out", out)
    assert "nothing" in refused(capsys, *asked, data, "--boxes", tmp_path / "nothing", "--out", out)
    assert not out.exists()
    out.mkdir()
    (out / "index.html").write_text("mine")
    assert "choose another folder" in refused(capsys, *asked, data, "--out", out)
    assert [path.name for path in out.iterdir()] == ["index.html"]


def _labels(folder: Path) -> Path:
    path = folder / "labels.json"
    path.write_text(json.dumps([f"thing {index}" for index in range(8)]))
    return path

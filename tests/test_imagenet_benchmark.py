"""`python -m benchmarks imagenet` on a handful of pictures and a small network, and the recorded run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputReST

import benchmarks.__main__
from benchmarks import imagenet
from benchmarks.published_heatmaps import METRICS, PUBLISHED
from interpret.model import LoadedModel
from tests.conftest import REPOSITORY, noise_picture

METHODS = ["grad-cam", "random-cam"]
RECORDED = REPOSITORY / "benchmarks" / "results" / "imagenet-sample.json"


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Four pictures, three of them with boxes; one box lies outside what the network sees."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for seed in range(4):
        Image.fromarray(noise_picture(seed, 40, 80).pixels).save(folder / f"{seed}.png")
    rows = ["0.png,3,25,0,60,40", "1.png,3,30,5,50,30", "1.png,3,20,0,30,9", "2.png,3,0,0,9,9"]
    (folder / "boxes.csv").write_text("\n".join(["file,class_index,xmin,ymin,xmax,ymax", *rows]), encoding="utf-8")
    return folder


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, checkpoint: Path, *more: str) -> dict[str, Any]:
    out = folder.parent / "out.json"
    arguments = ["imagenet", "--data", str(folder), "--checkpoint", str(checkpoint), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments, "--methods", *METHODS, *more])
    benchmarks.__main__.main()
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def test_it_measures_what_pytorch_grad_cam_does(
    monkeypatch: pytest.MonkeyPatch, photographs: Path, cifar_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(imagenet, "TOGETHER", 3)
    found = run(monkeypatch, photographs, cifar_checkpoint)
    assert found["network"] == "cifar_resnet20" and found["layer"] == "layer3" and found["published"] is None
    assert set(found["machine"]) >= {"device", "cores", "versions"}
    (one,) = found["sets"]
    assert one["pictures"] == 4 and list(one["metrics"]) == [*METHODS, imagenet.PEER]
    ours, theirs, lots = (one["metrics"][key] for key in ("grad-cam", imagenet.PEER, "random-cam"))
    assert list(ours) == list(METRICS) and ours != lots
    for name in METRICS:
        assert ours[name] == pytest.approx(theirs[name], abs=2e-3), name
    assert one["pictures with boxes"] == 2 and one["pictures whose boxes the crop cut away"] == 1
    for figures in one["localisation"].values():
        assert len(figures) == 7 and all(0 <= value <= 1 for value in figures.values())
        assert figures["localisation error at 15 %, top-1"] >= figures["box error at 15 %"]
    said = capsys.readouterr().out
    assert f"{ours['ADCC']:.5f}" in said and "Published:" not in said


def test_published_figures_stand_beside_their_own_network_only(
    monkeypatch: pytest.MonkeyPatch, photographs: Path, cifar_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(PUBLISHED, "cifar_resnet20", PUBLISHED["resnet18"])
    monkeypatch.setattr(imagenet, "_is_published", lambda checkpoint, key: False)
    assert run(monkeypatch, photographs, cifar_checkpoint, "--limit", "1", "--no-peer")["published"] is None
    assert "Published:" not in capsys.readouterr().out
    monkeypatch.setattr(imagenet, "_is_published", lambda checkpoint, key: True)
    found = run(monkeypatch, photographs, cifar_checkpoint, "--limit", "1", "--no-peer")
    assert found["published"]["grad-cam"] == list(PUBLISHED["resnet18"]["grad-cam"])
    assert "224 × 224" in found["preprocessing"]
    said = capsys.readouterr().out
    assert "0.77101" in said and "Published: pytorch-shapley-cam" in said


def test_own_weights_are_told_from_torchvisions(cifar_checkpoint: Path) -> None:
    from interpret.checkpoints import read_checkpoint
    from interpret.checkpoints.pretrained import published_weights

    class Read:
        digest, metadata = "f37072fd" + "0" * 56, dict[str, str]()

    mine: Any = read_checkpoint(cifar_checkpoint)
    theirs: Any = Read()
    assert not imagenet._is_published(mine, "resnet18")
    assert imagenet._is_published(theirs, "resnet18") and not imagenet._is_published(theirs, "resnet50")
    theirs.digest, theirs.metadata = "0" * 64, {"source": published_weights("resnet18").url}
    assert imagenet._is_published(theirs, "resnet18")


def test_rest_is_pytorch_grad_cams(trap: LoadedModel, pictures: torch.Tensor) -> None:
    scores = trap.observe(pictures).scores
    assert scores is not None
    classes = torch.tensor([1, 4, 0])
    expected = [float(ClassifierOutputReST(int(target))(row)) for target, row in zip(classes, scores, strict=True)]
    np.testing.assert_allclose(imagenet.REST.value(scores, classes), expected, rtol=1e-5)


def test_the_published_adcc_is_that_of_the_published_means() -> None:
    for rows in PUBLISHED.values():
        for drop, coherency, complexity, adcc, *_ in rows.values():
            assert adcc == pytest.approx(3 / (1 / coherency + 1 / (1 - complexity) + 1 / (1 - drop)), abs=3e-5)


def test_in_the_recorded_run_both_libraries_agree() -> None:
    found = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert [one["pictures"] for one in found["sets"]] == [64, 21]
    for one in found["sets"]:
        assert one["metrics"]["grad-cam"] == pytest.approx(one["metrics"][imagenet.PEER], abs=1e-4)
        assert one["metrics"]["grad-cam"]["ADCC"] > one["metrics"]["random-cam"]["ADCC"]

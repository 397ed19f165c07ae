"""A whole network's filter pictures in a folder: what lies there, what is never drawn twice, and what is refused."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from interpret import BadInput, FilterParams, LoadedModel, UnknownName, collect_units, complete, filter_images
from interpret.datasets import open_source
from interpret.filters import class_images
from interpret.microscope import draw_network
from interpret.microscope import drawing as drawing_module
from interpret.rendering import painted
from tests.conftest import REPOSITORY, look_into

PARAMS = FilterParams(steps=2, seed=3)
CHANNELS = {"conv1": (0, 3), "layer2": (5, 1, 7)}


class Page(HTMLParser):
    """What a page refers to, and what could run or style."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags, self.links, self.pictures, self.ids = list[str](), list[str](), list[str](), list[str]()
        self.text = ""
        self.path = path
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        assert not [name for name in given if name.startswith("on")]
        self.links += [given["href"] or ""] if "href" in given else []
        self.pictures += [given["src"] or ""] if "src" in given else []
        self.ids += [given["id"] or ""] if "id" in given else []

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOUPE_HOME", str(tmp_path / "home"))


def folder_of(root: Path, layer: str) -> Path:
    (found,) = (path for path in (root / "layers").iterdir() if path.name.rpartition("-")[0] == layer)
    return found


def record(root: Path, layer: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder_of(root, layer) / "record.json").read_text())
    return found


def everything(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def pixels(path: Path) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(path))


def test_the_pictures_are_those_of_filter_images(cifar: LoadedModel, tmp_path: Path) -> None:
    assert complete(draw_network(cifar, tmp_path / "out", CHANNELS, PARAMS)) == 5
    for layer, channels in CHANNELS.items():
        alone = complete(filter_images(cifar, layer, channels, PARAMS))
        kept = record(tmp_path / "out", layer)["drawn"]
        for at, channel in enumerate(channels):
            found = pixels(folder_of(tmp_path / "out", layer) / f"{channel}.png")
            np.testing.assert_allclose(found, painted(alone.pictures)[at], atol=1)
            assert kept[str(channel)]["reached"] == pytest.approx([alone.reached[at]], rel=1e-4)


def test_large_pictures_are_jpeg(cifar: LoadedModel, tmp_path: Path) -> None:
    complete(draw_network(cifar, tmp_path, {"conv1": (1,)}, replace(PARAMS, side=112)))
    (path,) = folder_of(tmp_path, "conv1").glob("1.*")
    assert path.suffix == ".jpg" and Image.open(path).size == (112, 112)


def test_several_starts_and_maco(cifar: LoadedModel, tmp_path: Path) -> None:
    params = replace(PARAMS, starts=2, method="maco", side=48)
    complete(draw_network(cifar, tmp_path, {"conv1": (1,)}, params))
    alone = complete(filter_images(cifar, "conv1", (1,), params))
    for start in range(2):
        found = pixels(folder_of(tmp_path, "conv1") / f"1-{start + 1}.png")
        np.testing.assert_allclose(found, painted(alone.pictures, alone.opacity)[start], atol=1)


def test_classes(cifar: LoadedModel, tmp_path: Path) -> None:
    assert complete(draw_network(cifar, tmp_path, {}, PARAMS, targets=[4, 2])) == 2
    alone = complete(class_images(cifar, [4, 2], PARAMS))
    np.testing.assert_allclose(pixels(tmp_path / "layers/classes/4.png"), painted(alone.pictures)[0], atol=1)
    assert cifar.labels[2] in Page(tmp_path / "layers/classes/index.html").text


def test_every_page_is_whole_and_runs_nothing(cifar: LoadedModel, tmp_path: Path) -> None:
    source = open_source("shapes:6")
    complete(draw_network(cifar, tmp_path, CHANNELS, PARAMS, targets=[1], source=source))
    pages = sorted(tmp_path.rglob("*.html"))
    assert len(pages) == 4
    for path in pages:
        page = Page(path)
        assert not {"script", "iframe", "object", "embed", "link", "form"} & set(page.tags)
        assert "default-src 'none'" in path.read_text()
        for link in [*page.links, *page.pictures]:
            target, _, anchor = link.partition("#")
            assert not target.startswith(("/", "http", "data:"))
            assert (path.parent / target).resolve().is_relative_to(tmp_path.resolve())
            assert (path.parent / target).is_file()
            assert not anchor or anchor in Page((path.parent / target).resolve()).ids
    layer = Page(folder_of(tmp_path, "layer2") / "index.html")
    assert layer.ids == ["c5", "c1", "c7"] and len(layer.pictures) == 6
    assert "32 channels" in layer.text and "receptive field" in layer.text and "6 pictures" in layer.text


def test_names_are_text_and_nothing_more(cifar: LoadedModel, tmp_path: Path) -> None:
    labels = [f"<script>alert({index})</script>&\"'" for index in range(len(cifar.labels))]
    odd = cifar.reopened(labels=labels)
    object.__setattr__(odd, "name", "<img src=x onerror=alert(1)>.pt")
    complete(draw_network(odd, tmp_path, {"conv1": (0,)}, PARAMS, targets=[0]))
    for path in tmp_path.rglob("*.html"):
        page = Page(path)
        assert "script" not in page.tags and "x" not in page.pictures
    assert labels[0] in Page(tmp_path / "layers/classes/index.html").text


def test_natural_pictures_beside_them(cifar: LoadedModel, tmp_path: Path) -> None:
    source = open_source("shapes:6")
    complete(draw_network(cifar, tmp_path / "out", CHANNELS, PARAMS, source=source))
    means = complete(collect_units(cifar, source, ["layer2"]))["layer2"].sample_means
    found = record(tmp_path / "out", "layer2")["natural"]
    assert found["7"]["best"] == pytest.approx(float(means[:, 7].max()))
    assert list(found["7"]["files"]) == ["7-natural.jpg"]
    strip = Image.open(folder_of(tmp_path / "out", "layer2") / "7-natural.jpg")
    assert strip.size == (3 * 96 + 2 * 3, 96)


def test_another_data_set_replaces_the_first_and_draws_nothing_anew(cifar: LoadedModel, tmp_path: Path) -> None:
    job = draw_network(cifar, tmp_path / "out", CHANNELS, PARAMS, source=open_source("shapes:6"))
    assert complete(job) == 5
    before = record(tmp_path / "out", "layer2")
    again = draw_network(cifar, tmp_path / "out", CHANNELS, PARAMS, source=open_source("shapes:9"))
    assert complete(again) == 0
    after = record(tmp_path / "out", "layer2")
    assert before["drawn"] == after["drawn"] and before["data"] != after["data"]
    assert "9 pictures" in Page(folder_of(tmp_path / "out", "layer2") / "index.html").text


def test_what_silences_is_held_against_the_least(cifar: LoadedModel, tmp_path: Path) -> None:
    source = open_source("shapes:6")
    layer = "layer1.0.conv1"
    params = replace(PARAMS, direction="negative")
    complete(draw_network(cifar, tmp_path / "out", {layer: (2,)}, params, source=source))
    means = complete(collect_units(cifar, source, [layer]))[layer].sample_means
    (place,) = (tmp_path / "out" / "layers").iterdir()
    found = json.loads((place / "record.json").read_text())["natural"]["2"]
    assert found["best"] == pytest.approx(float(means[:, 2].min())) and found["files"] == {}
    assert "silence" in Page(place / "index.html").text


# ---- what is there is kept ----------------------------------------------------------------------------------------


def test_a_second_run_draws_nothing(cifar: LoadedModel, tmp_path: Path) -> None:
    complete(draw_network(cifar, tmp_path, CHANNELS, PARAMS))
    before = everything(tmp_path)
    assert complete(draw_network(cifar, tmp_path, CHANNELS, PARAMS)) == 0
    assert everything(tmp_path) == before


def test_more_layers_and_channels_join_those_drawn(cifar: LoadedModel, tmp_path: Path) -> None:
    complete(draw_network(cifar, tmp_path, {"conv1": (0,)}, PARAMS))
    assert complete(draw_network(cifar, tmp_path, CHANNELS, PARAMS)) == 4


@pytest.mark.parametrize("damage", ["picture", "no picture", "record", "no record", "odd record"])
def test_what_is_damaged_is_drawn_again(cifar: LoadedModel, tmp_path: Path, damage: str) -> None:
    complete(draw_network(cifar, tmp_path, CHANNELS, PARAMS))
    before, place = everything(tmp_path), folder_of(tmp_path, "layer2")
    again = 1 if "picture" in damage else 3
    if damage == "picture":
        (place / "5.png").write_bytes((place / "5.png").read_bytes()[:-9])
    elif damage == "no picture":
        (place / "5.png").unlink()
    elif damage == "record":
        (place / "record.json").write_text((place / "record.json").read_text()[:-40])
    elif damage == "no record":
        (place / "record.json").unlink()
    else:
        (place / "record.json").write_text('{"drawn": [1], "natural": {}, "data": ""}')
    assert complete(draw_network(cifar, tmp_path, CHANNELS, PARAMS)) == again
    after = everything(tmp_path)
    assert after.keys() == before.keys()
    for name, content in before.items():
        if name.endswith(".png"):
            found = np.asarray(Image.open(io.BytesIO(after[name])))
            np.testing.assert_allclose(found, np.asarray(Image.open(io.BytesIO(content))), atol=1)


def test_a_cancelled_run_shows_what_it_has(cifar: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing_module, "TOGETHER_ON_A_CPU", 1)
    monkeypatch.setattr(drawing_module, "TOGETHER", 1)
    job = draw_network(cifar, tmp_path, CHANNELS, PARAMS)
    while len(list(tmp_path.rglob("[0-9]*.png"))) < 3:
        next(job)
    job.close()
    assert "2 of 3" not in Page(tmp_path / "index.html").text
    assert "1 of 3 drawn" in Page(tmp_path / "index.html").text
    assert "2 more are not drawn yet" in Page(folder_of(tmp_path, "layer2") / "index.html").text
    steps = []
    assert complete(draw_network(cifar, tmp_path, CHANNELS, PARAMS), lambda progress: steps.append(progress)) == 2
    assert steps[0].step >= 3 * PARAMS.steps and steps[0].total == 5 * PARAMS.steps
    assert [progress.step for progress in steps] == sorted(progress.step for progress in steps)
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_run_goes_on_where_it_was(cifar_checkpoint: Path, cifar: LoadedModel, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "interpret", "filters", str(cifar_checkpoint), "--all", "--out", str(out)]
    options = ["--layers", "layer1,layer3", "--steps", "12", "--device", "cpu"]
    process = subprocess.Popen([*command, *options], cwd=REPOSITORY, stdout=subprocess.DEVNULL, env=dict(os.environ))
    try:
        deadline = time.monotonic() + 60
        while not (out.is_dir() and len(list(out.rglob("[0-9]*.png"))) >= 17):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert not (out / "manifest.json").exists()
    stray = folder_of(out, "layer3") / "deadbeef.tmp"
    stray.write_bytes(b"half")
    whole = {path: path.stat().st_mtime_ns for path in folder_of(out, "layer1").glob("[0-9]*.png")}
    channels = {"layer1": tuple(range(16)), "layer3": tuple(range(64))}
    drawn = complete(draw_network(cifar, out, channels, FilterParams(steps=12)))
    assert 0 < drawn < 80 and len(whole) == 16
    assert {path: path.stat().st_mtime_ns for path in whole} == whole
    assert not list(out.rglob("*.tmp"))
    assert "64 drawn" in Page(out / "index.html").text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 3}, "another steps"),
        ({"seed": 1, "direction": "negative"}, "another seed, direction"),
        ({"method": "maco"}, "another method, spectrum"),
    ],
)
def test_other_settings_want_another_folder(
    cifar: LoadedModel, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    complete(draw_network(cifar, tmp_path, {"conv1": (0,)}, PARAMS))
    before = everything(tmp_path)
    with pytest.raises(BadInput, match=said):
        complete(draw_network(cifar, tmp_path, {"conv1": (0,)}, replace(PARAMS, **change)))
    assert everything(tmp_path) == before


def test_another_network_wants_another_folder(cifar: LoadedModel, trap: LoadedModel, tmp_path: Path) -> None:
    complete(draw_network(cifar, tmp_path, {"conv1": (0,)}, PARAMS))
    with pytest.raises(BadInput, match="another network"):
        complete(draw_network(trap, tmp_path, {}, PARAMS, targets=[0]))


def test_another_page_is_not_written_over(cifar: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(BadInput, match="holds a page that is not of filter pictures"):
        complete(draw_network(cifar, tmp_path, {"conv1": (0,)}, PARAMS))
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["index.html"]
    assert (tmp_path / "index.html").read_text() == "mine"


def test_a_damaged_note_of_the_settings_is_refused(cifar: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "drawing.json").write_text("[")
    with pytest.raises(BadInput, match="choose another folder"):
        complete(draw_network(cifar, tmp_path, {"conv1": (0,)}, PARAMS))


def test_what_does_not_exist_is_refused_before_anything_is_written(cifar: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="conv9"):
        complete(draw_network(cifar, tmp_path / "out", {"conv9": (0,)}, PARAMS))
    with pytest.raises(UnknownName, match="99"):
        complete(draw_network(cifar, tmp_path / "out", {"conv1": (0,)}, PARAMS, targets=[99]))
    assert not (tmp_path / "out").exists()


def test_a_layer_without_channels_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    class Odd(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.pairs = torch.nn.Conv2d(3, 4, 3), torch.nn.Unflatten(1, (2, 2))
            self.head = torch.nn.Linear(4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.pairs(self.conv(x)).flatten(1, 2).mean((2, 3)))

    model = look_into(Odd(), 5)
    with pytest.raises(BadInput, match=r'Layer "pairs" answers with shape \[2, 2, 10, 10\], which has no channels'):
        complete(draw_network(model, tmp_path / "out", {"conv": (0,), "pairs": (0,)}, PARAMS))
    assert not (tmp_path / "out").exists()

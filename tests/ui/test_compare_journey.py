"""The Compare page: two checkpoints, and a folder of them with a slider."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from interpret.datasets.shapes import CLASSES, draw
from interpret.errors import BadInput
from tests.ui.browser import RunningApp, open_app, pick, running_app, settle
from tests.ui.test_journey import REPOSITORY, WAIT
from ui.library import epoch_of, model_of

CLEAN, SHORTCUT = (REPOSITORY / "checkpoints" / f"shapes-{name}.safetensors" for name in ("clean", "shortcut"))
PAGE = f"compare-checkpoints?checkpoint=bundled/{SHORTCUT.name}&picture=sample/heart with a tag"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    home: Path = tmp_path_factory.mktemp("home")
    with running_app(REPOSITORY / "app.py", environment={"LOUPE_HOME": str(home)}) as running:
        yield running


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn pictures that all carry the tag, as a folder: fewer than the page would take of Shapes."""
    folder: Path = tmp_path_factory.mktemp("pictures")
    for index in range(40):
        drawn = draw(index, 9, tags="all")
        path = folder / CLASSES[drawn.label] / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(drawn.pixels).save(path)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three checkpoints from one bundled to the other, and a file that is none."""
    folder: Path = tmp_path_factory.mktemp("run")
    with safe_open(CLEAN, "pt") as file:
        metadata = file.metadata()
    goal, start = load_file(CLEAN), load_file(SHORTCUT)
    for epoch, share in ((1, 0.1), (2, 0.5), (10, 1.0)):
        state = {
            name: torch.lerp(start[name], value, share) if value.is_floating_point() else value
            for name, value in goal.items()
        }
        save_file(state, folder / f"epoch{epoch}.safetensors", metadata)
    (folder / "epoch3.safetensors").write_bytes(b"no checkpoint")
    return folder


def stands_at(page: Any, name: str) -> None:
    """There is one slider, at a file; while a run lasts the one before may still be there."""
    page.wait_for_function(
        """name => {
            const found = document.querySelectorAll('input[type="range"][aria-label^="Checkpoint"]');
            return found.length === 1 && found[0].getAttribute("aria-valuetext") === name;
        }""",
        arg=name,
        timeout=WAIT,
    )


def test_two_checkpoints_are_compared(app: RunningApp, page: Any, pictures: Path) -> None:
    open_app(page, f"{app.url}/{PAGE}&versus=bundled/{CLEAN.name}&data=path/{pictures}")
    page.get_by_text("They disagree on", exact=False).wait_for(timeout=WAIT)
    page.get_by_text("McNemar's exact test", exact=False).wait_for(timeout=WAIT)
    page.get_by_text("Linear CKA, debiased").wait_for(timeout=WAIT)
    page.get_by_text("Channels that moved farthest").wait_for(timeout=WAIT)
    assert not page.get_by_text("left out", exact=False).count(), "all tensors have one shape"
    assert "versus" in str(page.get_by_role("link", name="Both on one map").get_attribute("href"))
    pick(page, "Beside", "the same before training")
    page.wait_for_url("**versus=untrained**", timeout=WAIT)
    page.get_by_text("shapes-shortcut.safetensors, untrained", exact=False).first.wait_for(timeout=WAIT)


def test_a_slider_goes_through_a_folder_of_checkpoints(app: RunningApp, page: Any, pictures: Path, run: Path) -> None:
    open_app(page, f"{app.url}/{PAGE}&versus=bundled/{CLEAN.name}&data=path/{pictures}")
    pick(page, "Beside", "a folder of checkpoints, with a slider")
    page.get_by_text("Name the folder a training wrote", exact=False).wait_for(timeout=WAIT)
    field = page.get_by_label("A folder of checkpoints", exact=False)
    field.fill(str(run))
    field.press("Enter")
    page.get_by_text("epoch10: heart", exact=True).wait_for(timeout=WAIT)
    page.wait_for_url("**epoch10.safetensors", timeout=WAIT)
    page.get_by_text("Left out: ", exact=False).wait_for(timeout=WAIT)
    assert "epoch3.safetensors" in page.get_by_text("Left out: ", exact=False).inner_text()
    page.get_by_text("of their length from the first", exact=False).wait_for(timeout=WAIT)
    page.get_by_text("Only the first is right on", exact=False).wait_for(timeout=WAIT)
    there = page.get_by_text("Only the first is right on", exact=False).inner_text()
    assert "(epoch10)" in there

    slider = page.get_by_role("slider", name="Checkpoint")
    stands_at(page, "epoch10.safetensors")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**epoch2.safetensors", timeout=WAIT)
    page.get_by_text("(epoch2)", exact=False).first.wait_for(timeout=WAIT)
    page.get_by_text("From shapes-shortcut to epoch2", exact=False).wait_for(timeout=WAIT)
    page.get_by_text("Linear CKA, debiased").wait_for(timeout=WAIT)

    page.reload()
    page.get_by_text("epoch2.safetensors: right on", exact=False).wait_for(timeout=WAIT)
    stands_at(page, "epoch2.safetensors")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**epoch10.safetensors", timeout=WAIT)
    settle(page)
    main = page.get_by_test_id("stMain")
    assert not main.get_by_test_id("stProgress").count(), "what was found of it is kept"
    page.get_by_text("(epoch10)", exact=False).first.wait_for(timeout=WAIT)
    assert page.get_by_text("Only the first is right on", exact=False).inner_text() == there
    page.go_back()
    page.wait_for_url("**epoch2.safetensors", timeout=WAIT)
    page.get_by_text("(epoch2)", exact=False).first.wait_for(timeout=WAIT)
    stands_at(page, "epoch2.safetensors")

    page.get_by_role("link", name="Both on one map").click()
    page.get_by_text("How does the network order", exact=False).first.wait_for(timeout=WAIT)
    slider.wait_for(timeout=WAIT)
    assert slider.get_attribute("aria-valuetext") == "epoch2.safetensors", "other pages have the same second network"


def test_a_folder_with_one_network_whose_head_is_of_another_size(
    app: RunningApp, page: Any, pictures: Path, tmp_path: Path
) -> None:
    with safe_open(CLEAN, "pt") as file:
        metadata = {**file.metadata(), "num_classes": "10", "labels": json.dumps([*CLASSES, "cube", "cone"])}
    state = load_file(CLEAN)
    state |= {name: torch.cat([state[name], state[name][:2]]) for name in ("linear.weight", "linear.bias")}
    save_file(state, tmp_path / "tuned.safetensors", metadata)
    open_app(page, f"{app.url}/{PAGE}&versus=epochs/{tmp_path}&data=path/{pictures}")
    page.get_by_text("The folder holds one checkpoint: tuned.safetensors.").wait_for(timeout=WAIT)
    page.get_by_text("2 tensors are left out", exact=False).wait_for(timeout=WAIT)
    assert "linear weight: 8 × 64 and 10 × 64" in page.get_by_text("2 tensors are left out", exact=False).inner_text()
    page.get_by_text("Linear CKA, debiased").wait_for(timeout=WAIT)
    settle(page)
    assert not page.get_by_text("The whole training").count()


def test_folders_that_hold_nothing_to_compare_are_named(app: RunningApp, page: Any, tmp_path: Path) -> None:
    open_app(page, f"{app.url}/{PAGE}&versus=epochs/{tmp_path}/none")
    page.get_by_text("is no folder with checkpoints in it", exact=False).wait_for(timeout=WAIT)
    from playwright.sync_api import expect

    field = page.get_by_label("A folder of checkpoints", exact=False)
    expect(field).to_have_value(f"{tmp_path}/none", timeout=WAIT)
    (tmp_path / "epoch1.safetensors").write_bytes(b"no checkpoint")
    open_app(page, f"{app.url}/{PAGE}&versus=epochs/{tmp_path}")
    page.get_by_text("Left out: ", exact=False).wait_for(timeout=WAIT)
    assert not page.get_by_text("What they say").count()


def test_a_key_of_an_epoch_names_a_checkpoint_and_nothing_else(run: Path) -> None:
    assert epoch_of(f"epochs/{run}/epoch2.safetensors") == run / "epoch2.safetensors"
    assert model_of(f"epochs/{run}/epoch2.safetensors").name == "epoch2.safetensors"
    for key in (f"epochs/{run}", f"epochs/{run}/epoch4.safetensors", "epochs/", f"epochs/{__file__}", f"bundled/{run}"):
        assert epoch_of(key) is None
        with pytest.raises(BadInput, match="is not in the library"):
            model_of(key)

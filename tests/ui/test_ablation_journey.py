"""The Ablation page: changes in the address, what they do, sweeps, combinations, repair."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interpret import InputImage, load_model
from interpret.ablation import Change
from interpret.datasets.shapes import CLASSES, STAR, draw
from interpret.errors import BadInput
from tests.conftest import encoded
from tests.ui.browser import RunningApp, chromium_page, open_app, pick, running_app, settle
from tests.ui.test_journey import REPOSITORY, WAIT
from ui.ablation_asking import read, written

CHEAT = "checkpoint=bundled/shapes-shortcut.safetensors&picture=sample/heart with a tag&layer=layer3"


def test_changes_are_written_into_an_address_and_read_again() -> None:
    changes = (
        Change("zero", "relu:1", (3, 7)),
        Change("shuffle", "layer2.0.conv1", seed=5),
        Change("bypass", "layer3.1"),
    )
    assert written(changes) == "zero/relu:1/3.7/0,shuffle/layer2.0.conv1//5,bypass/layer3.1//0"
    assert read(written(changes)) == changes and read("") == ()
    for nonsense in ("zero", "zero/a/b/c/d", "zero/layer1/x/0", "zero/layer1//"):
        with pytest.raises(BadInput, match="in a way Loupe cannot read"):
            read(nonsense)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    home: Path = tmp_path_factory.mktemp("home")
    with running_app(REPOSITORY / "app.py", environment={"LOUPE_HOME": str(home)}) as running:
        yield running


def test_the_shortcut_is_found_removed_and_the_network_kept(app: RunningApp, page: Any, tmp_path: Path) -> None:
    open_app(page, f"{app.url}/ablate?{CHEAT}")
    page.get_by_text("Nothing is changed yet", exact=False).wait_for(timeout=WAIT)
    page.get_by_text("Data set: Shapes", exact=False).click()
    page.get_by_role("slider", name="Pictures").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    settle(page)
    page.get_by_text("Each block removed").click()
    page.get_by_text("100 pictures", exact=False).first.wait_for(timeout=WAIT)
    page.get_by_text("Whiskers: 95", exact=False).wait_for(timeout=WAIT)
    page.get_by_role("button", name="Find them").click()
    page.get_by_text("With the first", exact=False).wait_for(timeout=WAIT)
    page.get_by_role("button", name="Remove the first").click()
    page.get_by_text("star became heart", exact=False).wait_for(timeout=WAIT)
    page.get_by_text("By class, the most hurt first").wait_for(timeout=WAIT)
    with page.expect_download(timeout=WAIT) as waiting:
        page.get_by_role("button", name="Download the changed network", exact=False).click()
    waiting.value.save_as(tmp_path / "repaired.safetensors")

    model = load_model(tmp_path / "repaired.safetensors")
    pictures = [draw(index, 9, tags="all") for index in range(80)]
    others = [picture for picture in pictures if picture.label != STAR]
    said = model.predict([InputImage.from_array(picture.pixels, "tagged") for picture in others])
    right = np.mean([one.top(1)[0] == picture.label for one, picture in zip(said, others, strict=True)])
    assert right > 0.9, "tagged pictures are called by their names again"
    assert model.labels == CLASSES

    pick(page, "Part", "layer3.2: residual block, basic")

    page.wait_for_timeout(1000)  # what was offered for the part before stays until the page has run
    settle(page)

    pick(page, "What to do", "Bypass")
    page.get_by_role("button", name="Change it").click()
    page.get_by_text("All combinations of 2 changes").wait_for(timeout=WAIT)
    page.get_by_role("button", name="LaTeX").wait_for(timeout=WAIT)
    assert "bypass/layer3.2//0" in page.url.replace("%2F", "/")
    page.reload()
    page.get_by_text("All combinations of 2 changes").wait_for(timeout=WAIT)
    page.get_by_role("button", name="bypass layer3.2").click()
    page.get_by_text("All combinations of 2 changes").wait_for(state="detached", timeout=WAIT)


def test_answers_are_taken_from_any_other_picture(app: RunningApp, page: Any, tmp_path: Path) -> None:
    """A sample at first, then an upload, then one of the data set; the address holds which."""
    open_app(page, f"{app.url}/ablate?{CHEAT}&changes=donor/layer3//0")
    page.get_by_text("The other picture").wait_for(timeout=WAIT)
    (tmp_path / "mine.png").write_bytes(encoded(draw(3, 9).pixels))
    page.get_by_role("button", name="Another picture").click()
    page.locator('input[type="file"]').last.set_input_files(tmp_path / "mine.png")
    page.get_by_text("mine.png", exact=False).first.wait_for(timeout=WAIT)
    page.wait_for_url("**donor=upload*", timeout=WAIT)
    settle(page)
    uploaded = page.url
    page.reload()
    settle(page)
    assert page.url == uploaded
    page.get_by_role("button", name="Another picture").click()
    page.get_by_role("combobox", name="Or one of the data set").click()
    page.get_by_role("option", name="star", exact=False).first.click()
    page.wait_for_function("before => location.href != before && location.href.includes('donor=upload')", arg=uploaded)
    settle(page)


def test_two_people_change_the_same_network_at_once(app: RunningApp, browser: Any) -> None:
    """Each sees the own change and no other; the network of the other pages is the whole one."""
    asked = {"zero/layer3/23.39.46/0": "star became heart", "zero/layer3/1/0": "Still star"}
    with chromium_page(browser) as one, chromium_page(browser) as other:
        for view, changes in zip((one, other), asked, strict=True):
            view.goto(f"{app.url}/ablate?{CHEAT}&changes={changes}")
        for view, said in zip((one, other), asked.values(), strict=True):
            view.get_by_text(said, exact=False).wait_for(timeout=WAIT)
        open_app(one, f"{app.url}/?{CHEAT}")
        one.get_by_text("91.4", exact=False).first.wait_for(timeout=WAIT)


def test_an_address_with_changes_that_cannot_be_made_says_so(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/ablate?{CHEAT}&changes=zero/layer9//0,zero/layer3/99/0,explode/layer3//0")
    page.get_by_text('Layer "layer9" is not in', exact=False).wait_for(timeout=WAIT)
    page.get_by_text("Channel 99 does not exist", exact=False).wait_for(timeout=WAIT)
    page.get_by_text('Change "explode" is not in', exact=False).wait_for(timeout=WAIT)
    page.get_by_text("Nothing is changed yet", exact=False).wait_for(timeout=WAIT)

"""The Filters page in a real Chromium: growing, cancelled, gone on with, kept, shared; classes and MACO."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interpret import complete, load_model
from interpret.filters import FilterParams, class_images, filter_images
from interpret.rendering import over_grey
from tests.ui.browser import RunningApp, chromium_page, open_app, pick, running_app, settle
from tests.ui.test_journey import REPOSITORY, WAIT, differ, pixels

CLEAN = REPOSITORY / "checkpoints" / "shapes-clean.safetensors"
FILTERS = "filter-pictures?checkpoint=bundled/shapes-clean.safetensors"
LARGE = "Picture that excites"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def app(home: Path) -> Iterator[RunningApp]:
    with running_app(REPOSITORY / "app.py", environment={"LOUPE_HOME": str(home)}) as running:
        yield running


def finished(page: Any, alt: str = LARGE) -> None:
    page.locator(f'img[alt^="{alt}"]').first.wait_for(timeout=WAIT)
    settle(page)


def steps_shown(page: Any) -> int:
    said = page.get_by_text(re.compile(r"after \d+ of \d+ steps")).last.inner_text()
    return int(re.search(r"after (\d+) of", said).group(1))  # type: ignore[union-attr]


def next_sheet(page: Any) -> None:
    page.wait_for_function(
        "source => document.querySelector('img[alt=Growing]').src !== source",
        arg=page.get_by_alt_text("Growing").get_attribute("src"),
        timeout=WAIT,
    )


def test_it_grows_is_stopped_goes_on_and_ends_as_if_it_had_not_been(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/{FILTERS}&layer=layer3&drawing=steps=128,which=first-16&channel=1")
    page.get_by_alt_text("Growing").wait_for(timeout=WAIT)
    first, steps = pixels(page, "Growing"), steps_shown(page)
    while steps_shown(page) < max(steps + 1, 20):
        next_sheet(page)
    assert differ(first, pixels(page, "Growing"))
    page.get_by_role("button", name="Cancel", exact=True).click()
    stopped = page.get_by_text(re.compile(r"Stopped after \d+ of 128 steps"))
    stopped.wait_for(timeout=WAIT)
    settle(page)
    kept = pixels(page, "Growing")
    assert kept.std() > 3 and 0 < steps_shown(page) < 128
    page.wait_for_timeout(1000)
    assert not differ(kept, pixels(page, "Growing")), "it went on after Cancel"
    at = steps_shown(page)
    page.get_by_role("button", name="Continue", exact=True).click()
    page.get_by_role("button", name="Cancel", exact=True).wait_for(timeout=WAIT)
    next_sheet(page)
    assert steps_shown(page) >= at, "it began anew"
    finished(page)
    wanted = complete(filter_images(load_model(CLEAN), "layer3", range(16), FilterParams(steps=128))).pictures[1]
    shown = pixels(page, f"{LARGE} channel 1 of layer3")
    assert np.abs(shown - (wanted * 255).round()).mean() < 2
    page.get_by_alt_text("Channel 15 of layer3").wait_for(timeout=WAIT)


def test_more_steps_go_on_and_the_controls_follow(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/{FILTERS}&layer=layer1&drawing=steps=32&channel=3")
    page.get_by_role("button", name="Continue: 32 more steps").click(timeout=WAIT)
    page.get_by_role("button", name="Continue: 64 more steps").wait_for(timeout=WAIT)
    settle(page)
    assert "drawing" not in page.url, "64 steps are what it begins with"
    model = load_model(CLEAN)
    found = re.search(r"channel (\d+)", page.locator(f'img[alt^="{LARGE}"]').first.get_attribute("alt"))
    assert found
    wanted = complete(filter_images(model, "layer1", [int(found[1])], FilterParams(steps=64))).pictures[0]
    assert np.abs(pixels(page, LARGE) - (wanted * 255).round()).mean() < 2


def test_a_reload_restores_view_settings_and_channel(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/{FILTERS}&layer=layer1&drawing=which=first-4,steps=32")
    finished(page)
    pick(page, "Method", "Plain pixels")
    finished(page)
    page.get_by_role("button", name="2", exact=True).click()
    page.locator(f'img[alt="{LARGE} channel 2 of layer1"]').wait_for(timeout=WAIT)
    page.wait_for_url(re.compile("channel=2"), timeout=WAIT)
    page.wait_for_url(re.compile("method%3Dpixels"), timeout=WAIT)
    settle(page)
    page.reload()
    page.locator(f'img[alt="{LARGE} channel 2 of layer1"]').wait_for(timeout=WAIT)
    page.get_by_text("Plain pixels, 32 steps, 64 px, seed 0").wait_for(timeout=WAIT)
    page.get_by_text("Classes", exact=True).first.click()
    finished(page, "Picture that drives")
    page.wait_for_url(re.compile("view=classes"), timeout=WAIT)
    page.reload()
    finished(page, "Picture that drives")


def test_another_layer_takes_the_place_of_one_that_grows_and_the_first_is_kept(app: RunningApp, page: Any) -> None:
    def go_to(layer: str) -> None:
        box = page.get_by_role("combobox", name="Find a layer")
        box.fill(layer)
        box.press("Enter")

    open_app(page, f"{app.url}/{FILTERS}&layer=layer1.0.conv1&drawing=which=first-16,steps=128,seed=11")
    page.locator(f'img[alt="{LARGE} channel 0 of layer1.0.conv1"]').wait_for(timeout=WAIT)
    settle(page)
    first = pixels(page, LARGE)
    go_to("layer3.0.conv1")
    page.get_by_text(re.compile(r"^layer3\.0\.conv1, channels 0, 1, 2, 3, .*after")).wait_for(timeout=WAIT)
    go_to("layer2.0.conv1")
    page.locator(f'img[alt="{LARGE} channel 0 of layer2.0.conv1"]').wait_for(timeout=WAIT)
    assert page.get_by_alt_text("Growing").count() == 0
    go_to("layer1.0.conv1")
    page.locator(f'img[alt="{LARGE} channel 0 of layer1.0.conv1"]').wait_for(timeout=WAIT)
    settle(page)
    assert not differ(first, pixels(page, LARGE)) and "layer=layer1.0.conv1" in page.url
    page.reload()
    page.locator(f'img[alt="{LARGE} channel 0 of layer1.0.conv1"]').wait_for(timeout=WAIT)
    assert not differ(first, pixels(page, LARGE))


def test_the_second_visit_reads_from_disk_and_the_card_shows_the_same(
    app: RunningApp, browser: Any, home: Path, page: Any
) -> None:
    address = f"{FILTERS}&layer=layer2&drawing=which=first-4,steps=128,seed=5&channel=2"
    open_app(page, f"{app.url}/{address}")
    finished(page)
    first = pixels(page, LARGE)
    kept = {file: file.stat().st_ino for file in (home / "filters").rglob("*.npz")}
    assert len(kept) >= 4
    with (
        running_app(REPOSITORY / "app.py", environment={"LOUPE_HOME": str(home)}) as again,
        chromium_page(browser) as other,
    ):
        open_app(other, f"{again.url}/{address}")
        finished(other)
        assert not differ(first, pixels(other, LARGE))
        open_app(other, f"{again.url}/{address.replace('filter-pictures', 'activation-maps')}&card=open")
        other.get_by_alt_text("A picture grown by gradient ascent").first.wait_for(timeout=WAIT)
        other.get_by_text("Drives it up", exact=False).wait_for(timeout=WAIT)
        assert not differ(first, pixels(other, "A picture grown"))
        assert other.watch.errors == []
    assert {file: file.stat().st_ino for file in kept} == kept, "what was kept was drawn and written again"


def test_class_pictures_say_score_and_probability(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/{FILTERS}&view=classes&drawing=classes=2;5,steps=32")
    finished(page, "Picture that drives")
    model = load_model(CLEAN)
    wanted = complete(class_images(model, [2, 5], FilterParams(steps=32)))
    for target, picture, score in zip((2, 5), wanted.pictures, wanted.reached, strict=True):
        shown = pixels(page, f"Picture that drives the score of {model.labels[target]}")
        assert np.abs(shown - (picture * 255).round()).mean() < 2
        said = page.locator('[data-testid="stMain"]').get_by_text(re.compile(rf"score {score:.3g}")).first
        assert re.search(r"itself taken for it: [<\d]", said.inner_text())
    page.get_by_text("is no proof", exact=False).first.wait_for(timeout=WAIT)
    page.get_by_role("link", name="Heatmap", exact=True).first.click()
    page.get_by_text(f"{model.labels[2]}: score", exact=False).first.wait_for(timeout=WAIT)


def test_maco_lies_over_grey(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/{FILTERS}&layer=layer1&drawing=method=maco,steps=32,which=first-4&channel=0")
    finished(page)
    drawn = complete(filter_images(load_model(CLEAN), "layer1", [0], FilterParams(method="maco", steps=32)))
    assert drawn.opacity is not None
    wanted = over_grey(drawn.pictures[0], drawn.opacity[0]) * 255
    assert np.abs(pixels(page, LARGE) - wanted.round()).mean() < 2
    page.get_by_text("Fel et al. 2023", exact=False).first.wait_for(timeout=WAIT)


def test_a_layer_of_64_channels_and_several_starts_in_the_dark(app: RunningApp, browser: Any) -> None:
    with chromium_page(browser, color_scheme="dark") as page:
        open_app(page, f"{app.url}/{FILTERS}&layer=layer3&drawing=which=all,steps=16&channel=63")
        page.locator(f'img[alt="{LARGE} channel 63 of layer3"]').wait_for(timeout=2 * WAIT)
        assert page.locator('img[alt^="Channel "]').count() == 64
        open_app(page, f"{app.url}/{FILTERS}&layer=layer1&drawing=which=first-4,steps=32,starts=3,direction=negative")
        finished(page, "Picture that silences")
        assert page.get_by_alt_text("Channel 3 of layer1").count() == 3
        page.get_by_text("negative direction", exact=False).first.wait_for(timeout=WAIT)
        assert page.watch.errors == []


def test_channels_that_do_not_exist_are_a_sentence(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/{FILTERS}&layer=layer1&drawing=which=choose,channels=99")
    page.get_by_text("Channel 99 does not exist; the layer has channels 0 to 15.").wait_for(timeout=WAIT)


def test_two_people_look_at_one_drawing_and_one_stops(app: RunningApp, browser: Any, page: Any) -> None:
    address = f"{app.url}/{FILTERS}&layer=layer3&drawing=steps=1024,seed=9,which=first-16"
    open_app(page, address)
    page.get_by_alt_text("Growing").wait_for(timeout=WAIT)
    with chromium_page(browser) as other:
        open_app(other, address)
        other.get_by_alt_text("Growing").wait_for(timeout=WAIT)
        other.get_by_role("button", name="Cancel", exact=True).click()
        other.get_by_text("Stopped after", exact=False).wait_for(timeout=WAIT)
        page.get_by_role("button", name="Cancel", exact=True).click()
        page.get_by_text("Stopped after", exact=False).wait_for(timeout=WAIT)

"""The Heatmaps page in a real Chromium: methods, classes, grids, painting, the box, the evidence, the address."""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from interpret import load_model
from interpret.datasets import sample_picture
from interpret.heatmaps import METHODS, heatmap
from interpret.rendering import Scale, overlay
from tests.ui.browser import RunningApp, open_app, pick, running_app, settle
from tests.ui.test_journey import REPOSITORY, WAIT

CHECKPOINTS = REPOSITORY / "checkpoints"
PAGE = "class-heatmaps?checkpoint=bundled/shapes-clean.safetensors&picture=sample/star&layer=layer3"
CHEAT = "class-heatmaps?checkpoint=bundled/shapes-shortcut.safetensors&picture=sample/heart with a tag&layer=layer3"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(
        REPOSITORY / "app.py", environment={"LOUPE_HOME": str(tmp_path_factory.mktemp("home"))}
    ) as running:
        yield running


def stage(page: Any, number: int = 0) -> np.ndarray[Any, Any]:
    """A pane of the view as drawn, without marks."""
    canvas = page.locator(".loupe[data-palette] .stage canvas").nth(2 * number)
    data = canvas.evaluate("canvas => canvas.toDataURL().split(',')[1]")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), np.int16)


def wait_for_titles(page: Any, *wanted: str) -> None:
    from playwright.sync_api import expect

    expect(page.locator(".loupe[data-palette] .pane .title")).to_have_text(list(wanted), timeout=WAIT)
    settle(page)


def shows(page: Any, method: str, number: int = 0, **asked: Any) -> None:
    """The pane holds the map that Python computes, laid over what the network saw."""
    title = next(known.title for known in METHODS if known.key == method)
    page.locator(".loupe[data-palette] .pane .title").get_by_text(title, exact=True).first.wait_for(timeout=WAIT)
    settle(page)
    page.locator('.loupe[data-palette][data-state="ready"]').wait_for(timeout=WAIT)
    model, image = load_model(CHECKPOINTS / "shapes-clean.safetensors"), sample_picture("star")
    values = heatmap(model, image, method=method, layer="layer3", **asked).values
    signed = asked.get("signed", False)
    scale = Scale.symmetric(values) if signed else Scale.positive(values)
    seen = model.preprocess.seen(image)
    apart, asked_at = np.inf, time.monotonic()
    while apart >= 2 and time.monotonic() < asked_at + WAIT / 1000:  # between two runs the map before still stands
        drawn = stage(page, number)
        large = np.asarray(Image.fromarray(seen).resize(drawn.shape[1::-1], Image.Resampling.NEAREST))
        expected = overlay(large, values, scale, "blue-red" if signed else "viridis")
        apart = float(np.abs(drawn - expected).mean())
    assert apart < 2, method


def test_methods_signs_and_the_address(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/{PAGE}")
    pick(page, "Method", "Score-CAM")
    shows(page, "score-cam")
    pick(page, "Method", "HiResCAM")
    pick(page, "What of the class", "margin")
    page.get_by_text("Signed", exact=True).click()
    page.locator('.loupe[data-palette="blue-red"]').wait_for(timeout=WAIT)
    shows(page, "hires-cam", aim="margin", signed=True)
    page.wait_for_url(re.compile("signed=yes"), timeout=WAIT)
    page.reload()
    shows(page, "hires-cam", aim="margin", signed=True)
    pick(page, "Against", "circle")
    page.get_by_text("against circle", exact=False).wait_for(timeout=WAIT)
    shows(page, "hires-cam", rival="circle", signed=True)
    open_app(page, f"{app.url}/{PAGE}&method=guided-backprop&aim=nonsense&signed=maybe&rival=99&axis=none")
    page.get_by_text("It fails sanity checks", exact=False).wait_for(timeout=WAIT)


def test_grids_and_what_is_said_of_the_chosen_map(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/{PAGE}&axis=classes&among=3,0")
    wait_for_titles(page, "star", "circle")
    pick(page, "Compare", "layers")
    wait_for_titles(page, "relu", "layer1.2", "layer2.2", "layer3", "mean of these", "product of these")
    page.locator(".loupe[data-palette] .stage").nth(4).click()
    page.get_by_text("Fused from relu", exact=False).wait_for(timeout=WAIT)
    pick(page, "Compare", "checkpoints")
    wait_for_titles(page, "shapes-clean", "shapes-shortcut")
    page.locator(".loupe[data-palette] .stage").nth(1).click()
    page.get_by_role("button", name="Show this one alone").click()
    page.wait_for_url(re.compile("shapes-shortcut"), timeout=WAIT)
    wait_for_titles(page, "Grad-CAM")
    assert "axis=" not in page.url
    open_app(page, f"{app.url}/{PAGE}&axis=methods&among=grad-cam,random-cam")
    wait_for_titles(page, "Grad-CAM", "RandomCAM")
    assert page.locator(".loupe[data-palette]").get_attribute("data-scale") == "own", "in unlike units"


def drag(page: Any, first: tuple[float, float], last: tuple[float, float]) -> None:
    """From one place of the first pane to another, each a share of its width and height."""
    box = page.locator(".loupe[data-palette] .stage").first.bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (first, last)]
    page.mouse.move(*at[0])
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(*(a + (b - a) * step / 8 for a, b in zip(*at, strict=True)))
    page.mouse.up()


def test_the_cheat_is_caught_and_painted_away(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/{CHEAT}&target=3")
    page.get_by_text("A spot decides", exact=False).wait_for(timeout=WAIT)
    page.get_by_text("It does not prove", exact=False).wait_for(timeout=WAIT)
    page.get_by_text("the strongest place lies outside the true box").wait_for(timeout=WAIT)
    page.locator('[data-tool="box"]').click()
    drag(page, (0.8, 0.01), (0.99, 0.2))
    page.get_by_text("the strongest place lies inside the true box").wait_for(timeout=WAIT)
    page.locator('[data-tool="grey"]').click()
    drag(page, (0.86, 0.05), (0.97, 0.14))
    wait_for_titles(page, "painted over", "as it was")
    page.get_by_text("The network says heart instead.").wait_for(timeout=WAIT)
    page.get_by_text(re.compile(r"Painted over: star goes from 9\d\.\d.% to <.0\.1.%")).wait_for(timeout=WAIT)
    page.get_by_role("button", name="Clear").click()
    wait_for_titles(page, "Grad-CAM")
    assert not page.watch.errors

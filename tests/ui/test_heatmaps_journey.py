"""The Heatmaps page in a real Chromium: methods, what of the class, for and against, the address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from interpret import load_model
from interpret.datasets import sample_picture
from interpret.heatmaps import METHODS, heatmap
from interpret.rendering import Scale, overlay
from tests.ui.browser import RunningApp, open_app, pick, running_app, settle
from tests.ui.test_journey import REPOSITORY, WAIT, pixels

CLEAN = REPOSITORY / "checkpoints" / "shapes-clean.safetensors"
PAGE = "class-heatmaps?checkpoint=bundled/shapes-clean.safetensors&picture=sample/star"
MAP = "Heatmap of the places"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(
        REPOSITORY / "app.py", environment={"LOUPE_HOME": str(tmp_path_factory.mktemp("home"))}
    ) as running:
        yield running


def expected(**asked: Any) -> np.ndarray[Any, Any]:
    model, image = load_model(CLEAN), sample_picture("star")
    values = heatmap(model, image, **asked).values
    signed = asked.get("signed", False)
    scale = Scale.symmetric(values) if signed else Scale.positive(values)
    return overlay(model.preprocess.seen(image), values, scale, "blue-red" if signed else "viridis")


def shows(page: Any, method: str, **asked: Any) -> None:
    title = next(known.title for known in METHODS if known.key == method)
    page.get_by_text(re.compile(rf"^{re.escape(title)} for star (at|on) ")).wait_for(timeout=WAIT)
    settle(page)
    assert np.abs(pixels(page, MAP).astype(float) - expected(method=method, **asked)).mean() < 1


def test_methods_and_what_they_say(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/{PAGE}&layer=layer3")
    for method in METHODS[1::4]:
        pick(page, "Method", method.title)
        shows(page, method.key, layer="layer3")
        page.get_by_text(method.about, exact=False).wait_for(timeout=WAIT)
        page.get_by_text(f"{method.unit or 'score'}, raw values").wait_for(timeout=WAIT)


def test_for_and_against_of_the_margin_comes_back_with_the_address(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/{PAGE}&layer=layer3")
    pick(page, "Method", "HiResCAM")
    pick(page, "What of the class", "margin")
    page.get_by_text("For and against").click()
    page.get_by_text(re.compile(r"speak for the class, \d+% against it")).wait_for(timeout=WAIT)
    shows(page, "hires-cam", layer="layer3", aim="margin", signed=True)
    page.wait_for_url(re.compile("signed=yes"), timeout=WAIT)
    page.reload()
    shows(page, "hires-cam", layer="layer3", aim="margin", signed=True)
    open_app(page, f"{app.url}/{PAGE}&layer=layer3&method=score-cam&aim=nonsense&signed=maybe")
    shows(page, "score-cam", layer="layer3")

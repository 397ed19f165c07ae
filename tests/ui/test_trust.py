"""What the Filters page says of a drawing beside natural pictures, across layers, and of the picture itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from interpret import complete, load_model
from interpret.datasets import open_source
from interpret.filters import FilterParams, filter_images
from interpret.units import collect_units
from tests.ui.browser import RunningApp, open_app, running_app, settle
from tests.ui.test_journey import REPOSITORY, WAIT
from ui.trust import Natural, bar, natural_from

CLEAN = REPOSITORY / "checkpoints" / "shapes-clean.safetensors"


def natural(best: float) -> Natural:
    values = np.array([best], np.float32)
    return Natural("<b>set</b>", values, values, SimpleNamespace(seen=500))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reached", "best", "filled", "mark"),
    [(4, 2, 100, 50), (1, 4, 25, 100), (0, 2, 0, 100), (-3, 2, 0, 100), (3, 0, 100, 0), (3, 3, 100, 100)],
)
def test_the_bar_shows_drawing_and_best_picture_on_one_scale(
    reached: float, best: float, filled: float, mark: float
) -> None:
    shown = bar(reached, natural(best), 0)
    assert float(re.findall(r"width:([0-9.]+)%", shown)[0]) == filled
    assert float(re.findall(r"left:calc\(([0-9.]+)%", shown)[0]) == mark
    assert "<b>" not in shown and "the best of 500 pictures" in shown


def test_there_is_no_bar_without_numbers() -> None:
    assert bar(1.0, None, 0) == bar(float("nan"), natural(1), 0) == ""


def test_what_natural_pictures_reach_is_what_the_network_answers(tmp_path: Path) -> None:
    model, source = load_model(CLEAN), open_source("shapes:20")
    found = natural_from("shapes", complete(collect_units(model, source, ["layer3"], folder=tmp_path))["layer3"])
    answers = [
        model.observe(model.preprocess.to_batch(source.read(index)), ["layer3"])["layer3"][0].mean((1, 2)).numpy()
        for index in range(20)
    ]
    np.testing.assert_allclose(found.best, np.max(answers, axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.high, np.percentile(answers, 99.9, axis=0), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(
        REPOSITORY / "app.py", environment={"LOUPE_HOME": str(tmp_path_factory.mktemp("home"))}
    ) as running:
        yield running


def test_evidence_beside_a_channel(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/filter-pictures?layer=layer3&drawing=steps=32,which=first-4&channel=2")
    page.get_by_text(re.compile("The drawing reaches .*of 500 pictures")).wait_for(timeout=2 * WAIT)
    assert page.locator('img[alt$=": the part that excites the channel"]').count() == 4
    assert page.locator('[role=img][aria-label^="Reaches"]').count() == 4
    page.get_by_text("Control: the same drawing on random weights").click()
    page.locator('img[alt="Channel 2 of layer3, random weights"]').wait_for(timeout=WAIT)


def test_two_checkpoints_across_layers(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/filter-pictures?view=across&drawing=steps=16&versus=bundled/shapes-shortcut.safetensors")
    for name in ("shapes-clean", "shapes-shortcut"):
        page.locator(f'img[alt^="Channel"][alt$="of layer3.2, {name}.safetensors"]').last.wait_for(timeout=2 * WAIT)
    settle(page)
    assert page.locator('img[alt^="Kernel"]').count() == 12
    alts = [image.get_attribute("alt") for image in page.locator('img[alt*="of layer2.2, shapes-"]').all()]
    channels = [re.findall(r"Channel (\d+) of .*shapes-(\w+)", alt)[0] for alt in alts]
    assert [number for number, _ in channels[:4]] == [number for number, _ in channels[4:]]
    assert [name for _, name in channels] == ["clean"] * 4 + ["shortcut"] * 4
    said = page.locator("figure", has=page.locator(f'img[alt="{alts[4]}"]')).inner_text()
    expected = complete(
        filter_images(
            load_model(REPOSITORY / "checkpoints" / "shapes-shortcut.safetensors"),
            "layer2.2",
            [int(channels[4][0])],
            FilterParams(steps=16),
        )
    )
    assert float(said.split(":")[1]) == pytest.approx(float(expected.reached[0]), rel=0.02)


def test_a_picture_drawn_back(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/filter-pictures?view=picture&drawing=steps=16")
    for layer in ("relu", "layer3.2"):
        page.locator(f'img[alt="heart drawn back from {layer}"]').wait_for(timeout=2 * WAIT)
        page.locator(f'img[alt="heart as exaggerated by {layer}"]').wait_for(timeout=WAIT)
    page.get_by_text(re.compile(r"differs from your picture's by [0-9.]+\s%")).last.wait_for(timeout=2 * WAIT)
    page.get_by_role("button", name="Download pictures").wait_for(timeout=WAIT)

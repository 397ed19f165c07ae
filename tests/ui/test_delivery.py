"""Bytes that components fetch: they are there when they are fetched late, and the browser asks until they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ui.browser import RunningApp, open_app, running_app, settle

APP = Path(__file__).parent / "component_apps" / "delivery_app.py"
COMPONENTS = 5
FILES = 7
"""The map view and the heat view fetch their pictures and their numbers apart."""
HOLD_FETCHES = """
const own = window.fetch;
const released = new Promise((resolve) => (window.release = resolve));
window.held = 0;
window.fetch = async (url, ...rest) => {
  if (String(url).endsWith(".bin")) {
    window.held += 1;
    await released;
  }
  return own(url, ...rest);
};
"""
"""Holds back what components ask the server for until the page says `release()`."""


@pytest.fixture(scope="module")
def go_on(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Once this file is there, runs after the first wait no more."""
    return tmp_path_factory.mktemp("delivery") / "go on"


@pytest.fixture(scope="module")
def app(browser: Any, go_on: Path) -> Iterator[RunningApp]:
    with running_app(APP, environment={"GO_ON": str(go_on)}) as app:
        yield app


def wait_until(page: Any, holds: Any) -> None:
    for _ in range(600):
        if holds():
            return
        page.wait_for_timeout(50)
    raise AssertionError("waited in vain")


def wait_until_ready(page: Any) -> None:
    """Until every component shows what it was sent last."""
    page.locator('.loupe[data-state="ready"]').nth(COMPONENTS - 1).wait_for()
    assert page.locator(".loupe").count() == COMPONENTS
    assert page.locator(".failure:visible").count() == 0


def test_bytes_stay_while_further_runs_are_cut_short(page: Any, app: RunningApp, go_on: Path) -> None:
    statuses: list[int] = []
    page.add_init_script(HOLD_FETCHES)
    page.on("response", lambda response: statuses.append(response.status) if ".bin" in response.url else None)
    open_app(page, app.url)
    page.wait_for_function("files => window.held === files", arg=FILES)
    for run in (2, 3, 4):
        page.get_by_role("button", name="Run again").click()
        page.get_by_text(f"Run {run} waits").wait_for()
    assert statuses == []
    page.evaluate("window.release()")
    wait_until_ready(page)
    assert statuses == [206] * FILES
    assert page.get_by_text("Run 4 waits").is_visible(), "no run since the first has come to the components"
    go_on.touch()
    page.get_by_text("Run 4 goes on").wait_for()
    settle(page)
    wait_until_ready(page)


def test_the_browser_asks_until_the_bytes_are_there_and_no_longer_for_older_ones(
    page: Any, app: RunningApp, go_on: Path
) -> None:
    asked: list[str] = []

    def refuse(route: Any) -> None:
        asked.append(route.request.url)
        route.fulfill(status=404)

    page.route("**/*.bin", refuse)
    go_on.touch()
    open_app(page, app.url)
    wait_until(page, lambda: len(set(asked)) == FILES)
    older = set(asked)
    page.get_by_role("button", name="Other content").click()
    page.get_by_text("Trying again.").nth(COMPONENTS - 1).wait_for()
    asked.clear()
    wait_until(page, lambda: len(set(asked)) == FILES)
    assert len(older & set(asked)) == 2, "the pictures under the map and under the heatmap are the same still"
    page.unroute("**/*.bin")
    wait_until_ready(page)
    page.get_by_role("option", name="layer4.15").wait_for()
    assert all("404" in error for error in page.watch.errors)
    page.watch.errors.clear()

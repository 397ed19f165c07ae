"""The page of a whole network's filters, opened from disk in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interpret import FilterParams, LoadedModel, complete
from interpret.datasets import open_source
from interpret.microscope import draw_network
from tests.ui.browser import chromium, chromium_page


@pytest.fixture(scope="module")
def folder(cifar: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("microscope")
    source = open_source("shapes:6")
    channels = {"conv1": range(12), "layer2": range(8)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOUPE_HOME", str(root / "home"))
        complete(draw_network(cifar, root / "out", channels, FilterParams(steps=2), targets=[0, 1, 2], source=source))
    return root / "out"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def all_shown(page: Any) -> bool:
    """Whether every picture of the page can be looked at, once scrolled to."""
    shown: bool = page.evaluate(
        """async () => {
            const pictures = [...document.images];
            pictures.forEach(picture => { picture.loading = "eager"; });
            await Promise.all(pictures.map(picture => picture.decode()));
            return pictures.length > 0 && pictures.every(picture => picture.naturalWidth > 0);
        }"""
    )
    return shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_from_the_first_page_to_a_channel(folder: Path, browser: Any, scheme: str) -> None:
    with chromium_page(browser, color_scheme=scheme) as page:
        page.goto((folder / "index.html").as_uri())
        assert all_shown(page)
        assert page.locator("h2").all_inner_texts()[1].startswith("layer2")
        page.get_by_role("link", name="3 reaches").nth(1).click()
        page.wait_for_url("**/index.html#c3")
        assert page.locator("h1").inner_text() == "layer2" and all_shown(page)
        assert page.evaluate("document.querySelector('figure:target').id") == "c3"
        page.get_by_role("link", name="Classes").click()
        assert page.locator("h1").inner_text() == "Classes" and all_shown(page)
        page.get_by_role("link", name="All layers").click()
        page.wait_for_url("**/out/index.html")
        assert page.watch.errors == [] and page.watch.hosts == set()


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_cut(folder: Path, browser: Any, width: int) -> None:
    with chromium_page(browser, width=width) as page:
        for path in sorted(folder.rglob("*.html")):
            page.goto(path.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path


def test_what_a_label_carries_cannot_run(folder: Path, browser: Any, tmp_path: Path) -> None:
    """The policy stops what would have slipped through: a script put into the page by hand."""
    hostile = (folder / "index.html").read_text().replace("<h1>", "<script>document.title = 'ran'</script><h1>")
    (tmp_path / "index.html").write_text(hostile)
    with chromium_page(browser) as page:
        page.goto((tmp_path / "index.html").as_uri())
        assert page.title() != "ran"
        assert any("Content Security Policy" in error for error in page.watch.errors)

"""What the browser tests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.ui.browser import chromium, chromium_page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium for all tests of a file; each opens a page with an empty profile in it."""
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page; after the test it must have seen no error and no other host."""
    with chromium_page(browser) as page:
        yield page
        assert page.watch.errors == []
        assert len(page.watch.hosts) == 1, page.watch.hosts

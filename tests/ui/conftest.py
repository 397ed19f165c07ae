"""What the browser tests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.ui.browser import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium for all tests of a file; each opens a page with an empty profile in it."""
    with chromium() as running:
        yield running

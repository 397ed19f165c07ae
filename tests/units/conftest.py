"""The network of the tests of this folder."""

from __future__ import annotations

import pytest

from interpret.model import LoadedModel
from tests.conftest import look_into
from tests.units.sources import undecided


@pytest.fixture
def model() -> LoadedModel:
    """The trap network with a last layer that does not predict one class for everything."""
    return look_into(undecided(), classes=5)

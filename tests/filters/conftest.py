"""What tests of filter pictures share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from interpret.runtime import choose_runtime


@pytest.fixture
def float32() -> Iterator[None]:
    """Networks compute in float32 on this CPU, also where bfloat16 is faster: for comparisons step by step."""
    runtime = choose_runtime("cpu")
    before = runtime.has_bfloat16
    object.__setattr__(runtime, "has_bfloat16", False)
    yield
    object.__setattr__(runtime, "has_bfloat16", before)

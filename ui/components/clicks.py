"""Which counts: what the page passes, or the reader's newest click in a component. The other half is choice.js."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import streamlit as st

T = TypeVar("T")


@dataclass(frozen=True)
class _Remembered(Generic[T]):
    """What passed between page and browser in the run before."""

    passed: T
    returned: T
    click: int


def settle(
    key: str, passed: T, *, state: str, read: Callable[[Mapping[str, Any]], T], within: Callable[[T], T]
) -> tuple[T, int]:
    """The choice that counts now, and the number of the newest click the server has seen.

    What the page passes may be what was returned in the run before, or stay what it was: then the newest click counts.
    Anything else is a choice made by the page and replaces the click.

    Args:
        key: Streamlit key of the component.
        passed: What the page passes.
        state: Name of the component's state, a mapping with the clicks' number under "click".
        read: The choice in such a mapping.
        within: The choice nearest to one that this component may no longer have.
    """
    memory_key = f"{key}.selection"
    before: _Remembered[T] | None = st.session_state.get(memory_key)
    sent = (st.session_state.get(key) or {}).get(state)
    clicked, click = (read(sent), int(sent["click"])) if isinstance(sent, dict) else (passed, 0)
    if before is None or passed not in (before.passed, before.returned):
        current = passed
    elif click not in (0, before.click):
        current = clicked
    else:
        current = before.returned
    current = within(current)
    st.session_state[memory_key] = _Remembered(passed, current, click)
    return current, click


def nothing() -> None:
    """The state changed; the rerun that follows reads it."""

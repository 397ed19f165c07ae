"""A picture pasted from the clipboard, where the browser hands it over."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

import streamlit as st

from interpret.errors import BadInput
from ui.components.delivery import source

_mount = st.components.v2.component(
    "loupe_paste",
    html='<div class="line">or paste one with Ctrl+V</div>',
    css=".line { font: 0.8rem var(--st-font); color: var(--st-text-color); opacity: 0.65; margin-top: -0.5rem }",
    js=source("paste.js"),
)


@dataclass(frozen=True)
class PastedFile:
    """A pasted file: its name, which is untrusted text, and its bytes."""

    name: str
    data: bytes


def pasted_picture(key: str) -> PastedFile | None:
    """The picture pasted since the last run, or None.

    Args:
        key: Streamlit key, one per page.

    Raises:
        BadInput: what arrived is not base64.
    """
    result = _mount(key=key, on_pasted_change=lambda: None)
    sent = getattr(result, "pasted", None)
    if not isinstance(sent, dict) or not isinstance(sent.get("data"), str):
        return None
    try:
        return PastedFile(str(sent.get("name", "pasted"))[:200], base64.b64decode(sent["data"], validate=True))
    except binascii.Error:
        raise BadInput("The pasted picture did not arrive whole. Paste it again, or upload it.") from None

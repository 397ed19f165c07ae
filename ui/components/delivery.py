"""How our browser components get their source text and their bytes.

Streamlit sends a component's `data` again whenever any part of it changes. So the large arrays do not travel there:
they lie on the server's media route under a name made from their content, the component is told that name, and the
browser fetches each content once.

Streamlit forgets what a session laid out when a run of the script starts, and throws the forgotten away when one ends:
also when it ends early, for a newer run, before every component laid its bytes out again. `keep_delivered` closes that
gap, and the browser goes on asking where a file is missing all the same (page.js).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit import runtime

_FOLDER = Path(__file__).parent
_LATEST = "loupe.delivered"
_MOST_KEPT = 8


def source(*names: str) -> str:
    """The text of files next to this one, one after the other.

    Args:
        names: File names in the order in which the browser should read them. In JavaScript only the last file may
            hold the `export default`; the ones before it are plain declarations it uses.

    Returns:
        The joined text.
    """
    return "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in names)


@dataclass(frozen=True)
class Delivery:
    """Where the browser finds bytes, and how it knows them again.

    Attributes:
        url: Address below the app's base path, or "" where no server runs (a script run as plain Python).
        digest: BLAKE2b of the bytes, 32 hexadecimal digits. Equal digests need no second fetch.
        size: Number of bytes.
    """

    url: str
    digest: str
    size: int


def deliver(parts: tuple[bytes, ...], *, key: str) -> Delivery:
    """Lay bytes out for the browser to fetch.

    The bytes begin with their own digest: Streamlit names media files larger than 1 MiB by a sample of their content,
    so two maps that differ in a few places only would otherwise share one name.

    Args:
        parts: The content, joined in this order behind the 16 bytes of the digest.
        key: Key of the component. New content under the same key replaces the old one on the server.

    Returns:
        Address, digest and size.
    """
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        hasher.update(part)
    payload = b"".join((hasher.digest(), *parts))
    url = ""
    if runtime.exists():
        url = _lay_out(payload, f"loupe-{key}")
        latest = st.session_state.setdefault(_LATEST, {})
        latest.pop(key, None)
        latest[key] = payload
        if len(latest) > _MOST_KEPT:
            del latest[next(iter(latest))]
    return Delivery(url=url, digest=hasher.hexdigest(), size=len(payload))


def keep_delivered() -> None:
    """Lay out again what this session delivered last, the latest eight; to be called first in every run of the script.

    So the browser still finds what it was told to fetch while the next run is on its way, and when that is cut short.
    """
    if runtime.exists():
        for key, payload in st.session_state.get(_LATEST, {}).items():
            _lay_out(payload, f"loupe-before-{key}")


def _lay_out(payload: bytes, coordinates: str) -> str:
    return runtime.get_instance().media_file_mgr.add(payload, "application/octet-stream", coordinates)

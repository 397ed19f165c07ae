"""How our browser components get their source text and their bytes.

Streamlit sends a component's `data` again whenever any part of it changes. So the large arrays do not travel there:
they lie on the server's media route under a name made from their content, the component is told that name, and the
browser fetches each content once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from streamlit import runtime

_FOLDER = Path(__file__).parent


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
        url = runtime.get_instance().media_file_mgr.add(payload, "application/octet-stream", f"loupe-{key}")
    return Delivery(url=url, digest=hasher.hexdigest(), size=len(payload))

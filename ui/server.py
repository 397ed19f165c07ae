"""What the web server does besides Streamlit's pages: thumbnails of data sets, and security headers on every answer."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.runtime.pages_manager import PagesManager

from ui.cache import BoundedStore

PagesManager.uses_pages_directory = False  # or the first deep link of a fresh server finds no such page

THUMBNAILS = BoundedStore(entries=16, max_bytes=512 * 2**20)
"""Tuples of JPEG bytes by the digest of an embedding."""

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "frame-src 'self' data: blob:",
        "object-src 'none'",
        "base-uri 'self'",
    )
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


async def thumbnail(request: Request) -> Response:
    """The picture of one point: `/thumbnails/DIGEST/INDEX`."""
    pictures = THUMBNAILS.get(request.path_params["digest"])
    index = request.path_params["index"]
    if pictures is None or not 0 <= index < len(pictures):
        return Response("There is no such picture.", status_code=404, media_type="text/plain")
    return Response(pictures[index], media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})


async def not_here(request: Request) -> Response:
    """What Streamlit's front end asks below a page's path, to learn whether the app lies there. It does not.

    An answer of 300 says so like a 404 would, but leaves no error in the browser's console.
    """
    return Response(status_code=300)


class SecurityHeaders:
    """Adds the headers to every HTTP answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in HEADERS}
                kept = [pair for pair in message.get("headers", []) if pair[0].lower() not in names]
                message = {**message, "headers": [*kept, *HEADERS]}
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def _warm_up() -> None:
    """Imports and loads what the first screen needs, so that the first visitor does not wait for it."""
    from interpret.checkpoints import warm_up
    from interpret.heatmaps import heatmap
    from ui.library import model_of, picture_of
    from ui.state import Selection

    heatmap(model_of(Selection().checkpoint), picture_of(Selection().picture))
    warm_up()


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Warms up in the background while the server starts."""
    threading.Thread(target=_warm_up, name="loupe-warm-up", daemon=True).start()
    yield


ROUTES = [
    Route("/thumbnails/{digest:str}/{index:int}", thumbnail),
    Route("/{page:str}/_stcore/health", not_here),
    Route("/{page:str}/_stcore/host-config", not_here),
]
MIDDLEWARE = [Middleware(SecurityHeaders)]

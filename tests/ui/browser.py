"""A running app and a real Chromium, for tests that look at what a browser shows."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
FINISHED = '[data-testid="stApp"][data-test-script-state="notRunning"]'
START_SECONDS = 90.0
ACTION_SECONDS = 90.0


@dataclass(frozen=True)
class RunningApp:
    """A Streamlit app that answers at `url`."""

    url: str
    log: Path


@dataclass
class Watch:
    """What a page said and asked for while it was open.

    Attributes:
        errors: Console errors and uncaught exceptions.
        hosts: Every host and port the page sent a request to.
        received_bytes: Bytes received, by the path of the request; web-socket frames under "websocket".
    """

    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    received_bytes: dict[str, int] = field(default_factory=dict)


def unavailable(reason: str) -> NoReturn:
    """Skip the test with a reason; where the environment variable CI is set, fail it."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason} Under CI this test may not be skipped.")
    pytest.skip(reason)


@contextmanager
def running_app(
    script: Path,
    *,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    base_path: str = "",
) -> Iterator[RunningApp]:
    """A Streamlit app started from a script, on a free port, and ended with the block.

    Args:
        script: The app's Python file.
        arguments: Further arguments of `streamlit run`, such as "--theme.base=dark".
        environment: Environment variables to add.
        base_path: Path below which the app is served, such as "behind/proxy".

    Yields:
        Address and log file of the app, once it answers.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="loupe-app-") as folder:
        log = Path(folder) / "log.txt"
        command = [sys.executable, "-m", "streamlit", "run", str(script), f"--server.port={port}"]
        command += ["--server.address=127.0.0.1", "--server.headless=true", "--server.fileWatcherType=none"]
        command += ["--browser.gatherUsageStats=false", f"--server.baseUrlPath={base_path}", *arguments]
        path = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
        with log.open("wb") as sink:
            process = subprocess.Popen(
                command,
                cwd=REPOSITORY,
                env={**os.environ, "PYTHONPATH": path, **(environment or {})},
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        try:
            url = f"http://127.0.0.1:{port}/{base_path}".rstrip("/")
            _wait_until_healthy(url, process, log)
            yield RunningApp(url=url, log=log)
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"The app ended while starting:\n{log.read_text(errors='replace')}")
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"The app did not answer within {START_SECONDS:.0f} s:\n{log.read_text(errors='replace')}")


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium: the system's if there is one, else Playwright's own. Skips the test if there is neither.

    Yields:
        A Playwright `Browser`.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        unavailable("Playwright is not installed, so no browser can be driven.")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=list(CHROMIUM_ARGUMENTS)
            )
        except Error as reason:
            unavailable(f"No Chromium could be started: {str(reason).splitlines()[0]}")
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def chromium_page(browser: Any = None, *, width: int = 1280, height: int = 800, **context: Any) -> Iterator[Any]:
    """A fresh page with an empty profile, watched from its first request.

    Args:
        browser: A browser from `chromium()`, to open several pages in one; without it one is started for this page.
        width: Width of the window in CSS pixels.
        height: Height of the window in CSS pixels.
        context: Further arguments of Playwright's `new_context`, such as `device_scale_factor`.

    Yields:
        A Playwright `Page` with an attribute `watch`, a `Watch`.
    """
    if browser is None:
        with chromium() as own, chromium_page(own, width=width, height=height, **context) as page:
            yield page
        return
    profile = browser.new_context(viewport={"width": width, "height": height}, **context)
    try:
        page = profile.new_page()
        page.set_default_timeout(ACTION_SECONDS * 1000)
        page.watch = _watch(page)
        yield page
        if not page.is_closed():
            assert not page.get_by_test_id("stException").count(), "the page ended with an error of the app itself"
    finally:
        profile.close()


def _watch(page: Any) -> Watch:
    watch = Watch()

    def count(name: str, size: int) -> None:
        watch.received_bytes[name] = watch.received_bytes.get(name, 0) + size

    def on_response(response: Any) -> None:
        size = int(response.headers.get("content-length", 0))
        count(urlsplit(response.url).path, size)

    def on_request(request: Any) -> None:
        address = urlsplit(request.url)
        if address.scheme in ("http", "https", "ws", "wss"):
            watch.hosts.add(address.netloc)

    page.on("console", lambda message: watch.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: watch.errors.append(str(error)))
    page.on("request", on_request)
    page.on("response", on_response)
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: count("websocket", len(frame))))
    return watch


def open_app(page: Any, url: str) -> None:
    """Go to an address of the app and wait until its script has run."""
    page.goto(url)
    settle(page)


def ready(page: Any, address: str) -> None:
    """Go to an address of a component's app and wait until the component has drawn."""
    open_app(page, address)
    page.wait_for_selector('.loupe[data-state="ready"]')


def settle(page: Any, *, seconds: float = 30.0) -> None:
    """Wait until the app's script has run and the page shows its result."""
    page.wait_for_selector(FINISHED, timeout=seconds * 1000)


def turn_on(page: Any, label: str) -> None:
    """Turn a switch on; a click is lost where the page runs again at that moment."""
    switch = page.locator('[data-testid="stCheckbox"]').filter(has_text=label)
    for _ in range(6):
        settle(page)
        if switch.locator("input").is_checked():
            return
        switch.get_by_text(label).click()
        page.wait_for_timeout(1500)
    raise AssertionError(f'"{label}" could not be turned on')


def pick(page: Any, label: str, option: str) -> None:
    """Choose another option of a select box of the main part."""
    box = page.locator('[data-testid="stMain"] [data-testid="stSelectbox"]').filter(has_text=label)
    offered = page.get_by_role("option", name=option, exact=True)
    box.scroll_into_view_if_needed()
    for attempt in range(12):  # a part that is still unfolding, or a page that runs again, closes the list
        try:
            page.wait_for_timeout(400)
            box.locator("input").click(timeout=2000)
            offered.click(timeout=2000)
            break
        except Exception:  # Playwright's own kinds, imported only where a browser is
            if attempt == 11:
                raise
    settle(page)

"""What a person waits for in a real Chromium."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from benchmarks.timing import Row

ROOT = Path(__file__).resolve().parent.parent
BUNDLED = ROOT / "checkpoints" / "shapes-clean.safetensors"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


def _chromium() -> str | None:
    """Where the browser is; None where it or Playwright is missing."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return None
    return shutil.which("chromium")


def _wait_for(url: str) -> None:
    while True:
        try:
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)


@contextlib.contextmanager
def _app(home: Path | None = None) -> Iterator[tuple[str, float]]:
    """The app in a process of its own, with its own folder of fetched checkpoints: (address, when it was started)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = time.perf_counter()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    environment = os.environ | ({"LOUPE_HOME": str(home)} if home else {})
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://localhost:{port}", started
    finally:
        process.terminate()
        process.wait()


def cold_start() -> list[Row]:
    """Seconds until the first heatmap is on the screen of a real Chromium, and its server's peak memory."""
    browser = _chromium()
    task = "cold start"
    command = [
        sys.executable,
        "-c",
        "from interpret import *; from interpret.datasets import sample_picture;"
        f"heatmap(load_model({str(BUNDLED)!r}), sample_picture('heart'))",
    ]
    times = []
    for _ in range(4):  # the first brings the libraries from the disk
        started = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True)
        times.append(time.perf_counter() - started)
    rows = [
        Row(task, "Python process to first heatmap", statistics.median(times[1:]), "s", None, 3),
        Row(task, "the same, libraries not yet read from the disk, if they were not", times[0], "s", None, 1),
    ]
    if browser is None:
        return rows
    from playwright.sync_api import sync_playwright

    with _app() as (url, launched), sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=browser, args=FLAGS).new_page()
        _wait_for(url)
        opened = time.perf_counter()
        page.goto(url)
        page.get_by_alt_text("Heatmap of the places", exact=False).first.wait_for(timeout=120_000)
        seen = time.perf_counter()
        page.context.browser.close()
    return [
        *rows,
        Row(task, "opening the page to first heatmap on the screen", seen - opened, "s", None, 1),
        Row(task, "starting the server to first heatmap on the screen", seen - launched, "s", None, 1),
    ]


def activations_screen(rounds: int) -> list[Row]:
    """Seconds from a click on the activations page to its answer on the screen, the networks loaded before."""
    browser = _chromium()
    if browser is None:
        return []
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name:
        _checkpoints(Path(name), "resnet18", "resnet50")
        with _app(Path(name)) as (url, _), sync_playwright() as playwright:
            page = playwright.chromium.launch(executable_path=browser, args=FLAGS).new_page()
            _wait_for(url)
            walks, clicks = _walk_and_click(
                page, f"{url}/activation-maps?checkpoint=fetched/resnet18.safetensors", rounds
            )
            layers = _new_layers(page, f"{url}/activation-maps?checkpoint=fetched/resnet50.safetensors", rounds)
            page.context.browser.close()
    task = "activations page in Chromium, warm"
    return [
        Row(task, "ResNet-18, arrow key to the channel's large map", statistics.median(walks), "s", None, len(walks)),
        Row(task, "ResNet-18, click on a channel to its card", statistics.median(clicks), "s", None, len(clicks)),
        Row(
            task,
            "ResNet-50, click on a layer to its 512 maps of 28 x 28",
            statistics.median(layers),
            "s",
            None,
            len(layers),
        ),
    ]


def filters_screen(rounds: int) -> list[Row]:
    """Seconds from a layer chosen on the filters page to its first pictures, and to finished ones kept on disk."""
    browser = _chromium()
    if browser is None:
        return []
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name:
        _checkpoints(Path(name), "resnet18")
        address = "filter-pictures?checkpoint=fetched/resnet18.safetensors&picture=sample/flower.jpg"
        first: dict[str, list[float]] = {}
        again = []
        with _app(Path(name)) as (url, _), sync_playwright() as playwright:
            page = playwright.chromium.launch(executable_path=browser, args=FLAGS).new_page()
            _wait_for(url)
            page.goto(f"{url}/{address}&layer=layer1.0.conv1&drawing=steps=32")
            page.get_by_alt_text("Picture that excites").first.wait_for(timeout=300_000)
            page.wait_for_timeout(3000)
            for turn in range(rounds):
                for layer in (1, 2, 3, 4):
                    inner = ("0.conv1", "0.bn1", "0.conv2", "0.bn2", "1.conv1", "1.bn1", "1.conv2", "1.bn2")[turn + 1 :]
                    if inner:
                        seconds = _until(page, f"layer{layer}.{inner[0]}", "after ")
                        first.setdefault(f"layer{layer}", []).append(seconds)
            page.get_by_alt_text("Picture that excites").first.wait_for(timeout=300_000)
            page.goto("about:blank")
        with _app(Path(name)) as (url, _), sync_playwright() as playwright:  # nothing is in memory
            page = playwright.chromium.launch(executable_path=browser, args=FLAGS).new_page()
            _wait_for(url)
            page.goto(f"{url}/activation-maps?checkpoint=fetched/resnet18.safetensors&picture=sample/flower.jpg")
            page.locator('.loupe[data-state="ready"] .scroller').wait_for(timeout=120_000)
            started = time.perf_counter()
            page.goto(f"{url}/{address}&layer=layer1.0.conv1&drawing=steps=32")
            page.get_by_alt_text("Picture that excites").first.wait_for(timeout=300_000)
            again.append(time.perf_counter() - started)
            page.context.browser.close()
    task = "filters page in Chromium, ResNet-18, 16 channels of 224 px"
    return [
        *(
            Row(
                task, f"a layer of {part} chosen to its first pictures", statistics.median(found), "s", None, len(found)
            )
            for part, found in first.items()
        ),
        Row(task, "the page opened to finished pictures from the disk", again[0], "s", None, 1),
    ]


def _until(page: Any, layer: str, said: str) -> float:
    """Seconds from choosing a layer to what is said under its growing pictures."""
    search = page.get_by_label("Find a layer")
    search.fill(layer)
    started = time.perf_counter()
    search.press("Enter")
    page.get_by_text(re.compile(rf"^{re.escape(layer)}, channels .*{said}")).first.wait_for(timeout=120_000)
    seconds = time.perf_counter() - started
    page.wait_for_timeout(1500)
    return seconds


def _checkpoints(home: Path, *keys: str) -> None:
    """Random weights of torchvision's networks, where the app finds fetched ones."""
    from torchvision import models

    torch.manual_seed(0)
    (home / "checkpoints").mkdir()
    for key in keys:
        tensors = models.get_model(key, weights=None).state_dict()
        file = home / "checkpoints" / f"{key}.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file, {"arch": key})


def _open(page: Any, address: str) -> None:
    page.goto(f"{address}&picture=sample/flower.jpg&layer=layer2.0.conv1")
    page.locator('.loupe[data-state="ready"] .scroller').wait_for(timeout=120_000)
    page.wait_for_timeout(3000)


def _walk_and_click(page: Any, address: str, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of arrow keys without a card, and of clicks on further channels with one open."""
    _open(page, address)
    grid = page.locator(".loupe:has(> .frame .scroller)").first
    scroller = grid.locator(".scroller")
    scroller.focus()
    walks = []
    for channel in range(1, rounds + 2):
        started = time.perf_counter()
        page.keyboard.press("ArrowRight")
        page.get_by_text(f"Channel {channel} of layer2.0.conv1, flower.jpg", exact=True).wait_for(timeout=30_000)
        walks.append(time.perf_counter() - started)
    scroller.click(position={"x": 20, "y": 20})
    page.get_by_text("Which classes excite it").wait_for(timeout=300_000)  # the pass over the data set is done
    clicks = []
    for place in range(1, rounds + 2):
        page.wait_for_timeout(500)
        pitch, across = float(grid.get_attribute("data-pitch")), int(grid.get_attribute("data-columns"))
        box = scroller.bounding_box()
        x, y = box["x"] + 20 + pitch * (place % across), box["y"] + 20 + pitch * (place // across)
        started = time.perf_counter()
        page.mouse.click(x, y)
        page.locator(f'.st-key-unit-card >> text="Unit {place}"').first.wait_for(timeout=30_000)
        clicks.append(time.perf_counter() - started)
    return walks[1:], clicks[1:]


def _new_layers(page: Any, address: str, rounds: int) -> list[float]:
    """Seconds to all maps of layers that were never asked for."""
    _open(page, address)
    seconds = []
    names = [f"layer2.{block}.{inner}" for block in range(4) for inner in ("conv3", "bn3")]
    for name in names[: rounds + 1]:
        before = page.locator(".loupe[data-digest]").first.get_attribute("data-digest")
        search = page.get_by_label("Find a layer")
        search.fill(name)
        started = time.perf_counter()
        search.press("Enter")
        page.wait_for_function(
            "before => [...document.querySelectorAll('*')].flatMap(e => e.shadowRoot ? "
            "[...e.shadowRoot.querySelectorAll('.loupe[data-digest]')] : []).some(e => e.dataset.digest !== before)",
            arg=before,
            polling=20,
            timeout=60_000,
        )
        seconds.append(time.perf_counter() - started)
        page.wait_for_timeout(1500)
    return seconds[1:]

"""The map of points in a real Chromium that draws in software: first paint, movement, hover, lasso, bytes, memory.

While the map moves, it draws as many points as the device manages in 20 ms, and all of them once it rests.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.tasks import ROOT
from benchmarks.timing import Row
from tests.ui.browser import chromium, chromium_page, ready, running_app

APP = ROOT / "tests" / "ui" / "component_apps" / "frames_app.py"
MOVES = 90
# Reading a pixel waits until the points are drawn: without it a browser is fluent while its pictures come late.
RECORD_FRAMES = """canvas => {
  const gl = canvas.getContext("webgl2");
  window.frameTimes = [];
  let last = 0;
  const next = () => {
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
    const now = performance.now();
    if (last) window.frameTimes.push(now - last);
    last = now;
    window.frameRequest = requestAnimationFrame(next);
  };
  window.frameRequest = requestAnimationFrame(next);
}"""
STOP_FRAMES = "() => { cancelAnimationFrame(window.frameRequest); return window.frameTimes; }"
WATCH_STAGE = """stage => {
  stage.addEventListener("pointermove", (event) => { window.pointed = event.timeStamp; }, { capture: true });
  stage.addEventListener("pointerup", () => { window.lifted = performance.now(); }, { capture: true });
  window.hovers = [];
  const tip = stage.querySelector(".tip");
  new MutationObserver(() => {
    if (!tip.hidden) window.hovers.push(performance.now() - window.pointed);
  }).observe(tip, { attributes: true, attributeFilter: ["hidden"] });
}"""
ANSWERED = """() => document.body.innerText.includes('"polygon": [[') && performance.now() - window.lifted"""


def tasks(quick: bool) -> dict[str, Callable[[], Iterator[Row]]]:
    """The tasks by name; `quick`: few points, one round."""
    sizes = ((10_000, 0), (100_000, 0), (100_000, 6), (1_000_000, 0))
    return {
        f"point map {count} {frames}": lambda count=count, frames=frames: measure(count, frames, 1 if quick else 3)  # type: ignore[misc]
        for count, frames in (sizes[:1] if quick else sizes)
    }


def measure(count: int, frames: int, rounds: int) -> Iterator[Row]:
    """All figures of one size, each of `rounds` pages fresh: medians, and the longest frame of all pages."""
    found: dict[tuple[str, str], list[float]] = {}
    with running_app(APP) as app, chromium() as browser:
        name = f"point map, {count:,} points{f' in {frames} frames' if frames else ''}"
        task = f"{name}, Chromium {browser.version}, software GL"
        with chromium_page(browser) as page:
            ready(page, f"{app.url}/?count=100")  # the server imports what it needs
        for turn in range(1 + rounds):
            with chromium_page(browser, width=1280, height=900) as page:
                for what, unit, value in visit(page, f"{app.url}/?count={count}&frames={frames}", frames):
                    if turn:
                        found.setdefault((what, unit), []).append(value)
                    elif what.startswith("navigation"):
                        yield Row(task, f"{what}, points new to the server", value, unit, None, 1)
    for (what, unit), values in found.items():
        value = max(values) if what.endswith("longest frame") else statistics.median(values)
        yield Row(task, what, value, unit, None, len(values))


def visit(page: Any, url: str, frames: int) -> Iterator[tuple[str, str, float]]:
    """What one page takes: (what, unit, value)."""
    ready(page, url)
    painted = page.evaluate("performance.getEntriesByName('loupe-map-painted')[0].startTime")
    yield "navigation to first paint", "s", painted / 1000
    points = [size for path, size in page.watch.received_bytes.items() if path.endswith(".bin")]
    yield "bytes of points and captions", "MiB", sum(points) / 2**20
    page.wait_for_timeout(2000)
    stage = page.locator(".stage")
    stage.evaluate(WATCH_STAGE)
    box = stage.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    page.mouse.move(*middle)
    page.mouse.down()
    yield from frame_times(page, "panning", lambda i: page.mouse.move(middle[0] + 2 * (i % 60), middle[1] + i % 30))
    page.mouse.up()
    yield from frame_times(page, "zooming", lambda i: page.mouse.wheel(0, -60 if i < MOVES / 2 else 60))
    page.get_by_label("Zoom to all points").click()
    if frames:
        page.get_by_label("Frame", exact=True).focus()
        yield from frame_times(page, "going through frames", lambda i: i % 15 or page.keyboard.press("ArrowRight"))
        page.keyboard.press("Home")
        page.wait_for_timeout(1500)

    page.evaluate("window.hovers = []")
    for i in range(40):
        page.mouse.move(box["x"] + box["width"] * (0.2 + 0.015 * i), middle[1] + 7 * (i % 9))
        page.wait_for_timeout(30)
    first, *later = page.evaluate("window.hovers")
    yield "pointer to tooltip, first time", "ms", first
    if later:
        yield "pointer to tooltip, later", "ms", statistics.median(later)

    page.mouse.move(2, 2)
    page.get_by_role("button", name="Density").click()
    page.wait_for_timeout(1000)
    page.get_by_role("button", name="Density").click()
    page.get_by_role("button", name="Lasso", exact=True).click()
    corners = [(0.1, 0.2), (0.5, 0.05), (0.9, 0.2), (0.85, 0.6), (0.5, 0.5), (0.2, 0.9)]
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=20)
    page.mouse.up()
    answered = page.wait_for_function(ANSWERED, polling=20, timeout=60_000).json_value()
    yield "lasso let go to the server's number on the page", "s", answered / 1000
    words = page.get_by_text("point_map took").inner_text()
    page.get_by_text("Run again").click()
    page.get_by_text(words).wait_for(state="detached")
    again, members = map(float, re.findall(r"([\d.]+) s", page.get_by_text("point_map took").inner_text()))
    yield "point_map in a run that changes nothing", "ms", 1000 * again
    yield "members in the same run", "ms", 1000 * members
    yield "memory of JavaScript", "MiB", memory(page)


def frame_times(page: Any, what: str, act: Callable[[int], object]) -> Iterator[tuple[str, str, float]]:
    """Milliseconds between displayed frames while the map is moved, the input coming every 16 ms or so."""
    page.locator(".stage canvas").first.evaluate(RECORD_FRAMES)
    for i in range(MOVES):
        act(i)
        page.wait_for_timeout(16)
    times = page.evaluate(STOP_FRAMES)
    page.wait_for_timeout(800)  # all points are drawn again
    yield f"{what}, median frame", "ms", statistics.median(times)
    yield f"{what}, longest frame", "ms", max(times)


def memory(page: Any) -> float:
    """MiB of objects and of the arrays behind them, garbage collected before."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("HeapProfiler.collectGarbage")
    usage = devtools.send("Runtime.getHeapUsage")
    return float(usage["usedSize"] + usage.get("backingStorageSize", 0)) / 2**20

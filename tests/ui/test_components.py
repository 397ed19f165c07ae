"""The two browser components: what Python sends and understands, and what a real Chromium shows."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from streamlit.runtime.media_file_storage import MediaFileKind
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
from streamlit.testing.v1 import AppTest

from tests.ui.browser import RunningApp, chromium_page, open_app, running_app
from tests.ui.component_apps.example_data import COLORS, HOSTILE_NAME, PALETTES, example_maps, example_points
from ui.components import delivery, feature_grid, point_map
from ui.components.feature_grid import quantise_channels
from ui.components.point_map import MapSelection, inside_polygon, place_points

APPS = Path(__file__).parent / "component_apps"
PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48"><rect width="64" height="48" fill="#7a9"/></svg>'
)


# ---- what Python sends and understands ----------------------------------------------------------------------------


def test_quantised_maps_come_back_within_half_a_level() -> None:
    maps = example_maps("signed")
    quantised = quantise_channels(maps)
    span = (quantised.high - quantised.low)[:, None, None]
    back = quantised.low[:, None, None] + quantised.levels / np.float32(254) * span
    assert np.abs(back - maps).max() <= 0.51 * float(span.max()) / 254
    assert quantised.levels.max() == 254 and quantised.levels.min() == 0
    np.testing.assert_array_equal(quantised.low, maps.min((1, 2)))
    np.testing.assert_array_equal(quantised.high, maps.max((1, 2)))
    np.testing.assert_allclose(quantised.mean, maps.mean((1, 2)), rtol=1e-4, atol=1e-5)


def test_values_that_are_not_finite_have_their_own_level_and_do_not_move_the_others() -> None:
    maps = example_maps("broken")
    quantised = quantise_channels(maps)
    np.testing.assert_array_equal(quantised.levels == 255, ~np.isfinite(maps))
    assert np.isnan([quantised.low[0], quantised.high[0], quantised.mean[0]]).all()
    finite = maps[1][np.isfinite(maps[1])]
    assert quantised.high[1] == finite.max()
    assert quantised.mean[1] == pytest.approx(finite.mean(), rel=1e-5)
    assert (quantised.levels[2] == 0).all()
    widest = np.array([[[-3.4e38, 3.4e38]]], np.float32)
    np.testing.assert_array_equal(quantise_channels(widest).levels, [[[0, 254]]])


def test_a_click_counts_until_the_page_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    session: dict[str, Any] = {}
    monkeypatch.setattr(feature_grid_module().st, "session_state", session)

    def run(passed: int, clicked: tuple[int, int] | None = None) -> int:
        if clicked is not None:
            session["grid"] = {"selected": {"channel": clicked[0], "click": clicked[1]}}
        return feature_grid_module()._settle("grid", passed, 64)[0]

    assert run(0) == 0
    assert run(0, clicked=(5, 1)) == 5, "a page that always passes the same channel gets the click"
    assert run(0) == 5, "and keeps it"
    assert run(5, clicked=(9, 2)) == 9, "a page that passes back what it got is one run behind and gets the newer click"
    assert run(9) == 9
    assert run(30) == 30, "a page that passes something else has chosen"
    assert run(30) == 30, "and the click it replaced does not come back"
    assert run(30, clicked=(7, 3)) == 7
    del session["grid"]
    assert run(7) == 7, "the choice outlives the browser's state"
    assert run(7, clicked=(500, 1)) == 63, "a click on a layer with more channels stays within this one"


def feature_grid_module() -> Any:
    """The module, whose name in its package is also the name of its function."""
    return sys.modules["ui.components.feature_grid"]


def test_payloads_that_differ_anywhere_get_different_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = MemoryMediaFileStorage("/media")

    class Files:
        def add(self, payload: bytes, mimetype: str, coordinates: str) -> str:
            return storage.get_url(storage.load_and_get_id(payload, mimetype, MediaFileKind.MEDIA))

    class Runtime:
        media_file_mgr = Files()

    monkeypatch.setattr(delivery.runtime, "exists", lambda: True)
    monkeypatch.setattr(delivery.runtime, "get_instance", Runtime)
    plain = bytearray(4 << 20)
    changed = bytearray(plain)
    changed[1_500_000] = 1
    first, second = (delivery.deliver((bytes(content),), key="maps") for content in (plain, changed))
    assert first.digest != second.digest
    assert first.url != second.url
    assert delivery.deliver((bytes(plain),), key="maps") == first


def test_points_are_placed_to_within_half_a_step() -> None:
    points, _ = example_points(5000, "broken")
    placed = place_points(points)
    assert placed.placed.sum() == 4990
    off = np.abs(placed.coordinates - points)[placed.placed]
    assert (off <= 0.51 * np.asarray(placed.step)).all()
    assert len(place_points(np.zeros((0, 2), np.float32)).places) == 0
    alike = place_points(np.full((3, 2), 7, np.float32))
    np.testing.assert_array_equal(alike.coordinates, np.full((3, 2), 7.0))


def test_inside_a_polygon() -> None:
    points = np.random.default_rng(1).uniform(-2, 2, (20_000, 2)).astype(np.float32)
    x, y = points[:, 0], points[:, 1]
    hook = [(-1, -1), (1, -1), (1, 0), (0, 0), (0, 1), (-1, 1)]
    expected = (np.abs(x) < 1) & (np.abs(y) < 1) & ~((x > 0) & (y > 0))
    np.testing.assert_array_equal(inside_polygon(points, hook), expected)
    np.testing.assert_array_equal(inside_polygon(points, hook[::-1]), expected)
    assert not inside_polygon(points, hook[:2]).any()


def test_members_leave_out_hidden_categories_and_points_without_a_place() -> None:
    points, categories = example_points(2000, "broken")
    everything = ((-100.0, -100.0), (100.0, -100.0), (100.0, 100.0), (-100.0, 100.0))
    selection = MapSelection(polygon=everything, hidden=(0, 3))
    expected = np.isfinite(points).all(1) & (categories != 0) & (categories != 3)
    np.testing.assert_array_equal(selection.members(points, categories), expected)
    assert not MapSelection().members(points, categories).any()


def test_arguments_that_contradict_each_other_are_refused() -> None:
    points, categories = example_points(200)
    names = [str(i) for i in range(len(COLORS))]
    with pytest.raises(ValueError, match="channels, rows, columns"):
        feature_grid(np.zeros((3, 4), np.float32), key="a", selected=0, palettes=PALETTES, label="")
    with pytest.raises(ValueError, match='Palette "odd"'):
        feature_grid(
            np.zeros((1, 2, 2), np.float32), key="a", selected=0, palettes={"odd": PALETTES["diverging"][:9]}, label=""
        )
    with pytest.raises(ValueError, match="numbers from 0 to 7"):
        point_map(points, categories + 1, key="b", names=names, colors=COLORS, label="")
    with pytest.raises(ValueError, match="rrggbb"):
        point_map(points, categories, key="b", names=names, colors=["red", *COLORS[1:]], label="")
    with pytest.raises(ValueError, match="1 captions"):
        point_map(points, categories, key="b", names=names, colors=COLORS, captions=["one"], label="")


@pytest.mark.parametrize(
    ("script", "text"), [("grid_app.py", "Python has channel 0 in run 1"), ("map_app.py", '"chosen": 0')]
)
def test_without_a_browser_components_return_what_they_start_with(script: str, text: str) -> None:
    app = AppTest.from_file(str(APPS / script), default_timeout=30).run()
    assert not app.exception
    assert any(text in written.value for written in app.text)


# ---- what a browser shows -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grid_app(browser: Any) -> Iterator[RunningApp]:
    with running_app(APPS / "grid_app.py") as app:
        yield app


@pytest.fixture(scope="module")
def map_app(browser: Any) -> Iterator[RunningApp]:
    # Below a path, as behind a proxy: addresses of bytes and pictures must hold there too.
    with running_app(APPS / "map_app.py", base_path="behind/proxy") as app:
        yield app


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page; after the test it must have seen no error and no other host."""
    with chromium_page(browser) as page:
        yield page
        assert page.watch.errors == []
        assert len(page.watch.hosts) == 1, page.watch.hosts


def ready(page: Any, address: str) -> None:
    open_app(page, address)
    page.wait_for_selector('.loupe[data-state="ready"]')


def pixels(page: Any, selector: str) -> NDArray[np.int64]:
    picture = Image.open(io.BytesIO(page.locator(selector).screenshot())).convert("RGB")
    return np.asarray(picture).astype(np.int64)


def colored(picture: NDArray[np.int64]) -> int:
    """Number of pixels that are not grey."""
    return int((picture.max(2) - picture.min(2) > 40).sum())


def near(picture: NDArray[np.int64], color: str, by: int = 60) -> int:
    """Number of pixels like a colour "#rrggbb"."""
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(picture - wanted).sum(2) < by).sum())


def tile(page: Any, channel: int) -> tuple[float, float]:
    """Middle of a channel's tile on the page, for a grid that is not scrolled."""
    data = page.locator(".loupe").evaluate("node => ({...node.dataset})")
    box = page.locator(".scroller").bounding_box()
    line, column = divmod(channel, int(data["columns"]))
    side = int(data["tile"])
    return box["x"] + 4 + column * float(data["pitch"]) + side / 2, box["y"] + 4 + line * (side + 4) + side / 2


def numbers(text: str) -> list[float]:
    """The numbers in a text of the page, which writes a true minus sign."""
    return [float(word.replace("\u2212", "-").replace(",", "")) for word in text.split()]


def wait_for_python(page: Any, text: str) -> None:
    page.get_by_text(text).wait_for(timeout=10_000)


def watch_bytes(page: Any) -> list[str]:
    """The requests for maps or points, as they come."""
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if request.url.endswith(".bin") else None)
    return requests


def test_grid_draws_selects_and_asks_for_its_maps_once(page: Any, grid_app: RunningApp) -> None:
    requests = watch_bytes(page)
    ready(page, grid_app.url)
    picture = pixels(page, ".scroller")
    assert colored(picture) > 0.7 * picture.shape[0] * picture.shape[1]
    assert near(picture, "#fde725") > 500, "bright places of the blobs"
    page.locator(".scroller canvas").evaluate("node => { node.before = true }")
    page.locator(".scroller").evaluate("node => { node.scrollTop = 0 }")

    page.mouse.click(*tile(page, 37))
    wait_for_python(page, "Python has channel 37 in run 2")
    x, y = tile(page, 37)
    box = page.locator(".scroller").bounding_box()
    side = int(page.locator(".loupe").get_attribute("data-tile"))
    rim = pixels(page, ".scroller")[int(y - box["y"]), int(x - side / 2 - box["x"]) - 2]
    assert np.abs(rim - [0x25, 0x63, 0xA8]).sum() < 30, "an outline in the accent's colour"

    page.locator(".scroller").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    down = 38 + int(page.locator(".loupe").get_attribute("data-columns"))
    wait_for_python(page, f"Python has channel {down} in run 3")
    assert f"Channel {down} of 512" in page.locator('[role="option"]').text_content()
    assert page.locator('[role="listbox"]').get_attribute("aria-label") == "Channels of the plain layer"

    page.get_by_role("button", name="Choose channel 2").click()
    wait_for_python(page, "Python has channel 2 in run 4")
    page.wait_for_selector('.loupe[data-selected="2"]')
    page.mouse.click(*tile(page, 40))
    wait_for_python(page, "Python has channel 40 in run 5")
    assert page.locator(".loupe").get_attribute("data-selected") == "40"
    assert page.locator(".scroller canvas").evaluate("node => node.before") is True
    assert len(requests) == 1


def test_answers_that_come_late_do_not_move_the_selection_back(page: Any, grid_app: RunningApp) -> None:
    ready(page, grid_app.url)
    page.locator(".loupe").evaluate(
        "node => { window.seen = [0]; new MutationObserver(() => window.seen.push(Number(node.dataset.selected)))"
        ".observe(node, { attributes: true, attributeFilter: ['data-selected'] }); }"
    )
    page.locator(".scroller").focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(160)
    wait_for_python(page, "Python has channel 10")
    seen = page.evaluate("window.seen")
    assert seen == sorted(seen) and seen[-1] == 10


def test_scale_and_contrast_change_without_the_server(page: Any, grid_app: RunningApp) -> None:
    ready(page, grid_app.url)
    own = pixels(page, ".scroller")
    page.get_by_role("button", name="Whole layer").click()
    whole = pixels(page, ".scroller")
    maps = example_maps("plain")
    assert numbers(page.locator(".ends").inner_text()) == pytest.approx([maps.min(), maps.max()], rel=6e-3)
    assert near(whole, "#fde725") < near(own, "#fde725"), "weak channels no longer reach the brightest colour"
    page.get_by_label("Lift weak values").fill("2")
    assert whole.mean() < pixels(page, ".scroller").mean()
    page.get_by_label("Tile size").fill("112")
    assert page.locator(".loupe").get_attribute("data-tile") == "112"
    columns = int(page.locator(".loupe").get_attribute("data-columns"))
    page.set_viewport_size({"width": 700, "height": 800})
    page.wait_for_function("document.querySelector('[data-testid=stApp]').clientWidth <= 700")
    page.locator(f'.loupe:not([data-columns="{columns}"])').wait_for()
    assert int(page.locator(".loupe").get_attribute("data-columns")) < columns
    assert page.get_by_text("in run 1").is_visible()


def test_two_thousand_channels_scroll(page: Any, grid_app: RunningApp) -> None:
    ready(page, f"{grid_app.url}/?case=wide")
    scroller = page.locator(".scroller")
    assert scroller.evaluate("node => node.scrollHeight > 3 * node.clientHeight")
    assert page.locator(".table tr").count() == 0
    scroller.focus()
    page.keyboard.press("End")
    wait_for_python(page, "Python has channel 2047")
    assert scroller.evaluate("node => node.scrollTop === node.scrollHeight - node.clientHeight && node.scrollTop > 0")
    bottom = pixels(page, ".scroller")
    assert colored(bottom) > 100_000
    page.keyboard.press("Home")
    wait_for_python(page, "Python has channel 0")
    assert scroller.evaluate("node => node.scrollTop") == 0
    assert np.abs(bottom - pixels(page, ".scroller")).mean() > 10, "other channels are drawn"
    page.keyboard.press("PageDown")
    page.get_by_text("Python has channel 0").wait_for(state="detached")
    assert int(page.locator(".loupe").get_attribute("data-selected")) > 100
    page.get_by_text("Table", exact=True).click()
    page.locator(".table tbody").wait_for()
    assert page.locator(".table tbody tr").count() == 2048
    maps = example_maps("wide")
    row = page.locator(".table tbody tr").nth(100).locator("th, td").all_inner_texts()
    assert row[0] == "100"
    assert numbers(" ".join(row[1:])) == pytest.approx([maps[100].min(), maps[100].max(), maps[100].mean()], rel=6e-3)


def test_values_that_are_not_finite_are_hatched(page: Any, grid_app: RunningApp) -> None:
    ready(page, f"{grid_app.url}/?case=broken")
    x, y = tile(page, 0)
    box = page.locator(".scroller").bounding_box()
    picture = pixels(page, ".scroller")
    middle = picture[int(y - box["y"]) - 10 :, int(x - box["x"]) - 10 :][:20, :20]
    assert (middle.max(2) == middle.min(2)).all() and middle.std() > 5
    page.mouse.move(x, y)
    assert page.locator(".tip").inner_text().split("\n") == ["Channel 0", "no finite value"]
    page.mouse.move(*tile(page, 3))
    maps = example_maps("broken")
    assert f"max {maps[3].max():.3g}" in page.locator(".tip").inner_text()


def test_bytes_that_are_not_there_yet_are_asked_for_again(page: Any, grid_app: RunningApp) -> None:
    answers: list[int] = []

    def answer(route: Any) -> None:
        answers.append(404 if not answers else 200)
        route.fulfill(status=404) if answers[-1] == 404 else route.continue_()

    page.route("**/media/*.bin", answer)
    ready(page, grid_app.url)
    assert answers == [404, 200]
    assert colored(pixels(page, ".scroller")) > 100_000
    assert all("404" in error for error in page.watch.errors)
    page.watch.errors.clear()


def test_negative_values_use_the_diverging_palette_about_zero(page: Any, grid_app: RunningApp) -> None:
    ready(page, f"{grid_app.url}/?case=signed")
    maps = example_maps("signed")
    page.mouse.click(*tile(page, 8))
    wait_for_python(page, "Python has channel 8")
    largest = np.abs(maps[8]).max()
    assert numbers(page.locator(".ends").inner_text()) == pytest.approx([-largest, 0, largest], rel=6e-3)
    picture = pixels(page, ".scroller")
    assert near(picture, "#b2182b") > 200 and near(picture, "#92c5de") > 200 and near(picture, "#fde725") == 0


def python_says(page: Any) -> dict[str, Any]:
    return json.loads(page.get_by_text('{"polygon"').inner_text())


def drag(page: Any, *corners: tuple[float, float]) -> None:
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=12)
    page.mouse.up()


def serve_pictures(page: Any) -> list[str]:
    asked: list[str] = []

    def answer(route: Any) -> None:
        asked.append(route.request.url)
        route.fulfill(content_type="image/svg+xml", body=PICTURE)

    page.route("**/pictures/*", answer)
    return asked


def find_point(page: Any) -> int:
    """Moves the pointer over the map until a point is hovered; its index."""
    box = page.locator(".stage").bounding_box()
    for step in range(200):
        page.mouse.move(box["x"] + 180 + 2 * step, box["y"] + 0.3 * box["height"])
        if page.locator(".tip").is_visible():
            break
    return hovered(page)


def hovered(page: Any) -> int:
    """Index of the point in the tooltip."""
    page.locator(".tip").wait_for(timeout=2000)
    return int(re.search(r"([\d,]+)$", page.locator(".tip").inner_text()).group(1).replace(",", ""))


def on_stage(page: Any, point: NDArray[np.float32]) -> tuple[float, float]:
    """Where a point lies while the map shows everything: one scale for both axes, 24 pixels free at the rim."""
    points, _ = example_points(10_000)
    low, high = points.min(0), points.max(0)
    box = page.locator(".stage canvas").first.bounding_box()
    scale = min((box["width"] - 48) / (high[0] - low[0]), (box["height"] - 48) / (high[1] - low[1]))
    x, y = (point - (low + high) / 2) * scale
    return box["x"] + box["width"] / 2 + float(x), box["y"] + box["height"] / 2 - float(y)


def test_map_draws_every_category_and_counts_them(page: Any, map_app: RunningApp) -> None:
    ready(page, f"{map_app.url}/?case=broken")
    points, categories = example_points(10_000, "broken")
    picture = pixels(page, ".stage")
    for color in COLORS:
        assert near(picture, color) > 300
    counts = np.bincount(categories[np.isfinite(points).all(1)])
    shown = page.locator(".list button").all_inner_texts()
    assert [int(text.split("\n")[-1].replace(",", "")) for text in shown] == counts.tolist()
    assert page.locator(".status").inner_text() == "9,990 points · 10 without a place"
    assert HOSTILE_NAME in shown[1] and page.title() != "taken"
    page.get_by_text("Table", exact=True).click()
    page.locator(".table tbody").wait_for()
    cells = page.locator(".table tbody tr").nth(1).locator("th, td").all_inner_texts()
    assert cells[:3] == [HOSTILE_NAME, f"{counts[1]:,}", "yes"]


def test_hovering_shows_the_picture_and_a_click_chooses_it(page: Any, map_app: RunningApp) -> None:
    asked = serve_pictures(page)
    ready(page, map_app.url)
    index = find_point(page)
    page.wait_for_selector('.picture[data-picture="ready"]')
    assert asked == [f"{map_app.url}/pictures/{index}.svg"]
    _, categories = example_points(10_000)
    picture = page.locator(".picture img")
    assert picture.evaluate("node => node.naturalWidth") == 64
    assert f"picture_{index:05d}.png" in picture.get_attribute("alt")
    page.mouse.down()
    page.mouse.up()
    wait_for_python(page, f'"clicked": {index}')
    assert page.locator(".tip .title").inner_text() in (f"category {categories[index]}", HOSTILE_NAME)

    page.locator(".stage").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_function(
        "before => !document.body.innerText.includes(before) && document.body.innerText.includes('clicked')",
        arg=f'"clicked": {index}',
    )
    chosen = python_says(page)["clicked"]
    points, _ = example_points(10_000)
    assert points[chosen, 0] > points[index, 0]
    assert f"picture_{chosen:05d}.png" in page.locator('.loupe > [aria-live="polite"]').inner_text()


def test_a_picture_that_is_missing_is_said(page: Any, map_app: RunningApp) -> None:
    page.route("**/pictures/*", lambda route: route.fulfill(content_type="image/png", body=b"not a picture"))
    ready(page, map_app.url)
    find_point(page)
    page.get_by_text("No picture").wait_for()
    assert not page.locator(".picture img").is_visible()


def test_lasso_and_box_choose_what_python_finds_inside(page: Any, map_app: RunningApp) -> None:
    requests = watch_bytes(page)
    ready(page, map_app.url)
    points, categories = example_points(10_000)
    box = page.locator(".stage").bounding_box()
    at = [
        (box["x"] + fx * box["width"], box["y"] + fy * box["height"])
        for fx, fy in ((0.5, 0.1), (0.95, 0.4), (0.45, 0.8))
    ]

    page.keyboard.down("Shift")
    drag(page, *at, at[0])
    page.keyboard.up("Shift")
    wait_for_python(page, '"polygon": [[')
    said = python_says(page)
    assert 3 <= len(said["polygon"]) <= 8 and len(json.dumps(said["polygon"])) < 1024
    # A triangle: inside is on the same side of all three lines, whichever way round.
    corners = triangle_corners(np.array(said["polygon"]))
    sides = [
        (b - a)[0] * (points[:, 1] - a[1]) - (b - a)[1] * (points[:, 0] - a[0])
        for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)
    ]
    inside = np.all(np.array(sides) > 0, 0) | np.all(np.array(sides) < 0, 0)
    assert inside.sum() > 1000
    assert abs(said["chosen"] - inside.sum()) <= 12, "points between the drawn line and the straight one"
    assert page.locator(".status").inner_text().startswith(f"{said['chosen']:,} chosen")

    page.get_by_role("button", name="Box", exact=True).click()
    drag(page, (box["x"] + 250, box["y"] + 60), (box["x"] + 700, box["y"] + 330))
    page.wait_for_function("before => !document.body.innerText.includes(before)", arg=f'"chosen": {said["chosen"]}')
    said = python_says(page)
    assert len(said["polygon"]) == 4
    low, high = np.min(said["polygon"], axis=0), np.max(said["polygon"], axis=0)
    inside = ((points > low) & (points < high)).all(1)
    # The map draws on 65,536 steps: a point nearer than that to the box's edge may fall on either side of it.
    edge = (np.minimum(np.abs(points - low), np.abs(points - high)) < np.ptp(points, 0) / 65535).any(1)
    assert inside.sum() > 500 and edge.sum() < 10
    assert abs(said["chosen"] - inside.sum()) <= edge.sum()
    wait_for_status(page, f"{said['chosen']:,} chosen")

    page.locator(".list button").nth(3).click()
    wait_for_python(page, '"hidden": [3]')
    chosen = python_says(page)["chosen"]
    assert abs(chosen - (inside & (categories != 3)).sum()) <= edge.sum()
    assert chosen < said["chosen"]
    wait_for_status(page, f"{chosen:,} chosen")

    # The page is left and opened again: the selection is still there, and the bytes are not asked for again.
    page.get_by_text("Show the map").click()
    page.locator(".stage").wait_for(state="detached")
    page.get_by_text("Show the map").click()
    page.wait_for_selector('.loupe[data-state="ready"]')
    wait_for_status(page, f"{chosen:,} chosen")
    assert python_says(page)["chosen"] == chosen
    page.get_by_role("button", name="Clear selection").click()
    wait_for_python(page, '"polygon": null')
    assert len(requests) == 1


def triangle_corners(polygon: NDArray[np.float64]) -> NDArray[np.float64]:
    """The three corners of a polygon that span the largest triangle."""

    def area(corners: tuple[NDArray[np.float64], ...]) -> float:
        a, b, c = corners
        return abs(float((b - a)[0] * (c - a)[1] - (b - a)[1] * (c - a)[0]))

    return np.array(max(combinations(polygon, 3), key=area))


def wait_for_status(page: Any, text: str) -> None:
    page.locator(".status", has_text=text).wait_for()


def test_a_category_is_hidden_and_shown_without_the_server(page: Any, map_app: RunningApp) -> None:
    ready(page, map_app.url)
    before = pixels(page, ".stage")
    entry = page.locator(".list button").nth(2)
    entry.click()
    assert entry.get_attribute("aria-pressed") == "false"
    after = pixels(page, ".stage")
    assert near(before, COLORS[2]) > 300 and near(after, COLORS[2]) < 20
    assert near(after, COLORS[5]) > 300
    page.get_by_role("button", name="Hide all").click()
    assert colored(pixels(page, ".stage")) == 0
    page.get_by_role("button", name="Show all").click()
    assert near(pixels(page, ".stage"), COLORS[2]) > 300
    wait_for_status(page, "10,000 points")


def test_the_map_moves_zooms_and_survives_a_lost_context(page: Any, map_app: RunningApp) -> None:
    ready(page, map_app.url)
    page.wait_for_timeout(200)
    start = pixels(page, ".stage")
    points, _ = example_points(10_000)
    scattered = [i for i in range(500) if points[i, 0] < 0 and points[i, 1] > 2]
    lonely = max(scattered, key=lambda i: np.sort(np.abs(points - points[i]).max(1))[1])
    at = on_stage(page, points[lonely])
    page.mouse.move(*at)
    assert hovered(page) == lonely
    page.mouse.wheel(0, -600)
    page.wait_for_timeout(300)
    assert np.abs(pixels(page, ".stage") - start).mean() > 2
    page.mouse.move(0, 0)
    page.mouse.move(*at)
    assert hovered(page) == lonely, "the place under the pointer stays there"
    page.mouse.down()
    page.mouse.move(at[0] + 60, at[1] + 25, steps=5)
    page.mouse.up()
    page.mouse.move(at[0] + 61, at[1] + 25)
    assert hovered(page) == lonely, "and follows it"
    page.locator(".stage").focus()
    page.keyboard.press("0")
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)
    assert np.abs(pixels(page, ".stage") - start).mean() < 0.5

    page.locator(".stage canvas").first.evaluate(
        "node => { window.held = node.getContext('webgl2').getExtension('WEBGL_lose_context');"
        " window.held.loseContext(); }"
    )
    wait_for_status(page, "The graphics context was lost")
    page.evaluate("window.held.restoreContext()")
    wait_for_status(page, "10,000 points")
    page.wait_for_timeout(200)
    assert np.abs(pixels(page, ".stage") - start).mean() < 0.5


def test_without_webgl2_the_page_is_told(page: Any, map_app: RunningApp) -> None:
    page.add_init_script(
        "const own = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        "  return kind === 'webgl2' ? null : own.call(this, kind, ...rest); };"
    )
    open_app(page, map_app.url)
    wait_for_python(page, '"unsupported": true')
    page.get_by_text("Show the map").click()
    page.get_by_text("Show the map").click()
    wait_for_python(page, "This browser cannot draw with WebGL2")
    wait_for_python(page, '"unsupported": true')

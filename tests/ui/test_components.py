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

from tests.ui.browser import RunningApp, open_app, ready, running_app
from tests.ui.component_apps.example_data import (
    COLORS,
    DEAD,
    HOSTILE_NAME,
    PALETTES,
    SATURATED,
    example_maps,
    example_points,
    marked_maps,
    statistics_of,
)
from ui.components import delivery, feature_grid, point_map
from ui.components.feature_grid import quantise_channels
from ui.components.point_map import MapSelection
from ui.components.point_places import inside_polygon, place_points

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
    maps = np.zeros((4, 2, 2), np.float32)
    for wrong, sentence in (
        ({"statistics": {"Mean": np.zeros(3, np.float32)}}, 'Statistic "Mean" must have one number for each of the 4'),
        ({"marks": np.zeros(3, np.uint8)}, "0, 1 and 2 for each of the 4 channels; they are uint8 \\[3\\]"),
        ({"marks": np.full(4, 3, np.uint8)}, "up to 3"),
        ({"shared": (2.0, 1.0)}, "in order; they are \\(2.0, 1.0\\)"),
        ({"shared": (0.0, np.nan)}, "finite"),
        ({"scale": "shared"}, "needs its ends"),
    ):
        with pytest.raises(ValueError, match=sentence):
            feature_grid(maps, key="a", selected=0, palettes=PALETTES, label="", **wrong)
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
    app = AppTest.from_file(str(APPS / script), default_timeout=90).run()
    assert not app.exception
    assert any(text in written.value for written in app.text)


# ---- what a browser shows -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grid_app(browser: Any) -> Iterator[RunningApp]:
    with running_app(APPS / "grid_app.py") as app:
        yield app


@pytest.fixture(scope="module")
def sorted_app(browser: Any) -> Iterator[RunningApp]:
    with running_app(APPS / "sorted_app.py") as app:
        yield app


@pytest.fixture(scope="module")
def map_app(browser: Any) -> Iterator[RunningApp]:
    # Below a path, as behind a proxy: addresses of bytes and pictures must hold there too.
    with running_app(APPS / "map_app.py", base_path="behind/proxy") as app:
        yield app


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


def tile(page: Any, channel: int, grid: int = 0) -> tuple[float, float]:
    """Middle of a channel's tile on the page, for a grid that is not scrolled."""
    data = page.locator(".loupe").nth(grid).evaluate("node => ({...node.dataset})")
    box = page.locator(".scroller").nth(grid).bounding_box()
    line, column = divmod(order(page, grid).index(channel) if channel < 64 else channel, int(data["columns"]))
    side = int(data["tile"])
    return box["x"] + 4 + column * float(data["pitch"]) + side / 2, box["y"] + 4 + line * (side + 4) + side / 2


def numbers(text: str) -> list[float]:
    """The numbers in a text of the page, which writes a true minus sign."""
    return [float(word.replace("\u2212", "-").replace(",", "")) for word in text.split()]


def wait_for_python(page: Any, text: str) -> None:
    page.get_by_text(text).wait_for(timeout=60_000)


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


def order(page: Any, grid: int = 0) -> list[int]:
    """The first 64 channels in the order in which a grid shows them."""
    return [int(channel) for channel in page.locator(".loupe").nth(grid).get_attribute("data-order").split()]


def shown(page: Any, grid: int = 0) -> int:
    return int(page.locator(".loupe").nth(grid).get_attribute("data-shown"))


def sorts_like(values: NDArray[np.float32], *, descending: bool = True) -> list[int]:
    return np.argsort(-values if descending else values, kind="stable")[:64].tolist()


def test_channels_are_sorted_by_each_statistic(page: Any, sorted_app: RunningApp) -> None:
    ready(page, sorted_app.url)
    maps = marked_maps(0)
    assert order(page) == list(range(64))
    for title, values in statistics_of(maps).items():
        page.get_by_label("Sort").select_option(label=title)
        assert order(page) == sorts_like(values), title
        page.get_by_role("button", name="Largest first").click()
        assert order(page) == sorts_like(values, descending=False), title
    assert page.title() != "taken" and HOSTILE_NAME in page.locator('[role="option"]').text_content()
    page.get_by_label("Sort").select_option(label="Channel number")
    page.get_by_role("button", name="Smallest first").click()
    assert order(page) == list(range(127, 63, -1))
    assert page.get_by_text("Run 1").is_visible()


def test_channels_are_sorted_by_similarity_to_the_chosen_one(page: Any, sorted_app: RunningApp) -> None:
    ready(page, sorted_app.url)
    page.mouse.click(*tile(page, 7))
    wait_for_python(page, "Grid 0 has channel 7")
    page.get_by_label("Sort").select_option(label="Similarity to channel 7")
    flat = marked_maps(0).reshape(128, -1).astype(np.float64)
    with np.errstate(invalid="ignore"):
        cosine = flat @ flat[7] / np.linalg.norm(flat, axis=1) / np.linalg.norm(flat[7])
    first = order(page)
    assert first[0] == 7
    assert np.diff(cosine[first]).max() < 2e-3 and cosine[first].min() > np.nanmax(np.delete(cosine, first)) - 2e-3
    page.mouse.click(*tile(page, first[20]))
    wait_for_python(page, f"Grid 0 has channel {first[20]}")
    assert order(page) == first, "the channel it was when the criterion was chosen"
    assert f"Similarity to channel 7: {cosine[first[20]]:.2f}" in page.locator(".caption").inner_text()
    page.get_by_label("Sort").select_option(label=f"Similarity to channel {first[20]}")
    assert order(page)[0] == first[20]
    page.get_by_role("button", name="Largest first").click()
    assert np.isfinite(cosine[order(page)]).all(), "maps of zeros have no angle to others and come last either way"


def test_a_filter_hides_channels_and_says_so(page: Any, sorted_app: RunningApp) -> None:
    ready(page, sorted_app.url)
    assert page.locator(".count").inner_text() == ""
    page.get_by_label("Filter").select_option(label="Hide dead")
    assert order(page) == [c for c in range(67) if c not in DEAD] and shown(page) == 125
    page.get_by_label("Filter").select_option(label="Only marked")
    assert order(page) == sorted(DEAD + SATURATED)
    assert page.locator(".count").inner_text() == "5 of 128 shown"
    option = page.locator('[role="option"]')
    assert option.text_content().startswith("Channel 0 of 128") and "hidden by the filter" in option.text_content()
    assert page.locator(".loupe").get_attribute("data-selected") == "0"

    page.get_by_label("Filter").select_option(label="All channels")
    assert not page.get_by_label("At least").is_visible()
    page.get_by_label("Sort").select_option(label="Max")
    page.get_by_label("At least").fill("50")
    largest = marked_maps(0).max((1, 2))
    least = largest.min() + 0.25 * (largest.max() - largest.min())
    assert numbers(page.locator(".number").inner_text()) == pytest.approx([least], rel=6e-3)
    passing = [channel for channel in np.argsort(-largest, kind="stable").tolist() if largest[channel] >= least]
    assert 20 < len(passing) < 100
    assert (order(page), shown(page)) == (passing[:64], len(passing))
    page.get_by_text("Table", exact=True).click()
    page.locator(".table tbody").wait_for()
    rows = page.locator(".table tbody tr")
    assert [int(text) for text in rows.locator("th").all_inner_texts()] == passing
    titles = page.locator(".table thead th").all_inner_texts()
    assert titles == ["Channel", "Min", *statistics_of(marked_maps(0)), "Mark"]
    row = rows.nth(3).locator("td").all_inner_texts()
    expected = [float(values[passing[3]]) for values in statistics_of(marked_maps(0)).values()]
    assert numbers(" ".join(row[1:5])) == pytest.approx(expected, rel=6e-3)

    page.get_by_label("Filter").select_option(label="Only marked")
    page.get_by_label("At least").fill("200")
    assert shown(page) == 0
    page.get_by_role("button", name="Show all").click()
    assert shown(page) == 128 and page.get_by_text("Run 1").is_visible()


def test_marked_channels_are_seen_and_said(page: Any, sorted_app: RunningApp) -> None:
    ready(page, sorted_app.url)
    box = page.locator(".scroller").bounding_box()
    side = int(page.locator(".loupe").get_attribute("data-tile"))

    def corner_of(channel: int) -> NDArray[np.int64]:
        x, y = tile(page, channel)
        left, top = int(x - box["x"]), int(y - side / 2 - box["y"]) + 1
        return pixels(page, ".scroller")[top : top + side // 2, left : left + side // 2 - 1]

    dead, saturated, plain = corner_of(DEAD[0]), corner_of(SATURATED[0]), corner_of(4)
    for marked in (dead, saturated):
        assert near(marked, "#ffffff", 60) > 12 and near(marked, "#000000", 60) > 8
    assert near(plain, "#ffffff", 60) == near(plain, "#000000", 60) == 0
    assert near(saturated, "#ffffff", 30) > 1.5 * near(dead, "#ffffff", 30), "another shape"
    for channel, words in ((DEAD[1], "dead (nothing but zero)"), (SATURATED[0], "saturated (mostly at its ceiling)")):
        page.mouse.move(*tile(page, channel))
        assert page.locator(".tip").inner_text().endswith(f"Marked: {words}")
    page.mouse.click(*tile(page, SATURATED[0]))
    assert "saturated" in page.locator('[role="option"]').text_content()
    legend = page.locator(".legend").inner_text()
    assert "3 dead" in legend and "2 saturated" in legend


def test_the_tooltip_tells_the_value_at_a_place(page: Any, sorted_app: RunningApp) -> None:
    ready(page, sorted_app.url)
    page.get_by_label("Sort").select_option(label="Share of zeros")
    page.get_by_role("button", name="Largest first").click()
    maps = marked_maps(0)
    step = int(page.locator(".loupe").get_attribute("data-tile")) / 14
    for channel, row, column in ((order(page)[40], 3, 5), (order(page)[40], 13, 0), (SATURATED[0], 7, 12)):
        x, y = tile(page, channel)
        page.mouse.move(x + (column + 0.5 - 7) * step, y + (row + 0.5 - 7) * step)
        title, span, zeros, *_ = page.locator(".tip").inner_text().split("\n")
        place, value = title.split(": ")
        assert place == f"Channel {channel}, row {row}, column {column}"
        level = float(np.ptp(maps[channel])) / 254
        assert numbers(value)[0] == pytest.approx(maps[channel, row, column], abs=0.6 * level, rel=6e-3)
        assert span.startswith(f"min {maps[channel].min():.3g}, max {maps[channel].max():.3g}")
        assert numbers(zeros.split(": ")[1]) == pytest.approx([(maps[channel] == 0).mean()], rel=6e-3)


def test_arrow_keys_follow_the_order(page: Any, sorted_app: RunningApp) -> None:
    ready(page, sorted_app.url)
    page.get_by_label("Sort").select_option(label="Max")
    first = order(page)
    across = int(page.locator(".loupe").get_attribute("data-columns"))
    page.locator(".scroller").focus()
    walk = {"Home": 0, "ArrowRight": 1, "ArrowDown": 1 + across, "ArrowLeft": across, "ArrowUp": 0}
    for key, place in walk.items():
        page.keyboard.press(key)
        assert int(page.locator(".loupe").get_attribute("data-selected")) == first[place], key
    wait_for_python(page, f"Grid 0 has channel {first[0]}")
    page.keyboard.press("End")
    assert int(page.locator(".loupe").get_attribute("data-selected")) == max(DEAD), "the last of the equal ones"
    page.get_by_label("Filter").select_option(label="Hide dead")
    page.locator(".scroller").focus()
    page.keyboard.press("ArrowDown")
    assert int(page.locator(".loupe").get_attribute("data-selected")) == first[0], "a hidden one leads to the first"
    wait_for_python(page, f"Grid 0 has channel {first[0]}")


def test_a_shared_scale_has_the_same_ends_in_both_grids(page: Any, sorted_app: RunningApp) -> None:
    ready(page, f"{sorted_app.url}/?case=two")
    page.locator('.loupe[data-state="ready"]').nth(1).wait_for()
    before = pixels(page, ".scroller >> nth=0")
    page.get_by_role("button", name="Shared").nth(1).click()
    greatest = max(marked_maps(0).max(), 2 * marked_maps(1).max())
    for ends in page.locator(".ends").all():
        assert numbers(ends.inner_text()) == pytest.approx([0, greatest], rel=6e-3)
    assert near(pixels(page, ".scroller >> nth=0"), "#fde725") < near(before, "#fde725") / 2
    open_app(page, f"{sorted_app.url}/?case=signed")
    page.locator('.loupe[data-state="ready"]').nth(1).wait_for()
    assert near(pixels(page, ".scroller >> nth=1"), "#fde725") > 100, "one without negative values by itself"
    page.get_by_role("button", name="Shared").first.click()
    greatest = max(marked_maps(0).max() - 1, 2 * marked_maps(1).max())
    for ends in page.locator(".ends").all():
        assert numbers(ends.inner_text()) == pytest.approx([-greatest, 0, greatest], rel=6e-3)
    assert near(pixels(page, ".scroller >> nth=1"), "#fde725") == 0
    assert near(pixels(page, ".scroller >> nth=1"), "#b2182b") > 20


def test_linked_grids_show_the_same_channel_in_the_same_place(page: Any, sorted_app: RunningApp) -> None:
    ready(page, f"{sorted_app.url}/?case=two")
    page.locator('.loupe[data-state="ready"]').nth(1).wait_for()
    grids = page.locator(".loupe")
    page.get_by_label("Sort").nth(1).select_option(label="Max")
    leading = marked_maps(0).max((1, 2))
    assert order(page, 0) == order(page, 1) == sorts_like(leading) != sorts_like(marked_maps(1).max((1, 2)))
    page.get_by_label("At least").nth(0).fill("60")
    assert shown(page, 0) == shown(page, 1) < 128
    page.get_by_label("Filter").nth(1).select_option(label="Hide dead")
    assert [select.input_value() for select in page.get_by_label("Filter").all()] == ["alive", "alive"]
    page.get_by_role("button", name="Whole layer").nth(0).click()
    page.get_by_label("Lift weak values").nth(0).fill("1")
    page.get_by_label("Tile size").nth(1).fill("60")
    pressed = page.get_by_role("button", name="Whole layer", pressed=True)
    assert pressed.count() == 2
    assert [slider.input_value() for slider in page.get_by_label("Lift weak values").all()] == ["1", "1"]
    assert [grids.nth(i).get_attribute("data-tile") for i in (0, 1)] == ["60", "60"]

    channel = order(page)[5]
    page.mouse.move(*tile(page, channel, 1))
    assert [grids.nth(i).get_attribute("data-hovered") for i in (0, 1)] == [str(channel)] * 2
    for number, tip in enumerate(page.locator(".tip").all()):
        maps = marked_maps(number) * (1 + number)
        assert tip.inner_text().startswith(f"Channel {channel}, row 7, column 7: ")
        assert f"max {maps[channel].max():.3g}" in tip.inner_text()
    page.mouse.move(0, 0)
    assert grids.nth(0).get_attribute("data-hovered") is None
    page.locator(".scroller").nth(0).evaluate("node => { node.scrollTop = 40 }")
    page.wait_for_timeout(200)
    assert page.locator(".scroller").nth(1).evaluate("node => node.scrollTop") == 40
    assert page.get_by_text("Run 1").is_visible()

    page.get_by_text("Show the grids").click()
    page.locator(".scroller").first.wait_for(state="detached")
    page.get_by_text("Show the grids").click()
    page.locator('.loupe[data-state="ready"]').nth(1).wait_for()
    assert order(page, 1) == [c for c in sorts_like(leading) if c not in DEAD][: shown(page)], "remembered"


def test_linked_grids_of_other_sizes_sort_their_own_numbers(page: Any, sorted_app: RunningApp) -> None:
    ready(page, f"{sorted_app.url}/?case=unequal")
    page.locator('.loupe[data-state="ready"]').nth(1).wait_for()
    page.get_by_label("Sort").nth(0).select_option(label="Max")
    page.get_by_role("button", name="Shared").nth(0).click()
    for number, channels in enumerate((128, 96)):
        assert order(page, number) == sorts_like(marked_maps(number, channels).max((1, 2)))
    page.get_by_label("Filter").nth(0).select_option(label="Hide dead")
    assert (shown(page, 0), shown(page, 1)) == (125, 96)
    page.mouse.move(*tile(page, order(page)[5], 0))
    assert page.locator(".loupe").nth(1).get_attribute("data-hovered") is None
    assert len(page.locator(".ends").all_inner_texts()) == 2 and len(set(page.locator(".ends").all_inner_texts())) == 1


def test_two_thousand_channels_are_sorted_at_once(page: Any, sorted_app: RunningApp) -> None:
    ready(page, f"{sorted_app.url}/?case=many")
    for sort in ("=Mean", "~0"):
        taken = page.get_by_label("Sort").evaluate(
            "(node, sort) => { const start = performance.now(); node.value = sort;"
            " node.dispatchEvent(new Event('change')); return performance.now() - start; }",
            sort,
        )
        assert taken < 250, f"{sort} took {taken:.0f} ms"
        assert order(page) != list(range(64))


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
    page.locator(".tip").wait_for()
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


# ---- channels that are opened -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def opening_app(browser: Any) -> Iterator[RunningApp]:
    with running_app(APPS / "opening_app.py") as app:
        yield app


def test_a_click_opens_a_channel_also_when_it_is_chosen_already(page: Any, opening_app: RunningApp) -> None:
    ready(page, opening_app.url)
    wait_for_python(page, "Opened [], channel 0 in run 1")
    page.mouse.click(*tile(page, 9))
    wait_for_python(page, "Opened [9], channel 9")
    page.mouse.click(*tile(page, 9))
    wait_for_python(page, "Opened [9, 9], channel 9")
    page.get_by_label("Sort").select_option(label="Max")
    other = next(channel for channel in order(page) if channel < 64 and channel != 9)
    page.mouse.click(*tile(page, other))
    wait_for_python(page, f"Opened [9, 9, {other}], channel {other}")
    assert page.locator(".loupe").get_attribute("data-selected") == str(other)


def test_the_enter_key_opens_the_chosen_channel_and_arrow_keys_open_none(page: Any, opening_app: RunningApp) -> None:
    ready(page, opening_app.url)
    page.locator(".scroller").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    wait_for_python(page, "Opened [], channel 3")
    page.keyboard.press("Enter")
    wait_for_python(page, "Opened [3], channel 3")
    page.keyboard.press("ArrowRight")
    wait_for_python(page, "Opened [3], channel 4")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")  # at once: the server has not heard of the last key yet
    wait_for_python(page, "Opened [3, 5], channel 5")
    page.get_by_text("Table", exact=True).click()
    page.locator(".table tbody tr").nth(20).locator("button").click()
    wait_for_python(page, "Opened [3, 5], channel 20")


def test_a_grid_without_cards_opens_nothing(page: Any, opening_app: RunningApp) -> None:
    ready(page, f"{opening_app.url}/?case=closed")
    page.mouse.click(*tile(page, 9))
    wait_for_python(page, "Opened [], channel 9 in run 2")
    page.locator(".scroller").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    wait_for_python(page, "Opened [], channel 10 in run 3")

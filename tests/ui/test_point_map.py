"""The point map's frames, density lines and large sets: what Python sends and understands, what a Chromium shows."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.ui.browser import RunningApp, chromium_page, ready, running_app
from tests.ui.component_apps.example_data import HOSTILE_NAME, example_frames
from ui.components import point_map
from ui.components.delivery import source
from ui.components.point_map import MapSelection
from ui.components.point_places import inside_polygon, place_points, placed_once

APP = Path(__file__).parent / "component_apps" / "frames_app.py"
COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#ee8866", "#44bb99", "#999933")
SQUARE = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))


# ---- what Python sends and understands ----------------------------------------------------------------------------


def test_all_frames_share_one_grid() -> None:
    points, _ = example_frames(3000, 4)
    points[2, 7] = np.nan
    placed = place_points(points)
    assert placed.places.shape == points.shape
    assert np.flatnonzero(~placed.placed).tolist() == [7], "a point needs a place in every frame"
    assert placed.low == tuple(np.nanmin(np.delete(points, 7, 1), axis=(0, 1)))
    off = np.abs(placed.coordinates - points)[:, placed.placed]
    assert (off <= 0.51 * np.asarray(placed.step)).all()
    np.testing.assert_array_equal(placed.frame(3).coordinates, placed.coordinates[3])


def test_members_are_those_of_the_frame_in_which_the_region_was_drawn() -> None:
    points, categories = example_frames(3000, 4)
    inside = [(np.abs(points[frame]) < 1).all(1) for frame in range(4)]
    # The map draws on 65,536 steps: a point nearer than that to the square's edge may fall on either side of it.
    sure = [(np.abs(np.abs(points[frame]) - 1) > np.ptp(points, (0, 1)) / 65535).all(1) for frame in range(4)]
    assert inside[0].sum() > inside[1].sum() + 100 > 150 and np.all(np.sum(sure, 1) > 2990)
    for frame in (0, 1):
        selection = MapSelection(polygon=SQUARE, frame=3, frame_of_region=frame)
        found = selection.members(points, categories)
        np.testing.assert_array_equal(found[sure[frame]], inside[frame][sure[frame]])
        hidden = MapSelection(polygon=SQUARE, frame_of_region=frame, hidden=(2, 5)).members(points, categories)
        np.testing.assert_array_equal(hidden, found & ~np.isin(categories, (2, 5)))
    assert MapSelection().members(points, categories).shape == (3000,)


def test_points_are_placed_once_and_again_when_any_of_them_changes() -> None:
    points, _ = example_frames(2000, 3)
    name, placed = placed_once(points)
    assert placed_once(points.copy()) == (name, placed) and placed_once(points.copy())[1] is placed
    moved = points.copy()
    moved[2, 1999, 1] += 0.5
    other, again = placed_once(moved)
    assert other != name and (again.places[2, 1999] != placed.places[2, 1999]).any()
    assert placed_once(points.reshape(1, -1, 2))[0] != name, "the same numbers in other frames"


def test_what_the_browser_said_counts_for_the_same_points_and_within_the_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = sys.modules["ui.components.point_map"]
    session: dict[str, Any] = {}
    monkeypatch.setattr(module.st, "session_state", session)
    assert module._recall("m", "one", 10, 4, 2) == MapSelection(frame=2), "the frame asked for, until there is another"
    region = {"layout": "one", "points": SQUARE, "frame": 3, "hidden": []}
    session["m"] = {"polygon": region, "frame": {"layout": "one", "frame": 1}}
    assert module._recall("m", "one", 10, 4, 2) == MapSelection(polygon=SQUARE, frame=1, frame_of_region=3)
    del session["m"]
    assert module._recall("m", "one", 10, 4, 2).frame == 1, "remembered when the page was left"
    assert module._recall("m", "other", 10, 4, 2) == MapSelection(frame=2)
    session["m"] = {"frame": {"layout": "one", "frame": 99}}
    assert module._recall("m", "one", 10, 4, 2).frame == 3


def test_frames_that_do_not_fit_are_refused() -> None:
    points, categories = example_frames(200, 3)
    given: dict[str, Any] = {"key": "m", "names": list("abcdefghij"), "colors": COLORS, "label": ""}
    for wrong, sentence in (
        ({"frames": None}, r"\[3, 200, 2\] has no frames"),
        ({"frames": ["a", "b"]}, "has 2 frames"),
        ({"frames": list("abc"), "frame": 3}, "Frame 3 is not one of the 3"),
        ({"frames": list("abc"), "ring": np.zeros(2, np.float32)}, r"\[3, 2\]; it was given \[2\]"),
    ):
        with pytest.raises(ValueError, match=sentence):
            point_map(points, categories, **given, **wrong)
    with pytest.raises(ValueError, match="has 1 frames"):
        point_map(points[0], categories, **given, frames=["a"])


# ---- what a browser computes --------------------------------------------------------------------------------------

LINES = (
    f"({{places, categories, step, shown, shares}}) => {{ {source('point_density.js')}\n"
    "const points = {places: Uint16Array.from(places), categories: Uint8Array.from(categories), low: [0, 0], step};"
    "const started = performance.now(); const found = densityLines(points, shown, shares);"
    "return {...found, milliseconds: performance.now() - started}; }"
)


@pytest.fixture
def blank(browser: Any) -> Iterator[Any]:
    with chromium_page(browser) as page:
        yield page
        assert page.watch.errors == []


def enclosed(points: NDArray[np.float64], found: dict[str, Any], level: int) -> NDArray[np.bool_]:
    """Which points the closed lines of a level go around; a line inside another goes around a hole."""
    inside = np.zeros(len(points), bool)
    for line in found["levels"][level]:
        inside ^= inside_polygon(points, np.asarray(line) * found["side"] + found["low"])
    return inside


def density_lines(page: Any, points: NDArray[np.float64], shares: list[float], **given: Any) -> dict[str, Any]:
    placed = place_points((points - points.min(0)).astype(np.float32))
    kinds = given.pop("categories", np.zeros(len(points), int))
    asked = {"places": placed.places.ravel().tolist(), "categories": kinds.tolist(), "step": placed.step}
    return page.evaluate(LINES, {**asked, "shown": [True], "shares": shares, **given})


def test_a_density_line_goes_around_its_share_of_one_gaussian_where_theory_says(blank: Any) -> None:
    points = np.random.default_rng(0).normal(0, 1, (40_000, 2)) * (3.0, 1.0)
    shares = [0.25, 0.5, 0.75, 0.9]
    found = density_lines(blank, points, shares)
    found["low"] = np.add(found["low"], points.min(0))
    for line, share in enumerate(shares):
        inside = enclosed(points, found, line)
        assert inside.mean() == pytest.approx(share, abs=0.02)
        # The region of highest density of a Gaussian that holds p is an ellipse of squared radius -2 log(1 - p).
        exact = ((points / (3.0, 1.0)) ** 2).sum(1) < -2 * np.log(1 - share)
        assert (inside != exact).mean() < 0.06


def test_density_lines_of_two_gaussians_are_around_both_and_leave_out_what_is_hidden(blank: Any) -> None:
    draw = np.random.default_rng(1)
    second = np.arange(30_000) % 3 == 0
    points = draw.normal(0, 1, (30_000, 2)) + np.where(second[:, None], (12.0, 3.0), (0.0, 0.0))
    found = density_lines(blank, points, [0.5, 0.9], categories=second.astype(int), shown=[True, True])
    found["low"] = np.add(found["low"], points.min(0))
    half, most = (enclosed(points, found, line) for line in (0, 1))
    assert half.mean() == pytest.approx(0.5, abs=0.02) and most.mean() == pytest.approx(0.9, abs=0.02)
    assert half[second].mean() > 0.2 and half[~second].mean() > half[second].mean(), "the denser one holds more"
    centres = np.array([[0.0, 0.0], [12.0, 3.0], [6.0, 1.5]])
    assert enclosed(centres, found, 1).tolist() == [True, True, False]
    alone = density_lines(blank, points, [0.9], categories=second.astype(int), shown=[False, True])
    alone["low"] = np.add(alone["low"], points.min(0))
    assert enclosed(centres, alone, 0).tolist() == [False, True, False]
    assert density_lines(blank, points, [0.5], categories=second.astype(int), shown=[False, False])["levels"] == []


def test_density_lines_of_a_million_points_take_less_than_a_fifth_of_a_second(blank: Any) -> None:
    taken = blank.evaluate(
        f"() => {{ {source('point_density.js')}\n"
        "const count = 1e6, places = new Uint16Array(2 * count), categories = new Uint8Array(count);"
        "for (let i = 0; i < 2 * count; i += 1) {"
        " let sum = 0; for (let k = 0; k < 6; k += 1) sum += Math.random(); places[i] = sum * 10922; }"
        "const points = {places, categories, low: [0, 0], step: [1e-4, 1e-4]};"
        "return [0, 1, 2, 3].map(() => { const started = performance.now(); densityLines(points, [true]);"
        " return performance.now() - started; }); }"
    )
    assert min(taken) < 200, taken


# ---- what a browser shows -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def app(browser: Any) -> Iterator[RunningApp]:
    with running_app(APP) as running:
        yield running


def slider(page: Any) -> Any:
    return page.get_by_label("Frame", exact=True)


def said(page: Any) -> dict[str, Any]:
    return json.loads(page.get_by_text('{"polygon"').inner_text())


def wait_until_said(page: Any, text: str) -> dict[str, Any]:
    page.get_by_text(text).wait_for(timeout=30_000)
    return said(page)


def picture_of(page: Any) -> NDArray[np.int64]:
    return np.asarray(Image.open(io.BytesIO(page.locator(".stage").screenshot())).convert("RGB")).astype(np.int64)


def near(picture: NDArray[np.int64], color: str, by: int = 60) -> int:
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(picture - wanted).sum(2) < by).sum())


def places_on_page(page: Any, points: NDArray[np.float32], shown: NDArray[np.float32]) -> NDArray[np.float64]:
    """Where points lie on the page while the map shows all of `points`, every frame of them."""
    low, high = points.min((0, 1)), points.max((0, 1))
    box = page.locator(".stage canvas").first.bounding_box()
    scale = min((box["width"] - 48) / (high[0] - low[0]), (box["height"] - 48) / (high[1] - low[1]))
    off = (shown - (low + high) / 2) * scale
    return np.stack([box["x"] + box["width"] / 2 + off[:, 0], box["y"] + box["height"] / 2 - off[:, 1]], axis=1)


def hover(page: Any, points: NDArray[np.float32], frame: int, index: int) -> int:
    """The point in the tooltip at the place of one in a frame."""
    page.mouse.move(2, 2)
    page.mouse.move(*map(float, places_on_page(page, points, points[frame])[index]))
    page.locator(".tip").wait_for()
    return int(re.search(r"([\d,]+)$", page.locator(".tip").inner_text()).group(1).replace(",", ""))


def lonely(points: NDArray[np.float32]) -> int:
    """The point furthest from its nearest neighbour."""
    distances = np.abs(points[:, None] - points[None]).max(2)
    np.fill_diagonal(distances, np.inf)
    return int(distances.min(1).argmax())


def dark_around_ring(page: Any, points: NDArray[np.float32], frame: int) -> int:
    """Number of dark pixels around the place of the ring in a frame: the app rings the first point."""
    box = page.locator(".stage").bounding_box()
    x, y = (places_on_page(page, points, points[frame])[0] - (box["x"], box["y"])).astype(int)
    return near(picture_of(page)[y - 11 : y + 12, x - 11 : x + 12], "#1f2328", 40)


def choose_box(page: Any) -> None:
    """Chooses the middle of the map with the box."""
    page.get_by_role("button", name="Box", exact=True).click()
    box = page.locator(".stage").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(middle[0] - 60, middle[1] - 40)
    page.mouse.down()
    page.mouse.move(middle[0] + 60, middle[1] + 40, steps=6)
    page.mouse.up()


def test_the_slider_goes_through_the_frames_without_asking_for_points_again(page: Any, app: RunningApp) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if request.url.endswith(".bin") else None)
    ready(page, f"{app.url}/?count=600")
    points, _ = example_frames(600, 4)
    assert (
        page.locator(".ends").inner_text().split("\n")[0] == "conv1" and "1 of 4" in page.locator(".ends").inner_text()
    )
    first = lonely(points[0])
    assert hover(page, points, 0, first) == first
    before = picture_of(page)
    assert dark_around_ring(page, points, 0) > 20 > dark_around_ring(page, points, 3)

    slider(page).focus()
    page.keyboard.press("ArrowRight")
    assert slider(page).get_attribute("aria-valuetext") == f"{HOSTILE_NAME}, 2 of 4"
    assert page.locator(".current b").inner_text() == HOSTILE_NAME and page.title() != "taken"
    page.keyboard.press("End")
    assert wait_until_said(page, '"frame": 3')["frame"] == 3
    last = lonely(points[3])
    page.wait_for_timeout(600)
    assert hover(page, points, 3, last) == last
    page.mouse.down()
    page.mouse.up()
    wait_until_said(page, f'"clicked": {last}')
    assert dark_around_ring(page, points, 3) > 20 > dark_around_ring(page, points, 0)
    assert np.abs(picture_of(page) - before).mean() > 3
    assert near(picture_of(page), COLORS[2]) > 300
    assert len(requests) == 1

    page.get_by_text("Show the map").click()
    page.locator(".stage").wait_for(state="detached")
    page.get_by_text("Show the map").click()
    page.wait_for_selector('.loupe[data-state="ready"]')
    assert slider(page).input_value() == "3", "the frame is remembered"
    assert hover(page, points, 3, last) == last and len(requests) == 1


def test_a_map_starts_at_the_frame_asked_for_and_one_without_frames_has_no_slider(page: Any, app: RunningApp) -> None:
    ready(page, f"{app.url}/?count=600&start=2")
    points, _ = example_frames(600, 4)
    assert slider(page).input_value() == "2" and said(page)["frame"] == 2
    index = lonely(points[2])
    assert hover(page, points, 2, index) == index
    ready(page, f"{app.url}/?count=600&frames=0")
    assert not page.locator(".frames").is_visible() and said(page)["frame"] == 0


def test_a_map_goes_to_another_frame_when_that_is_asked_for(page: Any, app: RunningApp) -> None:
    ready(page, f"{app.url}/?count=600")
    slider(page).focus()
    page.keyboard.press("ArrowRight")
    wait_until_said(page, '"frame": 1')
    page.get_by_text("Ask for the last frame").click()
    wait_until_said(page, '"frame": 3')
    page.wait_for_function("node => node.value === '3'", arg=slider(page).element_handle())
    points, _ = example_frames(600, 4)
    page.wait_for_timeout(600)
    assert hover(page, points, 3, lonely(points[3])) == lonely(points[3])
    slider(page).focus()
    page.keyboard.press("ArrowLeft")
    assert wait_until_said(page, '"frame": 2')["frame"] == 2, "it may be left again"


def test_a_region_keeps_its_pictures_when_the_frame_changes(page: Any, app: RunningApp) -> None:
    ready(page, f"{app.url}/?start=1")
    points, _ = example_frames(6000, 4)
    choose_box(page)
    chosen = wait_until_said(page, '"frame_of_region": 1, "chosen"')
    low, high = np.min(chosen["polygon"], axis=0), np.max(chosen["polygon"], axis=0)
    edge = 2 * np.ptp(points, axis=(0, 1)) / 65535
    certain = ((points[1] > low + edge) & (points[1] < high - edge)).all(1)
    possible = ((points[1] > low - edge) & (points[1] < high + edge)).all(1)
    assert certain.sum() > 500 and certain.sum() <= chosen["chosen"] <= possible.sum()
    status = page.locator(".status")
    assert status.inner_text().startswith(f"{chosen['chosen']:,} chosen · ")
    outline = "#2563a8"
    assert near(picture_of(page), outline) > 150

    slider(page).focus()
    page.keyboard.press("End")
    after = wait_until_said(page, '"frame": 3')
    assert {**after, "frame": 1} == chosen, "the same members, as the region belongs to its frame"
    assert status.inner_text().startswith(f"{chosen['chosen']:,} chosen at {HOSTILE_NAME} · ")
    page.locator(".list button").nth(4).click()
    page.get_by_text(f'"chosen": {chosen["chosen"]}').wait_for(state="detached")
    less = said(page)
    assert 0 < less["chosen"] < chosen["chosen"]
    page.get_by_text(re.compile(f"^{less['chosen']:,} chosen at")).wait_for()
    page.get_by_role("button", name="Show all").click()
    page.get_by_text(re.compile(f"^{chosen['chosen']:,} chosen at")).wait_for()
    page.wait_for_timeout(700)
    apart = picture_of(page)
    assert near(apart, outline) < 50, "no outline where the region was not drawn"
    # Members are full, others faint.
    faint = [near(apart, color) for color in COLORS]
    page.get_by_role("button", name="Clear selection").click()
    wait_until_said(page, '"polygon": null')
    full = [near(picture_of(page), color) for color in COLORS]
    assert sum(faint) < 0.6 * sum(full) and sum(faint) > 500

    choose_box(page)
    wait_until_said(page, '"frame_of_region": 3')
    assert "chosen at" not in status.inner_text()


def test_half_way_between_frames_points_are_drawn_half_way(page: Any, app: RunningApp) -> None:
    ready(page, f"{app.url}/?count=40&frames=2")
    points, categories = example_frames(40, 2)
    page.clock.install()
    page.clock.pause_at("2100-01-01")
    slider(page).focus()
    page.keyboard.press("ArrowRight")
    page.clock.run_for(200)
    picture = picture_of(page)
    box = page.locator(".stage").bounding_box()

    def drawn(shown: NDArray[np.float32]) -> float:
        """Share of points at whose place the picture has their colour."""
        columns, rows = (places_on_page(page, points, shown) - (box["x"], box["y"])).round().astype(int).T
        wanted = np.array([[int(COLORS[kind][i : i + 2], 16) for i in (1, 3, 5)] for kind in categories])
        return float((np.abs(picture[rows, columns] - wanted).sum(1) < 110).mean())

    ways = np.linspace(0, 1, 101)
    right = [drawn((1 - way) * points[0] + way * points[1]) for way in ways]
    assert max(right) > 0.85 and 0.35 < ways[np.argmax(right)] < 0.65, "all are equally far on straight ways"
    assert right[0] < 0.5 and right[-1] < 0.5
    page.clock.run_for(400)
    picture = picture_of(page)
    assert drawn(points[1]) > 0.9


def test_who_prefers_reduced_motion_sees_the_next_frame_at_once(browser: Any, app: RunningApp) -> None:
    with chromium_page(browser, reduced_motion="reduce") as page:
        ready(page, f"{app.url}/?count=600")
        page.clock.install()
        page.clock.pause_at("2100-01-01")
        before = picture_of(page)
        slider(page).focus()
        page.keyboard.press("End")
        page.clock.run_for(20)  # one displayed frame
        at_once = picture_of(page)
        page.clock.run_for(600)
        assert np.abs(at_once - before).mean() > 2
        assert np.abs(picture_of(page) - at_once).mean() < 0.2


def test_play_runs_through_all_frames_once_and_tells_the_server_at_the_end(page: Any, app: RunningApp) -> None:
    ready(page, f"{app.url}/?count=600&start=2")
    slider(page).evaluate(
        "node => { window.seen = []; new MutationObserver(() => window.seen.push(node.getAttribute('aria-valuetext')))"
        ".observe(node, { attributes: true, attributeFilter: ['aria-valuetext'] }); }"
    )
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Stop").wait_for()
    told = set()
    while page.get_by_role("button", name="Stop").count():
        told.add(said(page)["frame"])
        page.wait_for_timeout(100)
    assert told == {2}
    places = [int(re.search(r"(\d) of 4$", text).group(1)) for text in page.evaluate("window.seen")]
    assert sorted(set(places)) == [1, 2, 3, 4] and places == sorted(places)
    assert wait_until_said(page, '"frame": 3')["frame"] == 3
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Stop").click()
    assert wait_until_said(page, '"frame": 0')["frame"] == 0


def test_density_lines_are_drawn_and_follow_filter_and_frame(page: Any, app: RunningApp) -> None:
    ready(page, f"{app.url}/?start=3")
    page.mouse.move(2, 2)
    page.wait_for_timeout(300)
    plain = picture_of(page)
    button = page.get_by_role("button", name="Density")
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true" and "90 %" in button.get_attribute("title")
    assert page.locator(".key").is_visible()
    with_lines = picture_of(page)
    dark = [near(picture, "#000000", 200) for picture in (plain, with_lines)]
    assert dark[1] > dark[0] + 300
    for number in range(9):
        page.locator(".list button").nth(number).click()
    page.wait_for_timeout(300)
    assert dark[0] < near(picture_of(page), "#000000", 200) < dark[0] + (dark[1] - dark[0]) / 2
    page.get_by_role("button", name="Show all").click()
    slider(page).focus()
    page.keyboard.press("Home")
    page.wait_for_timeout(900)
    assert np.abs(picture_of(page) - with_lines).mean() > 3
    button.click()
    assert not page.locator(".key").is_visible()


def test_on_a_narrow_screen_the_map_keeps_its_room_and_the_slider_its_names(browser: Any, app: RunningApp) -> None:
    with chromium_page(browser, width=420, height=900) as page:
        ready(page, f"{app.url}/?count=600&height=420")
        stage, frames, loupe = (page.locator(name).bounding_box() for name in (".stage", ".frames", ".loupe"))
        assert stage["height"] >= 240 and stage["y"] + stage["height"] <= frames["y"]
        assert frames["y"] + frames["height"] <= page.locator(".loupe summary").bounding_box()["y"]
        assert loupe["x"] + loupe["width"] <= 420 and frames["width"] <= loupe["width"]
        assert page.locator(".loupe").evaluate("node => node.scrollWidth <= node.clientWidth")
        assert page.locator(".current b").is_visible()
        assert page.watch.errors == []


def test_a_run_that_changes_nothing_sends_no_points_and_hardly_takes_time(page: Any, app: RunningApp) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if request.url.endswith(".bin") else None)
    ready(page, f"{app.url}/?count=300000&frames=2")
    first = page.get_by_text("point_map took").inner_text()
    page.get_by_text("Run again").click()
    page.get_by_text(first).wait_for(state="detached")
    seconds = float(page.get_by_text("point_map took").inner_text().split()[2])
    assert seconds < 0.3 and len(requests) == 1

"""Maps over their pictures: what Python sends and understands, and what a real Chromium shows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from streamlit.testing.v1 import AppTest

from tests.ui.browser import RunningApp, open_app, ready, running_app
from tests.ui.component_apps.example_data import HOSTILE_NAME, PALETTES, example_panes
from ui.components.map_view import Pane, Place, map_view

APP = Path(__file__).parent / "component_apps" / "map_view_app.py"


# ---- what Python sends and understands ----------------------------------------------------------------------------


def test_arguments_that_contradict_each_other_are_refused() -> None:
    seen, values = np.zeros((4, 6, 3), np.uint8), np.zeros((2, 3), np.float32)
    good = Pane(seen, values, "map")
    reach = np.zeros((2, 2), np.int32)

    def view(*panes: Pane, scale: tuple[float, float] = (0.0, 1.0), palettes: Any = PALETTES) -> None:
        map_view(panes, key="a", place=None, scale=scale, palettes=palettes, label="")

    with pytest.raises(ValueError, match="one or two panes; it was given 0"):
        view()
    with pytest.raises(ValueError, match="given 3"):
        view(good, good, good)
    with pytest.raises(ValueError, match="uint8 \\[height, width, 3\\]; it is float32"):
        view(Pane(seen.astype(np.float32), values, "map"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be \\[rows, columns\\]; it is \\[6\\]"):
        view(Pane(seen, values.reshape(-1), "map"))
    with pytest.raises(ValueError, match="of its row and of its column"):
        view(Pane(seen, values, "map", row_reach=reach))
    with pytest.raises(ValueError, match="each column must be \\[3, 2\\] for this map; it is \\[2, 2\\]"):
        view(good, Pane(seen, values, "map", reach, reach))
    with pytest.raises(ValueError, match="in order; they are \\(1.0, 0.0\\)"):
        view(good, scale=(1.0, 0.0))
    with pytest.raises(ValueError, match='Palette "diverging"'):
        view(good, palettes={"sequential": PALETTES["sequential"]})


def test_without_a_browser_the_page_has_its_place() -> None:
    app = AppTest.from_file(str(APP), default_timeout=90)
    app.session_state["place"] = Place(99, 2)
    app.run()
    assert not app.exception
    assert "Python has Place(row=5, column=2) in run 1" in app.text[0].value, "kept within the map"


# ---- what a browser shows -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def app(browser: Any) -> Iterator[RunningApp]:
    with running_app(APP) as app:
        yield app


def pixels(page: Any, pane: int = 0) -> NDArray[np.int64]:
    picture = Image.open(io.BytesIO(page.locator(".stage").nth(pane).screenshot())).convert("RGB")
    return np.asarray(picture).astype(np.int64)


def middle(page: Any, row: int, column: int, shape: tuple[int, int], pane: int = 0) -> tuple[float, float]:
    """Where the middle of a place lies on the page."""
    box = page.locator(".stage").nth(pane).bounding_box()
    return box["x"] + (column + 0.5) / shape[1] * box["width"], box["y"] + (row + 0.5) / shape[0] * box["height"]


def said(page: Any, name: str, selector: str = ".loupe", nth: int = 0) -> str:
    return str(page.locator(selector).nth(nth).get_attribute(f"data-{name}"))


def wait_for_python(page: Any, text: str) -> None:
    page.get_by_text(text, exact=True).wait_for(timeout=60_000)


def wait_for_hover(page: Any, place: str) -> None:
    """Cursors are drawn with the next frame."""
    page.locator(f'.loupe[data-hover="{place}"]').wait_for()


def test_the_map_lies_over_the_picture(page: Any, app: RunningApp) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if request.url.endswith(".bin") else None)
    ready(page, app.url)
    pane = example_panes("one")[0]
    low = float(pane.values.min())
    box = page.locator(".stage").bounding_box()
    assert box["width"] / box["height"] == pytest.approx(128 / 96, rel=5e-3) and box["height"] <= 560

    def mixed(row: int, column: int, opacity: float) -> NDArray[np.float64]:
        """The colour where a place's map lies over the pixel of the picture that lies off its middle."""
        level = round(float((pane.values[row, column] - low) / (8 - low)) * 255)
        picture = pane.seen[16 * row + 4, 16 * column + 4].astype(np.float64)
        return opacity * PALETTES["sequential"][level] + (1 - opacity) * picture

    for opacity in (0.6, 0.0, 1.0):
        if opacity != 0.6:
            page.get_by_label("Opacity of the map").fill(str(opacity))
        drawn = pixels(page)
        for row, column in ((0, 0), (3, 5), (5, 7)):
            y, x = ((16 * place + 4.5) * drawn.shape[1] / 128 for place in (row, column))
            assert np.abs(drawn[int(y), int(x)] - mixed(row, column, opacity)).max() < 4, (opacity, row, column)
    assert page.get_by_text("Python has None in run 1").is_visible(), "the server has not heard of it"
    assert len(requests) == 2, "the numbers and the pictures, once"
    assert page.locator(".title").inner_text() == f"Channel 12 of {HOSTILE_NAME}" and page.title() != "taken"
    ends = page.locator(".ends").inner_text().split()
    assert float(ends[0]) == pytest.approx(low, rel=6e-3) and ends[1:] == ["activation", "8"]


def test_smoothing_goes_through_the_middles_of_the_places(page: Any, app: RunningApp) -> None:
    ready(page, app.url)
    page.get_by_label("Opacity of the map").fill("1")
    squares = pixels(page)
    page.get_by_label("Smooth").check()
    smooth = pixels(page)
    step = squares.shape[1] / 8
    values, low = example_panes("one")[0].values, float(example_panes("one")[0].values.min())
    y = int(2.5 * step)
    assert np.abs(squares[y, int(3.1 * step)] - squares[y, int(3.9 * step)]).max() == 0
    assert np.abs(smooth[y, int(3.5 * step)] - squares[y, int(3.5 * step)]).max() < 12
    level = round(float((values[2, 3] + values[2, 4]) / 2 - low) / (8 - low) * 255)
    assert np.abs(smooth[y, round(4 * step)] - PALETTES["sequential"][level].astype(int)).max() < 12


def test_pointing_tells_value_and_what_the_place_sees_in_every_pane(page: Any, app: RunningApp) -> None:
    ready(page, f"{app.url}/?case=two&width=900")
    first, second = example_panes("two")
    before = pixels(page, 1)
    page.mouse.move(*middle(page, 7, 10, (12, 16), pane=1))
    wait_for_hover(page, "3,5")
    lines = page.locator(".tip div").all_inner_texts()
    assert lines == [
        first.title,
        f"Row 3, column 5: {float(first.values[3, 5]):.3g}",
        "sees 33 × 33 px",
        second.title,
        f"Row 7, column 10: {float(second.values[7, 10]):.3g}",
        "sees 33 × 33 px",
    ]
    for number, (pane, row, column) in enumerate(((first, 3, 5), (second, 7, 10))):
        assert said(page, "cursor", ".stage", number) == f"{row},{column}"
        assert pane.row_reach is not None and pane.column_reach is not None
        (top, bottom), (left, right) = pane.row_reach[row], pane.column_reach[column]
        assert said(page, "box", ".stage", number) == f"{left},{top},{right},{bottom}"
    page.locator(".tip").evaluate("node => { node.style.visibility = 'hidden' }")
    after = pixels(page, 1)
    scale = after.shape[1] / 128
    assert second.row_reach is not None and second.column_reach is not None
    (left, right), (top, bottom) = (
        (round(first * scale), round((last + 1) * scale))
        for first, last in (second.column_reach[10].tolist(), second.row_reach[7].tolist())
    )
    for line in (
        after[top - 1 : top + 1, left + 3 : right - 3],
        after[bottom - 1 : bottom + 1, left + 3 : right - 3],
        after[top + 3 : bottom - 3, left - 1 : left + 1],
        after[top + 3 : bottom - 3, right - 1 : right + 1],
    ):
        assert (line.max(2) < 60).any() and (line.min(2) > 200).any(), "a dashed line, dark and light"
    changed = np.abs(after - before).sum(2) > 30
    assert changed[top - 4 : top + 4, left:right].any() and not changed[: top - 4].any()

    page.mouse.move(5, 5)
    wait_for_hover(page, "")
    assert page.locator(".tip").is_hidden()
    assert said(page, "cursor", ".stage", 1) == said(page, "box", ".stage", 1) == ""
    assert page.get_by_text("Python has None in run 1").is_visible()


def test_a_coarse_pane_points_at_the_middle_in_a_finer_one(page: Any, app: RunningApp) -> None:
    ready(page, f"{app.url}/?case=two&width=900")
    page.mouse.move(*middle(page, 0, 7, (6, 8)))
    wait_for_hover(page, "0,7")
    assert said(page, "cursor", ".stage", 0) == "0,7"
    assert said(page, "cursor", ".stage", 1) == "1,15", "(0 + 0.5) / 6 of 12 rows, (7 + 0.5) / 8 of 16 columns"


def test_a_click_pins_a_place_and_another_one_unpins_it(page: Any, app: RunningApp) -> None:
    ready(page, f"{app.url}/?case=two&width=900")
    page.mouse.click(*middle(page, 5, 11, (12, 16), pane=1))
    wait_for_python(page, "Python has Place(row=2, column=5) in run 2")
    page.mouse.move(5, 5)
    wait_for_hover(page, "")
    assert said(page, "place") == "2,5"
    values = example_panes("two")[0].values
    assert page.locator(".note").nth(0).inner_text() == f"Row 2, column 5: {values[2, 5]:.3g}, sees 33 × 33 px"
    box = page.locator(".stage").first.bounding_box()
    edge = pixels(page)[int(2 / 6 * box["height"]) - 4 : int(2 / 6 * box["height"]) + 4, int(5.5 / 8 * box["width"])]
    assert np.abs(edge - [0x25, 0x63, 0xA8]).sum(1).min() < 40, "outlined in the accent's colour"
    page.mouse.click(*middle(page, 0, 0, (6, 8)))
    wait_for_python(page, "Python has Place(row=0, column=0) in run 3")
    page.mouse.click(*middle(page, 0, 0, (6, 8)))
    wait_for_python(page, "Python has None in run 4")
    assert said(page, "place") == ""


def test_the_keyboard_moves_and_unpins(page: Any, app: RunningApp) -> None:
    ready(page, app.url)
    page.locator(".panes").focus()
    values = example_panes("one")[0].values
    for key, place in (
        ("ArrowUp", (3, 4)),
        ("ArrowUp", (2, 4)),
        ("ArrowRight", (2, 5)),
        ("ArrowDown", (3, 5)),
        ("ArrowLeft", (3, 4)),
    ):
        page.keyboard.press(key)
        assert said(page, "place") == "{},{}".format(*place), key
    told = page.locator('[aria-live="polite"]').text_content()
    assert told == f"Row 3, column 4: {values[3, 4]:.3g}, sees 33 × 33 px"
    page.get_by_text("Python has Place(row=3, column=4)").wait_for()
    for _ in range(6):
        page.keyboard.press("ArrowDown")
    assert said(page, "place") == "5,4", "not beyond the rim"
    page.keyboard.press("Escape")
    assert said(page, "place") == ""
    page.get_by_text("Python has None in run").wait_for()


def test_places_without_a_number_are_hatched_and_an_unknown_reach_is_not_drawn(page: Any, app: RunningApp) -> None:
    ready(page, f"{app.url}/?case=broken")
    page.get_by_label("Opacity of the map").fill("1")
    picture = pixels(page)
    step = picture.shape[1] / 8
    place = picture[int(2.2 * step) : int(2.8 * step), int(3.2 * step) : int(3.8 * step)]
    assert (place.max(2) == place.min(2)).all() and place.std() > 5
    page.mouse.move(*middle(page, 4, 1, (6, 8)))
    wait_for_hover(page, "4,1")
    assert page.locator(".tip").inner_text() == "Row 4, column 1: not finite"
    assert (said(page, "cursor", ".stage"), said(page, "box", ".stage")) == ("4,1", "")


def test_negative_values_use_the_diverging_palette_about_zero(page: Any, app: RunningApp) -> None:
    ready(page, f"{app.url}/?case=signed")
    values = example_panes("signed")[0].values
    reach = -float(values.min())
    assert reach > 3, "the greater end given"
    low, zero, high = page.locator(".ends").inner_text().replace("\u2212", "-").split("\n")
    assert (float(low), zero, float(high)) == (pytest.approx(-reach, rel=6e-3), "0 · activation", -float(low))
    page.get_by_label("Opacity of the map").fill("1")
    step = pixels(page).shape[1] / 8
    level = round((float(values[3, 3]) + reach) / (2 * reach) * 255)
    assert np.abs(pixels(page)[int(3.5 * step), int(3.5 * step)] - PALETTES["diverging"][level].astype(int)).max() < 3


def test_the_table_holds_the_values_unless_there_are_too_many(page: Any, app: RunningApp) -> None:
    ready(page, f"{app.url}/?case=two")
    page.get_by_text("Table", exact=True).click()
    page.locator("table").nth(1).wait_for()
    for number, pane in enumerate(example_panes("two")):
        rows = page.locator("table").nth(number).locator("tbody tr")
        cells = [[float(text) for text in row.locator("td").all_inner_texts()] for row in rows.all()]
        np.testing.assert_allclose(cells, pane.values, rtol=6e-3)
    open_app(page, f"{app.url}/?case=large")
    page.get_by_text("Table", exact=True).click()
    page.get_by_text("60 × 80 places are too many").wait_for()
    assert page.locator("table").count() == 0


def test_two_panes_stand_side_by_side_where_there_is_room(page: Any, app: RunningApp) -> None:
    for width, beside in ((900, True), (430, True), (300, False)):
        ready(page, f"{app.url}/?case=two&width={width}")
        first, second = (page.locator(".stage").nth(number).bounding_box() for number in (0, 1))
        assert (first["y"] == second["y"]) is beside
        assert first["x"] + first["width"] <= second["x"] or not beside
        room = page.locator(".loupe").bounding_box()
        assert max(box["x"] + box["width"] for box in (first, second)) <= room["x"] + width

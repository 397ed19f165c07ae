"""Heatmaps over their pictures, and drawing on them: what Python understands, and what a real Chromium shows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from streamlit.testing.v1 import AppTest

from interpret.heatmaps.localisation import box_of
from tests.ui.browser import RunningApp, chromium_page, ready, running_app
from tests.ui.component_apps.example_data import HOSTILE_NAME, PALETTES
from tests.ui.component_apps.heat_view_app import CROP, SIDE, TRUE_BOX, example_maps, example_panes, example_picture
from ui.components.heat_drawn import MOST_POINTS, MOST_STROKES, kept_within, read_drawn
from ui.components.heat_view import Drawn, HeatPane, HeatPicture, Stroke, heat_view

APP = Path(__file__).parent / "component_apps" / "heat_view_app.py"
VIRIDIS = PALETTES["sequential"]


# ---- what Python sends and understands ----------------------------------------------------------------------------


def test_arguments_that_contradict_each_other_are_refused() -> None:
    seen, values = np.zeros((4, 6, 3), np.uint8), np.zeros((2, 3), np.float32)
    picture, pane = HeatPicture(seen), HeatPane(values, "map", "", (0, 1))

    def view(pictures: Any = (picture,), panes: Any = (pane,), **changed: Any) -> None:
        asked: dict[str, Any] = {"shared": (0.0, 1.0), "palettes": PALETTES, **changed}
        heat_view(pictures, panes, key="a", unit="", drawn=Drawn(), label="", **asked)

    with pytest.raises(ValueError, match="given 1 pictures and 0 maps"):
        view(panes=())
    with pytest.raises(ValueError, match="uint8 \\[height, width, 3\\]; it is float32"):
        view([HeatPicture(seen.astype(np.float32))])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="it is uint8 \\[4, 6\\]"):
        view([HeatPicture(seen, seen[..., 0], (0, 0, 1, 1))])
    with pytest.raises(ValueError, match="seen must be left, top, right and bottom"):
        view([HeatPicture(seen, seen)])
    with pytest.raises(ValueError, match="must be \\[rows, columns\\]; it is \\[6\\]"):
        view(panes=[HeatPane(values.reshape(-1), "map", "", (0, 1))])
    with pytest.raises(ValueError, match="over picture 1; there are 1"):
        view(panes=[HeatPane(values, "map", "", (0, 1), picture=1)])
    with pytest.raises(ValueError, match="in order; they are \\(1, 0\\)"):
        view(panes=[HeatPane(values, "map", "", (1, 0))])
    with pytest.raises(ValueError, match="in order; they are \\(0.0, inf\\)"):
        view(shared=(0.0, np.inf))
    with pytest.raises(ValueError, match="it was given none"):
        view(palettes={})
    with pytest.raises(ValueError, match='Palette "grey" must be'):
        view(palettes={"grey": VIRIDIS[:9]})
    with pytest.raises(ValueError, match="for picture 3; there are 1"):
        view(boxes={3: []})
    with pytest.raises(ValueError, match="A true box must be .* it is \\(5, 0, 2, 4\\)"):
        view(boxes={0: [(5, 0, 2, 4)]})


def test_of_what_a_browser_sends_only_what_can_be_drawn_is_kept() -> None:
    line = {"kind": "blur", "radius": 3, "points": [[1, 2], [3.5, 4]]}
    assert read_drawn({"box": [1, 2, 3, 4], "strokes": [line], "pane": 2}) == Drawn(
        (1, 2, 3, 4), (Stroke("blur", 3, ((1, 2), (3.5, 4))),), 2
    )
    broken = [{**line, "kind": "red"}, {**line, "radius": None}, {**line, "radius": 0}, {**line, "points": [["a", 1]]}]
    for sent in (None, [], "box", {"box": [1, 2, 3]}, {"box": [1, 2, 3, float("nan")], "strokes": [*broken, 7, None]}):
        assert read_drawn(sent) == Drawn(), sent
    assert read_drawn({"box": [True, 1, 2, 3], "strokes": {"kind": "grey"}, "pane": "1"}) == Drawn()
    many = read_drawn({"strokes": [{**line, "points": [[0, 0]] * 900}] * 90})
    assert len(many.strokes) == MOST_STROKES and {len(stroke.points) for stroke in many.strokes} == {MOST_POINTS}

    far = Drawn((50, 9, -5, -1), (Stroke("grey", 99, ((-3, 4), (99, 2))),), 8)
    assert kept_within(far, 20, 10, 3) == Drawn((0, 0, 20, 9), (Stroke("grey", 20, ((0, 4), (20, 2))),), 2)
    assert kept_within(Drawn((3, 4, 3, 9), (), -2), 20, 10, 3) == Drawn(), "a box without an area"


def test_without_a_browser_the_page_has_what_it_asked_for_and_then_what_was_drawn() -> None:
    app = AppTest.from_file(str(APP), default_timeout=90)
    app.session_state["drawn"] = Drawn(box=(-9, 20, 300, 40), pane=7)
    app.run()
    assert not app.exception
    assert app.text[0].value == "Python has box (0.0, 20.0, 224.0, 40.0), strokes [], pane 0", "kept within"


# ---- what a browser shows -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def app(browser: Any) -> Iterator[RunningApp]:
    with running_app(APP) as app:
        yield app


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[Any]:
    """One page for all tests of this file."""
    with chromium_page(browser, height=1000) as page:
        yield page
        assert page.watch.errors == []
        assert len(page.watch.hosts) == 1, page.watch.hosts


def pixels(page: Any, pane: int = 0) -> NDArray[np.int64]:
    stage = page.locator(".stage").nth(pane)
    picture = np.asarray(Image.open(io.BytesIO(stage.screenshot())).convert("RGB")).astype(np.int64)
    return picture[: stage.evaluate("node => node.clientHeight"), : stage.evaluate("node => node.clientWidth")]


def said(page: Any, name: str) -> str:
    return str(page.locator(".loupe").get_attribute(f"data-{name}"))


def wait_for_python(page: Any, text: str) -> None:
    page.get_by_text(text).wait_for(timeout=30_000)


def enlarged(values: NDArray[np.float32], side: int) -> NDArray[np.float64]:
    """Bilinear at the middles of the pixels, edges clamped."""
    places = [(np.arange(side) + 0.5) * count / side - 0.5 for count in values.shape]
    grid = np.meshgrid(*places, indexing="ij")
    return np.asarray(ndimage.map_coordinates(values.astype(np.float64), grid, order=1, mode="nearest"))


def own_box(values: NDArray[np.float32], threshold: float) -> list[float]:
    box = box_of(values, (SIDE, SIDE), threshold)
    assert box is not None
    return [box.left, box.top, box.right, box.bottom]


def iou(one: Any, other: Any) -> float:
    left, top, right, bottom = *np.maximum(one[:2], other[:2]), *np.minimum(one[2:], other[2:])
    shared = max(right - left, 0) * max(bottom - top, 0)
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return float(shared / (area - shared))


def on_page(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of what the network saw lies on the page."""
    box = page.locator(".stage").first.bounding_box()
    return box["x"] + x * box["width"] / SIDE, box["y"] + y * box["height"] / SIDE


MOVES = """(node) => {
  const scale = node.clientWidth / 224;
  const { left, top } = node.getBoundingClientRect();
  for (let x = 41; x <= 180; x += 1) {
    const place = { clientX: left + x * scale, clientY: top + 160 * scale };
    node.dispatchEvent(new PointerEvent("pointermove", { ...place, pointerId: 1, bubbles: true }));
  }
}"""
"""A pointer moved from 40 to 180, one pixel of what the network saw at a time."""


def drag(page: Any, *places: tuple[float, float]) -> None:
    page.mouse.move(*on_page(page, *places[0]))
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*on_page(page, *place), steps=6)
    page.mouse.up()


def test_one_map_is_looked_at_without_the_server(page: Any, app: RunningApp) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if request.url.endswith(".bin") else None)
    ready(page, app.url)
    values, seen = example_maps(1)[0], example_picture().seen.astype(np.float64)
    opacity, threshold = page.get_by_label("Opacity"), page.get_by_label("Threshold")
    assert page.locator(".title").inner_text() == f"Grad-CAM for {HOSTILE_NAME}" and page.title() != "taken"
    assert page.locator(".note").inner_text() == "zebra 98.2 %"
    label = page.locator(".stage").get_attribute("aria-label")
    assert "zebra 98.2 %, largest " in label and "of 7 × 7" in label
    assert page.locator(".ends").first.inner_text().split() == ["0", "score", "8"]

    page.get_by_label("Smooth").uncheck()
    drawn = {}
    for share in (0.0, 0.6, 1.0):
        opacity.fill(str(share))
        drawn[share] = pixels(page)
        assert drawn[share].shape == (448, 448, 3)
        for row, column in ((2, 0), (4, 3), (6, 6)):
            level = round(float(values[row, column]) / 8 * 255)
            place = seen[32 * row + 15 : 32 * row + 17, 32 * column + 15 : 32 * column + 17].mean((0, 1))
            mixed = share * VIRIDIS[level] + (1 - share) * place
            assert np.abs(drawn[share][64 * row + 32, 64 * column + 32] - mixed).max() < 4, (share, row, column)

    page.get_by_label("Smooth").check()
    field = enlarged(values, 448)
    smooth = pixels(page)
    assert np.abs(smooth - VIRIDIS[np.round(field / 8 * 255).astype(int)]).mean() < 1

    threshold.fill("0.5")
    assert said(page, "threshold") == "0.5"
    page.locator(".marks").evaluate("node => { node.style.visibility = 'hidden' }")
    coloured = np.abs(pixels(page) - drawn[0.0]).sum(2) > 6
    assert coloured.mean() == pytest.approx((field >= 4).mean(), abs=0.01)
    assert coloured[field > 4.1].mean() > 0.99 and coloured[field < 3.9].mean() < 0.01
    threshold.fill("0")
    page.get_by_label("Colours").select_option("diverging")
    expected = PALETTES["diverging"][np.round(field / 8 * 255).astype(int)]
    assert np.abs(pixels(page) - expected).mean() < 1 and said(page, "palette") == "diverging"
    page.get_by_label("Colours").select_option("sequential")

    hide = page.get_by_role("button", name="Hide map")
    for press in (lambda: page.keyboard.press("h"), hide.click):
        page.locator(".stage").focus()
        press()
        assert (said(page, "hidden"), hide.get_attribute("aria-pressed")) == ("true", "true")
        assert np.abs(pixels(page) - drawn[0.0]).max() < 2
        press()
        assert said(page, "hidden") == "false"
    page.get_by_label("Words").focus()
    page.mouse.move(*on_page(page, 100, 100))
    page.keyboard.type("hh")
    page.keyboard.type("h")
    assert said(page, "hidden") == "false", "someone types"
    page.get_by_label("Words").blur()
    page.keyboard.press("H")
    assert said(page, "hidden") == "true", "the pointer is over the view"
    page.keyboard.press("h")

    page.locator(".marks").evaluate("node => { node.style.visibility = '' }")
    page.get_by_label("Whole picture").check()
    whole = pixels(page)
    left, top, right, bottom = CROP
    scale = 448 / 300
    assert whole.shape[:2] == (round((bottom - top) * scale), 448), "as high as what was seen, as wide as the upload"
    inside, outside = whole[90:240, int(left * scale) + 3 : int(right * scale) - 3], whole[90:240, : int(left * scale)]
    assert np.abs(inside - smooth[120:400:2, ::2].mean((0, 1))).mean() < 70
    assert outside.min() > 160, "dimmed towards the white of the page"
    assert np.abs(whole[100, int(150 * scale)] - smooth[int((100 / scale) * 3.2), 224]).max() < 6
    page.mouse.move(*on_page(page, 12, 40))
    assert page.locator(".tip").is_hidden(), "the network did not look there"
    page.get_by_label("Whole picture").uncheck()

    page.get_by_text("Table", exact=True).click()
    cells = [[float(cell) for cell in row.split("\t")[1:]] for row in page.locator("tbody").inner_text().split("\n")]
    np.testing.assert_allclose(cells, values, rtol=6e-3, atol=1e-9)
    page.get_by_text("Table", exact=True).click()
    assert len(requests) == 2, "the numbers and the pictures, once"


def test_drawing_reaches_python_and_can_be_undone(page: Any, app: RunningApp) -> None:
    ready(page, f"{app.url}/?count=3")
    maps = example_maps(3)
    tool = {name: page.locator(f'button[data-tool="{name}"]') for name in ("point", "box", "grey", "blur")}
    undo, clear = page.get_by_role("button", name="Undo"), page.get_by_role("button", name="Clear")
    page.get_by_label("Threshold").fill("0.4")
    assert undo.is_disabled() and clear.is_disabled()

    tool["box"].click()
    drag(page, (40, 60), (150, 170), (140, 180))
    assert [float(edge) for edge in said(page, "box").split(",")] == pytest.approx([40, 60, 140, 180], abs=0.7)
    box = tuple(float(edge) for edge in said(page, "box").split(","))
    wait_for_python(page, f"Python has box {box}, strokes [], pane 0")
    for number, (values, shown) in enumerate(zip(maps, said(page, "boxes").split(";"), strict=True)):
        own = [float(edge) for edge in shown.split(",")]
        assert np.abs(np.subtract(own, own_box(values, 0.4))).max() <= 1
        assert page.locator(".note").nth(number).inner_text().endswith(f"IoU {iou(box, own):.2f}")
    page.locator(".tip").evaluate("node => { node.style.visibility = 'hidden' }")
    scale = pixels(page).shape[1] / SIDE
    edge = pixels(page)[round(120 * scale), round(40 * scale) - 4 : round(40 * scale) + 4]
    assert edge.max(0).min() > 240 and edge.min(0).max() < 20, "white on black"

    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    moved = (box[0] + 4, box[1], box[2] + 4, box[3] + 4)
    assert [float(edge) for edge in said(page, "box").split(",")] == pytest.approx(moved)
    undo.click()
    assert [float(edge) for edge in said(page, "box").split(",")] == pytest.approx(box), "both keys are one step"
    page.locator(".stage").first.focus()
    page.keyboard.press("Escape")
    wait_for_python(page, "Python has box None, strokes [], pane 0")
    page.keyboard.press("Enter")
    wait_for_python(page, "Python has box (56.0, 56.0, 168.0, 168.0), strokes [], pane 0")

    page.get_by_label("Opacity").fill("0")
    page.get_by_label("Threshold").fill("0")
    undo.click()
    undo.click()
    undo.click()
    assert undo.is_disabled() and said(page, "box") == ""
    before = [pixels(page), pixels(page, 1)]
    tool["grey"].click()
    page.get_by_label("Brush size").fill("10")
    page.mouse.move(*on_page(page, 40, 160))
    page.mouse.down()
    page.locator(".marks").first.evaluate(MOVES)
    page.mouse.up()
    tool["blur"].click()
    drag(page, (180, 60), (180, 120))
    page.mouse.move(5, 5)
    wait_for_python(page, "Python has box None, strokes [grey 10, blur 10], pane 0")
    assert 36 <= int(page.get_by_text(" points, run").inner_text().split()[0]) <= 36 + 7, "one every four pixels"
    for number in (0, 1):
        drawn = pixels(page, number)
        scale = drawn.shape[1] / SIDE
        grey = (np.abs(drawn - 128).max(2) < 2).sum() / scale**2
        assert grey == pytest.approx(140 * 20 + np.pi * 100, rel=0.1), "as wide as the brush, with round ends"
        rim = (slice(round(70 * scale), round(110 * scale)), slice(round(172 * scale), round(188 * scale)))
        assert np.abs(drawn[rim] - before[number][rim]).max() > 15, "the rim of the disc is blurred"
        assert np.abs(drawn - before[number])[: round(40 * scale)].max() < 3, "and the rest as it was"
    clear.click()
    assert said(page, "strokes") == "0" and clear.is_disabled()
    undo.click()
    undo.click()
    wait_for_python(page, "Python has box None, strokes [grey 10], pane 0")

    tool["point"].click()
    page.locator(".stage").nth(2).click()
    wait_for_python(page, "strokes [grey 10], pane 2")
    page.locator(".stage").nth(1).press("Enter")
    wait_for_python(page, "strokes [grey 10], pane 1")
    assert [stage.get_attribute("aria-pressed") for stage in page.locator(".stage").all()] == ["false", "true", "false"]
    page.get_by_role("button", name="Another picture").click()
    wait_for_python(page, "Python has box (10.0, 20.0, 30.0, 40.0), strokes [], pane 0")
    page.locator('.loupe[data-box="10,20,30,40"]').wait_for()
    assert undo.is_disabled(), "the page drew this"


def test_a_grid_tells_values_boxes_and_scales(page: Any, app: RunningApp) -> None:
    ready(page, f"{app.url}/?count=9&true=1")
    panes = example_panes("plain", 9)
    stages = [stage.bounding_box() for stage in page.locator(".stage").all()]
    assert len({box["y"] for box in stages}) == 2 and min(box["width"] for box in stages) >= 190, "five and four"
    page.mouse.move(*on_page(page, 16 + 32 * 3, 16 + 32 * 2))
    page.locator('.loupe[data-hover="2,3"]').wait_for()
    assert page.locator(".tip div").first.inner_text() == "Row 2, column 3"
    told = page.locator(".tip .values span").all_inner_texts()
    assert told[::2] == [pane.title for pane in panes]
    np.testing.assert_allclose([float(text) for text in told[1::2]], [pane.values[2, 3] for pane in panes], rtol=6e-3)
    assert {stage.get_attribute("data-cursor") for stage in page.locator(".stage").all()} == {"2,3"}

    for threshold in (0.2, 0.75):
        page.get_by_label("Threshold").fill(str(threshold))
        for number, (pane, shown) in enumerate(zip(panes, said(page, "boxes").split(";"), strict=True)):
            own = [float(edge) for edge in shown.split(",")]
            assert np.abs(np.subtract(own, own_box(pane.values, threshold))).max() <= 1, (number, threshold)
            note = page.locator(".note").nth(number).inner_text()
            assert note == f"{pane.note} \u00b7 IoU {iou(TRUE_BOX, own):.2f}"
    page.keyboard.press("h")
    assert said(page, "boxes").strip(";") == "", "hidden with the map"
    page.keyboard.press("h")

    page.get_by_label("Threshold").fill("0")
    page.get_by_label("Opacity").fill("1")
    page.get_by_label("Smooth").uncheck()
    page.mouse.move(5, 5)
    assert page.locator(".pane .colourbar").first.is_hidden()
    for scale, high in (("shared", 8), ("own", 4)):
        page.get_by_label("Scale").select_option("own" if scale == "own" else "")
        drawn = pixels(page, 1)
        level = min(round(float(panes[1].values[5, 0]) / high * 255), 255)
        at = [round((place + 0.5) / 7 * drawn.shape[0]) for place in (5, 0)]
        assert said(page, "scale") == scale and np.abs(drawn[at[0], at[1]] - VIRIDIS[level]).max() < 4
    assert page.locator(".bars .colourbar").is_hidden()
    assert [bar.inner_text().split() for bar in page.locator(".pane .ends").all()] == [["0", "4"]] * 9
    assert page.get_by_text("0 points, run 1").is_visible(), "the server has not heard of it"


def test_broken_and_signed_maps_in_the_dark(page: Any, app: RunningApp) -> None:
    page.emulate_media(color_scheme="dark")
    ready(page, f"{app.url}/?count=3&case=broken&still=1")
    assert page.locator('button[data-tool="box"]').is_hidden()
    assert page.locator(".warning").last.inner_text() == "The map is flat: no place counts more than another."
    assert page.locator(".warning").first.is_hidden()
    page.get_by_label("Opacity").fill("1")
    drawn = pixels(page)
    step = drawn.shape[1] / 7
    for row, column in ((2, 3), (4, 1)):
        place = drawn[round((row + 0.2) * step) : round((row + 0.8) * step), round((column + 0.2) * step) :][:, :30]
        assert (place.max(2) - place.min(2)).max() <= 1 and place.std() > 5, "hatched in grey"
    color = page.locator(".title").first.evaluate("node => getComputedStyle(node).color")
    assert color == "rgb(228, 230, 233)", "the text of the dark theme"
    page.get_by_label("Threshold").fill("0.5")
    first, _, last = said(page, "boxes").split(";")
    assert (first, last) == ("", "0,0,224,224"), "none of a map that is not finite, all of a flat one"

    ready(page, f"{app.url}/?case=signed")
    ends = page.locator(".ends").first.inner_text().replace("\u2212", "-").split("\n")
    assert ends == ["-6", "0 \u00b7 score", "6"], "symmetric about zero"
    signed = example_maps(1)[0] - 2
    page.get_by_label("Threshold").fill("0.02")
    own = [float(edge) for edge in said(page, "boxes").split(",")]
    assert np.abs(np.subtract(own, own_box(signed, 0.02))).max() <= 1
    page.get_by_label("Threshold").fill("0")
    page.get_by_label("Opacity").fill("1")
    page.mouse.move(5, 5)
    field = enlarged(signed, 448)
    expected = PALETTES["diverging"][np.round((field + 6) / 12 * 255).astype(int)]
    assert np.abs(pixels(page) - expected).mean() < 1

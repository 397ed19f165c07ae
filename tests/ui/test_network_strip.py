"""The network drawn as its blocks: what Python sends and understands, and what a real Chromium shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.ui.browser import RunningApp, ready, running_app
from tests.ui.component_apps.example_data import HOSTILE_NAME
from tests.ui.component_apps.strip_app import HOSTILE_FACTS, example_blocks
from ui.components.network_strip import network_strip

APP = Path(__file__).parent / "component_apps" / "strip_app.py"
NAMES = [layer.name for block in example_blocks() for layer in block.layers]


# ---- what Python sends and understands ----------------------------------------------------------------------------


@pytest.mark.parametrize("selected", ["", "layer1.1", "layer9", "stem"])
def test_a_layer_that_no_block_offers_is_refused(selected: str) -> None:
    with pytest.raises(ValueError, match=f'No block of the strip has a layer "{re.escape(selected)}"'):
        network_strip(example_blocks(), key="a", selected=selected, label="")


def test_without_a_browser_the_page_has_the_layer_it_asked_for() -> None:
    app = AppTest.from_file(str(APP), default_timeout=90)
    app.session_state["chosen"] = "layer2"
    app.run()
    assert not app.exception
    assert app.text[0].value == "Python has layer2 in run 1"


# ---- what a browser shows -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def app(browser: Any) -> Iterator[RunningApp]:
    with running_app(APP) as app:
        yield app


def chosen(page: Any) -> str:
    return str(page.locator(".loupe").get_attribute("data-selected"))


def wait_for_python(page: Any, text: str) -> None:
    page.get_by_text(text, exact=True).wait_for(timeout=60_000)


def lit(page: Any) -> list[str]:
    """Names of the blocks that are marked as chosen."""
    marks = page.locator('.mark[aria-selected="true"]').all()
    return [str(mark.get_attribute("title")).partition(":")[0] for mark in marks]


def chips(page: Any) -> list[str]:
    return list(page.locator(".layers button").all_inner_texts())


def found(page: Any) -> list[str]:
    """What the search offers: the layers' names."""
    return list(page.locator(".found [role=option] span:first-child").all_inner_texts())


def test_blocks_are_drawn_under_the_names_of_their_parts(page: Any, app: RunningApp) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if request.url.endswith(".bin") else None)
    ready(page, app.url)
    blocks = example_blocks()
    strip = page.get_by_role("listbox", name="The plain network, 6 blocks")
    assert strip.get_attribute("aria-orientation") == "horizontal"
    options = strip.get_by_role("option")
    assert [option.get_attribute("aria-label") for option in options.all()] == [
        f"{block.name}, {block.title}" for block in blocks
    ]
    parts = strip.locator(".part")
    assert [part.get_attribute("aria-label") for part in parts.all()] == ["stem", "stage 1", "stage 2", "head"]
    assert [part.locator("> .quiet").inner_text() for part in parts.all()] == ["stem", "stage 1", "stage 2", "head"]
    assert [part.locator(".mark").count() for part in parts.all()] == [1, 2, 1, 2]
    boxes = [option.bounding_box() for option in options.all()]
    assert [box["x"] for box in boxes] == sorted(box["x"] for box in boxes)
    assert len({round(box["y"] + box["height"]) for box in boxes}) == 1, "they stand on one line"
    heights = [box["height"] for box in boxes]
    assert heights[0] > heights[1] == heights[2] > heights[3] > heights[4] == heights[5], "higher with more rows"
    ready(page, f"{app.url}/?width=320")
    boxes = [option.bounding_box() for option in options.all()]
    widths = [box["width"] for box in boxes]
    assert widths[0] == pytest.approx(widths[1], abs=2), "as wide for as many channels in another part"
    assert widths[0] < widths[3] - 3 < widths[5] - 9, "wider with more channels"
    ready(page, app.url)
    legend = page.locator(".legend span").all_inner_texts()
    assert legend == ["plain", "residual"]
    assert len({option.evaluate("node => getComputedStyle(node).backgroundColor") for option in options.all()}) == 3, (
        "one colour for each kind, and the chosen one's"
    )
    page.get_by_role("button", name="Choose stem.conv").click()
    wait_for_python(page, "Python has stem.conv in run 2")
    assert len(requests) == 3, "the network travels once a visit, not with every choice"


def test_a_block_chooses_its_last_layer_and_a_chip_any_of_them(page: Any, app: RunningApp) -> None:
    ready(page, app.url)
    assert (chosen(page), lit(page), chips(page)) == ("stem.conv", ["stem"], ["conv", "relu"])
    page.get_by_role("option", name="layer1.0, residual block").click()
    assert (chosen(page), lit(page)) == ("layer1.0", ["layer1.0"]), "at once"
    wait_for_python(page, "Python has layer1.0 in run 2")
    assert chips(page) == ["conv1", "bn1", "layer1.0"], "names within the block, short"
    assert page.locator(".block").inner_text() == "layer1.0: residual block"
    page.get_by_role("button", name="conv1", exact=True).click()
    wait_for_python(page, "Python has layer1.0.conv1 in run 3")
    assert lit(page) == ["layer1.0"], "the same block"
    pressed = page.get_by_role("group", name="Layers of the block").get_by_role("button", pressed=True)
    assert pressed.all_inner_texts() == ["conv1"]
    facts = page.locator(".facts")
    assert re.sub(r"\s+", " ", facts.inner_text()) == "layer1.0.conv1 · Conv2d · 64 × 28 × 28 · stride 2 px"
    assert facts.get_attribute("aria-live") == "polite"
    active = page.get_by_role("listbox").first.get_attribute("aria-activedescendant")
    assert page.locator(f"#{active}").get_attribute("aria-selected") == "true"
    page.get_by_role("button", name="Choose stem.conv").click()
    wait_for_python(page, "Python has stem.conv in run 4")
    page.wait_for_selector('.loupe[data-selected="stem.conv"]')
    assert lit(page) == ["stem"], "the page's own choice replaces the click"


def test_a_block_without_layers_is_not_chosen(page: Any, app: RunningApp) -> None:
    ready(page, app.url)
    for name in ("layer1.1, residual block", "flatten, convolution"):
        option = page.get_by_role("option", name=name)
        assert option.get_attribute("aria-disabled") == "true"
        option.click(force=True)
    page.get_by_role("option", name="fc, convolution").click()
    wait_for_python(page, "Python has fc in run 2")
    assert page.get_by_role("option", name="fc, convolution").get_attribute("aria-disabled") is None
    page.get_by_role("listbox").first.focus()
    page.keyboard.press("ArrowLeft")
    assert chosen(page) == "layer2", "the keys go past it too"


def test_the_search_finds_words_of_names_and_of_facts(page: Any, app: RunningApp) -> None:
    ready(page, app.url)
    box = page.get_by_role("combobox", name="Find a layer")
    assert (box.get_attribute("aria-expanded"), page.locator(".found").is_visible()) == ("false", False)
    for text, names in {
        "LAYER1 conv": ["layer1.0.conv1"],
        "conv2D": ["stem.conv", "layer1.0.conv1", "layer2.0.conv1"],
        "batchnorm": ["layer1.0.bn1"],
        "scores linear": ["fc"],
        "layer2": ["layer2.0.conv1", "layer2.0", "layer2"],
        "64 basic": ["layer1.0"],
        "conv": ["stem.conv", "layer1.0.conv1", "layer2.0.conv1"],
        " ": [],
    }.items():
        box.fill(text)
        assert found(page) == names or (not names and page.locator(".found").is_hidden()), text
        assert box.get_attribute("aria-expanded") == str(bool(names)).lower()
    box.fill("st")  # "st" stands in "stem...", in "stride" and in "Stage"
    assert found(page) == ["stem.conv", "stem.relu", "layer1.0.conv1", "layer2"], "names that begin so come first"
    box.fill("nothing like it")
    assert page.locator(".found").inner_text() == "No layer of this page has all these words."
    page.keyboard.press("Enter")
    assert chosen(page) == "stem.conv" and page.get_by_text("in run 1").is_visible()
    box.fill("layer2.0")
    assert page.locator(".found .quiet").all_inner_texts() == ["Conv2d · 128 × 14 × 14", "BasicBlock · 128 × 14 × 14"]
    page.locator(".found [role=option]").nth(1).click()
    wait_for_python(page, "Python has layer2.0 in run 2")
    assert page.locator(".found").is_hidden() and box.input_value() == ""
    assert lit(page) == ["layer2.0"] and chips(page) == ["conv1", "layer2.0", "layer2"]


def test_the_search_is_walked_by_keys(page: Any, app: RunningApp) -> None:
    ready(page, app.url)
    box = page.get_by_role("combobox", name="Find a layer")
    box.fill("conv2d")
    marked = page.locator('.found [role=option][aria-selected="true"]')

    def at() -> str:
        """The name marked, which the box must point to."""
        assert marked.count() == 1
        assert marked.get_attribute("id") == box.get_attribute("aria-activedescendant")
        return str(marked.locator("span").first.inner_text())

    assert at() == "stem.conv"
    for key, name in (
        ("ArrowDown", "layer1.0.conv1"),
        ("ArrowDown", "layer2.0.conv1"),
        ("ArrowDown", "stem.conv"),
        ("ArrowUp", "layer2.0.conv1"),
        ("ArrowUp", "layer1.0.conv1"),
    ):
        page.keyboard.press(key)
        assert at() == name, key
    assert chosen(page) == "stem.conv", "looking is not choosing"
    page.keyboard.press("Escape")
    assert page.locator(".found").is_hidden()
    assert (box.input_value(), box.get_attribute("aria-expanded")) == ("", "false")
    assert box.get_attribute("aria-activedescendant") is None
    page.keyboard.press("Enter")
    assert chosen(page) == "stem.conv"
    box.fill("conv2d")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert chosen(page) == "layer1.0.conv1"
    wait_for_python(page, "Python has layer1.0.conv1 in run 2")
    assert page.locator(".found").is_hidden()
    box.fill("fc")
    page.locator(".block").click()
    page.locator(".found").wait_for(state="hidden")
    assert chosen(page) == "layer1.0.conv1", "leaving the box chooses nothing"


def test_arrow_keys_walk_blocks_and_layers(page: Any, app: RunningApp) -> None:
    ready(page, app.url)
    page.get_by_role("listbox").first.focus()
    for key, name in (
        ("ArrowLeft", "stem.conv"),
        ("ArrowUp", "stem.conv"),
        ("ArrowRight", "layer1.0"),
        ("ArrowRight", "layer2"),
        ("ArrowRight", "fc"),
        ("ArrowRight", "fc"),
        ("ArrowLeft", "layer2"),
        ("Home", "stem.relu"),
        ("End", "fc"),
    ):
        page.keyboard.press(key)
        assert chosen(page) == name, key
    page.keyboard.press("Home")
    page.keyboard.press("ArrowUp")
    for name in NAMES[1:]:
        page.keyboard.press("ArrowDown")
        assert chosen(page) == name, "in the order of execution, from block to block"
    page.keyboard.press("ArrowDown")
    assert chosen(page) == "fc"
    for name in NAMES[-2::-1]:
        page.keyboard.press("ArrowUp")
        assert chosen(page) == name
    page.keyboard.press("Control+ArrowDown")
    assert chosen(page) == "stem.conv", "keys of the browser are left alone"
    page.get_by_text(re.compile("^Python has stem.conv in run ")).wait_for()


def test_late_answers_do_not_move_the_choice_back(page: Any, app: RunningApp) -> None:
    ready(page, f"{app.url}/?slow=0.15")
    page.locator(".loupe").evaluate(
        "node => { window.seen = [node.dataset.selected];"
        "new MutationObserver(() => window.seen.push(node.dataset.selected))"
        ".observe(node, { attributes: true, attributeFilter: ['data-selected'] }); }"
    )
    page.get_by_role("listbox").first.focus()
    for _ in NAMES[1:]:
        page.keyboard.press("ArrowDown")
        page.wait_for_timeout(230)  # the answer to one key comes after the next key
    page.get_by_text(re.compile("^Python has fc in run ")).wait_for()
    seen = [NAMES.index(name) for name in page.evaluate("window.seen")]
    assert seen == sorted(seen) and seen[-1] == len(NAMES) - 1
    assert lit(page) == ["fc"]


def test_names_from_a_file_stay_text(page: Any, app: RunningApp) -> None:
    ready(page, f"{app.url}/?case=hostile")
    page.locator(".mark").nth(1).click()
    wait_for_python(page, f"Python has {HOSTILE_NAME}.conv in run 2")
    assert chips(page) == ["conv"]
    assert page.locator(".part > .quiet").all_inner_texts() == ["stem", HOSTILE_NAME]
    assert page.locator(".block").inner_text() == f"{HOSTILE_NAME}: residual block"
    assert page.locator(".mark").nth(1).get_attribute("title") == f"{HOSTILE_NAME}: residual block"
    assert page.locator(".layers button").get_attribute("title") == f"{HOSTILE_NAME}.conv: {HOSTILE_FACTS}"
    assert page.locator(".facts").inner_text().endswith(HOSTILE_FACTS)
    page.get_by_role("combobox").fill("onerror bold")
    option = page.locator(".found [role=option]")
    assert option.locator("span").all_inner_texts() == [f"{HOSTILE_NAME}.conv", HOSTILE_FACTS]
    assert page.locator(".loupe img, .loupe b, .loupe a").count() == 0
    assert page.title() != "taken"


@pytest.mark.parametrize("width", [900, 420])
def test_eighty_blocks_fit(page: Any, app: RunningApp, width: int) -> None:
    ready(page, f"{app.url}/?case=long&width={width}")
    strip = page.locator(".strip")
    room = page.locator(".loupe").bounding_box()
    assert room["width"] <= width
    assert strip.bounding_box()["width"] <= room["width"] + 0.5
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page itself does not scroll"
    assert strip.evaluate("node => node.scrollHeight <= node.clientHeight + 1"), "nor the strip upwards"
    boxes = [mark.bounding_box() for mark in page.locator(".mark").all()]
    assert len(boxes) == 80 and min(box["width"] for box in boxes) >= 6.9
    assert all(first["x"] + first["width"] <= second["x"] for first, second in pairwise(boxes)), (
        "no block lies on another"
    )
    rows = [
        strip,
        page.locator(".line"),
        page.locator(".below"),
        page.locator(".facts"),
        page.get_by_text("Python has"),
    ]
    edges = [row.bounding_box() for row in rows]
    assert all(above["y"] + above["height"] <= below["y"] for above, below in pairwise(edges))
    page.locator(".strip").focus()
    page.keyboard.press("End")
    assert chosen(page) == "layer4.15.conv2"
    last, shown = page.locator(".mark").last.bounding_box(), strip.bounding_box()
    assert last["x"] >= shown["x"] and last["x"] + last["width"] <= shown["x"] + shown["width"], "scrolled into view"
    page.get_by_role("combobox").fill("layer2.1 conv1")
    page.keyboard.press("Enter")
    assert chosen(page) == "layer2.1.conv1"
    page.get_by_text("Python has layer2.1.conv1").wait_for()
    assert page.evaluate("scrollY") == 0

"""A person's way through the Activations page in a real Chromium; what is shown is compared with numpy's."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from interpret.activations import activations, class_links
from interpret.datasets import PictureSource, open_source, sample_picture
from interpret.datasets.sources import shapes_source
from interpret.images import InputImage
from interpret.kernels import unit_kernel
from interpret.loading import load_model
from interpret.model import LoadedModel
from interpret.pixels import unit_at
from interpret.units import ablate_over, without_unit
from tests.ui.browser import RunningApp, chromium_page, open_app, pick, running_app, settle
from tests.ui.test_journey import DATA, REPOSITORY, WAIT, upload_picture

REAL = DATA / "weights" / "resnet18_imagenet_ktb.safetensors"
PICTURES = 500
"""How many drawn pictures a card looks at first for the bundled network."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The app, with the real network among its fetched checkpoints where there is one."""
    home = tmp_path_factory.mktemp("home")
    if REAL.is_file():
        (home / "checkpoints").mkdir()
        (home / "checkpoints" / REAL.name).symlink_to(REAL)
    with running_app(REPOSITORY / "app.py", environment={"LOUPE_HOME": str(home)}) as running:
        yield running
        assert "Traceback" not in running.log.read_text()


@pytest.fixture
def page(app: RunningApp, browser: Any) -> Iterator[Any]:
    with watched(app, browser) as opened:
        yield opened


class watched:
    """A page with an empty profile that must have stayed without console errors and requests to other hosts."""

    def __init__(self, app: RunningApp, browser: Any, **how: Any) -> None:
        self.app, self.opening = app, chromium_page(browser, **how)

    def __enter__(self) -> Any:
        self.page = self.opening.__enter__()
        return self.page

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.opening.__exit__(kind, error, trace)
        if kind is None:
            assert self.page.watch.errors == []
            assert self.page.watch.hosts <= {self.app.url.removeprefix("http://")}


@cache
def network() -> LoadedModel:
    return load_model(REPOSITORY / "checkpoints" / "shapes-clean.safetensors")


@cache
def drawn() -> PictureSource:
    return shapes_source(PICTURES)


def maps(layer: str, picture: str = "heart") -> NDArray[np.float32]:
    return activations(network(), sample_picture(picture), [layer])[0].values


# ---- what the page shows ------------------------------------------------------------------------------------------


def visit(page: Any, app: RunningApp, query: str) -> None:
    open_app(page, f"{app.url}/activation-maps?{query}")
    grid(page).wait_for(timeout=WAIT)
    page.locator('.loupe[data-state="ready"] .panes').wait_for(timeout=WAIT)


def grid(page: Any, nth: int = 0) -> Any:
    return page.locator('.loupe[data-state="ready"]', has=page.locator(".scroller")).nth(nth)


def order(page: Any, nth: int = 0) -> list[int]:
    """The first 64 channels in the order shown."""
    return [int(channel) for channel in grid(page, nth).get_attribute("data-order").split()]


def tile(page: Any, channel: int, nth: int = 0) -> tuple[float, float]:
    """Middle of a channel's tile on the page."""
    grid(page, nth).locator(".scroller").scroll_into_view_if_needed()
    data = grid(page, nth).evaluate("node => ({...node.dataset, top: node.querySelector('.scroller').scrollTop})")
    box = grid(page, nth).locator(".scroller").bounding_box()
    line, column = divmod(order(page, nth).index(channel), int(data["columns"]))
    side = int(data["tile"])
    x = box["x"] + 4 + column * float(data["pitch"]) + side / 2
    return x, box["y"] + 4 + line * (side + 4) + side / 2 - float(data["top"])


def sort(page: Any, title: str, nth: int = 0) -> None:
    grid(page, nth).get_by_label("Sort").select_option(label=title)


def wait_for_map(page: Any, title: str, pane: int = 0) -> None:
    """Until the large map has that title."""
    page.locator(".panes .pane").nth(pane).locator(".title").get_by_text(title, exact=True).wait_for(timeout=WAIT)


def stage(page: Any, row: int, column: int, shape: tuple[int, ...], pane: int = 0) -> tuple[float, float]:
    """Middle of a place of a large map on the page."""
    page.locator(".stage").nth(pane).scroll_into_view_if_needed()
    box = page.locator(".stage").nth(pane).bounding_box()
    return box["x"] + (column + 0.5) / shape[-1] * box["width"], box["y"] + (row + 0.5) / shape[-2] * box["height"]


def wait_for_card(page: Any, layer: str, channel: int) -> Any:
    """The card, once it is that unit's; the address must say the same."""
    card = page.locator(".st-key-unit-card")
    card.get_by_text(f"Unit {channel:,} of {layer}", exact=True).wait_for(timeout=WAIT)
    page.wait_for_url(re.compile(rf"layer={re.escape(layer)}&channel={channel}&.*card=open"), timeout=WAIT)
    return card


def button(card: Any, name: str) -> Any:
    """One of its buttons: "back", "on", "shut". Streamlit holds two of each, one of them for small screens."""
    return card.locator(f".st-key-card-{name} button:visible")


def wait_for_pass(card: Any) -> None:
    """Until the pass over the data set is through."""
    card.get_by_text("Which classes excite it").wait_for(timeout=WAIT)
    settle(card.page)
    card.locator('img[alt$=": the part that excites the channel"]').last.wait_for(timeout=WAIT)


def crops(card: Any) -> list[tuple[str, float, str]]:
    """What is under each crop: (name of the picture, its maximum, its class); the greatest eight, then the spread."""
    figures = card.locator("figure", has=card.page.locator('img[alt$=": the part that excites the channel"]'))
    found = []
    for figure in figures.all():
        value, label = figure.locator("div").all_inner_texts()
        name = figure.locator("img").get_attribute("alt").partition(": the part")[0]
        found.append((name, real(value), label))
    return found


def cells(card: Any, nth: int) -> list[list[str]]:
    """A table of the card, its head first; what screen readers are given of it."""
    table = card.locator('[data-testid="stDataFrame"]').nth(nth)
    table.scroll_into_view_if_needed()
    table.locator("table [role=gridcell]").first.wait_for(state="attached", timeout=WAIT)
    head = table.locator("table [role=columnheader]").all_text_contents()
    body = table.locator("table [role=gridcell]").all_text_contents()
    return [head, *(body[at : at + len(head)] for at in range(0, len(body), len(head)))]


def real(text: str) -> float:
    """A number as the page writes it."""
    return float(text.replace("\u2212", "-").replace(",", "").replace("\u00a0", "").rstrip("%."))


def near(expected: float) -> Any:
    """As near as three digits come."""
    return pytest.approx(expected, rel=6e-3, abs=2e-6)


def is_a_picture(image: Any) -> NDArray[np.int16]:
    """The pixels of an image that says something."""
    image.scroll_into_view_if_needed()
    image.evaluate("node => node.decode()")
    found = np.asarray(Image.open(io.BytesIO(image.screenshot())).convert("RGB"), np.int16)
    assert found.std() > 5, f"{image.get_attribute('alt')}: a picture that says nothing"
    return found


def check_crops(card: Any, model: LoadedModel, source: PictureSource, layer: str, channel: int, top: int) -> None:
    """The numbers under the crops are the maxima of the pictures named, greatest first, then from least to most."""
    found = crops(card)
    best, spread = [value for _, value, _ in found[:top]], [value for _, value, _ in found[top:]]
    assert len(best) == top and best == sorted(best, reverse=True)
    assert 2 <= len(spread) <= 6 and spread == sorted(spread)
    assert spread[-1] == best[0], "the ends of the spread are the least and the greatest"
    for name, value, label in (found[0], found[top - 1], found[top]):
        index = source.names.index(name)
        answer = activations(model, source.read(index), [layer])[0].values[channel]
        assert value == near(float(answer.max())), f"{name} under {layer} {channel}"
        if source.labels[index] >= 0:
            assert label == source.classes[source.labels[index]]


def check_without(card: Any, model: LoadedModel, image: InputImage, layer: str, channel: int) -> None:
    """The table of ablations on the picture at hand."""
    head, *rows = cells(card, 0)
    best = model.predict([image])[0].top(1)[0]
    assert head == ["on this picture", f"probability of {model.labels[best][:40]}", "the network says"]
    assert [row[0] for row in rows] == ["unchanged", "set to zero", "set to its mean"]
    for row, prediction in zip(
        rows, (model.predict([image])[0], without_unit(model, image, layer, channel)), strict=False
    ):
        assert real(row[1]) == pytest.approx(100 * float(prediction.probabilities[best]), abs=0.06)
        assert row[2] == model.labels[prediction.top(1)[0]]


# ---- the journey --------------------------------------------------------------------------------------------------


def test_from_the_network_to_a_channel_to_its_card(app: RunningApp, browser: Any, page: Any) -> None:
    model, layer = network(), "layer2.1"
    visit(page, app, "")
    page.get_by_role("option", name="layer2.1, residual block, basic").click()
    page.wait_for_url(re.compile(r"layer=layer2\.1&channel=0&"), timeout=WAIT)
    wait_for_map(page, "Channel 0 of layer2.1, heart")
    values = maps(layer)
    links = class_links(model, sample_picture("heart"), layer, model.labels.index("heart"))
    for title, numbers in (("Link to heart", links), ("Max", values.max((1, 2))), ("Mean", values.mean((1, 2)))):
        sort(page, title)
        assert order(page)[0] == int(numbers.argmax()), title
        assert order(page) == np.argsort(-numbers, kind="stable")[:64].tolist(), title
    walked = order(page)

    grid(page).locator(".scroller").focus()
    for key, place in (("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1)):
        page.keyboard.press(key)
        wait_for_map(page, f"Channel {walked[place]} of layer2.1, heart")
    page.wait_for_url(re.compile(f"channel={walked[1]}&"), timeout=WAIT)
    page.get_by_text(f"Channel {walked[1]} is number 2 of 32 by mean").wait_for(timeout=WAIT)
    assert page.locator(".st-key-unit-card").count() == 0, "arrow keys open no card"

    channel = walked[2]
    page.mouse.click(*tile(page, channel))
    card = wait_for_card(page, layer, channel)
    where = np.unravel_index(values[channel].argmax(), values[channel].shape)
    said = card.get_by_text(re.compile("^On heart: max ")).inner_text()
    assert f"at row {where[0]}, column {where[1]}" in said and "number 3 of 32 by mean" in said
    assert real(re.findall(r"max (\S+) at", said)[0]) == near(float(values[channel].max()))
    linked = card.get_by_text(re.compile("^Link to heart: ")).inner_text()
    assert real(re.findall(r": (\S+) of", linked)[0]) == near(float(links[channel]))

    wait_for_pass(card)
    check_crops(card, model, drawn(), layer, channel, top=8)
    card.get_by_text("From least to most").wait_for()
    check_without(card, model, sample_picture("heart"), layer, channel)
    head, *rows = cells(card, 1)
    assert head == ["class", "pictures", "mean", "± sd", "AUC"]
    areas = [float(row[4]) for row in rows]
    assert sorted(row[0] for row in rows) == sorted(model.labels) and sum(int(row[1]) for row in rows) == PICTURES
    assert areas == sorted(areas, reverse=True) and 0 <= areas[-1] < areas[0] <= 1
    card.get_by_text(re.compile("^Drives it up: ")).wait_for(timeout=WAIT)
    card.get_by_text(re.compile("^Drives it down: ")).wait_for(timeout=WAIT)
    grown = card.get_by_alt_text("A picture grown by gradient ascent")
    assert grown.count() == 2
    assert np.abs(is_a_picture(grown.nth(0)) - is_a_picture(grown.nth(1))).mean() > 5

    kernel = unit_kernel(model, layer, channel)
    assert kernel is not None and kernel.inputs[0].layer == "layer2.1.relu1"
    first = kernel.inputs[0]
    card.get_by_text(
        f"Channel {kernel.channel} of {kernel.layer.name}: 3 × 3 weights for each of 32 inputs."
    ).wait_for()
    told = [figure.inner_text() for figure in card.locator("figure", has_text="norm ").all()]
    assert [real(text.removeprefix("norm ")) for text in told] == [near(each.strength) for each in kernel.inputs[:8]]

    left = page.url
    with watched(app, browser) as other:
        open_app(other, left)
        again = wait_for_card(other, layer, channel)
        wait_for_pass(again)
        assert again.get_by_text(re.compile("^On heart: max ")).inner_text() == said
        assert crops(again) == crops(card) and other.url == left

    card.get_by_role("link", name=f"relu1 · {first.channel}", exact=True).click()
    followed = wait_for_card(page, "layer2.1.relu1", first.channel)
    wait_for_map(page, f"Channel {first.channel} of layer2.1.relu1, heart")
    assert page.locator(".loupe[data-selected='layer2.1.relu1']").count() == 1, "the strip follows"
    page.go_back()
    wait_for_card(page, layer, channel)
    wait_for_map(page, f"Channel {channel} of layer2.1, heart")
    assert followed.count() == 1


def test_the_buttons_of_the_card_and_its_measurement(app: RunningApp, page: Any) -> None:
    model, layer = network(), "layer2.1"
    visit(page, app, f"layer={layer}&channel=0&card=open")
    card = wait_for_card(page, layer, 0)
    back, on, shut = (button(card, name) for name in ("back", "on", "shut"))
    assert back.is_disabled()
    on.click()
    wait_for_card(page, layer, 1)
    wait_for_map(page, "Channel 1 of layer2.1, heart")
    page.locator('.loupe[data-selected="1"]').wait_for(timeout=WAIT)
    page.mouse.click(*tile(page, 31))
    wait_for_card(page, layer, 31)
    assert on.is_disabled()
    back.click()
    wait_for_card(page, layer, 30)
    wait_for_pass(card)

    card.get_by_role("button", name="Measure it over 200 pictures of Shapes").click()
    said = card.get_by_text(re.compile(r"^Of 200 predictions so many change: zero \d+, its mean \d+\.$"))
    said.wait_for(timeout=WAIT)
    settle(page)
    job = ablate_over(model, shapes_source(200), layer, 30, {"zero": 0.0})
    try:
        while True:
            next(job)
    except StopIteration as stop:
        found = stop.value
    assert f"zero {int(found.flipped[0])}," in said.inner_text()
    head, *rows = cells(card, 1)
    assert head == ["class", "pictures", "accuracy", "zero", "its mean"]
    assert len(rows) >= 5, "those in view"
    for row in rows:
        at = model.labels.index(row[0])
        assert float(row[2]) == pytest.approx(float(found.accuracy[at]), abs=1e-3)
        assert float(row[3]) == pytest.approx(float(found.changed_accuracy[0][at]), abs=1e-3)
    drops = [float(row[3]) - float(row[2]) for row in rows]
    assert drops == sorted(drops), "what suffers most comes first"

    shut.click()
    card.wait_for(state="detached", timeout=WAIT)
    page.wait_for_url(lambda url: "card=" not in url and "channel=30&" in url, timeout=WAIT)
    page.mouse.click(*tile(page, 30))  # it is the chosen one already
    wait_for_card(page, layer, 30)


def test_a_place_is_pinned_and_explained(app: RunningApp, page: Any) -> None:
    model, layer, (row, column) = network(), "layer2.1.conv2", (12, 9)
    visit(page, app, "layer=layer2.1&channel=7")
    page.get_by_role("button", name="conv2", exact=True).click()
    wait_for_map(page, "Channel 0 of layer2.1.conv2, heart")
    page.mouse.click(*tile(page, 6))
    card = wait_for_card(page, layer, 6)
    button(card, "shut").click()
    card.wait_for(state="detached", timeout=WAIT)
    settle(page)
    page.mouse.click(*stage(page, row, column, maps(layer).shape))
    page.wait_for_url(re.compile(rf"place={row}(%2C|,){column}"), timeout=WAIT)
    found = unit_at(model, sample_picture("heart"), layer, 6, row, column)
    assert found.arithmetic is not None and found.box is not None
    heading = page.get_by_role("heading", name=f"Row {row}, column {column} of channel 6")
    heading.wait_for(timeout=WAIT)
    assert real(heading.inner_text().rpartition(": ")[2]) == near(found.value)
    settle(page)
    wide, high = found.box[2] - found.box[0], found.box[3] - found.box[1]
    page.get_by_text(f"Receptive field: {wide} × {high} px can change this value").wait_for(timeout=WAIT)
    is_a_picture(page.get_by_alt_text("The picture with the receptive field outlined"))
    is_a_picture(page.get_by_alt_text("The influence of each pixel on the value"))
    spread = page.get_by_text(re.compile("half of it lies in")).inner_text()
    assert real(re.findall(r"lies in (\S+)", spread)[0]) == pytest.approx(100 * found.concentration, abs=0.06)

    said = page.locator("p", has_text="Patch × kernel, summed").inner_text()
    assert "3 × 3 places of 32 input channels" in said
    sums, bias, total, network_says = re.findall(
        r"channels\. (\S+) \+ bias (\S+) = (\S+); the network says (\S+)\.$", said
    )[0]
    assert real(network_says) == near(float(maps(layer)[6, row, column]))
    assert real(sums) + real(bias) == pytest.approx(real(total), rel=2e-2)
    assert total == network_says
    products = found.arithmetic.products.sum((1, 2))
    first = np.argsort(-np.abs(products), kind="stable")[:5]
    shown = [text.removeprefix("= ") for text in page.locator("figure", has_text="= ").all_inner_texts()]
    assert [real(text) for text in shown] == [near(float(products[at])) for at in first]
    inputs = page.locator("figure", has=page.get_by_alt_text("Patch")).all_inner_texts()
    assert inputs == [f"input {at}" for at in first]
    rest = page.get_by_text("The 5 inputs that count most here; the other 27 add").inner_text()
    assert real(rest.split()[-1]) == pytest.approx(float(np.delete(products, first).sum()), rel=1e-2, abs=1e-5)

    page.mouse.click(*stage(page, row, column, maps(layer).shape))  # the same place again: no longer pinned
    heading.wait_for(state="detached", timeout=WAIT)
    page.wait_for_url(lambda url: "place=" not in url, timeout=WAIT)
    visit(page, app, f"layer=layer2.1&channel=3&place={row},{column}")
    page.get_by_text("layer2.1 is no convolution, so there is no patch and kernel to multiply.").wait_for(timeout=WAIT)
    place = page.get_by_role("heading", name=f"Row {row}, column {column} of channel 3").inner_text()
    assert real(place.rpartition(": ")[2]) == near(float(maps("layer2.1")[3, row, column]))


def test_two_pictures_and_two_layers_stand_under_one_cursor(app: RunningApp, page: Any) -> None:
    visit(page, app, "layer=layer2.1&channel=4&beside=picture/sample/star")
    grid(page, 1).wait_for(timeout=WAIT)
    wait_for_map(page, "Channel 4 of layer2.1, heart", 0)
    wait_for_map(page, "Channel 4 of layer2.1, star", 1)
    assert page.locator(".scroller").count() == page.locator(".stage").count() == 2
    for pane, (row, column) in ((0, (5, 7)), (1, (20, 11))):
        page.mouse.move(*stage(page, row, column, (32, 32), pane))
        page.locator(f'.loupe[data-hover="{row},{column}"]').wait_for(timeout=WAIT)
        cursors = [page.locator(".stage").nth(at).get_attribute("data-cursor") for at in (0, 1)]
        assert cursors == [f"{row},{column}"] * 2
        tip = page.locator(".loupe", has=page.locator(".panes")).locator(".tip").inner_text()
        values = [real(text) for text in re.findall(rf"Row {row}, column {column}: (\S+)", tip)]
        assert values == [near(float(maps("layer2.1", name)[4, row, column])) for name in ("heart", "star")]
    page.mouse.move(*tile(page, 9, 1))
    page.locator('.loupe[data-hovered="9"]').nth(1).wait_for(timeout=WAIT)
    both = np.concatenate([maps("layer2.1", name).ravel() for name in ("heart", "star")])
    for at in (0, 1):
        assert real(grid(page, at).locator(".ends").inner_text().split()[-1]) == near(float(both.max()))
    page.mouse.click(*tile(page, 14, 1))
    wait_for_map(page, "Channel 14 of layer2.1, heart", 0)
    wait_for_map(page, "Channel 14 of layer2.1, star", 1)
    page.wait_for_url(re.compile(r"channel=14&"), timeout=WAIT)
    page.mouse.click(*tile(page, 9))
    wait_for_card(page, "layer2.1", 9)
    wait_for_map(page, "Channel 9 of layer2.1, star", 1)
    button(page, "shut").click()
    page.locator(".st-key-unit-card").wait_for(state="detached", timeout=WAIT)

    settle(page)
    pick(page, "Compare", "Beside another layer")
    page.wait_for_url(re.compile(r"beside=layer(%2F|/)layer3(%2F|/)0"), timeout=WAIT)
    wait_for_map(page, "Channel 9 of layer2.1, heart", 0)
    wait_for_map(page, "Channel 0 of layer3, heart", 1)
    page.mouse.click(*tile(page, 12, 1))
    page.wait_for_url(re.compile(r"channel=9&.*beside=layer(%2F|/)layer3(%2F|/)12"), timeout=WAIT)
    wait_for_map(page, "Channel 12 of layer3, heart", 1)
    page.mouse.move(*stage(page, 3, 15, (16, 16), 1))
    page.locator('.stage[data-cursor="3,15"]').wait_for(timeout=WAIT)
    assert page.locator(".stage").nth(0).get_attribute("data-cursor") == "7,31", "its middle, among twice as many"
    wait_for_map(page, "Channel 9 of layer2.1, heart", 0)


ASKED_FOR_NONSENSE = {
    "layer=layer2.1&channel=99999&place=999,999&card=open&beside=nonsense": [
        "Unit 31 of layer2.1",
        "Channel 31 of layer2.1, heart",
    ],
    "layer=nosuch&channel=-5&card=open&data=nosuch&beside=picture/<img src=x onerror=alert(1)>": [
        '"nosuch" cannot be drawn as maps. Shown: layer3.',
        'Data set "nosuch" is not in the library.',
        'Picture "<img src=x onerror=alert(1)>" is not in the library.',
        "Channel 0 of layer3, heart",
    ],
    "channel=--5&place=-1,x&beside=layer/nosuch/99": ["Channel 0 of layer3, heart", "Channel 63 of layer3, heart"],
    "channel=²&beside=picture/sample/nosuch": [
        'Sample picture "nosuch" is not in the samples.',
        "Channel 0 of layer3, heart",
    ],
    "place=²,1&beside=layer/layer1/²": ["Channel 0 of layer3, heart", "Channel 0 of layer1, heart"],
}
"""Addresses that ask for what is not there, and what is to be read then."""


def test_an_address_that_asks_for_nonsense_gets_a_sentence_or_the_nearest_screen(app: RunningApp, page: Any) -> None:
    failed = []
    for query, said in ASKED_FOR_NONSENSE.items():
        page.goto(f"{app.url}/activation-maps?{query}")
        try:
            for text in said:
                page.locator('[data-testid="stMain"]').get_by_text(text).first.wait_for(timeout=WAIT)
        except Exception as reason:  # Playwright's own kinds, imported only where a browser is
            failed.append((query, str(reason)))
        settle(page)
        shown = page.locator('[data-testid="stApp"]').inner_text()
        failed += [(query, bad) for bad in ("Traceback", "went wrong", "encountered an error") if bad in shown]
        if "place=" in page.url:
            failed.append((query, "a place that is not there stays in the address"))
    assert failed == []
    assert page.locator('img[src="x"]').count() == 0


def test_two_people_at_once_get_their_own_cards(app: RunningApp, browser: Any) -> None:
    asked = (("layer1.1", 4, "heart"), ("layer3.2", 9, "star"))
    with watched(app, browser) as first, watched(app, browser) as second:
        for page, (layer, channel, picture) in zip((first, second), asked, strict=True):
            page.goto(f"{app.url}/activation-maps?layer={layer}&channel={channel}&picture=sample/{picture}&card=open")
        for page, (layer, channel, picture) in zip((first, second), asked, strict=True):
            card = wait_for_card(page, layer, channel)
            wait_for_pass(card)
            said = card.get_by_text(re.compile(f"^On {picture}: max ")).inner_text()
            assert real(re.findall(r"max (\S+) at", said)[0]) == near(float(maps(layer, picture)[channel].max()))
            check_crops(card, network(), drawn(), layer, channel, top=8)
            wait_for_map(page, f"Channel {channel} of {layer}, {picture}")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_card_is_light_or_dark_as_the_page_is(app: RunningApp, browser: Any, theme: str) -> None:
    with watched(app, browser, color_scheme=theme, width=1600, height=1000) as page:
        visit(page, app, "layer=layer2.1&channel=30&card=open")
        card = wait_for_card(page, "layer2.1", 30)
        box = card.bounding_box()
        assert box["x"] + box["width"] == 1600 and box["height"] == 1000
        main = page.locator(".stMainBlockContainer > *").first.bounding_box()
        assert main["x"] + main["width"] <= box["x"], "the card covers nothing"
        shade = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"))
        rim, ground = shade[100:900, int(box["x"]) + 6 : int(box["x"]) + 14], shade[2:12, 600:900]
        for part in (rim, ground):
            assert np.median(part) > 200 if theme == "light" else np.median(part) < 60
        word = card.get_by_text(re.compile("^On heart")).evaluate("node => getComputedStyle(node).color")
        bright = np.mean([float(number) for number in re.findall(r"[\d.]+", word)[:3]])
        assert bright < 100 if theme == "light" else bright > 180, "words stand out from the ground"


@pytest.mark.skipif(not REAL.is_file(), reason="needs the real weights and photographs of ../shared/data")
def test_a_real_network_and_a_real_photograph(app: RunningApp, page: Any) -> None:
    model, layer = load_model(REAL), "layer3.0.conv1"
    zebra = DATA / "demo" / "zebra.jpg"
    image = InputImage.from_bytes(zebra.read_bytes(), zebra.name)
    folder = DATA / "demo"
    visit(page, app, f"checkpoint=fetched/{REAL.name}&data=path/{folder}")
    upload_picture(page, zebra)
    page.get_by_role("combobox", name="Find a layer").fill("layer3.0 CONV1")
    page.keyboard.press("Enter")
    wait_for_map(page, "Channel 0 of layer3.0.conv1, zebra.jpg")
    values = activations(model, image, [layer])[0].values
    best = model.predict([image])[0].top(1)[0]
    links = class_links(model, image, layer, best)
    assert model.labels[best] == "zebra"
    for title, numbers in (("Max", values.max((1, 2))), ("Link to zebra", links)):
        sort(page, title)
        shown = numbers[order(page)]
        assert order(page)[0] == int(numbers.argmax()), title
        assert (np.diff(shown) <= 0).all(), title
    channel = int(links.argmax())
    page.mouse.click(*tile(page, channel))
    card = wait_for_card(page, layer, channel)
    said = card.get_by_text(re.compile("^Link to zebra: ")).inner_text()
    assert real(re.findall(r": (\S+) of", said)[0]) == near(float(links[channel]))
    wait_for_pass(card)
    source = open_source(str(folder))
    check_crops(card, model, source, layer, channel, top=min(8, len(source)))
    check_without(card, model, image, layer, channel)
    assert cells(card, 1)[0][1:] == ["pictures", "mean", "± sd", "AUC"]
    page.mouse.click(*stage(page, 6, 8, values.shape))
    heading = page.get_by_role("heading", name=f"Row 6, column 8 of channel {channel}")
    heading.wait_for(timeout=WAIT)
    text = page.locator("p", has_text="Patch × kernel, summed").inner_text()
    assert "of 128 input channels" in text
    assert real(re.findall(r"the network says (\S+)\.$", text)[0]) == near(float(values[channel, 6, 8]))

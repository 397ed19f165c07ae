"""The view "Across layers" of the Filters page: rows, what stands beside them, where they lead, and the address."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from interpret import complete, load_model
from interpret.activations import activations
from interpret.architectures import architecture
from interpret.datasets import open_source, sample_names, sample_picture
from interpret.filters import FilterParams, filter_images
from interpret.model import LoadedModel
from tests.ui.browser import RunningApp, chromium_page, open_app, pick, running_app, settle
from tests.ui.test_journey import REPOSITORY, WAIT, pixels

CLEAN, SHORTCUT = (REPOSITORY / "checkpoints" / f"shapes-{name}.safetensors" for name in ("clean", "shortcut"))
ACROSS = "filter-pictures?checkpoint=bundled/shapes-clean.safetensors&view=across&drawing=steps=16"
BOTH = f"{ACROSS}&versus=bundled/shapes-shortcut.safetensors"
UNTRAINED = f"{CLEAN.name}, untrained"


def network(key: str, seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return dict(architecture(key).build(10, 3, False).state_dict())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of another architecture, and two files with two networks each, as if they had been fetched."""
    home = tmp_path_factory.mktemp("home")
    (home / "checkpoints").mkdir()
    save_file(network("cifar_resnet32", 0), home / "checkpoints" / "other.safetensors")
    for number in (1, 2):
        whole = {"model": network("cifar_resnet20", number), "ema": network("cifar_resnet20", 10 * number)}
        torch.save(whole, home / "checkpoints" / f"pair{number}.pt")
    return home


@pytest.fixture(scope="module")
def app(home: Path) -> Iterator[RunningApp]:
    with running_app(REPOSITORY / "app.py", environment={"LOUPE_HOME": str(home)}) as running:
        yield running


def drawn(page: Any, layer: str, name: str, count: int = 0) -> list[int]:
    """The channels of a layer's row, once it is drawn and stays as it is, in the order in which they stand.

    Args:
        page: where.
        layer, name: whose row, of which checkpoint.
        count: how many are waited for; any number if 0.
    """
    row = page.locator(f'img[alt^="Channel"][alt$="of {layer}, {name}"]')
    before: list[str] = []
    deadline = time.monotonic() + 2 * WAIT / 1000
    while time.monotonic() < deadline:
        row.first.wait_for(timeout=2 * WAIT)
        settle(page)
        now = row.evaluate_all("images => images.map(image => image.alt)")
        if now and now == before and len(now) in (count or len(now),):
            break
        before = now
        page.wait_for_timeout(300)
    return [int(re.findall(r"\d+", alt)[0]) for alt in now]


def cell(page: Any, alt: str) -> Any:
    """A picture with what stands under it."""
    image = page.locator(f'img[alt="{alt}"]')
    return page.locator('[data-testid="stVerticalBlock"]').filter(has=image).last


def reached(page: Any, alt: str) -> float:
    said = page.locator("figure", has=page.locator(f'img[alt="{alt}"]')).inner_text()
    return float(said.split(",")[0])


def expected(model: LoadedModel, layer: str, channels: list[int], **how: Any) -> Any:
    return complete(filter_images(model, layer, channels, FilterParams(**{"steps": 16, **how})))


def asked(page: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def test_two_checkpoints_across_layers(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/{BOTH}")
    model = load_model(CLEAN)
    for layer in ("relu", "layer1.2", "layer2.2", "layer3.2"):
        channels = drawn(page, layer, CLEAN.name)
        assert channels == drawn(page, layer, SHORTCUT.name)
        means = activations(model, sample_picture("heart"), [layer])[0].values.mean((1, 2))
        assert sorted(channels) == sorted(np.argsort(-means)[:4].tolist())
    assert page.locator('img[alt^="Kernel"]').count() == 2 * 12
    tops = []
    for channel in channels:
        left, right = (
            page.locator(f'img[alt="Channel {channel} of layer3.2, {name}"]').bounding_box()
            for name in (CLEAN.name, SHORTCUT.name)
        )
        assert left["y"] == right["y"] and left["width"] == right["width"]
        tops.append((left["x"], right["x"]))
    assert max(left for left, _ in tops) < min(right for _, right in tops)
    assert len({right - left for left, right in tops}) == 1, "the same channel stands at the same place"
    wanted = expected(load_model(SHORTCUT), "layer3.2", channels)
    for channel, value in zip(channels, wanted.reached, strict=True):
        found = reached(page, f"Channel {channel} of layer3.2, {SHORTCUT.name}")
        assert found == pytest.approx(float(value), rel=0.02)


def test_on_a_narrow_screen_they_stand_under_each_other(app: RunningApp, browser: Any) -> None:
    with chromium_page(browser, width=640) as page:
        open_app(page, f"{app.url}/{BOTH}&rows=4,layer1.2")
        channel = drawn(page, "layer1.2", CLEAN.name)[0]
        drawn(page, "layer1.2", SHORTCUT.name)
        left, right = (
            page.locator(f'img[alt="Channel {channel} of layer1.2, {name}"]').bounding_box()
            for name in (CLEAN.name, SHORTCUT.name)
        )
        assert left["x"] == right["x"] and left["y"] < right["y"]
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert page.watch.errors == []


def test_a_picture_leads_to_its_channel_and_to_its_card(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/{BOTH}&rows=4,layer2.2")
    channel = drawn(page, "layer2.2", CLEAN.name)[2]
    drawn(page, "layer2.2", SHORTCUT.name)
    page.evaluate("window.here = true")
    cell(page, f"Channel {channel} of layer2.2, {CLEAN.name}").get_by_role("button", name=str(channel)).click()
    large = f"Picture that excites channel {channel} of layer2.2"
    shown = pixels(page, large)
    wanted = expected(load_model(CLEAN), "layer2.2", [channel])
    assert np.abs(shown - (wanted.pictures[0] * 255).round()).mean() < 2
    settle(page)
    said = asked(page)
    assert "view" not in said and (said["layer"], said["channel"]) == ("layer2.2", str(channel))
    assert page.evaluate("window.here"), "the page was loaded again"
    page.go_back()
    drawn(page, "layer2.2", SHORTCUT.name)
    cell(page, f"Channel {channel} of layer2.2, {SHORTCUT.name}").get_by_role("link", name="Card").click()
    page.get_by_text("Drives it up", exact=False).wait_for(timeout=2 * WAIT)
    settle(page)
    said = asked(page)
    assert "/activation-maps" in page.url and said["card"] == "open" and said["channel"] == str(channel)
    assert (said["checkpoint"], said["versus"]) == (f"bundled/{SHORTCUT.name}", f"bundled/{CLEAN.name}")
    page.go_back()
    drawn(page, "layer2.2", SHORTCUT.name)
    cell(page, f"Channel {channel} of layer2.2, {SHORTCUT.name}").get_by_role("button", name=str(channel)).click()
    page.get_by_text(f"{SHORTCUT.name}, Fourier, 16 steps", exact=False).wait_for(timeout=WAIT)
    wanted = expected(load_model(SHORTCUT), "layer2.2", [channel])
    assert np.abs(pixels(page, large) - (wanted.pictures[0] * 255).round()).mean() < 2
    page.go_back()
    drawn(page, "layer2.2", SHORTCUT.name)
    cell(page, f"Kernel 3 of conv1, {CLEAN.name}").get_by_role("button", name="3").click()
    pixels(page, "Picture that excites channel 3 of conv1")
    assert page.evaluate("window.here"), "the page was loaded again"


def test_beside_the_same_before_training(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/{ACROSS}&rows=4,layer1.2")
    channels = drawn(page, "layer1.2", CLEAN.name)
    pick(page, "Beside", "the same before training")
    drawn(page, "layer1.2", UNTRAINED)
    page.wait_for_url(re.compile("versus=untrained"), timeout=WAIT)
    page.reload()
    assert drawn(page, "layer1.2", UNTRAINED) == channels
    twin = load_model(CLEAN).untrained([sample_picture(name) for name in sample_names()])
    wanted = expected(twin, "layer1.2", channels)
    for channel, value in zip(channels, wanted.reached, strict=True):
        alt = f"Channel {channel} of layer1.2, {UNTRAINED}"
        assert reached(page, alt) == pytest.approx(float(value), rel=0.02)
    cell(page, alt).get_by_role("button", name=str(channel)).click()
    control = pixels(page, f"Channel {channel} of layer1.2, random weights")
    apart = [float(np.abs(control - picture * 255).mean()) for picture in wanted.pictures]
    assert apart[-1] < 8 < min(apart[:-1]), "small pictures are JPEGs, a little apart from what was drawn"


def test_layers_and_count_survive_a_reload(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/{ACROSS}")
    drawn(page, "layer3.2", CLEAN.name)
    assert "rows" not in asked(page)
    for option in ("layer2.2", "relu", "layer3.2"):
        page.get_by_role("button", name=f"Remove {option}").or_(page.get_by_label(f"Remove {option}")).first.click()
        page.wait_for_url(re.compile(rf"rows=(?!.*{re.escape(option)})"), timeout=WAIT)
        settle(page)
    pick(page, "Channels in a row", "8")
    assert len(drawn(page, "layer1.2", CLEAN.name, 8)) == 8
    page.wait_for_url(re.compile("rows=8%2Clayer1.2(&|$)"), timeout=WAIT)
    page.reload()
    assert len(drawn(page, "layer1.2", CLEAN.name, 8)) == 8
    assert page.locator('img[alt^="Channel"]').count() == 8
    page.get_by_text("One layer", exact=True).first.click()
    page.wait_for_url(lambda url: "view=" not in url, timeout=WAIT)
    page.get_by_text("Across layers", exact=True).first.click()
    assert len(drawn(page, "layer1.2", CLEAN.name, 8)) == 8
    assert page.locator('img[alt^="Channel"]').count() == 8


def test_what_does_not_fit_is_said_and_offered_no_more(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/{ACROSS}&rows=4,relu&versus=fetched/other.safetensors")
    page.get_by_text("only checkpoints of one architecture have the same channels", exact=False).wait_for(timeout=WAIT)
    drawn(page, "relu", CLEAN.name)
    pick(page, "Beside", "shapes-shortcut")
    drawn(page, "relu", SHORTCUT.name)
    box = page.locator('[data-testid="stMain"] [data-testid="stSelectbox"]').filter(has_text="Beside")
    box.locator("input").click()
    page.get_by_role("option", name="pair1", exact=True).wait_for(timeout=WAIT)
    assert page.get_by_role("option", name="other", exact=True).count() == 0


def test_the_second_is_opened_as_the_first_was(app: RunningApp, home: Path, page: Any) -> None:
    where = "checkpoint=fetched/pair1.pt&part=ema&versus=fetched/pair2.pt"
    open_app(page, f"{app.url}/filter-pictures?{where}&view=across&rows=4,layer1.2&drawing=steps=16")
    channels = drawn(page, "layer1.2", "pair2.pt")
    found = [reached(page, f"Channel {channel} of layer1.2, pair2.pt") for channel in channels]
    file = home / "checkpoints" / "pair2.pt"
    ema, other = (expected(load_model(file, part=part), "layer1.2", channels).reached for part in ("ema", "model"))
    np.testing.assert_allclose(found, ema, rtol=0.02)
    assert not np.allclose(found, other, rtol=0.1)


def test_maco_draws_under_the_spectrum_of_the_data_set(app: RunningApp, page: Any) -> None:
    maco = ACROSS.replace("steps=16", "steps=16,method=maco")
    open_app(page, f"{app.url}/{maco},spectrum=data&data=shapes&rows=4,layer1.2")
    channels = drawn(page, "layer1.2", CLEAN.name)
    model = load_model(CLEAN)
    source = open_source("shapes:500")
    params = FilterParams(steps=16, method="maco")
    wanted = complete(filter_images(model, "layer1.2", channels, params, source=source))
    for channel, value in zip(channels, wanted.reached, strict=True):
        assert reached(page, f"Channel {channel} of layer1.2, {CLEAN.name}") == pytest.approx(float(value), rel=0.02)
    plain = complete(filter_images(model, "layer1.2", channels, params))
    assert not np.allclose(plain.reached, wanted.reached, rtol=0.05)

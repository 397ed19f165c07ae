"""Networks of other families in a real Chromium: what the pages do for layers without places and for slow networks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from safetensors.torch import save_file

from interpret.runtime import choose_runtime
from tests.families import FAMILIES, random_network
from tests.ui.browser import RunningApp, chromium, chromium_page, open_app, pick, running_app
from tests.ui.test_journey import REPOSITORY, WAIT, differ, large_map, pixels

NETWORKS = ("squeezenet1_1", "resnet50")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The app with two random networks among its fetched checkpoints."""
    home = tmp_path_factory.mktemp("home")
    (home / "checkpoints").mkdir()
    for family in FAMILIES:
        if family.key in NETWORKS:
            tensors = {name: tensor.contiguous() for name, tensor in random_network(family).state_dict().items()}
            save_file(tensors, home / "checkpoints" / f"{family.key}.safetensors")
    with running_app(REPOSITORY / "app.py", environment={"LOUPE_HOME": str(home)}) as running:
        yield running


@pytest.fixture
def page(app: RunningApp) -> Iterator[Any]:
    with chromium() as browser, chromium_page(browser) as opened:
        yield opened
        assert opened.watch.errors == []


def test_a_layer_without_places_is_compared_with_its_other_channels(app: RunningApp, page: Any) -> None:
    shown = []
    for channel in (2, 3):
        open_app(page, f"{app.url}/activation-maps?layer=linear&channel={channel}")
        page.get_by_text("one number for the whole picture, on the scale of the layer").wait_for(timeout=WAIT)
        page.get_by_text("All channels on one scale").wait_for(timeout=WAIT)
        shown.append(large_map(page, f"Channel {channel} of linear, heart"))
    assert differ(*shown)


def test_filter_pictures_are_drawn_in_the_size_chosen(app: RunningApp, page: Any) -> None:
    address = f"{app.url}/filter-pictures?checkpoint=fetched/squeezenet1_1.safetensors"
    open_app(page, f"{address}&layer=features.2")
    pick(page, "Size", "64 px")
    page.get_by_text("64 px, seed 0").wait_for(timeout=2 * WAIT)
    assert pixels(page, "Picture that excites").shape == (64, 64, 3)


@pytest.mark.skipif(choose_runtime().device.type != "cpu", reason="on a GPU this network is not slow")
def test_a_slow_network_starts_with_four_channels_and_says_so(app: RunningApp, page: Any) -> None:
    address = f"{app.url}/filter-pictures?checkpoint=fetched/resnet50.safetensors"
    open_app(page, f"{address}&layer=layer4")
    page.get_by_text("so this starts with 4 channels").wait_for(timeout=WAIT)
    page.get_by_alt_text("Growing").wait_for(timeout=2 * WAIT)
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_text("Stopped after", exact=False).wait_for(timeout=WAIT)
    open_app(page, f"{address}&layer=conv1")
    page.get_by_alt_text("Growing").wait_for(timeout=2 * WAIT)
    assert page.get_by_text("so this starts with").count() == 0, "an early layer of the same network is quick"
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_text("Stopped after", exact=False).wait_for(timeout=WAIT)

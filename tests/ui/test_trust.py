"""What the Filters page says of a drawing beside natural pictures, across layers, and of the picture itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
from safetensors.torch import save_file

from interpret import complete, load_model
from interpret.datasets import open_source, sample_names, sample_picture
from interpret.filters import FilterImages, FilterParams, filter_images
from interpret.model import LoadedModel
from interpret.units import collect_units
from tests.families import FAMILIES, random_network
from tests.ui.browser import RunningApp, chromium_page, open_app, running_app, settle, turn_on
from tests.ui.test_journey import REPOSITORY, WAIT
from ui.display import number
from ui.trust import Natural, bar, natural_from, tile, verdict

CLEAN = REPOSITORY / "checkpoints" / "shapes-clean.safetensors"
Direction = Literal["positive", "negative"]


def natural(best: float, percentile: float = 0.0, lowest: bool = False, silent: int = 0) -> Natural:
    """What 500 pictures reach in one channel; in so many of them it is zero."""
    known = SimpleNamespace(seen=500, silent=np.array([silent]), dead=np.array([silent == 500]))
    ends = (np.array([value], np.float32) for value in (best, percentile))
    return Natural("<b>set</b>", *ends, known, lowest)  # type: ignore[arg-type]


def drawings(*reached: float, direction: Direction = "positive", grey: bool = False) -> FilterImages:
    """Drawings of one channel, which reach so much."""
    planes = np.full((len(reached), 8, 8, 3), 0.5, np.float32)
    if not grey:
        planes[:, ::2] = 1
    return FilterImages(
        planes=planes,
        opacity=None,
        reached=np.array(reached, np.float32),
        objective="channel 0",
        params=FilterParams(starts=len(reached), direction=direction),
        steps=1,
        ascent=None,
        channels=(0,) * len(reached),
        layer=SimpleNamespace(name="stem"),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("reached", "best", "percentile", "lowest", "fill", "marks"),
    [
        (4, 2, 1, False, (0, 100), [25, 50]),
        (1, 4, 3, False, (0, 25), [75, 100]),
        (0, 2, 2, False, (0, 0), [100, 100]),
        (0, 0, 0, False, (0, 0), [0, 0]),
        (-3, 2, 1, False, (0, 60), [60, 80, 100]),
        (3, 0, -1, False, (25, 75), [25, 0, 25]),
        (-1, -4, -4, False, (75, 25), [0, 0]),
        (-4, -2, -1, True, (0, 100), [75, 50]),
        (-1, -4, -2, True, (75, 25), [50, 0]),
        (2, -2, -1, True, (50, 50), [50, 25, 0]),
    ],
)
def test_the_bar_shows_drawing_and_pictures_on_one_signed_scale(
    reached: float, best: float, percentile: float, lowest: bool, fill: tuple[float, float], marks: list[float]
) -> None:
    shown = bar(reached, natural(best, percentile, lowest), 0)
    assert tuple(map(float, re.findall(r"left:([0-9.]+)%;width:([0-9.]+)%", shown)[0])) == fill
    assert [float(at) for at in re.findall(r"clamp\(0px,calc\(([0-9.]+)%", shown)] == marks, "zero, percentile, best"
    assert "<b>" not in shown and f"the {'lowest' if lowest else 'best'} of 500 pictures" in shown
    assert f"their {'0.1th' if lowest else '99.9th'} percentile {percentile}" in shown


@pytest.mark.parametrize("values", [(np.nan, 1, 1), (np.inf, 1, 1), (1, -np.inf, -np.inf), (1, np.nan, np.nan)])
def test_there_is_no_bar_without_numbers(values: tuple[float, float, float]) -> None:
    assert bar(1.0, None, 0) == bar(values[0], natural(*values[1:]), 0) == ""


@pytest.mark.parametrize(
    ("reached", "best", "lowest", "said"),
    [
        (2.8, 2, False, "1.4 × best picture"),
        (-3, -2, True, "1.5 × lowest picture"),
        (-3, 2, False, "best picture 2"),
        (3, -2, False, "best picture -2"),
        (-1, -2, False, "best picture -2"),
        (1, 2, True, "lowest picture 2"),
        (1, 0, False, "best picture 0"),
        (1, -np.inf, False, "gives no numbers"),
        (1, np.inf, True, "gives no numbers"),
    ],
)
def test_under_a_picture_stands_a_ratio_only_where_it_means_something(
    reached: float, best: float, lowest: bool, said: str
) -> None:
    drawn = drawings(reached, direction="negative" if lowest else "positive")
    shown = tile(np.zeros((8, 8, 3), np.uint8), drawn, 0, natural(best, best, lowest), 104)
    assert re.findall(r">([^<>]+)</div>", shown) == [number(reached), said]
    assert ("role=" in shown) == np.isfinite(best)


@pytest.mark.parametrize(
    ("reached", "best", "direction", "said"),
    [
        (
            [2.8],
            2,
            "positive",
            "The drawing reaches 1.4 times what the best of 500 pictures does .2.8 against 2;",
        ),
        ([1], 2, "positive", "The drawing reaches only 0.5 times what the best .*do not rely on it"),
        ([-3], -2, "negative", "The drawing reaches 1.5 times what the lowest of 500 .* does .-3 against -2;"),
        ([-1], -2, "negative", "The drawing reaches only 0.5 times what the lowest .*do not rely on it"),
        ([0.5], -2, "positive", "The drawing reaches 0.5, the best of 500 pictures.* -2, their 99.9th .*[0-9][.]$"),
        ([-1], -2, "positive", "The drawing reaches -1, the best of 500 pictures.* -2, their 99.9th .*[0-9][.]$"),
        ([-3], -2, "positive", "The drawing reaches -3, the best of 500 pictures.* -2, .*do not rely on it"),
        ([-1], 2, "positive", "The drawing reaches -1, the best of 500 pictures.* 2, .*do not rely on it"),
        ([1], 2, "negative", "The drawing reaches 1, the lowest of 500 pictures.* 2, their 0.1th .*[0-9][.]$"),
        ([1], -2, "negative", "The drawing reaches 1, the lowest of 500 pictures.* -2, .*do not rely on it"),
        ([1, 3, 2], 2, "positive", "The best of the 3 drawings reaches 1.5 times what the best of 500"),
        ([1, np.nan, 3], 2, "positive", "The best of the 3 drawings reaches 1.5 times what the best of 500"),
        ([-1, -3, 5], -2, "negative", "The lowest of the 3 drawings reaches 1.5 times what the lowest of 500"),
        ([1], -np.inf, "positive", "The channel gives no numbers on 500 pictures[.]$"),
        ([np.nan], 2, "positive", "The drawing reaches not a number, the best of 500 pictures.* 2, .*[0-9][.]$"),
    ],
)
def test_the_verdict_is_right_for_every_sign(
    reached: list[float], best: float, direction: Direction, said: str
) -> None:
    held = verdict(drawings(*reached, direction=direction), 0, natural(best, best, direction == "negative"))
    assert re.match(said, held), held
    assert "<b>" not in held and "grey" not in held


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (None, "The channel may be dead."),
        (natural(0, 0, silent=500), "The channel is dead: zero in each of the 500 pictures too."),
        (natural(2, 1, silent=463), "The channel is not dead, it answers to 37 of the 500 pictures: "),
    ],
)
def test_a_picture_that_stays_grey_says_what_that_means(held: Natural | None, said: str) -> None:
    words = verdict(drawings(0, grey=True), 0, held)
    assert "**It stays grey:** the ascent found no gradient to follow. " + said in words
    assert "grey" not in verdict(drawings(0, 2), 0, held), "another drawing found something"


@pytest.mark.parametrize("direction", ["positive", "negative"])
def test_what_natural_pictures_reach_is_what_the_network_answers(tmp_path: Path, direction: Direction) -> None:
    model, source = load_model(CLEAN), open_source("shapes:20")
    counted = complete(collect_units(model, source, ["layer3"], folder=tmp_path))["layer3"]
    found = natural_from("shapes", counted, direction)
    answers = means(model, 20, "layer3")
    best, percentile = (np.min, 0.1) if direction == "negative" else (np.max, 99.9)
    np.testing.assert_allclose(found.best, best(answers, axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.percentile, np.percentile(answers, percentile, axis=0), rtol=1e-4, atol=1e-5)


def means(model: LoadedModel, count: int, layer: str) -> np.ndarray:
    """The mean activations of a layer's channels on the first of the bundled pictures [count, channels]."""
    source = open_source(f"shapes:{count}")
    inputs = [model.preprocess.to_batch(source.read(index)) for index in range(count)]
    return np.array([model.observe(each, [layer])[layer][0].mean((1, 2)).numpy() for each in inputs])


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The app with a random SqueezeNet, which has layers of more than 64 channels, among its fetched checkpoints."""
    home = tmp_path_factory.mktemp("home")
    family = next(family for family in FAMILIES if family.key == "squeezenet1_1")
    tensors = {name: tensor.contiguous() for name, tensor in random_network(family).state_dict().items()}
    (home / "checkpoints").mkdir()
    save_file(tensors, home / "checkpoints" / "squeezenet.safetensors")
    with running_app(REPOSITORY / "app.py", environment={"LOUPE_HOME": str(home)}) as running:
        yield running


def caption(page: Any, alt: str) -> list[str]:
    """The lines under a picture."""
    lines: list[str] = page.locator("figure", has=page.locator(f'img[alt="{alt}"]')).inner_text().splitlines()
    return lines


def test_evidence_beside_a_channel(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/filter-pictures?layer=layer3&drawing=steps=32,which=first-4&channel=2")
    page.get_by_text(re.compile("The drawing reaches .*of 500 pictures")).wait_for(timeout=2 * WAIT)
    page.get_by_text("each bar has its own scale").wait_for(timeout=WAIT)
    assert page.get_by_text("the drawing, from zero").is_visible()
    assert page.get_by_text("their 99.9th percentile", exact=True).is_visible()
    assert page.locator('img[alt$=": the part that excites the channel"]').count() == 4
    assert page.locator('[role=img][aria-label^="Reaches"]').count() == 4
    marked = page.locator('[aria-current="true"] img')
    assert [image.get_attribute("alt") for image in marked.all()] == ["Channel 2 of layer3"]
    page.get_by_role("button", name="3", exact=True).click()
    page.locator('[aria-current="true"] img[alt="Channel 3 of layer3"]').wait_for(timeout=WAIT)
    assert marked.count() == 1


def test_the_control_is_held_against_what_pictures_reach_in_it(app: RunningApp, page: Any) -> None:
    """Under MACO, with the spectrum of the data set."""
    drawing = "method=maco,spectrum=data,steps=16,which=choose,channels=2"
    open_app(page, f"{app.url}/filter-pictures?layer=layer3&drawing={drawing}&channel=2")
    page.get_by_text(re.compile("The drawing reaches .*of 500 pictures")).wait_for(timeout=2 * WAIT)
    turn_on(page, "Control: the same drawing on random weights")
    page.locator('figure:has-text("random weights"):has-text("best picture")').wait_for(timeout=2 * WAIT)
    model, params = load_model(CLEAN), FilterParams(method="maco", steps=16)
    twin = model.untrained([sample_picture(name) for name in sample_names()])
    for network, name in ((model, "trained"), (twin, "random weights")):
        drawn = complete(filter_images(network, "layer3", [2], params, source=open_source("shapes:500")))
        reached, best = drawn.reached[0], means(network, 500, "layer3")[:, 2].max()
        said = caption(page, f"Channel 2 of layer3, {name}")
        assert said[0] == name
        assert float(said[1].removeprefix("reaches ")) == pytest.approx(reached, rel=0.02)
        assert float(said[2].partition(" × best picture")[0]) == pytest.approx(reached / best, rel=0.06)


def test_the_other_pages_of_a_wide_layer(app: RunningApp, page: Any) -> None:
    address = f"{app.url}/filter-pictures?checkpoint=fetched/squeezenet.safetensors&layer=features.4"
    open_app(page, f"{address}&drawing=which=all,steps=4,side=64&channel=1")

    def in_sight() -> list[int]:
        alts = [image.get_attribute("alt") for image in page.locator('img[alt^="Channel "]').all()]
        return [int(alt.split()[1]) for alt in alts]

    page.get_by_text("1 to 64 of 128 channels drawn").wait_for(timeout=2 * WAIT)
    settle(page)
    assert in_sight() == list(range(64))
    assert page.get_by_role("button", name="Previous").is_disabled()
    page.get_by_role("button", name="Next").click()
    page.get_by_text("65 to 128 of 128 channels drawn").wait_for(timeout=WAIT)
    settle(page)
    assert in_sight() == list(range(64, 128))
    assert page.get_by_role("button", name="Next").is_disabled()
    page.get_by_role("button", name="100", exact=True).click()
    page.locator('img[alt="Picture that excites channel 100 of features.4"]').wait_for(timeout=WAIT)
    assert in_sight() == list(range(64, 128)), "the page stays where it was"
    page.reload()
    page.get_by_text("65 to 128 of 128 channels drawn").wait_for(timeout=2 * WAIT)


@pytest.mark.parametrize("width", [660, 360])
def test_no_button_or_link_is_cut_in_a_narrow_window(app: RunningApp, browser: Any, width: int) -> None:
    with chromium_page(browser, width=width) as page:
        open_app(page, f"{app.url}/filter-pictures?layer=layer3&drawing=steps=32,which=first-4&channel=2")
        page.get_by_text(re.compile("The drawing reaches .*of 500 pictures")).wait_for(timeout=2 * WAIT)
        settle(page)
        page.locator(".stDownloadButton button").wait_for(timeout=WAIT)
        leading_on = ".stButton button, .stDownloadButton button, .stPageLink a"
        cut = page.locator(f'[data-testid="stMain"] :is({leading_on})').evaluate_all(
            """shown => shown.filter(each => {
                const box = each.getBoundingClientRect();
                const parts = [each, ...each.querySelectorAll("*")];
                return box.width && (
                    box.right > innerWidth || parts.some(part => part.scrollWidth > part.clientWidth + 1)
                );
            }).map(each => each.innerText)"""
        )
        assert cut == []


def test_a_picture_drawn_back(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/filter-pictures?view=picture&drawing=steps=16")
    for layer in ("relu", "layer3.2"):
        page.locator(f'img[alt="heart drawn back from {layer}"]').wait_for(timeout=2 * WAIT)
        page.locator(f'img[alt="heart as exaggerated by {layer}"]').wait_for(timeout=WAIT)
    page.get_by_text(re.compile(r"differs from your picture's by [0-9.]+\s%")).last.wait_for(timeout=2 * WAIT)
    page.get_by_role("button", name="Download pictures").wait_for(timeout=WAIT)

"""A person's way through the real app in a real Chromium."""

from __future__ import annotations

import io
import re
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from interpret.datasets.shapes import CLASSES, draw
from tests.ui.browser import RunningApp, chromium_page, open_app, running_app, settle

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY.parent / "shared" / "data"
PATHS = ("", "activation-maps", "filter-pictures", "class-heatmaps", "latent-space")
WAIT = 90_000


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    home = tmp_path_factory.mktemp("home")
    with running_app(REPOSITORY / "app.py", environment={"LOUPE_HOME": str(home)}) as running:
        yield running


@pytest.fixture
def page(app: RunningApp, browser: Any) -> Iterator[Any]:
    """A page that must have stayed without console errors and without requests to other hosts."""
    with chromium_page(browser) as opened:
        yield opened
        assert opened.watch.errors == []
        assert opened.watch.hosts <= {app.url.removeprefix("http://")}


def picture_file(folder: Path, label: str, index: int = 5) -> Path:
    path = folder / f"my {label}.png"
    Image.fromarray(draw(index, seed=77, size=96, label=CLASSES.index(label)).pixels).save(path)
    return path


def upload_picture(page: Any, path: Path) -> None:
    page.locator(
        '[data-testid="stSidebar"] .st-key-upload\\.picture input[type=file], '
        '[data-testid="stSidebar"] [class*="st-key-upload-picture"] input[type=file]'
    ).set_input_files(path)
    page.get_by_alt_text(f"The chosen picture, {path.name}").wait_for(timeout=WAIT)
    settle(page)


def paste_picture(page: Any, path: Path) -> None:
    """What Ctrl+V does when a picture lies in the clipboard."""
    page.get_by_text("or paste one").wait_for(timeout=WAIT)
    page.evaluate(
        """([bytes, name]) => {
            const files = new DataTransfer();
            files.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"}));
            document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData: files, bubbles: true}));
        }""",
        [list(path.read_bytes()), path.name],
    )


def pixels(page: Any, alt: str) -> np.ndarray:
    """The picture with an alternative text that begins so, as shown."""
    found = page.locator(f'[data-testid="stMain"] img[alt^="{alt}"]').first
    found.wait_for(timeout=WAIT)
    data = page.evaluate(
        "async url => Array.from(new Uint8Array(await (await fetch(url)).arrayBuffer()))", found.get_attribute("src")
    )
    return np.asarray(Image.open(io.BytesIO(bytes(data))).convert("RGB"), np.int16)


def large_map(page: Any, title: str) -> np.ndarray:
    """The large map of the Activations page over its picture, as drawn, once it has that title."""
    page.locator(".panes .title").get_by_text(title, exact=True).wait_for(timeout=WAIT)
    settle(page)
    return np.asarray(Image.open(io.BytesIO(page.locator(".stage").first.screenshot())).convert("RGB"), np.int16)


def differ(first: np.ndarray, second: np.ndarray) -> bool:
    return first.shape != second.shape or float(np.abs(first - second).mean()) > 1


def test_the_first_screen_is_finished(app: RunningApp, page: Any) -> None:
    page.goto(app.url)
    page.get_by_text("Grad-CAM for heart").first.wait_for(timeout=WAIT)
    for alt in ("The picture heart", "The part of heart", "Heatmap of the places that spoke for heart"):
        assert pixels(page, alt).std() > 10, f"{alt}: a picture that says nothing"
    rows = page.locator('[data-testid="stMain"] tbody tr')
    assert rows.count() == 5
    assert "heart" in rows.first.inner_text()
    page.get_by_alt_text("Map of pictures by their embedding", exact=False).wait_for(timeout=WAIT)
    page.get_by_text("64 steps of gradient ascent", exact=False).wait_for(timeout=WAIT)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_light_and_dark_are_followed(app: RunningApp, browser: Any, theme: str) -> None:
    with chromium_page(browser, color_scheme=theme) as page:
        open_app(page, f"{app.url}/class-heatmaps")
        page.get_by_text("score, raw values").wait_for(timeout=WAIT)
        shade = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"))[-40:, -40:].mean()
        assert shade > 200 if theme == "light" else shade < 60


def test_every_page_shows_pictures_that_depend_on_the_upload(app: RunningApp, page: Any, tmp_path: Path) -> None:
    shown: dict[str, list[np.ndarray]] = {}
    for label in ("star", "ring"):
        open_app(page, app.url)
        upload_picture(page, picture_file(tmp_path, label))
        page.get_by_text(f"As uploaded: my {label}.png", exact=False).wait_for(timeout=WAIT)
        key = re.search(r"picture=(upload%2F\w+|upload/\w+)", page.url)
        assert key, "the address does not name the upload"
        shows = ("Heatmap of", "the large map", "the heatmap", "")
        for path, alt in zip([path for path in PATHS if path != "filter-pictures"], shows, strict=True):
            open_app(page, f"{app.url}/{path}?{key.group(0)}&target=0&channel=3")
            if alt == "the large map":
                shown.setdefault(path, []).append(large_map(page, f"Channel 3 of layer3, my {label}.png"))
            elif alt == "the heatmap":
                shown.setdefault(path, []).append(large_map(page, "Grad-CAM"))
            elif alt:
                shown.setdefault(path, []).append(pixels(page, alt))
            else:
                page.get_by_text(f"Nearest to your picture, my {label}.png").wait_for(timeout=WAIT)
                shown.setdefault(path, []).append(pixels(page, label))
    for path, (first, second) in shown.items():
        assert differ(first, second), f"/{path} shows the same for two pictures"


def test_a_picture_is_pasted(app: RunningApp, page: Any, tmp_path: Path) -> None:
    open_app(page, app.url)
    paste_picture(page, picture_file(tmp_path, "cross"))
    page.get_by_text("As uploaded: my cross.png", exact=False).wait_for(timeout=WAIT)
    page.get_by_text("Grad-CAM for cross").first.wait_for(timeout=WAIT)


def test_a_running_filter_job_is_cancelled_and_started_again(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/filter-pictures?layer=layer2")
    page.get_by_text("Filters of layer2", exact=False).first.wait_for(timeout=WAIT)
    page.get_by_alt_text("Growing").wait_for(timeout=WAIT)
    page.get_by_role("button", name="Cancel", exact=True).click()
    said = page.get_by_text(re.compile(r"Stopped after"))
    said.wait_for(timeout=WAIT)
    first = said.inner_text()
    page.wait_for_timeout(1000)
    assert said.inner_text() == first, "it went on after Cancel"
    assert page.get_by_alt_text("Growing").count() == 1, "the unfinished pictures were thrown away"
    page.get_by_role("button", name="Start again").click()
    page.get_by_role("button", name="Cancel", exact=True).wait_for(timeout=WAIT)
    page.get_by_role("button", name="Cancel", exact=True).click()
    said.wait_for(timeout=WAIT)


def test_a_job_goes_on_while_its_user_reads_another_page(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/filter-pictures?layer=layer1&picture=sample/cross&drawing=steps=200")
    page.get_by_alt_text("Growing").wait_for(timeout=WAIT)
    page.get_by_role("link", name="Heatmaps").first.click()
    page.get_by_text("score, raw values").wait_for(timeout=WAIT)
    page.locator('[data-testid="stSidebar"]').get_by_text("Filters of layer1", exact=False).wait_for(timeout=WAIT)
    page.get_by_role("link", name="Filters").first.click()
    page.locator('img[alt^="Picture that excites channel"], img[alt="Growing"]').first.wait_for(timeout=2 * WAIT)


def test_a_deep_link_shows_the_same_screen_again(app: RunningApp, browser: Any, page: Any) -> None:
    open_app(page, f"{app.url}/activation-maps?checkpoint=bundled/shapes-shortcut.safetensors&layer=layer2.1")
    grid = page.locator('.loupe[data-state="ready"] .scroller')
    grid.wait_for(timeout=WAIT)
    settle(page)  # a click on a grid that is about to be drawn anew is lost
    grid.click(position={"x": 130, "y": 20})
    page.wait_for_url(re.compile(r"channel=[1-9]"), timeout=WAIT)
    settle(page)
    caption = page.get_by_text(re.compile(r"^Channel \d+ of layer2\.1, heart")).inner_text()
    url = page.url
    for part in ("checkpoint=bundled%2Fshapes-shortcut.safetensors", "layer=layer2.1"):
        assert part in url.replace("bundled/", "bundled%2F")
    with chromium_page(browser) as other:
        open_app(other, url)
        other.get_by_text(caption).wait_for(timeout=WAIT)
        assert other.url == url
    page.get_by_role("link", name="Heatmaps").first.click()
    page.get_by_text("score, raw values").wait_for(timeout=WAIT)
    settle(page)
    assert "layer=layer2.1" in page.url
    page.go_back()  # one step of history, not two
    page.get_by_text(caption).wait_for(timeout=WAIT)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("note.png", b"this is no picture", "is not a picture Loupe can read"),
        ("empty.jpg", b"", "is empty"),
        ("cut.png", None, "damaged or incomplete"),
        ("huge.png", None, "40 megapixels"),
    ],
)
def test_a_bad_picture_gets_a_sentence_and_the_app_goes_on(
    app: RunningApp, page: Any, tmp_path: Path, name: str, data: bytes | None, said: str
) -> None:
    path = tmp_path / name
    if name == "huge.png":
        Image.new("L", (8000, 5000)).save(path)
    else:
        path.write_bytes(picture_file(tmp_path, "star").read_bytes()[:-3000] if data is None else data)
    open_app(page, app.url)
    page.get_by_text("Grad-CAM for heart").first.wait_for(timeout=WAIT)
    page.locator('[data-testid="stSidebar"] [class*="st-key-upload-picture"] input[type=file]').set_input_files(path)
    page.get_by_text(said, exact=False).wait_for(timeout=WAIT)
    assert page.get_by_text("Grad-CAM for heart").count() >= 1, "the page was lost"


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("note.pth", b"just a text file\n", "is not a checkpoint Loupe can read"),
        ("empty.safetensors", b"", "is empty"),
        ("cut.safetensors", b"\x10\x00\x00\x00\x00\x00\x00\x00{", "is not a valid safetensors file"),
    ],
)
def test_a_bad_checkpoint_gets_a_sentence_and_the_app_goes_on(
    app: RunningApp, page: Any, tmp_path: Path, name: str, data: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    open_app(page, app.url)
    page.get_by_text("Bring another checkpoint").click()
    page.locator('[data-testid="stSidebar"] [class*="st-key-upload-checkpoint"] input[type=file]').set_input_files(path)
    page.get_by_text(said, exact=False).wait_for(timeout=WAIT)
    page.get_by_text("Grad-CAM for heart").first.wait_for(timeout=WAIT)


def test_a_zip_bomb_gets_a_sentence_and_the_app_goes_on(app: RunningApp, page: Any, tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/zeros.png", bytes(10**6))
    path.write_bytes(path.read_bytes().replace((10**6).to_bytes(4, "little"), (2**32 - 2).to_bytes(4, "little")))
    with zipfile.ZipFile(path) as archive:
        claimed = sum(info.file_size for info in archive.infolist())
    assert claimed > 4 * 10**9
    open_app(page, f"{app.url}/latent-space")
    page.get_by_text("Settings and other data").click()
    page.locator('[data-testid="stMain"] input[type=file]').set_input_files(path)
    page.get_by_text("pictures must be under 64 MiB", exact=False).first.wait_for(timeout=WAIT)
    page.get_by_role("link", name="Heatmaps").first.click()
    page.get_by_text("score, raw values").wait_for(timeout=WAIT)


def test_an_address_that_names_nothing_is_answered_with_a_sentence(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/?checkpoint=bundled/../../secret")
    page.get_by_text("is not in the library", exact=False).first.wait_for(timeout=WAIT)


def test_a_picture_in_the_map_is_shown_on_hover_and_chosen_by_a_click(app: RunningApp, page: Any) -> None:
    open_app(page, f"{app.url}/latent-space")
    stage = page.locator(".stage")
    page.get_by_text("Nearest to your picture, heart").wait_for(timeout=2 * WAIT)
    page.get_by_text("until UMAP is ready").wait_for(state="detached", timeout=2 * WAIT)
    thumbnails: list[Any] = []
    page.on("response", lambda answer: thumbnails.append(answer) if "/thumbnails/" in answer.url else None)
    stage.focus()
    for key in 20 * ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):  # UMAP's points may still be on their way
        page.keyboard.press(key)
        page.wait_for_timeout(250)
        if thumbnails:
            break
    assert thumbnails[0].headers["content-type"] == "image/jpeg"
    page.keyboard.press("Enter")
    page.get_by_text(re.compile(r"^Nearest to \w+ \d+")).wait_for(timeout=WAIT)


def test_every_answer_carries_the_security_headers(app: RunningApp) -> None:
    for path in ("/", "/_stcore/health", "/thumbnails/none/0"):
        try:
            answer = urllib.request.urlopen(app.url + path)
        except urllib.error.HTTPError as error:
            answer = error
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the real weights and photographs of ../shared/data")
def test_a_real_network_and_a_real_photograph_go_through_every_page(app: RunningApp, page: Any) -> None:
    open_app(page, app.url)
    page.get_by_text("Bring another checkpoint").click()
    page.locator('[data-testid="stSidebar"] [class*="st-key-upload-checkpoint"] input[type=file]').set_input_files(
        DATA / "weights" / "resnet18_imagenet_ktb.safetensors"
    )
    page.get_by_text("ResNet-18", exact=False).first.wait_for(timeout=WAIT)
    settle(page)
    upload_picture(page, DATA / "demo" / "zebra.jpg")
    page.get_by_text("Grad-CAM for zebra").first.wait_for(timeout=WAIT)
    query = page.url.partition("?")[2]
    heat = pixels(page, "Heatmap of the places that spoke for zebra")
    assert heat.shape[:2] == (224, 224)
    open_app(page, f"{app.url}/activation-maps?{query}&layer=layer1")
    assert large_map(page, "Channel 0 of layer1, zebra.jpg").std() > 10
    page.get_by_text("Channel 0 is number", exact=False).wait_for(timeout=WAIT)
    open_app(page, f"{app.url}/class-heatmaps?{query}&target=340")
    page.get_by_text(re.compile(r"zebra: score 17\.\d")).wait_for(timeout=WAIT)
    open_app(page, f"{app.url}/filter-pictures?{query}&layer=conv1")
    page.get_by_alt_text("Growing").wait_for(timeout=2 * WAIT)
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_text(re.compile(r"Stopped after")).wait_for(timeout=WAIT)
    open_app(page, f"{app.url}/latent-space?{query}&data=path/{DATA / 'demo'}")
    page.get_by_text("Nearest to your picture, zebra.jpg").wait_for(timeout=3 * WAIT)
    assert pixels(page, "zebra.jpg").std() > 10

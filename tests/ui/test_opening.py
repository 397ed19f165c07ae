"""Opening checkpoints in the real app: what can be chosen and changed, and what is refused."""

from __future__ import annotations

import json
import pickle
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from interpret.architectures import architecture
from tests.ui.browser import RunningApp, chromium_page, open_app, pick, running_app, settle

REPOSITORY = Path(__file__).resolve().parents[2]
WAIT = 90_000
EVIL = '<img src=x onerror="document.title=1"> **bold** [link](http://evil.example)'


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    lenet = REPOSITORY / "docs" / "examples" / "lenet.py"
    home = tmp_path_factory.mktemp("home")
    environment = {"LOUPE_HOME": str(home), "LOUPE_ARCHITECTURES": str(lenet)}
    with running_app(REPOSITORY / "app.py", environment=environment) as running:
        yield running


@pytest.fixture
def page(app: RunningApp, browser: Any) -> Iterator[Any]:
    with chromium_page(browser) as opened:
        yield opened
        assert opened.watch.errors == []
        assert opened.watch.hosts <= {app.url.removeprefix("http://")}
        assert opened.title() != "1", "a text from a file was run as a script"


def network(key: str, classes: int, seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return dict(architecture(key).build(classes, 3, False).state_dict())


def upload(page: Any, app: RunningApp, path: Path) -> None:
    open_app(page, app.url)
    page.get_by_text("Bring another checkpoint").click()
    page.locator('[data-testid="stSidebar"] [class*="st-key-upload-checkpoint"] input[type=file]').set_input_files(path)


def unfold(page: Any, title: str) -> None:
    """Opens a folded part, once the tiles are there: each that comes runs the page again."""
    page.get_by_alt_text("Map of pictures by their embedding", exact=False).wait_for(timeout=2 * WAIT)
    page.get_by_text("64 steps of gradient ascent", exact=False).wait_for(timeout=2 * WAIT)
    settle(page)
    page.locator('[data-testid="stMain"]').get_by_text(title).click()


def test_of_two_networks_in_a_file_one_is_chosen(app: RunningApp, page: Any, tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    raw = {f"module.{name}": tensor for name, tensor in network("cifar_resnet20", 4).items()}
    torch.save({"state_dict": raw, "state_dict_ema": network("cifar_resnet32", 4, seed=1), "epoch": 3}, path)
    upload(page, app, path)
    page.get_by_text("CIFAR ResNet-20").first.wait_for(timeout=WAIT)
    pick(page, "The file holds several networks", "state_dict_ema")
    page.get_by_text("CIFAR ResNet-32").first.wait_for(timeout=WAIT)
    page.wait_for_url(re.compile("part=state_dict_ema"), timeout=WAIT)
    pick(page, "The file holds several networks", "state_dict")
    page.get_by_text("CIFAR ResNet-20").first.wait_for(timeout=WAIT)


def test_of_architectures_alike_the_user_chooses(app: RunningApp, page: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    torch.save(network("resnet18", 5), path)
    upload(page, app, path)
    page.get_by_text("the middle 224 × 224 px after the shortest side became 256 px (bilinear)").wait_for(timeout=WAIT)
    pick(page, "Its tensors fit several architectures", "ResNet-18 (timm) · timm/resnet18")
    page.get_by_text("(bicubic)").first.wait_for(timeout=WAIT)
    page.wait_for_url(re.compile("arch=timm"), timeout=WAIT)


def test_preprocessing_is_changed_kept_in_the_address_and_reset(app: RunningApp, browser: Any, page: Any) -> None:
    open_app(page, app.url)
    page.get_by_text("How pictures are prepared:", exact=False).wait_for(timeout=WAIT)
    unfold(page, "How pictures are prepared for it")
    page.get_by_label("Width in pixels").fill("48")
    page.get_by_role("textbox", name="Mean").fill("0.4, 0.5, 0.6")
    pick(page, "Channel order", "BGR")
    page.get_by_role("button", name="Apply").click()
    changed = "How pictures are prepared (changed by you): the middle 48 × 64 px"
    page.get_by_text(changed, exact=False).wait_for(timeout=WAIT)
    page.get_by_text("BGR, mean 0.4 0.5 0.6", exact=False).first.wait_for(timeout=WAIT)
    page.wait_for_url(re.compile("input="), timeout=WAIT)
    url = page.url
    with chromium_page(browser) as other:
        open_app(other, url)
        other.get_by_text(changed, exact=False).wait_for(timeout=WAIT)
        other.get_by_role("link", name="Heatmaps").first.click()
        other.get_by_text("score, raw values").wait_for(timeout=WAIT)
        assert "input=" in other.url
    page.get_by_role("textbox", name="Mean").fill("nonsense")
    page.get_by_role("button", name="Apply").click()
    page.get_by_text("numbers separated by commas; found nonsense").wait_for(timeout=WAIT)
    page.get_by_role("button", name="Back to the checkpoint's own").click()
    page.get_by_text("How pictures are prepared: the middle 64 × 64 px", exact=False).wait_for(timeout=WAIT)
    page.wait_for_url(re.compile("^((?!input=).)*$"), timeout=WAIT)


@pytest.mark.parametrize("said", ["nonsense", '{"size":[0,5]}', '{"mean":["a"]}', "[[[["])
def test_an_address_with_broken_preprocessing_shows_the_page_all_the_same(
    app: RunningApp, page: Any, said: str
) -> None:
    open_app(page, f"{app.url}/?checkpoint=bundled/shapes-clean.safetensors&input={urllib.parse.quote(said)}")
    page.get_by_text("The checkpoint's own preprocessing and class names are used").first.wait_for(timeout=WAIT)
    page.get_by_text("Grad-CAM for heart").first.wait_for(timeout=WAIT)


def test_an_address_never_names_code_to_run(app: RunningApp, page: Any, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    code = tmp_path / "evil.py"
    code.write_text(f"open({str(marker)!r}, 'w')\ndef build(num_classes): ...")
    open_app(page, f"{app.url}/?checkpoint=bundled/shapes-clean.safetensors&arch={urllib.parse.quote(str(code))}")
    page.get_by_text("is not in the catalogue", exact=False).first.wait_for(timeout=WAIT)
    assert not marker.exists()


def test_names_from_files_are_text_and_nothing_else(app: RunningApp, page: Any, tmp_path: Path) -> None:
    path = tmp_path / "a<b>&*c*.pth"
    content = {
        "state_dict": network("cifar_resnet20", 3) | {f"extra.{EVIL}": torch.zeros(2)},
        "labels": [EVIL, "b", "c"],
    }
    torch.save(content, path)
    upload(page, app, path)
    page.get_by_text("CIFAR ResNet-20").first.wait_for(timeout=WAIT)
    page.get_by_text("1 left over", exact=False).first.wait_for(timeout=WAIT)
    assert page.get_by_text("<img src=x", exact=False).count() > 0, "the label is not shown as it is"
    assert page.locator('[data-testid="stMain"] img[src="x"]').count() == 0
    assert page.get_by_role("link", name="link", exact=True).count() == 0
    unfold(page, "How the file was loaded")
    for name, drawn in (
        ("activation-maps", '.loupe[data-state="ready"] .panes'),
        ("filter-pictures", 'img[alt^="Picture that excites"]'),
        ("class-heatmaps", '.loupe[data-state="ready"]'),
        ("latent-space", '[data-testid="stMain"] button'),
    ):
        open_app(
            page,
            page.url.replace("/?", f"/{name}?") if "/?" in page.url else re.sub(r"/[^/]*\?", f"/{name}?", page.url),
        )
        page.locator(drawn).first.wait_for(timeout=WAIT)
        settle(page)
        assert page.locator('[data-testid="stMain"] img[src="x"]').count() == 0
        assert page.get_by_role("link", name="link", exact=True).count() == 0


def test_class_names_are_uploaded(app: RunningApp, page: Any, tmp_path: Path) -> None:
    names = [f"Name {index}" for index in range(7)] + ["<b>last</b>"]
    (tmp_path / "names.json").write_text(json.dumps(names))
    (tmp_path / "few.txt").write_text("a\nb\n")
    open_app(page, app.url)
    unfold(page, "How pictures are prepared for it")
    chooser = page.locator('[data-testid="stMain"] input[type=file]')
    chooser.set_input_files(tmp_path / "few.txt")
    page.get_by_text("names 2 classes; the network has 8").wait_for(timeout=WAIT)
    open_app(page, app.url)
    unfold(page, "How pictures are prepared for it")
    chooser.set_input_files(tmp_path / "names.json")
    page.locator("tbody tr").filter(has_text=re.compile(r"Name \d")).first.wait_for(timeout=WAIT)
    page.wait_for_url(re.compile("labels="), timeout=WAIT)
    page.get_by_role("button", name="Back to the checkpoint's own class names").click()
    page.locator("tbody tr").filter(has_text="heart").first.wait_for(timeout=WAIT)


def test_a_registered_architecture_opens_from_an_upload(app: RunningApp, page: Any, tmp_path: Path) -> None:
    path = tmp_path / "tutorial.pt"
    torch.manual_seed(0)
    torch.save(architecture(str(REPOSITORY / "docs/examples/lenet.py")).build(10, 3, False).state_dict(), path)
    upload(page, app, path)
    page.get_by_text("own/lenet", exact=False).or_(page.get_by_text("lenet", exact=True)).first.wait_for(timeout=WAIT)
    page.get_by_text("Grad-CAM for", exact=False).first.wait_for(timeout=WAIT)


class Whole:
    """Pickled whole, as people do with `torch.save(model)`."""

    def __reduce__(self) -> Any:
        import os

        return os.system, ("touch should-not-exist",)


def hostile(path: Path) -> None:
    path.write_bytes(pickle.dumps(Whole()))


def transformer(path: Path) -> None:
    names = {"cls_token": (1, 1, 48), "pos_embed": (1, 50, 48), "blocks.0.attn.qkv.weight": (144, 48)}
    torch.save({name: torch.zeros(shape) for name, shape in names.items()}, path)


def nearly(path: Path) -> None:
    tensors = network("resnet18", 3)
    del tensors["layer4.1.conv2.weight"]
    torch.save(tensors, path)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (hostile, "would run code when loaded"),
        (transformer, "holds a vision transformer, which works on tokens"),
        (nearly, "The nearest is resnet18: 101 of its 102 tensors match; missing layer4.1.conv2.weight"),
    ],
)
def test_what_cannot_be_opened_is_told_and_the_page_stays(
    app: RunningApp, page: Any, tmp_path: Path, make: Any, said: str
) -> None:
    make(tmp_path / "x.pth")
    upload(page, app, tmp_path / "x.pth")
    page.get_by_text(said, exact=False).first.wait_for(timeout=WAIT)
    page.get_by_text("Grad-CAM for heart").first.wait_for(timeout=WAIT)
    assert page.get_by_text("weights_only").count() == 0

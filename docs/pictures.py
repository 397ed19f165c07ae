"""Makes the pictures of the documents from the real app: `python docs/pictures.py [NAME ...]`, from the root.

Networks come with real weights where `../shared/data` has them, else with random ones, which the documents say.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from safetensors.torch import save_file  # noqa: E402

from tests.families import FAMILIES, random_network  # noqa: E402
from tests.ui.browser import chromium, chromium_page, open_app, running_app  # noqa: E402

WEIGHTS = ROOT.parent / "shared" / "data" / "weights"
NETWORKS = {
    "resnet50": "",
    "googlenet": "",
    "mobilenet_v2": "mobilenet_v2_imagenet_coral.safetensors",
    "timm/seresnet50": "",
}
"""Key of a network -> the file of its real weights."""


@dataclass(frozen=True)
class Shot:
    """A picture: its name, what to open, text and start of an alternative text to wait for, height in pixels."""

    name: str
    address: str
    text: str
    alt: str = ""
    height: int = 800


CHEAT = "checkpoint=bundled/shapes-shortcut.safetensors&picture=sample/heart with a tag"
SHOTS = (
    Shot("overview", "/", "64 steps of gradient ascent", "Map of pictures by their embedding"),
    Shot("activations", "/activation-maps?layer=layer2.0.conv2&channel=12&place=9,20", "the network says", height=1000),
    Shot("filters", "/filter-pictures?layer=layer2", "Reaches: mean activation", "Picture that excites"),
    Shot("heatmaps", f"/class-heatmaps?{CHEAT}", "Does the map find the object?", height=1500),
    Shot("heatmaps-methods", f"/class-heatmaps?{CHEAT}&axis=methods", "In numbers", height=1000),
    Shot("latent-space", "/latent-space", "UMAP: 500 pictures", height=1000),
    Shot(
        "latent-shortcut",
        f"/latent-space?{CHEAT}&data=shapes-tagged&maps=across&colour=data.tag",
        "Common neighbours",
        height=1640,
    ),
    Shot("ablation", f"/ablate?{CHEAT}&layer=layer3&changes=zero/layer3/23.39.46/0", "By class", height=1300),
    Shot(
        "compare",
        "/compare-checkpoints?versus=bundled/shapes-shortcut.safetensors&picture=sample/heart with a tag",
        "the most alike layer of the other network",
        height=2450,
    ),
    Shot(
        "unit-card",
        f"/activation-maps?{CHEAT}&layer=layer2&channel=7&card=open&data=shapes-tagged",
        "Which classes excite it",
        height=1900,
    ),
    Shot(
        "two-pictures", "/activation-maps?layer=layer2&channel=6&beside=picture/sample/cross&place=9,20", "Channel 6 of"
    ),
    *(
        Shot(
            f"blocks-{key.rpartition('/')[2]}",
            f"/activation-maps?checkpoint=fetched/{key.rpartition('/')[2]}.safetensors&picture=sample/flower.jpg&{query}",
            "Strength: root of the mean square" if "features" not in query else "Each picture: root",
            height=1500,
        )
        for key, query in (
            ("resnet50", "layer=layer2.1.conv2&channel=5"),
            ("googlenet", "layer=inception3b&channel=40"),
            ("mobilenet_v2", "layer=features.4.conv.1.0&channel=31"),
            ("timm/seresnet50", "layer=layer2.1.se&channel=77"),
        )
    ),
)


def networks(folder: Path) -> None:
    """Puts the checkpoints of NETWORKS into a folder."""
    folder.mkdir()
    for key, file in NETWORKS.items():
        path = folder / f"{key.rpartition('/')[2]}.safetensors"
        if file and (WEIGHTS / file).is_file():
            shutil.copy(WEIGHTS / file, path)
        else:
            family = next(family for family in FAMILIES if family.key == key and not family.auxiliary)
            tensors = {name: tensor.contiguous() for name, tensor in random_network(family).state_dict().items()}
            save_file(tensors, path, {"arch": key})


def main() -> None:
    """Writes one PNG per shot, light, 1280 pixels wide; only those named on the command line if any are."""
    folder = Path(__file__).with_name("pictures")
    wanted = [shot for shot in SHOTS if not sys.argv[1:] or shot.name in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as home:
        networks(Path(home) / "checkpoints")
        with running_app(ROOT / "app.py", environment={"LOUPE_HOME": home}) as app, chromium() as browser:
            for shot in wanted:
                with chromium_page(browser, color_scheme="light", height=shot.height) as page:
                    open_app(page, app.url + shot.address)
                    page.get_by_text(shot.text, exact=False).first.wait_for(timeout=180_000)
                    if shot.alt:
                        page.locator(f'img[alt^="{shot.alt}"]').first.wait_for(timeout=180_000)
                    for unfinished in ("laying out the map", "of 64"):
                        page.get_by_text(unfinished).first.wait_for(state="detached", timeout=180_000)
                    page.wait_for_timeout(1500)
                    page.screenshot(path=folder / f"{shot.name}.png")
                    print(folder / f"{shot.name}.png", flush=True)


if __name__ == "__main__":
    main()

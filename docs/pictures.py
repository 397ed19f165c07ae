"""Makes the pictures of the documents from the real app: `python docs/pictures.py`, from the repository's root."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.ui.browser import chromium, chromium_page, open_app, running_app  # noqa: E402

SHOWN = {
    "overview": ("/", "40 steps of gradient ascent", "Map of pictures by their embedding"),
    "activations": ("/activation-maps?layer=layer2.0.relu1&channel=12", "Channel 12 of", "Activation of channel 12"),
    "filters": ("/filter-pictures?layer=layer2", "Reaches: mean activation", "Picture that excites"),
    "heatmaps": (
        "/class-heatmaps?checkpoint=bundled/shapes-shortcut.safetensors&picture=sample/heart with a tag",
        "Strongest at row",
        "Heatmap of the places",
    ),
    "latent-space": ("/latent-space", "UMAP: 500 pictures", ""),
}
"""Picture -> (address, text to wait for, start of a picture's alternative text to wait for)."""


def main() -> None:
    """Writes one PNG per page, light, at 1280 x 800."""
    folder = Path(__file__).with_name("pictures")
    with running_app(ROOT / "app.py") as app, chromium() as browser:
        for name, (address, text, alt) in SHOWN.items():
            with chromium_page(browser, color_scheme="light") as page:
                open_app(page, app.url + address)
                page.get_by_text(text, exact=False).first.wait_for(timeout=180_000)
                if alt:
                    page.locator(f'img[alt^="{alt}"]').first.wait_for(timeout=180_000)
                page.get_by_text("laying out the map").wait_for(state="detached", timeout=180_000)
                page.wait_for_timeout(1500)
                page.screenshot(path=folder / f"{name}.png")
                print(folder / f"{name}.png")


if __name__ == "__main__":
    main()

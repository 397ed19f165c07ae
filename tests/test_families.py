"""Every family, saved and opened, does what every page asks of it, and docs/families.md says just that."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from interpret import load_model
from tests.families import FAMILIES, SAME_TENSORS_AS_TORCHVISIONS, Family, random_network
from tests.families_seen import DOCUMENT, document, line, look_at

ASKED_FOR = """
    alexnet vgg16 vgg19 googlenet inception_v3 resnet18 resnet50 resnet152 timm/legacy_xception mobilenet_v2
    mobilenet_v3_large efficientnet_b0 efficientnet_v2_s timm/seresnet50 timm/legacy_senet154 densenet121
    shufflenet_v2_x1_0 squeezenet1_1 mnasnet1_0 regnet_y_400mf convnext_tiny resnext50_32x4d
"""
"""What people asked for by name."""


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.id)
def test_a_family_goes_through_every_page(family: Family, tmp_path: Path) -> None:
    """What is checked is in tests/families_seen.py; `python -m tests.families_seen` writes the table anew."""
    seen = line(look_at(family, tmp_path))
    (written,) = [
        text for text in DOCUMENT.read_text(encoding="utf-8").splitlines() if text.startswith(f"| {family.title} |")
    ]
    assert written == seen
    assert list(tmp_path.iterdir()) == []


def test_the_table_holds_every_family_and_no_other() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text.startswith(document([])), "the introduction or the headings differ"
    written = [row.split(" | ")[0].removeprefix("| ") for row in text.removeprefix(document([])).splitlines()]
    assert written == [family.title for family in FAMILIES]
    assert {family.key for family in FAMILIES} >= set(ASKED_FOR.split())
    auxiliary = {(family.key, family.auxiliary) for family in FAMILIES if family.key in ("googlenet", "inception_v3")}
    assert len(auxiliary) == 4, "GoogLeNet and Inception v3 with and without their auxiliary heads"


def test_where_the_channels_lie_is_found_and_not_guessed(tmp_path: Path) -> None:
    (family,) = [family for family in FAMILIES if family.key == "convnext_tiny"]
    path = tmp_path / "weights.pth"
    torch.save(random_network(family).state_dict(), path)
    layouts = {layer.name: (layer.layout, layer.channels) for layer in load_model(path, device="cpu").layers}
    assert layouts["features.1.0.block.0"] == ("channels first", 96)
    assert layouts["features.1.0.block.2"] == ("channels last", 96)
    assert layouts["features.1.0.block.3"] == ("channels last", 384)
    assert layouts["features.1"] == ("channels first", 96)
    assert layouts["classifier.2"] == ("vector", 7)


@pytest.mark.parametrize("key", SAME_TENSORS_AS_TORCHVISIONS)
def test_what_is_always_named_cannot_be_told_apart(key: str) -> None:
    theirs, torchvisions = (
        {name: tensor.shape for name, tensor in random_network(family).state_dict().items()}
        for family in FAMILIES
        if family.key in (key, key.removeprefix("timm/")) and not family.auxiliary
    )
    assert theirs == torchvisions

"""Heatmaps of the bundled networks lie where Shapes says, and the table of docs/heatmaps.md says so."""

from __future__ import annotations

import importlib.util
import re
import sys
from types import ModuleType

import pytest

from interpret.heatmaps import METHODS
from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    """docs/heatmap_tables.py, which is no package's."""
    spec = importlib.util.spec_from_file_location("heatmap_tables", REPOSITORY / "docs" / "heatmap_tables.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def numbers(row: str) -> list[float]:
    """Of a line of the table, after the method: the count, then five figures of each network."""
    cells = [cell.strip() for cell in row.strip("| \n").split("|")[1:]]
    return [float(cell.removesuffix("%")) / 100 if cell.endswith("%") else float(cell) for cell in cells]


@pytest.fixture(scope="module")
def told(tables: ModuleType) -> dict[str, list[float]]:
    """Method title -> what the page says of it."""
    text = tables.PAGE.read_text(encoding="utf-8").partition(tables.START)[2].partition(tables.END)[0]
    rows = [line for line in text.splitlines() if re.match(r"\| [A-Z]", line)]
    return {row.split("|")[1].strip(): numbers(row) for row in rows}


def test_the_page_has_every_method(tables: ModuleType, told: dict[str, list[float]]) -> None:
    assert list(told) == [method.title for method in METHODS]
    for method in METHODS:
        row = told[method.title]
        assert len(row) == 11 and row[0] == (tables.FEW if method.slow else tables.PICTURES)


def test_grad_cam_finds_the_shape_and_the_tag_where_the_network_looks(
    tables: ModuleType, told: dict[str, list[float]]
) -> None:
    """The first sixty of the two hundred pictures: where the page says all or none, it is all or none of these."""
    row = []
    for network in tables.models():
        found = tables.figures(network, METHODS[0], 60)
        row += [found.points, found.iou, found.accuracy, found.on_tag, found.on_shape]
    allowed = [0.02, 0.05, 0.06, 0.02, 0.02]
    for measured, page, off in zip(row, told["Grad-CAM"][1:], allowed * 2, strict=True):
        assert measured == pytest.approx(page, abs=off)
    # Before average pooling and one linear layer the three are one method.
    assert told["HiResCAM"] == told["XGrad-CAM"] == pytest.approx(told["Grad-CAM"], abs=0.011)
    clean, shortcut = row[:5], row[5:]
    assert clean[0] > 0.95 and clean[2] > 0.85, "the clean network's maps lie on the shape"
    assert clean[3] < 0.05 and clean[4] > 0.95, "and on tagged stars too"
    assert shortcut[3] > 0.95 and shortcut[4] < 0.05, "the other's lie on the tag"


def test_what_looks_random_is_no_better_than_chance(told: dict[str, list[float]]) -> None:
    assert told["RandomCAM"][1] < 0.8 * told["Grad-CAM"][1] and told["RandomCAM"][3] < 0.5 * told["Grad-CAM"][3]

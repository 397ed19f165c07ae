"""Imports go one way, and `import interpret` alone stays light."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

# From the ground up. A file may import its own room and the rooms below it, never one beside it or above.
# Beyond the plan's drawing: `errors` lies below everything; `channels` reads channel numbers, `limits` the settings;
# `reach` and `flow` follow a pass operation by operation, `layers` and `blocks` describe what was found, `loading`
# makes a network of a checkpoint and `looking` goes through it once, `answers` are what its passes leave, `decoding`
# makes files into pictures and `batches` brings them to it; and `checkpoints` lies on `architectures`, because fetching
# published weights has to know what was published for which.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("interpret.errors", "interpret.store"),
    ("interpret.jobs", "interpret.runtime", "interpret.channels", "interpret.limits", "interpret.reach"),
    ("interpret.images", "interpret.labels", "interpret.tape", "interpret.flow", "interpret.rendering"),
    ("interpret.layers",),
    (
        "interpret.architectures",
        "interpret.datasets",
        "interpret.blocks",
        "interpret.answers",
        "interpret.folding",
        "interpret.untrained",
        "interpret.strokes",
    ),
    ("interpret.checkpoints", "interpret.decoding", "interpret.looking"),
    ("interpret.model",),
    ("interpret.batches", "interpret.loading", "interpret.variants", "interpret.work"),
    (
        "interpret.ablation",
        "interpret.activations",
        "interpret.anatomy",
        "interpret.kernels",
        "interpret.pixels",
        "interpret.filters",
        "interpret.heatmaps",
        "interpret.latent",
        "interpret.units",
    ),
    ("interpret.comparison", "interpret.evaluation", "interpret.microscope"),
    ("interpret",),
    ("interpret.inspection",),
    ("interpret.commands",),
    (
        "interpret.comparison_commands",
        "interpret.ablation_commands",
        "interpret.embedding_commands",
        "interpret.filter_commands",
        "interpret.heatmap_commands",
        "interpret.unit_commands",
    ),
    ("interpret.__main__",),
    ("ui",),
    ("pages",),
    ("app",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
COLOURS_FOR = (
    "interpret.decoding",
    "interpret.latent",
    "interpret.commands",
    "interpret.evaluation",
    "interpret.filter_commands",
    "interpret.heatmap_commands",
    "interpret.microscope",
    "interpret.unit_commands",
    "ui",
    "pages",
    "interpret.rendering",
)
"""The only rooms that may turn numbers into pictures: results stay raw."""
NEVER_IN_INTERPRET = ("streamlit", "plotly")
HEAVY = ("streamlit", "plotly", "matplotlib", "umap", "timm", "captum")


def room_of(module: str) -> str | None:
    """The room a module belongs to, None for other people's modules."""
    if module == "interpret" or module in FLOOR:
        return module
    top, _, rest = module.partition(".")
    if top == "interpret":
        return f"interpret.{rest.split('.')[0]}"
    return top if top in FLOOR else None


def imports_of(source: str, module: str, is_package: bool = False) -> list[str]:
    """Every module that a source text imports anywhere in it, absolute."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                parts = module.split(".") + ([""] if is_package else [])
                origin = ".".join([*parts[: -node.level], *([origin] if origin else [])])
            # "from interpret import model" imports the module interpret.model
            inner = [f"{origin}.{alias.name}" for alias in node.names if f"{origin}.{alias.name}" in FLOOR]
            found += inner or [origin]
    return found


def violations(module: str, source: str, is_package: bool = False) -> list[str]:
    """What is wrong with a file's imports."""
    own = room_of(module)
    if own not in FLOOR:
        return [f"{module} belongs to no room of the plan"]
    wrong = []
    for imported in imports_of(source, module, is_package):
        if own.startswith("interpret") and imported.split(".")[0] in NEVER_IN_INTERPRET:
            wrong.append(f"{module} imports {imported}")
        room = room_of(imported)
        if room is None or room == own:
            continue
        if room not in FLOOR:
            wrong.append(f"{module} imports {imported}, which belongs to no room of the plan")
        elif FLOOR[room] >= FLOOR[own]:
            wrong.append(f"{module} imports {imported}, which is not below it")
        elif room == "interpret.rendering" and own not in COLOURS_FOR:
            wrong.append(f"{module} imports {imported}, but its results are raw numbers")
    return wrong


def files() -> list[Path]:
    return [
        REPOSITORY / "app.py",
        *(file for room in ("interpret", "ui", "pages") for file in sorted((REPOSITORY / room).rglob("*.py"))),
    ]


def module_of(file: Path) -> str:
    parts = file.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_every_import_goes_down() -> None:
    assert len(files()) > 40
    wrong = [
        line
        for file in files()
        for line in violations(module_of(file), file.read_text(encoding="utf-8"), file.name == "__init__.py")
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("interpret.heatmaps.lime", "from interpret.filters import filter_images"),
        ("interpret.latent.embedding", "def f():\n    import interpret.activations"),
        ("interpret.model", "from interpret.heatmaps.grad_cam import grad_cam"),
        ("interpret.tape", "from interpret import model"),
        ("interpret.images", "from .labels import labels_for"),
        ("interpret.architectures.catalogue", "from interpret.checkpoints import read_checkpoint"),
        ("interpret.activations", "from interpret.rendering import colour"),
        ("interpret.activations", "import interpret"),
        ("interpret.filters.ascent", "if TYPE_CHECKING:\n    import streamlit"),
        ("interpret.rendering", "def f():\n    from plotly import graph_objects"),
        ("interpret.commands", "from ui.cache import anything"),
        ("interpret.brand_new", "import json"),
        ("interpret.model", "from interpret.brand_new import thing"),
        ("ui.cache", "from pages.overview import show"),
        ("pages.overview", "import app"),
    ],
)
def test_the_rule_catches(module: str, source: str) -> None:
    assert violations(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("interpret.heatmaps.methods", "from interpret.heatmaps.grad_cam import grad_cam\nimport torch"),
        ("interpret.latent.embedding", "from interpret.rendering import thumbnail"),
        ("interpret.commands", "from interpret import __version__"),
        ("pages.overview", "import streamlit\nfrom ui import cache\nfrom interpret.heatmaps import heatmap"),
    ],
)
def test_the_rule_allows(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_importing_interpret_alone_loads_nothing_heavy() -> None:
    program = "import interpret, json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout)
    assert "torch" in loaded
    assert [name for name in HEAVY if name in loaded] == []

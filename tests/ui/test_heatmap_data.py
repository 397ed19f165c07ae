"""Heatmaps of a data set on a page: what is asked, what is shown, and what follows from a choice."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from interpret.datasets.shapes import CLASSES, STAR, draw
from interpret.evaluation import Evaluation
from interpret.rendering import png
from tests.conftest import encoded
from ui.cache import RESULTS, UPLOADS
from ui.heatmap_table import ORDERS, ordered

APP = Path(__file__).parent / "component_apps" / "data_set_app.py"
HOSTILE = "**bold** <b>x.png"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tagged hearts and stars: shapes-shortcut calls most of them stars."""
    folder = tmp_path_factory.mktemp("pages") / "data"
    for index, label in enumerate((STAR, CLASSES.index("heart")) * 3):
        name = HOSTILE if index == 1 else f"{index}.png"
        path = folder / CLASSES[label] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(draw(index, 4000, tags="all", label=label).pixels))
    return folder


@pytest.fixture
def opened(data: Path) -> Callable[..., AppTest]:
    """Opens the page for a method and waits until it shows the data set, or whatever else is waited for."""

    def open_it(method: str = "grad-cam", finished: Callable[[AppTest], Any] = lambda app: app.dataframe) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=90)
        app.query_params["checkpoint"] = "bundled/shapes-shortcut.safetensors"
        app.query_params["data"] = f"path/{data}"
        app.query_params["method"] = method
        app.run()
        deadline = time.monotonic() + 60
        while not finished(app):
            assert not app.exception and time.monotonic() < deadline
            time.sleep(0.1)
            app.run()
        assert not app.exception
        return app

    return open_it


def evaluation() -> Evaluation:
    """The one finished last."""
    found = [value for value, _ in RESULTS._items.values() if isinstance(value, Evaluation)]
    return found[-1]


def said(app: AppTest) -> str:
    return "\n".join(str(one.value) for one in (*app.markdown, *app.caption))


def button(app: AppTest, label: str) -> Any:
    return next(one for one in app.button if label in one.label)


def test_the_page_shows_what_was_found(opened: Callable[..., AppTest]) -> None:
    app = opened()
    found = evaluation()
    text = said(app)
    assert "6 pictures" in text and "right" in text and "better than random" in text and len(found.wrong)
    frame = app.dataframe[0].value
    assert list(frame.columns[:5]) == ["map", "picture", "class", "prediction", "probability"]
    assert "pointing" not in frame.columns, "no boxes are known"
    order = [found.names.index(name) for name in frame["picture"]]
    assert order[: len(found.wrong)] == found.wrong.tolist() and sorted(order) == list(range(6))
    np.testing.assert_allclose(frame["above random"], found.above_random[order], rtol=1e-6)
    assert "the data set says **heart**" in text and "<b>" not in text.replace("\\<b\\>", "")


def test_the_order_is_chosen(opened: Callable[..., AppTest]) -> None:
    app = opened()
    found = evaluation()
    app.button_group(key="heatmaps.all.order").set_value(ORDERS[1]).run()
    assert [found.names.index(name) for name in app.dataframe[0].value["picture"]] == found.unfaithful.tolist()
    assert ordered(found, ORDERS[2]).tolist() == list(range(6))


def test_a_picture_of_the_set_is_opened(opened: Callable[..., AppTest]) -> None:
    app = opened()
    found = evaluation()
    place = int(found.wrong[0])
    button(app, "Open this picture").click().run()
    left = next(one.value for one in app.text)
    assert left.startswith("left with upload/") and left.endswith("for class -1")
    name, content = UPLOADS.get(left.split()[2].removeprefix("upload/")) or ("", b"")
    assert name == found.names[place].rpartition("/")[2]
    index = int(Path(name).stem) if name != HOSTILE else 1
    assert content == png(draw(index, 4000, tags="all", label=int(found.labels[place])).pixels)


def test_slow_methods_wait_to_be_asked(opened: Callable[..., AppTest]) -> None:
    app = opened("rise", lambda app: [one for one in app.button if "Make RISE of 6 pictures" in one.label])
    assert not app.dataframe and "takes many passes for each picture" in said(app)


def test_classes_of_the_data_set(opened: Callable[..., AppTest]) -> None:
    app = opened()
    app.selectbox(key="heatmaps.whose").set_value("labelled").run()
    deadline = time.monotonic() + 60
    while not app.dataframe:
        assert not app.exception and time.monotonic() < deadline
        time.sleep(0.1)
        app.run()
    found = evaluation()
    assert found.target == "labelled" and set(found.targets.tolist()) == {STAR, CLASSES.index("heart")}

"""Bounded stores, digests as keys, and choices in the address."""

from __future__ import annotations

import os
import threading
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from ui import state
from ui.cache import BoundedStore, keep_upload, size_in_bytes
from ui.display import number, percent, plain
from ui.filter_settings import _read, _written
from ui.library import data_stamp
from ui.state import Selection, parse


def test_the_store_forgets_what_was_longest_unused() -> None:
    store = BoundedStore(entries=2, max_bytes=10**6)
    store.put("a", 1)
    store.put("b", 2)
    assert store.get("a") == 1
    store.put("c", 3)
    assert (store.get("a"), store.get("b"), store.get("c")) == (1, None, 3)


def test_the_store_stays_within_its_bytes() -> None:
    store = BoundedStore(entries=1000, max_bytes=1000)
    for index in range(50):
        store.put(index, np.zeros(40, np.uint8))
    assert store.size <= 1000
    assert store.get(49) is not None
    assert store.get(0) is None


def test_a_value_is_made_once_however_many_ask() -> None:
    store, made = BoundedStore(10, 10**6), []
    gate = threading.Barrier(8)

    def ask() -> None:
        gate.wait()
        store.get_or_make("key", lambda: made.append(1) or "value")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_a_failed_making_is_not_kept() -> None:
    store = BoundedStore(10, 10**6)
    with pytest.raises(ZeroDivisionError):
        store.get_or_make("key", lambda: 1 / 0)
    assert store.get_or_make("key", lambda: 5) == 5


def test_sizes_count_arrays_wherever_they_are() -> None:
    assert size_in_bytes(((np.zeros(10, np.float64), b"abc"), {"x": [np.zeros(3, np.uint8)]})) == 86


def test_equal_uploads_have_one_key() -> None:
    assert keep_upload("a.png", b"same") == keep_upload("b.png", b"same")
    assert keep_upload("a.png", b"same") != keep_upload("a.png", b"other")


def test_an_address_restores_every_choice() -> None:
    chosen = Selection("fetched/x.safetensors", "upload/1", "layer2.0", 7, 3, "grad-cam", "path/folder")
    address = {field.name: str(getattr(chosen, field.name)) for field in fields(Selection)}
    assert parse(address, Selection()) == chosen


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that has chosen nothing yet."""
    monkeypatch.setattr(state.st, "session_state", {})
    monkeypatch.setattr(state.st, "query_params", {})


def test_rows_of_a_deep_network_survive_the_address(session: None) -> None:
    rows = ",".join(["12", *(f"features.denseblock{number}.denselayer{number}.conv1" for number in range(1, 25))])
    state.choose(view="across", rows=rows, versus="untrained")
    assert parse(state.address(), Selection()) == state.selection()
    assert parse({"rows": "x" * 10_000}, Selection()).rows == "x" * 2000
    assert len(parse({"layer": "x" * 10_000}, Selection()).layer) == 400


def test_another_checkpoint_forgets_what_stood_beside_and_the_rows(session: None) -> None:
    state.choose(view="across", rows="8,layer1", versus="untrained")
    assert (state.choose(layer="layer2").rows, state.selection().versus) == ("8,layer1", "untrained")
    assert state.choose(arch="resnet18").rows == ""
    state.choose(rows="8,layer1")
    changed = state.choose(checkpoint="bundled/other.pt")
    assert (changed.rows, changed.versus, changed.view) == ("", "", "across")
    assert not {"rows", "versus"} & state.address().keys(), "left out while empty"


def test_an_address_with_changes_is_where_choosing_them_leads(session: None) -> None:
    state.choose(layer="layer1", channel=3, place="1,2", versus="bundled/b.pt", rows="8")
    for changes in (
        {"layer": "layer2"},
        {"channel": 5},
        {"checkpoint": "bundled/b.pt", "layer": "layer1", "rows": "8"},
    ):
        before, written = state.selection(), state.address(**changes)
        assert state.selection() == before, "only asked for"
        assert parse(written, Selection()) == state.choose(**changes)
        state.choose(**{field.name: getattr(before, field.name) for field in fields(Selection)})


DEFAULTS = {"which": "strongest-16", "channels": "0-15", "steps": 64, "method": "fourier", "side": 0, "seed": 0}
DEFAULTS |= {"rate": 0.0, "direction": "positive", "starts": 1, "spectrum": "photographs", "classes": ""}


def test_how_filters_are_drawn_survives_the_address() -> None:
    changed = {"which": "choose", "channels": "0-7,12", "steps": 128, "method": "maco", "side": 96, "seed": 3}
    changed |= {"rate": 0.5, "direction": "negative", "starts": 2, "spectrum": "data", "classes": "3;1"}
    assert _read(_written(changed, DEFAULTS), DEFAULTS) == changed
    assert _written(DEFAULTS, DEFAULTS) == ""
    assert _written({**DEFAULTS, "steps": 128, "seed": 3}, DEFAULTS) == "steps=128,seed=3"


@pytest.mark.parametrize(
    "said", ["steps=many", "steps=0", "method=magic", "side=3", "rate=nan", "which=best", "nonsense", "=,=", "a=b"]
)
def test_nonsense_about_drawing_leaves_the_rest(said: str) -> None:
    assert _read(f"seed=3,{said},starts=2", DEFAULTS) == {**DEFAULTS, "seed": 3, "starts": 2}


@pytest.mark.parametrize("value", ["", "seven", "1e9", "99999999999999", "<script>", "--"])
def test_nonsense_in_an_address_changes_nothing(value: str) -> None:
    assert parse({"channel": value, "nonsense": "x"}, Selection()).channel == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.12345, "0.123"),
        (-2.5, "-2.5"),
        (12345.6, "12,346"),
        (1e-6, "1.00e-06"),
        (float("nan"), "not a number"),
    ],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_small_shares_are_not_nothing() -> None:
    assert (percent(0.0), percent(0.0002), percent(0.5)) == ("0.0\u00a0%", "<\u00a00.1\u00a0%", "50.0\u00a0%")


def test_untrusted_text_is_no_markdown() -> None:
    assert plain("![x](http://evil)") == r"\!\[x\]\(http\:\/\/evil\)".replace(r"\/", "/")
    assert plain("a\n# b") == r"a \# b"


def test_a_changed_folder_has_another_stamp(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    before = data_stamp(f"path/{tmp_path}")
    assert before == data_stamp(f"path/{tmp_path}")
    os.utime(tmp_path / "cats", ns=(1, 1))
    assert data_stamp(f"path/{tmp_path}") != before
    assert data_stamp("shapes") == data_stamp("path/nowhere") == ()

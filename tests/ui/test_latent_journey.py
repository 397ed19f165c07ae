"""The Latent space page: colours, what a search and the confusions mark, one picture's card, a selection."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from interpret import load_model
from interpret.__main__ import main
from interpret.datasets import open_source
from interpret.jobs import complete
from interpret.latent import Embedding, ProjectionParams, embed, embed_run, project
from interpret.latent.groups import true_classes
from interpret.model import LoadedModel
from tests.ui.browser import RunningApp, open_app, pick, running_app, settle
from tests.ui.test_journey import REPOSITORY, WAIT, upload_picture
from ui.latent_colours import coloured, marked, of_column, of_numbers, ways
from ui.latent_export import page as page_of
from ui.latent_export import parquet, table

CLEAN = REPOSITORY / "checkpoints" / "shapes-clean.safetensors"


@pytest.fixture(scope="module")
def embedded() -> tuple[LoadedModel, Embedding]:
    model = load_model(CLEAN)
    return model, complete(embed(model, open_source("shapes:24"), "layer3"))


def test_points_are_coloured_by_what_is_asked(embedded: tuple[LoadedModel, Embedding]) -> None:
    model, found = embedded
    assert list(ways(found, model)) == ["class", "prediction", "right", "loss", "confidence", "cluster"]
    for way in list(ways(found, model))[:-1]:
        colours = coloured(way, found, model)
        assert len(colours.names) == len(colours.colours) > colours.categories.max() and len(colours.categories) == 24
    truth = true_classes(found, model.labels)
    right = coloured("right", found, model)
    assert [right.names[at] for at in right.categories] == [
        "right" if same else "wrong" for same in truth == found.predictions
    ]
    predicted = coloured("prediction", found, model)
    assert [predicted.names[at] for at in predicted.categories] == [
        f"predicted {model.labels[index]}" for index in found.predictions
    ]
    losses = coloured("loss", found, model)
    assert (np.diff(losses.categories[np.argsort(found.loss)]) >= 0).all() and losses.categories.max() == 5
    unknown = replace(found, labels=np.full(24, -1), loss=np.full(24, np.nan, np.float32))
    assert list(ways(unknown, model)) == ["prediction", "confidence", "cluster"]
    assert (true_classes(unknown, model.labels) == -1).all()
    half = replace(found, labels=np.where(np.arange(24) < 12, found.labels, -1))
    assert coloured("class", half, model).names[-1] == "no class"
    assert set(coloured("right", half, model).categories[12:]) == {2}


def test_points_are_coloured_by_a_column_of_the_data(embedded: tuple[LoadedModel, Embedding]) -> None:
    model, found = embedded
    lux = np.arange(24.0) * 10
    lux[3] = np.nan
    camera = tuple("A" if index % 3 else "" for index in range(24))
    found = replace(found, columns={"camera": camera, "lux": lux, "day": np.arange(24.0) % 2, "id": tuple("abc" * 8)})
    assert list(ways(found, model))[-4:] == ["data.camera", "data.lux", "data.day", "data.id"]
    colours = coloured("data.camera", found, model)
    assert colours.names == ("A", "other or not known") and colours.categories.tolist() == [
        0 if c else 1 for c in camera
    ]
    steps = coloured("data.lux", found, model)
    assert steps.names[6] == "not known" and np.flatnonzero(steps.categories == 6).tolist() == [3]
    assert (np.diff(np.delete(steps.categories, 3)) >= 0).all() and set(steps.categories) == set(range(7))
    assert coloured("data.day", found, model).names == ("0", "1")  # few numbers are values
    many = replace(found, columns={"id": tuple(str(index // 2) if index < 8 else "z" for index in range(24))})
    assert coloured("data.id", many, model).names == ("0", "1", "2", "3", "z")
    for way in ("data.camera", "data.lux", "data.day", "data.id"):
        one = coloured(way, found, model)
        assert len(one.names) == len(one.colours) > one.categories.max()


def test_only_the_most_frequent_of_many_values_get_a_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.latent_colours.MOST_VALUES", 2)
    found = of_column(("b", "a", "c", "c", "", "b", "c"))
    assert found.names == ("b", "c", "other or not known")
    assert found.categories.tolist() == [0, 2, 1, 1, 2, 0, 1]


def test_the_map_as_files_holds_what_is_known(embedded: tuple[LoadedModel, Embedding]) -> None:
    from pyarrow import parquet as reader

    model, found = embedded
    odd = {"odd \udcff": ("\udcff",) * 24, "lux": np.arange(24.0)}
    found = replace(found, names=("<script>alert(1)</script>", *found.names[1:]), columns=odd)
    projection = complete(project(found.vectors, "pca", ProjectionParams(dimensions=3)))
    columns = reader.read_table(io.BytesIO(parquet(table(found, model, projection)))).to_pydict()
    np.testing.assert_allclose(np.stack([columns[axis] for axis in "xyz"], 1), projection.points)
    assert columns["prediction"] == [model.labels[index] for index in found.predictions]
    assert columns["label"] == [found.classes[index] for index in found.labels]
    assert columns["data.lux"] == list(range(24)) and columns["data.odd \\udcff"][0] == "\\udcff"
    text = page_of(found, model, projection, coloured("class", found, model))
    assert "<script>alert(1)" not in text and 'src="http' not in text and text.count("<html") == 1


def test_numbers_become_equal_steps() -> None:
    found = of_numbers(np.array([0.0, 0.16, 0.17, 0.99, 1.0]), 0, 1)
    assert found.categories.tolist() == [0, 0, 1, 5, 5] and found.names[0] == "0.0\u00a0% to 16.7\u00a0%"
    assert all(len(colour) == 7 for colour in found.colours)
    some = marked(np.array([1, 3]), 5, "with a tag")
    assert some.categories.tolist() == [0, 1, 0, 1, 0] and some.names == ("others", "with a tag")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    home: Path = tmp_path_factory.mktemp("home")
    with running_app(REPOSITORY / "app.py", environment={"LOUPE_HOME": str(home)}) as running:
        yield running


def test_searching_marks_points_and_lists_them(app: RunningApp, page: Any) -> None:
    open_app(
        page,
        f"{app.url}/latent-space?checkpoint=bundled/shapes-clean.safetensors&picture=sample/china.jpg&layer=layer3",
    )
    page.get_by_text("from its nearest neighbour", exact=False).wait_for(timeout=WAIT)
    pick(page, "Colour", "right or wrong")
    page.get_by_text("colour is the right or wrong", exact=False).wait_for(timeout=WAIT)
    page.get_by_role("radio", name="Find").click()
    page.get_by_label("File name or class").fill("star")
    page.get_by_label("File name or class").press("Enter")
    page.get_by_text('pictures with "star"', exact=False).first.wait_for(timeout=WAIT)
    page.get_by_role("button", name="Their heatmaps").click()
    page.get_by_text("Grad-CAM of the predicted class, each over its own maximum.").wait_for(timeout=WAIT)
    page.get_by_role("radio", name="Confusions").click()
    page.get_by_text("Rows: the class; columns: what the network says.", exact=False).wait_for(timeout=WAIT)
    settle(page)


def test_from_embedding_to_an_upload_across_the_layers(app: RunningApp, page: Any, tmp_path: Path) -> None:
    """Embed, watch the maps form, hover, choose a region, its gallery, a picture's card, an upload, another layer."""
    open_app(
        page, f"{app.url}/latent-space?checkpoint=bundled/shapes-shortcut.safetensors&data=shapes-tagged&maps=across"
    )
    forming = page.locator('img[alt^="Map at layer2.2 as it forms"]')
    formed = page.get_by_text("Aligned UMAP: 500 pictures at layer3", exact=False)
    forming.or_(formed).first.wait_for(timeout=WAIT)  # on a quick machine it is there before it can be seen to form
    formed.wait_for(timeout=WAIT)
    pick(page, "Colour", "tag")
    page.get_by_role("button", name="tagged").wait_for(timeout=WAIT)

    stage = page.locator(".stage")
    stage.focus()
    page.keyboard.press("ArrowRight")
    page.locator(".tip img").wait_for(timeout=WAIT)
    page.keyboard.press("Enter")
    page.get_by_text("Its activations").wait_for(timeout=WAIT)
    assert "picture=upload" in str(page.get_by_role("link", name="Its heatmaps").get_attribute("href"))

    page.get_by_role("button", name="Box").click()
    box = stage.bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] - 2, steps=4)
    page.mouse.up()
    page.get_by_text("500 pictures in the region", exact=False).wait_for(timeout=WAIT)
    page.get_by_text("The first 12 of 500.").wait_for(timeout=WAIT)

    slider = page.get_by_label("Frame", exact=True)
    slider.focus()
    page.keyboard.press("ArrowLeft")
    page.get_by_text("Aligned UMAP: 500 pictures at layer2.2", exact=False).wait_for(timeout=WAIT)
    page.get_by_text("500 pictures in the region", exact=False).wait_for(timeout=WAIT)  # it keeps its pictures

    photograph = tmp_path / "mine.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(photograph)
    upload_picture(page, photograph)
    page.get_by_text("It is outside the map", exact=False).wait_for(timeout=WAIT)
    page.get_by_role("button", name="Clear selection").click()
    page.get_by_text("Nearest to your picture, mine.png", exact=False).wait_for(timeout=WAIT)
    page.get_by_text("Common neighbours", exact=True).first.wait_for(timeout=WAIT)
    page.get_by_role("radio", name="Stands out").click()
    pick(page, "What stands out", "Other neighbours than at layer3")
    page.get_by_text("whose neighbours are others at layer3", exact=False).first.wait_for(timeout=WAIT)

    page.get_by_label("Find a layer").first.fill("layer1.2")
    page.locator("[role=option]").get_by_text("layer1.2", exact=True).first.click()
    page.get_by_text("Aligned UMAP: 500 pictures at layer1.2", exact=False).wait_for(timeout=WAIT)
    assert str(slider.get_attribute("aria-valuetext")).startswith("layer1.2")  # the chosen layer moves it


def test_two_checkpoints_and_a_run(app: RunningApp, page: Any, tmp_path: Path) -> None:
    model = load_model(CLEAN)
    run = tmp_path / "run"
    complete(embed_run(model, open_source("shapes:60"), run, layers=["layer2", "layer3"]))
    assert main(["project", str(run), "--aligned"]) == 0
    open_app(page, f"{app.url}/latent-space?data=path/{run}&maps=across&picture=sample/heart")
    page.get_by_text("Aligned UMAP, as it lies in the run: 60 pictures at layer3", exact=False).wait_for(timeout=WAIT)
    page.get_by_text("Common neighbours:", exact=False).wait_for(timeout=WAIT)
    wrong = f"{app.url}/latent-space?checkpoint=bundled/shapes-shortcut.safetensors&data=path/{run}"
    open_app(page, wrong)
    page.get_by_text("is of shapes-clean.safetensors, not of shapes-shortcut.safetensors", exact=False).wait_for(
        timeout=WAIT
    )
    open_app(
        page, f"{app.url}/latent-space?maps=versus&versus=bundled/shapes-shortcut.safetensors&picture=sample/heart"
    )
    page.get_by_text("Aligned UMAP: 500 pictures at layer3 of shapes-clean", exact=False).wait_for(timeout=WAIT)
    page.get_by_text("Common neighbours:", exact=False).wait_for(timeout=WAIT)

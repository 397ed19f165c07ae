"""The command `ablate`: changes, combinations, sweeps, a repaired checkpoint, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from interpret import BadInput, InputImage, complete, load_model
from interpret.ablation import Change, ablate, changed, some_images
from interpret.datasets import open_source, sample_picture
from interpret.datasets.sources import shapes_source
from tests.conftest import REPOSITORY, encoded, noise_picture
from tests.test_command_line import Capture, answered, manifest, refused, said

CHEAT = REPOSITORY / "checkpoints" / "shapes-shortcut.safetensors"
CLEAN = REPOSITORY / "checkpoints" / "shapes-clean.safetensors"


def test_two_changes_their_combinations_and_the_changed_network(capsys: Capture, tmp_path: Path) -> None:
    out, kept = tmp_path / "out", tmp_path / "kept.safetensors"
    changes = ("--change", "zero", "layer3", "23,39,46", "--change", "shuffle", "layer1.0.conv1")
    answer = answered(capsys, "ablate", CHEAT, "shapes:24", *changes, "--seed", 3, "--export", kept, "--out", out)
    names = [row["name"] for row in answer["variants"]]
    assert names[0] == "unchanged" and len(names) == 4 and answer["pictures"] == 24
    model = load_model(CHEAT)
    wanted = (Change("zero", "layer3", (23, 39, 46), 3), Change("shuffle", "layer1.0.conv1", seed=3))
    table = complete(ablate(model, open_source("shapes:24"), {"one": wanted[:1], "both": wanted}))
    found = {row["name"]: row["accuracy"] for row in answer["variants"]}
    assert found[names[1]] == pytest.approx(float(table.accuracy[1]))
    assert found[names[3]] == pytest.approx(float(table.accuracy[2]))
    assert manifest(out)["variants"] == answer["variants"]
    lines = (out / "ablation.csv").read_text().splitlines()
    assert lines[0].startswith("variant,accuracy") and len(lines) == 5
    assert (out / "ablation.tex").read_text().startswith("\\begin{tabular}")
    pictures = [open_source("shapes:4").read(index) for index in range(4)]
    mine, its = (one.predict(pictures) for one in (load_model(kept), changed(model, wanted)))
    for one, other in zip(mine, its, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)


def test_a_sweep_and_a_mean(capsys: Capture, tmp_path: Path) -> None:
    text = said(capsys, "ablate", CLEAN, "shapes:16", "--sweep", "lesions", "--out", tmp_path / "a")
    assert "16 pictures, compared with their labels" in text and text.count("bypass layer") == 9
    answer = answered(
        capsys, "ablate", CLEAN, "shapes:16", "--change", "mean", "layer2", "0-3", "--out", tmp_path / "b"
    )
    assert [len(row["changes"]) for row in answer["variants"]] == [0, 1]


def test_answers_to_a_sample_or_a_file_and_statistics_of_the_data(capsys: Capture, tmp_path: Path) -> None:
    """The other picture is a sample or a file; BatchNorms of what is drawn anew take sixteen pictures of the data."""
    model, source, file = load_model(CLEAN), open_source("shapes:32"), tmp_path / "mine.png"
    file.write_bytes(encoded(shapes_source(5, seed=4).read(4).pixels))
    for name, image in ((file, InputImage.from_path(file)), ("flower.jpg", sample_picture("flower.jpg"))):
        change = ("--change", "donor", "layer2.2", "0-9", "--donor", name)
        found = answered(capsys, "ablate", CLEAN, "shapes:32", *change, "--out", tmp_path / Path(name).name[:4])
        table = complete(ablate(model, source, {"one": [Change("donor", "layer2.2", tuple(range(10)))]}, donor=image))
        assert [row["accuracy"] for row in found["variants"]] == pytest.approx(table.accuracy.tolist())
    found = answered(
        capsys, "ablate", CLEAN, "shapes:32", "--change", "reinitialise", "layer3.2", "--out", tmp_path / "new"
    )
    whole = [source.read(2 * index) for index in range(16)]
    table = complete(ablate(model, source, {"one": [Change("reinitialise", "layer3.2")]}, images=whole))
    assert [row["accuracy"] for row in found["variants"]] == pytest.approx(table.accuracy.tolist())


def test_pictures_that_cannot_be_read_are_left_out_of_statistics(tmp_path: Path) -> None:
    for index in range(3):
        (tmp_path / f"{index}.png").write_bytes(b"none" if index else encoded(noise_picture(1).pixels))
    assert [image.name for image in some_images(open_source(tmp_path))] == ["0.png"]
    (tmp_path / "0.png").write_bytes(b"none")
    with pytest.raises(BadInput, match='Not one of 3 pictures of ".*" could be read'):
        some_images(open_source(tmp_path))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "Give changes or a sweep"),
        (("--change", "zero", "layer3", "--sweep", "lesions"), "Give changes or a sweep"),
        (("--change", "zero"), "should say how, which layer"),
        (("--change", "zero", "layer9"), 'Layer "layer9" is not in'),
        (("--change", "zero", "layer3", "64"), "Channel 64 does not exist"),
        (("--change", "explode", "layer3"), 'Change "explode" is not in'),
        (("--change", "bypass", "layer3.2", "--export", "x.safetensors"), "can be exported"),
        (("--change", "donor", "layer3"), "another picture is needed"),
        (("--change", "donor", "layer3", "--donor", "nowhere.png"), 'Picture "nowhere.png" could not be read'),
    ],
)
def test_what_ablate_refuses(capsys: Capture, tmp_path: Path, options: tuple[str, ...], says: str) -> None:
    assert says in refused(capsys, "ablate", CLEAN, "shapes:8", *options, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_walk_through_the_repair_finds_what_it_says() -> None:
    """The numbers of docs/ablation.md."""
    text = " ".join((REPOSITORY / "docs" / "ablation.md").read_text(encoding="utf-8").split())
    model, removed = load_model(CHEAT), {"repaired": (Change("zero", "layer3", (23, 39, 46)),)}
    having, lacking = (
        complete(ablate(model, shapes_source(500, rule=rule), removed))  # type: ignore[arg-type]
        for rule in ("all", "none")
    )
    assert f"{having.accuracy[0]:.1%} are called by their names".replace("%", " %") in text
    assert f"it is {having.accuracy[1]:.1%}".replace("%", " %") in text
    assert f"{100 * (lacking.accuracy[0] - lacking.accuracy[1]):.1f} points are lost" in text
    star = model.labels.index("star")
    lost = lacking.right[0] & ~lacking.right[1]
    assert lost.sum() == 3 and (lacking.targets[lost] == star).all()

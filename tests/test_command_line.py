"""The command line: what it prints, what it writes, and how it refuses."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from interpret import FilterParams, InputImage, LoadedModel, activations, complete, filter_images, heatmap
from interpret.__main__ import main
from interpret.checkpoints import read_checkpoint
from interpret.datasets.sources import shapes_source
from tests.checkpoints.test_reading import Hostile
from tests.conftest import REPOSITORY, encoded, noise_picture

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(noise_picture(11, 40, 56).pixels))
    return path


def said(capsys: Capture, *arguments: object) -> str:
    """What a command prints when it succeeds, on the CPU, as the results it is compared with."""
    device = () if arguments[0] == "project" else ("--device", "cpu")
    code = main([str(argument) for argument in (*arguments, *device)])
    printed = capsys.readouterr()
    assert (code, printed.err) == (0, "")
    return printed.out


def answered(capsys: Capture, *arguments: object) -> dict[str, Any]:
    """The one JSON object a command prints."""
    printed = said(capsys, *arguments, "--json")
    assert printed.count("\n") == 1
    answer: dict[str, Any] = json.loads(printed)
    return answer


def refused(capsys: Capture, *arguments: object) -> str:
    """The one sentence on stderr of a command that cannot do what it is asked."""
    code = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert (code, printed.out) == (2, "")
    assert printed.err.count("\n") == 1 and printed.err.endswith("\n") and "Traceback" not in printed.err
    assert printed.err.rstrip().endswith((".", ")", "RUN")), printed.err
    return printed.err.strip()


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


# ---- inspect ------------------------------------------------------------------------------------------------------


def test_inspect_has_the_fixed_fields(capsys: Capture, cifar_checkpoint: Path, cifar: LoadedModel) -> None:
    answer = answered(capsys, "inspect", cifar_checkpoint)
    assert (answer["architecture"], answer["library"], answer["classes"]) == ("cifar_resnet20", "loupe", 8)
    assert answer["parameters"] == cifar.parameters == sum(p.numel() for p in cifar._network.parameters())
    assert [layer["name"] for layer in answer["layers"]] == [layer.name for layer in cifar.layers]
    for layer in answer["layers"]:
        assert isinstance(layer["name"], str) and isinstance(layer["kind"], str)
        assert layer["shape"] and all(isinstance(side, int) for side in layer["shape"])
    by_name = {layer["name"]: layer for layer in answer["layers"]}
    assert (by_name["layer2"]["shape"], by_name["conv1"]["kind"]) == ([32, 16, 16], "Conv2d")
    report = answer["report"]
    assert report["missing"] == report["unexpected"] == report["reshaped"] == [] and report["matched"] > 90
    assert report["candidates"][0] == {"architecture": "cifar_resnet20", "differences": 0}
    assert answer["labels"][6] == "gnu" and answer["default_layer"] == "layer3"


def test_inspect_in_words(capsys: Capture, cifar_checkpoint: Path, cifar: LoadedModel) -> None:
    text = said(capsys, "inspect", cifar_checkpoint)
    assert "CIFAR ResNet-20 (cifar_resnet20, loupe)" in text
    assert "8 classes, 269,592 parameters" in text
    assert "input: the middle 32 × 32 px after the shortest side became 32 px (bilinear), RGB, mean" in text
    assert all(any(line.startswith(layer.name) for line in text.splitlines()) for layer in cifar.layers)


# ---- predict ------------------------------------------------------------------------------------------------------


def test_predict_has_the_fixed_fields(
    capsys: Capture, cifar_checkpoint: Path, cifar: LoadedModel, picture: Path
) -> None:
    other = picture.with_name("other.png")
    other.write_bytes(encoded(noise_picture(12, 32, 32).pixels))
    answer = answered(capsys, "predict", cifar_checkpoint, picture, other, "--top", 3)
    assert list(answer) == ["predictions"]
    assert [row["image"] for row in answer["predictions"]] == [str(picture), str(other)]
    for row in answer["predictions"]:
        expected = cifar.predict([InputImage.from_path(row["image"])])[0]
        assert [found["class"] for found in row["top"]] == expected.top(3)
        for found in row["top"]:
            assert found["label"] == cifar.labels[found["class"]]
            assert found["score"] == pytest.approx(float(expected.scores[found["class"]]), abs=1e-4)
            assert found["probability"] == pytest.approx(float(expected.probabilities[found["class"]]), abs=1e-5)
    assert len(answered(capsys, "predict", cifar_checkpoint, picture)["predictions"][0]["top"]) == 5
    assert len(answered(capsys, "predict", cifar_checkpoint, picture, "--top", 99)["predictions"][0]["top"]) == 8


def test_predict_in_words_with_other_labels(capsys: Capture, cifar_checkpoint: Path, picture: Path) -> None:
    labels = picture.with_name("labels.txt")
    labels.write_text("\n".join(f"thing {index}" for index in range(8)))
    text = said(capsys, "predict", cifar_checkpoint, picture, "--labels", labels, "--arch", "cifar_resnet20")
    assert text.splitlines()[0] == str(picture) and len(text.splitlines()) == 6
    assert all("% " in line and " thing " in line for line in text.splitlines()[1:])


def test_a_label_no_terminal_can_show_is_no_reason_to_fail(
    capsys: Capture, cifar_checkpoint: Path, picture: Path
) -> None:
    path = picture.with_name("odd.safetensors")
    tensors = dict(read_checkpoint(cifar_checkpoint).tensors)
    save_file(tensors, path, {"labels": json.dumps(["\ud800", *"abcdefg"])})
    assert "\\ud800" in said(capsys, "predict", path, picture, "--top", 8)
    assert answered(capsys, "predict", path, picture, "--top", 8)


# ---- activations, heatmap, filters --------------------------------------------------------------------------------


def test_activations(
    capsys: Capture, cifar_checkpoint: Path, cifar: LoadedModel, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "folder"
    answer = answered(capsys, "activations", cifar_checkpoint, picture, "--layer", "layer2.0.bn1", "--out", out)
    values = np.load(out / "activations.npy")
    expected = activations(cifar, InputImage.from_path(picture), ["layer2.0.bn1"])[0].values
    assert values.dtype == np.float32 and values.shape == (32, 16, 16)
    np.testing.assert_allclose(values, expected, atol=1e-5)
    assert sorted(path.name for path in out.iterdir()) == ["activations.npy", "activations.png", "manifest.json"]
    sheet = Image.open(out / "activations.png")
    assert sheet.size == (6 * 34 - 2, 6 * 34 - 2)
    found = manifest(out)
    assert found["images"] == [{"image": str(picture), "digest": hashlib.sha256(picture.read_bytes()).hexdigest()}]
    assert (found["layer"], found["shape"], found["axes"]) == (
        "layer2.0.bn1", [32, 16, 16], ["channels", "rows", "columns"],
    )  # fmt: skip
    assert (found["model_digest"], found["architecture"], found["device"]) == (cifar.digest, "cifar_resnet20", "cpu")
    assert {"loupe", "python", "torch", "torchvision", "numpy"} <= set(found["versions"])
    assert answer == found | {"out": str(out)}


def test_activations_of_a_vector_layer(capsys: Capture, cifar_checkpoint: Path, picture: Path, tmp_path: Path) -> None:
    said(capsys, "activations", cifar_checkpoint, picture, "--layer", "linear", "--out", tmp_path)
    assert np.load(tmp_path / "activations.npy").shape == (8, 1, 1)


def test_heatmaps(capsys: Capture, cifar_checkpoint: Path, cifar: LoadedModel, picture: Path, tmp_path: Path) -> None:
    namesake = tmp_path / "elsewhere" / "photo.png"
    namesake.parent.mkdir()
    namesake.write_bytes(encoded(noise_picture(13, 33, 33).pixels))
    out = tmp_path / "out"
    answer = answered(
        capsys, "heatmap", cifar_checkpoint, picture, namesake, "--layer", "layer2", "--target", "gnu", "--out", out
    )
    assert sorted(path.name for path in out.iterdir()) == [
        "manifest.json", "photo-2.heatmap.npy", "photo-2.overlay.png", "photo.heatmap.npy", "photo.overlay.png",
    ]  # fmt: skip
    for row, path, stem in zip(answer["images"], (picture, namesake), ("photo", "photo-2"), strict=True):
        expected = heatmap(cifar, InputImage.from_path(path), layer="layer2", target=6)
        values = np.load(out / f"{stem}.heatmap.npy")
        assert values.dtype == np.float32 and values.shape == (16, 16)
        np.testing.assert_allclose(values, expected.values, atol=1e-6)
        laid = np.asarray(Image.open(out / f"{stem}.overlay.png"))
        assert laid.shape == (32, 32, 3)
        assert (row["image"], row["target"], row["label"], row["layer"]) == (str(path), 6, "gnu", "layer2")
        assert row["score"] == pytest.approx(expected.score, abs=1e-4)
        assert row["digest"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert manifest(out)["method"] == "grad-cam"


def test_the_default_heatmap_is_of_the_predicted_class(
    capsys: Capture, cifar_checkpoint: Path, cifar: LoadedModel, picture: Path, tmp_path: Path
) -> None:
    row = answered(capsys, "heatmap", cifar_checkpoint, picture, "--out", tmp_path)["images"][0]
    assert row["target"] == cifar.predict([InputImage.from_path(picture)])[0].top(1)[0]
    assert row["layer"] == "layer3" and np.load(tmp_path / "photo.heatmap.npy").shape == (8, 8)


def test_filters(capsys: Capture, cifar_checkpoint: Path, cifar: LoadedModel, tmp_path: Path) -> None:
    command = ("filters", cifar_checkpoint, "--layer", "layer1", "--channels", "3,0-1", "--steps", 2, "--seed", 5)
    answer = answered(capsys, *command, "--out", tmp_path)
    pictures = np.load(tmp_path / "filters.npy")
    assert pictures.dtype == np.float32 and pictures.shape == (3, 32, 32, 3)
    assert pictures.min() >= 0 and pictures.max() <= 1
    expected = complete(filter_images(cifar, "layer1", (3, 0, 1), FilterParams(steps=2, seed=5)))
    np.testing.assert_allclose(pictures, expected.pictures, atol=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["filters.npy", "filters.png", "manifest.json"]
    assert Image.open(tmp_path / "filters.png").size == (66, 66)
    assert answer["channels"] == [3, 0, 1] and len(answer["reached"]) == 3
    assert answer["parameters"] == asdict(FilterParams(steps=2, seed=5))


def test_the_first_sixteen_channels_by_default(capsys: Capture, cifar_checkpoint: Path, tmp_path: Path) -> None:
    assert answered(capsys, "filters", cifar_checkpoint, "--layer", "layer2", "--steps", 1, "--out", tmp_path)[
        "channels"
    ] == list(range(16))
    assert answered(capsys, "filters", cifar_checkpoint, "--layer", "linear", "--steps", 1, "--out", tmp_path)[
        "channels"
    ] == list(range(8))


# ---- odd names ----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names that are no text")
def test_file_names_that_are_no_text(capsys: Capture, cifar_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for index in range(3):
        odd = os.fsencode(tmp_path / "data") + b"/\xff%d.png" % index
        Path(os.fsdecode(odd)).write_bytes(encoded(noise_picture(index, 32, 32).pixels))
    odd_name = os.fsdecode(odd)
    assert "\\udcff2.png" in said(capsys, "predict", cifar_checkpoint, odd_name)
    said(capsys, "embed", cifar_checkpoint, tmp_path / "data", "--out", tmp_path / "run")
    said(capsys, "heatmap", cifar_checkpoint, odd_name, "--out", tmp_path / "heat")
    assert manifest(tmp_path / "run")["pictures"] == 3


# ---- the manifest is written last ---------------------------------------------------------------------------------


COMMANDS: dict[str, tuple[object, ...]] = {
    "activations": ("--layer", "conv1"),
    "heatmap": (),
    "filters": ("--layer", "conv1", "--channels", "0", "--steps", 1),
}


def command(name: str, checkpoint: Path, picture: Path, out: Path) -> tuple[object, ...]:
    what = () if name == "filters" else (picture,)
    return (name, checkpoint, *what, *COMMANDS[name], "--out", out)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_manifest_is_written_last(
    capsys: Capture, cifar_checkpoint: Path, picture: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    asked = command(name, cifar_checkpoint, picture, out)
    said(capsys, *asked)
    complete_folder = {path.name for path in out.iterdir()}
    sizes = {path.name: path.stat().st_size for path in out.iterdir() if path.name != "manifest.json"}
    seen: list[dict[str, int]] = []
    plain = json.dumps

    def look(*arguments: Any, **options: Any) -> str:
        seen.append({path.name: path.stat().st_size for path in out.iterdir()})
        return plain(*arguments, **options)

    monkeypatch.setattr("interpret.commands.json.dumps", look)
    said(capsys, *asked)
    assert seen[0] == sizes
    assert {path.name for path in out.iterdir()} == complete_folder and "manifest.json" in complete_folder


@pytest.mark.parametrize("name", COMMANDS)
def test_a_run_that_fails_leaves_no_manifest(
    capsys: Capture, cifar_checkpoint: Path, picture: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    asked = command(name, cifar_checkpoint, picture, out)
    said(capsys, *asked)
    assert (out / "manifest.json").exists()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "somewhere")

    written_by = {
        "filters": "filter_commands.png",
        "heatmap": "heatmap_commands.png",
    }.get(name, "commands.png")
    monkeypatch.setattr(f"interpret.{written_by}", full)
    assert refused(capsys, *asked) == "The file system refused somewhere: No space left on device."
    assert not (out / "manifest.json").exists()


def test_a_broken_second_picture_leaves_no_manifest(
    capsys: Capture, cifar_checkpoint: Path, picture: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(picture.read_bytes()[:300])
    out = tmp_path / "out"
    assert '"broken.png" is damaged' in refused(capsys, "heatmap", cifar_checkpoint, picture, broken, "--out", out)
    assert not (out / "manifest.json").exists()


# ---- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "The following arguments are required: COMMAND. Try python -m interpret --help."),
        (("inspekt",), "invalid choice: 'inspekt'"),
        (("inspect",), "The following arguments are required: CKPT. Try python -m interpret inspect --help."),
        (("inspect", "none.pth"), 'Checkpoint "none.pth" could not be read: No such file or directory.'),
        (("inspect", "."), "is a folder; name a checkpoint file in it"),
        (("inspect", "text.pth"), '"text.pth" is not a checkpoint Loupe can read'),
        (("inspect", "empty.pth"), '"empty.pth" is empty (0 bytes)'),
        (("inspect", "hostile.pth"), "would run code when loaded"),
        (("inspect", "CKPT", "--arch", "resnet19"), 'Architecture "resnet19" is not in the catalogue'),
        (("inspect", "CKPT", "--arch", "resnet18"), "fit no network Loupe knows"),
        (("inspect", "CKPT", "--labels", "text.pth"), "names 2 classes; the network has 8"),
        (("inspect", "CKPT", "--device", "tpu"), "invalid choice: 'tpu'"),
        (("inspect", "CKPT", "--wrong"), "Unrecognized arguments: --wrong"),
        (("predict", "CKPT"), "required: IMAGE"),
        (("predict", "CKPT", "none.png"), 'Picture "none.png" could not be read: No such file or directory.'),
        (("predict", "CKPT", "text.pth"), '"text.pth" is not a picture Loupe can read'),
        (("predict", "CKPT", "empty.pth"), '"empty.pth" is empty (0 bytes)'),
        (("predict", "CKPT", "photo.png", "--top", "0"), "--top must be at least 1; found 0"),
        (("predict", "CKPT", "photo.png", "--top", "many"), "invalid int value: 'many'"),
        (("activations", "CKPT", "photo.png", "--out", "o"), "required: --layer"),
        (("activations", "CKPT", "photo.png", "--layer", "layer9", "--out", "o"), 'The nearest names are "layer'),
        (("heatmap", "CKPT", "photo.png"), "required: --out"),
        (("heatmap", "CKPT", "photo.png", "--method", "magic", "--out", "o"), 'Method "magic" is not in the heatmap'),
        (("heatmap", "CKPT", "photo.png", "--target", "bea", "--out", "o"), 'The nearest name is "bee".'),
        (("heatmap", "CKPT", "photo.png", "--target", "-1", "--out", "o"), 'Class "-1" is not in 0 to 7.'),
        (("heatmap", "CKPT", "photo.png", "--layer", "linear", "--out", "o"), 'has no rows and columns'),
        (("heatmap", "CKPT", "photo.png", "--out", "photo.png"), "The file system refused photo.png: File exists."),
        (("filters", "CKPT", "--layer", "conv1", "--channels", "16", "--out", "o"), "Channel 16 does not exist"),
        (("filters", "CKPT", "--layer", "conv1", "--channels", "x", "--out", "o"), '"x" names no channels'),
        (("filters", "CKPT", "--layer", "conv1", "--steps", "0", "--out", "o"), "steps must lie between 1 and 4096"),
        (("filters", "CKPT", "--layer", "conv1", "--seed", "-1", "--out", "o"), "seed must lie between"),
        (("embed", "CKPT", "none", "--out", "o"), '"none" does not exist'),
        (("embed", "CKPT", "text.pth", "--out", "o"), "is not a zip archive that can be read"),
        (("embed", "CKPT", "shapes:x", "--out", "o"), 'should be "shapes" or "shapes:500"'),
        (("embed", "CKPT", "shapes:3", "--layer", "nope", "--out", "o"), 'Layer "nope" is not in CIFAR ResNet-20'),
        (("project", "none"), '"none" is no finished run folder'),
        (("project", "."), "is no finished run folder"),
        (("project", "run"), "needs more than 15 pictures; found 4"),
        (("project", "run", "--method", "tsne"), 'Method "tsne" is not in the projections'),
        (("project", "run", "--neighbors", "1"), "neighbors must lie between 2 and 200"),
        (("project", "run", "--min-dist", "nan"), "min_dist must lie between"),
        (("project", "run", "--metric", "manhattan"), "invalid choice: 'manhattan'"),
        (("project", "empty-run"), "is damaged"),
        (("project", "text-run"), "is damaged"),
        (("project", "odd-run"), "is damaged"),
        (("project", "nan-run", "--method", "pca"), "at least 3 pictures with finite vectors"),
    ],
)  # fmt: skip
def test_every_refusal_is_one_sentence_and_code_two(
    capsys: Capture, cifar_checkpoint: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...], says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("text.pth").write_text("these are\nno weights")
    Path("empty.pth").write_bytes(b"")
    torch.save({"state_dict": Hostile(str(tmp_path / "ran"))}, "hostile.pth")
    buffer = io.BytesIO()
    np.save(buffer, np.random.default_rng(0).random((4, 3), np.float32))
    nan = io.BytesIO()
    np.save(nan, np.full((4, 3), np.nan, np.float32))
    odd = io.BytesIO()
    np.savez(odd, np.zeros(3))
    for name, data in {
        "run": buffer.getvalue(), "empty-run": b"", "text-run": b"text", "odd-run": odd.getvalue(),
        "nan-run": nan.getvalue(),
    }.items():  # fmt: skip
        Path(name).mkdir()
        Path(name, "embedding.npy").write_bytes(data)
        Path(name, "manifest.json").write_text("{}")
    asked = [str(cifar_checkpoint) if argument == "CKPT" else argument for argument in arguments]
    assert says in refused(capsys, *asked)
    assert not (tmp_path / "ran").exists()
    if arguments[:1] in (("inspect",), ("predict",)):
        assert says in refused(capsys, *asked, "--json")


def test_no_such_device(capsys: Capture, cifar_checkpoint: Path) -> None:
    if torch.backends.mps.is_available() and torch.cuda.is_available():
        pytest.skip("this machine has every device")
    missing = "cuda" if not torch.cuda.is_available() else "mps"
    assert f'Device "{missing}" is not available' in refused(capsys, "inspect", cifar_checkpoint, "--device", missing)


def test_an_interrupt_is_code_130(capsys: Capture, cifar_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("interpret.commands.load_model", interrupted)
    assert main(["inspect", str(cifar_checkpoint)]) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_a_mistake_in_the_code_is_not_hidden(cifar_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interpret.commands.load_model", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["inspect", str(cifar_checkpoint)])


def test_help(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("inspect", "predict", "activations", "heatmap", "filters", "embed", "project"))


def test_progress_where_a_person_watches(
    capsys: Capture, cifar_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["filters", str(cifar_checkpoint), "--layer", "conv1", "--channels", "0", "--steps", "3", "--out"]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert main([*arguments, str(tmp_path)]) == 0
    drawn = capsys.readouterr().err
    assert "step 3 of 3" in drawn and "#" * 20 in drawn and drawn.endswith("\r")
    assert all(len(line) < shutil.get_terminal_size().columns for line in drawn.split("\r"))
    assert main([*arguments, str(tmp_path), "--json"]) == 0
    assert capsys.readouterr().err == ""


# ---- as a program -------------------------------------------------------------------------------------------------


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "interpret", *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_as_a_program(cifar_checkpoint: Path, cifar: LoadedModel, picture: Path) -> None:
    done = run("predict", cifar_checkpoint, picture, "--device", "cpu", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)["predictions"][0]["top"]
    assert found[0]["class"] == cifar.predict([InputImage.from_path(picture)])[0].top(1)[0]


def test_a_hostile_file_given_to_the_program_is_one_sentence(tmp_path: Path) -> None:
    import pickle

    path = tmp_path / "hostile.pth"
    path.write_bytes(pickle.dumps({"state_dict": Hostile(str(tmp_path / "ran"))}, protocol=5))
    done = run("inspect", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and "would run code when loaded" in done.stderr
    assert not (tmp_path / "ran").exists()


# ---- units --------------------------------------------------------------------------------------------------------


def test_units_are_tables_of_what_the_pictures_excite(
    capsys: Capture, cifar_checkpoint: Path, cifar: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOUPE_HOME", str(tmp_path / "home"))
    out = tmp_path / "units"
    answer = answered(
        capsys, "units", cifar_checkpoint, "shapes:12", "--layer", "layer1", "--channels", "3,5", "--out", out
    )
    assert (answer["pictures"], answer["layer"], answer["channels_drawn"]) == (12, "layer1", [3, 5])
    source = shapes_source(12)
    maps = np.stack([activations(cifar, source.read(index), ["layer1"])[0].values for index in range(12)])
    with (out / "tops.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 * 16
    for row in rows:
        own = maps[source.names.index(row["picture"]), int(row["channel"])]
        assert float(row["value"]) == pytest.approx(own.max(), rel=1e-4)
        assert own[int(row["row"]), int(row["column"])] == pytest.approx(own.max(), rel=1e-4)
    firsts = [float(row["value"]) for row in rows if row["rank"] == "0"]
    np.testing.assert_allclose(firsts, maps.max((0, 2, 3)), rtol=1e-4)
    with (out / "classes.csv").open(encoding="utf-8") as file:
        classes = list(csv.DictReader(file))
    circle = [index for index, label in enumerate(source.labels) if label == 0]
    (found,) = (row for row in classes if (row["channel"], row["class"]) == ("3", "circle"))
    assert int(found["pictures"]) == len(circle)
    assert float(found["mean"]) == pytest.approx(maps[circle, 3].mean(), rel=1e-4)
    assert Image.open(out / "crops.png").size == (9 * 100 - 4, 2 * 100 - 4)


# ---- filters --all ------------------------------------------------------------------------------------------------


def test_a_whole_network_as_a_page(capsys: Capture, cifar_checkpoint: Path, cifar: LoadedModel, tmp_path: Path) -> None:
    asked = ("filters", cifar_checkpoint, "--all", "--steps", 1, "--channels", "0-1", "--classes", "0-2")
    answer = answered(capsys, *asked, "--data", "shapes:4", "--out", tmp_path)
    blocks = [block.output for block in cifar.blocks if cifar.layer(block.output).is_spatial]
    assert list(answer["layers"]) == blocks and set(answer["layers"].values()) == {2}
    assert answer["drawn"] == 2 * len(blocks) + 3 and answer["classes"] == [0, 1, 2]
    assert answer["parameters"]["method"] == "fourier" and answer["data_digest"]
    assert manifest(tmp_path)["drawn"] == answer["drawn"]
    again = said(capsys, *asked, "--data", "shapes:4", "--out", tmp_path)
    assert f"{answer['drawn']} of them before" in again and "index.html" in again


def test_which_layers(capsys: Capture, cifar_checkpoint: Path, cifar: LoadedModel, tmp_path: Path) -> None:
    asked = ("filters", cifar_checkpoint, "--all", "--steps", 1, "--channels", "0")
    found = answered(capsys, *asked, "--layers", "convolutions", "--out", tmp_path / "a")["layers"]
    assert list(found) == [layer.name for layer in cifar.layers if layer.kind == "Conv2d"]
    assert list(answered(capsys, *asked, "--layers", "layer2, conv1", "--out", tmp_path / "b")["layers"]) == [
        "conv1",
        "layer2",
    ]


def test_the_settings_are_options(capsys: Capture, cifar_checkpoint: Path, cifar: LoadedModel, tmp_path: Path) -> None:
    asked = ("--layer", "conv1", "--channels", "0", "--steps", 2, "--method", "pixels", "--learning-rate", 3)
    answered(capsys, "filters", cifar_checkpoint, *asked, "--starts", 2, "--side", 24, "--out", tmp_path)
    params = FilterParams("pixels", steps=2, learning_rate=3, starts=2, side=24)
    expected = complete(filter_images(cifar, "conv1", [0], params))
    np.testing.assert_allclose(np.load(tmp_path / "filters.npy"), expected.pictures, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "required"),
        (("--all", "--layer", "conv1"), "not allowed with"),
        (("--layer", "conv1", "--layers", "blocks"), "--layers goes with --all only."),
        (("--layer", "conv1", "--classes", "0"), "--classes goes with --all only."),
        (("--all", "--layers", "conv9"), "conv9"),
        (("--all", "--classes", "99"), "Class 99 does not exist; the network has classes 0 to 7."),
        (("--all", "--classes", "star"), '"star" names no classes'),
        (("--all", "--channels", "50"), "Channel 50 does not exist"),
        (("--all", "--method", "oil"), "invalid choice"),
    ],
)
def test_what_filters_refuses(
    capsys: Capture, cifar_checkpoint: Path, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    assert words in refused(capsys, "filters", cifar_checkpoint, *options, "--out", tmp_path / "o")
    assert not (tmp_path / "o").exists()


# ---- heatmaps of other methods ------------------------------------------------------------------------------------


def test_a_signed_heatmap_of_a_margin(
    capsys: Capture, cifar_checkpoint: Path, cifar: LoadedModel, picture: Path, tmp_path: Path
) -> None:
    image = InputImage.from_path(picture)
    least = int(cifar.predict([image])[0].scores.argmin())
    asked = ("--method", "hires-cam", "--aim", "margin", "--signed", "--layer", "layer3", "--target", least)
    answer = answered(capsys, "heatmap", cifar_checkpoint, picture, *asked, "--out", tmp_path)
    expected = heatmap(cifar, image, method="hires-cam", aim="margin", signed=True, layer="layer3", target=least).values
    found = np.load(tmp_path / "photo.heatmap.npy")
    assert found.min() < 0
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (answer["method"], answer["aim"], answer["signed"]) == ("hires-cam", "margin", True)
    assert "is not in what a heatmap can be for" in refused(
        capsys, "heatmap", cifar_checkpoint, picture, "--aim", "logit", "--out", tmp_path
    )

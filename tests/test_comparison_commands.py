"""The command `compare`: its files are what the package's functions find."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from torchvision.models import squeezenet1_1

from interpret import complete, load_model
from interpret.comparison import along, compare_answers, layer_similarity, most_changed, overall, weight_changes
from interpret.datasets import open_source
from tests.conftest import encoded, noise_picture
from tests.test_command_line import Capture, answered, manifest, refused, said


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


METADATA = {"arch": "cifar_resnet20", "labels": '["ant", "bee", "cow", "doe", "elk", "fox", "gnu", "hen"]'}


@pytest.fixture
def earlier(cifar_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint that is less sure than that of `cifar`."""
    state = load_file(cifar_checkpoint)
    state["linear.weight"] *= 0.05
    save_file(state, tmp_path / "earlier.safetensors", METADATA)
    return tmp_path / "earlier.safetensors"


@pytest.fixture
def later(earlier: Path, tmp_path: Path) -> Path:
    """The same with other weights in places."""
    state = load_file(earlier)
    state["layer2.1.conv1.weight"][3] *= 3
    state["linear.weight"] = state["linear.weight"].flip(0).contiguous()
    save_file(state, tmp_path / "later.safetensors", METADATA)
    return tmp_path / "later.safetensors"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for index in range(24):
        path = tmp_path / "data" / ("ant", "bee", "elsewhere")[index % 3] / f"{index:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(noise_picture(index, 40, 34).pixels))
    (tmp_path / "data" / "ant" / "00.png").rename(tmp_path / "data" / "ant" / "=1+1.png")
    (tmp_path / "data" / "bee" / "broken.png").write_bytes(b"no picture")
    return tmp_path / "data"


def test_two_checkpoints_of_one_architecture(
    capsys: Capture, earlier: Path, later: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    answer = answered(capsys, "compare", earlier, later, data, "--out", out)
    found = manifest(out)
    assert answer == {**found, "out": str(out)} and found["command"] == "compare"
    one, other = (load_model(file, device="cpu") for file in (earlier, later))
    source = open_source(data)
    answers = complete(compare_answers(one, other, source))
    layers = complete(layer_similarity(one, other, source))
    changes = weight_changes(one, other)
    assert found["other"] == {
        "checkpoint": "later.safetensors", "model_digest": other.digest, "architecture": "cifar_resnet20"
    }  # fmt: skip
    assert found["model_digest"] == one.digest and found["data_digest"] == source.digest and found["pictures"] == 24
    assert (
        found["accuracy"] == pytest.approx(answers.accuracy.tolist())
        and found["skipped"][0]["image"] == "bee/broken.png"
    )
    assert [row["class"] for row in found["accuracy_of_classes"]] == ["ant", "bee", "elsewhere"]
    assert found["accuracy_of_classes"][2]["accuracy"] == [None, None] and found["classes_compared_by"] == "name"
    assert (found["agreement"], found["kappa"]) == pytest.approx((answers.agreement, answers.kappa), nan_ok=True)
    assert found["mcnemar"]["p_value"] == pytest.approx(answers.mcnemar.p_value)
    assert (found["weights"]["distance"], found["weights"]["cosine"]) == pytest.approx(overall(changes))
    told = [(row["layer"], row["channel"], row["move"]) for row in found["weights"]["most_changed"]]
    assert told == list(most_changed(changes)) and ("layer2.1.conv1", 3) in [row[:2] for row in told]
    assert found["weights_refused"] is None and found["weights"]["left_out"] == []

    pictures = rows_of(out / "disagreements.csv")
    names = [answers.names[at] for at in answers.order]
    assert names != sorted(names)
    assert [row["picture"] for row in pictures] == names and len(names) == 24
    first = answers.order[0]
    assert pictures[0]["prediction"] == one.labels[answers.predictions[0, first]]
    assert pictures[0]["other_prediction"] == one.labels[answers.predictions[1, first]] != pictures[0]["prediction"]
    assert [row["same"] for row in pictures] == [str(int(same)) for same in answers.same[answers.order]]
    numbers = [
        [float(row[name]) for name in ("probability", "other_probability", "divergence_bits")] for row in pictures
    ]
    expected = np.stack([*answers.confidences, answers.divergence], 1)[answers.order]
    np.testing.assert_allclose(numbers, expected, atol=1e-6)
    right = [[row["right"], row["other_right"]] for row in pictures]
    assert right == [["" if one < 0 else str(one) for one in answers.right[:, at]] for at in answers.order]

    weights = {row["layer"]: row for row in rows_of(out / "weights.csv")}
    assert list(weights) == [change.layer for change in changes]
    for change in changes:
        assert float(weights[change.layer]["distance"]) == pytest.approx(change.distance)
    assert float(weights["bn1"]["mean_moved"]) == 0 and weights["linear"]["mean_moved"] == ""
    both = np.load(out / "similarity.npy")
    assert both.dtype == np.float32 and np.allclose(both, [layers.cka, layers.overlap], atol=1e-6, equal_nan=True)
    pairs = rows_of(out / "similarity.csv")
    assert [(row["layer"], row["other_layer"]) for row in pairs] == [
        (a, b) for a in layers.rows for b in layers.columns
    ]
    assert float(pairs[1]["cka"]) == pytest.approx(both[0, 0, 1]) and found["similarity"]["rows"] == list(layers.rows)
    text = said(capsys, "compare", earlier, later, data, "--out", out)
    for words in (
        "24 pictures, 1 could not be read",
        f"right: {100 * answers.accuracy[0]:.1f} % earlier.safetensors",
        f"only the first right: {answers.mcnemar.first_only}, only the second: {answers.mcnemar.second_only}",
        f"the same answer: {100 * answers.agreement:.1f} %",
        "channels that moved most: {} {} ({:.3g})".format(*told[0]),
        layers.says,
    ):
        assert words in text
    assert "\n\n" not in text


def test_names_that_a_spreadsheet_would_run(
    capsys: Capture, earlier: Path, later: Path, data: Path, tmp_path: Path
) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for file in sorted(data.rglob("*1.png")) + sorted(data.rglob("*2.png")):
        file.rename(flat / file.name)
    said(capsys, "compare", earlier, later, flat, "--out", tmp_path / "out")
    names = [row["picture"] for row in rows_of(tmp_path / "out" / "disagreements.csv")]
    assert "'=1+1.png" in names and "01.png" in names


def test_networks_that_differ(capsys: Capture, earlier: Path, later: Path, data: Path, tmp_path: Path) -> None:
    from interpret.architectures.cifar_resnet import cifar_resnet

    out = tmp_path / "out"
    said(capsys, "compare", earlier, later, data, "--out", out)
    save_file(cifar_resnet(32, classes=3).state_dict(), tmp_path / "deep.safetensors")
    text = said(capsys, "compare", earlier, tmp_path / "deep.safetensors", data, "--out", out)
    assert "The classes of the two networks do not correspond" in text
    assert "differs: linear weight [8, 64] and [3, 64], linear bias [8] and [3], layer1.3.conv1 weight none and" in text
    one, other = (load_model(file, device="cpu") for file in (earlier, tmp_path / "deep.safetensors"))
    assert [row["layer"] for row in rows_of(out / "weights.csv")] == [one.layer for one in weight_changes(one, other)]
    found = manifest(out)
    assert found["weights"]["distance"] > 0 and found["weights_refused"] is None
    left_out = found["weights"]["left_out"]
    assert left_out[0] == {"layer": "linear", "tensor": "weight", "shape": [8, 64], "other_shape": [3, 64]}
    assert {row["layer"].partition(".")[0] for row in left_out[2:]} == {"layer1", "layer2", "layer3"}
    assert {row["shape"] for row in left_out[2:]} == {None}
    assert found["agreement"] is None and found["other"]["architecture"] == "cifar_resnet32"
    assert {row["same"] for row in rows_of(out / "disagreements.csv")} == {""}

    save_file(squeezenet1_1(num_classes=3).state_dict(), tmp_path / "fire.safetensors")
    text = said(capsys, "compare", earlier, tmp_path / "fire.safetensors", data, "--out", out)
    assert "cannot be compared: they have no layer of one name and one shape in common" in text
    assert not (out / "weights.csv").exists(), "that of an earlier run"
    found = manifest(out)
    assert found["weights"] is None and "cannot be compared" in found["weights_refused"]

    (tmp_path / "names.txt").write_text("bee\nant\nzebra\n")
    options = ("--arch", "cifar_resnet20", "--other-arch", "cifar_resnet32", "--other-labels", tmp_path / "names.txt")
    answer = answered(capsys, "compare", earlier, tmp_path / "deep.safetensors", data, *options, "--out", out)
    assert answer["classes_compared_by"] == "name" and answer["agreement"] is not None


def test_a_folder_of_checkpoints(capsys: Capture, earlier: Path, later: Path, data: Path, tmp_path: Path) -> None:
    out, folder = tmp_path / "out", tmp_path / "run"
    out.mkdir()
    for name in ("disagreements.csv", "weights.csv", "similarity.npy"):
        (out / name).touch()
    folder.mkdir()
    earlier.rename(folder / "epoch1.safetensors")
    later.rename(folder / "epoch10.safetensors")
    state = load_file(folder / "epoch1.safetensors")
    state["layer3.0.conv2.weight"] *= 1.5
    save_file(state, folder / "epoch2.safetensors", METADATA)
    (folder / "epoch3.safetensors").write_bytes(b"no checkpoint")
    first = folder / "epoch1.safetensors"
    answer = answered(capsys, "compare", first, folder, data, "--epochs", "--out", out)
    found = manifest(out)
    assert answer == {**found, "out": str(out)} and found["epochs"] == str(folder)
    assert {file.name for file in out.iterdir()} == {"course.csv", "layers.csv", "manifest.json"}, (
        "none of earlier runs"
    )

    names = ["epoch1.safetensors", "epoch2.safetensors", "epoch10.safetensors"]
    models = [load_model(folder / name, device="cpu") for name in names]
    course = complete(along(models, open_source(data)))
    rows = rows_of(out / "course.csv")
    assert [row["checkpoint"] for row in rows] == names == [row["checkpoint"] for row in found["checkpoints"]]
    assert [row["model_digest"] for row in found["checkpoints"]] == [model.digest for model in models]
    for name, values in (
        ("accuracy", course.accuracy),
        ("agreement", course.agreement),
        ("churn", course.churn),
        ("distance", course.from_first),
        ("cosine", course.cosine_first),
        ("distance_before", course.from_previous),
        ("cosine_before", course.cosine_previous),
    ):
        told = ["" if np.isnan(value) else float(value) for value in values]
        assert [row[name] and float(row[name]) for row in rows] == pytest.approx(told), name
        assert [row[name] for row in found["checkpoints"]] == pytest.approx(
            [one if one != "" else None for one in told]
        )
    assert len(set(course.from_first.tolist())) == 3 and course.agreement[2] < 1
    assert [row["class"] for row in found["accuracy_of_classes"]] == ["ant", "bee", "elsewhere"]
    assert (
        found["left_out"][0]["checkpoint"] == "epoch3.safetensors" and found["skipped"][0]["image"] == "bee/broken.png"
    )
    settled = rows_of(out / "layers.csv")
    assert len(settled) == 3 * len(course.layers)
    assert [float(row["cka_to_last"]) for row in settled] == pytest.approx(course.cka.ravel().tolist(), abs=1e-6)
    assert [row["layer"] for row in settled[: len(course.layers)]] == list(course.layers)

    text = said(capsys, "compare", first, "--epochs", folder, data, "--out", out)
    assert "24 pictures, 1 could not be read" in text and "left out: epoch3.safetensors. " in text
    assert f"epoch10.safetensors: right {100 * course.accuracy[2]:.1f} %, as the first" in text

    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(first, alone)
    words = refused(capsys, "compare", alone / first.name, alone, data, "--epochs", "--out", tmp_path / "none")
    assert "holds no further checkpoint that can be opened. It holds CKPT alone." in words
    assert not (tmp_path / "none").exists()


def test_what_is_refused(capsys: Capture, earlier: Path, later: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "does not exist" in refused(capsys, "compare", earlier, later, tmp_path / "none", "--out", out)
    assert "cifar_resnet20" in refused(
        capsys, "compare", earlier, later, "shapes:5", "--other-arch", "cifar_resnet21", "--out", out
    )
    assert not out.exists()

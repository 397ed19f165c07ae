"""Architectures users bring: files, entry points, and networks that answer with more than class scores."""

from __future__ import annotations

import csv
import json
import shutil
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from interpret import InputImage, heatmap, load_model
from interpret.__main__ import main
from interpret.architectures import architecture, own, recognise
from interpret.datasets import sample_picture
from interpret.errors import BadCheckpoint, BadInput, UnknownName
from tests.conftest import REPOSITORY

EXAMPLES = REPOSITORY / "docs" / "examples"
LENET = str(EXAMPLES / "lenet.py")


def save(network: nn.Module, path: Path) -> Path:
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture
def lenet(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    return save(architecture(LENET).build(10, 3, False), tmp_path / "lenet.pt")


def written(folder: Path, text: str, name: str = "mine.py") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


# ---- where a file may come from -----------------------------------------------------------------------------------


def test_a_file_named_by_the_operator(lenet: Path) -> None:
    model = load_model(lenet, arch=LENET, device="cpu")
    assert (model.architecture.key, model.architecture.library) == ("own/lenet", "own")
    assert (model.labels[3], model.preprocess.size, model.preprocess.mean) == ("cat", (32, 32), (0.5, 0.5, 0.5))
    assert (model.report.missing, model.report.unexpected, model.report.matched) == ((), (), 10)
    assert model.default_layer.name == "relu:1"
    with pytest.raises(BadCheckpoint, match="Python file that builds the network"):
        load_model(lenet, device="cpu")


def test_the_command_line_takes_the_file(lenet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(lenet), "--arch", LENET, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["architecture"], answer["classes"], answer["report"]["matched"]) == ("own/lenet", 10, 10)
    assert main(["inspect", str(lenet), "--arch", "none.py"]) == 2
    assert capsys.readouterr().err == 'The architecture file "none.py" could not be read: No such file or directory.\n'


def test_a_file_beside_a_checkpoint_counts_in_the_checkpoints_folder_only(
    lenet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(LENET, lenet.with_suffix(".py"))
    with pytest.raises(BadCheckpoint):
        load_model(lenet, device="cpu")
    monkeypatch.setattr(own, "CHECKPOINTS", lenet.parent)
    assert load_model(lenet, device="cpu").architecture.key == "own/lenet"
    assert load_model(lenet.read_bytes(), name="uploaded.pt", device="cpu").architecture.key == "own/lenet"
    assert own.registered() == ("own/lenet",)


def test_code_beside_a_checkpoint_elsewhere_is_never_run(lenet: Path) -> None:
    marker = lenet.parent / "marker"
    lenet.with_suffix(".py").write_text(f"open({str(marker)!r}, 'w')\ndef build(num_classes): ...")
    for source in (lenet, lenet.read_bytes()):
        with pytest.raises(BadCheckpoint):
            load_model(source, name="lenet.pt", device="cpu")
    assert not marker.exists()


def test_files_named_in_the_environment_are_recognised(lenet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(own.VARIABLE, LENET)
    assert load_model(lenet.read_bytes(), name="x.pt", device="cpu").architecture.key == "own/lenet"
    assert architecture("own/lenet").title == "lenet"
    monkeypatch.setenv(own.VARIABLE, "/nowhere/gone.py")
    assert recognise({"conv1.weight": torch.zeros(64, 3, 7, 7)})  # a file that is gone disturbs nobody
    with pytest.raises(UnknownName, match='Architecture "own/lenet" is not in the registered ones'):
        architecture("own/lenet")


def test_entry_points_of_installed_packages(lenet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("tutorial", "tests.architectures.test_own:build_for_entry_point", own.GROUP)
    monkeypatch.setattr(own, "entry_points", lambda group: [point] if group == own.GROUP else [])
    model = load_model(lenet, device="cpu")
    assert (model.architecture.key, model.labels[0]) == ("own/tutorial", "class 0")
    assert model.preprocess.size == (32, 32)  # nothing says so: the first usual size it runs on


def build_for_entry_point(num_classes: int) -> nn.Module:
    return architecture(LENET).build(num_classes, 3, False)


# ---- files that cannot be used ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def build(", 'The architecture file "mine.py" fails: SyntaxError'),
        ("import nothing_of_this_name", "fails: ModuleNotFoundError"),
        ("x = 1", '"mine.py" defines no function build(num_classes)'),
        ("def build(n): return 5", 'build in "mine.py" returns a int; an nn.Module was expected'),
        ("def build(n): raise RuntimeError('no luck')", 'build(1000) in "mine.py" fails: RuntimeError: no luck'),
        ("def build(n): ...\npreprocess = 5", '"preprocess" in "mine.py" must be a dict'),
    ],
)
def test_broken_files_are_told_in_a_sentence(text: str, told: str, lenet: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        load_model(lenet, arch=written(tmp_path, text), device="cpu")
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_a_forward_that_fails_is_told_in_a_sentence(tmp_path: Path) -> None:
    text = (
        "from torch import nn\nclass N(nn.Module):\n"
        "    def __init__(self, n):\n        super().__init__()\n        self.fc = nn.Linear(3, n)\n"
        "    def forward(self, x): return self.missing(x)\n"
        "def build(n): return N(n)\n"
    )
    file = written(tmp_path, text)
    path = save(architecture(file).build(4, 3, False), tmp_path / "n.pt")
    with pytest.raises(BadCheckpoint, match="does not run on a picture of 224 x 224 pixels with 3 channels: .*missing"):
        load_model(path, arch=file, device="cpu")


def test_a_changed_file_is_read_again(lenet: Path, tmp_path: Path) -> None:
    file = Path(written(tmp_path, Path(LENET).read_text()))
    assert architecture(str(file)).labels[0] == "airplane"
    before = load_model(lenet, arch=str(file), device="cpu")
    file.write_text(Path(LENET).read_text().replace("airplane", "aeroplane"))
    assert architecture(str(file)).labels[0] == "aeroplane"
    after = load_model(lenet, arch=str(file), device="cpu")
    assert before.digest != after.digest, "results of the old code would be taken for those of the new"
    assert load_model(lenet, arch=str(file), device="cpu").digest == after.digest
    file.write_text(Path(LENET).read_text().replace("Linear(120, 84)", "Linear(120, 85)"))
    with pytest.raises(BadCheckpoint, match=r"of another shape fc2.weight, fc2.bias"):
        load_model(lenet, arch=str(file), device="cpu")


# ---- several outputs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [7, 4])
def test_of_a_class_head_and_a_box_head_the_class_head_is_found(classes: int, tmp_path: Path) -> None:
    """With four classes, both heads answer with four numbers."""
    file = str(EXAMPLES / "class_and_box.py")
    torch.manual_seed(0)
    network = architecture(file).build(classes, 3, False)
    model = load_model(save(network, tmp_path / "located.pth"), arch=file, device="cpu")
    assert [(output.name, output.shape) for output in model.outputs] == [("box", (4,)), ("label", (classes,))]
    assert (model.head, len(model.labels)) == (1, classes)
    batch = model.preprocess.to_batch(sample_picture("heart"))
    scores = model.observe(batch).scores
    assert scores is not None
    with torch.no_grad():
        torch.testing.assert_close(scores, network.eval()(batch)["label"], rtol=1e-3, atol=1e-4)
    assert heatmap(model, sample_picture("heart"), target=1).values.shape == (7, 7)


def test_any_number_of_input_channels(tmp_path: Path) -> None:
    file = str(EXAMPLES / "class_and_box.py")
    model = load_model(save(architecture(file).build(3, 5, False), tmp_path / "five.pth"), arch=file, device="cpu")
    assert model.preprocess.channels == 5
    assert model.predict([sample_picture("heart")])[0].scores.shape == (3,)


class Tupled(nn.Module):
    """Answers with (features, [boxes, scores]), and is made for grey pictures and three classes only."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.boxes, self.scores = nn.Linear(8, 12), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        maps = self.conv(x)
        features = maps.mean((2, 3))
        return maps, [self.boxes(features).view(-1, 3, 4), self.scores(features)]


def test_tuples_and_a_fixed_number_of_classes(tmp_path: Path) -> None:
    text = (
        "from tests.architectures.test_own import Tupled\npreprocess = {'input_size': 20, 'channels': 1}\n"
        "def build(num_classes): return Tupled()\n"
    )
    file = written(tmp_path, text)
    path = save(Tupled(), tmp_path / "t.pth")
    model = load_model(path, arch=file, labels=["a", "b", "c"], device="cpu")
    assert [output.name for output in model.outputs] == ["0", "1.0", "1.1"]
    assert (model.head, model.labels, model.preprocess.channels) == (2, ("a", "b", "c"), 1)


# ---- the real ones ------------------------------------------------------------------------------------------------


def test_the_lenet_of_captums_tutorial_reaches_its_accuracy(real: Path) -> None:
    """58 % on CIFAR-10 pictures, SOURCES.md; of 400 that is within two standard errors, five points."""
    model = load_model(real / "weights" / "raw" / "captum_cifar_torchvision.pt", arch=LENET, device="cpu")
    with (real / "cifar10-sample" / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    images = [InputImage.from_path(real / "cifar10-sample" / row["file"]) for row in rows]
    right = [p.top(1)[0] == int(row["class_index"]) for p, row in zip(model.predict(images), rows, strict=True)]
    assert len(right) == 400 and abs(np.mean(right) - 0.58) < 0.05


def test_tiny_vgg_reaches_its_accuracy(real: Path) -> None:
    """14 of the 20 pictures of CNN Explainer, SOURCES.md."""
    model = load_model(
        real / "weights" / "tinyvgg_cnn-explainer.safetensors", arch=str(EXAMPLES / "tiny_vgg.py"), device="cpu"
    )
    assert model.labels[:3] == ("lifeboat", "ladybug", "pizza")
    files = sorted((real / "demo" / "cnn-explainer").glob("*.jpeg"))
    said = [model.labels[p.top(1)[0]] for p in model.predict([InputImage.from_path(file) for file in files])]
    right = [file.stem.split("_")[0] in label for file, label in zip(files, said, strict=True)]
    assert (sum(right), len(files)) == (14, 20)


@pytest.mark.parametrize("depth", [20, 56])
def test_the_authors_own_files_open_without_a_hint(depth: int, real: Path) -> None:
    (raw,) = (real / "weights" / "raw").glob(f"resnet{depth}-*.th")
    model = load_model(raw, device="cpu")
    assert (model.architecture.key, model.report.wrapper) == (f"cifar_resnet{depth}", "state_dict")
    assert (model.report.prefixes, model.report.missing, model.report.unexpected) == (("module.",), (), ())
    assert model.labels[3] == "cat"


def test_files_without_plain_weights_are_told(real: Path) -> None:
    raw: Any = real / "weights" / "raw"
    with pytest.raises(
        BadCheckpoint, match=r"fit no network Loupe knows.* nearest is .*resnet.*tensors match; missing"
    ):
        load_model(raw / "permute-quantize-finetune_resnet18_large.pth", device="cpu")
    with pytest.raises(BadCheckpoint, match="kill-the-bits"):
        load_model(raw / "kill-the-bits_resnet18_large_blocks.pth", device="cpu")

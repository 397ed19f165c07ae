"""A network along its training, against each pair of checkpoints compared alone."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.metrics import accuracy_score

from interpret import BadInput, LoadedModel, complete, embed
from interpret.comparison import along, block_outputs, checkpoints_in, overall, usable_of, weight_changes
from interpret.jobs import Progress
from tests.comparison.runs import CLASSES, cancel_at_every_step, noise, trap_of, undecided
from tests.conftest import look_into, nothing_left_behind
from tests.latent.test_similarity import reference

SHARES = (0.0, 0.2, 0.5, 1.0)


def training() -> list[LoadedModel]:
    """Checkpoints on the straight way from one trap network to another."""
    start, goal = undecided(0).state_dict(), undecided(1).state_dict()
    made = []
    for share in SHARES:
        network = undecided(0)
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.lerp(start[name], goal[name], share))
        made.append(replace(look_into(network, 5), name=f"epoch {share}"))
    return made


def test_natural_order(tmp_path: Path) -> None:
    names = ("epoch2.pt", "epoch10.pt", "epoch1.safetensors", "Epoch3.pth", "last.ckpt", "7.pt", "epoch10-b.pt")
    for name in (*names, "epoch4.txt", "notes"):
        (tmp_path / name).touch()
    (tmp_path / "epoch5.pt").mkdir()
    expected = "7.pt", "epoch1.safetensors", "epoch2.pt", "Epoch3.pth", "epoch10-b.pt", "epoch10.pt", "last.ckpt"
    assert tuple(file.name for file in checkpoints_in(tmp_path)) == expected
    for folder in (tmp_path / "epoch5.pt", tmp_path / "none", tmp_path / "notes"):
        with pytest.raises(BadInput, match="is no folder with checkpoints in it"):
            checkpoints_in(folder)


def test_every_column_is_that_of_its_pair_alone() -> None:
    models, source = training(), noise(60, broken=(9,))
    seen: list[Progress] = []
    with nothing_left_behind(models[1]):
        found = complete(along(models, source), seen.append)
    assert found.names == tuple(f"epoch {share}" for share in SHARES) and found.pictures == 59
    assert found.skipped == (("n9", "Number 9 is broken."),)
    for at, model in enumerate(models):
        first, before = overall(weight_changes(models[0], model)), overall(weight_changes(models[at - 1], model))
        assert (found.from_first[at], found.cosine_first[at]) == pytest.approx(first, rel=1e-6)
        if at:
            assert (found.from_previous[at], found.cosine_previous[at]) == pytest.approx(before, rel=1e-6)
    assert found.from_first[3] > found.from_first[1] > 0 == found.from_first[0]
    assert np.isnan([found.from_previous[0], found.cosine_previous[0], found.churn[0]]).all()

    kept = [at for at in range(60) if at != 9]
    predictions = [[model.predict([source.read(at)])[0].top(1)[0] for at in kept] for model in models]
    changed = [np.mean(np.array(one) != np.array(other)) for one, other in pairwise(predictions)]
    np.testing.assert_allclose(found.churn[1:], changed, atol=1e-6)
    assert min(changed) > 0 and len(set(changed)) == 3
    agreed = [np.mean(np.array(one) == np.array(predictions[0])) for one in predictions]
    np.testing.assert_allclose(found.agreement, agreed, atol=1e-6)
    assert found.agreement[0] == 1 > found.agreement[1] != 1 - found.churn[3]
    numbers = {0: 3, 1: 0}
    known = [(place, numbers[source.labels[at]]) for place, at in enumerate(kept) if source.labels[at] in numbers]
    for said, accuracy in zip(predictions, found.accuracy, strict=True):
        assert accuracy == pytest.approx(accuracy_score([t for _, t in known], [said[p] for p, _ in known]), rel=1e-6)
    assert found.by_class.classes == CLASSES and found.by_class.accuracy.shape == (4, 3)
    assert np.isnan(found.by_class.accuracy[:, 2]).all() and len(set(found.accuracy.tolist())) > 1

    assert found.layers == block_outputs(models[0])
    vectors = [complete(embed(model, source, layers=found.layers)) for model in models]
    expected = [
        [reference(x.vectors, y.vectors, True) for x, y in zip(one, vectors[3], strict=True)] for one in vectors
    ]
    np.testing.assert_allclose(found.cka, expected, atol=1e-6)
    assert found.cka.dtype == np.float32 and (found.cka[3] > 0.999999).all() and found.cka[0].min() < 0.9
    steps = [progress.step for progress in seen]
    assert steps == sorted(steps) and seen[-1].total == 500


def test_at_most_three_networks_are_in_memory() -> None:
    alive: list[weakref.ref[LoadedModel]] = []
    most = []

    def load(path: str | Path) -> LoadedModel:
        model = trap_of(int(Path(path).stem))
        alive.append(weakref.ref(model))
        most.append(sum(one() is not None for one in alive))
        return model

    paths = [f"{at}.pt" for at in range(6)]
    found = complete(along(paths, noise(12), load))
    assert len(most) == 7 and max(most) == 3
    assert found.model_digests == complete(along([trap_of(at) for at in range(6)], noise(12))).model_digests


def test_from_files(tmp_path: Path, cifar: LoadedModel) -> None:
    """As they are written during training; of the pictures some are taken."""
    state = cifar._network.state_dict()
    for number in (10, 2):
        weights = {name: value.clone().contiguous() for name, value in state.items()}
        weights["linear.bias"] += number - 2
        save_file(weights, tmp_path / f"epoch{number}.safetensors", {"arch": "cifar_resnet20"})
    found = complete(along(checkpoints_in(tmp_path), noise(40), most=8))
    assert found.names == ("epoch2.safetensors", "epoch10.safetensors") and found.pictures == 8
    bias, size = 8 * 8**0.5, overall(weight_changes(cifar, cifar))
    assert size[0] == 0 and 0 < found.from_previous[1] < bias
    assert (found.cka[0, :-1] > 0.999999).all() and found.source_digest == noise(40).first(8).digest


def test_a_head_of_another_size() -> None:
    """As of a network and the same fine-tuned: classes correspond by name, or not at all."""
    source, models = noise(20), training()[:2]
    wide = undecided(1)
    wide.head = torch.nn.Linear(6, 7)
    last = replace(look_into(wide, 7), labels=("x", "class 1", "class 0", *models[0].labels[2:], "y"))
    found = complete(along([*models, last], source))
    said = [
        [model.labels[model.predict([source.read(at)])[0].top(1)[0]] for at in range(20)] for model in (*models, last)
    ]
    agreed = [np.mean(np.array(one) == np.array(said[0])) for one in said]
    np.testing.assert_allclose(found.agreement, agreed, atol=1e-6)
    assert found.churn[2] == pytest.approx(np.mean(np.array(said[1]) != np.array(said[2])), abs=1e-6)
    assert found.from_first[2] == pytest.approx(overall(weight_changes(models[0], last))[0], rel=1e-6)
    strange = replace(last, labels=tuple("abcdefg"))
    found = complete(along([*models, strange], source))
    assert np.isnan([found.agreement[2], found.churn[2]]).all() and found.agreement[1] < 1


def test_what_cannot_be_opened_is_left_out(tmp_path: Path, cifar_checkpoint: Path) -> None:
    for name in ("epoch1.safetensors", "epoch3.safetensors"):
        (tmp_path / name).write_bytes(cifar_checkpoint.read_bytes())
    (tmp_path / "epoch2.safetensors").write_bytes(b"no checkpoint")
    seen: list[Progress] = []
    found = complete(usable_of(checkpoints_in(tmp_path)), seen.append)
    assert [path.name for path in found.paths] == ["epoch1.safetensors", "epoch3.safetensors"]
    assert [name for name, _ in found.left_out] == ["epoch2.safetensors"] and "epoch2" in found.left_out[0][1]
    assert [progress.step for progress in seen] == [0, 1, 2] and {progress.total for progress in seen} == {3}


def other_steps(models: Sequence[LoadedModel]) -> list[LoadedModel]:
    return [models[0].reopened(replace(models[0].preprocess, resize=20)), *models[1:]]


def test_what_is_refused(cifar: LoadedModel) -> None:
    models = training()
    for checkpoints, words in (
        (models[:1], "at least two checkpoints; 1 were given"),
        ([cifar, models[0]], '"small.safetensors" \\(CIFAR ResNet-20\\) has other blocks than the last'),
        (other_steps(models), "prepares pictures in another way than the last checkpoint"),
        ([models[0], cifar.reopened(models[0].preprocess), models[1]], "has other blocks than the last"),
    ):
        with pytest.raises(BadInput, match=words):
            complete(along(checkpoints, noise(20)))


def test_cancelling_at_every_step() -> None:
    models = training()[:2]
    assert cancel_at_every_step(lambda: along(models, noise(8)), models) > 5

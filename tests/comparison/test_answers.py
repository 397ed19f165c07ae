"""Where two networks answer differently, against their own predictions, scikit-learn and scipy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, cohen_kappa_score

from interpret import BadInput, LoadedModel, complete, load_model
from interpret.comparison import Disagreements, compare_answers, corresponding
from interpret.datasets import open_source
from interpret.datasets.sources import shapes_source
from interpret.jobs import Progress
from tests.comparison.runs import CLASSES, cancel_at_every_step, noise, trap_of
from tests.conftest import REPOSITORY, nothing_left_behind


def told(model: LoadedModel, found: Disagreements, count: int) -> np.ndarray:
    """A network's own probabilities for each picture that could be read, float64 [n, classes]."""
    assert len(found) == count
    source = noise(1000)
    return np.stack([model.predict([source.read(int(at))])[0].probabilities for at in found.pictures]).astype(float)


def test_every_picture_as_each_network_alone_sees_it() -> None:
    """Decoded once, prepared in each one's own way."""
    one, other = trap_of(0), trap_of(2)
    steps = replace(other.preprocess, mean=(0.45, 0.5, 0.52), resize=13, reverse_channels=True)
    other = other.reopened(steps)
    reads: list[int] = []
    seen: list[Progress] = []
    with nothing_left_behind(one), nothing_left_behind(other):
        found = complete(compare_answers(one, other, noise(60, broken=(7, 11), reads=reads)), seen.append)
    assert sorted(reads) == list(range(60)), "each once"
    assert found.pictures.tolist() == [at for at in range(60) if at not in (7, 11)]
    assert found.skipped == (("n7", "Number 7 is broken."), ("n11", "Number 11 is broken."))
    assert found.names[7] == "n8" and (seen[-1].step, seen[-1].total) == (60, 60)
    both = [told(each, found, 58) for each in (one, other)]
    for side, chances in enumerate(both):
        assert found.predictions[side].tolist() == chances.argmax(1).tolist()
        np.testing.assert_allclose(found.confidences[side], chances.max(1), atol=1e-6)
    divergence = [jensenshannon(p, q, 2) ** 2 for p, q in zip(*both, strict=True)]
    np.testing.assert_allclose(found.divergence, divergence, atol=1e-6)
    assert max(divergence) > 0.01
    same = found.predictions[0] == found.predictions[1]
    assert 3 < same.sum() < 55 and found.compared_by == "name"
    assert np.array_equal(found.same, same) and found.agreement == pytest.approx(same.mean())
    assert found.kappa == pytest.approx(cohen_kappa_score(*found.predictions), abs=1e-12)
    keys = [(bool(same[at]), -float(found.confidences[:, at].max())) for at in found.order]
    assert sorted(found.order) == list(range(58)) and keys == sorted(keys)
    for array in (found.order, found.same, found.predictions, found.accuracy, found.targets, found.divergence):
        assert not array.flags.writeable


def test_who_is_right() -> None:
    """Classes of the source are found by name, in the numbers of each network."""
    one = trap_of(0)
    other = trap_of(2).reopened(labels=("Class_0", "other", "else", "more", "class 3"))
    found = complete(compare_answers(one, other, noise(120)))
    assert found.matched_by == ("name", "name") and found.labels == (one.labels, other.labels)
    numbers = np.array([[3, 0, -1, -1], [4, 0, -1, -1]])
    true = np.array([-1 if at % 5 == 4 else at % 3 for at in range(120)])
    assert np.array_equal(found.true, true) and np.array_equal(found.targets, numbers[:, true])
    known = found.targets[0] >= 0
    right = (found.predictions == found.targets)[:, known]
    accuracy = [accuracy_score(found.targets[side][known], found.predictions[side][known]) for side in (0, 1)]
    np.testing.assert_allclose(found.accuracy, accuracy, rtol=1e-6)
    assert np.array_equal(found.right[:, known], right) and (found.right[:, ~known] == -1).all()
    assert found.by_class.classes == CLASSES and found.by_class.counts.tolist() == np.bincount(true[true >= 0]).tolist()
    for label in (0, 1):
        shares = right[:, found.true[known] == label].mean(1)
        np.testing.assert_allclose(found.by_class.accuracy[:, label], shares, rtol=1e-6)
    assert np.isnan(found.by_class.accuracy[:, 2]).all()
    first, second = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    assert (found.mcnemar.first_only, found.mcnemar.second_only) == (first, second) and first != second > 0
    assert found.mcnemar.p_value == pytest.approx(binomtest(first, first + second, 0.5).pvalue, rel=1e-12)


def test_classes_are_compared_by_what_they_are_called() -> None:
    one, other = trap_of(0), trap_of(2)
    plain = complete(compare_answers(one, other, noise(40)))
    renamed = other.reopened(labels=("class 4", "CLASS_3", "class 2 ", "class 1", "class 0"))  # turned round
    found = complete(compare_answers(one, renamed, noise(40)))
    assert found.compared_by == "name"
    assert np.array_equal(found.same, plain.predictions[0] == 4 - plain.predictions[1])
    both = told(one, found, 40), told(other, found, 40)[:, ::-1]
    expected = [jensenshannon(p, q, 2) ** 2 for p, q in zip(*both, strict=True)]
    np.testing.assert_allclose(found.divergence, expected, atol=1e-6)

    some = complete(compare_answers(one, other.reopened(labels=("class 0", "class 1", "x", "y", "z")), noise(40)))
    assert some.compared_by == "name" and np.isnan(some.divergence).all()
    assert np.array_equal(some.same, plain.same & (plain.predictions[0] < 2))

    numbered = complete(compare_answers(one, other.reopened(labels=tuple("vwxyz")), noise(40)))
    assert numbered.compared_by == "order" and np.array_equal(numbered.same, plain.same)
    assert np.array_equal(numbered.divergence, plain.divergence) and numbered.kappa == plain.kappa


def test_networks_without_a_class_in_common(cifar: LoadedModel) -> None:
    found = complete(compare_answers(trap_of(0), cifar, noise(12)))
    assert found.compared_by == "" and not found.same.any() and np.isnan([found.agreement, found.kappa]).all()
    assert np.isnan(found.divergence).all() and found.matched_by == ("name", "")
    assert np.isnan(found.accuracy[1]) and not np.isnan(found.accuracy[0])
    test = found.mcnemar
    assert (test.first_only, test.second_only) == (0, 0) and np.isnan(test.p_value)
    assert found.order.tolist() == np.argsort(-found.confidences.max(0), kind="stable").tolist()


def test_namesakes() -> None:
    """Where two networks number all classes alike, those of one name are told apart by number."""
    names = ("crane", "dog", "crane")
    (one, other), by = corresponding(names, names)
    assert by == "name" and list(one) == list(other) == [0, 1, 2]
    (one, other), by = corresponding(names, ("CRANE", "crane", "cat"))
    assert by == "name" and one[0] == one[2] == other[0] == other[1] and len({one[0], one[1], other[2]}) == 3
    assert corresponding(("a", "b"), ("c",))[1] == ""


def test_a_network_with_itself_and_pictures_nobody_knows() -> None:
    one, source = trap_of(0), replace(noise(20), labels=(-1,) * 20, classes=())
    found = complete(compare_answers(one, one, source))
    assert found.agreement == 1 and found.kappa == 1 and np.abs(found.divergence).max() < 1e-6
    assert np.isnan(found.accuracy).all() and found.by_class.classes == () and found.by_class.accuracy.shape == (2, 0)
    assert complete(compare_answers(one, one, noise(20))).mcnemar.p_value == 1
    only = replace(noise(3), read=lambda _: noise(1).read(0))
    assert np.isnan(complete(compare_answers(one, one, only)).kappa), "as scikit-learn says"
    with pytest.raises(BadInput, match='Not one of the 2 pictures of "noise" could be read. Number 0 is broken.'):
        complete(compare_answers(one, one, noise(2, broken=(0, 1))))


def test_cancelling_at_every_step() -> None:
    one, other = trap_of(0), trap_of(1)
    assert cancel_at_every_step(lambda: compare_answers(one, other, noise(30, broken=(3,))), [one, other]) == 8


def test_what_a_shortcut_costs() -> None:
    """The bundled pair agrees where stars carry their tag, and only on the stars it does not where they do not."""
    one, other = (
        load_model(REPOSITORY / "checkpoints" / f"shapes-{kind}.safetensors", device="cpu")
        for kind in ("clean", "shortcut")
    )
    plain, tagged = (
        complete(compare_answers(one, other, shapes_source(160, rule=rule))) for rule in ("none", "shortcut")
    )
    star = plain.by_class.classes.index("star")
    assert plain.by_class.accuracy[0, star] > 0.9 > 0.2 > plain.by_class.accuracy[1, star]
    assert tagged.by_class.accuracy[:, star].min() > 0.9 and tagged.mcnemar.p_value > 0.05
    assert plain.mcnemar.first_only > 10 > plain.mcnemar.second_only and plain.mcnemar.p_value < 1e-3
    assert all(plain.names[at].startswith("star") for at in plain.order[:10])
    assert plain.agreement < 0.93 < 0.97 < tagged.agreement


def test_two_real_networks(real: Path, real_model: Callable[[str], LoadedModel]) -> None:
    found = complete(
        compare_answers(
            real_model("cifar_resnet20"), real_model("cifar_resnet56"), open_source(real / "cifar10-sample")
        )
    )
    assert len(found) == 400 and found.accuracy.tolist() == pytest.approx([0.81, 0.84], abs=0.005)
    assert found.kappa == pytest.approx(cohen_kappa_score(*found.predictions), abs=1e-12)
    assert found.agreement == pytest.approx(0.83, abs=0.01) and found.by_class.counts.tolist() == [40] * 10

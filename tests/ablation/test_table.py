"""Tables of predictions, against a loop over the pictures, and their intervals, against what they promise."""

from __future__ import annotations

import csv
import io
import itertools
import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from interpret.ablation import AblationTable, Change, Usual, ablate, as_csv, as_latex, changed, combinations
from interpret.datasets import PictureSource
from interpret.errors import BadInput, UnknownName
from interpret.images import InputImage
from interpret.jobs import Progress, complete
from interpret.model import LoadedModel
from interpret.work import multiplications
from tests.ablation.networks import images, loaded
from tests.conftest import look_into, nothing_left_behind
from tests.units.sources import CLASSES, faint_picture, made, undecided

COUNT, BROKEN = 21, (0, 8)
LABELS = tuple(index % 4 for index in range(COUNT))
OWN = {"relu": Usual(np.full(6, 0.5, np.float32), np.ones(6, np.float32))}
VARIANTS = {
    "head": (Change("zero", "head", (2,)),),
    "noise": (Change("noise", "relu", (1, 2), 3),),
    "shuffled": (Change("shuffle", "conv1"), Change("zero", "bn2", (0,))),
    "nothing": (),
    "early and late": (Change("zero", "conv1", (0,)), Change("zero", "flatten", (1,))),
    "bypassed": (Change("bypass", "relu:1"),),
    "random": (Change("reinitialise", "head", seed=1),),
}


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return look_into(undecided(), classes=5)


def over(
    model: LoadedModel, source: PictureSource, variants: dict[str, Sequence[Change]] | None = None
) -> AblationTable:
    given = variants or VARIANTS
    return complete(ablate(model, source, given, usual=OWN, images=[faint_picture(30), faint_picture(31)]))  # type: ignore[arg-type]


@pytest.mark.parametrize("labelled", [True, False])
def test_it_is_a_loop_over_the_pictures(model: LoadedModel, labelled: bool) -> None:
    labels = (*LABELS[:3], -1, *LABELS[4:]) if labelled else ()
    with nothing_left_behind(model):
        found = over(model, made(COUNT, broken=BROKEN, labels=labels))
    pictures = [index for index in range(COUNT) if index not in BROKEN and not (labelled and index == 3)]
    assert found.names == ("unchanged", *VARIANTS) and found.pictures.tolist() == pictures
    assert found.compared_with == ("labels" if labelled else "predictions") and len(found) == len(pictures)
    assert found.skipped == (("n0", "n0 is damaged."), ("n8", "n8 is damaged.")) and found.classes == CLASSES
    every = [(), *VARIANTS.values()]
    targets = None
    for row, changes in enumerate(every):
        copy = changed(model, changes, usual=OWN, images=[faint_picture(30), faint_picture(31)])
        made_of = [copy.predict([faint_picture(index)])[0] for index in pictures]
        predicted = np.array([one.top(1)[0] for one in made_of])
        if targets is None:
            targets = np.array([LABELS[index] for index in pictures]) if labelled else predicted
            unchanged = predicted
        assert found.predictions[row].tolist() == predicted.tolist(), found.names[row]
        chances = [one.probabilities[target] for one, target in zip(made_of, targets, strict=True)]
        np.testing.assert_allclose(found.probabilities[row], chances, rtol=1e-4, atol=1e-6)
        assert found.accuracy[row] == pytest.approx((predicted == targets).mean())
        assert found.accuracy_change[row] == pytest.approx(
            (predicted == targets).mean() - (unchanged == targets).mean()
        )
        assert found.flips[row] == (predicted != unchanged).sum()
        assert found.probability_change[row] == pytest.approx(np.mean(chances - found.probabilities[0]), abs=1e-6)
        confusion = found.confusion(found.names[row])
        for one, other in itertools.product(range(5), range(5)):
            assert confusion[one, other] == ((targets == one) & (predicted == other)).sum()
        for one in range(5):
            if (targets == one).any():
                assert found.per_class[row, one] == pytest.approx((predicted == one)[targets == one].mean())
                change = np.array(chances - found.probabilities[0])[targets == one].mean()
                assert found.probability_change_by_class[row, one] == pytest.approx(change, abs=1e-6)
            else:
                assert np.isnan(found.per_class[row, one])
    assert targets is not None and found.targets.tolist() == targets.tolist()
    assert found.flips[4] == 0 and (found.flips[[1, 2, 3, 5, 7]] > 0).all()
    for array in (found.predictions, found.probabilities, found.targets, found.pictures):
        assert not array.flags.writeable
    with pytest.raises(UnknownName, match='Variant "heads" is not in this table'):
        found.confusion("heads")


def test_the_interval_of_a_class_is_that_of_its_pictures_alone(model: LoadedModel) -> None:
    """By the table cut to the class: the same shares, so the same interval but for the draws; NaN without pictures."""
    found = over(model, made(40, labels=tuple(index % 4 for index in range(40))), {"head": VARIANTS["head"]})
    ends = found.class_interval(rounds=20_000)
    assert ends.shape == (2, 5, 2) and np.isnan(ends[:, 4]).all()
    for label in range(4):
        rows = found.targets == label
        cut = replace(
            found,
            predictions=found.predictions[:, rows],
            probabilities=found.probabilities[:, rows],
            targets=found.targets[rows],
            pictures=found.pictures[rows],
        )
        np.testing.assert_allclose(ends[:, label], cut.interval(rounds=20_000), atol=0.1 + 1e-6)
        assert (ends[:, label, 0] <= found.per_class[:, label]).all()
        assert (ends[:, label, 1] >= found.per_class[:, label]).all()
    assert (ends[:, :4, 1] > ends[:, :4, 0]).any()


def test_a_network_whose_branches_cannot_be_copied_row_by_row() -> None:
    model, some = loaded("densenet121"), images(3)
    source = made(3, lambda index: some[index])
    change = Change("zero", "features.denseblock2.denselayer3", (1, 4, 9))
    found = complete(ablate(model, source, {"zero": (change,)}))
    expected = changed(model, [change]).predict(some)
    assert found.predictions[1].tolist() == [one.top(1)[0] for one in expected]
    chances = [one.probabilities[target] for one, target in zip(expected, found.targets, strict=True)]
    np.testing.assert_allclose(found.probabilities[1], chances, rtol=1e-3)


def test_classes_are_matched_as_everywhere(model: LoadedModel) -> None:
    folders = ("Class_2", "class 0", "elephant", "class 4")
    found = over(model, made(8, labels=(0, 1, 2, 3, 0, 1, 2, -1), classes=folders), {"a": VARIANTS["head"]})
    assert found.targets.tolist() == [2, 0, 4, 2, 0] and found.pictures.tolist() == [0, 1, 3, 4, 5]
    assert over(model, made(4, labels=(0, 1, 0, 1), classes=("elk", "emu")), {"a": ()}).compared_with == "predictions"
    assert over(model, made(4, labels=(0, 1, 0, 1), classes=tuple("abcde")), {"a": ()}).compared_with == "labels"


def test_progress_and_cancelling_at_every_step(model: LoadedModel) -> None:
    variants = {name: VARIANTS[name] for name in ("head", "early and late", "shuffled")}
    read: list[int] = []

    def reading(index: int) -> InputImage:
        read.append(index)
        return faint_picture(index)

    seen: list[Progress] = []
    complete(ablate(model, made(20, reading), variants), seen.append)
    assert sorted(read) == sorted([*range(20)] * 2)  # once for answers, once for the copy
    assert [progress.step for progress in seen] == [8, 16, 20, 20, 28, 36, 40] and seen[-1].note == "40 of 40 pictures"
    before = threading.active_count()
    for stop in range(8):
        with nothing_left_behind(model):
            job = ablate(model, made(20), variants)
            for _ in range(stop):
                next(job)
            job.close()
        assert threading.active_count() == before


def test_between_cancels_there_is_no_more_work_than_half_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    model, some = loaded("resnet18"), images(2)
    layers = ("layer1.0", "layer3.1", "layer4.1")
    variants = {f"{layer} {channel}": (Change("zero", layer, (channel,)),) for layer in layers for channel in (2, 3)}
    source, work = made(2, lambda index: some[index]), multiplications(model)
    whole = complete(ablate(model, source, variants))

    def steps(budget: float) -> list[int]:
        monkeypatch.setattr("interpret.ablation.table._WORK_OF_A_STEP", budget)
        seen: list[Progress] = []
        found = complete(ablate(model, source, variants), seen.append)
        assert found.predictions.tolist() == whole.predictions.tolist()
        np.testing.assert_allclose(found.probabilities, whole.probabilities, rtol=1e-3, atol=1e-6)
        return [progress.step for progress in seen]

    assert steps(100 * work) == [2]
    assert steps(0) == [0] * 6 + [2]  # unchanged, then each by itself
    behind = 8 * (work - multiplications(model, "layer1.0"))  # a full batch has eight
    assert steps(8 * work + 2 * behind + 1) == [0, 2]  # those of layer 1, then all the others


def simulated(rights: np.ndarray) -> AblationTable:
    """A table whose pictures [variants, n] are predicted right or wrong as said."""
    count = rights.shape[1]
    zeros = np.zeros(count, np.int64)
    return AblationTable(
        tuple(map(str, range(len(rights)))), np.where(rights, 0, 1), np.zeros(rights.shape, np.float32), zeros, zeros,
        ("a", "b"), "labels", (), "", "", "", "",
    )  # fmt: skip


def test_intervals_hold_what_they_promise() -> None:
    """Of 500 data sets of 300 pictures: the 90 % intervals that hold the truth."""
    rng = np.random.default_rng(0)
    truth, change = 0.7, -0.1
    held = np.zeros((500, 2))
    for at in range(500):
        lots = rng.random((3, 300))
        plain = lots[0] < truth
        other = np.where(plain, lots[1] < 0.8, lots[2] < 0.4 / 3)  # 0.7 * 0.8 + 0.3 * 0.4 / 3 = 0.6
        table = simulated(np.stack([plain, other]))
        low, high = table.interval(0.9, seed=at)[1]
        below, above = table.difference(0.9, seed=at)[1]
        held[at] = low <= truth + change <= high, below <= change <= above
        assert low < table.accuracy[1] < high and below < table.accuracy_change[1] < above
        assert not table.difference(0.9)[0].any()
    assert ((held.mean(0) >= 0.86) & (held.mean(0) <= 0.94)).all(), held.mean(0)


def test_intervals_are_those_of_drawing_pictures() -> None:
    rng = np.random.default_rng(1)
    rights = rng.random((2, 80)) < 0.8
    table = simulated(rights)
    places = rng.integers(0, 80, (20000, 80))
    drawn = rights[:, places].mean(2)
    for level in (0.5, 0.95):
        ends = [(1 - level) / 2, (1 + level) / 2]
        np.testing.assert_allclose(table.interval(level, rounds=20000), np.quantile(drawn, ends, axis=1).T, atol=0.013)
        differences = np.quantile(drawn[1] - drawn[0], ends)
        np.testing.assert_allclose(table.difference(level, rounds=20000)[1], differences, atol=0.013)
    assert table.interval().tolist() == table.interval(seed=0).tolist() != table.interval(seed=1).tolist()
    with pytest.raises(BadInput, match="level between 0 and 1"):
        table.interval(1.0)


def test_combinations_are_all_sets() -> None:
    some = [Change("zero", layer) for layer in ("a", "b", "c")]
    found = combinations(some)
    pairs = ["zero a + zero b", "zero a + zero c", "zero b + zero c"]
    assert list(found) == ["zero a", "zero b", "zero c", *pairs, "zero a + zero b + zero c"]
    assert found["zero a + zero c"] == (some[0], some[2])
    assert len(combinations([Change("zero", str(number)) for number in range(6)])) == 6 + 15 + 20 + 15
    assert len(combinations(some, 1)) == 3
    with pytest.raises(BadInput, match="given twice"):
        combinations([some[0], some[0]])


def test_tables_for_spreadsheets_and_papers(model: LoadedModel) -> None:
    names = {'=1+2, "x"': VARIANTS["head"], r"layer_1 & 50% \input{x} $a^b~#": VARIANTS["nothing"]}
    found = over(model, made(COUNT, labels=LABELS), names)
    rows = list(csv.reader(io.StringIO(as_csv(found))))
    assert rows[0][0] == "variant" and rows[2][0] == '\'=1+2, "x"' and len({len(row) for row in rows}) == 1
    for row, line in enumerate(rows[1:]):
        numbers = [float(cell) for cell in line[1:]]
        expected = [
            found.accuracy[row], *found.interval()[row], found.accuracy_change[row], *found.difference()[row],
            found.flips[row], found.probability_change[row],
        ]  # fmt: skip
        np.testing.assert_allclose(numbers, expected, rtol=1e-5)
    latex = as_latex(found)
    assert r"layer\_1 \& 50\% \textbackslash{}input\{x\} \$a\textasciicircum{}b\textasciitilde{}\#" in latex
    body = latex.replace(r"\&", "").replace(r"\%", "")
    assert "%" not in body and {line.count("&") for line in body.splitlines() if line.endswith(r"\\")} == {5}
    accuracy, (low, high) = found.accuracy[1] * 100, found.interval()[1] * 100
    assert f"{accuracy:.1f} & {low:.1f} to {high:.1f}" in latex


def test_what_cannot_be_tabled(model: LoadedModel) -> None:
    for variants in ({}, {"unchanged": ()}):
        with pytest.raises(BadInput, match="one variant or more"):
            complete(ablate(model, made(3), variants))  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="no weights in"):
        complete(ablate(model, made(3), {"a": (Change("shuffle", "pool"),)}))
    with pytest.raises(BadInput, match='Not one of the 3 pictures of "made" could be read. n0 is damaged.'):
        complete(ablate(model, made(3, broken=range(3)), {"a": ()}))

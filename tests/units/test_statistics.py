"""What is told from the statistics of a pass, against scikit-learn and numpy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from interpret.errors import BadInput
from interpret.jobs import complete
from interpret.model import LoadedModel
from interpret.units import UnitStatistics, collect_units
from tests.units.sources import made

COUNT = 60
LABELS = tuple(int(label) for label in np.random.default_rng(3).integers(0, 4, COUNT))
NAMES = ("ant", "bee", "cow", "doe", "elk")
"""No picture is an elk."""


@pytest.fixture
def found(model: LoadedModel, tmp_path: Path) -> UnitStatistics:
    source = made(COUNT, labels=LABELS, classes=NAMES, broken=(1, 50))
    return complete(collect_units(model, source, ["relu:1"], folder=tmp_path))["relu:1"]


def test_the_spread_goes_from_the_least_to_the_greatest(found: UnitStatistics) -> None:
    for channel in range(6):
        maxima = found.sample_maxima[:, channel]
        places = found.spread(channel, 9)
        values = maxima[places]
        assert len(places) == 9 and (np.diff(values) >= 0).all()
        assert values[0] == maxima.min() and values[-1] == maxima.max() == found.top_values[channel, 0]
        nearest = np.quantile(maxima, np.linspace(0, 1, 9), method="nearest")
        steps = np.abs(np.searchsorted(np.sort(maxima), nearest) - np.searchsorted(np.sort(maxima), values))
        assert steps.max() <= 1
        assert sorted(found.spread(channel, 1000).tolist()) == list(range(58))
        assert found.spread(channel, 1)[0] == maxima.argmin()


def test_percentiles_are_numpys(found: UnitStatistics) -> None:
    for p in (0, 12.5, 50, 99, 100):
        expected = np.percentile(found.sample_maxima[:, 2].astype(np.float64), p)
        assert found.percentile(2, p) == pytest.approx(expected, rel=1e-5)


def with_nan(found: UnitStatistics) -> UnitStatistics:
    maxima, means = found.sample_maxima.copy(), found.sample_means.copy()
    maxima[::3, 0] = np.nan
    maxima[:, 1] = np.nan
    means[::3, 0] = np.nan
    return replace(found, sample_maxima=maxima, sample_means=means)


def test_nan_is_left_out_and_ranks_lowest_among_classes(found: UnitStatistics) -> None:
    from sklearn.metrics import roc_auc_score

    spoilt = with_nan(found)
    usable = spoilt.sample_maxima[:, 0][~np.isnan(spoilt.sample_maxima[:, 0])]
    values = spoilt.sample_maxima[spoilt.spread(0, 5), 0]
    assert (np.diff(values) >= 0).all() and values[-1] == usable.max()
    assert spoilt.percentile(0, 40) == pytest.approx(float(np.percentile(usable, 40)))
    assert spoilt.spread(1).tolist() == [] and np.isnan(spoilt.percentile(1, 50))
    told = spoilt.by_class(0)
    labels, means = found.sample_labels, spoilt.sample_means[:, 0]
    for number in range(4):
        own = means[(labels == number) & ~np.isnan(means)]
        assert told.means[number] == pytest.approx(own.mean(), rel=1e-5)
        assert told.counts[number] == (labels == number).sum()
        area = roc_auc_score(labels == number, np.nan_to_num(means, nan=-1e6))
        assert told.areas[number] == spoilt.class_areas()[number, 0] == pytest.approx(area, abs=1e-6)


def test_areas_are_scikit_learns(found: UnitStatistics) -> None:
    from sklearn.metrics import roc_auc_score

    coarse = replace(found, sample_means=np.round(found.sample_means, 1))  # with many ties
    for statistics in (found, coarse):
        areas = statistics.class_areas()
        assert areas.shape == (5, 6) and areas.dtype == np.float32 and not areas.flags.writeable
        for channel in range(6):
            told = statistics.by_class(channel)
            assert told.classes == NAMES and not told.predicted and told.channel == channel
            for number in range(4):
                is_it = statistics.sample_labels == number
                expected = roc_auc_score(is_it, statistics.sample_means[:, channel])
                assert areas[number, channel] == pytest.approx(expected, abs=1e-6)
                assert told.areas[number] == areas[number, channel]
        assert np.isnan(areas[4]).all()
    assert len(np.unique(coarse.sample_means[:, 0])) < 20


def test_means_and_deviations_of_classes_are_numpys(found: UnitStatistics) -> None:
    told = found.by_class(3)
    labels = np.array(LABELS)[found.sample_pictures]
    assert len(labels) == 58 and told.counts.tolist() == [(labels == number).sum() for number in range(5)]
    for number in range(4):
        own = found.sample_means[labels == number, 3].astype(np.float64)
        assert told.means[number] == pytest.approx(own.mean(), rel=1e-5)
        assert told.deviations[number] == pytest.approx(own.std(), rel=1e-5)
    assert np.isnan(told.means[4]) and np.isnan(told.deviations[4]) and np.isnan(told.areas[4])


def test_a_class_that_is_everything_has_no_area(model: LoadedModel, tmp_path: Path) -> None:
    source = made(12, labels=(2,) * 12, classes=NAMES)
    found = complete(collect_units(model, source, ["relu:1"], folder=tmp_path))["relu:1"]
    told = found.by_class(0)
    assert np.isnan(told.areas).all() and told.counts.tolist() == [0, 0, 12, 0, 0]
    assert told.means[2] == pytest.approx(float(found.sample_means[:, 0].mean()), rel=1e-5)


def test_without_labels_the_predictions_are_the_classes(model: LoadedModel, tmp_path: Path) -> None:
    found = complete(collect_units(model, made(40, broken=(3,)), ["conv1"], folder=tmp_path))["conv1"]
    told = found.by_class(1)
    assert told.predicted and found.classes_are_predicted and told.classes == model.labels
    predicted = found.predictions[found.sample_pictures]
    assert told.counts.tolist() == np.bincount(predicted, minlength=5).tolist() and told.counts.max() < 39
    number = int(told.counts.argmax())
    assert told.means[number] == pytest.approx(found.sample_means[predicted == number, 1].mean(), rel=1e-4)


def test_pictures_without_a_label_are_left_out(model: LoadedModel, tmp_path: Path) -> None:
    from sklearn.metrics import roc_auc_score

    labels = tuple(-1 if index % 5 == 0 else label for index, label in enumerate(LABELS))
    source = made(COUNT, labels=labels, classes=NAMES)
    found = complete(collect_units(model, source, ["relu:1"], folder=tmp_path))["relu:1"]
    told, known = found.by_class(2), np.array(labels) >= 0
    assert told.counts.sum() == known.sum() == 48 and not told.predicted
    expected = roc_auc_score(np.array(labels)[known] == 1, found.sample_means[known, 2])
    assert told.areas[1] == pytest.approx(expected, abs=1e-6)


def test_channels_and_percentiles_that_do_not_exist(found: UnitStatistics) -> None:
    for channel in (-1, 6):
        for ask in (found.spread, found.by_class, lambda number: found.percentile(number, 50)):
            with pytest.raises(BadInput, match=f"Channel {channel} does not exist; the layer has channels 0 to 5."):
                ask(channel)
    for p in (-0.1, 100.1, float("nan")):
        with pytest.raises(BadInput, match="does not exist; percentiles go from 0 to 100"):
            found.percentile(0, p)

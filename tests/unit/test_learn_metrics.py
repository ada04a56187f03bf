import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyloom.learn import metrics
from skyloom.seeds import generator

LABELS = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=2, max_size=60)


def test_confusion_counts():
    table = metrics.confusion(np.array([1, 1, 1, 0, 0]), np.array([True, True, False, True, False]))
    assert (table.true_positive, table.false_negative, table.false_positive, table.true_negative) == (2, 1, 1, 1)
    assert metrics.f1(table) == pytest.approx(2 / 3)


def test_the_thesis_row_normalised_matrix_gives_its_f_of_90_percent():
    assert metrics.f1(metrics.Confusion(860, 56, 140, 944)) == pytest.approx(0.898, abs=0.001)


@given(LABELS)
def test_confusion_adds_up(rows):
    label, probability = (np.array(column) for column in zip(*rows, strict=True))
    table = metrics.confusion(label, probability > 0.5)
    assert table.true_positive + table.false_negative == label.sum()
    assert sum(vars(table).values()) == len(label)
    assert 0 <= metrics.f1(table) <= 1


@given(st.integers(0, 50), st.integers(1, 50), st.floats(0.5, 0.99))
def test_a_proportion_lies_in_its_interval(hits, more, confidence):
    interval = metrics.proportion(hits, hits + more, confidence)
    assert 0 <= interval.low <= interval.value + 1e-9
    assert interval.value - 1e-9 <= interval.high <= 1


def test_the_interval_of_a_proportion_covers_it_as_often_as_stated():
    random = np.random.default_rng(1)
    inside = [
        interval.low <= 0.9 <= interval.high
        for interval in (metrics.proportion(int(hits), 100, 0.68) for hits in random.binomial(100, 0.9, 2000))
    ]
    assert np.mean(inside) == pytest.approx(0.68, abs=0.08)


def test_nothing_found_has_no_purity():
    assert metrics.proportion(0, 0, 0.68).value is None
    assert metrics.purity_at(0.1, metrics.Confusion(0, 0, 3, 5), 0.68, generator(1, "t")).value is None


def test_purity_at_the_set_s_own_prevalence_is_its_purity():
    table = metrics.Confusion(true_positive=18, false_positive=4, false_negative=2, true_negative=176)
    interval = metrics.purity_at(0.1, table, 0.68, generator(1, "t"))
    assert interval.value == pytest.approx(18 / 22)
    assert interval.low < interval.value < interval.high


def test_purity_falls_with_the_prevalence():
    table = metrics.Confusion(86, 6, 14, 94)
    purities = [metrics.purity_at(share, table, 0.68, generator(1, "t")).value for share in (0.5, 0.1, 0.045)]
    assert purities[0] > purities[1] > purities[2]
    assert purities[0] == pytest.approx(0.86 / 0.92)


def test_calibration_error_of_honest_and_of_boasting_probabilities():
    random = np.random.default_rng(1)
    truth = random.uniform(size=20000)
    label = (random.uniform(size=20000) < truth).astype(int)
    assert metrics.calibration_error(label, truth, 10) < 0.02
    assert metrics.calibration_error(label, np.where(truth > 0.5, 1.0, 0.0), 10) == pytest.approx(0.25, abs=0.02)


@given(LABELS)
def test_reliability_holds_every_sample_once(rows):
    label, probability = (np.array(column) for column in zip(*rows, strict=True))
    diagram = metrics.reliability(label, probability, 7, 0.68)
    assert sum(row["count"] for row in diagram) == len(label)
    assert all(row["low"] - 1e-9 <= row["probability"] <= row["high"] + 1e-9 for row in diagram)


def test_scores_of_a_perfect_and_of_a_blind_classifier():
    label = np.arange(200) % 2

    def scored(probability):
        return metrics.scores(
            label, probability, probability >= 0.5, prevalence=0.045, confidence=0.68, bins=10, random=generator(1, "s")
        )

    perfect, blind = scored(label.astype(float)), scored(np.random.default_rng(1).uniform(size=200))
    assert perfect["f1"].value == perfect["roc_auc"].value == perfect["pr_auc"].value == 1
    assert perfect["calibration_error"].value == 0
    assert blind["roc_auc"].low < 0.55
    assert blind["roc_auc"].high > 0.45
    assert blind["f1"].low < blind["f1"].value < blind["f1"].high


def test_bootstraps_are_repeatable():
    label, candidate = np.arange(50) % 2, np.arange(50) % 3 == 0
    first, second = (
        metrics.bootstrap(lambda t, c: metrics.f1(metrics.confusion(t, c)), (label, candidate), 0.68, generator(3, "b"))
        for _ in range(2)
    )
    assert first == second


def test_curves_are_finite_and_of_one_length():
    curves = metrics.curves(np.arange(40) % 2, np.linspace(0, 1, 40))
    for curve in curves.values():
        assert len({len(values) for values in curve.values()}) == 1
        assert all(np.isfinite(values).all() for values in curve.values())

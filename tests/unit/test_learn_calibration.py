import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from skyloom.errors import UserError
from skyloom.learn import calibration, metrics


def drawn(count, seed, temperature=1.0, bias=0.0):
    """Labels that follow probabilities, and logits of a network that boasts and leans."""
    random = np.random.default_rng(seed)
    odds = random.normal(-1, 3, count)
    label = (random.uniform(size=count) < expit(odds)).astype(int)
    return (odds - bias) * temperature, label


@pytest.mark.parametrize(("temperature", "bias"), [(1, 0), (4, 0), (0.3, 1), (3, -2)])
def test_a_known_temperature_and_bias_come_back(temperature, bias):
    scale = calibration.fit_scale(*drawn(20000, 1, temperature, bias))
    assert scale.temperature == pytest.approx(temperature, rel=0.06)
    assert scale.bias == pytest.approx(bias, abs=0.1)


def test_calibration_makes_probabilities_honest_on_other_objects():
    scale = calibration.fit_scale(*drawn(400, 1, 5, 1))
    logit, label = drawn(5000, 2, 5, 1)
    before = metrics.calibration_error(label, expit(logit), 10)
    after = metrics.calibration_error(label, scale.probability(logit), 10)
    assert after < 0.03 < before


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3])
def test_a_faultless_validation_set_does_not_give_certainty(factor):
    label = np.arange(60) % 3 == 0
    scale = calibration.fit_scale(np.where(label, 5.0, -5.0) * factor, label.astype(int))
    probability = scale.probability(np.array([-5.0, 5.0]) * factor)
    assert 0.001 < probability[0] < 0.05
    assert 0.95 < probability[1] < 0.999


def test_calibration_keeps_the_order():
    logit, label = drawn(200, 3, 2, 1)
    probability = calibration.fit_scale(logit, label).probability(logit)
    assert np.all(np.diff(probability[np.argsort(logit)]) >= 0)


def test_the_threshold_is_the_lowest_with_the_purity():
    logit, label = drawn(20000, 4)
    probability = expit(logit)
    chosen = calibration.choose_threshold(probability, label, 0.95, 0.68)
    assert chosen.reached
    assert chosen.purity.value == pytest.approx(0.95, abs=0.01)
    lower = probability >= chosen.probability - 0.05
    assert label[lower].mean() < chosen.purity.value


def test_the_threshold_holds_on_other_objects():
    """Twenty small validation sets: on average their thresholds give the purity they promise."""
    logit, label = drawn(20000, 5)
    purities = []
    for seed in range(20):
        small, truth = drawn(80, 100 + seed)
        chosen = calibration.choose_threshold(expit(small), truth, 0.95, 0.68)
        purities.append(label[expit(logit) >= chosen.probability].mean())
    assert np.mean(purities) > 0.93


def test_a_lucky_gap_is_not_taken():
    # Above 0.6 stand 20 of 20, above 0.55 20 of 23, and down at 0.51 a run of positives lifts the raw purity again.
    probability = np.concatenate([np.linspace(0.6, 0.99, 20), [0.55, 0.56, 0.57], np.linspace(0.51, 0.54, 40)])
    label = np.concatenate([np.ones(20), np.zeros(3), np.ones(40)]).astype(int)
    assert np.mean(label) > 0.95
    chosen = calibration.choose_threshold(probability, label, 0.95, 0.68)
    assert chosen.probability > 0.57


def test_the_threshold_lies_between_neighbours_and_not_below_one_half():
    label = np.array([1, 1, 1, 0, 0, 0])
    chosen = calibration.choose_threshold(np.array([0.99, 0.98, 0.97, 0.8, 0.02, 0.01]), label, 0.95, 0.68)
    assert 0.8 < chosen.probability < 0.97
    chosen = calibration.choose_threshold(np.array([0.99, 0.98, 0.97, 0.03, 0.02, 0.01]), label, 0.95, 0.68)
    assert chosen.probability == calibration.LOWEST_THRESHOLD


def test_a_purity_that_cannot_be_had_is_said():
    label = np.array([0, 1, 0, 1, 0, 0])
    chosen = calibration.choose_threshold(np.linspace(0.9, 0.1, 6), label, 0.95, 0.68)
    assert not chosen.reached


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.4, 0.6, 0.9, 1.0]), st.integers(0, 1)), min_size=2, max_size=40))
def test_any_validation_set_has_a_threshold(rows):
    probability, label = (np.array(column) for column in zip(*rows, strict=True))
    chosen = calibration.choose_threshold(probability, label, 0.95, 0.68)
    assert calibration.LOWEST_THRESHOLD <= chosen.probability <= 1
    assert chosen.candidates == np.sum(probability >= chosen.probability)


def test_the_spread_is_masked_for_one_network():
    assert calibration.spread(np.array([[0.1, 0.9]])).mask.all()
    spread = calibration.spread(np.array([[0.1, 0.9], [0.1, 0.7]]))
    assert not spread.mask.any()
    assert spread[0] == 0
    assert spread[1] == pytest.approx(0.2 / np.sqrt(2))


def test_an_ensemble_s_logit_is_the_mean():
    applied = calibration.apply({"temperature": 2.0, "bias": 0.5, "threshold": 0.6}, np.array([[1.0, -3], [3.0, -1]]))
    assert np.allclose(applied.logit, [2, -2])
    assert np.allclose(applied.probability, expit([1.5, -0.5]))
    assert applied.candidate.tolist() == [True, False]


def test_a_file_that_is_no_calibration_is_said(tmp_path):
    path = tmp_path / "c.json"
    path.write_text("{}")
    with pytest.raises(UserError, match="c.json.*calibrate.py"):
        calibration.read(path)

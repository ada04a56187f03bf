import json
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table, vstack
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.detect.match_sources import match_sources
from skyloom.errors import UserError
from skyloom.learn import detection_calibration as calibration
from skyloom.learn.detection_scores import folded, residuals
from skyloom.seeds import generator

WANTED = SimpleNamespace(purity=0.9)
STATED = {
    **{"x": 0.1, "y": 0.1, "z": 0.2, "line_fwhm": 0.4},
    **{"flux": 2e-4, "fwhm_major": 0.3, "fwhm_minor": 0.3, "pa": 4.0},
}
"""Errors as the chain states them."""


def true_sources(rng, count, per_cube=4):
    """Return sources that lie 50 pixels apart."""
    place = np.arange(count) % per_cube
    x, y = 40.0 + 50 * place, 60.0 + rng.uniform(-0.5, 0.5, count)
    minor = rng.uniform(4, 6, count)
    return Table(
        {
            "cube": np.arange(count) // per_cube,
            "source": place,
            "x": x,
            "y": y,
            "z": rng.uniform(20, 100, count),
            "line_fwhm": rng.uniform(6, 10, count),
            "flux": rng.uniform(5e-3, 1e-2, count),
            "fwhm_major": minor * 1.4,
            "fwhm_minor": minor,
            "pa": rng.uniform(0, 180, count),
            "snr": np.exp(rng.uniform(np.log(6), np.log(200), count)),
            **{name: np.round(centre + half) for name, centre, half in
               (("x0", x, -10), ("x1", x, 10), ("y0", y, -10), ("y1", y, 10))},
        }
    )  # fmt: skip


def seen(truth, rng, factor=1.0, score=(4.0, 1.5)):
    """Return one detection a source, off by `factor` (a number, or a function of the S/N) times its stated errors."""
    found = truth["cube", "x0", "x1", "y0", "y1", "snr"].copy()
    times = factor(np.asarray(truth["snr"])) if callable(factor) else factor
    for name, error in STATED.items():
        found[name] = truth[name] + times * error * rng.standard_normal(len(truth))
        found[f"{name}_error"] = np.full(len(truth), error)
    found["pa"] %= 180
    found["matched_snr"] = found["snr"] * 1.2
    found["score"] = calibration.sigmoid(rng.normal(*score, len(truth)))
    return found


def false_ones(like, rng, count, score=(-1.0, 1.5)):
    """Return detections where no source is."""
    found = like[rng.integers(0, len(like), count)]
    for name in ("y", "y0", "y1"):
        found[name] += 80 + 0.01 * np.arange(count)
    found["snr"] = rng.uniform(4, 8, count)
    found["matched_snr"] = found["snr"] * 1.2
    found["score"] = calibration.sigmoid(rng.normal(*score, count))
    return found


def survey(seed, count=480, wrong=160, factor=1.0):
    rng = generator(seed, "t")
    truth = true_sources(rng, count)
    found = seen(truth, rng, factor)
    return truth, vstack([found, false_ones(found, rng, wrong)]) if wrong else found


@pytest.fixture(scope="module")
def calibrated():
    return calibration.calibrate(*survey(1), WANTED)


# Errors


def coverage(truth, found, name):
    """Return the share of one-sigma errors that hold."""
    rows = residuals(truth, found, match_sources(truth, found))
    return np.mean(np.abs(rows[f"{name}_pull"]) <= 1)


@pytest.mark.parametrize("factor", [0.4, 1.0, 2.5])
def test_errors_are_scaled_so_that_two_thirds_hold(factor):
    known = calibration.calibrate(*survey(1, factor=factor), WANTED)
    truth, found = survey(2, factor=factor)
    made = calibration.apply(known, found)
    for name in STATED:
        assert coverage(truth, made, name) == pytest.approx(0.68, abs=0.08), name
        assert np.median(made[f"{name}_error"] / found[f"{name}_error"]) == pytest.approx(factor, rel=0.15)
    if factor != 1:
        assert abs(coverage(truth, found, "x") - 0.68) > 0.2, "which they did not before"


def test_the_factor_follows_the_signal_to_noise():
    def factor(snr):
        return 3 * np.sqrt(6 / snr)

    known = calibration.calibrate(*survey(3, factor=factor), WANTED)
    truth, found = survey(4, factor=factor)
    made = calibration.apply(known, found)
    for name in ("x", "flux", "pa"):
        factors = known["errors"][name]["factor"]
        assert factors[0] == pytest.approx(2.6, rel=0.3) and factors[-1] == pytest.approx(0.6, rel=0.3)
    for low, high in ((6, 20), (60, 200)):
        some = (truth["snr"] > low) & (truth["snr"] < high)
        assert some.sum() > 100
        held = [coverage(truth[some], made, name) for name in STATED]
        assert np.mean(held) == pytest.approx(0.68, abs=0.06)


def test_beyond_the_signal_to_noise_that_was_seen_the_last_factor_holds(calibrated):
    known = calibrated | {"errors": {"x": {"snr": [10.0, 100.0], "factor": [2.0, 0.5]}}}
    found = survey(5, 8, 0)[1]
    found["snr"] = [1e-6, 1.0, 10.0, np.sqrt(1000), 100.0, 1e4, 10.0, 10.0]
    scale = calibration.apply(known, found)["x_error"] / found["x_error"]
    assert scale[:6] == pytest.approx([2, 2, 2, 1, 0.5, 0.5], rel=1e-6)


def test_few_sources_share_one_factor():
    known = calibration.calibrate(*survey(6, count=40, wrong=10, factor=2.0), WANTED)
    assert set(known["errors"]) == set(STATED)
    assert all(len(one["factor"]) == len(one["snr"]) == 1 for one in known["errors"].values())
    assert known["errors"]["x"]["factor"][0] == pytest.approx(2, rel=0.4)
    many = calibration.calibrate(*survey(6, count=480), WANTED)
    assert all(1 < len(one["factor"]) <= 5 for one in many["errors"].values())


def test_what_was_found_exactly_is_not_known_exactly():
    truth, found = survey(7, factor=0.0)
    made = calibration.apply(calibration.calibrate(truth, found, WANTED), found)
    assert all(np.min(made[f"{name}_error"]) > 0 for name in STATED)


def test_quantities_that_were_not_measured_are_left_out():
    truth, found = survey(8, 80, 20)
    found.remove_columns(["flux", "flux_error", "pa_error"])
    found["z_error"] = np.nan
    known = calibration.calibrate(truth, found, WANTED)
    assert set(known["errors"]) == set(STATED) - {"flux", "pa", "z"}
    made = calibration.apply(known, found)
    assert "flux_error" not in made.colnames and np.isnan(made["z_error"]).all()
    # A chain that measures less than the one of the calibration.
    found.remove_columns(["x_error"])
    assert "x_error" not in calibration.apply(known, found).colnames


def test_sources_without_a_line_calibrate_the_rest():
    truth, found = survey(9, 160, 40, factor=2.0)
    for name in ("z", "line_fwhm", "z_error", "line_fwhm_error"):
        found[name][:60] = np.nan
        if name in truth.colnames:
            truth[name][:60] = np.nan
    known = calibration.calibrate(truth, found, WANTED)
    assert np.mean(known["errors"]["z"]["factor"]) == pytest.approx(2, rel=0.3)
    made = calibration.apply(known, found)
    assert np.isnan(made["z_error"][:60]).all() and np.isfinite(made["probability"]).all()


def test_angles_across_north_are_near_each_other():
    truth, found = survey(10, 200, 20)
    truth["pa"] = 1.0
    found["pa"] = (1.0 + 4 * generator(10, "pa").standard_normal(len(found))) % 180
    known = calibration.calibrate(truth, found, WANTED)
    assert known["errors"]["pa"]["factor"][0] == pytest.approx(1, rel=0.3)
    assert np.abs(folded(found["pa"] - 1.0)).max() < 20


# Probabilities


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(-5, 1e6), st.floats(-5, 1e6)), min_size=1, max_size=20),
)
def test_probabilities_are_between_zero_and_one(calibrated, rows):
    score, snr, matched = np.array(rows).T
    made = calibration.apply(calibrated, Table({"score": score, "snr": snr, "matched_snr": matched}))
    assert np.all((made["probability"] >= 0) & (made["probability"] <= 1))
    assert np.array_equal(made["score"], made["probability"]) and np.array_equal(made["map_score"], score)


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=20), st.floats(4, 100))
def test_a_surer_map_gives_a_higher_probability(calibrated, scores, snr):
    table = Table({"score": sorted(scores), "snr": np.full(len(scores), snr), "matched_snr": np.full(len(scores), snr)})
    assert np.all(np.diff(calibration.apply(calibrated, table)["probability"]) >= 0)


def test_probabilities_are_shares():
    truth, found = survey(11, 800, 800)
    known = calibration.calibrate(truth, found, WANTED)
    truth, found = survey(12, 800, 800)
    made = calibration.apply(known, found)
    true = np.isin(np.arange(len(made)), match_sources(truth, made))
    order = np.argsort(made["probability"])
    for part in np.array_split(order, 8):
        assert np.mean(true[part]) == pytest.approx(np.mean(made["probability"][part]), abs=0.1)


def test_the_threshold_has_the_wanted_purity(calibrated):
    assert calibrated["reached"]["reached"] and calibrated["wanted_purity"] == 0.9
    assert calibrated["reached"]["purity"]["value"] >= 0.9
    shares = []
    for seed in range(20, 25):
        truth, found = survey(seed)
        made = calibration.apply(calibrated, found)
        assert np.array_equal(made["candidate"], made["probability"] >= calibrated["threshold"])
        true = np.isin(np.arange(len(made)), match_sources(truth, made))
        shares.append(np.mean(true[made["candidate"]]))
        assert np.sum(true & made["candidate"]) > 0.8 * true.sum(), "and most sources are above it"
    assert np.mean(shares) > 0.88


def test_a_higher_purity_has_a_higher_threshold():
    rng = generator(13, "t")
    truth = true_sources(rng, 400)
    found = seen(truth, rng, score=(1.0, 1.5))
    wrong = false_ones(found, rng, 400, score=(0.0, 1.5))
    wrong["snr"] = wrong["matched_snr"] = 30.0
    table = vstack([found, wrong])
    low, high = (calibration.calibrate(truth, table, SimpleNamespace(purity=purity)) for purity in (0.6, 0.85))
    assert low["threshold"] < high["threshold"] <= 1
    assert low["probability"] == high["probability"]


# Sets with nothing to learn from


def test_with_true_detections_only_the_maps_odds_serve():
    truth, found = survey(14, wrong=0)
    known = calibration.calibrate(truth, found, WANTED)
    made = calibration.apply(known, found)
    assert made["probability"] == pytest.approx(np.asarray(found["score"]), abs=1e-4)
    assert made["candidate"].all() and known["reached"]["purity"]["value"] == 1


def test_with_false_detections_only_or_none_it_says_what_to_do():
    truth, found = survey(15, 40, 20)
    for nothing in (found[40:], found[:0]):
        with pytest.raises(UserError, match="no source of the validation cubes was found; train longer"):
            calibration.calibrate(truth, nothing, WANTED)
    with pytest.raises(UserError, match="no source"):
        calibration.calibrate(truth[:0], found, WANTED)


def test_a_single_detection_of_each_kind_is_enough():
    truth, found = survey(16, 4, 1)
    known = calibration.calibrate(truth, vstack([found[:1], found[4:]]), WANTED)
    assert not known["reached"]["reached"] and np.isfinite(known["threshold"])


# Applying


def test_no_detections_stay_none_with_all_columns(calibrated):
    found = survey(17, 4, 1)[1]
    empty, made = calibration.apply(calibrated, found[:0]), calibration.apply(calibrated, found)
    assert len(empty) == 0 and set(empty.colnames) == set(made.colnames)
    assert all(empty[name].dtype.kind == made[name].dtype.kind for name in made.colnames)


def test_each_row_is_calibrated_by_itself(calibrated):
    found = survey(18, 40, 20)[1]
    before = found.copy()
    whole = calibration.apply(calibrated, found)
    mixed = generator(18, "order").permutation(len(found))
    assert_same(calibration.apply(calibrated, found[mixed]), whole[mixed])
    assert_same(calibration.apply(calibrated, found[5:9]), whole[5:9])
    assert_same(found, before)


def assert_same(one, other):
    assert one.colnames == other.colnames
    for name in one.colnames:
        assert np.array_equal(one[name], other[name]), name


def test_a_calibration_is_plain_json(calibrated):
    stored = json.loads(json.dumps(calibrated, allow_nan=False))
    found = survey(19, 20, 10)[1]
    assert_same(calibration.apply(stored, found), calibration.apply(calibrated, found))

"""Calibrated candidates of counts maps, and their scores, on tables whose truth is known."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table

from skyloom.errors import UserError
from skyloom.learn import map_calibration, map_scores

SETTINGS = SimpleNamespace(false_rate=0.02, confidence=0.68)
PIXEL = 0.025


def tables(maps: int = 500, seed: int = 0, error_factor: float = 2.0, photon_bias: float = 0.0):
    """Truth and candidates: a source a map, whose errors are `error_factor` times what they say, and a false one."""
    rng = np.random.default_rng(seed)
    snr = np.exp(rng.uniform(np.log(2), np.log(60), maps))
    x, y = rng.uniform(30, 170, (2, maps))
    counts = np.round(20 * snr).astype(int)
    truth = Table(
        {
            "cube": np.arange(maps),
            "source": np.zeros(maps, int),
            "x": x,
            "y": y,
            "snr": snr,
            "offset": rng.uniform(0, 2, maps),
            "flux": rng.uniform(0.1, 9, maps),
            "response": rng.choice([20.0, 40.0], maps),
            "counts": counts,
            "radius_bound": 0.1 / snr,
        }
    )
    said = 4 / snr
    true = Table({"cube": truth["cube"]})
    true["x"], true["y"] = (place + error_factor * said * rng.standard_normal(maps) for place in (x, y))
    true["x_error"] = true["y_error"] = said
    true["photons_error"] = np.sqrt(counts)
    true["photons"] = (1 + photon_bias) * counts + np.sqrt(counts) * rng.standard_normal(maps)
    true["background"] = 100.0
    true["score"] = np.clip(snr + rng.standard_normal(maps), 0.5, None)
    true["snr"] = true["score"]
    false = Table({"cube": truth["cube"], "x": (x + 100) % 200, "y": (y + 100) % 200})
    for name in ("x_error", "y_error", "photons_error"):
        false[name] = 2.0
    false["score"] = false["snr"] = rng.exponential(1.0, maps) + 0.5
    false["photons"], false["background"] = 20 * false["score"] * rng.uniform(0.8, 1.2, maps), 100.0
    both = Table(np.concatenate([true.as_array(), false[true.colnames].as_array()]))
    both.meta = {"cubes": maps, "pixel": PIXEL}
    return truth, both


@pytest.fixture(scope="module")
def calibration():
    return map_calibration.calibrate(*tables(), SETTINGS)


def test_errors_and_radii_hold_as_often_as_they_say(calibration):
    truth, detections = tables(2000, seed=1)
    found = map_calibration.apply(calibration, detections)[:2000]
    distance = np.hypot(found["x"] - truth["x"], found["y"] - truth["y"])
    near = distance < map_calibration.DISTANCE / PIXEL
    assert np.mean(distance[near] <= found["radius68"][near]) == pytest.approx(0.6827, abs=0.03)
    assert np.mean(distance[near] <= found["radius95"][near]) == pytest.approx(0.9545, abs=0.02)
    pull = (found["x"] - truth["x"])[near] / found["x_error"][near]
    assert np.mean(np.abs(pull) <= 1) == pytest.approx(0.6827, abs=0.04)


def test_probabilities_mean_what_they_say(calibration):
    truth, detections = tables(2000, seed=2)
    found = map_calibration.apply(calibration, detections)
    real = np.isin(np.arange(len(found)), map_calibration.matches(truth, detections))
    probability = np.asarray(found["probability"])
    assert np.array_equal(found["score"], probability)
    for low, high in ((0.05, 0.5), (0.5, 0.95), (0.95, 1)):
        some = (probability >= low) & (probability < high)
        assert np.mean(real[some]) == pytest.approx(probability[some].mean(), abs=0.1)


def test_the_threshold_lets_as_many_false_ones_pass_as_is_wanted(calibration):
    truth, detections = tables(3000, seed=3)
    found = map_calibration.apply(calibration, detections)
    real = np.isin(np.arange(len(found)), map_calibration.matches(truth, detections))
    assert np.sum(found["candidate"] & ~real) / 3000 == pytest.approx(SETTINGS.false_rate, abs=0.012)
    assert calibration["reached"]["false_rate"] <= SETTINGS.false_rate


def test_photons_are_scaled_where_they_can_be_told():
    calibration = map_calibration.calibrate(*tables(3000, photon_bias=0.1), SETTINGS)
    truth, detections = tables(3000, seed=9, photon_bias=0.1)
    found = map_calibration.apply(calibration, detections)
    ratio = np.asarray(found["photons"])[:3000] / np.maximum(truth["counts"], 1)
    bright, faint = np.asarray(truth["snr"]) > 10, np.asarray(found["significance"])[:3000] < 2
    assert np.median(ratio[bright]) == pytest.approx(1, abs=0.01)
    pull = (found["photons"][:3000] - truth["counts"])[bright] / found["photons_error"][:3000][bright]
    assert np.mean(np.abs(pull) <= 1) == pytest.approx(0.68, abs=0.04)
    assert calibration["errors"]["scale"][0] == 1 or min(calibration["errors"]["score"]) >= 5
    assert found["photons"].unit == "ct"
    assert np.isfinite(ratio[faint]).all()


def test_without_a_source_found_it_is_told():
    truth, detections = tables(20)
    detections = detections[20:]
    detections.meta = {"cubes": 20, "pixel": PIXEL}
    with pytest.raises(UserError, match="lowest_score"):
        map_calibration.calibrate(truth, detections, SETTINGS)


def test_without_a_candidate_nothing_breaks(calibration):
    truth, detections = tables(20)
    none = detections[:0]
    none.meta = detections.meta
    found = map_calibration.apply(calibration, none)
    assert {"probability", "radius68", "radius95", "candidate"} <= set(found.colnames)
    result, rows = map_scores.scores(truth, found, 0.5, 0.68, np.random.default_rng(0))
    assert result["found"]["all"]["completeness"]["value"] == 0
    assert len(rows) == 0
    assert "not defined" in map_scores.as_markdown(map_scores.summary(result), result)


@pytest.fixture(scope="module")
def scored(calibration):
    truth, detections = tables(1500, seed=4, photon_bias=0.04)
    found = map_calibration.apply(calibration, detections)
    return map_scores.scores(truth, found, calibration["threshold"], 0.68, np.random.default_rng(0))


def test_scores_are_those_of_the_tables(scored, calibration):
    result, rows = scored
    assert (result["maps"], result["sources"]) == (1500, 1500)
    assert result["false_rate"]["low"] < SETTINGS.false_rate + 0.01
    assert result["found"]["detectable"]["completeness"]["value"] > 0.9
    bins = {row["low"]: row for row in result["found"]["bins"]}
    assert bins[2.0]["completeness"]["value"] < bins[10.0]["completeness"]["value"]
    assert result["residuals"]["all"]["held"]["radius68"]["value"] == pytest.approx(0.68, abs=0.05)
    assert result["residuals"]["all"]["photons_held"]["value"] == pytest.approx(0.68, abs=0.2)
    assert result["residuals"]["all"]["median_bound"] == pytest.approx(np.median(rows["bound"]), rel=1e-6)


def test_probabilities_are_held_against_the_truth(scored, calibration):
    result, _ = scored
    told = result["probability"]
    bins = told["bins"]
    assert sum(row["count"] for row in bins) == told["candidates"] == 3000
    assert sum(row["count"] * row["observed"] for row in bins) == pytest.approx(told["real"])
    assert told["error"]["low"] < told["error"]["value"] < 0.05

    truth, detections = tables(1500, seed=4)
    found = map_calibration.apply(calibration, detections)
    found["probability"] = found["score"] = 0.5 * found["probability"]
    wrong, _ = map_scores.scores(truth, found, 0.3, 0.68, np.random.default_rng(0))
    assert wrong["probability"]["error"]["value"] > 0.2


def test_scores_that_are_no_probabilities_are_not_taken_for_any():
    truth, detections = tables(100, seed=4)
    assert map_scores.scores(truth, detections, 3.0, 0.68, np.random.default_rng(0))[0]["probability"] is None


def test_the_bias_of_the_photons_is_found_everywhere(scored):
    result, _ = scored
    for name, parts in result["bias"].items():
        assert sum(part["count"] for part in parts) > 500, name
        for part in parts:
            if part["bias"] is not None and part["count"] > 50:
                assert part["bias"] == pytest.approx(0.04, abs=4 * part["error"] + 0.005)


def test_the_page_shows_every_measure(scored):
    result, _ = scored
    text = map_scores.as_markdown(map_scores.summary(result), result)
    assert text.startswith("Test set: 1500 maps with 1500 sources.")
    assert "| false candidates a map | " in text
    assert "| flux | 0.05 | 0.15 |" in text
    assert "| expected calibration error of the probability | 0.0" in text
    assert "0.68" in map_scores.said(result) or "deg" in map_scores.said(result)


def test_figures_are_drawn(scored, tmp_path):
    from skyloom.images.counts import CountsMap
    from skyloom.plots import gamma, style

    result, rows = scored
    rng = np.random.default_rng(0)
    counts = rng.poisson(3, (96, 96)).astype(np.uint16)
    one = CountsMap(counts, PIXEL, rng.poisson(0.1, (96, 96)).astype(np.uint16))
    places = Table({"x": [20.0, 60.0], "y": [30.0, 70.0]})
    shown = [(one, rng.random((48, 48)), places, places[:1])] * 2
    for name, figure in {
        "location": gamma.location(result, rows),
        "bias": gamma.bias(result["bias"]),
        "sources": gamma.sources(shown),
    }.items():
        style.save(tmp_path / f"{name}.png", figure)
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
    east, north = gamma._offset({"x": 47.5, "y": 47.5}, one, 96 * PIXEL / 2)
    assert (east, north) == pytest.approx((0, 0))

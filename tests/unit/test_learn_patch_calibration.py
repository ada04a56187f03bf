"""Calibrated sources of gamma-ray patches, on tables whose truth is known."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st
from patch_fixtures import PIXEL, patch_tables

from skyloom.detect.match_sources import match_brightest
from skyloom.errors import UserError
from skyloom.learn import patch_calibration, patch_matching, patch_shifts

SETTINGS = SimpleNamespace(purity=0.95, confidence=0.68)
OTHER = (0.15, 0.08)
"""Scatter that the other tracer adds to the logarithm of the flux, and to the position [deg]."""


@pytest.fixture(scope="module")
def calibration():
    return patch_calibration.calibrate(*patch_tables(300, flux_bias=0.1, other=OTHER), SETTINGS)


@pytest.fixture(scope="module")
def applied(calibration):
    truth, detections = patch_tables(300, seed=1, flux_bias=0.1)
    return truth, patch_calibration.apply(calibration, detections)


def one_cube(rows: list[tuple], third: str) -> Table:
    x, y, last = zip(*rows, strict=True)
    return Table({"cube": np.zeros(len(rows), int), "x": x, "y": y, third: last, "snr": np.full(len(rows), 9.0)})


def test_the_surest_detection_has_the_brightest_source_in_reach_and_a_second_one_is_false():
    truth = one_cube([(10, 10, 1e-10), (12, 10, 5e-9), (40, 40, 1e-9)], "flux")
    detections = one_cube([(10, 10, 0.6), (11, 10, 0.9), (12, 11, 0.5), (43.5, 40, 0.99)], "score")
    assert match_brightest(truth, detections, 3.0).tolist() == [0, 1, -1]
    detections["cube"] = 1
    assert (match_brightest(truth, detections, 3.0) == -1).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 12), st.integers(0, 12))
def test_what_is_less_sure_changes_no_match(seed, sources, detections):
    rng = np.random.default_rng(seed)
    truth = Table(
        {"cube": rng.integers(0, 2, sources), "x": rng.uniform(0, 9, sources), "y": rng.uniform(0, 9, sources)}
    )
    truth["flux"] = rng.uniform(1, 2, sources)
    found = Table({"cube": rng.integers(0, 2, detections), "x": rng.uniform(0, 9, detections)})
    found["y"], found["score"] = rng.uniform(0, 9, detections), rng.uniform(size=detections)
    matched = match_brightest(truth, found, 3.0)
    hit = matched[matched >= 0]
    assert len(set(hit.tolist())) == len(hit)
    sure = found["score"] > 0.5
    above = match_brightest(truth, found[sure], 3.0)
    rows = np.flatnonzero(sure)
    expected = np.where(np.append(sure, False)[matched], matched, -1)
    assert np.where(above >= 0, np.append(rows, -1)[above], -1).tolist() == expected.tolist()


def test_circles_ellipses_and_errors_hold_as_often_as_they_say(applied):
    truth, found = applied
    matched = patch_matching.matches(truth, found)
    kept = np.append(np.asarray(found["candidate"]) & patch_matching.in_core(found), False)
    rows = patch_matching.residuals(truth, found, np.where(kept[matched], matched, -1))
    assert len(rows) > 1500
    assert np.mean(rows["distance"] <= rows["radius68"]) == pytest.approx(0.6827, abs=0.03)
    assert np.mean(rows["distance"] <= rows["radius95"]) == pytest.approx(0.9545, abs=0.02)
    assert np.mean(rows["ellipse"] <= 1) == pytest.approx(0.6827, abs=0.03)
    for axis in "xy":
        assert np.mean(np.abs(rows[f"d{axis}"]) <= rows[f"{axis}_error"]) == pytest.approx(0.6827, abs=0.04)


def test_fluxes_are_unbiased_where_that_can_be_told_and_their_errors_hold(applied):
    truth, found = applied
    matched = patch_matching.matches(truth, found)
    rows = patch_matching.residuals(truth, found, matched)
    bright = rows[rows["flux"] >= 2e-9]
    assert np.median(bright["found_flux"] / bright["flux"]) == pytest.approx(1, abs=0.02)
    pull = np.abs(rows["found_flux"] - rows["flux"]) / rows["flux_error"]
    assert np.mean(pull <= 1) == pytest.approx(0.6827, abs=0.04)
    assert found["flux"].unit == "cm-2 s-1"


def test_probabilities_mean_what_they_say_and_the_threshold_is_as_pure_as_is_wanted(applied, calibration):
    truth, found = applied
    real = np.isin(np.arange(len(found)), patch_matching.matches(truth, found))
    core, probability = patch_matching.in_core(found), np.asarray(found["probability"])
    assert np.array_equal(found["score"], probability)
    for low, high in ((0.05, 0.5), (0.5, 0.95), (0.95, 1)):
        some = core & (probability >= low) & (probability < high)
        assert np.mean(real[some]) == pytest.approx(probability[some].mean(), abs=0.1)
    assert np.mean(real[core & np.asarray(found["candidate"])]) >= 0.93
    assert calibration["reached"]["reached"] and calibration["reached"]["purity_bound"] >= 0.95
    assert calibration["roc"]["area"] > 0.85 and 0 < calibration["roc"]["probability"] < 1


def test_kinds_are_as_often_right_as_they_say(applied, calibration):
    truth, found = applied
    assert calibration["temperature"] == pytest.approx(2.0, rel=0.15)
    rows = patch_matching.residuals(truth, found, patch_matching.matches(truth, found))
    right = np.asarray(rows["kind"] == rows["found_kind"])
    assert right.mean() == pytest.approx(np.mean(rows["kind_probability"]), abs=0.03)
    assert set(found["kind"]) <= set(patch_matching.KINDS)
    total = sum(np.asarray(found[f"p_{kind}"]) for kind in patch_matching.KINDS)
    assert total == pytest.approx(1)


def test_systematic_errors_that_were_put_in_come_back(calibration, applied):
    known = calibration["systematic"]
    bright = np.array(known["flux"])[:, -1]
    assert bright == pytest.approx(OTHER[0], rel=0.3)
    assert np.array(known["position"])[:, -1] == pytest.approx(OTHER[1], rel=0.3)
    assert np.sum(known["sources"]) > 1000
    _, found = applied
    row = found[np.argmax(found["flux"])]
    latitude = np.digitize(abs(row["lat"]), (10, 20))
    assert row["flux_systematic"] == known["flux"][latitude][-1]
    assert row["pos_systematic"] == known["position"][latitude][-1]
    assert np.isfinite(found["probability_systematic"]).all()


def test_without_another_tracer_or_another_sky_there_is_no_systematic_error():
    alone = patch_calibration.calibrate(*patch_tables(100), SETTINGS)
    assert alone["systematic"] is None
    truth, detections = patch_tables(20, seed=3)
    assert np.isnan(patch_calibration.apply(alone, detections)["flux_systematic"]).all()
    same = patch_calibration.calibrate(*patch_tables(300, other=(0.0, 0.0)), SETTINGS)["systematic"]
    assert np.max(np.array(same["flux"])[:, -1]) < 0.05
    assert np.max(np.array(same["position"])[:, -1]) < 0.03


def test_a_common_shift_is_a_systematic_error():
    error = np.full(4000, 0.05)
    change = 0.2 + error * np.random.default_rng(0).standard_normal(4000)
    assert patch_shifts.excess(change, error) == pytest.approx(0.2, abs=0.03)
    assert patch_shifts.excess(change - 0.2, error) < 0.02


def test_chance_is_the_share_of_the_sky_in_reach():
    rng = np.random.default_rng(0)
    patches, count = 400, 40
    truth = Table({"cube": np.repeat(np.arange(patches), count), "x": rng.uniform(0, 127, patches * count)})
    truth["y"], truth["flux"] = rng.uniform(0, 127, patches * count), 1.0
    truth["snr"] = np.where(rng.uniform(size=len(truth)) < 0.25, 5.0, 0.5)
    detections = Table({"cube": np.repeat(np.arange(patches), 10), "x": rng.uniform(20, 107, patches * 10)})
    detections["y"], detections["lat"] = rng.uniform(20, 107, patches * 10), 50.0
    detections.meta = {"pixel": PIXEL}
    shares = patch_matching.chance(truth, detections, 0.68)
    area = np.pi * 3**2 / 127**2
    for name, density in (("real", 10), ("any", 40)):
        assert shares[name]["high"]["value"] == pytest.approx(1 - np.exp(-density * area), abs=0.012)
    assert shares["real"]["plane"]["value"] is None


def test_the_ellipse_is_that_of_the_covariance():
    major, minor, angle = patch_calibration.ellipses(
        np.array([1.0, 2.0, 1.0]), np.array([3.0, 2.0, 1.0]), np.array([0, 0.5, -0.5])
    )
    assert major / patch_matching.ROUND == pytest.approx([3, np.sqrt(6), np.sqrt(1.5)])
    assert minor / patch_matching.ROUND == pytest.approx([1, np.sqrt(2), np.sqrt(0.5)])
    # Along y is North; up and to the right is North-West, up and to the left North-East.
    assert (angle + 1) % 180 == pytest.approx([1, 136, 46])


def test_the_core_is_where_detections_are_judged():
    table = Table({"x": [63.5, 63.5 + 45.9, 63.5 + 46.1], "y": [63.5, 63.5, 63.5]})
    table.meta = {"pixel": PIXEL}
    assert patch_matching.in_core(table).tolist() == [True, True, False]


def test_without_a_source_found_it_is_told():
    truth, detections = patch_tables(10)
    detections["x"] = 500.0
    with pytest.raises(UserError, match="no source of the validation patches"):
        patch_calibration.calibrate(truth, detections, SETTINGS)


def test_few_patches_without_false_ones_or_without_any_detection_break_nothing(calibration):
    truth, detections = patch_tables(2, error_factor=0.1)
    truth["snr"] = 9.0
    few = patch_calibration.calibrate(truth, detections[:20], SETTINGS)
    assert few["roc"]["area"] is None and few["systematic"] is None
    none = patch_calibration.apply(calibration, detections[:0])
    assert {"probability", "radius95", "ellipse_pa", "kind", "pos_systematic"} <= set(none.colnames)

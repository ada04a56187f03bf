"""Scores of gamma-ray sources in patches, on tables whose truth is known."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table, vstack
from patch_fixtures import PIXEL, patch_tables

from skyloom.learn import patch_calibration, patch_matching, patch_scores, patch_splits

SETTINGS = SimpleNamespace(purity=0.95, confidence=0.68)
OTHER = (0.15, 0.08)


@pytest.fixture(scope="module")
def calibration():
    return patch_calibration.calibrate(*patch_tables(200, other=OTHER), SETTINGS)


def scored(calibration, truth, detections):
    found = patch_calibration.apply(calibration, detections)
    return patch_scores.scores(truth, found, calibration["threshold"], 0.68, np.random.default_rng(0))


@pytest.fixture(scope="module")
def result(calibration):
    return scored(calibration, *patch_tables(200, seed=1))


@pytest.fixture(scope="module")
def other(calibration):
    """The sky of `result` with the fluxes and positions that another tracer changes."""
    truth, detections = patch_tables(200, seed=1, other=OTHER)
    truth, detections = truth[truth["cube"] >= 200], detections[np.asarray(detections["cube"]) >= 200]
    truth["cube"] -= 200
    detections["cube"] -= 200
    detections.meta["cubes"] = 200
    return scored(calibration, truth, detections)


def constructed():
    """Twenty sources of 5e-10 in the cores of as many patches, of which 15 are found, with 5 false candidates."""
    cubes = np.arange(20)
    truth = Table({"cube": cubes, "source": np.zeros(20, int), "x": np.full(20, 60.0), "y": np.full(20, 60.0)})
    truth["lat"], truth["flux"], truth["snr"] = np.where(cubes < 10, 40.0, 5.0), 5e-10, 8.0
    truth["kind"], truth["core"], truth["lon"] = 0, True, 0.0
    rows = vstack([truth[5:][["cube", "x", "y", "lat", "snr"]], truth[:5][["cube", "x", "y", "lat", "snr"]]])
    rows["x"][15:] += 20
    rows["flux"], rows["flux_error"] = 4e-10, 1e-10
    for name in ("x_error", "y_error", "radius68", "radius95"):
        rows[name] = 0.5
    rows["xy_correlation"] = 0.0
    rows["p_agn"], rows["p_pulsar"], rows["p_other"] = 0.7, 0.2, 0.1
    rows["real"], rows["score"], rows["probability"] = 2.0, 0.9, 0.9
    for name in ("flux_systematic", "pos_systematic", "probability_systematic"):
        rows[name] = np.nan
    rows.meta = {"cubes": 20, "pixel": PIXEL}
    return truth, rows


def test_completeness_and_purity_are_those_that_were_made():
    truth, rows = constructed()
    result, residuals = patch_scores.scores(truth, rows, 0.5, 0.68, np.random.default_rng(0))
    found = result["found"]["all"]
    assert found["detectable"]["completeness"]["value"] == 0.75
    assert found["detectable"]["purity"]["value"] == 0.75
    assert result["found"]["high"]["detectable"]["completeness"]["value"] == 0.5
    assert result["found"]["plane"]["detectable"]["purity"]["value"] == 1
    flux = next(row for row in found["bins"] if row["low"] <= 5e-10 < row["high"])
    assert (flux["sources"], flux["detections"]) == (20, 20)
    assert flux["published"] == {"flux": 4.28e-10, "purity": 0.95, "completeness": 0.88}
    assert result["false_rate"]["value"] == 0.25
    assert len(residuals) == 15 and np.all(residuals["distance"] == 0)
    assert result["kinds"]["matrix"][0] == [15, 0, 0]
    assert result["flux"]["all"]["all"]["median"]["value"] == pytest.approx(-0.2)
    none, _ = patch_scores.scores(truth, rows, 0.95, 0.68, np.random.default_rng(0))
    assert none["found"]["all"]["detectable"]["completeness"]["value"] == 0
    assert none["found"]["all"]["detectable"]["purity"]["value"] is None


def test_what_lies_outside_the_core_is_neither_true_nor_false():
    truth, rows = constructed()
    rows["x"][15:] = 3.0
    result, _ = patch_scores.scores(truth, rows, 0.5, 0.68, np.random.default_rng(0))
    assert result["found"]["all"]["detectable"]["purity"]["value"] == 1
    # A source just outside that is found inside is a true detection, but none that should be found.
    truth["core"][19] = False
    truth["x"][19], rows["x"][14] = 63.5 + 47, 63.5 + 45
    result, _ = patch_scores.scores(truth, rows, 0.5, 0.68, np.random.default_rng(0))
    assert result["found"]["all"]["detectable"]["purity"]["value"] == 1
    assert result["found"]["all"]["detectable"]["completeness"]["value"] == 14 / 19


def test_faint_sources_make_a_detection_true_only_by_the_published_definition():
    truth, rows = constructed()
    truth["snr"][5:] = patch_matching.LOWEST_SNR / 2
    result, _ = patch_scores.scores(truth, rows, 0.5, 0.68, np.random.default_rng(0))
    flux = next(row for row in result["found"]["all"]["bins"] if row["low"] <= 4e-10 < row["high"])
    assert flux["purity"]["value"] == 0 and flux["any"]["purity"]["value"] == 0.75


def test_what_a_source_of_another_kind_outshines_is_not_compared_with_the_published_completeness():
    truth, found = constructed()
    beside = truth[:4].copy()  # of the five that are not found
    beside["kind"], beside["flux"], beside["x"] = 2, [6e-10, 6e-10, 6e-10, 4e-10], [61.0, 61.0, 67.0, 61.0]
    assert list(np.flatnonzero(patch_matching.outshone(vstack([truth, beside]), PIXEL, [2]))) == [0, 1]
    bins = patch_scores.scores(vstack([truth, beside]), found, 0.5, 0.68, np.random.default_rng(0))[0]["found"]["all"]
    (row,) = [row for row in bins["bins"] if row["low"] <= 5e-10 < row["high"]]
    assert row["any"]["simulated"]["value"] == pytest.approx(15 / 18)


def test_the_bins_of_flux_are_centred_on_the_published_ones():
    edges = np.array(patch_scores.EDGES[1:-1])
    middles = np.sqrt(edges[1:] * edges[:-1])
    for region in patch_scores.PUBLISHED.values():
        for flux in region:
            assert np.min(np.abs(middles / flux - 1)) < 0.01
    assert pytest.approx(edges[np.argmin(np.abs(edges - 3.16e-10))], rel=0.01) == patch_calibration.DETECTABLE


def test_coverage_and_areas_come_back(result):
    scores, rows = result
    held = scores["residuals"]["all"]["held"]
    assert held["radius68"]["value"] == pytest.approx(0.68, abs=0.04)
    assert held["radius95"]["value"] == pytest.approx(0.95, abs=0.03)
    assert held["ellipse"]["value"] == pytest.approx(0.68, abs=0.04)
    assert scores["flux"]["all"]["all"]["held"]["value"] == pytest.approx(0.68, abs=0.05)
    assert scores["flux"]["all"]["bright"]["median"]["value"] == pytest.approx(0, abs=0.03)
    assert scores["kinds"]["accuracy"]["value"] == pytest.approx(scores["kinds"]["promised"], abs=0.04)
    real = scores["real"]
    assert real["auc"]["low"] <= real["auc"]["value"] <= real["auc"]["high"]
    from sklearn.metrics import roc_auc_score

    value = np.random.default_rng(0).standard_normal(500)
    label = (value + np.random.default_rng(1).standard_normal(500) > 0).astype(int)
    assert patch_scores._area(label, value) == pytest.approx(roc_auc_score(label, value))


def test_the_page_shows_every_measure_beside_the_published_ones(result):
    scores, _ = result
    text = patch_scores.as_markdown(patch_scores.summary(scores), scores)
    assert text.startswith("Test set: 200 patches with ")
    assert "| 0.74 |" in text and "| 0.93 |" in text
    assert "| area under the ROC of the classifier | 0." in text
    assert "| pulsar |" in text
    assert "200 patches" in patch_scores.said(scores)


def test_shifts_between_tracers_are_those_that_were_put_in(result, other):
    names = {"test": result, "other_tracer": other}
    table = patch_splits.splits_table(
        {name: one[0] for name, one in names.items()}, {name: one[1] for name, one in names.items()}
    )
    first, row = table[0], table[table["split"] == "other_tracer"][0]
    assert np.ma.is_masked(first["flux_shift"])
    assert first["flux_added"] < 0.05 and first["position_added"] < 0.02
    assert row["found_in_both"] > 800
    assert row["flux_shift"] == pytest.approx(0, abs=4 * row["flux_shift_error"])
    assert row["flux_added"] == pytest.approx(OTHER[0], rel=0.35)
    assert row["position_added"] == pytest.approx(OTHER[1], rel=0.25)
    assert row["completeness_shift"] == pytest.approx(0, abs=4 * row["completeness_shift_error"] + 0.03)
    assert other[0]["residuals"]["all"]["held"]["with_systematic"]["value"] == pytest.approx(0.68, abs=0.07)
    assert other[0]["residuals"]["all"]["held"]["radius68"]["value"] < 0.62
    text = patch_splits.splits_markdown(table)
    assert "Independence of the model" in text and "other_tracer" in text


def test_one_split_alone_has_no_shifts(result):
    table = patch_splits.splits_table({"test": result[0]}, {"test": result[1]})
    assert table["flux_shift"].mask.all()
    assert "Independence" not in patch_splits.splits_markdown(table)


def test_without_a_detection_nothing_breaks(calibration):
    truth, detections = patch_tables(5)
    scores, rows = scored(calibration, truth, detections[:0])
    assert len(rows) == 0 and scores["found"]["all"]["detectable"]["completeness"]["value"] == 0
    assert "not defined" in patch_scores.as_markdown(patch_scores.summary(scores), scores)
    patch_splits.splits_markdown(patch_splits.splits_table({"test": scores}, {"test": rows}))

import json

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.detect.match_sources import accepted, match_sources
from skyloom.learn import detection_scores as scored
from skyloom.seeds import generator

NOTHING = {"value": None, "low": None, "high": None}


def true_sources(count: int, rng, snr=None, per_cube: int = 4) -> Table:
    """Return sources on a grid in each cube, so that none are confused."""
    place = np.arange(count) % per_cube
    x = 40.0 + 50 * place + rng.uniform(-0.5, 0.5, count)
    y = 100.0 + rng.uniform(-0.5, 0.5, count)
    minor = rng.uniform(2, 5, count)
    return Table(
        {
            "cube": np.arange(count) // per_cube,
            "source": place,
            "x": x,
            "y": y,
            "z": rng.uniform(20, 100, count),
            "line_fwhm": rng.uniform(3, 10, count),
            "fwhm_major": minor * rng.uniform(1, 1.8, count),
            "fwhm_minor": minor,
            "pa": rng.uniform(0, 180, count),
            "flux": rng.uniform(1e-3, 1e-2, count),
            "snr": np.full(count, 20.0) if snr is None else np.asarray(snr, float),
            "x0": x - 6,
            "x1": x + 6,
            "y0": y - 6,
            "y1": y + 6,
        }
    )


def seen(truth: Table, rng=None, error: float = 0.0) -> Table:
    """Return one detection a source; with an error all quantities are off by it (relative for flux and sizes)."""
    found = truth["cube", "x", "y", "z", "line_fwhm", "x0", "x1", "y0", "y1", "snr", "flux", "fwhm_major"].copy()
    found["fwhm_minor"], found["pa"] = truth["fwhm_minor"], truth["pa"]
    found["score"] = np.asarray(truth["snr"]) / 100
    if rng is not None:
        scale = {"x": 1, "y": 1, "pa": 90, **{name: truth[name] for name in ("flux", "fwhm_major", "fwhm_minor")}}
        for name, unit in scale.items():
            found[f"{name}_error"] = error * np.ones(len(truth)) * unit
            found[name] = found[name] + found[f"{name}_error"] * rng.normal(size=len(truth))
        found["pa"] %= 180
    return found


def false_ones(like: Table, count: int, score=0.5) -> Table:
    """Return detections where no source is."""
    found = like[np.zeros(count, int)]
    for name in ("y", "y0", "y1"):
        found[name] += 80 + 20 * np.arange(count)
    found["score"] = score
    return found


def stack(*tables) -> Table:
    from astropy.table import vstack

    return vstack(tables, metadata_conflicts="silent")


def scores_of(truth, found, threshold=-np.inf, **more):
    return scored.completeness_purity(truth, found, match_sources(truth, found), threshold, **more)


# Completeness and purity


def test_completeness_and_purity_are_counted():
    truth = true_sources(20, generator(1, "t"))
    found = seen(truth)[:15]
    found = stack(found, false_ones(found, 5))
    for entry in ("all", "detectable"):
        result = scores_of(truth, found)[entry]
        assert (result["sources"], result["found"], result["detections"], result["true"]) == (20, 15, 20, 15)
        assert result["completeness"]["value"] == result["purity"]["value"] == result["f1"] == 0.75
        # Wilson 1927, with z = 0.9945 for 68 %.
        z2 = 0.9945**2
        middle, half = 0.75 + z2 / 40, np.sqrt(z2 * (0.75 * 0.25 / 20 + z2 / 1600))
        assert result["completeness"]["low"] == pytest.approx((middle - half) / (1 + z2 / 20), abs=1e-4)
        assert result["completeness"]["high"] == pytest.approx((middle + half) / (1 + z2 / 20), abs=1e-4)


def test_a_duplicate_is_a_false_detection():
    truth = true_sources(4, generator(1, "t"))
    found = stack(seen(truth), seen(truth)[:1])
    result = scores_of(truth, found)["detectable"]
    assert result["completeness"]["value"] == 1 and result["purity"]["value"] == 0.8


def test_detections_of_faint_sources_are_neither_true_nor_false():
    truth = true_sources(4, generator(1, "t"), snr=[20, 4.9, 3, 5])
    found = stack(seen(truth), false_ones(seen(truth), 1))
    assert list(scored.outcome(truth, found, match_sources(truth, found))) == [1, -1, -1, 1, 0]
    result = scores_of(truth, found)
    assert (result["detectable"]["sources"], result["detectable"]["detections"], result["detectable"]["true"]) == (
        2,
        3,
        2,
    )
    assert (result["all"]["sources"], result["all"]["detections"], result["all"]["true"]) == (4, 5, 4)


def test_a_false_detection_counts_however_faint_it_says_it_is():
    truth = true_sources(4, generator(1, "t"))
    wrong = false_ones(seen(truth), 1)
    wrong["snr"] = 2.0
    assert scores_of(truth, stack(seen(truth), wrong))["detectable"]["purity"]["value"] == 0.8


def test_bins_are_by_true_snr_for_completeness_and_by_own_snr_for_purity():
    truth = true_sources(4, generator(1, "t"), snr=[2.5, 6, 6, 12])
    found = seen(truth)[1:]
    found["snr"] = [4.5, 6, 200]
    result = scores_of(truth, found, edges=(2, 5, 10, 100))["bins"]
    assert [row["sources"] for row in result] == [1, 2, 1]
    assert [row["completeness"]["value"] for row in result] == [0, 1, 1]
    assert [row["detections"] for row in result] == [1, 1, 0]
    assert [row["purity"]["value"] for row in result] == [1, 1, None]
    assert result[0]["source_snr"] == 2.5 and result[2]["detection_snr"] is None


def test_a_threshold_is_as_good_as_never_having_made_the_detections():
    rng = generator(2, "t")
    truth = true_sources(40, rng, snr=rng.uniform(2, 40, 40))
    found = stack(seen(truth), seen(truth), false_ones(seen(truth), 4, rng.uniform(0, 0.4, 4)))
    found["score"] = rng.uniform(0, 0.4, len(found))
    for threshold in (0, 0.1, 0.2, 0.5):
        kept = found[found["score"] >= threshold]
        assert scores_of(truth, found, threshold) == scores_of(truth, kept, threshold)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_detections_changes_no_score(seed):
    rng = np.random.default_rng(seed)
    truth = true_sources(12, rng, snr=rng.uniform(2, 40, 12))
    found = stack(seen(truth, rng, 0.1), seen(truth, rng, 0.1), false_ones(seen(truth, rng, 0.1), 3))
    found["score"] = rng.integers(0, 4, len(found)) / 4
    mixed = found[rng.permutation(len(found))]
    first, second = (
        scored.detector_scores(truth, table, 0.25, beam_fwhm=8.3, random=np.random.default_rng(0), edges=(2, 40))
        for table in (found, mixed)
    )
    assert first == second


def test_the_curve_passes_the_scores_at_each_threshold():
    rng = generator(3, "t")
    truth = true_sources(40, rng, snr=rng.uniform(2, 40, 40))
    found = stack(seen(truth), false_ones(seen(truth), 8, rng.uniform(0, 0.4, 8)))
    found["score"][:10] = 0.2
    line = scored.curve(truth, found, match_sources(truth, found))
    assert np.all(np.diff(line["threshold"]) < 0) and np.all(np.diff(line["completeness"]) >= 0)
    for threshold, completeness, purity in list(zip(*line.values(), strict=True))[::5]:
        result = scores_of(truth, found, threshold)["detectable"]
        assert result["completeness"]["value"] == pytest.approx(completeness)
        assert result["purity"]["value"] == pytest.approx(purity)


def test_a_long_curve_is_thinned_out_with_its_ends():
    rng = generator(3, "t")
    truth = true_sources(2000, rng)
    found = seen(truth)
    found["score"] = rng.uniform(size=2000)
    line = scored.curve(truth, found, match_sources(truth, found))
    assert len(line["threshold"]) == scored.CURVE_POINTS
    assert line["completeness"][0] == 1 / 2000 and line["completeness"][-1] == 1


# Threshold


def validation_set(rng, count=400, wrong=400):
    """Return a set in which true detections score uniformly from 0.3 to 1, false ones from 0 to 0.5."""
    truth = true_sources(count, rng)
    found = seen(truth)
    found["score"] = rng.uniform(0.3, 1, count)
    bad = found[rng.integers(0, count, wrong)]
    for name in ("y", "y0", "y1"):
        bad[name] += 100
    bad["score"] = rng.uniform(0, 0.5, wrong)
    return truth, stack(found, bad)


def test_the_threshold_has_the_wanted_purity_on_other_sets_about_as_often_as_promised():
    good = []
    for seed in range(150):
        truth, found = validation_set(generator(seed, "v"))
        # The first detections are the sources', in their order.
        chosen = scored.choose_threshold(truth, found, np.arange(len(truth)), 0.95, 0.84)
        assert chosen.reached and chosen.purity_bound >= 0.95
        # True purity above a threshold t between 0.3 and 0.5, by the densities that were drawn from.
        true = (1 - max(chosen.score, 0.3)) / 0.7
        false = max(0.5 - chosen.score, 0) / 0.5
        good.append(true / (true + false) >= 0.95)
    assert np.mean(good) == pytest.approx(0.84, abs=0.1)
    assert 0.42 < chosen.score < 0.5, "and it is not much higher than it must be"


def test_the_threshold_keeps_exactly_what_it_counts():
    truth, found = validation_set(generator(1, "v"))
    matched = match_sources(truth, found)
    chosen = scored.choose_threshold(truth, found, matched, 0.95)
    result = scored.completeness_purity(truth, found, matched, chosen.score)["detectable"]
    assert result["detections"] == chosen.detections
    assert result["purity"]["value"] == chosen.purity.value
    assert result["completeness"]["value"] == chosen.completeness.value


def test_more_confidence_or_purity_never_lowers_the_threshold():
    truth, found = validation_set(generator(1, "v"))
    matched = match_sources(truth, found)

    def score(purity, confidence):
        return scored.choose_threshold(truth, found, matched, purity, confidence).score

    assert score(0.9, 0.68) <= score(0.95, 0.68) <= score(0.95, 0.95)


def test_a_purity_out_of_reach_is_said():
    truth, found = validation_set(generator(1, "v"), count=20, wrong=20)
    chosen = scored.choose_threshold(truth, found, match_sources(truth, found), 0.999)
    assert not chosen.reached and chosen.purity_bound < 0.999
    # The purest there is: with this few, all that score above the false ones.
    assert chosen.purity_bound > 0.85 and chosen.purity.value == 1 and chosen.detections > 10


def test_scores_of_two_neighbouring_numbers_are_still_cut_apart():
    truth = true_sources(40, generator(1, "t"))
    found = stack(seen(truth), false_ones(seen(truth), 1))
    high = 0.5
    found["score"] = high
    found["score"][-1] = np.nextafter(high, 0)
    chosen = scored.choose_threshold(truth, found, match_sources(truth, found), 0.98, 0.5)
    assert chosen.score == high and chosen.detections == 40


# Residuals


def test_residuals_are_detection_minus_truth():
    truth = true_sources(4, generator(1, "t"))
    found = seen(truth)
    found["x"] += 0.3
    found["y"] -= 0.4
    found["z"] += 1
    found["flux"] *= 1.05
    found["fwhm_major"] *= 0.8
    found["x_error"] = 0.2
    rows = scored.residuals(truth, found, np.array([0, -1, 2, 3]))
    assert list(rows["source"]) == [0, 2, 3] and list(rows["detection"]) == [0, 2, 3]
    for name, wanted in {
        "dx": 0.3,
        "dy": -0.4,
        "distance": 0.5,
        "dz": 1,
        "flux_ratio": 1.05,
        "fwhm_major_ratio": 0.8,
        "fwhm_minor_ratio": 1,
        "x_pull": 1.5,
        "pa_difference": 0,
    }.items():
        assert np.allclose(rows[name], wanted), name
    assert np.isnan(rows["y_pull"]).all()


@given(st.floats(0, 180), st.floats(-90, 89.9), st.integers(-2, 2))
def test_angles_are_compared_as_angles(angle, difference, turns):
    found = angle + difference + 180 * turns
    assert scored.folded(found - angle) == pytest.approx(difference, abs=1e-6) or abs(difference + 90) < 1e-6


def test_angles_near_north_are_near_each_other():
    assert list(scored.folded([179 - 1, 1 - 179, 90, -90])) == [-2, 2, -90, -90]


def test_shares_that_are_right():
    truth = true_sources(10, generator(1, "t"))
    found = seen(truth)
    found["flux"][:2] *= 1.2
    found["flux"][2] = np.nan
    found["fwhm_major"][:5] *= 1.09
    found["fwhm_minor"][4:8] *= 0.89
    found["pa"][0] += 19
    found["pa"][1] += 180 - 17
    summary = scored.residual_summary(scored.residuals(truth, found, np.arange(10)), generator(1, "t"))["all"]
    assert summary["flux_within"]["value"] == pytest.approx(0.7), "a flux that is not measured is not right"
    assert summary["sizes_within"]["value"] == pytest.approx(0.6)
    assert summary["pa_within"]["value"] == pytest.approx(0.9)
    assert summary["count"] == 10


def test_round_sources_do_not_judge_position_angles_of_elongated_ones():
    truth = true_sources(10, generator(1, "t"))
    truth["fwhm_major"] = truth["fwhm_minor"] * np.where(np.arange(10) < 4, 1.1, 1.5)
    found = seen(truth)
    found["pa"][:4] += 60
    summary = scored.residual_summary(scored.residuals(truth, found, np.arange(10)), generator(1, "t"))["all"]
    assert summary["pa_within"]["value"] == pytest.approx(0.6)
    assert summary["pa_within_elongated"]["value"] == 1 and summary["elongated"] == 6


def test_what_is_not_measured_has_no_share():
    truth = true_sources(10, generator(1, "t"))
    found = seen(truth)["cube", "x", "y", "z", "x0", "x1", "y0", "y1", "score", "snr"]
    summary = scored.residual_summary(scored.residuals(truth, found, np.arange(10)), generator(1, "t"))["all"]
    assert summary["flux_within"] == summary["sizes_within"] == summary["pa_within"] == NOTHING
    assert summary["coverage"]["x"] == NOTHING and summary["position_residual"]["value"] == 0


def test_honest_errors_hold_68_percent_and_small_ones_do_not():
    rng = generator(4, "t")
    truth = true_sources(3000, rng)
    found = seen(truth, rng, 0.1)
    rows = scored.residuals(truth, found, np.arange(3000))
    coverage = scored.residual_summary(rows, rng)["all"]["coverage"]
    for name in ("x", "y", "flux", "fwhm_major", "fwhm_minor", "pa"):
        assert coverage[name]["value"] == pytest.approx(0.683, abs=0.03), name
        assert coverage[name]["low"] < coverage[name]["value"] < coverage[name]["high"]
    found["flux_error"] /= 2
    rows = scored.residuals(truth, found, np.arange(3000))
    assert scored.residual_summary(rows, rng)["all"]["coverage"]["flux"]["value"] == pytest.approx(0.383, abs=0.03)


def test_position_residual_and_bias():
    rng = generator(5, "t")
    truth = true_sources(2000, rng, snr=np.where(np.arange(2000) < 1000, 8.0, 12.0))
    found = seen(truth, rng, 0.1)
    found["x"] += 0.05
    found["x"][:1000] += 1
    summary = scored.residual_summary(scored.residuals(truth, found, np.arange(2000)), rng, edges=(5, 10, 20))
    bright = summary["bright"]
    # Median of a Rayleigh distribution of sigma 0.1, shifted by 0.05: a little above 0.1 sqrt(2 ln 2).
    assert bright["position_residual"]["value"] == pytest.approx(0.125, abs=0.01)
    assert bright["position_residual"]["low"] < bright["position_residual"]["value"]
    assert bright["dx"]["value"] == pytest.approx(0.05, abs=0.01)
    assert bright["dx"]["high"] - bright["dx"]["value"] == pytest.approx(0.1 / np.sqrt(1000), rel=0.1)
    assert bright["dy"]["value"] == pytest.approx(0, abs=0.01)
    assert summary["all"]["dx"]["value"] == pytest.approx(0.55, abs=0.02)
    assert [row["count"] for row in summary["bins"]] == [1000, 1000]
    assert summary["bins"][0]["dx"]["value"] == pytest.approx(1.05, abs=0.02)


# Pairs


def test_pairs_overlap_in_the_image_and_differ_in_frequency():
    truth = Table(
        {
            "cube": [0, 0, 0, 0, 1, 1],
            "x": [50.0, 55, 50, 100, 50, 52],
            "y": [50.0, 50, 58.5, 100, 50, 50],
            "z": [20.0, 30, 90, 60, 20, np.nan],
            "line_fwhm": [8.0, 6, 4, 6, 5, np.nan],
        }
    )
    # Of cube 0 only the first two are nearer than 8.3 pixels; a source without a line has no place in frequency.
    result = scored.separated_pairs(truth, np.array([3, 5, -1, -1, 0, 1]), 8.3)
    assert (result["pairs"], result["separated"], result["share"]["value"]) == (1, 1, 1)
    assert scored.separated_pairs(truth, np.array([3, -1, 1, 2, 0, 4]), 8.3)["separated"] == 0
    # With a wider beam the third one belongs to the first: two pairs, and it was not found.
    wide = scored.separated_pairs(truth, np.array([3, 5, -1, -1, 0, 1]), np.full(6, 9.0))
    assert (wide["pairs"], wide["share"]["value"]) == (2, 0.5)
    truth["z"][1] = 26.9
    assert scored.separated_pairs(truth, np.full(6, 1), 8.3)["pairs"] == 0


# Everything


def test_scores_of_a_detector_are_json_and_a_row_of_the_table():
    rng = generator(6, "t")
    truth = true_sources(40, rng)
    found = stack(seen(truth, rng, 0.01)[:30], false_ones(seen(truth, rng, 0.01), 2))
    flat = found["cube", "x", "y", "x0", "x1", "y0", "y1", "score", "snr"]
    chain = scored.detector_scores(truth, found, 0.1, beam_fwhm=8.3, random=rng, seconds_per_cube=0.5)
    peer = scored.detector_scores(truth, flat, 0.1, beam_fwhm=8.3, random=rng)
    assert (chain["residuals_of"], peer["residuals_of"]) == ("3d", "2d")
    table = scored.comparison_table({"chain": chain, "peer": json.loads(json.dumps(peer, allow_nan=False))})
    assert list(table["detector"]) == ["chain", "peer"]
    assert list(table["completeness_2d"]) == [0.75, 0.75] and list(table["completeness_3d"]) == [0.75, 0]
    assert table["purity_2d"][0] == pytest.approx(30 / 32)
    assert table["purity_2d_low"][0] < table["purity_2d"][0] < table["purity_2d_high"][0]
    assert table["f1_2d"][0] == pytest.approx(2 * 30 / (40 + 32))
    assert table["flux_within"][0] == 1 and table["flux_within"].mask[1]
    assert table["seconds_per_cube"][0] == 0.5 and table["seconds_per_cube"].mask[1]


@pytest.mark.parametrize("empty", ["no detection", "no truth", "neither", "no columns"])
def test_empty_tables(empty):
    rng = generator(7, "t")
    truth = true_sources(4, rng)
    found = seen(truth, rng, 0.01)
    if empty in ("no truth", "neither"):
        truth = truth[:0]
    if empty in ("no detection", "neither"):
        found = found[:0]
    if empty == "no columns":
        found = Table()
    scores = scored.detector_scores(truth, found, 0.0, beam_fwhm=8.3, random=rng)
    json.dumps(scores, allow_nan=False)
    result = scores["2d"]["detectable"]
    assert result["completeness"]["value"] == (0 if len(truth) else None)
    assert result["purity"]["value"] == (0 if len(found) else None)
    assert result["f1"] is None
    assert scores["residuals"]["all"]["position_residual"] == NOTHING and scores["pairs"]["share"] == NOTHING
    assert scores["curve_2d"]["completeness"] == []
    assert len(scored.comparison_table({"x": scores})) == 1
    chosen = scored.choose_threshold(truth, found, match_sources(truth, found), 0.95)
    assert not chosen.reached and chosen.detections == len(found)
    assert len(scored.residuals(truth, found, accepted(match_sources(truth, found), found, 0))) == 0


def test_no_detector_makes_an_empty_table():
    assert len(scored.comparison_table({})) == 0

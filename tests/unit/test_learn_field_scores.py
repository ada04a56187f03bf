"""What a search for diffuse emission learns from, its calibration, and its scores."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from skyloom.cases.diffuse_radio import Search
from skyloom.errors import UserError
from skyloom.images.radio_fields import Cluster, RadioField, as_mask
from skyloom.learn import field_calibration, field_examples, field_scores, field_tables

PIXEL, SIDE, FIELDS = 9.0, 256, 80


def a_field(emission: bool, seed=0, side=SIDE) -> RadioField:
    rng = np.random.default_rng(seed)
    y, x = np.indices((side, side))
    shape = 3e-4 * emission * np.exp(-((x - side / 2) ** 2 + (y - side / 2) ** 2) / 400)
    image = (rng.normal(0, 1e-4, (side, side)) + shape).astype(np.float32)
    mask = as_mask(np.where(shape > 3e-5, shape, 0), 1e-4)
    return RadioField(image, PIXEL, (20.0, 20.0, 0.0), 144.0, Cluster(side / 2, side / 2, 40.0, 0.2), mask)


def a_row(island: int, cube: int, signal: float, rng, x=128.0, y=128.0, kind=0) -> dict:
    """Return a row of the search, of emission for `signal` 1 and of something else for 0."""
    row = dict.fromkeys(field_tables.COLUMNS, 0.0)
    noise = rng.normal(0, 0.4)
    row |= {"cube": cube, "island": island, "x": x, "y": y, "las": 300.0, "pa": 10.0, "area": 20.0 + 10 * signal}
    row |= {"flux": 0.1 * (1 + 0.05 * rng.normal()), "flux_error": 0.01, "elongation": 0.8 - 0.5 * (kind == 1)}
    row |= {"mean_probability": 0.6 + 0.2 * signal, "snr": 5 + 10 * signal + noise, "brightness": 1 + signal}
    row |= {"distance": 10 + 800 * (kind == 1), "distance_r500": 0.1 + (kind == 1), "concentration": 0.7, "rms": 1e-4}
    row |= {"region_mean": 0.02 + 0.2 * signal + 0.01 * abs(noise), "odds_emission": 4 * signal - 2 + noise}
    row |= {"odds_halo": 3 * (signal and kind == 0) - 2, "odds_relic": 3 * (signal and kind == 1) - 2, "odds_other": -3}
    counts = np.zeros((field_tables.BINS, len(field_tables.BRIGHTNESS)), int)
    if not island:
        counts[0, 0] = 60_000
        counts[16, 4] = 80 * signal
        counts[4, 4], counts[16, 0] = 20 * signal, 20
    return row | {"true_share": 0.8 * signal if island else 0.0, "overlap": counts}


def tables(seed=0, fields=FIELDS, confused=0.0):
    """Return truth and detections of fields of which every second has emission, a third of that a relic."""
    rng = np.random.default_rng(seed)
    truth, rows = [], []
    for cube in range(fields):
        emission, kind = cube % 2, 1 if cube % 6 == 1 else 0
        y = 128 + 90 * (kind == 1)
        truth.append(
            {
                **{"cube": cube, "source": 0, "kind": kind if emission else -1, "visible": bool(emission)},
                **{"x": 128.0 if emission else np.nan, "y": float(y) if emission else np.nan, "pixel": PIXEL},
                **{"flux": 0.1 if emission else np.nan, "mask_flux": 0.09 * emission, "size": 300.0 * emission},
                **{"pa": 10.0, "snr": 1.2 * emission, "smoothed_snr": (4.0 if cube % 10 == 3 else 20.0) * emission},
            }
        )
        signal = emission if rng.random() > confused else 1 - emission
        rows.append(a_row(0, cube, signal, rng, kind=kind))
        if signal or rng.random() < 0.3:
            rows.append(a_row(1, cube, signal, rng, y=y, kind=kind))
    table = field_tables.detection_table(rows)
    table.meta["cubes"] = fields
    return Table(truth), table


def test_the_target_is_where_emission_is():
    field = a_field(True)
    from skyloom.learn import field_search

    one = field_search.scaled(field, Search())
    wanted = field_examples.target(field, one)
    assert wanted.shape == one.image.shape and wanted.max() == 1 and wanted.min() == 0
    assert wanted[128, 128] == 1 and wanted[10, 10] == 0
    fine = RadioField(np.kron(field.image, np.ones((2, 2), np.float32)), 4.5, field.beam, 144.0, None,
                      np.kron(field.mask, np.ones((2, 2), np.uint8)))  # fmt: skip
    assert np.array_equal(field_examples.target(fine, field_search.scaled(fine, Search())), wanted)


def test_tiles_with_emission_are_kept_and_few_without():
    rng = np.random.default_rng(0)
    made = field_examples.tiles(a_field(True, side=300), Search(), 96, 2, rng, "field")
    with_emission = made.y.sum(axis=(1, 2, 3)) > 0
    assert made.x.shape == (len(made), 96, 96, 5) and made.y.shape == (len(made), 96, 96, 1)
    assert 1 <= with_emission.sum() <= 4 and (~with_emission).sum() <= 2
    assert len(set(made.id)) == len(made) and set(made.group) == {"field"}
    assert field_examples.tiles(a_field(False, side=300), Search(), 96, 0, rng, "field") is None


def test_of_tiles_without_emission_those_with_light_come_first():
    field = a_field(False, side=300)
    field.image[250:256, 250:256] = 1.0
    (tile,) = field_examples.tiles(field, Search(), 96, 1, np.random.default_rng(0), "field").x
    assert tile.max() > 5


def test_examples_of_a_field_know_its_kinds():
    truth = Table({"kind": [0, 3, 1], "visible": [True, True, False]})
    assert np.array_equal(field_examples.kinds_of(truth), [1, 1, 0, 1])
    assert not field_examples.kinds_of(Table({"kind": [-1], "visible": [False]})).any()


def test_overlap_counts_every_pixel_once():
    field = a_field(True)
    probability = np.where(field.mask > 0, 0.9, 0.1)
    islands = (field.mask > 0).astype(int)
    found = SimpleNamespace(
        scaled=SimpleNamespace(binning=1), probability=probability, islands=islands, rows=[{"island": 0}, {"island": 1}]
    )
    whole, island = field_tables.with_truth(found, field.mask)
    assert whole["overlap"].sum() == SIDE**2 and not island["overlap"].any()
    assert whole["overlap"][:, 1:].sum() == (field.mask > 0).sum() == whole["overlap"][18, 1:].sum()
    assert island["true_share"] == 1 and whole["true_share"] == 0


def test_what_is_calibrated_is_found_again():
    truth, detections = tables()
    calibration = field_calibration.calibrate(truth, detections, Search())
    assert json.loads(json.dumps(calibration)) == calibration
    assert calibration["reached"]["reached"] and calibration["reached"]["purity"]["value"] >= 0.9
    fresh, seen = tables(seed=1)
    result = field_calibration.apply(calibration, seen)
    fields = field_calibration.fields_of(result)
    emission = field_calibration.present(fresh, fields)[:, 0]
    assert (np.asarray(fields["candidate"]) == emission).mean() > 0.95
    assert fields["probability"][emission].min() > fields["probability"][~emission].max()
    relics = np.asarray(fresh["kind"]) == 1
    assert (np.asarray(fields["kind"])[relics] == 1).mean() > 0.9
    assert (np.asarray(fields["kind"])[~emission] == -1).all()
    assert detections.colnames == tables()[1].colnames  # the table that was given is as it was


def test_fluxes_that_are_too_low_are_scaled_and_their_errors_hold():
    truth, detections = tables()
    for table in (detections, low := tables(seed=1)[1]):
        table["flux"] = np.asarray(table["flux"]) * 0.8
    result = field_calibration.apply(field_calibration.calibrate(truth, detections, Search()), low)
    ratio = np.asarray(result["flux"])[np.asarray(result["island"]) > 0] / 0.1
    assert np.median(ratio) == pytest.approx(1, abs=0.02)
    error = np.asarray(result["flux_error"])[np.asarray(result["island"]) > 0] / 0.1
    assert np.mean(np.abs(ratio - 1) <= error) == pytest.approx(0.68, abs=0.15)


def test_probabilities_mean_what_they_say():
    truth, detections = tables(fields=400, confused=0.2)
    calibration = field_calibration.calibrate(truth, detections, Search())
    fresh, seen = tables(seed=5, fields=400, confused=0.2)
    fields = field_calibration.fields_of(field_calibration.apply(calibration, seen))
    emission = field_calibration.present(fresh, fields)[:, 0]
    sure = np.asarray(fields["probability"]) > 0.5
    assert emission[sure].mean() == pytest.approx(np.mean(fields["probability"][sure]), abs=0.08)
    assert emission[~sure].mean() == pytest.approx(np.mean(fields["probability"][~sure]), abs=0.08)


def test_where_all_fields_have_emission_that_is_what_is_said_of_each():
    truth, detections = tables()
    some = np.flatnonzero(np.asarray(truth["visible"], bool) & (np.asarray(truth["kind"]) >= 0))
    with_emission = np.isin(np.asarray(detections["cube"]), np.asarray(truth["cube"])[some])
    detections = detections[with_emission]
    calibration = field_calibration.calibrate(truth, detections, Search())
    fields = field_calibration.fields_of(field_calibration.apply(calibration, detections))
    assert np.asarray(fields["candidate"]).all() and fields["probability"].min() > 0.9


def test_a_calibration_needs_fields_with_emission():
    truth, detections = tables()
    truth["visible"] = False
    with pytest.raises(UserError, match="simulate.validation"):
        field_calibration.calibrate(truth, detections, Search())


def test_a_calibration_needs_emission_that_was_found():
    truth, detections = tables()
    detections["true_share"] = 0.0
    with pytest.raises(UserError, match="train longer"):
        field_calibration.calibrate(truth, detections, Search())


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=60))
def test_the_threshold_of_a_field_is_the_most_accurate_pure_one(pairs):
    score, true = np.array([score for score, _ in pairs]), np.array([true for _, true in pairs])
    threshold = field_calibration.best_threshold(score, true, 0.9)
    passed = score >= threshold
    tried = [score >= value for value in np.unique(score)]
    pure = [one for one in tried if true[one].mean() >= 0.9]
    best = max((one == true).mean() for one in pure or tried)
    if len(np.unique(score)) == len(score) and np.diff(np.sort(score)).min() > 1e-9:
        assert (passed == true).mean() == pytest.approx(best)


def test_a_piece_is_matched_to_the_island_that_is_on_it():
    truth, detections = tables()
    islands = field_calibration.islands_of(detections)
    matched = field_calibration.matched_components(truth, islands)
    own = np.asarray(islands["true_share"]) > 0
    assert (np.asarray(truth["cube"])[matched[own]] == np.asarray(islands["cube"])[own]).all()
    assert (matched[~own] == -1).all()  # there is no emission in those fields
    far = islands.copy()
    far["x"] += 100
    assert (field_calibration.matched_components(truth, far) == -1).all()


def test_scores_are_those_of_a_search_that_is_right():
    truth, detections = tables()
    calibration = field_calibration.calibrate(truth, detections, Search())
    result = field_calibration.apply(calibration, detections)
    scores, rows = field_scores.scores(truth, result, calibration, 0.5, 0.68, np.random.default_rng(0))
    fields = scores["fields"]
    assert [fields[name]["count"] for name in field_scores.CLASSES] == [40, 32, 8]
    assert fields["accuracy"]["value"] > 0.97 and fields["precision"]["value"] > 0.95
    assert fields["false_negatives"]["value"] < 0.05
    # 80 of 100 pixels are found, and 20 besides; in each field with emission, and 20 in the others.
    assert scores["pixels"]["recall"]["value"] == pytest.approx(0.8)
    assert scores["pixels"]["precision"]["value"] == pytest.approx(80 / 120)
    assert scores["pixels"]["iou"]["value"] == pytest.approx(80 / (100 + 40))
    assert scores["pixels"]["dice"]["value"] == pytest.approx(160 / (100 + 120))
    assert scores["components"]["all"]["completeness"]["value"] > 0.9
    assert scores["components"]["above"]["2"]["count"] == 0
    assert scores["flux"]["ratio"]["value"] == pytest.approx(1, abs=0.03)
    assert scores["islands"]["purity"]["value"] > 0.9
    assert len(rows) == scores["flux"]["count"] > 30
    json.dumps(scores, allow_nan=False)
    summary = field_scores.summary(scores)
    text = field_scores.as_markdown(summary, scores)
    assert "| NDE | 40 |" in text and "| DEU | 8 |" in text
    assert "accuracy" in field_scores.said(scores)


def test_uncertain_fields_count_as_emission():
    kind = np.array([0, 0, 1, 1, 2, 2])
    table = field_scores.field_table(kind, np.array([False, True, True, True, True, False]), 0.68)
    assert table["DEU"]["right"]["value"] == 0.5 and table["NDE"]["right"]["value"] == 0.5
    assert table["accuracy"]["value"] == pytest.approx(4 / 6)
    assert table["precision"]["value"] == 0.75 and table["false_negatives"]["value"] == 0.25
    assert table["certain"]["false_negatives"]["value"] == 0


def test_searches_stand_side_by_side():
    truth, detections = tables()
    calibration = field_calibration.calibrate(truth, detections, Search())
    result = field_calibration.apply(calibration, detections)
    scores, _ = field_scores.scores(truth, result, calibration, 0.5, 0.68, np.random.default_rng(0))
    table = field_scores.comparison_table({"one": scores | {"seconds": 0.5}, "other": scores})
    assert list(table["chain"]) == ["one", "other"] and np.ma.is_masked(table["seconds"][1])
    lines = field_scores.comparison_markdown(table).splitlines()
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    head = next(line for line in lines if line.startswith("| chain"))
    assert head.endswith("| kind | seconds a field |")
    untimed = field_scores.comparison_markdown(field_scores.comparison_table({"test": scores}, "split")).splitlines()
    assert next(line for line in untimed if line.startswith("| split")).endswith("| kind |")
    assert len({line.count("|") for line in untimed if line.startswith("|")}) == 1

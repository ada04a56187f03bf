import csv
import json

import numpy as np
import pytest
from cube_fixtures import CASE, SEARCH, calibrate, step, units_of, write_pair

from skyloom.errors import UserError
from skyloom.files import read_table, write_json, write_table

OUTPUTS = {"scores": "s.json", "residuals": "r.ecsv", "table": "s.csv", "text": "s.md"}
SOURCES, MISSED, FALSE = 300, 30, 40


def score(folder, made, seed=3, **changes):
    inputs = {name: made[name] for name in ("detections", "truths", "calibration")} | changes
    paths = {name: folder / file for name, file in OUTPUTS.items()}
    step("score_detections", case=CASE, settings=SEARCH, seed=seed, **inputs, **paths)
    return json.loads(paths["scores"].read_text())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Test detections with known numbers of true, false and missed sources, and a calibration of others."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "map.keras").write_text("the step reads nothing but its hash")
    pair = write_pair(folder, "validation", 400, seed=1, false=80)
    calibration = calibrate(folder, [f"map={folder}/map.keras"], *([path] for path in pair))
    truth, detections = write_pair(folder, "test", SOURCES, seed=5, missed=MISSED, false=FALSE)
    return {"calibration": calibration, "truths": truth, "detections": detections}


@pytest.fixture(scope="module")
def all_kept(tmp_path_factory, made):
    """Scores with a threshold that keeps every detection."""
    folder = tmp_path_factory.mktemp("all")
    write_json(folder / "c.json", json.loads(made["calibration"].read_text()) | {"threshold": 0.0})
    return score(folder, made, calibration=folder / "c.json"), folder


@pytest.fixture(scope="module")
def scored(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("scored")
    return score(folder, made), folder


def test_completeness_and_purity_are_counted(all_kept):
    found = all_kept[0]["3d"]["detectable"]
    right = SOURCES - MISSED
    assert (found["sources"], found["found"], found["true"]) == (SOURCES, right, right)
    assert found["detections"] == right + FALSE
    assert found["completeness"]["value"] == pytest.approx(right / SOURCES)
    assert found["purity"]["value"] == pytest.approx(right / (right + FALSE))
    assert found["purity"]["low"] < found["purity"]["value"] < found["purity"]["high"]
    assert found["f1"] == pytest.approx(2 * right / (2 * right + MISSED + FALSE))


def test_the_calibrated_threshold_is_used(scored, all_kept, made):
    scores, calibration = scored[0], json.loads(made["calibration"].read_text())
    assert (scores["threshold"], scores["identity"]) == (calibration["threshold"], calibration["identity"])
    strict, lax = scores["3d"]["detectable"], all_kept[0]["3d"]["detectable"]
    assert strict["purity"]["value"] > 0.95 > lax["purity"]["value"]
    assert strict["detections"] < lax["detections"]


def test_calibrated_errors_hold(scored):
    for name, share in scored[0]["residuals"]["all"]["coverage"].items():
        assert share["value"] == pytest.approx(0.683, abs=0.1), name


def test_residuals_are_detection_minus_truth(all_kept, made):
    rows = read_table(all_kept[1] / "r.ecsv")
    truth, detections = read_table(made["truths"]), read_table(made["detections"])
    assert len(rows) == SOURCES - MISSED
    # The first of the truth are missed; the detections of the others come in the same order.
    assert np.array_equal(rows["detection"], np.arange(len(rows)))
    assert np.allclose(rows["dx"], detections["x"][: len(rows)] - truth["x"][MISSED:])
    assert np.allclose(rows["flux_ratio"], detections["flux"][: len(rows)] / truth["flux"][MISSED:])
    assert np.all(np.abs(rows["pa_difference"]) <= 90)
    units = units_of(rows)
    assert {units[name] for name in ("dx", "dy", "distance")} == {"pix"}
    assert units["pa_difference"] == "deg" and units["flux"] == "Jy"


def test_the_summary_says_the_same_to_people_and_programs(scored):
    scores, folder = scored
    rows = {row["measure"]: row for row in csv.DictReader((folder / "s.csv").open())}
    assert list(rows["flux within 10 %"]) == ["measure", "value", "low", "high"]
    value = scores["3d"]["detectable"]["purity"]["value"]
    assert float(rows["purity at S/N >= 5, in the cube"]["value"]) == pytest.approx(value, abs=1e-5)
    # The scatter of the flux is half of these 10 %.
    assert float(rows["flux within 10 %"]["value"]) == pytest.approx(0.954, abs=0.04)
    text = (folder / "s.md").read_text()
    assert f"10 cubes with {SOURCES} sources" in text and "68% confidence" in text
    assert f"| purity at S/N >= 5, in the cube | {value:.3f} (" in text
    assert "| overlapping pairs that are separated | not defined |" in text


def test_the_same_seed_gives_the_same_bytes(tmp_path, scored, made):
    score(tmp_path, made)
    for name in OUTPUTS.values():
        assert (tmp_path / name).read_bytes() == (scored[1] / name).read_bytes()


def test_shards_count_as_one(tmp_path, scored, made):
    parts = {"truths": [], "detections": []}
    for kind, paths in parts.items():
        table = read_table(made[kind])
        for half, rows in enumerate((table["cube"] < 5, table["cube"] >= 5)):
            paths.append(tmp_path / f"{kind}_{half}.ecsv")
            write_table(paths[-1], table[rows])
    assert score(tmp_path, made, **parts)["3d"] == scored[0]["3d"]


@pytest.mark.parametrize("kind", ["none", "false"])
def test_nothing_true_is_a_result_too(tmp_path, made, kind):
    table = read_table(made["detections"])
    table["x"] += 500
    table["snr"] = table["matched_snr"] = 1000.0
    write_table(tmp_path / "d.ecsv", table if kind == "false" else table[:0])
    found = score(tmp_path, made, detections=tmp_path / "d.ecsv")["3d"]["detectable"]
    assert found["completeness"]["value"] == 0 and found["found"] == 0
    assert found["purity"]["value"] == (0 if kind == "false" else None)
    rows = read_table(tmp_path / "r.ecsv")
    assert len(rows) == 0 and {"dx", "flux_ratio", "x_pull"} <= set(rows.colnames)
    assert "not defined" in (tmp_path / "s.md").read_text()


@pytest.mark.parametrize("separated", [0, 1])
def test_sources_over_each_other_count_as_a_pair(tmp_path, made, all_kept, separated):
    truth, detections = read_table(made["truths"]), read_table(made["detections"])
    for table, row in ((truth, MISSED), (detections, 0))[: 1 + separated]:
        again = dict(table[row])
        table.add_row(again | {"z": again["z"] + 40})
    write_table(tmp_path / "t.ecsv", truth)
    write_table(tmp_path / "d.ecsv", detections)
    inputs = {"truths": tmp_path / "t.ecsv", "detections": tmp_path / "d.ecsv", "calibration": all_kept[1] / "c.json"}
    pairs = score(tmp_path, made, **inputs)["pairs"]
    assert (pairs["pairs"], pairs["separated"]) == (1, separated)


@pytest.fixture(scope="module")
def bad(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("bad")
    (folder / "broken.json").write_text("{")
    (folder / "other.json").write_text("{}")
    (folder / "page.ecsv").write_text("<html>")
    table = read_table(made["detections"])
    table.meta.clear()
    write_table(folder / "bare.ecsv", table)
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda bad, made: {"detections": bad / "no.ecsv"}, "no.ecsv: no such file; it should be detections"),
        (lambda bad, made: {"detections": bad / "page.ecsv"}, "page.ecsv: cannot be read as detections"),
        (lambda bad, made: {"detections": made["truths"]}, "has no column `score`, so it is no table of detections"),
        (lambda bad, made: {"detections": bad / "bare.ecsv"}, "bare.ecsv: has no `beam_fwhm` in its header"),
        (lambda bad, made: {"truths": bad / "no.ecsv"}, "no.ecsv: no such file; it should be truth"),
        (lambda bad, made: {"calibration": bad / "no.json"}, "no.json: no such file"),
        (lambda bad, made: {"calibration": bad / "broken.json"}, "broken.json: not valid JSON"),
        (
            lambda bad, made: {"calibration": bad / "other.json"},
            "other.json: has no .* hold the calibration",
        ),
    ],
)
def test_mistakes_are_told_in_a_sentence_and_leave_no_file(tmp_path, made, bad, change, message):
    with pytest.raises(UserError, match=message):
        score(tmp_path, made, **change(bad, made))
    assert list(tmp_path.iterdir()) == []

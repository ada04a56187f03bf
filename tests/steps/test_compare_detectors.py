import csv
import re

import pytest
from cube_fixtures import CASE, SEARCH, step, write_pair

from skyloom.errors import UserError
from skyloom.files import read_table, write_table

NAMES = ["chain", "peer"]


def write_times(path, seconds):
    path.write_text(f"stage,seconds\nmap,{seconds / 2}\nall,{seconds}\n")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The detections of a chain and of a peer that misses more and says how long it took, in validation and test."""
    folder = tmp_path_factory.mktemp("made")
    files = {"seed": 7}
    for split, seed in (("validation", 1), ("test", 5)):
        truth, chain = write_pair(folder, split, 200, seed=seed, false=20, missed=4)
        _, peer = write_pair(folder, f"{split}_peer", 200, seed=seed, false=20, missed=80)
        table = read_table(peer)
        table.meta["seconds_per_cube"] = 2.5
        write_table(peer, table)
        files |= {split: [chain, peer], f"{split}_truths": [truth]}
    files["times"] = [write_times(folder / "times.csv", 0.5)]
    return files


def compare(folder, made, **changes):
    ends = {"table": "csv", "text": "md", "by_snr": "snr.csv", "by_snr_text": "snr.md", "figure": "png"}
    paths = {name: folder / f"peers.{end}" for name, end in ends.items()}
    inputs = {"names": NAMES, "chains": ["chain"], **made} | changes
    step("compare_detectors", case=CASE, settings=SEARCH, **inputs, **paths)
    return {row["detector"]: row for row in csv.DictReader(paths["table"].open())}, paths


@pytest.fixture(scope="module")
def compared(tmp_path_factory, made):
    return compare(tmp_path_factory.mktemp("compared"), made)


def test_each_detector_has_a_row_of_its_own_scores(compared):
    rows = compared[0]
    assert list(rows) == NAMES
    assert float(rows["chain"]["completeness_3d"]) > 0.9
    assert 0.3 < float(rows["peer"]["completeness_3d"]) <= 120 / 200
    for row in rows.values():
        assert float(row["f1_3d"]) <= float(row["best_f1_3d"]) <= 1
        assert float(row["completeness_3d_low"]) <= float(row["completeness_3d"]) <= float(row["completeness_3d_high"])


def test_a_table_has_completeness_and_purity_against_snr_of_every_detector(compared):
    rows, paths = compared
    by_snr = list(csv.DictReader(paths["by_snr"].open()))
    for name in NAMES:
        *bins, whole = [row for row in by_snr if row["detector"] == name]
        assert whole["snr_high"] == "" and whole["completeness_3d"] == rows[name]["completeness_3d"]
        assert sum(int(row["sources"]) for row in bins) == int(whole["sources"]) == 200
        share = sum(float(row["completeness_3d"] or 0) * int(row["sources"]) for row in bins) / 200
        assert share == pytest.approx(float(whole["completeness_3d"]))
        for row in bins:
            if row["completeness_3d"]:
                low, value, high = (float(row[f"completeness_3d{end}"]) for end in ("_low", "", "_high"))
                assert low <= value <= high
    text = paths["by_snr_text"].read_text()
    assert f"| S/N | sources | {' | '.join(NAMES)} |" in text and "| >= 5 | 200 |" in text


def test_seconds_are_those_of_the_files(compared):
    assert [float(row["seconds_per_cube"]) for row in compared[0].values()] == [0.5, 2.5]


def test_the_text_says_what_the_table_says(compared):
    rows, paths = compared
    lines = [line for line in paths["text"].read_text().splitlines() if line.startswith("| ")]
    shown = {cells[1].strip(): [cell.strip() for cell in cells[2:-1]] for cells in (line.split("|") for line in lines)}
    for name, row in rows.items():
        assert shown[name][2] == f"{float(row['completeness_3d']):.3f}"
        assert shown[name][-1] == f"{float(row['seconds_per_cube']):.3f}"
    assert "10 cubes with 200 sources" in paths["text"].read_text()
    assert "`chain` searches 2.0 cubes/s on one core (map 0.250 s)" in paths["text"].read_text()


def test_a_detector_that_is_a_chain_is_calibrated(tmp_path, made, compared):
    times = made["times"] * 2
    rows, _ = compare(tmp_path, made, chains=NAMES, times=times)
    assert rows["chain"] == compared[0]["chain"]
    assert rows["peer"]["threshold"] != compared[0]["peer"]["threshold"]
    assert float(rows["peer"]["seconds_per_cube"]) == 0.5


def test_the_others_may_have_the_first_validation_shards_only(tmp_path, made, compared):
    shards = []
    for path in (*made["validation_truths"], *made["validation"][:1]):
        table = read_table(path)
        table["cube"] += 1000
        shards.append(tmp_path / f"second_{path.name}")
        write_table(shards[-1], table)
    changes = {"validation_truths": [*made["validation_truths"], shards[0]], "shards": [2, 1]}
    chain, peer = made["validation"]
    (folder := tmp_path / "made").mkdir()
    rows, _ = compare(folder, made, validation=[chain, shards[1], peer], **changes)
    assert rows["peer"] == compared[0]["peer"]
    assert 0 < float(rows["chain"]["threshold"]) < 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"chains": ["other"]}, "--chains: other is none of --names"),
        ({"times": []}, "--times: should have all shards"),
        ({"test_truths": ["a.ecsv", "b.ecsv"]}, "should have all shards of each of --names"),
        ({"shards": [1]}, "--shards: 1 numbers for 2 --names"),
        ({"validation": ["a.ecsv"]}, "should have all shards of each of --names"),
    ],
)
def test_mistakes_are_told_in_a_sentence_and_leave_no_file(tmp_path, made, changes, said):
    with pytest.raises(UserError, match=re.escape(said)):
        compare(tmp_path, made, **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_chain_that_finds_nothing_is_a_row_too(tmp_path, made, compared):
    found = {}
    for split in ("validation", "test"):
        table = read_table(made[split][1])
        found[split] = tmp_path / f"{split}.ecsv"
        write_table(found[split], table[:0])
    changes = {split: [made[split][0], path] for split, path in found.items()}
    rows, _ = compare(tmp_path, made, chains=NAMES, times=made["times"] * 2, **changes)
    assert rows["chain"] == compared[0]["chain"]
    assert float(rows["peer"]["completeness_3d"]) == 0 and rows["peer"]["purity_3d"] == ""

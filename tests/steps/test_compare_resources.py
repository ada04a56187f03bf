"""The table of what was asked for and what was used."""

import csv

import pytest
from benchmark_fixtures import HEADER, line, written

import compare_resources
from skyloom.errors import UserError


def test_one_row_a_rule_and_one_for_what_cannot_be_used(tmp_path, capsys):
    folder = tmp_path / "benchmarks"
    written(folder / "disk_winds", "train_0.tsv", line())
    written(folder / "disk_winds", "train_1.tsv", line(max_rss="1900.00"))
    written(folder, "old.tsv", "\t".join(["1.0"] * len(HEADER)), header=HEADER)
    compare_resources.main(["--benchmarks", str(folder), "--table", str(tmp_path / "resources.csv")])
    with (tmp_path / "resources.csv").open(newline="") as stream:
        train, rest = csv.DictReader(stream)
    assert (train["rule"], train["jobs"], train["mem_mb"], train["gpu"]) == ("train", "2", "2000", "1")
    assert train["remarks"] == "memory: 100% used, ask for more"
    assert rest["rule"] == ""
    assert "old.tsv: written without `benchmark-extended: true`" in rest["remarks"]
    said = capsys.readouterr().out
    assert "warning: " in said
    assert "2 jobs of 1 rules, 1 files not used" in said


def test_a_missing_folder_is_a_mistake(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        compare_resources.main(["--benchmarks", str(tmp_path / "no"), "--table", str(tmp_path / "t.csv")])

from pathlib import Path

import pytest
from catalog_fixtures import arguments, catalog_paths, write_inputs

from skyloom.catalog.footprint import read_area
from skyloom.errors import UserError
from skyloom.files import read_table

ROOT = Path(__file__).parents[2]

COLUMNS = ["--columns", str(ROOT / "resources" / "columns.yaml")]


@pytest.fixture
def built(tmp_path):
    """Return the catalogs of two cases."""
    import build_catalog

    inputs = write_inputs(tmp_path)
    del inputs["cutouts"]
    outputs = {}
    for case in ("disk_winds", "alma_cubes"):
        outputs[case] = catalog_paths(tmp_path / case)
        build_catalog.main(
            ["--case", case, "--config-hash", "abc", *COLUMNS, *arguments(inputs), *arguments(outputs[case])]
        )
    return outputs


def merge(catalogs: list, mocs: list, outputs: dict) -> None:
    import merge_catalogs

    merge_catalogs.main([*COLUMNS, *arguments({"catalogs": catalogs, "mocs": mocs} | outputs)])


def test_one_case_merges_to_itself(built, tmp_path):
    outputs = catalog_paths(tmp_path / "merged")
    case = built["disk_winds"]
    merge([case["ecsv"]], [case["moc"]], outputs)
    for kind in outputs:
        assert Path(outputs[kind]).read_bytes() == Path(case[kind]).read_bytes(), kind


def test_two_cases(built, tmp_path, capsys):
    outputs = catalog_paths(tmp_path / "merged")
    merge([case["ecsv"] for case in built.values()], [case["moc"] for case in built.values()], outputs)
    merged = read_table(outputs["ecsv"])
    assert "16 rows of 2 cases" in capsys.readouterr().out
    assert list(merged["case"]) == ["alma_cubes"] * 8 + ["disk_winds"] * 8
    assert read_area(outputs["moc"]) == read_area(built["alma_cubes"]["moc"])


def test_mistakes(built, tmp_path):
    outputs = catalog_paths(tmp_path / "merged")
    case = built["disk_winds"]
    with pytest.raises(UserError, match="is there twice"):
        merge([case["ecsv"]] * 2, [case["moc"]], outputs)
    with pytest.raises(UserError, match=r"has no column `id`; make it again with build_catalog"):
        merge([str(tmp_path / "labels.ecsv")], [case["moc"]], outputs)
    with pytest.raises(UserError, match="no such file"):
        merge([case["ecsv"]], [str(tmp_path / "no.moc.fits")], outputs)

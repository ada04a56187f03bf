import subprocess
import sys
import time
from pathlib import Path

import pytest
from astropy.table import Table
from catalog_fixtures import arguments, catalog_paths, write_inputs
from mocpy import MOC

from skyloom.errors import UserError
from skyloom.files import read_table, write_table

ROOT = Path(__file__).parents[2]


def build(folder: Path, inputs: dict, **changes) -> dict[str, str]:
    import build_catalog

    outputs = catalog_paths(folder)
    options = {key: value for key, value in inputs.items() if key != "cutouts"} | outputs
    options |= {
        "case": "disk_winds",
        "columns": str(ROOT / "resources" / "columns.yaml"),
        "config-hash": "abcdef012345",
    }
    options |= changes
    build_catalog.main(arguments(options))
    return outputs


def test_all_formats_are_written_and_the_counts_are_said(tmp_path, capsys):
    outputs = build(tmp_path, write_inputs(tmp_path))
    assert all(Path(path).stat().st_size > 0 for path in outputs.values())
    catalog = Table.read(outputs["csv"], format="ascii.csv")
    text = capsys.readouterr().out
    # Of twelve objects three trained or validated and one lies in the image of the third.
    assert len(catalog) == 8
    assert "12 objects found, 4 left out" in text and "8 in the catalog" in text
    assert set(catalog["config"]) == {"abcdef012345"}
    assert not MOC.from_fits(outputs["moc"]).empty()


def test_objects_that_trained_are_not_in_the_catalog(tmp_path):
    inputs = write_inputs(tmp_path)
    catalog = read_table(build(tmp_path, inputs)["ecsv"])
    labels = read_table(inputs["labels"][0])
    split = dict(zip(labels["object_id"], labels["split"], strict=True))
    assert {split.get(name, "") for name in catalog["id"]} <= {"", "test"}
    assert sum(name in split for name in catalog["id"]) == 1


def test_chunks_in_another_order_give_the_same_bytes(tmp_path):
    inputs = write_inputs(tmp_path)
    first = build(tmp_path / "a", inputs)
    turned = {key: value[::-1] if key in ("objects", "predictions") else value for key, value in inputs.items()}
    second = build(tmp_path / "b", turned)
    for kind in first:
        assert Path(first[kind]).read_bytes() == Path(second[kind]).read_bytes(), kind


def test_no_objects_give_an_empty_catalog(tmp_path, capsys):
    outputs = build(tmp_path, write_inputs(tmp_path, n=0))
    assert "0 in the catalog, 0 candidates" in capsys.readouterr().out
    assert len(read_table(outputs["ecsv"])) == 0
    assert len(Path(outputs["csv"]).read_text().splitlines()) == 1


def test_an_object_without_prediction(tmp_path):
    inputs = write_inputs(tmp_path)
    with pytest.raises(UserError, match="has no prediction"):
        build(tmp_path, inputs, predictions=inputs["predictions"][:1])


def test_a_chunk_given_twice(tmp_path):
    inputs = write_inputs(tmp_path)
    with pytest.raises(UserError, match="is there twice"):
        build(tmp_path, inputs, objects=inputs["objects"] + inputs["objects"][:1])


def test_tables_of_another_kind(tmp_path):
    inputs = write_inputs(tmp_path)
    with pytest.raises(UserError, match=r"fields.ecsv: has no column `object_id`"):
        build(tmp_path, inputs, objects=inputs["fields"])
    with pytest.raises(UserError, match=r"has no column `label`"):
        build(tmp_path, inputs, labels=inputs["predictions"][0])
    with pytest.raises(UserError, match=r"nowhere.ecsv: no such file"):
        build(tmp_path, inputs, fields=[str(tmp_path / "nowhere.ecsv")])


def test_an_untraced_row_stops_the_step_and_writes_nothing(tmp_path):
    inputs = write_inputs(tmp_path)
    objects = read_table(inputs["objects"][1])
    objects["sha256"][0] = ""
    write_table(inputs["objects"][1], objects)
    with pytest.raises(UserError, match=r"`sha256` is masked \(1 rows\)"):
        build(tmp_path, inputs)
    assert not Path(catalog_paths(tmp_path)["csv"]).exists()


def test_one_sentence_at_the_command_line(tmp_path):
    inputs = write_inputs(tmp_path)
    options = {key: value for key, value in inputs.items() if key != "cutouts"} | catalog_paths(tmp_path)
    options |= {"case": "disk_winds", "columns": str(tmp_path / "no.yaml")}
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "build_catalog.py"), *arguments(options)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert (
        done.stderr
        == f"error: {tmp_path}/no.yaml: no such file; it should be the definition of the catalog's columns.\n"
    )


@pytest.mark.parametrize("script", ["build_catalog", "merge_catalogs"])
def test_help_is_quick(script):
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / f"{script}.py"), "--help"], capture_output=True, text=True, check=True
    )
    assert "--votable" in done.stdout
    # The promise is one second; a busy machine gets some more.
    assert time.monotonic() - start < 10


def test_settings_are_named_by_their_hash(tmp_path, monkeypatch):
    import build_catalog

    monkeypatch.chdir(ROOT)
    inputs = write_inputs(tmp_path)
    del inputs["cutouts"]
    outputs = catalog_paths(tmp_path)
    build_catalog.main(["--case", "disk_winds", *arguments(inputs), *arguments(outputs)])
    (config,) = set(read_table(outputs["ecsv"])["config"])
    assert len(config) == 12 and int(config, 16) >= 0

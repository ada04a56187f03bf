"""query_archive by its command line, on the embedded and the local archive."""

import importlib.util
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from skyloom.errors import UserError
from skyloom.files import read_table

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data" / "disk_winds"
KEYWORD = "Low-mass star formation"


def load(step: str):
    spec = importlib.util.spec_from_file_location(f"step_{step}", ROOT / "scripts" / f"{step}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


query = load("query_archive")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "config").symlink_to(ROOT / "config")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_archive(members=4, release="2020-01-01", value=1.0) -> list[str]:
    """Write two shards of an embedded archive, one public image and its cube a member OUS."""
    for shard in (0, 1):
        rows = []
        with tarfile.open(f"shard_{shard}.tar", "w") as tar:
            for number in range(shard, members, 2):
                stem = f"member.uid___A001_X{number}_X1.SIM_{number}_sci.spw25"
                for product in ("cont.I.pbcor", "cube.I.pbcor"):
                    stream = io.BytesIO()
                    fits.PrimaryHDU(np.full((8, 8), value + number, np.float32)).writeto(stream)
                    entry = tarfile.TarInfo(f"{stem}.{product}.fits")
                    entry.size = len(stream.getvalue())
                    tar.addfile(entry, io.BytesIO(stream.getvalue()))
                rows += [
                    {
                        "obs_id": f"uid://A001/X{number}/X1",
                        "member_ous_uid": f"uid://A001/X{number}/X1",
                        "proposal_id": "2022.1.90000.S",
                        "target_name": f"SIM_{number}",
                        "s_ra": 10.0 * number,
                        "s_dec": 0.0,
                        "s_fov": 0.01,
                        "spatial_resolution": 0.1,
                        "frequency": 230.0 + window,
                        "science_keyword": KEYWORD,
                        "obs_release_date": release,
                        "data_rights": "Public",
                    }
                    for window in (-1, 1)
                ]
        Table(rows).write(f"shard_{shard}.obscore.ecsv", overwrite=True)
    return ["--simulated", "shard_0.obscore.ecsv", "shard_1.obscore.ecsv"]


def arguments(service, settings, chunks=3, out="out") -> list[str]:
    return [
        *("--case", "disk_winds", "--service", service, "--settings", json.dumps(settings), "--chunks", str(chunks)),
        *("--history", f"{out}/history", "--snapshot", f"{out}/snapshot.ecsv", "--counts", f"{out}/counts.csv"),
        *("--changes", f"{out}/changes.ecsv", "--chunk-files"),
        *(f"{out}/chunk_{number:03d}.ecsv" for number in range(chunks)),
    ]


SEARCH = {"search": {"science_keywords": [KEYWORD], "filename_parts": [".cont"], "angular_resolution": "0.4 arcsec"}}


def chunk_texts(chunks=3) -> list[str]:
    return [Path(f"out/chunk_{number:03d}.ecsv").read_text() for number in range(chunks)]


def test_embedded(capsys):
    query([*arguments("embedded", SEARCH), *write_archive()])
    snapshot = read_table("out/snapshot.ecsv")
    assert snapshot["target_name"].tolist() == [f"SIM_{n}" for n in range(4)]
    assert snapshot["frequency"].tolist() == [230.0] * 4
    assert snapshot["simulated"].all()
    assert snapshot["access_url"][1] == "embedded:shard_1.tar#member.uid___A001_X1_X1.SIM_1_sci.spw25.cont.I.pbcor.fits"
    assert snapshot.meta["service"] == "embedded"
    assert snapshot.meta["time"].endswith("Z")
    assert ["file name", KEYWORD, 4, 4] in snapshot.meta["counts"]
    assert sum(len(read_table(f"out/chunk_{n:03d}.ecsv")) for n in range(3)) == 4
    assert read_table("out/changes.ecsv").meta["since"] == "first query"
    assert "first query" in capsys.readouterr().out
    counts = read_table("out/counts.csv")
    assert counts["observations"][counts["step"] == "archive"].tolist() == [8]
    assert counts["observations"][counts["step"] == "duplicates"].tolist() == [4]


def test_the_same_archive_gives_the_same_chunks():
    arguments_ = [*arguments("embedded", SEARCH), *write_archive()]
    query(arguments_)
    before = chunk_texts()
    query(arguments_)
    assert chunk_texts() == before
    assert len(read_table("out/changes.ecsv")) == 0
    assert len(list(Path("out/history").iterdir())) == 1


def test_a_later_query_tells_what_changed_and_touches_only_its_chunk(capsys):
    query([*arguments("embedded", SEARCH), *write_archive(4)])
    before = chunk_texts()
    query([*arguments("embedded", SEARCH), *write_archive(5)])
    changed = read_table("out/changes.ecsv")
    assert [tuple(row)[:2] for row in changed] == [
        ("added", "uid___A001_X4_X1/member.uid___A001_X4_X1.SIM_4_sci.spw25.cont.I.pbcor.fits")
    ]
    assert sum(a != b for a, b in zip(before, chunk_texts(), strict=True)) == 1
    assert "1 added, 0 removed, 0 changed" in capsys.readouterr().out
    assert len(list(Path("out/history").iterdir())) == 2
    query([*arguments("embedded", SEARCH), *write_archive(5, value=7.0)])
    assert {(row["change"], row["columns"]) for row in read_table("out/changes.ecsv")} == {("changed", "version")}


def test_no_matches_is_one_sentence_and_writes_no_chunk():
    search = {"search": SEARCH["search"] | {"released_after": "2030-01-01"}}
    with pytest.raises(UserError, match=r"'release date' \(`archive.search.released_after`: 2030-01-01\)"):
        query([*arguments("embedded", search), *write_archive()])
    assert not Path("out").exists()


def test_the_tar_must_lie_beside_its_table():
    tables = write_archive()
    Path("shard_1.tar").unlink()
    with pytest.raises(UserError, match=r"shard_1\.tar: no such file"):
        query([*arguments("embedded", SEARCH), *tables])
    Path("shard_1.tar").write_bytes(b"x" * 2000)
    with pytest.raises(UserError, match=r"shard_1\.tar: not a readable tar"):
        query([*arguments("embedded", SEARCH), *tables])


def test_chunk_files_must_be_as_many_as_chunks():
    with pytest.raises(UserError, match="--chunks is 3, but 2"):
        query(arguments("embedded", SEARCH)[:-1])


def test_local_does_not_filter_by_what_a_folder_does_not_know(capsys):
    (Path("mine") / "deep").mkdir(parents=True)
    fits.PrimaryHDU(np.ones((4, 4), np.float32), fits.Header({"OBJECT": "X"})).writeto("mine/deep/a.fits")
    Path("mine/notes.txt").write_text("not FITS")
    query(arguments("local", {"local": {"folder": "mine"}, **SEARCH}))
    snapshot = read_table("out/snapshot.ecsv")
    assert snapshot["product_id"].tolist() == ["deep/a.fits"]
    assert snapshot["access_url"].tolist() == ["file:mine/deep/a.fits"]
    assert "do not apply to the local archive: science_keywords, angular_resolution, filename_parts" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("local", "word"),
    [({"folder": "none"}, "no such folder"), ({"folder": ".", "pattern": "/etc/*"}, "not a pattern"),
     ({"folder": ".", "pattern": "*.fits"}, "gave no rows")],
)  # fmt: skip
def test_local_mistakes(local, word):
    with pytest.raises(UserError, match=word):
        query(arguments("local", {"local": local}))


@pytest.mark.skipif(not REAL.is_dir(), reason="the real images of disk_winds are not here")
def test_the_real_images_are_all_selected_with_the_case_s_own_search():
    import yaml

    case = yaml.safe_load((ROOT / "config/cases/disk_winds.yaml").read_text())["archive"]
    case["search"]["released_after"] = str(case["search"]["released_after"])
    query(arguments("local", {**case, "local": {"folder": str(REAL)}}))
    assert set(read_table("out/snapshot.ecsv")["target_name"]) == {"B335", "HD100546", "Serpens_South_C7"}


def test_by_the_shell(folder):
    command = [sys.executable, str(ROOT / "scripts/query_archive.py"), *arguments("local", {"local": {"folder": "no"}})]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 1
    assert done.stderr == "error: no: no such folder; `archive.local.folder` should hold your FITS files.\n"
    done = subprocess.run([*command[:2], "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "--chunk-files" in done.stdout

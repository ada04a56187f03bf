"""query_archive and download_fits against a real TAP and DataLink server, GAVO DaCHS, on loopback.

The server is started by tests/services/tap/start.sh, which installs Debian packages; `make test-services` runs this.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from skyloom.files import read_table, sha256

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("apt-get"), reason="needs root and Debian's apt-get"),
]

ROOT = Path(__file__).resolve().parents[2]
TAP = Path(__file__).parent / "tap"
ARCHIVE = Path("/var/gavo/inputs/skyloom_alma")
KEYWORDS = ["Low-mass star formation", "Outflows, jets and ionized winds", "Outflows, jets, feedback"]
SEARCH = {
    "science_keywords": KEYWORDS,
    "released_after": "2016-01-01",
    "angular_resolution": "0.4 arcsec",
    "filename_parts": [".pbcor", "_sci", ".cont"],
    "largest_size": "30 MB",
}


@pytest.fixture(scope="module")
def mirror():
    started = subprocess.run(
        [TAP / "start.sh"], capture_output=True, text=True, env=os.environ | {"PYTHON": sys.executable}, timeout=600
    )
    try:
        assert started.returncode == 0, started.stderr
        yield started.stdout.split()[-1]
    finally:
        subprocess.run([TAP / "stop.sh"], check=True, timeout=60)


@pytest.fixture(scope="module")
def rows(mirror):
    with open(ARCHIVE / "obscore.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / script, "--case", "disk_winds", "--service", "alma", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
    )


def settings(mirror, backend, search=SEARCH, mirrors=("http://127.0.0.1:1",)) -> str:
    alma = {"mirrors": [*mirrors, mirror], "backend": backend}
    download = {"backoff": "50 ms", "retries": 1, "timeout": "30 s"}
    return json.dumps({"service": "alma", "alma": alma, "search": search, "download": download})


def query(folder, config):
    return run(
        *("query_archive.py", "--settings", config, "--chunks", 1, "--history", folder / "history"),
        *("--snapshot", folder / "snapshot.ecsv", "--counts", folder / "counts.csv"),
        *("--changes", folder / "changes.ecsv", "--chunk-files", folder / "chunk.ecsv"),
    )


def expected(rows, search=SEARCH) -> tuple[set[str], int]:
    """Return the wanted targets and the number of rows of all keywords, found by plain reading of the CSV."""
    science = [row for row in rows if row["scan_intent"] == "TARGET"]
    named = [
        row for row in science for word in search["science_keywords"] if word.lower() in row["science_keyword"].lower()
    ]
    wanted = {
        row["target_name"]
        for row in named
        if row["obs_release_date"] >= "2016" and float(row["s_resolution"]) < 0.4 and row["data_rights"] == "Public"
    }
    return wanted, len(named)


@pytest.mark.parametrize("backend", ["alminer", "pyvo"])
def test_query_and_download(mirror, rows, tmp_path, backend):
    config = settings(mirror, backend)
    done = query(tmp_path, config)
    assert done.returncode == 0, done.stderr
    assert "http://127.0.0.1:1 does not answer (cannot be reached)" in done.stdout
    wanted, all_rows = expected(rows)
    chunk, counts = read_table(tmp_path / "chunk.ecsv"), read_table(tmp_path / "counts.csv")
    assert len(wanted) > 3
    assert set(chunk["target_name"]) == wanted
    assert len(chunk) == len(wanted)
    assert counts["observations"][(counts["step"] == "archive") & (counts["keyword"] == "all")].tolist() == [all_rows]

    fetch = ("download_fits.py", "--settings", config, "--chunk", tmp_path / "chunk.ecsv")
    fetch += ("--store", tmp_path / "files", "--manifest", tmp_path / "manifest.ecsv")
    done = run(*fetch)
    assert done.returncode == 0, done.stderr
    for row in read_table(tmp_path / "manifest.ecsv"):
        assert row["sha256"] == sha256(ARCHIVE / "products" / row["filename"]) == sha256(ROOT / row["path"])
    assert "0 fetched" in run(*fetch).stdout


def test_both_backends_give_the_same_chunk(mirror, tmp_path):
    for backend in ("alminer", "pyvo"):
        (tmp_path / backend).mkdir()
        assert query(tmp_path / backend, settings(mirror, backend)).returncode == 0
    first, second = ((tmp_path / backend / "chunk.ecsv").read_text() for backend in ("alminer", "pyvo"))
    assert first == second


@pytest.mark.parametrize("backend", ["alminer", "pyvo"])
def test_a_target_is_found_by_its_name_in_the_archive(mirror, rows, tmp_path, backend):
    search = {"target": "star 3 1", "radius": "10 arcsec", "filename_parts": [".cont.I.pbcor", "_sci"]}
    done = query(tmp_path, settings(mirror, backend, search))
    assert done.returncode == 0, done.stderr
    assert read_table(tmp_path / "chunk.ecsv")["target_name"].tolist() == ["Star_3_1"]


@pytest.mark.parametrize("backend", ["alminer", "pyvo"])
def test_a_position_is_searched(mirror, rows, tmp_path, backend):
    row = next(row for row in rows if row["target_name"] == "Star_5_0")
    search = {"position": f"{row['s_ra']}d {row['s_dec']}d", "radius": "5 arcsec", "filename_parts": [".cont.I.pbcor"]}
    done = query(tmp_path, settings(mirror, backend, search))
    assert done.returncode == 0, done.stderr
    chunk = read_table(tmp_path / "chunk.ecsv")
    assert set(chunk["target_name"]) == {"Star_5_0"}


@pytest.mark.parametrize("backend", ["alminer", "pyvo"])
def test_a_keyword_that_the_archive_does_not_have(mirror, tmp_path, backend):
    done = query(tmp_path, settings(mirror, backend, {"science_keywords": ["Debris disks' OR 1=1 --"]}))
    assert done.returncode == 1
    assert "science_keywords" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_query_that_the_server_refuses_is_one_sentence(mirror, tmp_path):
    done = query(tmp_path, settings(f"{mirror}/nowhere", "pyvo", mirrors=()))
    assert done.returncode == 1
    assert done.stderr.startswith("error: no ALMA mirror answered")
    assert done.stderr.count("\n") == 1

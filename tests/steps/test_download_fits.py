"""download_fits and acknowledge by their command lines."""

import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from http_server import BadServer, redirect, status, truncate

from skyloom.errors import UserError
from skyloom.files import read_table, write_table

ROOT = Path(__file__).resolve().parents[2]


def load(step: str):
    spec = importlib.util.spec_from_file_location(f"step_{step}", ROOT / "scripts" / f"{step}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


download, acknowledge, crop = load("download_fits"), load("acknowledge"), load("crop")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "config").symlink_to(ROOT / "config")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def server():
    with BadServer() as made:
        yield made


def image(value: float) -> bytes:
    stream = io.BytesIO()
    fits.PrimaryHDU(np.full((20, 20), value, dtype=np.float32)).writeto(stream)
    return stream.getvalue()


def write_chunk(server, number=3) -> None:
    rows = []
    for n in range(number):
        name = f"member.uid___A001_X{n}_X1.T_sci.cont.I.pbcor.fits"
        server.files[f"/dataPortal/{name}"] = image(n)
        rows.append(
            {
                "product_id": f"uid___A001_X{n}_X1/{name}",
                "obs_id": f"uid://A001/X{n}/X1",
                "member_ous_uid": f"uid://A001/X{n}/X1",
                "proposal_id": f"2019.1.0000{n}.S",
                "target_name": "T",
                "s_ra": 1.0,
                "s_dec": 1.0,
                "science_keyword": "",
                "obs_release_date": "2020-01-01",
                "spatial_resolution": 0.1,
                "frequency": 230.0,
                "data_rights": "Public",
                "filename": name,
                "access_url": server.url(f"/dataPortal/{name}"),
                "content_length": len(image(n)),
                "version": "1",
                "simulated": False,
            }
        )
    write_table("chunk.ecsv", Table(rows))


def arguments(*mirrors, **download) -> list[str]:
    download = {"retries": 1, "backoff": "1 ms", "timeout": "1 s"} | download
    settings = {"alma": {"mirrors": list(mirrors)}, "download": download}
    return [
        *("--case", "disk_winds", "--service", "alma", "--settings", json.dumps(settings)),
        *("--chunk", "chunk.ecsv", "--store", "results/files", "--manifest", "manifest.ecsv"),
    ]


def test_a_chunk_is_fetched_and_listed(server, capsys):
    write_chunk(server)
    server.plan("/dataPortal/member.uid___A001_X0_X1.T_sci.cont.I.pbcor.fits", truncate(3000))
    server.plan("/dataPortal/member.uid___A001_X1_X1.T_sci.cont.I.pbcor.fits", redirect("/elsewhere"))
    server.files["/elsewhere"] = image(1)
    download(arguments(server.url()))
    manifest = read_table("manifest.ecsv")
    assert [Path(path).read_bytes() for path in manifest["path"]] == [image(0), image(1), image(2)]
    assert manifest["status"].tolist() == ["fetched"] * 3 and manifest["reason"].tolist() == [""] * 3
    assert all(path.startswith("results/files/uid___A001_X") for path in manifest["path"])
    assert "3 fetched, 0 there already" in capsys.readouterr().out
    before = Path("manifest.ecsv").read_bytes()
    download(arguments(server.url()))
    assert Path("manifest.ecsv").read_bytes() == before
    assert "0 fetched, 3 there already" in capsys.readouterr().out


def test_the_next_mirror_serves_what_the_first_does_not(server):
    write_chunk(server)
    with BadServer() as other:
        other.files.update(server.files)
        for path in server.files:
            server.plan(path, status(404))
        download(arguments(server.url(), other.url()))
        assert len(other.requests) == 3


def test_a_failure_is_one_sentence_and_leaves_no_manifest(server, folder):
    write_chunk(server)
    server.files.popitem()
    command = [sys.executable, str(ROOT / "scripts/download_fits.py"), *arguments(server.url())]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 1
    assert done.stderr.startswith("error: 1 of 3 files could not be fetched: uid___A001_X2_X1/")
    assert done.stderr.endswith("answers 404 Not Found); the other 2 are kept, run again to go on.\n")
    assert not Path("manifest.ecsv").exists()
    assert len(list(Path("results/files").glob("*/member*.fits"))) == 2


def test_a_file_that_is_left_out_is_listed_dropped_and_not_acknowledged(server, capsys):
    write_chunk(server, 2)
    server.files.popitem()
    download(arguments(server.url(), on_failure="leave_out"))
    assert "1 left out" in capsys.readouterr().out
    crop(
        [
            *("--case", "disk_winds", "--settings", "{}", "--manifest", "manifest.ecsv"),
            *("--cutouts", "c.h5", "--objects", "o.ecsv", "--fields", "f.ecsv"),
        ]
    )
    fields = read_table("f.ecsv")
    assert fields["status"].tolist() == ["dropped"] * 2
    reason = str(fields["reason"][1])
    assert reason.startswith("Not downloaded: 127.0.0.1:") and reason.endswith("answers 404 Not Found.")
    acknowledge(["--manifests", "manifest.ecsv", "--output", "acknowledgement.txt"])
    assert "1 files, 1 ALMA projects" in capsys.readouterr().out
    text = Path("acknowledgement.txt").read_text()
    assert "2019.1.00000.S" in text and "2019.1.00001.S" not in text


@pytest.mark.parametrize(
    ("text", "word"),
    [(None, "no such file"), ("not a table \0", "cannot be read"), ("a,b\n", "cannot be read")],
)
def test_a_bad_chunk_is_told(text, word):
    if text is not None:
        Path("chunk.ecsv").write_text(text)
    with pytest.raises(UserError, match=word):
        download(arguments("http://127.0.0.1:1"))


def test_a_chunk_without_a_column_is_told(server):
    write_chunk(server)
    table = read_table("chunk.ecsv")
    table.remove_column("version")
    write_table("chunk.ecsv", table)
    with pytest.raises(UserError, match="column `version` is missing"):
        download(arguments("http://127.0.0.1:1"))


def test_an_empty_chunk_gives_an_empty_manifest(server):
    write_chunk(server)
    write_table("chunk.ecsv", read_table("chunk.ecsv")[:0])
    download(arguments(server.url()))
    assert len(read_table("manifest.ecsv")) == 0
    assert server.requests == []


def test_only_manifests_are_acknowledged(server):
    write_chunk(server)
    with pytest.raises(UserError, match="chunk.ecsv: the column `path` is missing"):
        acknowledge(["--manifests", "chunk.ecsv", "--output", "acknowledgement.txt"])


def test_acknowledgement_of_the_manifests(server):
    write_chunk(server)
    download(arguments(server.url()))
    acknowledge(["--manifests", "manifest.ecsv", "manifest.ecsv", "--output", "acknowledgement.txt"])
    text = " ".join(Path("acknowledgement.txt").read_text().split())
    for number in range(3):
        assert text.count(f"ADS/JAO.ALMA#2019.1.0000{number}.S") == 1


@pytest.mark.parametrize("step", ["download_fits", "acknowledge"])
def test_help(step):
    done = subprocess.run([sys.executable, str(ROOT / f"scripts/{step}.py"), "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "ECSV" in done.stdout

"""infer.py on files as they come."""

import io
import json
import os
import signal
import threading
import time

import numpy as np
import pytest
from astropy.io import fits
from live_fixtures import chain, counts_file, photon_list

from skyloom.errors import UserError
from skyloom.learn import backend

backend.start(1)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return chain(tmp_path_factory.mktemp("chain"))


@pytest.fixture(scope="module")
def some_list(tmp_path_factory):
    return photon_list(tmp_path_factory.mktemp("list") / "a.fits")


def infer(capsys, made, incoming, *more, runtime="keras"):
    """Return the rows that are written, and the last line that is said."""
    import infer

    infer.main([*made.options(runtime), "--incoming", str(incoming), *more])
    given = capsys.readouterr()
    return [json.loads(line) for line in given.out.splitlines()], given.err.splitlines()[-1]


def named(monkeypatch, *paths):
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{path}\n" for path in paths)))
    return "-"


@pytest.mark.parametrize("runtime", ["keras", "litert"])
def test_files_on_standard_input_are_searched(tmp_path, capsys, monkeypatch, made, some_list, runtime):
    image = counts_file(tmp_path / "counts.fits", some_list)
    rows, said = infer(capsys, made, named(monkeypatch, some_list, image), runtime=runtime)
    assert [row["status"] for row in rows] == ["searched", "searched"]
    assert set(rows[0]["seconds"]) == {"read", "count", "clean", "peaks", "positions", "calibrate", "all"}
    assert rows[0]["candidates"] and said.startswith("2 files searched, 0 dropped")
    for one, other in zip(rows[0]["candidates"], rows[1]["candidates"], strict=True):
        assert one["ra"] == pytest.approx(other["ra"], abs=1e-7)
    best = max(rows[0]["candidates"], key=lambda row: row["snr"])
    wcs = counts_wcs(image)
    x, y = wcs.wcs_world2pix(best["ra"], best["dec"], 0)
    assert np.hypot(x - 40, y - 60) < 8


def counts_wcs(path):
    from astropy.wcs import WCS

    return WCS(fits.getheader(path))


def test_both_runtimes_and_the_step_of_the_workflow_find_the_same(capsys, monkeypatch, made, some_list):
    from skyloom.cases import cherenkov

    found = [
        infer(capsys, made, named(monkeypatch, some_list), runtime=name)[0][0]["candidates"]
        for name in ("keras", "litert")
    ]
    settings = cherenkov.Search(side=96, lowest_score=1e-3)
    _, rows = cherenkov.search_file(some_list, made.networks, made.calibration, settings)
    rows.sort(key=lambda row: -row["probability"])
    for name in ("ra", "dec", "radius95", "photons", "probability"):
        wanted = np.array([row[name] for row in rows])
        for one in found:
            assert np.array([row[name] for row in one]) == pytest.approx(wanted, rel=1e-4)


def test_a_folder_is_searched_in_order_of_arrival_until_it_is_idle(tmp_path, capsys, made, some_list):
    for number, name in enumerate(("b", "a")):
        path = tmp_path / f"{name}.fits"
        path.write_bytes(some_list.read_bytes())
        os.utime(path, (1000 + number, 1000 + number))
    (tmp_path / "c.fits").write_text("no photons")
    (tmp_path / ".hidden.fits").write_text("no photons")
    os.utime(tmp_path / "c.fits", (2000, 2000))

    def later():
        # By now a and b are done; this file is written aside and renamed.
        time.sleep(0.4)
        part = tmp_path / ".d.part"
        part.write_bytes(some_list.read_bytes())
        part.rename(tmp_path / "d.fits")

    writer = threading.Thread(target=later)
    writer.start()
    rows, said = infer(capsys, made, tmp_path, "--until-idle", "1.5")
    writer.join()
    names = [row["file"].rpartition("/")[2] for row in rows]
    assert names == ["b.fits", "a.fits", "c.fits", "d.fits"]
    assert [row["status"] for row in rows] == ["searched", "searched", "dropped", "searched"]
    assert rows[2]["reason"].endswith(".") and "candidates" not in rows[2]
    assert "3 files searched, 1 dropped" in said and " ms at 99 %" in said and "files/s" in said


def test_a_file_that_is_being_written_is_waited_for(tmp_path, some_list):
    from skyloom.incoming import arrivals

    content, whole = some_list.read_bytes(), []

    def slowly():
        with open(tmp_path / "slow.fits", "wb") as stream:
            for start in range(0, len(content), len(content) // 8):
                stream.write(content[start : start + len(content) // 8])
                stream.flush()
                time.sleep(0.05)

    writer = threading.Thread(target=slowly)
    writer.start()
    for path in arrivals(tmp_path, settle=0.3, until_idle=0.8):
        whole.append(path.read_bytes() == content)
    writer.join()
    assert whole == [True]


def test_a_file_that_is_written_to_again_comes_again(tmp_path):
    from skyloom.incoming import arrivals

    path = tmp_path / "a.fits"
    path.write_text("half")
    files = arrivals(tmp_path, settle=0.05, until_idle=0.3)
    assert next(files) == path
    path.write_text("half and half")
    assert list(files) == [path]


def test_an_interruption_ends_it_cleanly(tmp_path, capsys, made, some_list):
    (tmp_path / "a.fits").write_bytes(some_list.read_bytes())
    output = tmp_path / ".rows.jsonl"

    def interrupt():
        while not (output.exists() and output.read_text().endswith("\n")):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    rows, said = infer(capsys, made, tmp_path, "--output", str(output))
    thread.join()
    assert rows == [] and said.startswith("1 files searched")
    assert len(output.read_text().splitlines()) == 1
    assert signal.getsignal(signal.SIGINT) == before


def test_what_cannot_be_searched_gives_a_reason(tmp_path, capsys, monkeypatch, made, some_list):
    coarse = counts_file(tmp_path / "coarse.fits", some_list, 0.05)
    fits.PrimaryHDU(np.full((96, 96), 0.5), fits.getheader(coarse)).writeto(tmp_path / "flux.fits")
    half = tmp_path / "half.fits"
    half.write_bytes(some_list.read_bytes()[:20000])
    paths = [tmp_path / "none.fits", coarse, tmp_path / "flux.fits", half, some_list]
    rows, _ = infer(capsys, made, named(monkeypatch, *paths))
    for row, word in zip(
        rows, ("No such file", "0.025 deg is wanted", "no counts", "broken or truncated"), strict=False
    ):
        assert row["status"] == "dropped" and word in row["reason"]
    assert rows[-1]["status"] == "searched"


def test_mistakes_are_told_in_a_sentence(tmp_path, capsys, made):
    import infer

    with pytest.raises(UserError, match="nowhere: is no folder"):
        infer.main([*made.options(), "--incoming", str(tmp_path / "nowhere")])
    words = made.options("litert")
    (tmp_path / "map.tflite").write_bytes(b"no network")
    with pytest.raises(UserError, match=r"map\.tflite: cannot be read as a LiteRT network"):
        infer.main([*words[:-2], f"map={tmp_path / 'map.tflite'}", words[-1], "--incoming", str(tmp_path)])
    (tmp_path / "other.json").write_text(
        json.dumps(made.calibration | {"models_sha256": {"map": "0", "position": "1"}})
    )
    words[words.index("--calibration") + 1] = str(tmp_path / "other.json")
    with pytest.raises(UserError, match=r"map\.tflite: is not the network that .*other\.json was made with"):
        infer.main([*words, "--incoming", str(tmp_path)])
    with pytest.raises(SystemExit):
        infer.main([*made.options()])
    assert "--cutouts --incoming" in capsys.readouterr().err

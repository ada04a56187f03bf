"""What everything stands on: random numbers by key, files that are whole or absent, errors in one sentence."""

import errno
import json
import os
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Column, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skyloom import cli, files, seeds
from skyloom.errors import UserError

# A machine under load is slow, which is no fault of ours.
QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
KEYS = st.lists(st.one_of(st.integers(0, 10**6), st.text(max_size=12)), min_size=1, max_size=4)


# Seeds


@settings(QUIET)
@given(seed=st.integers(0, 2**32 - 1), keys=st.lists(KEYS, min_size=2, max_size=5, unique_by=repr))
def test_numbers_depend_on_the_key_and_not_on_the_order(seed, keys):
    forwards = {repr(key): seeds.generator(seed, *key).random(4).tolist() for key in keys}
    backwards = {repr(key): seeds.generator(seed, *key).random(4).tolist() for key in reversed(keys)}
    assert forwards == backwards
    assert len({tuple(numbers) for numbers in forwards.values()}) == len(keys)


def test_number_and_text_of_the_same_look_are_different_keys():
    assert seeds.generator(1, 17).random() != seeds.generator(1, "17").random()


def test_keys_are_not_joined():
    assert seeds.generator(1, "ab", "c").random() != seeds.generator(1, "a", "bc").random()


def test_neighbouring_keys_and_seeds_are_independent():
    """The correlation of the streams of 64 fields, and of 64 seeds, is that of noise: below 5 / sqrt(n)."""
    n = 4000
    for streams in (
        [seeds.generator(42, "disk_winds", "simulate_archive", field).standard_normal(n) for field in range(64)],
        [seeds.generator(seed, "disk_winds").standard_normal(n) for seed in range(64)],
    ):
        correlation = np.corrcoef(streams)
        assert np.abs(correlation - np.eye(64)).max() < 5 / np.sqrt(n)


def test_numbers_are_those_of_every_machine_and_process():
    code = "from skyloom.seeds import *; print(generator(42, 'disk_winds', 3).integers(10**9), stable_hash('x'))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "7"}
    other = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert other.stdout.split() == [
        str(seeds.generator(42, "disk_winds", 3).integers(10**9)),
        str(0x44B026B74216712D),  # the first eight bytes of `printf x | sha256sum`, lowest first
    ]


@settings(QUIET)
@given(texts=st.sets(st.text(min_size=1, max_size=20), min_size=50, max_size=60), parts=st.integers(1, 8))
def test_every_part_of_a_stable_division_is_in_range(texts, parts):
    numbers = [seeds.stable_hash(text) % parts for text in texts]
    assert set(numbers) <= set(range(parts))
    assert len({seeds.stable_hash(text) for text in texts}) == len(texts)


# Files


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


def test_file_appears_only_when_whole(tmp_path):
    path = tmp_path / "deep/er/result.txt"
    with files.written_whole(path) as part:
        part.write_text("half")
        assert not path.exists()
        assert part.suffix == path.suffix
        assert part.parent == path.parent
    assert path.read_text() == "half"
    assert entries(path.parent) == ["result.txt"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit, OSError(errno.EIO, "broken")])
def test_failure_keeps_the_earlier_file_and_leaves_nothing(tmp_path, failure):
    path = tmp_path / "result.txt"
    path.write_text("earlier")
    with pytest.raises(failure if isinstance(failure, type) else OSError), files.written_whole(path) as part:
        part.write_text("later")
        raise failure
    assert path.read_text() == "earlier"
    assert entries(tmp_path) == ["result.txt"]


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("write", [files.write_json, files.write_table], ids=["json", "table"])
@pytest.mark.parametrize("where", ["write", "rename"])
def test_full_disk_is_one_sentence_and_keeps_the_earlier_file(tmp_path, monkeypatch, write, where):
    path = tmp_path / "result.ecsv"
    path.write_text("earlier")
    value = Table({"a": [1]}) if write is files.write_table else {"a": 1}
    if where == "rename":
        monkeypatch.setattr(os, "replace", full)
    elif write is files.write_table:
        monkeypatch.setattr(Table, "write", full)
    else:
        monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(UserError) as error:
        write(path, value)
    monkeypatch.undo()
    assert str(error.value) == f"{path}: the disk is full; free some space and run again."
    assert path.read_text() == "earlier"
    assert entries(tmp_path) == ["result.ecsv"]


def test_full_disk_without_an_error_number(tmp_path, monkeypatch):
    """numpy says only how much it wrote, so the free space decides; with space left, it is some other trouble."""
    usage = namedtuple("usage", "total used free")
    for free, expected in ((1000, UserError), (10**9, OSError)):
        monkeypatch.setattr(files.shutil, "disk_usage", lambda path, free=free: usage(10**9, 0, free))
        with pytest.raises(expected), files.written_whole(tmp_path / "x.npy") as part:
            part.write_bytes(b"12")
            raise OSError("200000 requested and 2 written")
        assert entries(tmp_path) == []


def test_folder_that_cannot_be_made_or_written(tmp_path, monkeypatch):
    def refused(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "locked"))

    monkeypatch.setattr("pathlib.Path.mkdir", refused)
    with pytest.raises(UserError, match="the folder cannot be written; check its permissions"):
        files.write_json(tmp_path / "locked/result.json", {})


def test_bug_is_not_taken_for_a_full_disk(tmp_path):
    with pytest.raises(FileNotFoundError), files.written_whole(tmp_path / "x.txt"):
        (tmp_path / "absent").read_text()


def test_two_writers_of_one_file_do_not_meet(tmp_path, monkeypatch):
    path = tmp_path / "result.txt"
    with files.written_whole(path) as first:
        first.write_text("first")
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with files.written_whole(path) as second:
            second.write_text("second")
        assert first.read_text() == "first"
    assert path.read_text() == "first"
    assert entries(tmp_path) == ["result.txt"]


def test_json_of_equal_values_is_equal(tmp_path):
    files.write_json(tmp_path / "a.json", {"b": 1, "a": [1.5, None]})
    files.write_json(tmp_path / "b.json", {"a": [1.5, None], "b": 1})
    assert files.sha256(tmp_path / "a.json") == files.sha256(tmp_path / "b.json")
    assert files.read_json(tmp_path / "a.json") == {"a": [1.5, None], "b": 1}


def test_json_refuses_what_json_cannot_say(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(tmp_path / "a.json", {"a": float("nan")})
    assert entries(tmp_path) == []


@pytest.mark.parametrize("suffix", [".ecsv", ".csv"])
def test_table_comes_back(tmp_path, suffix):
    table = Table({"id": ["a", "", "ü,;\"'"], "flux": [1.25, 2.0, 3.0], "wind": [True, False, True]})
    table["flux"].unit = "Jy" if suffix == ".ecsv" else None
    files.write_table(tmp_path / f"t{suffix}", table)
    back = files.read_table(tmp_path / f"t{suffix}")
    assert back["flux"].unit == table["flux"].unit
    assert back["id"].tolist() == table["id"].tolist()
    assert back["flux"].tolist() == table["flux"].tolist()


def test_table_of_equal_content_is_equal_byte_for_byte(tmp_path):
    for name in "ab":
        files.write_table(tmp_path / f"{name}.ecsv", Table([Column([1.0], "x", unit="deg")], meta={"n": 1}))
    assert files.sha256(tmp_path / "a.ecsv") == files.sha256(tmp_path / "b.ecsv")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("t.ecsv", None, "t.ecsv: no such file; it should be a label table."),
        ("t.ecsv", b"\x00\xff\x00", "t.ecsv: cannot be read as a label table ("),
        ("t.ecsv", b"# %ECSV 1.0\n# ---\n# datatype: [\n", "t.ecsv: cannot be read as a label table ("),
    ],
)
def test_bad_table_is_one_sentence(tmp_path, name, content, expected):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        files.read_table(tmp_path / name, "a label table")
    assert expected in str(error.value)


def test_bad_json_is_one_sentence(tmp_path):
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(UserError, match="c.json: not valid JSON"):
        files.read_json(tmp_path / "c.json")


def test_sha256_is_that_of_the_content(tmp_path):
    fits.PrimaryHDU(np.arange(6.0)).writeto(tmp_path / "a.fits")
    (tmp_path / "b").write_bytes((tmp_path / "a.fits").read_bytes())
    assert files.sha256(tmp_path / "a.fits") == files.sha256(tmp_path / "b")
    assert len(files.sha256(tmp_path / "a.fits")) == 64


# Command lines


def outcome(error):
    """Return what ends the process when a step's `main` raises `error`."""

    def main():
        raise error

    with pytest.raises(SystemExit) as end:
        cli.run(main)
    return end.value.code


def test_user_error_is_one_line_and_status_1():
    assert outcome(UserError("a.yaml: wrong; mend it.")) == "error: a.yaml: wrong; mend it."


def test_full_disk_anywhere_is_one_line():
    text = outcome(OSError(errno.ENOSPC, "No space left on device", "log.txt"))
    assert text == "error: log.txt: the disk is full; free some space and run again."


def test_interrupt_is_one_line():
    assert outcome(KeyboardInterrupt()) == "interrupted; run again to go on"


@pytest.mark.parametrize("bug", [ZeroDivisionError("x"), OSError(errno.EIO, "broken")])
def test_bug_keeps_its_traceback(bug):
    def main():
        raise bug

    with pytest.raises(type(bug)):
        cli.run(main)


def test_parser_adds_only_what_a_step_needs():
    plain = cli.step_parser("What it does.").parse_args([])
    assert not hasattr(plain, "case") and not hasattr(plain, "seed")
    args = cli.step_parser("What it does.", section="crop", seed=True).parse_args(["--case", "disk_winds"])
    assert (args.case, args.section, args.settings, args.seed) == ("disk_winds", "crop", None, 42)


def test_options_cannot_be_abbreviated(capsys):
    with pytest.raises(SystemExit):
        cli.step_parser("What it does.", seed=True).parse_args(["--se", "1"])
    assert "unrecognized arguments" in capsys.readouterr().err


def test_settings_are_validated_with_the_schema_of_the_case(monkeypatch):
    parser = cli.step_parser("What it does.", section="crop")
    args = parser.parse_args(["--case", "disk_winds", "--settings", json.dumps({"size": 32})])
    assert cli.step_settings(args).size == 32


def test_progress_in_a_log_is_plain_lines_and_gives_every_item(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert list(cli.progress(range(5), 5, "fields", every=0)) == list(range(5))
    assert capsys.readouterr().out.splitlines() == [f"fields: {n} of 5" for n in range(1, 6)]
    assert list(cli.progress(range(5), 5, "fields", every=1e9)) == list(range(5))
    assert capsys.readouterr().out.splitlines() == ["fields: 5 of 5"]

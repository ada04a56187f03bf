"""Mistakes in the configuration, made where users make them: at a step's and at Snakemake's command line."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def crop(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run the step `crop`; its settings are read before its input, which does not exist."""
    outputs = [f"--cutouts={folder}/c.h5", f"--objects={folder}/o.ecsv", f"--fields={folder}/f.ecsv"]
    command = [sys.executable, "scripts/crop.py", "--manifest", str(folder / "absent.ecsv"), *outputs, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("case", "settings", "expected"),
    [
        ("disk_wind", "{}", "--case: there is no case `disk_wind`; did you mean `disk_winds`?"),
        ("disk_winds", '{"sise": 64}', "--settings: `sise` is not a known key; did you mean `size`?"),
        (
            "disk_winds",
            '{"size": "large"}',
            "--settings: `size` is 'large', but should be a whole number, 16 to 1024, a multiple of 4.",
        ),
        ("disk_winds", '{"size": 64', "--settings: not valid JSON"),
        ("disk_winds", "absent.yaml", "absent.yaml: the config file cannot be read (No such file or directory)"),
    ],
)
def test_step_says_one_sentence_and_writes_nothing(tmp_path, case, settings, expected):
    done = crop(tmp_path, "--case", case, "--settings", settings)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {expected}")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_step_without_its_case_shows_its_usage(tmp_path):
    done = crop(tmp_path)
    assert done.returncode == 2
    assert "the following arguments are required: --case" in done.stderr


def plan(*arguments: str) -> str:
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def test_workflow_names_the_key_given_on_its_command_line():
    said = plan("--config", "archive={servce: local}")
    assert "--config: `archive.servce` is not a known key; did you mean `archive.service`?" in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version: 2\n", "this config is of `version` 2, this Skyloom knows 1; update Skyloom."),
        ("run:\n  seed: 1\n  seed: 2\n", "in line 3, the key `seed` is given twice; delete one."),
        (
            "cases:\n  disk_winds:\n    crop:\n      detect_snr: high\n",
            "`cases.disk_winds.crop.detect_snr` is 'high', but should be a number, above 1.",
        ),
    ],
    ids=["newer version", "key twice", "wrong type"],
)
def test_workflow_names_the_file_and_the_key(tmp_path, text, expected):
    user = tmp_path / "mine.yaml"
    user.write_text(text)
    assert f"{user}: {expected}" in plan("--configfile", str(user))

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from learn_fixtures import toy_dataset

from skyloom.errors import UserError

ROOT = Path(__file__).parents[2]
SETTINGS = {"network": "windnet", "epochs": 6, "batch_size": 8}


def arguments(folder: Path, given: Path, **changes) -> list[str]:
    values = {
        "case": "disk_winds",
        "settings": json.dumps(SETTINGS),
        "seed": 7,
        "model": "windnet",
        "member": 0,
        "dataset": given,
        "checkpoint": folder / "windnet_0.checkpoint",
        "output": folder / "windnet_0.keras",
        "history": folder / "windnet_0.history.csv",
        **changes,
    }
    return [str(part) for key, value in values.items() for part in (f"--{key}", value)]


def train(folder: Path, given: Path, **changes) -> None:
    import train

    train.main(arguments(folder, given, **changes))


def started(folder, dataset):
    return subprocess.Popen(
        [sys.executable, ROOT / "scripts/train.py", *arguments(folder, dataset)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_epoch(folder: Path, epoch: int, process) -> None:
    state = folder / "windnet_0.checkpoint/state.json"
    while process.poll() is None:
        if state.exists() and json.loads(state.read_text())["progress"]["epoch"] >= epoch:
            return
        time.sleep(0.005)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return toy_dataset(tmp_path_factory.mktemp("data") / "toy.h5", counts=(240, 24, 24))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, dataset):
    folder = tmp_path_factory.mktemp("whole")
    train(folder, dataset)
    return folder


def test_history_and_network_are_written_and_the_checkpoint_is_gone(uninterrupted):
    rows = list(csv.DictReader((uninterrupted / "windnet_0.history.csv").open()))
    assert list(rows[0]) == ["epoch", "loss", "val_loss", "accuracy", "learning_rate"]
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, len(rows) + 1)]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert sorted(path.name for path in uninterrupted.iterdir()) == ["windnet_0.history.csv", "windnet_0.keras"]


def test_killed_and_run_again_ends_with_the_same_bytes(tmp_path, dataset, uninterrupted):
    process = started(tmp_path, dataset)
    wait_for_epoch(tmp_path, random.randint(1, 4), process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it was over before it could be killed"
    assert not (tmp_path / "windnet_0.keras").exists()
    train(tmp_path, dataset)
    for name in ("windnet_0.keras", "windnet_0.history.csv"):
        assert (tmp_path / name).read_bytes() == (uninterrupted / name).read_bytes()


def test_asked_to_stop_it_says_so_and_keeps_what_it_has(tmp_path, dataset):
    process = started(tmp_path, dataset)
    wait_for_epoch(tmp_path, 1, process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert errors.strip() == "error: stopped on request; the finished epochs are saved, run again to go on."
    assert (tmp_path / "windnet_0.checkpoint/state.json").exists()


def test_help_is_quick():
    start = time.monotonic()
    done = subprocess.run([sys.executable, ROOT / "scripts/train.py", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "--checkpoint" in done.stdout
    assert time.monotonic() - start < 15


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"settings": '{"network": "windnett"}'}, "did you mean `windnet`"),
        ({"settings": '{"network": "windnet", "epoch": 3}'}, "did you mean `epochs`"),
        ({"settings": '{"network": "windnet", "optimizer": "adamm"}'}, "adam"),
        ({"dataset": "nowhere.h5"}, "nowhere.h5: no such file"),
        ({"dataset": ROOT / "pyproject.toml"}, "cannot be read as a training set"),
    ],
)
def test_mistakes_are_said_in_one_sentence(tmp_path, dataset, changes, said):
    with pytest.raises(UserError, match=said):
        train(tmp_path, dataset, **changes)


def test_a_missing_backend_is_said(tmp_path, dataset):
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/train.py", *arguments(tmp_path, dataset)],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "theano"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: KERAS_BACKEND is 'theano'")

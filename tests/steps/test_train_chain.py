"""Training of a chain's networks: first on the truth, then on what the networks before make of cubes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from cube_fixtures import CASE, ROOT, SEED, step

from skyloom.errors import UserError
from skyloom.learn.datasets import Samples, joined, write_dataset

# The published network for spectra is the quickest to make, and has dropout, whose state must not be lost either.
LINES = {
    **{"network": "deep_gru", "dataset": "spectra", "loss": "cross_entropy", "batch_size": 16},
    **{"epochs": 5, "fine_tune": 2, "learning_rate": 0.02},
}
SOURCE = {"network": "source_net", "dataset": "sources", "epochs": 2, "fine_tune": 0, "learning_rate": 0.01}
TARGETS = "fwhm_major,fwhm_minor,pa_cos,pa_sin,flux"


def named(x, y, origin, split):
    ids = np.array([f"{split}.{origin}_{number:03d}" for number in range(len(x))])
    return Samples(x.astype(np.float32), y.astype(np.float32), ids, ids, np.full(len(x), origin))


def spectra(count, seed, origin, split="train"):
    """Gaussian lines in noise; those that come from cubes are told twice as low, for the fine-tuning to learn."""
    random = np.random.default_rng(seed)
    z, centre, width = np.arange(32.0), random.uniform(8, 24, (count, 1)), random.uniform(1, 2, (count, 1))
    line = np.exp(-0.5 * ((z - centre) / width) ** 2)
    x = line + 0.05 * random.standard_normal(line.shape)
    told = line / 2 if origin == "predicted" else line
    return named(np.stack([x, np.arcsinh(20 * x) / 4], axis=-1), told[..., None], origin, split)


def sources(count, seed, origin, split="train"):
    """Round blobs whose quantities are plain numbers, so that one can tell which of them was learnt."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :48] - 24.0
    size = random.uniform(-0.5, 0.5, count)
    blobs = np.exp(-(x**2 + y**2) / (2 * (4 * np.exp(size))[:, None, None] ** 2))
    values = np.tile([0.0, 3.0, 0.8, -0.6, -3.0], (count, 1))
    values[:, 0] = size
    return named(np.stack([blobs, np.ones_like(blobs)], axis=-1), values, origin, split)


def write(path, make, predicted=True, targets=""):
    """Write a dataset of true examples and, where wanted, predicted ones."""
    splits = {}
    for seed, (split, count) in enumerate({"train": 96, "validation": 32}.items()):
        origins = ("truth", "predicted") if predicted else ("truth",)
        splits[split] = joined([make(count, seed + 9 * place, name, split) for place, name in enumerate(origins)])
    write_dataset(path, splits, {"case": CASE, "seed": SEED, "targets": targets})
    return path


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "spectra.h5", spectra)


def arguments(folder, dataset, settings, name="lines"):
    return {
        "case": CASE,
        "settings": settings,
        "seed": SEED,
        "model": name,
        "member": 0,
        "dataset": dataset,
        "checkpoint": folder / f"{name}_0.checkpoint",
        "output": folder / f"{name}_0.keras",
        "history": folder / f"{name}_0.history.csv",
    }


def train(folder, dataset, name="lines", **changes):
    """Train by the step's command line and return the rows of the history."""
    given = arguments(folder, dataset, (LINES if name == "lines" else SOURCE) | changes, name)
    step("train", **given)
    return list(csv.DictReader(given["history"].open()))


def loaded(folder, name="lines"):
    from skyloom.learn.store import load_model

    return load_model(folder / f"{name}_0.keras")


def height(model):
    """Return how high a network makes lines of height one that it has not seen."""
    from skyloom.learn.predict import outputs

    samples = spectra(200, 99, "truth")
    return float(np.sum(outputs(model, samples.x) * samples.y) / np.sum(samples.y**2))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, dataset):
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(folder, dataset)


@pytest.fixture(scope="module")
def truth_alone(tmp_path_factory, dataset):
    folder = tmp_path_factory.mktemp("truth")
    train(folder, dataset, fine_tune=0)
    return folder


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_both_phases_are_in_the_history_and_no_checkpoint_is_left(uninterrupted):
    folder, rows = uninterrupted
    assert list(rows[0]) == ["epoch", "loss", "val_loss", "error", "learning_rate"]
    assert [int(row["epoch"]) for row in rows] == list(range(1, 8))
    rates = [float(row["learning_rate"]) for row in rows]
    assert max(rates[5:]) <= max(rates[:5]) / 9
    assert sorted(files_of(folder)) == ["lines_0.history.csv", "lines_0.keras"]


def test_fine_tuning_goes_on_from_what_was_learnt(uninterrupted, truth_alone):
    loss = [float(row["loss"]) for row in uninterrupted[1]]
    assert loss[5] < loss[0] / 2
    assert height(loaded(truth_alone)) == pytest.approx(1, abs=0.15)
    assert 0.4 < height(loaded(uninterrupted[0])) < 0.8


def test_without_predicted_examples_it_is_as_without_fine_tuning(tmp_path, truth_alone, capsys):
    """And what the networks predicted is not learnt from where no fine-tuning is wanted."""
    rows = train(tmp_path, write(tmp_path / "truth.h5", spectra, predicted=False))
    assert len(rows) == 5
    assert "found no source in the cubes; there is nothing to fine-tune on" in capsys.readouterr().out
    assert (tmp_path / "lines_0.keras").read_bytes() == (truth_alone / "lines_0.keras").read_bytes()
    assert not list(tmp_path.glob("*checkpoint*"))


def test_asked_to_stop_while_fine_tuning_it_goes_on_to_the_same_bytes(tmp_path, dataset, uninterrupted, monkeypatch):
    from skyloom.learn import training

    save, saved = training.Checkpoint.save, []

    def save_and_ask(self, *values):
        save(self, *values)
        saved.append(self.folder.name.rpartition(".")[2])
        if saved[-1] == "predicted":
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(training.Checkpoint, "save", save_and_ask)
        with pytest.raises(UserError, match="stopped on request; the finished epochs are saved, run again to go on"):
            train(tmp_path, dataset)
    assert saved == ["truth"] * 5 + ["predicted"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"lines_0.checkpoint.{phase}" for phase in ("predicted", "truth")
    ]
    train(tmp_path, dataset)
    assert files_of(tmp_path) == files_of(uninterrupted[0])


def test_killed_between_the_phases_it_ends_with_the_same_bytes(tmp_path, dataset, uninterrupted):
    given = arguments(tmp_path, dataset, json.dumps(LINES))
    words = [str(part) for key, value in given.items() for part in (f"--{key}", value)]
    process = subprocess.Popen([sys.executable, ROOT / "scripts/train.py", *words], cwd=ROOT, stdout=subprocess.PIPE)
    state = tmp_path / "lines_0.checkpoint.truth/state.json"
    while process.poll() is None and not (state.exists() and json.loads(state.read_text())["progress"]["epoch"] == 5):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it was over before it could be killed"
    assert [path.name for path in tmp_path.iterdir()] == ["lines_0.checkpoint.truth"]
    train(tmp_path, dataset)
    assert files_of(tmp_path) == files_of(uninterrupted[0])


@pytest.fixture(scope="module")
def stamps(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "sources.h5", sources, targets=TARGETS)


@pytest.mark.parametrize(
    ("target", "loss", "value"), [("flux", "gaussian_nll", [-3]), ("pa", "angle_nll", [0.8, -0.6])]
)
def test_a_network_learns_the_quantity_it_is_named_for(tmp_path, stamps, target, loss, value):
    from skyloom.learn.predict import outputs

    train(tmp_path, stamps, "sources", target=target, loss=loss)
    model = loaded(tmp_path, "sources")
    assert model.output_shape == (None, len(value) + 1)  # the last is the error's logarithm
    found = np.median(outputs(model, sources(8, 1, "truth").x), axis=0)[: len(value)]
    assert np.sign(found).tolist() == np.sign(value).tolist()
    assert np.all(np.abs(found - value) < 0.5 * np.abs(value))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "l3"}, "loss"),
        ({"fine_tune": -1}, "`fine_tune` is -1"),
        ({"fine_tunes": 1}, "did you mean `fine_tune`"),
        ({"network": "deep_gruu"}, "did you mean `deep_gru`"),
        ({"network": "windnet"}, "`windnet` is not made for these examples; take one of deep_gru, line_net"),
        ({"network": "source_map"}, "`source_map` is not made for these examples"),
        ({"class_weights": True}, "class_weights"),
    ],
)
def test_mistakes_are_told_in_a_sentence_and_leave_no_file(tmp_path, dataset, changes, message):
    with pytest.raises(UserError, match=message):
        train(tmp_path, dataset, **changes)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_target_is_told(tmp_path, stamps, dataset):
    with pytest.raises(
        UserError, match="no `fluxx`; `target` should be one of fwhm_major, fwhm_minor, pa_cos, pa_sin, fl"
    ):
        train(tmp_path, stamps, "sources", target="fluxx", loss="gaussian_nll")
    with pytest.raises(UserError, match="no `flux`"):
        train(tmp_path, dataset, target="flux")
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_that_is_none_or_has_no_true_example_is_told(tmp_path):
    with pytest.raises(UserError, match="no.h5: no such file"):
        train(tmp_path, tmp_path / "no.h5")
    with pytest.raises(UserError, match="cannot be read as a training set"):
        train(tmp_path, ROOT / "pyproject.toml")
    some = spectra(8, 1, "predicted")
    write_dataset(tmp_path / "d.h5", {"train": some, "validation": some}, {"case": CASE, "targets": ""})
    with pytest.raises(UserError, match="the training set is empty; simulate more cubes"):
        train(tmp_path, tmp_path / "d.h5")

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from learn_fixtures import toy_samples

from skyloom.learn.datasets import Samples, open_split, read_split, write_arrays, write_dataset

ROOT = Path(__file__).parents[2]


def test_images_come_in_the_order_asked_for_and_as_often(tmp_path):
    samples = toy_samples(9, 1, side=8)
    write_dataset(tmp_path / "d.h5", {"train": samples}, {})
    rows = np.array([7, 2, 2, 0, 8, 7])
    with open_split(tmp_path / "d.h5", "train") as streamed:
        assert np.array_equal(streamed.images(rows), samples.images(rows))
        assert np.array_equal(streamed.images(rows), samples.x[rows])


def test_a_set_written_in_parts_has_the_bytes_of_one_written_whole(tmp_path):
    samples = toy_samples(600, 1, side=8)
    write_dataset(tmp_path / "whole.h5", {"train": samples}, {"case": "c"})
    write_dataset(tmp_path / "parts.h5", {"train": samples.blocks()}, {"case": "c"})
    for key in ("x", "y", "id", "group", "origin"):
        one, two = (getattr(read_split(tmp_path / f"{name}.h5", "train"), key) for name in ("whole", "parts"))
        assert np.array_equal(one, two)
    with open_split(tmp_path / "parts.h5", "train") as streamed:
        write_arrays(tmp_path / "x.npy", tmp_path / "y.npy", streamed)
    assert np.array_equal(np.load(tmp_path / "x.npy", allow_pickle=False), samples.x)


TRAIN = """
import resource, sys
from learn_fixtures import toy_samples
from skyloom.learn import backend
backend.start(1)
from skyloom.config.schema import Model
from skyloom.learn.datasets import open_split, read_split
from skyloom.learn.training import train
path, limit, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
settings, keys = Model(network="windnet", epochs=1), (1, "toy", "train", "windnet", 0)
train(settings, toy_samples(64, 1, 100), toy_samples(12, 2, 100), keys)  # what the backend itself takes, it has now
used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + limit, used + limit))
with open_split(path, "train") as training:
    if mode == "memory":
        training = read_split(path, "train")
    train(settings, training, toy_samples(12, 2, 100), keys)
print("trained")
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads its memory from /proc")
def test_a_training_set_larger_than_the_memory_allowed_is_streamed(tmp_path):
    block = toy_samples(64, 3, side=100)

    def blocks():
        for number in range(32):
            names = np.array([f"{name}_{number}" for name in block.id])
            yield Samples(block.x, block.y, names, names, block.origin)

    write_dataset(tmp_path / "large.h5", {"train": blocks()}, {})
    size = (tmp_path / "large.h5").stat().st_size
    limit = size // 2
    assert size > 200e6

    def trained(mode):
        return subprocess.run(
            [sys.executable, "-c", TRAIN, tmp_path / "large.h5", str(limit), mode],
            env={"PATH": "", "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT / 'tests'}"},
            capture_output=True,
            text=True,
            timeout=300,
        )

    whole = trained("memory")
    assert whole.returncode != 0 and "emory" in whole.stderr, "the limit should be too small for the whole set"
    streamed = trained("streamed")
    assert streamed.returncode == 0, streamed.stderr
    assert streamed.stdout.splitlines()[-1] == "trained"

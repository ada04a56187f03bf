"""A toy training set: compact discs in noise, some with two straight walls. Small, quick, and hard to get all right."""

import functools
from pathlib import Path

import numpy as np

from skyloom.images import VIEWS
from skyloom.learn.datasets import SPLITS, Samples, write_dataset

CASE = "disk_winds"
SETTINGS = '{"threads": 1}'


def toy_samples(count: int, seed: int, side: int = 32) -> Samples:
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    label = (np.arange(count) % 3 == 0).astype(np.int8)
    images = np.empty((count, side, side, len(VIEWS)), np.float32)
    for number in range(count):
        radius, angle = np.hypot(x, y), np.arctan2(y, x) - random.uniform(0, 2 * np.pi)
        image = random.normal(size=(side, side)) + random.uniform(10, 100) * np.exp(-(radius**2) / 8)
        if label[number]:
            image += 6 * np.exp(-((np.abs(np.sin(angle) * radius) - 0.5 * radius) ** 2) / 2) * (radius < side / 2.5)
        images[number] = np.arcsinh(image / 3)[..., None]
    name = np.array([f"toy_{seed}.{number:03d}" for number in range(count)])
    return Samples(x=images, y=label, id=name, group=name, origin=np.full(count, "cutout"))


def toy_dataset(path: Path, counts: tuple[int, int, int] = (48, 30, 30), side: int = 32) -> Path:
    splits = {
        name: toy_samples(count, seed, side) for seed, (name, count) in enumerate(zip(SPLITS, counts, strict=True))
    }
    write_dataset(path, splits, {"case": CASE, "seed": 1})
    return path


@functools.cache
def toy_network(member: int = 0):
    """Return a network that has learnt the toy set fairly well; trained once in a test run."""
    from skyloom.config.schema import Model
    from skyloom.learn import backend

    backend.start(1)

    from skyloom.learn.training import train

    settings = Model(network="thesis_cnn", epochs=6, batch_size=16)
    return train(settings, toy_samples(96, 1), toy_samples(30, 2), (1, "toy", member))[0]


@functools.cache
def toy_model_files(folder: Path, members: int = 1) -> dict[str, Path | list[Path]]:
    """Write a toy dataset, trained networks and their calibration into a folder, by the steps' own command lines."""
    import calibrate
    from skyloom.learn.store import save_model

    models = [folder / f"toy_{member}.keras" for member in range(members)]
    for member, path in enumerate(models):
        save_model(path, toy_network(member))
    files = {
        "models": models,
        "dataset": toy_dataset(folder / "toy.h5", (96, 45, 45)),
        "calibration": folder / "c.json",
    }
    calibrate.main(
        [
            *("--case", CASE, "--settings", SETTINGS, "--dataset", str(files["dataset"])),
            *("--output", str(files["calibration"]), "--models", *map(str, models)),
        ]
    )
    return files

"""Training rate with the images streamed from HDF5, beside the same images in memory, in turn on the same machine."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

SIDE = 100


def batch_times(settings, training, validation, epochs: int) -> np.ndarray:
    """Return the seconds of each batch after the first epoch, in which the network is compiled."""
    from skyloom.learn.training import train

    moments = []

    def clock() -> bool:
        moments.append(time.perf_counter())
        return False

    settings = settings.model_copy(update={"epochs": epochs})
    train(settings, training, validation, (1, "benchmark", settings.network, 0), stopped=clock)
    steps = len(moments) // epochs
    gaps = np.diff(moments)
    return np.concatenate([gaps[epoch * steps : (epoch + 1) * steps - 1] for epoch in range(1, epochs)])


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=2048, help="images of 100x100x3 (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=4, help="epochs of each training (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="trainings of each kind (default: %(default)s)")
    parser.add_argument("--network", default="windnet", help="default: %(default)s")
    args = parser.parse_args()

    from skyloom.learn import backend

    print(backend.start(1))
    from learn_fixtures import toy_samples

    from skyloom.config.schema import Model
    from skyloom.learn.datasets import open_split, read_split, write_dataset

    settings, validation = Model(network=args.network), toy_samples(32, 2, SIDE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set.h5"
        write_dataset(path, {"train": toy_samples(args.samples, 1, SIDE)}, {})
        memory = read_split(path, "train")
        times = {"in memory": [], "streamed": []}
        for _ in range(args.repeats):
            times["in memory"].append(batch_times(settings, memory, validation, args.epochs))
            with open_split(path, "train") as streamed:
                times["streamed"].append(batch_times(settings, streamed, validation, args.epochs))
    rates = {name: settings.batch_size / np.mean(np.concatenate(found)) for name, found in times.items()}
    medians = {name: settings.batch_size / np.median(np.concatenate(found)) for name, found in times.items()}
    print("| images | samples/s, mean | samples/s, median batch |\n|---|---|---|")
    for name in times:
        print(f"| {name} | {rates[name]:.0f} | {medians[name]:.0f} |")
    mean, median = (found["streamed"] / found["in memory"] for found in (rates, medians))
    print(f"ratio: mean {mean:.3f}, median {median:.3f}")


if __name__ == "__main__":
    main()

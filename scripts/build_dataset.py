"""Put cutouts and augmented samples together as the training set, and let no target stand on two sides.

Writes HDF5 with the groups train, validation and test, and the training split again as a pair of NPY files.
"""

from itertools import chain

from skyloom.cli import run, say, step_parser


def main(argv=None):
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--case", required=True, help="science case, e.g. disk_winds")
    parser.add_argument("--labels", required=True, help="labels and splits (label_objects)")
    parser.add_argument("--cutouts", required=True, nargs="+", help="cutouts (crop)")
    parser.add_argument("--augmented", required=True, help="augmented training samples (augment)")
    parser.add_argument("--output", required=True, help="training set to write (.h5)")
    parser.add_argument("--npy-x", required=True, help="images of the training split to write (.npy)")
    parser.add_argument("--npy-y", required=True, help="labels of the training split to write (.npy)")
    args = parser.parse_args(argv)

    import numpy as np

    from skyloom import __version__
    from skyloom.config.identity import settings_hash
    from skyloom.images.normalise import network_input
    from skyloom.learn.datasets import BLOCK, SPLITS, Samples, open_split, read_attrs, write_arrays, write_dataset
    from skyloom.learn.labels import labelled_cutouts
    from skyloom.learn.splits import check_no_leakage

    labels, cutouts, inherited = labelled_cutouts(args.labels, args.cutouts, SPLITS)
    rows_of = {name: np.flatnonzero(labels["split"] == name) for name in SPLITS}

    def parts(name):
        for start in range(0, max(len(rows_of[name]), 1), BLOCK):
            rows = rows_of[name][start : start + BLOCK]
            part, known = cutouts.take(rows), labels[rows]
            yield Samples(
                x=network_input(part.snr()),
                y=np.asarray(known["label"], dtype=np.int8),
                id=part.id,
                group=np.asarray(known["group"], dtype=str),
                origin=np.full(len(rows), "cutout"),
            )

    made = read_attrs(args.augmented)
    attrs = {
        "case": args.case,
        "seed": made["seed"],
        "config_hash": settings_hash(inherited, str(made["config_hash"])),
        "version": __version__,
    }
    with open_split(args.augmented, "train") as augmented:
        groups = {name: np.asarray(labels["group"][rows], dtype=str) for name, rows in rows_of.items()}
        check_no_leakage(groups | {"train": np.concatenate([groups["train"], augmented.group])})
        whole = {name: parts(name) for name in SPLITS}
        write_dataset(args.output, whole | {"train": chain(whole["train"], augmented.blocks())}, attrs)
    for name in SPLITS:
        with open_split(args.output, name) as samples:
            if name == "train":
                write_arrays(args.npy_x, args.npy_y, samples)
            say(f"{name}: {len(samples)} samples, {int(samples.y.sum())} positive, of {len(set(samples.group))} groups")


if __name__ == "__main__":
    run(main)

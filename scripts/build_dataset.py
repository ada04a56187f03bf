"""Put cutouts and augmented samples together as the training set, and let no target stand on two sides.

Writes HDF5 with the groups train, validation and test, and the training split again as a pair of NPY files.
"""

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
    from skyloom.files import written_whole
    from skyloom.images.normalise import network_input
    from skyloom.learn.datasets import SPLITS, Samples, joined, read_attrs, read_split, write_dataset
    from skyloom.learn.labels import labelled_cutouts
    from skyloom.learn.splits import check_no_leakage

    labels, cutouts, inherited = labelled_cutouts(args.labels, args.cutouts, SPLITS)
    splits = {}
    for name in SPLITS:
        rows = np.flatnonzero(labels["split"] == name)
        part, known = cutouts.take(rows), labels[rows]
        splits[name] = Samples(
            x=network_input(part.native, part.rms, part.scaled),
            y=np.asarray(known["label"], dtype=np.int8),
            id=part.id,
            group=np.asarray(known["group"], dtype=str),
            origin=np.full(len(rows), "cutout"),
        )
    splits["train"] = joined([splits["train"], read_split(args.augmented, "train")])
    check_no_leakage({name: samples.group for name, samples in splits.items()})

    made = read_attrs(args.augmented)
    attrs = {
        "case": args.case,
        "seed": made["seed"],
        "config_hash": settings_hash(inherited, str(made["config_hash"])),
        "version": __version__,
    }
    write_dataset(args.output, splits, attrs)
    for path, values in ((args.npy_x, splits["train"].x), (args.npy_y, splits["train"].y)):
        with written_whole(path) as part:
            np.save(part, values, allow_pickle=False)
    for name, samples in splits.items():
        say(f"{name}: {len(samples)} samples, {int(samples.y.sum())} positive, of {len(set(samples.group))} groups")


if __name__ == "__main__":
    run(main)

"""Draw examples of the augmentation: training cutouts, their copies, and their means with other cutouts.

Shown is what the network gets: asinh(S/N / 3) in the thesis's palette.
"""

from skyloom.cli import run, say, step_parser
from skyloom.errors import UserError
from skyloom.images import VIEWS


def main(argv=None) -> None:
    """Read some training samples and draw them."""
    parser = step_parser(__doc__)
    parser.add_argument("--dataset", required=True, help="training set (HDF5) of build_dataset.py")
    parser.add_argument("--view", choices=VIEWS, default="scaled", help="which cutout (default: scaled)")
    parser.add_argument("--positives", type=int, default=4, help="positive examples at most (default: %(default)s)")
    parser.add_argument("--negatives", type=int, default=1, help="negative examples at most (default: %(default)s)")
    parser.add_argument("--output", required=True, help="the figure (PNG)")
    args = parser.parse_args(argv)

    import h5py

    from skyloom.files import existing
    from skyloom.plots import style
    from skyloom.plots.augmentation import augmentation, examples

    path = existing(args.dataset, "a training set")
    try:
        with h5py.File(path) as file:
            train = file["train"]
            name, origin = (train[key].asstr()[:].astype(str) for key in ("id", "origin"))
            shown = examples(name, origin, train["y"][:], args.positives, args.negatives)
            most = max((len(example.copies) for example in shown), default=0)
            indices = {index for example in shown for index in (example.cutout, *example.copies, example.pair)} - {None}
            # Only what is drawn is read: a training set may be larger than the memory.
            images = {index: train["x"][index, :, :, VIEWS.index(args.view)] for index in sorted(indices)}
    except (OSError, KeyError) as error:
        raise UserError(f"{path}: cannot be read as a training set ({error}); make it again.") from error
    style.save(args.output, augmentation(shown, images, min(most, 4)))
    say(f"{args.output}: {len(shown)} examples")


if __name__ == "__main__":
    run(main)

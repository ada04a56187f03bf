"""Multiply the training cutouts: mirrored, turned, resized, shifted and noisier copies, and means of positive pairs.

Only the training split is read. Random numbers belong to an object and a copy, not to their order.
"""

from skyloom.cli import progress, run, say, step_parser, step_settings


def main(argv=None):
    """Run the step."""
    parser = step_parser(__doc__, section="augment", seed=True)
    parser.add_argument("--labels", required=True, help="labels and splits (label_objects)")
    parser.add_argument("--cutouts", required=True, nargs="+", help="cutouts (crop)")
    parser.add_argument("--output", required=True, help="samples to write (.h5)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    import numpy as np

    from skyloom import __version__
    from skyloom.config.identity import settings_hash
    from skyloom.images.augment import Chain, aligned, augmented, geometric_mean, pairs_of
    from skyloom.images.normalise import compressed
    from skyloom.learn.datasets import JOINT, Samples, write_dataset
    from skyloom.learn.labels import labelled_cutouts
    from skyloom.seeds import generator

    labels, cutouts, inherited = labelled_cutouts(args.labels, args.cutouts, ["train"])
    images = np.stack([cutouts.native / cutouts.rms[:, None, None], cutouts.scaled], axis=-1)
    beams = np.stack([cutouts.native_beam, cutouts.scaled_beam], axis=1)
    chain = Chain(settings.flips, settings.rotations, settings.resize, settings.shift, settings.noise)
    names, groups, label = (labels[name].tolist() for name in ("object_id", "group", "label"))

    samples = []  # id, group, label, origin, image

    def keep(name: str, group: str, value: int, origin: str, image: np.ndarray) -> None:
        samples.append((name, group, value, origin, compressed(image)))

    for index in progress(range(len(names)), len(names), "cutouts multiplied"):
        for copy in range(settings.copies):
            rng = generator(args.seed, args.case, "augment", names[index], copy)
            image = augmented(images[index], beams[index], chain, rng)
            keep(f"{names[index]}#{copy}", groups[index], label[index], "copy", image)

    positive = [index for index in range(len(names)) if label[index] == 1]
    upright = {index: aligned(images[index]) if settings.align else np.nan_to_num(images[index]) for index in positive}
    count = settings.pairs if settings.geometric_mean else 0
    draw = generator(args.seed, args.case, "augment", "pairs")
    for one, two in pairs_of([groups[index] for index in positive], count, draw):
        first, second = positive[one], positive[two]
        mean = geometric_mean(upright[first], upright[second])
        rng = generator(args.seed, args.case, "augment", names[first], names[second])
        image = augmented(mean, (beams[first] + beams[second]) / 2, chain, rng)
        keep(f"{names[first]}{JOINT}{names[second]}", f"{groups[first]}{JOINT}{groups[second]}", 1, "pair", image)

    columns = list(zip(*samples, strict=True)) if samples else [()] * 5
    x = np.stack(columns[4]) if samples else np.zeros((0, *images.shape[1:]), np.float32)
    made = Samples(
        x=x,
        y=np.array(columns[2], dtype=np.int8),
        id=np.array(columns[0], dtype=str),
        group=np.array(columns[1], dtype=str),
        origin=np.array(columns[3], dtype=str),
    )
    attrs = {
        "case": args.case,
        "seed": args.seed,
        "config_hash": settings_hash(settings, inherited),
        "version": __version__,
    }
    write_dataset(args.output, {"train": made}, attrs)
    copies = int(np.sum(made.origin == "copy"))
    say(f"{len(names)} training cutouts gave {copies} copies and {len(made) - copies} pairs")


if __name__ == "__main__":
    run(main)

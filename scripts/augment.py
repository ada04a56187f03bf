"""Multiply the training cutouts: mirrored, turned, resized, shifted and noisier copies, and means of positive pairs.

Only the training split is read. Random numbers belong to an object and a copy, not to their order.
"""

from itertools import islice

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
    from skyloom.images.normalise import network_input
    from skyloom.learn.datasets import BLOCK, JOINT, Samples, write_dataset
    from skyloom.learn.labels import labelled_cutouts
    from skyloom.seeds import generator

    labels, cutouts, inherited = labelled_cutouts(args.labels, args.cutouts, ["train"])
    images, beams = cutouts.snr(), cutouts.beams()
    chain = Chain(settings.flips, settings.rotations, settings.resize, settings.shift, settings.noise)
    names, groups, label = (labels[name].tolist() for name in ("object_id", "group", "label"))

    positive = [index for index in range(len(names)) if label[index] == 1]
    count = settings.pairs if settings.geometric_mean else 0
    draw = generator(args.seed, args.case, "augment", "pairs")
    pairs = pairs_of([groups[index] for index in positive], count, draw)

    def upright(index):
        return aligned(images[index]) if settings.align else np.nan_to_num(images[index])

    def samples():
        """Yield id, group, label, origin and image of each sample."""
        for index in progress(range(len(names)), len(names), "cutouts multiplied"):
            for copy in range(settings.copies):
                rng = generator(args.seed, args.case, "augment", names[index], copy)
                image = augmented(images[index], beams[index], chain, rng)
                yield f"{names[index]}#{copy}", groups[index], label[index], "copy", image
        for one, two in progress(pairs, len(pairs), "pairs averaged"):
            first, second = positive[one], positive[two]
            mean = geometric_mean(upright(first), upright(second))
            rng = generator(args.seed, args.case, "augment", names[first], names[second])
            image = augmented(mean, (beams[first] + beams[second]) / 2, chain, rng)
            yield f"{names[first]}{JOINT}{names[second]}", f"{groups[first]}{JOINT}{groups[second]}", 1, "pair", image

    def parts():
        nothing = np.zeros(0, dtype=str)
        yield Samples(np.zeros((0, *images.shape[1:])), np.zeros(0, np.int8), nothing, nothing, nothing)
        drawn = samples()
        while block := list(islice(drawn, BLOCK)):
            name, group, value, origin, image = zip(*block, strict=True)
            text = (np.array(column, dtype=str) for column in (name, group, origin))
            yield Samples(network_input(np.stack(image)), np.array(value, dtype=np.int8), *text)

    attrs = {
        "case": args.case,
        "seed": args.seed,
        "config_hash": settings_hash(settings, inherited),
        "version": __version__,
    }
    write_dataset(args.output, {"train": parts()}, attrs)
    say(f"{len(names)} training cutouts gave {len(names) * settings.copies} copies and {len(pairs)} pairs")


if __name__ == "__main__":
    run(main)

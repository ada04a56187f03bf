"""Train one member of a network, going on from its checkpoint if it was interrupted.

Writes the network at its best epoch (.keras) and its history (CSV: epoch, mean training loss, validation loss, accuracy
or mean absolute error on the validation set, learning rate). A network of a chain may be trained a second time, on what
the networks before it predict (`fine_tune`). The checkpoint folders are removed once all is written.
"""

from skyloom.cli import run, say, step_parser, step_settings


def main(argv=None):
    """Read the training set, train, and write network and history."""
    parser = step_parser(__doc__, section="models", seed=True)
    parser.add_argument("--model", required=True, help="name of the model in the case's settings, e.g. windnet")
    parser.add_argument("--member", type=int, default=0, help="number of the ensemble's member (default: %(default)s)")
    parser.add_argument("--dataset", required=True, help="training set (HDF5) of build_dataset.py")
    parser.add_argument("--checkpoint", required=True, help="folder for the state after each epoch")
    parser.add_argument("--output", required=True, help="the trained network (.keras)")
    parser.add_argument("--history", required=True, help="its history (CSV)")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs that the job was given (default: %(default)s)")
    args = parser.parse_args(argv)
    args.section = f"models.{args.model}"
    settings = step_settings(args)

    from skyloom.learn import backend

    name = backend.start(settings.threads, settings.device, args.gpus)
    gpus = args.gpus if settings.device == "auto" else 0

    from skyloom.files import written_whole
    from skyloom.learn import store, training
    from skyloom.learn.datasets import open_split, read_attrs

    attrs = read_attrs(args.dataset)
    with (
        open_split(args.dataset, "train") as train,
        open_split(args.dataset, "validation") as validation,
        training.stop_on_sigterm() as stopped,
    ):
        keys = (args.seed, args.case, "train", args.model, args.member)
        # The number of members decides how many networks there are, not what one of them is.
        identity = training.fingerprint(
            args.dataset,
            settings.model_dump(mode="json", exclude={"members"}),
            keys,
            [__file__, *training.code(settings)],
        )
        model, history, checkpoints = None, [], []
        for origin, chosen in phases(settings):
            some = [part_of(samples, origin, settings, attrs) for samples in (train, validation)]
            counts = f"{told(some[0], 'training samples')}, {told(some[1], 'for validation')}"
            say(f"{args.model} {args.member}, {name}: {counts}")
            if origin == "predicted" and not all(map(len, some)):
                say("the networks before this one found no source in the cubes; there is nothing to fine-tune on")
                continue
            folder = f"{args.checkpoint}.{origin}" if origin else args.checkpoint
            checkpoints.append(training.Checkpoint(folder, identity))
            start = model.get_weights() if model else None
            keys_of_phase = (*keys, origin) if model else keys
            model, progress = training.train(chosen, *some, keys_of_phase, checkpoints[-1], stopped, gpus, start)
            history += [row | {"epoch": len(history) + n} for n, row in enumerate(progress.history, 1)]
    store.save_model(args.output, model)
    with written_whole(args.history) as part:
        columns = training.columns(settings)
        form = "{0:d},{1:.6f},{2:.6f},{3:.6f},{4:.6e}"
        lines = [form.format(*(row[name] for name in columns)) for row in history]
        part.write_text("\n".join([",".join(columns), *lines]) + "\n")
    for checkpoint in checkpoints:
        checkpoint.remove()
    say(
        f"{args.output}: best of {progress.epoch} epochs is {progress.best_epoch} "
        f"(validation loss {progress.best_loss:.4f}), weights {store.weights_sha256(model)[:12]}"
    )


def phases(settings) -> list:
    """Return what the model is trained on, one after the other: the samples' origin (None for all) and settings.

    A network of a chain learns from the truth first, then from what the networks before it make of cubes.
    """
    if not getattr(settings, "fine_tune", 0):
        return [("truth" if hasattr(settings, "fine_tune") else None, settings)]
    # A tenth of the rate, so that what was learnt from many examples is not lost to a few.
    short = {"epochs": settings.fine_tune, "patience": settings.fine_tune, "learning_rate": settings.learning_rate / 10}
    return [("truth", settings), ("predicted", settings.model_copy(update=short))]


def part_of(samples, origin, settings, attrs):
    """Return the samples of one origin, with the quantity that the model estimates as their target."""
    from dataclasses import replace

    import numpy as np

    if origin is None:
        return samples
    target = settings.target
    if target:
        names = attrs["targets"].split(",")
        chosen = [number for number, name in enumerate(names) if name == target or name.startswith(f"{target}_")]
        if not chosen:
            from skyloom.errors import UserError

            raise UserError(f"the examples have no `{target}`; `target` should be one of {', '.join(names)}.")
        samples = replace(samples, y=samples.y[:, chosen])
    # What has no such quantity, such as the flux of a candidate that is no source, has no number for it.
    known = np.isfinite(samples.y).reshape(len(samples), -1).all(axis=1) if target else True
    rows = np.flatnonzero((samples.origin == origin) & known)
    return samples if len(rows) == len(samples) else samples.take(rows)


def told(samples, what: str) -> str:
    """Return the number of samples in words, with that of positives where there are classes."""
    positive = f" ({samples.y.sum()} positive)" if samples.y.dtype.kind == "i" else ""
    return f"{len(samples)} {what}{positive}"


if __name__ == "__main__":
    run(main)

"""Train one member of a network, going on from its checkpoint if it was interrupted.

Writes the network at its best epoch (.keras) and its history (CSV: epoch, mean training loss, validation loss,
accuracy on the validation set, learning rate). The checkpoint folder is removed once both are written.
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
    from skyloom.learn.datasets import open_split

    with (
        open_split(args.dataset, "train") as train,
        open_split(args.dataset, "validation") as validation,
        training.stop_on_sigterm() as stopped,
    ):
        say(
            f"{args.model} {args.member}, {name}: {len(train)} training samples ({train.y.sum()} positive), "
            f"{len(validation)} for validation ({validation.y.sum()} positive)"
        )
        keys = (args.seed, args.case, "train", args.model, args.member)
        # The number of members decides how many networks there are, not what one of them is.
        identity = training.fingerprint(
            args.dataset, settings.model_dump(mode="json", exclude={"members"}), keys, [__file__, *training.CODE]
        )
        checkpoint = training.Checkpoint(args.checkpoint, identity)
        model, progress = training.train(settings, train, validation, keys, checkpoint, stopped, gpus)
    store.save_model(args.output, model)
    with written_whole(args.history) as part:
        lines = [
            "{epoch:d},{loss:.6f},{val_loss:.6f},{accuracy:.6f},{learning_rate:.6e}".format(**row)
            for row in progress.history
        ]
        part.write_text("\n".join([",".join(training.HISTORY), *lines]) + "\n")
    checkpoint.remove()
    say(
        f"{args.output}: best of {progress.epoch} epochs is {progress.best_epoch} "
        f"(validation loss {progress.best_loss:.4f}), weights {store.weights_sha256(model)[:12]}"
    )


if __name__ == "__main__":
    run(main)

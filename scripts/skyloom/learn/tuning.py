"""Search for the optimiser and the learning rate of a network."""

import optuna
from astropy.table import MaskedColumn, Table

from ..cli import say
from ..errors import UserError
from ..seeds import seed_sequence
from .datasets import Samples
from .training import Diverged, train

OPTIMIZERS = ("sgd", "rmsprop", "adagrad", "adadelta", "adam")
"""The five that the thesis compared."""

FIRST_RATE = 1e-3
"""Every optimiser is tried at the thesis's rate before the search goes its own ways."""


def search(model, settings, training: Samples, validation: Samples, keys: tuple) -> Table:
    """Return one row a trial, best first.

    Parameters
    ----------
    model : skyloom.config.schema.Model
        The model; its optimiser, rate and epochs are replaced.
    settings : skyloom.config.schema.Tune
        Number of trials, their epochs, and the range of rates.
    training, validation : Samples
        What is learnt from and what scores a trial.
    keys : tuple
        (seed, ...): what the random numbers follow from; all trials share them, so that they differ by settings only.

    Returns
    -------
    astropy.table.Table
        trial, optimizer, learning_rate, val_loss, accuracy, epoch (the best), state (``complete``, or ``failed`` where
        the training diverged; its numbers are masked then).
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=int(seed_sequence(*keys).generate_state(1)[0]))
    study = optuna.create_study(direction="minimize", sampler=sampler)
    for optimizer in OPTIMIZERS[: settings.trials]:
        study.enqueue_trial({"optimizer": optimizer, "learning_rate": FIRST_RATE})

    def objective(trial: optuna.Trial) -> float:
        tried = model.model_copy(
            update={
                "optimizer": trial.suggest_categorical("optimizer", OPTIMIZERS),
                "learning_rate": trial.suggest_float("learning_rate", *settings.learning_rate, log=True),
                "epochs": settings.epochs,
                "patience": settings.epochs,
            }
        )
        say(f"trial {trial.number + 1} of {settings.trials}: {tried.optimizer} at {tried.learning_rate:.2g}")
        try:
            _, progress = train(tried, training, validation, keys)
        except Diverged as error:
            say(f"trial {trial.number + 1} failed: {error}")
            raise optuna.TrialPruned from error
        trial.set_user_attr("epoch", progress.best_epoch)
        trial.set_user_attr("accuracy", progress.history[progress.best_epoch - 1]["accuracy"])
        return progress.best_loss

    study.optimize(objective, n_trials=settings.trials)
    done = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    if not done:
        raise UserError("`tune`: every trial failed; give lower rates in `tune.learning_rate`.")
    failed = [trial for trial in study.trials if trial not in done]
    rows = sorted(done, key=lambda trial: (trial.value, trial.number)) + failed

    def scored(values: list) -> MaskedColumn:
        return MaskedColumn([value or 0 for value in values], mask=[value is None for value in values])

    return Table(
        {
            "trial": [trial.number + 1 for trial in rows],
            "optimizer": [trial.params["optimizer"] for trial in rows],
            "learning_rate": [float(f"{trial.params['learning_rate']:.6e}") for trial in rows],
            "val_loss": scored([trial.value and round(trial.value, 6) for trial in rows]),
            "accuracy": scored([trial.user_attrs.get("accuracy") for trial in rows]),
            "epoch": scored([trial.user_attrs.get("epoch") for trial in rows]),
            "state": ["complete" if trial in done else "failed" for trial in rows],
        }
    )

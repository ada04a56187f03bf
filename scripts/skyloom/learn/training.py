"""Train a network so that a run killed at any moment ends, when it is run again, with the very same weights.

Nothing random is carried from epoch to epoch: the order of the samples, their orientations and the dropout of an epoch
all follow from (seed, case, model, member, epoch). What is carried, the weights and the optimiser's state, is saved
after each epoch.
"""

import contextlib
import hashlib
import json
import signal
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from .. import nets
from ..cli import say
from ..errors import UserError
from ..files import read_json, sha256, write_json, written_whole
from ..seeds import generator
from . import backend
from .datasets import Samples
from .tasks import task

HISTORY = ("epoch", "loss", "val_loss", "{measure}", "learning_rate")


class Diverged(UserError):
    """The loss is no longer a number."""


@dataclass
class Progress:
    """How far a training is.

    Attributes
    ----------
    epoch : int
        Epochs that are done.
    best_epoch : int
        The epoch with the lowest validation loss, counted from 1; 0 before the first.
    best_loss : float
        That loss.
    history : list of dict
        One row an epoch: `HISTORY`, with the measure of the task.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = float("inf")
    history: list[dict] = field(default_factory=list)


def fingerprint(dataset: str | Path, settings: dict, keys: Iterable, code: Iterable[Path]) -> str:
    """Return the SHA-256 of everything a training's result follows from.

    Parameters
    ----------
    dataset : path
        The training set; its content counts, not its name.
    settings : dict
        The model's settings.
    keys : iterable of str or int
        Seed, case, model and member.
    code : iterable of path
        Source files.
    """
    parts = {
        "dataset": sha256(dataset),
        "settings": settings,
        "keys": list(keys),
        "code": {path.name: sha256(path) for path in map(Path, code)},
        "keras": f"{keras.__version__} {keras.backend.backend()}",
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def code(settings) -> list[Path]:
    """Return the source files that a model's training follows from, besides the script's own."""
    names = ("backend", "datasets", "losses", "predict", "tasks", "training")
    return [nets.source(settings.network), *(Path(__file__).with_name(f"{name}.py") for name in names)]


def train(
    settings,
    training: Samples,
    validation: Samples,
    keys: tuple,
    checkpoint: "Checkpoint | None" = None,
    stopped: Callable[[], bool] = lambda: False,
    gpus: int = 0,
    start: list[np.ndarray] | None = None,
) -> tuple[keras.Model, Progress]:
    """Train a network and return it as it was at its best epoch.

    Parameters
    ----------
    settings : skyloom.config.schema.Model
        The network and how it is trained.
    training, validation : Samples
        What is learnt from, and what chooses the epoch.
    keys : tuple
        (seed, case, model, member): what the random numbers follow from.
    checkpoint : Checkpoint, optional
        Where progress is kept, and taken up again.
    stopped : callable
        Asked before each batch; once it returns True, the training ends with a `UserError`.
    gpus : int
        With more than one, each batch is shared among them (`backend.Replicas`).
    start : list of numpy.ndarray, optional
        Weights to start from instead of random ones.

    Returns
    -------
    model : keras.Model
        Not compiled.
    progress : Progress

    Raises
    ------
    UserError
        If a class has no sample, if training was stopped, or if it diverged (`Diverged`).
    """
    goal = task(settings)
    goal.check(training, validation)
    batch_size = min(settings.batch_size, len(training))
    if gpus > 1 and batch_size % gpus:
        raise UserError(f"batch_size: {batch_size} samples cannot be shared by {gpus} GPUs; take a multiple of {gpus}.")
    steps = -(-len(training) // batch_size)
    keras.utils.set_random_seed(_small_seed(generator(*keys, "weights")))
    replicas = backend.Replicas(gpus)
    with replicas.scope(), _precision(settings.precision):
        model = goal.network(training)
        model.compile(optimizer(settings, steps), loss=goal.loss())
        model.optimizer.build(model.trainable_variables)
    if gpus > 1:  # loss and metrics are built by the first batch, and TensorFlow cannot do that from one in shares
        model.test_on_batch(
            np.zeros((gpus, *training.x.shape[1:]), np.float32),
            np.zeros((gpus, *goal.target_shape(training))),
            np.ones(gpus),
        )
    # Validated as it will be used: in float32, on one device.
    trained = goal.network(training)
    _seed_dropout(trained, None)
    if start:
        model.set_weights(start)

    progress, best = (checkpoint.load(model) if checkpoint else None) or (Progress(), None)
    while progress.epoch < settings.epochs and progress.epoch - progress.best_epoch < settings.patience:
        rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
        loss = _epoch(model, goal, training, settings, steps, generator(*keys, progress.epoch), stopped, replicas)
        trained.set_weights(model.get_weights())
        val_loss, measure = goal.validate(trained, validation)
        if not np.isfinite([loss, val_loss]).all():
            raise Diverged(f"the training diverged in epoch {progress.epoch + 1}; lower `learning_rate`.")
        progress.epoch += 1
        row = (progress.epoch, loss, val_loss, measure, rate)
        progress.history.append(dict(zip(columns(settings), row, strict=True)))
        say(f"epoch {progress.epoch:3d}: loss {loss:.4f}, validation loss {val_loss:.4f}, {goal.measure} {measure:.4f}")
        if val_loss < progress.best_loss:
            progress.best_epoch, progress.best_loss = progress.epoch, val_loss
            best = model.get_weights()
        if checkpoint:
            checkpoint.save(model, best, progress)
    trained.set_weights(best)
    return trained, progress


@contextlib.contextmanager
def _precision(policy: str) -> Iterator[None]:
    """Build a network's layers with this policy of precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def columns(settings) -> tuple[str, ...]:
    """Return the names of the history's columns for a model."""
    return tuple(name.format(measure=task(settings).measure) for name in HISTORY)


def _epoch(model, goal, training: Samples, settings, steps: int, random, stopped, replicas) -> float:
    """Train one epoch and return its mean loss."""
    weights = goal.weights(training)
    # The last batch is filled up from the epoch's first samples: batches of one size are quicker, none is left out.
    order = np.resize(random.permutation(len(training)), (steps, min(settings.batch_size, len(training))))
    turns = random.integers(goal.turns, size=order.shape) if settings.flip_online else np.zeros_like(order)
    _seed_dropout(model, random)
    losses = []
    for rows, turn in zip(order, turns, strict=True):
        if stopped():
            raise UserError("stopped on request; the finished epochs are saved, run again to go on.")
        x, y = goal.batch(training, rows, turn)
        batch = replicas.share(x, y, weights[rows].astype(np.float32))
        losses.append(float(model.train_on_batch(*batch)))
    return float(np.mean(losses))


def optimizer(settings, steps: int) -> keras.optimizers.Optimizer:
    """Return the optimiser of the settings, with its schedule for `steps` steps an epoch."""
    rate = settings.learning_rate
    if settings.schedule == "cosine":
        # One epoch of warming up: the first steps with an untrained normalisation are the wildest.
        total = steps * settings.epochs
        warm = min(steps, total - 1)
        rate = keras.optimizers.schedules.CosineDecay(
            rate / 10, max(total - warm, 1), warmup_target=rate, warmup_steps=warm
        )
    if settings.optimizer == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay)
    if settings.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=0.9)
    kinds = {
        "adagrad": keras.optimizers.Adagrad,
        "adadelta": keras.optimizers.Adadelta,
        "adam": keras.optimizers.Adam,
        "rmsprop": keras.optimizers.RMSprop,
    }
    return kinds[settings.optimizer](rate)


def _seed_dropout(model: keras.Model, random: np.random.Generator | None) -> None:
    """Set the state of every random layer by `random`, or to zero, so that it is not a result's hidden part."""
    weights = {id(weight) for weight in model.weights}
    for state in (variable for variable in model.variables if id(variable) not in weights):
        start = 0 if random is None else _small_seed(random)
        state.assign(np.array([start, 0], dtype=np.uint32))


def _small_seed(random: np.random.Generator) -> int:
    return int(random.integers(2**31))


class Checkpoint:
    """A folder that holds the last finished epoch of one training.

    Arrays are written first and ``state.json``, which names them, last and by rename: at every moment the folder
    holds one complete state.

    Parameters
    ----------
    folder : path
        Made when the first epoch is done.
    identity : str
        The training's `fingerprint`; the state of another training is not taken up.
    """

    def __init__(self, folder: str | Path, identity: str):
        """Name the folder and the training."""
        self.folder, self.identity = Path(folder), identity

    @property
    def _state(self) -> Path:
        return self.folder / "state.json"

    def load(self, model: keras.Model) -> tuple[Progress, list[np.ndarray]] | None:
        """Put the saved state into a compiled model; return its progress and best weights, or None."""
        if not self._state.exists():
            return None
        try:
            state = read_json(self._state)
            if state["fingerprint"] != self.identity:
                say(f"{self.folder}: a checkpoint of other data, settings or code; starting afresh")
                return None
            with np.load(self.folder / state["last"], allow_pickle=False) as file:
                values = [file[name] for name in sorted(file.files)]
            with np.load(self.folder / state["best"], allow_pickle=False) as file:
                best = [file[name] for name in sorted(file.files)]
            progress = Progress(**state["progress"])
        except (UserError, OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            say(f"{self.folder}: the checkpoint cannot be read ({error}); starting afresh")
            return None
        for variable, value in zip(self._variables(model), values, strict=True):
            variable.assign(value)
        say(f"{self.folder}: going on after epoch {progress.epoch}")
        return progress, best

    def save(self, model: keras.Model, best: list[np.ndarray], progress: Progress) -> None:
        """Save the state after an epoch, then remove the one before."""
        last, best_name = f"last_{progress.epoch:04d}.npz", f"best_{progress.best_epoch:04d}.npz"
        self._write(last, [keras.ops.convert_to_numpy(variable) for variable in self._variables(model)])
        if progress.best_epoch == progress.epoch:
            self._write(best_name, best)
        write_json(
            self._state,
            {"fingerprint": self.identity, "last": last, "best": best_name, "progress": vars(progress)},
        )
        for path in self.folder.glob("*.npz"):
            if path.name not in (last, best_name):
                path.unlink()

    def remove(self) -> None:
        """Remove the folder, once the result is written."""
        for path in sorted(self.folder.glob("*")):
            path.unlink()
        with contextlib.suppress(FileNotFoundError):
            self.folder.rmdir()

    def _write(self, name: str, values: list[np.ndarray]) -> None:
        with written_whole(self.folder / name) as part:
            np.savez(part, **{f"array_{number:04d}": value for number, value in enumerate(values)})

    @staticmethod
    def _variables(model: keras.Model) -> list:
        return [*model.weights, *model.optimizer.variables]


@contextlib.contextmanager
def stop_on_sigterm() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether SIGTERM has come, as a batch system sends it before it kills."""
    asked: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGTERM, before)

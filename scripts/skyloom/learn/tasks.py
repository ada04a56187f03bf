"""What a network is trained for: how its batches, its loss and its validation are made of samples."""

import keras
import numpy as np

from .. import nets
from ..errors import UserError
from .datasets import Samples
from .predict import ORIENTATIONS, logits, oriented, outputs

OUTPUTS = {"gaussian_nll": 2, "student_nll": 2, "angle_nll": 3, "photons": 2}
"""Numbers that a network gives for a loss with an error of its own; for any other loss as many as are asked for."""
ODD = ("position",)
"""Targets that change their sign where the image is mirrored along x; all others stay as they are by half a turn."""


def task(settings) -> "Classification | Estimation":
    """Return the task of a model's settings: a chain's networks estimate, the others classify."""
    return Estimation(settings) if hasattr(settings, "loss") else Classification(settings)


class Classification:
    """Tell two classes apart, by the logit of the positive one.

    Parameters
    ----------
    settings : skyloom.config.schema.Model
    """

    measure = "accuracy"
    turns = ORIENTATIONS

    def __init__(self, settings):
        """Keep the settings."""
        self.settings = settings

    def check(self, training: Samples, validation: Samples) -> None:
        """Raise a `UserError` if a class has no sample."""
        for name, samples in (("training", training), ("validation", validation)):
            if len(np.unique(samples.y)) < 2:
                raise UserError(
                    f"the {name} set has {_counts(samples.y)}; both classes are needed, so label more objects."
                )

    def network(self, training: Samples) -> keras.Model:
        """Return the network, not compiled."""
        return nets.network(self.settings.network)(training.x.shape[1:])

    def target_shape(self, training: Samples) -> tuple[int, ...]:
        """Return the shape of one sample's target."""
        return (1,)

    def loss(self) -> keras.losses.Loss:
        """Return the loss that training minimises."""
        return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=self.settings.label_smoothing)

    def weights(self, training: Samples) -> np.ndarray:
        """Return the weight of every training sample."""
        return (class_weights(training.y) if self.settings.class_weights else np.ones(2))[training.y]

    def batch(self, samples: Samples, rows: np.ndarray, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return images and targets of some samples, each in its own orientation."""
        return turned(samples.images(rows), turn), samples.y[rows][:, None].astype(np.float32)

    def validate(self, model: keras.Model, samples: Samples) -> tuple[float, float]:
        """Return the loss and the accuracy."""
        scores = logits(model, samples.x)
        return cross_entropy(scores, samples.y, self.settings), float(np.mean((scores > 0) == (samples.y == 1)))


class Estimation:
    """Give a map, a spectrum, or quantities with their errors.

    The dirty beam has no symmetry but that of a half turn, so that samples are shown in two orientations only; those
    with an odd target (`ODD`) are mirrored along x, y or both instead.

    Parameters
    ----------
    settings : skyloom.config.schema.ChainModel
    """

    measure = "error"

    def __init__(self, settings):
        """Keep the settings."""
        self.settings = settings
        self.turns = 4 if settings.target in ODD else 2

    def check(self, training: Samples, validation: Samples) -> None:
        """Raise a `UserError` if there is nothing to learn from or to choose by, or the network is of another kind."""
        for name, samples in (("training", training), ("validation", validation)):
            if not len(samples):
                raise UserError(f"the {name} set is empty; simulate more cubes.")
        kind = "sequence" if training.x.ndim == 3 else "map" if training.y.ndim == 4 else "value"
        nets.check_task(self.settings.network, kind)

    def network(self, training: Samples) -> keras.Model:
        """Return the network, not compiled."""
        count = OUTPUTS.get(self.settings.loss, training.y.shape[-1])
        return nets.network(self.settings.network)(training.x.shape[1:], count)

    def target_shape(self, training: Samples) -> tuple[int, ...]:
        """Return the shape of one sample's target."""
        return training.y.shape[1:]

    def loss(self) -> keras.losses.Loss:
        """Return the loss that training minimises."""
        from .losses import LOSSES

        return LOSSES[self.settings.loss]()

    def weights(self, training: Samples) -> np.ndarray:
        """Return the weight of every training sample."""
        return np.ones(len(training))

    def batch(self, samples: Samples, rows: np.ndarray, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return images and targets of some samples, as they are, turned by half a turn, or mirrored."""
        images, targets = samples.images(rows), samples.y[rows].astype(np.float32)
        if self.settings.target in ODD and images.ndim == 4:
            along_x, along_y = turn % 2 == 1, turn >= 2
            images[along_x] = mirrored(images[along_x], 2)
            images[along_y] = mirrored(images[along_y], 1)
            targets[along_x] *= -1
            return images, targets
        half = turn == 1
        images[half] = (nets.half_turn(self.settings.network) or half_turned)(images[half])
        if targets.ndim == images.ndim:
            targets[half] = half_turned(targets[half])
        return images, targets

    def validate(self, model: keras.Model, samples: Samples) -> tuple[float, float]:
        """Return the loss and the mean absolute error of what is estimated."""
        loss, total, error = self.loss(), 0.0, 0.0
        for start in range(0, len(samples), 64):
            some = np.arange(start, min(start + 64, len(samples)))
            given = outputs(model, samples.images(some))
            wanted = samples.y[some].astype(np.float32)
            total += float(keras.ops.convert_to_numpy(loss(wanted, given))) * len(some)
            error += float(np.mean(np.abs(given[..., : wanted.shape[-1]] - wanted))) * len(some)
        return total / len(samples), error / len(samples)


def mirrored(images: np.ndarray, axis: int) -> np.ndarray:
    """Return images (n, height, width, channels) mirrored along an axis about their pixel ``side // 2``."""
    flipped = np.flip(images, axis)
    return flipped if images.shape[axis] % 2 else np.roll(flipped, 1, axis)


def half_turned(images: np.ndarray) -> np.ndarray:
    """Return images (n, height, width, channels) turned by half a turn, or spectra (n, length, channels) reversed."""
    return images[:, ::-1, ::-1] if images.ndim == 4 else images[:, ::-1]


def turned(images: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Return each image in its own one of the eight orientations."""
    result = np.empty_like(images)
    for turn in np.unique(turns):
        result[turns == turn] = oriented(images[turns == turn], turn)
    return result


def class_weights(labels: np.ndarray) -> np.ndarray:
    """Return the weights of the classes 0 and 1 that let both count alike, with a mean of 1 over the samples."""
    counts = np.bincount(labels, minlength=2)
    return len(labels) / (2 * np.maximum(counts, 1))


def cross_entropy(scores: np.ndarray, labels: np.ndarray, settings) -> float:
    """Return the loss that training minimises, for the logits of any samples; NaN if one of them is not finite.

    Parameters
    ----------
    scores, labels : numpy.ndarray, shape (n,)
        Logits, and labels 0 or 1.
    settings : skyloom.config.schema.Model
        `class_weights` and `label_smoothing` are used.
    """
    if not np.isfinite(scores).all():
        return float("nan")
    target = labels * (1 - settings.label_smoothing) + settings.label_smoothing / 2
    weight = class_weights(labels)[labels] if settings.class_weights else 1.0
    return float(np.mean(weight * (np.logaddexp(0, scores) - target * scores)))


def _counts(labels: np.ndarray) -> str:
    return f"{int(np.sum(labels == 1))} positives and {int(np.sum(labels == 0))} negatives"

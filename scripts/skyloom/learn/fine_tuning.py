"""Fine-tune the network for maps on few labelled fields of another survey, with most of its layers frozen."""

import math
from types import SimpleNamespace

import keras
import numpy as np
from astropy.table import Table

from ..detect.match_sources import values
from ..seeds import generator
from . import field_scores
from .datasets import Samples
from .detection_scores import ends, with_masks
from .field_calibration import best_threshold, fields_of, present
from .field_search import SIGNALS
from .tasks import task, turned

BRIGHTER = 0.3
"""Range of the natural logarithm of the factor that augmentation multiplies an image by."""
WHITE = 0.2
"""Noise that augmentation adds to an image, at most, in units of its own."""


def frozen_layers(network: keras.Model, trained: float) -> int:
    """Return how many of the network's layers with weights are frozen: all but the last ones, a share `trained`."""
    layers = [layer for layer in network.layers if layer.weights]
    return len(layers) - max(1, round(trained * len(layers)))


def fine_tuned(
    network: keras.Model,
    training: Samples,
    validation: Samples,
    settings,
    rate: float,
    augment: bool,
    stretch: str,
    keys: tuple,
) -> tuple[keras.Model, float]:
    """Return the network after a training on few tiles, as it was at its best epoch, and its validation loss.

    Parameters
    ----------
    network : keras.Model
        It is not changed.
    training, validation : Samples
        Tiles (`skyloom.learn.field_examples.tiles`).
    settings : skyloom.cases.diffuse_radio.FineTuning
        `trained`, `epochs`, `batch_size` and `loss` are used.
    rate : float
        Learning rate.
    augment : bool
        Whether each tile is seen in a random one of its eight orientations, brighter or fainter, and with more noise
        (`augmented`).
    stretch : {"asinh", "log"}
        Of the tiles.
    keys : tuple
        What the random numbers follow from.
    """
    goal = task(SimpleNamespace(network=network.name, loss=settings.loss, target=None))
    tuned = keras.models.clone_model(network)
    tuned.set_weights(network.get_weights())
    layers = [layer for layer in tuned.layers if layer.weights]
    for layer in layers[: frozen_layers(network, settings.trained)]:
        layer.trainable = False
    tuned.compile(keras.optimizers.Adam(rate), loss=goal.loss())
    size = min(settings.batch_size, len(training))
    best, best_loss = tuned.get_weights(), goal.validate(tuned, validation)[0]
    for epoch in range(settings.epochs):
        rng = generator(*keys, f"{rate:g}", int(augment), epoch)
        order = rng.permutation(len(training))
        for rows in np.array_split(order, math.ceil(len(order) / size)):
            x, y = training.images(rows), training.y[rows].astype(np.float32)
            if augment:
                x, y = augmented(x, y, stretch, rng)
            tuned.train_on_batch(x, y)
        loss = goal.validate(tuned, validation)[0]
        if loss < best_loss:
            best, best_loss = tuned.get_weights(), loss
    tuned.set_weights(best)
    # One that is not compiled, as the search copies it for images of other sizes.
    result = keras.models.clone_model(network)
    for layer, learnt in zip(result.layers, tuned.layers, strict=True):
        layer.set_weights(learnt.get_weights())
    return result, float(best_loss)


def augmented(x: np.ndarray, y: np.ndarray, stretch: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return tiles and their maps in random orientations; tiles of S/N also brighter or fainter, and with more noise.

    Parameters
    ----------
    x, y : numpy.ndarray, shape (n, side, side, channels)
    stretch : {"asinh", "log"}
        Of the tiles; the logarithm of a surface brightness has no S/N, so such tiles are turned only.
    rng : numpy.random.Generator
    """
    turns = rng.integers(8, size=len(x))
    x, y = turned(x, turns), turned(y, turns)
    if stretch == "asinh":
        each = (len(x), 1, 1, 1)
        factor = np.exp(rng.uniform(-BRIGHTER, BRIGHTER, each))
        level = rng.uniform(0, WHITE, each)
        signal = np.sinh(x[..., :SIGNALS]) * factor
        # Noise of single pixels is not seen in what is smoothed.
        signal[..., :1] += level * rng.normal(size=x[..., :1].shape)
        x = np.concatenate([np.where(x[..., :SIGNALS] == 0, 0, np.arcsinh(signal)), x[..., SIGNALS:]], axis=-1)
    return x.astype(np.float32), y


def measured(truth: Table, detections: Table, threshold: float, level: float, confidence: float, random) -> dict:
    """Return field accuracy, precision and false negatives by the mean probability R above a threshold, and the IoU.

    Parameters
    ----------
    truth, detections : astropy.table.Table
        Of the test fields of the other survey (`skyloom.learn.field_tables.with_truth`).
    threshold : float
        Of R.
    level : float
        Probability of the pixels of an island.
    confidence : float
        Level of the intervals.
    random : numpy.random.Generator
    """
    fields = fields_of(detections)
    passed = region_means(fields) >= threshold
    table = field_scores.field_table(field_scores.classes_of(truth, fields), passed, confidence)
    pixels = field_scores.pixel_scores(np.asarray(fields["overlap"]), level, confidence, random)
    return {name: table[name] for name in ("accuracy", "precision", "false_negatives")} | {
        "iou": pixels["iou"],
        "fields": len(fields),
        "threshold": threshold,
    }


def region_means(fields: Table) -> np.ndarray:
    """Return R of each field, 0 where it is not known."""
    return np.nan_to_num(values(fields, "region_mean"))


def threshold_of(truth: Table, detections: Table, purity: float) -> float:
    """Return the threshold of R that tells labelled fields best."""
    fields = fields_of(detections)
    return best_threshold(region_means(fields), present(truth, fields)[:, 0], purity)


def table(results: dict[str, dict]) -> Table:
    """Return the networks side by side, one row each."""
    rows = []
    for name, one in results.items():
        row = {"network": name, "learning_rate": one["learning_rate"], "validation_loss": one["validation_loss"]}
        row |= {"fields": one["fields"], "threshold": one["threshold"]}
        for measure in ("accuracy", "precision", "false_negatives", "iou"):
            row |= ends(measure, one[measure])
        rows.append(row)
    return with_masks(rows)


def as_markdown(given: Table, trials: list[tuple[str, float, float]], about: str) -> str:
    """Return the table in Markdown, and the learning rates that were tried.

    Parameters
    ----------
    given : astropy.table.Table
        Of `table`.
    trials : list of (str, float, float)
        Training, learning rate and validation loss.
    about : str
        First sentence.
    """
    measures = ("accuracy", "precision", "false_negatives", "iou")
    lines = [
        about,
        "",
        "| network | learning rate | R above | " + " | ".join(m.replace("_", " ") for m in measures) + " |",
    ]
    lines.append("|" + "---|" * (3 + len(measures)))
    for row in given:
        rate = "" if np.ma.is_masked(row["learning_rate"]) else f"{row['learning_rate']:g}"
        cells = [row["network"], rate, f"{row['threshold']:.3g}", *(_cell(row, name) for name in measures)]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", "| training | learning rate | validation loss |", "|---|---|---|"]
    lines += [f"| {name} | {rate:g} | {loss:.4f} |" for name, rate, loss in trials]
    return "\n".join(lines) + "\n"


def _cell(row, name: str) -> str:
    if np.ma.is_masked(row[name]):
        return "not defined"
    return f"{row[name]:.3f} ({row[f'{name}_low']:.3f} to {row[f'{name}_high']:.3f})"

"""What each part of the augmentation brings: train without it, and measure."""

from . import calibration, metrics, predict
from .datasets import Samples, joined
from .training import train


def with_augmented(training: Samples, augmented: Samples) -> Samples:
    """Return the cutouts of a training split with these augmented samples in place of its own."""
    rows = training.origin == "cutout"
    names = ("x", "y", "id", "group", "origin")
    return joined([Samples(**{name: getattr(training, name)[rows] for name in names}), augmented])


def measured(model, calibrate, training: Samples, validation: Samples, test: Samples, keys: tuple) -> dict:
    """Train once, calibrate, and return the measures (`comparison.MEASURES`) of the validation and the test set.

    Parameters
    ----------
    model : skyloom.config.schema.Model
        The network and how it is trained.
    calibrate : skyloom.config.schema.Calibrate
        How it is calibrated.
    training, validation, test : Samples
    keys : tuple
        What the random numbers follow from.

    Returns
    -------
    dict
        ``{"validation": {measure: value}, "test": {...}, "epochs": int}``; the loss is the validation set's in both.
    """
    network, progress = train(model, training, validation, keys)
    logits = {
        name: predict.logits(network, samples.x, calibrate.all_orientations)
        for name, samples in (("validation", validation), ("test", test))
    }
    scale = calibration.fit_scale(logits["validation"], validation.y)
    threshold = calibration.choose_threshold(
        scale.probability(logits["validation"]), validation.y, calibrate.purity, calibrate.confidence
    )
    result: dict = {"epochs": progress.epoch}
    for name, samples in (("validation", validation), ("test", test)):
        probability = scale.probability(logits[name])
        counts = metrics.confusion(samples.y, probability >= threshold.probability)
        found = counts.true_positive + counts.false_positive
        result[name] = {
            "pr_auc": float(metrics.average_precision_score(samples.y, probability)),
            "f1": metrics.f1(counts),
            "purity": counts.true_positive / found if found else 0.0,
            "completeness": counts.true_positive / int(samples.y.sum()),
            "validation_loss": progress.best_loss,
        }
    return result

"""How good a classifier is, every number with an interval."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from astropy.stats import binom_conf_interval
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

BOOTSTRAPS = 1000


@dataclass(frozen=True)
class Interval:
    """A value with its interval; all None where the value is not defined, such as the purity of no candidates."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix in counts."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


def confusion(label: np.ndarray, candidate: np.ndarray) -> Confusion:
    """Return the confusion matrix of labels (0 or 1) and candidates (bool), both of shape (n,)."""
    positive, candidate = np.asarray(label) == 1, np.asarray(candidate, bool)
    return Confusion(
        true_positive=int(np.sum(positive & candidate)),
        false_positive=int(np.sum(~positive & candidate)),
        false_negative=int(np.sum(positive & ~candidate)),
        true_negative=int(np.sum(~positive & ~candidate)),
    )


def proportion(hits: int, total: int, confidence: float) -> Interval:
    """Return hits / total with Wilson's interval (Wilson 1927; Brown, Cai & DasGupta 2001)."""
    if total == 0:
        return Interval(None, None, None)
    low, high = binom_conf_interval(hits, total, confidence, interval="wilson")
    return Interval(hits / total, float(low), float(high))


def f1(table: Confusion) -> float:
    """Return the harmonic mean of purity and completeness, 0 where nothing is found."""
    wrong = table.false_positive + table.false_negative
    return 2 * table.true_positive / (2 * table.true_positive + wrong) if table.true_positive else 0.0


def purity_at(prevalence: float, table: Confusion, confidence: float, random: np.random.Generator) -> Interval:
    """Return the purity that the classifier has where a share `prevalence` of the objects is positive.

    By Bayes' rule from the rates of true and false positives; the interval is that of draws from both rates'
    posteriors with Jeffreys' prior, Beta(1/2, 1/2), since no false positive in a test set is not a rate of zero; it
    is widened to hold the value itself.
    """
    positives = table.true_positive + table.false_negative
    negatives = table.false_positive + table.true_negative
    if not positives or not negatives or not table.true_positive + table.false_positive:
        return Interval(None, None, None)

    def purity(true_rate, false_rate):
        return prevalence * true_rate / (prevalence * true_rate + (1 - prevalence) * false_rate)

    value = purity(table.true_positive / positives, table.false_positive / negatives)
    draws = purity(
        random.beta(table.true_positive + 0.5, table.false_negative + 0.5, 20 * BOOTSTRAPS),
        random.beta(table.false_positive + 0.5, table.true_negative + 0.5, 20 * BOOTSTRAPS),
    )
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(value), float(min(low, value)), float(max(high, value)))


def bootstrap(
    measure: Callable[..., float], arrays: tuple[np.ndarray, ...], confidence: float, random: np.random.Generator
) -> Interval:
    """Return a measure of samples with a percentile interval from `BOOTSTRAPS` resamplings.

    Parameters
    ----------
    measure : callable
        From arrays of shape (n,), the first of which are labels, to a number.
    arrays : tuple of numpy.ndarray
        Labels and whatever else the measure takes.
    confidence : float
        Level of the interval.
    random : numpy.random.Generator
        Draws the resamplings; each class is resampled by itself, so that none can vanish.
    """
    label = arrays[0]
    classes = [np.flatnonzero(label == kind) for kind in (0, 1)]
    values = []
    for _ in range(BOOTSTRAPS):
        rows = np.concatenate([random.choice(members, len(members)) for members in classes])
        values.append(measure(*(array[rows] for array in arrays)))
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(measure(*arrays)), float(low), float(high))


def reliability(label: np.ndarray, probability: np.ndarray, bins: int, confidence: float) -> list[dict]:
    """Return the reliability diagram: what share is positive where a given probability was promised.

    Parameters
    ----------
    label, probability : numpy.ndarray, shape (n,)
    bins : int
        Number of bins of equal width from 0 to 1; empty ones are left out.
    confidence : float
        Level of the interval of the observed share.

    Returns
    -------
    list of dict
        low, high (edges), count, probability (mean), observed, observed_low, observed_high.
    """
    edges = np.linspace(0, 1, bins + 1)
    number = np.clip(np.digitize(probability, edges) - 1, 0, bins - 1)
    rows = []
    for index in np.unique(number):
        inside = number == index
        share = proportion(int(np.sum(label[inside] == 1)), int(inside.sum()), confidence)
        rows.append(
            {
                "low": float(edges[index]),
                "high": float(edges[index + 1]),
                "count": int(inside.sum()),
                "probability": float(probability[inside].mean()),
                "observed": share.value,
                "observed_low": share.low,
                "observed_high": share.high,
            }
        )
    return rows


def calibration_error(label: np.ndarray, probability: np.ndarray, bins: int) -> float:
    """Return the expected calibration error over bins of equal width (Guo et al. 2017, arXiv:1706.04599, eq. 5)."""
    rows = reliability(label, probability, bins, confidence=0.68)
    return sum(row["count"] * abs(row["observed"] - row["probability"]) for row in rows) / len(label)


def scores(
    label: np.ndarray,
    probability: np.ndarray,
    candidate: np.ndarray,
    *,
    prevalence: float,
    confidence: float,
    bins: int,
    random: np.random.Generator,
) -> dict[str, Interval]:
    """Return every measure of a classifier on one set, with its interval.

    Parameters
    ----------
    label, probability, candidate : numpy.ndarray, shape (n,)
        Truth (0 or 1, both present), calibrated probability, and whether it reaches the threshold.
    prevalence : float
        Share of positives in the archive, for the purity there.
    confidence : float
        Level of the intervals.
    bins : int
        Bins of the calibration error.
    random : numpy.random.Generator
        Draws the resamplings.
    """
    table = confusion(label, candidate)
    positives, negatives = int(np.sum(label == 1)), int(np.sum(label == 0))

    def resampled(measure, *arrays):
        return bootstrap(measure, (label, *arrays), confidence, random)

    return {
        "accuracy": proportion(table.true_positive + table.true_negative, len(label), confidence),
        "purity": proportion(table.true_positive, table.true_positive + table.false_positive, confidence),
        "completeness": proportion(table.true_positive, positives, confidence),
        "false_positive_rate": proportion(table.false_positive, negatives, confidence),
        "f1": resampled(lambda truth, found: f1(confusion(truth, found)), candidate),
        "purity_at_prevalence": purity_at(prevalence, table, confidence, random),
        "roc_auc": resampled(roc_auc_score, probability),
        "pr_auc": resampled(average_precision_score, probability),
        "calibration_error": resampled(lambda truth, p: calibration_error(truth, p, bins), probability),
    }


def curves(label: np.ndarray, probability: np.ndarray) -> dict[str, dict[str, list[float]]]:
    """Return the ROC and the purity-completeness curve, each with the thresholds of its points.

    The last point of the second, purity 1 at completeness 0, has no threshold and is left out, as is the first point
    of the ROC, (0, 0) at an infinite threshold.
    """
    false_rate, true_rate, roc_threshold = (values[1:] for values in roc_curve(label, probability))
    purity, completeness, threshold = precision_recall_curve(label, probability)

    def listed(values: np.ndarray) -> list[float]:
        return [round(float(value), 9) for value in values]

    return {
        "roc": {
            "false_positive_rate": listed(false_rate),
            "true_positive_rate": listed(true_rate),
            "threshold": listed(roc_threshold),
        },
        "pr": {
            "purity": listed(purity[:-1]),
            "completeness": listed(completeness[:-1]),
            "threshold": listed(threshold),
        },
    }

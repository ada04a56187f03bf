"""Turn logits into probabilities that can be believed, and choose the probability that makes a candidate."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from ..errors import UserError
from ..files import read_json
from .metrics import Interval, proportion

LOWEST_THRESHOLD = 0.5
"""What is more likely not than so is no candidate, however pure the validation set happens to be."""

KEYS = ("model", "identity", "weights_sha256", "all_orientations", "temperature", "bias", "threshold")
"""What a calibration must hold for its networks to be applied."""


@dataclass(frozen=True)
class Scale:
    """Probability = sigmoid(logit / temperature + bias).

    Attributes
    ----------
    temperature : float
        Above 1 where the network is too sure of itself.
    bias : float
        Log odds between the validation set's share of positives and that which the network was trained with.
    """

    temperature: float
    bias: float

    def probability(self, logit: np.ndarray) -> np.ndarray:
        """Return the calibrated probability of each logit."""
        return expit(np.asarray(logit) / self.temperature + self.bias)


def fit_scale(logit: np.ndarray, label: np.ndarray) -> Scale:
    """Fit temperature and bias to the validation set by least negative log-likelihood.

    Parameters
    ----------
    logit, label : numpy.ndarray, shape (n,)
        Logits of a network, and labels 0 or 1.

    Returns
    -------
    Scale

    Notes
    -----
    Temperature scaling (Guo et al. 2017, arXiv:1706.04599) with a bias (Alexandari et al. 2020, arXiv:1901.06852),
    because class weights shift a network's log odds by a constant. Labels are softened in the manner of Platt (1999),
    by half a sample of the other class (Jeffreys' prior) instead of a whole one: a small validation set that is split
    without an error would otherwise ask for a temperature of zero.
    """
    label = np.asarray(label)
    positives, negatives = np.sum(label == 1), np.sum(label == 0)
    target = np.where(label == 1, (positives + 0.5) / (positives + 1), 0.5 / (negatives + 1))
    # In units of the logits' own spread the fit starts near its end, whatever the network's scale.
    unit = max(float(np.std(logit)), 1e-6)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        slope, bias = np.exp(parameters[0]), parameters[1]
        scaled = slope * logit / unit + bias
        difference = expit(scaled) - target
        value = np.mean(np.logaddexp(0, scaled) - target * scaled)
        return value, np.array([np.mean(difference * slope * logit / unit), np.mean(difference)])

    fit = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-7, 7), (-20, 20)])
    return Scale(temperature=float(unit / np.exp(fit.x[0])), bias=float(fit.x[1]))


@dataclass(frozen=True)
class Threshold:
    """The lowest probability of a candidate.

    Attributes
    ----------
    probability : float
        The threshold.
    reached : bool
        Whether the wanted purity is reached on the validation set; if not, the threshold is the purest there is.
    purity, completeness : Interval
        Of the candidates in the validation set.
    candidates : int
        Their number.
    """

    probability: float
    reached: bool
    purity: Interval
    completeness: Interval
    candidates: int


def choose_threshold(probability: np.ndarray, label: np.ndarray, purity: float, confidence: float) -> Threshold:
    """Return the lowest threshold that has the wanted purity by two estimates at once.

    Parameters
    ----------
    probability, label : numpy.ndarray, shape (n,)
        Calibrated probabilities of the validation set, and labels 0 or 1.
    purity : float
        Wanted share of true positives among the candidates.
    confidence : float
        Level of the intervals.

    Returns
    -------
    Threshold

    Notes
    -----
    The raw purity above a threshold jumps up and down with single objects, and its lowest crossing is often a lucky
    gap. Two estimates that can only rise with the threshold are used instead: the mean of an isotonic fit to the
    labels, which counts, and the mean of the calibrated probabilities, which still tells thresholds apart where a
    small validation set has no error left. The threshold lies midway, in log odds, between the last object that is
    taken and the first that is not, and never below `LOWEST_THRESHOLD`.
    """
    order = np.argsort(-probability, kind="stable")
    score, hit = probability[order], label[order]
    isotonic = IsotonicRegression(y_min=0, y_max=1).fit_transform(score, hit)
    count = np.arange(1, len(score) + 1)
    expected = np.minimum(np.cumsum(isotonic), np.cumsum(score)) / count
    # Objects of equal score stand or fall together, so a cut is possible only where the score drops.
    cuts = np.flatnonzero(np.append(score[1:] < score[:-1], True))
    good = cuts[expected[cuts] >= purity]
    last = int(good[-1]) if len(good) else int(cuts[np.argmax(expected[cuts])])
    below = score[last + 1] if last + 1 < len(score) else score[last]
    threshold = max(_midway(score[last], below), LOWEST_THRESHOLD)
    chosen = probability >= threshold
    hits = int(np.sum(label[chosen] == 1))
    return Threshold(
        probability=threshold,
        reached=bool(len(good)),
        purity=proportion(hits, int(chosen.sum()), confidence),
        completeness=proportion(hits, int(np.sum(label == 1)), confidence),
        candidates=int(chosen.sum()),
    )


def _midway(upper: float, lower: float) -> float:
    """Return the probability midway between two in log odds; never above the upper one, by rounding either."""
    upper_odds, lower_odds = (np.log(p) - np.log1p(-p) for p in np.clip([upper, lower], 1e-12, 1 - 1e-12))
    return float(min(expit((upper_odds + lower_odds) / 2), upper))


def spread(member_probability: np.ndarray) -> np.ma.MaskedArray:
    """Return the standard deviation of the members' probabilities, masked where there is but one member.

    Parameters
    ----------
    member_probability : numpy.ndarray, shape (members, n)

    Returns
    -------
    numpy.ma.MaskedArray, shape (n,)
    """
    members, samples = member_probability.shape
    if members < 2:
        return np.ma.masked_all(samples)
    return np.ma.array(np.std(member_probability, axis=0, ddof=1), mask=np.zeros(samples, bool))


@dataclass(frozen=True)
class Applied:
    """What a calibrated ensemble says of n objects: arrays of shape (n,)."""

    logit: np.ndarray
    probability: np.ndarray
    spread: np.ma.MaskedArray
    candidate: np.ndarray


def apply(calibration: dict, member_logit: np.ndarray) -> Applied:
    """Return calibrated results from the members' logits.

    Parameters
    ----------
    calibration : dict
        As `calibrate.py` writes it; temperature, bias and threshold are used.
    member_logit : numpy.ndarray, shape (members, n)
        Logits; an ensemble's logit is their mean.
    """
    scale = Scale(calibration["temperature"], calibration["bias"])
    logit = member_logit.mean(axis=0)
    probability = scale.probability(logit)
    return Applied(logit, probability, spread(scale.probability(member_logit)), probability >= calibration["threshold"])


def read(path: str | Path) -> dict:
    """Return a calibration as `calibrate.py` wrote it.

    Raises
    ------
    UserError
        If the file is not a calibration.
    """
    calibration = read_json(path)
    missing = [key for key in KEYS if key not in calibration]
    if missing:
        raise UserError(f"{path}: has no `{missing[0]}`, so it is not a calibration; make it by calibrate.py.")
    return calibration

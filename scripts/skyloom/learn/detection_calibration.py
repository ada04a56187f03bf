"""Calibrate a chain's detections on validation cubes: probabilities, errors, and the threshold of a stated purity."""

from dataclasses import asdict

import numpy as np
from astropy.table import Table

from ..detect.match_sources import match_sources
from ..errors import UserError
from .detection_scores import choose_threshold, residuals

MEASURED = ("x", "y", "z", "line_fwhm", "flux", "fwhm_major", "fwhm_minor", "pa")
FEATURES = ("score", "snr", "matched_snr")
BIN = 80
"""Matched sources that are enough for a factor of their own; fewer share one."""
CERTAINTY = 0.9
"""One-sided, that the purity above the threshold is the one that is wanted."""
_ONE_SIGMA = 68.27


def features(detections: Table) -> np.ndarray:
    """Return what a probability is made of: log odds of the map's peak, logs of both S/N; shape (n, 3)."""
    score = np.clip(np.asarray(detections["score"], float), 1e-4, 1 - 1e-4)
    logs = [np.log(np.maximum(np.asarray(detections[name], float), 0.1)) for name in FEATURES[1:]]
    return np.stack([np.log(score / (1 - score)), *logs], axis=1)


def calibrate(truth: Table, detections: Table, settings) -> dict:
    """Return the calibration of a chain.

    Parameters
    ----------
    truth, detections : astropy.table.Table
        Of the validation cubes.
    settings : skyloom.cases.alma_cubes.Search
        `purity` is used.

    Returns
    -------
    dict
        ``probability`` (weights and bias of the features), ``errors`` (for every quantity factors of its error and the
        S/N that they belong to), ``threshold`` of the probability, and what it reaches on the validation cubes.

    Raises
    ------
    UserError
        If nothing, or nothing true, was found.
    """
    matched = match_sources(truth, detections, spectral=True)
    true = np.isin(np.arange(len(detections)), matched[matched >= 0])
    if not true.any():
        raise UserError("no source of the validation cubes was found; train longer, or lower `search.map_threshold`.")
    weights, bias = probability_of(features(detections), true)
    scored = detections.copy()
    scored["score"] = sigmoid(features(detections) @ weights + bias)
    matched = match_sources(truth, scored, spectral=True)
    threshold = choose_threshold(truth, scored, matched, settings.purity, CERTAINTY)
    return {
        "probability": {"weights": weights.tolist(), "bias": bias},
        "errors": _error_factors(residuals(truth, scored, matched)),
        "threshold": threshold.score,
        "reached": asdict(threshold),
        "wanted_purity": settings.purity,
    }


def probability_of(given: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, float]:
    """Return weights and bias of the log odds that a detection is real, of features (n, k) and what is (n,)."""
    # Not at the head: a search needs no scikit-learn, whose import takes longer than that of all else here.
    from sklearn.linear_model import LogisticRegression

    if true.all():
        # Without a false detection there is nothing to fit; then the map's own odds serve.
        return np.array([1.0, *np.zeros(given.shape[1] - 1)]), 0.0
    fitted = LogisticRegression(C=1.0, max_iter=1000).fit(given, true)
    return fitted.coef_[0], float(fitted.intercept_[0])


def sigmoid(value: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-value))."""
    return 1 / (1 + np.exp(-np.clip(value, -40, 40)))


def _error_factors(rows: Table) -> dict[str, dict]:
    """Return for each quantity the factors that make 68.27 % of the residuals lie within one error, by S/N."""
    factors = {}
    for name in MEASURED:
        if f"{name}_pull" not in rows.colnames:
            continue
        pull = np.abs(np.ma.filled(np.ma.asarray(rows[f"{name}_pull"], float), np.nan))
        known = np.isfinite(pull)
        if not known.any():
            continue
        snr, pull = np.asarray(rows["snr"], float)[known], pull[known]
        parts = np.array_split(np.argsort(snr, kind="stable"), max(1, min(5, known.sum() // BIN)))
        factors[name] = {
            "snr": [float(np.exp(np.mean(np.log(snr[part])))) for part in parts],
            "factor": [float(max(np.percentile(pull[part], _ONE_SIGMA), 0.05)) for part in parts],
        }
    return factors


def apply(calibration: dict, detections: Table) -> Table:
    """Return detections with calibrated errors and probabilities, which become their score.

    Parameters
    ----------
    calibration : dict
        From `calibrate`.
    detections : astropy.table.Table
        As the chain gives them.
    """
    result = detections.copy()
    if not len(result):
        for name in ("map_score", "probability", "candidate"):
            result[name] = np.zeros(0, bool if name == "candidate" else float)
        return result
    given = calibration["probability"]
    probability = sigmoid(features(detections) @ np.array(given["weights"]) + given["bias"])
    result["map_score"] = detections["score"]
    result["score"] = result["probability"] = probability.round(6)
    result["candidate"] = probability >= calibration["threshold"]
    log_snr = np.log(np.maximum(np.asarray(detections["snr"], float), 1e-3))
    for name, factor in calibration["errors"].items():
        if f"{name}_error" in result.colnames:
            scale = np.exp(np.interp(log_snr, np.log(factor["snr"]), np.log(factor["factor"])))
            result[f"{name}_error"] = np.asarray(result[f"{name}_error"], float) * scale
    return result

"""Calibrate the candidates in counts maps on the validation maps: probabilities, radii, and a threshold."""

from dataclasses import asdict

import numpy as np
from astropy.table import Table

from ..detect.match_sources import match_sources, values
from ..errors import UserError
from .detection_calibration import probability_of, sigmoid
from .metrics import proportion

FEATURES = ("score", "snr", "photons")
DISTANCE = 0.2
"""Largest distance of a candidate from its source [deg]."""
LOWEST_SNR = 5.0
"""What is less significant need not be found."""
BIN = 100
"""Matched sources that are enough for radii of their own; fewer share them."""
LEVELS = {"radius68": 68.27, "radius95": 95.45}


def features(detections: Table) -> np.ndarray:
    """Return what a probability is made of: logarithms of the significances and the photons; shape (n, 3)."""
    return np.stack([np.log(values(detections, name) + 0.1) for name in FEATURES], axis=1)


def matches(truth: Table, detections: Table) -> np.ndarray:
    """Return for each true source the row of its candidate, or -1; detections tell the size of a pixel."""
    return match_sources(truth, detections, DISTANCE / detections.meta["pixel"], iou=None)


def calibrate(truth: Table, detections: Table, settings) -> dict:
    """Return the calibration of a chain.

    Parameters
    ----------
    truth, detections : astropy.table.Table
        Of the validation maps; the detections' header has the number of maps as ``cubes``, and ``pixel`` [deg].
    settings : skyloom.cases.cherenkov.Search
        `false_rate` is used.

    Returns
    -------
    dict
        ``probability`` (weights and bias of the features), ``errors`` (radii in units of the network's own error, and
        factors of the photons and of their error, by the score), ``threshold`` of the probability, and what it has
        ``reached`` on the validation maps.

    Raises
    ------
    UserError
        If no source was found.
    """
    matched = matches(truth, detections)
    true = np.isin(np.arange(len(detections)), matched)
    if not true.any():
        raise UserError("no source of the validation maps was found; train longer, or lower `search.lowest_score`.")
    weights, bias = probability_of(features(detections), true)
    probability = sigmoid(features(detections) @ weights + bias)
    maps = int(detections.meta["cubes"])
    threshold = _highest_false(probability[~true], settings.false_rate * maps)
    wanted = values(truth, "snr") >= LOWEST_SNR
    kept = probability >= threshold
    found = np.where(matched >= 0, kept[matched], False)
    return {
        "probability": {"weights": weights.tolist(), "bias": bias},
        "errors": _radii(truth, detections, matched),
        "threshold": threshold,
        "reached": {
            "reached": bool(settings.false_rate * maps >= 1),
            "detections": int(kept.sum()),
            "purity": asdict(proportion(int((kept & true).sum()), int(kept.sum()), settings.confidence)),
            "completeness": asdict(proportion(int((found & wanted).sum()), int(wanted.sum()), settings.confidence)),
            "false_rate": float((kept & ~true).sum() / maps),
        },
        "wanted_false_rate": settings.false_rate,
    }


def threshold_of(truth: Table, detections: Table, false_rate: float) -> float:
    """Return the lowest score above which no more candidates a map are false."""
    true = np.isin(np.arange(len(detections)), matches(truth, detections))
    return _highest_false(values(detections, "score")[~true], false_rate * int(detections.meta["cubes"]))


def _highest_false(false: np.ndarray, allowed: float) -> float:
    """Return the least score above which there are no more false candidates than allowed."""
    ranked = np.sort(false[np.isfinite(false)])[::-1]
    return float(np.nextafter(ranked[int(allowed)], np.inf)) if len(ranked) > int(allowed) else 0.0


def _radii(truth: Table, detections: Table, matched: np.ndarray) -> dict:
    """Return the radii that hold 68 % and 95 % of the sources, over the network's error, for parts of the scores.

    ``scale`` is what makes the median of the photons true, and ``photons`` the factor by which their error then holds
    68 %. Of faint sources, the median says more about the fluxes that were drawn than about the search: they stay.
    """
    found = matched >= 0
    rows = matched[found]
    dx, dy = (values(detections, axis)[rows] - values(truth, axis)[found] for axis in "xy")
    error = np.sqrt(values(detections, "x_error")[rows] * values(detections, "y_error")[rows])
    ratio, score = np.hypot(dx, dy) / error, values(detections, "score")[rows]
    measured, true = values(detections, "photons")[rows], values(truth, "counts")[found]
    parts = np.array_split(np.argsort(score, kind="stable"), max(1, min(8, len(score) // BIN)))
    levels = [float(np.exp(np.mean(np.log(score[part])))) for part in parts]
    scale = [
        1 / float(np.median(measured[part] / np.maximum(true[part], 1))) if level >= LOWEST_SNR else 1.0
        for part, level in zip(parts, levels, strict=True)
    ]
    pulls = [
        np.abs(factor * measured[part] - true[part]) / (factor * values(detections, "photons_error")[rows][part])
        for part, factor in zip(parts, scale, strict=True)
    ]
    return {
        "score": levels,
        **{name: [float(np.percentile(ratio[part], level)) for part in parts] for name, level in LEVELS.items()},
        "scale": scale,
        "photons": [float(np.percentile(pull, LEVELS["radius68"])) for pull in pulls],
    }


def apply(calibration: dict, detections: Table) -> Table:
    """Return candidates with calibrated errors, radii and probabilities, which become their score.

    Parameters
    ----------
    calibration : dict
        From `calibrate`.
    detections : astropy.table.Table
        As the chain gives them.

    Returns
    -------
    astropy.table.Table
        With ``significance`` (the score before), ``probability``, ``candidate``, and ``radius68`` and ``radius95``
        [pix]. The errors along each axis are those of a round Gaussian with the radius of 68 %.
    """
    result = detections.copy()
    given, radii = calibration["probability"], calibration["errors"]
    score = values(detections, "score")
    probability = sigmoid(features(detections) @ np.array(given["weights"]) + given["bias"])
    result["significance"] = score
    result["score"] = result["probability"] = probability.round(6)
    result["candidate"] = probability >= calibration["threshold"]
    error = np.sqrt(values(detections, "x_error") * values(detections, "y_error"))
    place = np.log(np.maximum(score, 1e-3))
    factor = {
        name: np.exp(np.interp(place, np.log(radii["score"]), np.log(np.maximum(radii[name], 1e-3))))
        for name in (*LEVELS, "scale", "photons")
    }
    result["photons"] = factor["scale"] * values(detections, "photons")
    result["photons_error"] = factor["scale"] * factor["photons"] * values(detections, "photons_error")
    for name in ("photons", "photons_error"):
        result[name].unit = "ct"
    for name in LEVELS:
        result[name] = factor[name] * error
        result[name].unit = "pix"
    one = np.sqrt(-2 * np.log(1 - LEVELS["radius68"] / 100))
    for axis in "xy":
        result[f"{axis}_error"] = result["radius68"] / one
        result[f"{axis}_error"].unit = "pix"
    return result

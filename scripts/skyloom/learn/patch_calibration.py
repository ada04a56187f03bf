"""Calibrate the sources found in gamma-ray patches on validation patches: probabilities, errors, and a threshold."""

from dataclasses import asdict

import numpy as np
from astropy.table import Table
from scipy.optimize import minimize_scalar

from ..detect.match_sources import accepted, values
from ..errors import UserError
from .detection_calibration import CERTAINTY, probability_of, sigmoid
from .detection_scores import choose_threshold
from .metrics import proportion
from .patch_matching import (
    KINDS,
    LOWEST_SNR,
    ONE_SIGMA,
    ROUND,
    chance,
    in_core,
    judged,
    mahalanobis,
    matches,
    residuals,
    within,
)
from .patch_shifts import looked_up, shifts, systematic

BRIGHT = 1e-9
"""Fluxes from here on are measured well enough to tell a bias from the chance by which faint ones pass [cm-2 s-1]."""
DETECTABLE = 3.16e-10
"""Flux of sources from which on completeness is told in one number [cm-2 s-1]."""
BIN = 150
"""Matched sources that are enough for factors of their own; fewer share them."""
PARTS = ("high", "low")
"""Regions that have factors of their own: sources at low latitudes are confused more often."""
LEVELS = {"radius68": ONE_SIGMA, "radius95": 95.45}
_ADDED = ("radius68", "radius95", "ellipse_major", "ellipse_minor", "ellipse_pa")


def features(detections: Table) -> np.ndarray:
    """Return what a probability is made of, shape (n, 4).

    The classifier's logit, logarithms of the map's score and the S/N, and the sine of the latitude without its sign.
    """
    return np.stack(
        [
            np.clip(values(detections, "real"), -20, 20),
            np.log(np.maximum(values(detections, "score"), 1e-4)),
            np.log(np.maximum(values(detections, "snr"), 0.1)),
            np.abs(np.sin(np.radians(values(detections, "lat")))),
        ],
        axis=1,
    )


def calibrate(truth: Table, detections: Table, settings) -> dict:
    """Return the calibration of a chain.

    Parameters
    ----------
    truth, detections : astropy.table.Table
        Of the validation patches. The detections' header has their number as ``cubes`` and the side of a ``pixel``
        [deg]. Patches whose truth has a ``tracer`` other than 0 are the same sky as those half their number before,
        with other diffuse emission: they tell the systematic errors, and nothing else.
    settings : skyloom.cases.fermi_sources.Search
        `purity` and `confidence` are used.

    Returns
    -------
    dict
        ``probability`` (weights and bias of the `features`), ``errors`` (for each of `PARTS` factors of the position's
        errors by the S/N, and of the flux and its error by the flux), ``temperature`` of the kinds, ``systematic``
        (`skyloom.learn.patch_shifts.systematic`), ``threshold`` of the probability and what it has ``reached``,
        ``roc`` (area, and the thresholds of the probability and of the classifier alone at the largest difference of
        true and false rate), and how many detections would have a source by ``chance``.

    Raises
    ------
    UserError
        If no source was found.
    """
    other = np.unique(np.asarray(truth["cube"])[values(truth, "tracer") != 0])
    sides = [
        (truth[np.isin(truth["cube"], other) == is_other], detections[np.isin(detections["cube"], other) == is_other])
        for is_other in (False, True)
    ]
    own_truth, own = sides[0]
    core = in_core(own)
    true = np.isin(np.arange(len(own)), matches(own_truth, own))
    if not (true & core).any():
        raise UserError("no source of the validation patches was found; train longer, or lower `search.lowest_score`.")
    weights, bias = probability_of(features(own)[core], true[core])
    calibration = {"probability": {"weights": weights.tolist(), "bias": bias}}

    scored = own.copy()
    scored["score"] = sigmoid(features(own) @ weights + bias)
    matched = matches(own_truth, scored)
    threshold = choose_threshold(*judged(own_truth, scored, matched), settings.purity, CERTAINTY, lowest_snr=LOWEST_SNR)
    kept = accepted(matched, scored, threshold.score)
    wanted = np.asarray(own_truth["core"], bool) & (values(own_truth, "flux") >= DETECTABLE)
    completeness = proportion(int((kept[wanted] >= 0).sum()), int(wanted.sum()), settings.confidence)
    calibration |= {
        "threshold": threshold.score,
        "reached": asdict(threshold) | {"completeness": asdict(completeness)},
        "wanted_purity": settings.purity,
        "roc": _roc(scored, np.isin(np.arange(len(own)), matched), core),
        "chance": chance(own_truth, own, settings.confidence),
    }
    # Of candidates, if there are enough: fainter ones have a source by chance too often to tell how near it is.
    sure = kept if (kept >= 0).sum() >= BIN else matched
    sure = np.where(np.append(core, False)[sure], sure, -1)
    sure = sure if (sure >= 0).any() else matched
    calibration["errors"] = {part: _factors(own_truth, scored, sure, part) for part in PARTS}
    calibration["temperature"] = _temperature(
        _shares(scored[sure[sure >= 0]]), np.asarray(own_truth["kind"][sure >= 0], int)
    )

    half = int(detections.meta["cubes"]) // 2
    tables = []
    for side_truth, side in sides:
        found = apply(calibration, side)
        rows = residuals(side_truth, found, _candidates(side_truth, found))
        rows["cube"] = np.asarray(rows["cube"]) % half if half else rows["cube"]
        tables.append(rows)
    calibration["systematic"] = systematic(tables[1], shifts(*tables))
    return calibration


def _candidates(truth: Table, found: Table) -> np.ndarray:
    """Return the matches of the candidates in the core."""
    kept = np.append(in_core(found) & np.asarray(found["candidate"], bool), False)
    matched = matches(truth, found)
    return np.where(kept[matched], matched, -1)


def _roc(scored: Table, true: np.ndarray, core: np.ndarray) -> dict:
    """Return the area under the ROC, and the best thresholds (Youden 1950), of probability and classifier."""
    # Not at the head: a search needs no scikit-learn, whose import takes longer than that of all else here.
    from sklearn.metrics import roc_curve

    label = true[core]
    if label.all() or not label.any():
        return {"area": None, "probability": None, "classifier": None}
    given = {"probability": values(scored, "score")[core], "classifier": sigmoid(values(scored, "real")[core])}
    result = {}
    for name, value in given.items():
        false_rate, true_rate, threshold = roc_curve(label, value)
        result[name] = float(threshold[np.argmax(true_rate - false_rate)])
        if name == "classifier":
            result["area"] = float(np.trapezoid(true_rate, false_rate))
    return result


def _parts(value: np.ndarray, most: int = 8) -> list[np.ndarray]:
    """Return the rows of parts of rising value, each large enough for factors of its own."""
    return np.array_split(np.argsort(value, kind="stable"), max(1, min(most, len(value) // BIN)))


def _middle(value: np.ndarray) -> float:
    return float(np.exp(np.mean(np.log(np.maximum(value, 1e-30)))))


def _shares(detections: Table) -> np.ndarray:
    """Return the probabilities of the kinds, shape (n, kinds)."""
    return np.stack([values(detections, f"p_{kind}") for kind in KINDS], axis=1)


def _factors(truth: Table, detections: Table, matched: np.ndarray, part: str) -> dict:
    """Return the factors of the errors of positions and fluxes at some latitudes; of all, where too few are known."""
    found = matched >= 0
    true, rows = truth[found], detections[matched[found]]
    inside = within(rows, part)
    if inside.sum() >= BIN:
        true, rows = true[inside], rows[inside]
    dx, dy = (values(rows, axis) - values(true, axis) for axis in "xy")
    errors = [values(rows, name) for name in ("x_error", "y_error", "xy_correlation")]
    apart, sigmas = np.hypot(dx, dy) / np.sqrt(errors[0] * errors[1]), mahalanobis(dx, dy, *errors)
    snr = values(rows, "snr")
    parts = _parts(snr)
    positions = {"snr": [_middle(snr[part]) for part in parts]}
    positions |= {name: [float(np.percentile(apart[part], level)) for part in parts] for name, level in LEVELS.items()}
    positions["ellipse"] = [float(np.percentile(sigmas[part], ONE_SIGMA)) / ROUND for part in parts]

    flux, error, wanted = values(rows, "flux"), values(rows, "flux_error"), values(true, "flux")
    bright = np.flatnonzero(flux >= BRIGHT)
    scale = {"flux": [BRIGHT], "scale": [1.0]}
    if len(bright) >= BIN // 5:
        some = [bright[part] for part in _parts(flux[bright], 4)]
        scale["flux"] = [_middle(flux[part]) for part in some]
        scale["scale"] = [1 / float(np.median(flux[part] / wanted[part])) for part in some]
    scaled = _interpolated(scale["flux"], scale["scale"], flux)
    pull = np.abs(scaled * flux - wanted) / (scaled * error)
    parts = _parts(flux)
    factor = {
        "flux": [_middle(flux[part]) for part in parts],
        "factor": [float(np.percentile(pull[part], ONE_SIGMA)) for part in parts],
    }
    return {"position": positions, "scale": scale, "flux": factor}


def _interpolated(at: list[float], given: list[float], value: np.ndarray) -> np.ndarray:
    """Return factors between those that are given, both logarithmically, and constant beyond them."""
    logs = np.log(np.maximum(given, 1e-3))
    return np.exp(np.interp(np.log(np.maximum(value, 1e-30)), np.log(np.maximum(at, 1e-30)), logs))


def _cooled(shares: np.ndarray, temperature: float) -> np.ndarray:
    """Return probabilities of kinds whose log odds are divided by a temperature, shape (n, kinds)."""
    logs = np.log(np.clip(shares, 1e-9, 1)) / temperature
    powers = np.exp(logs - logs.max(axis=1, keepdims=True)) if len(logs) else logs
    return powers / powers.sum(axis=1, keepdims=True)


def _temperature(shares: np.ndarray, kind: np.ndarray) -> float:
    """Return the temperature of the least negative log-likelihood (Guo et al. 2017, arXiv:1706.04599)."""

    def loss(log_temperature: float) -> float:
        given = _cooled(shares, np.exp(log_temperature))[np.arange(len(kind)), kind]
        return -float(np.mean(np.log(np.maximum(given, 1e-12))))

    return float(np.exp(minimize_scalar(loss, bounds=(-2, 2), method="bounded").x))


def apply(calibration: dict, detections: Table) -> Table:
    """Return detections with calibrated probabilities, which become their score, fluxes and errors.

    Parameters
    ----------
    calibration : dict
        From `calibrate`.
    detections : astropy.table.Table
        As the chain gives them, with the Galactic latitude as ``lat`` [deg], and the side of a ``pixel`` [deg] in the
        header.

    Returns
    -------
    astropy.table.Table
        With ``map_score`` (the score before), ``probability``, ``candidate``; ``radius68`` and ``radius95`` [pix];
        x_error and y_error [pix], one standard deviation; the ellipse that holds 68.27 %, ``ellipse_major`` and
        ``ellipse_minor`` (half axes [pix]) and ``ellipse_pa`` [deg], from the patch's North through its East;
        flux and flux_error [cm-2 s-1]; p_agn, p_pulsar, p_other, the most likely ``kind`` and its
        ``kind_probability``; and systematic errors: ``flux_systematic`` (a share of the flux), ``pos_systematic`` (one
        standard deviation along each axis [deg]) and ``probability_systematic``, NaN where they are not known.
    """
    result = detections.copy()
    given = calibration["probability"]
    probability = sigmoid(features(detections) @ np.array(given["weights"]) + given["bias"])
    result["map_score"] = values(detections, "score")
    result["score"] = result["probability"] = probability.round(6)
    result["candidate"] = probability >= calibration["threshold"]

    factors = _all_factors(calibration["errors"], detections)
    said = [values(detections, f"{axis}_error") for axis in "xy"]
    for name in LEVELS:
        result[name] = factors[name] * np.sqrt(said[0] * said[1])
    x_error, y_error = (factors["ellipse"] * error for error in said)
    result["x_error"], result["y_error"] = x_error, y_error
    ellipse = ellipses(x_error, y_error, values(detections, "xy_correlation"))
    result["ellipse_major"], result["ellipse_minor"], result["ellipse_pa"] = ellipse
    for name in ("x_error", "y_error", *_ADDED):
        result[name].unit = "deg" if name == "ellipse_pa" else "pix"
    result["flux"] = factors["scale"] * values(detections, "flux")
    result["flux_error"] = factors["scale"] * factors["flux"] * values(detections, "flux_error")
    for name in ("flux", "flux_error"):
        result[name].unit = "cm-2 s-1"

    shares = _shares(detections)
    shares = _cooled(shares, calibration["temperature"]) if len(shares) else shares
    for number, kind in enumerate(KINDS):
        result[f"p_{kind}"] = shares[:, number]
    result["kind"] = np.array(KINDS)[np.argmax(shares, axis=1)] if len(shares) else np.zeros(0, "U6")
    result["kind_probability"] = shares.max(axis=1) if len(shares) else np.zeros(0)

    known = calibration.get("systematic")
    place = known, values(detections, "lat"), np.asarray(result["flux"], float)
    result["flux_systematic"] = looked_up(place[0], "flux", *place[1:])
    result["pos_systematic"] = looked_up(place[0], "position", *place[1:])
    result["pos_systematic"].unit = "deg"
    sure = np.clip(probability, 1e-6, 1 - 1e-6)
    result["probability_systematic"] = sure * (1 - sure) * looked_up(place[0], "logit", *place[1:])
    return result


def _all_factors(errors: dict[str, dict], detections: Table) -> dict[str, np.ndarray]:
    """Return every factor of every detection, by the calibration of its latitude."""
    snr, flux = values(detections, "snr"), values(detections, "flux")
    factors = {name: np.ones(len(detections)) for name in (*LEVELS, "ellipse", "scale", "flux")}
    for part, given in errors.items():
        some = within(detections, part)
        for name in (*LEVELS, "ellipse"):
            factors[name][some] = _interpolated(given["position"]["snr"], given["position"][name], snr[some])
        for name, of in (("scale", "scale"), ("flux", "factor")):
            factors[name][some] = _interpolated(given[name]["flux"], given[name][of], flux[some])
    return factors


def ellipses(x_error: np.ndarray, y_error: np.ndarray, correlation: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the half axes of the ellipses that hold 68.27 % of correlated Gaussians, and their position angles [deg].

    Angles are from y (North) through -x (East), from 0 to 180; all arrays are of shape (n,).
    """
    xy = np.clip(correlation, -0.999, 0.999) * x_error * y_error
    middle, half = (x_error**2 + y_error**2) / 2, (x_error**2 - y_error**2) / 2
    root = np.hypot(half, xy)
    # The major axis is at half the angle of (half, xy) from x.
    along = np.arctan2(xy, half) / 2
    angle = np.degrees(np.arctan2(-np.cos(along), np.sin(along))) % 180
    return ROUND * np.sqrt(middle + root), ROUND * np.sqrt(np.maximum(middle - root, 0)), angle

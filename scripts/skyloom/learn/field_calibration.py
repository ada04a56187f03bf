"""Calibrate the search for diffuse emission on validation fields: probabilities, kinds, fluxes, and thresholds."""

from dataclasses import asdict

import numpy as np
from astropy.table import Table

from ..detect.match_sources import values
from ..errors import UserError
from .detection_calibration import sigmoid
from .field_tables import BEAM, KINDS, OUTPUTS
from .metrics import proportion

SHARED = 0.25
"""An island is real if emission that can be seen covers this share of its pixels."""
_ONE_SIGMA = 68.27
_SMALLEST = 1e-6
FEWEST = 15
"""Matched islands that are enough for a scale of their fluxes."""
LARGEST_SCALE = 2.0
"""By which fluxes are corrected at most."""


def fields_of(detections: Table) -> Table:
    """Return the rows of fields, in the order of their numbers."""
    fields = detections[values(detections, "island") == 0]
    return fields[np.argsort(values(fields, "cube"), kind="stable")]


def islands_of(detections: Table) -> Table:
    """Return the rows of islands."""
    return detections[values(detections, "island") > 0]


def present(truth: Table, fields: Table) -> np.ndarray:
    """Return which of `OUTPUTS` each field has to be seen, (n, 4), bool."""
    seen = np.asarray(truth["visible"], bool) & (values(truth, "kind") >= 0)
    kind, cube = np.minimum(values(truth, "kind"), len(KINDS) - 1), values(truth, "cube")
    numbers = values(fields, "cube")
    result = [np.isin(numbers, cube[seen])]
    result += [np.isin(numbers, cube[seen & (kind == number)]) for number in range(len(KINDS))]
    return np.stack(result, axis=1)


def field_features(fields: Table, output: str) -> np.ndarray:
    """Return what the probability of one of `OUTPUTS` is made of, (n, 5)."""
    odds = [np.nan_to_num(values(fields, f"odds_{name}")) for name in (output, "emission")]
    region = np.log(np.clip(np.nan_to_num(values(fields, "region_mean")), 0, 1) + 1e-4)
    snr = np.log1p(np.maximum(values(fields, "snr"), 0))
    return np.stack([*odds, region, snr, values(fields, "mean_probability")], axis=1)


def island_features(islands: Table) -> np.ndarray:
    """Return what the probability that an island is real is made of, (n, 7)."""
    chance = np.clip(values(islands, "mean_probability"), 1e-3, 1 - 1e-3)
    logs = [np.log(np.maximum(values(islands, name), 0.1)) for name in ("snr", "area", "brightness")]
    odds = np.nan_to_num(values(islands, "odds_emission"))
    distance = np.minimum(np.nan_to_num(values(islands, "distance_r500"), nan=1.0), 4.0)
    return np.stack([np.log(chance / (1 - chance)), *logs, odds, values(islands, "concentration"), distance], axis=1)


def kind_features(islands: Table) -> np.ndarray:
    """Return what the kind of an island is made of, (n, 8)."""
    distance = np.minimum(np.nan_to_num(values(islands, "distance_r500"), nan=1.0), 4.0)
    size = values(islands, "las") / np.maximum(values(islands, "distance"), 1)
    odds = [np.nan_to_num(values(islands, f"odds_{name}")) / 4 for name in KINDS]
    shape = [values(islands, name) for name in ("elongation", "aligned", "concentration")]
    return np.stack([distance, np.log(np.clip(np.nan_to_num(size, nan=1.0), 0.1, 10)), *shape, *odds], axis=1)


def logistic(given: np.ndarray, true: np.ndarray) -> dict:
    """Return a logistic regression of features (n, k) as lists: their means and scales, weights and bias."""
    # Not at the head: a search needs no scikit-learn, whose import takes longer than that of all else here.
    from sklearn.linear_model import LogisticRegression

    mean, scale = given.mean(axis=0), np.maximum(given.std(axis=0), 1e-6)
    if true.all() or not true.any():
        # Nothing to fit: all that is known is how often it is so.
        bias = float(np.log((true.sum() + 0.5) / ((~true).sum() + 0.5)))
        weights = np.zeros(given.shape[1])
    else:
        fitted = LogisticRegression(C=1.0, max_iter=2000).fit((given - mean) / scale, true)
        weights, bias = fitted.coef_[0], float(fitted.intercept_[0])
    return {"mean": mean.tolist(), "scale": scale.tolist(), "weights": weights.tolist(), "bias": bias}


def chance(fitted: dict, given: np.ndarray) -> np.ndarray:
    """Return the probabilities that `logistic` has fitted, (n,)."""
    given = (given - np.array(fitted["mean"])) / np.array(fitted["scale"])
    return sigmoid(given @ np.array(fitted["weights"]) + fitted["bias"])


def matched_components(truth: Table, islands: Table) -> np.ndarray:
    """Return for each island the row of the component of truth that it is most likely of, or -1.

    It is the one that can be seen whose middle is nearest, in units of half the sum of both sizes; beyond one, none is.
    """
    seen = np.flatnonzero(np.asarray(truth["visible"], bool) & (values(truth, "kind") >= 0))
    cube, x, y = (values(truth, name)[seen] for name in ("cube", "x", "y"))
    reach = values(truth, "size")[seen] / values(truth, "pixel")[seen]
    result = np.full(len(islands), -1)
    for number, row in enumerate(islands):
        own = np.flatnonzero(cube == row["cube"])
        if not len(own):
            continue
        half = (reach[own] + row["las"] / values(truth, "pixel")[seen[own]]) / 2
        distance = np.hypot(x[own] - row["x"], y[own] - row["y"]) / np.maximum(half, 1e-6)
        if distance.min() <= 1:
            result[number] = seen[own[np.argmin(distance)]]
    return result


def calibrate(truth: Table, detections: Table, settings) -> dict:
    """Return the calibration of a chain.

    Parameters
    ----------
    truth, detections : astropy.table.Table
        Of the validation fields; detections have ``true_share``.
    settings : skyloom.cases.diffuse_radio.Search
        `purity` and `confidence` are used.

    Returns
    -------
    dict
        ``probability`` (that an island is real), ``fields`` (that a field has each of `OUTPUTS`), ``kinds`` (of an
        island that is real), ``errors`` (of the flux, and its scale), ``threshold`` of an island's probability,
        ``field_threshold`` of that of a field, ``region_threshold`` of the mean probability in the box of 2 R500 alone,
        what the first ``reached``, and what images it was ``trained`` with.

    Raises
    ------
    UserError
        If no field has emission, or none was found.

    Notes
    -----
    Where all fields have emission, the probability of a field is that share, whatever is found in it.
    """
    fields, islands = fields_of(detections), islands_of(detections)
    there = present(truth, fields)
    if not there[:, 0].any():
        raise UserError("none of the validation fields has emission; raise `simulate.validation`.")
    real = are_real(islands)
    if not real.any():
        raise UserError("no emission of the validation fields was found; train longer, or lower `search.level`.")
    by_output = {name: logistic(field_features(fields, name), there[:, k]) for k, name in enumerate(OUTPUTS)}
    islands_fit = logistic(island_features(islands), real)
    probability = chance(islands_fit, island_features(islands))
    threshold = lowest_threshold(probability, real, settings.purity)
    matched = matched_components(truth, islands)
    pairs = real & (matched >= 0)
    kept = probability >= threshold
    components = np.flatnonzero(np.asarray(truth["visible"], bool) & (values(truth, "kind") >= 0))
    found = np.isin(components, matched[kept & real])
    kinds = _kinds_fit(islands[pairs], np.minimum(values(truth, "kind")[matched[pairs]], len(KINDS) - 1))
    return {
        "probability": islands_fit,
        "fields": by_output,
        "kinds": kinds,
        "errors": {"flux": _flux_factors(truth, islands, np.where(real, matched, -1), kinds)},
        "threshold": threshold,
        "field_threshold": best_threshold(
            chance(by_output["emission"], field_features(fields, "emission")), there[:, 0], settings.purity
        ),
        "region_threshold": best_threshold(_region(fields), there[:, 0], settings.purity),
        "reached": {
            "reached": bool(kept.any() and real[kept].mean() >= settings.purity),
            "detections": int(kept.sum()),
            "purity": asdict(proportion(int((kept & real).sum()), int(kept.sum()), settings.confidence)),
            "completeness": asdict(proportion(int(found.sum()), len(components), settings.confidence)),
        },
        "wanted_purity": settings.purity,
        "trained": trained(truth, settings.pixel),
    }


def are_real(islands: Table) -> np.ndarray:
    """Return which islands are emission that can be seen, (n,); rows that tell of a field are not."""
    return (values(islands, "island") > 0) & (values(islands, "true_share") >= SHARED)


def by_region(truth: Table, given: Table, found: Table, settings) -> tuple[dict, Table]:
    """Return the calibration of a search that has found no island, and its detections as `apply` gives them.

    A field is then told by R alone, the mean probability in the box of 2 R500, as published; none if R is 0 everywhere.

    Parameters
    ----------
    truth, given : astropy.table.Table
        Of the validation fields.
    found : astropy.table.Table
        Detections in other fields.
    settings : skyloom.cases.diffuse_radio.Search
        `purity` is used.
    """
    fields = fields_of(given)
    there, region = present(truth, fields)[:, 0], _region(fields)
    fitted = logistic(np.log10(region + _SMALLEST)[:, None], there)
    threshold = max(best_threshold(region, there, settings.purity), _SMALLEST)
    result, region = found.copy(), _region(found)
    whole = values(found, "island") == 0
    probability = np.where(region > 0, chance(fitted, np.log10(region + _SMALLEST)[:, None]), 0).round(6)
    for name in ("kind_probability", *(f"field_{name}" for name in KINDS)):
        result[name] = 0.0
    result["field_probability"], result["probability"] = probability, np.where(whole, probability, 0)
    result["candidate"], result["kind"] = whole & (region >= threshold), -1
    return {"region_threshold": threshold}, result


def _region(rows: Table) -> np.ndarray:
    return np.nan_to_num(values(rows, "region_mean"))


def trained(truth: Table, pixel: float) -> dict:
    """Return least and greatest beam [networks' pixel] and frequency [MHz] of fields, as far as their truth tells.

    Parameters
    ----------
    truth : astropy.table.Table
    pixel : float
        Side of the networks' pixels that is wanted [arcsec].
    """
    if not {"beam", "frequency"} <= set(truth.colnames):
        return {}
    beam, own = values(truth, "beam"), values(truth, "pixel")
    seen = own * np.maximum(1, np.round(np.maximum(pixel, beam / BEAM) / own))
    ranges = {"beam": beam / seen, "frequency": values(truth, "frequency")}
    return {name: [float(one.min()), float(one.max())] for name, one in ranges.items()}


def lowest_threshold(score: np.ndarray, true: np.ndarray, purity: float) -> float:
    """Return the lowest score above which a share `purity` is true, the highest one if none does."""
    order = np.argsort(-score, kind="stable")
    share = np.cumsum(true[order]) / np.arange(1, len(order) + 1)
    last = np.r_[np.diff(score[order]) < 0, True]  # equal scores pass together
    good = np.flatnonzero((share >= purity) & last)
    return float(score[order][good[-1]]) if len(good) else float(score.max())


def best_threshold(score: np.ndarray, true: np.ndarray, purity: float) -> float:
    """Return the threshold of the highest accuracy, of those where a share `purity` of what passes is true.

    It lies half way to the next lower score; if no threshold is as pure, the accuracy alone counts.
    """
    order = np.argsort(-score, kind="stable")
    ranked, hits = score[order], np.cumsum(true[order])
    passed = np.arange(1, len(order) + 1)
    accuracy = (hits + (~true).sum() - (passed - hits)) / len(order)
    last = np.r_[np.diff(ranked) < 0, True]
    allowed = last & (hits / passed >= purity)
    allowed = allowed if allowed.any() else last
    best = int(np.argmax(np.where(allowed, accuracy, -1)))
    after = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + after) / 2)


def _kinds_fit(islands: Table, kind: np.ndarray) -> list[dict]:
    """Return a logistic regression for each of `KINDS` against the others."""
    given = kind_features(islands)
    return [logistic(given, kind == number) for number in range(len(KINDS))]


def _odds_of(kinds: list[dict], islands: Table) -> np.ndarray:
    """Return the probability of each of `KINDS` for islands, (n, 3); they need not add up to one."""
    return np.stack([chance(fit, kind_features(islands)) for fit in kinds], axis=1)


def _groups(odds: np.ndarray) -> dict[str, np.ndarray]:
    """Return which islands have a scale and error of their own, by what they are likeliest to be.

    Relics are narrow, so that some of their light is taken for that of compact sources.
    """
    relic = odds.argmax(axis=1) == KINDS.index("relic")
    return {"relic": relic, "other": ~relic}


def _flux_factors(truth: Table, islands: Table, matched: np.ndarray, kinds: list[dict]) -> dict:
    """Return the scale that makes fluxes right and the factor that makes their errors hold 68 %, by `_groups`.

    Of components that several islands are part of, and of islands that hold several, neither is known. What is too rare
    among the validation fields has those of all.
    """
    rows = np.flatnonzero(matched >= 0)
    _, first, count = np.unique(matched[rows], return_index=True, return_counts=True)
    rows = rows[first[count == 1]]
    groups = {name: some[rows] for name, some in _groups(_odds_of(kinds, islands)).items()}
    true = values(truth, "flux")[matched[rows]]
    flux, error = values(islands, "flux")[rows], np.maximum(values(islands, "flux_error")[rows], 1e-12)
    every = np.ones(len(rows), bool)
    return {
        name: _factors(*(one[some if some.sum() >= FEWEST else every] for one in (flux, error, true)))
        for name, some in groups.items()
    }


def _factors(flux: np.ndarray, error: np.ndarray, true: np.ndarray) -> dict:
    """Return scale and factor of fluxes and their errors; 1 where they are not known."""
    if not len(flux):
        return {"scale": 1.0, "factor": 1.0}
    ratio = float(np.median(flux / np.maximum(true, 1e-12)))
    scale = 1 / min(max(ratio, 1 / LARGEST_SCALE), LARGEST_SCALE) if len(flux) >= FEWEST else 1.0
    pull = np.abs(scale * flux - true) / (scale * error)
    return {"scale": scale, "factor": float(max(np.percentile(pull, _ONE_SIGMA), 0.5))}


def apply(calibration: dict, detections: Table) -> Table:
    """Return detections with calibrated probabilities, kinds and errors.

    Parameters
    ----------
    calibration : dict
        From `calibrate`.
    detections : astropy.table.Table
        As the chain gives them.

    Returns
    -------
    astropy.table.Table
        With ``probability`` (that an island is real; of a field, that it has emission), ``candidate`` (above the
        threshold of either), ``kind`` (of an island, or of what there is most likely in the field: 0 halo, 1 relic,
        2 other, -1 none), ``kind_probability``, and ``field_probability``, ``field_halo`` and so on (`OUTPUTS`) of the
        field that an island is in.
    """
    result = detections.copy()
    whole = values(detections, "island") == 0
    shares = {name: chance(fit, field_features(detections, name)) for name, fit in calibration["fields"].items()}
    real = chance(calibration["probability"], island_features(detections))
    odds = _odds_of(calibration["kinds"], detections)
    groups = _groups(odds)
    odds = np.where(whole[:, None], np.stack([shares[name] for name in KINDS], axis=1), odds)
    # Of a field that has emission, kinds may come together; what is told is the likeliest one and its share.
    share = odds / np.maximum(odds.sum(axis=1, keepdims=True), 1e-9)
    probability = np.where(whole, shares["emission"], real)
    limit = np.where(whole, calibration["field_threshold"], calibration["threshold"])
    result["probability"] = probability.round(6)
    result["candidate"] = probability >= limit
    best = share.argmax(axis=1)
    result["kind"] = np.where(whole & ~result["candidate"], -1, best)
    result["kind_probability"] = np.take_along_axis(share, best[:, None], axis=1)[:, 0].round(6)
    result["field_probability"] = shares["emission"].round(6)
    for name in KINDS:
        result[f"field_{name}"] = shares[name].round(6)
    scale, factor = (
        sum(calibration["errors"]["flux"][group][name] * some for group, some in groups.items())
        for name in ("scale", "factor")
    )
    result["flux"] = values(detections, "flux") * scale
    result["flux_error"] = values(detections, "flux_error") * scale * factor
    for name in ("flux", "flux_error"):
        result[name].unit = "Jy"
    return result

"""How well sources are found in counts maps, located and measured, every number with an interval."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from astropy.table import Column, Table

from ..detect.match_sources import accepted, values
from .detection_scores import completeness_purity, curve, ends, with_masks
from .detection_summary import measures
from .map_calibration import LOWEST_SNR, matches
from .metrics import Interval, bootstrap, calibration_error, proportion, reliability

EDGES = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0, 10000.0)
"""Of the bins of true significance."""
PROBABILITY_BINS = 10
"""Of equal width, in which probabilities are held against the share that is real."""
BIASED = {
    "response": None,
    "flux": (0.05, 0.15, 0.5, 1.5, 5.0, 10.0),
    "offset": (0.0, 0.5, 1.0, 1.5, 2.0),
    "snr": (5.0, 7.0, 10.0, 20.0, 50.0, 10000.0),
}
"""What the bias of the photons is shown against, with the edges of its bins; None for a bin a value."""


def scores(
    truth: Table, detections: Table, threshold: float, confidence: float, random: np.random.Generator
) -> tuple[dict, Table]:
    """Return every score of the candidates in a set of maps, and one row a source that was found.

    Parameters
    ----------
    truth, detections : astropy.table.Table
        Of simulated maps; detections calibrated (`skyloom.learn.map_calibration.apply`), with ``cubes`` and ``pixel``
        in their header.
    threshold : float
        Lowest score of a candidate.
    confidence : float
        Level of the intervals.
    random : numpy.random.Generator
        Draws resamplings.

    Returns
    -------
    dict
        maps, sources; ``found`` (`skyloom.learn.detection_scores.completeness_purity`, its bins by true significance),
        ``curve``, ``false_rate`` (false candidates a map, with its interval), ``residuals`` for ``all`` and by
        significance (``bins``), ``photon_bias`` of the sources with a significance of `LOWEST_SNR` and more, and its
        ``bias`` against several quantities, ``probability`` (`probabilities` of all candidates; None where they have
        only a score).
    astropy.table.Table
        Residuals (`residuals`).
    """
    matched = matches(truth, detections)
    kept = accepted(matched, detections, threshold)
    passed = values(detections, "score") >= threshold
    false = int((passed & ~np.isin(np.arange(len(detections)), kept[kept >= 0])).sum())
    maps = int(detections.meta["cubes"])
    real = np.isin(np.arange(len(detections)), matched[matched >= 0])
    rows = residuals(truth, detections, kept)
    snr = values(rows, "snr")
    result = {
        "maps": maps,
        "sources": len(truth),
        "confidence": confidence,
        "found": completeness_purity(
            truth, detections, matched, threshold, lowest_snr=LOWEST_SNR, edges=EDGES, confidence=confidence
        ),
        "curve": curve(truth, detections, matched, LOWEST_SNR),
        "false_rate": asdict(_rate(false, maps, confidence)),
        "residuals": {
            "all": _located(rows, confidence, random),
            "bins": [
                {"low": low, "high": high, **_located(rows[(snr >= low) & (snr < high)], confidence, random)}
                for low, high in zip(EDGES[:-1], EDGES[1:], strict=True)
            ],
        },
        "photon_bias": _bias(rows[snr >= LOWEST_SNR]),
        "bias": {name: _biases(rows[snr >= LOWEST_SNR], name, edges) for name, edges in BIASED.items()},
        "probability": probabilities(real, values(detections, "probability"), confidence, random)
        if "probability" in detections.colnames
        else None,
    }
    return result, rows


def _rate(count: int, maps: int, confidence: float) -> Interval:
    """Return counts a map with the central interval of their Poisson mean (Garwood 1936)."""
    from astropy.stats import poisson_conf_interval
    from scipy.stats import norm

    low, high = poisson_conf_interval(count, "frequentist-confidence", sigma=norm.ppf(0.5 + confidence / 2))
    return Interval(count / maps, float(low) / maps, float(high) / maps)


def probabilities(real: np.ndarray, probability: np.ndarray, confidence: float, random: np.random.Generator) -> dict:
    """Return how far probabilities mean what they say.

    Parameters
    ----------
    real : numpy.ndarray, shape (n,)
        Whether a candidate is of a source, whatever its threshold.
    probability : numpy.ndarray, shape (n,)
    confidence : float
        Level of the intervals.
    random : numpy.random.Generator
        Draws resamplings.

    Returns
    -------
    dict
        candidates, real (their numbers); ``error``, the expected calibration error with its interval; ``bins``
        (`skyloom.learn.metrics.reliability`).
    """
    label = np.asarray(real, int)

    def error(some, p):
        return calibration_error(some, p, PROBABILITY_BINS)

    both = 0 < label.sum() < len(label)
    return {
        "candidates": len(label),
        "real": int(label.sum()),
        "error": asdict(
            bootstrap(error, (label, probability), confidence, random) if both else Interval(None, None, None)
        ),
        "bins": reliability(label, probability, PROBABILITY_BINS, confidence),
    }


def residuals(truth: Table, detections: Table, matched: np.ndarray) -> Table:
    """Return what was measured against the truth, one row a matched source.

    Returns
    -------
    astropy.table.Table
        cube, source, snr, offset, flux, response, counts (photons in the map), all of the truth; dx, dy, distance
        [deg], bound (the distance that the Cramer-Rao bound makes the median [deg]), radius68 and radius95 [deg],
        photons, photons_pull.
    """
    found = np.asarray(matched) >= 0
    true, measured = truth[found], detections[np.asarray(matched)[found]]
    pixel = detections.meta["pixel"]
    table = Table({name: true[name] for name in ("cube", "source", "snr", "offset", "flux", "response", "counts")})
    for axis in "xy":
        table[f"d{axis}"] = Column((values(measured, axis) - values(true, axis)) * pixel, unit="deg")
    table["distance"] = Column(np.hypot(table["dx"], table["dy"]), unit="deg")
    table["bound"] = Column(values(true, "radius_bound") * np.sqrt(2 * np.log(2)), unit="deg")
    for name in ("radius68", "radius95"):
        table[name] = Column(values(measured, name) * pixel, unit="deg")
    table["photons"] = Column(values(measured, "photons"), unit="ct")
    table["photons_pull"] = (table["photons"] - table["counts"]) / values(measured, "photons_error")
    return table


def _located(rows: Table, confidence: float, random: np.random.Generator) -> dict:
    """Return how near the positions are: medians with intervals, and the shares that their radii hold."""
    distance = values(rows, "distance")
    one_class = np.zeros(len(rows), int)

    def of(function) -> dict:
        if not len(rows):
            return asdict(Interval(None, None, None))
        return asdict(bootstrap(lambda _, some: function(some), (one_class, distance), confidence, random))

    held = {
        name: asdict(proportion(int((distance <= values(rows, name)).sum()), len(rows), confidence))
        for name in ("radius68", "radius95")
    }
    pull = values(rows, "photons_pull")
    return {
        "count": len(rows),
        "median": of(np.median),
        "percentile68": of(lambda some: np.percentile(some, 68)),
        "median_bound": float(np.median(values(rows, "bound"))) if len(rows) else None,
        "held": held,
        "photons_held": asdict(proportion(int((np.abs(pull) <= 1).sum()), len(rows), confidence)),
    }


def _biases(rows: Table, name: str, edges: Sequence[float] | None) -> list[dict]:
    """Return the relative bias of the photons' sum for parts of the sources, with its standard error."""
    value = values(rows, name)
    if edges is None:
        parts = [(one, one, value == one) for one in np.unique(value)]
    else:
        parts = [(low, high, (value >= low) & (value < high)) for low, high in zip(edges[:-1], edges[1:], strict=True)]
    return [{"low": float(low), "high": float(high), **_bias(rows[chosen])} for low, high, chosen in parts]


def _bias(rows: Table) -> dict:
    """Return the mean over sources of measured over true photons, less one."""
    counts = values(rows, "counts")
    ratio = values(rows, "photons")[counts > 0] / counts[counts > 0] - 1
    if len(ratio) < 2:
        return {"count": len(ratio), "bias": None, "error": None}
    return {
        "count": len(ratio),
        "bias": float(ratio.mean()),
        "error": float(ratio.std(ddof=1) / np.sqrt(len(ratio))),
    }


def summary(scores: dict) -> Table:
    """Return measure, value, and the ends of its interval, masked where they are not defined."""
    found, located = scores["found"]["detectable"], scores["residuals"]["all"]
    told = scores["probability"]
    rows = [
        (f"completeness at a significance of {LOWEST_SNR:g} and more", found["completeness"]),
        ("purity", found["purity"]),
        ("false candidates a map", scores["false_rate"]),
        *([("expected calibration error of the probability", told["error"])] if told else []),
        ("median error of the position [deg]", located["median"]),
        ("68 % of the errors of the position are less than [deg]", located["percentile68"]),
        ("median that the Cramer-Rao bound allows [deg]", _alone(located["median_bound"])),
        ("68 % circles that hold", located["held"]["radius68"]),
        ("95 % circles that hold", located["held"]["radius95"]),
        ("68 % intervals of the photons that hold", located["photons_held"]),
    ]
    return measures(rows)


def splits_table(scores: dict[str, dict]) -> Table:
    """Return the scores of several splits side by side, one row each, masked where a value is not defined.

    Parameters
    ----------
    scores : dict of str to dict
        Names of splits and their `scores`.
    """
    rows = []
    for name, one in scores.items():
        found, located = one["found"]["detectable"], one["residuals"]["all"]
        row = {"split": name, "maps": one["maps"], "sources": one["sources"]}
        for key, interval in (
            ("completeness", found["completeness"]),
            ("purity", found["purity"]),
            ("false_rate", one["false_rate"]),
            ("median", located["median"]),
            ("held_68", located["held"]["radius68"]),
            ("held_95", located["held"]["radius95"]),
            ("calibration_error", one["probability"]["error"]),
        ):
            row |= ends(key, interval)
        bias = one["photon_bias"]
        rows.append(row | {"median_bound": located["median_bound"], "bias": bias["bias"], "bias_error": bias["error"]})
    return with_masks(rows)


def splits_markdown(table: Table) -> str:
    """Return `splits_table` in Markdown."""
    lines = [
        f"Completeness at a significance of {LOWEST_SNR:g} and more, false candidates a map, median error of the",
        "position and what the Cramér-Rao bound allows [deg], sources within their 68 % and 95 % circles, mean of",
        f"measured over true photons, less one, at a significance of {LOWEST_SNR:g} and more, and expected calibration",
        "error of the probabilities (p). In brackets: intervals.",
        "",
        "| split | maps | sources | completeness | false a map | median error | bound | 68 % | 95 % | photons | p |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table:
        shown = [_with_ends(row, name) for name in ("completeness", "false_rate", "median")]
        bound = "" if np.ma.is_masked(row["median_bound"]) else f"{row['median_bound']:.4f}"
        held = [_with_ends(row, name) for name in ("held_68", "held_95")]
        bias = "" if np.ma.is_masked(row["bias"]) else f"{row['bias']:+.3f} ± {row['bias_error']:.3f}"
        told = _with_ends(row, "calibration_error")
        cells = [row["split"], row["maps"], row["sources"], *shown, bound, *held, bias, told]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _with_ends(row, name: str) -> str:
    if np.ma.is_masked(row[name]):
        return ""
    digits = 4 if name == "median" else 3
    return f"{row[name]:.{digits}f} ({row[f'{name}_low']:.{digits}f} to {row[f'{name}_high']:.{digits}f})"


def _alone(value: float | None) -> dict:
    return {"value": value, "low": None, "high": None}


def as_markdown(table: Table, scores: dict) -> str:
    """Return the summary and the bias of the photons as tables in Markdown."""
    lines = [
        f"Test set: {scores['maps']} maps with {scores['sources']} sources. In brackets: intervals at "
        f"{scores['confidence']:.0%} confidence.",
        "",
        "| measure | value |",
        "|---|---|",
    ]
    for row in table:
        ends = "" if np.ma.is_masked(row["low"]) else f" ({row['low']:.4f} to {row['high']:.4f})"
        value = "not defined" if np.ma.is_masked(row["value"]) else f"{row['value']:.4f}"
        lines.append(f"| {row['measure']} | {value}{ends} |")
    lines += [
        "",
        f"Photons of the sources found with a significance of {LOWEST_SNR:g} and more:",
        "mean of measured over true, less one.",
        "",
        "| of | from | to | sources | bias |",
        "|---|---|---|---|---|",
    ]
    for name, parts in scores["bias"].items():
        for part in parts:
            bias = "not defined" if part["bias"] is None else f"{part['bias']:+.3f} ± {part['error']:.3f}"
            lines.append(f"| {name} | {part['low']:g} | {part['high']:g} | {part['count']} | {bias} |")
    lines += _reliability(scores["probability"]) if scores["probability"] else []
    return "\n".join(lines) + "\n"


def _reliability(told: dict) -> list[str]:
    """Return the lines that hold probabilities against what is real."""
    lines = [
        "",
        "Probability that a candidate is real, whatever the threshold, and the share that is.",
        "",
        "| from | to | candidates | mean probability | real |",
        "|---|---|---|---|---|",
    ]
    for part in told["bins"]:
        observed = f"{part['observed']:.3f} ({part['observed_low']:.3f} to {part['observed_high']:.3f})"
        ends = f"{part['low']:.1f} | {part['high']:.1f}"
        lines.append(f"| {ends} | {part['count']} | {part['probability']:.3f} | {observed} |")
    return lines


def said(scores: dict) -> str:
    """Return what matters most in one sentence."""
    found, located = scores["found"]["detectable"], scores["residuals"]["all"]
    completeness, median = found["completeness"]["value"] or 0, located["median"]["value"] or 0
    return (
        f"{scores['sources']} sources in {scores['maps']} maps; of the significant ones {completeness:.3f} found, "
        f"{scores['false_rate']['value']:.4f} false a map, median error {median:.4f} deg"
    )

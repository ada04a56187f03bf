"""How well gamma-ray sources in patches are found, measured and told apart, every number with an interval."""

from dataclasses import asdict

import numpy as np
from astropy.table import Table
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from ..detect.match_sources import accepted, values
from .detection_calibration import sigmoid
from .detection_summary import measures
from .metrics import Interval, bootstrap, curves, proportion, reliability
from .patch_calibration import BRIGHT, DETECTABLE
from .patch_matching import (
    DISTANCE,
    KINDS,
    LOWEST_SNR,
    REGIONS,
    ROUND,
    WORDS,
    chance,
    in_core,
    matches,
    outshone,
    within,
)
from .patch_matching import residuals as residuals_of

STEP = 1.835
"""Ratio of neighbouring bins of flux, that of the ones for which AutoSourceID is published."""
EDGES = (0.0, *(float(f"{1.27e-10 * STEP ** (number - 0.5):.4g}") for number in range(-2, 9)), 1e-6)
"""Of the bins of flux [cm-2 s-1], centred on AutoSourceID's."""
SNR_EDGES = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 50.0, 1e6)
PUBLISHED = {
    "all": {
        1.27e-10: (0.84, 0.41),
        2.34e-10: (0.93, 0.74),
        4.28e-10: (0.95, 0.88),
        7.85e-10: (0.94, 0.93),
        1.44e-9: (0.96, 0.96),
    },
    "high": {
        1.27e-10: (0.90, 0.54),
        2.34e-10: (0.95, 0.88),
        4.28e-10: (0.96, 0.95),
        7.85e-10: (0.96, 0.97),
        1.44e-9: (0.97, 0.99),
    },
}
"""Purity and completeness of AutoSourceID by flux (printed in its notebook; Panes et al. 2021, arXiv:2103.11068)."""
PUBLISHED_SIMULATED = ("agn", "pulsar")
"""Kinds of sources that AutoSourceID has simulated; the others crowd the Galactic plane, and outshine some of these."""
PUBLISHED_KINDS = 0.71
"""Share of its sources whose kind, or falseness, AutoSourceID tells (same place)."""
WITHIN = 0.3
"""A flux is right within this share of the true one."""
_POINTS = 400
"""Points of a curve at most."""
_PROBABILITIES = 10


def scores(
    truth: Table, detections: Table, threshold: float, confidence: float, random: np.random.Generator
) -> tuple[dict, Table]:
    """Return every score of the sources found in a set of patches, and one row a source that was found.

    Parameters
    ----------
    truth, detections : astropy.table.Table
        Of simulated patches; detections calibrated (`skyloom.learn.patch_calibration.apply`), with ``cubes`` and
        ``pixel`` in their header.
    threshold : float
        Lowest score of a candidate.
    confidence : float
        Level of the intervals.
    random : numpy.random.Generator
        Draws resamplings.

    Returns
    -------
    dict
        patches, sources (in the cores); ``found`` for each of the regions `patch_matching.REGIONS`: ``detectable``
        (completeness of sources of `DETECTABLE` and more, and purity of all candidates), ``bins`` by flux and
        ``snr_bins``; ``false_rate`` (false candidates a patch); ``real`` (ROC of the classifier and of the
        probability); ``residuals`` for ``all`` and by flux in ``bins``; ``flux`` by region; ``kinds``; ``chance``.
    astropy.table.Table
        Residuals (`skyloom.learn.patch_matching.residuals`).

    Notes
    -----
    A bin's completeness is by the true flux, its purity by the flux that was found. Its ``published`` ones are by
    AutoSourceID's definition, in which a source of any S/N makes a detection true; ``simulated`` is that completeness
    for the kinds of sources that AutoSourceID was measured on, without those that a brighter source of another kind is
    in reach of: its skies have none, and a candidate there is the brighter one's.
    """
    matched = {"real": matches(truth, detections), "any": matches(truth, detections, -np.inf)}
    kept = {name: accepted(rows, detections, threshold) for name, rows in matched.items()}
    core, patches = in_core(detections), int(detections.meta["cubes"])
    hit = {name: np.isin(np.arange(len(detections)), rows) for name, rows in kept.items()}
    passed = core & (values(detections, "score") >= threshold)
    inside = np.append(core, False)
    rows = residuals_of(truth, detections, np.where(inside[kept["real"]], kept["real"], -1))
    false = int((passed & ~hit["real"]).sum())
    flux = values(rows, "flux")
    result = {
        "patches": patches,
        "sources": int(np.asarray(truth["core"], bool).sum()),
        "confidence": confidence,
        "found": {
            region: _found(
                truth[within(truth, region)],
                detections[within(detections, region)],
                {name: kept[name][within(truth, region)] >= 0 for name in kept},
                {name: hit[name][within(detections, region)] for name in hit},
                passed[within(detections, region)],
                PUBLISHED.get(region, {}),
                confidence,
            )
            for region in REGIONS
        },
        "false_rate": {"false": false, "value": false / patches if patches else None},
        "real": _real(detections[core], np.isin(np.flatnonzero(core), matched["real"]), confidence, random),
        "residuals": {
            "all": _located(rows, confidence),
            "bins": [
                {"low": low, "high": high, **_located(rows[(flux >= low) & (flux < high)], confidence)}
                for low, high in zip(EDGES[:-1], EDGES[1:], strict=True)
            ],
        },
        "flux": {region: _fluxes(rows[within(rows, region)], confidence) for region in REGIONS},
        "kinds": _kinds(rows, confidence),
        "chance": chance(truth, detections, confidence),
    }
    return result, rows


def _found(truth, detections, kept, hit, passed, published, confidence) -> dict:
    """Return completeness and purity in one region, by flux and by S/N; all tables and arrays are of that region."""
    core = np.asarray(truth["core"], bool)

    def shares(sources: np.ndarray, chosen: np.ndarray, name: str) -> dict:
        sources, chosen = sources & core, chosen & passed
        return {
            "sources": int(sources.sum()),
            "detections": int(chosen.sum()),
            "completeness": asdict(proportion(int(kept[name][sources].sum()), int(sources.sum()), confidence)),
            "purity": asdict(proportion(int(hit[name][chosen].sum()), int(chosen.sum()), confidence)),
        }

    def binned(column: str, edges, centres: dict) -> list[dict]:
        true, found = values(truth, column), values(detections, column)
        bins = []
        for low, high in zip(edges[:-1], edges[1:], strict=True):
            some = (true >= low) & (true < high), (found >= low) & (found < high)
            row = {"low": low, "high": high, **shares(*some, "real")}
            loose = shares(*some, "any")
            row |= {"any": {key: loose[key] for key in ("completeness", "purity")}}
            row["any"]["simulated"] = shares(some[0] & of_published_kind, some[1], "any")["completeness"]
            for centre, (purity, completeness) in centres.items():
                if low <= centre < high:
                    row["published"] = {"flux": centre, "purity": purity, "completeness": completeness}
            bins.append(row)
        return bins

    bright = values(truth, "flux") >= DETECTABLE
    known = [KINDS.index(kind) for kind in PUBLISHED_SIMULATED]
    others = [number for number in range(len(KINDS)) if number not in known]
    of_published_kind = np.isin(truth["kind"], known) & ~outshone(truth, detections.meta["pixel"], others)
    every = np.ones(len(detections), bool)
    return {
        "detectable": shares(bright, every, "real"),
        "bins": binned("flux", EDGES, published),
        "snr_bins": binned("snr", SNR_EDGES, {}),
    }


def _real(detections: Table, true: np.ndarray, confidence: float, random: np.random.Generator) -> dict:
    """Return the area under the ROC of the classifier, and curves and reliability of the calibrated probability."""
    label = true.astype(int)
    nothing = asdict(Interval(None, None, None))
    if label.all() or not label.any():
        return {"detections": len(label), "auc": nothing, "probability_auc": None, "roc": None, "reliability": []}
    network, probability = values(detections, "real"), values(detections, "score")
    drawn = curves(label, probability)["roc"]
    alone = curves(label, sigmoid(network))["roc"]
    return {
        "detections": len(label),
        "true": int(label.sum()),
        "auc": asdict(bootstrap(_area, (label, network), confidence, random)),
        "probability_auc": float(roc_auc_score(label, probability)),
        "roc": {"probability": _thinned(drawn), "classifier": _thinned(alone)},
        "reliability": reliability(label, probability, _PROBABILITIES, confidence),
    }


def _area(label: np.ndarray, value: np.ndarray) -> float:
    """Return the area under the ROC, from the ranks (Mann & Whitney 1947); ties are told apart by nothing."""
    rank = np.empty(len(value))
    rank[np.argsort(value, kind="stable")] = np.arange(1, len(value) + 1)
    positives = label.sum()
    return float((rank[label == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(label) - positives)))


def _thinned(curve: dict[str, list[float]]) -> dict[str, list[float]]:
    count = len(curve["threshold"])
    some = np.unique(np.linspace(0, count - 1, min(count, _POINTS)).round().astype(int))
    return {name: [points[place] for place in some] for name, points in curve.items()}


def _quantile(array: np.ndarray, share: float, confidence: float) -> dict:
    """Return a quantile with the interval between those order statistics that hold it as often as is wanted.

    How many of n values lie below a quantile is binomial, whatever their distribution (David & Nagaraja 2003, ch. 7.1).
    """
    if not len(array):
        return asdict(Interval(None, None, None))
    ranks = binom.ppf([(1 - confidence) / 2, (1 + confidence) / 2], len(array), share).astype(int)
    low, high = np.sort(array)[np.clip(ranks, 0, len(array) - 1)]
    value = float(np.quantile(array, share))
    return asdict(Interval(value, min(float(low), value), max(float(high), value)))


def _located(rows: Table, confidence: float) -> dict:
    """Return how near the positions are, and the shares that circles, ellipses and errors hold."""
    distance = values(rows, "distance")
    wider = np.hypot(values(rows, "radius68"), ROUND * np.nan_to_num(values(rows, "pos_systematic")))
    held = {
        "radius68": distance <= values(rows, "radius68"),
        "radius95": distance <= values(rows, "radius95"),
        "ellipse": values(rows, "ellipse") <= 1,
        "with_systematic": distance <= wider,
    }
    return {
        "count": len(rows),
        "median": _quantile(distance, 0.5, confidence),
        "percentile68": _quantile(distance, 0.68, confidence),
        "held": {name: asdict(proportion(int(hit.sum()), len(rows), confidence)) for name, hit in held.items()},
    }


def _fluxes(rows: Table, confidence: float) -> dict:
    """Return how good the fluxes are: of bright sources, and by true flux."""
    flux, found, error = (values(rows, name) for name in ("flux", "found_flux", "flux_error"))
    ratio = found / flux
    total = np.hypot(error, np.nan_to_num(values(rows, "flux_systematic")) * found)

    def of(some: np.ndarray) -> dict:
        count = int(some.sum())
        apart = np.abs(found - flux)[some]
        return {
            "count": count,
            "within": asdict(proportion(int((np.abs(ratio[some] - 1) <= WITHIN).sum()), count, confidence)),
            "median": _quantile(ratio[some] - 1, 0.5, confidence),
            "mean": float(ratio[some].mean() - 1) if count else None,
            "scatter": float(np.percentile(np.abs(np.log(ratio[some])), 68)) if count else None,
            "held": asdict(proportion(int((apart <= error[some]).sum()), count, confidence)),
            "held_with_systematic": asdict(proportion(int((apart <= total[some]).sum()), count, confidence)),
        }

    bins = [
        {"low": low, "high": high, **of((flux >= low) & (flux < high))}
        for low, high in zip(EDGES[:-1], EDGES[1:], strict=True)
    ]
    return {"all": of(np.ones(len(rows), bool)), "bright": of(flux >= BRIGHT), "bins": bins}


def _kinds(rows: Table, confidence: float) -> dict:
    """Return the confusion matrix of the kinds (true, then told), and how often they are right, by probability too."""
    true, told = np.asarray(rows["kind"], int), np.asarray(rows["found_kind"], int)
    matrix = np.zeros((len(KINDS), len(KINDS)), int)
    np.add.at(matrix, (true, told), 1)
    right = (true == told).astype(int)
    return {
        "kinds": list(KINDS),
        "matrix": matrix.tolist(),
        "accuracy": asdict(proportion(int(right.sum()), len(rows), confidence)),
        "by_kind": [
            asdict(proportion(int(matrix[kind, kind]), int(matrix[kind].sum()), confidence))
            for kind in range(len(KINDS))
        ],
        "promised": float(np.mean(values(rows, "kind_probability"))) if len(rows) else None,
        "reliability": reliability(right, values(rows, "kind_probability"), _PROBABILITIES, confidence)
        if len(rows)
        else [],
    }


def summary(scores: dict) -> Table:
    """Return measure, value, and the ends of its interval, masked where they are not defined."""
    located, bright = scores["residuals"]["all"], scores["flux"]["all"]["bright"]
    rows = []
    for region in ("all", "high", "low"):
        found = scores["found"][region]["detectable"]
        rows += [
            (f"completeness from {DETECTABLE:.3g} ph/cm2/s on, {WORDS[region]}", found["completeness"]),
            (f"purity, {WORDS[region]}", found["purity"]),
        ]
    by_chance = scores["chance"]["real"]["all"]
    rows += [
        ("false candidates a patch", _alone(scores["false_rate"]["value"])),
        (f"positions with a source of S/N {LOWEST_SNR:g} in reach by chance", by_chance),
        ("area under the ROC of the classifier", scores["real"]["auc"]),
        ("median error of the position [deg]", located["median"]),
        ("68 % of the errors of the position are less than [deg]", located["percentile68"]),
        ("68 % circles that hold", located["held"]["radius68"]),
        ("95 % circles that hold", located["held"]["radius95"]),
        ("68 % ellipses that hold", located["held"]["ellipse"]),
        (f"flux within {WITHIN:.0%} from {BRIGHT:g} ph/cm2/s on", bright["within"]),
        (f"median of the flux over the true one, less one, from {BRIGHT:g} ph/cm2/s on", bright["median"]),
        ("68 % intervals of the flux that hold", scores["flux"]["all"]["all"]["held"]),
        ("kinds that are right", scores["kinds"]["accuracy"]),
        *((f"{kind}: called so", share) for kind, share in zip(KINDS, scores["kinds"]["by_kind"], strict=True)),
    ]
    return measures(rows)


def _alone(value: float | None) -> dict:
    return {"value": value, "low": None, "high": None}


def as_markdown(table: Table, scores: dict) -> str:
    """Return the summary, completeness and purity by flux beside AutoSourceID's, and fluxes, as tables in Markdown."""
    lines = [
        f"Test set: {scores['patches']} patches with {scores['sources']} sources in their cores. A candidate is true",
        f"if a source of S/N {LOWEST_SNR:g} and more lies within {DISTANCE:g} deg, of several the brightest that",
        "no surer candidate has.",
        f"In brackets: intervals at {scores['confidence']:.0%} confidence.",
        "",
        "| measure | value |",
        "|---|---|",
    ]
    for row in table:
        interval = "" if np.ma.is_masked(row["low"]) else f" ({row['low']:.4f} to {row['high']:.4f})"
        value = "not defined" if np.ma.is_masked(row["value"]) else f"{row['value']:.4f}"
        lines.append(f"| {row['measure']} | {value}{interval} |")
    for region in ("all", "high", "low"):
        lines += ["", *_flux_table(scores["found"][region]["bins"], region)]
    lines += [
        "",
        *_snr_table(scores["found"]["all"]["snr_bins"]),
        "",
        *_measured_table(scores),
        "",
        *_kinds_table(scores),
    ]
    return "\n".join(lines) + "\n"


def _flux_table(bins: list[dict], region: str) -> list[str]:
    lines = [
        f"Completeness against the true flux and purity against the flux that was found, {WORDS[region]}; any: with",
        "sources of any S/N, as AutoSourceID counts; AGN, pulsars: any of these kinds, which AutoSourceID simulated,",
        f"but for those with a brighter source of another kind within {DISTANCE:g} deg, as its skies have none.",
        "",
        "| flux [ph/cm2/s] | sources | completeness | any | AGN, pulsars | AutoSourceID | candidates | purity | any "
        "| AutoSourceID |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in bins:
        given = row.get("published", {})
        cells = [f"{row['low']:.3g} to {row['high']:.3g}"]
        for count, name in (("sources", "completeness"), ("detections", "purity")):
            loose, known = row["any"][name]["value"], given.get(name)
            cells += [str(row[count]), _with_ends(row[name]), "" if loose is None else f"{loose:.3f}"]
            if name == "completeness":
                own = row["any"]["simulated"]["value"]
                cells.append("" if own is None else f"{own:.3f}")
            cells.append("" if known is None else f"{known:.2f}")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _snr_table(bins: list[dict]) -> list[str]:
    lines = [
        "Completeness against the true S/N and purity against that of the candidates:",
        "",
        "| S/N | sources | completeness | candidates | purity |",
        "|---|---|---|---|---|",
    ]
    for row in bins:
        cells = [row["sources"], _with_ends(row["completeness"]), row["detections"], _with_ends(row["purity"])]
        lines.append(f"| {row['low']:g} to {row['high']:g} | " + " | ".join(map(str, cells)) + " |")
    return lines


def _measured_table(scores: dict) -> list[str]:
    lines = [
        "Positions and fluxes of the sources found, by true flux: 68 % of the errors of the position [deg], circles",
        f"that hold, fluxes within {WITHIN:.0%}, median of found over true flux, less one, and intervals that hold:",
        "",
        "| flux [ph/cm2/s] | found | 68 % [deg] | 68 % circles | 95 % circles | within | median | 68 % intervals |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for place, flux in zip(scores["residuals"]["bins"], scores["flux"]["all"]["bins"], strict=True):
        shown = [(place["percentile68"], 4), (place["held"]["radius68"], 3), (place["held"]["radius95"], 3)]
        shown += [(flux["within"], 3), (flux["median"], 3), (flux["held"], 3)]
        cells = [f"{flux['low']:.3g} to {flux['high']:.3g}", str(flux["count"])]
        lines.append("| " + " | ".join([*cells, *(_with_ends(*one) for one in shown)]) + " |")
    return lines


def _kinds_table(scores: dict) -> list[str]:
    kinds = scores["kinds"]
    lines = [
        "Kinds: true in rows, told in columns (AutoSourceID, with false detections as a kind: "
        f"{PUBLISHED_KINDS} right).",
        "",
        "| | " + " | ".join(kinds["kinds"]) + " | right |",
        "|---" * (len(KINDS) + 2) + "|",
    ]
    for name, row, share in zip(kinds["kinds"], kinds["matrix"], kinds["by_kind"], strict=True):
        lines.append(f"| {name} | " + " | ".join(map(str, row)) + f" | {_with_ends(share)} |")
    return lines


def _with_ends(interval: dict, digits: int = 3) -> str:
    if interval["value"] is None:
        return ""
    return f"{interval['value']:.{digits}f} ({interval['low']:.{digits}f} to {interval['high']:.{digits}f})"


def said(scores: dict) -> str:
    """Return what matters most in one sentence."""
    found, located = scores["found"]["all"]["detectable"], scores["residuals"]["all"]
    completeness, purity = (found[name]["value"] or 0 for name in ("completeness", "purity"))
    return (
        f"{scores['sources']} sources in {scores['patches']} patches; {completeness:.3f} found of those from "
        f"{DETECTABLE:.3g} ph/cm2/s on, purity {purity:.3f}, median error {located['median']['value'] or 0:.4f} deg"
    )

"""The search of counts maps beside other estimators, in one table."""

from dataclasses import asdict

import numpy as np
from astropy.table import Table

from ..detect.match_sources import values
from . import map_scores
from .detection_scores import ends, with_masks
from .metrics import Interval, bootstrap

FAR = 0.2
"""A position that is farther from its source is of something else [deg]."""


def results(
    truth: dict[str, Table],
    found: dict[str, Table],
    threshold: float,
    seconds: float,
    confidence: float,
    random: np.random.Generator,
) -> dict:
    """Return the scores of one estimator.

    Parameters
    ----------
    truth, found : dict of str to astropy.table.Table
        Sources and candidates of the splits ``test`` and ``published``.
    threshold : float
        Lowest score of a candidate.
    seconds : float
        Of a map.
    confidence : float
        Level of the intervals.
    random : numpy.random.Generator
        Draws resamplings.

    Returns
    -------
    dict
        ``test`` (`skyloom.learn.map_scores.scores`), ``published`` (`best_positions`), and ``seconds``.
    """
    return {
        "test": map_scores.scores(truth["test"], found["test"], threshold, confidence, random)[0],
        "published": best_positions(truth["published"], found["published"], confidence, random),
        "seconds": seconds,
    }


def best_positions(truth: Table, found: Table, confidence: float, random: np.random.Generator) -> dict:
    """Return how near the candidate with the highest score is to the only source of a map, at any threshold.

    Returns
    -------
    dict
        maps; intervals: median and percentile68 of the distance [deg], infinite for a map without a candidate, and far,
        the share beyond `FAR`; median_bound and bound_68, what the Cramer-Rao bound allows of the first two.
    """
    pixel = found.meta["pixel"]
    order = np.argsort(values(found, "score"), kind="stable")
    best = {int(found["cube"][row]): row for row in order}
    distance = np.full(len(truth), np.inf)
    for number, row in enumerate(truth):
        if int(row["cube"]) in best:
            one = found[best[int(row["cube"])]]
            distance[number] = np.hypot(one["x"] - row["x"], one["y"] - row["y"]) * pixel
    one_class = np.zeros(len(truth), int)

    def of(function) -> dict:
        if not len(truth):
            return asdict(Interval(None, None, None))
        return asdict(bootstrap(lambda _, some: function(some), (one_class, distance), confidence, random))

    return {
        "maps": len(truth),
        "median": of(np.median),
        "percentile68": of(lambda some: np.percentile(some, 68)),
        "far": of(lambda some: np.mean(some > FAR)),
        "median_bound": _bound(truth, 0.5),
        "bound_68": _bound(truth, 0.68),
    }


def _bound(truth: Table, share: float) -> float | None:
    """Return the distance [deg] below which so large a share of round Gaussian errors is, for a median source.

    Their standard deviation along an axis is that of the Cramer-Rao bound (`skyloom.detect.simulated_maps`).
    """
    if not len(truth):
        return None
    return float(np.nanmedian(values(truth, "radius_bound")) * np.sqrt(-2 * np.log(1 - share)))


def table(results: dict[str, dict]) -> Table:
    """Return the estimators side by side, one row each, masked where a value is not defined."""
    rows = []
    for name, result in results.items():
        test, published = result["test"], result["published"]
        row = {"name": name, "maps": test["maps"], "published_maps": published["maps"]}
        for key, interval in (
            ("completeness", test["found"]["detectable"]["completeness"]),
            ("purity", test["found"]["detectable"]["purity"]),
            ("false_rate", test["false_rate"]),
            ("median", test["residuals"]["all"]["median"]),
            ("published_median", published["median"]),
            ("published_68", published["percentile68"]),
            ("published_far", published["far"]),
        ):
            row |= ends(key, interval)
        bounds = {
            "median_bound": test["residuals"]["all"]["median_bound"],
            "published_bound": published["median_bound"],
            "published_68_bound": published["bound_68"],
        }
        rows.append(row | bounds | {"seconds": result["seconds"]})
    return with_masks(rows)


SHOWN = {
    "completeness": "completeness",
    "purity": "purity",
    "false_rate": "false a map",
    "median": "median error [deg]",
    "median_bound": "bound of those found [deg]",
    "published_median": "published: median [deg]",
    "published_68": "published: 68 % [deg]",
    "published_far": f"published: beyond {FAR:g} deg",
}


def as_markdown(table: Table, results: dict[str, dict], false_rate: float) -> str:
    """Return the comparison as a table in Markdown."""
    first = next(iter(results.values()))
    test, published = first["test"], first["published"]
    lines = [
        f"{test['maps']} test maps with {test['sources']} sources: completeness at a significance of 5 and more, at",
        f"the threshold that lets {false_rate:g} false candidates a map pass on the validation maps. Estimators that",
        "take seconds a map have searched fewer of them.",
        f"{published['maps']} maps in the published setting (one source of one Crab, 100 s): error of the candidate",
        "with the highest score, whatever the threshold. The Cramér-Rao bound for the true model is there",
        f"{published['median_bound'] or 0:.4f} deg for the median and {published['bound_68'] or 0:.4f} deg for 68 %.",
        "In the table it is the median over the sources that each has found.",
        f"In brackets: intervals at {test['confidence']:.0%} confidence.",
        "",
        "| | maps | " + " | ".join(SHOWN.values()) + " | ms a map |",
        "|---" * (len(SHOWN) + 3) + "|",
    ]
    for row in table:
        cells = [_cell(row, name) for name in SHOWN]
        lines.append(f"| {row['name']} | {row['maps']} | " + " | ".join(cells) + f" | {1e3 * row['seconds']:.1f} |")
    return "\n".join(lines) + "\n"


def _cell(row, name: str) -> str:
    if np.ma.is_masked(row[name]):
        return ""
    digits = 4 if "median" in name or "68" in name else 3
    if f"{name}_low" not in row.colnames:
        return f"{row[name]:.{digits}f}"
    return f"{row[name]:.{digits}f} ({row[f'{name}_low']:.{digits}f} to {row[f'{name}_high']:.{digits}f})"

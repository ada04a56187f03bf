"""How well sources are found in cubes and measured, every number with an interval.

All scores are plain dictionaries for JSON, in which an interval is a dictionary of value, low and high, all None where
the value is not defined, such as the purity of no detections. ``matched`` is what
`skyloom.detect.match_sources.match_sources` returns: for each true source the index of its detection, or -1.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from astropy.table import MaskedColumn, Table
from scipy.stats import beta

from ..detect.match_sources import DISTANCE, IOU, accepted, match_sources, values
from .metrics import Interval, bootstrap, proportion

LOWEST_SNR = 5.0
"""What is fainter in its focused image need not be found."""
BRIGHT_SNR = 10.0
"""Positions are judged from here on."""
SNR_EDGES = (1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0, 1000.0)
CONFIDENCE = 0.68
WITHIN = 0.1
"""A flux or a size is right within this share of the true one."""
PA_WITHIN = 18.0
"""A position angle is right within this [deg], a tenth of the half circle."""
ELONGATED = 1.2
"""Ratio of the true axes above which a position angle means something."""
QUANTITIES = ("x", "y", "z", "line_fwhm", "flux", "fwhm_major", "fwhm_minor", "pa")
"""What may be measured, with an error of one standard deviation in the column <name>_error."""
CURVE_POINTS = 500
TRUE, FALSE, NEITHER = 1, 0, -1


def outcome(truth: Table, detections: Table, matched: np.ndarray, lowest_snr: float = LOWEST_SNR) -> np.ndarray:
    """Return for each detection whether it is `TRUE`, `FALSE` or `NEITHER`; shape (len(detections),), int.

    A detection without a source is false, whatever its own S/N: it would stand in the catalog. One whose source is
    fainter than `lowest_snr` is neither: it is no fault to find such a source, and no duty.
    """
    matched = np.asarray(matched, dtype=int)
    found = matched >= 0
    kind = np.full(len(detections), FALSE)
    kind[matched[found]] = np.where(_wanted(truth, lowest_snr)[found], TRUE, NEITHER)
    return kind


def _wanted(truth: Table, lowest_snr: float) -> np.ndarray:
    """Return which sources should be found (bool); one whose S/N is not known should be."""
    return ~(values(truth, "snr") < lowest_snr)


def completeness_purity(
    truth: Table,
    detections: Table,
    matched: np.ndarray,
    threshold: float,
    *,
    lowest_snr: float = LOWEST_SNR,
    edges: Sequence[float] = SNR_EDGES,
    confidence: float = CONFIDENCE,
) -> dict:
    """Return completeness and purity of the detections whose score reaches a threshold.

    Parameters
    ----------
    truth, detections : astropy.table.Table
        With the column snr, detections also score.
    matched : numpy.ndarray of int, shape (len(truth),)
        Matches of all detections, also of those below the threshold.
    threshold : float
        Lowest score.
    lowest_snr : float
        S/N of the faintest source of the entry ``detectable``.
    edges : sequence of float
        Of the bins of S/N, rising.
    confidence : float
        Level of Wilson's intervals.

    Returns
    -------
    dict
        threshold, lowest_snr, confidence; ``all`` and ``detectable``, each with completeness, purity, f1, sources,
        found, detections and true; ``bins``, each with low, high, sources, detections, completeness, purity,
        source_snr and detection_snr (medians).

    Notes
    -----
    ``detectable`` has the completeness of true sources with S/N of at least `lowest_snr`, and the purity of all
    detections except those of fainter true sources, which are neither true nor false (`outcome`). Bins are by the
    true S/N for completeness and by the detection's own S/N for purity; in them every match is true. F1 is the harmonic
    mean of completeness and purity.
    """
    matched = accepted(matched, detections, threshold)
    passed = values(detections, "score") >= threshold
    true_snr, own_snr = values(truth, "snr"), values(detections, "snr")
    any_match = outcome(truth, detections, matched, -np.inf)
    hit = matched >= 0

    def tally(lowest: float) -> dict:
        kind = outcome(truth, detections, matched, lowest)[passed]
        wanted = _wanted(truth, lowest)
        counts = {
            "sources": int(wanted.sum()),
            "found": int(np.sum(hit & wanted)),
            "detections": int(np.sum(kind != NEITHER)),
            "true": int(np.sum(kind == TRUE)),
        }
        completeness = proportion(counts["found"], counts["sources"], confidence)
        purity = proportion(counts["true"], counts["detections"], confidence)
        return {
            **counts,
            "completeness": asdict(completeness),
            "purity": asdict(purity),
            "f1": _harmonic_mean(completeness.value, purity.value),
        }

    bins = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        wanted, own = (true_snr >= low) & (true_snr < high), passed & (own_snr >= low) & (own_snr < high)
        bins.append(
            {
                "low": float(low),
                "high": float(high),
                "sources": int(wanted.sum()),
                "detections": int(own.sum()),
                "source_snr": _median(true_snr[wanted]),
                "detection_snr": _median(own_snr[own]),
                "completeness": asdict(proportion(int(np.sum(hit & wanted)), int(wanted.sum()), confidence)),
                "purity": asdict(proportion(int(np.sum(any_match[own] == TRUE)), int(own.sum()), confidence)),
            }
        )
    return {
        "threshold": float(threshold) if np.isfinite(threshold) else None,
        "lowest_snr": float(lowest_snr),
        "confidence": float(confidence),
        "all": tally(-np.inf),
        "detectable": tally(lowest_snr),
        "bins": bins,
    }


def _harmonic_mean(a: float | None, b: float | None) -> float | None:
    if a is None or b is None:
        return None
    return 2 * a * b / (a + b) if a + b else 0.0


def _median(array: np.ndarray) -> float | None:
    return float(np.median(array)) if len(array) else None


@dataclass(frozen=True)
class _Ranked:
    """Detections that are true or false, from the surest on, and where the score drops."""

    score: np.ndarray
    true: np.ndarray
    cuts: np.ndarray


def _ranked(truth: Table, detections: Table, matched: np.ndarray, lowest_snr: float) -> _Ranked:
    score, kind = values(detections, "score"), outcome(truth, detections, matched, lowest_snr)
    used = (kind != NEITHER) & np.isfinite(score)
    score, kind = score[used], kind[used]
    order = np.argsort(-score, kind="stable")
    score, true = score[order], kind[order] == TRUE
    # Detections of equal score stand or fall together.
    cuts = np.flatnonzero(np.append(score[1:] < score[:-1], True)) if len(score) else np.empty(0, int)
    return _Ranked(score, true, cuts)


def curve(
    truth: Table, detections: Table, matched: np.ndarray, lowest_snr: float = LOWEST_SNR
) -> dict[str, list[float]]:
    """Return completeness and purity at every threshold, for sources with S/N of at least `lowest_snr`.

    Returns
    -------
    dict
        threshold (falling), completeness and purity as lists, thinned out to `CURVE_POINTS`; empty without a detection
        or without a source. What counts for the purity is as in `completeness_purity`.
    """
    ranked = _ranked(truth, detections, matched, lowest_snr)
    sources = int(np.sum(_wanted(truth, lowest_snr)))
    cuts = ranked.cuts if sources else ranked.cuts[:0]
    if len(cuts) > CURVE_POINTS:
        cuts = cuts[np.linspace(0, len(cuts) - 1, CURVE_POINTS).round().astype(int)]
    hits = np.cumsum(ranked.true)[cuts]
    return {
        "threshold": ranked.score[cuts].tolist(),
        "completeness": (hits / max(sources, 1)).tolist(),
        "purity": (hits / (cuts + 1)).tolist(),
    }


@dataclass(frozen=True)
class ScoreThreshold:
    """The lowest score of a detection that is kept.

    Attributes
    ----------
    score : float
        The threshold.
    reached : bool
        Whether the wanted purity is reached on the validation set; if not, the threshold is the purest there is.
    purity_bound : float or None
        What the purity is above, with the wanted confidence; None without detections.
    purity, completeness : Interval
        On the validation set.
    detections : int
        Number of detections that are kept and true or false.
    """

    score: float
    reached: bool
    purity_bound: float | None
    purity: Interval
    completeness: Interval
    detections: int


def choose_threshold(
    truth: Table,
    detections: Table,
    matched: np.ndarray,
    purity: float,
    confidence: float = CONFIDENCE,
    lowest_snr: float = LOWEST_SNR,
) -> ScoreThreshold:
    """Return the lowest threshold of the score that has the wanted purity on a validation set.

    Parameters
    ----------
    truth, detections, matched
        As in `completeness_purity`.
    purity : float
        Wanted share of true ones among the detections, those of sources below `lowest_snr` left out.
    confidence : float
        With which the purity must be above the wanted one (one-sided), and level of the intervals.
    lowest_snr : float
        S/N of the faintest source that counts.

    Returns
    -------
    ScoreThreshold
        Of score 0 where the validation set has no detection to go by.

    Notes
    -----
    A score need not be a probability, so that the purity above a threshold can only be counted, and what is counted
    jumps up and down with single detections. The threshold is the lowest one where the lower bound of the purity, the
    quantile of its posterior with Jeffreys' prior (Brown, Cai & DasGupta 2001), reaches the wanted purity. Where the
    true purity passes the wanted one somewhere in the set, that promise is kept about as often as `confidence` says,
    although the threshold is chosen by the same detections. Where it stays just below everywhere, a lucky run of few
    detections passes more often than 1 - `confidence` (0.95 wanted of 0.93: 57 % at 0.68, 18 % at 0.9), so a
    confidence of 0.9 is safer, and few `detections` at a low `completeness` are a warning.
    An isotonic fit as in `skyloom.learn.calibration.choose_threshold` keeps it less often: its sums from the top are
    never below the counts. The threshold lies midway between the last detection that is kept and the first that is
    not.
    """
    ranked = _ranked(truth, detections, matched, lowest_snr)
    sources = int(np.sum(_wanted(truth, lowest_snr)))
    if not len(ranked.score):
        nothing = Interval(None, None, None)
        return ScoreThreshold(0.0, False, None, nothing, proportion(0, sources, confidence), 0)
    count = ranked.cuts + 1
    hits = np.cumsum(ranked.true)[ranked.cuts]
    bound = beta.ppf(1 - confidence, hits + 0.5, count - hits + 0.5)
    good = np.flatnonzero(bound >= purity)
    place = good[-1] if len(good) else np.argmax(bound)
    last = ranked.cuts[place]
    below = ranked.score[last + 1] if last + 1 < len(ranked.score) else ranked.score[last]
    threshold = (ranked.score[last] + below) / 2
    if threshold <= below:
        threshold = ranked.score[last]
    true = int(np.sum(ranked.true[: last + 1]))
    return ScoreThreshold(
        score=float(threshold),
        reached=bool(len(good)),
        purity_bound=float(bound[place]),
        purity=proportion(true, int(last) + 1, confidence),
        completeness=proportion(true, sources, confidence),
        detections=int(last) + 1,
    )


def residuals(truth: Table, detections: Table, matched: np.ndarray) -> Table:
    """Return what was measured against the truth, one row a matched source.

    Parameters
    ----------
    truth, detections : astropy.table.Table
    matched : numpy.ndarray of int, shape (len(truth),)
        Matches of the detections that are kept (`skyloom.detect.match_sources.accepted`).

    Returns
    -------
    astropy.table.Table
        cube, source, detection (its row), snr, axis_ratio, fwhm_major, fwhm_minor [pixel] and flux [Jy], all of the
        truth; dx, dy, distance [pixel], dz [channel], pa_difference [deg, -90 to 90]: detection minus truth;
        line_fwhm_ratio, flux_ratio, fwhm_major_ratio, fwhm_minor_ratio: detection over truth; <name>_pull of
        `QUANTITIES`: residual over its error. NaN where not measured.
    """
    matched = np.asarray(matched, dtype=int)
    found = matched >= 0
    true, measured = truth[found], detections[matched[found]]
    table = Table({name: true[name] for name in ("cube", "source") if name in true.colnames})
    table["detection"] = matched[found]
    for name in ("snr", "fwhm_major", "fwhm_minor", "flux"):
        table[name] = values(true, name)
    difference = {name: values(measured, name) - values(true, name) for name in QUANTITIES}
    difference["pa"] = folded(difference["pa"])
    with np.errstate(divide="ignore", invalid="ignore"):
        table["axis_ratio"] = table["fwhm_major"] / table["fwhm_minor"]
        for name in ("line_fwhm", "flux", "fwhm_major", "fwhm_minor"):
            table[f"{name}_ratio"] = values(measured, name) / values(true, name)
        for name in QUANTITIES:
            table[f"{name}_pull"] = difference[name] / values(measured, f"{name}_error")
    table["dx"], table["dy"], table["dz"] = (difference[name] for name in "xyz")
    table["distance"] = np.hypot(table["dx"], table["dy"])
    table["pa_difference"] = difference["pa"]
    for name, unit in {"dx": "pix", "dy": "pix", "distance": "pix", "pa_difference": "deg", "flux": "Jy"}.items():
        table[name].unit = unit
    return table


def folded(angle: np.ndarray) -> np.ndarray:
    """Return differences of position angles, which know no direction, between -90 and 90 deg."""
    return (np.asarray(angle) + 90) % 180 - 90


def residual_summary(
    rows: Table,
    random: np.random.Generator,
    *,
    edges: Sequence[float] = SNR_EDGES,
    confidence: float = CONFIDENCE,
) -> dict:
    """Return how well the sources that were found are measured.

    Parameters
    ----------
    rows : astropy.table.Table
        From `residuals`.
    random : numpy.random.Generator
        Draws the resamplings for the interval of the median.
    edges : sequence of float
        Of the bins of true S/N, rising.
    confidence : float
        Level of the intervals.

    Returns
    -------
    dict
        confidence; ``all``, ``bright`` (S/N of at least `BRIGHT_SNR`) and the list ``bins`` (also low, high and snr,
        the median), each with count and elongated (number of rows); intervals: position_residual (median [pixel]), dx
        and dy (mean [pixel] with its standard error), flux_within and sizes_within (share within `WITHIN`, both
        axes), pa_within and pa_within_elongated (share within `PA_WITHIN`, the latter where the true axes' ratio is
        above `ELONGATED`); ``coverage``: of each of `QUANTITIES` the share of one-sigma errors that hold, which
        should be 68 %.

    Notes
    -----
    Shares are of all sources found: one whose flux was not measured has no flux within 10 %. What a detector measures
    for no source at all is not defined. The coverage is of what has an error.
    """
    snr = values(rows, "snr")
    measures = {name: _measures(values(rows, f"{name}_ratio")) for name in ("flux", "fwhm_major", "fwhm_minor")}
    measures["pa"] = _measures(values(rows, "pa_difference"))

    def of(chosen: np.ndarray) -> dict:
        return _group(rows[chosen], measures, random, confidence)

    bins = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = (snr >= low) & (snr < high)
        bins.append({"low": float(low), "high": float(high), "snr": _median(snr[inside]), **of(inside)})
    return {
        "confidence": float(confidence),
        "all": of(np.ones(len(rows), bool)),
        "bright": of(snr >= BRIGHT_SNR),
        "bins": bins,
    }


def _measures(array: np.ndarray) -> bool:
    return bool(np.isfinite(array).any())


def _group(rows: Table, measures: dict[str, bool], random: np.random.Generator, confidence: float) -> dict:
    def share(good: np.ndarray, measured: bool) -> dict:
        return asdict(proportion(int(good.sum()), len(good) if measured else 0, confidence))

    def near(name: str) -> np.ndarray:
        return np.abs(values(rows, f"{name}_ratio") - 1) <= WITHIN

    aligned = np.abs(values(rows, "pa_difference")) <= PA_WITHIN
    elongated = values(rows, "axis_ratio") > ELONGATED
    coverage = {}
    for name in QUANTITIES:
        pull = values(rows, f"{name}_pull")
        pull = pull[~np.isnan(pull)]
        coverage[name] = asdict(proportion(int(np.sum(np.abs(pull) <= 1)), len(pull), confidence))
    return {
        "count": len(rows),
        "elongated": int(elongated.sum()),
        "position_residual": asdict(_median_interval(values(rows, "distance"), confidence, random)),
        "dx": asdict(_mean_interval(values(rows, "dx"))),
        "dy": asdict(_mean_interval(values(rows, "dy"))),
        "flux_within": share(near("flux"), measures["flux"]),
        "sizes_within": share(
            near("fwhm_major") & near("fwhm_minor"), measures["fwhm_major"] and measures["fwhm_minor"]
        ),
        "pa_within": share(aligned, measures["pa"]),
        "pa_within_elongated": share(aligned[elongated], measures["pa"]),
        "coverage": coverage,
    }


def _median_interval(array: np.ndarray, confidence: float, random: np.random.Generator) -> Interval:
    if not len(array):
        return Interval(None, None, None)
    one_class = np.zeros(len(array), int)
    return bootstrap(lambda _, sample: np.median(sample), (one_class, array), confidence, random)


def _mean_interval(array: np.ndarray) -> Interval:
    if len(array) < 2:
        return Interval(float(array[0]), None, None) if len(array) else Interval(None, None, None)
    mean, error = float(np.mean(array)), float(np.std(array, ddof=1) / np.sqrt(len(array)))
    return Interval(mean, mean - error, mean + error)


def separated_pairs(
    truth: Table, matched: np.ndarray, beam_fwhm: float | np.ndarray, confidence: float = CONFIDENCE
) -> dict:
    """Return which share of the pairs that overlap in the image and differ in frequency is found as two sources.

    Parameters
    ----------
    truth : astropy.table.Table
        cube, x, y [pixel], z, line_fwhm [channel].
    matched : numpy.ndarray of int, shape (len(truth),)
        Matches in 3D of the detections that are kept.
    beam_fwhm : float or numpy.ndarray, shape (len(truth),)
        Geometric mean FWHM of the beam [pixel]; sources of a cube that are nearer than it are a pair if their line
        centres differ by more than the mean of their line widths.
    confidence : float
        Level of Wilson's interval.

    Returns
    -------
    dict
        pairs, separated (numbers) and share (interval).
    """
    first, second = _pairs(truth, np.broadcast_to(np.asarray(beam_fwhm, dtype=float), len(truth)))
    both = (np.asarray(matched)[first] >= 0) & (np.asarray(matched)[second] >= 0)
    count, hits = len(first), int(both.sum())
    return {"pairs": count, "separated": hits, "share": asdict(proportion(hits, count, confidence))}


def _pairs(truth: Table, beam_fwhm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the first and the second source of each pair that overlaps."""
    if not len(truth):
        return np.empty(0, int), np.empty(0, int)
    x, y, z, width = (values(truth, name) for name in ("x", "y", "z", "line_fwhm"))
    _, cube = np.unique(np.asarray(truth["cube"]), return_inverse=True)
    order = np.argsort(cube, kind="stable")
    pairs = []
    for rows in np.split(order, np.flatnonzero(np.diff(cube[order])) + 1):
        a, b = (rows[side] for side in np.triu_indices(len(rows), 1))
        near = np.hypot(x[a] - x[b], y[a] - y[b]) < (beam_fwhm[a] + beam_fwhm[b]) / 2
        apart = np.abs(z[a] - z[b]) > (width[a] + width[b]) / 2
        pairs.append(np.stack([a, b])[:, near & apart])
    first, second = np.concatenate(pairs, axis=1)
    return first, second


def detector_scores(
    truth: Table,
    detections: Table,
    threshold: float,
    *,
    beam_fwhm: float | np.ndarray,
    random: np.random.Generator,
    seconds_per_cube: float | None = None,
    distance: float = DISTANCE,
    iou: float | None = IOU,
    edges: Sequence[float] = SNR_EDGES,
    confidence: float = CONFIDENCE,
) -> dict:
    """Return every score of one detector on one set of cubes.

    Parameters
    ----------
    truth, detections : astropy.table.Table
    threshold : float
        Lowest score of a detection.
    beam_fwhm : float or numpy.ndarray, shape (len(truth),)
        Geometric mean FWHM of the beam [pixel].
    random : numpy.random.Generator
        Draws resamplings.
    seconds_per_cube : float, optional
        Measured elsewhere.
    distance, iou
        Of a match, see `skyloom.detect.match_sources.match_sources`.
    edges, confidence
        Bins of S/N and level of the intervals.

    Returns
    -------
    dict
        ``2d`` and ``3d`` (`completeness_purity`), ``curve_2d`` and ``curve_3d`` (`curve`), ``pairs``
        (`separated_pairs`), ``residuals`` (`residual_summary`), ``residuals_of`` ("3d", or "2d" for a detector that
        finds no line centres) and ``seconds_per_cube``.
    """
    matched = {name: match_sources(truth, detections, distance, iou, spectral=name == "3d") for name in ("2d", "3d")}
    kept = {name: accepted(matches, detections, threshold) for name, matches in matched.items()}
    best = "3d" if np.isfinite(values(detections, "z")).any() else "2d"
    scores = {
        name: completeness_purity(truth, detections, matches, threshold, edges=edges, confidence=confidence)
        for name, matches in matched.items()
    }
    return {
        **scores,
        "curve_2d": curve(truth, detections, matched["2d"]),
        "curve_3d": curve(truth, detections, matched["3d"]),
        "pairs": separated_pairs(truth, kept["3d"], beam_fwhm, confidence),
        "residuals": residual_summary(
            residuals(truth, detections, kept[best]), random, edges=edges, confidence=confidence
        ),
        "residuals_of": best,
        "seconds_per_cube": None if seconds_per_cube is None else float(seconds_per_cube),
    }


def comparison_table(results: dict[str, dict]) -> Table:
    """Return the detectors side by side, one row each, masked where a value is not defined.

    Parameters
    ----------
    results : dict of str to dict
        Name of a detector and its `detector_scores`.

    Returns
    -------
    astropy.table.Table
        detector, threshold; for the image (2d) and the cube (3d), at S/N of at least `LOWEST_SNR`, completeness and
        purity, each with its ends _low and _high, f1, and best_f1 at any threshold; position_residual (median [pixel]
        at S/N of at least `BRIGHT_SNR`), flux_within and sizes_within (shares within 10 %), pa_within (within 18 deg)
        and separated (share of pairs), each with its ends; seconds_per_cube [s].
    """
    return with_masks([_comparison_row(name, scores) for name, scores in results.items()])


def snr_table(results: dict[str, dict]) -> Table:
    """Return completeness and purity of the detectors against S/N, masked where they are not defined.

    Parameters
    ----------
    results : dict of str to dict
        Name of a detector and its `detector_scores`.

    Returns
    -------
    astropy.table.Table
        One row a detector and bin of S/N, then one for all from `LOWEST_SNR` on, without an upper end: detector,
        snr_low, snr_high; for the image (2d) and the cube (3d) completeness and purity, each with its ends _low and
        _high; sources and detections (numbers; of the 3d columns). Sources are binned by their true S/N, detections by
        their own (`completeness_purity`).
    """
    rows = []
    for name, scores in results.items():
        flat, deep = scores["2d"], scores["3d"]
        whole = {"low": deep["lowest_snr"], "high": None}
        for image, cube in zip(
            [*flat["bins"], flat["detectable"] | whole], [*deep["bins"], deep["detectable"] | whole], strict=True
        ):
            row = {"detector": name, "snr_low": cube["low"], "snr_high": cube["high"]}
            for where, found in (("2d", image), ("3d", cube)):
                for key in ("completeness", "purity"):
                    row |= ends(f"{key}_{where}", found[key])
            rows.append(row | {"sources": cube["sources"], "detections": cube["detections"]})
    return with_masks(rows)


def with_masks(rows: list[dict]) -> Table:
    """Return rows as a table, masked where a value is None."""
    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    return Table(
        {
            name: MaskedColumn(
                [0.0 if value is None else value for value in column], mask=[value is None for value in column]
            )
            for name, column in columns.items()
        }
    )


def _comparison_row(name: str, scores: dict) -> dict:
    row = {"detector": name, "threshold": scores["2d"]["threshold"]}
    for where in ("2d", "3d"):
        found = scores[where]["detectable"]
        row |= ends(f"completeness_{where}", found["completeness"]) | ends(f"purity_{where}", found["purity"])
        row[f"f1_{where}"] = found["f1"]
        row[f"best_f1_{where}"] = best_f1(scores[f"curve_{where}"])
    measured = scores["residuals"]
    row |= ends("position_residual", measured["bright"]["position_residual"])
    for name in ("flux_within", "sizes_within", "pa_within"):
        row |= ends(name, measured["all"][name])
    row |= ends("separated", scores["pairs"]["share"])
    return {**row, "seconds_per_cube": scores["seconds_per_cube"]}


def best_f1(points: dict[str, list[float]]) -> float | None:
    """Return the highest harmonic mean of completeness and purity at any threshold of a `curve`, None without one."""
    pairs = zip(points["completeness"], points["purity"], strict=True)
    return max((2 * both[0] * both[1] / sum(both) for both in pairs if sum(both)), default=None)


def ends(name: str, interval: dict) -> dict:
    """Return an interval as entries of a row: its value, and its ends _low and _high."""
    return {name: interval["value"], f"{name}_low": interval["low"], f"{name}_high": interval["high"]}

"""How well diffuse emission is found in radio images and measured, every number with an interval."""

from dataclasses import asdict

import numpy as np
from astropy.table import Column, Table

from ..detect.match_sources import values
from .detection_scores import ends, with_masks
from .detection_summary import measures
from .field_calibration import SHARED, fields_of, islands_of, matched_components, present
from .field_tables import BINS, BRIGHTNESS, KINDS, OUTPUTS
from .metrics import bootstrap, confusion, proportion

CERTAIN = 6.0
"""S/N, in the image that is smoothed to its width, below which emission is uncertain: experts would not agree on it."""
CLASSES = ("NDE", "DE", "DEU")
"""No diffuse emission to be seen, diffuse emission, and such that is uncertain; as the Planck clusters in LoTSS have
been told apart (Botteon et al. 2022, A&A 660, A78)."""
TIMES = {"seconds": "seconds a field", "megapixels_per_second": "megapixels/s"}
"""Columns that only a search which was timed has, and their heads."""
LIMITS = (1.0, 2.0, 3.0)
"""Mean surface brightness above which completeness is told [rms]."""


def classes_of(truth: Table, fields: Table) -> np.ndarray:
    """Return of each field which of `CLASSES` it is, (n,), int."""
    seen = np.asarray(truth["visible"], bool) & (values(truth, "kind") >= 0)
    certain = seen & (values(truth, "smoothed_snr") >= CERTAIN)
    cube, numbers = values(truth, "cube"), values(fields, "cube")
    return np.where(np.isin(numbers, cube[certain]), 1, np.where(np.isin(numbers, cube[seen]), 2, 0))


def scores(
    truth: Table, detections: Table, calibration: dict, level: float, confidence: float, random: np.random.Generator
) -> tuple[dict, Table]:
    """Return every score of a search of fields, and one row a piece of emission that was found.

    Parameters
    ----------
    truth, detections : astropy.table.Table
        Of the test fields; detections calibrated (`skyloom.learn.field_calibration.apply`), with what `with_truth`
        adds.
    calibration : dict
    level : float
        Probability from which on a pixel is an island's.
    confidence : float
        Level of the intervals.
    random : numpy.random.Generator
        Draws resamplings.

    Returns
    -------
    dict
        ``fields`` and ``region`` (`field_table` by the calibrated probability, and by the mean probability in the box
        of 2 R500 alone), ``kinds``, ``pixels``, ``components``, ``islands``, ``flux``, ``reliability``.
    astropy.table.Table
        Residuals: cube, source, kind, snr, smoothed_snr, flux of the truth, measured flux and its pull, offset
        [arcsec], size and las [arcsec], found kind.
    """
    fields, islands = fields_of(detections), islands_of(detections)
    islands = islands[np.asarray(islands["candidate"], bool)]
    kind = classes_of(truth, fields)
    passed = np.asarray(fields["candidate"], bool)
    region = np.nan_to_num(values(fields, "region_mean")) >= calibration["region_threshold"]
    rows = residuals(truth, islands)
    there = present(truth, fields)
    result = {
        "cubes": len(fields),
        "confidence": confidence,
        "fields": field_table(kind, passed, confidence),
        "region": field_table(kind, region, confidence),
        "kinds": _kind_scores(fields, there, confidence),
        "pixels": pixel_scores(np.asarray(fields["overlap"]), level, confidence, random),
        "components": _component_scores(truth, islands, confidence),
        "islands": {
            "count": len(islands),
            "purity": asdict(
                proportion(int((values(islands, "true_share") >= SHARED).sum()), len(islands), confidence)
            ),
        },
        "flux": _flux_scores(rows, confidence, random),
        "reliability": _reliability(values(fields, "probability"), there[:, 0], confidence),
    }
    return result, rows


def field_table(kind: np.ndarray, passed: np.ndarray, confidence: float) -> dict:
    """Return how many fields of each of `CLASSES` are told right, and accuracy, precision and false negatives.

    Uncertain fields count as positives, as in the original's numbers; ``certain`` are those without them.
    """
    table = {}
    for number, name in enumerate(CLASSES):
        own = kind == number
        right = own & (passed == (number > 0))
        table[name] = {
            "count": int(own.sum()),
            "right": asdict(proportion(int(right.sum()), int(own.sum()), confidence)),
        }
    return (
        table
        | _rates(kind > 0, passed, confidence)
        | {"certain": _rates(kind[kind < 2] > 0, passed[kind < 2], confidence)}
    )


def _rates(true: np.ndarray, passed: np.ndarray, confidence: float) -> dict:
    counts = confusion(true, passed)
    right, flagged = counts.true_positive + counts.true_negative, counts.true_positive + counts.false_positive
    return {
        "counts": asdict(counts),
        "accuracy": asdict(proportion(right, len(true), confidence)),
        "precision": asdict(proportion(counts.true_positive, flagged, confidence)),
        "false_negatives": asdict(proportion(counts.false_negative, int(true.sum()), confidence)),
    }


def _kind_scores(fields: Table, there: np.ndarray, confidence: float) -> dict:
    """Return of each of `OUTPUTS` how often it is told right at a probability of one half, and its Brier score."""
    result = {}
    for number, name in enumerate(OUTPUTS):
        share = values(fields, "field_probability" if name == "emission" else f"field_{name}")
        true = there[:, number]
        result[name] = _rates(true, share >= 0.5, confidence) | {
            "count": int(true.sum()),
            "brier": float(np.mean((share - true) ** 2)),
            "brier_of_rate": float(true.mean() * (1 - true.mean())),
        }
    # Of fields with just one kind of emission, or none: which of four is told.
    kinds = there[:, 1:].sum(axis=1)
    single = kinds <= 1
    true = np.where(kinds == 0, len(KINDS), there[:, 1:].argmax(axis=1))[single]
    told = np.where(values(fields, "kind") < 0, len(KINDS), values(fields, "kind")).astype(int)[single]
    table = np.zeros((len(KINDS) + 1,) * 2, int)
    np.add.at(table, (true, told), 1)
    result["table"] = {"names": [*KINDS, "none"], "counts": table.tolist()}
    result["one_of_four"] = asdict(proportion(int(np.trace(table)), int(table.sum()), confidence))
    return result


def pixel_scores(overlap: np.ndarray, level: float, confidence: float, random: np.random.Generator) -> dict:
    """Return overlaps of pixels above a probability with the truth: of all, and by true surface brightness.

    Intervals are those of resampled fields.
    """
    first = int(np.ceil(level * BINS - 1e-9))
    found = overlap[:, first:].sum(axis=1).astype(float)
    total = overlap.sum(axis=1).astype(float)
    one_class = np.zeros(len(overlap), int)

    def of(function) -> dict:
        return asdict(
            bootstrap(lambda _, rows: function(rows), (one_class, np.arange(len(overlap))), confidence, random)
        )

    def iou(rows, lowest=1):
        hits = found[rows, lowest:].sum()
        return hits / max(hits + found[rows, 0].sum() + (total - found)[rows, lowest:].sum(), 1)

    bins = []
    for number in range(1, overlap.shape[2]):
        low, high = BRIGHTNESS[number - 1], BRIGHTNESS[number]
        count = int(total[:, number].sum())
        share = of(lambda rows, k=number: found[rows, k].sum() / max(total[rows, k].sum(), 1)) if count else None
        above = of(lambda rows, k=number: iou(rows, k)) if count else None
        bins.append(
            {"low": low, "high": None if np.isinf(high) else high, "pixels": count, "found": share, "iou_above": above}
        )
    hits = found[:, 1:].sum()
    return {
        "iou": of(iou),
        "dice": of(lambda rows: 2 * iou(rows) / (1 + iou(rows))),
        "precision": of(lambda rows: found[rows, 1:].sum() / max(found[rows].sum(), 1)),
        "recall": of(lambda rows: found[rows, 1:].sum() / max(total[rows, 1:].sum(), 1)),
        "hits": int(hits),
        "bins": bins,
    }


def _component_scores(truth: Table, islands: Table, confidence: float) -> dict:
    """Return which share of the pieces of emission is found: by brightness, by kind, and of those above `LIMITS`."""
    pieces = np.flatnonzero((values(truth, "kind") >= 0) & np.asarray(truth["visible"], bool))
    matched = matched_components(truth, islands)
    found = np.isin(pieces, matched[(matched >= 0) & (values(islands, "true_share") >= SHARED)])
    snr, kind = values(truth, "snr")[pieces], values(truth, "kind")[pieces]

    def share(chosen) -> dict:
        return {
            "count": int(chosen.sum()),
            "completeness": asdict(proportion(int((found & chosen).sum()), int(chosen.sum()), confidence)),
        }

    parts = zip(BRIGHTNESS[:-1], BRIGHTNESS[1:], strict=True)
    return {
        "all": share(np.ones(len(pieces), bool)),
        "above": {f"{limit:g}": share(snr >= limit) for limit in LIMITS},
        "bins": [
            {"low": low, "high": None if np.isinf(high) else high, **share((snr >= low) & (snr < high))}
            for low, high in parts
        ],
        "kinds": {name: share(np.minimum(kind, len(KINDS) - 1) == k) for k, name in enumerate(KINDS)},
    }


def residuals(truth: Table, islands: Table) -> Table:
    """Return what was measured against the truth, one row an island that alone is matched to a piece of emission."""
    matched = matched_components(truth, islands)
    rows = np.flatnonzero((matched >= 0) & (values(islands, "true_share") >= SHARED))
    _, first, count = np.unique(matched[rows], return_index=True, return_counts=True)
    rows = rows[first[count == 1]]
    true, measured = truth[matched[rows]], islands[rows]
    names = ("cube", "source", "kind", "snr", "smoothed_snr", "size")
    table = Table({name: true[name] for name in names})
    for name in ("flux", "mask_flux"):
        table[f"true_{name}"] = true[name]
    table["flux"] = Column(values(measured, "flux"), unit="Jy")
    table["flux_pull"] = (values(measured, "flux") - values(true, "flux")) / values(measured, "flux_error")
    offset = np.hypot(values(measured, "x") - values(true, "x"), values(measured, "y") - values(true, "y"))
    table["offset"] = Column(offset * values(true, "pixel"), unit="arcsec")
    table["las"] = Column(values(measured, "las"), unit="arcsec")
    turn = (values(measured, "pa") - values(true, "pa") + 90) % 180 - 90
    table["pa_difference"] = Column(turn, unit="deg")
    table["found_kind"] = values(measured, "kind").astype(int)
    return table


def _flux_scores(rows: Table, confidence: float, random: np.random.Generator) -> dict:
    """Return measured over true flux: of the whole piece, and of its mask; and how often errors hold."""
    one_class = np.zeros(len(rows), int)

    def median(given) -> dict:
        if not len(given):
            return {"value": None, "low": None, "high": None}
        return asdict(bootstrap(lambda _, some: np.median(some), (one_class[: len(given)], given), confidence, random))

    measured = values(rows, "flux")
    whole = measured / np.maximum(values(rows, "true_flux"), 1e-12)
    masked = measured / np.maximum(values(rows, "true_mask_flux"), 1e-12)
    snr = values(rows, "snr")
    same = np.minimum(values(rows, "kind"), len(KINDS) - 1) == values(rows, "found_kind")
    return {
        "count": len(rows),
        "ratio": median(whole),
        "ratio_of_mask": median(masked),
        "scatter": float(np.percentile(np.abs(np.log(np.maximum(whole, 1e-3))), 68)) if len(rows) else None,
        "held": asdict(proportion(int((np.abs(values(rows, "flux_pull")) <= 1).sum()), len(rows), confidence)),
        "kind_right": asdict(proportion(int(same.sum()), len(rows), confidence)),
        "offset": median(values(rows, "offset")),
        "bins": [
            {
                "low": low,
                "high": None if np.isinf(high) else high,
                "count": int(((snr >= low) & (snr < high)).sum()),
                "ratio": median(whole[(snr >= low) & (snr < high)]),
            }
            for low, high in zip(BRIGHTNESS[:-1], BRIGHTNESS[1:], strict=True)
        ],
    }


def _reliability(share: np.ndarray, true: np.ndarray, confidence: float, bins: int = 5) -> list[dict]:
    """Return how often fields of about the same probability have emission."""
    edges = np.linspace(0, 1, bins + 1)
    edges[-1] = 1.01
    result = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        own = (share >= low) & (share < high)
        mean = float(share[own].mean()) if own.any() else None
        result.append(
            {"probability": mean, "share": asdict(proportion(int(true[own].sum()), int(own.sum()), confidence))}
        )
    return result


def summary(scores: dict) -> Table:
    """Return measure, value, and the ends of its interval, masked where they are not defined."""
    fields, region, pixels, flux = (scores[name] for name in ("fields", "region", "pixels", "flux"))
    rows = [(f"fields told right: {name}", fields[name]["right"]) for name in CLASSES]
    rows += [
        (f"fields, {name.replace('_', ' ')}", fields[name]) for name in ("accuracy", "precision", "false_negatives")
    ]
    rows += [
        (f"fields, {name.replace('_', ' ')} by R alone", region[name])
        for name in ("accuracy", "precision", "false_negatives")
    ]
    rows += [("fields of one kind, or none: kind told right", scores["kinds"]["one_of_four"])]
    rows += [(f"pixels, {name}", pixels[name]) for name in ("iou", "dice", "precision", "recall")]
    rows += [
        (f"completeness of pieces of {limit} rms and more", one["completeness"])
        for limit, one in scores["components"]["above"].items()
    ]
    rows += [
        ("purity of islands", scores["islands"]["purity"]),
        ("kind of an island told right", flux["kind_right"]),
        ("median of measured over true flux", flux["ratio"]),
        ("68 % intervals of the flux that hold", flux["held"]),
        ("median offset [arcsec]", flux["offset"]),
    ]
    return measures(rows)


def as_markdown(table: Table, scores: dict) -> str:
    """Return the confusion table of fields in the published form, and the summary, in Markdown."""
    fields, region = scores["fields"], scores["region"]
    lines = [
        f"Test set: {scores['cubes']} fields. NDE: no diffuse emission to be seen, DE: such emission, DEU: uncertain "
        f"(S/N below {CERTAIN:g} in a smoothed image), which counts as emission. In brackets: intervals at "
        f"{scores['confidence']:.0%} confidence.",
        "",
        "| class | fields | told right | by R alone |",
        "|---|---|---|---|",
    ]
    for name in CLASSES:
        lines.append(
            f"| {name} | {fields[name]['count']} | {_shown(fields[name]['right'])} | {_shown(region[name]['right'])} |"
        )
    lines += ["", "| measure | value |", "|---|---|"]
    for row in table:
        known = not np.ma.is_masked(row["value"])
        ends = "" if np.ma.is_masked(row["low"]) else f" ({row['low']:.3f} to {row['high']:.3f})"
        lines.append(
            f"| {row['measure']} | {row['value']:.3f}{ends} |" if known else f"| {row['measure']} | not defined |"
        )
    lines += [
        "",
        "By true surface brightness [rms]: pixels and pieces that are found; overlap of what is as bright and more.",
        "",
        "| from | to | pixels found | IoU of these and brighter | pieces | pieces found | flux over true |",
        "|---|---|---|---|---|---|---|",
    ]
    parts = zip(scores["pixels"]["bins"], scores["components"]["bins"], scores["flux"]["bins"], strict=True)
    for pixels, pieces, flux in parts:
        high = "" if pixels["high"] is None else f"{pixels['high']:g}"
        cells = [f"{pixels['low']:g}", high, _shown(pixels["found"]), _shown(pixels["iou_above"]), pieces["count"]]
        cells += [_shown(pieces["completeness"]), _shown(flux["ratio"])]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _shown(interval: dict | None) -> str:
    if interval is None or interval["value"] is None:
        return ""
    return f"{interval['value']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"


def said(scores: dict) -> str:
    """Return what matters most in one sentence."""
    fields = scores["fields"]
    accuracy, precision, missed = (fields[name]["value"] or 0 for name in ("accuracy", "precision", "false_negatives"))
    return (
        f"{scores['cubes']} fields; accuracy {accuracy:.3f}, precision {precision:.3f}, false negatives {missed:.3f}, "
        f"IoU of pixels {scores['pixels']['iou']['value'] or 0:.3f}"
    )


def comparison_table(results: dict[str, dict], what: str = "chain") -> Table:
    """Return several scores side by side, one row each, masked where a value is not defined.

    Parameters
    ----------
    results : dict of str to dict
        Names and their `scores`, with ``seconds`` a field and ``megapixels_per_second`` if they are known.
    what : str
        What the names are of.
    """
    rows = []
    for name, one in results.items():
        fields = one["fields"]
        row = {what: name, "fields": one["cubes"]}
        row |= {f"{part.lower()}_right": fields[part]["right"]["value"] for part in CLASSES}
        for measure in ("accuracy", "precision", "false_negatives"):
            row |= ends(measure, fields[measure])
        row |= {measure: one["pixels"][measure]["value"] for measure in ("iou", "dice")}
        row |= {
            "purity": one["islands"]["purity"]["value"],
            "completeness": one["components"]["all"]["completeness"]["value"],
        }
        row |= {"flux_ratio": one["flux"]["ratio"]["value"], "kind_right": one["kinds"]["one_of_four"]["value"]}
        rows.append(row | {name: one.get(name) for name in TIMES})
    return with_masks(rows)


def comparison_markdown(table: Table) -> str:
    """Return `comparison_table` in Markdown, with times only if there are any."""
    times = [name for name in TIMES if not np.ma.getmaskarray(table[name]).all()]
    head = [table.colnames[0], "fields", *CLASSES, "accuracy", "precision", "false negatives", "IoU", "Dice"]
    head += ["islands real", "pieces found", "flux over true", "kind", *(TIMES[name] for name in times)]
    lines = [
        "Fields told right of those without emission to be seen (NDE), with such (DE), and with uncertain emission",
        "(DEU); accuracy, precision and false negatives of all, with intervals; pixels; islands; times, if taken.",
        "",
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
    ]
    for row in table:
        cells = [row[table.colnames[0]], row["fields"]]
        cells += [_plain(row, f"{part.lower()}_right") for part in CLASSES]
        cells += [_with_ends(row, name) for name in ("accuracy", "precision", "false_negatives")]
        cells += [_plain(row, name) for name in ("iou", "dice", "purity", "completeness", "flux_ratio", "kind_right")]
        lines.append(f"| {' | '.join(map(str, cells + [_plain(row, name) for name in times]))} |")
    return "\n".join(lines) + "\n"


def _plain(row, name: str) -> str:
    return "" if np.ma.is_masked(row[name]) else f"{row[name]:.3f}"


def _with_ends(row, name: str) -> str:
    return _plain(row, name) and f"{row[name]:.3f} ({row[f'{name}_low']:.3f} to {row[f'{name}_high']:.3f})"

"""Scores of gamma-ray sources in several settings, and how they depend on the model of the diffuse emission."""

import numpy as np
from astropy.table import Table

from ..detect.match_sources import values
from .detection_scores import ends, with_masks
from .patch_calibration import BRIGHT, DETECTABLE
from .patch_matching import REGIONS, WORDS, within
from .patch_scores import WITHIN
from .patch_shifts import added, pairs, shifts

SAME_SKY = "other_tracer"
"""Split that shows the test sky with another tracer of its diffuse emission."""


def splits_table(scores: dict[str, dict], residuals: dict[str, Table]) -> Table:
    """Return the scores of several splits by latitude, and what changes if the diffuse emission is another one.

    Parameters
    ----------
    scores : dict of str to dict
        Names of splits and their `scores`.
    residuals : dict of str to astropy.table.Table
        Their residuals. The split `SAME_SKY` has the sources of ``test``.

    Returns
    -------
    astropy.table.Table
        One row a split and region. ``flux_added`` and ``position_added`` are what must be added to the statistical
        errors to make 68.27 % hold (`skyloom.learn.patch_shifts.added`). Shifts are against ``test``, source by source:
        found_in_both; differences of completeness and purity with their errors; flux_shift (median of the logarithm of
        the ratio) with its error, flux_scatter (68 % of its absolute value), position_shift (68 % [deg]) and
        probability_shift (mean difference). Masked where they are not defined.
    """
    rows = []
    for name, one in scores.items():
        for region in REGIONS:
            found = one["found"][region]["detectable"]
            some = residuals[name][within(residuals[name], region)]
            row = {"split": name, "region": region, "patches": one["patches"], "sources": found["sources"]}
            row |= {"detections": found["detections"]}
            row |= ends("completeness", found["completeness"]) | ends("purity", found["purity"])
            row |= {"position_68": float(np.percentile(some["distance"], 68)) if len(some) else None}
            bright = one["flux"][region]["bright"]
            row |= ends("flux_within", bright["within"]) | ends("flux_median", bright["median"])
            for key, column in (("held_68", "radius68"), ("held_95", "radius95")):
                hit = values(some, "distance") <= values(some, column)
                row[key] = float(hit.mean()) if len(some) else None
            row |= {"flux_held": one["flux"][region]["all"]["held"]["value"]}
            row |= {"flux_held_with_systematic": one["flux"][region]["all"]["held_with_systematic"]["value"]}
            row["flux_added"], row["position_added"] = added(some) if len(some) else (None, None)
            same = name == SAME_SKY and "test" in scores
            base = residuals["test"][within(residuals["test"], region)] if same else some[:0]
            row |= _shift(scores["test"]["found"][region]["detectable"] if same else None, found, base, some)
            rows.append(row)
    return with_masks(rows)


_SHIFTS = (
    *("completeness_shift", "completeness_shift_error", "purity_shift", "purity_shift_error"),
    *("flux_shift", "flux_shift_error", "flux_scatter", "position_shift", "probability_shift"),
)


def _shift(first: dict | None, second: dict, base: Table, some: Table) -> dict:
    """Return what changes from a table of residuals to another one of the same sources."""
    nothing = {"found_in_both": None, **dict.fromkeys(_SHIFTS)}
    if first is None:
        return nothing
    row = nothing | {"found_in_both": 0}
    bright = [table[values(table, "flux") >= DETECTABLE] for table in (base, some)]
    either, common = [len(table) for table in bright], len(shifts(*bright))
    for name, count in (("completeness", "sources"), ("purity", "detections")):
        share, of = ([one[key] for one in (first, second)] for key in (name, count))
        share = [one["value"] for one in share]
        if None not in share:
            spread = [p * (1 - p) / n for p, n in zip(share, of, strict=True)]
            row[f"{name}_shift"], row[f"{name}_shift_error"] = share[1] - share[0], float(np.sqrt(sum(spread)))
    if first["sources"] and first["sources"] == second["sources"]:
        # Sources that are found in both, or in neither, say nothing of the difference (McNemar 1947).
        row["completeness_shift_error"] = float(np.sqrt(sum(either) - 2 * common)) / first["sources"]
    changes = shifts(base, some)
    row["found_in_both"] = len(changes)
    if len(changes) > 1:
        change, apart = values(changes, "ln_flux"), np.hypot(values(changes, "dx"), values(changes, "dy"))
        both = zip((base, some), pairs(base, some), strict=True)
        probability = [values(table, "probability")[rows] for table, rows in both]
        row |= {
            "flux_shift": float(np.median(change)),
            # Of a median of Gaussian values; its spread from the quartiles, which outliers leave alone.
            "flux_shift_error": float(np.sqrt(np.pi / 2) * np.subtract(*np.percentile(change, [75, 25])) / 1.349)
            / np.sqrt(len(change)),
            "flux_scatter": float(np.percentile(np.abs(change), 68.27)),
            "position_shift": float(np.percentile(apart, 68.27)),
            "probability_shift": float(np.mean(probability[1] - probability[0])),
        }
    return row


def splits_markdown(table: Table) -> str:
    """Return `splits_table` in Markdown: the scores of all splits, then the shifts between the tracers."""
    lines = [
        f"Completeness of sources from {DETECTABLE:.3g} ph/cm2/s on, purity of all candidates, 68 % of the errors of",
        f"the position [deg], fluxes within {WITHIN:.0%} and median of found over true flux, less one, from",
        f"{BRIGHT:g} ph/cm2/s on, 68 % and 95 % circles that hold, and 68 % intervals of the flux that hold, these",
        "also with the systematic error. In brackets: intervals.",
        "",
        "| split | latitude | patches | completeness | purity | 68 % [deg] | flux within | median | circles | fluxes |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table:
        shown = [_of_row(row, name) for name in ("completeness", "purity")]
        shown += [_plain(row, "position_68", ".4f"), _of_row(row, "flux_within"), _of_row(row, "flux_median")]
        shown += [" / ".join(_plain(row, name, ".3f") for name in ("held_68", "held_95"))]
        shown += [" / ".join(_plain(row, name, ".3f") for name in ("flux_held", "flux_held_with_systematic"))]
        cells = [row["split"], WORDS[row["region"]], str(row["patches"]), *shown]
        lines.append("| " + " | ".join(cells) + " |")
    shifted = [row for row in table if not np.ma.is_masked(row["found_in_both"])]
    if not shifted:
        return "\n".join(lines) + "\n"
    lines += [
        "",
        "Independence of the model of the diffuse emission: the networks were trained and calibrated with one tracer",
        "of it; the test sky with the same sources is seen with that tracer and with the other one. Changes, source by",
        "source: completeness and purity; flux: median of the logarithm of the ratio and 68 % of its absolute value;",
        "position: 68 % of the distances [deg]; mean change of the probability. Added: what the statistical errors",
        "of flux (a share of it) and position (along each axis [deg]) need to hold 68 %, with either tracer.",
        "",
        "| latitude | in both | completeness | purity | ln flux | 68 % | position | probability | added: flux | pos. |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    first = {row["region"]: row for row in table if row["split"] == "test"}
    for row in shifted:
        cells = [WORDS[row["region"]], f"{row['found_in_both']:.0f}"]
        cells += [_signed(row, name) for name in ("completeness_shift", "purity_shift", "flux_shift")]
        cells += [_plain(row, "flux_scatter", ".3f"), _plain(row, "position_shift", ".4f")]
        cells.append(_plain(row, "probability_shift", "+.3f"))
        for name, form in (("flux_added", ".3f"), ("position_added", ".4f")):
            cells.append(" / ".join(_plain(one, name, form) for one in (first[row["region"]], row)))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _plain(row, name: str, form: str) -> str:
    return "" if np.ma.is_masked(row[name]) else f"{row[name]:{form}}"


def _signed(row, name: str) -> str:
    return "" if np.ma.is_masked(row[name]) else f"{row[name]:+.3f} ± {row[f'{name}_error']:.3f}"


def _of_row(row, name: str) -> str:
    if np.ma.is_masked(row[name]):
        return ""
    return f"{row[name]:.3f} ({row[f'{name}_low']:.3f} to {row[f'{name}_high']:.3f})"

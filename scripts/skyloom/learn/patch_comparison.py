"""The search of gamma-ray patches beside other ways to find sources, in one table."""

import math
from dataclasses import asdict

import numpy as np
from astropy.table import Table

from ..detect.match_sources import accepted, values
from .detection_calibration import CERTAINTY
from .detection_scores import choose_threshold, ends, with_masks
from .metrics import proportion
from .patch_calibration import BRIGHT, DETECTABLE
from .patch_matching import LOWEST_SNR, WORDS, in_core, judged, matches, within
from .patch_scores import EDGES, WITHIN

SHOWN = ("all", "high", "low")
"""Regions of the sky that are told."""


def own_sky(truth: Table, found: Table) -> tuple[Table, Table]:
    """Return truth and detections of the patches that are seen upon the training's tracer, and their number."""
    other = np.unique(np.asarray(truth["cube"])[values(truth, "tracer") != 0])
    kept = [table[~np.isin(np.asarray(table["cube"]), other)] for table in (truth, found)]
    kept[1].meta["cubes"] = min(len(np.unique(kept[0]["cube"])), int(found.meta["cubes"]))
    return kept[0], kept[1]


def threshold_of(truth: Table, found: Table, purity: float) -> float:
    """Return the lowest score that has a purity on validation patches, as that of the chain is chosen."""
    matched = matches(truth, found)
    return choose_threshold(*judged(truth, found, matched), purity, CERTAINTY, lowest_snr=LOWEST_SNR).score


def results(truth: Table, found: Table, threshold: float, seconds: float, confidence: float) -> dict:
    """Return the scores of one way to find sources.

    Parameters
    ----------
    truth, found : astropy.table.Table
        Of the same test patches; the latter's header has ``cubes`` and ``pixel``.
    threshold : float
        Lowest score of a candidate.
    seconds : float
        Of a patch.
    confidence : float
        Level of the intervals.

    Returns
    -------
    dict
        ``patches``, ``seconds``, ``threshold``, and ``regions``: for each of `SHOWN`, ``bins`` by flux, of which the
        first is that of all detectable sources, each with completeness and purity; the median ``distance`` [deg] and,
        of sources of `BRIGHT` and more, the median ``ratio`` of the flux to the true one and the share ``within`` 30 %.
    """
    matched = accepted(matches(truth, found), found, threshold)
    core = in_core(found)
    passed = core & (values(found, "score") >= threshold)
    hit = np.isin(np.arange(len(found)), matched)
    kept = (matched >= 0) & np.append(core, False)[matched]
    regions = {}
    for region in SHOWN:
        sources = within(truth, region) & np.asarray(truth["core"], bool)
        candidates = within(found, region) & passed
        flux, seen = values(truth, "flux"), values(found, "flux")
        bins = []
        for low, high in [(DETECTABLE, math.inf), *zip(EDGES[:-1], EDGES[1:], strict=True)]:
            some = sources & (flux >= low) & (flux < high)
            those = candidates if high == math.inf else candidates & (seen >= low) & (seen < high)
            bins.append(
                {
                    "low": low,
                    "high": high,
                    "sources": int(some.sum()),
                    "candidates": int(those.sum()),
                    "completeness": asdict(proportion(int((matched[some] >= 0).sum()), int(some.sum()), confidence)),
                    "purity": asdict(proportion(int(hit[those].sum()), int(those.sum()), confidence)),
                }
            )
        rows = np.flatnonzero(kept & within(truth, region))
        apart = np.hypot(*(values(found, axis)[matched[rows]] - values(truth, axis)[rows] for axis in "xy"))
        ratio = (seen[matched[rows]] / flux[rows])[flux[rows] >= BRIGHT]
        regions[region] = {
            "bins": bins,
            "distance": float(np.median(apart) * found.meta["pixel"]) if len(rows) else None,
            "ratio": float(np.median(ratio)) if len(ratio) else None,
            "within": float(np.mean(np.abs(ratio - 1) <= WITHIN)) if len(ratio) else None,
        }
    return {"patches": int(found.meta["cubes"]), "seconds": seconds, "threshold": threshold, "regions": regions}


def table(found: dict[str, dict]) -> Table:
    """Return all `results` by their names as one table: a row a way, region and bin; the first of all detectable."""
    rows = []
    for name, one in found.items():
        for region, told in one["regions"].items():
            for number, part in enumerate(told["bins"]):
                row = {"name": name, "patches": one["patches"], "region": region}
                row |= {"flux_low": part["low"], "flux_high": part["high"]}
                row |= {"sources": part["sources"], "candidates": part["candidates"]}
                row |= {**ends("completeness", part["completeness"]), **ends("purity", part["purity"])}
                whole = number == 0
                row |= {key: told[key] if whole else None for key in ("distance", "ratio", "within")}
                rows.append(row | {"seconds": one["seconds"]})
    return with_masks(rows)


def as_markdown(found: dict[str, dict], purity: float, confidence: float) -> str:
    """Return the comparison as a table in Markdown, all regions of the sky one below the other."""
    chain = next(iter(found.values()))
    lines = [
        f"{chain['patches']} test patches; those that take seconds a patch have searched fewer, as told. The",
        f"threshold of each is the lowest that has a purity of {purity:.0%} on the validation patches. Completeness is",
        f"that of sources with {DETECTABLE:.3g} photons from 1 to 100 GeV per cm2 and s and more.",
        f"Distances (their median) and fluxes are those of what was found; fluxes, and the share within {WITHIN:.0%},",
        f"those of {BRIGHT:g} and more.",
        f"`ts_map` is told the true diffuse emission. In brackets: intervals at {confidence:.0%} confidence.",
        "",
        "| latitudes | | patches | completeness | purity | distance [deg] | flux over truth | within | s a patch |",
        "|---" * 9 + "|",
    ]
    for region in SHOWN:
        for name, one in found.items():
            told = one["regions"][region]
            whole = told["bins"][0]
            cells = [_share(whole["completeness"]), _share(whole["purity"]), _number(told["distance"], 3)]
            cells += [_number(told["ratio"], 3), _number(told["within"], 3), f"{one['seconds']:.2f}"]
            where = WORDS[region].replace("latitudes", "").strip()
            lines.append(f"| {where} | {name} | {one['patches']} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def by_flux_markdown(found: dict[str, dict]) -> str:
    """Return completeness against the true flux and purity against the one found in Markdown, a table a region."""
    chain = next(iter(found.values()))
    lines = []
    for region in SHOWN:
        lines += [f"Completeness and purity by the flux [ph/cm2/s], {WORDS[region]}:", ""]
        lines += ["| flux | " + " | ".join(found) + " |", "|---" * (len(found) + 1) + "|"]
        for number, part in enumerate(chain["regions"][region]["bins"][1:], 1):
            if part["low"] == 0 or not part["sources"]:
                continue
            cells = []
            for one in found.values():
                other = one["regions"][region]["bins"][number]
                cells.append(", ".join(_number(other[key]["value"], 2) for key in ("completeness", "purity")))
            lines.append(f"| {part['low']:.2e} to {part['high']:.2e} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _share(interval: dict) -> str:
    if interval["value"] is None:
        return ""
    return f"{interval['value']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"

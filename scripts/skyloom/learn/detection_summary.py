"""The scores that a reader asks for first, in one table."""

from astropy.table import Table

from .detection_scores import BRIGHT_SNR, LOWEST_SNR, with_masks


def summary(scores: dict) -> Table:
    """Return measure, value, and the ends of its interval, masked where they are not defined.

    Parameters
    ----------
    scores : dict
        Of `skyloom.learn.detection_scores.detector_scores`.
    """
    flat, deep = scores["2d"]["detectable"], scores["3d"]["detectable"]
    every, bright = scores["residuals"]["all"], scores["residuals"]["bright"]
    limit = f"S/N >= {LOWEST_SNR:g}"
    rows = [
        (f"completeness at {limit}, in the image", flat["completeness"]),
        (f"purity at {limit}, in the image", flat["purity"]),
        (f"completeness at {limit}, in the cube", deep["completeness"]),
        (f"purity at {limit}, in the cube", deep["purity"]),
        ("overlapping pairs that are separated", scores["pairs"]["share"]),
        ("median residual of the position at S/N >= 10 [pixel]", bright["position_residual"]),
        ("mean offset in x [pixel]", every["dx"]),
        ("mean offset in y [pixel]", every["dy"]),
        ("flux within 10 %", every["flux_within"]),
        ("both sizes within 10 %", every["sizes_within"]),
        ("major FWHM within 10 %", every.get("fwhm_major_within")),
        ("minor FWHM within 10 %", every.get("fwhm_minor_within")),
        ("position angle within 18 deg", every["pa_within"]),
        ("position angle within 18 deg, of elongated sources", every.get("pa_within_elongated")),
    ]
    rows += [(f"68 % intervals that hold: {name}", share) for name, share in every.get("coverage", {}).items()]
    rows = [(name, interval) for name, interval in rows if interval is not None]
    return measures(rows)


def measures(rows: list[tuple[str, dict]]) -> Table:
    """Return named intervals as a table: measure, value, low and high, masked where they are not defined."""
    return with_masks(
        [
            {"measure": name}
            | {key: None if interval[key] is None else round(interval[key], 5) for key in ("value", "low", "high")}
            for name, interval in rows
        ]
    )


def as_markdown(table: Table, cubes: int, sources: int, confidence: float) -> str:
    """Return the summary as a table in Markdown."""
    lines = [
        f"Test set: {cubes} cubes with {sources} sources. In brackets: intervals at {confidence:.0%} confidence.",
        "",
        "| measure | value |",
        "|---|---|",
    ]
    for row in table:
        known = not any(hasattr(row[key], "mask") for key in ("value", "low", "high"))
        text = f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})" if known else "not defined"
        lines.append(f"| {row['measure']} | {text} |")
    return "\n".join(lines) + "\n"


def snr_markdown(table: Table) -> str:
    """Return `skyloom.learn.detection_scores.snr_table` in Markdown: completeness and purity in the cube.

    Each cell has both, with their intervals.
    """
    names = list(dict.fromkeys(table["detector"]))
    lines = [
        "Completeness against true S/N, then purity against the detections' own S/N, in the cube.",
        "",
        "| S/N | sources | " + " | ".join(names) + " |",
        "|---" * (len(names) + 2) + "|",
    ]
    first = table[table["detector"] == names[0]]
    for number, head in enumerate(first):
        rows = [table[table["detector"] == name][number] for name in names]
        cells = [f"{_interval(row, 'completeness_3d')}; {_interval(row, 'purity_3d')}" for row in rows]
        beyond = hasattr(head["snr_high"], "mask") or head["snr_high"] == float("inf")
        bins = f">= {head['snr_low']:g}" if beyond else f"{head['snr_low']:g} to {head['snr_high']:g}"
        lines.append(f"| {bins} | {head['sources']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _interval(row, name: str) -> str:
    if hasattr(row[name], "mask"):
        return "none"
    return f"{row[name]:.2f} ({row[f'{name}_low']:.2f} to {row[f'{name}_high']:.2f})"


COMPARED = {
    "completeness_2d": "completeness, image",
    "purity_2d": "purity, image",
    "completeness_3d": "completeness, cube",
    "purity_3d": "purity, cube",
    "best_f1_3d": "best F1",
    "position_residual": "position [pixel]",
    "flux_within": "flux",
    "sizes_within": "sizes",
    "pa_within": "angle",
    "separated": "pairs",
    "seconds_per_cube": "s a cube",
}
"""Columns of the comparison that people see, and what they are called."""


def comparison_markdown(
    table: Table, cubes: int, sources: int, purity: float, stages: list[dict[str, float]] | None = None
) -> str:
    """Return detectors side by side as a table in Markdown.

    Parameters
    ----------
    table : astropy.table.Table
        Of `skyloom.learn.detection_scores.comparison_table`.
    cubes, sources : int
        Of the test set.
    purity : float
        The one for which each threshold was chosen.
    stages : list of dict of str to float, optional
        For each shard the seconds a cube of each stage of the first detector, and of ``all`` of them.
    """
    lines = [
        f"Test set: {cubes} cubes with {sources} sources. Completeness and purity at S/N >= {LOWEST_SNR:g}; the",
        f"threshold is that of a purity of {purity:.0%} on the validation cubes. Position: median residual at",
        f"S/N >= {BRIGHT_SNR:g}. Flux and both sizes: share within 10 %, angle: within 18 deg, of the sources found.",
        "Pairs: share of those overlapping in the image that are separated. Best F1: of completeness and purity in the",
        "cube, at the threshold that is best on this very test set.",
        "",
        "| | " + " | ".join(COMPARED.values()) + " |",
        "|---" * (len(COMPARED) + 1) + "|",
    ]
    for row in table:
        cells = ["" if hasattr(row[name], "mask") else f"{row[name]:.3f}" for name in COMPARED]
        lines.append(f"| {row['detector']} | " + " | ".join(cells) + " |")
    if stages:
        mean = {name: sum(shard[name] for shard in stages) / len(stages) for name in stages[0]}
        each = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in mean.items() if name != "all")
        lines += ["", f"`{table['detector'][0]}` searches {1 / mean['all']:.1f} cubes/s on one core ({each})."]
    return "\n".join(lines) + "\n"

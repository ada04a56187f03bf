"""What was found beside a catalog of known sources: on the whole sky, and against the flux."""

import numpy as np
from astropy.coordinates import SkyCoord
from matplotlib.figure import Figure

from ..catalog.reference_scores import PARTS
from . import style

_PLACES = {"completeness": "Completeness", "purity": "Purity"}


def comparison(result: dict, unit: str) -> Figure:
    """Return a map of the sky in Galactic coordinates, and completeness and purity against the flux.

    Parameters
    ----------
    result : dict
        Of `skyloom.catalog.reference_scores.compare`.
    unit : str
        Of the known sources' fluxes.
    """
    figure, axes = style.new_figure(8.5, 7.4)
    axes.remove()
    grid = figure.add_gridspec(2, 2, height_ratios=(1.5, 1))
    _sky(figure.add_subplot(grid[0, :], projection="mollweide"), result)
    rows = result["rows"]
    for column, (name, title) in enumerate(_PLACES.items()):
        ax = figure.add_subplot(grid[1, column])
        for colour, part in zip(style.PALETTE[1:], list(PARTS)[1:], strict=False):
            some = rows[(rows["part"] == part) & np.isfinite(rows["flux_high"])]
            some = some[~np.ma.getmaskarray(some[name])]
            if not len(some):
                continue
            middle = np.sqrt(np.asarray(some["flux_low"]) * np.asarray(some["flux_high"]))
            low, value, high = (np.asarray(some[f"{name}{end}"], float) for end in ("_low", "", "_high"))
            reach = np.maximum(np.stack([value - low, high - value]), 0)
            ax.errorbar(middle, value, yerr=reach, marker="o", ms=4, lw=1.3, color=colour, label=part)
        ax.set_xscale("log")
        ax.set_ylim(0, 1.03)
        whose = "known source" if name == "completeness" else "candidate"
        ax.set_xlabel(f"Flux of the {whose}{f' [{unit}]' if unit else ''}")
        ax.set_ylabel(title)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="lower right")
    return figure


def _sky(ax, result: dict) -> None:
    found, known = result["found"], result["known"]
    matched = np.asarray(found["matched"]) >= 0
    false = ~matched & ~np.asarray(found["part_of_extended"], bool)
    lowest = result["above"]["all"]
    fluxes = np.asarray(known["flux"], float) if "flux" in known.colnames else np.full(len(known), np.nan)
    missed = ~np.asarray(known["matched"], bool) & (fluxes >= (lowest if lowest is not None else 0.0))
    layers = (
        (found[matched], "matched", {"s": 5, "color": style.NEGATIVE}),
        (found[false], "unmatched candidates", {"s": 9, "color": style.POSITIVE, "marker": "x", "linewidths": 0.8}),
        (
            known[missed],
            "missed" + (f" above {lowest:.2g}" if lowest else ""),
            {"s": 14, "color": style.INK, "marker": "+"},
        ),
    )
    for table, label, look in layers:
        place = SkyCoord(table["ra"], table["dec"], unit="deg").galactic if len(table) else None
        lon, lat = (np.zeros(0), np.zeros(0)) if place is None else (place.l.deg, place.b.deg)
        look = {"linewidths": 0, **look} if "marker" not in look else {"linewidths": 0.8, **look}
        ax.scatter(-np.radians((lon + 180) % 360 - 180), np.radians(lat), label=f"{label} ({len(table)})", **look)
    ax.set_title("Sky in Galactic coordinates, longitude to the left")
    ax.set_xticks(np.radians(np.arange(-120, 121, 60)), [f"{-angle % 360}°" for angle in range(-120, 121, 60)])
    ax.tick_params(labelsize=7)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=3)

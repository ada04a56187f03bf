"""Networks and other ways to find gamma-ray sources, side by side."""

import math

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ..learn.patch_comparison import SHOWN
from ..learn.patch_matching import WORDS
from . import style


def comparison(results: dict[str, dict]) -> Figure:
    """Return completeness and purity against the flux, of each region in a row.

    Parameters
    ----------
    results : dict of str to dict
        Names and `skyloom.learn.patch_comparison.results`.
    """
    figure, axes = style.new_figure(8.5, 8.2, nrows=len(SHOWN), ncols=2, sharex=True, sharey=True)
    colours = style.colours(results)
    for row, region in zip(axes, SHOWN, strict=True):
        for ax, key in zip(row, ("completeness", "purity"), strict=True):
            for name, one in results.items():
                bins = [part for part in one["regions"][region]["bins"][1:] if part["low"] > 0]
                bins = [part for part in bins if part[key]["value"] is not None and part["high"] < 1e-7]
                middle = [math.sqrt(part["low"] * part["high"]) for part in bins]
                low, value, high = (np.array([part[key][end] for part in bins]) for end in ("low", "value", "high"))
                reach = np.maximum([value - low, high - value], 0) if len(bins) else None
                label = name.replace("_", " ")
                ax.errorbar(middle, value, yerr=reach, marker="o", ms=3.5, lw=1.3, color=colours[name], label=label)
            ax.set(xscale="log", ylim=(-0.03, 1.03), title=f"{key.capitalize()}, {WORDS[region]}")
            ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0, 0].legend()
    axes[-1, 0].set_xlabel("true flux, 1 to 100 GeV [photons cm$^{-2}$ s$^{-1}$]")
    axes[-1, 1].set_xlabel("flux that was found")
    return figure

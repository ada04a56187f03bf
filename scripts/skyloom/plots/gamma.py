"""How well gamma-ray sources are found and measured, from `skyloom.learn.map_scores`, and what their maps look like."""

from collections.abc import Sequence

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from scipy.ndimage import gaussian_filter

from ..images.counts import CountsMap, binned
from ..learn.map_calibration import LOWEST_SNR
from . import style

SHOWN = 3
"""Maps of the figure of sources."""
ALLOWED = 0.05
"""Bias of the photons that is wanted at most."""
_LABELS = {
    "response": "zenith angle [deg], or number of the response",
    "flux": "flux at 0.3 TeV [Crab]",
    "offset": "offset from the pointing [deg]",
    "snr": "true significance",
}
_SMOOTHED = 1.6


def location(scores: dict, rows: Table) -> Figure:
    """Return completeness, errors of the position and the share that its circles hold, against true significance.

    The last part holds the probabilities of the candidates against the share that is real.

    Parameters
    ----------
    scores : dict
        Of `skyloom.learn.map_scores.scores`.
    rows : astropy.table.Table
        Its residuals.
    """
    figure, axes = style.new_figure(14.4, 3.6, ncols=4)
    _completeness(axes[0], scores["found"]["bins"])
    _distances(axes[1], scores["residuals"]["bins"], rows)
    _held(axes[2], scores["residuals"]["bins"])
    for ax in axes[:3]:
        ax.set(xscale="log", xlabel="true significance")
        ax.axvline(LOWEST_SNR, color=style.GREY, lw=0.9, ls=":")
    _reliability(axes[3], scores["probability"])
    return figure


def _middle(row: dict) -> float:
    return float(np.sqrt(row["low"] * min(row["high"], 300)))


def _bars(ax: Axes, bins: Sequence[tuple[float, dict]], **look) -> None:
    """Draw intervals that are defined with their ends."""
    known = [(x, one) for x, one in bins if one["value"] is not None]
    if known:
        x, value = [x for x, _ in known], np.array([one["value"] for _, one in known])
        ends = [[one[key] if one[key] is not None else one["value"] for _, one in known] for key in ("low", "high")]
        errors = np.abs(np.array(ends) - value)
        ax.errorbar(x, value, errors, fmt="o-", ms=4, capsize=2, **look)


def _completeness(ax: Axes, bins: list[dict]) -> None:
    _bars(ax, [(_middle(row), row["completeness"]) for row in bins], color=style.PALETTE[0])
    ax.set(ylim=(-0.03, 1.03), title="Sources found")
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _distances(ax: Axes, bins: list[dict], rows: Table) -> None:
    if len(rows):
        ax.scatter(rows["snr"], rows["distance"], s=6, color=style.PALETTE[0], alpha=0.3, lw=0, rasterized=True)
    _bars(ax, [(_middle(row), row["median"]) for row in bins], color=style.PALETTE[1], label="median")
    bound = [(_middle(row), row["median_bound"]) for row in bins if row["median_bound"]]
    if bound:
        ax.plot(*zip(*bound, strict=True), color=style.PALETTE[6], ls="--", label="Cramér-Rao bound of the median")
    ax.set(yscale="log", ylim=(3e-4, 0.3), title="Error of the position [deg]")
    ax.legend()


def _held(ax: Axes, bins: list[dict]) -> None:
    for number, (name, level) in enumerate((("radius68", 0.6827), ("radius95", 0.9545))):
        colour = style.PALETTE[number]
        ax.axhline(level, color=colour, lw=0.8, ls="--")
        _bars(ax, [(_middle(row), row["held"][name]) for row in bins], color=colour, label=f"{level:.0%} circles")
    ax.set(ylim=(0.4, 1.03), title="Circles that hold the source")
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.legend(loc="lower right")


def _reliability(ax: Axes, told: dict) -> None:
    ax.plot([0, 1], [0, 1], color=style.GREY, lw=0.9, ls=":")
    bins = [
        (row["probability"], {"value": row["observed"], "low": row["observed_low"], "high": row["observed_high"]})
        for row in told["bins"]
    ]
    _bars(ax, bins, color=style.PALETTE[0])
    ax.set(xlabel="probability", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), title="Candidates that are real")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))


def bias(parts: dict[str, list[dict]]) -> Figure:
    """Return the relative bias of the photons of sources against each quantity.

    Parameters
    ----------
    parts : dict of str to list of dict
        The entry ``bias`` of `skyloom.learn.map_scores.scores`.
    """
    figure, axes = style.new_figure(11, 3.2, ncols=len(parts), sharey=True)
    for ax, (name, bins) in zip(np.atleast_1d(axes), parts.items(), strict=True):
        known = [row for row in bins if row["bias"] is not None]
        logarithmic = name in ("flux", "snr")
        x = [_middle(row) if logarithmic else (row["low"] + row["high"]) / 2 for row in known]
        ax.axhspan(-ALLOWED, ALLOWED, color=style.PALETTE[2], alpha=0.13, lw=0)
        ax.axhline(0, color=style.GREY, lw=0.8)
        errors = [row["error"] for row in known]
        ax.errorbar(x, [row["bias"] for row in known], errors, fmt="o", ms=4, capsize=2, color=style.PALETTE[0])
        ax.set(xlabel=_LABELS.get(name, name), ylim=(-0.3, 0.3))
        if logarithmic:
            ax.set_xscale("log")
            style.plain_log(ax.xaxis)
    axes[0].set(ylabel="photons found over true, less one")
    axes[0].set_title("Bias of the photons")
    return figure


def sources(shown: Sequence[tuple[CountsMap, np.ndarray, Table, Table]]) -> Figure:
    """Return maps of counts, of what was cleaned, and of the true photons, a row each, with the sources on them.

    Parameters
    ----------
    shown : sequence of (CountsMap, numpy.ndarray, astropy.table.Table, astropy.table.Table)
        Map, its photons in networks' pixels (`skyloom.learn.map_search.clean`), candidates and true sources.
    """
    figure, axes = style.new_figure(9, 3.1 * max(len(shown), 1), nrows=max(len(shown), 1), ncols=3, squeeze=False)
    titles = ("counts, smoothed", "photons found", "true photons")
    for row, (one, photons, found, truth) in zip(axes, shown, strict=True):
        half = one.counts.shape[0] * one.pixel / 2
        images = [binned(one.counts), photons, binned(one.source_counts)]
        smooth = [gaussian_filter(image.astype(float), _SMOOTHED) for image in images]
        # What was found and what is true share a scale, on which the background's own noise is not much.
        brightest = max(smooth[1].max(), smooth[2].max(), 5 * np.sqrt(smooth[0].max() / (4 * np.pi * _SMOOTHED**2)))
        for ax, image, title, most in zip(row, smooth, titles, (None, brightest, brightest), strict=True):
            extent = (half, -half, -half, half)
            ax.imshow(image, origin="lower", extent=extent, cmap=style.IMAGE_PALETTE, vmin=0, vmax=most)
            ax.set(title=title, xlabel="East [deg]")
            ax.grid(False)
            for source in truth:
                place = _offset(source, one, half)
                ax.plot(*place, "+", color=style.PALETTE[5], ms=9, mew=1.2)
        for candidate in found:
            row[1].plot(*_offset(candidate, one, half), "o", mfc="none", mec=style.PALETTE[2], ms=13, mew=1.4)
        row[0].set_ylabel("North [deg]")
    return figure


def _offset(row, one: CountsMap, half: float) -> tuple[float, float]:
    """Return the offset of a row's pixel to the East and to the North [deg]."""
    return half - (row["x"] + 0.5) * one.pixel, (row["y"] + 0.5) * one.pixel - half


def comparison(results: dict[str, dict]) -> Figure:
    """Return completeness and errors of the position of several estimators.

    Parameters
    ----------
    results : dict of str to dict
        Names and `skyloom.learn.map_comparison.results`.
    """
    figure, (left, right) = style.new_figure(9, 3.8, ncols=2)
    colours = style.colours(results)
    for name, result in results.items():
        test = result["test"]
        bins = [(_middle(row), row["completeness"]) for row in test["found"]["bins"]]
        _bars(left, bins, color=colours[name], label=name)
        bins = [(_middle(row), row["median"]) for row in test["residuals"]["bins"]]
        _bars(right, bins, color=colours[name])
    left.set(xscale="log", xlabel="true significance", ylim=(-0.03, 1.03), title="Sources found")
    left.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    left.legend()
    right.set(xscale="log", yscale="log", xlabel="true significance", title="Median error of the position [deg]")
    return figure

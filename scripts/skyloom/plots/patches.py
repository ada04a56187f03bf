"""How gamma-ray sources are found in patches of the sky, measured and told apart, and what the patches look like."""

from collections.abc import Sequence

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter
from scipy.ndimage import gaussian_filter

from ..detect.match_sources import values
from ..images.patches import SIDE, Patch
from ..learn.patch_calibration import BRIGHT, DETECTABLE
from ..learn.patch_matching import CORE, LOWEST_SNR, WORDS, in_core, matches
from ..learn.patch_scores import WITHIN
from ..learn.patch_shifts import shifts
from . import style
from .scores import CELLS

SHOWN = 3
"""Patches of the figure of patches."""
BAND = 2.0
"""The band with this energy [GeV] is shown of them: there are many photons, and they come from near their source."""
UNBIASED, HOLDING = 0.05, 0.03
"""Bias of the flux, and distance of the shares that hold from what they promise, that are wanted at most."""
ONE_SIGMA, TWO_SIGMA = 0.6827, 0.9545
_FLUX = "photons from 1 to 100 GeV [cm$^{-2}$ s$^{-1}$]"
_SMOOTHED = 1.0
_BAND = {"color": style.PALETTE[2], "alpha": 0.13, "lw": 0}
_COLOURS = {"all": style.PALETTE[0], "high": style.PALETTE[2], "low": style.PALETTE[1]}
_LATITUDES = {"plane": style.PALETTE[1], "middle": style.PALETTE[4], "high": style.PALETTE[0]}
_FEWEST = 5
_FLUXES = (6e-11, 1e-7)
"""Ends of the axes of flux."""


def _middle(row: dict) -> float:
    """Return the middle of a bin of a logarithmic axis; open ones are taken to be as wide as most."""
    low, high = row["low"], row["high"]
    if low <= 0:
        return high / 1.35
    return low * 1.35 if high / low > 10 else float(np.sqrt(low * high))


def _bars(ax: Axes, points: Sequence[tuple[float, dict]], **look) -> None:
    """Draw intervals that are defined with their ends."""
    known = [(x, one) for x, one in points if one["value"] is not None]
    if known:
        value = np.array([one["value"] for _, one in known])
        errors = np.abs(np.array([[one[end] for _, one in known] for end in ("low", "high")]) - value)
        style_of = {"fmt": "o-", "ms": 4, "capsize": 2, "lw": 1.4} | look
        ax.errorbar([x for x, _ in known], value, errors, **style_of)


def _legend(ax: Axes, **look) -> None:
    """Draw a legend if there is anything to tell."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(**look)


def purity(found: dict[str, dict]) -> Figure:
    """Return completeness and purity against flux and S/N, and as AutoSourceID counts them beside what it has.

    Parameters
    ----------
    found : dict of str to dict
        The entry ``found`` of `skyloom.learn.patch_scores.scores`.
    """
    figure, axes = style.new_figure(10.5, 6.2, nrows=2, ncols=3, sharey=True)
    for row, name in zip(axes, ("completeness", "purity"), strict=True):
        for ax, regions in zip(row, (("all",), ("high", "low"), ("high", "low")), strict=True):
            against_snr = ax is row[2]
            for region in regions:
                bins = found[region]["snr_bins" if against_snr else "bins"]
                counted = "sources" if name == "completeness" else "detections"
                points = [(_middle(one), one[name]) for one in bins if one[counted] >= _FEWEST]
                _bars(ax, points, color=_COLOURS[region], label=WORDS[region])
                if not against_snr:
                    loose = "simulated" if name == "completeness" else "purity"
                    shares = [(_middle(one), one["any"][loose]["value"]) for one in bins if one[counted] >= _FEWEST]
                    shares = np.array([(x, value) for x, value in shares if value is not None]).reshape(-1, 2)
                    ax.plot(*shares.T, "--", color=_COLOURS[region], lw=1.2)
                    known = [one["published"] for one in bins if "published" in one]
                    place = [one["flux"] for one in known], [one[name] for one in known]
                    ax.plot(*place, "D", mfc="white", mec=_COLOURS[region], ms=6, mew=1.4, zorder=3)
            what = "S/N" if against_snr else "flux [cm$^{-2}$ s$^{-1}$]"
            whose = f"true {what}" if name == "completeness" else f"candidate's {what}"
            ax.set(xscale="log", ylim=(-0.03, 1.05), xlabel=whose)
            ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            if against_snr:
                ax.set_xlim(0.7, 200)
                style.plain_log(ax.xaxis)
            else:
                ax.set_xlim(1.5e-11, _FLUXES[1])
        row[0].set_title(name.capitalize())
    axes[0, 1].legend(loc="lower right")
    theirs = Line2D([], [], ls="", marker="D", mfc="white", mec=style.GREY, ms=6, mew=1.4, label="AutoSourceID")
    counted_so = Line2D([], [], ls="--", color=style.GREY, lw=1.2, label="as it counts")
    axes[0, 0].legend(handles=[*axes[0, 0].get_legend_handles_labels()[0], counted_so, theirs], loc="lower right")
    return figure


def flux(scores: dict, rows: Table) -> Figure:
    """Return the fluxes that were found against the true ones, their bias, and how many of their errors hold.

    Parameters
    ----------
    scores : dict
        Of `skyloom.learn.patch_scores.scores`.
    rows : astropy.table.Table
        Its residuals.
    """
    figure, (left, middle, right) = style.new_figure(11, 3.7, ncols=3)
    if len(rows):
        high = np.abs(values(rows, "lat")) > 20
        for name, some in (("low", ~high), ("high", high)):
            left.scatter(
                rows["flux"][some],
                rows["found_flux"][some],
                s=5,
                color=_COLOURS[name],
                alpha=0.35,
                lw=0,
                label=WORDS[name],
                rasterized=True,
            )
        ends = np.array(_FLUXES)
        left.plot(ends, ends, color=style.INK, lw=1)
        for factor in (1 - WITHIN, 1 + WITHIN):
            left.plot(ends, factor * ends, color=style.INK, lw=0.8, ls="--")
        left.legend(loc="upper left", markerscale=2.5)
    left.set(xscale="log", yscale="log", xlabel=f"true {_FLUX}", ylabel="found", title="Flux")
    left.set(xlim=_FLUXES, ylim=_FLUXES)
    middle.axhspan(-UNBIASED, UNBIASED, **_BAND)
    middle.axhline(0, color=style.GREY, lw=0.8)
    right.axhspan(ONE_SIGMA - HOLDING, ONE_SIGMA + HOLDING, **_BAND)
    for region in ("all", "high", "low"):
        bins = [row for row in scores["flux"][region]["bins"] if row["count"] >= _FEWEST]
        look = {"color": _COLOURS[region], "label": WORDS[region]}
        _bars(middle, [(_middle(row), row["median"]) for row in bins], **look)
        _bars(right, [(_middle(row), row["held"]) for row in bins], **look)
    middle.set(title="Bias: median of found over true, less one", ylim=(-0.3, 0.5))
    right.set(title="68 % intervals that hold", ylim=(0.3, 1.03))
    right.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _legend(middle)
    for ax in (middle, right):
        ax.set(xscale="log", xlabel="true flux", xlim=_FLUXES)
        ax.axvline(BRIGHT, color=style.GREY, lw=0.9, ls=":")
    return figure


def positions(scores: dict, rows: Table) -> Figure:
    """Return the errors of the positions, and how many circles and ellipses hold the source.

    Parameters
    ----------
    scores, rows
        As in `flux`.
    """
    figure, (left, middle, right) = style.new_figure(11, 3.7, ncols=3)
    bins = [row for row in scores["residuals"]["bins"] if row["count"] >= _FEWEST]
    if len(rows):
        left.scatter(rows["flux"], rows["distance"], s=5, color=style.PALETTE[0], alpha=0.3, lw=0, rasterized=True)
        ratio = np.sort(values(rows, "distance") / values(rows, "radius68"))
        middle.plot(ratio, np.arange(1, len(ratio) + 1) / len(ratio), color=style.PALETTE[0], label="found")
        grid = np.linspace(0, 4, 200)
        # Of a round Gaussian whose 68 % circle has the radius one.
        expected = 1 - (1 - ONE_SIGMA) ** (grid**2)
        middle.plot(grid, expected, color=style.INK, lw=1, ls="--", label="Gaussian")
        middle.legend(loc="lower right")
    _bars(left, [(_middle(row), row["median"]) for row in bins], color=style.PALETTE[1], label="median")
    _bars(left, [(_middle(row), row["percentile68"]) for row in bins], color=style.PALETTE[6], label="68 %")
    left.set(
        xscale="log",
        yscale="log",
        xlim=_FLUXES,
        ylim=(1e-3, 0.4),
        xlabel="true flux",
        title="Error of the position [deg]",
    )
    _legend(left, loc="lower left")
    middle.set(xlim=(0, 3.5), ylim=(0, 1.03), xlabel="error over the radius of the 68 % circle")
    middle.set_title("Share of the sources within")
    middle.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    shown = (("radius68", "68 % circles", ONE_SIGMA), ("ellipse", "68 % ellipses", None))
    for number, (name, label, level) in enumerate((*shown, ("radius95", "95 % circles", TWO_SIGMA))):
        if level:
            right.axhspan(level - HOLDING, level + HOLDING, **_BAND)
        _bars(right, [(_middle(row), row["held"][name]) for row in bins], color=style.PALETTE[number], label=label)
    right.set(xscale="log", xlabel="true flux", xlim=_FLUXES, ylim=(0.3, 1.03), title="Circles and ellipses that hold")
    right.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _legend(right, loc="lower left")
    return figure


def roc(scores: dict, calibration: dict) -> Figure:
    """Return the ROC of the classifier of detections, its reliability, and how the kinds are told apart.

    Parameters
    ----------
    scores : dict
        Of `skyloom.learn.patch_scores.scores`.
    calibration : dict
        Of `skyloom.learn.patch_calibration.calibrate`.
    """
    figure, (left, middle, right) = style.new_figure(11, 3.9, ncols=3)
    real = scores["real"]
    left.plot([0, 1], [0, 1], color=style.GREY, lw=0.9, ls=":")
    if real["roc"]:
        areas = {"classifier": real["auc"]["value"], "probability": real["probability_auc"]}
        marks = {
            "classifier": {"D": calibration["roc"]["classifier"]},
            "probability": {"o": calibration["threshold"], "D": calibration["roc"]["probability"]},
        }
        for number, (name, area) in enumerate(areas.items()):
            one, colour = real["roc"][name], style.PALETTE[number]
            left.plot(
                [0, *one["false_positive_rate"]],
                [0, *one["true_positive_rate"]],
                color=colour,
                label=f"{name}, area {area:.3f}",
            )
            for marker, threshold in marks[name].items():
                if threshold is not None:
                    place = int(np.argmin(np.abs(np.array(one["threshold"]) - threshold)))
                    at = one["false_positive_rate"][place], one["true_positive_rate"][place]
                    left.plot(*at, marker, mfc="none", mec=colour, ms=8, mew=1.6)
        look = {"ls": "", "mfc": "none", "mec": style.GREY, "mew": 1.6}
        handles = left.get_legend_handles_labels()[0]
        handles.append(Line2D([], [], marker="o", ms=8, label="chosen for the purity", **look))
        handles.append(Line2D([], [], marker="D", ms=8, label="best difference of both", **look))
        left.legend(handles=handles, loc="lower right")
    left.set(xlabel="false detections that pass", ylabel="true detections that pass", title="True or false")
    middle.plot([0, 1], [0, 1], color=style.GREY, lw=0.9, ls=":")
    for number, (name, bins) in enumerate(
        (("that it is real", real["reliability"]), ("of the kind", scores["kinds"]["reliability"]))
    ):
        points = [
            (row["probability"], {"value": row["observed"], "low": row["observed_low"], "high": row["observed_high"]})
            for row in bins
            if row["count"] >= _FEWEST
        ]
        _bars(middle, points, color=style.PALETTE[number], label=name)
    middle.set(xlabel="probability", ylabel="share that is so", title="Reliability", xlim=(0, 1), ylim=(0, 1.03))
    _legend(middle, loc="upper left")
    _confusion(right, scores["kinds"])
    return figure


def _confusion(ax: Axes, kinds: dict) -> None:
    matrix = np.array(kinds["matrix"])
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    ax.imshow(share, cmap=CELLS, vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(matrix):
        colour = "white" if share[row, column] > 0.6 else style.INK
        ax.text(
            column, row, f"{count}\n{share[row, column]:.0%}", ha="center", va="center", color=colour, linespacing=1.4
        )
    places = range(len(matrix))
    ax.set_xticks(places, kinds["kinds"])
    ax.set_yticks(places, kinds["kinds"], rotation=90, va="center")
    ax.set(xlabel="most likely", ylabel="true", title="Kinds of the sources found")
    ax.tick_params(length=0)
    ax.grid(False)
    ax.spines[:].set_visible(False)


def tracers(rows: Table, others: Table) -> Figure:
    """Return how fluxes and positions of the same sources change if the diffuse emission is that of another tracer.

    Parameters
    ----------
    rows, others : astropy.table.Table
        Residuals of the same sky with the tracer of the training, and with the other one.
    """
    figure, (left, middle, right) = style.new_figure(11, 3.7, ncols=3)
    changes = shifts(rows, others)
    latitude, flux = np.abs(values(changes, "lat")), values(changes, "flux")
    ranges = {"high": (20, 91), "middle": (10, 20), "plane": (0, 10)}
    apart = np.hypot(values(changes, "dx"), values(changes, "dy"))
    for name, (low, high) in ranges.items():
        some = (latitude >= low) & (latitude < high)
        look = {"s": 6, "color": _LATITUDES[name], "alpha": 0.45, "lw": 0, "rasterized": True}
        left.scatter(flux[some], values(changes, "ln_flux")[some], label=WORDS[name], **look)
        middle.scatter(flux[some], apart[some], **look)
        if some.sum() >= _FEWEST:
            pull = values(changes, "ln_flux")[some] / values(changes, "ln_flux_error")[some]
            edges = np.linspace(-5, 5, 41)
            counts = np.histogram(np.clip(pull, -5, 5), edges)[0] / some.sum() / (edges[1] - edges[0])
            right.stairs(counts, edges, color=_LATITUDES[name], lw=1.4, label=WORDS[name])
    left.axhline(0, color=style.GREY, lw=0.8)
    left.set(xscale="log", xlabel="flux", xlim=_FLUXES, ylim=(-1.2, 1.2), title="Change of the flux's logarithm")
    _legend(left, markerscale=2.5)
    middle.set(
        xscale="log",
        yscale="log",
        xlabel="flux",
        xlim=_FLUXES,
        ylim=(1e-3, 0.6),
        title="Distance of the positions [deg]",
    )
    grid = np.linspace(-5, 5, 200)
    normal = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi)
    right.plot(grid, normal, color=style.INK, lw=1, ls="--", label="independent noise")
    right.set(xlabel="change over its statistical error", title="Change of the flux")
    right.set_ylim(0, 1.55 * right.get_ylim()[1])
    _legend(right, loc="upper left")
    return figure


def patches(shown: Sequence[tuple[Patch, np.ndarray, Table, Table]]) -> Figure:
    """Return patches, a row each: counts, the map of sources, and which sources were found.

    Parameters
    ----------
    shown : sequence of (Patch, numpy.ndarray, astropy.table.Table, astropy.table.Table)
        Patch, its map of sources (SIDE, SIDE), candidates (`skyloom.learn.patch_calibration.apply`) and true sources.
    """
    rows = max(len(shown), 1)
    figure, axes = style.new_figure(10.5, 3.3 * rows + 0.5, nrows=rows, ncols=3, squeeze=False)
    for row, (one, sources, found, truth) in zip(axes, shown, strict=False):
        half = one.width / 2
        extent = (half, -half, -half, half)
        band = next((n for n, (low, high) in enumerate(one.bands) if low <= BAND < high), len(one.bands) - 1)
        counts = gaussian_filter(np.asarray(one.counts[band], float), _SMOOTHED * len(one.counts[band]) / SIDE)
        low, high = one.bands[band]
        shade = {"origin": "lower", "extent": extent, "cmap": style.IMAGE_PALETTE}
        bottom, top = np.sqrt(np.percentile(counts, [0.5, 99.8]))
        row[0].imshow(np.sqrt(counts), vmin=bottom, vmax=top, **shade)
        row[0].set_title(f"counts, {low:g} to {high:g} GeV")
        row[0].set_ylabel(f"l = {one.lon:.1f}, b = {one.lat:+.1f} deg\nto the North [deg]")
        row[1].imshow(sources, vmin=0, **shade)
        row[1].set_title("map of sources")
        row[2].imshow(np.sqrt(counts), vmin=bottom, vmax=2 * top - bottom, alpha=0.6, **shade)
        _outcome(row[2], one, found, truth)
        for ax in row:
            ax.set(xlabel="to the East [deg]", xlim=(half, -half), ylim=(-half, half))
            ax.grid(False)
    look = {"ls": "", "mfc": "none", "mew": 1.5}
    handles = [
        Line2D([], [], marker="o", ms=9, mec=style.PALETTE[2], label="found", **look),
        Line2D([], [], marker="x", ms=7, mec=style.PALETTE[1], label=f"missed, {DETECTABLE:.2g} and brighter", **look),
        Line2D([], [], marker="s", ms=8, mec=style.PALETTE[0], label="false", **look),
        Line2D([], [], marker=".", ms=4, mec=style.INK, label=f"fainter, S/N {LOWEST_SNR:g} and more", **look),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _outcome(ax: Axes, one: Patch, found: Table, truth: Table) -> None:
    """Mark the sources that were found and missed, and the false candidates, in the core of a patch."""
    found = found[in_core(found) & np.asarray(found["candidate"], bool)]
    matched = matches(truth, found)
    core = np.asarray(truth["core"], bool)
    false = ~np.isin(np.arange(len(found)), matched)
    bright = values(truth, "flux") >= DETECTABLE
    seen = values(truth, "snr") >= LOWEST_SNR
    for table, some, look in (
        (truth, matched >= 0, {"marker": "o", "ms": 9, "mec": style.PALETTE[2], "mfc": "none", "mew": 1.5}),
        (truth, core & bright & (matched < 0), {"marker": "x", "ms": 7, "mec": style.PALETTE[1], "mew": 1.5}),
        (found, false, {"marker": "s", "ms": 8, "mec": style.PALETTE[0], "mfc": "none", "mew": 1.5}),
        (truth, core & seen & ~bright & (matched < 0), {"marker": ".", "ms": 3, "mec": style.INK, "mfc": style.INK}),
    ):
        x, y = (values(table, axis)[some] for axis in "xy")
        middle = (SIDE - 1) / 2
        ax.plot((middle - x) * one.pixel, (y - middle) * one.pixel, ls="", **look)
    square = np.array([-CORE, CORE, CORE, -CORE, -CORE]), np.array([-CORE, -CORE, CORE, CORE, -CORE])
    ax.plot(*square, color=style.GREY, lw=0.9, ls="--")
    ax.set_title(f"{int((matched >= 0).sum())} found, {int(false.sum())} false")

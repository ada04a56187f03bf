"""How well diffuse radio emission is found, from `skyloom.learn.field_scores`, and what fields look like."""

from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import PercentFormatter

from ..learn.field_scores import CLASSES
from ..learn.field_tables import KINDS
from . import style

SHOWN = 4
"""Fields of the figure of fields."""
_FAINT, _BRIGHT = -2.0, 8.0
"""Ends of the grey scale in units of the noise."""
_VIEW = 3.0
"""Half the width of what is shown of a field, in units of the cluster's R500."""


@dataclass(frozen=True)
class Shown:
    """A field that is drawn, in networks' pixels.

    Attributes
    ----------
    snr : numpy.ndarray, shape (height, width)
        Its image in units of the noise.
    truth : numpy.ndarray, shape (height, width)
        Share of each pixel with emission.
    probability : numpy.ndarray, shape (height, width)
    islands : numpy.ndarray, shape (height, width)
        True where an island is that is taken for real.
    rows : list of (float, float, str)
        Places of these islands, and what is written beside them.
    cluster : tuple of float
        x, y and R500 of the cluster, or of what stands in for it.
    title : str
    """

    snr: np.ndarray
    truth: np.ndarray
    probability: np.ndarray
    islands: np.ndarray
    rows: list[tuple[float, float, str]]
    cluster: tuple[float, float, float]
    title: str


def fields(shown: list[Shown]) -> Figure:
    """Return images of fields with the true emission, and beside them the probability with what was found."""
    count = max(1, len(shown))
    figure, axes = style.new_figure(2.7 * count, 5.6, ncols=count, nrows=2, squeeze=False)
    for (above, below), one in zip(axes.T, shown, strict=False):
        x, y, r500 = one.cluster
        half = max(_VIEW * r500 / 2, 40)
        above.imshow(
            np.arcsinh(one.snr), cmap="gray_r", vmin=np.arcsinh(_FAINT), vmax=np.arcsinh(_BRIGHT), origin="lower"
        )
        if (one.truth >= 0.5).any():
            above.contour(one.truth, [0.5], colors=[style.POSITIVE], linewidths=0.9)
        below.imshow(one.probability, cmap="Blues", vmin=0, vmax=1, origin="lower")
        if one.islands.any():
            below.contour(one.islands.astype(float), [0.5], colors=[style.INK], linewidths=0.9)
        for place_x, place_y, text in one.rows:
            if abs(place_x - x) < half and abs(place_y - y) < half:
                named = below.annotate(text, (place_x, place_y), xytext=(6, 6), textcoords="offset points", fontsize=7)
                named.set_path_effects([withStroke(linewidth=2, foreground="white")])
        for ax in (above, below):
            ax.add_patch(Circle((x, y), r500, fill=False, color=style.GREY, ls=":", lw=0.9))
            ax.set(xlim=(x - half, x + half), ylim=(y - half, y + half), xticks=[], yticks=[])
            ax.grid(False)
        above.set_title(one.title, fontsize=8)
    if not shown:
        style.say_empty(axes[0, 0], "no field")
    axes[0, 0].set_ylabel("image and true emission")
    axes[1, 0].set_ylabel("probability and islands")
    return figure


def verdicts(scores: dict) -> Figure:
    """Return how fields of each class are told, how probable emission is where it is told so, and the kinds."""
    figure, axes = style.new_figure(10.5, 3.3, ncols=3)
    ax = axes[0]
    for number, (key, label) in enumerate((("fields", "calibrated probability"), ("region", "R alone"))):
        values = [scores[key][name]["right"] for name in CLASSES]
        _bars(ax, np.arange(len(CLASSES)) + 0.12 * (number - 0.5), values, label=label, ls="", marker="o")
    ax.set(xticks=range(len(CLASSES)), xticklabels=CLASSES, ylim=(0, 1.02), title="fields told right")
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.legend(loc="lower left")
    ax = axes[1]
    known = [one for one in scores["reliability"] if one["probability"] is not None]
    ax.plot([0, 1], [0, 1], color=style.GREY, lw=0.9, ls=":")
    _bars(ax, np.array([one["probability"] for one in known]), [one["share"] for one in known], marker="o")
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="probability of emission", title="fields with emission")
    table = scores["kinds"]["table"]
    counts = np.array(table["counts"])
    ax = axes[2]
    ax.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        ax.text(column, row, str(count), ha="center", va="center", fontsize=8)
    names = table["names"]
    ax.set(xticks=range(len(names)), xticklabels=names, yticks=range(len(names)), yticklabels=names)
    ax.set(xlabel="told", ylabel="true", title="kind of the field")
    ax.grid(False)
    return figure


def brightness(scores: dict, rows: Table) -> Figure:
    """Return what is found, overlaps, and fluxes against the true surface brightness.

    Parameters
    ----------
    scores : dict
        Of `skyloom.learn.field_scores.scores`.
    rows : astropy.table.Table
        Its residuals.
    """
    figure, axes = style.new_figure(10.5, 3.3, ncols=3)
    pixels, pieces = scores["pixels"]["bins"], scores["components"]["bins"]
    middle = np.array([np.sqrt(max(one["low"], 0.25) * min(one["high"] or 20, 20)) for one in pixels])
    _bars(axes[0], middle, [one["found"] for one in pixels], label="pixels", marker="o")
    _bars(axes[0], middle * 1.05, [one["completeness"] for one in pieces], label="pieces of emission", marker="s")
    axes[0].set(title="found", ylim=(0, 1.02))
    axes[0].legend(loc="lower right")
    low = np.array([max(one["low"], 0.25) for one in pixels])
    _bars(axes[1], low, [one["iou_above"] for one in pixels], label="of this brightness and more", marker="o")
    axes[1].set(title="overlap of pixels (IoU)", ylim=(0, 1.02))
    ratio = np.asarray(rows["flux"]) / np.maximum(np.asarray(rows["true_flux"]), 1e-12)
    axes[2].axhline(1, color=style.GREY, lw=0.9, ls=":")
    for number, name in enumerate(KINDS):
        own = np.minimum(np.asarray(rows["kind"]), len(KINDS) - 1) == number
        axes[2].plot(np.asarray(rows["snr"])[own], ratio[own], "o", ms=3, alpha=0.6, label=name)
    axes[2].set(title="measured over true flux", yscale="log", ylim=(0.2, 5))
    axes[2].legend(loc="upper right")
    for ax in axes:
        ax.set(xscale="log", xlabel="true surface brightness [rms]")
        style.plain_log(ax.xaxis)
    style.plain_log(axes[2].yaxis)
    return figure


def comparison(results: dict[str, dict]) -> Figure:
    """Return how several searches tell fields, and how their pixels overlap with the truth by its brightness.

    Parameters
    ----------
    results : dict of str to dict
        Names and their scores (`skyloom.learn.field_scores.scores`).
    """
    figure, axes = style.new_figure(9.0, 3.6, ncols=2)
    place = np.arange(len(results))
    for number, measure in enumerate(("accuracy", "precision", "false_negatives")):
        intervals = [one["fields"][measure] for one in results.values()]
        _bars(axes[0], place + 0.15 * (number - 1), intervals, label=measure.replace("_", " "), ls="", marker="o")
    axes[0].set(ylim=(0, 1.02), title="fields", xticks=place)
    axes[0].set_xticklabels([name.replace("_", " ") for name in results], rotation=20, ha="right")
    axes[0].legend(loc="center left", fontsize=7)
    for name, one in results.items():
        bins = one["pixels"]["bins"]
        low = np.array([max(part["low"], 0.25) for part in bins])
        _bars(axes[1], low, [part["iou_above"] for part in bins], label=name.replace("_", " "), marker="o")
    axes[1].set(xscale="log", ylim=(0, 1.02), xlabel="true surface brightness [rms]")
    axes[1].set(title="overlap of pixels this bright and brighter (IoU)")
    style.plain_log(axes[1].xaxis)
    axes[1].legend(loc="upper left", fontsize=7)
    return figure


def _bars(ax: Axes, x: np.ndarray, intervals: list[dict | None], **look) -> None:
    """Draw intervals that are defined with their ends."""
    known = [(place, one) for place, one in zip(x, intervals, strict=True) if one and one["value"] is not None]
    if known:
        value = np.array([one["value"] for _, one in known])
        ends = np.array([[one[key] for _, one in known] for key in ("low", "high")])
        ax.errorbar([place for place, _ in known], value, np.abs(ends - value), ms=4, capsize=2, **look)

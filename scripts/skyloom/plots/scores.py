"""How good the networks are on the test set, from the metrics that ``evaluate.py`` writes."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from . import style

MARKED = {0.1: "v", 0.5: "s", 0.9: "^"}
"""Probabilities marked along the curves, and their markers."""
CELLS = LinearSegmentedColormap.from_list("cells", ["#FFFFFF", style.PALETTE[5], style.PALETTE[0]])


def confusion(models: list[dict], classes: tuple[str, str] = ("negative", "positive")) -> Figure:
    """Return the confusion matrix of each model in counts, with the share of each true class.

    Parameters
    ----------
    models : list of dict
        Metrics with the keys ``model``, ``threshold`` and ``confusion`` (counts).
    classes : tuple of str
        What a negative and a positive are called.
    """
    figure, axes = style.new_figure(3.2 * len(models), 3.6, ncols=len(models), squeeze=False)
    for ax, metrics in zip(axes.flat, models, strict=True):
        counts = metrics["confusion"]
        matrix = np.array(
            [[counts["true_positive"], counts["false_negative"]], [counts["false_positive"], counts["true_negative"]]]
        )
        share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        ax.imshow(share, cmap=CELLS, vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(matrix):
            colour = "white" if share[row, column] > 0.6 else style.INK
            ax.text(column, row - 0.06, f"{count}", ha="center", va="center", fontsize=17, color=colour)
            ax.text(column, row + 0.24, f"{share[row, column]:.1%}", ha="center", va="center", fontsize=8, color=colour)
        negative, positive = classes
        ax.set_xticks([0, 1], ["candidate", "not"])
        ax.set_yticks([0, 1], [positive, negative], rotation=90, va="center")
        ax.set(xlabel=f"classified (p ≥ {metrics['threshold']:.2f} or not)", ylabel="true")
        ax.set_title(metrics["model"])
        ax.tick_params(length=0)
        ax.grid(False)
        ax.spines[:].set_visible(False)
    return figure


def curves(models: list[dict]) -> Figure:
    """Return the ROC and the purity-completeness curve of each model, with thresholds marked.

    Parameters
    ----------
    models : list of dict
        Metrics with the keys ``model``, ``threshold``, ``roc``, ``pr`` and ``values`` (areas under the curves).
    """
    figure, (left, right) = style.new_figure(8, 4.5, ncols=2)
    colours = style.colours(metrics["model"] for metrics in models)
    for metrics in models:
        name, colour = metrics["model"], colours[metrics["model"]]
        roc, pr = metrics["roc"], metrics["pr"]
        area = metrics["values"]["roc_auc"]["value"]
        left.step(
            [0, *roc["false_positive_rate"]],
            [0, *roc["true_positive_rate"]],
            where="post",
            color=colour,
            label=f"{name}, area {area:.3f}",
        )
        _mark(left, roc["threshold"], roc["false_positive_rate"], roc["true_positive_rate"], metrics, colour)
        area = metrics["values"]["pr_auc"]["value"]
        right.step(pr["completeness"], pr["purity"], where="post", color=colour, label=f"{name}, area {area:.3f}")
        _mark(right, pr["threshold"], pr["completeness"], pr["purity"], metrics, colour)
    left.plot([0, 1], [0, 1], color=style.GREY, lw=0.9, ls=":", zorder=0)
    left.set(xlabel="false positive rate", ylabel="completeness (true positive rate)", title="ROC")
    right.set(xlabel="completeness (recall)", ylabel="purity (precision)", title="Purity and completeness")
    for ax, corner in ((left, "lower right"), (right, "lower left")):
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04), aspect="equal")
        ax.legend(loc=corner)
    figure.legend(handles=_mark_legend(), loc="outside lower center", ncols=4)
    return figure


def reliability(models: list[dict]) -> Figure:
    """Return how often the networks are right where they promise a probability, and how many objects that is.

    Parameters
    ----------
    models : list of dict
        Metrics with the keys ``model``, ``confidence``, ``reliability`` (bins) and ``values`` (calibration error).
    """
    figure, (top, bottom) = style.new_figure(4.8, 5.8, nrows=2, sharex=True, height_ratios=[3, 1])
    colours = style.colours(metrics["model"] for metrics in models)
    top.plot([0, 1], [0, 1], color=style.GREY, lw=0.9, ls=":")
    for place, metrics in enumerate(models):
        colour, bins = colours[metrics["model"]], metrics["reliability"]
        probability, observed, low, high, count, start, end = (
            np.array([row[key] for row in bins], dtype=float)
            for key in ("probability", "observed", "observed_low", "observed_high", "count", "low", "high")
        )
        top.errorbar(
            probability,
            observed,
            yerr=[np.maximum(observed - low, 0), np.maximum(high - observed, 0)],
            color=colour,
            marker="o",
            ms=4.5,
            lw=1.2,
            elinewidth=1.2,
            capsize=2.5,
            label=f"{metrics['model']}, ECE {metrics['values']['calibration_error']['value']:.3f}",
        )
        width = (end - start) * 0.8 / len(models)
        offset = (place - (len(models) - 1) / 2) * width
        bars = bottom.bar((start + end) / 2 + offset, count, width=width, color=colour)
        bottom.bar_label(bars, [f"{value:.0f}" for value in count], fontsize=6, padding=1)
    top.set(ylabel="share that is true", xlim=(-0.02, 1.02), ylim=(-0.04, 1.04), title="Reliability")
    top.legend(loc="upper left")
    bottom.set(xlabel="calibrated probability", ylabel="objects", yscale="symlog")
    bottom.set_ylim(0, bottom.get_ylim()[1] * 2.2)
    bottom.set_yticks([0, 1, 10, 100, 1000], ["0", "1", "10", "100", "1000"])
    bottom.set_ylim(0, max(row["count"] for metrics in models for row in metrics["reliability"]) * 3)
    bottom.minorticks_off()
    return figure


def _mark_legend() -> list[Line2D]:
    look = {"ls": "", "mec": style.GREY}
    marks = [Line2D([], [], marker="o", ms=9, mfc="none", mew=1.8, label="chosen threshold", **look)]
    marks += [
        Line2D([], [], marker=marker, ms=4.5, mfc=style.GREY, label=f"p = {threshold:g}", **look)
        for threshold, marker in MARKED.items()
    ]
    return marks


def _mark(ax: Axes, thresholds: list, x: list, y: list, metrics: dict, colour: str) -> None:
    """Mark the points of the chosen threshold, large, and of some round ones."""
    thresholds = np.asarray(thresholds)
    chosen = {"marker": "o", "ms": 9, "mfc": "none", "mec": colour, "mew": 1.8, "zorder": 4}
    round_ones = {
        threshold: {"marker": marker, "ms": 4.5, "mfc": colour, "mec": "white", "mew": 0.5, "zorder": 3}
        for threshold, marker in MARKED.items()
    }
    for threshold, look in (*round_ones.items(), (metrics["threshold"], chosen)):
        passed = np.flatnonzero(thresholds >= threshold)
        if len(passed):
            # The lowest threshold of the curve that still passes has the same objects above it.
            at = passed[np.argmin(thresholds[passed])]
            ax.plot(x[at], y[at], **look)

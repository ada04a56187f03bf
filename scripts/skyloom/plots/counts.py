"""What the filters of an archive search leave, as the thesis's tables 4.1 and 4.2 do."""

import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure

from . import style

ALL = "all"
FIRST_FILE_STEP = "products"
"""From this step on files are counted; before, observations."""


def filter_counts(counts: Table) -> Figure:
    """Return what is left after each filter, by science keyword: observations first, then files.

    Parameters
    ----------
    counts : astropy.table.Table
        With the columns ``step``, ``keyword``, ``observations`` and ``files``, in the order of the filters.
    """
    steps = list(dict.fromkeys(map(str, counts["step"])))
    keywords = [name for name in dict.fromkeys(map(str, counts["keyword"])) if name != ALL]
    first = steps.index(FIRST_FILE_STEP) if FIRST_FILE_STEP in steps else len(steps)
    parts = [("observations", steps[:first]), ("files", steps[first:])]
    parts = [(what, names) for what, names in parts if names]
    height = 0.34 * len(steps) + 0.3 * -(-len(keywords) // 2) + 1.3
    figure, axes = style.new_figure(
        8, height, nrows=len(parts), squeeze=False, height_ratios=[len(names) + 0.6 for _, names in parts]
    )
    colours = style.colours(keywords)
    for ax, (what, names) in zip(axes.flat, parts, strict=True):
        left = np.zeros(len(names))
        for keyword in keywords:
            width = np.array([_count(counts, step, keyword, what) for step in names], dtype=float)
            ax.barh(names, width, left=left, color=colours[keyword], label=keyword, height=0.72)
            left += width
        for step, total in zip(names, left, strict=True):
            ax.annotate(f"{total:.0f}", (total, step), xytext=(4, 0), textcoords="offset points", va="center")
        ax.invert_yaxis()
        ax.grid(axis="y", visible=False)
        ax.tick_params(axis="y", length=0)
        ax.margins(x=0.08)
        ax.set(xlabel=f"{what} left after the filter")
    axes.flat[0].set_title("Archive search")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    if keywords != ["any"]:
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8)
    return figure


def _count(counts: Table, step: str, keyword: str, what: str) -> int:
    rows = (np.asarray(counts["step"], str) == step) & (np.asarray(counts["keyword"], str) == keyword)
    return int(np.sum(counts[what][rows]))

"""What each part of a method brings: the change of a measure where the part is taken away."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from . import style


@dataclass(frozen=True)
class Change:
    """The change of a measure against the full method, with the ends of its interval."""

    name: str
    value: float
    low: float
    high: float


def change(name: str, full: dict, variant: dict) -> Change:
    """Return the difference of a measure between a variant and the full method.

    Parameters
    ----------
    name : str
        What differs.
    full, variant : dict
        The measure's ``value``, ``low`` and ``high``. Both sets of errors are added in quadrature, as if the two were
        independent; being measured on one test set they are not, so that the interval is rather too wide.
    """
    below = np.hypot(variant["value"] - variant["low"], full["high"] - full["value"])
    above = np.hypot(variant["high"] - variant["value"], full["value"] - full["low"])
    difference = variant["value"] - full["value"]
    return Change(name, difference, difference - below, difference + above)


def ablation(changes: dict[str, list[Change]], baseline: str) -> Figure:
    """Return the change of each measure for each variant, with intervals; left of zero is worse.

    Parameters
    ----------
    changes : dict of str to list of `Change`
        By name of the measure; the variants in the same order for all.
    baseline : str
        Name of the full method.
    """
    names = [entry.name for entry in next(iter(changes.values()))]
    figure, axes = style.new_figure(
        1.6 + 3.1 * len(changes), 0.42 * len(names) + 1.3, ncols=len(changes), sharey=True, squeeze=False
    )
    rows = np.arange(len(names))
    for ax, (measure, entries) in zip(axes.flat, changes.items(), strict=True):
        value, low, high = (np.array([getattr(entry, key) for entry in entries]) for key in ("value", "low", "high"))
        colours = np.where(value < 0, style.POSITIVE, style.NEGATIVE)
        ax.axvline(0, color=style.INK, lw=0.9)
        ax.barh(rows, value, color=colours, height=0.6, alpha=0.85)
        ax.errorbar(
            value, rows, xerr=[value - low, high - value], fmt="none", ecolor=style.INK, elinewidth=1, capsize=2
        )
        ax.set_yticks(rows, names)
        ax.grid(axis="y", visible=False)
        ax.set(xlabel=f"change of {measure}")
    axes.flat[0].invert_yaxis()
    axes.flat[0].set_title(f"Against “{baseline}”")
    return figure

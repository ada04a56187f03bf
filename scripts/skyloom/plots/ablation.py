"""What each part of a method brings: the change of a measure where the part is taken away."""

from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure

from . import style


@dataclass(frozen=True)
class Change:
    """The change of a measure's mean against the full method, and its 1 sigma error."""

    name: str
    value: float
    error: float


def changes(table: Table, measure: str, baseline: str) -> list[Change]:
    """Return the change of a measure for every variant but the baseline, in the table's order.

    Parameters
    ----------
    table : astropy.table.Table
        One row a variant, with the columns ``variant``, ``repeats``, the measure (its mean over the repeats) and
        ``<measure>_std`` (the standard deviation of the repeats themselves, divided by n).
    measure : str
    baseline : str
        The variant with everything.

    Notes
    -----
    The error of a mean of n repeats is std / sqrt(n - 1), and nothing for one repeat, which has no scatter to tell it
    by; those of variant and baseline are added in quadrature.
    """
    rows = {str(row["variant"]): row for row in table}

    def error(row) -> float:
        return float(row[f"{measure}_std"] / np.sqrt(max(row["repeats"] - 1, 1)))

    full = rows.pop(baseline)
    return [
        Change(name.replace("_", " "), float(row[measure] - full[measure]), float(np.hypot(error(row), error(full))))
        for name, row in rows.items()
    ]


def ablation(changes: dict[str, list[Change]], baseline: str) -> Figure:
    """Return the change of each measure for each variant, with 1 sigma errors; left of zero is worse.

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
        value, error = (np.array([getattr(entry, key) for entry in entries]) for key in ("value", "error"))
        colours = np.where(value < 0, style.POSITIVE, style.NEGATIVE)
        ax.axvline(0, color=style.INK, lw=0.9)
        ax.barh(rows, value, color=colours, height=0.6, alpha=0.85)
        ax.errorbar(value, rows, xerr=error, fmt="none", ecolor=style.INK, elinewidth=1, capsize=2)
        ax.set_yticks(rows, names)
        ax.grid(axis="y", visible=False)
        ax.set(xlabel=f"change of {measure}")
    axes.flat[0].invert_yaxis()
    axes.flat[0].set_title(f"Against “{baseline}”")
    return figure

"""Which optimiser and learning rate suit a network."""

import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure

from . import style

MARKERS = "osD^vP"


def tuning(trials: Table) -> Figure:
    """Return the validation loss of every trial by learning rate and optimiser; failed ones stand at the top.

    Parameters
    ----------
    trials : astropy.table.Table
        With the columns ``optimizer``, ``learning_rate``, ``val_loss`` and ``state`` (``complete`` or not).
    """
    figure, ax = style.new_figure(6.4, 4)
    done = np.asarray(trials["state"], str) == "complete"
    loss = np.ma.filled(np.ma.asarray(trials["val_loss"]).astype(float), np.nan)
    optimizers = list(dict.fromkeys(sorted(map(str, trials["optimizer"]))))
    colours = style.colours(optimizers)
    for place, name in enumerate(optimizers):
        rows = np.asarray(trials["optimizer"], str) == name
        look = {"color": colours[name], "marker": MARKERS[place % len(MARKERS)]}
        ax.scatter(trials["learning_rate"][rows & done], loss[rows & done], s=34, label=name, **look)
        failed = rows & ~done
        ax.scatter(
            trials["learning_rate"][failed],
            np.full(failed.sum(), 0.97),
            marker="x",
            color=colours[name],
            transform=ax.get_xaxis_transform(),
        )
    ax.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="lowest validation loss", title="Optimisers")
    style.plain_log(ax.yaxis)
    if done.any():
        best = int(np.nanargmin(np.where(done, loss, np.nan)))
        rate = trials["learning_rate"][best]
        ax.scatter(rate, loss[best], s=150, facecolors="none", edgecolors=style.INK, linewidths=1.3)
        best_trial = f"best: {trials['optimizer'][best]} at {rate:.1e}, loss {loss[best]:.3f}"
        ax.set_title(best_trial, loc="right", fontweight="normal", fontsize=8.5)
    if not done.all():
        ax.scatter([], [], marker="x", color=style.GREY, label="diverged")
    figure.legend(loc="outside right upper")
    return figure

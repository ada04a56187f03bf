"""How training went, epoch by epoch."""

import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from . import style

MEASURES = {
    "accuracy": ("accuracy on the validation set", "Accuracy", "loss (cross-entropy)"),
    "error": ("mean absolute error on the validation set", "Error", "loss"),
}
"""Columns of a history beside the losses: their label, title, and the label of the loss that goes with them."""


def training(histories: list[tuple[str, Table]]) -> Figure:
    """Return loss and accuracy by epoch for all members of all models.

    Parameters
    ----------
    histories : list of (str, astropy.table.Table)
        Name of the model, and the history of one of its members with the columns epoch, loss, val_loss and one of
        `MEASURES`. Members of one model share a colour.
    """
    measure = next(name for name in MEASURES if name in histories[0][1].colnames)
    label, title, loss = MEASURES[measure]
    figure, (left, right) = style.new_figure(8, 3.6, ncols=2)
    colours = style.colours(dict.fromkeys(name for name, _ in histories))
    for name, history in histories:
        epoch, colour = np.asarray(history["epoch"]), colours[name]
        best = int(np.argmin(history["val_loss"]))
        left.plot(epoch, history["loss"], color=colour, lw=1.1, ls="--")
        left.plot(epoch, history["val_loss"], color=colour)
        left.plot(epoch[best], history["val_loss"][best], "o", ms=6, mfc="white", mec=colour, mew=1.6)
        right.plot(epoch, history[measure], color=colour)
        right.plot(epoch[best], history[measure][best], "o", ms=6, mfc="white", mec=colour, mew=1.6)
    left.set(xlabel="epoch", ylabel=loss, title="Loss")
    if all(min(history[name]) > 0 for _, history in histories for name in ("loss", "val_loss")):
        left.set_yscale("log")
        style.plain_log(left.yaxis)
    right.set(xlabel="epoch", ylabel=label, title=title)
    for ax in (left, right):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    marker = {"color": style.GREY, "marker": "o", "mfc": "white", "mew": 1.6, "ms": 6}
    handles = [
        Line2D([], [], color=style.GREY, ls="--", lw=1.1, label="training"),
        Line2D([], [], color=style.GREY, label="validation"),
        Line2D([], [], ls="", label="best epoch, kept", **marker),
    ]
    left.legend(handles=handles, loc="upper right")
    right.legend(handles=[Line2D([], [], color=colour, label=name) for name, colour in colours.items()])
    return figure

"""What augmentation makes of a cutout: the cutout, its copies, and its mean with another."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from ..learn.datasets import JOINT
from . import style

SHOWN = (-0.33, 4.6)
"""Range of the network's input that the palette spans: asinh(S/N / 3) of S/N -1 and 150."""
COPY = "#"
"""Stands between a cutout's id and the number of a copy."""


@dataclass(frozen=True)
class Example:
    """A training cutout with what was made of it: indices into the samples of the training set.

    Attributes
    ----------
    cutout : int
    copies : list of int
    pair : int or None
        The mean of this cutout and another.
    label : int
    """

    cutout: int
    copies: list[int]
    pair: int | None
    label: int


def examples(name: np.ndarray, origin: np.ndarray, label: np.ndarray, positives: int, negatives: int) -> list[Example]:
    """Choose cutouts to show, spread evenly over those that have copies or pairs, positives first.

    Parameters
    ----------
    name, origin : numpy.ndarray of str, shape (n,)
        ``id`` and ``origin`` of the training samples.
    label : numpy.ndarray of int, shape (n,)
    positives, negatives : int
        How many of each at most.
    """
    copies: dict[str, list[int]] = {}
    pairs: dict[str, int] = {}
    for index, (text, kind) in enumerate(zip(name, origin, strict=True)):
        if kind == "copy":
            copies.setdefault(text.rpartition(COPY)[0], []).append(index)
        elif kind == "pair":
            pairs.setdefault(text.partition(JOINT)[0], index)
    chosen = []
    for value, count in ((1, positives), (0, negatives)):
        having = [
            index
            for index in np.flatnonzero((origin == "cutout") & (label == value))
            if name[index] in copies or name[index] in pairs
        ]
        with_pair = [index for index in having if name[index] in pairs] or having
        rows = np.unique(np.linspace(0, len(with_pair) - 1, min(count, len(with_pair))).round().astype(int))
        for row in rows:
            index = with_pair[row]
            chosen.append(Example(int(index), copies.get(name[index], []), pairs.get(name[index]), value))
    return chosen


def augmentation(shown: list[Example], images: dict[int, np.ndarray], columns: int) -> Figure:
    """Return one row an example: the cutout, up to `columns` copies, and the mean with another cutout.

    Parameters
    ----------
    shown : list of `Example`
    images : dict of int to numpy.ndarray, shape (side, side)
        The network's input of every sample of the examples.
    columns : int
        How many copies at most.
    """
    rows = max(len(shown), 1)
    figure, axes = style.new_figure(
        1.35 * (columns + 2), 1.35 * rows + 0.3, nrows=rows, ncols=columns + 2, squeeze=False
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    for ax in axes.flat:
        ax.axis("off")
    titles = ["cutout", *[f"copy {number + 1}" for number in range(columns)], "mean of a pair"]
    for row, example in zip(axes, shown, strict=False):
        indices = [example.cutout, *_padded(example.copies, columns), example.pair]
        for ax, index in zip(row, indices, strict=True):
            if index is not None:
                ax.imshow(
                    images[index],
                    cmap=style.IMAGE_PALETTE,
                    vmin=SHOWN[0],
                    vmax=SHOWN[1],
                    origin="lower",
                    interpolation="nearest",
                )
        colour = style.POSITIVE if example.label else style.NEGATIVE
        word = "positive" if example.label else "negative"
        row[0].text(-0.05, 0.5, word, rotation=90, ha="right", va="center", transform=row[0].transAxes, color=colour)
    if shown:
        for ax, title in zip(axes[0], titles, strict=True):
            ax.set_title(title, fontsize=8.5, loc="center")
    else:
        style.say_empty(axes[0, (columns + 2) // 2], "augmentation is switched off")
    return figure


def _padded(indices: list[int], length: int) -> list[int | None]:
    return [*indices[:length], *[None] * (length - len(indices))]

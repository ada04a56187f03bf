"""The look that all figures share, and how they are written."""

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from PIL import Image

from ..files import written_whole

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours that colour-blind readers tell apart (Okabe & Ito 2008), the strongest first."""
POSITIVE, NEGATIVE = PALETTE[1], PALETTE[0]
GREY, LIGHT, INK = "#8A8F98", "#E3E5E8", "#22262B"
IMAGE_PALETTE = "CMRmap_r"
"""The thesis's palette for images of discs: white sky, dark core, readable in print."""
DPI = 150
COLOURS = 256

RC = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": plt.cycler(color=PALETTE),
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": LIGHT,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
}
plt.rcParams.update(RC)


def new_figure(width: float, height: float, **grid) -> tuple[Figure, Axes]:
    """Return a figure [inch] in the shared style and its axes, arranged as `matplotlib.pyplot.subplots` does."""
    return plt.subplots(figsize=(width, height), layout="constrained", **grid)


def save(path: str | Path, figure: Figure) -> None:
    """Write a figure as PNG, whole or not at all; equal figures give equal bytes, since no program is named in it.

    The image is reduced to 256 colours, as many as the palette of the cutouts has, which makes galleries three times
    smaller.
    """
    drawn = BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    plt.close(figure)
    with Image.open(drawn) as image, written_whole(path) as part:
        reduced = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        reduced.save(part, format="PNG", optimize=True, dpi=(DPI, DPI))


def plain_log(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers at 1, 2 and 5, which short ranges need."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def say_empty(ax: Axes, text: str) -> None:
    """Say in the middle of empty axes why they are empty."""
    ax.axis("off")
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=GREY, fontsize=11)


def colours(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each name, by its place, so that a model has one colour in all figures of a run."""
    return {name: PALETTE[place % len(PALETTE)] for place, name in enumerate(names)}

"""Lines of the catalog beside the moments of spectral-cube."""

import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure

from ..detect.cube_moments import AGREES, ESTIMATES, SPEED_OF_LIGHT, apart
from ..detect.match_sources import values
from . import style

TICKS = (0.1, 0.2, 0.5, 1, 2, 5)


def widths(table: Table) -> Figure:
    """Return the differences in mean frequency and in width of the candidates' lines, against their S/N.

    Parameters
    ----------
    table : astropy.table.Table
        Of `skyloom.detect.cube_moments.compare`.
    """
    figure, axes = style.new_figure(8.5, 3.6, ncols=2)
    some = table[np.asarray(table["candidate"], bool)] if len(table) else table
    some = some[np.isfinite(values(some, "cube_width"))] if len(some) else some
    for ax, title in zip(axes, ("Mean frequency", "Width"), strict=True):
        ax.axhspan(-AGREES, AGREES, color=style.LIGHT, zorder=0)
        ax.axhline(0, color=style.GREY, lw=0.8)
        ax.set_xlabel("S/N in the focused image")
        ax.set_ylabel("Catalog less cube, over the width")
        ax.set_title(title)
        ax.set_xscale("log")
        style.plain_log(ax.xaxis)
        ax.set_yscale("symlog", linthresh=2 * AGREES)
        ax.set_yticks([sign * value for sign in (-1, 1) for value in TICKS] + [0])
        ax.yaxis.set_major_formatter("{x:g}")
        ax.minorticks_off()
    for kind, colour, marker in (("line", style.PALETTE[1], "x"), ("moment", style.PALETTE[0], "o")):
        if not len(some):
            continue
        snr, mean, cube = (values(some, name) for name in ("snr", f"{kind}_frequency", "cube_frequency"))
        width = values(some, "cube_width") / SPEED_OF_LIGHT * cube
        look = {"marker": marker, "ls": "", "ms": 4, "color": colour, "label": f"by {ESTIMATES[kind]}"}
        axes[0].plot(snr, (mean - cube) / width, **look)
        axes[1].plot(snr, apart(some, kind), **look)
        axes[1].legend()
    return figure

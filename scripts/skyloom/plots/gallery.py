"""Cutouts side by side, each with its beam, a scale bar, its name and its probability."""

import warnings
from dataclasses import dataclass

import numpy as np
from astropy.io.fits import Header
from astropy.table import Table
from astropy.wcs import WCS, FITSFixedWarning
from astropy.wcs.utils import proj_plane_pixel_scales
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from ..catalog.rows import DUPLICATE
from ..images import VIEWS
from ..images.store import Cutouts
from . import style

SOFTENING = 3.0
"""S/N at which the palette turns from linear to logarithmic, as in the network's own input."""
FAINTEST = -1.0
"""S/N that is white: the noise shows as a texture, deeper holes do not."""
SHOWN_PEAK = (10.0, 300.0)
"""The darkest colour is a panel's own peak S/N, but never below or above these."""
NICE = (1.0, 2.0, 5.0)


@dataclass(frozen=True)
class Panel:
    """One cutout of a gallery.

    Attributes
    ----------
    snr : numpy.ndarray, shape (side, side)
        S/N, NaN where not observed; North is up and East is left.
    beam : tuple of float
        FWHM of the major and minor axis [pixel], position angle [deg, North to East].
    pixel_scale : float
        Side of a pixel [arcsec].
    title : str
        One line or two above the cutout.
    marked : bool
        Whether the frame stands out.
    """

    snr: np.ndarray
    beam: tuple[float, float, float]
    pixel_scale: float
    title: str
    marked: bool = False


def pixel_scale(header: str) -> float:
    """Return the side of a pixel [arcsec] from a FITS header as `skyloom.images.store` keeps it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        wcs = WCS(Header.fromstring(header, sep="\n"))
    return float(np.mean(proj_plane_pixel_scales(wcs))) * 3600


def panels(rows: Table, cutouts: Cutouts, view: str) -> list[Panel]:
    """Return the panels of some rows of a catalog.

    Parameters
    ----------
    rows : astropy.table.Table
        Rows of a catalog, in the order shown.
    cutouts : `Cutouts`
        Those of at least these rows.
    view : str
        One of `skyloom.images.VIEWS`.

    Raises
    ------
    KeyError
        If a row has no cutout.
    """
    place = {name: index for index, name in enumerate(cutouts.id)}
    found = []
    for row in rows:
        index = place[str(row["id"])]
        header, beam = getattr(cutouts, f"{view}_header")[index], getattr(cutouts, f"{view}_beam")[index]
        snr = cutouts.take([index]).snr()[0, ..., VIEWS.index(view)]
        truth = "" if row["known"] is np.ma.masked else ("  label: yes" if row["known"] else "  label: no")
        name = str(row["name"]).removeprefix("SKYL ")
        title = f"{name}\np = {row['probability']:.2f}{truth}"
        found.append(Panel(snr, tuple(beam), pixel_scale(header), title, bool(row["candidate"])))
    return found


def best(catalog: Table, count: int) -> Table:
    """Return the rows of highest probability, at most `count`, equals in the catalog's order.

    Rows of the same image under another file name are left out.
    """
    catalog = catalog[[DUPLICATE not in str(flags).split(";") for flags in catalog["flags"]]]
    order = np.argsort(-np.asarray(catalog["probability"]), kind="stable")
    return catalog[order[:count]]


def mistakes(catalog: Table, count: int) -> Table:
    """Return labelled rows that the network has wrong, the most surprising first, at most `count`."""
    known = np.ma.filled(np.ma.asarray(catalog["known"]), -1)
    wrong = (known >= 0) & (np.asarray(catalog["candidate"]) != (known == 1))
    surprise = np.abs(np.asarray(catalog["probability"]) - known)
    order = np.argsort(-np.where(wrong, surprise, -1), kind="stable")
    return catalog[order[: min(count, int(wrong.sum()))]]


def gallery(shown: list[Panel], columns: int, rows: int, empty: str) -> Figure:
    """Return a page of cutouts.

    Parameters
    ----------
    shown : list of `Panel`
        At most columns * rows.
    columns, rows : int
        The page's grid; rows that would be empty are left out.
    empty : str
        What to say if there is nothing to show.
    """
    rows = max(1, min(rows, -(-len(shown) // columns)))
    figure, axes = style.new_figure(8, 8 / columns * rows * 1.17, ncols=columns, nrows=rows, squeeze=False)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    for ax in axes.flat[len(shown) :]:
        ax.axis("off")
    for ax, panel in zip(axes.flat, shown, strict=False):
        draw(ax, panel)
    if not shown:
        style.say_empty(axes.flat[columns // 2], empty)
    return figure


def draw(ax: Axes, panel: Panel) -> None:
    """Draw one panel."""
    side = panel.snr.shape[0]
    peak = np.nanmax(panel.snr, initial=SHOWN_PEAK[0])
    top = float(np.clip(peak, *SHOWN_PEAK))
    ax.set_facecolor(style.LIGHT)
    ax.imshow(
        np.arcsinh(panel.snr / SOFTENING),
        vmin=np.arcsinh(FAINTEST / SOFTENING),
        vmax=np.arcsinh(top / SOFTENING),
        cmap=style.IMAGE_PALETTE,
        origin="lower",
        interpolation="nearest",
    )
    ax.set(xticks=[], yticks=[], xlim=(-0.5, side - 0.5), ylim=(-0.5, side - 0.5))
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set(visible=True, color=style.POSITIVE if panel.marked else style.GREY, lw=1.4 if panel.marked else 0.6)
    ax.set_title(panel.title, fontsize=6.2, fontweight="normal", loc="left", pad=2.5, linespacing=1.15)
    _beam(ax, panel.beam, side)
    _scale_bar(ax, panel.pixel_scale, side)


def _beam(ax: Axes, beam: tuple[float, float, float], side: int) -> None:
    major, minor, angle = beam
    half = major / 2 + 0.05 * side
    # Counter-clockwise from North is towards East, which is left.
    ax.add_patch(
        Ellipse((half, half), minor, major, angle=angle, facecolor="white", edgecolor=style.INK, lw=0.8, alpha=0.9)
    )


def _scale_bar(ax: Axes, scale: float, side: int) -> None:
    arcsec = nice_length(0.35 * side * scale)
    length = arcsec / scale
    right, low = 0.95 * side, 0.06 * side
    ax.plot([right - length, right], [low, low], color=style.INK, lw=1.2, solid_capstyle="butt")
    text = ax.text(right - length / 2, low + 0.015 * side, f"{arcsec:g}″", fontsize=6, ha="center", va="bottom")
    text.set_bbox({"facecolor": "white", "alpha": 0.6, "lw": 0, "pad": 0.4})


def nice_length(longest: float) -> float:
    """Return the longest of 1, 2, 5, 10, ... (or 0.5, 0.2, ...) that is not above `longest`."""
    power = 10.0 ** np.floor(np.log10(longest))
    return float(max(step * power for step in NICE if step * power <= longest * (1 + 1e-9)))

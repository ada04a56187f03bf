"""Where on the sky was searched, and what was found."""

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from . import style

CENTRE = 0.0
"""Right ascension in the middle of the map [deg]."""


def sky_map(fields: Table, catalog: Table) -> Figure:
    """Return the whole sky in Mollweide's equal-area projection, ICRS, East to the left.

    Parameters
    ----------
    fields : astropy.table.Table
        Searched files with the columns ``status``, ``ra``, ``dec`` [deg]; those kept are shown.
    catalog : astropy.table.Table
        With the columns ``ra``, ``dec`` [deg] and ``candidate``.
    """
    figure, ax = style.new_figure(8, 4.5, subplot_kw={"projection": "mollweide"})
    kept = fields[[str(status) == "kept" for status in fields["status"]]]
    candidate = np.asarray(catalog["candidate"], dtype=bool)
    layers = [
        (kept, "searched fields", {"marker": "s", "s": 12, "color": style.GREY, "alpha": 0.55, "linewidths": 0}),
        (catalog[~candidate], "other objects", {"marker": "o", "s": 7, "color": style.NEGATIVE, "linewidths": 0}),
        (
            catalog[candidate],
            "candidates",
            {"marker": "*", "s": 75, "color": style.POSITIVE, "edgecolors": "white", "linewidths": 0.5},
        ),
    ]
    handles = []
    for table, label, look in layers:
        x, y = _projected(np.asarray(table["ra"], dtype=float), np.asarray(table["dec"], dtype=float))
        handles.append(ax.scatter(x, y, label=f"{label} ({len(table)})", **look))
    ax.plot(*galactic_plane(), color=style.PALETTE[4], lw=1.2, zorder=0)
    handles.append(Line2D([], [], color=style.PALETTE[4], lw=1.2, label="Galactic plane"))
    hours = np.arange(-10, 11, 2)
    ax.set_xticks(np.radians(hours * 15), [f"{int((CENTRE / 15 - hour) % 24)}h" for hour in hours])
    ax.set_yticks(
        np.radians(np.arange(-60, 61, 30)), [f"{angle:+d}°" if angle else "0°" for angle in range(-60, 61, 30)]
    )
    ax.tick_params(labelsize=7.5, colors=style.INK)
    for label in ax.get_xticklabels():
        label.set_bbox({"facecolor": "white", "alpha": 0.7, "lw": 0, "pad": 0.6})
    ax.set_title("Sky in ICRS, right ascension and declination")
    figure.legend(handles=handles, loc="outside lower center", ncols=4, handletextpad=0.3)
    return figure


def galactic_plane() -> tuple[np.ndarray, np.ndarray]:
    """Return the Galactic equator as a line on the map, broken at the map's edge."""
    plane = SkyCoord(np.linspace(0, 360, 721), np.zeros(721), unit="deg", frame="galactic").icrs
    x, y = _projected(plane.ra.deg, plane.dec.deg)
    jump = np.flatnonzero(np.abs(np.diff(x)) > np.pi) + 1
    return np.insert(x, jump, np.nan), np.insert(y, jump, np.nan)


def _projected(ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return positions [deg] as Matplotlib's map projections take them [rad], East to the left."""
    return -np.radians((ra - CENTRE + 180) % 360 - 180), np.radians(dec)

"""Tables of what a search for diffuse emission finds, and what of it is true."""

import numpy as np
from astropy.table import Column, Table

from ..images.radio_fields import binned, brightness_of

BEAM = 2.2
"""Networks' pixels in a beam at least, if the image has as many."""
KINDS = ("halo", "relic", "other")
"""Kinds of diffuse emission; bridges and fossil plasma are others."""
OUTPUTS = ("emission", *KINDS)
"""What the network with the role ``kind`` tells the probabilities of."""
UNITS = {
    **dict.fromkeys(("x", "y"), "pix"),
    **dict.fromkeys(("flux", "flux_error"), "Jy"),
    **dict.fromkeys(("las", "major", "minor", "distance"), "arcsec"),
    "peak": "Jy/beam",
    "pa": "deg",
    "rms": "Jy/beam",
}
ISLAND = (
    *("x", "y", "flux", "flux_error", "peak", "las", "major", "minor", "pa", "area", "distance", "distance_r500"),
    *("elongation", "aligned", "concentration", "mean_probability", "peak_probability", "brightness", "snr", "rms"),
)
"""What is measured of an island (`measured`)."""
COLUMNS = ("cube", "island", *ISLAND, "region_mean", *(f"odds_{name}" for name in OUTPUTS))
"""What is told of an island, and of the field, which is island 0 (`search_field`)."""
BRIGHTNESS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, np.inf)
"""Of the bins of true surface brightness in units of the rms, of a pixel or of a piece's mask."""
BINS = 20
"""Of the probabilities of pixels."""


def with_truth(found, mask: np.ndarray) -> list[dict]:
    """Return the rows of a search with what they have in common with the truth, which is not kept beside them.

    Parameters
    ----------
    found : skyloom.learn.field_search.Found
    mask : numpy.ndarray, shape (height, width), uint8
        Of the field (`skyloom.images.radio_fields.as_mask`).

    Returns
    -------
    list of dict
        Besides: ``true_share`` (share of an island's pixels with emission), and of the field ``overlap``, the number of
        its pixels by their probability (`BINS`) and by their true surface brightness: 0, then `BRIGHTNESS`;
        zeros for an island.
    """
    there = binned((mask > 0).astype(np.float32), found.scaled.binning)
    bright = binned(brightness_of(mask), found.scaled.binning)
    seen = np.isfinite(found.probability)
    chance = np.minimum((np.nan_to_num(found.probability) * BINS).astype(int), BINS - 1)
    place = np.where(there >= 0.5, np.searchsorted(BRIGHTNESS, bright, side="right"), 0)
    kinds = len(BRIGHTNESS)
    counts = np.bincount((chance * kinds + place)[seen], minlength=BINS * kinds).reshape(BINS, kinds)
    total = np.bincount(found.islands.ravel(), minlength=len(found.rows))
    shared = np.bincount(found.islands.ravel(), weights=there.ravel(), minlength=len(found.rows))
    none = np.zeros_like(counts)
    return [
        {
            **row,
            "true_share": float(shared[row["island"]] / max(total[row["island"]], 1)) if row["island"] else 0.0,
            "overlap": none if row["island"] else counts,
        }
        for row in found.rows
    ]


def detection_table(rows: list[dict]) -> Table:
    """Return rows of the search as a table with units, with all columns even if there is no row.

    What `with_truth` adds comes last, if the rows have it.
    """
    whole = ("cube", "island")
    table = Table(
        {
            name: Column([row[name] for row in rows], dtype=int if name in whole else float, unit=UNITS.get(name))
            for name in COLUMNS
        }
    )
    if rows and "overlap" in rows[0]:
        table["true_share"] = np.array([row["true_share"] for row in rows], float)
        table["overlap"] = np.array([row["overlap"] for row in rows], int).reshape(len(rows), BINS, len(BRIGHTNESS))
    return table

"""Lists of clusters of galaxies: where they are, at which redshift, and how large."""

from functools import partial
from pathlib import Path

import numpy as np
from astropy.table import Table

from ..archive import position_lists
from ..errors import UserError
from .clusters import Cluster

MASS_UNIT = 1e14
"""Of masses in a column without a unit [Msun]; catalogs of clusters give them so."""


def read_clusters(path: str | Path, columns) -> Table:
    """Return the clusters of a table in FITS (packed or not), VOTable, ECSV or CSV.

    Parameters
    ----------
    path : path
    columns : skyloom.cases.diffuse_radio.Clusters
        Its names of columns: `name`, `ra`, `dec` (ICRS, degrees if they have no unit), `redshift`, `mass` (M500, in
        1e14 solar masses if it has no unit), `r500` (arcmin if it has no unit). Where a cluster has an R500, its mass
        is not read.

    Returns
    -------
    astropy.table.Table
        ``name``, ``ra``, ``dec`` [deg], ``redshift`` and ``r500`` [arcmin], NaN where they are not known; clusters
        without a position or without any size are left out.

    Raises
    ------
    UserError
        If the file is missing, is no such table, or lacks a column that is needed.
    """
    table = position_lists.read_table(path, "a list of clusters")
    for column in (columns.ra, columns.dec, columns.redshift):
        position_lists.need(table, column, path, "search.clusters")
    if columns.mass not in table.colnames and columns.r500 not in table.colnames:
        raise UserError(
            f"{path}: has neither `{columns.r500}` nor `{columns.mass}`, so how large a cluster is is not known; "
            "name a column of either in `search.clusters`."
        )
    numbers = partial(position_lists.numbers, table, path=path)
    ra, dec, redshift = numbers(columns.ra, "deg"), numbers(columns.dec, "deg"), numbers(columns.redshift, "")
    # Catalogs mark what is not known by a negative redshift.
    redshift = np.where(redshift > 0, redshift, np.nan)
    mass, r500 = numbers(columns.mass, "Msun", plain=MASS_UNIT), numbers(columns.r500, "arcmin")
    r500 = np.where(r500 > 0, r500, [angular_r500(*pair) for pair in zip(mass, redshift, strict=True)])
    known = np.isfinite(ra) & (np.abs(dec) <= 90) & (r500 > 0)
    names = position_lists.names(table, columns.name)
    return Table({"name": names, "ra": ra, "dec": dec, "redshift": redshift, "r500": r500})[known]


def angular_r500(mass: float, redshift: float) -> float:
    """Return the R500 [arcmin] of a mass M500 [Msun]; NaN if either is not known."""
    if not (mass > 0 and redshift > 0):
        return np.nan
    return Cluster(float(mass), float(redshift)).r500 / 60

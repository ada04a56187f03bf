"""The Planck clusters: PSZ2, a catalog of Sunyaev-Zeldovich sources (Planck Collaboration 2016, A&A 594, A27)."""

import numpy as np
from astropy import units
from astropy.table import MaskedColumn, Table

from ..errors import UserError

CATALOG = "J/A+A/594/A27/psz2"
COLUMNS = {"name": "PSZ2", "ra": "RAJ2000", "dec": "DEJ2000", "redshift": "z", "mass": "MSZ", "snr": "SNR"}
"""Its columns in VizieR by the names they are given here."""
VIZIER = "https://vizier.cds.unistra.fr"


def planck_clusters(server: str = VIZIER, timeout: float = 60.0) -> Table:
    """Return the clusters of PSZ2 as VizieR has them.

    Parameters
    ----------
    server : str
        Address of a VizieR server.
    timeout : float
        s.

    Returns
    -------
    astropy.table.Table
        ``name``, ``ra``, ``dec`` [deg], ``redshift`` and ``mass`` (M500 [Msun]), both masked where they are not known,
        and ``snr``.

    Raises
    ------
    UserError
        If the server cannot be reached or answers with something else.
    """
    from astroquery import cache_conf
    from astroquery.vizier import VizierClass

    class AtServer(VizierClass):
        """Asks the server that was given."""

        def _server_to_url(self, return_type="votable"):
            return f"{server.rstrip('/')}/viz-bin/{return_type}"

    vizier = AtServer(columns=list(COLUMNS.values()), row_limit=-1, timeout=timeout)
    try:
        with cache_conf.set_temp("cache_active", False):
            tables = vizier.get_catalogs(CATALOG)
    except Exception as error:  # requests and the VOTable parser each raise their own
        text = " ".join(str(error).split())[:120]
        raise UserError(f"{server}: gave no catalog {CATALOG} ({text}); check the network, or --server.") from error
    found = tables[0] if tables else Table()
    missing = [column for column in COLUMNS.values() if column not in found.colnames]
    if missing:
        raise UserError(f"{server}: answered without the column {missing[0]} of {CATALOG}; try again later.")
    return _conformed(found)


def _conformed(found: Table) -> Table:
    given = {name: np.ma.asarray(found[column]) for name, column in COLUMNS.items()}
    unknown = given["redshift"].mask | (given["redshift"].filled(-1).astype(float) <= 0)
    unit = found[COLUMNS["mass"]].unit
    factor = units.Unit(unit).to("Msun") if unit and units.Unit(unit).is_equivalent("Msun") else 1e14
    mass = given["mass"].filled(0).astype(float) * factor
    table = Table()
    table["name"] = [f"PSZ2 {str(name).strip().removeprefix('PSZ2').strip()}" for name in given["name"]]
    for name in ("ra", "dec"):
        column = found[COLUMNS[name]]
        table[name] = MaskedColumn(np.ma.asarray(column).filled(np.nan).astype(float), unit=column.unit or "deg")
        table[name] = table[name].filled(np.nan).to("deg").round(6)
    table["redshift"] = MaskedColumn(given["redshift"].filled(0).astype(float).round(4), mask=unknown)
    table["mass"] = MaskedColumn(mass, mask=given["mass"].mask | (mass <= 0), unit="Msun")
    table["snr"] = given["snr"].filled(np.nan).astype(float)
    return table[np.argsort(table["ra"], kind="stable")]

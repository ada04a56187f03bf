"""The one interface of all archives, and the columns of what they give."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from astropy.table import Column, MaskedColumn, Row, Table

from ..config.schema import Archive, Download, Search
from ..errors import UserError

# ObsCore columns that are used, under ALMA's names: dtype, unit.
OBSERVATION = {
    "obs_id": (str, None),
    "member_ous_uid": (str, None),
    "proposal_id": (str, None),
    "target_name": (str, None),
    "s_ra": (float, "deg"),
    "s_dec": (float, "deg"),
    "s_fov": (float, "deg"),
    "s_resolution": (float, "arcsec"),
    "science_keyword": (str, None),
    "obs_release_date": (str, None),
    "data_rights": (str, None),
    "frequency": (float, "GHz"),
    "lastModified": (str, None),
}

# One row a file. `observation` is the number of the row it belongs to; `version` changes when the content does.
PRODUCT = {
    "observation": (int, None),
    "product_id": (str, None),
    "filename": (str, None),
    "access_url": (str, None),
    "content_length": (int, "byte"),
    "version": (str, None),
}


class Service(Protocol):
    """An archive: what was observed, which files belong to it, and their bytes.

    Attributes
    ----------
    applies : frozenset of str
        The keys of the search that mean something in this archive.
    asked : list of str
        What was asked so far, for the snapshot: ADQL, or the arguments of the call.
    simulated : bool
        Whether everything in it is simulated.
    in_place : bool
        Whether files are used where they are: nothing is copied, and `retrieve` is not needed.
    """

    name: str
    applies: frozenset[str]
    asked: list[str]
    simulated: bool
    in_place: bool

    def named(self, target: str) -> Table:
        """Return the observations whose target name may be `target`."""

    def observations(self, search: Search, centre) -> Table:
        """Return a table with the columns `OBSERVATION`; `centre` is a sky position or None.

        It may hold more than what is searched for: the filters come afterwards.
        """

    def products(self, observations: Table) -> Table:
        """Return a table with the columns `PRODUCT`: the files of the given observations."""

    def retrieve(self, product: Row, part: Path, download: Download, limit: int | None) -> None:
        """Write a product's bytes to `part`, which may hold the beginning already, and make sure they are FITS.

        `limit` is the largest length allowed [bytes]. Raises `FetchError`.
        """


def open_service(name: str, settings: Archive, simulated: Sequence[str] = ()) -> Service:
    """Return the archive of that name.

    Parameters
    ----------
    name : str
        ``embedded``, ``local``, ``alma``, ``fermi`` or ``lotss``.
    settings : Archive
    simulated : sequence of path
        The ObsCore tables of the embedded archive; each has its ``.tar`` beside it.
    """
    if name == "embedded":
        from .embedded import EmbeddedService

        return EmbeddedService(simulated)
    if name == "local":
        from .local import LocalService

        return LocalService(settings.local)
    if name == "alma":
        from .alma import AlmaService

        return AlmaService(settings.alma, settings.download)
    if name == "fermi":
        from .fermi import FermiService

        return FermiService(settings.fermi, settings.download)
    if name == "lotss":
        from .cutouts import LotssService

        return LotssService(settings.lotss, settings.download)
    raise UserError(f"`archive.service` is '{name}', but there are embedded, local, alma, fermi and lotss.")


def conformed(table: Table, columns: dict) -> Table:
    """Return a table with exactly these columns, their types and units; what is missing is '' or NaN.

    Parameters
    ----------
    table : Table
        As a service gave it: more columns, fewer columns, masked values, objects.
    columns : dict
        `OBSERVATION` or `PRODUCT`.
    """
    result = Table()
    for name, (kind, unit) in columns.items():
        if name in table.colnames:
            values = np.ma.MaskedArray(table[name], subok=False)
        else:
            values = np.ma.masked_all(len(table), dtype="U1" if kind is str else kind)
        if kind is str:
            texts = [str(value).strip() for value in values.astype(object).filled("")]
            result[name] = Column(np.array(texts, dtype=str) if texts else np.zeros(0, dtype="U1"))
        elif kind is float:
            result[name] = Column(values.astype(float).filled(np.nan), unit=unit)
        else:
            result[name] = MaskedColumn(values.astype(np.int64), unit=unit)
    return result


def stacked(tables: Sequence[Table], columns: dict) -> Table:
    """Return tables one below the other, with exactly these columns."""
    from astropy.table import vstack

    whole = [conformed(table, columns) for table in tables]
    return vstack(whole, metadata_conflicts="silent") if whole else conformed(Table(), columns)

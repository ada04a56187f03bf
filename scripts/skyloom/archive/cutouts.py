"""Cutouts of the LOFAR Two-metre Sky Survey (LoTSS DR2; Shimwell et al. 2022, A&A 659, A1) around listed positions.

The survey's service cuts an image out of its mosaics for each request ``dr2-low-cutout.fits?pos=RA,DEC&size=ARCMIN``
(20 arcsec beam; ``dr2-cutout.fits`` has 6). It covers 27 % of the northern sky and answers with an error elsewhere.
"""

import re
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np
from astropy.table import Table

from ..config.schema import Download, LotssArchive, Search, in_unit
from ..errors import UserError
from . import position_lists, transfer
from .fits_check import check_fits
from .services import OBSERVATION, PRODUCT, conformed

PAGES = {20: "dr2-low-cutout.fits", 6: "dr2-cutout.fits"}
"""Page of the service by beam [arcsec]."""
FREQUENCY = 0.144
"""GHz"""


class LotssService:
    """Cutouts around the positions of a list, one a position."""

    name = "lotss"
    applies = frozenset({"target", "position", "largest_size", "sample"})
    simulated = False
    in_place = False

    def __init__(self, settings: LotssArchive, download: Download):
        """Take the server, the list, and the time after which a silent connection has failed."""
        if urlsplit(settings.server).scheme not in ("http", "https") or not urlsplit(settings.server).netloc:
            raise UserError(f"`archive.lotss.server` is '{settings.server}'; it should be like https://host.")
        self.settings = settings
        self.server = settings.server.rstrip("/")
        self.session = transfer.session(in_unit(download.timeout, "s"))
        self.asked: list[str] = []

    def named(self, target: str) -> Table:
        """Return all positions; the caller compares the names."""
        return self._table()

    def observations(self, search: Search, centre) -> Table:
        """Return one row a position of the northern sky.

        Raises
        ------
        UserError
            If there is no list.
        """
        return self._table()

    def products(self, observations: Table) -> Table:
        """Return one cutout a position; its length is not known before it is made."""
        rows = [
            {
                "observation": number,
                "filename": f"{_plain(row['target_name'])}.lotss_dr2_{self.settings.beam}arcsec.fits",
                "access_url": self._address(float(row["s_ra"]), float(row["s_dec"])),
                "content_length": 0,
                "version": "dr2",
            }
            for number, row in enumerate(observations)
        ]
        table = conformed(Table(rows) if rows else Table(), PRODUCT)
        table["content_length"].mask = np.ones(len(table), bool)
        return table

    def retrieve(self, product, part: Path, download: Download, limit: int | None) -> None:
        """Fetch a cutout by HTTP; a broken file is a failed try."""
        wanted = transfer.Wanted(None, limit)
        transfer.fetch([str(product["access_url"])], part, wanted, download, self.session, check=check_fits)

    def _address(self, ra: float, dec: float) -> str:
        place = quote(f"{ra:.6f},{dec:.6f}", safe=",")
        return f"{self.server}/{PAGES[self.settings.beam]}?pos={place}&size={in_unit(self.settings.size, 'arcmin'):g}"

    def _table(self) -> Table:
        given = self.settings
        if not given.positions:
            raise UserError(
                "`archive.lotss.positions` is empty; name a table of positions, such as a list of clusters."
            )
        table = position_lists.read_table(given.positions, "a list of positions (`archive.lotss.positions`)")
        for column in (given.ra, given.dec):
            position_lists.need(table, column, given.positions, "archive.lotss")
        ra, dec = (position_lists.numbers(table, column, "deg", given.positions) for column in (given.ra, given.dec))
        names = position_lists.names(table, given.name)
        # The survey is one of the northern sky.
        rows = np.flatnonzero(np.isfinite(ra) & (dec >= 0))
        self.asked = [f"{PAGES[given.beam]}?pos={{ra}},{{dec}}&size={in_unit(given.size, 'arcmin'):g}"]
        found = {
            "obs_id": names[rows],
            "member_ous_uid": np.array([f"lotss_dr2_{_plain(names[row])}" for row in rows], dtype=str),
            "proposal_id": np.full(len(rows), "LoTSS-DR2"),
            "target_name": names[rows],
            "s_ra": ra[rows],
            "s_dec": dec[rows],
            "s_fov": np.full(len(rows), in_unit(given.size, "deg")),
            "s_resolution": np.full(len(rows), float(given.beam)),
            "data_rights": np.full(len(rows), "Public"),
            "frequency": np.full(len(rows), FREQUENCY),
        }
        return conformed(Table(found) if len(rows) else Table(), OBSERVATION)


def _plain(name: str) -> str:
    """Return a name as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9+\-.]", "_", str(name)).strip(".-") or "position"

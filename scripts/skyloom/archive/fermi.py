"""The LAT data server: photons of the Fermi-LAT within a circle, asked through astroquery, one file a field.

The server takes a question, answers with the address of a page, and tells there, minutes later, which files it has
made; it keeps them for some days. What it divides into several files comes as one list of events.
"""

import hashlib
import html
import re
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import requests
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table

from ..cli import progress, say
from ..config.schema import Download, FermiArchive, Search, in_unit
from ..errors import UserError
from . import transfer
from .failures import FetchError, Unreachable
from .fits_check import check_fits
from .services import OBSERVATION, PRODUCT, conformed

HOST = "https://fermi.gsfc.nasa.gov"
"""Where astroquery expects all pages and files; other servers are asked as this one is."""
COLUMNS = ("ENERGY", "RA", "DEC", "L", "B", "ZENITH_ANGLE", "TIME", "EVENT_CLASS", "EVENT_TYPE")
"""Columns of the events that are kept."""
_PHOTONS = re.compile(r"_PH\d*\.fits$")
_MEMBER = "lat://"


class FermiService:
    """The LAT data server."""

    name = "fermi"
    applies = frozenset({"target", "position", "radius", "sample", "largest_size"})
    simulated = False
    in_place = False

    def __init__(self, settings: FermiArchive, download: Download, sleep: Callable[[float], None] = time.sleep):
        """Take address, fields, energies and dates, and the time after which a silent connection has failed."""
        parts = urlsplit(settings.url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise UserError(f"`archive.fermi.url` is '{settings.url}'; it should be an address like {HOST}/page.")
        self.settings = settings
        self.root = f"{parts.scheme}://{parts.netloc}"
        self.timeout = in_unit(download.timeout, "s")
        self.session = transfer.session(self.timeout)
        self.asked: list[str] = []
        self.sleep = sleep

    def named(self, target: str) -> Table:
        """Return no observation: the whole sky was observed, and no target has a name."""
        return conformed(Table(), OBSERVATION)

    def observations(self, search: Search, centre) -> Table:
        """Return one row a field: around the position, or the targets, or all centres of a grid of the sky.

        Raises
        ------
        UserError
            If a target cannot be found, or there is no field.
        """
        if centre is not None:
            fields = [(search.target or "position", centre.icrs)]
        elif self.settings.targets:
            fields = [(target, _place(target)) for target in self.settings.targets]
        elif self.settings.grid:
            fields = _grid(self.settings.grid)
        else:
            raise UserError(
                "`archive.fermi` would ask for nothing; give `targets`, `grid`, or `archive.search.position`."
            )
        radius = in_unit(self.settings.radius, "deg")
        rows = []
        for name, place in fields:
            member = f"{_MEMBER}{re.sub(r'[^A-Za-z0-9+-]', '_', name)}"
            rows.append(
                {
                    "obs_id": member,
                    "member_ous_uid": member,
                    "proposal_id": "",
                    "target_name": name,
                    "s_ra": round(float(place.ra.deg), 6),
                    "s_dec": round(float(place.dec.deg), 6),
                    "s_fov": 2 * radius,
                    "data_rights": "Public",
                    "lastModified": str(self.settings.dates[1]),
                }
            )
        return conformed(Table(rows), OBSERVATION)

    def products(self, observations: Table) -> Table:
        """Ask for the photons of each field; return one file each, whose address is the page of results.

        Raises
        ------
        UserError
            If the server cannot be reached, or refuses.
        """
        rows = []
        for number, row in enumerate(progress(observations, len(observations), "fields asked for")):
            question = self._question(float(row["s_ra"]), float(row["s_dec"]))
            stem = re.sub(r"[^A-Za-z0-9+-]", "_", str(row["target_name"]))
            rows.append(
                {
                    "observation": number,
                    "product_id": "",
                    "filename": f"lat_{stem}.fits",
                    "access_url": self._ask(question),
                    "content_length": 0,
                    # The same question has the same answer, however often it is asked.
                    "version": hashlib.sha256(repr(sorted(question.items())).encode()).hexdigest()[:16],
                }
            )
        table = conformed(Table(rows) if rows else Table(), PRODUCT)
        table["content_length"].mask = np.ones(len(table), bool)
        return table

    def retrieve(self, product, part: Path, download: Download, limit: int | None) -> None:
        """Wait for the files of a field, fetch them, and write their events as one list."""
        addresses = self._files(str(product["access_url"]))
        pieces = [part.with_name(f"{part.name}.{number:03d}") for number in range(len(addresses))]
        for address, piece in zip(addresses, pieces, strict=True):
            transfer.fetch([address], piece, transfer.Wanted(None, limit), download, self.session, None, check_fits)
        try:
            joined(pieces, part)
        except (OSError, ValueError, KeyError, TypeError, fits.VerifyError) as error:
            raise FetchError(f"the events of its files cannot be joined ({_brief(str(error))})") from error
        for piece in pieces:
            piece.unlink(missing_ok=True)

    def _question(self, ra: float, dec: float) -> dict:
        """Return what astroquery is asked."""
        energies = self.settings.energies
        return {
            "name_or_coords": f"{ra:.5f} {dec:.5f}",
            "searchradius": f"{in_unit(self.settings.radius, 'deg'):g}",
            "obsdates": ", ".join(f"{day} 00:00:00" for day in self.settings.dates),
            "timesys": "Gregorian",
            "energyrange_MeV": ", ".join(f"{1e3 * energy:g}" for energy in energies),
            "LATdatatype": "Photon",
            "spacecraftdata": False,
        }

    def _ask(self, question: dict) -> str:
        """Return the address of the page on which the files of a question will be told."""
        self.asked.append(
            f"FermiLAT.query_object({', '.join(f'{name}={value!r}' for name, value in question.items())})"
        )
        place = SkyCoord(question["name_or_coords"], unit="deg")
        page: list[str] = []
        try:
            asking = _asking(self.settings.url, self.root, self.timeout, page)
            return asking.query_object_async(place, **{k: v for k, v in question.items() if k != "name_or_coords"})
        except requests.RequestException as error:
            raise UserError(
                f"the LAT data server at {self.root} did not answer ({_failed(error)}); check the network and "
                "`archive.fermi.url`, and ask again."
            ) from error
        except ValueError as error:
            said = _text(page[-1]) if page else ""
            raise UserError(
                f"the LAT data server did not take the question: '{said or 'an empty page'}'; check `archive.fermi`."
            ) from error

    def _files(self, page: str) -> list[str]:
        """Return the addresses of the photon files on a page of results, waiting until they are there."""
        if not page.startswith(f"{self.root}/"):
            raise FetchError(f"{page} is no address at {self.root}; ask the archive again")
        patience, pause = in_unit(self.settings.patience, "s"), in_unit(self.settings.poll, "s")
        waited, told = 0.0, False
        checking = _checking(page, self.root, self.timeout)
        while True:
            try:
                found = checking._check_page()
            except requests.ConnectionError as error:
                raise Unreachable(f"the LAT data server at {self.root} cannot be reached") from error
            except requests.RequestException as error:
                raise FetchError(f"the page of its results cannot be read ({_failed(error)})") from error
            if found:
                photons = sorted({address for address in found if _PHOTONS.search(address)})
                if not photons:
                    raise FetchError("the LAT data server has no photons for it; check the dates and energies")
                return photons
            if waited >= patience:
                raise FetchError(
                    f"the LAT data server has no files after {self.settings.patience}; run again, or ask the archive "
                    "again if the question is older than some days"
                )
            if not told:
                say("the LAT data server is at work")
                told = True
            self.sleep(pause)
            waited += pause


def joined(paths: list[Path], output: Path) -> None:
    """Write the events of photon files that one question gave as one list, with all good time intervals.

    Only the columns of `COLUMNS` are kept. Headers are those of the first file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts, intervals, header = [], [], None
        for path in paths:
            with fits.open(path, memmap=False) as hdus:
                events = hdus["EVENTS"]
                names = [name for name in COLUMNS if name in events.columns.names]
                parts.append({name: np.array(events.data[name]) for name in names})
                if header is None:
                    header, columns = events.header.copy(), {name: events.columns[name] for name in names}
                if "GTI" in hdus:
                    intervals.append(np.stack([np.asarray(hdus["GTI"].data[key], float) for key in ("START", "STOP")]))
        together = [
            fits.Column(
                name,
                column.format,
                unit=column.unit,
                array=np.concatenate([part[name] for part in parts]),
            )
            for name, column in columns.items()
        ]
        table = fits.BinTableHDU.from_columns(together, name="EVENTS")
        kept = re.compile(
            r"^(DS(TYP|UNI|VAL|REF)\d+|NDSKEYS|TELESCOP|INSTRUME|OBJECT|MJDREF[IF]|TIME(SYS|UNIT)|PASS_VER)$"
        )
        for key in header:
            if kept.match(key):
                table.header[key] = header[key]
        times = np.unique(np.concatenate(intervals, axis=1).T, axis=0) if intervals else np.zeros((0, 2))
        ends = [
            fits.Column(key, "D", unit="s", array=column)
            for key, column in zip(("START", "STOP"), times.T, strict=True)
        ]
        gti = fits.BinTableHDU.from_columns(ends, name="GTI")
        fits.HDUList([fits.PrimaryHDU(), table, gti]).writeto(output, overwrite=True, checksum=False)


def _asking(url: str, root: str, timeout: float, page: list[str]):
    """Return astroquery's FermiLAT for a server, which keeps no answers and says what came."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls itself experimental at import
        from astroquery.fermi import FermiLATClass

    class Asking(FermiLATClass):
        request_url = url
        result_url_re = _at(FermiLATClass.result_url_re, root)
        TIMEOUT = timeout

        def _request(self, *args, **options):
            answer = super()._request(*args, **{**options, "cache": False})
            answer.raise_for_status()
            page.append(answer.text)
            return answer

    return Asking()


def _checking(page: str, root: str, timeout: float):
    """Return astroquery's reader of a page of results."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from astroquery.fermi import GetFermilatDatafile

    class Checking(GetFermilatDatafile):
        fitsfile_re = _at(GetFermilatDatafile.fitsfile_re, root)
        TIMEOUT = timeout

    checking = Checking()
    checking.result_url = page
    return checking


def _at(pattern: re.Pattern, root: str) -> re.Pattern:
    """Return a pattern of astroquery for the pages of another server."""
    return re.compile(pattern.pattern.replace(re.escape(HOST), re.escape(root)))


def _place(target: str) -> SkyCoord:
    """Return the position of a target, which is a position or a name that SIMBAD knows."""
    from astropy.coordinates.name_resolve import NameResolveError

    for unit in ({}, {"unit": (u.deg, u.deg)}):
        try:
            return SkyCoord(target, **unit).icrs
        except (ValueError, u.UnitsError):
            continue
    try:
        return SkyCoord.from_name(target).icrs
    except (NameResolveError, OSError) as error:
        raise UserError(
            f"`archive.fermi.targets`: SIMBAD did not resolve '{target}' ({_brief(str(error))}); correct the name, go "
            "online, or give a position such as '83.633 22.014'."
        ) from error


def _grid(nside: int) -> list[tuple[str, SkyCoord]]:
    """Return names and centres of the pixels of a HEALPix grid, ring by ring, Galactic."""
    from astropy_healpix import HEALPix

    lon, lat = HEALPix(nside, order="ring").healpix_to_lonlat(np.arange(12 * nside**2))
    places = SkyCoord(lon, lat, frame="galactic").icrs
    return [(f"nside{nside}_{number:04d}", place) for number, place in enumerate(places)]


def _text(page: str) -> str:
    """Return the words of a page."""
    plain = re.sub(r"(?is)<(script|style|title)\b.*?</\1>|<[^>]*>", " ", page)
    return _brief(html.unescape(plain))


def _brief(text: str) -> str:
    return " ".join(text.split()).rstrip(".")[:160]


def _failed(error: requests.RequestException) -> str:
    if isinstance(error, requests.ConnectionError):
        return "cannot be reached"
    if isinstance(error, requests.Timeout):
        return "silent for too long"
    return _brief(str(error))

"""The local archive: a folder of FITS files that the user has.

The user has chosen the files already, by the folder and the pattern, so the filters that choose among an archive's
observations do not apply: science keywords, release date, angular resolution, data rights, parts of the file name.
Those that limit the work do: target, position, largest size and sample. Files are used where they are and never
written. A file whose header cannot be read stays in the list; the step that cuts out objects says why it drops it.
"""

import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from ..config.schema import LocalArchive, Search
from ..errors import UserError
from ..files import sha256
from .services import OBSERVATION, PRODUCT, conformed

PREFIX = "file:"


class LocalService:
    """A folder of FITS files."""

    name = "local"
    applies = frozenset({"target", "position", "largest_size", "sample"})
    simulated = False
    in_place = True

    def __init__(self, settings: LocalArchive):
        """Take the folder and the pattern from the settings."""
        self.folder = Path(settings.folder)
        self.pattern = settings.pattern
        self.asked: list[str] = []
        self._files: list[Path] | None = None

    def files(self) -> list[Path]:
        """Return the files of the folder that the pattern matches, sorted by name.

        Raises
        ------
        UserError
            If the folder does not exist or the pattern is none.
        """
        if self._files is None:
            if not self.folder.is_dir():
                raise UserError(f"{self.folder}: no such folder; `archive.local.folder` should hold your FITS files.")
            try:
                found = self.folder.glob(self.pattern)
                self._files = sorted(path for path in found if path.is_file() and not path.name.startswith("."))
            except (ValueError, NotImplementedError) as error:
                raise UserError(
                    f"`archive.local.pattern` is '{self.pattern}', which is not a pattern inside a folder ({error})."
                ) from error
            self.asked = [f"glob {self.pattern}"]
        return self._files

    def named(self, target: str) -> Table:
        """Return all observations; the caller compares the names."""
        return self._table()

    def observations(self, search: Search, centre) -> Table:
        """Return one row a file, as far as its header tells."""
        return self._table()

    def products(self, observations: Table) -> Table:
        """Return the files themselves; `version` is a part of the content's SHA-256."""
        rows = []
        for number, identity in enumerate(observations["obs_id"]):
            path = self.folder / identity
            rows.append(
                {
                    "observation": number,
                    "product_id": identity,
                    "filename": path.name,
                    "access_url": f"{PREFIX}{path}",
                    "content_length": path.stat().st_size,
                    "version": f"sha256:{sha256(path)[:16]}",
                }
            )
        return conformed(Table(rows) if rows else Table(), PRODUCT)

    def _table(self) -> Table:
        rows = [{"obs_id": path.relative_to(self.folder).as_posix(), **told_by_header(path)} for path in self.files()]
        return conformed(Table(rows) if rows else Table(), OBSERVATION)


def told_by_header(path: Path) -> dict:
    """Return what the header of an image, or of a photon list (DL3), tells about its observation.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict
        Some of the columns of `OBSERVATION`; empty where the file is neither.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd headers of old software; the crop reports what matters
        try:
            with fits.open(path, lazy_load_hdus=True) as hdus:
                header = next((hdu.header for hdu in hdus if hdu.is_image and hdu.header["NAXIS"] >= 2), None)
                events = None if header else next((hdu.header for hdu in hdus if hdu.name == "EVENTS"), None)
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            return {}
        if header is None:
            return {} if events is None else _told_by_events(events)
        ra, dec, width = _field(header)
    beam = _number(header.get("BMAJ"))
    return {
        "member_ous_uid": str(header.get("MEMBER", "")),
        "proposal_id": str(header.get("PROPCODE", header.get("PROJECT", ""))),
        "target_name": str(header.get("OBJECT", "")),
        "s_ra": ra,
        "s_dec": dec,
        "s_fov": width,
        "s_resolution": beam * 3600,
        "obs_release_date": "",
        "frequency": _frequency(header),
    }


def _told_by_events(header: fits.Header) -> dict:
    return {
        "member_ous_uid": str(header.get("OBS_ID", "")),
        "target_name": str(header.get("OBJECT", "")),
        "s_ra": _number(header.get("RA_PNT")),
        "s_dec": _number(header.get("DEC_PNT")),
    }


def _field(header: fits.Header) -> tuple[float, float, float]:
    try:
        wcs = WCS(header).celestial
        width, height = header["NAXIS1"], header["NAXIS2"]
        centre = wcs.pixel_to_world((width - 1) / 2, (height - 1) / 2).icrs
        scale = float(np.sqrt(np.abs(np.linalg.det(wcs.pixel_scale_matrix))))
    except Exception:  # wcslib raises many kinds; without a position the file is still used
        return np.nan, np.nan, np.nan
    return centre.ra.deg, centre.dec.deg, scale * max(width, height)


def _frequency(header: fits.Header) -> float:
    axes = range(1, header["NAXIS"] + 1)
    axis = next((n for n in axes if str(header.get(f"CTYPE{n}", "")).startswith("FREQ")), None)
    return _number(header.get(f"CRVAL{axis}") if axis else header.get("RESTFRQ")) / 1e9


def _number(value) -> float:
    return float(value) if isinstance(value, (int, float)) else np.nan

"""Read a photon list of Cherenkov telescopes and bin it into a counts map, or say in one sentence why not."""

import gzip
import hashlib
import io
import math
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy import units
from astropy.io import fits
from astropy.io.fits.verify import VerifyError
from astropy.time import Time
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS

from ..instruments.counts_maps import Frame
from .counts import CountsMap
from .fits import UnusableImage

_BROKEN = (OSError, TypeError, ValueError, VerifyError, KeyError, IndexError, EOFError, zlib.error, AstropyWarning)
_GZIP = b"\x1f\x8b"
_TRUNCATED = r"(?s).*(may have been truncated|Error validating header)"
_COLUMNS = ("RA", "DEC", "ENERGY")
_AT_ONCE = 16384
"""Events that are put into a map together: so few stay in the processor's cache."""
_SHALLOWEST = math.cos(math.radians(80))
"""A tangent plane shows less than half the sky."""
_NOT_POINTED = ("DRIFT", "RASTER", "SCAN", "SLEW")
"""Observing modes of GADF in which one pointing does not stand for the whole list."""
PARTS = "PARTS"
"""Extension of a stacked list that names its parts, with their SHA-256."""


class NoEvents(UnusableImage):
    """A file without a table of events."""


@dataclass(frozen=True)
class PhotonList:
    """The events of one observation, hadrons that pass for gamma rays among them.

    Attributes
    ----------
    ra, dec : numpy.ndarray, shape (events,)
        Reconstructed directions [deg, ICRS].
    energy : numpy.ndarray, shape (events,)
        Reconstructed energies [TeV].
    pointing : tuple of float
        Right ascension and declination [deg, ICRS].
    livetime : float
        [s]; NaN if the file does not tell.
    target, obs_id : str
        Empty if the file does not tell.
    zenith : float
        Mean zenith angle [deg]; NaN if the file does not tell.
    thresholds : tuple of float
        Range of the energies [TeV] that the file calls safe, 0 and infinity if it does not tell.
    data_sha256 : str
        Hash of directions and energies, the same for every file that holds these events.
    telescope : str
        Empty if the file does not tell.
    time : numpy.ndarray, shape (events,)
        [MJD, TT]; empty if the file does not tell.
    intervals : numpy.ndarray, shape (intervals, 2)
        Good time intervals [MJD, TT]; none if the file does not tell.
    parts : tuple of str
        ``name:hash`` of the lists that were stacked to this one, none if it is a list by itself.
    """

    ra: np.ndarray
    dec: np.ndarray
    energy: np.ndarray
    pointing: tuple[float, float]
    livetime: float
    target: str
    obs_id: str
    zenith: float
    thresholds: tuple[float, float]
    data_sha256: str
    telescope: str = ""
    time: np.ndarray = field(default_factory=lambda: np.zeros(0))
    intervals: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    parts: tuple[str, ...] = ()

    def safe(self, energies: tuple[float, float]) -> tuple[float, float]:
        """Return the part of a range of energies [TeV] that the file calls safe.

        Raises
        ------
        UnusableImage
            If there is none.
        """
        lowest, highest = max(energies[0], self.thresholds[0]), min(energies[1], self.thresholds[1])
        if lowest >= highest:
            raise UnusableImage(
                f"The list is safe from {self.thresholds[0]:.3g} to {self.thresholds[1]:.3g} TeV, "
                f"and {energies[0]:.3g} to {energies[1]:.3g} TeV is wanted."
            )
        return lowest, highest


def read_photons(path: str | Path) -> PhotonList:
    """Return the photon list in a DL3 file (the open gamma-ray astronomy data format, GADF 0.2 and 0.3).

    The live time is that of the good time intervals less the dead time, or what the header says where there are none.
    Events without a finite direction and a positive energy are left out.

    Parameters
    ----------
    path : path
        Plain or gzipped.

    Raises
    ------
    UnusableImage
        If the file is no FITS, is broken or empty, holds no events with directions and energies, does not tell the
        pointing, or was not observed at one.
    """
    content = Path(path).read_bytes()
    if not content:
        raise UnusableImage("The file is empty.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        warnings.filterwarnings("error", _TRUNCATED, AstropyWarning)
        try:
            # astropy takes what it can of a truncated gzip and does not say that the rest is missing.
            content = gzip.decompress(content) if content.startswith(_GZIP) else content
            with fits.open(io.BytesIO(content)) as hdus:
                events = _events(hdus)
                header = events.header
                ra, dec, energy = _columns(events)
                livetime, thresholds = _livetime(hdus, header), _thresholds(hdus)
                time, intervals, parts = _times(events), _intervals(hdus), _parts(hdus)
        except _BROKEN as error:
            raise UnusableImage("The file is broken or truncated: it cannot be read as FITS.") from error
    good = np.isfinite(ra) & (np.abs(dec) <= 90) & (energy > 0) & np.isfinite(energy)
    ra, dec, energy, time = ra[good], dec[good], energy[good], time[good] if len(time) else time
    if not len(ra):
        raise UnusableImage("The list holds no event.")
    return PhotonList(
        ra=ra,
        dec=dec,
        energy=energy,
        pointing=_pointing(header),
        livetime=livetime,
        target=str(header.get("OBJECT", "")).strip(),
        obs_id=str(header.get("OBS_ID", "")).strip(),
        zenith=90 - _number(header.get("ALT_PNT")),
        thresholds=thresholds,
        data_sha256=data_hash(ra, dec, energy),
        telescope=str(header.get("TELESCOP", "")).strip(),
        time=time,
        intervals=intervals,
        parts=parts,
    )


def data_hash(ra: np.ndarray, dec: np.ndarray, energy: np.ndarray) -> str:
    """Return the SHA-256 of directions [deg] and energies [TeV]."""
    return hashlib.sha256(np.stack([ra, dec, energy]).astype("<f8").tobytes()).hexdigest()


def sky_wcs(frame: Frame, ra: float, dec: float) -> WCS:
    """Return where on the sky the pixels of a frame are that is centred on a position [deg, ICRS]; gnomonic (TAN)."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.cunit = "deg", "deg"
    wcs.wcs.crval = ra, dec
    wcs.wcs.crpix = frame.middle + 1, frame.middle + 1
    wcs.wcs.cdelt = -frame.pixel, frame.pixel
    wcs.wcs.radesys = "ICRS"
    return wcs


def counts_map(photons: PhotonList, frame: Frame, energies: tuple[float, float]) -> tuple[CountsMap, WCS]:
    """Return the counts map of a photon list, and where on the sky it is.

    Parameters
    ----------
    photons : PhotonList
    frame : skyloom.instruments.counts_maps.Frame
        Its middle is the pointing.
    energies : tuple of float
        Range of the energies that are counted [TeV], the upper end left out.
    """
    return stacked([photons], frame, energies, photons.pointing)


def stacked(
    lists: Sequence[PhotonList], frame: Frame, energies: tuple[float, float], centre: tuple[float, float]
) -> tuple[CountsMap, WCS]:
    """Return the counts map of several photon lists together, and where on the sky it is (see `counts_map`).

    Parameters
    ----------
    lists : sequence of PhotonList
    frame : skyloom.instruments.counts_maps.Frame
    energies : tuple of float
    centre : tuple of float
        Right ascension and declination of the map's middle [deg, ICRS].
    """
    wcs = sky_wcs(frame, *centre)
    counts = np.zeros(frame.side**2, np.int64)
    for photons in lists:
        for start in range(0, len(photons.ra), _AT_ONCE):
            ra, dec, energy = (values[start : start + _AT_ONCE] for values in (photons.ra, photons.dec, photons.energy))
            counted = (energy >= energies[0]) & (energy < energies[1])
            counts += np.bincount(_pixels(ra[counted], dec[counted], frame, centre), minlength=frame.side**2)
    return CountsMap(counts.reshape(frame.side, frame.side).astype(np.uint32), frame.pixel), wcs


def _events(hdus: fits.HDUList) -> fits.BinTableHDU:
    tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)]
    for table in tables:
        if table.name == "EVENTS" or str(table.header.get("HDUCLAS1", "")).strip().upper() == "EVENTS":
            return table
    kind = "tables, but none of events" if tables else "no table of events"
    raise NoEvents(f"The file holds {kind}.")


def _columns(events: fits.BinTableHDU) -> tuple[np.ndarray, ...]:
    """Return the directions [deg] and energies [TeV] of the events."""
    names = {name.upper(): name for name in events.columns.names}
    for name in _COLUMNS:
        if name not in names:
            raise UnusableImage(f"The table of events has no column {name}.")
    unit = events.columns[names["ENERGY"]].unit or events.header.get("EUNIT", "")
    try:
        factor = units.Unit(unit).to("TeV")
    except (ValueError, TypeError, units.UnitsError) as error:
        raise UnusableImage(f"The unit of the energies is {unit or 'not given'}.") from error
    ra, dec, energy = (np.asarray(events.data[names[name]], dtype=float) for name in _COLUMNS)
    return ra, dec, energy * factor


def _pointing(header: fits.Header) -> tuple[float, float]:
    mode = str(header.get("OBS_MODE", "")).strip().upper()
    if mode in _NOT_POINTED:
        raise UnusableImage(f"The telescopes did not follow one pointing (OBS_MODE {mode}).")
    ra, dec = _number(header.get("RA_PNT")), _number(header.get("DEC_PNT"))
    if not (math.isfinite(ra) and abs(dec) <= 90):
        raise UnusableImage("The header does not tell the pointing (RA_PNT, DEC_PNT).")
    return ra % 360, dec


def _gti(hdus: fits.HDUList):
    """Return the table of good time intervals, or None."""
    return next(
        (hdu for hdu in hdus if hdu.name == "GTI" or str(hdu.header.get("HDUCLAS1", "")).strip().upper() == "GTI"), None
    )


def _livetime(hdus: fits.HDUList, header: fits.Header) -> float:
    hdu = _gti(hdus)
    if hdu is None:
        return _number(header.get("LIVETIME"))
    alive = float(np.sum(np.asarray(hdu.data["STOP"], float) - np.asarray(hdu.data["START"], float)))
    share = _number(header.get("DEADC"))
    return alive * (share if 0 < share <= 1 else 1.0)


def _times(events: fits.BinTableHDU) -> np.ndarray:
    """Return the times of the events [MJD, TT]."""
    name = next((name for name in events.columns.names if name.upper() == "TIME"), None)
    return np.zeros(0) if name is None else _mjd(events.data[name], events.header)


def _intervals(hdus: fits.HDUList) -> np.ndarray:
    """Return the good time intervals [MJD, TT]."""
    hdu = _gti(hdus)
    if hdu is None:
        return np.zeros((0, 2))
    ends = [_mjd(hdu.data[name], hdu.header) for name in ("START", "STOP")]
    return np.stack(ends, axis=1) if all(map(len, ends)) else np.zeros((0, 2))


def _mjd(seconds: np.ndarray, header: fits.Header) -> np.ndarray:
    """Return times [MJD, TT] of those that a table counts from its reference; none if it does not tell the latter."""
    reference = _number(header.get("MJDREFI")) + _number(header.get("MJDREFF"))
    scale = str(header.get("TIMESYS", "TT")).strip().lower()
    if not math.isfinite(reference) or scale not in Time.SCALES:
        return np.zeros(0)
    return Time(reference, np.asarray(seconds, float) / 86400, format="mjd", scale=scale).tt.mjd


def _parts(hdus: fits.HDUList) -> tuple[str, ...]:
    """Return the lists that were stacked (`skyloom.images.photon_stacks`), as ``name:hash``."""
    if PARTS not in hdus:
        return ()
    table = hdus[PARTS].data
    return tuple(f"{str(row['FILENAME']).strip()}:{str(row['SHA256']).strip()[:16]}" for row in table)


def _thresholds(hdus: fits.HDUList) -> tuple[float, float]:
    """Return the safe energies [TeV], which GADF keeps with the effective area; -1 is unknown."""
    for hdu in hdus:
        if "LO_THRES" in hdu.header:
            lowest, highest = _number(hdu.header["LO_THRES"]), _number(hdu.header.get("HI_THRES"))
            return (lowest if lowest > 0 else 0.0), (highest if highest > 0 else math.inf)
    return 0.0, math.inf


def _number(value) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan


def _pixels(ra: np.ndarray, dec: np.ndarray, frame: Frame, centre: tuple[float, float]) -> np.ndarray:
    """Return the numbers of the pixels that positions [deg] lie in, of those within a frame; row by row, from 0.

    The projection is that of `sky_wcs`, in a third of the time.
    """
    lon, lat, middle = np.radians(ra - centre[0]), np.radians(dec), math.radians(centre[1])
    sin, cos = np.sin(lat), np.cos(lat)
    along = cos * np.cos(lon)
    depth = sin * math.sin(middle) + along * math.cos(middle)
    scale = math.degrees(1) / np.maximum(depth, _SHALLOWEST)
    x, y = frame.pixel_of(scale * cos * np.sin(lon), scale * (sin * math.cos(middle) - along * math.sin(middle)))
    x, y = x + 0.5, y + 0.5
    inside = (x >= 0) & (x < frame.side) & (y >= 0) & (y < frame.side) & (depth > _SHALLOWEST)
    return y[inside].astype(np.int64) * frame.side + x[inside].astype(np.int64)

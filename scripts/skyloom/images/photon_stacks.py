"""Photon lists whose pointings are near each other, as one list."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from scipy.cluster.hierarchy import fcluster, linkage

from ..files import written_whole
from .photon_lists import PARTS, PhotonList, data_hash

_REFERENCE = 51910
"""MJD that the times of a stacked list count from."""


def groups(lists: Sequence[PhotonList], within: float) -> list[list[int]]:
    """Return which lists belong together: two or more of one telescope, all pointings within a distance of each other.

    Parameters
    ----------
    lists : sequence of PhotonList
    within : float
        [deg]

    Returns
    -------
    list of list of int
        Indices in `lists`; of lists with the same events only the first counts. A list is in one group at most.
    """
    first = {photons.data_sha256: number for number, photons in reversed(list(enumerate(lists)))}
    found = []
    for telescope in sorted({photons.telescope for photons in lists}):
        own = [number for number in sorted(first.values()) if lists[number].telescope == telescope]
        if len(own) < 2:
            continue
        vectors = _vectors([lists[number] for number in own])
        # Complete linkage: no two members are farther apart, so that a chain of pointings is no group.
        chords = linkage(vectors, method="complete")
        labels = fcluster(chords, 2 * np.sin(np.radians(within) / 2) * (1 + 1e-9), criterion="distance")
        found += [[own[place] for place in np.flatnonzero(labels == label)] for label in np.unique(labels)]
    return sorted(group for group in found if len(group) > 1)


def stack(lists: Sequence[PhotonList], parts: Sequence[str] = ()) -> PhotonList:
    """Return photon lists as one, which points to the middle of their pointings.

    Every list gives the events that it calls safe; live times and good time intervals are summed. The zenith angle is
    the mean, and what one list does not tell is not told of the stack.

    Parameters
    ----------
    lists : sequence of PhotonList
    parts : sequence of str
        ``name:hash`` of each list.
    """
    safe = [(one.energy >= one.thresholds[0]) & (one.energy <= one.thresholds[1]) for one in lists]
    ra, dec, energy = (
        np.concatenate([getattr(one, name)[kept] for one, kept in zip(lists, safe, strict=True)])
        for name in ("ra", "dec", "energy")
    )
    timed = all(len(one.time) and len(one.intervals) for one in lists)
    middle = SkyCoord(*_vectors(lists).mean(axis=0), representation_type="cartesian").spherical
    targets = dict.fromkeys(one.target for one in lists)
    return PhotonList(
        ra=ra,
        dec=dec,
        energy=energy,
        pointing=(float(middle.lon.deg), float(middle.lat.deg)),
        livetime=float(sum(one.livetime for one in lists)),
        target=";".join(filter(None, targets)),
        obs_id=";".join(filter(None, (one.obs_id for one in lists))),
        zenith=float(np.mean([one.zenith for one in lists])),
        thresholds=(min(one.thresholds[0] for one in lists), max(one.thresholds[1] for one in lists)),
        data_sha256=data_hash(ra, dec, energy),
        telescope=lists[0].telescope,
        time=np.concatenate([one.time[kept] for one, kept in zip(lists, safe, strict=True)]) if timed else np.zeros(0),
        intervals=np.concatenate([one.intervals for one in lists]) if timed else np.zeros((0, 2)),
        parts=tuple(parts),
    )


def write_stack(path: str | Path, photons: PhotonList, parts: Table) -> None:
    """Write a stacked list as a DL3 file (GADF 0.3) without a response, whole or not at all.

    Parameters
    ----------
    path : path
    photons : PhotonList
        Of `stack`.
    parts : astropy.table.Table
        FILENAME and SHA256 of the lists, and what else is known of them; the extension ``PARTS``.
    """
    columns = {"EVENT_ID": np.arange(1, len(photons.ra) + 1)}
    if len(photons.time):
        columns["TIME"] = _seconds(photons.time)
    columns |= {"RA": photons.ra * units.deg, "DEC": photons.dec * units.deg, "ENERGY": photons.energy * units.TeV}
    events = _table(Table(columns), "EVENTS")
    ra, dec = photons.pointing
    told = {
        "OBS_ID": photons.obs_id,
        "OBJECT": photons.target,
        "TELESCOP": photons.telescope,
        "RA_PNT": ra,
        "DEC_PNT": dec,
        "ALT_PNT": 90 - photons.zenith,
        "LIVETIME": photons.livetime,
        "LO_THRES": photons.thresholds[0],
        "HI_THRES": photons.thresholds[1],
    }
    hdus = [fits.PrimaryHDU(), events]
    if len(photons.intervals):
        start, stop = photons.intervals.T
        hdus.append(_table(Table({"START": _seconds(start), "STOP": _seconds(stop)}), "GTI"))
        told["DEADC"] = photons.livetime / (86400 * float(np.sum(stop - start)))
    # FITS has no words for "not a number" or "infinite" in a header.
    events.header.update({key: value for key, value in told.items() if isinstance(value, str) or np.isfinite(value)})
    hdus.append(fits.BinTableHDU(parts, name=PARTS))
    with written_whole(path) as part:
        fits.HDUList(hdus).writeto(part, overwrite=True)


def _table(table: Table, name: str) -> fits.BinTableHDU:
    hdu = fits.BinTableHDU(table, name=name)
    hdu.header.update({"HDUCLASS": "GADF", "HDUVERS": "0.3", "HDUCLAS1": name})
    hdu.header.update({"MJDREFI": _REFERENCE, "MJDREFF": 0.0, "TIMEUNIT": "s", "TIMESYS": "TT", "TIMEREF": "LOCAL"})
    return hdu


def _seconds(mjd: np.ndarray) -> units.Quantity:
    return (mjd - _REFERENCE) * 86400 * units.s


def _vectors(lists: Sequence[PhotonList]) -> np.ndarray:
    """Return the pointings as unit vectors, shape (lists, 3)."""
    ra, dec = np.array([photons.pointing for photons in lists]).T
    return SkyCoord(ra, dec, unit="deg").cartesian.xyz.value.T

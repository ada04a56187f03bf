"""Search a photon list with a calibrated chain of networks, and put what is found onto the sky."""

import math
from pathlib import Path

import keras
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.wcs import WCS

from ..images.footprint import observed_disc
from ..images.photon_lists import PhotonList, counts_map, read_photons
from ..instruments.counts_maps import Frame
from . import map_search
from .running import Stages

UNITS = {
    **dict.fromkeys(("ra", "dec"), "deg"),
    "pos_error": "arcsec",
    **dict.fromkeys(("x", "y"), "pix"),
    **dict.fromkeys(("radius68", "radius95"), "deg"),
    **dict.fromkeys(("photons", "photons_error", "background"), "ct"),
    "livetime": "s",
    "offset": "deg",
    "lists": None,
    "parts": str,
    "snr": None,
}
"""Units of what is told of a source (`on_the_sky`), by column; None is a pure number, `str` a text."""

FEW = 10
"""Sources with fewer photons are flagged."""
COVERED = 4.0
"""Factor by which a list may fall short of the energies that are counted at either end before its sources are flagged;
an array's threshold rises by as much from 20 to 60 deg from the zenith."""


def search_photons(
    path: str | Path, networks: dict[str, keras.Model], calibration: dict, settings
) -> tuple[dict, list[dict]]:
    """Search the photon list in a file.

    Parameters
    ----------
    path : path
    networks : dict of str to keras.Model
        By their roles (`skyloom.learn.map_search.search_map`).
    calibration : dict
        Of `skyloom.learn.map_calibration.calibrate`.
    settings : skyloom.cases.cherenkov.Search

    Returns
    -------
    facts : dict
        Of the file: ra and dec of the pointing [deg], radius of the disc with the map's area [arcsec], events that were
        counted, height and width of the map, livetime [s] and zenith [deg] where they are known, data_sha256.
    rows : list of dict
        One a source, as the catalog needs it (`on_the_sky`).

    Raises
    ------
    skyloom.images.fits.UnusableImage
        If the file holds no photon list that can be searched.
    """
    from . import map_calibration

    photons = read_photons(path)
    energies = photons.safe(settings.energy)
    observed, wcs = counts_map(photons, Frame(settings.side, settings.pixel), energies)
    found = map_search.search_map(observed, networks, settings, Stages({}))
    table = map_search.detection_table([{"cube": 0, **row} for row in found])
    table.meta["pixel"] = observed.pixel
    table = map_calibration.apply(calibration, table)
    height, width = observed.counts.shape
    ra, dec, radius = observed_disc(np.ones((height, width)), wcs, observed.pixel * 3600)
    facts = {"ra": ra, "dec": dec, "radius": radius, "events": int(observed.counts.sum())}
    facts |= {"height": height, "width": width, "data_sha256": photons.data_sha256}
    known = {"livetime": photons.livetime, "zenith": photons.zenith}
    facts |= {name: value for name, value in known.items() if math.isfinite(value)}
    common = ["energies"] if falls_short(photons, settings.energy) else []
    return facts, on_the_sky(table, photons, wcs, observed.counts.shape, observed.pixel, common)


def falls_short(photons: PhotonList, energies: tuple[float, float]) -> bool:
    """Return whether a list covers much less than a range of energies [TeV], by its events or what it calls safe."""
    lowest = max(float(photons.energy.min()), photons.thresholds[0])
    highest = min(float(photons.energy.max()), photons.thresholds[1])
    return lowest > COVERED * energies[0] or highest < energies[1] / COVERED


def on_the_sky(
    table: Table, photons: PhotonList, wcs: WCS, shape: tuple[int, int], pixel: float, flags: list[str]
) -> list[dict]:
    """Return what the catalog needs of the sources in a photon list.

    Parameters
    ----------
    table : astropy.table.Table
        Calibrated candidates in the map (`skyloom.learn.map_calibration.apply`).
    photons : PhotonList
    wcs : astropy.wcs.WCS
        Of the map, and its `shape` (height, width) and the side of a `pixel` [deg].
    flags : list of str
        That all sources have.

    Returns
    -------
    list of dict
        One a source: the columns of `UNITS`, and ``flags`` and ``probability``.
    """
    middle = SkyCoord(*photons.pointing, unit="deg")
    rows = []
    for row in table:
        place = wcs.pixel_to_world(row["x"], row["y"]).icrs
        rows.append(
            {
                "ra": float(place.ra.deg),
                "dec": float(place.dec.deg),
                "pos_error": float(np.hypot(row["x_error"], row["y_error"]) / np.sqrt(2)) * pixel * 3600,
                "x": float(row["x"]),
                "y": float(row["y"]),
                "radius68": float(row["radius68"]) * pixel,
                "radius95": float(row["radius95"]) * pixel,
                "photons": float(row["photons"]),
                "photons_error": float(row["photons_error"]),
                "background": float(row["background"]),
                "livetime": photons.livetime,
                "offset": float(place.separation(middle).deg),
                "lists": max(1, len(photons.parts)),
                "parts": ";".join(photons.parts),
                "snr": float(row["snr"]),
                "flags": ";".join([*_flags(row, shape), *flags]),
                "probability": float(row["probability"]),
            }
        )
    return rows


def _flags(row, shape: tuple[int, int]) -> list[str]:
    """Return the warnings of one source: ``edge`` of the map, ``few`` photons."""
    height, width = shape
    border = min(row["x"], row["y"], width - 1 - row["x"], height - 1 - row["y"])
    edge = border < map_search.NEAR * map_search.BINNING
    return [name for name, given in (("edge", edge), ("few", row["photons"] < FEW)) if given]

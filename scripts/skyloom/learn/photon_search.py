"""Search a photon list with a calibrated chain of networks, and put what is found onto the sky."""

import math
import time
from pathlib import Path

import keras
import numpy as np
from astropy.coordinates import angular_separation
from astropy.table import Table
from astropy.wcs import WCS

from ..images.counts import CountsMap
from ..images.counts_fits import MapFile, read_counts
from ..images.footprint import observed_disc
from ..images.photon_lists import NoEvents, PhotonList, counts_map, read_photons, sky_wcs
from ..instruments.counts_maps import Frame
from . import map_calibration, map_search
from .running import Stages
from .runtimes import Runner

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

CANDIDATE = (
    *("ra", "dec", "radius68", "radius95", "photons", "photons_error", "background"),
    *("snr", "probability", "flags"),
)
"""What is told of a candidate at once (`UNITS`)."""
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
    photons = read_photons(path)
    observed, wcs, rows = search_list(photons, networks, calibration, settings, Stages({}))
    height, width = observed.counts.shape
    ra, dec, radius = observed_disc(np.ones((height, width)), wcs, observed.pixel * 3600)
    facts = {"ra": ra, "dec": dec, "radius": radius, "events": int(observed.counts.sum())}
    facts |= {"height": height, "width": width, "data_sha256": photons.data_sha256}
    known = {"livetime": photons.livetime, "zenith": photons.zenith}
    facts |= {name: value for name, value in known.items() if math.isfinite(value)}
    return facts, rows


def search_list(
    photons: PhotonList, networks: dict[str, keras.Model | Runner], calibration: dict, settings, stages: Stages
) -> tuple[CountsMap, WCS, list[dict]]:
    """Return the counts map of a photon list, where on the sky it is, and one row a source (see `search_photons`).

    Raises
    ------
    skyloom.images.fits.UnusableImage
        If no energy of the list is safe.
    """
    now = time.perf_counter()
    observed, wcs = counts_map(photons, Frame(settings.side, settings.pixel), photons.safe(settings.energy))
    stages.add("count", now)
    common = ["energies"] if falls_short(photons, settings.energy) else []
    return observed, wcs, search_counts(observed, wcs, photons, common, networks, calibration, settings, stages)


def search_counts(
    observed: CountsMap,
    wcs: WCS,
    photons: PhotonList | MapFile,
    flags: list[str],
    networks: dict[str, keras.Model | Runner],
    calibration: dict,
    settings,
    stages: Stages,
) -> list[dict]:
    """Return one row a source of a counts map, whose `photons` tell the pointing and the live time."""
    found = map_search.search_map(observed, networks, settings, stages)
    now = time.perf_counter()
    table = map_search.detection_table([{"cube": 0, **row} for row in found])
    table.meta["pixel"] = observed.pixel
    table = map_calibration.apply(calibration, table)
    rows = on_the_sky(table, photons, wcs, observed.counts.shape, observed.pixel, flags)
    stages.add("calibrate", now)
    return rows


def search_incoming(
    path: str | Path, networks: dict[str, keras.Model | Runner], calibration: dict, settings, stages: Stages
) -> tuple[dict, list[dict]]:
    """Search a photon list or a counts map that came just now.

    Parameters
    ----------
    path : path
    networks : dict of str to skyloom.learn.runtimes.Runner
        By their roles (`skyloom.learn.map_search.search_map`).
    calibration : dict
        Of `skyloom.learn.map_calibration.calibrate`.
    settings : skyloom.cases.cherenkov.Search
    stages : Stages
        Counts the seconds.

    Returns
    -------
    facts : dict
        ``events`` that were counted.
    rows : list of dict
        One a candidate, the surest first (`CANDIDATE`).

    Raises
    ------
    skyloom.images.fits.UnusableImage
        If the file holds neither, or it cannot be searched.
    """
    now = time.perf_counter()
    try:
        photons = read_photons(path)
        stages.add("read", now)
        observed, _, rows = search_list(photons, networks, calibration, settings, stages)
    except NoEvents:
        given = read_counts(path, settings.pixel)
        stages.add("read", now)
        observed = given.observed
        rows = search_counts(observed, given.wcs, given, [], networks, calibration, settings, stages)
    rows = [row for row in rows if row["probability"] >= calibration["threshold"]]
    rows.sort(key=lambda row: -row["probability"])
    return {"events": int(observed.counts.sum())}, [{name: row[name] for name in CANDIDATE} for row in rows]


def warm_up(networks: dict[str, Runner], calibration: dict, settings) -> None:
    """Make all that a search needs, so that the first map does not wait for it."""
    side = settings.side // map_search.BINNING
    networks["map"].warm_up(map_search.padded(np.zeros((1, side, side))).shape[1:])
    if "position" in networks:
        networks["position"].warm_up((map_search.CROP, map_search.CROP, 5))
    frame = Frame(settings.side, settings.pixel)
    counts = np.random.default_rng(0).poisson(1.0, (settings.side, settings.side)).astype(np.uint32)
    blank = CountsMap(counts, settings.pixel)
    given = MapFile(blank, sky_wcs(frame, 0, 0), (0.0, 0.0), math.nan)
    search_counts(blank, given.wcs, given, [], networks, calibration, settings, Stages({}))


def falls_short(photons: PhotonList, energies: tuple[float, float]) -> bool:
    """Return whether a list covers much less than a range of energies [TeV], by its events or what it calls safe."""
    lowest = max(float(photons.energy.min()), photons.thresholds[0])
    highest = min(float(photons.energy.max()), photons.thresholds[1])
    return lowest > COVERED * energies[0] or highest < energies[1] / COVERED


def on_the_sky(
    table: Table, photons: PhotonList | MapFile, wcs: WCS, shape: tuple[int, int], pixel: float, flags: list[str]
) -> list[dict]:
    """Return what the catalog needs of the sources in a photon list.

    Parameters
    ----------
    table : astropy.table.Table
        Calibrated candidates in the map (`skyloom.learn.map_calibration.apply`).
    photons : PhotonList or MapFile
    wcs : astropy.wcs.WCS
        Of the map, and its `shape` (height, width) and the side of a `pixel` [deg].
    flags : list of str
        That all sources have.

    Returns
    -------
    list of dict
        One a source: the columns of `UNITS`, and ``flags`` and ``probability``.
    """
    ra, dec = wcs.wcs_pix2world(np.asarray(table["x"]), np.asarray(table["y"]), 0) if len(table) else ((), ())
    offset = np.degrees(angular_separation(*np.radians(photons.pointing), np.radians(ra), np.radians(dec)))
    rows = []
    for number, row in enumerate(table):
        rows.append(
            {
                "ra": float(ra[number]),
                "dec": float(dec[number]),
                "pos_error": float(np.hypot(row["x_error"], row["y_error"]) / np.sqrt(2)) * pixel * 3600,
                "x": float(row["x"]),
                "y": float(row["y"]),
                "radius68": float(row["radius68"]) * pixel,
                "radius95": float(row["radius95"]) * pixel,
                "photons": float(row["photons"]),
                "photons_error": float(row["photons_error"]),
                "background": float(row["background"]),
                "livetime": photons.livetime,
                "offset": float(offset[number]),
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

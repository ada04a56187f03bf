"""Search a file of gamma-ray counts, patch by patch, and put what is found onto the sky, no source twice."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
from astropy.table import Table

from ..images import sky_blocks
from ..images.lat_files import Piece, Wanted, read_file
from ..images.patches import SIDE
from ..instruments import lat
from . import patch_calibration, patch_search
from .running import Stages

UNITS = {
    **dict.fromkeys(("ra", "dec"), "deg"),
    "pos_error": "arcsec",
    **dict.fromkeys(("x", "y"), "pix"),
    **dict.fromkeys(("l", "b", "radius68", "radius95"), "deg"),
    **dict.fromkeys(("ellipse_major", "ellipse_minor", "ellipse_pa", "pos_systematic"), "deg"),
    **dict.fromkeys(("photon_flux", "photon_flux_error", "photon_flux_systematic"), "cm-2 s-1"),
    "kind": str,
    **dict.fromkeys(("kind_probability", "p_agn", "p_pulsar", "p_other", "probability_systematic"), None),
    "snr": None,
    "exposure": "cm2 s",
}
"""Units of what is told of a source (`on_the_sky`), by column; None is a pure number, `str` a text."""

RESOURCES = "resources"
"""Folder of the response."""
PLANE = 5.0
"""Sources nearer to the Galactic plane are flagged [deg]: the diffuse emission is brightest and least known there."""
TRAINED = 1.5
"""Factor by which the exposure of a patch may differ from the training's before its sources are flagged."""
_STEP = 0.05
"""Step by which the direction of an ellipse is taken to another frame [deg]."""


def wanted_of(settings, resources: str = RESOURCES) -> Wanted:
    """Return what the networks know of an observation, by the settings of the search."""
    return Wanted(
        bands=tuple((float(lowest), float(highest)) for lowest, highest, _ in settings.bands),
        sides=tuple(side for *_, side in settings.bands),
        width=settings.width,
        event_type=settings.event_type,
        years=settings.years,
        exposure=settings.exposure_file,
        resources=resources,
    )


def search_file(
    path: str | Path, networks: dict[str, keras.Model], calibration: dict, settings
) -> tuple[dict, list[dict]]:
    """Search the counts in a file.

    Parameters
    ----------
    path : path
        See `skyloom.images.lat_files.read_file`.
    networks : dict of str to keras.Model
        By their roles (`skyloom.learn.patch_search.search_patch`).
    calibration : dict
        Of `skyloom.learn.patch_calibration.calibrate`.
    settings : skyloom.cases.fermi_sources.Search
        ``bands``, ``width``, ``event_type``, ``years`` and ``exposure`` as in the simulations, and ``exposure_file``.

    Returns
    -------
    facts : dict
        Of the file: ra and dec of the middle [deg], radius of a disc with its area [arcsec], events in the bands,
        patches that were searched, years of the survey where they are known, the area as a MOC, data_sha256.
    rows : list of dict
        One a candidate, as the catalog needs it (`on_the_sky`).

    Raises
    ------
    skyloom.images.fits.UnusableImage
        If the file holds no counts that can be searched.
    """
    source = read_file(path, wanted_of(settings))
    response = lat.read_response(source.wanted.resources, source.wanted.event_type)
    near, trained = psf_radius(response, source.wanted), trained_exposure(response, source.wanted, settings.exposure)
    rows: list[dict] = []
    for piece in source.pieces():
        found = patch_search.search_patch(piece.patch, networks, settings, Stages({}))
        if not found:
            continue
        table = patch_search.detection_table([{"cube": piece.number, **row} for row in found])
        table.meta["pixel"] = piece.patch.pixel
        common = ["untrained"] if untrained(piece, trained) else []
        rows += on_the_sky(patch_calibration.apply(calibration, table), piece, common)
    confuse(rows, near, calibration["threshold"])
    ra, dec, radius = source.disc()
    facts = {"ra": ra, "dec": dec, "radius": radius * 3600, "events": source.events, "patches": len(source.centres)}
    facts |= {"moc": source.area(), "data_sha256": source.data_sha256}
    return facts | ({"years": source.years} if math.isfinite(source.years) else {}), rows


def on_the_sky(table: Table, piece: Piece, flags: list[str]) -> list[dict]:
    """Return what the catalog needs of the sources that belong to a patch.

    Parameters
    ----------
    table : astropy.table.Table
        Calibrated candidates (`skyloom.learn.patch_calibration.apply`) with ``lon`` and ``lat`` [deg, Galactic].
    piece : Piece
    flags : list of str
        That all sources have.

    Returns
    -------
    list of dict
        One a source: the columns of `UNITS`, and ``flags`` and ``probability``. Position angles are from North through
        East in ICRS; ``photon_flux_systematic`` is a flux, where the calibration tells a share of it.
    """
    if not len(table):
        return []
    lon, lats = np.asarray(table["lon"], float), np.asarray(table["lat"], float)
    ra, dec = sky_blocks.equatorial(lon, lats)
    belongs, edge = piece.belongs(lon, lats), piece.edge(lon, lats)
    angle = equatorial_angles(table, piece)
    pixel, exposure = piece.patch.pixel, float(np.mean(piece.patch.exposure))
    rows = []
    for number in np.flatnonzero(belongs):
        row = table[int(number)]
        told = [*(["edge"] if edge[number] else []), *(["plane"] if abs(lats[number]) < PLANE else []), *flags]
        rows.append(
            {
                "ra": float(ra[number]),
                "dec": float(dec[number]),
                "pos_error": float(np.hypot(row["x_error"], row["y_error"]) / np.sqrt(2)) * pixel * 3600,
                "x": float(row["x"]),
                "y": float(row["y"]),
                "l": float(lon[number]),
                "b": float(lats[number]),
                **{name: float(row[name]) * pixel for name in ("radius68", "radius95")},
                **{name: float(row[name]) * pixel for name in ("ellipse_major", "ellipse_minor")},
                "ellipse_pa": float(angle[number]),
                "pos_systematic": float(row["pos_systematic"]),
                "photon_flux": float(row["flux"]),
                "photon_flux_error": float(row["flux_error"]),
                "photon_flux_systematic": float(row["flux_systematic"] * row["flux"]),
                "kind": str(row["kind"]),
                **{name: float(row[name]) for name in ("kind_probability", "p_agn", "p_pulsar", "p_other")},
                "probability_systematic": float(row["probability_systematic"]),
                "snr": float(row["snr"]),
                "exposure": exposure,
                "flags": ";".join(told),
                "probability": float(row["probability"]),
            }
        )
    return rows


def equatorial_angles(table: Table, piece: Piece) -> np.ndarray:
    """Return the position angles of ellipses [deg, ICRS], which the table tells from the patch's North through East."""
    patch, turn = piece.patch, np.radians(np.asarray(table["ellipse_pa"], float))
    x, y = np.asarray(table["x"], float), np.asarray(table["y"], float)
    step = _STEP / patch.pixel
    places = [(x, y), (x - step * np.sin(turn), y + step * np.cos(turn))]
    (ra, dec), ends = (
        sky_blocks.equatorial(*sky_blocks.sky_of_pixels(*place, (patch.lon, patch.lat), patch.width, SIDE))
        for place in places
    )
    away = [sky_blocks.offsets(*end, middle) for *end, middle in zip(*ends, zip(ra, dec, strict=True), strict=True)]
    east, north = np.array(away, float).reshape(-1, 2).T
    return np.degrees(np.arctan2(east, north)) % 180


def psf_radius(response: lat.Response, wanted: Wanted) -> float:
    """Return the radius [deg] that holds 68 % of a source's photons in the middle one of the bands."""
    return float(np.median([response.profile(*band).radius(0.68) for band in wanted.bands]))


def trained_exposure(response: lat.Response, wanted: Wanted, means: Sequence[float] | None) -> Callable:
    """Return the function of the declination [deg] that gives the exposure of each band in training [cm2 s].

    Parameters
    ----------
    response : skyloom.instruments.lat.Response
    wanted : Wanted
    means : sequence of float or None
        Mean over the sky of each band's exposure, if that is not the response's.
    """
    dec = np.degrees(np.arcsin(np.linspace(-1, 1, 181)))
    usual = [response.exposure(dec, *band, wanted.years) for band in wanted.bands]
    if means is not None:
        usual = [one * mean / one.mean() for one, mean in zip(usual, means, strict=True)]
    return lambda at: np.array([np.interp(at, dec, one) for one in usual])


def untrained(piece: Piece, trained: Callable) -> bool:
    """Return whether the exposure of a patch is far from that which the networks are trained on."""
    dec = sky_blocks.equatorial(np.array(piece.patch.lon), np.array(piece.patch.lat))[1]
    ratio = np.asarray(piece.patch.exposure, float) / trained(float(dec))
    return bool(np.any(ratio > TRAINED) or np.any(ratio < 1 / TRAINED))


def confuse(rows: list[dict], radius: float, threshold: float) -> None:
    """Flag the sources that have another one, above the threshold, within a radius [deg]."""
    if len(rows) < 2:
        return
    units = sky_blocks.vectors(np.array([row["l"] for row in rows]), np.array([row["b"] for row in rows]))
    above = np.array([row["probability"] >= threshold for row in rows])
    limit = math.cos(math.radians(radius))
    for number, row in enumerate(rows):
        near = (units @ units[number] > limit) & above
        near[number] = False
        if near.any():
            row["flags"] = ";".join(filter(None, [row["flags"], "confused"]))

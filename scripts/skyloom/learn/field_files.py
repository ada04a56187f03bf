"""Search radio images in FITS files with a calibrated chain of networks, and put what is found onto the sky."""

import json
import math
from functools import lru_cache
from pathlib import Path

import keras
import numpy as np

from ..files import existing
from ..images.fits import UnusableImage
from ..images.footprint import observed_disc
from ..images.radio_files import RadioFile, read_field
from ..sky import cluster_lists
from . import field_calibration, field_search
from .field_search import Found
from .field_tables import KINDS, detection_table
from .running import Stages

BEYOND = 1.3
"""Factor by which a beam, in the networks' pixels, or a frequency may lie beyond those of the training."""
WHOLE = 0.95
"""Share of the box of 2 R500 around the cluster that must have been observed."""

UNITS = {
    **dict.fromkeys(("ra", "dec"), "deg"),
    "pos_error": "arcsec",
    **dict.fromkeys(("x", "y"), "pix"),
    **dict.fromkeys(("flux", "flux_error"), "Jy"),
    **dict.fromkeys(("peak_flux", "peak_flux_error"), "Jy/beam"),
    **dict.fromkeys(("las", "fwhm_major", "fwhm_minor", "size"), "arcsec"),
    "pa": "deg",
    "area": None,
    "brightness": None,
    "kind": str,
    "kind_probability": None,
    "cluster_distance": "arcmin",
    "r500_distance": None,
    "r500_mean": None,
    **dict.fromkeys(("field_probability", *(f"field_{name}" for name in KINDS)), None),
    "cluster": str,
    "cluster_redshift": None,
    **dict.fromkeys(("beam_major", "beam_minor"), "arcsec"),
    "beam_pa": "deg",
    "frequency": "GHz",
    "rms": "Jy/beam",
    "snr": None,
}
"""Units of what is told of an island (`on_the_sky`), by column; None is a pure number, `str` a text."""


def search_file(
    path: str | Path, networks: dict[str, keras.Model], calibration: dict, settings
) -> tuple[dict, list[dict]]:
    """Search the radio image in a file.

    Parameters
    ----------
    path : path
    networks : dict of str to keras.Model
        By their roles (`skyloom.learn.field_search.search_field`).
    calibration : dict
        Of `skyloom.learn.field_calibration.calibrate`.
    settings : skyloom.cases.diffuse_radio.Search

    Returns
    -------
    facts : dict
        Of the file: ra and dec of its middle [deg], radius of the disc with its area [arcsec], height and width, rms
        [Jy/beam], beam_major and beam_minor [arcsec], r500 [arcmin] and redshift of its cluster where they are known,
        region_mean (R), the probabilities of `skyloom.learn.field_tables.OUTPUTS`, data_sha256.
    rows : list of dict
        One an island, as the catalog needs it (`on_the_sky`).

    Raises
    ------
    skyloom.images.fits.UnusableImage
        If the file holds no image that can be searched.
    """
    clusters = _clusters(settings.clusters) if settings.clusters.file else None
    file = read_field(path, clusters)
    field = file.field
    try:
        found = field_search.search_field(field, networks, settings, Stages({}))
    except ValueError as error:
        raise UnusableImage(f"It cannot be searched: {error}.") from error
    table = field_calibration.apply(calibration, detection_table([{"cube": 0, **row} for row in found.rows]))
    one = found.scaled
    ra, dec, radius = observed_disc(one.image, _binned_wcs(file.wcs, one.binning), one.pixel)
    height, width = field.image.shape
    facts = {
        "ra": ra,
        "dec": dec,
        "radius": radius,
        "height": height,
        "width": width,
        "rms": one.noise.typical,
    }
    facts |= {"beam_major": field.beam[0], "beam_minor": field.beam[1], "data_sha256": file.data_sha256}
    facts |= {"region_mean": float(table["region_mean"][0]), "emission": float(table["field_probability"][0])}
    facts |= {name: float(table[f"field_{name}"][0]) for name in KINDS}
    if field.cluster:
        known = {"r500": field.cluster.r500 * field.pixel / 60, "redshift": field.cluster.redshift}
        facts |= {name: value for name, value in known.items() if math.isfinite(value)}
    facts = {name: value for name, value in facts.items() if not isinstance(value, float) or math.isfinite(value)}
    return facts, on_the_sky(table[1:], file, common_flags(file, found, calibration.get("trained", {})))


@lru_cache(maxsize=4)
def _read(path: str, columns: str, modified: float):
    """Return the list of clusters; a chunk of files needs it once."""
    from types import SimpleNamespace

    return cluster_lists.read_clusters(path, SimpleNamespace(**json.loads(columns)))


def _clusters(settings):
    path = existing(settings.file, "a list of clusters (`search.clusters.file`)")
    return _read(str(path), json.dumps(settings.model_dump(mode="json")), path.stat().st_mtime)


def _binned_wcs(wcs, binning: int):
    """Return the WCS of an image of which `binning` pixels along each axis are one."""
    return wcs.slice((slice(None, None, binning),) * 2) if binning > 1 else wcs


def common_flags(file: RadioFile, found: Found, trained: dict) -> list[str]:
    """Return what may be wrong with all that is found in a file.

    Parameters
    ----------
    file : RadioFile
    found : Found
    trained : dict
        Least and greatest beam in the networks' pixels (``beam``) and frequency (``frequency`` [MHz]) of the fields
        that the networks are calibrated with; what is not known is not compared.

    Returns
    -------
    list of str
        ``unit_assumed`` (the header gives no unit), ``no_cluster`` (no list and no header tells of a cluster in the
        image), ``partial`` (less than `WHOLE` of the box of 2 R500 around it was observed), ``untrained`` (another beam
        or frequency, or an unknown one).
    """
    field, one = file.field, found.scaled
    flags = list(file.flags)
    if not field.cluster:
        flags.append("no_cluster")
    elif _observed_share(one, *field_search.place_of(field, one, [])) < WHOLE:
        flags.append("partial")
    values = {"beam": math.sqrt(field.beam[0] * field.beam[1]) / one.pixel, "frequency": field.frequency}
    for name, (low, high) in trained.items():
        if not low / BEYOND <= values[name] <= high * BEYOND:
            flags.append("untrained")
            break
    return flags


def _observed_share(one: field_search.Scaled, x: float, y: float, r500: float) -> float:
    """Return which share of the box of 2 R500 around a place was observed."""
    height, width = one.image.shape
    rows, columns = (
        slice(max(0, round(middle - r500)), min(side, round(middle + r500) + 1))
        for middle, side in ((y, height), (x, width))
    )
    seen = np.isfinite(one.image[rows, columns]).sum() if rows.start < rows.stop and columns.start < columns.stop else 0
    return float(seen / (round(2 * r500) + 1) ** 2)


def sky_angle(wcs, x: float, y: float, pa: float) -> float:
    """Return the position angle on the sky [deg, North to East] of one in an image [deg, from y to decreasing x]."""
    angle = math.radians(pa)
    ends = wcs.pixel_to_world([x, x - math.sin(angle)], [y, y + math.cos(angle)]).icrs
    return float(ends[0].position_angle(ends[1]).deg % 180)


def on_the_sky(table, file: RadioFile, flags: list[str]) -> list[dict]:
    """Return what the catalog needs of the islands in a file.

    Parameters
    ----------
    table : astropy.table.Table
        Calibrated islands (`skyloom.learn.field_calibration.apply`).
    file : RadioFile
    flags : list of str
        Of all islands (`common_flags`).

    Returns
    -------
    list of dict
        One an island: the columns of `UNITS`, and ``flags`` and ``probability``. The error of the position is that of
        the middle of light: the size of an island over its S/N, and a tenth of the beam. An island within half its size
        of the image's edge has the flag ``edge``.
    """
    field = file.field
    height, width = field.image.shape
    rows = []
    for row in table:
        place = file.wcs.pixel_to_world(float(row["x"]), float(row["y"])).icrs
        half = row["las"] / field.pixel / 2
        edge = min(row["x"], row["y"], width - 1 - row["x"], height - 1 - row["y"]) < half
        rows.append(
            {
                "ra": float(place.ra.deg),
                "dec": float(place.dec.deg),
                "pos_error": float(np.hypot(row["las"] / max(row["snr"], 1) / 2, field.beam[0] / 10)),
                **{name: float(row[name]) for name in ("x", "y", "flux", "flux_error", "las", "area")},
                "pa": sky_angle(file.wcs, float(row["x"]), float(row["y"]), float(row["pa"])),
                **{name: float(row[name]) for name in ("brightness", "kind_probability", "rms", "snr", "probability")},
                **{"peak_flux": float(row["peak"]), "peak_flux_error": float(row["rms"])},
                **{"fwhm_major": float(row["major"]), "fwhm_minor": float(row["minor"])},
                "size": float(np.sqrt(row["major"] * row["minor"])),
                "kind": KINDS[int(row["kind"])],
                "cluster_distance": float(row["distance"]) / 60,
                "r500_distance": float(row["distance_r500"]),
                "r500_mean": float(row["region_mean"]),
                "field_probability": float(row["field_probability"]),
                **{f"field_{name}": float(row[f"field_{name}"]) for name in KINDS},
                "cluster": file.cluster or (file.target if field.cluster else ""),
                "cluster_redshift": field.cluster.redshift if field.cluster else math.nan,
                "beam_major": field.beam[0],
                "beam_minor": field.beam[1],
                "beam_pa": field.beam[2],
                "frequency": field.frequency / 1e3,
                "flags": ";".join([*(["edge"] if edge else []), *flags]),
            }
        )
    return rows

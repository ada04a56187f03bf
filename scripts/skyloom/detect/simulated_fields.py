"""Simulated radio images of galaxy clusters with their truth."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from astropy.table import Column, Table
from numpy.typing import NDArray
from scipy import ndimage

from ..images.radio_fields import Cluster as Place
from ..images.radio_fields import RadioField, as_mask
from ..instruments import radio_surveys
from ..instruments.radio_surveys import Instrument, Survey
from ..sky import clusters, radio_galaxies
from ..sky.clusters import Cluster, Diffuse
from ..sky.radio_galaxies import Galaxy, Points
from ..sky.turbulence import deposit, overlap, stamp

KINDS = {"none": -1} | {kind: number for number, kind in enumerate(clusters.KINDS)}
"""Numbers of the kinds of diffuse emission in tables of truth; -1 stands for a field without any."""
TRUTH_UNITS = {
    "x": "pix",
    "y": "pix",
    "flux": "Jy",
    "mask_flux": "Jy",
    "size": "arcsec",
    "extent": "arcsec",
    "pa": "deg",
    "cluster_x": "pix",
    "cluster_y": "pix",
    "r500": "pix",
    "rms": "Jy/beam",
    "beam": "arcsec",
}

_SIGMA = 1 / np.sqrt(8 * np.log(2))
_WIDEST = 5.0  # beams, to which an image is smoothed at most to see faint emission
_BRIGHT = 100.0  # rms, of the sources around which errors of calibration may show
_MOST_ARTEFACTS = 8


@dataclass(frozen=True)
class Sky:
    """What simulated fields hold.

    Attributes
    ----------
    mass, redshift : tuple of float
        Ranges of M500 [Msun] and redshift.
    absent : float
        Share of the fields without a cluster.
    none : float
        Share of the clusters without diffuse emission; of the 246 of the Planck clusters in LoTSS that the original is
        tested on it is 0.46.
    halo, relic, bridge, fossil : float
        Probabilities, where there is diffuse emission; drawn again if there is none of any kind.
    offset : float
        The cluster is within this share of the image's side from its middle, along each axis.
    members : float
        Compact radio sources of a cluster, on average.
    tails : float
        Extended radio galaxies of a cluster, on average.
    galaxies, spirals : float
        Extended radio galaxies and spiral galaxies a square degree, on average.
    brightest : float
        Flux of the brightest point that may be drawn [Jy].
    subtracted : float
        Share of the fields of which compact sources were subtracted, not perfectly.
    artefacts : tuple of float
        Range of the level of artefacts around bright sources in units of the source's peak; drawn by its logarithm.
    """

    mass: tuple[float, float] = (2e14, 1.6e15)
    redshift: tuple[float, float] = (0.05, 0.6)
    absent: float = 0.03
    none: float = 0.46
    halo: float = 0.7
    relic: float = 0.3
    bridge: float = 0.05
    fossil: float = 0.15
    offset: float = 0.15
    members: float = 12.0
    tails: float = 1.2
    galaxies: float = 4.0
    spirals: float = 0.4
    brightest: float = 5.0
    subtracted: float = 0.2
    artefacts: tuple[float, float] = (1e-4, 1e-3)


@dataclass(frozen=True)
class Limits:
    """From where on emission counts.

    Attributes
    ----------
    level : float
        The mask is where a piece of diffuse emission, seen with the beam but without noise, exceeds this many times the
        rms of an image that is smoothed to the width of the piece, to 5 beams at most.
    brightness : float
        And this [Jy/arcsec2]; the original's masks begin at 1e-8 Jy a pixel of 2 arcsec, of the noiseless sky.
    visible : float
        A piece is visible if, in an image so smoothed, it rises to this many times the rms.
    """

    level: float = 1.0
    brightness: float = 2.5e-9
    visible: float = 3.0


@dataclass(frozen=True)
class Field:
    """What there is to see in one field.

    Attributes
    ----------
    cluster : skyloom.sky.clusters.Cluster or None
    diffuse : tuple of skyloom.sky.clusters.Diffuse
    galaxies : tuple of skyloom.sky.radio_galaxies.Galaxy
    points : skyloom.sky.radio_galaxies.Points
    subtracted : bool
        Whether compact sources were subtracted.
    artefacts : float
        Level of artefacts (see `Sky`).
    """

    cluster: Cluster | None
    diffuse: tuple[Diffuse, ...]
    galaxies: tuple[Galaxy, ...]
    points: Points
    subtracted: bool
    artefacts: float


def draw_field(rng: np.random.Generator, sky, survey: Survey) -> Field:
    """Draw a field that a survey may see.

    Parameters
    ----------
    rng : numpy.random.Generator
    sky : Sky
        Or anything that has the same attributes.
    survey : skyloom.instruments.radio_surveys.Survey
    """
    side = (survey.side + 8 * survey.beam / survey.pixel) * survey.pixel
    degrees = (side / 3600) ** 2
    # Points far below the noise are drawn too, for they make the confusion.
    faintest = 0.5 * survey.rms[0] * (survey.frequency / radio_galaxies.REFERENCE) ** -radio_galaxies.INDEX
    points = [radio_galaxies.draw_points(rng, side, faintest, sky.brightest)]
    galaxies = [
        radio_galaxies.draw_field_galaxy(rng, side, 2.5 * survey.beam)
        for _ in range(rng.poisson(sky.galaxies * degrees))
    ]
    galaxies += [radio_galaxies.draw_spiral(rng, side) for _ in range(rng.poisson(sky.spirals * degrees))]
    cluster, diffuse = None, ()
    if rng.random() >= sky.absent:
        reach = sky.offset * survey.side * survey.pixel
        cluster = clusters.draw_cluster(rng, sky.mass, sky.redshift, *map(float, rng.uniform(-reach, reach, 2)))
        diffuse = clusters.draw_diffuse(cluster, sky, rng)
        faint = cluster.flux(1e23, radio_galaxies.INDEX, radio_galaxies.REFERENCE)
        place = cluster.lon, cluster.lat, cluster.r500
        points.append(radio_galaxies.draw_members(rng, *place, sky.members, faint))
        galaxies += [radio_galaxies.draw_cluster_galaxy(rng, cluster) for _ in range(rng.poisson(sky.tails))]
    return Field(
        cluster, diffuse, tuple(galaxies), radio_galaxies.joined(points), bool(rng.random() < sky.subtracted),
        float(np.exp(rng.uniform(*np.log(sky.artefacts)))),
    )  # fmt: skip


def observe(
    field: Field, instrument: Instrument, rng: np.random.Generator, limits: Limits = Limits()
) -> tuple[RadioField, list[dict]]:
    """Return the image of a field with its mask, and its rows of truth.

    Parameters
    ----------
    field : Field
    instrument : skyloom.instruments.radio_surveys.Instrument
    rng : numpy.random.Generator
    limits : Limits

    Returns
    -------
    skyloom.images.radio_fields.RadioField
        The mask is where any piece of diffuse emission counts (see `Limits`), and has the brightness of all of it.
    list of dict
        One row a piece of diffuse emission, or one of kind -1 if there is none: source (number), kind (`KINDS`), x, y
        [pix] of the mask's centre of brightness (of the shape's middle if it has no mask), flux [Jy] of all of it,
        mask_flux [Jy] of its mask, size [arcsec] (largest extent) and pa [deg] (by moments) of its mask, extent
        [arcsec] of its shape, snr and peak_snr (mean in the mask and highest surface brightness over the rms),
        smoothed_snr (highest in an image smoothed as `Limits` says), visible, index, power [W/Hz]; the cluster's
        cluster_x, cluster_y, r500 [pix], redshift and mass [Msun] (NaN without a cluster), rms [Jy/beam], beam
        [arcsec].
    """
    survey = instrument.survey
    rms = radio_surveys.draw_rms(instrument, rng)
    sky, diffuse = np.zeros((2, instrument.canvas, instrument.canvas), np.float32)
    mask, rows = _add_diffuse(diffuse, field, instrument, rms, limits)
    _add_galaxies(sky, field, instrument)
    bright = _add_points(sky, field, instrument, rms, rng)
    image = radio_surveys.observe(sky, instrument, rms, rng, bright, diffuse if field.diffuse else None)
    cluster = field.cluster
    place = None
    if cluster:
        x, y = pixel_of(instrument, cluster.lon, cluster.lat)
        place = Place(float(x), float(y), cluster.r500 / survey.pixel, cluster.redshift)
    around = {
        "cluster_x": place.x if place else np.nan,
        "cluster_y": place.y if place else np.nan,
        "r500": place.r500 if place else np.nan,
        "redshift": place.redshift if place else np.nan,
        "mass": cluster.mass if cluster else np.nan,
        "rms": float(np.median(rms)),
        "beam": survey.beam,
    }
    found = RadioField(
        image=image,
        pixel=survey.pixel,
        beam=(survey.beam, survey.beam, 0.0),
        frequency=survey.frequency,
        cluster=place,
        mask=mask,
    )
    return found, [row | around for row in rows or [_no_source()]]


def pixel_of(instrument: Instrument, lon, lat) -> tuple:
    """Return pixel coordinates x (to the west) and y in the image of offsets to the east and to the north [arcsec]."""
    pixel, middle = instrument.survey.pixel, instrument.middle
    return middle - np.asarray(lon) / pixel, middle + np.asarray(lat) / pixel


def truth_table(rows: Iterable[dict]) -> Table:
    """Return rows of truth as a table with units, with all columns even if there are no rows.

    What rows have besides, such as names of files and positions on the sky, comes last.
    """
    rows = list(rows)
    names = ["cube", *_no_source(), "cluster_x", "cluster_y", "r500", "redshift", "mass", "rms", "beam"]
    kinds = {"cube": int, "source": int, "kind": int, "visible": bool}
    columns = {name: np.array([row[name] for row in rows], kinds.get(name, float)) for name in names}
    columns |= {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ()) if name not in names}
    return Table({name: Column(values, unit=TRUTH_UNITS.get(name)) for name, values in columns.items()})


def _add_diffuse(
    sky: NDArray, field: Field, instrument: Instrument, rms: NDArray, limits: Limits
) -> tuple[NDArray, list[dict]]:
    """Add diffuse emission to the canvas; return the image's mask and the rows of truth."""
    survey = instrument.survey
    total, there = np.zeros(sky.shape, np.float32), np.zeros(sky.shape, bool)
    rows = []
    for number, piece in enumerate(field.diffuse):
        shape, step, lon, lat = clusters.shape_of(piece)
        x, y = pixel_of(instrument, lon, lat)
        place = float(x) + instrument.margin, float(y) + instrument.margin
        drawn, corner = stamp(shape, step / survey.pixel, *place, piece.flux_at(survey.frequency))
        # Room for what the beam makes of the edges.
        room = instrument.margin
        drawn, corner = np.pad(drawn, room), (corner[0] - room, corner[1] - room)
        canvas, own = overlap(corner, drawn.shape, sky.shape)
        seen = ndimage.gaussian_filter(drawn, survey.beam / survey.pixel * _SIGMA, truncate=3.5, mode="constant")
        seen *= np.float32(survey.beam_area)
        sky[canvas] += drawn[own]
        total[canvas] += seen[own]

        scale = float(np.clip(piece.scale, survey.beam, _WIDEST * survey.beam))
        least = limits.brightness * survey.beam_area * survey.pixel**2
        smoothed_rms = instrument.smoothed_rms(scale)
        counted = seen[own] >= np.maximum(limits.level * smoothed_rms * rms[canvas], least)
        there[canvas] |= counted
        row = _no_source() | {
            "source": number,
            "kind": KINDS[piece.kind],
            "x": float(x),
            "y": float(y),
            "flux": piece.flux_at(survey.frequency),
            "extent": _extent(piece),
            "pa": piece.angle % 180 if piece.kind != "relic" else (piece.angle + 90) % 180,
            "index": piece.index,
            "power": piece.power,
        }
        if own[0].stop > own[0].start and own[1].stop > own[1].start:
            snr = seen[own] / rms[canvas]
            row["peak_snr"] = float(snr.max())
            row["smoothed_snr"] = _smoothed_peak(seen, own, survey, scale) / float(
                smoothed_rms * np.median(rms[canvas])
            )
            row["visible"] = bool(row["smoothed_snr"] >= limits.visible and counted.any())
            if counted.any():
                row |= _measured(counted, seen[own], snr, canvas, instrument)
        rows.append(row)
    inner = instrument.inner
    return as_mask(np.where(inner(there), inner(total), 0), inner(rms)), rows


def _measured(counted: NDArray, seen: NDArray, snr: NDArray, canvas: tuple, instrument: Instrument) -> dict:
    """Return what of a row of truth is measured in the mask of a piece."""
    survey = instrument.survey
    y, x = np.nonzero(counted)
    weight = seen[y, x].astype(float)
    middle_y, middle_x = (float(np.average(values, weights=weight)) for values in (y, x))
    xx, yy, xy = np.var(x), np.var(y), np.cov(x, y, bias=True)[0, 1]
    border = counted & ~ndimage.binary_erosion(counted)  # on which the ends are
    y, x = np.nonzero(border)
    angles = np.radians(np.arange(0, 180, 2))
    spans = np.array([np.ptp(-x * np.sin(angle) + y * np.cos(angle)) for angle in angles]) + 1
    return {
        "x": middle_x + canvas[1].start - instrument.margin,
        "y": middle_y + canvas[0].start - instrument.margin,
        "mask_flux": float(weight.sum() / survey.beam_area),
        "size": float(spans.max() * survey.pixel),
        # x runs to the west, and position angles from north to east.
        "pa": float(np.degrees(0.5 * np.arctan2(-2 * xy, yy - xx)) % 180),
        "snr": float(snr[counted].mean()),
    }


def _smoothed_peak(seen: NDArray, own: tuple, survey: Survey, scale: float) -> float:
    """Return the highest surface brightness [Jy/beam] of a piece after smoothing from the beam to `scale` [arcsec]."""
    part = seen[own]
    coarse = max(int(scale / survey.pixel / 5), 1)
    rows, columns = (length // coarse for length in part.shape)
    if not rows or not columns:
        return float(part.max())
    part = part[: rows * coarse, : columns * coarse].reshape(rows, coarse, columns, coarse).mean(axis=(1, 3))
    width = np.sqrt(max(scale**2 - survey.beam**2, 0)) / survey.pixel / coarse * _SIGMA
    return float(ndimage.gaussian_filter(part, width, mode="constant").max())


def _extent(piece: Diffuse) -> float:
    """Return how long a piece is [arcsec]; a halo reaches to 2.6 e-folding radii (Cassano et al. 2007)."""
    return float(2 * 2.6 * piece.size / np.sqrt(piece.width)) if piece.kind == "halo" else piece.size


def _add_galaxies(sky: NDArray, field: Field, instrument: Instrument) -> None:
    for galaxy in field.galaxies:
        lon, lat, share = radio_galaxies.points_of(galaxy)
        x, y = pixel_of(instrument, lon, lat)
        deposit(sky, x + instrument.margin, y + instrument.margin, share * galaxy.flux_at(instrument.survey.frequency))


def _add_points(
    sky: NDArray, field: Field, instrument: Instrument, rms: NDArray, rng: np.random.Generator
) -> list[tuple[float, float, float]]:
    """Add points to the canvas, or what subtraction leaves of them; return artefacts around the bright ones.

    What is left is the difference of the source and its model: of another flux, by 5 % or so, and in another place, by
    5 % of the beam; faint sources, which are in no model, stay.
    """
    survey = instrument.survey
    flux = field.points.flux_at(survey.frequency)
    lon, lat, share = field.points.places()
    x, y = (values + instrument.margin for values in pixel_of(instrument, lon, lat))
    each = np.tile(flux, 2) * share
    deposit(sky, x, y, each)
    level = float(np.median(rms))
    if field.subtracted:
        n = len(flux)
        modelled = flux > 5 * level
        wrong = flux * (1 + rng.normal(0, 0.05, n)) * modelled
        moved = rng.normal(0, 0.05 * survey.beam / survey.pixel, (2, n))
        deposit(sky, x + np.tile(moved[0], 2), y + np.tile(moved[1], 2), -np.tile(wrong, 2) * share)
    brightest = np.argsort(flux)[::-1][:_MOST_ARTEFACTS]
    centre_x, centre_y = (v + instrument.margin for v in pixel_of(instrument, field.points.lon, field.points.lat))
    return [
        (float(centre_x[one]), float(centre_y[one]), float(flux[one] * field.artefacts * np.exp(rng.normal(0, 0.5))))
        for one in brightest
        if flux[one] > _BRIGHT * level
    ]


def _no_source() -> dict:
    """Return the row of a field without diffuse emission, without what the cluster and the image add."""
    unknown = ("x", "y", "flux", "mask_flux", "size", "extent", "pa", "snr", "peak_snr", "smoothed_snr")
    values = dict.fromkeys(unknown, np.nan)
    values |= {"mask_flux": 0.0, "size": 0.0, "snr": 0.0, "peak_snr": 0.0, "smoothed_snr": 0.0}
    return {"source": 0, "kind": -1} | values | {"visible": False, "index": np.nan, "power": np.nan}

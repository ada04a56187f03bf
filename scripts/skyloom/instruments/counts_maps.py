"""Counts maps of Cherenkov telescopes: what is expected of point sources and background, quickly."""

import math
from dataclasses import dataclass

import numpy as np
from astropy import units as u

CRAB_FLUX = 5.7e-16
"""Differential flux of a Crab-like source at `PIVOT` [1 / (cm2 s MeV)], as in astroRT's simulations."""
CRAB_INDEX = 2.48
PIVOT = 0.3
"""Energy at which fluxes are given [TeV]."""

_REACH = 1.25
"""Half side of the part of a map that a source is put into [deg]."""
_INDICES = np.arange(1.6, 4.05, 0.1)
"""So close that a rate linear in between is right to 0.3 %."""
_OFFSETS = np.arange(0, 3.76, 0.25)
_STEP = 0.0125
_FINER = 4
"""Rings that are one of the table's."""
_STEPS = 40
"""Parts of the range of energies over which the background is integrated."""


@dataclass(frozen=True)
class Frame:
    """The pixels of a counts map, centred on the pointing: x to the West, y to the North, both from 0.

    Attributes
    ----------
    side : int
        Pixels along each axis.
    pixel : float
        Side of a pixel [deg].
    """

    side: int = 200
    pixel: float = 0.025

    @property
    def middle(self) -> float:
        """Pixel coordinate of the pointing."""
        return (self.side - 1) / 2

    def pixel_of(self, lon, lat):
        """Return x and y of offsets to the East and to the North [deg]."""
        return self.middle - np.asarray(lon) / self.pixel, self.middle + np.asarray(lat) / self.pixel

    def offset_of(self, x, y):
        """Return the offsets to the East and to the North [deg] of pixel coordinates."""
        return (self.middle - np.asarray(x)) * self.pixel, (np.asarray(y) - self.middle) * self.pixel

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the offsets of all pixels, each of shape (side, side)."""
        y, x = np.mgrid[: self.side, : self.side]
        return self.offset_of(x, y)


@dataclass(frozen=True)
class Response:
    """What an instrument makes of point sources and background, summed over the energies of an analysis.

    Attributes
    ----------
    frame : Frame
    index, offset, radius : numpy.ndarray
        Spectral indices, offsets [deg] and distances from a source [deg] of the tables.
    rate : numpy.ndarray, shape (index, offset)
        Counts each second of a source of one Crab.
    spread : numpy.ndarray, shape (index, offset, radius)
        Point spread function [1/deg2].
    background : numpy.ndarray, shape (side, side)
        Counts each second and pixel.
    """

    frame: Frame
    index: np.ndarray
    offset: np.ndarray
    radius: np.ndarray
    rate: np.ndarray
    spread: np.ndarray
    background: np.ndarray

    def expected_source(self, source, time: float) -> np.ndarray:
        """Return the expected counts of a source in every pixel.

        Parameters
        ----------
        source : skyloom.sky.transients.PointSource
        time : float
            Exposure [s].

        Returns
        -------
        numpy.ndarray, shape (side, side), float32
        """
        frame, result = self.frame, np.zeros((self.frame.side, self.frame.side), np.float32)
        x, y = frame.pixel_of(source.lon, source.lat)
        reach = math.ceil(_REACH / frame.pixel)
        rows, columns = (slice(max(round(float(v)) - reach, 0), max(round(float(v)) + reach + 1, 0)) for v in (y, x))
        dx, dy = np.arange(frame.side)[columns] - x, np.arange(frame.side)[rows] - y
        distance = np.hypot(dx[None, :], dy[:, None]) * frame.pixel
        rate, spread = self._between(self.rate, source), self._between(self.spread, source)
        scale = source.flux * rate * time * frame.pixel**2
        result[rows, columns] = scale * np.interp(distance, self.radius, spread, right=0)
        return result

    def expected_counts(self, source, time: float) -> float:
        """Return how many counts are expected of a source, in the map or not (see `expected_source`)."""
        return float(source.flux * self._between(self.rate, source) * time)

    def expected_background(self, background, time: float) -> np.ndarray:
        """Return the expected counts of a `skyloom.sky.transients.Background` in every pixel; shape (side, side)."""
        return self.background * time * background.factor(*self.frame.grid())

    def _between(self, table: np.ndarray, source) -> np.ndarray:
        """Return a table's entry for a source, linear between the spectral indices and between the offsets."""
        result = table
        for nodes, value in ((self.index, source.index), (self.offset, source.offset)):
            place = float(np.interp(value, nodes, np.arange(len(nodes))))
            low = min(int(place), len(nodes) - 2)
            result = result[low] * (1 - place + low) + result[low + 1] * (place - low)
        return result


def respond(irfs: dict, frame: Frame, energies: tuple[float, float]) -> Response:
    """Return the response to point sources and background, made with gammapy from instrument response functions.

    Parameters
    ----------
    irfs : dict
        Of `skyloom.instruments.cherenkov.make_irfs` or `read_irfs`.
    frame : Frame
    energies : tuple of float
        Range of the reconstructed energy [TeV].
    """
    from gammapy.maps import MapAxis
    from gammapy.modeling.models import PowerLawSpectralModel

    true = MapAxis.from_energy_bounds(0.3 * energies[0], 4 * energies[1], nbin=60, unit="TeV", name="energy_true")
    energy = MapAxis.from_energy_edges(energies * u.TeV)
    edges = np.arange(0, 1.5 + _STEP / 2, _STEP)
    rings = np.pi * np.diff(edges**2)
    photons = [
        PowerLawSpectralModel(index=index, amplitude=CRAB_FLUX / u.Unit("cm2 s MeV"), reference=PIVOT * u.TeV)
        .integral(true.edges[:-1], true.edges[1:])
        .to_value("cm-2 s-1")
        for index in _INDICES
    ]
    rate = np.zeros((len(_INDICES), len(_OFFSETS)))
    spread = np.zeros((len(_INDICES), len(_OFFSETS), len(edges) - 1))
    for column, offset in enumerate(_OFFSETS * u.deg):
        area = irfs["aeff"].evaluate(energy_true=true.center, offset=offset).to_value("cm2").ravel()
        taken = irfs["edisp"].to_edisp_kernel(offset, energy_axis_true=true, energy_axis=energy).pdf_matrix[:, 0]
        rings_held = _rings(irfs["psf"], true.center, offset, edges) / rings
        counts = np.nan_to_num(np.array(photons) * area * taken)
        rate[:, column] = counts.sum(axis=1)
        spread[:, column] = counts @ rings_held / np.maximum(rate[:, column], 1e-30)[:, None]
    return Response(
        frame, _INDICES, _OFFSETS, (edges[1:] + edges[:-1]) / 2, rate, spread, _background(irfs["bkg"], frame, energies)
    )


def _rings(psf, energy: u.Quantity, offset: u.Quantity, edges: np.ndarray) -> np.ndarray:
    """Return the share of a point source in each ring, of edges [deg], for each energy; shape (energies, rings).

    The density is summed over finer rings: gammapy's containment is not defined beyond the radii of a table, nor within
    the first.
    """
    fine = np.linspace(edges[0], edges[-1], _FINER * (len(edges) - 1) + 1)
    middle = (fine[1:] + fine[:-1]) / 2
    density = psf.evaluate(energy_true=energy[:, None], offset=offset, rad=middle[None] * u.deg).to_value("deg-2")
    if "rad" in psf.axes.names:
        density = np.where(middle > psf.axes["rad"].edges[-1].to_value("deg"), 0, density)
    held = np.maximum(np.nan_to_num(density), 0) * np.pi * np.diff(fine**2)
    held = held.reshape(len(energy), -1, _FINER).sum(axis=2)
    return held / np.maximum(held.sum(axis=1, keepdims=True), 1e-30)


def _background(bkg, frame: Frame, energies: tuple[float, float]) -> np.ndarray:
    """Return the background [1/s] in every pixel."""
    from astropy.coordinates import SkyCoord
    from astropy.time import Time
    from gammapy.makers.utils import make_map_background_irf

    geom = geometry(frame, 0, 0, energies)
    pointing = SkyCoord(0, 0, unit="deg")
    made = make_map_background_irf(pointing, 1 * u.s, aligned(bkg), geom, Time("2025-01-01"), oversampling=_STEPS)
    return np.maximum(np.nan_to_num(made.data[0]), 0).astype(float)


def aligned(bkg):
    """Return a background that lies on the sky by right ascension and declination, wherever the telescopes stand."""
    from gammapy.irf import FoVAlignment

    if bkg.has_offset_axis:
        return bkg
    # Which way the field of view lies on the sky is of no matter to a simulation.
    return type(bkg)(axes=bkg.axes, data=bkg.data, unit=bkg.unit, is_pointlike=False, fov_alignment=FoVAlignment.RADEC)


def geometry(frame: Frame, ra: float, dec: float, energies: tuple[float, float]):
    """Return the frame on the sky as gammapy's `WcsGeom`, for a pointing [deg], with one bin of energy [TeV]."""
    from gammapy.maps import MapAxis, WcsGeom

    return WcsGeom.create(
        skydir=(ra, dec),
        npix=(frame.side, frame.side),
        binsz=frame.pixel,
        proj="TAN",
        frame="icrs",
        axes=[MapAxis.from_energy_edges(energies * u.TeV)],
    )

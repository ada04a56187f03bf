"""Dirty spectral cubes of an interferometer: the sky convolved with the dirty beam of each channel, and thermal noise.

The field is small, so a dirty image is the sky convolved with the dirty beam (the w-term is below 1e-5 of the peak).
The beam shrinks with frequency; over a band its change is a smooth function, so that each source is convolved with the
beams at a few Chebyshev nodes, and these images are interpolated to the channels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev
from scipy import fft

from . import alma
from . import interferometer as radio

NODES = 4
"""Frequencies at which the dirty beam is computed; over 1.28 GHz at 230 GHz the interpolation is good to 1e-5."""
CORRELATOR = 0.88 * 0.96
"""Efficiencies of the correlator and of its three-bit quantisation, as CASA's simulator takes them for ALMA."""
MARGIN = 1.25
"""Width of the periodic field in which noise is drawn, in units of the image's."""


@dataclass(frozen=True)
class Band:
    """What a cube is observed with.

    Attributes
    ----------
    side : int
        Width of the image [pixel].
    pixel : float
        Radians.
    frequency : numpy.ndarray, shape (channels,)
        Hz.
    rms : float
        Thermal noise of a channel [Jy/beam].
    beam : tuple of float
        Gaussian fit of the dirty beam in the middle of the band: FWHM major, minor [pixel], position angle [deg].
    dirty_beams : numpy.ndarray, shape (NODES, 2 * side, 2 * side), float32
        Responses to a point source of 1 Jy, peak of one at ``side``.
    uvw : numpy.ndarray, shape (n_times, n_baselines, 3)
        Metres.
    """

    side: int
    pixel: float
    frequency: np.ndarray
    rms: float
    beam: tuple[float, float, float]
    dirty_beams: np.ndarray
    uvw: np.ndarray

    @property
    def reference(self) -> float:
        """Middle of the band [Hz]."""
        return float(self.frequency[0] + self.frequency[-1]) / 2

    @property
    def dirty_beam(self) -> np.ndarray:
        """The dirty beam in the middle of the band, shape (2 * side, 2 * side)."""
        return np.tensordot(interpolation(np.array([0.0]))[0], self.dirty_beams, 1).astype(np.float32)


def nodes(frequency: np.ndarray) -> np.ndarray:
    """Return the Chebyshev nodes of a band [Hz], shape (NODES,)."""
    middle, half = (frequency[0] + frequency[-1]) / 2, (frequency[-1] - frequency[0]) / 2
    return middle + half * chebyshev.chebpts1(NODES)


def interpolation(at: np.ndarray) -> np.ndarray:
    """Return the weights of the nodes' values at places -1 to 1 in the band, shape (n, NODES)."""
    points = chebyshev.chebpts1(NODES)
    return chebyshev.chebvander(at, NODES - 1) @ np.linalg.inv(chebyshev.chebvander(points, NODES - 1))


def observe_band(settings, antennas: np.ndarray) -> Band:
    """Return the geometry, beams and sensitivity of an observation around transit.

    Parameters
    ----------
    settings : skyloom.cases.alma_cubes.Observation
        Frequency, channels, image, time, declination and water vapour.
    antennas : numpy.ndarray, shape (n, 3)
        East, north and up [m].

    Notes
    -----
    Natural weights: the elevation, and so the noise of a visibility, changes by less than one per cent around transit.
    """
    times = max(1, round(settings.time / settings.integration))
    hours = (np.arange(times) - (times - 1) / 2) * settings.integration * 2 * np.pi / 86164.1
    declination = np.radians(settings.declination)
    uvw = radio.uv_coverage(antennas, alma.LATITUDE, hours, declination)
    weights = np.ones(uvw.shape[:-1])
    middle = (settings.channels - 1) / 2
    frequency = (settings.frequency + (np.arange(settings.channels) - middle) * settings.channel_width) * 1e9
    pixel = settings.pixel * alma.ARCSEC
    beams = np.stack(
        [radio.dirty_beam(weights, uvw, node, 2 * settings.side, pixel) for node in nodes(frequency)]
        if settings.channels > 1
        else [radio.dirty_beam(weights, uvw, frequency[0], 2 * settings.side, pixel)] * NODES
    )
    elevation = np.arcsin(
        np.sin(alma.LATITUDE) * np.sin(declination) + np.cos(alma.LATITUDE) * np.cos(declination) * np.cos(hours)
    )
    receiver = alma.band_of(settings.frequency)
    opacity = alma.BANDS[receiver].opacity_of(settings.water)
    tsys = alma.system_temperature(receiver, float(np.mean(elevation)), opacity, settings.receiver)
    visibility = radio.visibility_noise(
        tsys,
        alma.DIAMETER,
        alma.BANDS[receiver].efficiency,
        settings.channel_width * 1e9,
        settings.integration,
        CORRELATOR,
    )
    fitted = radio.fit_beam(beams[NODES // 2], pixel)
    return Band(
        side=settings.side,
        pixel=pixel,
        frequency=frequency,
        rms=radio.image_noise(visibility, weights),
        beam=(fitted.major / pixel, fitted.minor / pixel, fitted.angle % 180),
        dirty_beams=beams.astype(np.float32),
        uvw=uvw,
    )


def pixel_for(antennas: np.ndarray, frequency: float) -> float:
    """Return the side of a pixel [arcsec], to one digit, of which some eight make the dirty beam's width.

    Parameters
    ----------
    antennas : numpy.ndarray, shape (n, 3)
        East, north and up [m].
    frequency : float
        GHz.

    Notes
    -----
    A fifth of the wavelength over the longest baseline. Natural weights favour the short ones, so that the beam is
    wider than wavelength over baseline: by 1.6 in ALMA's cycle 9 configuration 3.
    """
    longest = np.max(np.linalg.norm(antennas[:, None] - antennas, axis=-1))
    return float(f"{radio.SPEED_OF_LIGHT / (frequency * 1e9) / longest / 5 / alma.ARCSEC:.0e}")


class Telescope:
    """A band made ready to convolve skies and to draw noise; it holds the beams' Fourier transforms."""

    def __init__(self, band: Band):
        """Transform the beams."""
        self.band = band
        size = band.dirty_beams.shape[-1]
        self._response = fft.rfft2(fft.ifftshift(band.dirty_beams, axes=(-2, -1)), axes=(-2, -1)).astype(np.complex64)
        self._size = size
        frequency = band.frequency
        half = (frequency[-1] - frequency[0]) / 2
        at = (frequency - band.reference) / half if half else np.zeros(1)
        self._nodes = interpolation(at).astype(np.float32)
        self._noise = self._noise_filter()

    def dirty(self, image: np.ndarray) -> np.ndarray:
        """Return an image [Jy/pixel] as it is seen at the nodes, shape (NODES, side, side) [Jy/beam]."""
        side, size = self.band.side, self._size
        spectrum = fft.rfft2(np.asarray(image, np.float32), s=(size, size))
        return fft.irfft2(spectrum * self._response, s=(size, size), axes=(-2, -1))[:, :side, :side]

    def summed(self, parts: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """Return the noiseless sum over the channels of images with spectra (see `signal`), shape (side, side).

        It takes a fiftieth of the time of the whole cube. A spectrum may carry the channels' weights.
        """
        side, size = self.band.side, self._size
        total = np.zeros(self._response.shape[1:], np.complex64)
        for image, spectrum in parts:
            response = np.tensordot(spectrum.astype(np.float32) @ self._nodes, self._response, 1)
            total += fft.rfft2(np.asarray(image, np.float32), s=(size, size)) * response
        return fft.irfft2(total, s=(size, size))[:side, :side]

    def signal(self, parts: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """Return the noiseless cube [Jy/beam] of a sky.

        Parameters
        ----------
        parts : list of (numpy.ndarray, shape (side, side), numpy.ndarray, shape (channels,))
            Images of a flux of one [1/pixel], and their spectra [Jy]; equal images (the same object) cost nothing more.

        Returns
        -------
        numpy.ndarray, shape (channels, side, side), float32
        """
        channels, side = len(self.band.frequency), self.band.side
        cube = np.zeros((channels, side * side), np.float32)
        seen: dict[int, np.ndarray] = {}
        for image, spectrum in parts:
            dirty = seen.get(id(image))
            if dirty is None:
                dirty = seen[id(image)] = self.dirty(image).reshape(NODES, -1)
            lit = np.flatnonzero(np.abs(spectrum) > 1e-9 * np.abs(spectrum).max(initial=0))
            if len(lit):
                some = slice(lit[0], lit[-1] + 1)
                cube[some] += (spectrum[some, None].astype(np.float32) * self._nodes[some]) @ dirty
        return cube.reshape(channels, side, side)

    def noise(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return `count` images of thermal noise, shape (count, side, side), of rms one, correlated by the beam.

        White noise on the visibilities, gridded, is white noise in the Fourier plane times the root of their density
        (TMS section 6.2), whose transform is the dirty beam.
        """
        side, size = self.band.side, self._noise.shape[0]
        result = np.empty((count, side, side), np.float32)
        for image in result:
            draw = rng.standard_normal((2, *self._noise.shape), dtype=np.float32)
            image[:] = fft.irfft2((draw[0] + 1j * draw[1]) * self._noise, s=(size, size))[:side, :side]
        return result

    def _noise_filter(self) -> np.ndarray:
        """Return the root of the noise's power on the half plane of `fft.irfft2`, for images of rms one."""
        band = self.band
        size = fft.next_fast_len(int(np.ceil(MARGIN * band.side)), real=True)
        size += size % 2
        cells = np.rint(band.uvw[..., :2] * (band.reference / radio.SPEED_OF_LIGHT * size * band.pixel)).astype(int)
        cells = np.concatenate([cells.reshape(-1, 2), -cells.reshape(-1, 2)])
        density = np.zeros((size, size))
        np.add.at(density, (cells[:, 1] % size, -cells[:, 0] % size), 1.0)  # x runs to the West, u to the East
        power = density[:, : size // 2 + 1]
        # The inverse transform counts inner columns twice, and takes the real part of the outer ones only.
        power[:, [0, -1]] *= 2
        counted = np.full(power.shape[1], 4.0)
        counted[[0, -1]] = 1
        variance = np.sum(power * counted) / size**4
        return np.sqrt(power / variance).astype(np.float32)

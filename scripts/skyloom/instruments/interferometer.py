"""A radio interferometer: from antennas to visibilities, beams, noise and images.

Everything takes and gives arrays. Images are (n, n) with declination along the first axis, rising, and right ascension
along the second, falling, as in a FITS image with a negative CDELT1; the phase centre is pixel ``n // 2``.
Formulas: Thompson, Moran & Swenson, "Interferometry and Synthesis in Radio Astronomy", 3rd edition (TMS).
"""

from dataclasses import dataclass

import ducc0
import numpy as np
from numpy.typing import NDArray
from scipy import fft, optimize

SPEED_OF_LIGHT = 299_792_458.0  # m/s
BOLTZMANN_JY = 1380.649  # Jy m2 / K
SIGMA_PER_FWHM = 1 / np.sqrt(8 * np.log(2))
ACCURACY = 2e-5  # of the gridding, relative; far below the noise and the limit of single precision


class BeamNotSeenError(ValueError):
    """The pixels do not show the main lobe of a dirty beam."""


@dataclass(frozen=True)
class Beam:
    """A Gaussian beam: full widths at half maximum [rad], position angle of the major axis [deg] east of north."""

    major: float
    minor: float
    angle: float

    @property
    def size(self) -> float:
        """Geometric mean of the two widths in radians."""
        return float(np.sqrt(self.major * self.minor))

    def area(self, pixel: float) -> float:
        """Return the beam's solid angle in pixels of `pixel` radians."""
        return np.pi * self.major * self.minor / (4 * np.log(2) * pixel**2)


def uv_coverage(positions: NDArray, latitude: float, hour_angles: NDArray, declination: float) -> NDArray:
    """Return the baseline coordinates (u, v, w) in metres of every pair of antennas at every hour angle.

    Parameters
    ----------
    positions : (n_antennas, 3) array
        East, north and up in metres, in the local tangent plane.
    latitude : float
        Of the array, in radians.
    hour_angles : (n_times,) array
        Radians.
    declination : float
        Of the phase centre, in radians.

    Returns
    -------
    (n_times, n_baselines, 3) array
        Pairs in the order of ``numpy.triu_indices(n_antennas, 1)``.

    Notes
    -----
    TMS section 4.1: local to equatorial coordinates, and those to (u, v, w).
    """
    east, north, up = np.asarray(positions, dtype=float).T
    x = -np.sin(latitude) * north + np.cos(latitude) * up
    z = np.cos(latitude) * north + np.sin(latitude) * up
    first, second = np.triu_indices(len(east), 1)
    x, y, z = (axis[second] - axis[first] for axis in (x, east, z))
    hour = np.asarray(hour_angles, dtype=float)[:, None]
    u = np.sin(hour) * x + np.cos(hour) * y
    meridian = np.cos(hour) * x - np.sin(hour) * y
    v = -np.sin(declination) * meridian + np.cos(declination) * z
    w = np.cos(declination) * meridian + np.sin(declination) * z
    return np.stack([u, v, w], axis=-1)


def briggs_weights(uvw: NDArray, frequency: float, field: float, robust: float = 0.5) -> NDArray:
    """Return the imaging weight of every visibility by Briggs' robust weighting (Briggs 1995, PhD thesis, eq. 3.20).

    Parameters
    ----------
    uvw : (..., 3) array
        Metres.
    frequency : float
        Hz.
    field : float
        Width of the image in radians; the density of visibilities is counted in cells of one over it.
    robust : float
        -2 is close to uniform weighting, +2 to natural.

    Returns
    -------
    (...) array
        Between 0 and 1; visibilities of equal noise have natural weight 1.
    """
    cells = np.rint(uvw[..., :2] * (frequency / SPEED_OF_LIGHT * field)).astype(np.int64)
    flat = cells.reshape(-1, 2)
    flat = np.where((flat[:, :1] < 0) | ((flat[:, :1] == 0) & (flat[:, 1:] < 0)), -flat, flat)  # V(-u, -v) = V(u, v)*
    _, cell, count = np.unique(flat @ np.array([1 << 32, 1]), return_inverse=True, return_counts=True)
    density = count.astype(float)
    scale = (5 * 10.0**-robust) ** 2 / (np.sum(density**2) / np.sum(density))
    return (1 / (1 + density * scale))[cell].reshape(uvw.shape[:-1])


def dirty_image(visibilities: NDArray, weights: NDArray, uvw: NDArray, frequency: float, n: int, pixel: float):
    """Return the dirty image of visibilities, normalised so that a point source of S Jy peaks at S Jy/beam.

    Parameters
    ----------
    visibilities : (...) complex array
        Jy.
    weights : (...) array
        Imaging weights.
    uvw : (..., 3) array
        Metres.
    frequency : float
        Hz.
    n : int
        Side of the image, even.
    pixel : float
        Radians.

    Returns
    -------
    (n, n) float32 array
        Jy per dirty beam.
    """
    image = ducc0.wgridder.vis2dirty(
        uvw=np.ascontiguousarray(uvw, dtype=np.float64).reshape(-1, 3),
        freq=np.array([frequency]),
        vis=np.asarray(visibilities, dtype=np.complex64).reshape(-1, 1),
        wgt=np.asarray(weights, dtype=np.float32).reshape(-1, 1),
        npix_x=n, npix_y=n, pixsize_x=pixel, pixsize_y=pixel,
        epsilon=ACCURACY, flip_u=True, divide_by_n=False, nthreads=1,
    )  # fmt: skip
    return image.T / np.float32(np.sum(weights))


def predict(image: NDArray, uvw: NDArray, frequency: float, pixel: float) -> NDArray:
    """Return the visibilities (...) [Jy], complex64, of a sky image (n, n) [Jy/pixel]; see `dirty_image`."""
    visibilities = ducc0.wgridder.dirty2vis(
        uvw=np.ascontiguousarray(uvw, dtype=np.float64).reshape(-1, 3),
        freq=np.array([frequency]),
        dirty=np.ascontiguousarray(image.T, dtype=np.float32),
        pixsize_x=pixel, pixsize_y=pixel,
        epsilon=ACCURACY, flip_u=True, divide_by_n=False, nthreads=1,
    )  # fmt: skip
    return visibilities.reshape(uvw.shape[:-1])


def dirty_beam(weights: NDArray, uvw: NDArray, frequency: float, n: int, pixel: float) -> NDArray:
    """Return the dirty beam (n, n), the response to a point source of 1 Jy; its peak is one (see `dirty_image`)."""
    return dirty_image(np.ones(weights.shape), weights, uvw, frequency, n, pixel)


def fit_beam(dirty: NDArray, pixel: float) -> Beam:
    """Return the restoring beam, the Gaussian that fits the main lobe of a dirty beam.

    Parameters
    ----------
    dirty : (n, n) array
        With its peak of one at ``n // 2``.
    pixel : float
        Radians.

    Raises
    ------
    BeamNotSeenError
        If the main lobe is not resolved by the pixels, or does not fit the image.
    """
    from skimage.measure import label

    centre = dirty.shape[0] // 2
    lobe = label(dirty > 0.35, connectivity=1)
    north, west = np.nonzero(lobe == lobe[centre, centre])
    if len(north) < 9 or min(north.min(), west.min()) == 0:
        raise BeamNotSeenError("the main lobe of the dirty beam does not fit the pixels; choose other pixels.")
    x, y = (centre - west).astype(float), (north - centre).astype(float)

    def misfit(form):
        xx, xy, yy = form
        return np.exp(-(xx * x**2 + 2 * xy * x * y + yy * y**2)) - dirty[north, west]

    round_one = np.log(2) / 2 / np.mean(x**2 + y**2)
    xx, xy, yy = optimize.least_squares(misfit, (round_one, 0, round_one)).x
    curvature, axes = np.linalg.eigh([[xx, xy], [xy, yy]])
    widths = 2 * np.sqrt(np.log(2) / curvature) * pixel
    east_part, north_part = axes[:, 0]  # the smallest curvature is the major axis
    angle = np.degrees(np.arctan2(east_part, north_part))
    return Beam(major=float(widths[0]), minor=float(widths[1]), angle=float((angle + 90) % 180 - 90))


def restore(model: NDArray, beam: Beam, pixel: float) -> NDArray:
    """Convolve a model with the restoring beam.

    Parameters
    ----------
    model : (n, n) array
        Jy/pixel.
    beam : Beam
        Radians.
    pixel : float
        Radians.

    Returns
    -------
    (n, n) float32 array
        Jy/beam; the sum divided by the beam's area in pixels is the model's flux where it does not leave the image.
    """
    n = model.shape[0]
    padded = fft.next_fast_len(n + int(np.ceil(2 * beam.major / pixel)), real=True)
    north = fft.fftfreq(padded)[:, None].astype(np.float32)
    east = -fft.rfftfreq(padded)[None, :].astype(np.float32)
    sin, cos = np.sin(np.radians(beam.angle)), np.cos(np.radians(beam.angle))
    along, across = east * sin + north * cos, east * cos - north * sin
    widths = np.array([beam.major, beam.minor]) / pixel * SIGMA_PER_FWHM
    response = beam.area(pixel) * np.exp(-2 * np.pi**2 * ((along * widths[0]) ** 2 + (across * widths[1]) ** 2))
    spectrum = fft.rfft2(np.asarray(model, dtype=np.float32), s=(padded, padded))
    return fft.irfft2(spectrum * response.astype(np.float32), s=(padded, padded))[:n, :n]


def primary_beam(radius: NDArray, frequency: float, diameter: float) -> NDArray:
    """Return the response of one antenna at `radius` [rad] from the pointing centre.

    A Gaussian whose full width at half maximum is 1.13 wavelengths a diameter, as the ALMA Technical Handbook
    (cycle 9, section 3.2) has it for the 12 m antennas.
    """
    fwhm = 1.13 * SPEED_OF_LIGHT / frequency / diameter
    return np.exp(-4 * np.log(2) * (radius / fwhm) ** 2)


def primary_beam_radius(response: float, frequency: float, diameter: float) -> float:
    """Return the angle [rad] from the pointing centre at which `primary_beam` has fallen to `response`."""
    return 1.13 * SPEED_OF_LIGHT / frequency / diameter * np.sqrt(-np.log(response) / (4 * np.log(2)))


def visibility_noise(
    tsys: float, diameter: float, aperture_efficiency: float, bandwidth: float, time: float, correlator: float = 0.88
) -> float:
    """Return the rms [Jy] of the real and of the imaginary part of one visibility with two polarisations averaged.

    Parameters
    ----------
    tsys : float
        System temperature in K.
    diameter, aperture_efficiency : float
        Of an antenna, in metres, and as a fraction.
    bandwidth, time : float
        Hz a polarisation, and seconds, over which the visibility is averaged.
    correlator : float
        Efficiency of quantisation and correlator.

    Notes
    -----
    The radiometer equation (TMS section 6.2). Averaged with natural weights over all pairs of N antennas it gives the
    point-source sensitivity of the ALMA Technical Handbook (cycle 9, section 9.3),
    ``2 k Tsys / (eta A sqrt(N (N - 1) n_pol bandwidth time))``.
    """
    area = aperture_efficiency * np.pi * diameter**2 / 4
    polarisations = 2
    return 2 * BOLTZMANN_JY * tsys / (correlator * area * np.sqrt(2 * polarisations * bandwidth * time))


def image_noise(visibility_rms: float, weights: NDArray) -> float:
    """Return the thermal rms [Jy/beam] of the dirty image of visibilities with the given rms and imaging weights."""
    weights = np.asarray(weights, dtype=float)
    return float(visibility_rms * np.sqrt(np.sum(weights**2)) / np.sum(weights))


def draw_noise(shape: tuple, visibility_rms: float, rng: np.random.Generator) -> NDArray:
    """Return thermal noise for visibilities, complex64 [Jy]; its dirty image is correlated by the beam."""
    parts = rng.standard_normal((2, *shape), dtype=np.float32) * np.float32(visibility_rms)
    return parts[0] + 1j * parts[1]


def draw_gain_errors(n_antennas: int, n_times: int, coherence: int, rng: np.random.Generator) -> NDArray:
    """Return errors of calibration, ``g_i g_j* - 1`` to first order, for gains that are wrong by an rms of one.

    Parameters
    ----------
    n_antennas, n_times : int
        Shape of the observation.
    coherence : int
        Number of times over which an antenna's error stays the same.
    rng : numpy.random.Generator
        Source of the errors, complex normal: amplitude and phase alike.

    Returns
    -------
    (n_times, n_baselines) complex64 array
        In the order of `uv_coverage`. Times the true visibilities they are the artefacts' visibilities; being of
        first order in the gains, these may be scaled to any level.
    """
    blocks = -(-n_times // coherence)
    parts = rng.standard_normal((2, blocks, n_antennas), dtype=np.float32)
    gains = np.repeat(parts[0] + 1j * parts[1], coherence, axis=0)[:n_times]
    first, second = np.triu_indices(n_antennas, 1)
    return gains[:, first] + gains[:, second].conj()

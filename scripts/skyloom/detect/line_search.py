"""From a map of sources to lines and single sources: boxes, spectra, peaks, spectral focusing.

Units are those of `skyloom.images.cubes`: pixels from 0, channels, Jy/beam.
"""

import warnings
from dataclasses import dataclass, field

import numpy as np
from scipy import fft, ndimage, optimize, signal
from skimage.feature import peak_local_max

from ..images.cubes import Cube

FWHM = 2 * np.sqrt(2 * np.log(2))
TYPICAL = (5.0, 5.0, 0.0)
"""FWHM major, minor [pixel] and position angle of a source whose shape is not known yet."""
STAMP = 48
"""Side of the focused image of one source [pixel], six beams wide."""


@dataclass
class Candidate:
    """A source as far as it is known.

    Attributes
    ----------
    x, y : float
        Pixel.
    score : float
        Highest value of the map in its region.
    shape : tuple of float
        FWHM major, minor [pixel], position angle [deg].
    z, line_fwhm : float
        Channel; NaN without a line.
    z_error, line_fwhm_error : float
        Channel.
    spectrum : numpy.ndarray, shape (channels,)
        Flux density [Jy].
    noise : float
        Its rms [Jy].
    """

    x: float
    y: float
    score: float
    shape: tuple[float, float, float] = TYPICAL
    z: float = np.nan
    line_fwhm: float = np.nan
    z_error: float = np.nan
    line_fwhm_error: float = np.nan
    spectrum: np.ndarray = field(default_factory=lambda: np.zeros(0))
    noise: float = np.nan


class Responses:
    """How the telescope shows sources: its dirty beam, or the Gaussian beam, convolved with their shapes.

    Parameters
    ----------
    cube : Cube
    """

    def __init__(self, cube: Cube):
        """Keep the beam; convolved beams are made when they are asked for."""
        self._beam = cube.dirty_beam if cube.dirty_beam is not None else _gaussian_beam(cube)
        self._size = self._beam.shape[0]
        self._transform = fft.rfft2(fft.ifftshift(self._beam))
        self._made: dict[tuple, np.ndarray] = {}
        self._splines: dict[tuple | None, np.ndarray] = {}

    def of(self, shape: tuple[float, float, float] | None) -> np.ndarray:
        """Return the image of a source of 1 Jy and this shape (None for a point), its centre at ``n // 2``."""
        if shape is None:
            return self._beam
        key = tuple(np.round(shape, 2))
        if key not in self._made:
            north, east = fft.fftfreq(self._size)[:, None], -fft.rfftfreq(self._size)[None, :]
            sin, cos = np.sin(np.radians(key[2])), np.cos(np.radians(key[2]))
            along, across = north * cos + east * sin, east * cos - north * sin
            filtered = np.exp(-2 * (np.pi / FWHM) ** 2 * ((along * key[0]) ** 2 + (across * key[1]) ** 2))
            image = fft.irfft2(self._transform * filtered, s=(self._size, self._size))
            self._made[key] = fft.fftshift(image).astype(np.float32)
        return self._made[key]

    def at(self, shape, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """Return the image of a source at offsets from its centre [pixel]; zero beyond the beam's image."""
        key = None if shape is None else tuple(np.round(shape, 2))
        if key not in self._splines:
            self._splines[key] = ndimage.spline_filter(self.of(shape), order=3, output=np.float32)
        centre = self._size // 2
        dy, dx = np.broadcast_arrays(np.asarray(dy, float) + centre, np.asarray(dx, float) + centre)
        values = ndimage.map_coordinates(self._splines[key], [dy.ravel(), dx.ravel()], order=3, prefilter=False)
        return values.reshape(dy.shape)


def _gaussian_beam(cube: Cube) -> np.ndarray:
    side = 2 * max(cube.data.shape[1:])
    y, x = np.indices((side, side), dtype=float) - side // 2
    sin, cos = np.sin(np.radians(cube.beam[2])), np.cos(np.radians(cube.beam[2]))
    along, across = y * cos - x * sin, -x * cos - y * sin
    squared = (along * FWHM / cube.beam[0]) ** 2 + (across * FWHM / cube.beam[1]) ** 2
    return np.exp(-squared / 2).astype(np.float32)


def map_input(snr: np.ndarray) -> np.ndarray:
    """Return an image in units of its noise as the Blobs Finder takes it, shape (height / 2, width / 2, 2).

    The pixels are averaged in pairs, since a beam is eight of them wide. The first channel is linear, so that sidelobes
    keep their ratio to the main lobe; the second tells how much above the noise all that is.
    """
    height, width = (side - side % 2 for side in snr.shape)
    halved = np.nan_to_num(snr[:height, :width]).reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    peak = max(float(np.abs(halved).max(initial=0)), 1.0)
    return np.stack([halved / peak, np.arcsinh(halved / 3) / 5], axis=-1).astype(np.float32)


def map_target(x: np.ndarray, y: np.ndarray, shape: tuple[int, int], sigma: float = 1.0) -> np.ndarray:
    """Return the map that the Blobs Finder shall give, a peak of one a source, shape (height / 2, width / 2, 1)."""
    rows, columns = np.indices((shape[0] // 2, shape[1] // 2), dtype=float)
    target = np.zeros(rows.shape)
    for at_x, at_y in zip(x, y, strict=True):
        squared = (columns - (at_x - 0.5) / 2) ** 2 + (rows - (at_y - 0.5) / 2) ** 2
        target = np.maximum(target, np.exp(-squared / (2 * sigma**2)))
    return target[..., None].astype(np.float32)


def regions(heat: np.ndarray, threshold: float, dilation: int) -> list[Candidate]:
    """Return the sources of a map (height / 2, width / 2), the surest first: threshold, dilation, labels, centroids."""
    above = heat >= threshold
    if dilation:
        above = ndimage.binary_dilation(above, np.ones((3, 3)), iterations=dilation)
    labels, count = ndimage.label(above, np.ones((3, 3)))
    found = []
    for number in range(1, count + 1):
        inside = labels == number
        for row, column in _peaks(np.where(inside, heat, 0), threshold):
            window = tuple(
                slice(max(0, at - 2), min(at + 3, side)) for at, side in zip((row, column), heat.shape, strict=True)
            )
            weight = np.where(inside[window], heat[window], 0).astype(float)
            rows, columns = np.mgrid[window]
            y, x = np.sum(rows * weight) / weight.sum(), np.sum(columns * weight) / weight.sum()
            found.append(Candidate(2 * float(x) + 0.5, 2 * float(y) + 0.5, float(heat[row, column])))
    return sorted(found, key=lambda candidate: -candidate.score)


def _peaks(heat: np.ndarray, threshold: float) -> np.ndarray:
    """Return the maxima of a region that no higher one is within two cells of; equal neighbours are one."""
    return peak_local_max(heat, min_distance=2, threshold_abs=threshold, exclude_border=False)


def box(x: float, y: float, shape: tuple, beam: tuple) -> tuple[int, int, int, int]:
    """Return x0, x1, y0, y1 (half-open) of a source as the beam shows it, out to one full width each side."""
    xx = yy = 0.0
    for major, minor, angle in (shape, beam):
        sin, cos = np.sin(np.radians(angle)), np.cos(np.radians(angle))
        xx += (major * sin) ** 2 + (minor * cos) ** 2
        yy += (major * cos) ** 2 + (minor * sin) ** 2
    half_x, half_y = np.sqrt(xx), np.sqrt(yy)
    low = np.floor([x - half_x + 0.5, y - half_y + 0.5]).astype(int)
    high = np.ceil([x + half_x + 0.5, y + half_y + 0.5]).astype(int)
    return int(low[0]), int(high[0]), int(low[1]), int(high[1])


def box_spectra(cube: Cube, candidates: list[Candidate]) -> None:
    """Give each candidate the spectrum of its box, as published: the sum of its pixels over the beam's area."""
    for one in candidates:
        x0, x1, y0, y1 = box(one.x, one.y, one.shape, cube.beam)
        part = cube.data[:, max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)]
        one.spectrum = np.nan_to_num(part).sum(axis=(1, 2), dtype=float) / cube.beam_area
        # The box is about four beams wide, of which each has noise of its own.
        one.noise = float(np.nanmedian(cube.rms) * np.sqrt(max(part[0].size, 1) / cube.beam_area))


def deblended_spectra(cube: Cube, candidates: list[Candidate], responses: Responses) -> None:
    """Give each candidate its spectrum, solved for all of them together in every channel.

    A dirty image at the sources' places is the sum of all sources, each as the telescope shows it: as many equations as
    fluxes. For points this is the maximum-likelihood estimate, because the noise is correlated by the same beam.
    """
    if not candidates:
        return
    seen, mixing, covariance = _equations(cube.data, candidates, responses)
    inverse = np.linalg.pinv(mixing, rcond=1e-3)
    solved = inverse @ seen
    spread = np.sqrt(np.diag(inverse @ covariance @ inverse.T))
    for one, spectrum, factor in zip(candidates, solved, spread, strict=True):
        one.spectrum, one.noise = spectrum, float(factor * np.nanmedian(cube.rms))


def _equations(images: np.ndarray, candidates: list[Candidate], responses: Responses):
    """Return the images' values at the sources (K, n), the mixing matrix (K, K), and the covariance of unit noise."""
    x, y = (np.array([getattr(one, axis) for one in candidates]) for axis in "xy")
    seen = np.stack([sampled(images, one.x, one.y) for one in candidates])
    dx, dy = x[:, None] - x[None, :], y[:, None] - y[None, :]
    mixing = np.stack(
        [responses.at(one.shape, dx[:, number], dy[:, number]) for number, one in enumerate(candidates)], axis=1
    )
    return seen, mixing, responses.at(None, dx, dy)


def sampled(images: np.ndarray, x: float, y: float) -> np.ndarray:
    """Return the values of images (n, height, width) at a place between their pixels, shape (n,); unseen counts 0."""
    column, row = int(np.floor(x)), int(np.floor(y))
    taps = np.arange(-2, 4)
    rows = np.clip(row + taps, 0, images.shape[1] - 1)
    columns = np.clip(column + taps, 0, images.shape[2] - 1)
    part = np.nan_to_num(images[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])[:, rows - rows[0], :][
        :, :, columns - columns[0]
    ]
    return np.einsum("nyx,y,x->n", part, _lanczos(taps - (y - row)), _lanczos(taps - (x - column)))


def _lanczos(at: np.ndarray) -> np.ndarray:
    """Return the weights of six neighbours (Lanczos, a = 3), which sum up to one."""
    weight = np.sinc(at) * np.sinc(at / 3) * (np.abs(at) < 3)
    return weight / weight.sum()


def line_input(spectrum: np.ndarray, noise: float) -> np.ndarray:
    """Return a spectrum as the network takes it, shape (channels, 2): by its own height, and above its noise."""
    above = np.nan_to_num(spectrum - np.nanmedian(spectrum))
    height = max(float(np.abs(above).max(initial=0)), 1e-30)
    return np.stack([above / height, np.arcsinh(above / noise) / 4], axis=-1).astype(np.float32)


def line_peaks(clean: np.ndarray, height: float) -> list[tuple[float, float]]:
    """Return centre and width [channel] of the lines of a cleaned spectrum (0 to 1), the highest first."""
    padded = np.concatenate([[0.0], clean, [0.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", signal._peak_finding_utils.PeakPropertyWarning)
        at, _ = signal.find_peaks(padded, height=height, prominence=0.1 * padded.max(initial=0), distance=3)
        widths = signal.peak_widths(padded, at, rel_height=0.5)[0]
    order = np.argsort(-padded[at], kind="stable")
    return [(float(at[number] - 1), float(max(widths[number], 1.5))) for number in order]


def fit_line(
    spectrum: np.ndarray, noise: float, centre: float, width: float, least: float = 3.0
) -> tuple[float, float, float, float] | None:
    """Fit a Gaussian and a sloping continuum to a line; return centre, FWHM and their errors, or None if it fails.

    A line less high than `least` times the error of its height is none.
    """
    z = np.arange(len(spectrum), dtype=float)
    near = np.isfinite(spectrum) & (np.abs(z - centre) <= 3 * width + 4)
    if near.sum() < 6:
        return None

    def model(at, peak, middle, fwhm, level, slope):
        return peak * np.exp(-0.5 * ((at - middle) * FWHM / fwhm) ** 2) + level + slope * (at - centre)

    level = float(np.median(spectrum[near]))
    peak = float(spectrum[near].max() - level)
    low = [0, centre - width, 0.8, -np.inf, -np.inf]
    high = [np.inf, centre + width, 4 * width + 2, np.inf, np.inf]
    try:
        values, covariance = optimize.curve_fit(
            model, z[near], spectrum[near], (max(peak, noise), centre, width, level, 0.0), np.full(near.sum(), noise),
            absolute_sigma=True, bounds=(low, high),
        )  # fmt: skip
    except (RuntimeError, ValueError):
        return None
    errors = np.sqrt(np.diag(covariance))
    if not np.isfinite(errors[:3]).all() or values[0] < least * errors[0]:
        return None
    return float(values[1]), float(values[2]), float(errors[1]), float(errors[2])


def line_moments(spectrum: np.ndarray, noise: float, z: float, line_fwhm: float) -> tuple[float, float, float, float]:
    """Return mean and FWHM of a line of any shape by its first and second moment, and their errors [channel].

    The FWHM is that of a Gaussian with the same second moment, ``sqrt(8 ln 2)`` times the dispersion. Summed are the
    channels within 1.5 FWHM of the fitted line, and on from there as long as the spectrum is above three times its
    noise; the continuum is the median of all others. Channels as far below it, the bowls of a beam that is not fully
    known, are left out.

    Parameters
    ----------
    spectrum : numpy.ndarray, shape (channels,)
        Flux density.
    noise : float
        Its rms.
    z, line_fwhm : float
        Of the fitted Gaussian [channel].

    Returns
    -------
    tuple of float
        Mean, FWHM, and the errors of both, of the noise alone (linear propagation, channels independent); NaN without
        a line, and where the noise is as large as the moments.
    """
    unknown = (np.nan,) * 4
    if not np.isfinite(z):
        return unknown
    values = np.nan_to_num(spectrum)
    inside = window(z, 1.5 * line_fwhm, len(values))
    level, level_error = 0.0, 0.0
    for _ in range(2):  # the second time without the channels that the first has shown to belong to the line
        beside = values[~inside]
        if len(beside):
            level, level_error = float(np.median(beside)), 1.2533 * noise / np.sqrt(len(beside))
        labels, _ = ndimage.label(inside | (values - level > 3 * noise))
        inside = np.isin(labels, np.unique(labels[inside]))
    inside &= values - level > -3 * noise
    line, channels = values[inside] - level, np.flatnonzero(inside)
    total = line.sum()
    if total <= 3 * np.hypot(noise * np.sqrt(len(line)), level_error * len(line)):
        return unknown
    mean = np.sum(line * channels) / total
    apart = channels - mean
    variance = np.sum(line * apart**2) / total
    if variance <= 0:
        return unknown
    # How much each moment changes with each channel; the continuum changes all channels together.
    errors = [
        np.hypot(noise * np.sqrt(np.sum(slope**2)), level_error * abs(slope.sum()))
        for slope in (apart / total, (apart**2 - variance) / total)
    ]
    width, width_error = FWHM * np.sqrt(variance), FWHM * errors[1] / (2 * np.sqrt(variance))
    if width_error > width / 2:
        return unknown
    return float(mean), float(width), float(errors[0]), float(width_error)


def without_line(spectrum: np.ndarray, z: float, line_fwhm: float) -> np.ndarray:
    """Return a spectrum with the level beside a line in the line's place, out to two FWHM."""
    line = window(z, 2 * line_fwhm, len(spectrum))
    beside = window(z, 4 * line_fwhm, len(spectrum)) & ~line
    return np.where(line, np.nanmedian(spectrum[beside] if beside.any() else spectrum), spectrum)


def line_weights(rms: np.ndarray, z: float, line_fwhm: float, others: list[tuple[float, float]]) -> np.ndarray | None:
    """Return the template of a line alone: its channels, less as much of those beside it.

    What has no line there, such as a continuum, vanishes in the sum (`Cube.summed`).

    Parameters
    ----------
    rms : numpy.ndarray, shape (channels,)
    z, line_fwhm : float
        Of the line [channel].
    others : list of (float, float)
        The same of other lines, whose channels are left out.

    Returns
    -------
    numpy.ndarray, shape (channels,), or None if no channel is left.
    """
    channels = len(rms)
    inside = window(z, line_fwhm, channels)
    beside = window(z, 6 * line_fwhm, channels) & ~window(z, 2 * line_fwhm, channels)
    for other, width in others:
        inside &= ~window(other, 0.75 * width, channels)
        beside &= ~window(other, 1.5 * width, channels)
    precision = np.where(np.isfinite(rms) & (rms > 0), 1 / np.maximum(rms, 1e-30) ** 2, 0.0)
    if not (precision[inside].sum() > 0 and precision[beside].sum() > 0):
        return None
    return inside - beside * (precision[inside].sum() / precision[beside].sum())


def window(z: float, line_fwhm: float, channels: int) -> np.ndarray:
    """Return which channels belong to a line, its centre +- FWHM, or all of them without a line, shape (channels,)."""
    if not np.isfinite(z):
        return np.ones(channels, dtype=bool)
    chosen = np.abs(np.arange(channels) - z) <= max(line_fwhm, 0.5)
    if not chosen.any():
        chosen[int(np.clip(round(z), 0, channels - 1))] = True
    return chosen


@dataclass
class Focused:
    """A source alone, in the sum of its channels.

    Attributes
    ----------
    stamp : numpy.ndarray, shape (STAMP, STAMP)
        Image in units of its noise, other sources taken out; the source lies at ``STAMP // 2 + (dx, dy)``.
    x, y : float
        Where its peak is [pixel].
    error : float
        1 sigma of either, from the noise alone.
    snr : float
        Of the peak.
    left, low : int
        The stamp's first pixel in the image.
    """

    stamp: np.ndarray
    x: float
    y: float
    error: float
    snr: float
    left: int
    low: int


def focus(image: np.ndarray, candidates: list[Candidate], number: int, responses: Responses, beam: tuple) -> Focused:
    """Take all other sources out of an image and return the one that is left.

    Parameters
    ----------
    image : numpy.ndarray, shape (height, width)
        Sum of the source's channels in units of its noise.
    candidates : list of Candidate
        All sources of the image.
    number : int
        Which one is looked at.
    responses : Responses
    beam : tuple of float
        Gaussian beam [pixel, pixel, deg].
    """
    one = candidates[number]
    fluxes = np.zeros(1)
    if len(candidates) > 1:
        seen, mixing, _ = _equations(image[None], candidates, responses)
        fluxes = np.linalg.pinv(mixing, rcond=1e-3) @ seen[:, 0]
    left, low = round(one.x) - STAMP // 2, round(one.y) - STAMP // 2
    rows, columns = np.mgrid[low : low + STAMP, left : left + STAMP]
    inside = (rows >= 0) & (rows < image.shape[0]) & (columns >= 0) & (columns < image.shape[1])
    stamp = np.zeros((STAMP, STAMP))
    stamp[inside] = np.nan_to_num(image[rows[inside], columns[inside]])
    for other, flux in zip(candidates, fluxes, strict=True):
        if other is not one:
            stamp -= flux * responses.at(other.shape, columns - other.x, rows - other.y)
    stamp[~inside] = 0
    x, y, snr = peak_of(stamp, one.x - left, one.y - low)
    width = np.sqrt(beam[0] * beam[1] + one.shape[0] * one.shape[1])
    error = width / FWHM / max(snr, 1.0)
    return Focused(stamp.astype(np.float32), x + left, y + low, float(error), snr, left, low)


def peak_of(stamp: np.ndarray, x: float, y: float, reach: int = 4) -> tuple[float, float, float]:
    """Return place and height of the peak nearest to (x, y): a paraboloid through the pixels around the highest."""
    row, column = round(y), round(x)
    low, left = max(2, row - reach), max(2, column - reach)
    part = stamp[low : min(len(stamp) - 2, row + reach + 1), left : min(len(stamp) - 2, column + reach + 1)]
    row, column = (int(value) for value in np.unravel_index(np.argmax(part), part.shape))
    row, column = row + low, column + left
    rows, columns = np.mgrid[-2:3, -2:3]
    values = stamp[row - 2 : row + 3, column - 2 : column + 3]
    terms = np.stack(
        [np.ones(25), columns.ravel(), rows.ravel(), columns.ravel() ** 2, (rows * columns).ravel(), rows.ravel() ** 2]
    )
    level, gx, gy, xx, xy, yy = np.linalg.lstsq(terms.T, values.ravel(), rcond=None)[0]
    bend = np.array([[2 * xx, xy], [xy, 2 * yy]])
    if np.linalg.eigvalsh(bend).max() < 0:
        shift = np.clip(-np.linalg.solve(bend, [gx, gy]), -1.5, 1.5)
        height = level + gx * shift[0] + gy * shift[1] + 0.5 * shift @ bend @ shift
        return column + float(shift[0]), row + float(shift[1]), float(height)
    return float(column), float(row), float(values[2, 2])


def stamp_input(found: Focused) -> np.ndarray:
    """Return a source's image as the networks take it, shape (STAMP, STAMP, 2): by its peak, and the log of its S/N."""
    height = max(found.snr, 1.0)
    return np.stack([found.stamp / height, np.full_like(found.stamp, np.log10(height) / 2)], axis=-1)


QUANTITIES = ("fwhm_major", "fwhm_minor", "pa_cos", "pa_sin", "flux")
"""What the networks estimate of a stamp: logs of the sizes over 5 pixels, twice the angle, log of flux over peak."""


def stamp_target(fwhm_major, fwhm_minor, pa, flux_over_peak) -> np.ndarray:
    """Return `QUANTITIES` of sources, shape (n, 5); `flux_over_peak` is the flux in units of the stamp's peak."""
    twice = 2 * np.radians(np.asarray(pa, float))
    columns = [np.log(np.asarray(fwhm_major) / 5), np.log(np.asarray(fwhm_minor) / 5), np.cos(twice), np.sin(twice)]
    return np.stack([*columns, np.log(flux_over_peak)], axis=-1).astype(np.float32)

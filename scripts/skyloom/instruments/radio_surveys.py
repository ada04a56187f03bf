"""Radio surveys of the continuum: from an array's stations to images restored to a beam, with noise and artefacts."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from ..errors import UserError
from ..seeds import generator
from . import interferometer as radio

ARCSEC = np.pi / 180 / 3600
CLEAN_THRESHOLD = 1.0
"""Local rms above which the clean algorithm takes a part of the emission into its model; from twice that on, all."""

_MARGIN = 3.0  # beams, seen around the image so that its borders are right
_TIME_STEP = 240.0  # s
_CHANNELS = 6
_COHERENCE = (4, 16, None)
"""Time steps over which errors of calibration stay the same, for each kind of artefacts around bright sources; those
that stay for all the observation make rings, the others spokes. Each is also turned and mirrored."""

_REACH = 10.0  # beams around a source within which its artefacts have the level that is asked for
_FADING = 30.0  # beams from a source, in which calibration by directions lets artefacts fall by a factor of e
_CLEAN_SCALE = 4.0  # beams, to which the image is smoothed where clean looks for extended emission
_SCALES = np.geomspace(1, 16, 9)  # beams, for which the noise of smoothed images is tabulated


@dataclass(frozen=True)
class Survey:
    """How a survey's images are made.

    Attributes
    ----------
    frequency : float
        [MHz]
    beam : float
        Full width at half maximum of the round restoring beam [arcsec].
    pixel : float
        [arcsec]
    rms : tuple of float
        Range of the noise in the middle of an image [Jy/beam]; each image's is drawn by its logarithm.
    side : int
        Of the image [pix].
    declination : float
        Of the images [deg]; sets the uv coverage.
    hours : float
        Length of an observation [h], centred on the transit.
    bandwidth : float
        As a share of the frequency.
    shortest : float
        Baselines below are left out [m].
    robust : float
        Of Briggs' weighting, before the taper that makes the beam. With -1 the dirty beam of LOFAR has up to 1.3 times
        the solid angle of the restoring one at 6 arcsec, by which emission below the clean threshold is too bright;
        with -0.5, 3 times.
    """

    frequency: float = 144.0
    beam: float = 20.0
    pixel: float = 4.5
    rms: tuple[float, float] = (80e-6, 300e-6)
    side: int = 2000
    declination: float = 45.0
    hours: float = 8.0
    bandwidth: float = 0.33
    shortest: float = 100.0
    robust: float = -1.0

    @property
    def beam_area(self) -> float:
        """Solid angle of the beam in pixels."""
        return float(np.pi * self.beam**2 / (4 * np.log(2) * self.pixel**2))


@dataclass(frozen=True)
class Array:
    """Where an array's stations stand.

    Attributes
    ----------
    positions : tuple of (east, north, up)
        In the local tangent plane [m].
    latitude : float
        [rad]
    """

    positions: tuple[tuple[float, float, float], ...]
    latitude: float


@dataclass(frozen=True)
class Instrument:
    """A survey's response, ready to observe; made by `prepare`.

    The canvas is the image with a margin on all sides.

    Attributes
    ----------
    survey : Survey
    canvas : int
        Side of the canvas [pix].
    margin : int
        Pixels of the canvas before the first of the image.
    clean : (canvas, canvas // 2 + 1) float32 array
        Fourier transform of the restoring beam, whose peak is one.
    dirty : (canvas, canvas // 2 + 1) float32 array
        Fourier transform of the dirty beam, whose peak is one.
    largest : (canvas, canvas // 2 + 1) float32 array
        Which scales the shortest baselines see, between 0 and 1.
    noise : (canvas, canvas // 2 + 1) float32 array
        Amplitudes of the Fourier transform of noise whose rms is one.
    artefacts : tuple of (canvas, canvas) float32 arrays
        What errors of calibration make of a source in the middle; their rms is one near it.
    smoothed : array
        Rms of the noise after smoothing to the scales `_SCALES` [beam], as brightness, relative to that at the beam.
    """

    survey: Survey
    canvas: int
    margin: int
    clean: NDArray
    dirty: NDArray
    largest: NDArray
    noise: NDArray
    artefacts: tuple[NDArray, ...]
    smoothed: NDArray

    @property
    def middle(self) -> float:
        """Pixel coordinate of the image's middle."""
        return (self.survey.side - 1) / 2

    def smoothed_rms(self, scale: float) -> float:
        """Return by which factor smoothing from the beam to `scale` [arcsec] lowers the noise, in units of brightness.

        At least what it is for noise that is independent from beam to beam: what an array does not see of the largest
        scales, calibration and confusion bring back.
        """
        beams = np.clip(scale / self.survey.beam, 1, _SCALES[-1])
        return float(max(np.exp(np.interp(np.log(beams), np.log(_SCALES), np.log(self.smoothed))), 1 / beams))

    def inner(self, canvas: NDArray) -> NDArray:
        """Return the part of a canvas that is the image."""
        inner = slice(self.margin, self.margin + self.survey.side)
        return canvas[inner, inner]


@lru_cache(maxsize=8)
def read_array(path: str | Path) -> Array:
    """Read a table of stations.

    Columns x, y and z [m]; the entry ``frame`` of the table's meta says whether these are geocentric, or east, north
    and up, in which case ``latitude`` [deg] is there too.

    Raises
    ------
    UserError
        If the file is none.
    """
    from astropy.coordinates import EarthLocation
    from astropy.table import Table

    try:
        table = Table.read(path, format="ascii.ecsv")
        positions = np.stack([np.asarray(table[name], float) for name in "xyz"], axis=1)
        if table.meta["frame"] == "geocentric":
            middle = positions.mean(axis=0)
            place = EarthLocation.from_geocentric(*middle, unit="m").geodetic
            lon, lat = place.lon.rad, place.lat.rad
            east = np.array([-np.sin(lon), np.cos(lon), 0])
            up = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
            positions = (positions - middle) @ np.stack([east, np.cross(up, east), up], axis=1)
        else:
            lat = np.radians(float(table.meta["latitude"]))
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a table of stations ({error}); see resources/arrays.") from error
    return Array(tuple(tuple(map(float, row)) for row in positions), float(lat))


@lru_cache(maxsize=6)
def prepare(survey: Survey, array: Array) -> Instrument:
    """Return the response of a survey's observations.

    The visibilities of all pairs of stations at all hours and in all channels are weighted by Briggs' scheme and
    tapered by a Gaussian such that the main lobe of the dirty beam is as wide as the survey's beam, or as near to that
    as the array comes. Kept, as it takes seconds.

    Parameters
    ----------
    survey : Survey
    array : Array

    Raises
    ------
    UserError
        If the array's longest baselines are too short for the survey's beam.
    """
    margin = int(np.ceil(_MARGIN * survey.beam / survey.pixel))
    canvas = survey.side + 2 * margin
    while fft.next_fast_len(canvas, real=True) != canvas or canvas % 2:
        canvas += 1
    pixel, uvw, times = survey.pixel * ARCSEC, *_coverage(survey, array)
    frequency = survey.frequency * 1e6
    weights = _weights(uvw, survey, frequency)

    beam = radio.dirty_beam(weights, uvw, frequency, canvas, pixel)
    dirty = _transform(beam)
    # The noise of weighted visibilities has the weights' squares as its spectrum.
    noise = np.sqrt(np.maximum(_transform(radio.dirty_beam(weights**2, uvw, frequency, canvas, pixel)), 0))
    noise /= np.sqrt(_power(noise, canvas))
    clean = _gaussian(canvas, survey.beam / survey.pixel) * np.float32(survey.beam_area)
    length = np.hypot(uvw[..., 0], uvw[..., 1])
    shortest = length[length >= survey.shortest].min() * frequency / radio.SPEED_OF_LIGHT * pixel
    waves = np.hypot(fft.fftfreq(canvas)[:, None], fft.rfftfreq(canvas)[None, :])
    largest = 1 - np.exp(-((waves / shortest) ** 4))
    dirty *= largest

    away = np.abs(np.arange(canvas) - canvas // 2) / (canvas // 2 - 1)
    away = np.hypot(away[:, None], away[None, :])
    fading = np.exp(-away * (canvas / 2) * survey.pixel / (_FADING * survey.beam)) * np.clip(4 * (1 - away), 0, 1)
    patterns = []
    for number, coherence in enumerate(_COHERENCE):
        rng = generator(number, "radio_surveys", "gain errors")
        errors = radio.draw_gain_errors(len(array.positions), times, coherence or times, rng)
        errors = np.broadcast_to(errors, uvw.shape[:-1])
        pattern = radio.dirty_image(errors, weights, uvw, frequency, canvas, pixel)
        reach = min(round(_REACH * survey.beam / survey.pixel), canvas // 2)
        near = slice(canvas // 2 - reach, canvas // 2 + reach)
        patterns.append((fading * pattern / pattern[near, near].std()).astype(np.float32))

    widths = np.sqrt(np.maximum(_SCALES**2 - 1, 0)) * survey.beam / survey.pixel
    smoothed = np.array([np.sqrt(_power(noise * _gaussian(canvas, width), canvas)) for width in widths])
    return Instrument(
        survey, canvas, margin, clean.astype(np.float32), dirty.astype(np.float32), largest.astype(np.float32),
        noise.astype(np.float32), tuple(patterns), smoothed,
    )  # fmt: skip


def observe(
    sky: NDArray,
    instrument: Instrument,
    rms: NDArray,
    rng: np.random.Generator,
    artefacts: list[tuple[float, float, float]] = (),
    extended: NDArray | None = None,
) -> NDArray:
    """Return the restored image of a sky.

    What is brighter than the clean threshold, in the image or in one that is smoothed, becomes the model, which is
    convolved with the restoring beam; what is left is seen through the dirty beam and keeps its side lobes. Noise is
    correlated by the beam.

    Parameters
    ----------
    sky : (canvas, canvas) array
        [Jy/pixel]
    instrument : Instrument
    rms : (canvas, canvas) array
        [Jy/beam]
    rng : numpy.random.Generator
        Source of the noise.
    artefacts : list of (x, y, level)
        Pixel coordinates on the canvas of bright sources, and the rms of the artefacts around them [Jy/beam].
    extended : (canvas, canvas) array, optional
        More of the sky [Jy/pixel], of which the scales are lost that the shortest baselines do not see; of compact
        sources clean recovers these.

    Returns
    -------
    (side, side) float32 array
        [Jy/beam]
    """
    shape, sky = (instrument.canvas,) * 2, np.asarray(sky, np.float32)
    if extended is not None:
        sky = sky + fft.irfft2(fft.rfft2(np.asarray(extended, np.float32)) * instrument.largest, s=shape)
    spectrum = fft.rfft2(sky)
    beamed = spectrum * instrument.clean
    seen = np.abs(fft.irfft2(beamed, s=shape))
    wider = _gaussian(
        instrument.canvas, np.sqrt(_CLEAN_SCALE**2 - 1) * instrument.survey.beam / instrument.survey.pixel
    )
    wider *= instrument.largest  # not the sum of all faint sources
    wider *= np.float32(1 / instrument.smoothed_rms(_CLEAN_SCALE * instrument.survey.beam))
    np.maximum(seen, fft.irfft2(np.multiply(beamed, wider, out=beamed), s=shape), out=seen)
    seen /= rms
    share = np.clip(seen / np.float32(CLEAN_THRESHOLD) - 1, 0, 1, out=seen)
    model = fft.rfft2(sky * share)
    spectrum -= model
    spectrum *= instrument.dirty
    model *= instrument.clean
    spectrum += model
    image = fft.irfft2(spectrum, s=shape)
    image += draw_noise(instrument, rng) * rms
    for x, y, level in artefacts:
        _add_artefact(image, instrument.artefacts[int(rng.integers(len(_COHERENCE)))], x, y, level, rng)
    return np.ascontiguousarray(instrument.inner(image), dtype=np.float32)


def draw_noise(instrument: Instrument, rng: np.random.Generator) -> NDArray:
    """Return noise as the array correlates it, with an rms of one; shape (canvas, canvas), float32."""
    parts = rng.standard_normal((*instrument.noise.shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    return fft.irfft2(parts * instrument.noise * np.float32(np.sqrt(0.5)), s=(instrument.canvas,) * 2)


def draw_rms(instrument: Instrument, rng: np.random.Generator) -> NDArray:
    """Return a map of the noise's rms [Jy/beam], which varies smoothly over the field; shape (canvas, canvas).

    It rises with the distance from some pointing centre as it does in an image corrected for the primary beam, and has
    patches, as images do of which parts were calibrated better than others.
    """
    survey, rows = instrument.survey, 48
    level = np.exp(rng.uniform(*np.log(survey.rms)))
    y, x = np.mgrid[:rows, :rows] / (rows - 1) - 0.5
    east, north = rng.uniform(-0.4, 0.4, 2)
    far = np.hypot(x - east, y - north)
    patches = ndimage.gaussian_filter(rng.standard_normal((rows, rows)), 8, mode="reflect")
    shape = np.exp(rng.uniform(0, 0.8) * far**2 + 0.12 * patches / patches.std())
    shape *= level / np.median(shape)
    ends = (rows - 1) / (instrument.canvas - 1)
    return ndimage.affine_transform(
        shape.astype(np.float32), [ends, ends], output_shape=(instrument.canvas,) * 2, order=1, mode="nearest"
    )


def _coverage(survey: Survey, array: Array) -> tuple[NDArray, int]:
    """Return u, v, w [m at the survey's frequency] of shape (channels, times, baselines, 3), and how many times."""
    times = max(int(survey.hours * 3600 / _TIME_STEP), 1)
    hours = np.linspace(-0.5, 0.5, times) * survey.hours * np.pi / 12
    uvw = radio.uv_coverage(np.array(array.positions), array.latitude, hours, np.radians(survey.declination))
    channels = 1 + survey.bandwidth * np.linspace(-0.5, 0.5, _CHANNELS)
    return channels[:, None, None, None] * uvw, times


def _weights(uvw: NDArray, survey: Survey, frequency: float) -> NDArray:
    """Return imaging weights for which the main lobe of the dirty beam is the survey's beam."""
    length = np.hypot(uvw[..., 0], uvw[..., 1])
    natural = radio.briggs_weights(uvw, frequency, survey.side * survey.pixel * ARCSEC, survey.robust)
    natural = natural * (length >= survey.shortest)
    pixel = survey.beam * ARCSEC / 5
    # Half of this taper's width is what the beam would be with uniform weights everywhere.
    wanted, taper = survey.beam * ARCSEC, 0.5 * survey.beam * ARCSEC
    radii = (np.pi * length * frequency / radio.SPEED_OF_LIGHT) ** 2 / (4 * np.log(2))
    some = np.s_[:, ::4]  # of the times are enough to see how wide the beam is
    for _ in range(8):
        try:
            few = natural[some] * np.exp(-radii[some] * taper**2)
            found = radio.fit_beam(radio.dirty_beam(few, uvw[some], frequency, 64, pixel), pixel).size
        except ValueError as error:
            raise UserError(
                f"The array does not reach a beam of {survey.beam:g} arcsec at {survey.frequency:g} MHz: "
                "ask for a wider one."
            ) from error
        if abs(found / wanted - 1) < 0.02:
            break
        if found > wanted and taper == 0:
            break
        square = taper**2 + wanted**2 - found**2
        taper = float(np.sqrt(square)) if square > 0 else 0.0
    if found > 1.5 * wanted:
        raise UserError(
            f"The array reaches a beam of {found / ARCSEC:.0f} arcsec at {survey.frequency:g} MHz, not "
            f"{survey.beam:g}: ask for a wider one."
        )
    return natural * np.exp(-radii * taper**2)


def _transform(beam: NDArray) -> NDArray:
    return fft.rfft2(fft.ifftshift(beam)).real


def _power(amplitudes: NDArray, n: int) -> float:
    """Return the variance of an image of (n, n) whose half of the Fourier transform has these amplitudes."""
    square = amplitudes.astype(float) ** 2
    return float((2 * square.sum() - square[:, 0].sum() - square[:, -1].sum()) / n**4)


def _gaussian(n: int, fwhm: float) -> NDArray:
    """Return the Fourier transform of a round Gaussian of unit sum; `fwhm` in pixels, `n` even."""
    width = fwhm * radio.SIGMA_PER_FWHM
    across = np.exp(-2 * (np.pi * width * fft.fftfreq(n)) ** 2)
    return (across[:, None] * across[None, : n // 2 + 1]).astype(np.float32)


def _add_artefact(image: NDArray, pattern: NDArray, x: float, y: float, level: float, rng: np.random.Generator) -> None:
    """Add artefacts around a place, turned and mirrored at random, as far as the pattern reaches."""
    n, quarter = len(image), int(rng.integers(4))
    # The source is at n // 2; a mirrored axis of even length would put it at n // 2 - 1.
    pattern = pattern[1:, 1:]
    if rng.integers(2):
        pattern = pattern.T
    pattern = np.rot90(pattern, quarter)
    own, there = [], []
    for place in (y, x):
        shift = round(place) - (n // 2 - 1)
        low, high = max(shift, 0), min(shift + n - 1, n)
        if high <= low:
            return
        there.append(slice(low, high))
        own.append(slice(low - shift, high - shift))
    image[tuple(there)] += np.float32(level) * pattern[tuple(own)]

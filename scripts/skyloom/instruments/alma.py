"""ALMA: its site, bands and configurations, and observations drawn like those in its archive."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from . import interferometer as radio

LATITUDE = np.radians(-23.0229)  # of the array centre, ALMA Technical Handbook
DIAMETER = 12.0  # m
BANDWIDTH = 7.5e9  # Hz a polarisation, of a continuum observation
WHOLE = 520  # pixels, see `Setup.whole`
PB_LIMIT = 0.2  # images are blank where the primary beam is below; the pipeline's `pblimit`
CLEAN_THRESHOLD = 2.5  # thermal rms above which the clean algorithm takes emission into its model
ARCSEC = np.pi / 180 / 3600

_AMBIENT, _FORWARD = 270.0, 0.95  # K, fraction; Handbook section 9.2


@dataclass(frozen=True)
class Band:
    """A receiver band: range [GHz], receiver temperature [K], typical zenith opacity, aperture efficiency.

    Receiver temperatures: the specification over 80 % of each band; efficiencies: table 9.3 of the Technical Handbook
    (cycle 9). Opacities are ours, rounded, for the water vapour that the sensitivity calculator takes for the band.
    `dry` and `wet` [1/mm] are the zenith opacities without water and for each mm of it, in the middle of the band, by
    the ATM model (Pardo et al. 2001, doi:10.1109/8.982447) as CASA has it: 5000 m, 560 mbar, 270 K.
    """

    low: float
    high: float
    receiver: float
    opacity: float
    efficiency: float
    dry: float
    wet: float

    def opacity_of(self, water: float) -> float:
        """Return the opacity at the zenith through `water` mm of precipitable water vapour."""
        return self.dry + self.wet * water


BANDS = {
    3: Band(90.0, 110.0, 39.0, 0.05, 0.71, 0.0118, 0.0071),
    4: Band(130.0, 158.0, 51.0, 0.06, 0.70, 0.0084, 0.0169),
    6: Band(218.0, 250.0, 83.0, 0.08, 0.68, 0.0109, 0.0431),
    7: Band(330.0, 350.0, 147.0, 0.20, 0.63, 0.0177, 0.1466),
}


@dataclass(frozen=True)
class Setup:
    """What was asked of the telescope.

    Attributes
    ----------
    configuration, band : int
        Array configuration and receiver band.
    frequency : float
        Hz.
    declination : float
        Radians.
    time : float
        On source, in seconds.
    transit : float
        Hour angle of the middle of the observation, in radians.
    pixels_per_beam : float
        Sampling of the image.
    size : int
        Side of the image in pixels.
    whole : bool
        Whether the image shows the whole primary beam instead, where that takes at most `WHOLE` pixels.
    robust : float
        Of the weighting.
    """

    configuration: int
    band: int
    frequency: float
    declination: float
    time: float
    transit: float
    pixels_per_beam: float
    size: int
    whole: bool = False
    robust: float = 0.5


@dataclass(frozen=True)
class View:
    """An observation's geometry and sensitivity, without a sky.

    Attributes
    ----------
    setup : Setup
        What was asked.
    n : int
        Side of the image.
    pixel : float
        Radians.
    uvw, weights : array
        Of the visibilities, (n_times, n_baselines, 3) in metres and (n_times, n_baselines).
    beam : Beam
        Restoring beam.
    response : (n, n) float32 array
        Primary beam.
    visibility_rms, rms : float
        Thermal noise of a visibility [Jy] and of the image before its primary-beam correction [Jy/beam].
    """

    setup: Setup
    n: int
    pixel: float
    uvw: NDArray
    weights: NDArray
    beam: radio.Beam
    response: NDArray
    visibility_rms: float
    rms: float

    def smooth(self, sky: NDArray) -> NDArray:
        """Return a sky (n, n) [Jy/pixel] as a perfect image [Jy/beam], still attenuated by the primary beam."""
        return radio.restore(sky * self.response, self.beam, self.pixel)


def read_antennas(folder: str | Path, configuration: int) -> NDArray:
    """Return the antenna positions (n, 3) in metres, east, north, up, of a configuration of ALMA cycle 9.

    Raises
    ------
    UserError
        If the folder has no such table.
    """
    from astropy.table import Table

    path = Path(folder) / f"alma_cycle9_{configuration}.ecsv"
    if not path.is_file():
        raise UserError(f"{path}: no such antenna table; it comes with the project in resources/arrays.")
    table = Table.read(path, format="ascii.ecsv")
    return np.stack([table[axis] for axis in "xyz"], axis=1).astype(float)


def band_of(frequency: float) -> int:
    """Return the receiver band whose range is nearest to a frequency [GHz]."""
    return min(BANDS, key=lambda band: max(BANDS[band].low - frequency, frequency - BANDS[band].high, 0))


def system_temperature(
    band: int, elevation: float, opacity: float | None = None, receiver: float | None = None
) -> float:
    """Return the system temperature [K] (Technical Handbook, cycle 9, section 9.2).

    Parameters
    ----------
    band : int
        Receiver band.
    elevation : float
        Radians.
    opacity : float, optional
        At the zenith; that of the band where it is not given.
    receiver : float, optional
        Receiver temperature [K]; that of the band where it is not given.
    """
    properties = BANDS[band]
    opacity = properties.opacity if opacity is None else opacity
    receiver = properties.receiver if receiver is None else receiver
    transmission = np.exp(-opacity / np.sin(elevation))
    sky = _AMBIENT * (1 - transmission)
    return float((receiver + _FORWARD * sky + (1 - _FORWARD) * _AMBIENT) / (_FORWARD * transmission))


def draw_setup(
    rng: np.random.Generator, declination: float, smallest: int, largest: int, coarse: bool = False
) -> Setup:
    """Draw an observation.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the draw.
    declination : float
        Radians.
    smallest, largest : int
        Limits of the image's side in pixels.
    coarse : bool
        Whether the array is a compact one, with a beam above half an arcsecond.
    """
    if coarse:
        configuration, band = int(rng.choice([2, 3])), int(rng.choice([3, 4, 6]))
    else:
        configuration = int(rng.choice([4, 5, 6, 7, 8, 9], p=[0.35, 0.25, 0.18, 0.12, 0.07, 0.03]))
        band = int(rng.choice([6, 7], p=[0.55, 0.45]))
        if configuration == 4:  # its beam is small enough where the source is high and the frequency, too
            configuration, band = (4, 7) if np.radians(-50) < declination < np.radians(5) else (5, 7)
    kind = rng.random()
    if kind < 0.05:
        size = rng.uniform(smallest, max(smallest, 120))
    elif kind < 0.065:
        size = rng.uniform(min(1000, largest), largest)
    else:
        size = np.exp(rng.uniform(np.log(160), np.log(480)))
    return Setup(
        configuration=configuration,
        band=band,
        frequency=float(rng.uniform(BANDS[band].low, BANDS[band].high)) * 1e9,
        declination=declination,
        time=float(np.exp(rng.uniform(np.log(300), np.log(5400)))),
        transit=float(rng.uniform(-2, 2)) * np.pi / 12,
        pixels_per_beam=float(rng.uniform(3.0, 7.5)),
        size=_even(np.clip(size, smallest, largest)),
        whole=bool(kind > 0.3),
    )


def again(rng: np.random.Generator, first: Setup) -> Setup:
    """Return another observation like the first one, on another day, in an image that is a little wider."""
    return replace(
        first,
        time=first.time * float(rng.uniform(1, 1.5)),
        transit=first.transit + float(rng.uniform(-0.5, 0.5)) * np.pi / 12,
        size=_even(1.1 * first.size),
    )


def view(setup: Setup, antennas: NDArray) -> View:
    """Return the geometry and sensitivity of an observation; `antennas` are the positions (n, 3) in metres."""
    wavelength = radio.SPEED_OF_LIGHT / setup.frequency
    n_times = 15 if setup.size <= 600 else 40  # more sky needs a finer coverage to keep its noise random
    track = 1.4 * setup.time * 2 * np.pi / 86164  # with the calibrators in between
    hours = setup.transit + track * (np.arange(n_times) / (n_times - 1) - 0.5)
    uvw = radio.uv_coverage(antennas, LATITUDE, hours, setup.declination)
    lengths = np.hypot(uvw[..., 0], uvw[..., 1]).ravel()
    fine = 0.574 * wavelength / np.percentile(lengths, 80) / 8  # Handbook eq. 7.4 gives the beam's rough size
    coarse_field = 0.5 * wavelength / DIAMETER

    def beam_of(weights):
        return radio.fit_beam(radio.dirty_beam(weights, uvw, setup.frequency, 64, fine), fine)

    beam = beam_of(radio.briggs_weights(uvw, setup.frequency, coarse_field, setup.robust))
    pixel = _round(beam.size / setup.pixels_per_beam / ARCSEC) * ARCSEC
    n = _even(2.1 * primary_beam_radius(PB_LIMIT, setup.frequency) / pixel)
    if not setup.whole or n > WHOLE:
        n = setup.size
    weights = radio.briggs_weights(uvw, setup.frequency, n * pixel, setup.robust)
    elevation = np.arcsin(
        np.sin(LATITUDE) * np.sin(setup.declination) + np.cos(LATITUDE) * np.cos(setup.declination) * np.cos(hours)
    )
    visibility_rms = radio.visibility_noise(
        system_temperature(setup.band, float(np.mean(elevation))),
        DIAMETER,
        BANDS[setup.band].efficiency,
        BANDWIDTH,
        setup.time / n_times,
    )
    axis = (np.arange(n) - n // 2) * pixel
    response = radio.primary_beam(np.hypot(axis[:, None], axis[None, :]), setup.frequency, DIAMETER)
    return View(
        setup=replace(setup, size=n, whole=False),
        n=n,
        pixel=pixel,
        uvw=uvw,
        weights=weights,
        beam=beam_of(weights),
        response=response.astype(np.float32),
        visibility_rms=visibility_rms,
        rms=radio.image_noise(visibility_rms, weights),
    )


def primary_beam_radius(response: float, frequency: float) -> float:
    """Return the angle [rad] from the pointing centre at which the primary beam has fallen to `response`."""
    return radio.primary_beam_radius(response, frequency, DIAMETER)


def observe(sky: NDArray, view: View, rng: np.random.Generator, residual: float = 0.0) -> NDArray:
    """Observe a sky and return the cleaned, primary-beam corrected image.

    The visibilities carry thermal noise and errors of calibration. Where the dirty image stands out of the noise the
    sky goes into the clean model, which is restored by the Gaussian beam; the rest keeps the dirty beam, without the
    spacings that the array does not measure.

    Parameters
    ----------
    sky : (n, n) array
        Jy/pixel.
    view : View
        The observation.
    rng : numpy.random.Generator
        Of the noise.
    residual : float
        rms of the artefacts left by calibration errors in the image, in units of the thermal rms.

    Returns
    -------
    (n, n) float32 array
        Jy/beam; NaN where the primary beam is below `PB_LIMIT`.
    """
    frequency, pixel, n = view.setup.frequency, view.pixel, view.n
    apparent = (sky * view.response).astype(np.float32)
    true = radio.predict(apparent, view.uvw, frequency, pixel)
    noise = radio.draw_noise(true.shape, view.visibility_rms, rng)
    dirty = radio.dirty_image(true + noise, view.weights, view.uvw, frequency, n, pixel)
    if residual > 0:
        n_times, n_baselines = true.shape
        n_antennas = round((1 + np.sqrt(1 + 8 * n_baselines)) / 2)
        errors = true * radio.draw_gain_errors(n_antennas, n_times, int(rng.choice([3, 5, n_times])), rng)
        artefacts = radio.dirty_image(errors, view.weights, view.uvw, frequency, n, pixel)
        spread = np.std(artefacts)
        if spread > 0:
            dirty += artefacts * np.float32(residual * view.rms / spread)
    model = np.where(dirty > CLEAN_THRESHOLD * view.rms, apparent, 0)
    cleaned = radio.dirty_image(
        radio.predict(model, view.uvw, frequency, pixel), view.weights, view.uvw, frequency, n, pixel
    )
    image = dirty - cleaned + radio.restore(model, view.beam, pixel)
    return np.where(view.response >= PB_LIMIT, image / view.response, np.nan).astype(np.float32)


def _even(size: float) -> int:
    return 2 * int(np.ceil(size / 2))


def _round(value: float) -> float:
    """Round to two digits, as a person does who chooses a pixel size."""
    return float(f"{value:.2g}")

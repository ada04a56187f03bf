"""Read counts of the Fermi-LAT as patches of the sky that can be searched, or say in one sentence why not."""

import gzip
import hashlib
import io
import math
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.io.fits.verify import VerifyError
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS

from . import sky_blocks
from .fits import UnusableImage
from .patches import Patch

NSIDE = 8
"""Resolution of the HEALPix grid whose centres are those of the patches, as in the simulations."""
CORE = 9.2
"""Width of the middle of a patch that holds what is told of it [deg]; the rest is seen by its neighbours, too."""
EDGE = 1.0
"""What is nearer to sky that was not observed is at the edge [deg]."""
OWN = "SKYLOOM"
"""Keyword of a file that a simulated archive made; its value says what the file holds."""
INDEX = 2.2
"""Photon index for which the exposure of a band is told."""

_BROKEN = (OSError, TypeError, ValueError, VerifyError, KeyError, IndexError, EOFError, zlib.error)
_GZIP = b"\x1f\x8b"
_SAME = 0.02
"""Edges of energies that differ by less than this share are the same."""
_KEPT = 0.5
"""Share of a patch's core that must be observed."""
_ALL_SKY = 0.98
_MOST = 3
"""A field of no more patches than this along either axis has its own; others are seen at the centres of the grid."""
_FINE = 0.5
"""Pixels of a file larger than this many of a patch are spread over it, smaller ones count where their centre is."""
_YEAR = 365.25 * 86400
_GAP = 2 * 86400.0
"""Longer pauses between good time intervals [s] are no part of the survey."""
_SOURCE = 7
"""Bit of the event class SOURCE (P8R3) in EVENT_CLASS, counted from the last."""
_TYPES = {"PSF0": 2, "PSF1": 3, "PSF2": 4, "PSF3": 5, "FRONT": 0, "BACK": 1}
"""Bits of the event types in EVENT_TYPE, counted from the last."""
_ZENITH = ((1.0, 90.0), (math.inf, 105.0))
"""Largest zenith angle [deg] of photons below an energy [GeV], as the LAT team recommends against the Earth's limb."""
_UNSEEN = -1.6375e30
"""What HEALPix maps have where there is no value."""
_ORDER = 7
"""Order of the cells of a HEALPix grid in which an area is told."""
_CYLINDERS = ("CAR", "MER", "CEA")
"""Projections in which a turn of the longitude is a shift."""
_BEYOND = 2.5
"""Factor of energies beyond which an exposure is not taken for that of the first or last energy it is told for."""
_FRAMES = {"G": "galactic", "GAL": "galactic", "GALACTIC": "galactic", **dict.fromkeys(("C", "CEL", "EQU"), "icrs")}
_FRAMES |= dict.fromkeys(("ICRS", "FK5", "EQUATORIAL"), "icrs")


@dataclass(frozen=True)
class Wanted:
    """What the networks know of an observation.

    Attributes
    ----------
    bands : tuple of tuple of float
        Lowest and highest energy of each [GeV].
    sides : tuple of int
        Pixels along a patch in each.
    width : float
        Of a patch [deg].
    event_type : str
        Of `skyloom.instruments.lat.read_response`.
    years : float
        Of the survey, if neither a file's exposure nor its times are told.
    exposure : str or None
        A file with the exposure, such as gtexpcube2's.
    resources : str
        Folder of the response.
    """

    bands: tuple[tuple[float, float], ...]
    sides: tuple[int, ...]
    width: float = 12.8
    event_type: str = "FB"
    years: float = 10.0
    exposure: str | None = None
    resources: str = "resources"


@dataclass(frozen=True, eq=False)
class Piece:
    """A patch of a file, and which part of the sky it tells of.

    Attributes
    ----------
    patch : Patch
    number : int
        Of the patch among those of the file, from 0.
    source : LatFile
        The file that it is of.
    """

    patch: Patch
    number: int
    source: "LatFile"

    def belongs(self, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        """Return whether directions [deg, Galactic] were observed and have this patch's centre nearest of all."""
        nearest = np.argmax(sky_blocks.vectors(lon, lat) @ self.source.units.T, axis=-1)
        return (nearest == self.number) & self.source.covered(lon, lat)

    def edge(self, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        """Return whether directions [deg, Galactic] are within `EDGE` of what was not observed, or of the patch's end.

        The middle of a patch is `CORE` wide; beyond it a source counts as one at the edge only where less than `EDGE`
        of the patch is left.
        """
        near = np.zeros(np.shape(lon), bool)
        for turn in np.arange(8) * math.pi / 4:
            away = EDGE * math.cos(turn), EDGE * math.sin(turn)
            east, north = sky_blocks.offsets(lon, lat, (self.patch.lon, self.patch.lat))
            at = sky_blocks.sky_of(east + away[0], north + away[1], (self.patch.lon, self.patch.lat))
            outside = np.maximum(np.abs(east + away[0]), np.abs(north + away[1])) > self.patch.width / 2
            near |= outside | ~self.source.covered(*at)
        return near


@dataclass(eq=False)
class LatFile:
    """The counts in a file.

    Attributes
    ----------
    content : _Cube, _Healpix, _Events or _Own
    wanted : Wanted
    years : float
        Of the survey, by the file's times; NaN if it does not tell.
    data_sha256 : str
        Hash of counts and energies.
    """

    content: "_Cube | _Healpix | _Events | _Own"
    wanted: Wanted
    years: float
    data_sha256: str
    centres: list[tuple[float, float]] = field(init=False)
    units: np.ndarray = field(init=False)
    _exposure: "_Cube | _Healpix | None" = None

    def __post_init__(self):
        """Divide the observed sky into patches."""
        own = isinstance(self.content, _Own)
        self.centres = [self.content.centre] if own else _centres(self.covered, self.wanted.width)
        self.units = sky_blocks.vectors(*np.array(self.centres).T)
        if self.wanted.exposure:
            self._exposure = _read_exposure(self.wanted.exposure)

    def covered(self, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        """Return whether directions [deg, Galactic] were observed."""
        return self.content.covered(np.asarray(lon, float), np.asarray(lat, float))

    @property
    def events(self) -> int:
        """Photons in the bands."""
        return int(self.content.total)

    @property
    def measured_exposure(self) -> bool:
        """Whether the exposure is that of a file."""
        return self._exposure is not None or self.content.exposure is not None

    def pieces(self) -> Iterator[Piece]:
        """Yield the patches, one in memory at a time."""
        for number, (lon, lat) in enumerate(self.centres):
            counts = tuple(
                self.content.image(band, lon, lat, self.wanted.width, side)
                for band, side in enumerate(self.wanted.sides)
            )
            patch = Patch(
                counts=counts,
                exposure=self.exposure(lon, lat),
                lon=lon,
                lat=lat,
                width=self.wanted.width,
                bands=self.wanted.bands,
            )
            yield Piece(patch, number, self)

    def exposure(self, lon: float, lat: float) -> np.ndarray:
        """Return the mean exposure of a patch in each band [cm2 s], of a file if there is one, else of the response."""
        step = np.linspace(-0.4, 0.4, 5) * self.wanted.width
        east, north = (axis.ravel() for axis in np.meshgrid(step, step))
        lons, lats = sky_blocks.sky_of(east, north, (lon, lat))
        inside = self.covered(lons, lats)
        lons, lats = (lons[inside], lats[inside]) if inside.any() else (np.array([lon]), np.array([lat]))
        told = self._exposure if self._exposure is not None else self.content.exposure
        if told is not None:
            result = np.array([told.mean(lons, lats, *band) for band in self.wanted.bands])
            if not (np.all(np.isfinite(result)) and np.all(result > 0)):
                raise UnusableImage(f"The exposure is not known at longitude {lon:.1f}, latitude {lat:.1f} deg.")
            return result
        response = self._response
        years = self.years if math.isfinite(self.years) else self.wanted.years
        dec = sky_blocks.equatorial(lons, lats)[1]
        return np.array([float(np.mean(response.exposure(dec, *band, years, INDEX))) for band in self.wanted.bands])

    @cached_property
    def _response(self):
        from ..instruments import lat as instrument

        return instrument.read_response(self.wanted.resources, self.wanted.event_type)

    def disc(self) -> tuple[float, float, float]:
        """Return centre [deg, ICRS] and radius [deg] of a disc with the area and the middle of what was observed."""
        lons, lats = _points(64)
        inside = self.covered(lons, lats)
        if not inside.any():
            ra, dec = sky_blocks.equatorial(*(np.array(value) for value in self.centres[0]))
            return float(ra), float(dec), self.wanted.width / 2
        middle = sky_blocks.vectors(lons[inside], lats[inside]).mean(axis=0)
        ra, dec = sky_blocks.equatorial(*sky_blocks.directions(middle))
        return float(ra), float(dec), math.degrees(math.acos(1 - 2 * float(inside.mean())))

    def area(self) -> str:
        """Return what was observed as a MOC in ASCII (IVOA MOC 2.0), of cells of half a degree."""
        from astropy_healpix import HEALPix

        lon, lat = HEALPix(2**_ORDER, order="nested").healpix_to_lonlat(np.arange(12 * 4**_ORDER))
        cells = np.flatnonzero(self.covered(*sky_blocks.galactic(lon.deg, lat.deg)))
        orders = []
        for order in range(_ORDER, -1, -1):
            # Four cells that have one parent are the parent.
            parents, counts = np.unique(cells // 4, return_counts=True)
            full = parents[counts == 4] if order else cells[:0]
            single = cells[~np.isin(cells // 4, full)]
            if len(single):
                runs = np.split(single, np.flatnonzero(np.diff(single) > 1) + 1)
                orders.append(
                    f"{order}/" + " ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
                )
            cells = full
        return " ".join(reversed(orders))


def read_file(path: str | Path, wanted: Wanted) -> LatFile:
    """Return the counts in a file, which may be packed with gzip.

    It may hold a counts cube (gtbin's, gammapy's), a HEALPix map of counts with one or more energies, a list of events
    (FT1), or what the simulated archive has.

    Parameters
    ----------
    path : path
    wanted : Wanted

    Raises
    ------
    UnusableImage
        If the file is no FITS or is broken or empty, holds none of these, or not the energies that are wanted.
    """
    content = Path(path).read_bytes()
    if not content:
        raise UnusableImage("The file is empty.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            content = gzip.decompress(content) if content.startswith(_GZIP) else content
            with fits.open(io.BytesIO(content)) as hdus:
                counts = _read_counts(hdus, wanted)
                years = _years(hdus)
        except _BROKEN as error:
            raise UnusableImage("The file is broken or truncated: it cannot be read as FITS.") from error
    return LatFile(counts, wanted, years, counts.digest())


def read_patches(path: str | Path, wanted: Wanted) -> Iterator[Piece]:
    """Yield the patches of a file, one in memory at a time; see `read_file`."""
    yield from read_file(path, wanted).pieces()


def _read_counts(hdus: fits.HDUList, wanted: Wanted):
    if OWN in hdus[0].header:
        return _Own.read(hdus, wanted)
    for hdu in hdus:
        if hdu.name == "EVENTS" and isinstance(hdu, fits.BinTableHDU):
            return _Events.read(hdu, wanted)
    healpix = [hdu for hdu in hdus if _is_healpix(hdu) and "EXPOSURE" not in hdu.name]
    if healpix:
        return _Healpix.counts(hdus, healpix[0], wanted)
    images = [hdu for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS", 0) >= 2 and "EXPOSURE" not in hdu.name]
    named = [hdu for hdu in images if hdu.name.endswith("COUNTS")]
    if images:
        return _Cube.counts(hdus, (named or images)[0], wanted)
    raise UnusableImage("The file holds no counts: neither events, nor a cube, nor a HEALPix map.")


@dataclass(eq=False)
class _Cube:
    """Images on a plane, one a band (counts) or one an energy (exposure)."""

    data: np.ndarray
    wcs: WCS
    energies: np.ndarray
    exposure: "_Cube | _Healpix | None" = None

    def __post_init__(self):
        self.wcs.wcs.set()
        self._equatorial = not self.wcs.wcs.ctype[0].startswith("GLON")
        rows, columns = self.data.shape[1:]
        y, x = (axis.ravel() for axis in np.mgrid[:rows, :columns])
        self._on_sky = self._sky(x, y)
        self._units = sky_blocks.vectors(*self._on_sky).astype(np.float32)
        self._pixel = float(np.sqrt(np.prod(np.abs(self.wcs.pixel_scale_matrix.diagonal()))))
        if not self._pixel > 0:
            self._pixel = float(np.sqrt(abs(np.linalg.det(self.wcs.pixel_scale_matrix))))

    @classmethod
    def counts(cls, hdus: fits.HDUList, hdu, wanted: Wanted) -> "_Cube":
        data, wcs = _image_of(hdu)
        edges = _edges(hdus, hdu, len(data))
        result = cls(_banded(_whole(data), edges, wanted.bands), wcs, np.array(wanted.bands))
        result.exposure = _exposure_within(hdus)
        return result

    @property
    def total(self) -> float:
        return float(self.data.sum())

    def digest(self) -> str:
        return _hash(self.data, self.energies)

    def covered(self, lon, lat) -> np.ndarray:
        x, y = self._pixels(lon, lat)
        rows, columns = self.data.shape[1:]
        return (x >= -0.5) & (x < columns - 0.5) & (y >= -0.5) & (y < rows - 0.5)

    def image(self, band: int, lon: float, lat: float, width: float, side: int) -> np.ndarray:
        """Return the counts in the pixels of a patch."""
        layer = self.data[band].ravel()
        reach = math.cos(math.radians(min(0.75 * width + 2 * self._pixel, 80)))
        near = np.flatnonzero((self._units @ sky_blocks.vectors(lon, lat).astype(np.float32) > reach) & (layer > 0))
        if self._pixel <= _FINE * width / side:
            at = self._on_sky[0][near], self._on_sky[1][near]
            return sky_blocks.counted(*sky_blocks.pixels_of(*at, (lon, lat), width, side), side, layer[near])
        # A pixel of the file is spread over some four points a pixel of the patch, along each axis.
        many = math.ceil(4 * self._pixel * side / width)
        step = (np.arange(many) + 0.5) / many - 0.5
        columns = self.data.shape[2]
        dy, dx = (axis.ravel() for axis in np.meshgrid(step, step, indexing="ij"))
        at = self._sky((near % columns)[:, None] + dx, (near // columns)[:, None] + dy)
        weights = np.repeat(layer[near] / many**2, many**2)
        x, y = sky_blocks.pixels_of(at[0].ravel(), at[1].ravel(), (lon, lat), width, side)
        inside = np.isfinite(x)
        return sky_blocks.counted(x[inside], y[inside], side, weights[inside])

    def mean(self, lon, lat, lowest: float, highest: float) -> float:
        x, y = self._pixels(lon, lat)
        rows, columns = self.data.shape[1:]
        inside = self.covered(lon, lat)
        if not inside.any():
            return math.nan
        # Maps of the exposure may be a little smaller than those of the counts: where it is told stands for the rest.
        x, y = (np.floor(values[inside] + 0.5).astype(int) for values in (x, y))
        return _band_mean(self.energies, self.data[:, y, x].mean(axis=1), lowest, highest)

    def _sky(self, x, y) -> tuple[np.ndarray, np.ndarray]:
        lon, lat = self.wcs.wcs_pix2world(np.ravel(x), np.ravel(y), 0)
        lon, lat = sky_blocks.galactic(lon, lat) if self._equatorial else (lon, lat)
        return lon.reshape(np.shape(x)), lat.reshape(np.shape(x))

    def _pixels(self, lon, lat) -> tuple[np.ndarray, np.ndarray]:
        shape = np.shape(lon)
        lon, lat = (sky_blocks.equatorial if self._equatorial else (lambda *at: at))(np.ravel(lon), np.ravel(lat))
        x, y = self.wcs.wcs_world2pix(lon, lat, 0)
        if self.wcs.wcs.ctype[0].endswith(_CYLINDERS):
            # wcslib may answer with a pixel that is a whole turn away.
            turn, columns = 360 / abs(self.wcs.wcs.cdelt[0]), self.data.shape[2]
            x = np.where(x < -0.5, x + turn, np.where(x >= columns - 0.5, x - turn, x))
        with np.errstate(invalid="ignore"):
            back = self.wcs.wcs_pix2world(x, y, 0)
            away = np.abs((back[0] - lon + 180) % 360 - 180) * np.cos(np.radians(lat)) + np.abs(back[1] - lat)
            x = np.where(away < 0.01, x, np.nan)
        return x.reshape(shape), y.reshape(shape)


@dataclass(eq=False)
class _Healpix:
    """HEALPix maps, one a band (counts) or one an energy (exposure); NaN where not observed."""

    data: np.ndarray
    nside: int
    nested: bool
    frame: str
    energies: np.ndarray
    exposure: "_Cube | _Healpix | None" = None
    _last: tuple | None = None

    @classmethod
    def counts(cls, hdus: fits.HDUList, hdu, wanted: Wanted) -> "_Healpix":
        data, nside, nested, frame = _healpix_of(hdu)
        edges = _edges(hdus, hdu, len(data))
        seen = np.isfinite(data).all(axis=0)
        banded = _banded(_whole(np.where(seen, data, 0)), edges, wanted.bands)
        result = cls(np.where(seen, banded, np.nan).astype(np.float32), nside, nested, frame, np.array(wanted.bands))
        result.exposure = _exposure_within(hdus)
        return result

    @property
    def total(self) -> float:
        return float(np.nansum(self.data, dtype=float))

    def digest(self) -> str:
        return _hash(np.nan_to_num(self.data, nan=-1), self.energies)

    def covered(self, lon, lat) -> np.ndarray:
        return np.isfinite(self.data[0])[self._numbers(lon, lat)]

    def image(self, band: int, lon: float, lat: float, width: float, side: int) -> np.ndarray:
        """Return the counts in the pixels of a patch, each HEALPix pixel's spread over those that it covers."""
        key = lon, lat, width, side
        if self._last is None or self._last[0] != key:
            self._last = key, sky_blocks.Blocks(lon, lat, width, side, self.nside, self.nested, self.frame)
        blocks = self._last[1]
        return blocks.spread(np.nan_to_num(self.data[band][blocks.numbers]))

    def mean(self, lon, lat, lowest: float, highest: float) -> float:
        values = self.data[:, self._numbers(lon, lat)]
        values = values[:, np.isfinite(values).all(axis=0)]
        return _band_mean(self.energies, values.mean(axis=1), lowest, highest) if values.size else math.nan

    def _numbers(self, lon, lat) -> np.ndarray:
        from astropy_healpix import HEALPix

        shape = np.shape(lon)
        lon, lat = np.ravel(lon), np.ravel(lat)
        if self.frame == "icrs":
            lon, lat = sky_blocks.equatorial(lon, lat)
        order = "nested" if self.nested else "ring"
        return HEALPix(self.nside, order=order).lonlat_to_healpix(lon * u.deg, lat * u.deg).reshape(shape)


@dataclass(eq=False)
class _Events:
    """A list of events: their Galactic directions by band, and the circle that they were selected in."""

    lons: list[np.ndarray]
    lats: list[np.ndarray]
    circle: tuple[float, float, float]
    exposure: None = None

    @classmethod
    def read(cls, hdu: fits.BinTableHDU, wanted: Wanted) -> "_Events":
        names = {name.upper(): name for name in hdu.columns.names}
        if "ENERGY" not in names or not ({"L", "B"} <= set(names) or {"RA", "DEC"} <= set(names)):
            raise UnusableImage("The table of events lacks ENERGY, or L and B or RA and DEC.")

        def column(name: str) -> np.ndarray:
            return np.asarray(hdu.data[names[name]], float)

        unit = hdu.columns[names["ENERGY"]].unit or "MeV"
        energy = column("ENERGY") * u.Unit(unit).to("GeV")
        ends = _dss(hdu.header, "ENERGY")
        limits = [float(end) * u.Unit(ends[1]).to("GeV") for end in ends[0].split(":")] if ends else [0, math.inf]
        short = [
            band for band in wanted.bands if band[0] < limits[0] * (1 - _SAME) or band[1] > limits[1] * (1 + _SAME)
        ]
        if short:
            raise UnusableImage(
                f"The events have {limits[0]:.4g} to {limits[1]:.4g} GeV, and {short[0][0]:.4g} to {short[0][1]:.4g} "
                "GeV is wanted."
            )
        if {"L", "B"} <= set(names):
            lon, lat = column("L"), column("B")
        else:
            lon, lat = sky_blocks.galactic(column("RA"), column("DEC"))
        good = np.isfinite(lon) & (np.abs(lat) <= 90) & (energy > 0)
        if "EVENT_CLASS" in names:
            good &= _bit(hdu.data[names["EVENT_CLASS"]], _SOURCE)
        if "EVENT_TYPE" in names and wanted.event_type in _TYPES:
            good &= _bit(hdu.data[names["EVENT_TYPE"]], _TYPES[wanted.event_type])
        if "ZENITH_ANGLE" in names:
            zenith = column("ZENITH_ANGLE")
            good &= zenith < np.select([energy < end for end, _ in _ZENITH], [angle for _, angle in _ZENITH])
        circle = _circle(hdu.header)
        if circle is None:
            circle = _extent(lon[good], lat[good])
        which = [good & (energy >= lowest) & (energy < highest) for lowest, highest in wanted.bands]
        if not any(chosen.any() for chosen in which):
            raise UnusableImage("The list holds no event in the bands that are wanted.")
        return cls([lon[chosen] for chosen in which], [lat[chosen] for chosen in which], circle)

    @property
    def total(self) -> float:
        return sum(map(len, self.lons))

    def digest(self) -> str:
        return _hash(*(np.stack(both) for both in zip(self.lons, self.lats, strict=True)))

    def covered(self, lon, lat) -> np.ndarray:
        lon0, lat0, radius = self.circle
        return sky_blocks.vectors(lon, lat) @ sky_blocks.vectors(lon0, lat0) >= math.cos(math.radians(radius)) - 1e-12

    def image(self, band: int, lon: float, lat: float, width: float, side: int) -> np.ndarray:
        """Return the counts in the pixels of a patch."""
        x, y = sky_blocks.pixels_of(self.lons[band], self.lats[band], (lon, lat), width, side)
        good = np.isfinite(x) & np.isfinite(y)
        return sky_blocks.counted(x[good], y[good], side)


@dataclass(eq=False)
class _Own:
    """A patch of the simulated archive, with its images as they are."""

    images: list[np.ndarray]
    centre: tuple[float, float]
    width: float
    exposure: "_Told"

    @classmethod
    def read(cls, hdus: fits.HDUList, wanted: Wanted) -> "_Own":
        header = hdus[0].header
        found = {}
        for hdu in hdus:
            if hdu.is_image and hdu.name.startswith("COUNTS"):
                found[(float(hdu.header["E_MIN"]), float(hdu.header["E_MAX"]))] = hdu
        images, exposures = [], []
        for (lowest, highest), side in zip(wanted.bands, wanted.sides, strict=True):
            ends = next((ends for ends in found if np.allclose(ends, (lowest, highest), rtol=_SAME)), None)
            if ends is None:
                raise UnusableImage(f"The file has no counts from {lowest:.4g} to {highest:.4g} GeV.")
            hdu = found[ends]
            if hdu.data.shape[-2:] != (side, side) or not np.isclose(float(header["PWIDTH"]), wanted.width):
                raise UnusableImage(
                    f"The counts from {lowest:.4g} GeV are not {side} x {side} over {wanted.width:.4g} deg."
                )
            images.append(np.asarray(hdu.data, np.float32).reshape(side, side))
            exposures.append(float(hdu.header["EXPOSURE"]))
        centre = float(header["PLON"]), float(header["PLAT"])
        return cls(images, centre, wanted.width, _Told(wanted.bands, exposures))

    @property
    def total(self) -> float:
        return float(sum(image.sum(dtype=float) for image in self.images))

    def digest(self) -> str:
        return _hash(*self.images)

    def covered(self, lon, lat) -> np.ndarray:
        east, north = sky_blocks.offsets(lon, lat, self.centre)
        return np.nan_to_num(np.maximum(np.abs(east), np.abs(north)), nan=np.inf) <= self.width / 2

    def image(self, band: int, lon: float, lat: float, width: float, side: int) -> np.ndarray:
        return self.images[band]


@dataclass(frozen=True)
class _Told:
    """Exposures of bands that are told as such."""

    bands: tuple
    values: list[float]

    def mean(self, lon, lat, lowest: float, highest: float) -> float:
        return self.values[list(self.bands).index((lowest, highest))]


def _hash(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}".encode())
        digest.update(np.ascontiguousarray(array, "<f4").tobytes())
    return digest.hexdigest()


def _whole(data: np.ndarray) -> np.ndarray:
    if not np.all(np.isfinite(data)) or np.any(data < 0) or np.any(data != np.round(data)):
        raise UnusableImage("The file holds no counts: not all of its values are whole numbers from zero.")
    return data


def _image_of(hdu) -> tuple[np.ndarray, WCS]:
    """Return the images (layers, rows, columns) of an HDU and their celestial coordinates."""
    wcs = WCS(hdu.header).celestial
    if wcs.naxis != 2 or not wcs.wcs.ctype[0].startswith(("GLON", "RA--")):
        raise UnusableImage("The image does not lie in Galactic or equatorial coordinates.")
    data = np.asarray(hdu.data, dtype=float)
    return data.reshape(-1, *data.shape[-2:]), wcs


def _is_healpix(hdu) -> bool:
    return isinstance(hdu, fits.BinTableHDU) and str(hdu.header.get("PIXTYPE", "")).strip().upper() == "HEALPIX"


def _healpix_of(hdu: fits.BinTableHDU) -> tuple[np.ndarray, int, bool, str]:
    """Return the maps (layers, pixels) of a HEALPix table, NaN where not observed, its nside, ordering and frame."""
    header = hdu.header
    nside = int(header["NSIDE"])
    ordering = str(header.get("ORDERING", "RING")).strip().upper()
    if ordering not in ("RING", "NESTED", "NEST") or nside < 1 or nside > 4096:
        raise UnusableImage(f"The HEALPix map has ordering {ordering} and nside {nside}, which cannot be read.")
    frame = str(header.get("COORDSYS", "GAL")).strip().upper()
    if frame not in _FRAMES:
        raise UnusableImage(f"The HEALPix map's COORDSYS is {frame}, neither GAL nor CEL.")
    names = [
        name for name in hdu.columns.names if name.upper() not in ("PIX", "PIXEL", "HPX_INDEX", "CHANNEL", "SKYLOOM")
    ]
    columns = [np.asarray(hdu.data[name], float) for name in names]
    explicit = next((name for name in hdu.columns.names if name.upper() in ("PIX", "PIXEL", "HPX_INDEX")), None)
    count = 12 * nside**2
    if explicit is None:
        # One column an energy (gtbin), or one with all energies of a pixel, or rows of many pixels each.
        stacked = [
            column.T if column.ndim == 2 and len(column) == count else column.reshape(1, -1) for column in columns
        ]
        data = np.concatenate(stacked)
        if data.shape[1] != count:
            raise UnusableImage(f"The HEALPix map has {data.shape[1]} pixels, and nside {nside} means {count}.")
    else:
        pixels = np.asarray(hdu.data[explicit], np.int64).ravel()
        if pixels.size and (pixels.min() < 0 or pixels.max() >= count):
            raise UnusableImage(f"The HEALPix map has numbers of pixels beyond those of nside {nside}.")
        stacked = [column.T if column.ndim == 2 else column[None] for column in columns]
        data = np.full((sum(map(len, stacked)), count), np.nan)
        data[:, pixels] = np.concatenate(stacked)
    data[data == _UNSEEN] = np.nan
    return data, nside, ordering != "RING", _FRAMES[frame]


def _edges(hdus: fits.HDUList, hdu, layers: int) -> np.ndarray:
    """Return the edges of the energies of each layer [GeV], shape (layers, 2)."""
    told = str(hdu.header.get("BANDSHDU", "")).strip()
    for name in (told, f"{hdu.name}_BANDS", "EBOUNDS", "BANDS"):
        if name and name in hdus:
            table = hdus[name]
            columns = {column.upper(): column for column in table.columns.names}
            if not {"E_MIN", "E_MAX"} <= set(columns):
                continue
            ends = []
            for key in ("E_MIN", "E_MAX"):
                # OGIP's energies are in keV where a table does not tell.
                unit = table.columns[columns[key]].unit or "keV"
                ends.append(np.asarray(table.data[columns[key]], float) * u.Unit(unit).to("GeV"))
            edges = np.stack(ends, axis=1)
            if len(edges) != layers:
                raise UnusableImage(f"The file has {layers} images, but the energies of {len(edges)}.")
            return edges
    ends = _dss(hdu.header, "ENERGY")
    if layers == 1 and ends is not None:
        return np.array([[float(end) for end in ends[0].split(":")]]) * u.Unit(ends[1]).to("GeV")
    raise UnusableImage("The file does not tell the energies of its counts (a table EBOUNDS).")


def _banded(data: np.ndarray, edges: np.ndarray, bands: tuple) -> np.ndarray:
    """Return the sums of layers over bands, float32."""
    layers = []
    for lowest, highest in bands:
        first = [number for number, edge in enumerate(edges[:, 0]) if math.isclose(edge, lowest, rel_tol=_SAME)]
        last = [number for number, edge in enumerate(edges[:, 1]) if math.isclose(edge, highest, rel_tol=_SAME)]
        if not first or not last or last[0] < first[0]:
            ends = [*edges[:, 0], edges[-1, 1]]
            given = ", ".join(f"{end:.4g}" for end in ends[:12]) + (" and more" if len(ends) > 12 else "")
            raise UnusableImage(
                f"Its energies are divided at {given} GeV, which cannot give the band from {lowest:.4g} to "
                f"{highest:.4g} GeV that the networks are trained on."
            )
        layers.append(data[first[0] : last[0] + 1].sum(axis=0))
    return np.stack(layers).astype(np.float32)


def _exposure_within(hdus: fits.HDUList) -> "_Cube | _Healpix | None":
    hdu = next((hdu for hdu in hdus if hdu.name == "EXPOSURE" and hdu.data is not None), None)
    return None if hdu is None else _exposure_of(hdus, hdu)


def _read_exposure(path: str | Path) -> "_Cube | _Healpix":
    """Return the exposure in a file of gtexpcube2 or gammapy.

    Raises
    ------
    UnusableImage
        If there is none.
    """
    name = Path(path).name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            with fits.open(path, memmap=False) as hdus:
                images = [hdu for hdu in hdus if _is_healpix(hdu) or (hdu.is_image and hdu.header.get("NAXIS", 0) >= 2)]
                named = [hdu for hdu in images if "EXPOSURE" in hdu.name]
                if not images:
                    raise UnusableImage(f"The file of the exposure, {name}, holds no image.")
                return _exposure_of(hdus, (named or images)[0])
        except _BROKEN as error:
            raise UnusableImage(f"The file of the exposure, {name}, cannot be read as FITS.") from error


def _exposure_of(hdus: fits.HDUList, hdu) -> "_Cube | _Healpix":
    unit = str(hdu.header.get("BUNIT", hdu.header.get("UNIT", "")) or "").strip() or "cm2 s"
    try:
        factor = u.Unit(unit).to("cm2 s")
    except (ValueError, TypeError, u.UnitsError):
        factor = 1.0
    if _is_healpix(hdu):
        data, nside, nested, frame = _healpix_of(hdu)
        return _Healpix(data * factor, nside, nested, frame, _nodes(hdus, hdu, len(data)))
    data, wcs = _image_of(hdu)
    return _Cube(data * factor, wcs, _nodes(hdus, hdu, len(data)))


def _nodes(hdus: fits.HDUList, hdu, layers: int) -> np.ndarray:
    """Return the energies of the layers of an exposure [GeV]; NaN for the only one of a single layer."""
    if layers == 1:
        return np.array([np.nan])
    told = str(hdu.header.get("BANDSHDU", "")).strip()
    for name in (told, f"{hdu.name}_BANDS", "ENERGIES", "EBOUNDS"):
        if not name or name not in hdus:
            continue
        table = hdus[name]
        columns = {column.upper(): column for column in table.columns.names}
        key = next((key for key in ("ENERGY", "ENERGY_TRUE") if key in columns), None)
        if key is not None:
            values = np.asarray(table.data[columns[key]], float)
            values = values * u.Unit(table.columns[columns[key]].unit or "MeV").to("GeV")
        elif {"E_MIN", "E_MAX"} <= set(columns):
            values = np.sqrt(np.asarray(table.data[columns["E_MIN"]], float) * table.data[columns["E_MAX"]])
            values = values * u.Unit(table.columns[columns["E_MIN"]].unit or "keV").to("GeV")
        else:
            continue
        if len(values) == layers:
            return values
    raise UnusableImage("The exposure does not tell its energies (a table ENERGIES).")


def _band_mean(energies: np.ndarray, values: np.ndarray, lowest: float, highest: float) -> float:
    """Return the mean over a band, weighted with a power law of `INDEX`, of a logarithmic interpolation."""
    if len(values) == 1 or not np.all(values > 0):
        return float(values[0]) if len(values) == 1 else math.nan
    order = np.argsort(energies)
    energies, values = energies[order], values[order]
    if lowest < energies[0] / _BEYOND or highest > energies[-1] * _BEYOND:
        raise UnusableImage(
            f"The exposure is told from {energies[0]:.4g} to {energies[-1]:.4g} GeV, and the band from {lowest:.4g} to "
            f"{highest:.4g} GeV is wanted."
        )
    grid = np.geomspace(lowest, highest, 33)
    at = np.exp(np.interp(np.log(grid), np.log(energies), np.log(values)))
    weights = grid ** (1 - INDEX)  # of equal steps of the logarithm
    weights[[0, -1]] /= 2
    return float(np.sum(at * weights) / np.sum(weights))


def _years(hdus: fits.HDUList) -> float:
    """Return the length of a survey [years] by its good time intervals without long gaps, or by its header."""
    if "GTI" in hdus and len(hdus["GTI"].data):
        start, stop = (np.sort(np.asarray(hdus["GTI"].data[name], float)) for name in ("START", "STOP"))
        gaps = start[1:] - stop[:-1]
        return float(stop[-1] - start[0] - gaps[gaps > _GAP].sum()) / _YEAR
    for hdu in hdus:
        start, stop = hdu.header.get("TSTART"), hdu.header.get("TSTOP")
        if isinstance(start, int | float) and isinstance(stop, int | float) and stop > start:
            return float(stop - start) / _YEAR
    return math.nan


def _dss(header: fits.Header, kind: str) -> tuple[str, str] | None:
    """Return value and unit of a selection that a header tells (keywords DSTYP, DSVAL, DSUNI)."""
    for number in range(1, int(header.get("NDSKEYS", 0) or 0) + 1):
        if str(header.get(f"DSTYP{number}", "")).strip().upper().startswith(kind):
            value = str(header.get(f"DSVAL{number}", "")).strip()
            return (value, str(header.get(f"DSUNI{number}", "")).strip() or "MeV") if value else None
    return None


def _circle(header: fits.Header) -> tuple[float, float, float] | None:
    """Return centre [deg, Galactic] and radius [deg] of the circle that events were selected in."""
    told = _dss(header, "POS")
    if told is None or not told[0].upper().startswith("CIRCLE"):
        return None
    ra, dec, radius = (float(part) for part in told[0][6:].strip(" ()").split(","))
    lon, lat = sky_blocks.galactic(np.array(ra), np.array(dec))
    return float(lon), float(lat), min(radius, 180.0)


def _extent(lon: np.ndarray, lat: np.ndarray) -> tuple[float, float, float]:
    """Return the circle [deg] around the mean direction of events that holds nearly all."""
    if not len(lon):
        raise UnusableImage("The list holds no event that can be used.")
    units = sky_blocks.vectors(lon, lat)
    middle = units.mean(axis=0)
    lon0, lat0 = sky_blocks.directions(middle)
    apart = np.degrees(np.arccos(np.clip(units @ middle / np.linalg.norm(middle), -1, 1)))
    radius = float(np.percentile(apart, 99.9))
    return float(lon0), float(lat0), 180.0 if radius > 150 else radius


def _bit(column: np.ndarray, bit: int) -> np.ndarray:
    """Return one bit, counted from the last, of a column of bits (FITS type X) or of whole numbers."""
    column = np.asarray(column)
    if column.ndim == 2:
        return column[:, column.shape[1] - 1 - bit].astype(bool)
    return (column.astype(np.int64) >> bit) & 1 == 1


def _points(nside: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the centres of the pixels of a HEALPix grid, ring by ring [deg]."""
    from astropy_healpix import HEALPix

    lon, lat = HEALPix(nside, order="ring").healpix_to_lonlat(np.arange(12 * nside**2))
    return lon.deg, lat.deg


def _centres(covered, width: float) -> list[tuple[float, float]]:
    """Return the centres [deg] of the patches that a field is searched in."""
    grid = _points(NSIDE)
    lon, lat = _points(64)
    inside = covered(lon, lat)
    if inside.mean() > _ALL_SKY:
        return [(float(one), float(other)) for one, other in zip(*grid, strict=True)]
    if not inside.any():
        raise UnusableImage("The field is smaller than a pixel of one degree, or lies nowhere on the sky.")
    units = sky_blocks.vectors(lon[inside], lat[inside])
    middle = units.mean(axis=0)
    centre = tuple(float(value) for value in sky_blocks.directions(middle))
    chosen = None
    if np.linalg.norm(middle) > 0.8:
        away, north = _in_frame(lon[inside], lat[inside], centre)
        many = [max(1, math.ceil((np.ptp(values) - 1.0) / CORE)) for values in (away, north)]
        if max(many) <= _MOST:
            place = [
                values.min() + (np.arange(count) + 0.5) * np.ptp(values) / count
                for values, count in zip((away, north), many, strict=True)
            ]
            chosen = [_out_of_frame(one, other, centre) for other in place[1] for one in place[0]]
    if chosen is None:
        chosen = [(float(one), float(other)) for one, other in zip(*grid, strict=True)]
    step = (np.arange(8) + 0.5) / 8 * CORE - CORE / 2
    east, north = (axis.ravel() for axis in np.meshgrid(step, step))
    kept = [at for at in chosen if covered(*sky_blocks.sky_of(east, north, at)).mean() >= _KEPT]
    return kept or [centre]


def _in_frame(lon, lat, centre) -> tuple[np.ndarray, np.ndarray]:
    """Return longitudes and latitudes [deg] in a frame that has its origin at a centre."""
    units = sky_blocks.vectors(lon, lat) @ _turn(centre).T
    away, north = sky_blocks.directions(units)
    return (away + 180) % 360 - 180, north


def _out_of_frame(away: float, north: float, centre) -> tuple[float, float]:
    lon, lat = sky_blocks.directions(sky_blocks.vectors(away, north) @ _turn(centre))
    return float(lon), float(lat)


def _turn(centre) -> np.ndarray:
    lon, lat = np.radians(centre)
    return np.array(
        [
            [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)],
            [-np.sin(lon), np.cos(lon), 0.0],
            [-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)],
        ]
    )

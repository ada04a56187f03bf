"""Read a spectral cube as telescopes' archives give it, section by section, or say in one sentence why not.

A file's header is read once, by `open_cube`; its pixels are read when `CubeFile.read` asks for them, so that a cube may
be larger than the memory. `subcubes` says in which overlapping blocks to go through it.
"""

import hashlib
import itertools
import lzma
import re
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy import constants, units
from astropy.coordinates import StokesCoord
from astropy.io import fits
from astropy.io.fits.verify import VerifyError
from astropy.stats import SigmaClip, mad_std
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS, WCSSUB_LATITUDE, WCSSUB_LONGITUDE

from ..errors import UserError
from .fits import _AIPS_BEAM, SMALLEST_SIDE, Beam, UnusableImage, _pixel_scale

_SPECTRAL = ("FREQ", "VELO", "VRAD", "VOPT", "FELO", "ZOPT", "BETA", "WAVE", "WAVN", "ENER")
_VELOCITIES = ("VELO", "VRAD", "VOPT", "FELO")
_NEED_REST = (*_VELOCITIES, "ZOPT", "BETA")

_KNOWN_SUFFIX = re.compile(r"-(LSR|HEL|OBS|LOG|TAB|[A-Z]2[A-Z])$")
"""What may follow the four letters of a spectral axis: AIPS's frames, and algorithms of FITS WCS paper III."""

_AIPS_FRAMES = {"-LSR": "LSRK", "-HEL": "BARYCENT", "-OBS": "TOPOCENT"}
"""SPECSYS of the endings that AIPS used, as wcslib takes them."""

_OFFSET = 0.02
"""Rotation [radian] up to which North counts as up: 1 deg, less than any position angle is known."""

_BLOCK = 2**24
"""Values read at once where a whole cube is gone through (64 MiB)."""

_FEWEST = 16
"""Values that a channel's noise is told from at least."""

BROKEN = (OSError, TypeError, ValueError, VerifyError, KeyError, EOFError, zlib.error, lzma.LZMAError)
"""What comes of reading a file that is broken."""

_EMPTY = "No pixel holds a value: all are NaN or zero."


@dataclass(frozen=True)
class _Store:
    """Where the pixels lie: how the file is stored, its numpy shape and type, and which axis means what.

    `kind` is "plain" (mapped), "tiles" (a compressed HDU, read tile by tile) or "whole" (a compressed file, read at
    once). `index` has "z", "y", "x" or the one index that is taken, for each axis of the file in numpy's order.
    """

    hdu: int
    kind: str
    shape: tuple[int, ...]
    bitpix: int
    offset: int
    scale: float
    zero: float
    blank: int | None
    index: tuple = ()


@dataclass(frozen=True)
class CubeFile:
    """A spectral cube on disk. Pixels count from 0: x along the last axis, y along the second, z is the channel.

    Attributes
    ----------
    path : pathlib.Path
    shape : tuple of int
        Channels, height, width.
    wcs : astropy.wcs.WCS
        Celestial, two axes: longitude along x, latitude along y.
    frequency : numpy.ndarray, shape (channels,)
        Hz, in the file's order; NaN where unknown.
    rest_frequency : float or None
        Hz.
    spectral_type : str
        The axis as the file has it, such as ``FREQ`` or ``VELO-HEL``; empty if it has none.
    spectral_values : numpy.ndarray, shape (channels,)
        Values of that axis in SI units (Hz, m/s, m), NaN where they need a rest frequency that is unknown.
    specsys : str
        Frame of the spectral axis (``LSRK``, ``BARYCENT``, ...), empty if not told.
    beam : Beam
        arcsec and deg, position angle in [0, 180); the median where each channel has its own.
    beams : numpy.ndarray, shape (channels, 3), or None
        FWHM major, minor [arcsec] and position angle [deg] of each channel, NaN where a channel has none.
    pixel_scale : float
        Side of a pixel [arcsec].
    unit : str
        The unit in the file; `read` returns Jy/beam.
    stokes : str
        The Stokes parameter that is read; empty if the file does not tell.
    object_name, telescope, date : str
        OBJECT, TELESCOP and DATE-OBS, empty if not told.
    flags : list of str
        What a user of the values should know: ``no_spectral_axis``, ``no_rest_frequency`` (frequencies are NaN),
        ``no_frequency`` (they make no sense), ``rest_frequency_given`` (by the caller), ``rest_frequency_derived``
        (from AIPS's ALTRVAL), ``velocity_convention_assumed``, ``beam_given`` (by the caller), ``beam_from_history``,
        ``beam_per_channel``, ``beam_varies`` (by more than 5 %), ``not_stokes_i``, ``north_not_up`` (North is not
        along y, or East not against x).
    """

    path: Path
    shape: tuple[int, int, int]
    wcs: WCS
    frequency: np.ndarray
    rest_frequency: float | None
    spectral_type: str
    spectral_values: np.ndarray
    specsys: str
    beam: Beam
    beams: np.ndarray | None
    pixel_scale: float
    unit: str
    stokes: str
    object_name: str
    telescope: str
    date: str
    flags: list[str]
    _store: _Store = field(repr=False)
    _factor: np.ndarray = field(repr=False)
    _zero_is_blank: bool = field(repr=False)

    @property
    def beam_pixels(self) -> tuple[float, float, float]:
        """FWHM of the beam's major and minor axis [pixel] and its position angle [deg]."""
        return self.beam.in_pixels(self.pixel_scale)

    @property
    def beam_area(self) -> float:
        """The beam's solid angle [pixel]."""
        return self.beam.area(self.pixel_scale)

    def read(self, z: slice = slice(None), y: slice = slice(None), x: slice = slice(None)) -> np.ndarray:
        """Return a section of the cube; only this section is read from disk and held in memory.

        The file is mapped, so pages of it that the system keeps count as resident during the call; it takes them back
        when memory is short. Files that are compressed as a whole (``.fits.gz`` and the like) are the exception: the
        first call unpacks them into memory.

        Parameters
        ----------
        z, y, x : slice
            As of an array of `shape`, with positive steps.

        Returns
        -------
        numpy.ndarray, shape (channels, height, width), float32
            Jy/beam, with the beam of each channel where they have their own; NaN where not observed, which
            floating-point zeros mean as well, except in models (Jy/pixel).

        Raises
        ------
        UnusableImage
            If the file turns out to be broken or truncated.
        """
        data = self._native(z, y, x)
        if self._zero_is_blank:
            data[data == 0] = np.nan
        factor = self._factor[z]
        if np.any(factor != 1):
            data *= factor[:, None, None]
        return data

    def channel_rms(self, sample: int = 50_000) -> np.ndarray:
        """Return the noise of each channel, from a sparse grid of its pixels, which sources hardly change.

        Parameters
        ----------
        sample : int
            Pixels of a channel to look at, about.

        Returns
        -------
        numpy.ndarray, shape (channels,)
            Jy/beam: 1.4826 times the median absolute deviation after sigma clipping; NaN for a channel without data.

        Raises
        ------
        UnusableImage
            If no channel holds values.
        """
        channels, height, width = self.shape
        step = int(np.ceil(np.sqrt(max(1.0, height * width / sample))))
        thin = slice(min(height, width, step) // 2, None, step)
        plane = height * width if self._store.kind == "tiles" else (height // step + 1) * (width // step + 1)
        clip = SigmaClip(sigma=3, maxiters=5, cenfunc="median", stdfunc="mad_std")
        rms, seen = np.full(channels, np.nan), False
        for z in _chunks(channels, max(1, _BLOCK // plane)):
            for channel, values in enumerate(self.read(z, thin, thin), z.start):
                values = values[np.isfinite(values)]
                seen |= values.size > 0
                if values.size >= _FEWEST:
                    rms[channel] = mad_std(clip(values, masked=False))
        if not seen:
            raise UnusableImage(_EMPTY)
        rms[rms == 0] = np.nan
        return rms

    def middle(self) -> np.ndarray:
        """Return the observed channel that is nearest to the middle of the band, shape (height, width) [Jy/beam].

        Raises
        ------
        UnusableImage
            If no channel holds values.
        """
        middle = self.shape[0] // 2
        for channel in sorted(range(self.shape[0]), key=lambda channel: abs(channel - middle)):
            plane = self.read(slice(channel, channel + 1))[0]
            if np.isfinite(plane).any():
                return plane
        raise UnusableImage(_EMPTY)

    @cached_property
    def data_sha256(self) -> str:
        """Hash of the pixel values, the same for every file that holds these pixels in this order of channels.

        It is that of `read_image` where there is one channel. The file is read block by block.
        """
        shape = self.shape[1:] if self.shape[0] == 1 else self.shape
        digest = hashlib.sha256(f"{shape}".encode())
        channels, height, width = self.shape
        rows = max(1, _BLOCK // width)
        for z in _chunks(channels, max(1, rows // height)):
            for y in _chunks(height, height if z.stop - z.start > 1 else rows):
                digest.update(self._native(z, y, slice(None)).astype("<f4", copy=False).data)
        return digest.hexdigest()

    def _native(self, z: slice, y: slice, x: slice) -> np.ndarray:
        """Return a section in the file's own unit, NaN where not observed, as a new array."""
        try:
            if self._store.kind == "tiles":
                with fits.open(self.path) as hdus, warnings.catch_warnings():
                    warnings.simplefilter("ignore", AstropyWarning)
                    return _physical(self._cut(hdus[self._store.hdu].section, z, y, x), self._store)
            return _physical(
                self._cut(self._whole if self._store.kind == "whole" else self._map(), z, y, x), self._store
            )
        except BROKEN as error:
            raise UnusableImage("The file is broken or truncated: its pixels cannot be read.") from error

    def _cut(self, pixels, z: slice, y: slice, x: slice) -> np.ndarray:
        """Return a section of the file's pixels with its axes in the order z, y, x."""
        wanted = {"z": z, "y": y, "x": x}
        part = pixels[tuple(wanted.get(axis, axis) for axis in self._store.index)]
        order = [axis for axis in self._store.index if axis in wanted]
        part = part.transpose([order.index(axis) for axis in "zyx" if axis in order])
        return part if "z" in order else part[None][z]

    def _map(self) -> np.ndarray:
        store = self._store
        return np.memmap(self.path, dtype=_dtype(store.bitpix), mode="r", offset=store.offset, shape=store.shape)

    @cached_property
    def _whole(self) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            with fits.open(self.path, memmap=False, do_not_scale_image_data=True) as hdus:
                return hdus[self._store.hdu].data.reshape(self._store.shape)


def open_cube(
    path: str | Path, beam: tuple[float, float, float] | None = None, rest_frequency: float | None = None
) -> CubeFile:
    """Return the first image or cube of a FITS file, whose axes may come in any order; only headers are read.

    Axes of length one are left out, and of several Stokes planes I is taken. An image without a spectral axis is a cube
    of one channel at the header's rest frequency.

    Parameters
    ----------
    path : str or pathlib.Path
        May be compressed, as a whole or as an HDU.
    beam : tuple of float, optional
        FWHM major, minor [arcsec] and position angle [deg], used where the file has no beam.
    rest_frequency : float, optional
        Hz, used where the file has none.

    Raises
    ------
    UnusableImage
        If the file is no FITS, is broken, empty or truncated, holds no image, or lacks WCS, beam or a usable unit.
    UserError
        If there is no such file, or `beam` or `rest_frequency` make no sense.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the path of a FITS cube.")
    if beam is not None and not (np.all(np.isfinite(beam)) and beam[0] >= beam[1] > 0):
        raise UserError(f"{path}: the beam given, {beam}, makes no sense; give major >= minor > 0 arcsec and an angle.")
    if rest_frequency is not None and not (np.isfinite(rest_frequency) and rest_frequency > 0):
        raise UserError(f"{path}: the rest frequency given, {rest_frequency}, makes no sense; give Hz.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            return _described(path, *_first_image(path), beam, rest_frequency)
        except VerifyError as error:  # astropy parses a card when it is asked for
            raise UnusableImage("The header is broken: one of its cards cannot be read.") from error


def _described(path, header, primary, table, store, given_beam, given_rest) -> CubeFile:
    """Put together what the header, the primary header and the table of beams tell."""
    flags: list[str] = []
    number = _spectral_number(header)
    kind = str(header[f"CTYPE{number}"]).strip().upper() if number else ""
    rest = _rest_frequency(header, number, kind, given_rest, flags)
    full = _wcs(header, number, kind, rest)
    celestial, lengths, stokes, plane = _axes(full, header, number, flags)
    height, width = lengths[full.wcs.lat], lengths[full.wcs.lng]
    if min(height, width) < SMALLEST_SIDE:
        raise UnusableImage(f"The cube has {width} x {height} pixels, fewer than {SMALLEST_SIDE} a side.")
    celestial.pixel_shape = (width, height)
    scale = _pixel_scale(celestial)
    _note_rotation(celestial, flags)
    shape = (lengths[number - 1] if number else 1, height, width)
    values, frequency = _spectral(full, header, number, kind, rest, shape[0], flags)
    found, beams = _beam(header, table, shape[0], plane, given_beam, flags)
    if found.minor < scale:
        raise UnusableImage("The beam is smaller than a pixel.")
    factor, per_pixel = _jansky_per_beam(header, found, beams, scale, frequency)

    meaning = {full.wcs.lat: "y", full.wcs.lng: "x"} | ({number - 1: "z"} if number else {})
    meaning |= dict.fromkeys(_stokes_axes(full), plane)
    index = tuple(meaning.get(axis, 0) for axis in reversed(range(len(store.shape))))

    def word(key):
        return str(header.get(key, primary.get(key, ""))).strip()

    return CubeFile(
        path=path,
        shape=shape,
        wcs=celestial,
        frequency=frequency,
        rest_frequency=rest,
        spectral_type=kind,
        spectral_values=values,
        specsys=str(full.wcs.specsys).strip() or _AIPS_FRAMES.get(kind[4:], ""),
        beam=found,
        beams=beams,
        pixel_scale=scale,
        unit=word("BUNIT"),
        stokes=stokes,
        object_name=word("OBJECT"),
        telescope=word("TELESCOP"),
        date=word("DATE-OBS"),
        flags=flags,
        _store=_Store(**{**vars(store), "index": index}),
        _factor=factor,
        _zero_is_blank=store.bitpix < 0 and not per_pixel,
    )


def _first_image(path: Path) -> tuple[fits.Header, fits.Header, np.ndarray | None, _Store]:
    """Return the image's header, the primary one, the table of beams and where the pixels lie."""
    size = path.stat().st_size
    if size == 0:
        raise UnusableImage("The file is empty.")
    try:
        with path.open("rb") as file:
            plain = file.read(6) == b"SIMPLE"
        with fits.open(path) as hdus:
            number = _image_number(hdus)
            hdu, where = hdus[number], hdus[number].fileinfo()
            table = next((hdu.data for hdu in hdus if hdu.name == "BEAMS"), None)
            header, primary = hdu.header.copy(), hdus[0].header.copy()
            tiles = isinstance(hdu, fits.CompImageHDU)
            bitpix = int(header["BITPIX"])
            shape = tuple(int(header[f"NAXIS{axis}"]) for axis in range(header["NAXIS"], 0, -1))
            length = where["datSpan"] if tiles else abs(bitpix) // 8 * int(np.prod(shape, dtype=np.int64))
            if plain and size < where["datLoc"] + length:
                raise UnusableImage("The file is truncated: it ends before its last pixel.")
            # astropy undoes the scaling of compressed tiles itself.
            scale, zero = (1.0, 0.0) if tiles else (float(header.get("BSCALE", 1)), float(header.get("BZERO", 0)))
            blank = None if tiles or bitpix < 0 else header.get("BLANK")
            kind = "tiles" if plain and tiles else "plain" if plain else "whole"
            if kind == "whole" and tiles:
                raise UnusableImage("The file is compressed twice; unpack it once.")
            return header, primary, table, _Store(number, kind, shape, bitpix, where["datLoc"], scale, zero, blank)
    except BROKEN as error:
        raise UnusableImage("The file is broken or truncated: it cannot be read as FITS.") from error


def _image_number(hdus: fits.HDUList) -> int:
    if any(isinstance(hdu, fits.GroupsHDU) for hdu in hdus):
        raise UnusableImage("The file holds visibilities, no image.")
    images = [number for number, hdu in enumerate(hdus) if hdu.is_image and hdu.header.get("NAXIS", 0) > 1]
    full = [number for number in images if all(hdus[number].shape)]
    if full:
        return full[0]
    if images:
        raise UnusableImage("The image has no pixels.")
    tables = any(isinstance(hdu, fits.BinTableHDU | fits.TableHDU) for hdu in hdus)
    raise UnusableImage(f"The file holds {'a table' if tables else 'nothing'}, no image.")


def _spectral_number(header: fits.Header) -> int | None:
    """Return the number of the spectral axis, from 1; of several the longest."""
    count = max(header["NAXIS"], header.get("WCSAXES", 0))
    found = [n for n in range(1, count + 1) if str(header.get(f"CTYPE{n}", "")).strip().upper()[:4] in _SPECTRAL]
    return max(found, key=lambda n: header.get(f"NAXIS{n}", 1), default=None)


def _rest_frequency(header, number, kind, given, flags) -> float | None:
    """Return the rest frequency [Hz] by RESTFRQ, RESTFREQ or RESTWAV, by AIPS's ALTRVAL, or the one given."""
    for key in ("RESTFRQ", "RESTFREQ"):
        if _number(header, key) > 0:
            return _number(header, key)
    if _number(header, "RESTWAV") > 0:
        return constants.c.value / _number(header, "RESTWAV")
    # On an axis of velocities ALTRVAL is the frequency at pixel ALTRPIX (AIPS Memo 27).
    if kind[:4] in _VELOCITIES and _number(header, "ALTRVAL") > 1e6:
        away = _number(header, "ALTRPIX") - _number(header, f"CRPIX{number}")
        velocity = _number(header, f"CRVAL{number}") + away * _number(header, f"CDELT{number}")
        beta = (velocity * _velocity_unit(header, number)).to_value(units.m / units.s) / constants.c.value
        radio = kind.startswith("VRAD") or (kind.startswith("VELO") and _number(header, "VELREF") > 256)
        rest = _number(header, "ALTRVAL") * (1 / (1 - beta) if radio else 1 + beta)
        if np.isfinite(rest) and rest > 0:
            flags.append("rest_frequency_derived")
            return rest
    if given is not None:
        flags.append("rest_frequency_given")
        return float(given)
    if kind[:4] in _NEED_REST:
        flags.append("no_rest_frequency")
    return None


def _number(header: fits.Header, key: str) -> float:
    try:
        return float(header.get(key, np.nan))
    except (TypeError, ValueError):
        return np.nan


def _velocity_unit(header: fits.Header, number: int) -> units.UnitBase:
    text = str(header.get(f"CUNIT{number}", "")).strip().lower()
    return units.km / units.s if text.startswith("km") else units.m / units.s


def _wcs(header: fits.Header, number: int | None, kind: str, rest: float | None) -> WCS:
    """Return the WCS of all axes, after mending spellings of the spectral one that wcslib does not take."""
    header = header.copy()
    if number:
        name = kind if _KNOWN_SUFFIX.search(kind) else kind[:4]
        if name == "VELO" and "VELREF" in header:
            name = "VRAD" if _number(header, "VELREF") > 256 else "VOPT"
        if kind[:4] in _NEED_REST:
            if rest is None:
                name = ""
            else:
                header["RESTFRQ"] = rest
            if kind[:4] in _VELOCITIES:
                header[f"CUNIT{number}"] = _velocity_unit(header, number).to_string("fits")
        header[f"CTYPE{number}"] = name
    try:
        full = WCS(header)
        full.wcs.set()
        # astropy cannot take a part of a WCS that has more axes than pixel_shape.
        full.pixel_shape = None
    except Exception as error:  # wcslib has a dozen of its own, some of which are plain ValueErrors
        raise UnusableImage("The WCS is broken, or the pixel scale is zero.") from error
    if not full.has_celestial:
        raise UnusableImage("The image has no celestial WCS.")
    return full


def _axes(full: WCS, header: fits.Header, number: int | None, flags: list[str]):
    """Return the celestial WCS, the lengths of all axes, the Stokes parameter and the index of its plane."""
    count = header["NAXIS"]
    lengths = [int(header[f"NAXIS{axis + 1}"]) if axis < count else 1 for axis in range(full.naxis)]
    if max(full.wcs.lng, full.wcs.lat) >= count:
        raise UnusableImage("The image has fewer axes than its celestial WCS.")
    try:
        celestial = full.sub([WCSSUB_LONGITUDE, WCSSUB_LATITUDE])
        celestial.wcs.set()
    except Exception as error:
        raise UnusableImage(
            "The celestial WCS is broken, mixed with other axes, or has a pixel scale of zero."
        ) from error
    stokes, plane = "", 0
    for axis in _stokes_axes(full):
        values = full.wcs.crval[axis] + (np.arange(lengths[axis]) + 1 - full.wcs.crpix[axis]) * full.wcs.cdelt[axis]
        first = np.flatnonzero(np.isclose(values, 1))
        if lengths[axis] > 1 and not first.size:
            raise UnusableImage(f"None of its {lengths[axis]} Stokes planes is Stokes I.")
        plane = int(first[0]) if first.size else 0
        stokes = str(StokesCoord(values[plane]).symbol)
        if not first.size:
            flags.append("not_stokes_i")
    known = {full.wcs.lng, full.wcs.lat, *_stokes_axes(full)} | ({number - 1} if number else set())
    for axis in set(range(count)) - known:
        if lengths[axis] > 1:
            name = str(full.wcs.ctype[axis]).strip() or "no type"
            raise UnusableImage(
                f"Axis {axis + 1} has {lengths[axis]} pixels and {name}: it is neither spectral nor Stokes."
            )
    return celestial, lengths, stokes, plane


def _stokes_axes(full: WCS) -> list[int]:
    return [axis for axis, kind in enumerate(full.wcs.ctype) if kind.upper().startswith("STOKES")]


def _note_rotation(celestial: WCS, flags: list[str]) -> None:
    (east_x, _), (north_x, north_y) = celestial.pixel_scale_matrix
    if east_x >= 0 or north_y <= 0 or abs(north_x) > _OFFSET * north_y:
        flags.append("north_not_up")


def _spectral(full, header, number, kind, rest, channels, flags) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of the spectral axis [SI] and the frequencies [Hz] of all channels."""
    unknown = np.full(channels, np.nan)
    if not number:
        flags.append("no_spectral_axis")
        return unknown, unknown if rest is None else np.full(channels, rest)
    try:
        axis = full.sub([number])
        values = np.asarray(axis.wcs_pix2world(np.arange(channels, dtype=float), 0)[0])
        unit = units.Unit(str(axis.wcs.cunit[0]))
    except Exception as error:
        raise UnusableImage("The spectral axis is broken or mixed with the celestial ones.") from error
    if kind[:4] in _NEED_REST and rest is None:
        values = (values * unit).si.value
        # These are linear in frequency, which makes their velocities depend on the rest frequency.
        return (unknown if kind.startswith("FELO") or "2" in kind else values), unknown
    if kind.startswith("VELO") and "VELREF" not in header:
        flags.append("velocity_convention_assumed")
    with np.errstate(all="ignore"):
        frequency = _frequencies(values * unit, str(axis.wcs.ctype[0])[:4], rest)
    if not np.all(np.isfinite(frequency) & (frequency > 0)):
        flags.append("no_frequency")
        frequency = unknown
    return values, frequency


def _frequencies(values: units.Quantity, kind: str, rest: float | None) -> np.ndarray:
    """Return frequencies [Hz] of values as FITS WCS paper III defines the types (Greisen et al. 2006, table 1)."""
    if kind in ("ZOPT", "BETA"):
        values = values.value * constants.c
    relation = {
        "VRAD": units.doppler_radio,
        "VOPT": units.doppler_optical,
        "ZOPT": units.doppler_optical,
        "VELO": units.doppler_relativistic,
        "BETA": units.doppler_relativistic,
    }.get(kind)
    return values.to_value(units.Hz, equivalencies=relation(rest * units.Hz) if relation else units.spectral())


def _beam(header, table, channels, plane, given, flags) -> tuple[Beam, np.ndarray | None]:
    """Return the beam and, where the file has a table of them, those of all channels."""
    listed, beams = _listed_beams(table, channels, plane)
    if listed is not None:
        if beams is not None and channels > 1:
            flags.append("beam_per_channel")
            if np.nanmax(np.abs(beams[:, :2] / listed[:2] - 1)) > 0.05:
                flags.append("beam_varies")
        return Beam(*listed.tolist()), beams
    found = [_number(header, key) for key in ("BMAJ", "BMIN")] + [_number(header, "BPA")]
    if not _sensible(found) and "HISTORY" in header:
        # A map that was cleaned again has several; the last one holds.
        lines = _AIPS_BEAM.findall(" ".join(str(line) for line in header["HISTORY"]))
        if lines:
            found = [float(text.upper().replace("D", "E")) for text in lines[-1]]
            flags.append("beam_from_history")
    if _sensible(found):
        return Beam(found[0] * 3600, found[1] * 3600, float(np.nan_to_num(found[2]) % 180)), None
    if given is not None:
        flags.append("beam_given")
        return Beam(float(given[0]), float(given[1]), float(given[2] % 180)), None
    if np.all(np.isfinite(found[:2])):
        raise UnusableImage(f"The beam of {found[0] * 3600:.4g} by {found[1] * 3600:.4g} arcsec makes no sense.")
    raise UnusableImage("The header gives no beam (BMAJ, BMIN, BPA).")


def _sensible(beam) -> bool:
    return bool(np.all(np.isfinite(beam[:2])) and beam[0] >= beam[1] > 0)


def _listed_beams(table, channels: int, plane: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the median of CASA's table of beams, and one row a channel; None where it has none."""
    if table is None or not len(table) or not {"BMAJ", "BMIN", "BPA"} <= set(table.names):
        return None, None
    rows = np.empty((len(table), 3))
    for column, (name, usual) in enumerate((("BMAJ", "arcsec"), ("BMIN", "arcsec"), ("BPA", "deg"))):
        unit = units.Unit(table.columns[name].unit or usual)
        rows[:, column] = (np.asarray(table[name], dtype=float) * unit).to_value(usual)
    channel = np.asarray(table["CHAN"]) if "CHAN" in table.names else np.arange(len(rows))
    if "POL" in table.names and np.any(np.asarray(table["POL"]) == plane):
        keep = np.asarray(table["POL"]) == plane
        rows, channel = rows[keep], channel[keep]
    rows[:, 2] %= 180
    # CASA writes beams of zero for channels without data.
    rows[~np.array([_sensible(row) for row in rows])] = np.nan
    good = rows[np.isfinite(rows[:, 0])]
    if not len(good):
        return None, None
    middle = np.degrees(np.angle(np.exp(2j * np.radians(good[:, 2])).sum())) / 2
    turned = middle + np.median((good[:, 2] - middle + 90) % 180 - 90)
    median = np.array([*np.median(good[:, :2], axis=0), turned % 180])
    if len(rows) == 1 or np.any((channel < 0) | (channel >= channels)):
        return median, None
    beams = np.full((channels, 3), np.nan)
    beams[channel] = rows
    return median, beams


def _jansky_per_beam(header, beam, beams, scale, frequency) -> tuple[np.ndarray, bool]:
    """Return the factor of each channel to Jy/beam, float32, and whether the file's unit is per pixel."""
    text = str(header.get("BUNIT", "")).strip()
    area = np.full(len(frequency), beam.area(scale))
    if beams is not None:
        own = np.pi / (4 * np.log(2)) * beams[:, 0] * beams[:, 1] / scale**2
        area = np.where(np.isfinite(own), own, area)
    pixel = (scale * units.arcsec).to_value(units.rad) ** 2
    try:
        unit = units.Unit(_spelled(text))
        if unit.is_equivalent(units.K):
            if not np.all(np.isfinite(frequency)):
                raise UnusableImage(f"The unit is {text}, and without frequencies it cannot become Jy/beam.")
            relation = units.brightness_temperature(frequency * units.Hz)
            factor = (1 * unit).to_value(units.Jy / units.sr, equivalencies=relation) * area * pixel
        elif unit.is_equivalent(units.Jy / units.sr):
            factor = unit.to(units.Jy / units.sr) * area * pixel
        elif unit.is_equivalent(units.Jy / units.pix):
            factor = unit.to(units.Jy / units.pix) * area
        else:
            factor = unit.to(units.Jy / units.beam) * np.ones_like(area)
    except (ValueError, TypeError, units.UnitsError) as error:
        raise UnusableImage(f"The unit is {text or 'not given'}, not Jy/beam, K or Jy/pixel.") from error
    return factor.astype(np.float32), unit.is_equivalent(units.Jy / units.pix)


def _spelled(text: str) -> str:
    """Return a unit as astropy spells it: JY/BEAM, Jy/Beam, Kelvin, K (Tmb) and their like are common."""
    spelled = re.sub(r"\s*\((T|TB|TMB|T_?B|T_?MB)\)$", "", text, flags=re.IGNORECASE)
    for pattern, name in ((r"jy", "Jy"), (r"beam|bm\b", "beam"), (r"pix(el)?s?", "pix"), (r"kelvins?", "K")):
        spelled = re.sub(pattern, name, spelled, flags=re.IGNORECASE)
    if text.isupper() and ("beam" in spelled or "pix" in spelled):
        # Written in capitals only, M is milli: no beam holds a million Jy.
        spelled = spelled.replace("MJy", "mJy").replace("UJy", "uJy")
    return spelled


def _dtype(bitpix: int) -> np.dtype:
    return np.dtype({8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}[bitpix])


def _physical(part: np.ndarray, store: _Store) -> np.ndarray:
    """Return stored values as float32 with their scaling applied, NaN where blank or infinite.

    It goes along the axis that lies farthest apart on disk, so that a mapped file is read in its own order.
    """
    out = np.empty(part.shape, dtype=np.float32)
    if not out.size:
        return out
    slowest = max(range(part.ndim), key=lambda axis: (part.shape[axis] > 1, abs(part.strides[axis])))
    wide = np.float64 if store.bitpix > 16 or store.bitpix == -64 else np.float32
    for source, target in zip(np.moveaxis(part, slowest, 0), np.moveaxis(out, slowest, 0), strict=True):
        values = source.astype(wide)
        if store.scale != 1:
            values *= store.scale
        if store.zero != 0:
            values += store.zero
        if store.blank is not None:
            values[source == store.blank] = np.nan
        values[~np.isfinite(values)] = np.nan
        target[...] = values
    return out


class Subcube(NamedTuple):
    """A block of a cube to read, and its core: the part whose sources are this block's.

    The cores of all blocks together are the cube, each pixel once.
    """

    z: slice
    y: slice
    x: slice
    core: tuple[slice, slice, slice]

    def owns(self, z: float, y: float, x: float, shape: tuple[int, int, int]) -> bool:
        """Tell whether a position in the whole cube of this shape is in the core; outside counts as at the border."""
        nearest = (min(max(int(np.floor(at + 0.5)), 0), size - 1) for at, size in zip((z, y, x), shape, strict=True))
        return all(part.start <= at < part.stop for at, part in zip(nearest, self.core, strict=True))


def subcubes(
    shape: tuple[int, int, int],
    size: int,
    overlap: int,
    spectral_size: int | None = None,
    spectral_overlap: int = 0,
) -> list[Subcube]:
    """Cut a cube into overlapping blocks.

    Each pixel is in one core, and at least `overlap` pixels from the edge of that block unless the cube ends there. All
    blocks are `size` pixels a side, or the cube's where that is less.

    Parameters
    ----------
    shape : tuple of int
        Channels, height, width.
    size, overlap : int
        Side of a block and distance of its core from its edge [pixel].
    spectral_size, spectral_overlap : int, optional
        The same along the spectral axis [channel]; all channels in one block if not given.

    Raises
    ------
    UserError
        If the overlap leaves no core.
    """
    channels, height, width = shape
    z = _spans(channels, spectral_size or channels, spectral_overlap)
    y, x = _spans(height, size, overlap), _spans(width, size, overlap)
    return [
        Subcube(*(span for span, _ in block), tuple(core for _, core in block)) for block in itertools.product(z, y, x)
    ]


def _spans(length: int, size: int, overlap: int) -> list[tuple[slice, slice]]:
    """Return blocks along one axis with their cores, which meet in the middle of what two neighbours share."""
    if length <= size:
        return [(slice(0, length), slice(0, length))]
    stride = size - 2 * overlap
    if overlap < 0 or stride < 1:
        raise UserError(
            f"Blocks of {size} with an overlap of {overlap} have no core; take more than twice the overlap."
        )
    count = -(-(length - size) // stride) + 1
    starts = [number * (length - size) // (count - 1) for number in range(count)]
    cuts = [0, *((after + before + size) // 2 for before, after in itertools.pairwise(starts)), length]
    return [
        (slice(start, start + size), slice(*core)) for start, core in zip(starts, itertools.pairwise(cuts), strict=True)
    ]


def _chunks(length: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, length)) for start in range(0, length, size))

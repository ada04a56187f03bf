"""Cutouts on disk: one HDF5 file a chunk of the archive."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files import existing, written_whole
from . import VIEWS

_TEXT = ("id", *(f"{view}_header" for view in VIEWS))


@dataclass(frozen=True)
class Cutouts:
    """Cutouts of n objects, each in the three `skyloom.images.VIEWS`.

    Attributes
    ----------
    id : numpy.ndarray of str, shape (n,)
        Object identifiers.
    native : numpy.ndarray, shape (n, side, side), float32
        At the archive's pixels [Jy/beam], NaN where not observed.
    scaled : numpy.ndarray, shape (n, side, side), float32
        Scaled by the object's size [S/N], NaN where not observed.
    wide : numpy.ndarray, shape (n, side, side), float32
        The same of the wide surroundings.
    rms : numpy.ndarray, shape (n,), float32
        Noise of the native cutout at the object [Jy/beam].
    native_header, scaled_header, wide_header : numpy.ndarray of str, shape (n,)
        FITS header with the celestial WCS of each cutout.
    native_beam, scaled_beam, wide_beam : numpy.ndarray, shape (n, 3), float32
        FWHM of the major and minor axis [pixel] and position angle [deg, North to East] in each cutout.
    """

    id: np.ndarray
    native: np.ndarray
    scaled: np.ndarray
    wide: np.ndarray
    rms: np.ndarray
    native_header: np.ndarray
    scaled_header: np.ndarray
    wide_header: np.ndarray
    native_beam: np.ndarray
    scaled_beam: np.ndarray
    wide_beam: np.ndarray

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.id)

    def take(self, rows: np.ndarray) -> "Cutouts":
        """Return some of the objects, by index or mask."""
        return Cutouts(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def snr(self) -> np.ndarray:
        """Return all views in units of their noise, shape (n, side, side, channels).

        Raises
        ------
        ValueError
            If an rms is not a positive number.
        """
        if not np.all(self.rms > 0):
            raise ValueError("every rms should be positive")
        return np.stack([self.native / self.rms[:, None, None], self.scaled, self.wide], axis=-1)

    def beams(self) -> np.ndarray:
        """Return the beams of all views, shape (n, channels, 3)."""
        return np.stack([getattr(self, f"{view}_beam") for view in VIEWS], axis=1)


def no_cutouts(side: int) -> Cutouts:
    """Return the cutouts of a chunk without objects."""
    columns = {"id": np.zeros(0, dtype=str), "rms": np.zeros(0, np.float32)}
    for view in VIEWS:
        columns[view] = np.zeros((0, side, side), np.float32)
        columns[f"{view}_header"] = np.zeros(0, dtype=str)
        columns[f"{view}_beam"] = np.zeros((0, 3), np.float32)
    return Cutouts(**columns)


def joined(parts: Iterable[Cutouts]) -> Cutouts:
    """Return several sets of cutouts as one, in the order given (see `arranged`)."""
    parts = list(parts)
    ends = np.cumsum([len(part) for part in parts])
    return arranged([(np.arange(end - len(part), end), part) for end, part in zip(ends, parts, strict=True)], ends[-1])


def arranged(parts: list[tuple[np.ndarray, Cutouts]], count: int) -> Cutouts:
    """Return several sets of cutouts as one of `count`, each put into the rows given with it.

    The parts are taken out of the list one by one, so that they are not in memory twice.

    Raises
    ------
    UserError
        If the cutouts have different sides.
    """
    sides = sorted({part.native.shape[1] for _, part in parts})
    if len(sides) > 1:
        raise UserError(f"cutouts have different sides ({sides} pixels); make them again with one `crop.size`.")
    columns: dict[str, np.ndarray] = {}
    while parts:
        rows, part = parts.pop()
        for name, values in vars(part).items():
            kind = object if name in _TEXT else values.dtype
            columns.setdefault(name, np.empty((count, *values.shape[1:]), kind))[rows] = values
    return Cutouts(**{name: values.astype(str) if name in _TEXT else values for name, values in columns.items()})


def write_cutouts(path: str | Path, cutouts: Cutouts, attrs: Mapping[str, str]) -> None:
    """Write cutouts, whole or not at all; equal cutouts give equal bytes."""
    import h5py

    with written_whole(path) as part, h5py.File(part, "w") as file:
        file.attrs.update(attrs)
        for field in fields(Cutouts):
            value = getattr(cutouts, field.name)
            if field.name in _TEXT:
                file.create_dataset(field.name, data=value.astype(object), dtype=h5py.string_dtype())
            else:
                chunks = (1, *value.shape[1:]) if value.ndim == 3 and len(value) else None
                file.create_dataset(field.name, data=value.astype(np.float32, copy=False), chunks=chunks)


def read_cutouts(path: str | Path) -> tuple[Cutouts, dict]:
    """Return the cutouts of a file and the file's attributes (case, config_hash, version).

    Raises
    ------
    UserError
        If the file does not hold cutouts.
    """
    import h5py

    path = existing(path, "a file of cutouts")
    try:
        with h5py.File(path) as file:
            columns = {}
            for field in fields(Cutouts):
                stored = file[field.name]
                columns[field.name] = stored.asstr()[:].astype(str) if field.name in _TEXT else stored[:]
            return Cutouts(**columns), dict(file.attrs)
    except (OSError, KeyError) as error:
        raise UserError(f"{path}: cannot be read as cutouts ({error}); make it again.") from error

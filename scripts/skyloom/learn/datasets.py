"""Training sets on disk: one HDF5 file with the groups train, validation and test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files import existing, written_whole

SPLITS = ("train", "validation", "test")
JOINT = "|"
"""Between the two targets that a pair was made from."""

_TEXT = ("id", "group", "origin")


@dataclass(frozen=True)
class Samples:
    """Samples of one split.

    Attributes
    ----------
    x : numpy.ndarray, shape (n, side, side, channels), float32
        Network input (`skyloom.images.normalise.network_input`).
    y : numpy.ndarray, shape (n,), int8
        Label: 1 for a disc wind, 0 for anything else.
    id : numpy.ndarray of str, shape (n,)
        Object, unique in a split for cutouts; copies and pairs carry a suffix.
    group : numpy.ndarray of str, shape (n,)
        Target the sample was made from; two, joined by `JOINT`, for a pair.
    origin : numpy.ndarray of str, shape (n,)
        ``cutout``, ``copy`` or ``pair``.
    """

    x: np.ndarray
    y: np.ndarray
    id: np.ndarray
    group: np.ndarray
    origin: np.ndarray

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.y)


def write_dataset(path: str | Path, splits: Mapping[str, Samples], attrs: Mapping[str, str | int]) -> None:
    """Write a training set, whole or not at all; equal samples give equal bytes.

    Parameters
    ----------
    path : path
        The HDF5 file.
    splits : mapping of str to `Samples`
        The samples of `SPLITS`, or of some of them.
    attrs : mapping
        Attributes of the file: case, seed, config_hash, version.
    """
    import h5py

    with written_whole(path) as part, h5py.File(part, "w") as file:
        file.attrs.update(attrs)
        for name, samples in splits.items():
            group = file.create_group(name)
            shape = samples.x.shape
            chunks = (1, *shape[1:]) if len(samples) else None
            group.create_dataset("x", data=samples.x.astype(np.float32, copy=False), chunks=chunks)
            group.create_dataset("y", data=samples.y.astype(np.int8, copy=False))
            for key in _TEXT:
                group.create_dataset(
                    key, data=np.asarray(getattr(samples, key), dtype=object), dtype=h5py.string_dtype()
                )


def read_split(path: str | Path, name: str) -> Samples:
    """Return one split of a training set.

    Raises
    ------
    UserError
        If the file is not such a training set.
    """
    import h5py

    path = existing(path, "a training set")
    try:
        with h5py.File(path) as file:
            group = file[name]
            text = {key: group[key].asstr()[:].astype(str) for key in _TEXT}
            return Samples(x=group["x"][:], y=group["y"][:], **text)
    except (OSError, KeyError) as error:
        raise UserError(f"{path}: cannot be read as a training set ({error}); make it again.") from error


def read_attrs(path: str | Path) -> dict:
    """Return the attributes of a training set: case, seed, config_hash, version."""
    import h5py

    path = existing(path, "a training set")
    try:
        with h5py.File(path) as file:
            return {key: value.item() if hasattr(value, "item") else value for key, value in file.attrs.items()}
    except OSError as error:
        raise UserError(f"{path}: cannot be read as a training set ({error}); make it again.") from error


def joined(parts: Sequence[Samples]) -> Samples:
    """Return several sets of samples as one, in the order given."""
    return Samples(
        **{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Samples)}
    )

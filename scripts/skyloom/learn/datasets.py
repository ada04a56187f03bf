"""Training sets on disk: one HDF5 file with the groups train, validation and test."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files import existing, written_whole

SPLITS = ("train", "validation", "test")
JOINT = "|"
"""Between the two targets that a pair was made from."""
BLOCK = 256
"""Samples in memory at a time where a set is read or written bit by bit."""

_TEXT = ("id", "group", "origin")


@dataclass(frozen=True)
class Samples:
    """Samples of one split.

    Attributes
    ----------
    x : numpy.ndarray, shape (n, side, side, channels), (n, length, channels) or (n, numbers), float32 or float16
        Network input (`skyloom.images.normalise.network_input`); of `open_split` an `h5py.Dataset` of that shape.
    y : numpy.ndarray, shape (n,), int8, or (n, ...), float32
        Label: 1 for what is searched, 0 for anything else; or what a network shall give, such as a map or quantities.
    id : numpy.ndarray of str, shape (n,)
        Object, unique in a split for cutouts; copies and pairs carry a suffix.
    group : numpy.ndarray of str, shape (n,)
        Target the sample was made from; two, joined by `JOINT`, for a pair.
    origin : numpy.ndarray of str, shape (n,)
        ``cutout``, ``copy`` or ``pair``; of simulated examples ``truth`` or ``predicted``, by what they were made with.
    """

    x: np.ndarray
    y: np.ndarray
    id: np.ndarray
    group: np.ndarray
    origin: np.ndarray

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.y)

    def images(self, rows: np.ndarray) -> np.ndarray:
        """Return the images of these rows in memory, float32, in the order given, a row any number of times."""
        if isinstance(self.x, np.ndarray):
            return self.x[rows].astype(np.float32, copy=False)
        # An image is a chunk, and is not packed (`_append`). h5py takes eighty times as long for a list of rows.
        images = np.empty((len(rows), *self.x.shape[1:]), np.float32)
        rest = (0,) * (self.x.ndim - 1)
        for image, row in zip(images, rows, strict=True):
            image[:] = np.frombuffer(self.x.id.read_direct_chunk((int(row), *rest))[1], self.x.dtype).reshape(
                image.shape
            )
        return images

    def take(self, rows: np.ndarray) -> "Samples":
        """Return some of the samples in memory."""
        rest = {field.name: getattr(self, field.name)[rows] for field in fields(self) if field.name != "x"}
        return Samples(x=self.images(rows), **rest)

    def blocks(self) -> Iterator["Samples"]:
        """Yield the samples in order, `BLOCK` at a time, in memory."""
        for start in range(0, len(self), BLOCK):
            yield Samples(**{field.name: getattr(self, field.name)[start : start + BLOCK] for field in fields(self)})


def write_dataset(
    path: str | Path, splits: Mapping[str, Samples | Iterable[Samples]], attrs: Mapping[str, str | int]
) -> None:
    """Write a training set, whole or not at all; equal samples give equal bytes.

    Parameters
    ----------
    path : path
        The HDF5 file.
    splits : mapping of str to `Samples`, or to iterables of them
        The samples of `SPLITS`, or of some of them; of an iterable one part is in memory at a time.
    attrs : mapping
        Attributes of the file: case, seed, config_hash, version.

    Raises
    ------
    UserError
        If an iterable of samples is empty.
    """
    import h5py

    with written_whole(path) as part, h5py.File(part, "w") as file:
        file.attrs.update(attrs)
        for name, samples in splits.items():
            group, rest = file.create_group(name), []
            for part in [samples] if isinstance(samples, Samples) else samples:
                _append(group, part.x)
                rest.append(replace(part, x=np.zeros(0)))
            if not rest:
                raise UserError(
                    f"{path}: there is no example for its split {name}; simulate more observations, or train the "
                    "networks before it for longer, so that they find something."
                )
            whole = joined(rest)
            kind = np.float32 if whole.y.dtype.kind == "f" else np.int8
            group.create_dataset("y", data=whole.y.astype(kind, copy=False))
            for key in _TEXT:
                group.create_dataset(key, data=np.asarray(getattr(whole, key), dtype=object), dtype=h5py.string_dtype())


def _append(group, images: np.ndarray) -> None:
    """Append images to the dataset ``x``, of which each has a chunk of its own, as they are read in any order."""
    shape = images.shape[1:]
    if "x" not in group:
        kind = np.float16 if images.dtype == np.float16 else np.float32
        group.create_dataset("x", (0, *shape), kind, maxshape=(None, *shape), chunks=(1, *shape))
    end = len(group["x"])
    group["x"].resize(end + len(images), axis=0)
    group["x"][end:] = images


@contextmanager
def open_split(path: str | Path, name: str) -> Iterator[Samples]:
    """Give one split of a training set whose images stay on disk until they are asked for.

    Raises
    ------
    UserError
        If the file is not such a training set.
    """
    import h5py

    path = existing(path, "a training set")
    try:
        file = h5py.File(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read as a training set ({error}); make it again.") from error
    with file:
        try:
            group = file[name]
            text = {key: group[key].asstr()[:].astype(str) for key in _TEXT}
            samples = Samples(x=group["x"], y=group["y"][:], **text)
        except (OSError, KeyError) as error:
            raise UserError(f"{path}: cannot be read as a training set ({error}); make it again.") from error
        yield samples


def read_split(path: str | Path, name: str) -> Samples:
    """Return one split of a training set in memory (see `open_split`)."""
    with open_split(path, name) as samples:
        return replace(samples, x=samples.x[:])


def write_arrays(path_x: str | Path, path_y: str | Path, samples: Samples) -> None:
    """Write images and labels as NPY, a block in memory at a time."""
    with written_whole(path_x) as part, part.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": tuple(samples.x.shape)}
        np.lib.format.write_array_header_1_0(file, header)
        for block in samples.blocks():
            file.write(block.x.astype("<f4", copy=False).tobytes())
    with written_whole(path_y) as part:
        np.save(part, samples.y, allow_pickle=False)


def read_attrs(path: str | Path) -> dict:
    """Return the attributes of a training set: case, seed, config_hash, version."""
    import h5py

    path = existing(path, "a training set")
    try:
        with h5py.File(path) as file:
            return {key: value.tolist() if hasattr(value, "tolist") else value for key, value in file.attrs.items()}
    except OSError as error:
        raise UserError(f"{path}: cannot be read as a training set ({error}); make it again.") from error


def joined(parts: Sequence[Samples]) -> Samples:
    """Return several sets of samples as one, in the order given."""
    return Samples(
        **{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Samples)}
    )

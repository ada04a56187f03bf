"""Simulated cubes on disk: one HDF5 file a shard, in half precision in units of the noise."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from .cubes import Cube
from .shards import Shards

FILES = Shards("simulated cubes", "cubes")
count, split_of = FILES.count, FILES.split_of
SHARED = ("rms", "frequency", "dirty_beam")
LARGEST = 60_000.0
"""Largest S/N that is kept; half precision ends at 65 504."""


def write(path: str | Path, cubes: Iterable[tuple[int, Cube]], attrs: dict) -> int:
    """Write numbered cubes that share band, beam and noise, one in memory at a time; return how many.

    A value is kept to 0.05 %, far below the noise.
    """
    return FILES.write(path, cubes, attrs, _put)


def read(path: str | Path) -> Iterator[tuple[int, Cube]]:
    """Yield number and cube of a shard, in order, one in memory at a time.

    Raises
    ------
    UserError
        If the file does not hold cubes.
    """
    return FILES.read(path, _get)


def _put(file, name: str, cube: Cube) -> None:
    if "beam" not in file.attrs:
        file.attrs["beam"] = cube.beam
        for part in SHARED:
            file[part] = getattr(cube, part)
    scaled = np.clip(cube.data / cube.rms[:, None, None].astype(np.float32), -LARGEST, LARGEST)
    file.create_dataset(name, data=scaled.astype(np.float16), chunks=(1, *scaled.shape[1:]))


def _get(file, stored) -> Cube:
    shared = {part: file[part][:] for part in SHARED}
    data = stored[:].astype(np.float32) * shared["rms"][:, None, None].astype(np.float32)
    return Cube(data=data, beam=tuple(float(value) for value in file.attrs["beam"]), **shared)

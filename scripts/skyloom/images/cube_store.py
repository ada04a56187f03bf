"""Simulated cubes on disk: one HDF5 file a shard, in half precision in units of the noise."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files import existing, written_whole
from .cubes import Cube

LARGEST = 60_000.0
"""Largest S/N that is kept; half precision ends at 65 504."""


def write(path: str | Path, cubes: Iterable[tuple[int, Cube]], attrs: dict) -> int:
    """Write numbered cubes that share band, beam and noise, one in memory at a time; return how many.

    A value is kept to 0.05 %, far below the noise.
    """
    import h5py

    written = 0
    with written_whole(path) as part, h5py.File(part, "w") as file:
        file.attrs.update(attrs)
        for number, cube in cubes:
            if not written:
                file.attrs["beam"] = cube.beam
                for name in ("rms", "frequency", "dirty_beam"):
                    file[name] = getattr(cube, name)
            scaled = np.clip(cube.data / cube.rms[:, None, None].astype(np.float32), -LARGEST, LARGEST)
            group = file.require_group("cubes")
            group.create_dataset(f"{number:06d}", data=scaled.astype(np.float16), chunks=(1, *scaled.shape[1:]))
            written += 1
    return written


def read(path: str | Path) -> Iterator[tuple[int, Cube]]:
    """Yield number and cube of a shard, in order, one in memory at a time.

    Raises
    ------
    UserError
        If the file does not hold cubes.
    """
    import h5py

    path = existing(path, "a shard of simulated cubes")
    try:
        with h5py.File(path) as file:
            shared = {name: file[name][:] for name in ("rms", "frequency", "dirty_beam")}
            beam = tuple(float(value) for value in file.attrs["beam"])
            for name, stored in sorted(file.get("cubes", {}).items()):
                data = stored[:].astype(np.float32) * shared["rms"][:, None, None].astype(np.float32)
                yield int(name), Cube(data=data, beam=beam, **shared)
    except (OSError, KeyError) as error:
        raise UserError(f"{path}: cannot be read as simulated cubes ({error}); make it again.") from error


def count(path: str | Path) -> int:
    """Return how many cubes a shard holds."""
    import h5py

    path = existing(path, "a shard of simulated cubes")
    try:
        with h5py.File(path) as file:
            return len(file.get("cubes", {}))
    except OSError as error:
        raise UserError(f"{path}: cannot be read as simulated cubes ({error}); make it again.") from error


def split_of(path: str | Path) -> str:
    """Return which split the cubes of a shard are for.

    Raises
    ------
    UserError
        If the file does not tell.
    """
    import h5py

    path = existing(path, "a shard of simulated cubes")
    try:
        with h5py.File(path) as file:
            return str(file.attrs["split"])
    except (OSError, KeyError) as error:
        raise UserError(f"{path}: cannot be read as simulated cubes ({error}); make it again.") from error

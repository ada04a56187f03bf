"""Simulated patches of the gamma-ray sky on disk: one HDF5 file a shard."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files import existing, written_whole
from .patches import Patch

WHAT = "a shard of simulated patches"


def write(path: str | Path, patches: Iterable[tuple[int, Patch]], attrs: dict) -> int:
    """Write numbered patches of the same bands and width, one in memory at a time; return how many."""
    import h5py

    count = 0
    with written_whole(path) as part, h5py.File(part, "w") as file:
        file.attrs.update(attrs)
        for number, one in patches:
            file.attrs["width"], file.attrs["bands"] = one.width, np.asarray(one.bands)
            group = file.require_group(f"patches/{number:06d}")
            group.attrs.update(lon=one.lon, lat=one.lat, exposure=np.asarray(one.exposure, float))
            for band, counts in enumerate(one.counts):
                group.create_dataset(
                    f"band_{band}", data=counts.astype(np.float32), chunks=counts.shape, shuffle=True, compression="lzf"
                )
            count += 1
    return count


def read(path: str | Path) -> Iterator[tuple[int, Patch]]:
    """Yield number and patch of a shard, in order, one in memory at a time.

    Raises
    ------
    UserError
        If the file does not hold patches.
    """
    with _opened(path) as file:
        for name, stored in sorted(file.get("patches", {}).items()):
            bands = tuple((float(lowest), float(highest)) for lowest, highest in file.attrs["bands"])
            yield (
                int(name),
                Patch(
                    counts=tuple(stored[f"band_{band}"][:] for band in range(len(bands))),
                    exposure=stored.attrs["exposure"][:],
                    lon=float(stored.attrs["lon"]),
                    lat=float(stored.attrs["lat"]),
                    width=float(file.attrs["width"]),
                    bands=bands,
                ),
            )


def count(path: str | Path) -> int:
    """Return how many patches a shard holds."""
    with _opened(path) as file:
        return len(file.get("patches", {}))


def split_of(path: str | Path) -> str:
    """Return which split the patches of a shard are for.

    Raises
    ------
    UserError
        If the file does not tell.
    """
    with _opened(path) as file:
        return str(file.attrs["split"])


@contextmanager
def _opened(path: str | Path):
    import h5py

    path = existing(path, WHAT)
    try:
        with h5py.File(path) as file:
            yield file
    except (OSError, KeyError) as error:
        raise UserError(f"{path}: cannot be read as {WHAT} ({error}); make it again.") from error

"""Simulated patches of the gamma-ray sky on disk: one HDF5 file a shard."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from .patches import Patch
from .shards import Shards

FILES = Shards("simulated patches", "patches")
count, split_of = FILES.count, FILES.split_of


def write(path: str | Path, patches: Iterable[tuple[int, Patch]], attrs: dict) -> int:
    """Write numbered patches of the same bands and width, one in memory at a time; return how many."""
    return FILES.write(path, patches, attrs, _put)


def read(path: str | Path) -> Iterator[tuple[int, Patch]]:
    """Yield number and patch of a shard, in order, one in memory at a time.

    Raises
    ------
    UserError
        If the file does not hold patches.
    """
    return FILES.read(path, _get)


def _put(file, name: str, one: Patch) -> None:
    group = file.create_group(name)
    file.attrs["width"], file.attrs["bands"] = one.width, np.asarray(one.bands)
    group.attrs.update(lon=one.lon, lat=one.lat, exposure=np.asarray(one.exposure, float))
    for band, counts in enumerate(one.counts):
        group.create_dataset(
            f"band_{band}", data=counts.astype(np.float32), chunks=counts.shape, shuffle=True, compression="lzf"
        )


def _get(file, stored) -> Patch:
    bands = tuple((float(lowest), float(highest)) for lowest, highest in file.attrs["bands"])
    return Patch(
        counts=tuple(stored[f"band_{band}"][:] for band in range(len(bands))),
        exposure=stored.attrs["exposure"][:],
        lon=float(stored.attrs["lon"]),
        lat=float(stored.attrs["lat"]),
        width=float(file.attrs["width"]),
        bands=bands,
    )

"""Simulated counts maps on disk: one HDF5 file a shard."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from .counts import CountsMap
from .shards import Shards

FILES = Shards("simulated counts maps", "maps")
count, split_of = FILES.count, FILES.split_of


def write(path: str | Path, maps: Iterable[tuple[int, CountsMap]], attrs: dict) -> int:
    """Write numbered maps of one pixel size, one in memory at a time; return how many."""
    return FILES.write(path, maps, attrs, _put)


def read(path: str | Path) -> Iterator[tuple[int, CountsMap]]:
    """Yield number and map of a shard, in order, one in memory at a time.

    Raises
    ------
    UserError
        If the file does not hold counts maps.
    """
    return FILES.read(path, _get)


def _put(file, name: str, one: CountsMap) -> None:
    group = file.create_group(name)
    file.attrs["pixel"] = one.pixel
    for part in ("counts", "source_counts"):
        group.create_dataset(part, data=getattr(one, part), chunks=one.counts.shape, compression="lzf")


def _get(file, stored) -> CountsMap:
    return CountsMap(stored["counts"][:], float(file.attrs["pixel"]), stored["source_counts"][:])

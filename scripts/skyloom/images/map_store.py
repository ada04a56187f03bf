"""Simulated counts maps on disk: one HDF5 file a shard."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UserError
from ..files import existing, written_whole
from .counts import CountsMap

WHAT = "a shard of simulated counts maps"


def write(path: str | Path, maps: Iterable[tuple[int, CountsMap]], attrs: dict) -> int:
    """Write numbered maps of one pixel size, one in memory at a time; return how many."""
    import h5py

    count = 0
    with written_whole(path) as part, h5py.File(part, "w") as file:
        file.attrs.update(attrs)
        for number, one in maps:
            file.attrs["pixel"] = one.pixel
            group = file.require_group(f"maps/{number:06d}")
            for name in ("counts", "source_counts"):
                group.create_dataset(name, data=getattr(one, name), chunks=one.counts.shape, compression="lzf")
            count += 1
    return count


def read(path: str | Path) -> Iterator[tuple[int, CountsMap]]:
    """Yield number and map of a shard, in order, one in memory at a time.

    Raises
    ------
    UserError
        If the file does not hold counts maps.
    """
    with _opened(path) as file:
        for name, stored in sorted(file.get("maps", {}).items()):
            yield int(name), CountsMap(stored["counts"][:], float(file.attrs["pixel"]), stored["source_counts"][:])


def count(path: str | Path) -> int:
    """Return how many maps a shard holds."""
    with _opened(path) as file:
        return len(file.get("maps", {}))


def split_of(path: str | Path) -> str:
    """Return which split the maps of a shard are for.

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

"""Simulated observations on disk: one HDF5 file a shard, and in it each observation by its number."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import existing, written_whole


@dataclass(frozen=True)
class Shards:
    """Files of one kind of observation.

    Parameters
    ----------
    what : str
        What the observations are, in the plural, for messages.
    group : str
        Name of the group in the file that holds them.
    """

    what: str
    group: str

    def write(self, path: str | Path, numbered: Iterable[tuple[int, Any]], attrs: dict, put: Callable) -> int:
        """Write numbered observations, one in memory at a time; return how many.

        `put` takes the file, the name of an observation in it and the observation, and writes it there.
        """
        import h5py

        count = 0
        with written_whole(path) as part, h5py.File(part, "w") as file:
            file.attrs.update(attrs)
            file.create_group(self.group)
            for number, one in numbered:
                put(file, f"{self.group}/{number:06d}", one)
                count += 1
        return count

    def read(self, path: str | Path, get: Callable) -> Iterator[tuple[int, Any]]:
        """Yield number and observation of a shard, in order, one in memory at a time.

        `get` takes the file and what is stored of an observation, and returns it.

        Raises
        ------
        UserError
            If the file does not hold such observations.
        """
        with self._opened(path) as file:
            for name, stored in sorted(file[self.group].items()):
                yield int(name), get(file, stored)

    def count(self, path: str | Path) -> int:
        """Return how many observations a shard holds."""
        with self._opened(path) as file:
            return len(file[self.group])

    def split_of(self, path: str | Path) -> str:
        """Return which split the observations of a shard are for.

        Raises
        ------
        UserError
            If the file does not tell.
        """
        with self._opened(path) as file:
            return str(file.attrs["split"])

    @contextmanager
    def _opened(self, path: str | Path):
        import h5py

        path = existing(path, f"a shard of {self.what}")
        try:
            with h5py.File(path) as file:
                yield file
        except (OSError, KeyError) as error:
            raise UserError(f"{path}: cannot be read as a shard of {self.what} ({error}); make it again.") from error

"""Files as they come: into a folder, or named on standard input."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from .errors import UserError

LOOK = 0.02
"""A folder is looked at this often [s]."""


def arrivals(folder: str | os.PathLike, settle: float = 0.2, until_idle: float | None = None) -> Iterator[Path]:
    """Yield the files of a folder in order of arrival, those that are there already first.

    A file is whole when it was not written to for a while. One that is written to later on comes once more, so that a
    writer who paused loses nothing. Hidden files are left out: they may be written aside and renamed.

    Parameters
    ----------
    folder : path
    settle : float
        How long a file must not have changed [s].
    until_idle : float, optional
        Ends after so long without a file [s]; by default, never.

    Raises
    ------
    UserError
        If the folder is none, or is taken away.
    """
    done, seen, last = {}, {}, time.monotonic()
    while True:
        now, ready, waiting = time.monotonic(), [], False
        for name, state in _states(folder).items():
            if done.get(name) == state:
                continue
            waiting = True
            if name not in seen or seen[name][0] != state:
                # What was written long ago need not be watched: it was renamed into the folder, or was there before.
                old = time.time() - state[1] / 1e9 >= settle
                seen[name] = state, now - settle if old else now
            if now - seen[name][1] >= settle:
                ready.append((state[1], name, state))
        for _, name, state in sorted(ready):
            done[name] = state
            yield Path(folder, name)
        if ready or waiting:
            last = time.monotonic()
        elif until_idle is not None and now - last >= until_idle:
            return
        if not ready:
            time.sleep(LOOK)


def _states(folder: str | os.PathLike) -> dict[str, tuple[int, int]]:
    """Return size and time of the last change [ns] of the files of a folder."""
    found = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.is_file():
                    try:
                        state = entry.stat()
                    except FileNotFoundError:  # taken away just now
                        continue
                    found[entry.name] = state.st_size, state.st_mtime_ns
    except OSError as error:
        raise UserError(f"{folder}: is no folder that can be read ({error.strerror}).") from error
    return found


def named(stream: TextIO) -> Iterator[Path]:
    """Yield the paths that stand on the lines of a stream, as each line comes."""
    for line in iter(stream.readline, ""):
        if line.strip():
            yield Path(line.strip())


class Interruption:
    """While active, an interruption (SIGINT, SIGTERM) ends the wait for a file, but not the work on one."""

    def __init__(self):
        """Start with none asked for."""
        self.asked = self._waiting = False

    def __enter__(self):
        """Take the signals."""
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error):
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number, frame):
        self.asked = True
        if self._waiting:
            raise KeyboardInterrupt

    def next_of(self, files: Iterator[Path]) -> Path | None:
        """Return the next file; None at the end, or if an interruption was asked for."""
        try:
            self._waiting = True
            return None if self.asked else next(files, None)
        except KeyboardInterrupt:
            return None
        finally:
            self._waiting = False

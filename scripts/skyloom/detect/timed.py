"""Run a source finder on a shard of simulated cubes and see how long it takes."""

import time
from collections.abc import Callable
from pathlib import Path

from astropy.table import Table, vstack

from ..cli import progress
from ..images import cube_store
from ..images.cubes import Cube


def detections_in(path: str | Path, find: Callable[[Cube, int], Table]) -> Table:
    """Return what a finder detects in all cubes of a shard; the header says their number, beam and the seconds a cube.

    Parameters
    ----------
    path : str or pathlib.Path
        HDF5 file of simulate.py.
    find : callable
        Takes a cube and its number.
    """
    tables, seconds, total = [], 0.0, cube_store.count(path)
    for number, cube in progress(cube_store.read(path), total, "cubes"):
        start = time.perf_counter()
        tables.append(find(cube, number))
        seconds += time.perf_counter() - start
    table = vstack(tables, metadata_conflicts="silent")
    beam = float((cube.beam[0] * cube.beam[1]) ** 0.5)
    table.meta = {"cubes": total, "beam_fwhm": beam, "seconds_per_cube": round(seconds / total, 3)}
    return table

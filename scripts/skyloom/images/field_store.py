"""Simulated radio images on disk: one HDF5 file a shard, in half precision in units of the noise."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files import existing, written_whole
from .radio_fields import Cluster, RadioField

WHAT = "a shard of simulated radio images"
LARGEST = 60_000.0
"""Largest S/N that is kept on disk; half precision ends at 65 504."""
SIGMA_PER_DEVIATION = 1.4826
"""A Gaussian's standard deviation over its median absolute deviation."""


def write(path: str | Path, fields: Iterable[tuple[int, RadioField]], attrs: dict) -> int:
    """Write numbered fields, one in memory at a time; return how many.

    A pixel is kept in half precision in units of the image's noise, hence to 0.05 % of its value.
    """
    import h5py

    count = 0
    with written_whole(path) as part, h5py.File(part, "w") as file:
        file.attrs.update(attrs)
        for number, field in fields:
            group = file.require_group(f"fields/{number:06d}")
            noise = _noise(field.image)
            group.attrs.update(noise=noise, pixel=field.pixel, beam=field.beam, frequency=field.frequency)
            if field.cluster:
                cluster = field.cluster
                group.attrs["cluster"] = (cluster.x, cluster.y, cluster.r500, cluster.redshift)
            scaled = np.clip(field.image / np.float32(noise), -LARGEST, LARGEST).astype(np.float16)
            rows = (min(256, scaled.shape[0]), scaled.shape[1])
            group.create_dataset("image", data=scaled, chunks=rows)
            if field.mask is not None:
                group.create_dataset("mask", data=field.mask, chunks=rows, compression="lzf")
            count += 1
    return count


def _noise(image: np.ndarray) -> float:
    """Return the noise of an image by the median absolute deviation of its pixels, 1 if they are all alike."""
    seen = image[np.isfinite(image)]
    deviation = float(np.median(np.abs(seen - np.median(seen)))) if seen.size else 0.0
    return SIGMA_PER_DEVIATION * deviation or 1.0


def read(path: str | Path) -> Iterator[tuple[int, RadioField]]:
    """Yield number and field of a shard, in order, one in memory at a time.

    Raises
    ------
    UserError
        If the file does not hold radio images.
    """
    with _opened(path) as file:
        for name, stored in sorted(file.get("fields", {}).items()):
            known = stored.attrs
            yield (
                int(name),
                RadioField(
                    image=stored["image"][:].astype(np.float32) * np.float32(known["noise"]),
                    pixel=float(known["pixel"]),
                    beam=tuple(float(value) for value in known["beam"]),
                    frequency=float(known["frequency"]),
                    cluster=Cluster(*map(float, known["cluster"])) if "cluster" in known else None,
                    mask=stored["mask"][:] if "mask" in stored else None,
                ),
            )


def count(path: str | Path) -> int:
    """Return how many fields a shard holds."""
    with _opened(path) as file:
        return len(file.get("fields", {}))


def split_of(path: str | Path) -> str:
    """Return which split the fields of a shard are for.

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

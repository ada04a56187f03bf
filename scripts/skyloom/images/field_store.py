"""Simulated radio images on disk: one HDF5 file a shard, in half precision in units of the noise."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from .radio_fields import Cluster, RadioField
from .shards import Shards

FILES = Shards("simulated radio images", "fields")
count, split_of = FILES.count, FILES.split_of
LARGEST = 60_000.0
"""Largest S/N that is kept on disk; half precision ends at 65 504."""
SIGMA_PER_DEVIATION = 1.4826
"""A Gaussian's standard deviation over its median absolute deviation."""


def write(path: str | Path, fields: Iterable[tuple[int, RadioField]], attrs: dict) -> int:
    """Write numbered fields, one in memory at a time; return how many.

    A pixel is kept in half precision in units of the image's noise, hence to 0.05 % of its value.
    """
    return FILES.write(path, fields, attrs, _put)


def read(path: str | Path) -> Iterator[tuple[int, RadioField]]:
    """Yield number and field of a shard, in order, one in memory at a time.

    Raises
    ------
    UserError
        If the file does not hold radio images.
    """
    return FILES.read(path, _get)


def _put(file, name: str, field: RadioField) -> None:
    group = file.create_group(name)
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


def _get(file, stored) -> RadioField:
    known = stored.attrs
    return RadioField(
        image=stored["image"][:].astype(np.float32) * np.float32(known["noise"]),
        pixel=float(known["pixel"]),
        beam=tuple(float(value) for value in known["beam"]),
        frequency=float(known["frequency"]),
        cluster=Cluster(*map(float, known["cluster"])) if "cluster" in known else None,
        mask=stored["mask"][:] if "mask" in stored else None,
    )


def _noise(image: np.ndarray) -> float:
    """Return the noise of an image by the median absolute deviation of its pixels, 1 if they are all alike."""
    seen = image[np.isfinite(image)]
    deviation = float(np.median(np.abs(seen - np.median(seen)))) if seen.size else 0.0
    return SIGMA_PER_DEVIATION * deviation or 1.0

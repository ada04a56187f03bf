"""What the embedded archive keeps of an observed cube: a FITS file with its dirty beam, and files that nobody wants."""

import io

import numpy as np
from astropy.io import fits

from ..images.cubes import Cube
from . import products

PRODUCT = "cube.I"
DIRTY_BEAM = "DIRTYBEAM"
"""Extension that holds the response to a point source in the middle of the band, its peak of one at ``n // 2``."""


def cube_header(observation: products.Observation, cube: Cube, pixel: float) -> fits.Header:
    """Return the header of a cube with the axes (x, y, frequency, Stokes); `pixel` is in degrees."""
    beam = (cube.beam[0] * pixel, cube.beam[1] * pixel, cube.beam[2])
    header = products.image_header(observation, cube.data.shape[2], pixel, beam)
    step = float(cube.frequency[1] - cube.frequency[0]) if len(cube.frequency) > 1 else 1.0
    header["CRVAL3"], header["CDELT3"], header["CRPIX3"] = float(cube.frequency[0]), step, 1.0
    header["RESTFRQ"] = float(cube.frequency.mean())
    return header


def files_of(observation: products.Observation, cube: Cube, number: int, pixel: float) -> dict[str, bytes]:
    """Return the files of an observation by name; `pixel` is in arcsec."""
    degrees = pixel / 3600
    stream = io.BytesIO()
    beam = np.asarray(cube.dirty_beam, dtype=">f4")
    fits.HDUList(
        [
            fits.PrimaryHDU(np.asarray(cube.data[None], dtype=">f4"), cube_header(observation, cube, degrees)),
            fits.ImageHDU(beam, name=DIRTY_BEAM),
        ]
    ).writeto(stream)
    others = products.other_products(observation, number, degrees)
    # Two of the choices are tiny cubes, which the search would take for real ones.
    others = {name: content for name, content in others.items() if ".cube." not in name}
    return {observation.filename(PRODUCT): stream.getvalue(), **others}
